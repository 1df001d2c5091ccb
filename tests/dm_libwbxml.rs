//! What the gateway says in WBXML, read by libwbxml and by us: two who know nothing of each other.
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Command;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_protocol::encoding::Encoding;
use dmwsi_protocol::message::{Data, Element, Group, Item, Message, Party};
use serde_json::json;

use crate::dm_rows_objects::{MORE, begin_with, piece};
use crate::harness::phone::{FINAL, basic_cred};
use crate::harness::talk::{Ground, Heard};

/// What stands in the elements of each name, in order. Empty ones do not count, since libwbxml writes some of them and leaves others away.
type Texts = BTreeMap<&'static str, Vec<Vec<u8>>>;

const NAMES: [&str; 14] = [
    "VerProto",
    "SessionID",
    "MsgID",
    "CmdID",
    "MsgRef",
    "CmdRef",
    "Cmd",
    "LocURI",
    "Data",
    "TargetRef",
    "NextNonce",
    "Format",
    "Correlator",
    "RespURI",
];

/// That message as XML by libwbxml; none where the tool is not installed and need not be.
fn libwbxml(body: &[u8]) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    std::fs::write(&from, body).unwrap();
    match Command::new("wbxml2xml").arg("-o").arg(&to).arg(&from).output() {
        Ok(done) => {
            let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
            Some(std::fs::read(&to).unwrap_or_else(|error| panic!("{error}: {complaint}: {}", body.escape_ascii())))
        }
        Err(absent) => {
            assert_ne!(std::env::var("DMWSI_TEST_TOOLS").as_deref(), Ok("required"), "wbxml2xml is required: {absent}");
            // Not by the macro: what a passing test prints is swallowed.
            let mut told = std::io::stderr();
            writeln!(told, "\n*** wbxml2xml (libwbxml2-utils) is not installed: its test is SKIPPED ***\n").unwrap();
            None
        }
    }
}

/// The texts that libwbxml wrote. It is no XML where values are octets, which it writes as they are, so that nothing but its own marks can be looked for.
fn theirs(xml: &[u8]) -> Texts {
    let mut texts = Texts::new();
    let find = |in_: &[u8], what: &[u8]| in_.windows(what.len()).position(|window| window == what);
    for name in NAMES {
        let mut rest = xml;
        // An element with an attribute has a blank behind its name.
        while let Some(at) = find(rest, format!("<{name}").as_bytes()) {
            rest = &rest[at + 1 + name.len()..];
            if !matches!(rest.first(), Some(b'>' | b' ')) {
                continue;
            }
            let begin = find(rest, b">").unwrap() + 1;
            if rest[..begin].ends_with(b"/>") {
                continue;
            }
            let end = find(rest, format!("</{name}>").as_bytes()).unwrap();
            let inner = &rest[begin..end];
            let text = match inner.strip_prefix(b"<![CDATA[").and_then(|inner| inner.strip_suffix(b"]]>")) {
                Some(octets) => octets.to_vec(),
                None => {
                    let text = std::str::from_utf8(inner).unwrap();
                    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&").into_bytes()
                }
            };
            note(&mut texts, name, &text);
            rest = &rest[end..];
        }
    }
    texts
}

fn note(texts: &mut Texts, name: &'static str, text: impl AsRef<[u8]>) {
    if !text.as_ref().is_empty() {
        texts.entry(name).or_default().push(text.as_ref().to_vec());
    }
}

/// The same as we read the message, in the order in which the elements stand.
fn ours(message: &Message) -> Texts {
    let (mut texts, header) = (Texts::new(), &message.header);
    let mut say = |name, text: &str| note(&mut texts, name, text);
    say("VerProto", &header.protocol);
    say("SessionID", &header.session);
    say("MsgID", &header.message.to_string());
    for Party { uri, .. } in [&header.target, &header.source] {
        say("LocURI", uri);
    }
    header.respond_to.iter().for_each(|uri| say("RespURI", uri));
    if let Some(shown) = &header.credentials {
        shown.format.iter().for_each(|format| say("Format", format));
        say("Data", &shown.data);
    }
    message.body.iter().for_each(|element| tell(&mut texts, element));
    texts
}

fn tell(texts: &mut Texts, element: &Element) {
    let mut say = |name, text: &str| note(texts, name, text);
    match element {
        Element::Alert(alert) => {
            say("CmdID", &alert.id);
            say("Data", &alert.code.to_string());
            alert.correlator.iter().for_each(|correlator| say("Correlator", correlator));
            alert.items.iter().for_each(|item| tell_item(texts, item));
        }
        Element::Atomic(Group { id, members }) | Element::Sequence(Group { id, members }) => {
            say("CmdID", id);
            members.iter().for_each(|member| tell(texts, member));
        }
        Element::Command(command) => {
            say("CmdID", &command.id);
            command.correlator.iter().for_each(|correlator| say("Correlator", correlator));
            command.items.iter().for_each(|item| tell_item(texts, item));
        }
        Element::Status(status) => {
            say("CmdID", &status.id);
            say("MsgRef", &status.message.to_string());
            say("CmdRef", &status.command);
            say("Cmd", &status.name);
            status.targets.iter().for_each(|target| say("TargetRef", target));
            if let Some(challenge) = &status.challenge {
                challenge.next_nonce.iter().for_each(|nonce| say("NextNonce", nonce));
                say("Format", "b64");
            }
            say("Data", &status.code.0.to_string());
        }
        Element::Results(_) | Element::Unknown { .. } => panic!("the server does not say {element:?}"),
    }
}

