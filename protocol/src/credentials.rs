//! Credentials of both sides: basic, md5 and MAC (OMA DM Security 1.2).
use std::hint::black_box;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use md5::{Digest as _, Md5};

/// Base64 as clients write it: with padding or without, and with whatever in the bits that do not count.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// The Data of `syncml:auth-basic`: base64 of `user:password`.
#[must_use]
pub fn basic(user: &str, password: &str) -> String {
    STANDARD.encode(format!("{user}:{password}"))
}

/// What a side has to keep in order to check or make digests: base64 of the MD5 of `user:password`. It is as secret as the password.
#[must_use]
pub fn account_hash(user: &str, password: &str) -> String {
    hash(&[user.as_bytes(), b":", password.as_bytes()])
}

/// The Data of `syncml:auth-md5` for the octets of a nonce.
#[must_use]
pub fn digest(account_hash: &str, nonce: &[u8]) -> String {
    hash(&[account_hash.as_bytes(), b":", nonce])
}

/// The `mac` of an `x-syncml-hmac` header for a body exactly as it is transmitted.
#[must_use]
pub fn mac(account_hash: &str, nonce: &[u8], body: &[u8]) -> String {
    mac_over(account_hash, nonce, &body_hash(body))
}

/// What stands for a body in the MACs over it: base64 of its MD5.
#[must_use]
pub fn body_hash(body: &[u8]) -> String {
    hash(&[body])
}

/// The [`mac`] for a body that has this [`body_hash`].
#[must_use]
pub fn mac_over(account_hash: &str, nonce: &[u8], body_hash: &str) -> String {
    hash(&[account_hash.as_bytes(), b":", nonce, b":", body_hash.as_bytes()])
}

/// The digest of a notification over its trigger (OMA DM Notification 1.2, 6.2.1): octets, where a [`mac`] is their base64. The account is the
/// server's identifier and secret, the nonce the one it was given for its next digest.
#[must_use]
pub fn notification_digest(account_hash: &str, nonce: &[u8], trigger: &[u8]) -> [u8; 16] {
    octets(&[account_hash.as_bytes(), b":", nonce, b":", hash(&[trigger]).as_bytes()])
}

/// The octets of a nonce from the text of a `NextNonce` or a setting. A text that is no base64 is taken as the nonce itself.
#[must_use]
pub fn decode_nonce(text: &str) -> Vec<u8> {
    let compact: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    LENIENT.decode(&compact).unwrap_or_else(|_no_base64| text.as_bytes().to_vec())
}

/// Whether two texts are the same, in a time that depends on their lengths only.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    same_octets(a.as_bytes(), b.as_bytes())
}

/// Whether two rows of octets are the same, in a time that depends on their lengths only.
#[must_use]
pub fn same_octets(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| black_box(difference | (a ^ b)));
    black_box(difference) == 0
}

/// Whether a digest or MAC that a client sent is the expected one. The base64 may lack its padding, and may be of the digest in hexadecimal
/// characters, as the example of OMA DM Security 1.2 has it. Takes the same time wherever the two differ.
#[must_use]
pub fn same_digest(expected: &str, sent: &str) -> bool {
    let (expected, sent) = (LENIENT.decode(expected), LENIENT.decode(sent.trim()));
    let (Ok(expected), Ok(sent)) = (expected, sent) else { return false };
    let hex = |octets: &[u8]| octets.iter().fold(String::new(), |text, octet| format!("{text}{octet:02x}"));
    let (expected, plain) = (hex(&expected), hex(&sent));
    let spelled = String::from_utf8(sent).map(|text| text.to_ascii_lowercase()).unwrap_or_default();
    same(&expected, &plain) | same(&expected, &spelled)
}

fn hash(pieces: &[&[u8]]) -> String {
    STANDARD.encode(octets(pieces))
}

