//! A device whose every word a test chooses, in either encoding: bodies are written as XML and go out as they are, or as WBXML of the same meaning.
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_protocol::message::{Data, Element, Message, Status};
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use serde_json::{Value, json};

use super::Database;
use super::handset::{SCOPES, execution, job};
use super::phone::{FINAL, PACKAGE_1, basic_cred, status};
use super::server::{Portal, Server};

/// Both encodings, for a loop over them.
pub(crate) const ENCODINGS: [Encoding; 2] = [Encoding::Xml, Encoding::Wbxml];

/// A server that asks nothing of its own accord, and a portal at it.
pub(crate) struct Ground {
    pub(crate) server: Server,
    pub(crate) portal: Portal,
    /// Keeps no connection.
    http: reqwest::Client,
}

impl Ground {
    pub(crate) async fn on(database: &Database) -> Self {
        Self::with(database, |_config| {}).await
    }

    pub(crate) async fn with(database: &Database, change: impl FnOnce(&mut Config)) -> Self {
        let server = Server::with(database, Keys::mint().unwrap(), Clock::System, |config| {
            config.gateway.details_days = 0;
            change(config);
        });
        let server = server.await;
        let portal = server.portal("acme", SCOPES).await;
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(30)).build().unwrap();
        Self { server, portal, http }
    }

    /// A new device that shows a password, and wants none.
    pub(crate) async fn talk(&self, encoding: Encoding) -> Talk {
        self.talk_with(encoding, json!({"client": {"auth": "BASIC", "name": "me", "secret": "mine"}})).await
    }

    /// A new device with that account.
    pub(crate) async fn talk_with(&self, encoding: Encoding, mut account: Value) -> Talk {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(353_000_000_000_000);
        let device = format!("IMEI:{}", NUMBER.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        account["serverId"] = "dmwsi".into();
        let made = self.portal.post("/v1/devices", &json!({"dmIdentity": device, "account": account})).await.of(201);
        Talk {
            portal: self.portal.clone(),
            http: self.http.clone(),
            home: format!("{}/dm", self.server.url()),
            id: made["deviceId"].as_str().unwrap().to_owned(),
            respond_to: None,
            session: 0,
            number: 0,
            last: Bytes::new(),
            credentials: basic_cred("me", "mine"),
            meta: "<MaxMsgSize xmlns=\"syncml:metinf\">16384</MaxMsgSize>".to_owned(),
            encoding,
            device,
        }
    }
}

/// A device in a session.
pub(crate) struct Talk {
    pub(crate) portal: Portal,
    http: reqwest::Client,
    home: String,
    /// How the portal calls it.
    pub(crate) id: String,
    pub(crate) device: String,
    pub(crate) encoding: Encoding,
    respond_to: Option<String>,
    pub(crate) session: u32,
    pub(crate) number: u32,
    /// The body that was sent last.
    pub(crate) last: Bytes,
    /// The `Cred` of its first message in a session.
    pub(crate) credentials: String,
    /// What stands in the Meta of its header.
    pub(crate) meta: String,
}

/// A message of the server.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) message: Message,
    pub(crate) body: Bytes,
    /// The header `x-syncml-hmac`.
    pub(crate) mac: Option<String>,
}

impl Talk {
    /// Begins a session with package 1, and more of it.
    pub(crate) async fn opens(&mut self, more: &str) -> Heard {
        self.begin();
        self.say(&format!("{PACKAGE_1}{more}{FINAL}")).await
    }

    /// The next message is the first of another session.
    pub(crate) fn begin(&mut self) {
        (self.session, self.number, self.respond_to) = (self.session + 1, 0, None);
    }

    /// The next message goes to the address that this one gave.
    pub(crate) fn respond_at(&mut self, heard: &Heard) {
        self.respond_to.clone_from(&heard.message.header.respond_to);
    }

    /// Says the next thing, to the address that the session has, in a connection of its own.
    pub(crate) async fn say(&mut self, body: &str) -> Heard {
        self.number += 1;
        let cred = if self.number == 1 { self.credentials.clone() } else { String::new() };
        self.say_with(&cred, body).await
    }

