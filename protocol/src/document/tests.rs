//! Documents in both encodings and as JSON.
use serde_json::json;

use super::{Content, Document, Element, EncodeError};
use crate::encoding::Encoding;

const MESSAGE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><VerDTD>1.2</VerDTD><Cred>\
    <Meta><Type xmlns=\"syncml:metinf\">syncml:auth-basic</Type></Meta><Data>QQ==</Data></Cred></SyncHdr><SyncBody><Put><CmdID>1</CmdID>\
    <Vendor><Odd>a&amp;b</Odd></Vendor><Item><Data><MgmtTree xmlns=\"syncml:dmddf1.2\"><VerDTD>1.2</VerDTD><Node><RTProperties><Format>\
    <node></node></Format><Type><MIME>a/b</MIME></Type></RTProperties></Node></MgmtTree></Data></Item></Put><Final></Final></SyncBody></SyncML>";

fn xml(text: &str) -> Document {
    Document::decode(Encoding::Xml, text.as_bytes()).unwrap()
}

#[test]
fn every_element_of_a_message_goes_through_json_and_wbxml_and_back() {
    let document = xml(MESSAGE);
    assert_eq!(String::from_utf8(document.encode(Encoding::Xml).unwrap()).unwrap(), MESSAGE);
    let view = serde_json::to_value(&document).unwrap();
    assert_eq!(view["SyncML"][0]["SyncHdr"][1]["Cred"], json!([{"Meta": [{"Type": "syncml:auth-basic"}]}, {"Data": "QQ=="}]));
    assert_eq!(view["SyncML"][1]["SyncBody"][1], json!({"Final": null}));
    assert_eq!(serde_json::from_value::<Document>(view).unwrap(), document);
    let wbxml = document.encode(Encoding::Wbxml).unwrap();
    assert!(wbxml.starts_with(b"\x02\xA4\x01\x6A\x0BVendor\0Odd\0\x6D"), "{wbxml:?}");
    let back = Document::decode(Encoding::Wbxml, &wbxml).unwrap();
    assert_eq!(back.root, document.root);
    assert_eq!(serde_json::to_value(&back).unwrap()["publicId"], 0x1201);
    assert_eq!(back.encode(Encoding::Wbxml).unwrap(), wbxml);
    let pretty = document.pretty().unwrap();
    assert!(
        pretty.contains("\n  <Cred>\n   <Meta>\n    <Type xmlns=\"syncml:metinf\">syncml:auth-basic</Type>\n   </Meta>"),
        "{pretty}"
    );
    assert_eq!(xml(&pretty), document);
}

#[test]
fn octets_are_base64_in_the_other_views_and_the_format_says_so() {
    let item = b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.1//EN\x54\x5A\x00\x01\x47\x03bin\0\x01\x01\x00\x00\x4F\xC3\x03\x00\x01\xFF\x01\x01";
    let document = Document::decode(Encoding::Wbxml, item).unwrap();
    let view = json!({
        "publicId": "-//SYNCML//DTD SyncML 1.1//EN",
        "Item": [{"Meta": [{"Format": "bin"}]}, {"Data": {"base64": "AAH/"}}],
    });
    assert_eq!(serde_json::to_value(&document).unwrap(), view);
    assert_eq!(serde_json::from_value::<Document>(view).unwrap().encode(Encoding::Wbxml).unwrap(), item);
    let text = String::from_utf8(document.encode(Encoding::Xml).unwrap()).unwrap();
    assert!(text.ends_with("<Item><Meta><Format xmlns=\"syncml:metinf\">b64</Format></Meta><Data>AAH/</Data></Item>"), "{text}");
}

#[test]
fn octets_are_a_text_only_where_nothing_is_lost_and_no_format_forbids_it() {
    let item = |format: &[u8], data: &[u8]| {
        let head = b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.1//EN\x54".as_slice();
        let length = u8::try_from(data.len()).unwrap();
        [head, b"\x4F\xC3", &[length], data, b"\x01\x5A\x00\x01\x47\x03", format, b"\0\x01\x01\x01"].concat()
    };
    let view = |body: &[u8]| serde_json::to_value(Document::decode(Encoding::Wbxml, body).unwrap()).unwrap()["Item"][0].clone();
    assert_eq!(view(&item(b"chr", b"hello")), json!({"Data": "hello"}));
    assert_eq!(view(&item(b"chr", b"A\0B\0")), json!({"Data": {"base64": "QQBCAA=="}}));
    assert_eq!(view(&item(b"bin", b"hello")), json!({"Data": {"base64": "aGVsbG8="}}));
}

