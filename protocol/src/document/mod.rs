//! A document as elements, whatever it says: for people who want to see and to change what a device sent.
//!
//! A [`crate::message::Message`] says what a message means; a [`Document`] keeps every element, also those that mean nothing to us, and has a view as
//! JSON: each element is an object with its name as a member, whose value is a text, a list of elements, `null` where there is nothing, or
//! `{"base64": …}` for octets; where it has attributes, `"@"` is the other member. WBXML has no attributes; default namespaces, prefixes of
//! elements, comments and layout are not kept.
mod json;
mod write;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::encoding::{self, DecodeError, Encoding, Form, Piece, PublicId, Pull, Tag, into_text};
use crate::{wbxml, xml};

/// A message, a tree or a description as elements.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Document {
    /// The public identifier, where it came in WBXML and is one of SyncML's.
    pub public_id: Option<PublicId>,
    /// The outermost element.
    pub root: Element,
}

/// An element.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Element {
    /// The local name. One of a token that nobody knows is `token-PAGE-TOKEN`, the latter in hexadecimal digits.
    pub name: String,
    /// Its attributes in XML, as they are written, without the namespace of elements.
    pub attributes: Vec<(String, String)>,
    /// What is in it.
    pub content: Content,
}

/// What is in an element.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// Elements; texts between them are passed over.
    Children(Vec<Element>),
    /// Nothing.
    Empty,
    /// Octets that are no text (WBXML `OPAQUE`).
    Octets(Vec<u8>),
    /// A text.
    Text(String),
}

/// Why a document cannot be written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// A name is not one of XML.
    #[error("`{0}` cannot be the name of an element or an attribute")]
    Name(String),
}

impl Document {
    /// Reads a document. Its limits are [`encoding::MAX_DEPTH`], [`encoding::MAX_TREE_ELEMENTS`] and [`encoding::MAX_TEXT`].
    pub fn decode(encoding: Encoding, body: &[u8]) -> Result<Self, DecodeError> {
        match encoding {
            Encoding::Wbxml => {
                let mut root = read(wbxml::Reader::of_any(body)?)?;
                root.settle(false);
                Ok(Self { public_id: Form::of(body, None).public_id, root })
            }
            Encoding::Xml => {
                let text = xml::text(body);
                let root = read(xml::Reader::of_document(&text)).map_err(|error| error.moved(|at| xml::place(body, at)))?;
                Ok(Self { public_id: None, root })
            }
        }
    }

    /// What can be read of a body that may be no document: the elements up to the first fault. A leaf that does not end is left out.
    #[must_use]
    pub fn beginning(encoding: Encoding, body: &[u8]) -> Option<Self> {
        match encoding {
            Encoding::Wbxml => {
                let mut root = begun(wbxml::Reader::of_any(body).ok()?)?;
                root.settle(false);
                Some(Self { public_id: Form::of(body, None).public_id, root })
            }
            Encoding::Xml => begun(xml::Reader::of_tree(&xml::text(body))).map(|root| Self { public_id: None, root }),
        }
    }
}

fn begun<'a>(mut pull: impl Pull<'a>) -> Option<Element> {
    loop {
        match pull.piece().ok()? {
            Piece::Open(tag) => return beginning(&mut pull, tag).0,
            Piece::Part(_) => {}
            Piece::Close => return None,
        }
    }
}

/// The element as far as it goes, and whether it goes to its end.
fn beginning<'a>(pull: &mut impl Pull<'a>, tag: Tag) -> (Option<Element>, bool) {
    let name = if tag == Tag::Other { pull.other() } else { tag.name() }.to_owned();
    let attributes = pull.attributes();
    let mut children = Vec::new();
    let mut whole = None::<encoding::Content<'a>>;
    let is_whole = loop {
        match pull.piece() {
            Ok(Piece::Close) => break true,
            Ok(Piece::Open(tag)) => {
                let (child, goes_on) = beginning(pull, tag);
                children.extend(child);
                if !goes_on {
                    break false;
                }
            }
            Ok(Piece::Part(part)) => {
                whole = Some(match whole {
                    Some(whole) => whole.and(part),
                    None => part,
                });
            }
            Err(_fault) => break false,
        }
    };
    if !is_whole && children.is_empty() {
        return (None, false);
    }
    (Some(Element { name, attributes, content: content(children, whole) }), is_whole)
}

fn content(children: Vec<Element>, whole: Option<encoding::Content<'_>>) -> Content {
    match whole {
        _ if !children.is_empty() => Content::Children(children),
        None => Content::Empty,
        Some(encoding::Content::Opaque(octets)) => Content::Octets(octets.into_owned()),
        Some(content) => Content::Text(content.into_text()),
    }
}

fn read<'a>(mut pull: impl Pull<'a>) -> Result<Element, DecodeError> {
    loop {
        match pull.piece()? {
            Piece::Open(tag) => return element(&mut pull, tag),
            Piece::Part(_) => {}
            Piece::Close => return Err(DecodeError::Malformed { at: pull.at() }),
        }
    }
}

fn element<'a>(pull: &mut impl Pull<'a>, tag: Tag) -> Result<Element, DecodeError> {
    let name = if tag == Tag::Other { pull.other() } else { tag.name() }.to_owned();
    let attributes = pull.attributes();
    let mut children = Vec::new();
    let mut whole = None::<encoding::Content<'a>>;
    loop {
        match pull.piece()? {
            Piece::Close => break,
            Piece::Open(tag) => children.push(element(pull, tag)?),
            Piece::Part(part) => {
                whole = Some(match whole {
                    Some(whole) => whole.and(part),
                    None => part,
                });
            }
        }
    }
    Ok(Element { name, attributes, content: content(children, whole) })
}

impl Element {
    /// Makes texts of octets where nothing is lost by that. What an item in the format `bin` holds stays octets; `is_bin` says so of what is around it.
    fn settle(&mut self, is_bin: bool) {
        match &mut self.content {
            Content::Children(children) => {
                let holds = |child: &Self| child.name == Tag::Data.name() || child.name == Tag::Item.name();
                children.iter_mut().filter(|child| !holds(child)).for_each(|child| child.settle(false));
                let is_bin = self.text(&["Meta", "Format"]).map_or(is_bin, |format| format.trim() == "bin");
                if let Content::Children(children) = &mut self.content {
                    children.iter_mut().filter(|child| holds(child)).for_each(|child| child.settle(is_bin));
                }
            }
            Content::Octets(octets) if !(is_bin && self.name == Tag::Data.name()) => {
                let text = into_text(Cow::Borrowed(octets));
                if text.as_bytes() == octets {
                    self.content = Content::Text(text);
                }
            }
            Content::Empty | Content::Octets(_) | Content::Text(_) => {}
        }
    }

    /// The text of the element at that path of names below this one, if there is one; octets as a message reads them, whatever is lost by that.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> Option<Cow<'_, str>> {
        match (&self.content, path.split_first()) {
            (Content::Text(text), None) => Some(Cow::Borrowed(text)),
            (Content::Octets(octets), None) => Some(Cow::Owned(into_text(Cow::Borrowed(octets)))),
            (Content::Empty, None) => Some(Cow::Borrowed("")),
            (Content::Children(children), Some((name, rest))) => children.iter().find(|child| child.name == *name)?.text(rest),
            _ => None,
        }
    }
}
