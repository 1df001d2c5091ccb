//! What a device is known by: the numbers of its modem, its network interface or its maker, and its identity in OMA DM.
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest DM identity, in bytes.
pub const MAX_DM_IDENTITY: usize = 255;

/// The longest serial number, in characters.
pub const MAX_SERIAL_NUMBER: usize = 64;

/// The text of Source/LocURI by which a device presents itself, such as `IMEI:490154203237518`: 1 to 255 bytes, no control characters, no
/// blank at either end, compared byte by byte. It is unique in the server.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 255, example = "IMEI:490154203237518")]
pub struct DmIdentity(String);

impl DmIdentity {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let fits = (1..=MAX_DM_IDENTITY).contains(&text.len()) && !text.chars().any(char::is_control) && text.trim() == text;
        if fits { Ok(Self(text.to_owned())) } else { Err(IdentityError::DmIdentity) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DmIdentity {
    type Error = IdentityError;

    fn try_from(text: String) -> Result<Self, IdentityError> {
        Self::parse(&text)
    }
}

impl From<DmIdentity> for String {
    fn from(identity: DmIdentity) -> Self {
        identity.0
    }
}

/// The kinds of numbers a device is known by.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IdentityKind {
    /// Electronic Serial Number: 8 hexadecimal or 11 decimal digits.
    Esn,
    /// International Mobile Equipment Identity: 15 digits, the last of which checks the others (3GPP TS 23.003, 6.2.1).
    Imei,
    /// A MAC address of 48 bits.
    Mac,
    /// Mobile Equipment Identifier: 14 hexadecimal or 18 decimal digits.
    Meid,
    /// The number its maker gave it: 1 to 64 visible ASCII characters.
    SerialNumber,
}

impl IdentityKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Esn, Self::Imei, Self::Mac, Self::Meid, Self::SerialNumber];

    /// The name on the wire and in the row.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Esn => "ESN",
            Self::Imei => "IMEI",
            Self::Mac => "MAC",
            Self::Meid => "MEID",
            Self::SerialNumber => "SERIAL_NUMBER",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for IdentityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A number a device is known by, in the one form in which it is stored and compared. It is unique in the server.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(try_from = "Written", into = "Written")]
#[schema(as = Identity, example = json!({"type": "IMEI", "value": "490154203237518"}))]
pub struct Identity {
    /// Which kind of number.
    #[schema(rename = "type")]
    kind: IdentityKind,
    /// The number. Separators are dropped and digits brought to one case: an IMEI becomes 15 digits, a MAC address `00:1a:2b:3c:4d:5e`, MEID
    /// and ESN become hexadecimal digits in upper case.
    #[schema(min_length = 1, max_length = 64)]
    value: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "type")]
    kind: IdentityKind,
    value: String,
}

impl Identity {
    /// Reads a number in any of the forms in which it is usually written.
    pub fn parse(kind: IdentityKind, text: &str) -> Result<Self, IdentityError> {
        let value = match kind {
            IdentityKind::Esn => esn(text),
            IdentityKind::Imei => imei(text),
            IdentityKind::Mac => mac(text),
            IdentityKind::Meid => meid(text),
            IdentityKind::SerialNumber => serial_number(text),
        };
        value.map(|value| Self { kind, value }).ok_or(IdentityError::Number(kind))
    }

    /// Which kind of number.
    #[must_use]
    pub const fn kind(&self) -> IdentityKind {
        self.kind
    }

    /// The number in its one form.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl TryFrom<Written> for Identity {
    type Error = IdentityError;

    fn try_from(written: Written) -> Result<Self, IdentityError> {
        Self::parse(written.kind, &written.value)
    }
}

impl From<Identity> for Written {
    fn from(identity: Identity) -> Self {
        Self { kind: identity.kind, value: identity.value }
    }
}

/// The text is no identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdentityError {
    /// It cannot stand in Source/LocURI.
    #[error("a DM identity has 1 to 255 bytes, no control characters and no blank at either end")]
    DmIdentity,
    /// It is no number of that kind.
    #[error("this is no {0}: {rule}", rule = rule(*.0))]
    Number(IdentityKind),
}

const fn rule(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::Esn => "it has 8 hexadecimal or 11 decimal digits",
        IdentityKind::Imei => "it has 15 digits, the last of which checks the others",
        IdentityKind::Mac => "it has 12 hexadecimal digits and names one interface",
        IdentityKind::Meid => "it has 14 hexadecimal digits, of which the first is A to F, or 18 decimal ones",
        IdentityKind::SerialNumber => "it has 1 to 64 visible ASCII characters",
    }
}

/// The characters that are not separators.
fn digits(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ' ' | '-' | '/' | ':' | '.')).collect()
}

fn imei(text: &str) -> Option<String> {
    let digits = digits(text);
    (digits.len() == 15 && checks(&digits)?).then_some(digits)
}

/// Whether the last digit is the check digit by Luhn; nothing when some character is no digit.
fn checks(digits: &str) -> Option<bool> {
    let mut sum = 0;
    for (at, digit) in digits.chars().rev().enumerate() {
        let digit = digit.to_digit(10)?;
        sum += match at % 2 {
            0 => digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        };
    }
    Some(sum % 10 == 0)
}

