//! Bootstrap documents against published ones, against vectors, and against a decoder that is not ours.
use dmwsi_objects::NodeUri;
use dmwsi_objects::dmacc::AuthType;

use super::{Account, BootstrapError, Login, Security, SecurityError, semi_octets};
use crate::encoding::tests::libwbxml::converted;
use crate::encoding::{Encoding, Form};
use crate::message::{Data, Element, Verb};
use crate::tnds::{self, Tree};

fn account() -> Account {
    let login = |auth, name: &str, secret: &str, nonce: &[u8]| Login {
        auth,
        name: name.to_owned(),
        secret: secret.to_owned(),
        nonce: nonce.to_vec(),
    };
    Account {
        server_id: "dm.example".to_owned(),
        name: Some("A & \"B\"".to_owned()),
        address: "https://dm.example:8443/dm?a=1&b=2".to_owned(),
        connection: Some("NAP1".to_owned()),
        client: login(AuthType::Basic, "user1", "clipwd", b"unused"),
        server: Some(login(AuthType::Digest, "dm.example", "srvpwd", b"0123456789abcdef")),
    }
}

fn octets(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// S-BS-01: the vectors, and what each method has for a key.
#[test]
fn a_proof_is_over_the_document_with_the_key_of_its_method() {
    let document = octets(
        "02a4016a006d6c7103312e3200017203444d2f312e32000165033100015b033200016e5703494d45493a31000101675703687474703a2f2f732f646d\
        000101016b694b033100015c033200014c033000014a0353796e6348647200014fc3033230300101120101",
    );
    let proof = |security: Security| security.proof(&document).map(|proof| (proof.sec, proof.mac.unwrap_or_default()));
    let shared = || b"secret".to_vec();
    let pin = || "1234".to_owned();
    let [by_secret, by_pin, by_both] = [
        "04C82EE363041CB2D92F767EE5A284574B46E7F5",
        "090B130E1796787DC80640E1E0A69F46F544B224",
        "B173C05B403635297C90D7BA3657515063BEBC35",
    ];
    assert!(proof(Security::DmNetworkId(shared())) == Ok(("NETWORKID", by_secret.to_owned())));
    assert!(proof(Security::DmUserPin(pin())) == Ok(("USERPIN", by_pin.to_owned())));
    assert!(proof(Security::DmUserPinNetworkId(pin(), shared())) == Ok(("USERPIN_NETWORKID", by_both.to_owned())));
    assert!(proof(Security::NetwPin(shared())) == Ok(("0", by_secret.to_owned())));
    assert!(proof(Security::UserPin(pin())) == Ok(("1", by_pin.to_owned())));
    // One after the other, where the other profile has a colon between them, and in the other order.
    let joined = proof(Security::UserPin("secret1234".to_owned())).map(|(_, mac)| ("2", mac));
    assert!(proof(Security::UserNetwPin(shared(), pin())) == joined);
    for empty in [
        Security::NetwPin(Vec::new()),
        Security::UserPin(String::new()),
        Security::UserNetwPin(shared(), String::new()),
        Security::DmUserPinNetworkId(pin(), Vec::new()),
    ] {
        assert!(proof(empty) == Err(SecurityError::Empty));
    }
    let by_pin = Security::UserPin(pin()).proof(&document).unwrap();
    assert_eq!(
        by_pin.media_type(super::PROVISIONING),
        "application/vnd.wap.connectivity-wbxml; SEC=1; MAC=090B130E1796787DC80640E1E0A69F46F544B224"
    );
}

/// S-BS-01: as many digits as the PIN has, each the rest of an octet of the MAC by ten.
#[test]
fn a_user_who_types_in_the_mac_types_the_pin_and_as_many_digits() {
    let document = b"document";
    let mac = Security::UserPin("12345".to_owned()).proof(document).unwrap().mac.unwrap();
    let digits: String = octets(&mac)[..5].iter().map(|octet| char::from(b'0' + octet % 10)).collect();
    let proof = Security::UserPinMac("12345".to_owned()).proof(document).unwrap();
    assert!((proof.sec, proof.mac.as_deref(), proof.user_pin.as_deref()) == ("3", None, Some(format!("12345{digits}").as_str())));
    assert_eq!(proof.media_type("a/b"), "a/b; SEC=3");
    for wrong in ["1234", "12a45", "123456789012345678901"] {
        assert!(Security::UserPinMac(wrong.to_owned()).proof(document) == Err(SecurityError::Pin), "{wrong}");
    }
}

#[test]
fn an_imsi_is_a_key_as_it_stands_on_the_card() {
    assert_eq!(semi_octets("240011234567890"), Some(octets("29 04 10 21 43 65 87 09")));
    assert_eq!(semi_octets("24001123456789"), Some(octets("21 04 10 21 43 65 87 F9")));
    for wrong in ["", "24001", "2400112345678901", "24001123456789x", "\u{662}40011"] {
        assert_eq!(semi_octets(wrong), None, "{wrong}");
    }
}

/// S-BS-01: the example of the registration of `w7`.
#[test]
fn a_document_of_client_provisioning_says_what_the_published_one_says() {
    let login = |auth, name: &str, secret: &str, nonce: &[u8]| Login {
        auth,
        name: name.to_owned(),
        secret: secret.to_owned(),
        nonce: nonce.to_vec(),
    };
    let account = Account {
        server_id: "servername".to_owned(),
        name: Some("Description of server".to_owned()),
        address: "https://www.mgmtserver.com:8080/manage".to_owned(),
        connection: Some("ABCGPRS1".to_owned()),
        client: login(AuthType::Basic, "name", "password2", b""),
        server: Some(login(AuthType::Digest, "servername", "password1", b"1234567890")),
    };
    let published = r#"<wap-provisioningdoc version="1.1">
  <characteristic type="APPLICATION">
    <parm name="APPID" value="w7"/>
    <parm name="PROVIDER-ID" value="servername"/>
    <parm name="NAME" value="Description of server"/>
    <parm name="ADDR" value="https://www.mgmtserver.com:8080/manage"/>
    <parm name="TO-NAPID" value="ABCGPRS1"/>
    <parm name="INIT" value="1"/>
    <characteristic type="APPAUTH">
      <parm name="AAUTHLEVEL" value="CLIENT"/>
      <parm name="AAUTHTYPE" value="DIGEST"/>
      <parm name="AAUTHNAME" value="servername"/>
      <parm name="AAUTHSECRET" value="password1"/>
      <parm name="AAUTHDATA" value="MTIzNDU2Nzg5MA=="/>
    </characteristic>
    <characteristic type="APPAUTH">
      <parm name="AAUTHLEVEL" value="APPSRV"/>
      <parm name="AAUTHTYPE" value="BASIC"/>
      <parm name="AAUTHNAME" value="name"/>
      <parm name="AAUTHSECRET" value="password2"/>
    </characteristic>
  </characteristic>
</wap-provisioningdoc>"#;
    let flat: String = published.lines().map(str::trim).collect();
    let written = String::from_utf8(account.provisioning().xml()).unwrap();
    assert_eq!(written, format!(r#"<?xml version="1.0" encoding="UTF-8"?>{flat}"#));
}

/// S-BS-01: each token in its place (OMA WAP ProvCont 1.1, 8).
#[test]
fn a_document_of_client_provisioning_has_the_tokens_of_its_tables() {
    let account = Account {
        server_id: "s".to_owned(),
        name: None,
        address: "a".to_owned(),
        connection: None,
        client: Login { auth: AuthType::Hmac, name: "n".to_owned(), secret: "p".to_owned(), nonce: b"x".to_vec() },
        server: None,
    };
    let expected = octets(
        "03 0B 6A 00 C5 45 03 31 2E 31 00 01 C6 00 01 55 01
        87 36 06 03 77 37 00 01 87 38 06 03 73 00 01 87 34 06 03 61 00 01 87 05 03 49 4E 49 54 00 06 03 31 00 01
        C6 57 01 87 30 06 03 41 50 50 53 52 56 00 01 87 33 06 03 48 4D 41 43 00 01 87 31 06 03 6E 00 01
        87 32 06 03 70 00 01 87 2F 06 03 65 41 3D 3D 00 01 01 01 01",
    );
    assert_eq!(account.provisioning().wbxml(), expected);
}

/// S-BS-01, AD-12
#[test]
fn libwbxml_reads_our_documents_of_client_provisioning() {
    let provisioning = account().provisioning();
    let Some(read) = converted("wbxml2xml", &provisioning.wbxml()) else { return };
    // Without the declaration, the document type and the blanks between the elements.
    let of = |xml: Vec<u8>| {
        let text = String::from_utf8(xml).unwrap();
        let (_, root) = text.split_once("<wap-provisioningdoc").unwrap();
        root.replace("></parm>", "/>").split('\n').map(str::trim).collect::<String>()
    };
    assert_eq!(of(read), of(provisioning.xml()));
}

/// S-BS-01, AD-12: the address, both credentials and who may change them, all in one Add to the Inbox.
#[test]
fn a_bootstrap_message_puts_an_account_into_the_inbox() {
    let form = Form::from(Encoding::Wbxml);
    let bytes = form.encode(&account().message("IMEI:1"));
    let message = form.decode(&bytes).unwrap();
    let header = &message.header;
    assert_eq!((header.target.uri.as_str(), header.credentials.is_none(), message.last), ("IMEI:1", true, true));
    let [Element::Command(add)] = &message.body[..] else { panic!("{message:?}") };
    let [item] = &add.items[..] else { panic!("{add:?}") };
    assert_eq!((add.verb, item.target.as_deref()), (Verb::Add, Some("./Inbox")));
    assert_eq!(item.meta.media_type.as_deref(), Some(tnds::WBXML));
    let Some(Data::Octets(octets)) = &item.data else { panic!("{item:?}") };
    let tree = Tree::decode(Encoding::Wbxml, octets).unwrap();
    let told = tree.told(&NodeUri::parse("./Inbox").unwrap());
    let text = |path: &str| {
        let node = format!("./Inbox/dm-example{path}");
        told.iter().find(|reading| reading.node.as_str() == node).map(|reading| reading.value.data.as_str())
    };
    for (path, value) in [
        ("?prop=ACL", "Delete=dm.example&Get=dm.example&Replace=dm.example"),
        ("/AppID", "w7"),
        ("/ServerID", "dm.example"),
        ("/Name", "A & \"B\""),
        ("/PrefConRef", "NAP1"),
        ("/ToConRef/1/ConRef", "NAP1"),
        ("/AppAddr/1/Addr", "https://dm.example:8443/dm?a=1&b=2"),
        ("/AppAddr/1/AddrType", "URI"),
        ("/AAuthPref", "BASIC"),
        ("/AppAuth/1/AAuthLevel", "CLCRED"),
        ("/AppAuth/1/AAuthType", "BASIC"),
        ("/AppAuth/1/AAuthName", "user1"),
        ("/AppAuth/1/AAuthSecret", "clipwd"),
        ("/AppAuth/2/AAuthLevel", "SRVCRED"),
        ("/AppAuth/2/AAuthType", "DIGEST"),
        ("/AppAuth/2/AAuthName", "dm.example"),
        ("/AppAuth/2/AAuthSecret", "srvpwd"),
        ("/AppAuth/2/AAuthData", "MDEyMzQ1Njc4OWFiY2RlZg=="),
    ] {
        assert_eq!(text(path), Some(value), "{path}");
    }
    assert_eq!(text("/AppAuth/1/AAuthData"), None, "passwords in the clear are over no nonce");
    let account_node = told.iter().find(|reading| reading.node.as_str() == "./Inbox/dm-example").unwrap();
    assert_eq!(account_node.value.media_type.as_deref(), Some("urn:oma:mo:oma-dm-dmacc:1.0"));

    // A name that an ACL cannot hold is in none.
    let odd = Account { server_id: "a=b c".to_owned(), ..account() };
    let Element::Command(add) = &odd.message("IMEI:1").body[0] else { panic!("no command") };
    let Some(Data::Octets(octets)) = &add.items[0].data else { panic!("no octets") };
    let tree = Tree::decode(Encoding::Wbxml, octets).unwrap();
    assert_eq!((tree.nodes[0].name.as_deref(), &tree.nodes[0].properties.acl), (Some("a-b-c"), &None));
}

/// S-BS-01: a device understands either, whoever wrote it.
#[test]
fn what_was_told_is_understood() {
    // What stands beside passwords in the clear is nobody's nonce.
    let told = Account { client: Login { nonce: Vec::new(), ..account().client }, ..account() };
    assert!(Account::of_provisioning(&account().provisioning().xml()).is_ok_and(|read| read == told));
    assert!(Account::of_message(&account().message("IMEI:1")).is_ok_and(|read| read == told));
    let alone = Account { name: None, connection: None, server: None, ..told };
    assert!(Account::of_provisioning(&alone.provisioning().xml()).is_ok_and(|read| read == alone));
    assert!(Account::of_message(&alone.message("IMEI:1")).is_ok_and(|read| read == alone));

    let published = br#"<?xml version="1.0"?><!DOCTYPE wap-provisioningdoc PUBLIC "-//WAPFORUM//DTD PROV 1.0//EN" "http://www.wapforum.org/DTD/prov.dtd">
        <wap-provisioningdoc><characteristic type="APPLICATION"><parm name="APPID" value="w2"/></characteristic>
        <characteristic type="APPLICATION"><parm name="APPID" value="w7"/><parm name="PROVIDER-ID" value="s"/>
        <characteristic type="APPADDR"><parm name="ADDR" value="http://s/dm"/></characteristic>
        <characteristic type="APPAUTH"><parm name="AAUTHLEVEL" value="APPSRV"/><parm name="AAUTHTYPE" value="BASIC"/></characteristic>
        </characteristic></wap-provisioningdoc>"#;
    assert!(Account::of_provisioning(published).is_ok_and(|read| (&*read.address, &*read.client.name) == ("http://s/dm", "")));
    let text = String::from_utf8(published.to_vec()).unwrap();
    for (from, to, missing) in [
        ("\"w7\"", "\"w8\"", "application w7"),
        ("PROVIDER-ID", "OTHER", "PROVIDER-ID"),
        ("\"ADDR\"", "\"OTHER\"", "ADDR"),
        ("APPSRV", "OBEX", "APPSRV"),
        ("BASIC", "SECURID", "AAuthType"),
    ] {
        let read = Account::of_provisioning(text.replace(from, to).as_bytes());
        assert!(read.is_err_and(|error| error == BootstrapError::Missing(missing)), "{missing}");
    }
    assert!(Account::of_provisioning(b"\x03\x0B").is_err());
    let nothing = crate::message::Message::default();
    assert!(Account::of_message(&nothing).is_err_and(|error| error == BootstrapError::Missing("ServerID")));
}

/// S-BS-01, AD-12
#[test]
fn libwbxml_reads_our_bootstrap_messages() {
    let form = Form::from(Encoding::Wbxml);
    let Some(xml) = converted("wbxml2xml", &form.encode(&account().message("IMEI:1"))) else { return };
    let text = String::from_utf8_lossy(&xml);
    assert!(text.contains("./Inbox") && text.contains("IMEI:1"), "{text}");
}

/// S-BS-01, AD-12: the nonce stands in the tree as the octets that it is.
#[test]
fn libwbxml_reads_the_tree_of_a_bootstrap_message() {
    let message = account().message("IMEI:1");
    let Element::Command(add) = &message.body[0] else { panic!("no command") };
    let Some(Data::Octets(octets)) = &add.items[0].data else { panic!("no octets") };
    assert!(octets.windows(18).any(|part| part == b"\xC3\x100123456789abcdef"), "OPAQUE, its length and the nonce");
    let Some(xml) = converted("wbxml2xml", octets) else { return };
    let text = String::from_utf8_lossy(&xml);
    assert!(text.contains("AAuthData") && text.contains("0123456789abcdef"), "{text}");
}
