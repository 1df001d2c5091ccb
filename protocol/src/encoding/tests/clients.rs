//! Messages in the forms in which clients are known to send them.
use dmwsi_objects::StatusCode;

use super::{Encoding, only_item, text, wbxml, xml};
use crate::encoding::DecodeError;
use crate::message::{Credentials, Data, Element, Message, Meta};

/// The first message of a session: attributes in single quotes, interior nodes among the leaves, a Data that is missing.
pub(super) const FIRST_XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD>\
    <VerProto>DM/1.2</VerProto><SessionID>B2FD</SessionID><MsgID>1</MsgID><Target><LocURI>http://dm.example/dm?a=1&amp;b=2</LocURI>\
    <LocName>srv</LocName></Target><Source><LocURI>IMEI:490154203237518</LocURI><LocName>client</LocName></Source><Cred><Meta>\
    <Format xmlns='syncml:metinf'>b64</Format><Type xmlns='syncml:metinf'>syncml:auth-basic</Type></Meta><Data>Y2xpZW50OnB3</Data></Cred>\
    <Meta><MaxMsgSize xmlns='syncml:metinf'>16384</MaxMsgSize><MaxObjSize xmlns='syncml:metinf'>99999999999</MaxObjSize></Meta></SyncHdr>\
    <SyncBody><Alert><CmdID>1</CmdID><Data>1201</Data></Alert><Replace><CmdID>2</CmdID><Item><Source><LocURI>./DevInfo/Bearer</LocURI>\
    </Source><Meta><Format xmlns='syncml:metinf'>node</Format></Meta><Data>GSM</Data></Item><Item><Source><LocURI>./DevInfo/Bearer/GSM\
    </LocURI></Source><Data></Data></Item><Item><Source><LocURI>./DevInfo/Ext</LocURI></Source></Item><Item><Source><LocURI>./DevInfo/Man\
    </LocURI></Source><Meta><Format xmlns='syncml:metinf'>chr</Format><Type xmlns='syncml:metinf'>text/plain</Type></Meta>\
    <Data>A&amp;B</Data></Item></Replace><Final/></SyncBody></SyncML>";

/// Answers: Results between Statuses, a NUL in a Data, what was asked for missing.
pub(super) const ANSWERS_XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2\
    </VerDTD><VerProto>DM/1.2</VerProto><SessionID>1</SessionID><MsgID>2</MsgID><Target><LocURI>http://dm.example/dm</LocURI></Target>\
    <Source><LocURI>IMEI:1</LocURI></Source></SyncHdr><SyncBody><Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef>\
    <Cmd>SyncHdr</Cmd><TargetRef>IMEI:1</TargetRef><SourceRef>http://dm.example/dm</SourceRef><Chal><Meta>\
    <Format xmlns='syncml:metinf'>b64</Format><Type xmlns='syncml:metinf'>syncml:auth-md5</Type><NextNonce xmlns='syncml:metinf'>\
    bmxk</NextNonce></Meta></Chal><Data>212</Data></Status><Status><CmdID>2</CmdID><MsgRef>1</MsgRef><CmdRef>4</CmdRef><Cmd>Get</Cmd>\
    <TargetRef>./DevInfo/DevId?prop=Format</TargetRef><Data>200</Data></Status><Results><CmdID>3</CmdID><MsgRef>1</MsgRef>\
    <CmdRef>4</CmdRef><Item><Source><LocURI>./DevInfo/DevId?prop=Format</LocURI></Source><Data>chr\0</Data></Item></Results><Status>\
    <CmdID>4</CmdID><MsgRef>1</MsgRef><CmdRef>5</CmdRef><Cmd>Get</Cmd><Data>404</Data></Status><Final/></SyncBody></SyncML>";