fn meid(text: &str) -> Option<String> {
    let digits = digits(text).to_ascii_uppercase();
    let hex = match digits.len() {
        14 => digits,
        18 => decimal(&digits, 10, 8, 6)?,
        _ => return None,
    };
    // What begins with a digit below A is an IMEI without its check digit (3GPP2 S.R0048, 2.1).
    (is_hex(&hex) && hex.starts_with(|c: char| c.is_ascii_alphabetic())).then_some(hex)
}

fn esn(text: &str) -> Option<String> {
    let digits = digits(text).to_ascii_uppercase();
    let hex = match digits.len() {
        8 => digits,
        11 => decimal(&digits, 3, 2, 6)?,
        _ => return None,
    };
    is_hex(&hex).then_some(hex)
}

/// Two decimal numbers, of which the first has `split` digits, as hexadecimal ones of `first` and `second` digits.
fn decimal(digits: &str, split: usize, first: usize, second: usize) -> Option<String> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (maker, number) = digits.split_at_checked(split)?;
    let (maker, number): (u64, u64) = (maker.parse().ok()?, number.parse().ok()?);
    let hex = format!("{maker:0first$X}{number:0second$X}");
    (hex.len() == first + second).then_some(hex)
}

fn mac(text: &str) -> Option<String> {
    let digits = digits(text).to_ascii_lowercase();
    if digits.len() != 12 || !is_hex(&digits) {
        return None;
    }
    let pairs: Vec<&str> = (0..12).step_by(2).filter_map(|at| digits.get(at..at + 2)).collect();
    let first = u8::from_str_radix(pairs.first()?, 16).ok()?;
    // The lowest bit marks a group of interfaces (IEEE 802, 8.2.2).
    (first & 1 == 0 && digits != "000000000000").then(|| pairs.join(":"))
}

fn serial_number(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = (1..=MAX_SERIAL_NUMBER).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    fits.then(|| text.to_owned())
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form_however_it_is_written() {
        for (kind, written, stored) in [
            (IdentityKind::Imei, "490154203237518", "490154203237518"),
            (IdentityKind::Imei, "49-015420-323751-8", "490154203237518"),
            (IdentityKind::Meid, "af0123450abcde", "AF0123450ABCDE"),
            (IdentityKind::Meid, "29360 87365 0070 3710", "AF0123450ABCDE"),
            (IdentityKind::Esn, "80ea93d7", "80EA93D7"),
            (IdentityKind::Esn, "12815373271", "80EA93D7"),
            (IdentityKind::Mac, "00-1A-2B-3C-4D-5E", "00:1a:2b:3c:4d:5e"),
            (IdentityKind::Mac, "001a.2b3c.4d5e", "00:1a:2b:3c:4d:5e"),
            (IdentityKind::SerialNumber, " SN-0042a ", "SN-0042a"),
        ] {
            let parsed = Identity::parse(kind, written).unwrap();
            assert_eq!((parsed.kind(), parsed.value()), (kind, stored));
            assert_eq!(Identity::parse(kind, stored), Ok(parsed), "{stored}");
        }
    }

    #[test]
    fn what_is_no_number_of_its_kind_is_refused() {
        for (kind, written) in [
            (IdentityKind::Imei, "490154203237517"),
            (IdentityKind::Imei, "49015420323751"),
            (IdentityKind::Imei, "4901542032375180"),
            (IdentityKind::Imei, "49015420323751X"),
            (IdentityKind::Meid, "99012345012345"),
            (IdentityKind::Meid, "AF0123450ABCDG"),
            (IdentityKind::Meid, "999999999999999999"),
            (IdentityKind::Esn, "99915373271"),
            (IdentityKind::Esn, "80EA93D"),
            (IdentityKind::Mac, "01:1a:2b:3c:4d:5e"),
            (IdentityKind::Mac, "ff:ff:ff:ff:ff:ff"),
            (IdentityKind::Mac, "00:00:00:00:00:00"),
            (IdentityKind::Mac, "é1:1a:2b:3c:4d"),
            (IdentityKind::SerialNumber, "  "),
            (IdentityKind::SerialNumber, "a\nb"),
            (IdentityKind::SerialNumber, &"x".repeat(65)),
        ] {
            assert_eq!(Identity::parse(kind, written), Err(IdentityError::Number(kind)), "{kind} {written}");
        }
    }

    #[test]
    fn an_identity_is_read_from_its_type_and_value_and_nothing_else() {
        let identity: Identity = serde_json::from_str(r#"{"type":"IMEI","value":"49-015420-323751-8"}"#).unwrap();
        assert_eq!(serde_json::to_string(&identity).unwrap(), r#"{"type":"IMEI","value":"490154203237518"}"#);
        for wrong in [r#"{"type":"IMSI","value":"1"}"#, r#"{"type":"IMEI"}"#, r#"{"type":"MAC","value":"001a2b3c4d5e","x":1}"#] {
            assert!(serde_json::from_str::<Identity>(wrong).is_err(), "{wrong}");
        }
        for kind in IdentityKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(IdentityKind::named(kind.as_str()), Some(kind));
        }
    }

    #[test]
    fn a_dm_identity_is_kept_as_it_is() {
        for text in ["IMEI:490154203237518", "urn:uuid:1", "004999010640000", "ä b"] {
            assert_eq!(DmIdentity::parse(text).unwrap().as_str(), text);
        }
        for wrong in ["", " a", "a ", "a\0b", "a\nb", &"x".repeat(256)] {
            assert_eq!(DmIdentity::parse(wrong), Err(IdentityError::DmIdentity), "{wrong:?}");
        }
    }
}
