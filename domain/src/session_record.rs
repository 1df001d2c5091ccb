//! What became of a session with a device, for those who operate it: who it was, how it went, how it ended and what was wrong.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::id::{ClientId, DeviceId, JobId, SessionId};
use crate::words::words;

/// The most jobs that a record names; what a session does beyond is counted with its commands.
pub const MAX_WORKS: usize = 16;

/// The longest text of a device's that stands in a record, in bytes.
pub const MAX_TEXT: usize = 256;

/// How much older a record may be than its session while that goes on.
pub const BEHIND: Duration = Duration::from_secs(60);

/// A session, as far as it is worth telling of.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionRecord {
    /// Its name.
    pub id: SessionId,
    /// The device that it was with, or that somebody called himself.
    pub device: DeviceId,
    /// When the first message came of which this tells.
    pub began_at: Timestamp,
    /// When the last one came.
    pub heard_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub ended_as: Option<SessionEnd>,
    /// Everything else.
    pub course: Course,
}

/// How a session went.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Course {
    /// The SessionID, as the device spells it.
    pub session: String,
    /// As whom the device presents itself.
    pub dm_identity: String,
    /// The process that answered last.
    pub gateway: String,
    /// `XML` or `WBXML`.
    pub encoding: String,
    /// The version of the protocol that the device speaks, as it says.
    pub protocol: String,
    /// Who wanted it; none where that was not said.
    pub initiated_by: Option<Initiator>,
    /// Whether the device proved who it is.
    pub authentication: Authentication,
    /// By which means: `BASIC`, `DIGEST`, `HMAC` or `TRANSPORT`.
    pub authenticated_by: Option<String>,
    /// How many messages of the device were answered, or refused.
    pub messages: u32,
    /// How large they were, in bytes.
    pub bytes_heard: u64,
    /// How large the answers were, in bytes.
    pub bytes_told: u64,
    /// How many commands the device was sent.
    pub commands: u32,
    /// How many alerts it told.
    pub alerts: u32,
    /// The jobs that went on in it.
    pub works: Vec<SessionWork>,
    /// What was wrong, the last of several.
    pub fault: Option<SessionFault>,
    /// How many of its messages were kept.
    pub traced: u32,
}

/// A job that went on in a session.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionWork {
    /// The job.
    pub job: JobId,
    /// Who asked for it.
    pub client: ClientId,
}

/// Something that went wrong in a session.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"code": "WRONG_CREDENTIALS", "detail": "The device's name, its password or the nonce is another than in its account.", "at": "2026-11-21T10:16:02Z"}))]
pub struct SessionFault {
    /// What.
    pub code: FaultCode,
    /// The same in a sentence.
    #[schema(max_length = 512)]
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

words! {
    /// How a session ended.
    SessionEnd {
        /// Everything was said.
        Completed = "COMPLETED",
        /// The device broke off.
        AbortedByDevice = "ABORTED_BY_DEVICE",
        /// The server broke off.
        AbortedByServer = "ABORTED_BY_SERVER",
        /// The server did not let it begin.
        Refused = "REFUSED",
        /// Nothing more was heard of the device.
        Silent = "SILENT",
        /// The device began another one.
        Superseded = "SUPERSEDED",
    }

    /// What was wrong with a session.
    FaultCode {
        /// The device broke off.
        AbortedByDevice = "ABORTED_BY_DEVICE",
        /// A message contradicts the protocol.
        AgainstProtocol = "AGAINST_PROTOCOL",
        /// The device did not end its package.
        EndlessPackage = "ENDLESS_PACKAGE",
        /// The device failed to prove itself so often that it is not listened to for a while.
        LockedOut = "LOCKED_OUT",
        /// A message could not be read.
        Malformed = "MALFORMED",
        /// The device does not accept the server's credentials.
        ServerNotAccepted = "SERVER_NOT_ACCEPTED",
        /// Nothing more was heard of the device, though it was asked.
        Silent = "SILENT",
        /// The device speaks a version of the protocol that the server does not.
        VersionNotSupported = "VERSION_NOT_SUPPORTED",
        /// The device did not prove who it is.
        WrongCredentials = "WRONG_CREDENTIALS",
    }

    /// Who wanted a session.
    Initiator {
        /// The device, by alert 1201.
        Device = "DEVICE",
        /// The server, by a notification: alert 1200.
        Server = "SERVER",
    }
}

/// Whether the device proved who it is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Authentication {
    /// It did.
    Accepted,
    /// It was asked to, and has not answered.
    Challenged,
    /// Nobody asked.
    #[default]
    None,
    /// It tried, and failed.
    Refused,
}

impl SessionRecord {
    /// A record that begins now.
    #[must_use]
    pub const fn begin(id: SessionId, device: DeviceId, course: Course, now: Timestamp) -> Self {
        Self { id, device, began_at: now, heard_at: now, ended_at: None, ended_as: None, course }
    }

    /// It is over; the first end counts.
    pub fn end(&mut self, end: SessionEnd, now: Timestamp) {
        if self.ended_as.is_none() {
            (self.ended_as, self.ended_at) = (Some(end), Some(now));
        }
    }
}

impl Course {
    /// A job went on.
    pub fn works_on(&mut self, work: SessionWork) {
        if self.works.len() < MAX_WORKS && !self.works.contains(&work) {
            self.works.push(work);
        }
    }

    /// Something was wrong.
    pub fn fails(&mut self, code: FaultCode, detail: impl Into<String>, at: Timestamp) {
        self.fault = Some(SessionFault { code, detail: detail.into(), at });
    }
}

/// The longest beginning of at most [`MAX_TEXT`] bytes that ends between characters.
#[must_use]
pub fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_TEXT)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;

    #[test]
    fn the_first_end_of_a_session_counts_and_jobs_are_named_once() {
        let [a, b, c, d] = [(); 4].map(|()| Clock::System.new_id());
        let at = Timestamp::from_micros;
        let mut record = SessionRecord::begin(SessionId::new(a), DeviceId::new(b), Course::default(), at(1));
        record.end(SessionEnd::Completed, at(2));
        record.end(SessionEnd::Silent, at(3));
        assert_eq!((record.ended_as, record.ended_at), (Some(SessionEnd::Completed), Some(at(2))));
        let work = SessionWork { job: JobId::new(c), client: ClientId::new(d) };
        (0..3).for_each(|_| record.course.works_on(work));
        assert_eq!(record.course.works.len(), 1);
        (0..99).for_each(|_| record.course.works_on(SessionWork { job: JobId::new(Clock::System.new_id()), ..work }));
        assert_eq!(record.course.works.len(), MAX_WORKS);
        assert_eq!(cut(&"é".repeat(200)).len(), MAX_TEXT);
        assert_eq!(SessionEnd::parse(SessionEnd::Silent.as_str()), Some(SessionEnd::Silent));
    }
}