/// A message with a public identifier in a string table without NUL, texts inline, and the alert that ends an update.
pub(super) const ALERT_WBXML: &[u8] = b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.2//EN\x6D\x6C\x71\x031.2\0\x01\x72\x03DM/1.2\0\x01\
    \x65\x0357F3\0\x01\x5B\x031\0\x01\x6E\x57\x03http://dm.example/dm\0\x01\x56\x03srv\0\x01\x01\x67\x57\x03IMEI:490154203237518\0\x01\
    \x56\x03client\0\x01\x01\x4E\x5A\x00\x01\x47\x03b64\0\x01\x53\x03syncml:auth-basic\0\x01\x01\x00\x00\x4F\x03Y2xpZW50OnB3\0\x01\x01\
    \x5A\x00\x01\x4C\x03122880\0\x01\x01\x01\x00\x00\x6B\x46\x4B\x031\0\x01\x4F\x031201\0\x01\x01\
    \x60\x4B\x032\0\x01\x54\x67\x57\x03./DevInfo/Bearer/GSM\0\x01\x01\x4F\x03\0\x01\x01\x01\
    \x46\x4B\x033\0\x01\x4F\x031226\0\x01\x7C\x03corr-77\0\x01\x54\x67\x57\x03./FUMO/DownloadAndUpdate\0\x01\x01\x5A\x00\x01\
    \x47\x03chr\0\x01\x53\x03org.openmobilealliance.dm.firmwareupdate.downloadandupdate\0\x01\x4B\x03informational\0\x01\x01\x00\x00\
    \x4F\x03200\0\x01\x01\x01\x12\x01\x01";

fn read(body: &str) -> Message {
    Encoding::Xml.decode(body.as_bytes()).unwrap()
}

/// AD-12
#[test]
fn the_first_message_of_a_session_is_understood() {
    let message = read(FIRST_XML);
    assert_eq!((message.header.session.as_str(), message.header.message, message.last), ("B2FD", 1, true));
    assert_eq!(message.header.target.uri, "http://dm.example/dm?a=1&b=2");
    assert_eq!(message.header.source.name.as_deref(), Some("client"));
    assert_eq!((message.header.max_message, message.header.max_object), (Some(16_384), Some(u32::MAX)));
    assert_eq!(
        message.header.credentials,
        Some(Credentials {
            kind: "syncml:auth-basic".to_owned(),
            format: Some("b64".to_owned()),
            data: "Y2xpZW50OnB3".to_owned()
        })
    );
    let [Element::Alert(alert), Element::Command(replace)] = message.body.as_slice() else { panic!("{message:?}") };
    assert_eq!(alert.code, 1201);
    let data: Vec<_> = replace.items.iter().map(|item| item.data.clone()).collect();
    assert_eq!(data, [text("GSM"), text(""), None, text("A&B")]);
    assert_eq!(replace.items[1].source.as_deref(), Some("./DevInfo/Bearer/GSM"));
}

/// AD-12
#[test]
fn results_may_stand_between_statuses_and_hold_a_nul() {
    let message = read(ANSWERS_XML);
    let [Element::Status(header), Element::Status(_), Element::Results(results), Element::Status(other)] =
        message.body.as_slice()
    else {
        panic!("{message:?}")
    };
    assert_eq!(header.challenge.as_ref().and_then(|challenge| challenge.next_nonce.as_deref()), Some("bmxk"));
    assert_eq!((header.code, other.code), (StatusCode::AUTHENTICATED, StatusCode::NOT_FOUND));
    assert_eq!(results.items[0].data, text("chr"));
}

/// AD-12
#[test]
fn a_generic_alert_in_wbxml_is_understood_whatever_public_identifier_it_names() {
    let message = Encoding::Wbxml.decode(ALERT_WBXML).unwrap();
    let [_, Element::Command(replace), Element::Alert(alert)] = message.body.as_slice() else { panic!("{message:?}") };
    assert_eq!(replace.items[0].data, text(""));
    assert_eq!((alert.code, alert.correlator.as_deref()), (1226, Some("corr-77")));
    let meta = Meta {
        format: Some("chr".to_owned()),
        media_type: Some("org.openmobilealliance.dm.firmwareupdate.downloadandupdate".to_owned()),
        mark: Some("informational".to_owned()),
        size: None,
    };
    assert_eq!((&alert.items[0].meta, &alert.items[0].data), (&meta, &text("200")));
    assert_eq!((message.header.max_message, message.last), (Some(122_880), true));
}

