//! The user data header of a short message with ports, and of one in several parts (3GPP TS 23.040, 9.2.3.24).
use super::NotificationError;
use super::cursor::Cursor;

/// The information element of 16 bit ports.
const PORTS: u8 = 0x05;
/// The information element of messages in parts, with a reference of 8 bits.
const PARTS: u8 = 0x00;

/// The port that our messages come from; any will do.
pub const SOURCE: u16 = 0xC002;

/// The most octets of one short message.
pub const MESSAGE: usize = 140;

/// What stands before the data of a short message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// The port it is for.
    pub destination: u16,
    /// The port it comes from.
    pub source: u16,
    /// Which part of a longer message it is, where it is one.
    pub part: Option<Part>,
}

/// One part of a message that is too long for one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part {
    /// What all parts have in common.
    pub reference: u8,
    /// How many parts there are.
    pub total: u8,
    /// Which this is, from 1.
    pub number: u8,
}

impl Header {
    /// The header as it is transmitted, with its length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let [[d1, d2], [s1, s2]] = [self.destination.to_be_bytes(), self.source.to_be_bytes()];
        let mut elements = vec![PORTS, 4, d1, d2, s1, s2];
        if let Some(Part { reference, total, number }) = self.part {
            elements.extend([PARTS, 3, reference, total, number]);
        }
        elements.insert(0, u8::try_from(elements.len()).unwrap_or(u8::MAX));
        elements
    }

    /// Reads a header, and the data after it. Elements that are not known are passed over; one that names no ports is malformed here.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), NotificationError> {
        let mut cursor = Cursor::new(bytes);
        let length = usize::from(cursor.byte()?);
        let mut elements = Cursor::new(cursor.take(length)?);
        let (mut ports, mut part) = (None, None);
        while elements.peek().is_some() {
            let kind = elements.byte()?;
            let length = usize::from(elements.byte()?);
            let data = elements.take(length)?;
            match (kind, data) {
                (PORTS, [d1, d2, s1, s2]) => ports = Some((u16::from_be_bytes([*d1, *d2]), u16::from_be_bytes([*s1, *s2]))),
                (PARTS, [reference, total, number]) => {
                    part = Some(Part { reference: *reference, total: *total, number: *number });
                }
                _ => {}
            }
        }
        let (destination, source) = ports.ok_or(NotificationError::Malformed { at: 0 })?;
        Ok((Self { destination, source, part }, cursor.rest()))
    }
}

/// The short messages that carry a datagram to that port: one where it fits, otherwise parts that share `reference`.
#[must_use]
pub fn messages(destination: u16, reference: u8, datagram: &[u8]) -> Vec<Vec<u8>> {
    let whole = Header { destination, source: SOURCE, part: None };
    let single = [&whole.encode()[..], datagram].concat();
    if single.len() <= MESSAGE {
        return vec![single];
    }
    let part = |total, number| Header { part: Some(Part { reference, total, number }), ..whole }.encode();
    let room = MESSAGE.saturating_sub(part(0, 0).len());
    let chunks = datagram.chunks(room);
    let total = u8::try_from(chunks.len()).unwrap_or(u8::MAX);
    chunks.zip(1..=total).map(|(chunk, number)| [&part(total, number)[..], chunk].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::PORT;
    use super::*;

    #[test]
    fn a_message_to_port_2948_has_the_bytes_of_the_specification() {
        assert_eq!(messages(PORT, 0, b"push"), [b"\x06\x05\x04\x0B\x84\xC0\x02push".to_vec()]);
    }

    #[test]
    fn a_long_datagram_goes_in_parts_and_is_put_together_again() {
        let datagram: Vec<u8> = (0..=255).chain(0..=255).collect();
        let parts = messages(9200, 0x2A, &datagram);
        assert_eq!(parts.len(), 4);
        assert!(parts.iter().all(|part| part.len() <= MESSAGE));
        assert_eq!(parts[0][..12], *b"\x0B\x05\x04\x23\xF0\xC0\x02\x00\x03\x2A\x04\x01");
        let read: Vec<_> = parts.iter().map(|part| Header::decode(part).unwrap()).collect();
        for ((header, _), number) in read.iter().zip(1..) {
            assert_eq!(header.part, Some(Part { reference: 0x2A, total: 4, number }));
        }
        assert_eq!(read.iter().flat_map(|(_, data)| data.iter().copied()).collect::<Vec<_>>(), datagram);
    }

    #[test]
    fn a_header_cut_off_or_without_ports_is_not_read() {
        let whole = messages(PORT, 0, b"").concat();
        for length in 0..whole.len() {
            assert!(Header::decode(&whole[..length]).is_err(), "{length}");
        }
        assert_eq!(Header::decode(b"\x05\x00\x03\x01\x02\x01"), Err(NotificationError::Malformed { at: 0 }));
        assert_eq!(Header::decode(b"\x03\x05\x04\x0B"), Err(NotificationError::Truncated { at: 3 }));
        let strange = b"\x0A\x70\x02ab\x05\x04\x0B\x84\xC0\x02rest";
        assert_eq!(Header::decode(strange).unwrap().1, b"rest");
    }
}
