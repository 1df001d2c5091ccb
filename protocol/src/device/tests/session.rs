//! Whole sessions.
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{AlertType, GenericAlert, Mark, StatusCode, Value};

use super::{account, alert, brought, codes, command, reply, status, tree, uri};
use crate::credentials::{account_hash, decode_nonce, digest};
use crate::device::{Account, End, Ending, Fault, Initiator, Opening, Quirks, Session, Tree, Turn};
use crate::encoding::Encoding;
use crate::message::{Credentials, Element, Group, Message, Verb, alert as code};
use crate::version::Version;

const FRESH: &[u8] = b"abcdefghijklmnopqrstuvwx";

struct Device {
    session: Session,
    account: Account,
    tree: Tree,
}

impl Device {
    fn begin(server_auth: Option<AuthType>, alerts: Vec<GenericAlert>) -> (Self, Message) {
        Self::begin_with(server_auth, alerts, Quirks::default())
    }

    fn begin_with(server_auth: Option<AuthType>, alerts: Vec<GenericAlert>, quirks: Quirks) -> (Self, Message) {
        let (account, tree) = (account(server_auth), tree());
        let (encoding, session) = (Encoding::Xml, "7".to_owned());
        let opening = Opening {
            session,
            initiator: Initiator::Client,
            alerts,
            version: Version::V1_2,
            encoding,
            max_message: 16_384,
            max_object: None,
            quirks,
        };
        let (session, first) = Session::begin(opening, &account, &tree);
        (Self { session, account, tree }, first)
    }

    fn take(&mut self, message: &Message) -> Result<Turn, Fault> {
        let (session, turn) = self.session.clone().receive(message, &mut self.account, &mut self.tree, FRESH)?;
        self.session = session;
        Ok(turn)
    }

    fn send(&mut self, message: &Message) -> Message {
        match self.take(message).unwrap() {
            Turn::Send(message) => *message,
            Turn::Over(ending) => panic!("over: {ending:?}"),
        }
    }

    fn end(&mut self, message: &Message) -> Ending {
        match self.take(message).unwrap() {
            Turn::Over(ending) => ending,
            Turn::Send(message) => panic!("sends {message:?}"),
        }
    }
}

fn finished() -> GenericAlert {
    GenericAlert {
        alert_type: AlertType::lenient("org.openmobilealliance.dm.firmwareupdate.update"),
        correlator: Some("c1".to_owned()),
        source: Some(uri("./FUMO")),
        target: None,
        mark: Mark::Informational,
        value: Value::int(200),
    }
}

fn server_credentials(nonce: &[u8]) -> Option<Credentials> {
    let data = digest(&account_hash("srv", "ss"), nonce);
    Some(Credentials { kind: "syncml:auth-md5".to_owned(), format: Some("b64".to_owned()), data })
}

fn client_digest(nonce: &[u8]) -> String {
    digest(&account_hash("c", "cs"), nonce)
}

#[test]
fn package_1_tells_who_calls_and_why() {
    let (_device, first) = Device::begin(None, vec![finished()]);
    assert!(first.last);
    assert_eq!((first.header.message, first.header.session.as_str()), (1, "7"));
    assert_eq!(first.header.credentials.unwrap().data, client_digest(b""));
    assert!(matches!(&first.body[0], Element::Alert(alert) if alert.code == 1201 && alert.id == "1"));
    assert!(matches!(&first.body[1], Element::Command(replace) if replace.verb == Verb::Replace && replace.items.len() == 2));
    assert!(matches!(&first.body[2], Element::Alert(alert) if alert.code == 1226 && alert.correlator.as_deref() == Some("c1")));
}

/// as clients on libdmclient begin, by which the server knows them.
#[test]
fn package_1_may_tell_interior_nodes_and_no_name() {
    let quirks = Quirks { interior_dev_info: true, no_local_name: true, ..Quirks::default() };
    let (_device, first) = Device::begin_with(None, Vec::new(), quirks);
    assert_eq!((first.header.source.name, first.header.max_object), (None, None));
    let Element::Command(replace) = &first.body[1] else { panic!("{:?}", first.body) };
    let told: Vec<_> =
        replace.items.iter().map(|item| (item.source.as_deref().unwrap(), item.meta.format.as_deref().unwrap())).collect();
    assert_eq!(told, [("./DevInfo", "node"), ("./DevInfo/DevId", "chr"), ("./DevInfo/Man", "chr")]);
    assert_eq!(replace.items[0].data, Some(crate::message::Data::Text("DevId/Man".to_owned())));
}

