//! A SyncML message as a value, the same for both encodings (OMA SyncML RepPro 1.2 with OMA DM RepPro 1.2).
//!
//! What DM does not use (`NoResp`, `Lang`, `Archive`, …) is skipped by the decoders and has no place here.
use dmwsi_objects::{NodeUri, StatusCode};

/// A whole message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// Who speaks to whom, in which session.
    pub header: Header,
    /// The commands in order.
    pub body: Vec<Element>,
    /// Whether this is the last message of its package.
    pub last: bool,
}

/// `SyncHdr`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Header {
    /// `VerDTD`: `1.2`.
    pub dtd: String,
    /// `VerProto`: `DM/1.2`.
    pub protocol: String,
    /// `SessionID`, opaque text of the side that began the session.
    pub session: String,
    /// `MsgID`: each side numbers its own messages from 1.
    pub message: u32,
    /// Whom it is for.
    pub target: Party,
    /// Whom it is from.
    pub source: Party,
    /// `RespURI`: where later messages of the session go.
    pub respond_to: Option<String>,
    /// Who the sender claims to be, with the proof.
    pub credentials: Option<Credentials>,
    /// `MaxMsgSize`: the largest message the sender takes, in bytes.
    pub max_message: Option<u32>,
    /// `MaxObjSize`: the largest object the sender takes, in bytes.
    pub max_object: Option<u32>,
}

/// `Target` or `Source` of a header.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Party {
    /// `LocURI`.
    pub uri: String,
    /// `LocName`.
    pub name: Option<String>,
}

/// `Cred`: the data is as it stands on the wire.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Credentials {
    /// Meta `Type`, such as `syncml:auth-md5`.
    pub kind: String,
    /// Meta `Format`; absent or `b64` in practice.
    pub format: Option<String>,
    /// `Data`.
    pub data: String,
}

/// `Chal`: what credentials the sender wants.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Challenge {
    /// Meta `Type`, such as `syncml:auth-md5`.
    pub kind: String,
    /// Meta `NextNonce`, as it stands on the wire (base64).
    pub next_nonce: Option<String>,
}

/// What stands in a body. `id` is the `CmdID`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Element {
    /// An alert.
    Alert(Alert),
    /// All or nothing.
    Atomic(Group),
    /// A command on nodes.
    Command(NodeCommand),
    /// What a Get brought.
    Results(Results),
    /// One after the other.
    Sequence(Group),
    /// The answer to a command or to a header.
    Status(Status),
    /// A command that this implementation does not know: its name and id, for the Status it gets.
    Unknown {
        /// `CmdID`; empty where there was none.
        id: String,
        /// The element's name.
        name: String,
    },
}

/// `Add`, `Copy`, `Delete`, `Exec`, `Get` or `Replace`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeCommand {
    /// `CmdID`.
    pub id: String,
    /// Which command.
    pub verb: Verb,
    /// `Correlator` of an Exec.
    pub correlator: Option<String>,
    /// Meta of the command, for the items that have none of their own.
    pub meta: Meta,
    /// What it is about.
    pub items: Vec<Item>,
}

/// Which command on nodes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verb {
    /// Create.
    Add,
    /// Copy.
    Copy,
    /// Remove.
    Delete,
    /// Start.
    Exec,
    /// Read.
    Get,
    /// Change.
    Replace,
}

impl Verb {
    /// The element's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "Add",
            Self::Copy => "Copy",
            Self::Delete => "Delete",
            Self::Exec => "Exec",
            Self::Get => "Get",
            Self::Replace => "Replace",
        }
    }
}

/// `Atomic` or `Sequence`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Group {
    /// `CmdID`.
    pub id: String,
    /// The members in order.
    pub members: Vec<Element>,
}

/// `Alert`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Alert {
    /// `CmdID`.
    pub id: String,
    /// The code, one of [`alert`]; 0 when it was missing or no number.
    pub code: u16,
    /// `Correlator`.
    pub correlator: Option<String>,
    /// What it says.
    pub items: Vec<Item>,
}