#[test]
fn type_and_format_may_stand_beside_an_empty_meta_or_in_a_wrapper() {
    let wanted = Meta { format: Some("int".to_owned()), media_type: Some("com.microsoft:mdm.x".to_owned()), ..Meta::default() };
    for meta in [
        "<Meta></Meta><Type>com.microsoft:mdm.x</Type><Format>int</Format>",
        "<Meta><MetInf><Type> com.microsoft:mdm.x\n</Type><Format>int</Format></MetInf></Meta>",
        "<Meta><Anchor><Last>1</Last><Format>no</Format></Anchor><Type>com.microsoft:mdm.x</Type></Meta><Meta><Format>int</Format></Meta>",
    ] {
        let message = read(&xml(&format!("<Alert><CmdID>1</CmdID><Data>1226</Data><Item>{meta}<Data>1</Data></Item></Alert>")));
        assert_eq!(only_item(&message).meta, wanted, "{meta}");
    }
}

#[test]
fn a_correlator_may_stand_before_or_after_the_data() {
    for parts in ["<Correlator>c</Correlator><Data>1226</Data>", "<Data>1226</Data><Correlator>c</Correlator>"] {
        let message = read(&xml(&format!("<Alert><CmdID>1</CmdID>{parts}<Item/></Alert>")));
        let [Element::Alert(alert)] = message.body.as_slice() else { panic!("{message:?}") };
        assert_eq!((alert.code, alert.correlator.as_deref(), alert.items.len()), (1226, Some("c"), 1));
    }
}

#[test]
fn results_without_references_answer_the_first_command_of_the_first_message() {
    let message =
        read(&xml("<Results><CmdID>1</CmdID><Cmd>Get</Cmd><Item><Source><LocURI>a b</LocURI></Source></Item></Results>"));
    let [Element::Results(results)] = message.body.as_slice() else { panic!("{message:?}") };
    assert_eq!((results.message, results.command.as_str()), (1, "1"));
    assert_eq!(results.items[0].source.as_deref(), Some("a b"));
    assert!(!message.last);
}

#[test]
fn an_attribute_on_a_status_and_a_code_that_is_no_number_do_no_harm() {
    let message = read(&xml(
        "<Status><CmdID>1</CmdID><Data msft:originalerror=\"0x86000002\">405</Data></Status><Status><Data>x</Data></Status>",
    ));
    let [Element::Status(first), Element::Status(second)] = message.body.as_slice() else { panic!("{message:?}") };
    assert_eq!((first.code, second.code), (StatusCode::NOT_ALLOWED, StatusCode(0)));
}

#[test]
fn prefixes_comments_declarations_and_layout_are_passed_over() {
    let body = "\u{FEFF}<?xml version='1.0'?>\n<!DOCTYPE SyncML SYSTEM 'http://x/y.dtd' [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>\n<?pi a?>\
        <s:SyncML xmlns:s='SYNCML:SYNCML1.2'>\n <s:SyncHdr><s:SessionID> 1 </s:SessionID><!-- <MsgID>7</MsgID> -->\n\
        <s:MsgID>1</s:MsgID><s:Source><s:LocURI><![CDATA[IMEI:1]]></s:LocURI></s:Source><s:NoResp/></s:SyncHdr>\n\
        <s:SyncBody><s:Get><s:CmdID>1</s:CmdID><s:Item><s:Target><s:LocURI>./A?a=1&b</s:LocURI></s:Target>\
        <s:Data>a&lt;&#66;&#x43;&amp;<![CDATA[<d>&amp;]]>&e;<!-- no -->&apos;&quot;&gt;&#1;\u{FFFE}&#xFFFF;&#0;&#xD800;&#no;</s:Data></s:Item></s:Get><s:Final/>\
        </s:SyncBody></s:SyncML>\0\n trailing";
    let message = read(body);
    assert_eq!((message.header.session.as_str(), message.header.source.uri.as_str()), ("1", "IMEI:1"));
    assert_eq!(only_item(&message).target.as_deref(), Some("./A?a=1&b"));
    assert_eq!(only_item(&message).data, text("a<BC&<d>&amp;&e;'\">&#no;"));
}