#[test]
fn commands_are_carried_out_and_answered_in_order_until_the_server_has_no_more() {
    let (mut device, _first) = Device::begin(None, vec![finished()]);
    let asked = vec![
        status(1, "3", "Alert", 200),
        command("2", Verb::Get, "./DevDetail/FwV", None),
        command("3", Verb::Replace, "./Vendor/Count", Some("5")),
        command("4", Verb::Copy, "./Vendor/Count", None),
        Element::Unknown { id: "5".to_owned(), name: "Put".to_owned() },
    ];
    let second = device.send(&reply(1, 1, 212, asked));
    assert_eq!(codes(&second), [("SyncHdr", 200), ("Get", 200), ("Replace", 200), ("Copy", 412), ("Put", 406)]);
    assert_eq!(brought(&second), ["1.0"]);
    assert!(second.header.credentials.is_none() && second.last);
    assert_eq!(device.tree.text("./Vendor/Count"), Some("5"));
    let ending = device.end(&reply(2, 2, 200, Vec::new()));
    assert_eq!(ending, Ending { end: End::Complete, authenticated: true, server_authenticated: false, heard: vec![true] });
    assert_eq!(device.account.client_nonce, decode_nonce("Tm9uY2U1"), "for the next session");
}

#[test]
fn a_challenge_makes_package_1_again_with_its_nonce_but_not_for_ever() {
    let (mut device, _first) = Device::begin(None, vec![finished()]);
    let refused = vec![status(1, "1", "Alert", 401), status(1, "2", "Replace", 401), status(1, "3", "Alert", 401)];
    let second = device.send(&reply(1, 1, 401, refused));
    assert_eq!(second.header.message, 2);
    assert_eq!(second.header.credentials.clone().unwrap().data, client_digest(&decode_nonce("Tm9uY2U1")));
    assert_eq!(codes(&second), [("SyncHdr", 200)]);
    assert_eq!(second.body.len(), 4, "the Status, 1201, Replace and 1226");
    let third = device.send(&reply(2, 2, 407, Vec::new()));
    assert_eq!(third.header.credentials.unwrap().data, client_digest(&decode_nonce("Tm9uY2U2")));
    let ending = device.end(&reply(3, 3, 401, Vec::new()));
    assert_eq!(ending.end, End::Refused(StatusCode::INVALID_CREDENTIALS));
    assert_eq!(ending.heard, [false]);
}

#[test]
fn a_server_for_this_message_only_gets_credentials_each_time() {
    let (mut device, _first) = Device::begin(None, Vec::new());
    let second = device.send(&reply(1, 1, 200, vec![command("2", Verb::Get, "./DevInfo/Man", None)]));
    assert!(second.header.credentials.is_some());
}

#[test]
fn a_server_that_has_not_proved_itself_gets_nothing_done() {
    let (mut device, _first) = Device::begin(Some(AuthType::Digest), vec![finished()]);
    let replace = || vec![command("2", Verb::Replace, "./Vendor/Count", Some("5")), status(1, "3", "Alert", 200)];
    let second = device.send(&reply(1, 1, 212, replace()));
    assert_eq!(codes(&second), [("SyncHdr", 407), ("Replace", 407)]);
    assert_eq!(device.account.client_nonce, b"", "nothing of a stranger is kept");
    let mut wrong = reply(2, 2, 212, replace());
    wrong.header.credentials = server_credentials(b"stale");
    let third = device.send(&wrong);
    assert_eq!(codes(&third), [("SyncHdr", 401), ("Replace", 401)]);
    assert_eq!(device.tree.text("./Vendor/Count"), Some("1"));
    let mut right = reply(3, 3, 212, replace());
    right.header.credentials = server_credentials(FRESH);
    let fourth = device.send(&right);
    assert_eq!(codes(&fourth), [("SyncHdr", 212), ("Replace", 200)]);
    assert!(matches!(&fourth.body[0], Element::Status(status) if status.challenge.is_some()));
    let ending = device.end(&reply(4, 4, 212, Vec::new()));
    assert!(ending.server_authenticated && ending.heard == [true]);
}

#[test]
fn a_stranger_that_goes_on_is_told_that_the_session_is_over() {
    let (mut device, _first) = Device::begin(Some(AuthType::Basic), Vec::new());
    for number in 1..=3 {
        device.send(&reply(number, number, 212, vec![command("2", Verb::Get, "./DevInfo/Man", None)]));
    }
    let abort = device.send(&reply(4, 4, 212, vec![command("2", Verb::Get, "./DevInfo/Man", None)]));
    assert!(matches!(abort.body.last(), Some(Element::Alert(alert)) if alert.code == code::ABORT));
    assert_eq!(device.end(&reply(5, 5, 212, Vec::new())).end, End::ServerRefused);
}

