//! Pushes elements into WBXML.
use super::token;
use crate::encoding::{Push, Tag, is_dropped};
use crate::message::Data;

/// WBXML 1.2, SyncML 1.2 (0x1201), UTF-8, no string table.
const HEAD: [u8; 5] = [0x02, 0xA4, 0x01, 0x6A, 0x00];

/// The bytes of a switch of the code page.
pub(crate) const SWITCH: usize = 2;

/// Writes WBXML. The code page is switched when the next tag needs another, as the clients do it that were studied.
pub(crate) struct Writer {
    out: Vec<u8>,
    page: u8,
}

impl Writer {
    /// Writes a whole document after what is in `out`.
    pub(crate) fn document(mut out: Vec<u8>) -> Self {
        out.extend_from_slice(&HEAD);
        Self { out, page: 0 }
    }

    /// Writes a part of a document, beginning on the page of SyncML.
    pub(crate) const fn fragment(out: Vec<u8>) -> Self {
        Self { out, page: 0 }
    }

    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn tag(&mut self, tag: Tag, content: u8) {
        if let Some((page, number)) = tag.token() {
            if page != self.page {
                self.out.extend_from_slice(&[token::SWITCH_PAGE, page]);
                self.page = page;
            }
            self.out.push(number | content);
        }
    }

    /// Appends a text without the characters that a message cannot carry. NUL, which would end it, is one of them.
    fn characters(&mut self, text: &str) {
        for piece in text.as_bytes().split(|byte| is_dropped(*byte)) {
            self.out.extend_from_slice(piece);
        }
    }

    fn opaque(&mut self, write: impl FnOnce(&mut Self), length: usize) {
        self.tag(Tag::Data, token::CONTENT);
        self.out.push(token::OPAQUE);
        for shift in [28, 21, 14, 7] {
            if length >> shift != 0 {
                self.out.push(septet(length >> shift) | 0x80);
            }
        }
        self.out.push(septet(length));
        write(self);
        self.out.push(token::END);
    }
}

impl Push for Writer {
    const BASE64: bool = false;

    fn empty(&mut self, tag: Tag) {
        self.tag(tag, 0);
    }

    fn open(&mut self, tag: Tag) {
        self.tag(tag, token::CONTENT);
    }

    fn close(&mut self, _tag: Tag) {
        self.out.push(token::END);
    }

    fn text(&mut self, tag: Tag, text: &str) {
        if text.is_empty() {
            self.empty(tag);
            return;
        }
        self.open(tag);
        self.out.push(token::STR_I);
        self.characters(text);
        self.out.push(0);
        self.close(tag);
    }

    fn data(&mut self, data: &Data, bin: bool) {
        match data {
            Data::Octets(octets) => self.opaque(|writer| writer.out.extend_from_slice(octets), octets.len()),
            // With the format `bin`, OPAQUE would say that these characters are the octets.
            Data::Text(text) if bin || text.is_empty() => self.text(Tag::Data, text),
            Data::Text(text) => {
                let length = text.bytes().filter(|byte| !is_dropped(*byte)).count();
                self.opaque(|writer| writer.characters(text), length);
            }
        }
    }
}

fn septet(number: usize) -> u8 {
    u8::try_from(number & 0x7F).unwrap_or_default()
}
