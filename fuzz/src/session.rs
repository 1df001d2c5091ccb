//! A session of the server with a device that may say anything.
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{Command, NodeUri, Prompt, PromptKind, Value};
use dmwsi_protocol::credentials;
use dmwsi_protocol::encoding::{Encoding, Form};
use dmwsi_protocol::mac::Mac;
use dmwsi_protocol::server::{Account, Arrival, Limits, Nonces, Session, Turn};

/// What stands between two messages.
const BETWEEN: &[u8] = b"\n----\n";

/// A first byte that tells the setting, then messages with a line of four hyphens between them.
pub fn session(bytes: &[u8]) {
    let Some((setting, rest)) = bytes.split_first() else { return };
    let account = Account {
        server_id: "dm.example",
        client_auth: match setting & 7 {
            2 | 3 => AuthType::Hmac,
            setting if setting & 1 == 0 => AuthType::Basic,
            _ => AuthType::Digest,
        },
        every_message: false,
        client_name: "device",
        client_secret: "secret",
        server_auth: match setting & 7 {
            0..=2 => None,
            3 => Some(AuthType::Hmac),
            4 | 5 => Some(AuthType::Basic),
            _ => Some(AuthType::Digest),
        },
        server_name: "server",
        server_secret: "hidden",
    };
    let nonces = Nonces { expected: &[b"0123456789abcdef".to_vec()], next: b"ABCDEFGHIJKLMNOPQRSTUVWX", server: b"before" };
    let limits = Limits { max_message: 65_536, max_object: 4_000, max_commands: 4, max_tries: 3, max_next_messages: 4 };
    let mut session = None::<Session>;
    for (at, bytes) in split(rest).into_iter().enumerate() {
        let encoding = Encoding::sniff(bytes, None);
        let Ok(message) = encoding.decode(bytes) else { continue };
        let before = session.take().unwrap_or_else(|| {
            let mut session = Session::open(&message, "https://dm.example/dm?s=1");
            session.set_large_objects(setting & 8 != 0);
            session
        });
        // Nobody guesses a MAC: it is right, but for every other message where the setting says so, over a nonce that everybody knows.
        let nonce = if setting & 16 != 0 && at % 2 == 0 { &[0; 4][..] } else { b"0123456789abcdef" };
        let mac = Mac::of("device", &credentials::account_hash("device", "secret"), nonce, bytes);
        let mac = Some(&mac).filter(|_| account.client_auth == AuthType::Hmac);
        let arrival = Arrival { body: bytes, mac, ..Arrival::bare(setting & 16 == 0) };
        let Ok((heard, received)) = before.clone().receive(&message, &arrival, &account, &nonces, &limits) else {
            session = Some(before);
            continue;
        };
        let offered = if received.turn == Turn::Offer { commands(setting >> 5) } else { Vec::new() };
        let (said, reply) = stored(&heard).reply(offered, &account, &nonces, encoding, &limits);
        assert_eq!(Form::from(encoding).encode(&encoding.decode(&reply.bytes).expect("a reply can be read")), reply.bytes);
        assert!(reply.mac.is_none() || account.server_auth.is_some() && reply.message.header.credentials.is_none());
        if reply.ended {
            assert!(said.is_ended());
            return;
        }
        session = Some(stored(&said));
    }
    if let Some(session) = session {
        let _answers = session.abandon();
    }
}

/// A session is the same after it was kept between two messages.
fn stored(session: &Session) -> Session {
    let kept = serde_json::to_string(session).expect("a session can be kept");
    let read = serde_json::from_str(&kept).expect("and read");
    assert_eq!(&read, session);
    read
}

fn split(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while let Some(at) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        all.push(&rest[..at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    all.push(rest);
    all
}

fn commands(count: u8) -> Vec<Command> {
    let node = |text: &str| NodeUri::parse(text).expect("an address");
    let add = Command::Add { target: node("./A/C"), value: Value::node(&[]) };
    let large = Command::Replace { target: node("./A/B"), value: Value::text("x".repeat(3_000)) };
    let prompt = Prompt {
        kind: PromptKind::SingleChoice,
        options: "DR=1".to_owned(),
        text: "which?".to_owned(),
        choices: vec!["one".to_owned(), "two".to_owned()],
    };
    let all = [
        Command::Get { target: node("./DevInfo/Man") },
        Command::Atomic { members: vec![add, Command::Delete { target: node("./A/C") }] },
        Command::Exec { target: node("./FUMO/Update"), correlator: Some("c".to_owned()), value: None },
        Command::Copy { source: node("./A/B"), target: node("./A/D") },
        Command::Alert(prompt),
        large,
        Command::Get { target: node("./A?list=Struct") },
    ];
    all.into_iter().take(usize::from(count)).collect()
}
