//! The HTTP header `x-syncml-hmac`: a MAC over a message as it goes over the wire (OMA DM Security 1.2, 5.4).
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::credentials;

/// The name of the header, on requests and on answers.
pub const HEADER: &str = "x-syncml-hmac";

/// What the header says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mac {
    /// None stands for MD5.
    algorithm: Option<String>,
    user: Option<String>,
    mac: String,
}

impl Mac {
    /// The MAC by which `user` vouches for a body.
    #[must_use]
    pub fn of(user: &str, account_hash: &str, nonce: &[u8], body: &[u8]) -> Self {
        Self { algorithm: None, user: Some(user.to_owned()), mac: credentials::mac(account_hash, nonce, body) }
    }

    /// Reads the value of the header: its parameters may come in any order and case, with blanks and quotes wherever clients put them. None where
    /// there is no MAC in it, or where it says something twice.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mut algorithm, mut user, mut mac) = (None, None, None);
        let mut rest = text.trim_start_matches([' ', '\t', ',']);
        while !rest.is_empty() {
            let (name, value) = rest.split_once('=')?;
            let (value, after) = value_of(value)?;
            let place = match name.trim().to_ascii_lowercase().as_str() {
                "algorithm" => &mut algorithm,
                "username" => &mut user,
                "mac" => &mut mac,
                _ => &mut None,
            };
            if place.replace(value).is_some() {
                return None;
            }
            rest = after.trim_start_matches([' ', '\t', ',']);
        }
        let mac = mac.filter(|mac| !mac.is_empty())?;
        Some(Self { algorithm: algorithm.filter(|name| !name.is_empty()), user, mac })
    }

    /// Whether it names that user, or nobody: the MAC covers the name as well.
    #[must_use]
    pub fn is_by(&self, user: &str) -> bool {
        self.user.as_ref().is_none_or(|own| own == user)
    }

    /// Whether it is the MAC over a body that has this [`credentials::body_hash`]. Takes the same time wherever the two differ.
    #[must_use]
    pub fn is_over(&self, account_hash: &str, nonce: &[u8], body_hash: &str) -> bool {
        let is_md5 = self.algorithm.as_ref().is_none_or(|name| name.eq_ignore_ascii_case("MD5"));
        is_md5 && credentials::same_digest(&credentials::mac_over(account_hash, nonce, body_hash), &self.mac)
    }

    /// The same in the form of the published example: base64 of the digest in hexadecimal characters, without padding.
    #[must_use]
    pub fn in_hexadecimal(self) -> Self {
        let octets = credentials::decode_nonce(&self.mac);
        let text = octets.iter().fold(String::new(), |text, octet| format!("{text}{octet:02x}"));
        Self { mac: STANDARD_NO_PAD.encode(text), ..self }
    }
}

impl fmt::Display for Mac {
    /// Algorithm, name and MAC, in the order and with the blanks that every known client reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("algorithm=MD5, username=\"")?;
        for character in self.user.iter().flat_map(|user| user.chars()) {
            if matches!(character, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        write!(f, "\", mac={}", self.mac)
    }
}

/// The value at the beginning of a text, in quotes or up to a comma, and what comes after it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, after) = text.split_once(',').unwrap_or((text, ""));
        return Some((value.trim().to_owned(), after));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at.saturating_add(1)..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"<SyncML/>";

    fn bruce() -> String {
        credentials::account_hash("Bruce2", "OhBehave")
    }

    fn is_right(header: &str) -> bool {
        let over = |mac: &Mac, body: &[u8]| mac.is_by("Bruce2") && mac.is_over(&bruce(), b"Nonce", &credentials::body_hash(body));
        Mac::parse(header).is_some_and(|mac| over(&mac, BODY) && !over(&mac, b"<SyncML />"))
    }

    #[test]
    fn a_header_is_written_in_the_one_order_that_all_clients_read() {
        let mac = Mac::of("Bruce2", &bruce(), b"Nonce", BODY);
        assert_eq!(mac.to_string(), "algorithm=MD5, username=\"Bruce2\", mac=urdCeS3JUmjFgi8SX3webw==");
        assert!(is_right(&mac.to_string()));
        let odd = Mac::of("a\"b\\c, mac=\u{e4}", &bruce(), b"", b"");
        assert!(Mac::parse(&odd.to_string()).unwrap().is_by("a\"b\\c, mac=\u{e4}"));
    }

    #[test]
    fn a_header_is_read_however_clients_write_it() {
        for header in [
            "algorithm=MD5,username=\"Bruce2\",mac=urdCeS3JUmjFgi8SX3webw==",
            "mac=urdCeS3JUmjFgi8SX3webw==, username=\"Bruce2\"",
            "  USERNAME = \"Bruce2\" ,\tMac = \"urdCeS3JUmjFgi8SX3webw\" , Algorithm = \"md5\" ,",
            "username=Bruce2, mac=urdCeS3JUmjFgi8SX3webw, realm=\"a, mac=b\"",
            "mac=urdCeS3JUmjFgi8SX3webw==",
        ] {
            assert!(is_right(header), "{header}");
        }
        let hexadecimal = Mac::of("Bruce2", &bruce(), b"Nonce", BODY).in_hexadecimal();
        assert!(is_right(&hexadecimal.to_string()) && !hexadecimal.to_string().ends_with('='), "{hexadecimal}");
    }

    #[test]
    fn what_is_no_mac_or_another_is_refused() {
        for header in [
            "",
            "mac=",
            "username=\"Bruce2\"",
            "urdCeS3JUmjFgi8SX3webw==",
            "username=\"Bruce2, mac=urdCeS3JUmjFgi8SX3webw==",
            "mac=urdCeS3JUmjFgi8SX3webw==, mac=urdCeS3JUmjFgi8SX3webw==",
            "algorithm=SHA1, username=\"Bruce2\", mac=urdCeS3JUmjFgi8SX3webw==",
            "username=\"Bruce3\", mac=urdCeS3JUmjFgi8SX3webw==",
            "username=\"Bruce2\", mac=gbjsdKI2jLRPFi9gmOstJg==",
            "username=\"\\",
        ] {
            assert!(!is_right(header), "{header}");
        }
    }
}
