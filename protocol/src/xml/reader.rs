//! Pulls elements out of XML text.
use std::borrow::Cow;

use quick_xml::escape::{EscapeError, ParseCharRefError as NoCharacter, unescape};
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Error, Reader as Source};

use crate::encoding::{Budget, Content, DecodeError, Piece, Pull, Tag, has_dropped, is_kept, lossy};

/// The mark that may stand before a text.
const BYTE_ORDER_MARK: char = '\u{FEFF}';

/// The body as XML text: without byte order marks before it and the characters that XML cannot carry, which real clients send, and with octets
/// that are no UTF-8 replaced. It is copied only when one of these is there.
pub(crate) fn text(body: &[u8]) -> Cow<'_, str> {
    let mut text = lossy(body);
    if has_dropped(&text) {
        text.to_mut().retain(is_kept);
    }
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_start_matches(BYTE_ORDER_MARK)),
        Cow::Owned(text) if text.starts_with(BYTE_ORDER_MARK) => Cow::Owned(text.trim_start_matches(BYTE_ORDER_MARK).to_owned()),
        text => text,
    }
}

/// Where in the body the byte stands that is at `at` in its [`text`].
pub(crate) fn place(body: &[u8], at: usize) -> usize {
    let (mut place, mut left, mut has_begun) = (0_usize, at, false);
    for chunk in body.utf8_chunks() {
        for one in chunk.valid().chars() {
            let is_there = is_kept(one) && (has_begun || one != BYTE_ORDER_MARK);
            has_begun |= is_there;
            if left == 0 && is_there {
                return place;
            }
            place = place.saturating_add(one.len_utf8());
            left = left.saturating_sub(if is_there { one.len_utf8() } else { 0 });
        }
        if !chunk.invalid().is_empty() {
            has_begun = true;
            if left == 0 {
                return place;
            }
            place = place.saturating_add(chunk.invalid().len());
            left = left.saturating_sub(char::REPLACEMENT_CHARACTER.len_utf8());
        }
    }
    place
}

/// Reads elements by their local names. Comments, declarations and processing instructions are passed over; nothing is ever fetched, and no
/// entity is expanded but the five of XML and the numeric ones.
pub(crate) struct Reader<'a> {
    body: &'a str,
    source: Source<&'a [u8]>,
    budget: Budget,
    other: String,
    /// The element just given is empty, so that no end will come.
    bare: bool,
    /// Where attributes are kept, the element just given.
    start: Option<BytesStart<'static>>,
    keeps_attributes: bool,
}

impl<'a> Reader<'a> {
    /// Reads a text that [`text`] made.
    pub(crate) fn new(body: &'a str) -> Self {
        Self::within(body, Budget::of_message(body.len()))
    }

    /// Reads a text that [`text`] made, a tree in it.
    pub(crate) fn of_tree(body: &'a str) -> Self {
        Self::within(body, Budget::of_tree())
    }

    /// Reads a text that [`text`] made, with all that is in it.
    pub(crate) fn of_document(body: &'a str) -> Self {
        Self { keeps_attributes: true, ..Self::of_tree(body) }
    }

    fn within(body: &'a str, budget: Budget) -> Self {
        let mut source = Source::from_str(body);
        let config = source.config_mut();
        // Addresses with a bare `&` are sent.
        config.allow_dangling_amp = true;
        Self { body, source, budget, other: String::new(), bare: false, start: None, keeps_attributes: false }
    }

