//! Both sides of this crate against each other, in memory.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{AlertType, Answer, Command, Format, GenericAlert, Mark, StatusCode, Value};

use super::{account, tree, uri};
use crate::device::{End, Ending, Initiator, Opening, Quirks, Session, Tree, Turn};
use crate::encoding::Encoding;
use crate::mac::Mac;
use crate::message::Element;
use crate::server;
use crate::version::Version;

const LIMITS: server::Limits =
    server::Limits { max_message: 16_000, max_object: 100_000, max_commands: 20, max_tries: 3, max_next_messages: 64 };

/// How a session is set up.
struct Setting {
    auth: AuthType,
    server_auth: Option<AuthType>,
    /// Whether each side has the other prove itself in every message.
    each: bool,
    version: Version,
    /// Whether MACs go out in hexadecimal, and the headers in a form of the client's own.
    odd_macs: bool,
    encoding: Encoding,
    /// The nonces that the server holds at first: for the device's next digest, and for its own.
    nonces: (Option<Vec<u8>>, Vec<u8>),
    /// What each side takes.
    max_message: u32,
    alerts: Vec<GenericAlert>,
    /// Whether the server is told that the device takes values in pieces.
    large_objects: bool,
    /// What the server believes the device's secret to be.
    client_secret: &'static str,
    /// What the server believes its own secret to be.
    server_secret: &'static str,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            auth: AuthType::Digest,
            server_auth: Some(AuthType::Digest),
            each: false,
            version: Version::V1_2,
            odd_macs: false,
            encoding: Encoding::Xml,
            nonces: (Some(Vec::new()), Vec::new()),
            max_message: 16_000,
            alerts: Vec::new(),
            large_objects: true,
            client_secret: "cs",
            server_secret: "ss",
        }
    }
}

/// What both sides know at the end.
struct Outcome {
    answers: Vec<Answer>,
    alerts: Vec<GenericAlert>,
    ending: Ending,
    messages: usize,
    tree: Tree,
    /// The codes that each side had for the headers of the other: the server's, then the device's.
    verdicts: [Vec<u16>; 2],
}

/// The codes of the Statuses for headers.
fn verdict(body: &[Element]) -> impl Iterator<Item = u16> {
    body.iter().filter_map(|element| match element {
        Element::Status(status) if status.command == "0" => Some(status.code.0),
        _ => None,
    })
}

/// Holds one session in which the server asks these batches one after the other.
fn hold(setting: Setting, batches: Vec<Vec<Command>>) -> Outcome {
    let Setting {
        auth,
        server_auth,
        each,
        version,
        odd_macs,
        encoding,
        nonces: (mut expected, mut own),
        max_message,
        alerts,
        large_objects,
        client_secret,
        server_secret,
    } = setting;
    let limits = server::Limits { max_message, ..LIMITS };
    let (mut device_account, mut tree) = (account(server_auth), tree());
    device_account.client_auth = auth;
    device_account.server_each = each;
    let opening = Opening {
        session: "7".to_owned(),
        initiator: Initiator::Client,
        alerts,
        version,
        encoding,
        max_message,
        max_object: None,
        quirks: Quirks::default(),
    };
    let (mut device, mut message) = Session::begin(opening, &device_account, &tree);
    let server_account = server::Account {
        server_id: "srv",
        client_auth: auth,
        every_message: each,
        client_name: "c",
        client_secret,
        server_auth,
        server_name: "srv",
        server_secret,
    };
    let mut session = server::Session::open(&message, "http://s/dm");
    session.set_large_objects(large_objects);
    let (mut batches, mut answers, mut told) = (batches.into_iter(), Vec::new(), Vec::new());
    let mut verdicts = [Vec::new(), Vec::new()];
    for turn in 1..200 {
        let body = encoding.encode(&message);
        let heard = encoding.decode(&body).unwrap();
        verdicts[1].extend(verdict(&heard.body));
        assert_eq!((heard.header.protocol.as_str(), heard.header.dtd.as_str()), (version.protocol(), version.dtd()));
        let mac = device.mac(&device_account, &body);
        assert!(mac.is_none() || heard.header.credentials.is_none());
        let mac = mac.map(|mac| if odd_macs { Mac::parse(&format!(" {} ", mac.in_hexadecimal())).unwrap() } else { mac });
        let arrival = server::Arrival { mac: mac.as_ref(), body: &body, ..server::Arrival::bare(true) };
        let next = format!("nonce {turn:010}").into_bytes();
        let nonces = server::Nonces { expected: expected.as_slice(), next: &next, server: &own };
        let (received_session, received) = session.receive(&heard, &arrival, &server_account, &nonces, &limits).unwrap();
        let fresh = received.server_nonce.clone();
        let offer = if received.turn == server::Turn::Offer { batches.next().unwrap_or_default() } else { Vec::new() };
        answers.extend(received.answers);
        told.extend(received.alerts);
        let given = fresh.clone().unwrap_or_else(|| own.clone());
        let nonces = server::Nonces { expected: expected.as_slice(), next: &next, server: &given };
        let (replying_session, reply) = received_session.reply(offer, &server_account, &nonces, encoding, &limits);
        session = replying_session;
        assert!(reply.bytes.len() <= usize::try_from(max_message).unwrap());
        if matches!(received.accepted_with, Some(AuthType::Digest | AuthType::Hmac))
            || matches!(received.turn, server::Turn::Refused { .. })
        {
            expected = Some(next.clone());
        }
        own = given;
        let heard = encoding.decode(&reply.bytes).unwrap();
        verdicts[0].extend(verdict(&heard.body));
        assert!(reply.mac.is_none() || heard.header.credentials.is_none());
        device.note_mac(&device_account, reply.mac.map(|mac| mac.to_string()).as_deref(), &reply.bytes);
        let device_nonce = format!("device nonce {turn:011}");
        let (listening, turn_of_device) =
            device.receive(&heard, &mut device_account, &mut tree, device_nonce.as_bytes()).unwrap();
        device = listening;
        match turn_of_device {
            Turn::Send(sent) => {
                let asks_for_proof = matches!(&sent.body[..], [Element::Status(status)] if status.code.is_challenge());
                assert!(!reply.ended || asks_for_proof, "the device has more to say: {:?}", sent.body);
                message = *sent;
            }
            Turn::Over(ending) => {
                assert!(reply.ended || ending.end != End::Complete, "the server waits for more");
                return Outcome { answers, alerts: told, ending, messages: turn, tree, verdicts };
            }
        }
    }
    panic!("no end");
}

