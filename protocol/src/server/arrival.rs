//! How a message came, which it cannot say itself.
use crate::mac::Mac;

/// How a message came. The default came with nothing but itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrival<'a> {
    /// It came to the session's own address (`RespURI`).
    pub at_respond_to: bool,
    /// Its octets as they came over the wire, which a MAC covers.
    pub body: &'a [u8],
    /// The MAC that came with it.
    pub mac: Option<&'a Mac>,
    /// The transport has proven that it is the device of the account that speaks.
    pub is_certified: bool,
}

impl Arrival<'_> {
    /// A message without more, at the session's own address or elsewhere.
    #[must_use]
    pub const fn bare(at_respond_to: bool) -> Self {
        Self { at_respond_to, body: &[], mac: None, is_certified: false }
    }
}
