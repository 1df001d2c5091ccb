//! What a message told.
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{Answer, GenericAlert, Reading};

/// What a message told. All but the turn is empty unless the device has proven who it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Received {
    /// What the caller may do now.
    pub turn: Turn,
    /// The leaves of DevInfo, in the device's order.
    pub device: Vec<Reading>,
    /// The items of Generic Alerts (1226), in order, and with the events at most [`super::Limits::MAX_ALERTS`]. Told once: a session that has ended may still tell some.
    pub alerts: Vec<GenericAlert>,
    /// For each of the alerts the Execs, by their places in the batch that is out, that the device had said to have begun before it told that.
    pub begun: Vec<Vec<usize>>,
    /// The items of client events (1224), which look the same.
    pub events: Vec<GenericAlert>,
    /// With [`Turn::Offer`], [`Turn::Aborted`] and [`Turn::Exhausted`], the answers to the whole batch last given to [`super::Session::reply`], in its order. A command that was
    /// never sent has status 215 (not executed) or, too large for the device, 413; one whose Status did not come has none. What a session owes that ends in
    /// another way, [`super::Session::abandon`] tells.
    pub answers: Vec<Answer>,
    /// The nonce that the device gave for the server's next credentials, to be kept for its next session and notification.
    pub server_nonce: Option<Vec<u8>>,
    /// How the device proved who it is in this very message: with [`AuthType::Digest`] and [`AuthType::Hmac`] a nonce is spent and the next one is given.
    pub accepted_with: Option<AuthType>,
    /// Which of [`super::Nonces::expected`] is spent.
    pub spent: Option<usize>,
    /// The device was refused although it knows the secret, since its nonce is one that everybody knows: it has lost the nonces, and the challenge
    /// of the reply puts it right (OMA DM Notification 1.2, 6.3).
    pub stale: bool,
    /// The device does not accept the server's credentials, although they were made anew by its challenge: comes with [`Turn::Aborted`].
    pub rejected: bool,
    /// The device does not take a Sequence: its commands are sent once more without.
    pub no_sequence: bool,
}

impl Received {
    pub(super) const fn new(turn: Turn) -> Self {
        Self {
            turn,
            device: Vec::new(),
            alerts: Vec::new(),
            begun: Vec::new(),
            events: Vec::new(),
            answers: Vec::new(),
            server_nonce: None,
            accepted_with: None,
            spent: None,
            stale: false,
            rejected: false,
            no_sequence: false,
        }
    }

    /// The alerts, each with what had begun before it, as [`Self::begun`] has it.
    pub fn told(&self) -> impl Iterator<Item = (&GenericAlert, &[usize])> {
        self.alerts.iter().zip(&self.begun).map(|(alert, begun)| (alert, begun.as_slice()))
    }
}

/// Whose turn it is to say what. In every case [`super::Session::reply`] comes next; only with [`Turn::Offer`] is it given commands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// The session breaks off: the device sent 1223, does not accept the server ([`Received::rejected`]), or does not end its package.
    Aborted,
    /// The session is over: it had ended before, or the device speaks another version of the protocol.
    Closed,
    /// The session has something of its own to say: it asks for the next message, sends the rest of a batch, or repeats it with other credentials.
    Continue,
    /// The session has had [`super::Limits::MAX_MESSAGES`] and ends in good order: what is left belongs into the next one.
    Exhausted,
    /// The package is complete and every earlier command is answered. No commands end the session.
    Offer,
    /// The device has not proven who it is.
    Refused {
        /// It did not even try.
        missing: bool,
        /// How often it failed in this session; at [`super::Limits::max_tries`] the session ends.
        tries: u32,
    },
}