fn get(target: &str) -> Command {
    Command::Get { target: uri(target) }
}

fn replace(number: i32) -> Command {
    Command::Replace { target: uri("./Vendor/Count"), value: Value::int(number) }
}

fn codes(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status.map_or(0, |status| status.0)).collect()
}

#[test]
fn every_pairing_of_credentials_and_encodings_comes_to_an_understanding() {
    for auth in [AuthType::Basic, AuthType::Digest, AuthType::Hmac] {
        for server_auth in [None, Some(AuthType::Basic), Some(AuthType::Digest), Some(AuthType::Hmac)] {
            for encoding in [Encoding::Xml, Encoding::Wbxml] {
                // What the sides think of each other's nonces at first need not be right.
                for nonces in [(Some(Vec::new()), Vec::new()), (None, b"an old nonce of mine".to_vec())] {
                    let setting = Setting { auth, server_auth, encoding, nonces, ..Setting::default() };
                    let batches = vec![vec![get("./DevDetail/FwV"), replace(5)], vec![get("./Vendor/Count"), get("./None")]];
                    let Outcome { answers, ending, tree, .. } = hold(setting, batches);
                    assert_eq!(codes(&answers), [200, 200, 200, 404], "{auth:?} {server_auth:?} {encoding:?}");
                    assert_eq!(answers[2].value().map(|value| value.data.as_str()), Some("5"));
                    assert_eq!(ending.end, End::Complete);
                    assert!(ending.authenticated && ending.server_authenticated == server_auth.is_some());
                    assert_eq!(tree.text("./Vendor/Count"), Some("5"));
                }
            }
        }
    }
}

#[test]
fn an_alert_is_told_once_through_every_challenge() {
    let alert = GenericAlert {
        alert_type: AlertType::lenient("org.openmobilealliance.dm.firmwareupdate.update"),
        correlator: Some("c1".to_owned()),
        source: Some(uri("./FUMO")),
        target: None,
        mark: Mark::Warning,
        value: Value::int(410),
    };
    let old = || b"an old nonce of mine".to_vec();
    for nonces in [(Some(Vec::new()), Vec::new()), (None, old()), (Some(Vec::new()), old())] {
        for batches in [vec![vec![get("./DevDetail/FwV")]], Vec::new()] {
            let setting = Setting { nonces: nonces.clone(), alerts: vec![alert.clone()], ..Setting::default() };
            let Outcome { alerts, ending, .. } = hold(setting, batches);
            assert_eq!(alerts, std::slice::from_ref(&alert));
            assert_eq!(ending.heard, [true]);
        }
    }
}

#[test]
fn many_commands_and_long_answers_cross_small_messages() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let setting = Setting { encoding, max_message: 2_500, ..Setting::default() };
        let write = |text: &str| Command::Add { target: uri(&format!("./Vendor/{text}")), value: Value::text(text.repeat(300)) };
        let first: Vec<Command> = ["a", "b", "c", "d"].into_iter().map(write).collect();
        let second: Vec<Command> = (0..60).map(|n| get(["./Vendor/a", "./Vendor/b", "./DevInfo/Man"][n % 3])).collect();
        let Outcome { answers, messages, .. } = hold(setting, vec![first, second]);
        assert!(answers.iter().all(|answer| answer.status == Some(StatusCode::OK)), "{:?}", codes(&answers));
        assert_eq!(answers.iter().filter(|answer| !answer.readings.is_empty()).count(), 60);
        assert!(messages > 5, "{messages}");
    }
}