#[test]
fn what_is_too_much_for_one_message_goes_out_in_several() {
    let (mut device, _first) = Device::begin(None, Vec::new());
    device.tree.set("./DevInfo/Man", "m".repeat(900));
    let mut ask = reply(1, 1, 212, (2..8).map(|id| command(&id.to_string(), Verb::Get, "./DevInfo/Man", None)).collect());
    ask.header.max_message = Some(4_000);
    let mut message = device.send(&ask);
    let mut got = brought(&message).len();
    let mut messages = 1;
    while !message.last {
        assert!(Encoding::Xml.encode(&message).len() <= 4_000);
        let mut next = reply(message.header.message, message.header.message, 212, vec![alert(code::NEXT_MESSAGE)]);
        next.last = false;
        next.header.max_message = Some(4_000);
        message = device.send(&next);
        got += brought(&message).len();
        messages += 1;
    }
    assert!(got == 6 && messages > 1, "{got} readings in {messages} messages");
}

#[test]
fn results_that_no_message_can_hold_are_refused_by_a_device_without_pieces() {
    let (mut device, _first) = Device::begin_with(None, Vec::new(), Quirks { no_pieces: true, ..Quirks::default() });
    device.tree.set("./DevInfo/Man", "m".repeat(5_000));
    let mut ask = reply(1, 1, 212, vec![command("2", Verb::Get, "./DevInfo/Man", None)]);
    ask.header.max_message = Some(4_000);
    assert_eq!(codes(&device.send(&ask)), [("SyncHdr", 200), ("Get", 413)]);
}

#[test]
fn a_package_of_several_messages_is_asked_for() {
    let (mut device, _first) = Device::begin(None, Vec::new());
    let mut ask = reply(1, 1, 212, vec![command("2", Verb::Get, "./DevInfo/Man", None)]);
    ask.last = false;
    let second = device.send(&ask);
    assert!(!second.last);
    assert!(matches!(second.body.last(), Some(Element::Alert(alert)) if alert.code == code::NEXT_MESSAGE));
}

#[test]
fn an_atomic_is_done_wholly_or_not_at_all() {
    let (mut device, _first) = Device::begin(None, Vec::new());
    let group = |members| Group { id: "2".to_owned(), members };
    let members = vec![
        command("3", Verb::Replace, "./Vendor/Count", Some("5")),
        command("4", Verb::Replace, "./Vendor/None", Some("5")),
        command("5", Verb::Replace, "./Vendor/Count", Some("6")),
    ];
    let second = device.send(&reply(1, 1, 212, vec![Element::Atomic(group(members))]));
    let expected = [("SyncHdr", 200), ("Atomic", 507), ("Replace", 216), ("Replace", 404), ("Replace", 215)];
    assert_eq!(codes(&second), expected);
    assert_eq!(device.tree.text("./Vendor/Count"), Some("1"));
    let members = vec![command("3", Verb::Replace, "./Vendor/Count", Some("5")), command("4", Verb::Get, "./DevInfo/Man", None)];
    let third = device.send(&reply(2, 2, 212, vec![Element::Sequence(group(members))]));
    assert_eq!(codes(&third), [("SyncHdr", 200), ("Sequence", 200), ("Replace", 200), ("Get", 200)]);
    assert_eq!(device.tree.text("./Vendor/Count"), Some("5"));
}

#[test]
fn an_abort_ends_the_session_without_an_answer() {
    let (mut device, _first) = Device::begin(None, Vec::new());
    assert_eq!(device.end(&reply(1, 1, 212, vec![alert(code::ABORT)])).end, End::Aborted);
}

/// as clients on libdmclient do.
#[test]
fn an_abort_and_the_call_for_more_may_be_refused_and_passed_over() {
    let (mut device, _first) = Device::begin_with(None, Vec::new(), Quirks { no_protocol_alerts: true, ..Quirks::default() });
    let get = command("2", Verb::Get, "./DevInfo/Man", None);
    let second = device.send(&reply(1, 1, 212, vec![alert(code::NEXT_MESSAGE), get.clone()]));
    assert_eq!(codes(&second), [("SyncHdr", 200), ("Alert", 500), ("Get", 200)]);
    let third = device.send(&reply(2, 2, 212, vec![alert(code::ABORT), get]));
    assert_eq!(codes(&third), [("SyncHdr", 200), ("Alert", 500), ("Get", 200)]);
    assert_eq!(device.end(&reply(3, 3, 200, Vec::new())).end, End::Complete);
}

#[test]
fn a_message_that_does_not_belong_here_is_a_fault() {
    let (mut device, _first) = Device::begin(None, Vec::new());
    let mut other = reply(1, 1, 212, Vec::new());
    other.header.session = "8".to_owned();
    assert_eq!(device.take(&other).unwrap_err(), Fault::Session("8".to_owned()));
    assert_eq!(device.take(&reply(1, 9, 212, Vec::new())).unwrap_err(), Fault::NoHeaderStatus(1));
    let mut old = reply(1, 1, 212, Vec::new());
    old.header.protocol = "DM/1.1".to_owned();
    assert!(matches!(device.take(&old), Err(Fault::Version { .. })));
    assert_eq!(device.end(&reply(1, 1, 503, Vec::new())).end, End::Refused(StatusCode(503)));
}
