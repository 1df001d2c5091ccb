//! A message is the same after it was written and read.
use dmwsi_objects::StatusCode;

use super::{BOTH, Encoding, format, header, item, message, text};
use crate::message::{
    Alert, Challenge, Credentials, Data, Element, Group, Header, Item, Message, Meta, NodeCommand, Party, Results, Status, Verb,
};

fn command(id: &str, verb: Verb, items: Vec<Item>) -> Element {
    Element::Command(NodeCommand { id: id.to_owned(), verb, correlator: None, meta: Meta::default(), items })
}

fn target(node: &str, meta: Meta, data: Option<Data>) -> Item {
    Item { target: Some(node.to_owned()), meta, data, ..Item::default() }
}

/// Everything that a server or a device says.
pub(super) fn rich() -> Message {
    let full = Meta {
        format: Some("xml".to_owned()),
        media_type: Some("application/vnd.syncml.dmtnds+xml".to_owned()),
        mark: Some("critical".to_owned()),
        size: Some(u64::MAX),
    };
    let exec = NodeCommand {
        id: "12".to_owned(),
        verb: Verb::Exec,
        correlator: Some("job-1/2 & <3>".to_owned()),
        meta: format("chr"),
        items: vec![target("./FUMO/Update", Meta::default(), None)],
    };
    let mut piece = target("./FUMO/Update/PkgData", Meta { size: Some(4_000_000_000), ..format("b64") }, text("QUJD"));
    piece.more = true;
    Message {
        header: Header {
            target: Party { uri: "IMEI:490154203237518".to_owned(), name: Some("client".to_owned()) },
            source: Party { uri: "https://dm.example/dm?a=1&b=2".to_owned(), name: Some("dm.example".to_owned()) },
            respond_to: Some("https://dm.example/dm?s=opaque&t='\"".to_owned()),
            credentials: Some(Credentials {
                kind: "syncml:auth-md5".to_owned(),
                format: Some("b64".to_owned()),
                data: "Zz6EivR3yeaaENcRN6lpAQ==".to_owned(),
            }),
            max_message: Some(65_536),
            max_object: Some(u32::MAX),
            ..header()
        },
        body: vec![
            Element::Status(Status {
                id: "1".to_owned(),
                message: 1,
                command: "0".to_owned(),
                name: "SyncHdr".to_owned(),
                targets: vec!["https://dm.example/dm".to_owned()],
                sources: vec!["IMEI:490154203237518".to_owned()],
                challenge: Some(Challenge {
                    kind: "syncml:auth-md5".to_owned(),
                    next_nonce: Some("MDEyMzQ1Njc4OWFiY2RlZg==".to_owned()),
                }),
                code: StatusCode::AUTHENTICATED,
                items: Vec::new(),
            }),
            Element::Status(Status {
                id: "2".to_owned(),
                message: 1,
                command: "3".to_owned(),
                name: "Get".to_owned(),
                targets: vec!["./A".to_owned(), "./B".to_owned()],
                code: StatusCode::NOT_FOUND,
                items: vec![Item { data: text("typed"), ..Item::default() }],
                ..Status::default()
            }),
            Element::Alert(Alert { id: "3".to_owned(), code: 1201, ..Alert::default() }),
            Element::Alert(Alert {
                id: "4".to_owned(),
                code: 1226,
                correlator: Some("job-1".to_owned()),
                items: vec![Item {
                    meta: Meta {
                        media_type: Some("org.openmobilealliance.dm.firmwareupdate.update".to_owned()),
                        mark: Some("informational".to_owned()),
                        ..format("int")
                    },
                    target: Some("./FUMO".to_owned()),
                    ..item("./FUMO/Update", "200")
                }],
            }),
            Element::Results(Results {
                id: "5".to_owned(),
                message: 7,
                command: "9".to_owned(),
                meta: format("node"),
                target: Some("./DevDetail?list=Struct".to_owned()),
                source: Some("./DevDetail".to_owned()),
                items: vec![item("./DevDetail", "URI/DevTyp/OEM"), Item { data: None, ..item("./DevDetail/Ext", "") }],
            }),
            Element::Atomic(Group {
                id: "6".to_owned(),
                members: vec![
                    command("7", Verb::Add, vec![target("./A", format("node"), text(""))]),
                    Element::Sequence(Group {
                        id: "8".to_owned(),
                        members: vec![
                            command(
                                "9",
                                Verb::Replace,
                                vec![target("./A/B", full, text("<MgmtTree>&amp;\u{e4}\u{1F600}</MgmtTree>"))],
                            ),
                            command("10", Verb::Delete, vec![target("./C", Meta::default(), None)]),
                        ],
                    }),
                ],
            }),
            command("11", Verb::Copy, vec![Item { source: Some("./D".to_owned()), ..target("./E", Meta::default(), None) }]),
            Element::Command(exec),
            Element::Unknown { id: "13".to_owned(), name: "Put".to_owned() },
            command("14", Verb::Replace, vec![piece]),
        ],
        last: false,
    }
}

