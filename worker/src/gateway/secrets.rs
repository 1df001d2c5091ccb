//! The secrets of a device's account, opened for one message, and that of a session.
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use dmwsi_domain::account::{Sealed, Side};
use dmwsi_domain::contact::Contact;
use dmwsi_domain::{Error, Result};
use dmwsi_objects::dmacc::AuthType;
use dmwsi_protocol::server::Account;
use dmwsi_store::Keys;
use openssl::rand::rand_bytes;

use super::Gateway;
use super::incoming::{PASS, PASS_BYTES};

/// Both passwords in the clear. Without `Debug`, and gone with the message.
pub(super) struct Secrets {
    pub(super) client: String,
    pub(super) server: String,
}

impl Gateway {
    pub(super) fn secrets(&self, contact: &Contact) -> Result<Secrets> {
        Secrets::open(&self.sealing, contact)
    }

    /// An address that nobody else knows.
    pub(super) fn secret_address(&self) -> Result<String> {
        let mut pass = [0; PASS_BYTES];
        rand_bytes(&mut pass).map_err(Error::internal)?;
        Ok(format!("{}?{PASS}={}", self.address, BASE64_URL_SAFE_NO_PAD.encode(pass)))
    }
}

impl Secrets {
    /// Opens those of a device.
    pub(super) fn open(sealing: &Keys, contact: &Contact) -> Result<Self> {
        let open = |side, sealed: &Sealed| {
            let secret = sealing.open_secret(contact.device, side, sealed)?;
            String::from_utf8(secret.expose().to_vec()).map_err(|_octets| Error::internal("a secret is no text"))
        };
        let server = contact.account.server.as_ref().map(|server| open(Side::Server, &server.secret)).transpose()?;
        let client = &contact.account.client;
        let client = if client.auth == AuthType::Transport { String::new() } else { open(Side::Client, &client.secret)? };
        Ok(Self { client, server: server.unwrap_or_default() })
    }

    /// What the session needs of the account.
    pub(super) fn account<'a>(&'a self, contact: &'a Contact) -> Account<'a> {
        let account = &contact.account;
        Account {
            server_id: &account.server_id,
            client_auth: account.client.auth,
            every_message: account.every_message,
            client_name: &account.client.name,
            client_secret: &self.client,
            server_auth: account.server.as_ref().map(|server| server.auth),
            server_name: account.server.as_ref().map_or("", |server| &server.name),
            server_secret: &self.server,
        }
    }
}
