//! Pulls elements out of WBXML.
use std::borrow::Cow;
use std::mem;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cursor::Cursor;
use super::head::Head;
use super::token;
use crate::encoding::{Budget, Content, DecodeError, Piece, Pull, Push as _, SYNCML, TREE, Tag};
use crate::xml;

/// Reads elements by their tokens. The code page holds until it is switched, across the ends of elements.
pub(crate) struct Reader<'a> {
    cursor: Cursor<'a>,
    /// The string table; the last text in it may lack its NUL.
    table: &'a [u8],
    page: u8,
    /// What the page of SyncML means: documents of the tree's language alone may begin on it.
    first_page: u8,
    /// The element just given has no content, so that no END will come.
    bare: bool,
    budget: Budget,
    other: String,
}

/// What a token stands for.
enum Lexeme<'a> {
    Content(Content<'a>),
    Element,
    Nothing,
}

impl<'a> Reader<'a> {
    /// Reads the head of a message: any public identifier is taken, for clients send wrong ones, and any charset is taken for UTF-8.
    pub(crate) fn new(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body);
        let Head { table, .. } = Head::read(&mut cursor)?;
        Ok(Self {
            cursor,
            table,
            page: SYNCML,
            first_page: SYNCML,
            bare: false,
            budget: Budget::of_message(body.len()),
            other: String::new(),
        })
    }

    /// Reads the head of a document that is a tree.
    pub(crate) fn of_tree(body: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { first_page: TREE, budget: Budget::of_tree(), ..Self::new(body)? })
    }

    /// Reads the head of a document that is either: one that begins with a tree on the first page is a tree.
    pub(crate) fn of_any(body: &'a [u8]) -> Result<Self, DecodeError> {
        let reader = Self { budget: Budget::of_tree(), ..Self::new(body)? };
        let first = reader.cursor.peek().map(|token| Tag::from_token(TREE, token & token::NUMBER));
        Ok(if first == Some(Tag::MgmtTree) { Self { first_page: TREE, ..reader } } else { reader })
    }

    fn lexeme(&mut self, token: u8) -> Result<Lexeme<'a>, DecodeError> {
        Ok(match token {
            token::ENTITY => {
                let character = char::from_u32(self.cursor.number()?).unwrap_or(char::REPLACEMENT_CHARACTER);
                Lexeme::Content(Content::Text(Cow::Owned(character.to_string().into_bytes())))
            }
            token::STR_I => {
                let text = self.cursor.string()?;
                self.budget.text(text.len(), self.cursor.at())?;
                Lexeme::Content(Content::Text(Cow::Borrowed(text)))
            }
            token::STR_T => Lexeme::Content(Content::Text(Cow::Borrowed(self.shared()?))),
            token::OPAQUE => {
                let length = self.cursor.number()?;
                let octets = self.cursor.take(length)?;
                self.budget.text(octets.len(), self.cursor.at())?;
                Lexeme::Content(Content::Opaque(Cow::Borrowed(octets)))
            }
            token::EXT_I_0..=token::EXT_I_2 => {
                self.cursor.string()?;
                Lexeme::Nothing
            }
            token::EXT_T_0..=token::EXT_T_2 => {
                self.cursor.number()?;
                Lexeme::Nothing
            }
            token::EXT_0..=token::EXT_2 => Lexeme::Nothing,
            token::PI => {
                self.attributes()?;
                Lexeme::Nothing
            }
            _ => Lexeme::Element,
        })
    }

    /// A text of the string table. It counts even where it is passed over, for its end has to be looked for.
    fn shared(&mut self) -> Result<&'a [u8], DecodeError> {
        let at = self.cursor.at();
        let index = self.cursor.number()?;
        let text = usize::try_from(index).ok().and_then(|index| self.table.get(index..)).ok_or(DecodeError::Malformed { at })?;
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        self.budget.text(text.len(), at)?;
        Ok(text)
    }

    /// Passes over attributes to their END. Their code pages are others than those of the tags.
    fn attributes(&mut self) -> Result<(), DecodeError> {
        loop {
            match self.cursor.byte()? {
                token::END => return Ok(()),
                token::SWITCH_PAGE => {
                    self.cursor.byte()?;
                }
                token if token & token::NUMBER == token::LITERAL => {
                    self.cursor.number()?;
                }
                // Inside attributes there is no PI; the byte is an attribute of its own there.
                token::PI => {}
                token => {
                    self.lexeme(token)?;
                }
            }
        }
    }

    /// Writes the element that just began as XML: a document in tokens of another page, which stands in a Data as it is.
    fn markup(&mut self, tag: Tag, writer: &mut xml::Writer) -> Result<(), DecodeError> {
        if tag == Tag::Other {
            return self.skip();
        }
        writer.open(tag);
        loop {
            match self.piece()? {
                Piece::Close => break,
                Piece::Open(tag) => self.markup(tag, writer)?,
                Piece::Part(Content::Opaque(octets)) if std::str::from_utf8(&octets).is_err() => {
                    writer.escaped(&STANDARD.encode(octets))
                }
                Piece::Part(part) => writer.escaped(&String::from_utf8_lossy(&part.bytes())),
            }
        }
        writer.close(tag);
        Ok(())
    }

    fn element(&mut self, token: u8) -> Result<Tag, DecodeError> {
        self.budget.open(self.cursor.at())?;
        let number = token & token::NUMBER;
        let tag = if number == token::LITERAL {
            let name = String::from_utf8_lossy(self.shared()?);
            let tag = Tag::from_name(name.as_bytes());
            if tag == Tag::Other {
                self.other.clear();
                self.other.push_str(&name);
            }
            tag
        } else {
            let page = if self.page == SYNCML { self.first_page } else { self.page };
            let tag = Tag::from_token(page, number);
            if tag == Tag::Other {
                self.other = format!("token-{page}-{number:02X}");
            }
            tag
        };
        if token & token::ATTRIBUTES != 0 {
            self.attributes()?;
        }
        self.bare = token & token::CONTENT == 0;
        Ok(tag)
    }
}