    fn next(&mut self) -> Result<Event<'a>, DecodeError> {
        match self.source.read_event() {
            Ok(Event::Eof) => Err(DecodeError::Truncated { at: self.at() }),
            Ok(event) => Ok(event),
            Err(Error::Syntax(_)) => Err(DecodeError::Truncated { at: offset(self.source.error_position()) }),
            Err(_) => Err(DecodeError::Malformed { at: offset(self.source.error_position()) }),
        }
    }

    fn open(&mut self, start: &BytesStart<'_>, bare: bool) -> Result<Tag, DecodeError> {
        self.budget.open(self.at())?;
        self.bare = bare;
        if self.keeps_attributes {
            self.start = Some(start.clone().into_owned());
        }
        // Few names have a prefix to look for.
        let tag = Tag::from_name(start.name().into_inner().as_bytes());
        if tag != Tag::Other {
            return Ok(tag);
        }
        let name = start.local_name().into_inner();
        self.other.clear();
        self.other.push_str(name);
        Ok(Tag::from_name(name.as_bytes()))
    }

    fn close(&mut self) {
        self.bare = false;
        self.budget.close();
    }

    /// The markup from `start` to the end of the element around the one that just began.
    fn nested(&mut self, start: usize) -> Result<Cow<'a, str>, DecodeError> {
        let mut depth = 1_usize;
        loop {
            let end = self.at();
            match self.piece()? {
                Piece::Open(_) => depth = depth.saturating_add(1),
                Piece::Close if depth == 0 => return self.part(Cow::Borrowed(self.body.get(start..end).unwrap_or_default())),
                Piece::Close => depth = depth.saturating_sub(1),
                Piece::Part(_) => {}
            }
        }
    }

    /// Counts a part of a text.
    fn part(&mut self, text: Cow<'a, str>) -> Result<Cow<'a, str>, DecodeError> {
        self.budget.text(text.len(), self.at())?;
        Ok(text)
    }
}

impl<'a> Pull<'a> for Reader<'a> {
    fn piece(&mut self) -> Result<Piece<'a>, DecodeError> {
        if self.bare {
            self.close();
            return Ok(Piece::Close);
        }
        loop {
            let text = match self.next()? {
                Event::Start(start) => return self.open(&start, false).map(Piece::Open),
                Event::Empty(start) => return self.open(&start, true).map(Piece::Open),
                Event::End(_) => {
                    self.close();
                    return Ok(Piece::Close);
                }
                Event::Text(text) => text.into_inner(),
                Event::CData(text) => text.into_inner(),
                Event::GeneralRef(reference) => resolved(&reference),
                _ => continue,
            };
            return Ok(Piece::Part(Content::Characters(self.part(text)?)));
        }
    }

    fn content(&mut self) -> Result<Content<'a>, DecodeError> {
        let start = self.at();
        let mut whole = Content::Characters(Cow::Borrowed(""));
        loop {
            match self.piece()? {
                Piece::Close => return Ok(whole),
                Piece::Part(part) => whole = whole.and(part),
                // A document that should have been escaped: kept as it stands.
                Piece::Open(_) => return self.nested(start).map(Content::Characters),
            }
        }
    }

    fn other(&self) -> &str {
        &self.other
    }

    fn at(&self) -> usize {
        offset(self.source.buffer_position())
    }

    /// One that is malformed ends them.
    fn attributes(&self) -> Vec<(String, String)> {
        let all = self.start.iter().flat_map(|start| start.attributes()).map_while(Result::ok);
        let kept = all.filter(|attribute| attribute.key.as_ref() != "xmlns");
        let read = |attribute: Attribute<'_>| {
            let value = unescape(&attribute.value).map_or_else(|_odd| attribute.value.to_string(), Cow::into_owned);
            (attribute.key.as_ref().to_owned(), value)
        };
        kept.map(read).collect()
    }
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// What the reference stands for: nothing where XML cannot carry it. An entity that XML does not have stays as it was written.
fn resolved(reference: &BytesRef<'_>) -> Cow<'static, str> {
    match (&**reference, reference.resolve_char_ref()) {
        (_, Ok(Some(character))) if is_kept(character) => Cow::Owned(character.to_string()),
        (
            _,
            Ok(Some(_))
            | Err(Error::Escape(EscapeError::InvalidCharRef(NoCharacter::IllegalCharacter(_) | NoCharacter::InvalidCodepoint(_)))),
        ) => Cow::Borrowed(""),
        ("amp", _) => Cow::Borrowed("&"),
        ("apos", _) => Cow::Borrowed("'"),
        ("gt", _) => Cow::Borrowed(">"),
        ("lt", _) => Cow::Borrowed("<"),
        ("quot", _) => Cow::Borrowed("\""),
        (name, _) => Cow::Owned(format!("&{name};")),
    }
}
