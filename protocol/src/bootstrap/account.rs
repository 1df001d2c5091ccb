//! The account that a device is given: where its server is, and how the two know each other.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmwsi_objects::dmacc::AuthType;

use super::Characteristic;

/// An account with its secrets in the clear. Without `Debug`.
#[derive(Clone, Eq, PartialEq)]
pub struct Account {
    /// The identifier of the server.
    pub server_id: String,
    /// What a user may read of it.
    pub name: Option<String>,
    /// Where the device sends its messages: a URL.
    pub address: String,
    /// What the device connects by: the name of an access point in Client Provisioning, the address of a node in OMA DM.
    pub connection: Option<String>,
    /// How the device proves who it is.
    pub client: Login,
    /// How the server does. Some clients, those of Windows among them, take no account without it.
    pub server: Option<Login>,
}

/// How one side proves who it is. Without `Debug`.
#[derive(Clone, Eq, PartialEq)]
pub struct Login {
    /// By which credentials.
    pub auth: AuthType,
    /// The user name.
    pub name: String,
    /// The password; empty with [`AuthType::Transport`].
    pub secret: String,
    /// The octets of the first nonce, where digests or MACs are over one.
    pub nonce: Vec<u8>,
}

impl Login {
    /// `AAuthType`.
    pub(super) const fn kind(&self) -> &'static str {
        kind_of(self.auth)
    }

    /// The secret, where there is one.
    pub(super) fn secret(&self) -> Option<&str> {
        Some(self.secret.as_str()).filter(|secret| !secret.is_empty())
    }

    /// The nonce in base64, which is how both profiles carry it, where one is of use.
    pub(super) fn data(&self) -> Option<String> {
        let is_over_nonce = matches!(self.auth, AuthType::Digest | AuthType::Hmac);
        (is_over_nonce && !self.nonce.is_empty()).then(|| STANDARD.encode(&self.nonce))
    }
}

impl Account {
    /// The document of Client Provisioning that says it (OMA DM StdObj 1.2, the registration of `w7`), and has the device call at once.
    #[must_use]
    pub fn provisioning(&self) -> Characteristic {
        let mut application = Characteristic::new("APPLICATION");
        application.parm("APPID", "w7");
        application.parm("PROVIDER-ID", &self.server_id);
        if let Some(name) = &self.name {
            application.parm("NAME", name);
        }
        application.parm("ADDR", &self.address);
        if let Some(connection) = &self.connection {
            application.parm("TO-NAPID", connection);
        }
        application.parm("INIT", "1");
        // What the client is to the server is called by the other end here: CLIENT is where the server logs in, APPSRV where the device does.
        application.inner.extend(self.server.as_ref().map(|server| login("CLIENT", server)));
        application.inner.push(login("APPSRV", &self.client));
        application
    }
}

/// `AAuthType` of a way to authenticate.
pub(super) const fn kind_of(auth: AuthType) -> &'static str {
    match auth {
        AuthType::Basic => "BASIC",
        AuthType::Digest => "DIGEST",
        AuthType::Hmac => "HMAC",
        AuthType::Transport => "TRANSPORT",
    }
}

fn login(level: &'static str, login: &Login) -> Characteristic {
    let mut auth = Characteristic::new("APPAUTH");
    auth.parm("AAUTHLEVEL", level);
    auth.parm("AAUTHTYPE", login.kind());
    auth.parm("AAUTHNAME", &login.name);
    if let Some(secret) = login.secret() {
        auth.parm("AAUTHSECRET", secret);
    }
    if let Some(data) = login.data() {
        auth.parm("AAUTHDATA", &data);
    }
    auth
}
