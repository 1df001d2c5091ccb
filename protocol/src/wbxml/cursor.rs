//! Reads the primitive values of WBXML, never past the end and never more than is there.
use super::token;
use crate::encoding::DecodeError;

/// A place in a document.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The start of the document.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The next byte, which stays the next one.
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = self.bytes.get(self.at).copied().ok_or(DecodeError::Truncated { at: self.at })?;
        self.at += 1;
        Ok(byte)
    }

    /// The next bytes, as many as the document says and has.
    pub(super) fn take(&mut self, length: u32) -> Result<&'a [u8], DecodeError> {
        let truncated = DecodeError::Truncated { at: self.at };
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length)).ok_or(truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(taken)
    }

    /// The bytes up to the next NUL, and past it.
    pub(super) fn string(&mut self) -> Result<&'a [u8], DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = memchr::memchr(0, rest).ok_or(DecodeError::Truncated { at: self.at })?;
        self.at += length + 1;
        Ok(rest.get(..length).unwrap_or_default())
    }

    /// The one string inline that is all there is before the end of the element, and past that end: how nearly every text stands there.
    pub(super) fn only_string(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?.strip_prefix(&[token::STR_I])?;
        let length = memchr::memchr(0, rest)?;
        let (text, end) = rest.split_at_checked(length)?;
        end.starts_with(&[0, token::END]).then(|| {
            self.at = self.at.saturating_add(length).saturating_add(3);
            text
        })
    }

    /// A `mb_u_int32`: seven bits a byte, the highest first, in at most five bytes.
    pub(super) fn number(&mut self) -> Result<u32, DecodeError> {
        let malformed = DecodeError::Malformed { at: self.at };
        let mut value = 0_u32;
        for _ in 0..5 {
            let byte = self.byte()?;
            value = value.checked_mul(1 << 7).and_then(|high| high.checked_add(u32::from(byte & 0x7F))).ok_or(malformed)?;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_at_most_five_bytes_and_32_bits() {
        let number = |bytes: &[u8]| Cursor::new(bytes).number();
        assert_eq!(number(&[0x00]), Ok(0));
        assert_eq!(number(&[0xA4, 0x01]), Ok(0x1201));
        assert_eq!(number(&[0x8F, 0xFF, 0xFF, 0xFF, 0x7F]), Ok(u32::MAX));
        assert_eq!(number(&[0x90, 0x80, 0x80, 0x80, 0x00]), Err(DecodeError::Malformed { at: 0 }));
        assert_eq!(number(&[0x80; 6]), Err(DecodeError::Malformed { at: 0 }));
        assert_eq!(number(&[0x81]), Err(DecodeError::Truncated { at: 1 }));
    }

    #[test]
    fn nothing_is_taken_that_is_not_there() {
        let mut cursor = Cursor::new(b"ab\0c");
        assert_eq!(cursor.take(5), Err(DecodeError::Truncated { at: 0 }));
        assert_eq!(cursor.take(u32::MAX), Err(DecodeError::Truncated { at: 0 }));
        assert_eq!(cursor.string(), Ok(&b"ab"[..]));
        assert_eq!(cursor.string(), Err(DecodeError::Truncated { at: 3 }));
    }
}
