//! The archive of a container: a tar of regular files and nothing else (POSIX ustar), block by block.
use crate::deliverable::{MAX_NAME, is_member_name};
use crate::fault::{Fault, FaultCode};

/// The media type of a container.
pub const MEDIA_TYPE: &str = "application/vnd.dmwsi.container.v1+tar";

/// The length of a block.
pub const BLOCK: usize = 512;

/// A block.
pub type Block = [u8; BLOCK];

/// Where the checksum stands in a header.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// The head of a member: its name and how long it is. Everything else that a tar can say is refused or ignored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// The name, a plain one or one in a folder.
    pub name: String,
    /// How many bytes follow, before they are filled up to a whole block.
    pub size: u64,
}

impl Header {
    /// Reads a block; nothing where it is all zero, which ends the archive.
    pub fn read(block: &Block) -> Result<Option<Self>, Fault> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let malformed = |detail: &str| Fault::new(FaultCode::ContainerFormatInvalid, detail);
        if octal(field(block, CHECKSUM)) != Some(checksum(block)) {
            return Err(malformed("a header of the archive has a wrong checksum"));
        }
        let name = text(field(block, 0..MAX_NAME)).filter(|name| is_member_name(name));
        let Some(name) = name.map(str::to_owned) else {
            let shown = String::from_utf8_lossy(field(block, 0..MAX_NAME));
            let shown = shown.trim_end_matches('\0').to_owned();
            return Err(Fault::of_member(
                FaultCode::ContainerFormatInvalid,
                shown,
                "the name of a member is a plain one, or one in a folder, of at most 100 bytes",
            ));
        };
        let wrong = |detail: &str| Err(Fault::of_member(FaultCode::ContainerFormatInvalid, name.clone(), detail));
        if !matches!(field(block, 156..157), b"0" | b"\0") {
            return wrong("is no regular file");
        }
        if !matches!(field(block, 257..265), b"ustar\x0000" | b"ustar  \0" | b"\0\0\0\0\0\0\0\0") {
            return wrong("its header is not of the form ustar");
        }
        if field(block, 157..257).iter().chain(field(block, 345..500)).any(|byte| *byte != 0) {
            return wrong("its header has a link name or a prefix, or is of another form of tar");
        }
        match octal(field(block, 124..136)) {
            Some(size) => Ok(Some(Self { name, size })),
            None => wrong("its length cannot be read"),
        }
    }

    /// The block for this member: owned by nobody and made in 1970, so that the same content gives the same archive. Nothing where the name or the length has no room.
    #[must_use]
    pub fn write(&self) -> Option<Block> {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| -> Option<()> {
            block.get_mut(at..at.checked_add(bytes.len())?)?.copy_from_slice(bytes);
            Some(())
        };
        // Eleven octal digits.
        if !is_member_name(&self.name) || self.size >= 1 << 33 {
            return None;
        }
        put(0, self.name.as_bytes())?;
        put(100, b"0000644\x000000000\x000000000\0")?;
        put(124, format!("{:011o}\0", self.size).as_bytes())?;
        put(136, b"00000000000\0")?;
        put(156, b"0")?;
        put(257, b"ustar\x0000")?;
        let sum = format!("{:06o}\0 ", checksum(&block));
        block.get_mut(CHECKSUM)?.copy_from_slice(sum.as_bytes());
        Some(block)
    }
}

/// How many zero bytes follow `size` bytes to fill the last block.
#[must_use]
pub fn padding(size: u64) -> usize {
    let over = usize::try_from(size % 512).unwrap_or(0);
    BLOCK.saturating_sub(over) % BLOCK
}

fn field(block: &Block, range: std::ops::Range<usize>) -> &[u8] {
    block.get(range).unwrap_or_default()
}

/// The sum of all bytes, those of the checksum itself taken as blanks.
fn checksum(block: &Block) -> u64 {
    let all: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    let own: u64 = field(block, CHECKSUM).iter().map(|byte| u64::from(*byte)).sum();
    all.saturating_sub(own).saturating_add(8 * 32)
}

/// Octal digits with blanks before and a blank or zero byte behind; the binary form of GNU is not read.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_start_matches(' ').trim_end_matches([' ', '\0']);
    let all = !digits.is_empty() && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    if all { u64::from_str_radix(digits, 8).ok() } else { None }
}

/// The text before the first zero byte; only zero bytes may follow.
fn text(field: &[u8]) -> Option<&str> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let (text, rest) = field.split_at_checked(end)?;
    if rest.iter().any(|byte| *byte != 0) {
        return None;
    }
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Block {
        Header { name: "payloads/a.bin".into(), size: 1_000_000 }.write().unwrap()
    }

    /// Changes some bytes and makes the checksum right again.
    fn with(at: usize, bytes: &[u8]) -> Block {
        let mut block = header();
        block[at..at + bytes.len()].copy_from_slice(bytes);
        let sum = format!("{:06o}\0 ", checksum(&block));
        block[CHECKSUM].copy_from_slice(sum.as_bytes());
        block
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let read = Header::read(&header()).unwrap().unwrap();
        assert_eq!(read, Header { name: "payloads/a.bin".into(), size: 1_000_000 });
        assert_eq!(Header::read(&[0; BLOCK]), Ok(None));
        assert_eq!((padding(0), padding(1), padding(512), padding(513)), (0, 511, 0, 511));
        assert!(Header::read(&with(257, b"ustar  \0")).is_ok(), "as GNU writes it");
    }

    #[test]
    fn what_is_no_plain_regular_file_is_refused() {
        for (at, bytes) in [
            (0, &b"../../a\0\0\0\0\0\0\0"[..]),
            (0, b"/etc/passwd\0\0\0"),
            (0, b"payloads/a\0bin"),
            (156, b"1"),
            (156, b"2"),
            (156, b"5"),
            (156, b"L"),
            (156, b"S"),
            (156, b"g"),
            (156, b"x"),
            (157, b"target"),
            (345, b"../.."),
            (124, b"99999999999\0"),
            (124, b"-0000000001\0"),
            (124, b"\x80\0\0\0\0\0\0\0\0\0\0\x01"),
            (124, b"\0\0\0\0\0\0\0\0\0\0\0\0"),
            (257, b"ustax"),
        ] {
            assert!(Header::read(&with(at, bytes)).is_err(), "{at} {bytes:?}");
        }
        let mut wrong = header();
        wrong[0] = b'q';
        assert!(Header::read(&wrong).unwrap_err().detail.contains("checksum"));
    }

    #[test]
    fn no_block_makes_it_panic() {
        let mut seed = 1_u32;
        for _ in 0..10_000 {
            let mut block = header();
            for _ in 0..4 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let [byte, high, low, _] = seed.to_be_bytes();
                block[usize::from(u16::from_be_bytes([high, low])) % BLOCK] = byte;
            }
            drop(Header::read(&block));
            drop(Header::read(&with(0, &block[..100])));
        }
    }
}
