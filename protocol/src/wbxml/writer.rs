//! Pushes elements into WBXML.
use super::token;
use crate::encoding::{PublicId, Push, SYNCML, Tag, is_dropped};

/// The version that is written; every client reads it.
const WBXML_1_2: u8 = 2;

/// The version of languages whose elements have attributes.
const WBXML_1_3: u8 = 3;

/// The number of the charset UTF-8 (IANA MIBenum).
const UTF_8: usize = 106;

/// The bytes of a switch of the code page.
pub(crate) const SWITCH: usize = 2;

/// Writes WBXML. The code page is switched when the next tag needs another, as the clients do it that were studied.
pub(crate) struct Writer {
    out: Vec<u8>,
    page: u8,
    /// Inside a tree, whose page has elements under names of other pages.
    in_tree: bool,
    /// Names of elements that have no token, with their places in the string table.
    names: Vec<(String, usize)>,
    /// The code page of attributes, which is another than that of elements.
    attribute_page: u8,
}

/// An attribute, or the beginning of one.
#[derive(Clone, Copy)]
pub(crate) struct Attribute<'a> {
    /// The code page that its token stands on; none where it is the same on all of them.
    pub(crate) page: Option<u8>,
    /// Its token.
    pub(crate) token: u8,
    /// What of its value the token does not say.
    pub(crate) rest: Option<&'a str>,
}

impl Writer {
    /// Writes a whole document in UTF-8 after what is in `out`.
    pub(crate) fn document(out: Vec<u8>, public_id: PublicId) -> Self {
        Self::with_names(out, public_id, &[])
    }

    /// Writes a whole document that has elements of these names, for which there are no tokens.
    pub(crate) fn with_names(mut out: Vec<u8>, public_id: PublicId, names: &[&str]) -> Self {
        out.push(WBXML_1_2);
        let mut table = String::new();
        match public_id {
            PublicId::Number(number) => push_number(&mut out, usize::try_from(number).unwrap_or_default()),
            PublicId::Text { name, ends } => {
                // A text of the string table, which is the first one there.
                out.extend_from_slice(&[0, 0]);
                table.push_str(name.as_str());
                table.push_str(if ends || !names.is_empty() { "\0" } else { "" });
            }
        }
        let mut places = Vec::with_capacity(names.len());
        for name in names {
            places.push(((*name).to_owned(), table.len()));
            table.push_str(name);
            table.push('\0');
        }
        push_number(&mut out, UTF_8);
        push_number(&mut out, table.len());
        out.extend_from_slice(table.as_bytes());
        Self { names: places, ..Self::fragment(out) }
    }

    /// Writes a whole document of a language whose elements are known by their tokens and have attributes.
    pub(crate) fn attributed(public_id: u8) -> Self {
        Self::fragment(vec![WBXML_1_3, public_id, septet(UTF_8), 0])
    }

    /// An element with attributes, of the first code page.
    pub(crate) fn open_with(&mut self, token: u8, attributes: &[Attribute<'_>], has_content: bool) {
        self.out.push(token | token::ATTRIBUTES | if has_content { token::CONTENT } else { 0 });
        for attribute in attributes {
            if let Some(page) = attribute.page.filter(|page| *page != self.attribute_page) {
                self.out.extend_from_slice(&[token::SWITCH_PAGE, page]);
                self.attribute_page = page;
            }
            self.out.push(attribute.token);
            if let Some(rest) = attribute.rest {
                self.string(rest);
            }
        }
        self.end();
    }

    /// The end of an element, or of its attributes.
    pub(crate) fn end(&mut self) {
        self.out.push(token::END);
    }

    /// An element of one of the names that have no token.
    pub(crate) fn open_name(&mut self, name: &str, has_content: bool) {
        if let Some((_, place)) = self.names.iter().find(|(known, _)| known == name) {
            self.out.push(token::LITERAL | if has_content { token::CONTENT } else { 0 });
            push_number(&mut self.out, *place);
        }
    }

    /// An element of a token that is not in the vocabulary.
    pub(crate) fn open_token(&mut self, place: (u8, u8), has_content: bool) {
        self.token(place, if has_content { token::CONTENT } else { 0 });
    }

    /// Writes a part of a document, beginning on the page of SyncML.
    pub(crate) const fn fragment(out: Vec<u8>) -> Self {
        Self { out, page: SYNCML, in_tree: false, names: Vec::new(), attribute_page: 0 }
    }

    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn tag(&mut self, tag: Tag, content: u8) {
        let place = if self.in_tree { tag.token_in_tree() } else { tag.token() };
        if let Some(place) = place {
            self.token(place, content);
        }
    }

    fn token(&mut self, (page, number): (u8, u8), content: u8) {
        if page != self.page {
            self.out.extend_from_slice(&[token::SWITCH_PAGE, page]);
            self.page = page;
        }
        self.out.push(number | content);
    }

    /// Appends a text without the characters that a message cannot carry. NUL, which would end it, is one of them.
    fn characters(&mut self, text: &str) {
        for piece in text.as_bytes().split(|byte| is_dropped(*byte)) {
            self.out.extend_from_slice(piece);
        }
    }

    /// Appends octets.
    pub(crate) fn octets(&mut self, octets: &[u8]) {
        self.out.push(token::OPAQUE);
        push_number(&mut self.out, octets.len());
        self.out.extend_from_slice(octets);
    }

    /// Appends a text.
    pub(crate) fn string(&mut self, text: &str) {
        self.out.push(token::STR_I);
        self.characters(text);
        self.out.push(0);
    }
}

impl Push for Writer {
    const BASE64: bool = false;

    fn empty(&mut self, tag: Tag) {
        self.tag(tag, 0);
    }

    fn open(&mut self, tag: Tag) {
        self.in_tree |= tag == Tag::MgmtTree;
        self.tag(tag, token::CONTENT);
    }

    fn close(&mut self, tag: Tag) {
        self.in_tree &= tag != Tag::MgmtTree;
        self.out.push(token::END);
    }

    fn text(&mut self, tag: Tag, text: &str) {
        if text.is_empty() {
            self.empty(tag);
            return;
        }
        self.open(tag);
        self.string(text);
        self.close(tag);
    }

    fn binary(&mut self, tag: Tag, octets: &[u8]) {
        self.open(tag);
        self.octets(octets);
        self.close(tag);
    }
}

/// Appends a `mb_u_int32`: seven bits a byte, the highest first.
fn push_number(out: &mut Vec<u8>, number: usize) {
    for shift in [28, 21, 14, 7] {
        if number >> shift != 0 {
            out.push(septet(number >> shift) | 0x80);
        }
    }
    out.push(septet(number));
}

fn septet(number: usize) -> u8 {
    u8::try_from(number & 0x7F).unwrap_or_default()
}
