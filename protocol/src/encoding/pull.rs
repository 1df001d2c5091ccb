//! Where elements come from, whatever the bytes are.
use std::borrow::Cow;

use super::error::DecodeError;
use super::tag::Tag;

/// What an element holds that has no children.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Content<'a> {
    /// Octets whose meaning the format tells (WBXML `OPAQUE`).
    Opaque(Cow<'a, [u8]>),
    /// Characters in UTF-8, or what a client took for it.
    Text(Cow<'a, [u8]>),
}

impl<'a> Content<'a> {
    /// The bytes of either.
    pub(crate) fn bytes(self) -> Cow<'a, [u8]> {
        match self {
            Self::Opaque(bytes) | Self::Text(bytes) => bytes,
        }
    }

    /// This, and `next` after it. Octets make all of it octets.
    pub(crate) fn and(self, next: Self) -> Self {
        let is_opaque = matches!(self, Self::Opaque(_)) || matches!(next, Self::Opaque(_));
        let mut bytes = self.bytes();
        if bytes.is_empty() {
            bytes = next.bytes();
        } else {
            bytes.to_mut().extend_from_slice(&next.bytes());
        }
        if is_opaque { Self::Opaque(bytes) } else { Self::Text(bytes) }
    }
}

/// What comes next in a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Piece<'a> {
    /// The element that is open ends.
    Close,
    /// An element begins.
    Open(Tag),
    /// A part of the content of the element that is open.
    Part(Content<'a>),
}

/// Where the elements come from. Whoever is given a tag takes the element to its end by one of the methods.
pub(crate) trait Pull<'a> {
    /// The next piece.
    fn piece(&mut self) -> Result<Piece<'a>, DecodeError>;
    /// The content of the element that is open, and closes it. Elements in it become the text that they are in XML.
    fn content(&mut self) -> Result<Content<'a>, DecodeError>;
    /// The name of the last [`Tag::Other`].
    fn other(&self) -> &str;
    /// How far it has read, in bytes.
    fn at(&self) -> usize;

    /// The attributes of the element that was opened last, where they are kept, apart from the namespace that elements have by default.
    fn attributes(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The next child of the element that is open, or none at its end. Text between children is passed over.
    fn child(&mut self) -> Result<Option<Tag>, DecodeError> {
        loop {
            match self.piece()? {
                Piece::Close => return Ok(None),
                Piece::Open(tag) => return Ok(Some(tag)),
                Piece::Part(_) => {}
            }
        }
    }

    /// The text of the element that is open, without blanks around it, and closes it.
    fn text(&mut self) -> Result<String, DecodeError> {
        let content = self.content()?.bytes();
        let bytes = content.trim_ascii();
        let text = into_text(Cow::Borrowed(bytes));
        // Blanks may have stood behind a control character, which is gone then.
        let is_whole = text.as_bytes() == bytes;
        Ok(if is_whole { text } else { text.trim_matches(|one: char| one.is_ascii_whitespace()).to_owned() })
    }

    /// Closes the element that is open, whatever is in it.
    fn skip(&mut self) -> Result<(), DecodeError> {
        let mut depth = 1_usize;
        while depth > 0 {
            depth = if self.child()?.is_some() { depth.saturating_add(1) } else { depth.saturating_sub(1) };
        }
        Ok(())
    }
}

/// Whether the byte is a control character that XML cannot carry; clients send them, NUL above all.
pub(crate) const fn is_dropped(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')
}

/// Whether one of the bytes [`is_dropped`]; by pieces without a branch for each byte.
pub(crate) fn has_dropped(bytes: &[u8]) -> bool {
    has(bytes, is_dropped)
}

fn has(bytes: &[u8], is_sought: impl Fn(u8) -> bool) -> bool {
    let found = |piece: &[u8]| piece.iter().fold(false, |found, byte| found | is_sought(*byte));
    let (pieces, rest) = bytes.as_chunks::<64>();
    let (small, rest) = rest.as_chunks::<16>();
    pieces.iter().any(|piece| found(piece)) || small.iter().any(|piece| found(piece)) || found(rest)
}

/// Whether U+FFFE or U+FFFF is in it, which are no characters of XML either.
fn has_no_character(bytes: &[u8]) -> bool {
    memchr::memchr_iter(0xEF, bytes).any(|at| matches!(bytes.get(at..), Some([0xEF, 0xBF, 0xBE | 0xBF, ..])))
}

/// Whether octets are a text: UTF-8 without control characters, apart from the NULs that clients leave at the end of names.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    let has_controls = bytes.iter().any(|byte| is_dropped(*byte) && *byte != 0);
    !has_controls && !has_no_character(bytes) && std::str::from_utf8(bytes).is_ok()
}

/// Octets as text: what is no UTF-8 replaced, and without the characters that XML cannot carry.
pub(crate) fn into_text(bytes: Cow<'_, [u8]>) -> String {
    let text = match bytes {
        Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(bytes).into_owned(),
        },
        Cow::Owned(bytes) => {
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
        }
    };
    // U+FFFE and U+FFFF begin with 0xEF.
    if !has(text.as_bytes(), |byte| is_dropped(byte) || byte == 0xEF) {
        return text;
    }
    let is_kept = |one: &char| !matches!(one, '\u{FFFE}' | '\u{FFFF}') && !u8::try_from(*one).is_ok_and(is_dropped);
    text.chars().filter(is_kept).collect()
}