    /// The same with these credentials, and without counting the message.
    pub(crate) async fn say_with(&mut self, cred: &str, body: &str) -> Heard {
        let text = self.xml(cred, body);
        self.last = match self.encoding {
            Encoding::Xml => text.into(),
            Encoding::Wbxml => Encoding::Wbxml.encode(&with_octets(Encoding::Xml.decode(text.as_bytes()).unwrap())).into(),
        };
        self.repeat().await
    }

    /// The message as XML.
    pub(crate) fn xml(&self, cred: &str, body: &str) -> String {
        let Self { session, number, device, home, meta, .. } = self;
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>\
            <SessionID>{session}</SessionID><MsgID>{number}</MsgID><Target><LocURI>{home}</LocURI></Target><Source><LocURI>{device}</LocURI></Source>\
            {cred}<Meta>{meta}</Meta></SyncHdr><SyncBody>{body}</SyncBody></SyncML>"
        )
    }

    /// Sends the same bytes as before.
    pub(crate) async fn repeat(&mut self) -> Heard {
        let (kind, body) = (self.encoding.content_type(), self.last.clone());
        let (status, answered, mac, body) = self.exchange(Some(kind), body).await;
        assert_eq!((status, answered.as_str()), (200, kind), "{}", body.escape_ascii());
        let message = self.encoding.decode(&body).unwrap_or_else(|error| panic!("{error}: {}", body.escape_ascii()));
        self.respond_to.clone_from(&message.header.respond_to);
        Heard { message, body, mac }
    }

    /// Any body: status, content type and body of the answer, which must tell its length and come whole.
    pub(crate) async fn post(&self, kind: Option<&str>, body: impl Into<Bytes>) -> (u16, String, Bytes) {
        let (status, kind, _mac, body) = self.exchange(kind, body).await;
        (status, kind, body)
    }

    /// The same with the MAC that came along.
    async fn exchange(&self, kind: Option<&str>, body: impl Into<Bytes>) -> (u16, String, Option<String>, Bytes) {
        let mut request = self.http.post(self.respond_to.as_ref().unwrap_or(&self.home)).body(body.into());
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        let response = request.send().await.unwrap();
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header(TRANSFER_ENCODING), None, "real clients cannot read chunks");
        let (status, kind, length) = (response.status().as_u16(), header(CONTENT_TYPE), header(CONTENT_LENGTH));
        let mac = response.headers().get("x-syncml-hmac").map(|value| value.to_str().unwrap().to_owned());
        let body = response.bytes().await.unwrap();
        assert_eq!(length, Some(body.len().to_string()), "real clients need the length");
        (status, kind.unwrap_or_default(), mac, body)
    }

    /// An operator knows this of the device.
    pub(crate) async fn known(&self, traits: &Value) {
        let headers = [("if-match", "*"), ("content-type", "application/merge-patch+json")];
        self.portal.call(Method::PATCH, &format!("/v1/devices/{}/profile", self.id), &headers, Some(traits)).await.of(200);
    }

    /// Gives the device work; the job's path.
    pub(crate) async fn job(&self, operation: &Value) -> String {
        job(&self.portal, &self.id, operation).await
    }

    /// The job on this device, which has ended on it.
    pub(crate) async fn ended(&self, job: &str) -> Value {
        let execution = execution(&self.portal, job, &self.id).await;
        assert!(execution["outcome"].is_string(), "not ended: {execution}");
        execution
    }

    /// The state of the job on this device.
    pub(crate) async fn state(&self, job: &str) -> String {
        execution(&self.portal, job, &self.id).await["state"].as_str().unwrap().to_owned()
    }

    /// What the job brought of this device.
    pub(crate) async fn results(&self, job: &str) -> Vec<Value> {
        let results = self.portal.get(&format!("{job}/executions/{}/results", self.id)).await.of(200);
        results["results"].as_array().unwrap().clone()
    }

    /// What came of each node, in order.
    pub(crate) async fn outcomes(&self, job: &str) -> Vec<String> {
        self.results(job).await.iter().map(|one| one["outcome"].as_str().unwrap().to_owned()).collect()
    }

    /// Gives the device work and does it in one session, where each of the server's commands gets its code; how the job ended on it.
    pub(crate) async fn does(&mut self, operation: &Value, codes: &[u16]) -> Value {
        let job = self.job(operation).await;
        let heard = self.opens("").await;
        let answers = heard.answers(codes);
        self.say(&format!("{answers}{FINAL}")).await;
        self.ended(&job).await
    }
}

