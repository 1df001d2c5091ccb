//! Where package 0 goes that wakes a device.
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

/// The longest URL, in bytes.
pub const MAX_URL: usize = 2048;

/// Where package 0 goes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "UPPERCASE", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum PushAddress {
    /// An HTTP gateway that passes it on.
    Http {
        /// Where the gateway takes it: `http` or `https`, without user name and fragment.
        #[schema(value_type = String, format = "uri", max_length = 2048, example = "https://push.example.com/device-1")]
        url: PushUrl,
    },
    /// Nowhere: the device is not woken and calls by itself.
    None {},
    /// A short message.
    Sms {
        /// The number in international form (E.164).
        #[schema(value_type = String, pattern = "^\\+[1-9][0-9]{4,14}$", max_length = 16, example = "+491701234567")]
        msisdn: Msisdn,
    },
    /// A datagram to the device itself.
    Udp {
        /// Its name or IP address.
        #[schema(value_type = String, min_length = 1, max_length = 253, example = "device-7.example.com")]
        host: Host,
        /// Its port; 2948 when absent.
        #[serde(default = "usual_port")]
        #[schema(value_type = u16, minimum = 1, maximum = 65535, example = 2948)]
        port: NonZeroU16,
    },
}

/// The port at which WAP pushes are expected.
fn usual_port() -> NonZeroU16 {
    NonZeroU16::new(2948).unwrap_or(NonZeroU16::MIN)
}

impl Default for PushAddress {
    fn default() -> Self {
        Self::None {}
    }
}

/// A phone number in international form (E.164). It is personal: `Debug` shows its last two digits only.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Msisdn(String);

impl Msisdn {
    /// Reads one; the plus sign may be missing, blanks and hyphens are dropped.
    pub fn parse(text: &str) -> Result<Self, PushAddressError> {
        let digits: String = text.trim().chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        let digits = digits.strip_prefix('+').unwrap_or(&digits);
        let fits = (5..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        if fits { Ok(Self(format!("+{digits}"))) } else { Err(PushAddressError::Msisdn) }
    }

    /// The number, for who sends the message.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number as it may be shown: its last two digits.
    #[must_use]
    pub fn masked(&self) -> String {
        let shown = self.0.len().saturating_sub(2);
        format!("{}{}", "*".repeat(shown), self.0.get(shown..).unwrap_or_default())
    }
}

impl fmt::Debug for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl TryFrom<String> for Msisdn {
    type Error = PushAddressError;

    fn try_from(text: String) -> Result<Self, PushAddressError> {
        Self::parse(&text)
    }
}

impl From<Msisdn> for String {
    fn from(msisdn: Msisdn) -> Self {
        msisdn.0
    }
}

/// A host name or an IP address, in lower case.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(String);

impl Host {
    /// Reads one; an address of IPv6 stands without brackets.
    pub fn parse(text: &str) -> Result<Self, PushAddressError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_string()));
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A name whose last label is a number would be taken for a malformed address elsewhere.
        let number = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        let fits = text.len() <= 253 && text.split('.').all(label) && !number;
        if fits { Ok(Self(text.to_ascii_lowercase())) } else { Err(PushAddressError::Host) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Host {
    type Error = PushAddressError;

    fn try_from(text: String) -> Result<Self, PushAddressError> {
        Self::parse(&text)
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.0
    }
}

/// The URL of a push gateway.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct PushUrl(String);

impl PushUrl {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, PushAddressError> {
        let url = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.fragment().is_none()
                && url.as_str().len() <= MAX_URL
        });
        url.map(|url| Self(url.into())).ok_or(PushAddressError::Url)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The gateway: scheme, host and port, without the slash by which the path begins.
    #[must_use]
    pub fn gateway(&self) -> &str {
        let host = self.0.find("://").map_or(0, |at| at.saturating_add(3));
        let path = self.0.get(host..).and_then(|rest| rest.find('/')).map_or(self.0.len(), |at| host.saturating_add(at));
        self.0.get(..path).unwrap_or(&self.0)
    }
}

impl TryFrom<String> for PushUrl {
    type Error = PushAddressError;

    fn try_from(text: String) -> Result<Self, PushAddressError> {
        Self::parse(&text)
    }
}

impl From<PushUrl> for String {
    fn from(url: PushUrl) -> Self {
        url.0
    }
}

/// The text is no push address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PushAddressError {
    /// It is no name and no address of a host.
    #[error("a host is a name of at most 253 characters or an IP address")]
    Host,
    /// It is no phone number in international form.
    #[error("an MSISDN has 5 to 15 digits in international form, such as +491701234567")]
    Msisdn,
    /// It is no URL a gateway could have.
    #[error("a push URL is an http or https URL of at most 2048 bytes, without user name and fragment")]
    Url,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PushAddress, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn each_kind_of_address_is_read_and_written_back() {
        for text in [
            r#"{"type":"SMS","msisdn":"+491701234567"}"#,
            r#"{"type":"UDP","host":"192.0.2.7","port":2948}"#,
            r#"{"type":"UDP","host":"2001:db8::1","port":1}"#,
            r#"{"type":"HTTP","url":"https://push.example.com/device-1"}"#,
            r#"{"type":"NONE"}"#,
        ] {
            assert_eq!(serde_json::to_string(&read(text).unwrap()).unwrap(), text);
        }
        assert_eq!(read(r#"{"type":"UDP","host":"h"}"#), read(r#"{"type":"UDP","host":"h","port":2948}"#));
        assert_eq!(read(r#"{"type":"SMS","msisdn":"49 170-1234567"}"#), read(r#"{"type":"SMS","msisdn":"+491701234567"}"#));
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for text in [
            r#"{"type":"SMS","msisdn":"0170"}"#,
            r#"{"type":"SMS","msisdn":"+1234567890123456"}"#,
            r#"{"type":"SMS"}"#,
            r#"{"type":"UDP","host":"a_b","port":1}"#,
            r#"{"type":"UDP","host":"1.2.3","port":1}"#,
            r#"{"type":"UDP","host":"h","port":0}"#,
            r#"{"type":"UDP","port":2948}"#,
            r#"{"type":"UDP","host":"","port":1}"#,
            r#"{"type":"HTTP","url":"ftp://h/"}"#,
            r#"{"type":"HTTP","url":"http://u:p@h/"}"#,
            r#"{"type":"NONE","url":"http://h/"}"#,
            r#"{"type":"FAX"}"#,
            "{}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    /// OES6
    #[test]
    fn a_phone_number_is_not_shown_whole() {
        let address = read(r#"{"type":"SMS","msisdn":"+491701234567"}"#).unwrap();
        assert!(!format!("{address:?}").contains("170"), "{address:?}");
    }
}
