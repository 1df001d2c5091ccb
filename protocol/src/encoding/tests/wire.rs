//! The bytes themselves.
use dmwsi_objects::StatusCode;

use super::{Encoding, format, item, message, text};
use crate::encoding::Form;
use crate::message::{Challenge, Data, Element, Header, Item, Message, Meta, NodeCommand, Party, Results, Status, Verb};

/// The challenge of package 2 in its smallest form.
pub(super) fn challenge() -> Message {
    Message {
        header: Header {
            session: "1".to_owned(),
            message: 1,
            target: Party { uri: "IMEI:1".to_owned(), name: None },
            source: Party { uri: "http://s/dm".to_owned(), name: None },
            max_message: Some(5000),
            ..super::header()
        },
        body: vec![Element::Status(Status {
            id: "1".to_owned(),
            message: 1,
            command: "0".to_owned(),
            name: "SyncHdr".to_owned(),
            challenge: Some(Challenge { kind: "syncml:auth-md5".to_owned(), next_nonce: Some("MDEyMw==".to_owned()) }),
            code: StatusCode::INVALID_CREDENTIALS,
            ..Status::default()
        })],
        last: true,
    }
}

const CHALLENGE_XML: &str = r#"<?xml version="1.0" encoding="UTF-8"?><SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>1</SessionID><MsgID>1</MsgID><Target><LocURI>IMEI:1</LocURI></Target><Source><LocURI>http://s/dm</LocURI></Source><Meta><MaxMsgSize xmlns="syncml:metinf">5000</MaxMsgSize></Meta></SyncHdr><SyncBody><Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Chal><Meta><Format xmlns="syncml:metinf">b64</Format><Type xmlns="syncml:metinf">syncml:auth-md5</Type><NextNonce xmlns="syncml:metinf">MDEyMw==</NextNonce></Meta></Chal><Data>401</Data></Status><Final/></SyncBody></SyncML>"#;

const CHALLENGE_WBXML: &[u8] = b"\x02\xA4\x01\x6A\x00\x6D\x6C\x71\x031.2\0\x01\x72\x03DM/1.2\0\x01\x65\x031\0\x01\x5B\x031\0\x01\
    \x6E\x57\x03IMEI:1\0\x01\x01\x67\x57\x03http://s/dm\0\x01\x01\x5A\x00\x01\x4C\x035000\0\x01\x01\x01\
    \x00\x00\x6B\x69\x4B\x031\0\x01\x5C\x031\0\x01\x4C\x030\0\x01\x4A\x03SyncHdr\0\x01\
    \x49\x5A\x00\x01\x47\x03b64\0\x01\x53\x03syncml:auth-md5\0\x01\x50\x03MDEyMw==\0\x01\x01\x01\x00\x00\
    \x4F\x03401\0\x01\x01\x12\x01\x01";

#[test]
fn a_challenge_stands_on_the_wire_like_this() {
    assert_eq!(String::from_utf8(Encoding::Xml.encode(&challenge())).unwrap(), CHALLENGE_XML);
    assert_eq!(Encoding::Wbxml.encode(&challenge()), CHALLENGE_WBXML);
    assert_eq!(Encoding::Xml.decode(CHALLENGE_XML.as_bytes()), Ok(challenge()));
    assert_eq!(Encoding::Wbxml.decode(CHALLENGE_WBXML), Ok(challenge()));
}

#[test]
fn elements_stand_in_the_order_of_the_dtd() {
    let exec = NodeCommand {
        id: "4".to_owned(),
        verb: Verb::Exec,
        correlator: Some("c".to_owned()),
        meta: format("chr"),
        items: vec![Item {
            target: Some("./A".to_owned()),
            meta: Meta { media_type: Some("t/p".to_owned()), mark: Some("fatal".to_owned()), size: Some(3), ..format("chr") },
            more: true,
            ..item("./B", "a&<>'\"")
        }],
    };
    let results = Results {
        id: "5".to_owned(),
        message: 1,
        command: "2".to_owned(),
        target: Some("./C".to_owned()),
        items: vec![Item { target: Some("./D".to_owned()), meta: format("node"), data: text(""), ..Item::default() }],
        ..Results::default()
    };
    let whole =
        String::from_utf8(Encoding::Xml.encode(&message(vec![Element::Command(exec), Element::Results(results)]))).unwrap();
    let (_, body) = whole.split_once("<SyncBody>").unwrap();
    assert_eq!(
        body,
        r#"<Exec><CmdID>4</CmdID><Meta><Format xmlns="syncml:metinf">chr</Format></Meta><Correlator>c</Correlator><Item><Target><LocURI>./A</LocURI></Target><Source><LocURI>./B</LocURI></Source><Meta><Format xmlns="syncml:metinf">chr</Format><Type xmlns="syncml:metinf">t/p</Type><Mark xmlns="syncml:metinf">fatal</Mark><Size xmlns="syncml:metinf">3</Size></Meta><Data>a&amp;&lt;&gt;'"</Data><MoreData/></Item></Exec><Results><CmdID>5</CmdID><MsgRef>1</MsgRef><CmdRef>2</CmdRef><TargetRef>./C</TargetRef><Item><Target><LocURI>./D</LocURI></Target><Meta><Format xmlns="syncml:metinf">node</Format></Meta><Data></Data></Item></Results><Final/></SyncBody></SyncML>"#
    );
}

