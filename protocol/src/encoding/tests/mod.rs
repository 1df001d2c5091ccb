//! What must hold for both encodings.
mod any;
mod clients;
mod damage;
pub(crate) mod libwbxml;
mod round_trip;
mod wire;

use crate::encoding::Encoding;
use crate::message::{Data, Element, Header, Item, Message, Meta, Party};

const BOTH: [Encoding; 2] = [Encoding::Wbxml, Encoding::Xml];

fn header() -> Header {
    Header {
        dtd: "1.2".to_owned(),
        protocol: "DM/1.2".to_owned(),
        session: "1A".to_owned(),
        message: 2,
        target: Party { uri: "IMEI:490154203237518".to_owned(), name: None },
        source: Party { uri: "https://dm.example/dm".to_owned(), name: None },
        ..Header::default()
    }
}

fn message(body: Vec<Element>) -> Message {
    Message { header: header(), body, last: true }
}

fn format(format: &str) -> Meta {
    Meta { format: Some(format.to_owned()), ..Meta::default() }
}

fn text(text: &str) -> Option<Data> {
    Some(Data::Text(text.to_owned()))
}

fn item(source: &str, data: &str) -> Item {
    Item { source: Some(source.to_owned()), data: text(data), ..Item::default() }
}

/// A document whose body holds `body`, with the header that every message needs.
fn xml(body: &str) -> String {
    format!(
        "<SyncML><SyncHdr><SessionID>1</SessionID><MsgID>1</MsgID><Source><LocURI>IMEI:1</LocURI></Source></SyncHdr>\
         <SyncBody>{body}</SyncBody></SyncML>"
    )
}

/// The same in WBXML.
fn wbxml(body: &[u8]) -> Vec<u8> {
    [b"\x02\xA4\x01\x6A\x00\x6D\x6C\x65\x031\0\x01\x5B\x031\0\x01\x67\x57\x03IMEI:1\0\x01\x01\x01\x6B", body, b"\x01\x01"]
        .concat()
}

/// The only item of the only command in a document.
fn only_item(message: &Message) -> &Item {
    match message.body.as_slice() {
        [Element::Command(it)] => &it.items[0],
        [Element::Alert(it)] => &it.items[0],
        [Element::Results(it)] => &it.items[0],
        other => panic!("{other:?}"),
    }
}
