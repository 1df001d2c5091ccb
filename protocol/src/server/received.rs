//! What a message told.
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{Answer, GenericAlert, Reading};

/// What a message told. All but the turn is empty unless the device has proven who it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Received {
    /// What the caller may do now.
    pub turn: Turn,
    /// Who wanted the session, in the first package.
    pub initiated: Option<Initiated>,
    /// The leaves of DevInfo, in the device's order.
    pub device: Vec<Reading>,
    /// The items of Generic Alerts (1226), in order. Told once: a session that has ended may still tell some.
    pub alerts: Vec<GenericAlert>,
    /// The items of client events (1224), which look the same.
    pub events: Vec<GenericAlert>,
    /// With [`Turn::Offer`] and [`Turn::Aborted`], the answers to the whole batch last given to [`super::Session::reply`], in its order. A command that was
    /// never sent has status 215 (not executed) or, too large for the device, 413; one whose Status did not come has none. What a session owes that ends in
    /// another way, [`super::Session::abandon`] tells.
    pub answers: Vec<Answer>,
    /// The nonce that the device gave for the server's next credentials, to be kept for its next session and notification.
    pub server_nonce: Option<Vec<u8>>,
    /// How the device proved who it is in this very message: with [`AuthType::Digest`] a nonce is spent and the next one is given.
    pub accepted_with: Option<AuthType>,
    /// Which of [`super::Nonces::expected`] is spent.
    pub spent: Option<usize>,
    /// The device does not accept the server's credentials, although they were made anew by its challenge: comes with [`Turn::Aborted`].
    pub rejected: bool,
    /// The device does not take a Sequence: its commands are sent once more without.
    pub no_sequence: bool,
}

impl Received {
    pub(super) const fn new(turn: Turn) -> Self {
        Self {
            turn,
            initiated: None,
            device: Vec::new(),
            alerts: Vec::new(),
            events: Vec::new(),
            answers: Vec::new(),
            server_nonce: None,
            accepted_with: None,
            spent: None,
            rejected: false,
            no_sequence: false,
        }
    }
}

/// Who wanted the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Initiated {
    /// The device (alert 1201).
    Client,
    /// The server, by a notification (alert 1200).
    Server,
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
