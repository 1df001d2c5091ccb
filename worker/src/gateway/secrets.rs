//! The secrets of a device's account, opened for one message.
use dmwsi_domain::account::{Sealed, Side};
use dmwsi_domain::contact::Contact;
use dmwsi_domain::{Error, Result};
use dmwsi_protocol::server::Account;

use super::Gateway;

/// Both passwords in the clear. Without `Debug`, and gone with the message.
pub(super) struct Secrets {
    client: String,
    server: String,
}

impl Gateway {
    pub(super) fn secrets(&self, contact: &Contact) -> Result<Secrets> {
        let open = |side, sealed: &Sealed| {
            let secret = self.sealing.open_secret(contact.device, side, sealed)?;
            String::from_utf8(secret.expose().to_vec()).map_err(|_octets| Error::internal("a secret is no text"))
        };
        let server = contact.account.server.as_ref().map(|server| open(Side::Server, &server.secret)).transpose()?;
        Ok(Secrets { client: open(Side::Client, &contact.account.client.secret)?, server: server.unwrap_or_default() })
    }
}

impl Secrets {
    /// What the session needs of the account.
    pub(super) fn account<'a>(&'a self, contact: &'a Contact) -> Account<'a> {
        let account = &contact.account;
        Account {
            server_id: &account.server_id,
            client_auth: account.client.auth,
            client_name: &account.client.name,
            client_secret: &self.client,
            server_auth: account.server.as_ref().map(|server| server.auth),
            server_name: account.server.as_ref().map_or("", |server| &server.name),
            server_secret: &self.server,
        }
    }
}
