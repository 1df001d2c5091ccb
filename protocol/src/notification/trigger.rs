//! The trigger: who asks for which session.
use super::NotificationError;
use super::cursor::Cursor;
use crate::device::Initiator;

/// The version of notifications in OMA DM 1.2, in tenths; some clients take no other.
pub const VERSION: u16 = 11;

/// The highest version that ten bits hold.
const MOST_VERSION: u16 = (1 << 10) - 1;
/// The bits for future use, in the word of five bytes.
const FUTURE: u32 = (1 << 27) - 1;

/// What the user of the device is to see of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UiMode {
    /// Whatever the device thinks fit.
    #[default]
    Unspecified,
    /// Nothing.
    Background,
    /// That it happens.
    Informative,
    /// A question first.
    Interactive,
}

impl UiMode {
    const ALL: [Self; 4] = [Self::Unspecified, Self::Background, Self::Informative, Self::Interactive];

    fn bits(self) -> u64 {
        match self {
            Self::Unspecified => 0,
            Self::Background => 1,
            Self::Informative => 2,
            Self::Interactive => 3,
        }
    }
}

/// What a notification says (OMA DM Notification 1.2, 6.2.2). What is read is kept to the bit, as the digest covers all of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trigger {
    version: u16,
    ui: UiMode,
    initiator: Initiator,
    future: u32,
    session: u16,
    server_id: String,
    vendor: Vec<u8>,
}

impl Trigger {
    /// A server of that identifier asks for the session of that number, which is not 0.
    pub fn new(server_id: &str, session: u16) -> Result<Self, NotificationError> {
        if server_id.is_empty() || server_id.len() > 255 || !server_id.is_ascii() {
            return Err(NotificationError::ServerId);
        }
        let (version, ui, initiator, server_id) = (VERSION, UiMode::default(), Initiator::Server, server_id.to_owned());
        Ok(Self { version, ui, initiator, future: 0, session, server_id, vendor: Vec::new() })
    }

    /// The same, for which the user sees that.
    #[must_use]
    pub const fn with_ui(mut self, ui: UiMode) -> Self {
        self.ui = ui;
        self
    }

    /// The same in the name of somebody else: the user, where the initiator is the client.
    #[must_use]
    pub const fn by(mut self, initiator: Initiator) -> Self {
        self.initiator = initiator;
        self
    }

    /// The same in another version, in tenths; at most 1023.
    #[must_use]
    pub fn in_version(mut self, version: u16) -> Self {
        self.version = version.min(MOST_VERSION);
        self
    }

    /// The same with bytes of a vendor's after it.
    #[must_use]
    pub fn with_vendor(mut self, vendor: &[u8]) -> Self {
        self.vendor = vendor.to_vec();
        self
    }

    /// The version, in tenths.
    #[must_use]
    pub const fn version(&self) -> u16 {
        self.version
    }

    /// What the user is to see.
    #[must_use]
    pub const fn ui(&self) -> UiMode {
        self.ui
    }

    /// Who wanted it: the server, or the user by the server.
    #[must_use]
    pub const fn initiator(&self) -> Initiator {
        self.initiator
    }

    /// The number of the session; its SessionID is this in hexadecimal, upper case, without leading zeros.
    #[must_use]
    pub const fn session(&self) -> u16 {
        self.session
    }

    /// The server that asks.
    #[must_use]
    pub fn server_id(&self) -> &str {
        &self.server_id
    }

    /// What the vendor added; empty as a rule.
    #[must_use]
    pub fn vendor(&self) -> &[u8] {
        &self.vendor
    }

    /// The trigger as it is transmitted.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let initiator = u64::from(self.initiator == Initiator::Server);
        let word = u64::from(self.version) << 30 | self.ui.bits() << 28 | initiator << 27 | u64::from(self.future);
        let mut bytes = Vec::with_capacity(8 + self.server_id.len() + self.vendor.len());
        // The word has 40 bits, so that the first three of its bytes are zero.
        bytes.extend(word.to_be_bytes().into_iter().skip(3));
        bytes.extend(self.session.to_be_bytes());
        bytes.push(u8::try_from(self.server_id.len()).unwrap_or(u8::MAX));
        bytes.extend(self.server_id.as_bytes());
        bytes.extend(&self.vendor);
        bytes
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, NotificationError> {
        let [high, rest @ ..] = cursor.array::<5>()?;
        let low = u32::from_be_bytes(rest);
        let version = u16::from(high) << 2 | u16::try_from(low >> 30).unwrap_or(0);
        let ui = UiMode::ALL.get(usize::try_from(low >> 28 & 3).unwrap_or(0)).copied().unwrap_or_default();
        let initiator = if low >> 27 & 1 == 1 { Initiator::Server } else { Initiator::Client };
        let session = u16::from_be_bytes(cursor.array()?);
        let length = cursor.byte()?;
        let at = cursor.at();
        let server_id = cursor.take(usize::from(length))?;
        let server_id = std::str::from_utf8(server_id).ok().filter(|id| id.is_ascii() && !id.is_empty());
        let server_id = server_id.ok_or(NotificationError::Malformed { at })?.to_owned();
        Ok(Self { version, ui, initiator, future: low & FUTURE, session, server_id, vendor: cursor.rest().to_vec() })
    }
}