/// Codes of [`Alert`] (OMA DM Protocol 1.2, 8.2 and 10).
pub mod alert {
    /// Ask the user yes or no.
    pub const CONFIRM: u16 = 1101;
    /// Ask the user for a text.
    pub const TEXT_INPUT: u16 = 1102;
    /// Ask the user for one of several choices.
    pub const SINGLE_CHOICE: u16 = 1103;
    /// Ask the user for any of several choices.
    pub const MULTIPLE_CHOICE: u16 = 1104;
    /// A session that the server asked for.
    pub const SERVER_INITIATED: u16 = 1200;
    /// A session that the device began.
    pub const CLIENT_INITIATED: u16 = 1201;
    /// Asks for the next message of a package.
    pub const NEXT_MESSAGE: u16 = 1222;
    /// Ends the session.
    pub const ABORT: u16 = 1223;
    /// An event of the client.
    pub const CLIENT_EVENT: u16 = 1224;
    /// A new object began before the last one ended.
    pub const NO_END_OF_DATA: u16 = 1225;
    /// A Generic Alert.
    pub const GENERIC: u16 = 1226;
}

/// `Status`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Status {
    /// `CmdID`.
    pub id: String,
    /// `MsgRef`: the message that is answered.
    pub message: u32,
    /// `CmdRef`: the command that is answered; `0` is the header.
    pub command: String,
    /// `Cmd`: the name of what is answered.
    pub name: String,
    /// `TargetRef`, as many as there are.
    pub targets: Vec<String>,
    /// `SourceRef`, as many as there are.
    pub sources: Vec<String>,
    /// `Chal`.
    pub challenge: Option<Challenge>,
    /// `Data`; 0 when it was missing or no number.
    pub code: StatusCode,
    /// Items, such as the text a user typed.
    pub items: Vec<Item>,
}

/// `Results`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Results {
    /// `CmdID`.
    pub id: String,
    /// `MsgRef`; 1 when missing.
    pub message: u32,
    /// `CmdRef`.
    pub command: String,
    /// Meta of the element, for the items that have none of their own.
    pub meta: Meta,
    /// `TargetRef`.
    pub target: Option<String>,
    /// `SourceRef`.
    pub source: Option<String>,
    /// The nodes.
    pub items: Vec<Item>,
}

/// `Item`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Item {
    /// `Target/LocURI`, as it stands on the wire.
    pub target: Option<String>,
    /// `Source/LocURI`, as it stands on the wire.
    pub source: Option<String>,
    /// `Meta`.
    pub meta: Meta,
    /// `Data`: absent and empty are different on the wire.
    pub data: Option<Data>,
    /// `MoreData`: the object goes on in the next message.
    pub more: bool,
}

/// `Data` of an item.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Data {
    /// Octets: what came as WBXML `OPAQUE` with the format `bin`, or with another but is no UTF-8 text. Never read from XML; written to XML as
    /// base64 with the format `b64`.
    Octets(Vec<u8>),
    /// Text.
    Text(String),
}

/// What MetInf says of an item.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Meta {
    /// `Format`.
    pub format: Option<String>,
    /// `Type`.
    pub media_type: Option<String>,
    /// `Mark`.
    pub mark: Option<String>,
    /// `Size`: bytes as transmitted.
    pub size: Option<u64>,
}

impl Meta {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// This, completed by what `outer` says where this says nothing.
    #[must_use]
    pub fn or(&self, outer: &Self) -> Self {
        Self {
            format: self.format.clone().or_else(|| outer.format.clone()),
            media_type: self.media_type.clone().or_else(|| outer.media_type.clone()),
            mark: self.mark.clone().or_else(|| outer.mark.clone()),
            size: self.size.or(outer.size),
        }
    }
}

impl Item {
    /// An item that names a node and nothing else.
    #[must_use]
    pub fn target(node: &NodeUri) -> Self {
        Self { target: Some(node.as_str().to_owned()), ..Self::default() }
    }
}
