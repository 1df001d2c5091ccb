//! What is lent to a session for one message.
use dmwsi_objects::dmacc::AuthType;

/// What the server knows of the account that it shares with the device. It can be shown to nobody, so it has no `Debug`.
#[derive(Clone, Copy)]
pub struct Account<'a> {
    /// The server's identifier, as in the device's DMAcc.
    pub server_id: &'a str,
    /// How the device must prove who it is.
    pub client_auth: AuthType,
    /// Whether it must do so in every message, in place of once a session. By a MAC or its transport it always must.
    pub every_message: bool,
    /// The device's name.
    pub client_name: &'a str,
    /// The device's password.
    pub client_secret: &'a str,
    /// How the server proves who it is, other than by [`AuthType::Transport`], unless the device asks for another way; none where the device wants no proof.
    pub server_auth: Option<AuthType>,
    /// The server's name.
    pub server_name: &'a str,
    /// The server's password.
    pub server_secret: &'a str,
}

impl Account<'_> {
    /// Whether the device proves who it is in every message, wherever it sends them.
    #[must_use]
    pub const fn is_by_message(&self) -> bool {
        self.every_message || matches!(self.client_auth, AuthType::Hmac | AuthType::Transport)
    }
}

/// The nonces for one message, as octets.
#[derive(Clone, Copy)]
pub struct Nonces<'a> {
    /// Those that the device was given and has not used yet; with none of them no digest is accepted.
    pub expected: &'a [Vec<u8>],
    /// The one that goes out if this reply carries a challenge.
    pub next: &'a [u8],
    /// The one that the device gave the server before this session.
    pub server: &'a [u8],
}

/// What a session may cost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The largest message, in bytes, that the server takes, and that it sends whatever the device takes.
    pub max_message: u32,
    /// The largest object, in bytes, that the server puts together from pieces.
    pub max_object: u32,
    /// How many commands one message may hold.
    pub max_commands: usize,
    /// How many times the device may fail to prove who it is. A first message without credentials is no failure.
    pub max_tries: u32,
    /// How many times in a row the server asks for the next message of a package.
    pub max_next_messages: u32,
}

impl Limits {
    /// How many commands of one message are answered: a device must not make a reply larger than it likes by what it sends.
    pub const MAX_ANSWERED: usize = 200;
    /// How many messages the server sends in one session before it leaves the rest to the next: clients are known to count in eight bits, signed.
    /// What is on its way in pieces is brought to its end.
    pub const MAX_MESSAGES: u32 = 120;
    /// In how many pieces a value comes or goes at most; each is a message, with which the whole session is stored.
    pub const MAX_PIECES: usize = 1_000;
    /// How many items of alerts and events are told of one message; an alert with more gets 500.
    pub const MAX_ALERTS: usize = 64;
    /// The longest `CmdID`, in octets, that counts as one, and how much of the name of an unknown element is repeated, in characters.
    pub const MAX_ECHO: usize = 32;
}
