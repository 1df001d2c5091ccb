//! Package 0: the notification by which a server asks a device to call (OMA DM Notification 1.2), and what carries it.
//!
//! A [`Trigger`] says who asks for which session; a [`Notification`] is a trigger with its digest. Bare it is the body of an HTTP request or of a
//! datagram; [`wsp`] puts the header of a WAP push before it, [`udh`] that of a short message, and [`pap`] has a push proxy gateway do so.
mod cursor;
mod package;
pub mod pap;
mod trigger;
pub mod udh;
pub mod wsp;

pub use package::{Notification, ZERO_NONCES, is_session};
pub use trigger::{Trigger, UiMode, VERSION};

/// The content type of package 0.
pub const CONTENT_TYPE: &str = "application/vnd.syncml.notification";

/// The port of WDP at which devices expect a push without a connection.
pub const PORT: u16 = 2948;

/// The bytes are no package 0, or not carried as they have to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotificationError {
    /// It ends too early.
    #[error("it ends at byte {at} and should not")]
    Truncated {
        /// Where the next byte should have been.
        at: usize,
    },
    /// It says something that cannot be.
    #[error("what stands at byte {at} cannot be")]
    Malformed {
        /// Where that stands.
        at: usize,
    },
    /// The push is for another application, or of another content.
    #[error("the push is not for device management")]
    Foreign,
    /// A server identifier has 1 to 255 ASCII characters.
    #[error("a server identifier in a notification has 1 to 255 ASCII characters")]
    ServerId,
}