impl<'a> Pull<'a> for Reader<'a> {
    fn piece(&mut self) -> Result<Piece<'a>, DecodeError> {
        if mem::take(&mut self.bare) {
            self.budget.close();
            return Ok(Piece::Close);
        }
        loop {
            match self.cursor.byte()? {
                token::SWITCH_PAGE => self.page = self.cursor.byte()?,
                token::END => {
                    self.budget.close();
                    return Ok(Piece::Close);
                }
                token => match self.lexeme(token)? {
                    Lexeme::Content(content) => return Ok(Piece::Part(content)),
                    Lexeme::Element => return self.element(token).map(Piece::Open),
                    Lexeme::Nothing => {}
                },
            }
        }
    }

    // As it stands in the trait, without making values of what is passed over: most of a message is elements.
    fn child(&mut self) -> Result<Option<Tag>, DecodeError> {
        if mem::take(&mut self.bare) {
            self.budget.close();
            return Ok(None);
        }
        loop {
            match self.cursor.byte()? {
                token::SWITCH_PAGE => self.page = self.cursor.byte()?,
                token::END => {
                    self.budget.close();
                    return Ok(None);
                }
                token => {
                    if let Lexeme::Element = self.lexeme(token)? {
                        return self.element(token).map(Some);
                    }
                }
            }
        }
    }

    fn content(&mut self) -> Result<Content<'a>, DecodeError> {
        if !self.bare
            && let Some(text) = self.cursor.only_string()
        {
            self.budget.text(text.len(), self.cursor.at())?;
            self.budget.close();
            return Ok(Content::Text(Cow::Borrowed(text)));
        }
        let mut whole = Content::Text(Cow::Borrowed(b""));
        loop {
            match self.piece()? {
                Piece::Close => return Ok(whole),
                Piece::Open(tag) => {
                    let mut writer = xml::Writer::fragment(whole.bytes().into_owned());
                    self.markup(tag, &mut writer)?;
                    whole = Content::Text(Cow::Owned(writer.into_bytes()));
                }
                Piece::Part(part) => whole = whole.and(part),
            }
        }
    }

    fn other(&self) -> &str {
        &self.other
    }

    fn at(&self) -> usize {
        self.cursor.at()
    }
}