#[test]
fn what_nobody_knows_has_a_name_all_the_same() {
    let odd = b"\x02\x01\x6A\x00\x6D\x70\x03x\0\x01\x00\x07\x3D\x00\x00\x2B\x01";
    let document = Document::decode(Encoding::Wbxml, odd).unwrap();
    let view = json!({"publicId": 1, "SyncML": [{"token-0-30": "x"}, {"token-7-3D": null}, {"SyncBody": null}]});
    assert_eq!(serde_json::to_value(&document).unwrap(), view);
    assert_eq!(document.encode(Encoding::Wbxml).unwrap(), odd);
    let named = |name: &str| Document {
        public_id: None,
        root: Element { name: name.to_owned(), attributes: Vec::new(), content: Content::Empty },
    };
    for (name, encoding) in [("a b", Encoding::Xml), ("", Encoding::Xml), ("1", Encoding::Xml), ("a\0", Encoding::Wbxml)] {
        assert_eq!(named(name).encode(encoding), Err(EncodeError::Name(name.to_owned())));
    }
}

#[test]
fn json_that_is_no_document_is_refused_where_it_goes_wrong() {
    for (text, line, what) in [
        ("{}", 1, "the root element is missing"),
        ("{\"A\": 1,\n\"B\": 2}", 2, "one root"),
        ("{\"A\": [\n{\"B\": 1, \"C\": 2}]}", 2, "its name as the only member"),
        ("{\"A\": {\"base64\": \"?\"}}", 1, "no base64"),
        ("{\"A\": {\"B\": \"?\"}}", 1, "a text, a list of elements"),
        ("{\"publicId\": 0, \"A\": null}", 1, "1 to 32 bits"),
    ] {
        let error = serde_json::from_str::<Document>(text).unwrap_err();
        assert_eq!(error.line(), line, "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn attributes_are_kept_wherever_there_can_be_some() {
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncBody xmlns:msft=\"urn:m\"><Status>\
        <Data msft:originalerror=\"0x8 &amp; &lt;&quot;\">404</Data></Status><Odd a=\"\"></Odd></SyncBody></SyncML>";
    let document = xml(text);
    assert_eq!(String::from_utf8(document.encode(Encoding::Xml).unwrap()).unwrap(), text);
    let view = serde_json::to_value(&document).unwrap();
    let body = json!({"SyncBody": [
        {"Status": [{"Data": "404", "@": {"msft:originalerror": "0x8 & <\""}}]}, {"Odd": null, "@": {"a": ""}},
    ], "@": {"xmlns:msft": "urn:m"}});
    assert_eq!(view["SyncML"][0], body);
    assert_eq!(serde_json::from_value::<Document>(view).unwrap(), document);
    let plain = Document::decode(Encoding::Wbxml, &document.encode(Encoding::Wbxml).unwrap()).unwrap();
    assert_eq!(plain.root.text(&["SyncBody", "Status", "Data"]).as_deref(), Some("404"));
    assert_eq!(plain.root.attributes, []);
    let odd = r#"{"A": null, "@": {"a b": "x"}}"#;
    let odd: Document = serde_json::from_str(odd).unwrap();
    assert_eq!(odd.encode(Encoding::Xml), Err(EncodeError::Name("a b".to_owned())));
}

#[test]
fn of_a_body_that_breaks_off_the_beginning_is_read() {
    let message = xml(MESSAGE).encode(Encoding::Wbxml).unwrap();
    for (encoding, whole) in [(Encoding::Xml, MESSAGE.as_bytes().to_vec()), (Encoding::Wbxml, message)] {
        assert_eq!(Document::beginning(encoding, &whole), Document::decode(encoding, &whole).ok());
        let mut told = 0;
        for end in 0..whole.len() {
            let Some(begun) = Document::beginning(encoding, &whole[..end]) else { continue };
            assert_eq!(begun.root.name, "SyncML");
            // What does not end is not told.
            let version = begun.root.text(&["SyncHdr", "VerDTD"]);
            assert!(version.is_none_or(|version| version == "1.2"), "{end}");
            told += 1;
        }
        assert!(told > 20);
    }
    assert_eq!(Document::beginning(Encoding::Xml, b"garbage"), None);
}
