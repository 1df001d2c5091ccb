//! Octets as their numbers behind a percent sign (RFC 3986, 2.1).
use std::fmt::Write as _;

/// The text with a percent sign and its number in place of every octet that is not plain.
pub(crate) fn escaped(text: &str, is_plain: impl Fn(u8) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for octet in text.bytes() {
        if is_plain(octet) {
            escaped.push(char::from(octet));
        } else {
            // A String takes everything.
            write!(escaped, "%{octet:02X}").unwrap_or_default();
        }
    }
    escaped
}
