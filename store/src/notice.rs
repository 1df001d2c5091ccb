//! What a transaction tells others once it has committed, in this process and elsewhere.
use std::borrow::Cow;

use uuid::Uuid;

/// Something has happened that somebody may be waiting for. It is a bell, not a message: who hears it reads the database.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Notice {
    /// A job has changed, or the log of an organisation.
    Announce(Uuid),
    /// Notices may have been lost (the connection that listens was just opened, perhaps again): look at everything.
    Lost,
    /// A queue has a task, or the log has events without a number.
    Ring(Cow<'static, str>),
}

impl Notice {
    /// The notice as it travels between processes, marked with its sender.
    pub(crate) fn encode(&self, sender: Uuid) -> String {
        let sender = sender.simple();
        match self {
            Self::Announce(job) => format!("{sender} announce {}", job.simple()),
            Self::Lost => format!("{sender} lost"),
            Self::Ring(queue) => format!("{sender} ring {queue}"),
        }
    }

    /// A notice that another process sent; none for our own, which were delivered already, and for what a newer version says.
    pub(crate) fn decode(text: &str, us: Uuid) -> Option<Self> {
        let mut words = text.splitn(3, ' ');
        let sender = Uuid::try_parse(words.next()?).ok()?;
        if sender == us {
            return None;
        }
        match (words.next()?, words.next()) {
            ("announce", Some(job)) => Uuid::try_parse(job).ok().map(Self::Announce),
            ("lost", None) => Some(Self::Lost),
            ("ring", Some(queue)) => Some(Self::Ring(queue.to_owned().into())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_heard_by_all_but_its_sender() {
        let (us, them) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for notice in [Notice::Announce(Uuid::from_u128(7)), Notice::Lost, Notice::Ring("job.expand.v1".into())] {
            let text = notice.encode(us);
            assert_eq!(Notice::decode(&text, them), Some(notice));
            assert_eq!(Notice::decode(&text, us), None);
        }
        assert_eq!(Notice::decode("", us), None);
        assert_eq!(Notice::decode("00000000000000000000000000000002 sing a song", us), None);
    }
}
