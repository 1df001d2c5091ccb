//! Whatever arrives, decoding ends, with a message or an error, and costs no more than the limits say.
use super::clients::{ALERT_WBXML, ANSWERS_XML, FIRST_XML};
use super::round_trip::rich;
use super::{BOTH, Encoding, format, item, message, wbxml, xml};
use crate::encoding::{DecodeError, MAX_DEPTH, MAX_ELEMENTS};
use crate::message::{Element, Item, Results};

/// Real messages with their encoding.
fn messages() -> Vec<(Encoding, Vec<u8>)> {
    let mut messages = vec![
        (Encoding::Xml, FIRST_XML.as_bytes().to_vec()),
        (Encoding::Xml, ANSWERS_XML.as_bytes().to_vec()),
        (Encoding::Wbxml, ALERT_WBXML.to_vec()),
    ];
    messages.extend(BOTH.map(|encoding| (encoding, encoding.encode(&rich()))));
    messages
}

/// The generator xorshift64 of Marsaglia: the same cases in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

#[test]
fn a_message_cut_off_anywhere_is_an_error() {
    for (encoding, bytes) in messages() {
        for length in 0..bytes.len() {
            let error = encoding.decode(&bytes[..length]).unwrap_err();
            // Half a character is read as U+FFFD, which is longer.
            assert!(
                matches!(error, DecodeError::Truncated { at } | DecodeError::Malformed { at } if at <= length + 2),
                "{length}: {error:?}"
            );
        }
        assert!(encoding.decode(&bytes).is_ok());
    }
}

#[test]
fn a_damaged_message_never_panics_and_what_is_read_can_be_written() {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let messages = messages();
    for round in 0..5_000 {
        let (encoding, original) = &messages[round % messages.len()];
        let mut bytes = original.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.byte(),
                1 => bytes[at] ^= 1 << random.below(8),
                2 => bytes.insert(at, random.byte()),
                _ => drop(bytes.remove(at)),
            }
        }
        for encoding in [*encoding, Encoding::sniff(&bytes, None)] {
            if let Ok(message) = encoding.decode(&bytes) {
                for encoding in BOTH {
                    assert!(encoding.decode(&encoding.encode(&message)).is_ok(), "{encoding:?}: {message:?}");
                }
            }
        }
    }
}

#[test]
fn noise_is_no_message() {
    let mut random = Random(7);
    for _ in 0..4_000 {
        let length = random.below(64);
        let mut bytes: Vec<u8> = (0..length).map(|_| random.byte()).collect();
        assert!(Encoding::Xml.decode(&bytes).is_err());
        bytes.splice(0..0, *b"\x02\x01\x6A\x00\x6D\x6C");
        assert!(Encoding::Wbxml.decode(&bytes).is_err());
    }
}

#[test]
fn nesting_has_a_limit() {
    // SyncML, SyncBody and what is nested here.
    let nested = |levels: usize| xml(&format!("{}{}", "<Atomic>".repeat(levels), "</Atomic>".repeat(levels)));
    assert!(Encoding::Xml.decode(nested(MAX_DEPTH - 2).as_bytes()).is_ok());
    assert!(matches!(Encoding::Xml.decode(nested(MAX_DEPTH - 1).as_bytes()), Err(DecodeError::Deep { .. })));
    let skipped = xml(&format!("<Get><Odd>{}", "<a>".repeat(100_000)));
    assert!(matches!(Encoding::Xml.decode(skipped.as_bytes()), Err(DecodeError::Deep { .. })));
    let data = xml(&format!("<Get><Item><Data>{}", "<a>".repeat(100_000)));
    assert!(matches!(Encoding::Xml.decode(data.as_bytes()), Err(DecodeError::Deep { .. })));
    for tag in [0x48, 0x44, 0x5A, 0x4F, 0x53] {
        assert!(Encoding::Wbxml.decode(&wbxml(&[tag; 100_000])).is_err());
    }
    assert!(matches!(Encoding::Wbxml.decode(&wbxml(&[0x48; 100])), Err(DecodeError::Deep { .. })));
}

