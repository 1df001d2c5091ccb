//! A simulated device that is told of its server by a bootstrap document.
use std::path::Path;

use dmwsi_protocol::bootstrap::Account;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_simulator::{Behaviour, DeviceProfile};

use crate::Failure;

/// What the device was told.
pub(crate) struct Told {
    account: Account,
    /// The device that it was meant for, where that stands there.
    device: Option<String>,
}

impl Told {
    /// Reads a message of OMA DM in WBXML, or a document of Client Provisioning in XML.
    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::read(file)?;
        let told = match Encoding::sniff(&bytes, None) {
            Encoding::Wbxml => {
                let message = Encoding::Wbxml.decode(&bytes).map_err(|error| {
                    format!("no message of OMA DM ({error}); of a document of Client Provisioning, give the form in XML")
                })?;
                let device = Some(message.header.target.uri.clone()).filter(|uri| !uri.is_empty());
                Self { account: Account::of_message(&message)?, device }
            }
            Encoding::Xml => Self { account: Account::of_provisioning(&bytes)?, device: None },
        };
        if told.account.server.as_ref().is_some_and(|server| server.name != told.account.server_id) {
            return Err(
                "a simulated device knows a server by one name: its identifier and the name it proves itself by differ".into()
            );
        }
        Ok(told)
    }

    /// Where the device calls.
    pub(crate) fn address(&self) -> &str {
        &self.account.address
    }

    /// The device, knowing what it was told.
    pub(crate) fn profile(&self, profile: DeviceProfile) -> DeviceProfile {
        let Account { server_id, client, server, .. } = &self.account;
        DeviceProfile {
            device: self.device.clone().unwrap_or(profile.device),
            client_name: client.name.clone(),
            client_secret: client.secret.clone(),
            server_id: server_id.clone(),
            client_nonce: client.nonce.clone(),
            server_nonce: server.as_ref().map_or_else(Vec::new, |server| server.nonce.clone()),
            server_secret: server.as_ref().map_or_else(String::new, |server| server.secret.clone()),
            ..profile
        }
    }

    /// The same of how it behaves.
    pub(crate) fn behaviour(&self, behaviour: Behaviour) -> Behaviour {
        let Account { client, server, .. } = &self.account;
        Behaviour { client_auth: client.auth, server_auth: server.as_ref().map(|server| server.auth), ..behaviour }
    }
}