fn octets(pieces: &[&[u8]]) -> [u8; 16] {
    pieces.iter().fold(Md5::new(), |md5, piece| md5.chain_update(piece)).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRUCE: (&str, &str) = ("Bruce2", "OhBehave");
    const PACKAGE: &str = "<SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>\
        <SessionID>1</SessionID><MsgID>2</MsgID><Target><LocURI>IMEI:1</LocURI></Target><Source><LocURI>http://s/dm</LocURI></Source>\
        </SyncHdr><SyncBody><Status><CmdID>1</CmdID><MsgRef>2</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>200</Data></Status>\
        <Final/></SyncBody></SyncML>";

    #[test]
    fn basic_is_as_published() {
        assert_eq!(basic(BRUCE.0, BRUCE.1), "QnJ1Y2UyOk9oQmVoYXZl");
    }

    #[test]
    fn a_digest_is_as_published_and_as_real_clients_make_it() {
        let cases: [(&str, &str, &[u8], &str); 7] = [
            (BRUCE.0, BRUCE.1, b"Nonce", "Zz6EivR3yeaaENcRN6lpAQ=="),
            (BRUCE.0, BRUCE.1, b"", "lEf25jyjHbCcTbj4p/1pUw=="),
            (BRUCE.0, BRUCE.1, &[0; 4], "cnPI6nO9RgujiHU0y58kNA=="),
            (BRUCE.0, BRUCE.1, b"0x00000000", "/rEaWnNuFj+omqNv8Zls6w=="),
            ("funambol", "funambol", b"0123456789abcdef", "roRfutGSxplJLvz/U9cE+A=="),
            ("funambol", "funambol", &decode_nonce("yMnKy8zNzs/Q0dLT1NXW1w=="), "ljPgcrP9Kb56nuUu5bp4SQ=="),
            ("funambol", "srvpwd", b"", "Lx7CSZp0iHRedCEbryGJuw=="),
        ];
        for (user, password, nonce, expected) in cases {
            assert_eq!(digest(&account_hash(user, password), nonce), expected);
        }
        assert_eq!(account_hash(BRUCE.0, BRUCE.1), "PtEdr8lBQ45IbT1bZIkrOQ==");
    }

    #[test]
    fn a_mac_covers_the_body_as_it_is_transmitted() {
        let account = account_hash(BRUCE.0, BRUCE.1);
        assert_eq!(mac(&account, b"Nonce", b""), "gbjsdKI2jLRPFi9gmOstJg==");
        assert_eq!(mac(&account, b"Nonce", b"<SyncML/>"), "urdCeS3JUmjFgi8SX3webw==");
        assert_eq!(mac(&account, b"Nonce", PACKAGE.as_bytes()), "ny1ys9NADVKc3yOgzzal5A==");
    }

    #[test]
    fn a_nonce_is_read_however_it_is_written() {
        assert_eq!(decode_nonce("Tm9uY2U="), b"Nonce");
        assert_eq!(decode_nonce("Tm9uY2U"), b"Nonce");
        assert_eq!(decode_nonce(" ZG9iZWhh\r\ndmUNCg=="), b"dobehave\r\n");
        assert_eq!(decode_nonce("not base64!"), b"not base64!");
        assert_eq!(decode_nonce("Nonce"), b"Nonce");
        assert_eq!(decode_nonce(""), b"");
    }

    #[test]
    fn texts_are_the_same_only_when_they_are_equal() {
        assert!(same("", "") && same("secret", "secret"));
        assert!(!same("secret", "secres") && !same("secret", "secret ") && !same("", "a") && !same("Secret", "secret"));
    }

    #[test]
    fn a_digest_may_come_without_padding_or_in_hexadecimal() {
        let expected = digest(&account_hash(BRUCE.0, BRUCE.1), b"Nonce");
        let hex = "673e848af477c9e69a10d71137a96901";
        assert!(same_digest(&expected, &expected) && same_digest(&expected, expected.trim_end_matches('=')));
        assert!(same_digest(&expected, STANDARD.encode(hex).trim_end_matches('=')));
        assert!(
            !same_digest(&expected, hex) && !same_digest(&expected, "") && !same_digest(&expected, "gbjsdKI2jLRPFi9gmOstJg==")
        );
        assert!(!same_digest("", "!"));
    }
}
