//! A scripted server against the device's session.
mod groups;
mod link;
mod session;
mod tree;

use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{NodeUri, StatusCode, Value, devdetail, devinfo};

use super::{Access, Account, Tree};
use crate::message::{Alert, Challenge, Data, Element, Header, Item, Message, Meta, NodeCommand, Party, Status, Verb};

fn uri(text: &str) -> NodeUri {
    NodeUri::parse(text).unwrap()
}

fn tree() -> Tree {
    let mut tree = Tree::default();
    for (node, text) in [(devinfo::DEV_ID, "IMEI:1"), (devinfo::MAN, "Acme"), (devdetail::FW_V, "1.0"), ("./DMAcc/A/Secret", "x")]
    {
        let access = if node.ends_with("Secret") { Access::NONE } else { Access::GET };
        tree.put(&uri(node), Value::text(text), access);
    }
    tree.put(&uri("./Vendor"), Value::node(&[]), Access::GET | Access::ADD);
    tree.put(&uri("./Vendor/Count"), Value::int(1), Access::GET | Access::REPLACE);
    tree.put(&uri("./Go"), Value::node(&[]), Access::GET | Access::EXEC);
    tree
}

fn account(server_auth: Option<AuthType>) -> Account {
    Account {
        device: "IMEI:1".to_owned(),
        server_url: "http://s/dm".to_owned(),
        server_id: "srv".to_owned(),
        client_auth: AuthType::Digest,
        client_name: "c".to_owned(),
        client_secret: "cs".to_owned(),
        client_nonce: Vec::new(),
        server_auth,
        server_each: false,
        server_name: "srv".to_owned(),
        server_secret: "ss".to_owned(),
        server_nonce: Vec::new(),
    }
}

/// A message of the server that answers the header of message `of` with `code`.
fn reply(number: u32, of: u32, code: u16, more: Vec<Element>) -> Message {
    let challenge = matches!(code, 212 | 401 | 407)
        .then(|| Challenge { kind: "syncml:auth-md5".to_owned(), next_nonce: Some(format!("Tm9uY2U{number}")) });
    let status = Status {
        id: "1".to_owned(),
        message: of,
        command: "0".to_owned(),
        name: "SyncHdr".to_owned(),
        challenge,
        code: StatusCode(code),
        ..Status::default()
    };
    let header = Header {
        dtd: "1.2".to_owned(),
        protocol: "DM/1.2".to_owned(),
        session: "7".to_owned(),
        message: number,
        target: Party { uri: "IMEI:1".to_owned(), name: None },
        source: Party { uri: "http://s/dm".to_owned(), name: Some("srv".to_owned()) },
        ..Header::default()
    };
    let mut body = vec![Element::Status(status)];
    body.extend(more);
    Message { header, body, last: true }
}

fn command(id: &str, verb: Verb, target: &str, data: Option<&str>) -> Element {
    let data = data.map(|text| Data::Text(text.to_owned()));
    let item = Item { target: Some(target.to_owned()), data, ..Item::default() };
    Element::Command(NodeCommand { id: id.to_owned(), verb, correlator: None, meta: Meta::default(), items: vec![item] })
}

fn status(of: u32, command: &str, name: &str, code: u16) -> Element {
    let (command, name) = (command.to_owned(), name.to_owned());
    Element::Status(Status { id: "9".to_owned(), message: of, command, name, code: StatusCode(code), ..Status::default() })
}

fn alert(code: u16) -> Element {
    Element::Alert(Alert { id: "8".to_owned(), code, ..Alert::default() })
}

/// The statuses of a message, as name and code.
fn codes(message: &Message) -> Vec<(&str, u16)> {
    let codes = message.body.iter().map(|element| match element {
        Element::Status(status) => Some((status.name.as_str(), status.code.0)),
        _ => None,
    });
    codes.flatten().collect()
}

/// The data of the Results of a message.
fn brought(message: &Message) -> Vec<&str> {
    let items = message.body.iter().filter_map(|element| match element {
        Element::Results(results) => Some(results.items.iter()),
        _ => None,
    });
    let data = items.flatten().map(|item| match &item.data {
        Some(Data::Text(text)) => text.as_str(),
        _ => "",
    });
    data.collect()
}
