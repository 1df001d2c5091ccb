//! What was observed on a device.
use dmwsi_objects::{Answer, Command, StatusCode};
use serde::{Deserialize, Serialize};

use super::{AtomicManner, Traits};
use crate::Timestamp;
use crate::operation::NodeProperty;
use crate::session_record::cut;

/// What was observed on a device, by its answers and by what it says of itself. It holds for the firmware it was observed with.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Observed {
    /// What it does and does not.
    pub traits: Traits,
    /// The header User-Agent of HTTP, at most 256 bytes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// What its client was recognised as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// The firmware at that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware_version: Option<String>,
    /// When something new was observed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// The software of a client, where it can be told by how it speaks, whoever made the device.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Engine {
    /// Intel's libdmclient.
    Libdmclient,
}

/// What a device says of itself in a session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stated<'s> {
    /// MaxMsgSize.
    pub max_message: Option<u32>,
    /// MaxObjSize.
    pub max_object: Option<u32>,
    /// The header User-Agent of HTTP.
    pub user_agent: Option<&'s str>,
    /// What its client is recognised as by that message.
    pub engine: Option<Engine>,
}

impl Observed {
    /// Forgets what was seen of the firmware before that one, which may have learned what that could not, and may have another client.
    pub fn renew(&mut self, firmware: Option<&str>) {
        if self.firmware_version.as_deref() == firmware {
            return;
        }
        if self.firmware_version.is_some() {
            (self.traits, self.engine) = (Traits::default(), None);
        }
        self.firmware_version = firmware.map(str::to_owned);
    }

    /// Takes what a message showed; true when something is other than before. `traits` are those that hold.
    pub fn learn(
        &mut self,
        answers: &[Answer],
        stated: Stated<'_>,
        traits: &Traits,
        firmware: Option<&str>,
        now: Timestamp,
    ) -> bool {
        let before = self.clone();
        self.renew(firmware);
        let seen = &mut self.traits;
        seen.max_message_bytes = stated.max_message.filter(|size| *size > 0).or(seen.max_message_bytes);
        seen.max_object_bytes = stated.max_object.filter(|size| *size > 0).or(seen.max_object_bytes);
        if let Some(agent) = stated.user_agent.filter(|agent| !agent.is_empty()) {
            self.user_agent = Some(cut(agent).to_owned());
        }
        self.engine = stated.engine.or(self.engine);
        for answer in answers {
            self.take(answer, traits);
        }
        if *self == before {
            return false;
        }
        self.at = Some(now);
        true
    }

    fn take(&mut self, answer: &Answer, holds: &Traits) {
        let seen = &mut self.traits;
        // What is refused for this node alone has another status.
        let is_unknown = matches!(answer.status, Some(StatusCode::NOT_SUPPORTED | StatusCode::NOT_IMPLEMENTED));
        match &answer.command {
            Command::Atomic { .. } if is_unknown => seen.atomic = Some(AtomicManner::Unsupported),
            Command::Atomic { .. } => {
                let members = || answer.members.iter().map(|member| member.status);
                // Who says that all is done although one of them failed does one after the other.
                let none_failed = members().flatten().all(StatusCode::is_success);
                match answer.status {
                    None if members().all(|told| told.is_some()) && !answer.members.is_empty() => {
                        seen.atomic = Some(AtomicManner::Silent);
                    }
                    Some(status) if status.is_success() && none_failed => seen.atomic = Some(AtomicManner::Proper),
                    _ => {}
                }
            }
            Command::Add { .. } | Command::Replace { .. } if answer.kept_piece => seen.large_objects = Some(false),
            Command::Copy { .. } if is_unknown || answer.succeeded() => seen.copy = Some(!is_unknown),
            Command::Get { target } => {
                let Some(question) = target.question() else { return };
                if question.starts_with("list=TNDS") {
                    Self::note(&mut seen.tnds, is_unknown, answer);
                } else if question.starts_with("list=Struct") {
                    Self::note(&mut seen.lists, is_unknown, answer);
                } else if let Some(property) = question.strip_prefix("prop=").and_then(NodeProperty::parse)
                    && is_unknown
                {
                    let known = seen.properties.clone().or_else(|| holds.properties.clone());
                    let known = known.unwrap_or_else(|| NodeProperty::ALL.to_vec());
                    seen.properties = Some(known.into_iter().filter(|one| *one != property).collect());
                }
            }
            _ => {}
        }
    }

