//! What a device is told before its first session, so that it finds its server: by OMA Client Provisioning, or by a message of OMA DM that nobody
//! answers (OMA DM Bootstrap 1.2).
//!
//! An [`Account`] is what either says. As a [`Characteristic`] it is a document of Client Provisioning with the application `w7`, in XML and WBXML;
//! [`Account::message`] is the message that puts it into the Inbox of the device. [`Security`] makes either worth believing.
mod account;
mod characteristic;
mod inbox;
mod read;
mod security;

#[cfg(test)]
mod tests;

pub use account::{Account, Login};
pub use characteristic::Characteristic;
pub use read::BootstrapError;
pub use security::{Proof, Security, SecurityError, semi_octets};

/// The media type of a document of Client Provisioning in WBXML, the form in which it goes over the air.
pub const PROVISIONING: &str = "application/vnd.wap.connectivity-wbxml";