#[test]
fn the_number_of_elements_has_a_limit() {
    let many = |count: usize| wbxml(&[b"\x53", vec![0x14; count].as_slice(), b"\x01"].concat());
    assert!(Encoding::Wbxml.decode(&many(MAX_ELEMENTS - 100)).is_ok());
    assert!(matches!(Encoding::Wbxml.decode(&many(MAX_ELEMENTS)), Err(DecodeError::Many { .. })));
    let many = xml(&format!("<Get>{}</Get>", "<A/>".repeat(MAX_ELEMENTS)));
    assert!(matches!(Encoding::Xml.decode(many.as_bytes()), Err(DecodeError::Many { .. })));
}

#[test]
fn a_list_of_short_values_within_the_size_of_a_message_is_read_whole() {
    let leaf = |n: usize| Item { meta: format("int"), ..item(&format!("./A/{n}"), "1") };
    let results = Results {
        id: "1".to_owned(),
        message: 1,
        command: "2".to_owned(),
        items: (0..6_000).map(leaf).collect(),
        ..Results::default()
    };
    let list = message(vec![Element::Results(results)]);
    for encoding in BOTH {
        assert_eq!(encoding.decode(&encoding.encode(&list)).as_ref(), Ok(&list), "{encoding:?}");
    }
}

#[test]
fn a_shared_text_cannot_be_multiplied_beyond_the_limit() {
    let table = [b'x'; 16_000];
    let head = b"\x02\x01\x6A\xFD\x00";
    let texts = b"\x83\x00".repeat(9_000);
    // In a Data, between elements, in attributes, and as names.
    for place in [&b"\x60\x54\x4F"[..], b"\x60", b"\x93"] {
        let bytes = [&head[..], &table, b"\x6D\x6B", place, &texts].concat();
        assert!(matches!(Encoding::Wbxml.decode(&bytes), Err(DecodeError::Long { .. })));
    }
    let bytes = [&head[..], &table, b"\x6D\x6B", &b"\x04\x00".repeat(9_000)].concat();
    assert!(matches!(Encoding::Wbxml.decode(&bytes), Err(DecodeError::Long { .. })));
}

#[test]
fn a_length_that_is_only_claimed_allocates_nothing() {
    let claims = wbxml(b"\x60\x54\x4F\xC3\x8F\xFF\xFF\xFF\x7F");
    assert!(matches!(Encoding::Wbxml.decode(&claims), Err(DecodeError::Truncated { .. })));
    assert!(matches!(Encoding::Wbxml.decode(b"\x02\x01\x6A\x8F\xFF\xFF\xFF\x7F\x6D"), Err(DecodeError::Truncated { at: 8 })));
    let index = wbxml(b"\x60\x4B\x83\x05\x01");
    assert!(matches!(Encoding::Wbxml.decode(&index), Err(DecodeError::Malformed { .. })));
}

#[test]
fn an_entity_is_never_expanded() {
    let bomb = "<!DOCTYPE SyncML [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>".to_owned()
        + &xml("<Get><CmdID>&b;</CmdID></Get>");
    let message = Encoding::Xml.decode(bomb.as_bytes()).unwrap();
    let crate::message::Element::Command(get) = &message.body[0] else { panic!("{message:?}") };
    assert_eq!(get.id, "&b;");
}

#[test]
fn a_fault_is_told_by_its_place_in_the_bytes_as_they_came() {
    let whole = "<SyncML><SyncHdr><SessionID>1</SessionID></SyncHdr></SyncML>";
    let at = |body: &[u8]| Encoding::Xml.decode(body).unwrap_err().at();
    let plain = at(whole.as_bytes());
    for (before, more) in [
        (&b"\xEF\xBB\xBF"[..], 3),
        (b"\0\x01 ", 3),
        (b"\xFF", 1),
        (b"\xEF\xBB\xBF\0\xFF\xC3\xA9\x02", 8),
        (b"\xEF\xBF\xBF\xC3\xA9", 5),
    ] {
        assert_eq!(at(&[before, whole.as_bytes()].concat()), plain + more, "{before:?}");
    }
    let bytes = wbxml(b"\x60\x4B\x83\x05\x01");
    let index = bytes.windows(2).position(|two| two == b"\x83\x05").unwrap() + 1;
    assert_eq!(Encoding::Wbxml.decode(&bytes).unwrap_err().at(), index);
}
