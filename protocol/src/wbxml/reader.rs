//! Pulls elements out of WBXML.
use std::mem;

use super::cursor::Cursor;
use super::token;
use crate::encoding::{Budget, DecodeError, Nature, Pull, Tag};

/// Reads elements by their tokens. The code page holds until it is switched, across the ends of elements.
pub(crate) struct Reader<'a> {
    cursor: Cursor<'a>,
    /// The string table; the last text in it may lack its NUL.
    table: &'a [u8],
    page: u8,
    /// The element just given has no content, so that no END will come.
    bare: bool,
    budget: Budget,
    other: String,
}

/// What stands between two tags.
enum Piece<'a> {
    Character(char),
    Element,
    Nothing,
    Opaque(&'a [u8]),
    Text(&'a [u8]),
}

impl<'a> Reader<'a> {
    /// Reads the head of a document: any public identifier is taken, for clients send wrong ones, and any charset is taken for UTF-8.
    pub(crate) fn new(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body);
        if !matches!(cursor.byte()?, 1..=3) {
            return Err(DecodeError::Malformed { at: 0 });
        }
        if cursor.number()? == 0 {
            // The public identifier is a text of the string table.
            cursor.number()?;
        }
        cursor.number()?;
        let length = cursor.number()?;
        let table = cursor.take(length)?;
        Ok(Self { cursor, table, page: 0, bare: false, budget: Budget::default(), other: String::new() })
    }

    fn piece(&mut self, token: u8) -> Result<Piece<'a>, DecodeError> {
        Ok(match token {
            token::ENTITY => Piece::Character(char::from_u32(self.cursor.number()?).unwrap_or(char::REPLACEMENT_CHARACTER)),
            token::STR_I => {
                let text = self.cursor.string()?;
                self.budget.text(text.len(), self.cursor.at())?;
                Piece::Text(text)
            }
            token::STR_T => Piece::Text(self.shared()?),
            token::OPAQUE => {
                let length = self.cursor.number()?;
                let octets = self.cursor.take(length)?;
                self.budget.text(octets.len(), self.cursor.at())?;
                Piece::Opaque(octets)
            }
            token::EXT_I_0..=token::EXT_I_2 => {
                self.cursor.string()?;
                Piece::Nothing
            }
            token::EXT_T_0..=token::EXT_T_2 => {
                self.cursor.number()?;
                Piece::Nothing
            }
            token::EXT_0..=token::EXT_2 => Piece::Nothing,
            token::PI => {
                self.attributes()?;
                Piece::Nothing
            }
            _ => Piece::Element,
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
                    self.piece(token)?;
                }
            }
        }
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
            self.other.clear();
            Tag::from_token(self.page, number)
        };
        if token & token::ATTRIBUTES != 0 {
            self.attributes()?;
        }
        self.bare = token & token::CONTENT == 0;
        Ok(tag)
    }
}

impl Pull for Reader<'_> {
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
                    if let Piece::Element = self.piece(token)? {
                        return self.element(token).map(Some);
                    }
                }
            }
        }
    }

    fn content(&mut self, into: &mut Vec<u8>) -> Result<Nature, DecodeError> {
        let mut nature = Nature::Text;
        if mem::take(&mut self.bare) {
            self.budget.close();
            return Ok(nature);
        }
        loop {
            match self.cursor.byte()? {
                token::SWITCH_PAGE => self.page = self.cursor.byte()?,
                token::END => {
                    self.budget.close();
                    return Ok(nature);
                }
                token => match self.piece(token)? {
                    Piece::Character(character) => {
                        into.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                    // A document in tokens of another page, which has no text of its own.
                    Piece::Element => {
                        self.element(token)?;
                        self.skip()?;
                    }
                    Piece::Nothing => {}
                    Piece::Opaque(octets) => {
                        nature = Nature::Opaque;
                        into.extend_from_slice(octets);
                    }
                    Piece::Text(text) => into.extend_from_slice(text),
                },
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
