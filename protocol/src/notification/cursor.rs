//! Reads bytes, never past their end.
use super::NotificationError;

/// A place in some bytes.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The start of the bytes.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The next byte, without reading it.
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Result<u8, NotificationError> {
        let byte = self.peek().ok_or(NotificationError::Truncated { at: self.at })?;
        self.at += 1;
        Ok(byte)
    }

    /// So many bytes.
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], NotificationError> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(NotificationError::Truncated { at: self.bytes.len() })?;
        self.at += length;
        Ok(taken)
    }

    /// So many bytes, as many as there are in the array.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], NotificationError> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_length| NotificationError::Truncated { at })
    }

    /// What is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        rest
    }

    /// The text up to the next NUL, which is read, too.
    pub(super) fn text(&mut self) -> Result<&'a [u8], NotificationError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == 0);
        let length = length.ok_or(NotificationError::Truncated { at: self.bytes.len() })?;
        let text = self.take(length)?;
        self.at += 1;
        Ok(text)
    }

    /// A `uintvar` (WAP-230-WSP, 8.1.2): seven bits a byte, the highest first, in at most five bytes.
    pub(super) fn number(&mut self) -> Result<usize, NotificationError> {
        let malformed = NotificationError::Malformed { at: self.at };
        let mut value = 0_usize;
        for _ in 0..5 {
            let byte = self.byte()?;
            value = value.checked_mul(1 << 7).and_then(|high| high.checked_add(usize::from(byte & 0x7F))).ok_or(malformed)?;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed)
    }
}
