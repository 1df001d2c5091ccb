//! Why an execution says what it says: what the device answered, told and was read to hold.
use dmwsi_objects::{Answer, GenericAlert};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::eligibility::ReasonCode;

/// One piece of evidence with its time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Evidence {
    /// When the server learned it.
    pub at: Timestamp,
    /// What it learned.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What was learned from the device.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Fact {
    /// The device told something by a Generic Alert.
    #[serde(rename_all = "camelCase")]
    Alert {
        /// The type of the alert.
        #[schema(example = "org.openmobilealliance.dm.firmwareupdate.downloadandupdate")]
        alert_type: String,
        /// Its data, such as a result code.
        data: String,
        /// The correlator it carried.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        correlator: Option<String>,
        /// The node it came from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
    },
    /// The device answered a command.
    #[serde(rename_all = "camelCase")]
    Answered {
        /// The command.
        #[schema(example = "Exec")]
        command: String,
        /// The node.
        node: String,
        /// The status.
        #[schema(example = 202)]
        status: u16,
    },
    /// The answer to a command was lost: nobody knows whether the device carried it out.
    #[serde(rename_all = "camelCase")]
    AnswerLost {
        /// The command.
        command: String,
        /// The node.
        node: String,
    },
    /// The device told by the install notification of a download descriptor (OMA DLOTA 1.0) what became of its download.
    #[serde(rename_all = "camelCase")]
    InstallNotified {
        /// The status: 900 when it succeeded, other numbers from 901 to 999 when it did not.
        #[schema(example = 900)]
        status: u16,
        /// What it said beside the number.
        #[schema(max_length = 256, example = "Success")]
        text: String,
    },
    /// The package does not fit the device.
    Unfit {
        /// Why.
        code: ReasonCode,
        /// The same as a sentence.
        detail: String,
    },
    /// A node was read.
    #[serde(rename_all = "camelCase")]
    Read {
        /// The node.
        #[schema(example = "./DevDetail/FwV")]
        node: String,
        /// What it held.
        value: String,
    },
}

impl Fact {
    /// What an answer proves: the status, or that it was lost.
    #[must_use]
    pub fn answer(answer: &Answer) -> Self {
        let (command, node) = (answer.command.name().to_owned(), answer.command.target_text().to_owned());
        match answer.status {
            Some(status) => Self::Answered { command, node, status: status.0 },
            None => Self::AnswerLost { command, node },
        }
    }

    /// What an alert proves.
    #[must_use]
    pub fn alert(alert: &GenericAlert) -> Self {
        Self::Alert {
            alert_type: alert.alert_type.to_string(),
            data: alert.value.data.clone(),
            correlator: alert.correlator.clone(),
            source: alert.source.as_ref().map(ToString::to_string),
        }
    }
}
