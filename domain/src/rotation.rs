//! A secret that is to take the place of a device's present one: both let the device in until it has used the new one, or has refused it.
use crate::account::Sealed;

/// A secret that a device was offered, and that it has not used yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rotation {
    /// The secret, sealed like that of the account, whose place it is to take.
    pub secret: Sealed,
    /// What is known of it.
    pub state: RotationState,
}

/// What is known of a secret that a device was offered.
///
/// | from | to |
/// |---|---|
/// | none | `OFFERED` |
/// | `OFFERED` | none (the device refused it), `DOUBTFUL` (offered once more), `TAKEN` |
/// | `DOUBTFUL` | `TAKEN` |
///
/// From each the device leads to none by using it, and so does whoever gives the account another secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RotationState {
    /// It was offered more than once: a refusal of one offer says nothing of the others, and the device may have it.
    Doubtful,
    /// It was offered once.
    Offered,
    /// The device said that it took it.
    Taken,
}

/// What a message brings of a secret.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SecretNews {
    /// What the device answered to the offer before: true where it took the secret, false where it certainly did not, none where nobody knows.
    pub taken: Option<bool>,
    /// It is offered now.
    pub is_offered: bool,
}

impl RotationState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Doubtful, Self::Offered, Self::Taken];

    /// The word in the row.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Doubtful => "DOUBTFUL",
            Self::Offered => "OFFERED",
            Self::Taken => "TAKEN",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// What is known after the news; none where there is no such secret any more, or was none.
    #[must_use]
    pub const fn after(was: Option<Self>, news: SecretNews) -> Option<Self> {
        let known = match (was, news.taken) {
            (Some(_), Some(true)) => Some(Self::Taken),
            (Some(Self::Offered), Some(false)) => None,
            _ => was,
        };
        match known {
            known if !news.is_offered => known,
            None => Some(Self::Offered),
            Some(Self::Taken) => Some(Self::Taken),
            Some(Self::Doubtful | Self::Offered) => Some(Self::Doubtful),
        }
    }
}

impl SecretNews {
    /// Nothing.
    pub const NONE: Self = Self { taken: None, is_offered: false };

    /// These and others of the same message, where at most one was answered and at most one is offered.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { taken: self.taken.or(other.taken), is_offered: self.is_offered || other.is_offered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_given_up_only_where_the_device_certainly_does_not_have_it() {
        use RotationState::{Doubtful, Offered, Taken};
        let cases = [
            (None, None, false, None),
            (None, None, true, Some(Offered)),
            // Somebody gave the account other credentials meanwhile.
            (None, Some(true), false, None),
            (Some(Offered), None, true, Some(Doubtful)),
            (Some(Offered), Some(true), false, Some(Taken)),
            (Some(Offered), Some(false), false, None),
            (Some(Offered), Some(false), true, Some(Offered)),
            (Some(Doubtful), None, true, Some(Doubtful)),
            (Some(Doubtful), Some(false), false, Some(Doubtful)),
            (Some(Doubtful), Some(true), false, Some(Taken)),
            (Some(Taken), Some(false), false, Some(Taken)),
            (Some(Taken), None, true, Some(Taken)),
        ];
        for (was, taken, is_offered, is) in cases {
            let news = SecretNews { taken, is_offered };
            assert_eq!(RotationState::after(was, news), is, "{was:?} {news:?}");
        }
        for state in RotationState::ALL {
            assert_eq!(RotationState::parse(state.as_str()), Some(state));
        }
    }
}
