//! Why a body is no message, and what a message may cost.

/// The deepest nesting of elements accepted; a message of DM needs 10.
pub const MAX_DEPTH: usize = 64;

/// The most elements in one message, known or not, that has no more than [`BYTES_PER_ELEMENT`] for each of them; an item takes 4 to 10 of them.
pub const MAX_ELEMENTS: usize = 10_000;

/// A longer message may have an element for so many of its bytes, so that any list fits that is within the size a device was told. The least that
/// lists of nodes were seen to have is six.
pub const BYTES_PER_ELEMENT: usize = 5;

/// The most elements in one tree, serialised or described; a node takes 5 to 20 of them.
pub const MAX_TREE_ELEMENTS: usize = 100_000;

/// The most text in one message, in bytes. It matters in WBXML, where three bytes can name a long text of the string table again and again.
pub const MAX_TEXT: usize = 8 * 1024 * 1024;

/// Why a body is no message; `at` is the offset in bytes where that was seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// It nests deeper than [`MAX_DEPTH`].
    #[error("elements nest too deeply at byte {at}")]
    Deep {
        /// Where.
        at: usize,
    },
    /// It holds more than [`MAX_TEXT`] bytes of text.
    #[error("too much text at byte {at}")]
    Long {
        /// Where.
        at: usize,
    },
    /// It is not well formed, or something else than SyncML.
    #[error("malformed at byte {at}")]
    Malformed {
        /// Where.
        at: usize,
    },
    /// It has more elements than [`MAX_ELEMENTS`], [`BYTES_PER_ELEMENT`] or [`MAX_TREE_ELEMENTS`] allow.
    #[error("too many elements at byte {at}")]
    Many {
        /// Where.
        at: usize,
    },
    /// An element without which no answer is possible is missing, empty, or no number where it has to be one.
    #[error("{what} is missing at byte {at}")]
    Missing {
        /// The element.
        what: &'static str,
        /// Where it could have been at the latest.
        at: usize,
    },
    /// It ends too early, or something in it claims to be longer than the rest of it.
    #[error("truncated at byte {at}")]
    Truncated {
        /// Where.
        at: usize,
    },
}

impl DecodeError {
    /// The offset in bytes where that was seen.
    #[must_use]
    pub const fn at(self) -> usize {
        match self {
            Self::Deep { at }
            | Self::Long { at }
            | Self::Malformed { at }
            | Self::Many { at }
            | Self::Missing { at, .. }
            | Self::Truncated { at } => at,
        }
    }

    /// The same, seen at another offset.
    pub(crate) fn moved(mut self, place: impl FnOnce(usize) -> usize) -> Self {
        match &mut self {
            Self::Deep { at }
            | Self::Long { at }
            | Self::Malformed { at }
            | Self::Many { at }
            | Self::Missing { at, .. }
            | Self::Truncated { at } => *at = place(*at),
        }
        self
    }
}

/// What a message has used of its limits so far.
#[derive(Debug)]
pub(crate) struct Budget {
    depth: usize,
    elements: usize,
    text: usize,
    most_elements: usize,
}

impl Budget {
    /// Nothing is used yet of what a message of so many bytes may cost.
    pub(crate) fn of_message(bytes: usize) -> Self {
        Self { most_elements: MAX_ELEMENTS.max(bytes / BYTES_PER_ELEMENT), ..Self::of_tree() }
    }

    /// Nothing is used yet of what a tree may cost.
    pub(crate) const fn of_tree() -> Self {
        Self { depth: 0, elements: 0, text: 0, most_elements: MAX_TREE_ELEMENTS }
    }

    /// Counts an element that begins.
    pub(crate) fn open(&mut self, at: usize) -> Result<(), DecodeError> {
        self.depth = self.depth.saturating_add(1);
        self.elements = self.elements.saturating_add(1);
        match () {
            () if self.depth > MAX_DEPTH => Err(DecodeError::Deep { at }),
            () if self.elements > self.most_elements => Err(DecodeError::Many { at }),
            () => Ok(()),
        }
    }

    /// Counts an element that ends.
    pub(crate) const fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Counts text that was found, before it is copied.
    pub(crate) fn text(&mut self, length: usize, at: usize) -> Result<(), DecodeError> {
        self.text = self.text.saturating_add(length);
        if self.text > MAX_TEXT { Err(DecodeError::Long { at }) } else { Ok(()) }
    }
}
