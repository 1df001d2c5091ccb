//! What notifications travel by, and which of it a look at the wakes that are due leaves out.
use dmwsi_domain::push_address::PushAddress;

/// How the push addresses begin of devices that are woken by a datagram.
pub(super) const DATAGRAM: &str = "{\"type\":\"UDP\"%";

/// A gateway that passes notifications on.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Gateway {
    /// The one of a client that has this scheme, host and port.
    Http(String),
    /// The operator's for short messages.
    Sms,
}

impl Gateway {
    /// The gateway that a push address leads to; none for a datagram.
    #[must_use]
    pub fn of(address: &PushAddress) -> Option<Self> {
        match address {
            PushAddress::Http { url } => Some(Self::Http(url.gateway().to_owned())),
            PushAddress::None {} | PushAddress::Udp { .. } => None,
            PushAddress::Sms { .. } => Some(Self::Sms),
        }
    }

    /// How the stored push addresses begin that lead to it, for LIKE with a backslash as its escape.
    pub(super) fn pattern(&self) -> String {
        match self {
            // Of the signs that mean something to LIKE only this one stands in names of hosts.
            Self::Http(gateway) => format!("{{\"type\":\"HTTP\",\"url\":\"{}/%", gateway.replace('_', "\\_")),
            Self::Sms => "{\"type\":\"SMS\"%".to_owned(),
        }
    }
}

/// Which of the wakes that are due are looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Carriers {
    /// All but those of devices that are woken by way of these gateways.
    AllBut(Vec<Gateway>),
    /// Those of devices that are woken by a datagram.
    Datagrams,
}

impl Carriers {
    /// All of them.
    pub const ALL: Self = Self::AllBut(Vec::new());
}
