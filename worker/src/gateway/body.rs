//! The body of a request, as the device packed it or not.
use actix_web::dev::Decompress;
use actix_web::error::PayloadError;
use actix_web::http::header::HeaderMap;
use actix_web::web::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};

/// How many octets are unpacked at once. Gzip makes up to 1,032 of one, so that half a MiB comes of these; of all that a connection has read it
/// would be more than a hundred, before anybody could ask how much it is.
const UNPACKED_AT_ONCE: usize = 512;

/// Reads a body of at most that many octets unpacked, and whether that is all of it: of one that is larger the rest stays unread.
pub(super) async fn gather(
    payload: impl Stream<Item = Result<Bytes, PayloadError>>,
    headers: &HeaderMap,
    largest: usize,
) -> Result<(Bytes, bool), PayloadError> {
    let mut pieces = std::pin::pin!(unpack(payload, headers));
    let mut body = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        let room = largest.saturating_sub(body.len());
        body.extend_from_slice(piece.get(..room).unwrap_or(&piece));
        if piece.len() > room {
            return Ok((body.freeze(), false));
        }
    }
    Ok((body.freeze(), true))
}

/// The pieces of a body as they were before they were packed.
fn unpack(
    payload: impl Stream<Item = Result<Bytes, PayloadError>>,
    headers: &HeaderMap,
) -> impl Stream<Item = Result<Bytes, PayloadError>> {
    Decompress::from_headers(payload.flat_map(|piece| stream::iter(cut(piece))), headers)
}

fn cut(piece: Result<Bytes, PayloadError>) -> Vec<Result<Bytes, PayloadError>> {
    match piece {
        Ok(piece) => {
            let begins = (0..piece.len()).step_by(UNPACKED_AT_ONCE);
            begins.map(|at| Ok(piece.slice(at..piece.len().min(at.saturating_add(UNPACKED_AT_ONCE))))).collect()
        }
        Err(error) => vec![Err(error)],
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{CONTENT_ENCODING, HeaderValue};

    use super::*;

    /// What 6,000 blanks packed by gzip begin with; each zero octet that follows stands for 1,032 more.
    const BLANKS: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\x31\x01\x00\x00\x00\xc2\xa0\x2a\xeb\x9f\xd2\x10\xbe\x40\x01\x00\x00\x00\x00\x00";

    /// A hundred thousand octets that stand for a hundred million, in one piece.
    fn bomb() -> impl Stream<Item = Result<Bytes, PayloadError>> {
        stream::iter([Ok(Bytes::from([BLANKS, &[0; 100_000]].concat()))])
    }

    fn packed() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers
    }

    /// OES10: nothing is allocated for what a message merely unpacks to: no more than a MiB at once, and nothing beyond the limit.
    #[actix_web::test]
    async fn what_unpacks_to_very_much_is_left_at_the_limit() {
        let pieces: Vec<_> =
            unpack(bomb(), &packed()).map(|piece| piece.map_or(0, |piece| piece.len())).take(100).collect().await;
        assert!(pieces.iter().sum::<usize>() > 10_000_000, "it is a bomb: {pieces:?}");
        assert!(pieces.iter().all(|piece| *piece <= 1 << 20), "{pieces:?}");
        let (body, is_whole) = gather(bomb(), &packed(), 5_000).await.unwrap();
        assert_eq!((body, is_whole), (Bytes::from(vec![b' '; 5_000]), false));
    }

    #[actix_web::test]
    async fn what_is_not_packed_is_whole_up_to_the_limit() {
        for (limit, is_whole) in [(5_000, true), (4_999, false)] {
            let sent = Bytes::from((0..5_000_u32).map(|n| n.to_le_bytes()[0]).collect::<Vec<_>>());
            let read = gather(stream::iter([Ok(sent.clone())]), &HeaderMap::new(), limit).await.unwrap();
            assert_eq!(read, (sent.slice(..limit), is_whole));
        }
    }
}