/// AD-12
#[test]
fn each_text_is_one_string_in_wbxml_and_octets_are_opaque_with_a_length_of_as_many_bytes_as_it_needs() {
    let whole = |data: Data| {
        let get = NodeCommand {
            id: "1".to_owned(),
            verb: Verb::Replace,
            correlator: None,
            meta: Meta::default(),
            items: vec![Item { target: Some("./A".to_owned()), data: Some(data), ..Item::default() }],
        };
        Encoding::Wbxml.encode(&message(vec![Element::Command(get)]))
    };
    let after_target = |data: Data| {
        let bytes = whole(data);
        let at = bytes.windows(6).position(|window| window == b"\x03./A\0\x01").unwrap();
        bytes[at + 7..].to_vec()
    };
    assert_eq!(after_target(Data::Text("a&c".to_owned())), b"\x4F\x03a&c\0\x01\x01\x01\x12\x01\x01");
    assert_eq!(after_target(Data::Text(String::new())), b"\x0F\x01\x01\x12\x01\x01");
    assert_eq!(after_target(Data::Octets(b"a\0c".to_vec())), b"\x4F\xC3\x03a\0c\x01\x01\x01\x12\x01\x01");
    assert!(after_target(Data::Octets(vec![0; 300])).starts_with(b"\x4F\xC3\x82\x2C\0\0"));
}

/// AD-12
#[test]
fn an_answer_has_the_public_identifier_and_the_media_types_of_the_client() {
    let texts = b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.1//EN";
    let ended = b"\x01\x00\x02\x6A\x20a\0-//SYNCML//DTD SyncML 1.2//EN\0";
    let ended_answer = b"\x02\x00\x00\x6A\x1E-//SYNCML//DTD SyncML 1.2//EN\0";
    let number = b"\x02\xA4\x01\x6A\x00";
    for (request, answer) in [
        (&texts[..], &texts[..]),
        (ended, ended_answer),
        (b"\x03\x01\x04\x00", b"\x02\x01\x6A\x00"),
        (b"\x02\x9F\x53\x6A\x00", b"\x02\x9F\x53\x6A\x00"),
        (number, number),
        // What is none of SyncML's, or not there.
        (b"\x02\x0B\x6A\x00", number),
        (b"\x02\x00\x07\x6A\x02a\0", number),
        (b"\x02\x00\x00\x6A\x02a\0", number),
    ] {
        let request = [request, b"\x6D"].concat();
        let form = Form::of(&request, Some("application/vnd.SyncML+wbxml; charset=utf-8"));
        let bytes = form.encode(&challenge());
        assert!(bytes.starts_with(&[answer, b"\x6D\x6C"].concat()), "{request:?} {bytes:?}");
        assert_eq!((form.decode(&bytes), form.content_type()), (Ok(challenge()), "application/vnd.syncml+wbxml"));
    }
    let types = |body: &[u8], kind| Form::of(body, kind).content_type();
    assert_eq!(types(b"<", Some("application/vnd.syncml+xml")), "application/vnd.syncml+xml");
    assert_eq!(types(b"<", Some("application/vnd.syncml+wbxml")), "application/vnd.syncml+xml");
    assert_eq!(types(b"<", Some("application/vnd.syncml.dm+xml")), "application/vnd.syncml.dm+xml");
    assert_eq!(types(b"\x02", Some("text/xml")), "application/vnd.syncml.dm+wbxml");
}

#[test]
fn a_message_of_dm_1_1_is_in_the_namespace_and_under_the_number_of_syncml_1_1() {
    let header = Header { dtd: "1.1".to_owned(), protocol: "DM/1.1".to_owned(), ..challenge().header };
    let old = Message { header, ..challenge() };
    let xml = CHALLENGE_XML.replace("SYNCML1.2", "SYNCML1.1").replace("<VerDTD>1.2", "<VerDTD>1.1").replace("DM/1.2", "DM/1.1");
    assert_eq!(String::from_utf8(Encoding::Xml.encode(&old)).unwrap(), xml);
    assert!(Encoding::Wbxml.encode(&old).starts_with(b"\x02\x9F\x53\x6A\x00\x6D"));
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        assert_eq!(encoding.decode(&encoding.encode(&old)), Ok(old.clone()));
    }
}

#[test]
fn a_character_that_xml_does_not_have_is_not_written() {
    let whole = message(vec![Element::Unknown { id: "a\u{FFFE}b\u{FFFF}c\u{FFFD}".to_owned(), name: "Put".to_owned() }]);
    let bytes = String::from_utf8(Encoding::Xml.encode(&whole)).unwrap();
    assert!(bytes.contains("<CmdID>abc\u{FFFD}</CmdID>"));
}

#[test]
fn the_encoding_is_told_by_the_first_byte_and_only_then_by_the_content_type() {
    assert_eq!(Encoding::sniff(b"\x02\xA4", Some("text/xml")), Encoding::Wbxml);
    assert_eq!(Encoding::sniff(b"<SyncML", Some("application/vnd.syncml.dm+wbxml")), Encoding::Xml);
    assert_eq!(Encoding::sniff(b"\xEF\xBB\xBF<", None), Encoding::Xml);
    assert_eq!(Encoding::sniff(b"", Some("application/vnd.SyncML.DM+WBXML")), Encoding::Wbxml);
    assert_eq!(Encoding::sniff(b"", None), Encoding::Xml);
    assert_eq!(Encoding::Wbxml.content_type(), "application/vnd.syncml.dm+wbxml");
    assert_eq!(Encoding::Xml.content_type(), "application/vnd.syncml.dm+xml");
}
