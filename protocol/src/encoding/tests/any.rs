//! Any message that an encoding can carry is the same after it was written and read.
use dmwsi_objects::{Format, StatusCode};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};

use super::Encoding;
use crate::encoding::{Family, Form, Name, PublicId};
use crate::message::{
    Alert, Challenge, Credentials, Data, Element, Group, Header, Item, Message, Meta, NodeCommand, Party, Results, Status, Verb,
};
use crate::tnds::{Kind, Node, Properties, Tree};

/// A text without characters that no message carries.
fn text() -> impl Strategy<Value = String> + Clone {
    vec(prop_oneof![8 => any::<char>(), 4 => "[ -~]".prop_map(|one| one.chars().next().unwrap_or('x')), 1 => Just('\n')], 0..20)
        .prop_map(|all| all.into_iter().filter(|one| carried(*one)).collect())
}

fn carried(one: char) -> bool {
    (u32::from(one) >= 0x20 || matches!(one, '\t' | '\n' | '\r')) && !matches!(one, '\u{FFFE}' | '\u{FFFF}')
}

/// One of those that are read without the blanks around them.
fn word() -> impl Strategy<Value = String> + Clone {
    text().prop_map(|text| text.trim_matches(|one: char| one.is_ascii_whitespace()).to_owned())
}

fn meta() -> impl Strategy<Value = Meta> + Clone {
    let format = of(prop_oneof![word(), Just("bin".to_owned()), Just("b64".to_owned())]);
    (format, of(word()), of(word()), of(any::<u64>())).prop_map(|(format, media_type, mark, size)| Meta {
        format,
        media_type,
        mark,
        size,
    })
}

/// Octets that no reader takes for a text.
fn octets() -> impl Strategy<Value = Data> + Clone {
    vec(any::<u8>(), 0..20).prop_map(|mut octets| {
        octets.push(0xFF);
        Data::Octets(octets)
    })
}

fn item(with_octets: bool) -> impl Strategy<Value = Item> + Clone {
    let text = of(text().prop_map(Data::Text));
    let data = if with_octets { prop_oneof![text, octets().prop_map(Some)].boxed() } else { text.boxed() };
    (of(word()), of(word()), meta(), data, any::<bool>()).prop_map(|(target, source, meta, data, more)| Item {
        target,
        source,
        meta,
        data,
        more,
    })
}

fn verb() -> impl Strategy<Value = Verb> + Clone {
    prop_oneof![Just(Verb::Add), Just(Verb::Copy), Just(Verb::Delete), Just(Verb::Exec), Just(Verb::Get), Just(Verb::Replace)]
}

fn element(with_octets: bool) -> impl Strategy<Value = Element> {
    let items = vec(item(with_octets), 0..3);
    let command = (word(), verb(), of(word()), meta(), items.clone())
        .prop_map(|(id, verb, correlator, meta, items)| Element::Command(NodeCommand { id, verb, correlator, meta, items }));
    let alert = (word(), any::<u16>(), of(word()), items.clone())
        .prop_map(|(id, code, correlator, items)| Element::Alert(Alert { id, code, correlator, items }));
    let challenge = (word(), of(word())).prop_map(|(kind, next_nonce)| Challenge { kind, next_nonce });
    let answered = (word(), any::<u32>(), word(), word(), vec(word(), 0..3), vec(word(), 0..3));
    let status = (answered, of(challenge), any::<u16>(), items.clone()).prop_map(|(answered, challenge, code, items)| {
        let (id, message, command, name, targets, sources) = answered;
        Element::Status(Status { id, message, command, name, targets, sources, challenge, code: StatusCode(code), items })
    });
    let results = (word(), any::<u32>(), word(), meta(), of(word()), of(word()), items).prop_map(
        |(id, message, command, meta, target, source, items)| {
            Element::Results(Results { id, message, command, meta, target, source, items })
        },
    );
    let unknown = (word(), prop_oneof![Just("Put"), Just("Search"), Just("Map"), Just("Sync")])
        .prop_map(|(id, name)| Element::Unknown { id, name: name.to_owned() });
    prop_oneof![4 => command, 1 => alert, 2 => status, 2 => results, 1 => unknown].prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            (word(), vec(inner.clone(), 0..4)).prop_map(|(id, members)| Element::Atomic(Group { id, members })),
            (word(), vec(inner, 0..4)).prop_map(|(id, members)| Element::Sequence(Group { id, members })),
        ]
    })
}

