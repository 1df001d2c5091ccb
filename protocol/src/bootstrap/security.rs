//! What makes a device believe what it is told before it knows its server (OMA WAP ProvBoot 1.1, 5; OMA DM Security 1.2, 5.7).
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

/// How many digits the PIN of [`Security::UserPinMac`] has: a MAC has no more octets to make as many again of.
const PIN_DIGITS: std::ops::RangeInclusive<usize> = 5..=20;

/// How many digits an IMSI has.
const IMSI_DIGITS: std::ops::RangeInclusive<usize> = 6..=15;

/// The key of a MAC, and whose it is. Without `Debug`.
#[derive(Clone, Eq, PartialEq)]
pub enum Security {
    /// Client Provisioning: what network and device share, in GSM the [`semi_octets`] of the IMSI.
    NetwPin(Vec<u8>),
    /// Client Provisioning: a PIN that the user is told by another way.
    UserPin(String),
    /// Client Provisioning: what network and device share, and the PIN.
    UserNetwPin(Vec<u8>, String),
    /// Client Provisioning: digits that the user is told beside a PIN of 5 to 20 digits, in place of a MAC in the message.
    UserPinMac(String),
    /// OMA DM: what network and device share.
    DmNetworkId(Vec<u8>),
    /// OMA DM: a PIN that the user is told by another way.
    DmUserPin(String),
    /// OMA DM: the PIN, and what network and device share.
    DmUserPinNetworkId(String, Vec<u8>),
}

/// What goes with a document. Without `Debug`.
#[derive(Clone, Eq, PartialEq)]
pub struct Proof {
    /// The parameter `SEC` of its media type.
    pub sec: &'static str,
    /// The parameter `MAC`, in hexadecimal digits; none where the user has it.
    pub mac: Option<String>,
    /// What the user types in, where that is more than the PIN.
    pub user_pin: Option<String>,
}

/// A key that cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SecurityError {
    /// No part of a key is empty.
    #[error("a PIN, or what network and device share, is empty")]
    Empty,
    /// The PIN of [`Security::UserPinMac`] has 5 to 20 decimal digits.
    #[error("a PIN beside which digits are told has 5 to 20 decimal digits")]
    Pin,
}

impl Security {
    /// The proof of a document, which is over all of its bytes.
    pub fn proof(&self, document: &[u8]) -> Result<Proof, SecurityError> {
        let mac = self.mac(document)?;
        let sec = match self {
            Self::NetwPin(_) => "0",
            Self::UserPin(_) => "1",
            Self::UserNetwPin(..) => "2",
            Self::UserPinMac(pin) => {
                if !PIN_DIGITS.contains(&pin.len()) || !pin.bytes().all(|c| c.is_ascii_digit()) {
                    return Err(SecurityError::Pin);
                }
                // As many digits again as the PIN has, each of one octet.
                let digits = mac.iter().take(pin.len()).map(|octet| char::from(b'0'.saturating_add(octet % 10)));
                return Ok(Proof { sec: "3", mac: None, user_pin: Some(pin.chars().chain(digits).collect()) });
            }
            Self::DmNetworkId(_) => "NETWORKID",
            Self::DmUserPin(_) => "USERPIN",
            Self::DmUserPinNetworkId(..) => "USERPIN_NETWORKID",
        };
        let hex = mac.iter().fold(String::with_capacity(40), |hex, octet| format!("{hex}{octet:02X}"));
        Ok(Proof { sec, mac: Some(hex), user_pin: None })
    }

    fn mac(&self, document: &[u8]) -> Result<[u8; 20], SecurityError> {
        let (parts, between): (Vec<&[u8]>, &[u8]) = match self {
            Self::NetwPin(shared) | Self::DmNetworkId(shared) => (vec![shared], b""),
            Self::UserPin(pin) | Self::UserPinMac(pin) | Self::DmUserPin(pin) => (vec![pin.as_bytes()], b""),
            Self::UserNetwPin(shared, pin) => (vec![shared, pin.as_bytes()], b""),
            Self::DmUserPinNetworkId(pin, shared) => (vec![pin.as_bytes(), shared], b":"),
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(SecurityError::Empty);
        }
        let mac = Hmac::<Sha1>::new_from_slice(&parts.join(between)).map_err(|_any_length_will_do| SecurityError::Empty)?;
        Ok(mac.chain_update(document).finalize().into_bytes().into())
    }
}

impl Proof {
    /// The media type of the document with the parameters.
    #[must_use]
    pub fn media_type(&self, plain: &str) -> String {
        let mac = self.mac.as_ref().map(|mac| format!("; MAC={mac}")).unwrap_or_default();
        format!("{plain}; SEC={}{mac}", self.sec)
    }
}

/// An IMSI as it stands on the card (3GPP TS 31.102, 4.2.2): two digits in an octet, the lower one first, behind the mark that tells whether their
/// number is odd. None where it is not 6 to 15 digits.
#[must_use]
pub fn semi_octets(imsi: &str) -> Option<Vec<u8>> {
    if !IMSI_DIGITS.contains(&imsi.len()) || !imsi.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let mark = if imsi.len() % 2 == 1 { 0x9 } else { 0x1 };
    let digits = imsi.bytes().map(|digit| digit.saturating_sub(b'0'));
    let mut nibbles: Vec<u8> = std::iter::once(mark).chain(digits).collect();
    if nibbles.len() % 2 == 1 {
        nibbles.push(0xF);
    }
    Some(nibbles.chunks(2).map(|two| two.iter().rev().fold(0, |octet, nibble| (octet << 4) | nibble)).collect())
}
