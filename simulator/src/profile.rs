//! Who a device is.
use serde::{Deserialize, Serialize};

use crate::random::Random;

/// The identity of a device, its credentials and its make. [`DeviceProfile::nth`] derives them all, so that whoever registers the device with a
/// server and whoever lets it run need to share only a seed and a number.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceProfile {
    /// The DM identity, such as `IMEI:490154203237518`.
    pub device: String,
    /// The name that the device gives the server.
    pub client_name: String,
    /// Its secret.
    pub client_secret: String,
    /// The server's identifier, and the name that it gives the device.
    pub server_id: String,
    /// The server's secret.
    pub server_secret: String,
    /// The nonce that it was told for its first digest; empty where it was told none.
    #[serde(default)]
    pub client_nonce: Vec<u8>,
    /// The nonce that it was told for the server's first digest; empty where it was told none.
    #[serde(default)]
    pub server_nonce: Vec<u8>,
    /// The manufacturer (`DevInfo/Man`, `DevDetail/OEM`).
    pub manufacturer: String,
    /// The model (`DevInfo/Mod`).
    pub model: String,
    /// The version of OMA DM that it says it has (`DevInfo/DmV`), where that is not the one of its messages.
    #[serde(default)]
    pub dm_version: Option<String>,
    /// The firmware it is delivered with (`DevDetail/FwV`).
    pub firmware: String,
    /// The software version (`DevDetail/SwV`).
    pub software: String,
    /// The hardware version (`DevDetail/HwV`).
    pub hardware: String,
    /// The language (`DevInfo/Lang`).
    pub language: String,
    /// Where its own random numbers begin.
    pub seed: u64,
}

impl DeviceProfile {
    /// The device with this number among those of a seed; no two of them share an IMEI.
    #[must_use]
    pub fn nth(seed: u64, n: u32) -> Self {
        const SERIALS: u64 = 1_000_000_000_000;
        let serial = Random::new(seed, 0).below(SERIALS).wrapping_add(u64::from(n)) % SERIALS;
        let imei = with_check_digit(&format!("35{serial:012}"));
        let mut random = Random::new(seed, u64::from(n).wrapping_add(1));
        Self {
            device: format!("IMEI:{imei}"),
            client_name: imei,
            client_secret: random.text(20),
            server_id: "dmwsi".to_owned(),
            server_secret: random.text(20),
            client_nonce: Vec::new(),
            server_nonce: Vec::new(),
            manufacturer: "Acme".to_owned(),
            model: ["One", "Two", "Meter"].get(usize::try_from(n % 3).unwrap_or(0)).copied().unwrap_or("One").to_owned(),
            dm_version: None,
            firmware: "1.0.0".to_owned(),
            software: "7.1".to_owned(),
            hardware: "rev-b".to_owned(),
            language: "en".to_owned(),
            seed: random.below(u64::MAX),
        }
    }

    /// The IMEI, where the identity is one.
    #[must_use]
    pub fn imei(&self) -> Option<&str> {
        self.device.strip_prefix("IMEI:")
    }
}

/// Digits with the check digit after them (ISO/IEC 7812-1, annex B).
fn with_check_digit(digits: &str) -> String {
    let sum = digits.chars().rev().filter_map(|digit| digit.to_digit(10)).enumerate().fold(0, |sum, (at, digit)| {
        let doubled = if at % 2 == 0 { digit * 2 } else { digit };
        sum + doubled / 10 + doubled % 10
    });
    format!("{digits}{}", (10 - sum % 10) % 10)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_check_digit_is_that_of_the_well_known_example() {
        assert_eq!(with_check_digit("49015420323751"), "490154203237518");
    }

    #[test]
    fn devices_of_a_seed_differ_and_are_the_same_again() {
        let all: BTreeSet<String> = (0..5_000).map(|n| DeviceProfile::nth(7, n).device).collect();
        assert_eq!(all.len(), 5_000);
        assert_eq!(DeviceProfile::nth(7, 4), DeviceProfile::nth(7, 4));
        assert_ne!(DeviceProfile::nth(7, 4).client_secret, DeviceProfile::nth(8, 4).client_secret);
        assert_ne!(DeviceProfile::nth(7, 4).client_secret, DeviceProfile::nth(7, 5).client_secret);
        let profile = DeviceProfile::nth(7, 4);
        assert!(profile.imei().is_some_and(|imei| imei.len() == 15 && imei.starts_with("35")));
    }
}
