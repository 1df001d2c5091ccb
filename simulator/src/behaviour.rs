//! How well a device behaves.
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::fumo::ResultCode;
use dmwsi_objects::{NodeUri, StatusCode};
use dmwsi_protocol::device::Quirks;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_protocol::version::Version;
use serde::{Deserialize, Serialize};

use crate::user::User;

/// What a device does and fails to do. The default is a good device: XML, md5 for both sides, and no time needed for anything.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Behaviour {
    /// The encoding of its messages, which it wants back.
    pub encoding: Encoding,
    /// The version of OMA DM that it speaks.
    pub version: Version,
    /// The header User-Agent of its messages, in place of the simulator's own.
    pub user_agent: Option<String>,
    /// What it puts behind every address that it sends messages to, as a query or the rest of one.
    pub query: Option<String>,
    /// How it proves who it is. By its transport it does so with the certificate of the [`crate::Wire`].
    pub client_auth: AuthType,
    /// How the server must prove who it is, if at all: basic, digest or HMAC.
    pub server_auth: Option<AuthType>,
    /// The server must do so in every message.
    pub server_each: bool,
    /// Its MACs are in hexadecimal characters, without padding.
    pub mac_in_hexadecimal: bool,
    /// Where its update package stands in the tree.
    pub fumo_root: NodeUri,
    /// The largest message it takes, in bytes.
    pub max_message: u32,
    /// The largest value it takes in pieces, in bytes as sent; it tells the server, and answers 413 or 416 to a larger one.
    pub max_object: Option<u32>,
    /// The largest package it takes, in bytes.
    pub max_package: u64,
    /// How often it repeats a message that got no answer, or an answer of HTTP 408, 503 or 504.
    pub retries: u32,
    /// How long it waits before it does so, in milliseconds.
    pub retry_ms: u64,
    /// How long a download takes at least, in milliseconds.
    pub download_ms: u64,
    /// How often a download may fail without coming any further before it is given up; with 0, it is at its first break.
    pub download_tries: u32,
    /// After each of these many bytes of a package the connection breaks, once; the device resumes the download.
    pub break_downloads: Vec<u64>,
    /// After this many bytes of a package nothing is heard of it again.
    pub vanish_at: Option<u64>,
    /// It asks for a download descriptor, fetches what that names, and tells by an install notification what became of it.
    pub wants_descriptor: bool,
    /// How long an installation takes, in milliseconds.
    pub install_ms: u64,
    /// How long a reboot takes, in milliseconds. Nothing is heard of the device meanwhile.
    pub reboot_ms: u64,
    /// The time between two sessions that it begins, in milliseconds.
    pub poll_ms: u64,
    /// By how much that time varies, in milliseconds.
    pub jitter_ms: u64,
    /// Its user declines updates: each ends with the code 401.
    pub decline: bool,
    /// Its user wants to be asked again at this time (RFC 3339): the first order ends with the code 450 and this time after it. Whoever asks again finds
    /// the user willing, until another time stands here.
    pub defer_until: Option<String>,
    /// Its user is asked when the package is there, in place of before the download.
    pub ask_late: bool,
    /// So many installations end for want of power (code 451), then the battery is full.
    pub low_battery: u32,
    /// So many orders end for want of memory (code 501 for a download, 502 for an installation), then there is room.
    pub out_of_memory: u32,
    /// It answers every Exec with this status, and does nothing.
    pub refuse_exec: Option<StatusCode>,
    /// It loses the package between download and installation: an Exec of Update finds it in the wrong state (status 403).
    pub lose_package: bool,
    /// Downloads end with this code.
    pub fail_download: Option<ResultCode>,
    /// Installations end with this code.
    pub fail_update: Option<ResultCode>,
    /// The package stays after an installation: states 70 and 90 in place of 80 and 100.
    pub keep_package: bool,
    /// In every session, the answer to this POST (counted from 1) gets lost, and the device sends the same message again.
    pub lose_reply: Option<u32>,
    /// The message that tells of an Exec it has begun never arrives: it drops out of that session, and works on what was asked.
    pub drop_after_exec: bool,
    /// The message that tells that it took another secret never arrives: it drops out of that session, and comes with the secret in the next.
    pub drop_after_secret: bool,
    /// It sends every message twice.
    pub send_twice: bool,
    /// After the session in which an update is started, nothing is heard of it again.
    pub go_away: bool,
    /// It does not echo the correlator of an Exec.
    pub omit_correlator: bool,
    /// Its alerts come from the node of the Exec in place of that of the package.
    pub alert_from_exec_node: bool,
    /// It sends every message to the address of its account, whatever the server names in `RespURI`.
    pub ignore_resp_uri: bool,
    /// It reports success, but its firmware stays what it was.
    pub lie_about_version: bool,
    /// It does not echo the correlator of a task, as clients of Windows do not.
    pub omit_task_correlator: bool,
    /// Who holds it.
    pub user: User,
    /// What it does otherwise than the standard says.
    pub quirks: Quirks,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            encoding: Encoding::Xml,
            version: Version::V1_2,
            user_agent: None,
            query: None,
            client_auth: AuthType::Digest,
            server_auth: Some(AuthType::Digest),
            server_each: false,
            mac_in_hexadecimal: false,
            fumo_root: NodeUri::parse("./FUMO").unwrap_or_else(|_never| NodeUri::root()),
            max_message: 16_384,
            max_object: None,
            max_package: 64 * 1024 * 1024,
            retries: 2,
            retry_ms: 250,
            download_ms: 0,
            download_tries: 3,
            break_downloads: Vec::new(),
            vanish_at: None,
            wants_descriptor: false,
            install_ms: 0,
            reboot_ms: 0,
            poll_ms: 60_000,
            jitter_ms: 6_000,
            decline: false,
            defer_until: None,
            ask_late: false,
            low_battery: 0,
            out_of_memory: 0,
            refuse_exec: None,
            lose_package: false,
            fail_download: None,
            fail_update: None,
            keep_package: false,
            lose_reply: None,
            drop_after_exec: false,
            drop_after_secret: false,
            send_twice: false,
            go_away: false,
            omit_correlator: false,
            alert_from_exec_node: false,
            ignore_resp_uri: false,
            lie_about_version: false,
            omit_task_correlator: false,
            user: User::default(),
            quirks: Quirks::default(),
        }
    }
}
