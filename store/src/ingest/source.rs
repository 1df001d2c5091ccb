//! Bytes on their way from a request to the thread that reads the container.
use std::io::{self, Read};

use tokio::sync::mpsc;

/// Pieces that may wait between the two.
const PIECES: usize = 8;

enum Piece<B> {
    Bytes(B),
    End,
}

/// Makes both ends.
#[must_use]
pub fn pipe<B: AsRef<[u8]>>() -> (Feed<B>, Source<B>) {
    let (sender, receiver) = mpsc::channel(PIECES);
    (Feed(sender), Source { receiver, piece: None, at: 0, ended: false })
}

/// The end that is fed. Dropped without [`Feed::finish`], it tells the other end that the bytes broke off.
#[derive(Debug)]
pub struct Feed<B>(mpsc::Sender<Piece<B>>);

impl<B> Feed<B> {
    /// Hands on some bytes; false when nobody wants more.
    pub async fn put(&self, bytes: B) -> bool {
        self.0.send(Piece::Bytes(bytes)).await.is_ok()
    }

    /// Says that this was all.
    pub async fn finish(self) {
        // Who does not read to the end has made up its mind already.
        drop(self.0.send(Piece::End).await);
    }
}

/// The end that is read, by a thread that may block.
#[derive(Debug)]
pub struct Source<B> {
    receiver: mpsc::Receiver<Piece<B>>,
    piece: Option<B>,
    at: usize,
    ended: bool,
}

impl<B> std::fmt::Debug for Piece<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Piece")
    }
}

impl<B: AsRef<[u8]>> Read for Source<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(rest) =
                self.piece.as_ref().and_then(|piece| piece.as_ref().get(self.at..)).filter(|rest| !rest.is_empty())
            {
                let count = rest.len().min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
                    to.copy_from_slice(from);
                }
                self.at = self.at.saturating_add(count);
                return Ok(count);
            }
            if self.ended {
                return Ok(0);
            }
            match self.receiver.blocking_recv() {
                Some(Piece::Bytes(bytes)) => (self.piece, self.at) = (Some(bytes), 0),
                Some(Piece::End) => (self.piece, self.ended) = (None, true),
                None => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the sender went away")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_put_in_comes_out_and_a_break_is_told_from_an_end() {
        for finish in [true, false] {
            let (feed, mut source) = pipe::<Vec<u8>>();
            let reader = tokio::task::spawn_blocking(move || {
                let mut text = String::new();
                source.read_to_string(&mut text).map(|_| text)
            });
            assert!(feed.put(b"some ".to_vec()).await && feed.put(vec![]).await && feed.put(b"bytes".to_vec()).await);
            if finish {
                feed.finish().await
            } else {
                drop(feed)
            }
            let read = reader.await.unwrap();
            assert_eq!(
                read.map_err(|error| error.kind()),
                if finish { Ok("some bytes".into()) } else { Err(io::ErrorKind::ConnectionAborted) }
            );
        }
    }
}