fn tell_item(texts: &mut Texts, item: &Item) {
    for uri in item.target.iter().chain(&item.source) {
        note(texts, "LocURI", uri);
    }
    item.meta.format.iter().for_each(|format| note(texts, "Format", format));
    match &item.data {
        Some(Data::Octets(octets)) => note(texts, "Data", octets),
        Some(Data::Text(text)) => note(texts, "Data", text),
        None => {}
    }
}

/// Both read the same; no where nobody can tell. `seen` counts what was compared.
fn is_the_same(heard: &Heard, seen: &mut BTreeMap<&'static str, usize>) -> bool {
    let Some(xml) = libwbxml(&heard.body) else { return false };
    let (theirs, ours) = (theirs(&xml), ours(&heard.message));
    assert_eq!(theirs, ours, "{}", String::from_utf8_lossy(&xml));
    for (name, texts) in ours {
        *seen.entry(name).or_default() += texts.len();
    }
    true
}

both! {
    /// AD-12, S-TR-02: whole sessions: challenges, every kind of command, and octets in pieces.
    async fn libwbxml_reads_what_the_gateway_says_as_we_do(database: Database) {
        let ground = Ground::on(&database).await;
        let side = |secret: &str| json!({"auth": "DIGEST", "name": secret, "secret": secret});
        let mut seen = BTreeMap::new();
        let mut stranger = ground.talk_with(Encoding::Wbxml, json!({"client": side("mine"), "server": side("theirs")})).await;
        stranger.credentials = basic_cred("me", "wrong");
        if !is_the_same(&stranger.opens("").await, &mut seen) {
            return;
        }
        let mut talk = ground.talk(Encoding::Wbxml).await;
        for (operation, codes) in [
            (json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man", "./Vendor/A?prop=ACL"]}), &[404, 404][..]),
            (json!({"type": "NODES_ADD", "nodes": [{"node": "./Vendor/New", "format": "node"}, {"node": "./Vendor/New/Leaf", "value": "a < b & \"c\" \u{e4}\u{1F600}", "type": "text/plain"}]}), &[200, 200]),
            (json!({"type": "NODES_SET", "changes": [{"node": "./Vendor/Octets", "format": "bin", "value": "AAECA/8="}, {"node": "./Vendor/Xml", "format": "xml", "value": "<a b=\"c\"/>"}]}), &[200, 200]),
            (json!({"type": "NODES_ATOMIC", "commands": [{"command": "REPLACE", "node": "./Vendor/A", "value": "1"}, {"command": "DELETE", "node": "./Vendor/B"}, {"command": "COPY", "node": "./Vendor/C", "source": "./Vendor/A"}]}), &[200, 200, 200, 200]),
            (json!({"type": "NODES_EXEC", "nodes": [{"node": "./Vendor/Task", "value": "fast & far"}], "reportWithinSeconds": 600}), &[200]),
            (json!({"type": "USER_PROMPT", "kind": "SINGLE_CHOICE", "text": "Which?", "choices": ["red", "green & blue"], "maxSeconds": 30}), &[406]),
        ] {
            let job = talk.job(&operation).await;
            let heard = talk.opens("").await;
            assert!(heard.asks() && is_the_same(&heard, &mut seen), "{operation}");
            let heard = talk.say(&format!("{}{FINAL}", heard.answers(codes))).await;
            assert!(is_the_same(&heard, &mut seen));
            talk.ended(&job).await;
        }
        // No three of them in a row are the mark by which the octets end for libwbxml.
        let octets: Vec<u8> = (0..=255).cycle().take(4_000).collect();
        let (job, mut heard) = begin_with(&mut talk, "bin", &BASE64_STANDARD.encode(&octets)).await;
        let mut whole = Vec::new();
        loop {
            assert!(is_the_same(&heard, &mut seen));
            let (item, xml) = (piece(&heard), libwbxml(&heard.body).unwrap());
            whole.extend(theirs(&xml)["Data"].last().unwrap().clone());
            if !item.more {
                break;
            }
            assert!(xml.windows(11).any(|window| window == b"<MoreData/>"));
            heard = talk.say(&format!("{}{MORE}", heard.answers(&[213]))).await;
        }
        assert!(whole == octets, "put together as libwbxml reads the pieces");
        let heard = talk.say(&format!("{}{FINAL}", heard.answers(&[200]))).await;
        assert!(is_the_same(&heard, &mut seen));
        talk.say(&format!("{}{FINAL}", heard.answers(&[200]))).await;
        assert_eq!(talk.ended(&job).await["outcome"], "ADDED");
        for name in NAMES {
            assert!(seen.contains_key(name), "no {name} was compared: {seen:?}");
        }
        ground.server.stop().await;
    }
}