fn party() -> impl Strategy<Value = Party> {
    // Without an address no answer is possible.
    (word(), of(word())).prop_map(|(uri, name)| Party { uri: format!("x{uri}"), name })
}

fn message(with_octets: bool) -> impl Strategy<Value = Message> {
    let credentials = (word(), of(word()), word()).prop_map(|(kind, format, data)| Credentials { kind, format, data });
    let version = (prop_oneof![Just("1.1"), Just("1.2")], word());
    let sizes = (of(any::<u32>()), of(any::<u32>()));
    (
        version,
        word(),
        any::<u32>(),
        (party(), party()),
        of(word()),
        of(credentials),
        sizes,
        vec(element(with_octets), 0..4),
        any::<bool>(),
    )
        .prop_map(|((dtd, protocol), session, message, (target, source), respond_to, credentials, sizes, body, last)| {
            Message {
                header: Header {
                    dtd: dtd.to_owned(),
                    protocol,
                    session: format!("{session}1"),
                    message,
                    target,
                    source,
                    respond_to,
                    credentials,
                    max_message: sizes.0,
                    max_object: sizes.1,
                },
                body,
                last,
            }
        })
}

fn public_id() -> impl Strategy<Value = Option<PublicId>> {
    let name = prop_oneof![Just(Name::SyncMl1_0), Just(Name::SyncMl1_1), Just(Name::SyncMl1_2)];
    of(prop_oneof![
        prop_oneof![Just(1), Just(0x0FD1), Just(0x0FD3), Just(0x1201)].prop_map(PublicId::Number),
        (name, any::<bool>()).prop_map(|(name, ends)| PublicId::Text { name, ends }),
    ])
}

fn node() -> impl Strategy<Value = Node> {
    let format = prop_oneof![Just(Format::Bin), Just(Format::Chr), Just(Format::Node), Just(Format::Xml), Just(Format::Null)];
    let kind = prop_oneof![word().prop_map(Kind::Media), word().prop_map(Kind::Object)];
    let texts = (of(word()), of(word()), of(word()), of(word()), of(word()));
    let properties = (texts, of(format), of(any::<u64>()), of(kind)).prop_map(|(texts, format, size, kind)| {
        let (acl, name, title, changed, revision) = texts;
        Properties { acl, format, name, size, title, changed, kind, revision }
    });
    let leaf = (of(word()), of(word()), properties, of(text())).prop_map(|(name, path, properties, value)| Node {
        name,
        path,
        properties,
        value,
        children: Vec::new(),
    });
    leaf.prop_recursive(4, 16, 4, |inner| {
        (inner.clone(), vec(inner, 0..4)).prop_map(|(node, children)| Node { children, ..node })
    })
}

proptest! {
    /// AD-12
    #[test]
    fn any_message_goes_through_xml(message in message(false)) {
        prop_assert_eq!(Encoding::Xml.decode(&Encoding::Xml.encode(&message)), Ok(message));
    }

    /// AD-12
    #[test]
    fn any_message_goes_through_wbxml_under_any_public_identifier(message in message(true), public_id in public_id()) {
        let form = Form { encoding: Encoding::Wbxml, family: Family::Dm, public_id };
        let bytes = form.encode(&message);
        prop_assert_eq!(Form::of(&bytes, None).public_id.or(public_id), Form::of(&bytes, None).public_id);
        prop_assert_eq!(form.decode(&bytes), Ok(message));
    }

    #[test]
    fn any_tree_goes_through_both_encodings(version in word(), nodes in vec(node(), 0..4)) {
        let tree = Tree { version, nodes, ..Tree::default() };
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            prop_assert_eq!(Tree::decode(encoding, &tree.encode(encoding)), Ok(tree.clone()));
        }
    }
}
