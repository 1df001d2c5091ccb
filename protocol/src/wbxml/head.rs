//! What stands before the elements of a document.
use super::cursor::Cursor;
use crate::encoding::DecodeError;

/// The head of a document; its charset is taken for UTF-8 whatever it says.
pub(crate) struct Head<'a> {
    /// The public identifier.
    pub(crate) public_id: Identifier<'a>,
    /// The string table; the last text in it may lack its NUL.
    pub(crate) table: &'a [u8],
}

/// A public identifier as it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Identifier<'a> {
    /// A number.
    Number(u32),
    /// A text of the string table, and whether its NUL is there.
    Text(&'a [u8], bool),
}

impl<'a> Head<'a> {
    /// The head of a body.
    pub(crate) fn of(body: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read(&mut Cursor::new(body))
    }

    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        if !matches!(cursor.byte()?, 1..=3) {
            return Err(DecodeError::Malformed { at: 0 });
        }
        let number = cursor.number()?;
        let index = if number == 0 { Some(cursor.number()?) } else { None };
        cursor.number()?;
        let length = cursor.number()?;
        let table = cursor.take(length)?;
        let public_id = match index {
            None => Identifier::Number(number),
            Some(index) => {
                // One beyond the table is as good as none: clients send wrong ones, and nothing depends on it.
                let rest = usize::try_from(index).ok().and_then(|index| table.get(index..)).unwrap_or_default();
                let text = rest.split(|byte| *byte == 0).next().unwrap_or_default();
                Identifier::Text(text, text.len() < rest.len())
            }
        };
        Ok(Self { public_id, table })
    }
}