    /// A list that comes with something in it is known; success alone may be what a device says that looks at no question.
    fn note(seen: &mut Option<bool>, is_unknown: bool, answer: &Answer) {
        if is_unknown {
            *seen = Some(false);
        } else if answer.succeeded() && answer.readings.len() > 1 {
            *seen = Some(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use dmwsi_objects::{NodeUri, Reading, Value};

    use super::*;

    fn node(text: &str) -> NodeUri {
        NodeUri::parse(text).unwrap()
    }

    fn get(text: &str, status: u16) -> Answer {
        Answer::with(Command::Get { target: node(text) }, StatusCode(status))
    }

    fn learned(observed: &mut Observed, answers: &[Answer], firmware: &str) -> bool {
        let holds = observed.traits.clone();
        observed.learn(answers, Stated::default(), &holds, Some(firmware), Timestamp::from_micros(1))
    }

    #[test]
    fn what_a_device_refuses_to_know_is_kept_and_what_it_forbids_is_not() {
        let mut observed = Observed::default();
        let copy = Command::Copy { source: node("./A"), target: node("./B") };
        assert!(learned(&mut observed, &[get("./A?list=TNDS+Value", 406), Answer::with(copy.clone(), StatusCode(501))], "1"));
        assert_eq!((observed.traits.tnds, observed.traits.copy, observed.traits.lists), (Some(false), Some(false), None));
        assert!(!learned(&mut observed, &[get("./A?list=StructData", 405), get("./A?list=StructData", 404)], "1"));
        assert!(learned(&mut observed, &[get("./A?prop=Size", 406), get("./A?prop=ACL", 425)], "1"));
        assert!(!observed.traits.answers(NodeProperty::Size) && observed.traits.answers(NodeProperty::Acl));
        assert!(learned(&mut observed, &[Answer::with(copy, StatusCode(200))], "1"));
        assert_eq!(observed.traits.copy, Some(true));
    }

    #[test]
    fn an_atomic_without_a_status_of_its_own_is_known_by_those_of_its_members() {
        let members = vec![Command::Delete { target: node("./A") }];
        let mut answer = Answer::unheard(Command::Atomic { members });
        let mut observed = Observed::default();
        learned(&mut observed, std::slice::from_ref(&answer), "1");
        assert_eq!(observed.traits.atomic, None, "the whole answer may be lost");
        answer.members[0].status = Some(StatusCode(200));
        learned(&mut observed, std::slice::from_ref(&answer), "1");
        assert_eq!(observed.traits.atomic, Some(AtomicManner::Silent));
        answer.status = Some(StatusCode(406));
        learned(&mut observed, &[answer], "1");
        assert_eq!(observed.traits.atomic, Some(AtomicManner::Unsupported));
    }

    /// AD-12
    #[test]
    fn a_device_is_known_to_change_nodes_together_only_where_no_member_failed() {
        let members = vec![Command::Delete { target: node("./A") }, Command::Delete { target: node("./B") }];
        let mut answer = Answer { status: Some(StatusCode(200)), ..Answer::unheard(Command::Atomic { members }) };
        let mut observed = Observed::default();
        (answer.members[0].status, answer.members[1].status) = (Some(StatusCode(200)), Some(StatusCode(404)));
        learned(&mut observed, std::slice::from_ref(&answer), "1");
        assert_eq!(observed.traits.atomic, None, "one failed, and the other stays");
        answer.members[1].status = None;
        learned(&mut observed, &[answer], "1");
        assert_eq!(observed.traits.atomic, Some(AtomicManner::Proper), "every member that was told succeeded");
    }

    /// AD-12
    #[test]
    fn a_device_that_takes_a_piece_for_the_whole_takes_no_pieces() {
        let replace = Command::Replace { target: node("./A"), value: Value::text("x") };
        let refused = Answer::with(replace, StatusCode::TOO_LARGE);
        let mut observed = Observed::default();
        learned(&mut observed, std::slice::from_ref(&refused), "1");
        assert_eq!(observed.traits.large_objects, None, "one value may be too large");
        assert!(learned(&mut observed, &[Answer { kept_piece: true, ..refused }], "1"));
        assert_eq!(observed.traits.large_objects, Some(false));
        learned(&mut observed, &[], "2");
        assert_eq!(observed.traits.large_objects, None, "another firmware may");
    }

    #[test]
    fn another_firmware_is_observed_anew_and_the_same_twice_is_nothing_new() {
        let mut observed = Observed::default();
        assert!(learned(&mut observed, &[get("./A?list=TNDS", 406)], "1"));
        assert!(!learned(&mut observed, &[get("./A?list=TNDS", 406)], "1"));
        assert!(learned(&mut observed, &[], "2"));
        assert_eq!(observed.traits, Traits::default());
        let reading = |name: &str| Reading { node: node(name), value: Value::text("x") };
        let list = Answer { readings: vec![reading("./A"), reading("./A/b")], ..get("./A?list=TNDS", 200) };
        assert!(learned(&mut observed, &[list], "2"));
        assert_eq!(observed.traits.tnds, Some(true));
        let stated = Stated { max_message: Some(4_096), max_object: None, user_agent: Some("phone"), engine: None };
        assert!(observed.learn(&[], stated, &Traits::default(), Some("2"), Timestamp::from_micros(2)));
        assert_eq!((observed.traits.max_message_bytes, observed.user_agent.as_deref()), (Some(4_096), Some("phone")));
        observed.engine = Some(Engine::Libdmclient);
        assert!(learned(&mut observed, &[], "3") && observed.engine.is_none(), "another firmware may have another client");
    }
}
