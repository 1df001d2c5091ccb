//! Where elements come from, whatever the bytes are.
use std::borrow::Cow;

use super::error::DecodeError;
use super::tag::Tag;

/// What an element holds that has no children.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Content<'a> {
    /// Characters that XML can carry.
    Characters(Cow<'a, str>),
    /// Octets whose meaning the format tells (WBXML `OPAQUE`).
    Opaque(Cow<'a, [u8]>),
    /// What WBXML says in characters: UTF-8, or what a client took for it.
    Text(Cow<'a, [u8]>),
}

impl<'a> Content<'a> {
    /// The bytes of each.
    pub(crate) fn bytes(self) -> Cow<'a, [u8]> {
        match self {
            Self::Characters(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
            Self::Characters(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
            Self::Opaque(bytes) | Self::Text(bytes) => bytes,
        }
    }

    /// It as text, as [`into_text`] makes it.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Characters(text) => text.into_owned(),
            Self::Opaque(bytes) | Self::Text(bytes) => into_text(bytes),
        }
    }

    /// This, and `next` after it. Octets make all of it octets.
    pub(crate) fn and(self, next: Self) -> Self {
        match (self, next) {
            (Self::Characters(text), Self::Characters(next)) => Self::Characters(text + next),
            (one, next) => {
                let is_opaque = matches!(one, Self::Opaque(_)) || matches!(next, Self::Opaque(_));
                let mut bytes = one.bytes();
                if bytes.is_empty() {
                    bytes = next.bytes();
                } else {
                    bytes.to_mut().extend_from_slice(&next.bytes());
                }
                if is_opaque { Self::Opaque(bytes) } else { Self::Text(bytes) }
            }
        }
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
        let text = self.content()?.into_text();
        let trimmed = text.trim_matches(|one: char| one.is_ascii_whitespace());
        Ok(if trimmed.len() == text.len() { text } else { trimmed.to_owned() })
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

/// Whether the byte is a control character that XML cannot carry; clients send them, NUL above all. Without a branch, so that many are looked at
/// at once.
pub(crate) const fn is_dropped(byte: u8) -> bool {
    (byte < 0x20) & (byte != b'\t') & (byte != b'\n') & (byte != b'\r')
}

/// Whether XML can carry the character: all but those that [`is_dropped`], U+FFFE and U+FFFF.
pub(crate) fn is_kept(one: char) -> bool {
    !matches!(one, '\u{FFFE}' | '\u{FFFF}') && !u8::try_from(one).is_ok_and(is_dropped)
}

/// Whether one of the characters is not [`is_kept`].
pub(crate) fn has_dropped(text: &str) -> bool {
    let bytes = text.as_bytes();
    // U+FFFE and U+FFFF begin with 0xEF.
    has(bytes, |byte| is_dropped(byte) | (byte == 0xEF)) && (has(bytes, is_dropped) || has_no_character(bytes))
}

/// Whether one of the bytes is sought; by pieces without a branch for each byte.
fn has(bytes: &[u8], is_sought: impl Fn(u8) -> bool) -> bool {
    let found = |piece: &[u8]| piece.iter().fold(false, |found, byte| found | is_sought(*byte));
    let (pieces, rest) = bytes.as_chunks::<64>();
    let (small, rest) = rest.as_chunks::<16>();
    // The last piece may begin in the one before.
    let last = bytes.last_chunk::<16>().map_or_else(|| found(rest), |piece| found(piece));
    last || pieces.iter().any(|piece| found(piece)) || small.iter().any(|piece| found(piece))
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

/// Octets as characters, what is no UTF-8 replaced.
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    // To look first is faster than to replace what need not be.
    std::str::from_utf8(bytes).map_or_else(|_odd| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Octets as text: what is no UTF-8 replaced, and without the characters that XML cannot carry.
pub(crate) fn into_text(bytes: Cow<'_, [u8]>) -> String {
    let mut text = match bytes {
        Cow::Borrowed(bytes) => lossy(bytes).into_owned(),
        Cow::Owned(bytes) => String::from_utf8(bytes).unwrap_or_else(|error| lossy(error.as_bytes()).into_owned()),
    };
    if has_dropped(&text) {
        text.retain(is_kept);
    }
    text
}
