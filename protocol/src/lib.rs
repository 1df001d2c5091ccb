//! OMA DM 1.2 on the wire, usable by itself: messages, their encodings, credentials, and the sessions of a server and of a device as values.
//!
//! Nothing here opens a socket, reads a clock or knows what a job is. Bytes go in, values come out, and the other way round.
pub mod bootstrap;
pub mod credentials;
pub mod ddf;
pub mod descriptor;
pub mod device;
pub mod document;
pub mod encoding;
pub mod mac;
pub mod message;
pub mod notification;
pub mod server;
pub mod tnds;
pub mod version;

mod percent;
mod wbxml;
mod xml;
