//! Names of nodes as addresses of the web write them (RFC 3986, 2.1).
use std::borrow::Cow;

use dmwsi_objects::node;

use crate::percent::escaped;

/// A name of which nothing but letters, digits and `-._~` stands as it is.
pub(super) fn encoded(name: &str) -> String {
    escaped(name, |octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~'))
}

/// An address with its names decoded; what is asked of the node stays.
pub(super) fn decoded_address(address: &str) -> String {
    let (path, question) = address.split_once('?').map_or((address, None), |(path, question)| (path, Some(question)));
    let names: Vec<_> = path.split('/').map(decoded).collect();
    let path = names.join("/");
    question.map_or(path.clone(), |question| format!("{path}?{question}"))
}

/// The name that is meant. One that is no encoding, or of what cannot stand in a name, stays as it is.
fn decoded(name: &str) -> Cow<'_, str> {
    let meant = node::decoded(name);
    if meant.contains(['/', '?']) || meant.contains(char::is_control) { Cow::Borrowed(name) } else { meant }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_from_its_encoding_and_no_name_becomes_two() {
        for (name, written) in [("A b", "A%20b"), ("\u{e9}~1", "%C3%A9~1"), ("100%", "100%25"), ("a?b", "a%3Fb")] {
            assert_eq!(encoded(name), written);
        }
        assert_eq!(decoded_address("./A%20b/100%25?prop=Name%20"), "./A b/100%?prop=Name%20");
        for stays in ["a%2Fb", "a%3Fb", "%zz", "%C3", "50%", "a%00"] {
            assert_eq!(decoded(stays), stays);
        }
    }
}
