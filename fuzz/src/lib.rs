//! What must hold for any bytes that reach the decoders and a session: one function for each target.
//!
//! None of them may panic, and what was read can be written and read again.
mod session;

use dmwsi_protocol::bootstrap::Account;
use dmwsi_protocol::document::Document;
use dmwsi_protocol::encoding::{DecodeError, Encoding, Form};
use dmwsi_protocol::message::Message;
use dmwsi_protocol::notification::pap::Response;
use dmwsi_protocol::notification::{Notification, udh, wsp};
use dmwsi_protocol::tnds::Tree;

pub use session::session;

const BOTH: [Encoding; 2] = [Encoding::Xml, Encoding::Wbxml];

/// A message in XML.
pub fn xml(bytes: &[u8]) {
    message(Encoding::Xml, bytes);
    drop(Account::of_provisioning(bytes));
}

/// A message in WBXML.
pub fn wbxml(bytes: &[u8]) {
    message(Encoding::Wbxml, bytes);
}

fn message(encoding: Encoding, bytes: &[u8]) {
    if let Ok(message) = encoding.decode(bytes) {
        for form in [Form::of(bytes, None), Form::from(Encoding::Xml), Form::from(Encoding::Wbxml)] {
            written(&message, form);
        }
        drop(Account::of_message(&message));
        for encoding in BOTH {
            let sizes: usize = message.body.iter().map(|element| encoding.size_of(element)).sum();
            let rest = encoding.encode(&Message { body: Vec::new(), ..message.clone() }).len();
            assert!(encoding.encode(&message).len() <= rest + sizes, "{encoding:?}");
        }
    }
    match Document::decode(encoding, bytes) {
        Ok(document) => {
            let view = serde_json::to_string(&document).expect("a document has a view");
            // What nests too deeply for a reader of JSON is refused by it.
            if let Ok(read) = serde_json::from_str::<Document>(&view) {
                assert_eq!(read.root, document.root);
            }
            for encoding in BOTH {
                if let Ok(bytes) = document.encode(encoding) {
                    check(Document::decode(encoding, &bytes));
                }
            }
        }
        Err(error) => assert!(error.at() <= bytes.len(), "{error:?} of {}", bytes.len()),
    }
}

fn written(message: &Message, form: Form) {
    let once = form.encode(message);
    if let Some(read) = check(form.decode(&once)) {
        assert_eq!(form.encode(&read), once, "{form:?}");
    }
}

/// What we wrote can be read, unless it was near a limit: there may be elements in it that the sender left out.
fn check<T>(read: Result<T, DecodeError>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(DecodeError::Deep { .. } | DecodeError::Long { .. } | DecodeError::Many { .. }) => None,
        Err(error) => panic!("{error:?}"),
    }
}

/// A serialised tree.
pub fn tnds(bytes: &[u8]) {
    let encoding = Encoding::sniff(bytes, None);
    let Ok(tree) = Tree::decode(encoding, bytes) else { return };
    for encoding in BOTH {
        if let Some(read) = check(Tree::decode(encoding, &tree.encode(encoding))) {
            assert_eq!(read, tree, "{encoding:?}");
        }
    }
    for target in [".", "./A/B?list=TNDS"] {
        let readings = tree.readings(&target.parse().expect("an address"));
        assert!(readings.len() <= bytes.len());
    }
}

/// A description of a device.
pub fn ddf(bytes: &[u8]) {
    let encoding = Encoding::sniff(bytes, None);
    let Ok(description) = dmwsi_protocol::ddf::decode(encoding, bytes) else { return };
    for encoding in BOTH {
        let bytes = dmwsi_protocol::ddf::encode(&description, encoding);
        if let Some(read) = check(dmwsi_protocol::ddf::decode(encoding, &bytes)) {
            assert_eq!(read, description, "{encoding:?}");
        }
    }
}

/// Package 0, bare or in what carries it.
pub fn notification(bytes: &[u8]) {
    let package = |bytes: &[u8]| {
        if let Ok(notification) = Notification::decode(bytes) {
            assert_eq!(Notification::decode(&notification.encode()).as_ref(), Ok(&notification));
        }
    };
    package(bytes);
    // What a push proxy gateway answers is XML.
    if let Some(Response::Accepted(code)) = Response::read(bytes) {
        assert!((1_000..2_000).contains(&code));
    }
    if let Ok(inside) = wsp::read(bytes) {
        package(inside);
    }
    if let Ok((_, rest)) = udh::Header::decode(bytes) {
        assert!(rest.len() <= bytes.len());
    }
}