#[test]
fn every_kind_of_element_comes_back_as_it_went_out() {
    let rich = rich();
    for encoding in BOTH {
        assert_eq!(encoding.decode(&encoding.encode(&rich)), Ok(rich.clone()), "{encoding:?}");
    }
}

#[test]
fn a_message_without_commands_or_with_an_empty_challenge_comes_back() {
    let status = Status {
        challenge: Some(Challenge { kind: "syncml:auth-md5".to_owned(), next_nonce: Some(String::new()) }),
        ..Status::default()
    };
    for whole in [message(Vec::new()), message(vec![Element::Status(status)])] {
        for encoding in BOTH {
            assert_eq!(encoding.decode(&encoding.encode(&whole)), Ok(whole.clone()), "{encoding:?}");
        }
    }
}

#[test]
fn data_that_is_absent_empty_text_or_blank_stays_so() {
    for data in [None, text(""), text(" \r\n\t "), text("a\u{7f}\u{85}b"), text("]]>"), text(&"x".repeat(20_000))] {
        let whole = message(vec![command("1", Verb::Replace, vec![target("./A", format("chr"), data)])]);
        for encoding in BOTH {
            assert_eq!(encoding.decode(&encoding.encode(&whole)), Ok(whole.clone()), "{encoding:?}");
        }
    }
}

#[test]
fn octets_stay_octets_in_wbxml_and_are_base64_in_xml() {
    for octets in [b"\x00\x01\xFE\xFF".to_vec(), b"text".to_vec(), Vec::new()] {
        let whole = message(vec![command("1", Verb::Add, vec![target("./A", format("bin"), Some(Data::Octets(octets)))])]);
        assert_eq!(Encoding::Wbxml.decode(&Encoding::Wbxml.encode(&whole)), Ok(whole));
    }
    let whole =
        message(vec![command("1", Verb::Add, vec![target("./A", format("bin"), Some(Data::Octets(b"\0\xFF".to_vec())))])]);
    let base64 = message(vec![command("1", Verb::Add, vec![target("./A", format("b64"), text("AP8="))])]);
    assert_eq!(Encoding::Xml.decode(&Encoding::Xml.encode(&whole)), Ok(base64));
}

#[test]
fn base64_text_of_the_format_bin_is_not_taken_for_the_octets() {
    for meta in [Meta::default(), format("bin")] {
        let outer = if meta.is_empty() { format("bin") } else { Meta::default() };
        let add = NodeCommand {
            id: "1".to_owned(),
            verb: Verb::Add,
            correlator: None,
            meta: outer,
            items: vec![target("./A", meta, text("QUJD"))],
        };
        let whole = message(vec![Element::Command(add)]);
        for encoding in BOTH {
            assert_eq!(encoding.decode(&encoding.encode(&whole)), Ok(whole.clone()), "{encoding:?}");
        }
    }
}

#[test]
fn control_characters_are_left_out() {
    let whole = message(vec![command("1", Verb::Add, vec![target("./A\0", format("chr"), text("a\0b\u{1}c\td\u{1f}"))])]);
    let clean = message(vec![command("1", Verb::Add, vec![target("./A", format("chr"), text("abc\td"))])]);
    for encoding in BOTH {
        assert_eq!(encoding.decode(&encoding.encode(&whole)), Ok(clean.clone()), "{encoding:?}");
    }
}

#[test]
fn the_size_of_an_element_is_never_less_than_what_it_takes() {
    for encoding in BOTH {
        let mut whole = Message { body: Vec::new(), ..rich() };
        let mut bound = encoding.encode(&whole).len();
        for element in rich().body {
            bound += encoding.size_of(&element);
            whole.body.push(element);
            let length = encoding.encode(&whole).len();
            assert!(length <= bound && bound <= length + 4 * whole.body.len(), "{encoding:?}: {length} of {bound}");
        }
    }
}
