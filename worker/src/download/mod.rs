//! Downloads: what a device fetches from us, by an address that was made for one execution.
mod token;

pub use self::token::{DownloadToken, Tokens};
