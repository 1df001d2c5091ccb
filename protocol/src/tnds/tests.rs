//! Trees in both encodings.
use dmwsi_objects::{Format, NodeUri, Reading, Value};

use super::{Kind, Node, Properties, Tree};
use crate::encoding::{DecodeError, Encoding, MAX_TREE_ELEMENTS};

const BOTH: [Encoding; 2] = [Encoding::Xml, Encoding::Wbxml];

const EXAMPLE: &str = "<?xml version='1.0'?><MgmtTree xmlns='syncml:dmddf1.2'><VerDTD>1.2</VerDTD><Man>Acme</Man>\n\
    <Node><NodeName>p1</NodeName><Path>./FUMO</Path><RTProperties><Format><node/></Format>\
    <Type><DDFName>urn:oma:mo:oma-fumo:1.0</DDFName></Type></RTProperties>\
    <Node><NodeName>PkgName</NodeName><RTProperties><ACL>Get=*</ACL><Format><chr/></Format><Size>4</Size><Odd/>\
    <Type><MIME>text/plain</MIME></Type></RTProperties><Value>fw &lt;42&gt;</Value></Node></Node></MgmtTree>";

fn example() -> Tree {
    let properties = Properties {
        acl: Some("Get=*".to_owned()),
        format: Some(Format::Chr),
        size: Some(4),
        kind: Some(Kind::Media("text/plain".to_owned())),
        ..Properties::default()
    };
    let child = Node { name: Some("PkgName".to_owned()), properties, value: Some("fw <42>".to_owned()), ..Node::default() };
    let properties = Properties {
        format: Some(Format::Node),
        kind: Some(Kind::Object("urn:oma:mo:oma-fumo:1.0".to_owned())),
        ..Properties::default()
    };
    let node =
        Node { name: Some("p1".to_owned()), path: Some("./FUMO".to_owned()), properties, value: None, children: vec![child] };
    Tree { version: "1.2".to_owned(), manufacturer: Some("Acme".to_owned()), model: None, nodes: vec![node] }
}

#[test]
fn a_tree_is_read_and_comes_back_in_both_encodings() {
    assert_eq!(Tree::decode(Encoding::Xml, EXAMPLE.as_bytes()), Ok(example()));
    for encoding in BOTH {
        assert_eq!(Tree::decode(encoding, &example().encode(encoding)), Ok(example()), "{encoding:?}");
    }
    let xml = String::from_utf8(example().encode(Encoding::Xml)).unwrap();
    assert!(
        xml.contains("<RTProperties><ACL>Get=*</ACL><Format><chr/></Format><Size>4</Size><Type><MIME>text/plain</MIME></Type>")
    );
}

#[test]
fn a_tree_in_wbxml_begins_with_its_public_identifier_and_its_page() {
    let tree = Tree { nodes: vec![Node { name: Some(String::new()), ..Node::default() }], ..example() };
    let bytes = b"\x02\x00\x00\x6A\x1A-//OMA//DTD-DM-DDF 1.2//EN\x00\x02\x60\x77\x031.2\0\x01\x5F\x03Acme\0\x01\x64\x26\x01\x01";
    assert_eq!(tree.encode(Encoding::Wbxml), bytes);
    assert_eq!(Tree::decode(Encoding::Wbxml, bytes), Ok(tree.clone()));
    // Some begin on the first page without a switch, and with another identifier.
    assert_eq!(
        Tree::decode(Encoding::Wbxml, b"\x03\x01\x6A\x00\x60\x77\x031.2\0\x01\x5F\x03Acme\0\x01\x64\x26\x01\x01"),
        Ok(tree)
    );
}

#[test]
fn octets_of_a_value_become_base64() {
    let value = |properties: &[u8], octets: &[u8]| {
        let head = b"\x02\x01\x6A\x00\x00\x02\x60\x64";
        let body = [&head[..], properties, b"\x76\xC3", &[u8::try_from(octets.len()).unwrap()], octets, b"\x01\x01\x01"].concat();
        Tree::decode(Encoding::Wbxml, &body).unwrap().nodes[0].value.clone().unwrap()
    };
    assert_eq!(value(b"\x6F\x5C\x09\x01\x01", b"abc"), "YWJj");
    assert_eq!(value(b"\x6F\x5C\x0B\x01\x01", b"abc\0"), "abc");
    assert_eq!(value(b"", b"\x00\xFF"), "AP8=");
}

