//! What we write, read by libwbxml, and what libwbxml writes, read by us: two who know nothing of each other.
use std::io::Write as _;
use std::process::Command;

use dmwsi_objects::ddf;

use super::round_trip::rich;
use super::wire::challenge;
use super::{Encoding, format, message};
use crate::encoding::Form;
use crate::message::{Data, Element, Header, Item, Message, NodeCommand, Verb};
use crate::tnds::{Kind, Node, Properties, Tree};

/// The output of a tool of libwbxml for that input; none where the tool is not installed and need not be.
pub(crate) fn converted(tool: &str, input: &[u8]) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    std::fs::write(&from, input).unwrap();
    match Command::new(tool).arg("-o").arg(&to).arg(&from).output() {
        Ok(done) => {
            let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
            Some(std::fs::read(&to).unwrap_or_else(|error| panic!("{tool}: {error}: {complaint}")))
        }
        Err(absent) => {
            assert_ne!(std::env::var("DMWSI_TEST_TOOLS").as_deref(), Ok("required"), "{tool} is required: {absent}");
            // Not by the macro: what a passing test prints is swallowed.
            writeln!(std::io::stderr(), "\n*** {tool} (libwbxml2-utils) is not installed: its test is SKIPPED ***\n").unwrap();
            None
        }
    }
}

/// Messages that both can carry: `]]>` is beyond libwbxml, which does not split it over two CDATA.
fn messages() -> Vec<Message> {
    let data = |format_: &str, data: &str| {
        let item = Item {
            data: Some(Data::Text(data.to_owned())),
            meta: format(format_),
            target: Some("./A/B".to_owned()),
            ..Item::default()
        };
        let command = NodeCommand {
            id: "1".to_owned(),
            verb: Verb::Replace,
            correlator: None,
            meta: crate::message::Meta::default(),
            items: vec![item],
        };
        message(vec![Element::Command(command)])
    };
    let old =
        Message { header: Header { dtd: "1.1".to_owned(), protocol: "DM/1.1".to_owned(), ..challenge().header }, ..challenge() };
    vec![
        challenge(),
        old,
        rich(),
        data("chr", "a & <b> \"c\" 'd' \u{e4}\u{1F600}"),
        data("b64", "QUJD"),
        data("xml", "<MgmtTree><VerDTD>1.2</VerDTD></MgmtTree>"),
        data("int", "-1"),
        data("chr", &"long ".repeat(5_000)),
    ]
}

/// AD-12
#[test]
fn libwbxml_reads_every_message_that_we_write() {
    for message in messages() {
        // By the public identifier of SyncML 1.1 libwbxml knows no Correlator.
        let heads: &[&[u8]] = if message.header.dtd == "1.1" {
            &[b"\x02\x9F\x53\x6A\x00", b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.1//EN"]
        } else {
            &[b"\x02\xA4\x01\x6A\x00", b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.2//EN"]
        };
        for head in heads {
            let form = Form::of(head, None);
            let Some(xml) = converted("wbxml2xml", &form.encode(&message)) else { return };
            assert_eq!(Encoding::Xml.decode(&xml), Ok(message.clone()), "{}", String::from_utf8_lossy(&xml));
        }
    }
}

/// AD-12
#[test]
fn we_read_every_message_that_libwbxml_writes() {
    for message in messages() {
        let Some(wbxml) = converted("xml2wbxml", &Encoding::Xml.encode(&message)) else { return };
        // It changes that media type by itself.
        let shown = |message: &Message| format!("{message:?}").replace("dmtnds+wbxml", "dmtnds+xml");
        assert_eq!(shown(&Encoding::Wbxml.decode(&wbxml).unwrap()), shown(&message));
    }
}

#[test]
fn libwbxml_reads_our_trees_and_descriptions() {
    let properties = Properties {
        acl: Some("Get=*".to_owned()),
        format: Some(dmwsi_objects::Format::Chr),
        kind: Some(Kind::Media("text/plain".to_owned())),
        ..Properties::default()
    };
    let leaf = Node { name: Some("Leaf".to_owned()), properties, value: Some("a & b".to_owned()), ..Node::default() };
    let node = Node { name: Some("N".to_owned()), path: Some("./A".to_owned()), children: vec![leaf], ..Node::default() };
    let tree = Tree { version: "1.2".to_owned(), nodes: vec![node], ..Tree::default() };
    let Some(xml) = converted("wbxml2xml", &tree.encode(Encoding::Wbxml)) else { return };
    assert_eq!(Tree::decode(Encoding::Xml, &xml), Ok(tree), "{}", String::from_utf8_lossy(&xml));

    let node = ddf::Node {
        name: Some("N".to_owned()),
        access: vec![ddf::Access::Add, ddf::Access::Replace],
        occurrence: ddf::Occurrence::ZeroOrN(9),
        kind: ddf::Kind::Object("urn:x".to_owned()),
        is_case_sensitive: Some(false),
        ..ddf::Node::default()
    };
    let description = ddf::Description { version: "1.2".to_owned(), nodes: vec![node], ..ddf::Description::default() };
    let Some(xml) = converted("wbxml2xml", &crate::ddf::encode(&description, Encoding::Wbxml)) else { return };
    assert_eq!(crate::ddf::decode(Encoding::Xml, &xml), Ok(description), "{}", String::from_utf8_lossy(&xml));
}
