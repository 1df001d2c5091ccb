//! Pushes elements into XML text, in the plain form that every client reads: default namespaces, named entities.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::encoding::{METINF, Push, Tag, Version, is_dropped};

/// The namespace that elements of MetInf carry one by one.
const METINF_NAMESPACE: &str = "syncml:metinf";

/// The namespace of trees, serialised and described.
const TREE_NAMESPACE: &str = "syncml:dmddf1.2";

/// Writes XML.
pub(crate) struct Writer {
    out: Vec<u8>,
    version: Version,
    /// Inside a tree, whose namespace holds for all of it.
    in_tree: bool,
}

impl Writer {
    /// Writes a whole document after what is in `out`.
    pub(crate) fn document(mut out: Vec<u8>, version: Version) -> Self {
        out.extend_from_slice(br#"<?xml version="1.0" encoding="UTF-8"?>"#);
        Self { out, version, in_tree: false }
    }

    /// Writes a part of a document.
    pub(crate) const fn fragment(out: Vec<u8>) -> Self {
        Self { out, version: Version::V1_2, in_tree: false }
    }

    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn start(&mut self, tag: Tag) {
        self.out.push(b'<');
        self.out.extend_from_slice(tag.name().as_bytes());
        let namespace = match tag {
            Tag::SyncMl => self.version.namespace(),
            Tag::MgmtTree => TREE_NAMESPACE,
            _ if !self.in_tree && matches!(tag.token(), Some((METINF, _))) => METINF_NAMESPACE,
            _ => return,
        };
        for piece in [br#" xmlns=""#, namespace.as_bytes(), br#"""#] {
            self.out.extend_from_slice(piece);
        }
    }

    /// Appends a text as it stands between tags.
    pub(crate) fn escaped(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|byte| is_special(*byte)) {
            let (plain, tail) = rest.split_at(at);
            self.out.extend_from_slice(plain);
            let taken = match tail {
                [b'&', ..] => self.entity(b"&amp;"),
                [b'<', ..] => self.entity(b"&lt;"),
                [b'>', ..] => self.entity(b"&gt;"),
                // U+FFFE and U+FFFF are no characters of XML.
                [0xEF, 0xBF, 0xBE | 0xBF, ..] => 3,
                [0xEF, ..] => self.entity(&[0xEF]),
                _ => 1,
            };
            rest = tail.get(taken..).unwrap_or_default();
        }
        self.out.extend_from_slice(rest);
    }

    /// Appends octets in base64.
    pub(crate) fn base64(&mut self, octets: &[u8]) {
        self.escaped(&STANDARD.encode(octets));
    }

    /// Begins a line that is indented by so many steps.
    pub(crate) fn line(&mut self, depth: usize) {
        self.out.push(b'\n');
        self.out.extend(std::iter::repeat_n(b' ', depth));
    }

    /// An element begins that need not be of the vocabulary; its name is one that XML can have.
    pub(crate) fn open_named(&mut self, name: &str, attributes: &[(String, String)]) {
        self.start_named(name, attributes);
        self.out.push(b'>');
    }

    /// The same without content.
    pub(crate) fn empty_named(&mut self, name: &str, attributes: &[(String, String)]) {
        self.start_named(name, attributes);
        self.out.extend_from_slice(b"/>");
    }

    fn start_named(&mut self, name: &str, attributes: &[(String, String)]) {
        match Tag::from_name(name.as_bytes()) {
            Tag::Other => {
                self.out.push(b'<');
                self.out.extend_from_slice(name.as_bytes());
            }
            tag => {
                self.start(tag);
                self.in_tree |= tag == Tag::MgmtTree;
            }
        }
        for (name, value) in attributes {
            self.out.push(b' ');
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(br#"=""#);
            for (place, part) in value.split('"').enumerate() {
                if place > 0 {
                    self.out.extend_from_slice(b"&quot;");
                }
                self.escaped(part);
            }
            self.out.push(b'"');
        }
    }

    /// The element of that name ends.
    pub(crate) fn close_named(&mut self, name: &str) {
        self.in_tree &= name != Tag::MgmtTree.name();
        self.out.extend_from_slice(b"</");
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'>');
    }

    /// Writes what stands for one byte.
    fn entity(&mut self, written: &[u8]) -> usize {
        self.out.extend_from_slice(written);
        1
    }
}

impl Push for Writer {
    const BASE64: bool = true;

    fn empty(&mut self, tag: Tag) {
        self.start(tag);
        self.out.extend_from_slice(b"/>");
    }

    fn open(&mut self, tag: Tag) {
        self.start(tag);
        self.in_tree |= tag == Tag::MgmtTree;
        self.out.push(b'>');
    }

    fn close(&mut self, tag: Tag) {
        self.close_named(tag.name());
    }

    fn text(&mut self, tag: Tag, text: &str) {
        self.open(tag);
        self.escaped(text);
        self.close(tag);
    }

    fn binary(&mut self, tag: Tag, octets: &[u8]) {
        self.text(tag, &STANDARD.encode(octets));
    }
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, b'&' | b'<' | b'>' | 0xEF) || is_dropped(byte)
}
