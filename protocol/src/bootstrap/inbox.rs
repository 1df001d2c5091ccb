//! The message of OMA DM by which a device is given an account: one Add of a DMAcc to its Inbox, which it answers by calling.
use dmwsi_objects::{Format, dmacc};

use super::{Account, Login};
use crate::encoding::Encoding;
use crate::message::{Data, Element, Header, Item, Message, Meta, NodeCommand, Party, Verb};
use crate::tnds::{self, Kind, Node, Properties, Tree};

/// Where a device takes objects that it puts into their places itself.
const INBOX: &str = "./Inbox";

/// The longest name that is given to the account's node, in characters.
const LONGEST_NAME: usize = 32;

impl Account {
    /// The message, for the device of that DM identity. It has no credentials: what goes with it is a [`super::Proof`] over its WBXML.
    #[must_use]
    pub fn message(&self, device: &str) -> Message {
        let item = Item {
            target: Some(INBOX.to_owned()),
            meta: Meta { format: Some("bin".to_owned()), media_type: Some(tnds::WBXML.to_owned()), ..Meta::default() },
            data: Some(Data::Octets(self.tree().encode(Encoding::Wbxml))),
            ..Item::default()
        };
        let add = NodeCommand { id: "1".to_owned(), verb: Verb::Add, correlator: None, meta: Meta::default(), items: vec![item] };
        let party = |uri: &str| Party { uri: uri.to_owned(), name: None };
        let header = Header {
            dtd: "1.2".to_owned(),
            protocol: "DM/1.2".to_owned(),
            session: "1".to_owned(),
            message: 1,
            target: party(device),
            source: party(&self.address),
            ..Header::default()
        };
        Message { header, body: vec![Element::Command(add)], last: true }
    }

    /// The DMAcc. Where it goes the device knows by its type.
    fn tree(&self) -> Tree {
        let mut children = vec![text("AppID", "w7"), text("ServerID", &self.server_id)];
        children.extend(self.name.as_deref().map(|name| text("Name", name)));
        if let Some(connection) = &self.connection {
            children.push(text("PrefConRef", connection));
            children.push(interior("ToConRef", vec![interior("1", vec![text("ConRef", connection)])]));
        }
        let address = vec![text("Addr", &self.address), text("AddrType", "URI")];
        children.push(interior("AppAddr", vec![interior("1", address)]));
        children.push(text("AAuthPref", self.client.kind()));
        let server = self.server.as_ref().map(|server| interior("2", login("SRVCRED", server)));
        let logins = std::iter::once(interior("1", login("CLCRED", &self.client))).chain(server);
        children.push(interior("AppAuth", logins.collect()));

        let mut account = interior(&node_name(&self.server_id), children);
        account.properties.kind = Some(Kind::Object(dmacc::URN.to_owned()));
        account.properties.acl = acl(&self.server_id);
        Tree { version: "1.2".to_owned(), nodes: vec![account], ..Tree::default() }
    }
}

fn login(level: &str, login: &Login) -> Vec<Node> {
    let mut nodes = vec![text("AAuthLevel", level), text("AAuthType", login.kind()), text("AAuthName", &login.name)];
    nodes.extend(login.secret().map(|secret| text("AAuthSecret", secret)));
    nodes.extend(login.data().map(|data| leaf("AAuthData", Format::Bin, "application/octet-stream", data)));
    nodes
}

fn text(name: &str, value: &str) -> Node {
    leaf(name, Format::Chr, "text/plain", value.to_owned())
}

fn leaf(name: &str, format: Format, media_type: &str, value: String) -> Node {
    let kind = Some(Kind::Media(media_type.to_owned()));
    let properties = Properties { format: Some(format), kind, ..Properties::default() };
    Node { name: Some(name.to_owned()), properties, value: Some(value), ..Node::default() }
}

fn interior(name: &str, children: Vec<Node>) -> Node {
    let kind = Some(Kind::Object(String::new()));
    let properties = Properties { format: Some(Format::Node), kind, ..Properties::default() };
    Node { name: Some(name.to_owned()), properties, children, ..Node::default() }
}

/// A name for the account's node: the server's identifier as far as it makes one.
fn node_name(server_id: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    server_id.chars().take(LONGEST_NAME).map(keep).collect()
}

/// The server may read, change and remove its account. None where its identifier cannot stand in an ACL: then the device decides.
fn acl(server_id: &str) -> Option<String> {
    let fits = server_id.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '=' | '&' | '*' | '+'));
    fits.then(|| format!("Delete={server_id}&Get={server_id}&Replace={server_id}"))
}
