//! The body of an import on its way: written to a file of its own, counted and hashed, before anything of it is applied.
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use actix_web::dev::Payload;
use dmwsi_domain::import::{MAX_LINE, MAX_LINES};
use dmwsi_domain::{Clock, Error};
use futures_util::StreamExt as _;
use openssl::sha::Sha256;
use tokio::io::AsyncWriteExt as _;

use crate::problem::{Code, Problem};

/// A body that has come whole.
pub(crate) struct Spool {
    /// Its lines, from the first.
    pub(crate) lines: Lines,
    /// How many there are, the blank ones counted.
    pub(crate) count: u32,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub(crate) fingerprint: String,
}

impl Spool {
    /// Writes the body to a file in `folder`. The file has no name any more when this returns, so it is gone with the process, and nobody
    /// else reads the secrets in it.
    pub(crate) async fn receive(folder: &Path, clock: &Clock, mut payload: Payload, most: u64) -> Result<Self, Problem> {
        let path = folder.join(format!("dmwsi-import-{}", clock.new_id().simple()));
        let folder = folder.to_owned();
        let opened = actix_web::web::block(move || {
            std::fs::create_dir_all(&folder)?;
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok::<_, io::Error>(file)
        });
        let mut file = tokio::fs::File::from_std(opened.await.map_err(Error::internal)?.map_err(Error::internal)?);
        let (mut hash, mut bytes, mut count, mut open) = (Sha256::new(), 0u64, 0u32, false);
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|broken| Problem::invalid(format!("The body broke off: {broken}")))?;
            bytes = bytes.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            for byte in &chunk {
                count = count.saturating_add(u32::from(!open));
                open = *byte != b'\n';
            }
            if bytes > most || count > MAX_LINES {
                let detail = format!("An import may have {MAX_LINES} lines and {most} bytes.");
                return Err(Problem::new(Code::PayloadTooLarge, detail));
            }
            hash.update(&chunk);
            file.write_all(&chunk).await.map_err(Error::internal)?;
        }
        file.flush().await.map_err(Error::internal)?;
        let mut file = file.into_std().await;
        file.seek(SeekFrom::Start(0)).map_err(Error::internal)?;
        let fingerprint = hash.finish().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { lines: Lines { reader: BufReader::new(file), at: 0 }, count, fingerprint })
    }
}

/// The lines of a body, read one after the other.
pub(crate) struct Lines<R = File> {
    reader: BufReader<R>,
    at: u32,
}

/// One line.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum RawLine {
    /// Its bytes, without its end.
    Bytes(Vec<u8>),
    /// It is longer than a line may be.
    TooLong,
}

impl<R: io::Read> Lines<R> {
    /// The number of the line read last; 0 before the first.
    pub(crate) const fn at(&self) -> u32 {
        self.at
    }

    /// Passes over the lines up to that number.
    pub(crate) fn skip_to(&mut self, line: u32) -> io::Result<()> {
        while self.at < line && self.next_line()?.is_some() {}
        Ok(())
    }

    /// The next line, or nothing after the last. However long it is, no more than a line may have is held.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<RawLine>> {
        let (mut line, mut any, mut long) = (Vec::new(), false, false);
        loop {
            let buffered = self.reader.fill_buf()?;
            if buffered.is_empty() {
                break;
            }
            any = true;
            let end = buffered.iter().position(|byte| *byte == b'\n');
            let part = buffered.get(..end.unwrap_or(buffered.len())).unwrap_or_default();
            if line.len().saturating_add(part.len()) > MAX_LINE {
                long = true;
            } else {
                line.extend_from_slice(part);
            }
            let used = part.len().saturating_add(usize::from(end.is_some()));
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        self.at = self.at.saturating_add(1);
        Ok(Some(if long { RawLine::TooLong } else { RawLine::Bytes(line) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Lines<&[u8]> {
        // A small buffer, so that lines lie across its ends.
        Lines { reader: BufReader::with_capacity(7, text), at: 0 }
    }

    #[test]
    fn lines_are_read_one_by_one_and_a_long_one_hurts_no_other() {
        let long = vec![b'x'; MAX_LINE + 1];
        let most = vec![b'y'; MAX_LINE];
        let text = [b"one\n\n".as_slice(), &long, b"\n", &most, b"\nlast"].concat();
        let mut read = Vec::new();
        let mut reader = lines(&text);
        while let Some(line) = reader.next_line().unwrap() {
            read.push(line);
        }
        let bytes = |bytes: &[u8]| RawLine::Bytes(bytes.to_vec());
        assert_eq!(read, [bytes(b"one"), bytes(b""), RawLine::TooLong, bytes(&most), bytes(b"last")]);
        assert_eq!(reader.at(), 5);
        let mut later = lines(&text);
        later.skip_to(4).unwrap();
        assert_eq!(later.next_line().unwrap(), Some(bytes(b"last")));
        assert_eq!(later.next_line().unwrap(), None);
        later.skip_to(9).unwrap();
        assert_eq!(later.at(), 5);
    }
}