#[test]
fn base64_of_a_value_becomes_octets_in_wbxml_and_stays_in_xml() {
    let tree = |format, value: &str| {
        let properties = Properties { format: Some(format), ..Properties::default() };
        let node = Node { name: Some("N".to_owned()), properties, value: Some(value.to_owned()), ..Node::default() };
        Tree { version: "1.2".to_owned(), nodes: vec![node], ..Tree::default() }
    };
    let bytes = |format, value: &str| {
        let bytes = tree(format, value).encode(Encoding::Wbxml);
        assert_eq!(Tree::decode(Encoding::Wbxml, &bytes), Ok(tree(format, value)), "{value}");
        let at = bytes.iter().rposition(|byte| [0x36, 0x76].contains(byte)).unwrap();
        bytes[at..].to_vec()
    };
    assert_eq!(bytes(Format::Bin, "AP8="), b"\x76\xC3\x02\x00\xFF\x01\x01\x01");
    // What is no base64, and what is not to be any.
    assert_eq!(bytes(Format::Bin, "AP8"), b"\x76\x03AP8\0\x01\x01\x01");
    assert_eq!(bytes(Format::B64, "AP8="), b"\x76\x03AP8=\0\x01\x01\x01");
    assert_eq!(bytes(Format::Chr, "AP8="), b"\x76\x03AP8=\0\x01\x01\x01");
    assert_eq!(bytes(Format::Bin, ""), b"\x36\x01\x01");
    let xml = tree(Format::Bin, "AP8=").encode(Encoding::Xml);
    assert!(String::from_utf8(xml).unwrap().contains("<Value>AP8=</Value>"));
}

#[test]
fn every_node_of_a_tree_has_an_address() {
    let readings = |path: Option<&str>, name: Option<&str>, target: &str| -> Vec<String> {
        let mut tree = example();
        tree.nodes[0].path = path.map(str::to_owned);
        tree.nodes[0].name = name.map(str::to_owned);
        let readings = tree.readings(&NodeUri::parse(target).unwrap());
        readings.into_iter().map(|reading| reading.node.as_str().to_owned()).collect()
    };
    let wanted = ["./FUMO/p1", "./FUMO/p1/PkgName"];
    for (path, name, target) in [
        (Some("./FUMO"), Some("p1"), "./FUMO/p1?list=TNDS"),
        (Some("./FUMO/"), Some("p1"), "."),
        (None, Some("p1"), "./FUMO/p1"),
        (None, Some(""), "./FUMO/p1"),
        (None, None, "./FUMO/p1"),
        (None, Some("p1"), "./FUMO"),
        (Some("."), Some("p1"), "./FUMO"),
        (Some("FUMO"), Some("p1"), "."),
    ] {
        assert_eq!(readings(path, name, target), wanted, "{path:?} {name:?} {target}");
    }
    let all = example().readings(&NodeUri::root());
    let node = |uri| NodeUri::parse(uri).unwrap();
    assert_eq!(
        all,
        [
            Reading {
                node: node("./FUMO/p1"),
                value: Value {
                    format: Format::Node,
                    media_type: Some("urn:oma:mo:oma-fumo:1.0".to_owned()),
                    data: "PkgName".to_owned()
                },
            },
            Reading {
                node: node("./FUMO/p1/PkgName"),
                value: Value { media_type: Some("text/plain".to_owned()), ..Value::text("fw <42>") },
            },
        ]
    );
}

#[test]
fn what_is_no_tree_or_too_large_a_one_is_refused() {
    assert!(matches!(Tree::decode(Encoding::Xml, b"<SyncML/>"), Err(DecodeError::Malformed { .. })));
    assert!(matches!(Tree::decode(Encoding::Wbxml, b"\x02\x01\x6A\x00\x6D"), Err(DecodeError::Malformed { .. })));
    for encoding in BOTH {
        let whole = example().encode(encoding);
        for length in 0..whole.len() {
            assert!(Tree::decode(encoding, &whole[..length]).is_err());
        }
    }
    let many = [b"\x02\x01\x6A\x00\x00\x02\x60", vec![0x24; MAX_TREE_ELEMENTS].as_slice()].concat();
    assert!(matches!(Tree::decode(Encoding::Wbxml, &many), Err(DecodeError::Many { .. })));
    let deep = [b"\x02\x01\x6A\x00\x00\x02\x60", vec![0x64; 1_000].as_slice()].concat();
    assert!(matches!(Tree::decode(Encoding::Wbxml, &deep), Err(DecodeError::Deep { .. })));
}
