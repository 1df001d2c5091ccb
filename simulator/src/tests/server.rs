//! A small DM server over HTTP that does what a script says.
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use dmwsi_objects::StatusCode;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_protocol::credentials::{account_hash, basic, decode_nonce, digest};
use dmwsi_protocol::encoding::Encoding;
use dmwsi_protocol::message::{
    Alert, Challenge, Credentials, Data, Element, Header, Item, Message, Meta, NodeCommand, Party, Status, Verb, alert,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::profile::DeviceProfile;

/// The server; a copy is the same server.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    peers: HashMap<String, Peer>,
    files: HashMap<String, File>,
}

/// What the server does at a path other than `/dm`.
#[derive(Clone)]
pub(super) enum File {
    /// Answers with these octets.
    Body(Vec<u8>),
    /// Announces more than it sends.
    Cut,
    /// Answers with this head, and a body.
    Head(String, Vec<u8>),
}

/// What the server knows of a device.
pub(super) struct Peer {
    profile: DeviceProfile,
    pub(super) auth: AuthType,
    pub(super) client_nonce: Vec<u8>,
    pub(super) server_nonce: Vec<u8>,
    pub(super) batches: VecDeque<Vec<Element>>,
    /// Everything new that came, in order.
    pub(super) received: Vec<Message>,
    /// Messages that came again.
    pub(super) repeated: usize,
    /// The heads of all its requests, in small letters.
    pub(super) heads: Vec<String>,
    last: Option<(Vec<u8>, Vec<u8>)>,
    offered: Vec<Element>,
    nonces: u32,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { url, state: Arc::default() };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _peer)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        server
    }

    pub(super) fn dm(&self) -> String {
        format!("{}/dm", self.url)
    }

    /// Makes a device known, with the batches of commands that wait for it.
    pub(super) fn know(&self, profile: &DeviceProfile, batches: Vec<Vec<Element>>) {
        let peer = Peer {
            profile: profile.clone(),
            auth: AuthType::Digest,
            client_nonce: b"known to nobody else yet".to_vec(),
            server_nonce: Vec::new(),
            batches: batches.into(),
            received: Vec::new(),
            repeated: 0,
            heads: Vec::new(),
            last: None,
            offered: Vec::new(),
            nonces: 0,
        };
        self.state.lock().unwrap().peers.insert(profile.device.clone(), peer);
    }

    pub(super) fn peer<T>(&self, profile: &DeviceProfile, look: impl FnOnce(&mut Peer) -> T) -> T {
        look(self.state.lock().unwrap().peers.get_mut(&profile.device).unwrap())
    }

    pub(super) fn file(&self, path: &str, file: File) -> String {
        self.state.lock().unwrap().files.insert(path.to_owned(), file);
        format!("{}{path}", self.url)
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        while let Some((head, body)) = request(&mut stream, &mut buffer).await {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let answer = self.answer(&path, &head, &body);
            if stream.write_all(&answer).await.is_err() || path == "/cut" {
                return;
            }
        }
    }

    fn answer(&self, path: &str, head: &str, body: &[u8]) -> Vec<u8> {
        let mut state = self.state.lock().unwrap();
        match state.files.get(path) {
            Some(File::Body(body)) => response("200 OK", "application/octet-stream", body),
            Some(File::Cut) => b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nDMWSI".to_vec(),
            Some(File::Head(head, body)) => [format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), body].concat(),
            None if path.starts_with("/dm") => {
                let encoding = if head.contains("+wbxml") { Encoding::Wbxml } else { Encoding::Xml };
                let message = encoding.decode(body).unwrap();
                let peer = state.peers.get_mut(&message.header.source.uri).unwrap();
                peer.heads.push(head.to_ascii_lowercase());
                let url = self.dm();
                response("200 OK", encoding.content_type(), &peer.take(message, body, encoding, &url))
            }
            None => response("404 Not Found", "text/plain", b"no"),
        }
    }
}

impl Peer {
    fn take(&mut self, message: Message, body: &[u8], encoding: Encoding, url: &str) -> Vec<u8> {
        if let Some((last, reply)) = &self.last
            && last == body
        {
            self.repeated += 1;
            return reply.clone();
        }
        let reply = encoding.encode(&self.reply(&message, url));
        self.received.push(message);
        self.last = Some((body.to_vec(), reply.clone()));
        reply
    }

