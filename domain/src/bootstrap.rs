//! What a device is told before its first session, so that it finds this server.
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

use crate::account::Secret;

/// The longest name that a user reads, and the longest name of a connection, in bytes.
pub const MAX_TEXT: usize = 255;

/// What is asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"profile": "CP", "security": {"method": "USERPIN", "pin": "1234"}, "name": "Example DM", "connection": "NAP1"}))]
pub struct NewBootstrap {
    /// In which way the device is told.
    pub profile: BootstrapProfile,
    /// What makes the device believe it; nothing when absent, which is for documents that reach it by a way that it trusts.
    #[serde(default)]
    pub security: Option<BootstrapSecurity>,
    /// What the device's user reads of this server: 1 to 255 bytes.
    #[serde(default, deserialize_with = "text")]
    #[schema(min_length = 1, max_length = 255)]
    pub name: Option<String>,
    /// What the device connects by: with `CP` the name of an access point (`TO-NAPID`), with `DM` the address of a node (`ConRef`) and nothing
    /// else. What it takes otherwise when absent. 1 to 255 bytes.
    #[serde(default, deserialize_with = "text")]
    #[schema(min_length = 1, max_length = 255)]
    pub connection: Option<String>,
}

/// In which way a device is told.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum BootstrapProfile {
    /// By a document of OMA Client Provisioning with the application `w7`.
    Cp,
    /// By a message of OMA DM that puts an account into the Inbox.
    Dm,
}

/// What the MAC over a document is made with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(tag = "method", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub enum BootstrapSecurity {
    /// `CP`: with what network and device share.
    #[serde(rename_all = "camelCase")]
    Netwpin {
        /// The IMSI, 6 to 15 digits, or `0x` and the octets of another secret of the network.
        #[schema(value_type = String, pattern = "^([0-9]{6,15}|0x([0-9A-Fa-f]{2}){1,64})$", max_length = 130, write_only)]
        network_id: Secret,
    },
    /// `DM`: with what network and device share.
    #[serde(rename_all = "camelCase")]
    Networkid {
        /// The IMSI, 6 to 15 digits, or `0x` and the octets of another secret of the network.
        #[schema(value_type = String, pattern = "^([0-9]{6,15}|0x([0-9A-Fa-f]{2}){1,64})$", max_length = 130, write_only)]
        network_id: Secret,
    },
    /// `CP`: with what network and device share and a PIN.
    #[serde(rename_all = "camelCase")]
    Usernetwpin {
        /// The IMSI, 6 to 15 digits, or `0x` and the octets of another secret of the network.
        #[schema(value_type = String, pattern = "^([0-9]{6,15}|0x([0-9A-Fa-f]{2}){1,64})$", max_length = 130, write_only)]
        network_id: Secret,
        /// The PIN, which the user is told by another way: 1 to 255 bytes.
        #[schema(value_type = String, min_length = 1, max_length = 255, write_only)]
        pin: Secret,
    },
    /// `CP` and `DM`: with a PIN.
    #[serde(rename_all = "camelCase")]
    Userpin {
        /// The PIN, which the user is told by another way: 1 to 255 bytes.
        #[schema(value_type = String, min_length = 1, max_length = 255, write_only)]
        pin: Secret,
    },
    /// `DM`: with a PIN and what network and device share.
    #[serde(rename_all = "camelCase")]
    UserpinNetworkid {
        /// The IMSI, 6 to 15 digits, or `0x` and the octets of another secret of the network.
        #[schema(value_type = String, pattern = "^([0-9]{6,15}|0x([0-9A-Fa-f]{2}){1,64})$", max_length = 130, write_only)]
        network_id: Secret,
        /// The PIN, which the user is told by another way: 1 to 255 bytes.
        #[schema(value_type = String, min_length = 1, max_length = 255, write_only)]
        pin: Secret,
    },
    /// `CP`: with a PIN, and the user is told the MAC, too: the answer's `userPin`.
    #[serde(rename_all = "camelCase")]
    Userpinmac {
        /// Digits that nobody foresees, new for each document: 5 to 20.
        #[schema(value_type = String, pattern = "^[0-9]{5,20}$", max_length = 20, write_only)]
        pin: Secret,
    },
}

/// A document, ready to be sent. It holds both secrets of the account in the clear, so it has no `Debug`.
pub struct Bootstrap {
    /// Its media type, with the parameters `SEC` and `MAC` where there are any.
    pub media_type: String,
    /// The parameter `SEC`.
    pub sec: Option<&'static str>,
    /// The parameter `MAC`, in hexadecimal digits.
    pub mac: Option<String>,
    /// Its bytes.
    pub document: Vec<u8>,
    /// The same in XML, where devices take that, too.
    pub xml: Option<String>,
    /// What the user is told, where it is more than the PIN of the request.
    pub user_pin: Option<String>,
    /// The nonce in it that this server's first credentials are over, where there was none yet: to be kept before anybody is told.
    pub server_nonce: Option<Vec<u8>>,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    match &text {
        Some(text) if !(1..=MAX_TEXT).contains(&text.len()) || text.chars().any(char::is_control) => {
            Err(de::Error::custom("must have 1 to 255 bytes and no control characters"))
        }
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<NewBootstrap, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_method_has_what_it_needs_and_no_word_of_it_is_shown() {
        let asked =
            read(r#"{"profile":"DM","security":{"method":"USERPIN_NETWORKID","pin":"98765","networkId":"240011234567890"}}"#);
        let shown = format!("{:?}", asked.unwrap());
        assert!(!shown.contains("98765") && !shown.contains("24001"), "{shown}");
        for method in ["NETWPIN", "USERPIN", "USERNETWPIN", "USERPINMAC", "NETWORKID", "USERPIN_NETWORKID"] {
            let with = |members: &str| read(&format!(r#"{{"profile":"CP","security":{{"method":"{method}"{members}}}}}"#));
            assert!(with("").unwrap_err().contains("missing field"), "{method}");
            let all = with(r#","pin":98765,"networkId":"1""#).unwrap_err();
            assert!(!all.contains("98765"), "{all}");
        }
        assert!(read(r#"{"profile":"CP","security":{"method":"USERPIN","pin":"1","networkId":"240011234567890"}}"#).is_err());
        assert!(read(r#"{"profile":"SMARTCARD"}"#).is_err());
        assert!(read(r#"{"profile":"CP","name":""}"#).is_err() && read(r#"{"profile":"CP","connection":"a\nb"}"#).is_err());
        assert!(read(r#"{"profile":"CP"}"#).is_ok());
    }
}
