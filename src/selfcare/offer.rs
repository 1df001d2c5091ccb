//! An update as it stands to a device, as the interface tells it.
use serde::Deserialize;

/// One of the updates that a page lists.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Offer {
    pub(super) deliverable_id: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) vendor: Option<String>,
    size: Option<u64>,
    #[serde(default)]
    user_interaction: Interaction,
    release_notes_url: Option<String>,
    pub(super) fits: bool,
    #[serde(default)]
    pub(super) reasons: Vec<Reason>,
    #[serde(default)]
    pub(super) chain: Vec<Link>,
}

/// What the user of the device is asked and told.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Interaction {
    confirm_before_install: bool,
}

/// Why it does not fit.
#[derive(Debug, Deserialize)]
pub(super) struct Reason {
    pub(super) code: String,
    pub(super) detail: String,
}

/// One of the updates that lead to it.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    version: String,
}

/// A page of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Offers {
    pub(super) items: Vec<Offer>,
    pub(super) next_cursor: Option<String>,
}

impl Offers {
    pub(super) fn fitting(&self) -> impl Iterator<Item = &Offer> {
        self.items.iter().filter(|offer| offer.fits)
    }

    pub(super) fn others(&self) -> impl Iterator<Item = &Offer> {
        self.items.iter().filter(|offer| !offer.fits)
    }

    pub(super) fn nothing_fits(&self) -> bool {
        self.fitting().next().is_none()
    }

    pub(super) fn all_fit(&self) -> bool {
        self.others().next().is_none()
    }
}

impl Offer {
    /// How much the device fetches, for people.
    pub(super) fn size(&self) -> Option<String> {
        self.size.map(bytes)
    }

    /// Its release notes, where they may be linked to: what a partner wrote there could be an address that runs something.
    pub(super) fn release_notes(&self) -> Option<&str> {
        self.release_notes_url.as_deref().filter(|url| url.starts_with("https://") || url.starts_with("http://"))
    }

    /// Whether the device asks its user once more.
    pub(super) const fn asks_on_device(&self) -> bool {
        self.user_interaction.confirm_before_install
    }

    /// What to install, in order, to get there.
    pub(super) fn way(&self) -> Option<String> {
        let versions: Vec<_> = self.chain.iter().map(|link| link.version.as_str()).collect();
        if versions.is_empty() { None } else { Some(versions.join(", then ")) }
    }
}

/// A length in bytes, for people.
pub(super) fn bytes(length: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit, name) in UNITS {
        if length >= unit {
            return format!("{}.{} {name}", length / unit, length % unit * 10 / unit);
        }
    }
    format!("{length} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_in_units_that_people_read() {
        for (length, told) in
            [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2 << 20, "2.0 MiB"), (u64::MAX, "17179869183.9 GiB")]
        {
            assert_eq!(bytes(length), told);
        }
    }

    #[test]
    fn release_notes_are_linked_to_only_on_the_web() {
        let notes = |url: &str| Offer {
            release_notes_url: Some(url.to_owned()),
            ..serde_json::from_str(r#"{"deliverableId": "d", "name": "n", "version": "1", "fits": true}"#).unwrap()
        };
        assert_eq!(notes("https://a.example/notes").release_notes(), Some("https://a.example/notes"));
        assert_eq!(notes("javascript:alert(1)").release_notes(), None);
    }
}
