//! A client of OMA DM that knows nothing: bodies in, bodies out, and what RFC 1321 and OMA DM Security say of credentials.
use std::cell::RefCell;
use std::collections::HashMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use openssl::hash::{MessageDigest, hash};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};

pub(crate) const XML: &str = "application/vnd.syncml.dm+xml";
pub(crate) const WBXML: &str = "application/vnd.syncml.dm+wbxml";

/// Sends bodies to `/dm`, and to the address that a reply names for the rest of its session.
#[derive(Clone)]
pub(crate) struct Phone {
    http: reqwest::Client,
    url: String,
    heeds_resp_uri: bool,
}

thread_local! {
    /// The secrets of this test's sessions, by device and SessionID.
    static PASSES: RefCell<HashMap<(String, String), String>> = RefCell::default();
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    /// The header `x-syncml-hmac`.
    pub(crate) mac: Option<String>,
    pub(crate) body: Bytes,
}

impl Phone {
    /// One that knows the server at this address.
    pub(crate) fn of(base: &str) -> Self {
        Self { http: reqwest::Client::new(), url: format!("{base}/dm"), heeds_resp_uri: true }
    }

    /// One that talks over that client.
    pub(crate) fn over(http: reqwest::Client, base: &str) -> Self {
        Self { http, ..Self::of(base) }
    }

    /// The same, for whom every message goes to the address of its account.
    pub(crate) fn deaf_to_resp_uri(base: &str) -> Self {
        Self { heeds_resp_uri: false, ..Self::of(base) }
    }

    /// Posts a body; every answer must tell its length and come whole.
    pub(crate) async fn post(&self, content_type: &str, body: impl Into<Vec<u8>>) -> Heard {
        self.post_with(content_type, &[], body).await
    }

    /// The same with further headers.
    pub(crate) async fn post_with(&self, content_type: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Heard {
        let body = body.into();
        let key = session_of(&body);
        let pass = PASSES.with_borrow(|passes| passes.get(&key).cloned()).filter(|_| self.heeds_resp_uri);
        let url = pass.map_or_else(|| self.url.clone(), |pass| format!("{}?s={pass}", self.url));
        let mut request = self.http.post(url).header(CONTENT_TYPE, content_type).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let mac = response.headers().get("X-SyncML-HMAC").map(|value| value.to_str().unwrap().to_owned());
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header(TRANSFER_ENCODING), None, "real clients cannot read chunks");
        let (status, content_type, length) = (response.status().as_u16(), header(CONTENT_TYPE), header(CONTENT_LENGTH));
        let body = response.bytes().await.unwrap();
        assert_eq!(length, Some(body.len().to_string()), "real clients need the length");
        if let Some(pass) = pass_in(&body).filter(|_| self.heeds_resp_uri) {
            PASSES.with_borrow_mut(|passes| passes.insert(key, pass));
        }
        Heard { status, content_type: content_type.unwrap_or_default(), mac, body }
    }

    /// Says something in XML and hears the answer in XML.
    pub(crate) async fn say(&self, body: String) -> String {
        let heard = self.post(XML, body.clone()).await;
        assert_eq!((heard.status, heard.content_type.as_str()), (200, XML), "{body}\n{:?}", heard.body);
        String::from_utf8(heard.body.to_vec()).unwrap()
    }
}

/// Who speaks in which session: as XML says it. A client in WBXML here holds one session at a time.
fn session_of(body: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(body);
    let part = |before: &str, after: &str| Some(text.split_once(before)?.1.split_once(after)?.0.to_owned());
    let source = part("<Source>", "</Source>").unwrap_or_default();
    (source, part("<SessionID>", "</SessionID>").unwrap_or_default())
}

/// The secret in the `RespURI` of a reply, in either encoding: 128 bits in base64 for URLs.
fn pass_in(reply: &[u8]) -> Option<String> {
    let at = reply.windows(6).position(|part| part == b"/dm?s=")?;
    let pass = &reply[at + 6..at + 28];
    assert!(pass.iter().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(c)), "{pass:?}");
    Some(String::from_utf8(pass.to_vec()).unwrap())
}

/// A reply without the secret in its `RespURI`, where there is one: nobody can foretell it.
#[track_caller]
pub(crate) fn without_pass(reply: &str) -> String {
    let Some((_, rest)) = reply.split_once("/dm?s=") else { return reply.to_owned() };
    let pass = rest.split_once("</RespURI>").unwrap().0;
    assert_eq!(pass.len(), 22);
    reply.replacen(&format!("?s={pass}"), "", 1)
}

