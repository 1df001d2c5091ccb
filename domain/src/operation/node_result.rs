//! What became of one command.
use dmwsi_objects::{Answer, Command, Reading, StatusCode, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::NodeOutcome;

/// What became of one command, most often on one node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", from = "Stored")]
pub struct NodeResult {
    /// The node; absent where the user was asked something.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024, example = "./DevInfo/Man")]
    pub node: Option<String>,
    /// Where a COPY took the value from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub source: Option<String>,
    /// What was done: `GET`, `REPLACE`, `ADD`, `DELETE`, `COPY`, `EXEC` or, with the user, `ALERT`.
    #[schema(max_length = 16, example = "GET")]
    pub command: String,
    /// What became of it.
    pub outcome: NodeOutcome,
    /// The device's status; absent when its answer was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 200)]
    pub status: Option<StatusNumber>,
    /// What a GET brought, or what the device reported an EXEC to have come to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, example = json!({"format": "chr", "data": "Acme"}))]
    pub value: Option<Value>,
    /// What the user answered an ALERT: a text, or the numbers of choices, from 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 32, max_length = 1024)]
    pub answers: Vec<String>,
}

/// A status code of OMA DM as a number.
pub type StatusNumber = u16;

/// The same as it was stored by versions that knew less.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    #[serde(default)]
    node: Option<String>,
    #[serde(default)]
    source: Option<String>,
    command: String,
    #[serde(default)]
    outcome: Option<NodeOutcome>,
    #[serde(default)]
    status: Option<StatusNumber>,
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    answers: Vec<String>,
}

impl From<Stored> for NodeResult {
    fn from(stored: Stored) -> Self {
        let Stored { node, source, command, outcome, status, value, answers } = stored;
        let outcome = outcome.unwrap_or_else(|| NodeOutcome::of(status.map(StatusCode)));
        Self { node, source, command, outcome, status, value, answers }
    }
}

impl NodeResult {
    /// What an answer tells.
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        let source = match &answer.command {
            Command::Copy { source, .. } => Some(source.to_string()),
            _ => None,
        };
        Self {
            node: answer.command.target().map(ToString::to_string),
            source,
            command: answer.command.name().to_uppercase(),
            outcome: NodeOutcome::of(answer.status),
            status: answer.status.map(|StatusCode(number)| number),
            value: answer.value().cloned(),
            answers: Vec::new(),
        }
    }

    /// What an answer tells of each node, where a Get brought several.
    #[must_use]
    pub fn each_of(answer: &Answer) -> Vec<Self> {
        match answer.readings.as_slice() {
            [] | [_] => vec![Self::of(answer)],
            readings => readings.iter().map(Self::of_reading).collect(),
        }
    }

    /// What a Get brought of one node.
    #[must_use]
    pub fn of_reading(reading: &Reading) -> Self {
        let answer = Answer::with(Command::Get { target: reading.node.clone() }, StatusCode::OK);
        Self { value: Some(reading.value.clone()), ..Self::of(&answer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_was_stored_without_an_outcome_has_that_of_its_status() {
        let stored: NodeResult = serde_json::from_str(r#"{"node":"./A","command":"GET","status":404}"#).unwrap();
        assert_eq!((stored.outcome, stored.node.as_deref()), (NodeOutcome::NotFound, Some("./A")));
        let lost: NodeResult = serde_json::from_str(r#"{"node":"./A","command":"GET"}"#).unwrap();
        assert_eq!(lost.outcome, NodeOutcome::AnswerLost);
    }
}