#[test]
fn a_document_inside_data_is_kept_as_it_stands() {
    let body =
        xml("<Add><CmdID>1</CmdID><Item><Data> <MgmtTree x='1'><Data>a&amp;b</Data><Item/></MgmtTree></Data></Item></Add>");
    assert_eq!(only_item(&read(&body)).data, text(" <MgmtTree x='1'><Data>a&amp;b</Data><Item/></MgmtTree>"));
}

#[test]
fn octets_that_are_no_utf_8_do_not_spoil_the_message() {
    let body = xml("<Results><CmdID>1</CmdID><Item><Data>a?b</Data></Item></Results>").into_bytes();
    let body: Vec<u8> = body.into_iter().map(|byte| if byte == b'?' { 0xFF } else { byte }).collect();
    assert_eq!(only_item(&Encoding::Xml.decode(&body).unwrap()).data, text("a\u{FFFD}b"));
}

#[test]
fn an_unknown_command_is_named_and_what_is_unknown_elsewhere_is_skipped() {
    let message = read(&xml(
        "<Put><CmdID>3</CmdID><Item><CmdID>9</CmdID></Item></Put><x:Vendor><y/></x:Vendor><Atomic><CmdID>4</CmdID><NoResp/><Meta/><Odd/>\
         <Map><CmdID>5</CmdID></Map></Atomic><Get><Lang>en</Lang><Odd><CmdID>8</CmdID></Odd><CmdID>6</CmdID></Get>",
    ));
    let unknown = |id: &str, name: &str| Element::Unknown { id: id.to_owned(), name: name.to_owned() };
    let [put, vendor, Element::Atomic(atomic), Element::Command(get)] = message.body.as_slice() else { panic!("{message:?}") };
    assert_eq!((put, vendor), (&unknown("3", "Put"), &unknown("", "Vendor")));
    assert_eq!((atomic.id.as_str(), atomic.members.as_slice(), get.id.as_str()), ("4", &[unknown("5", "Map")][..], "6"));
}

#[test]
fn wbxml_texts_may_be_shared_inline_opaque_or_characters() {
    // The string table: "./A", and "IMEI:1", which has no NUL.
    let body = b"\x03\x01\x03\x0A./A\0IMEI:1\x6D\xEC\x05\x85\x03x\0\x72\x83\x00\x01\x65\x02\x31\x01\x5B\xC3\x011\x01\x67\x57\x83\x04\x01\x01\x01\
        \x6B\x43\x05\x03pi\0\x01\x40ext\0\x80\x00\xC0\x60\x4B\x031\0\x01\x54\x6E\x57\x83\x00\x01\x01\x4F\x03a\0\x02\x81\x1F\x83\x00\xC3\x01b\x01\
        \x01\x01\x12\x01\x01";
    let message = Encoding::Wbxml.decode(body).unwrap();
    assert_eq!((message.header.session.as_str(), message.header.source.uri.as_str()), ("1", "IMEI:1"));
    assert_eq!(only_item(&message).target.as_deref(), Some("./A"));
    assert_eq!(only_item(&message).data, text("a\u{9F}./Ab"));
    assert!(message.last);
}

#[test]
fn wbxml_elements_may_be_named_by_the_string_table() {
    let body = b"\x02\x01\x6A\x0BVendor\0Get\0\x6D\x6C\x65\x031\0\x01\x5B\x031\0\x01\x67\x57\x03I\0\x01\x01\x01\
        \x6B\x44\x00\x4B\x037\0\x01\x01\x04\x00\x44\x07\x4B\x038\0\x01\x01\x01\x01";
    let message = Encoding::Wbxml.decode(body).unwrap();
    let [Element::Unknown { id, name }, Element::Unknown { id: none, .. }, Element::Command(get)] = message.body.as_slice()
    else {
        panic!("{message:?}")
    };
    assert_eq!((id.as_str(), name.as_str(), none.as_str(), get.id.as_str()), ("7", "Vendor", "", "8"));
}