/// What stands between two marks.
#[track_caller]
pub(crate) fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
    rest.split_once(after).unwrap_or_else(|| panic!("no {after} after {before} in {text}")).0
}

/// The nonce of a challenge, as text.
#[track_caller]
pub(crate) fn next_nonce(reply: &str) -> &str {
    between(reply, "<NextNonce xmlns=\"syncml:metinf\">", "</NextNonce>")
}

/// The `Data` of basic credentials.
pub(crate) fn basic(user: &str, password: &str) -> String {
    BASE64_STANDARD.encode(format!("{user}:{password}"))
}

/// The `Data` of md5 credentials: B64(MD5(B64(MD5(user ":" password)) ":" nonce)), the nonce in base64 as it came.
pub(crate) fn md5(user: &str, password: &str, nonce: &str) -> String {
    let of = |octets: &[u8]| BASE64_STANDARD.encode(hash(MessageDigest::md5(), octets).unwrap());
    let mut text = format!("{}:", of(format!("{user}:{password}").as_bytes())).into_bytes();
    text.extend(BASE64_STANDARD.decode(nonce).unwrap());
    of(&text)
}

/// The MAC over a body: B64(MD5(B64(MD5(user ":" password)) ":" nonce ":" B64(MD5(body)))), the nonce in base64 as it came.
pub(crate) fn mac(user: &str, password: &str, nonce: &str, body: &[u8]) -> String {
    let of = |octets: &[u8]| BASE64_STANDARD.encode(hash(MessageDigest::md5(), octets).unwrap());
    let mut text = format!("{}:", of(format!("{user}:{password}").as_bytes())).into_bytes();
    text.extend(BASE64_STANDARD.decode(nonce).unwrap());
    text.extend(format!(":{}", of(body)).bytes());
    of(&text)
}

/// The `Cred` of md5 credentials.
pub(crate) fn md5_cred(user: &str, password: &str, nonce: &str) -> String {
    cred("md5", &md5(user, password, nonce))
}

/// The `Cred` of basic credentials.
pub(crate) fn basic_cred(user: &str, password: &str) -> String {
    cred("basic", &basic(user, password))
}

fn cred(kind: &str, data: &str) -> String {
    format!(
        "<Cred><Meta><Format xmlns=\"syncml:metinf\">b64</Format><Type xmlns=\"syncml:metinf\">syncml:auth-{kind}</Type></Meta>\
        <Data>{data}</Data></Cred>"
    )
}

/// A message of a device.
pub(crate) fn message(device: &str, session: &str, number: u32, cred: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>\
        <SessionID>{session}</SessionID><MsgID>{number}</MsgID><Target><LocURI>http://dm.example/dm</LocURI></Target>\
        <Source><LocURI>{device}</LocURI></Source>{cred}<Meta><MaxMsgSize xmlns=\"syncml:metinf\">16384</MaxMsgSize></Meta></SyncHdr>\
        <SyncBody>{body}</SyncBody></SyncML>"
    )
}

/// The alert of a session that the device wants, and DevInfo, as commands 1 and 2; more may follow.
pub(crate) const PACKAGE_1: &str = "<Alert><CmdID>1</CmdID><Data>1201</Data></Alert><Replace><CmdID>2</CmdID>\
    <Item><Source><LocURI>./DevInfo/Man</LocURI></Source><Data>Acme</Data></Item>\
    <Item><Source><LocURI>./DevInfo/Mod</LocURI></Source><Data>One</Data></Item></Replace>";

/// The end of a package.
pub(crate) const FINAL: &str = "<Final/>";

/// The Status of a server's command.
pub(crate) fn status(id: u32, message: u32, command: u32, name: &str, code: u32) -> String {
    format!(
        "<Status><CmdID>{id}</CmdID><MsgRef>{message}</MsgRef><CmdRef>{command}</CmdRef><Cmd>{name}</Cmd><Data>{code}</Data></Status>"
    )
}

/// The Results of a Get.
pub(crate) fn results(id: u32, message: u32, command: u32, node: &str, data: &str) -> String {
    format!(
        "<Results><CmdID>{id}</CmdID><MsgRef>{message}</MsgRef><CmdRef>{command}</CmdRef>\
        <Item><Source><LocURI>{node}</LocURI></Source><Data>{data}</Data></Item></Results>"
    )
}
