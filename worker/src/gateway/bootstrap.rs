//! What a device is told before its first session: its account here, as it stands, and where this server is.
use dmwsi_domain::account::{SealedCredentials, Secret};
use dmwsi_domain::bootstrap::{Bootstrap, BootstrapProfile, BootstrapSecurity, NewBootstrap};
use dmwsi_domain::contact::Contact;
use dmwsi_domain::identity::DmIdentity;
use dmwsi_domain::{Clock, Error, Result};
use dmwsi_objects::NodeUri;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_protocol::bootstrap::{Account, Login, PROVISIONING, Security, SecurityError, semi_octets};
use dmwsi_protocol::encoding::Encoding;
use dmwsi_store::Keys;

use super::address;
use super::nonce::Nonces;
use super::secrets::Secrets;

/// Writes bootstrap documents for the devices of the server at `public_url`. `nonce_key` and `sealing` are those of its gateways.
pub fn bootstrapping(
    sealing: Keys,
    nonce_key: [u8; 32],
    public_url: &str,
    clock: Clock,
) -> impl Fn(&DmIdentity, &Contact, &NewBootstrap) -> Result<Bootstrap> + Send + Sync + 'static {
    let (address, nonces) = (address(public_url), Nonces::new(nonce_key, std::num::NonZeroUsize::MIN));
    move |device, contact, asked| {
        if contact.account.client.auth == AuthType::Transport {
            let detail = "The device proves itself by its certificate: there is no secret that it could be told.";
            return Err(Error::conflict("NO_SECRET", detail));
        }
        let security = asked.security.as_ref().map(|security| key(asked.profile, security)).transpose()?;
        if let (BootstrapProfile::Dm, Some(connection)) = (asked.profile, &asked.connection) {
            is_node(connection)?;
        }
        let secrets = Secrets::open(&sealing, contact)?;
        // What it would be challenged with in reply to a message 0: good for a first message that comes soon.
        let challenge = nonces.challenge(contact.device, contact.nonce_epoch, 0, clock.now())?;
        let account = &contact.account;
        let is_over_nonce = |server: &SealedCredentials| matches!(server.auth, AuthType::Digest | AuthType::Hmac);
        // One that has called without giving a nonce knows the server by an empty one.
        let has_called = contact.last_seen_at.is_some() || !contact.server_nonce.is_empty();
        let is_first = !has_called && account.server.as_ref().is_some_and(is_over_nonce);
        let minted = is_first.then(|| nonces.minted()).transpose()?;
        let server_nonce = minted.as_deref().unwrap_or(&contact.server_nonce);
        let account = Account {
            server_id: account.server_id.clone(),
            name: asked.name.clone(),
            address: address.clone(),
            connection: asked.connection.clone(),
            client: login(&account.client, &secrets.client, &challenge),
            server: account.server.as_ref().map(|server| login(server, &secrets.server, server_nonce)),
        };
        let (plain, document, xml) = match asked.profile {
            BootstrapProfile::Cp => {
                let provisioning = account.provisioning();
                let xml = String::from_utf8(provisioning.xml()).map_err(|_octets| Error::internal("a document is no text"))?;
                (PROVISIONING, provisioning.wbxml(), Some(xml))
            }
            BootstrapProfile::Dm => {
                (Encoding::Wbxml.content_type(), Encoding::Wbxml.encode(&account.message(device.as_str())), None)
            }
        };
        let proof = security.map(|security| security.proof(&document).map_err(|error| unusable(error, "/security/pin")));
        let proof = proof.transpose()?;
        Ok(Bootstrap {
            media_type: proof.as_ref().map_or_else(|| plain.to_owned(), |proof| proof.media_type(plain)),
            sec: proof.as_ref().map(|proof| proof.sec),
            mac: proof.as_ref().and_then(|proof| proof.mac.clone()),
            user_pin: proof.and_then(|proof| proof.user_pin),
            document,
            xml,
            server_nonce: minted,
        })
    }
}

fn login(credentials: &SealedCredentials, secret: &str, nonce: &[u8]) -> Login {
    Login { auth: credentials.auth, name: credentials.name.clone(), secret: secret.to_owned(), nonce: nonce.to_vec() }
}

/// A connection of a DMAcc is where its object stands in the tree of the device.
fn is_node(connection: &str) -> Result<()> {
    let wrong = |detail: String| Error::invalid("/connection", "INVALID_ARGUMENT", detail);
    let node = NodeUri::parse(connection).map_err(|error| wrong(error.to_string()))?;
    if node.question().is_some() { Err(wrong("must be the address of a node and ask nothing of it".to_owned())) } else { Ok(()) }
}

/// The key of a method, which must be one of the profile's.
fn key(profile: BootstrapProfile, security: &BootstrapSecurity) -> Result<Security> {
    let is_dm = profile == BootstrapProfile::Dm;
    let of_other = || Error::invalid("/security/method", "INVALID_ARGUMENT", "the profile has no such method");
    Ok(match security {
        BootstrapSecurity::Userpin { pin } if is_dm => Security::DmUserPin(text(pin)?),
        BootstrapSecurity::Networkid { network_id } if is_dm => Security::DmNetworkId(shared(network_id)?),
        BootstrapSecurity::UserpinNetworkid { network_id, pin } if is_dm => {
            Security::DmUserPinNetworkId(text(pin)?, shared(network_id)?)
        }
        BootstrapSecurity::Netwpin { network_id } if !is_dm => Security::NetwPin(shared(network_id)?),
        BootstrapSecurity::Userpin { pin } => Security::UserPin(text(pin)?),
        BootstrapSecurity::Usernetwpin { network_id, pin } if !is_dm => Security::UserNetwPin(shared(network_id)?, text(pin)?),
        BootstrapSecurity::Userpinmac { pin } if !is_dm => Security::UserPinMac(text(pin)?),
        BootstrapSecurity::Netwpin { .. }
        | BootstrapSecurity::Networkid { .. }
        | BootstrapSecurity::Usernetwpin { .. }
        | BootstrapSecurity::UserpinNetworkid { .. }
        | BootstrapSecurity::Userpinmac { .. } => return Err(of_other()),
    })
}

fn text(secret: &Secret) -> Result<String> {
    String::from_utf8(secret.as_bytes().to_vec()).map_err(|_octets| Error::internal("a PIN is no text"))
}

/// What network and device share: an IMSI as it stands on the card, or any octets.
fn shared(network_id: &Secret) -> Result<Vec<u8>> {
    let text = text(network_id)?;
    let shared = match text.strip_prefix("0x") {
        Some(digits) => octets(digits),
        None => semi_octets(&text),
    };
    let detail = "must be an IMSI, 6 to 15 digits, or 0x and 1 to 64 octets in hexadecimal digits";
    shared.ok_or_else(|| Error::invalid("/security/networkId", "INVALID_ARGUMENT", detail))
}

fn octets(digits: &str) -> Option<Vec<u8>> {
    let fits =
        (2..=128).contains(&digits.len()) && digits.len().is_multiple_of(2) && digits.bytes().all(|c| c.is_ascii_hexdigit());
    let pairs = digits.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
    pairs.collect::<Option<Vec<u8>>>().filter(|_| fits)
}

fn unusable(error: SecurityError, pointer: &str) -> Error {
    Error::invalid(pointer, "INVALID_ARGUMENT", error.to_string())
}
