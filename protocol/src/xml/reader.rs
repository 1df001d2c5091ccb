//! Pulls elements out of XML text.
use std::borrow::Cow;

use quick_xml::Reader as Source;
use quick_xml::events::{BytesRef, Event};

use crate::encoding::{Budget, DecodeError, Nature, Pull, Tag, is_dropped};

/// The body as XML text: without a byte order mark and the control characters that real clients send, and with octets that are no UTF-8
/// replaced. It is copied only when one of these is there.
pub(crate) fn text(body: &[u8]) -> Cow<'_, str> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    if !body.iter().any(|byte| is_dropped(*byte)) {
        return String::from_utf8_lossy(body);
    }
    let clean: Vec<u8> = body.iter().copied().filter(|byte| !is_dropped(*byte)).collect();
    Cow::Owned(String::from_utf8(clean).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Reads elements by their local names. Comments, declarations and processing instructions are passed over; nothing is ever fetched, and no
/// entity is expanded but the five of XML and the numeric ones.
pub(crate) struct Reader<'a> {
    body: &'a str,
    source: Source<&'a [u8]>,
    budget: Budget,
    other: String,
}

impl<'a> Reader<'a> {
    /// Reads a text that [`text`] made.
    pub(crate) fn new(body: &'a str) -> Self {
        let mut source = Source::from_str(body);
        let config = source.config_mut();
        config.expand_empty_elements = true;
        // Addresses with a bare `&` are sent.
        config.allow_dangling_amp = true;
        Self { body, source, budget: Budget::default(), other: String::new() }
    }

    fn next(&mut self) -> Result<Event<'a>, DecodeError> {
        match self.source.read_event() {
            Ok(Event::Eof) => Err(DecodeError::Truncated { at: self.at() }),
            Ok(event) => Ok(event),
            Err(quick_xml::Error::Syntax(_)) => Err(DecodeError::Truncated { at: offset(self.source.error_position()) }),
            Err(_) => Err(DecodeError::Malformed { at: offset(self.source.error_position()) }),
        }
    }

    fn append(&mut self, into: &mut Vec<u8>, piece: &str) -> Result<(), DecodeError> {
        self.budget.text(piece.len(), self.at())?;
        into.extend_from_slice(piece.as_bytes());
        Ok(())
    }
}

impl Pull for Reader<'_> {
    fn child(&mut self) -> Result<Option<Tag>, DecodeError> {
        loop {
            match self.next()? {
                Event::Start(start) => {
                    self.budget.open(self.at())?;
                    let name = start.local_name().into_inner();
                    let tag = Tag::from_name(name.as_bytes());
                    if tag == Tag::Other {
                        self.other.clear();
                        self.other.push_str(name);
                    }
                    return Ok(Some(tag));
                }
                Event::End(_) => {
                    self.budget.close();
                    return Ok(None);
                }
                _ => {}
            }
        }
    }

    fn content(&mut self, into: &mut Vec<u8>) -> Result<Nature, DecodeError> {
        let (start, length) = (self.at(), into.len());
        let mut markup = false;
        loop {
            let end = self.at();
            match self.next()? {
                Event::Text(piece) => self.append(into, &piece)?,
                Event::CData(piece) => self.append(into, &piece)?,
                Event::GeneralRef(reference) => resolve(&reference, into),
                Event::Start(_) => {
                    self.budget.open(self.at())?;
                    self.skip()?;
                    markup = true;
                }
                Event::End(_) => {
                    self.budget.close();
                    if markup {
                        // A document that should have been escaped: kept as it stands.
                        into.truncate(length);
                        self.append(into, self.body.get(start..end).unwrap_or_default())?;
                    }
                    return Ok(Nature::Text);
                }
                _ => {}
            }
        }
    }

    fn other(&self) -> &str {
        &self.other
    }

    fn at(&self) -> usize {
        offset(self.source.buffer_position())
    }
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// Appends what the reference stands for. An entity that XML does not have stays as it was written.
fn resolve(reference: &BytesRef<'_>, into: &mut Vec<u8>) {
    let mut buffer = [0; 4];
    match (&**reference, reference.resolve_char_ref()) {
        (_, Ok(Some(character))) => into.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes()),
        ("amp", _) => into.push(b'&'),
        ("apos", _) => into.push(b'\''),
        ("gt", _) => into.push(b'>'),
        ("lt", _) => into.push(b'<'),
        ("quot", _) => into.push(b'"'),
        (name, _) => {
            into.push(b'&');
            into.extend_from_slice(name.as_bytes());
            into.push(b';');
        }
    }
}