    fn reply(&mut self, message: &Message, url: &str) -> Message {
        let (name, secret) = (&self.profile.client_name, &self.profile.client_secret);
        let expected = match self.auth {
            AuthType::Basic => basic(name, secret),
            _ => digest(&account_hash(name, secret), &self.client_nonce),
        };
        // A message without credentials comes only after 212.
        let accepted = message.header.credentials.as_ref().is_none_or(|credentials| credentials.data == expected);
        let mut refused = false;
        for element in &message.body {
            if let Element::Status(Status { command, code, challenge, .. }) = element
                && command == "0"
            {
                refused = code.is_challenge();
                let nonce = challenge.as_ref().and_then(|challenge| challenge.next_nonce.as_ref());
                self.server_nonce = nonce.map_or_else(|| self.server_nonce.clone(), |nonce| decode_nonce(nonce));
            }
        }
        let code = StatusCode(if accepted { 212 } else { 401 });
        let status = |command: &str, name: &str, code, challenge| {
            let (command, name) = (command.to_owned(), name.to_owned());
            let message = message.header.message;
            Element::Status(Status { message, command, name, code, challenge, ..Status::default() })
        };
        let challenge = message.header.credentials.is_some().then(|| {
            self.nonces += 1;
            let text = format!("Tm9uY2U{:04}", self.nonces);
            self.client_nonce = decode_nonce(&text);
            Challenge { kind: self.auth.syncml().to_owned(), next_nonce: Some(text) }
        });
        let mut body = vec![status("0", "SyncHdr", code, challenge)];
        let code = StatusCode(if accepted { 200 } else { 401 });
        body.extend(message.body.iter().filter_map(|element| match element {
            Element::Alert(Alert { id, .. }) => Some(status(id, "Alert", code, None)),
            Element::Command(command) => Some(status(&command.id, "Replace", code, None)),
            _ => None,
        }));
        if accepted {
            if !refused {
                self.offered = self.batches.pop_front().unwrap_or_default();
            }
            body.extend(self.offered.iter().cloned());
        }
        for (number, element) in (1..).zip(&mut body) {
            match element {
                Element::Command(command) => command.id = format!("{number}"),
                Element::Status(status) => status.id = format!("{number}"),
                _ => {}
            }
        }
        let data = digest(&account_hash(&self.profile.server_id, &self.profile.server_secret), &self.server_nonce);
        let header = Header {
            dtd: "1.2".to_owned(),
            protocol: "DM/1.2".to_owned(),
            session: message.header.session.clone(),
            message: message.header.message,
            target: message.header.source.clone(),
            source: Party { uri: url.to_owned(), name: Some(self.profile.server_id.clone()) },
            respond_to: Some(format!("{url}?s=1")),
            credentials: Some(Credentials { kind: "syncml:auth-md5".to_owned(), format: Some("b64".to_owned()), data }),
            ..Header::default()
        };
        Message { header, body, last: true }
    }
}

/// The next request: its head and its body.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            if buffer.len() >= end + 4 + length {
                let rest = buffer.split_off(end + 4 + length);
                let body = buffer.split_off(end + 4);
                *buffer = rest;
                return Some((head, body));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn response(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A command for a script.
pub(super) fn command(verb: Verb, target: &str, data: Option<&str>, correlator: Option<&str>) -> Element {
    let data = data.map(|text| Data::Text(text.to_owned()));
    let items = vec![Item { target: Some(target.to_owned()), data, ..Item::default() }];
    let correlator = correlator.map(str::to_owned);
    Element::Command(NodeCommand { id: String::new(), verb, correlator, meta: Meta::default(), items })
}

/// The Generic Alerts of messages: type, source, correlator and data.
pub(super) fn alerts(messages: &[Message]) -> Vec<(String, String, Option<String>, String)> {
    let told = messages.iter().flat_map(|message| &message.body).filter_map(|element| match element {
        Element::Alert(told) if told.code == alert::GENERIC => {
            let item = told.items.first()?;
            let Some(Data::Text(data)) = &item.data else { return None };
            let kind = item.meta.media_type.clone()?;
            let last = kind.rsplit('.').next()?.to_owned();
            Some((last, item.source.clone()?, told.correlator.clone(), data.clone()))
        }
        _ => None,
    });
    told.collect()
}

/// The data of the Results of messages.
pub(super) fn brought(messages: &[Message]) -> Vec<String> {
    let items = messages.iter().flat_map(|message| &message.body).filter_map(|element| match element {
        Element::Results(results) => results.items.first(),
        _ => None,
    });
    items.map(|item| if let Some(Data::Text(text)) = &item.data { text.clone() } else { String::new() }).collect()
}
