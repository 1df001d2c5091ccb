//! An event of which only the outside can be read: its data is damaged, or of a type that this version does not know.
use crate::Timestamp;
use crate::event::{Event, Recorded};
use crate::id::{ClientId, DeviceId, EventId, JobId};

/// What stands beside the data of an event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outline {
    /// Its id.
    pub id: EventId,
    /// The client whose job or subscription it is about.
    pub client: Option<ClientId>,
    /// The job it is about.
    pub job: Option<JobId>,
    /// The device it is about.
    pub device: Option<DeviceId>,
    /// When it happened.
    pub at: Timestamp,
    /// Its type.
    pub kind: String,
}

impl Outline {
    /// Whether only the client is told whose job or subscription it is about.
    #[must_use]
    pub fn is_private(&self) -> bool {
        // Of a type that only a newer version knows: whoever it names.
        Event::scope_of(&self.kind).map_or(self.client.is_some(), Event::is_private)
    }
}

/// An event as it stands in the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Logged {
    /// One that can be told.
    Told(Box<Recorded>),
    /// One that cannot be read.
    Unreadable(Outline),
}

impl Logged {
    /// The event, where it can be told.
    #[must_use]
    pub fn told(&self) -> Option<&Recorded> {
        match self {
            Self::Told(recorded) => Some(recorded),
            Self::Unreadable(_) => None,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> EventId {
        match self {
            Self::Told(recorded) => recorded.id,
            Self::Unreadable(outline) => outline.id,
        }
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Told(recorded) => recorded.event.type_name(),
            Self::Unreadable(outline) => &outline.kind,
        }
    }
}