#[test]
fn opaque_data_is_text_unless_it_is_not() {
    let data = |meta: &[u8], octets: &[u8]| {
        let length = [u8::try_from(octets.len()).unwrap()];
        let item = [b"\x62\x4B\x031\0\x01\x54", meta, b"\x00\x00\x4F\xC3", &length, octets, b"\x01\x01\x01"].concat();
        only_item(&Encoding::Wbxml.decode(&wbxml(&item)).unwrap()).data.clone().unwrap()
    };
    let bin = b"\x5A\x00\x01\x47\x03bin\0\x01\x01";
    assert_eq!(data(b"", b"a/b"), Data::Text("a/b".to_owned()));
    assert_eq!(data(b"\x5A\x00\x01\x47\x03chr\0\x01\x01", b"a/b\0"), Data::Text("a/b".to_owned()));
    assert_eq!(data(b"", b"a/b\0"), Data::Octets(b"a/b\0".to_vec()), "it may be a piece of octets");
    assert_eq!(data(b"", b"\xFF\xD8"), Data::Octets(b"\xFF\xD8".to_vec()));
    assert_eq!(data(b"", b"\x02\x00\x00\x6A\x00"), Data::Octets(b"\x02\x00\x00\x6A\x00".to_vec()));
    assert_eq!(data(bin, b"abc"), Data::Octets(b"abc".to_vec()));
}

#[test]
fn a_tree_in_tags_of_its_page_inside_data_is_the_text_that_it_is_in_xml() {
    // MgmtTree with VerDTD and a Node, then on page 0 again.
    let tree = b"\x45\x4B\x031\0\x01\x54\x4F\x00\x02\x60\x77\x031.2\0\x01\x64\x63\x03A\0\x01\x36\x01\x01\x00\x00\x01\x34\x01\x01";
    let message = Encoding::Wbxml.decode(&wbxml(tree)).unwrap();
    let tree = "<MgmtTree xmlns=\"syncml:dmddf1.2\"><VerDTD>1.2</VerDTD><Node><Name>A</Name><Value></Value></Node></MgmtTree>";
    assert_eq!((&only_item(&message).data, only_item(&message).more), (&text(tree), true));
}

#[test]
fn a_message_that_cannot_be_answered_is_refused() {
    let head = "<SyncML><SyncHdr><SessionID>1</SessionID><MsgID>1</MsgID><Source><LocURI>I</LocURI></Source></SyncHdr></SyncML>";
    assert!(Encoding::Xml.decode(head.as_bytes()).is_ok());
    for (cut, with, missing) in [
        ("<SessionID>1</SessionID>", "", "SessionID"),
        ("<SessionID>1</SessionID>", "<SessionID> </SessionID>", "SessionID"),
        ("<MsgID>1</MsgID>", "", "MsgID"),
        ("<MsgID>1</MsgID>", "<MsgID>-</MsgID>", "MsgID"),
        ("<LocURI>I</LocURI>", "", "Source/LocURI"),
        ("<Source><LocURI>I</LocURI></Source>", "", "Source/LocURI"),
        ("SyncHdr", "Header", "SyncHdr"),
    ] {
        let got = Encoding::Xml.decode(head.replace(cut, with).as_bytes());
        assert!(matches!(got, Err(DecodeError::Missing { what, at }) if what == missing && at > 0), "{got:?}");
    }
    for body in ["<SyncHdr/>", "<html></html>"] {
        assert!(matches!(Encoding::Xml.decode(body.as_bytes()), Err(DecodeError::Malformed { .. })));
    }
    assert_eq!(Encoding::Xml.decode(b""), Err(DecodeError::Truncated { at: 0 }));
    assert_eq!(Encoding::Wbxml.decode(b""), Err(DecodeError::Truncated { at: 0 }));
    assert_eq!(Encoding::Wbxml.decode(b"\x07\x01\x6A\x00\x6D"), Err(DecodeError::Malformed { at: 0 }));
    assert!(matches!(Encoding::Wbxml.decode(b"\x02\x01\x6A\x00\x01"), Err(DecodeError::Malformed { .. })));
}
