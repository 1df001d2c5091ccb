//! What a server tells or asks the user of a device (alerts 1100 to 1104; OMA DM Protocol 1.2, 8.2).
use serde::{Deserialize, Serialize};

/// A text for the user, and how it may be answered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prompt {
    /// What is expected of the user.
    pub kind: PromptKind,
    /// How it is to be shown, as on the wire: `K=V&K=V`; may be empty.
    #[serde(default)]
    pub options: String,
    /// The text.
    pub text: String,
    /// What there is to choose from; answers count them from 1.
    #[serde(default)]
    pub choices: Vec<String>,
}

/// What is expected of a user.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PromptKind {
    /// To read (1100).
    Display,
    /// To say yes or no (1101).
    Confirm,
    /// To write a text (1102).
    TextInput,
    /// To choose one (1103).
    SingleChoice,
    /// To choose any number (1104).
    MultipleChoice,
}

impl PromptKind {
    /// The code of the alert.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Display => 1100,
            Self::Confirm => 1101,
            Self::TextInput => 1102,
            Self::SingleChoice => 1103,
            Self::MultipleChoice => 1104,
        }
    }

    /// The kind of that alert.
    #[must_use]
    pub const fn of(code: u16) -> Option<Self> {
        match code {
            1100 => Some(Self::Display),
            1101 => Some(Self::Confirm),
            1102 => Some(Self::TextInput),
            1103 => Some(Self::SingleChoice),
            1104 => Some(Self::MultipleChoice),
            _ => None,
        }
    }

    /// Whether it names choices.
    #[must_use]
    pub const fn has_choices(self) -> bool {
        matches!(self, Self::SingleChoice | Self::MultipleChoice)
    }
}