/// S-AU-06
#[test]
fn by_macs_each_message_is_proven_and_has_a_nonce_of_its_own() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        for odd_macs in [false, true] {
            let (auth, server_auth) = (AuthType::Hmac, Some(AuthType::Hmac));
            let setting = Setting { auth, server_auth, encoding, odd_macs, ..Setting::default() };
            let Outcome { ending, verdicts, messages, .. } = hold(setting, vec![vec![replace(5)], vec![replace(6)]]);
            assert!(ending.authenticated && ending.server_authenticated);
            assert_eq!((messages, verdicts), (3, [vec![200; 3], vec![200; 2]]), "never 212");
        }
    }
}

#[test]
fn who_is_accepted_for_one_message_shows_credentials_in_the_next() {
    for auth in [AuthType::Basic, AuthType::Digest] {
        for server_auth in [AuthType::Basic, AuthType::Digest] {
            let setting = Setting { auth, server_auth: Some(server_auth), each: true, ..Setting::default() };
            let Outcome { answers, ending, verdicts, .. } = hold(setting, vec![vec![replace(5)], vec![replace(6)]]);
            assert_eq!((codes(&answers), ending.end), (vec![200, 200], End::Complete), "{auth:?} {server_auth:?}");
            assert_eq!(verdicts, [vec![200; 3], vec![200; 2]], "{auth:?} {server_auth:?}");
        }
    }
}

/// S-MS-05
#[test]
fn a_device_of_version_1_1_is_served_in_its_version() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        for auth in [AuthType::Basic, AuthType::Digest, AuthType::Hmac] {
            let setting = Setting { auth, encoding, version: Version::V1_1, nonces: (None, Vec::new()), ..Setting::default() };
            let exec = Command::Exec { target: uri("./Go"), correlator: Some("c".to_owned()), value: None };
            let Outcome { answers, ending, .. } = hold(setting, vec![vec![get("./Vendor/Count"), replace(5)], vec![exec]]);
            assert_eq!((codes(&answers), ending.end), (vec![200, 200, 406], End::Complete));
        }
    }
}

#[test]
fn an_exec_is_answered_in_its_turn() {
    let exec = Command::Exec { target: uri("./Go"), correlator: Some("c".to_owned()), value: None };
    let Outcome { answers, .. } = hold(Setting::default(), vec![vec![replace(2), exec, get("./Vendor/Count")]]);
    assert_eq!(codes(&answers), [200, 406, 200]);
}

#[test]
fn sides_that_do_not_know_each_other_part_without_having_done_anything() {
    let client = Setting { client_secret: "other", ..Setting::default() };
    let Outcome { ending, tree, .. } = hold(client, vec![vec![replace(5)]]);
    assert_eq!(ending.end, End::Refused(StatusCode::INVALID_CREDENTIALS));
    assert_eq!(tree.text("./Vendor/Count"), Some("1"));
    let server = Setting { server_secret: "other", ..Setting::default() };
    let Outcome { ending, tree, .. } = hold(server, vec![vec![replace(5)]]);
    assert_eq!(ending.end, End::Aborted, "the server gives up first");
    assert_eq!(tree.text("./Vendor/Count"), Some("1"));
}

#[test]
fn a_value_too_large_for_a_message_goes_in_pieces() {
    let text: String = "<a & \u{e4}\u{20ac}>".repeat(1_200);
    let octets: Vec<u8> = (0..20_001_u32).map(|at| (at % 251).to_le_bytes()[0]).collect();
    let octets = Value { format: Format::Bin, media_type: None, data: STANDARD.encode(octets) };
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        for max_message in [2_000, 3_001, 16_000] {
            let add = |name: &str, value: &Value| Command::Add { target: uri(&format!("./Vendor/{name}")), value: value.clone() };
            let batch =
                vec![replace(1), add("Text", &Value::text(&text)), get("./DevDetail/FwV"), add("Octets", &octets), replace(2)];
            let back = if max_message > 2_000 {
                vec![get("./Vendor/Text"), get("./Vendor/Octets"), get("./DevInfo/Man")]
            } else {
                Vec::new()
            };
            let count = 5 + back.len();
            let Outcome { answers, tree, messages, .. } =
                hold(Setting { encoding, max_message, ..Setting::default() }, vec![batch, back]);
            assert_eq!(codes(&answers), vec![200; count], "{encoding:?} {max_message}");
            if let [.., first, second, third] = &answers[5..] {
                assert_eq!(first.value().unwrap().data, text, "{encoding:?} {max_message}");
                assert_eq!(second.value().unwrap().data, octets.data);
                assert_eq!(third.readings.len(), 1, "what comes after the pieces is not lost");
            }
            assert_eq!(tree.text("./Vendor/Text"), Some(text.as_str()));
            let decoded = |text: &str| STANDARD.decode(text).unwrap();
            assert_eq!(decoded(tree.text("./Vendor/Octets").unwrap()), decoded(&octets.data));
            assert!(messages > 3, "{messages}");
        }
    }
    let whole = Command::Add { target: uri("./Vendor/Text"), value: Value::text(&text) };
    let setting = Setting { max_message: 2_000, large_objects: false, ..Setting::default() };
    assert_eq!(codes(&hold(setting, vec![vec![whole]]).answers), [413], "to a device that does not take pieces");
}