impl Heard {
    /// The name and code of every Status, in order.
    pub(crate) fn codes(&self) -> Vec<(&str, u16)> {
        self.statuses().map(|status| (status.name.as_str(), status.code.0)).collect()
    }

    pub(crate) fn statuses(&self) -> impl Iterator<Item = &Status> {
        self.message.body.iter().filter_map(|element| match element {
            Element::Status(status) => Some(status),
            _ => None,
        })
    }

    /// The code for the header.
    pub(crate) fn verdict(&self) -> u16 {
        self.statuses().next().unwrap().code.0
    }

    /// The commands, members of groups after their group, with name, id and what they are about.
    pub(crate) fn commands(&self) -> Vec<(&str, &str, &str)> {
        self.message.body.iter().flat_map(commands).collect()
    }

    /// Whether the server asks for anything.
    pub(crate) fn asks(&self) -> bool {
        !self.commands().is_empty()
    }

    /// The code of the only alert in it.
    pub(crate) fn alert(&self) -> Option<u16> {
        let mut alerts = self.message.body.iter().filter_map(|element| match element {
            Element::Alert(alert) => Some(alert.code),
            _ => None,
        });
        alerts.next().filter(|_| alerts.next().is_none())
    }

    /// The Statuses for the header and for each command, as many as there are codes.
    pub(crate) fn answers(&self, codes: &[u16]) -> String {
        let message = self.message.header.message;
        let header = status(1, message, 0, "SyncHdr", 200);
        let each = self.commands().into_iter().zip(codes).zip(2..);
        let each = each.map(|(((name, id, _), code), at)| status(at, message, id.parse().unwrap(), name, (*code).into()));
        std::iter::once(header).chain(each).collect()
    }

    /// The Status for the header alone.
    pub(crate) fn header(&self) -> String {
        self.answers(&[])
    }

    /// The nonce of its challenge, in base64.
    pub(crate) fn nonce(&self) -> String {
        let challenge = self.statuses().next().unwrap().challenge.as_ref();
        challenge.and_then(|challenge| challenge.next_nonce.clone()).unwrap_or_else(|| panic!("no nonce in {:?}", self.message))
    }

    /// The text of the first item of the first command on nodes.
    pub(crate) fn data(&self) -> String {
        let item = self.message.body.iter().find_map(|element| match element {
            Element::Command(command) => command.items.first(),
            _ => None,
        });
        match item.and_then(|item| item.data.as_ref()) {
            Some(Data::Text(text)) => text.clone(),
            other => panic!("no text: {other:?}"),
        }
    }
}

/// In WBXML what has the format `bin` goes as octets, which a test writes as base64.
fn with_octets(mut message: Message) -> Message {
    for element in &mut message.body {
        let Element::Results(results) = element else { continue };
        for item in results.items.iter_mut().filter(|item| item.meta.format.as_deref() == Some("bin")) {
            if let Some(Data::Text(text)) = &item.data {
                item.data = Some(Data::Octets(BASE64_STANDARD.decode(text).unwrap()));
            }
        }
    }
    message
}

fn commands(element: &Element) -> Vec<(&str, &str, &str)> {
    match element {
        Element::Alert(alert) => vec![("Alert", &alert.id, "")],
        Element::Atomic(members) | Element::Sequence(members) => {
            let name = if matches!(element, Element::Atomic(_)) { "Atomic" } else { "Sequence" };
            std::iter::once((name, members.id.as_str(), "")).chain(members.members.iter().flat_map(commands)).collect()
        }
        Element::Command(command) => {
            let target = command.items.first().and_then(|item| item.target.as_deref());
            vec![(command.verb.name(), &command.id, target.unwrap_or_default())]
        }
        Element::Results(_) | Element::Status(_) | Element::Unknown { .. } => Vec::new(),
    }
}
