//! What a device makes of what it is told.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{NodeUri, Reading};

use super::account::kind_of;
use super::{Account, Login};
use crate::document::{Content, Document, Element as Part};
use crate::encoding::{DecodeError, Encoding};
use crate::message::{Data, Element, Message, Verb};
use crate::tnds::Tree;

/// The bytes tell a device of no server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BootstrapError {
    /// They are neither a message nor a document in XML.
    #[error("neither a message of OMA DM nor a document in XML")]
    Decode(#[from] DecodeError),
    /// They lack something, or say something there that a device cannot know.
    #[error("there is no {0} in it that a device could use")]
    Missing(&'static str),
}

impl Account {
    /// Reads a document of Client Provisioning in XML, whichever applications stand in it beside `w7`.
    pub fn of_provisioning(xml: &[u8]) -> Result<Self, BootstrapError> {
        let root = Document::decode(Encoding::Xml, xml)?.root;
        let mut applications = characteristics(&root, "APPLICATION");
        let application = applications.find(|one| parm(one, "APPID") == Some("w7"));
        let application = application.ok_or(BootstrapError::Missing("application w7"))?;
        let login = |level: &str| {
            let auth = characteristics(application, "APPAUTH").find(|auth| parm(auth, "AAUTHLEVEL") == Some(level));
            auth.map(|auth| login(|name| parm(auth, &format!("AAUTH{}", name.to_ascii_uppercase())).map(str::to_owned)))
        };
        // The address may stand by itself, or together with its port and its type.
        let own = parm(application, "ADDR");
        let address = own.or_else(|| characteristics(application, "APPADDR").find_map(|address| parm(address, "ADDR")));
        Ok(Self {
            server_id: parm(application, "PROVIDER-ID").ok_or(BootstrapError::Missing("PROVIDER-ID"))?.to_owned(),
            name: parm(application, "NAME").map(str::to_owned),
            address: address.ok_or(BootstrapError::Missing("ADDR"))?.to_owned(),
            connection: parm(application, "TO-NAPID").map(str::to_owned),
            client: login("APPSRV").ok_or(BootstrapError::Missing("APPSRV"))??,
            server: login("CLIENT").transpose()?,
        })
    }

    /// Reads a message that puts an account into the Inbox.
    pub fn of_message(message: &Message) -> Result<Self, BootstrapError> {
        let adds = message.body.iter().filter_map(|element| match element {
            Element::Command(command) if command.verb == Verb::Add => Some(&command.items),
            _ => None,
        });
        let trees = adds.flatten().filter_map(|item| match &item.data {
            Some(Data::Octets(octets)) => Tree::decode(Encoding::sniff(octets, None), octets).ok(),
            Some(Data::Text(text)) => Tree::decode(Encoding::sniff(text.as_bytes(), None), text.as_bytes()).ok(),
            None => None,
        });
        let inbox = NodeUri::parse("./Inbox").map_err(|_never| BootstrapError::Missing("Inbox"))?;
        let readings = trees.flat_map(|tree| tree.readings(&inbox)).collect::<Vec<_>>();
        let root = readings.iter().find_map(|one| one.node.as_str().strip_suffix("/ServerID"));
        let root = root.ok_or(BootstrapError::Missing("ServerID"))?;
        let text = |path: &str| value(&readings, &format!("{root}/{path}"));
        let below = |suffix: &str, wanted: Option<&str>| {
            let fits = |one: &&Reading| wanted.is_none_or(|wanted| one.value.data == wanted);
            let mut found = readings.iter().filter(fits).filter_map(|one| one.node.as_str().strip_suffix(suffix));
            found.find(|parent| parent.starts_with(root)).map(str::to_owned)
        };
        let login = |level| {
            let parent = below("/AAuthLevel", Some(level));
            parent.map(|parent| login(|name| value(&readings, &format!("{parent}/AAuth{name}"))))
        };
        let address = below("/Addr", None).and_then(|parent| value(&readings, &format!("{parent}/Addr")));
        Ok(Self {
            server_id: text("ServerID").ok_or(BootstrapError::Missing("ServerID"))?,
            name: text("Name"),
            address: address.ok_or(BootstrapError::Missing("Addr"))?,
            connection: text("PrefConRef"),
            client: login("CLCRED").ok_or(BootstrapError::Missing("CLCRED"))??,
            server: login("SRVCRED").transpose()?,
        })
    }
}

fn value(readings: &[Reading], node: &str) -> Option<String> {
    readings.iter().find(|one| one.node.as_str() == node).map(|one| one.value.data.clone())
}

/// A login of what is said by these names.
fn login(said: impl Fn(&str) -> Option<String>) -> Result<Login, BootstrapError> {
    let kind = said("Type").unwrap_or_default();
    let known = [AuthType::Basic, AuthType::Digest, AuthType::Hmac, AuthType::Transport];
    let auth = known.into_iter().find(|known| kind_of(*known) == kind).ok_or(BootstrapError::Missing("AAuthType"))?;
    let nonce = said("Data").map(|data| STANDARD.decode(data)).transpose();
    Ok(Login {
        auth,
        name: said("Name").unwrap_or_default(),
        secret: said("Secret").unwrap_or_default(),
        nonce: nonce.map_err(|_no_base64| BootstrapError::Missing("AAuthData"))?.unwrap_or_default(),
    })
}

fn children(part: &Part) -> &[Part] {
    match &part.content {
        Content::Children(children) => children,
        Content::Empty | Content::Octets(_) | Content::Text(_) => &[],
    }
}

fn attribute<'a>(part: &'a Part, name: &str) -> Option<&'a str> {
    part.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn characteristics<'a>(part: &'a Part, kind: &str) -> impl Iterator<Item = &'a Part> {
    children(part).iter().filter(move |child| child.name == "characteristic" && attribute(child, "type") == Some(kind))
}

fn parm<'a>(part: &'a Part, name: &str) -> Option<&'a str> {
    let mut parms = children(part).iter().filter(|child| child.name == "parm");
    parms.find(|parm| attribute(parm, "name") == Some(name)).and_then(|parm| attribute(parm, "value"))
}
