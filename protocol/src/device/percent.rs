//! Names of nodes as addresses of the web write them (RFC 3986, 2.1).
/// A name of which nothing but letters, digits and `-._~` stands as it is.
pub(super) fn encoded(name: &str) -> String {
    let each = name.bytes().map(|byte| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    each.collect()
}

/// An address with its names decoded; what is asked of the node stays.
pub(super) fn decoded_address(address: &str) -> String {
    let (path, question) = address.split_once('?').map_or((address, None), |(path, question)| (path, Some(question)));
    let names: Vec<_> = path.split('/').map(decoded).collect();
    let path = names.join("/");
    question.map_or(path.clone(), |question| format!("{path}?{question}"))
}

/// The name that is meant. One that is no encoding, or of what cannot stand in a name, stays as it is.
fn decoded(name: &str) -> String {
    let mut octets = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = if first == b'%' { tail.first_chunk::<2>() } else { None };
        let octet = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        octets.push(octet.unwrap_or(first));
        rest = if octet.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    let meant = String::from_utf8(octets).ok().filter(|meant| !meant.contains(['/', '?']) && !meant.contains(char::is_control));
    meant.unwrap_or_else(|| name.to_owned())
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
