//! Package 0 as a whole: a trigger with the digest that proves who sent it.
use super::cursor::Cursor;
use super::{NotificationError, Trigger};
use crate::credentials::{notification_digest, same_octets};

/// The nonces of a digest where server and device have lost the one between them, in the two readings of `0x00000000` that clients have: four
/// octets and ten characters (OMA DM Security 1.2, 5.3).
pub const ZERO_NONCES: [&[u8]; 2] = [&[0; 4], b"0x00000000"];

/// A notification (OMA DM Notification 1.2, 6.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notification {
    /// The digest over the trigger.
    pub digest: [u8; 16],
    /// What it says.
    pub trigger: Trigger,
}

impl Notification {
    /// A trigger signed with the server's [account hash](crate::credentials::account_hash) and the nonce it was given last.
    #[must_use]
    pub fn sign(trigger: Trigger, account_hash: &str, nonce: &[u8]) -> Self {
        Self { digest: notification_digest(account_hash, nonce, &trigger.encode()), trigger }
    }

    /// Whether the server of that account hash made it, with that nonce.
    #[must_use]
    pub fn is_signed(&self, account_hash: &str, nonce: &[u8]) -> bool {
        same_octets(&self.digest, &notification_digest(account_hash, nonce, &self.trigger.encode()))
    }

    /// The notification as it is transmitted.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [&self.digest[..], &self.trigger.encode()].concat()
    }

    /// Reads one.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotificationError> {
        let mut cursor = Cursor::new(bytes);
        Ok(Self { digest: cursor.array()?, trigger: Trigger::read(&mut cursor)? })
    }
}

/// Whether a SessionID is that of a notification with this number: in hexadecimal, and on some clients with its bytes the other way round.
#[must_use]
pub fn is_session(text: &str, session: u16) -> bool {
    let said = u16::from_str_radix(text, 16).ok().filter(|_| text.len() <= 4 && !text.starts_with('+'));
    said.is_some_and(|said| said == session || said == session.swap_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::UiMode;
    use super::*;
    use crate::credentials::account_hash;
    use crate::device::Initiator;

    fn octets(hex: &str) -> Vec<u8> {
        let hex: String = hex.split_whitespace().collect();
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// S-NT-01: the trigger of the first is the example of the specification.
    #[test]
    fn package_0_has_the_bytes_of_the_specification() {
        let manage = Trigger::new("com.mgmtsrv.manage", 0x1234).unwrap().with_ui(UiMode::Background).by(Initiator::Client);
        let user = Trigger::new("funambol", 1).unwrap().with_ui(UiMode::Background);
        let later = Trigger::new("mgmt.example", 0xBEEF).unwrap().with_ui(UiMode::Informative).in_version(12);
        let name = "12 636f6d2e6d676d747372762e6d616e616765";
        for (trigger, secret, nonce, expected) in [
            (&manage, "srvpwd", &b"Nonce"[..], format!("10369e83e3fc7103a4a21acce6e242ae 02d0000000 1234 {name}")),
            (&manage, "srvpwd", &[0; 4], format!("e37fdc0f8e9070fc31b0967910b921af 02d0000000 1234 {name}")),
            (&user, "srvpwd", b"", "60ca094568a8530244f0f197f6495247 02d8000000 0001 08 66756e616d626f6c".to_owned()),
            (
                &later,
                "0123456789abcdef",
                b"0123456789abcdef",
                "10e39dc5ae45c6f44341ffa281f8fa89 0328000000 beef 0c 6d676d742e6578616d706c65".to_owned(),
            ),
        ] {
            let account = account_hash(trigger.server_id(), secret);
            let notification = Notification::sign(trigger.clone(), &account, nonce);
            assert_eq!(notification.encode(), octets(&expected));
            let read = Notification::decode(&octets(&expected)).unwrap();
            assert_eq!(read, notification);
            assert!(read.is_signed(&account, nonce) && !read.is_signed(&account, b"other"));
            assert!(!read.is_signed(&account_hash(trigger.server_id(), "wrong"), nonce));
        }
    }

    #[test]
    fn whatever_is_cut_off_or_added_is_noticed_or_kept() {
        let whole = Notification::sign(Trigger::new("dm.example", 7).unwrap(), &account_hash("dm.example", "s"), b"n").encode();
        for length in 0..whole.len() {
            assert!(matches!(Notification::decode(&whole[..length]), Err(NotificationError::Truncated { .. })), "{length}");
        }
        let account = account_hash("dm.example", "s");
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x41;
            // A longer name is missing its end, a shorter one leaves bytes of a vendor's, and all else is covered by the digest.
            if let Ok(read) = Notification::decode(&damaged) {
                assert_eq!(read.encode(), damaged);
                assert!(!read.is_signed(&account, b"n"), "{at}");
            }
        }
        let vendor = Trigger::new("dm.example", 7).unwrap().with_vendor(b"extra");
        let signed = Notification::sign(vendor, &account, b"n");
        let read = Notification::decode(&signed.encode()).unwrap();
        assert_eq!(read.trigger.vendor(), b"extra");
        assert!(read.is_signed(&account, b"n"));
    }

    #[test]
    fn the_bits_for_future_use_are_kept_so_that_the_digest_holds() {
        let mut bytes = Trigger::new("a", 1).unwrap().encode();
        bytes[3] = 0x5A;
        let digest = notification_digest("account", b"n", &bytes);
        let read = Notification::decode(&[&digest[..], &bytes].concat()).unwrap();
        assert!(read.is_signed("account", b"n"));
    }

    #[test]
    fn a_server_that_cannot_be_named_sends_nothing() {
        for wrong in ["", "ä", &"x".repeat(256)] {
            assert_eq!(Trigger::new(wrong, 1), Err(NotificationError::ServerId));
        }
        assert!(Trigger::new(&"x".repeat(255), 1).is_ok());
        let empty = [&[0; 16][..], &[2, 0xC0, 0, 0, 0, 0, 1, 0]].concat();
        assert_eq!(Notification::decode(&empty), Err(NotificationError::Malformed { at: 24 }));
    }

    #[test]
    fn a_session_is_known_by_its_number_and_by_its_bytes_swapped() {
        for (text, session, is) in [
            ("1234", 0x1234, true),
            ("3412", 0x1234, true),
            ("12", 0x12, true),
            ("1200", 0x12, true),
            ("0012", 0x12, true),
            ("beef", 0xBEEF, true),
            ("EFBE", 0xBEEF, true),
            ("4321", 0x1234, false),
            ("", 0x12, false),
            ("+12", 0x12, false),
            ("00012", 0x12, false),
            ("x", 1, false),
        ] {
            assert_eq!(is_session(text, session), is, "{text} {session:x}");
        }
    }
}
