//! A characteristic of Client Provisioning (OMA WAP ProvCont 1.1), and the document that holds one.
use crate::wbxml::Attribute;
use crate::{wbxml, xml};

/// The version of documents.
const VERSION: &str = "1.1";

/// `-//WAPFORUM//DTD PROV 1.0//EN`, which documents of both versions carry.
const PUBLIC_ID: u8 = 0x0B;

/// The tokens of the elements `wap-provisioningdoc`, `characteristic` and `parm`.
const DOCUMENT: u8 = 0x05;
const CHARACTERISTIC: u8 = 0x06;
const PARM: u8 = 0x07;

/// The tokens of attributes; most stand on either page.
const NAME: Attribute<'static> = Attribute { page: None, token: 0x05, rest: None };
const VALUE: Attribute<'static> = Attribute { page: None, token: 0x06, rest: None };
const DOCUMENT_VERSION: Attribute<'static> = Attribute { page: Some(0), token: 0x45, rest: None };
const TYPE: Attribute<'static> = Attribute { page: None, token: 0x50, rest: None };

/// Types and names that stand in an attribute's token as a whole, all on the second page.
const TYPES: [(&str, u8); 3] = [("APPLICATION", 0x55), ("APPADDR", 0x56), ("APPAUTH", 0x57)];
const NAMES: [(&str, u8); 15] = [
    ("NAME", 0x07),
    ("TO-NAPID", 0x22),
    ("PORTNBR", 0x23),
    ("SERVICE", 0x24),
    ("AACCEPT", 0x2E),
    ("AAUTHDATA", 0x2F),
    ("AAUTHLEVEL", 0x30),
    ("AAUTHNAME", 0x31),
    ("AAUTHSECRET", 0x32),
    ("AAUTHTYPE", 0x33),
    ("ADDR", 0x34),
    ("ADDRTYPE", 0x35),
    ("APPID", 0x36),
    ("PROVIDER-ID", 0x38),
    ("TO-PROXY", 0x39),
];

/// A characteristic. Without `Debug`, for there are secrets in it.
#[derive(Clone, Eq, PartialEq)]
pub struct Characteristic {
    /// Its type, such as `APPLICATION`.
    pub kind: String,
    /// Names and values in their order.
    pub parms: Vec<(String, String)>,
    /// The characteristics within.
    pub inner: Vec<Self>,
}

impl Characteristic {
    /// One of that type in which nothing is said yet.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), parms: Vec::new(), inner: Vec::new() }
    }

    /// Says something more.
    pub fn parm(&mut self, name: &str, value: &str) {
        self.parms.push((name.to_owned(), value.to_owned()));
    }

    /// The document that holds it, in XML.
    #[must_use]
    pub fn xml(&self) -> Vec<u8> {
        let mut writer = xml::Writer::document(Vec::new(), crate::encoding::Version::V1_2);
        writer.open_named("wap-provisioningdoc", &[("version".to_owned(), VERSION.to_owned())]);
        self.push_xml(&mut writer);
        writer.close_named("wap-provisioningdoc");
        writer.into_bytes()
    }

    fn push_xml(&self, writer: &mut xml::Writer) {
        writer.open_named("characteristic", &[("type".to_owned(), self.kind.clone())]);
        for (name, value) in &self.parms {
            writer.empty_named("parm", &[("name".to_owned(), name.clone()), ("value".to_owned(), value.clone())]);
        }
        for inner in &self.inner {
            inner.push_xml(writer);
        }
        writer.close_named("characteristic");
    }

    /// The same in WBXML 1.3.
    #[must_use]
    pub fn wbxml(&self) -> Vec<u8> {
        let mut writer = wbxml::Writer::attributed(PUBLIC_ID);
        writer.open_with(DOCUMENT, &[Attribute { rest: Some(VERSION), ..DOCUMENT_VERSION }], true);
        self.push_wbxml(&mut writer);
        writer.end();
        writer.into_bytes()
    }

    fn push_wbxml(&self, writer: &mut wbxml::Writer) {
        writer.open_with(CHARACTERISTIC, &[whole(&TYPES, TYPE, &self.kind)], !(self.parms.is_empty() && self.inner.is_empty()));
        for (name, value) in &self.parms {
            // Values have tokens, too, but other ones in either version of the tables; text means the same in both.
            writer.open_with(PARM, &[whole(&NAMES, NAME, name), Attribute { rest: Some(value), ..VALUE }], false);
        }
        for inner in &self.inner {
            inner.push_wbxml(writer);
        }
        if !(self.parms.is_empty() && self.inner.is_empty()) {
            writer.end();
        }
    }
}

/// An attribute of that value: one token where there is one for both, otherwise the attribute's and text.
fn whole<'a>(table: &[(&str, u8)], plain: Attribute<'a>, value: &'a str) -> Attribute<'a> {
    match table.iter().find(|(known, _)| *known == value) {
        Some((_, token)) => Attribute { page: Some(1), token: *token, rest: None },
        None => Attribute { rest: Some(value), ..plain },
    }
}
