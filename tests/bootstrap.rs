//! Bootstrap documents: what a device is told before its first session, and that it then finds its server.
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_objects::NodeUri;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_protocol::credentials::account_hash;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_protocol::message::{Data, Element};
use dmwsi_protocol::notification::{Notification, wsp};
use dmwsi_protocol::tnds::Tree;
use dmwsi_simulator::{Behaviour, Device, DeviceProfile, SessionReport, Wire};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use serde_json::{Value, json};

use crate::harness::phone::{FINAL, PACKAGE_1, Phone, between, md5_cred, message};
use crate::harness::server::{Portal, Server};
use crate::harness::wake::{ask, comes_to, ear, quick};

const SCOPES: &str = "devices:bootstrap devices:read devices:wake devices:write";

/// What a device has learned.
#[derive(Debug, Eq, PartialEq)]
struct Learned {
    server_id: String,
    address: String,
    client: [String; 3],
    server: [String; 3],
    /// The nonces of its first credentials and of its server's, in base64.
    nonces: [String; 2],
}

impl Learned {
    /// From a document of Client Provisioning.
    fn from_xml(xml: &str) -> Self {
        let value = |part: &str, name: &str| between(part, &format!("<parm name=\"{name}\" value=\""), "\"/>").to_owned();
        let login = |level: &str| {
            let part = between(xml, &format!("<parm name=\"AAUTHLEVEL\" value=\"{level}\"/>"), "</characteristic>");
            (["AAUTHTYPE", "AAUTHNAME", "AAUTHSECRET"].map(|name| value(part, name)), value(part, "AAUTHDATA"))
        };
        assert_eq!((value(xml, "APPID"), value(xml, "INIT")), ("w7".to_owned(), "1".to_owned()));
        let ((client, of_client), (server, of_server)) = (login("APPSRV"), login("CLIENT"));
        Self { server_id: value(xml, "PROVIDER-ID"), address: value(xml, "ADDR"), client, server, nonces: [of_client, of_server] }
    }

    /// From a message to the Inbox.
    fn from_message(bytes: &[u8]) -> Self {
        let message = Encoding::Wbxml.decode(bytes).unwrap();
        let [Element::Command(add)] = &message.body[..] else { panic!("{message:?}") };
        let Some(Data::Octets(octets)) = &add.items[0].data else { panic!("{add:?}") };
        let tree = Tree::decode(Encoding::Wbxml, octets).unwrap();
        let readings = tree.readings(&NodeUri::parse("./Inbox").unwrap());
        let value = |end: &str| {
            let found = readings.iter().find(|reading| reading.node.as_str().ends_with(end));
            found.unwrap_or_else(|| panic!("no {end} in {readings:?}")).value.data.clone()
        };
        let login =
            |number: u8| ["AAuthType", "AAuthName", "AAuthSecret"].map(|name| value(&format!("/AppAuth/{number}/{name}")));
        assert_eq!([value("/1/AAuthLevel"), value("/2/AAuthLevel"), value("/AppID")], ["CLCRED", "SRVCRED", "w7"]);
        let (server_id, address) = (value("/ServerID"), value("/AppAddr/1/Addr"));
        Self {
            server_id,
            address,
            client: login(1),
            server: login(2),
            nonces: [1, 2].map(|number| value(&format!("/AppAuth/{number}/AAuthData"))),
        }
    }

    /// A device that knows nothing else.
    fn device(&self, identity: &str) -> Device {
        let [client_auth, client_name, client_secret] = self.client.clone();
        let [server_auth, _, server_secret] = self.server.clone();
        let [client_nonce, server_nonce] = self.nonces.each_ref().map(|nonce| BASE64_STANDARD.decode(nonce).unwrap());
        let by = |name: &str| if name == "HMAC" { AuthType::Hmac } else { AuthType::Digest };
        let behaviour = Behaviour { client_auth: by(&client_auth), server_auth: Some(by(&server_auth)), ..Behaviour::default() };
        let profile = DeviceProfile {
            device: identity.to_owned(),
            client_name,
            client_secret,
            server_id: self.server_id.clone(),
            server_secret,
            client_nonce,
            server_nonce,
            ..DeviceProfile::nth(3, 3)
        };
        Device::new(profile, behaviour, self.address.clone(), &Wire::new(None).unwrap())
    }
}

async fn register(portal: &Portal, identity: &str, account: &Value) -> String {
    let made = portal.post("/v1/devices", &json!({"dmIdentity": identity, "account": account})).await.of(201);
    made["deviceId"].as_str().unwrap().to_owned()
}

fn account() -> Value {
    json!({
        "serverId": "dm.example",
        "client": {"auth": "DIGEST", "name": "device-1", "secret": "a \"<secret>\" & more"},
        "server": {"auth": "DIGEST", "name": "dm.example", "secret": "battery staple"}
    })
}

/// Neither side had to ask the other who it is.
fn nobody_was_challenged(report: &SessionReport) {
    assert!(report.authenticated && report.server_authenticated, "{report:?}");
    let answers = report.answers.iter().map(|(_, code)| code);
    let doubts: Vec<_> = report.verdicts.iter().chain(answers).filter(|code| matches!(code.0, 401 | 407)).collect();
    assert!(doubts.is_empty(), "{report:?}");
}

/// What a device learns by the answer to a request of that profile.
fn learned(profile: &str, answer: &Value) -> Learned {
    match profile {
        "CP" => {
            assert_eq!(
                (&answer["mediaType"], &document(answer)[..4]),
                (&json!("application/vnd.wap.connectivity-wbxml"), &[3, 11, 106, 0][..])
            );
            let xml = answer["xml"].as_str().unwrap();
            Learned::from_xml(&xml.replace("&quot;", "\u{1}")).unescaped()
        }
        _ => {
            assert_eq!((&answer["mediaType"], &answer["xml"]), (&json!("application/vnd.syncml.dm+wbxml"), &Value::Null));
            Learned::from_message(&document(answer))
        }
    }
}

fn document(answer: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(answer["document"].as_str().unwrap()).unwrap()
}

/// HMAC-SHA1 in hexadecimal digits, by somebody else.
fn mac(key: &[u8], document: &[u8]) -> String {
    let key = PKey::hmac(key).unwrap();
    let mac = Signer::new(MessageDigest::sha1(), &key).unwrap().sign_oneshot_to_vec(document).unwrap();
    mac.iter().map(|octet| format!("{octet:02X}")).collect()
}

both! {
    /// S-BS-01, AD-12: told by either profile, a device knows where to call and how to prove itself, and so does the server.
    async fn a_device_that_was_bootstrapped_finds_its_server(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |_| {}).await;
        let portal = server.portal("acme", SCOPES).await;
        for profile in ["CP", "DM"] {
            let identity = format!("IMEI:{profile}");
            let id = register(&portal, &identity, &account()).await;
            let answer = portal.post(&format!("/v1/devices/{id}/bootstrap"), &json!({"profile": profile})).await.of(200);
            let learned = learned(profile, &answer);
            assert_eq!(learned.address, format!("{}/dm", server.url()));
            assert_eq!(learned.client, ["DIGEST", "device-1", "a \"<secret>\" & more"]);
            assert_eq!((&learned.server, learned.server_id.as_str()), (&["DIGEST", "dm.example", "battery staple"].map(str::to_owned), "dm.example"));
            let report = learned.device(&identity).check_in().await.unwrap();
            nobody_was_challenged(&report);
            let read = portal.get(&format!("/v1/devices/{id}")).await.of(200);
            assert_eq!(read["facts"]["manufacturer"], "Acme", "{read}");
        }
        server.stop().await;
    }

    /// S-BS-01, S-NT-01: package 0 and the first session are over the nonces that the document tells, be they of digests or of MACs.
    async fn the_nonces_in_a_document_are_those_that_are_used(database: Database) {
        let (server, _) = quick(&database, |_| {}).await;
        let portal = server.portal("acme", SCOPES).await;
        for profile in ["CP", "DM"] {
            for auth in ["DIGEST", "HMAC"] {
                let identity = format!("IMEI:{profile}-{auth}");
                let mut account = account();
                (account["client"]["auth"], account["server"]["auth"]) = (json!(auth), json!(auth));
                let (ear, push) = ear().await;
                let made = portal.post("/v1/devices", &json!({"dmIdentity": identity, "account": account, "pushAddress": push})).await.of(201);
                let id = made["deviceId"].as_str().unwrap();
                let path = format!("/v1/devices/{id}/bootstrap");
                let first = learned(profile, &portal.post(&path, &json!({"profile": profile})).await.of(200));
                let told = learned(profile, &portal.post(&path, &json!({"profile": profile})).await.of(200));
                assert_eq!(told.nonces[1], first.nonces[1], "there is one, however often it is told");
                let nonce = BASE64_STANDARD.decode(&told.nonces[1]).unwrap();
                assert!(nonce.len() == 24 && nonce.iter().all(u8::is_ascii_alphanumeric), "{nonce:?}");

                ask(&portal, id).await;
                let datagram = tokio::time::timeout(Duration::from_secs(10), ear.listen()).await.unwrap().unwrap();
                let package = Notification::decode(wsp::read(&datagram).unwrap()).unwrap();
                assert!(package.is_signed(&account_hash("dm.example", "battery staple"), &nonce), "{profile} {auth}");
                let mut device = told.device(&identity);
                let session = device.hear(&datagram).unwrap();
                nobody_was_challenged(&device.answer_call(session).await.unwrap());
                comes_to(&portal, id, "ANSWERED").await;
                nobody_was_challenged(&device.check_in().await.unwrap());

                // What the device has given since is told as well as what it was told.
                let again = learned(profile, &portal.post(&path, &json!({"profile": profile})).await.of(200));
                assert_eq!(BASE64_STANDARD.decode(&again.nonces[1]).unwrap(), device.account().server_nonce);
                assert_ne!(again.nonces[1], told.nonces[1]);
            }
        }
        server.stop().await;
    }

    /// S-BS-01: the command's simulated device needs nothing but the document.
    async fn a_simulated_device_needs_nothing_but_the_document(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |_| {}).await;
        let portal = server.portal("acme", SCOPES).await;
        let folder = tempfile::tempdir().unwrap();
        // A document of Client Provisioning does not say which device it is for.
        for (profile, identity) in [("CP", DeviceProfile::nth(11, 0).device), ("DM", "IMEI:4711".to_owned())] {
            let id = register(&portal, &identity, &account()).await;
            let answer = portal.post(&format!("/v1/devices/{id}/bootstrap"), &json!({"profile": profile})).await.of(200);
            let (file, bytes) = (folder.path().join(profile), answer["xml"].as_str().map(|xml| xml.as_bytes().to_vec()));
            std::fs::write(&file, bytes.unwrap_or_else(|| document(&answer))).unwrap();
            let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_dmwsi"));
            command.args(["simulate", "--seed", "11", "--every", "0.2", "--seconds", "3", "--json", "--bootstrap"]).arg(&file);
            let done = command.output().await.unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            let last = String::from_utf8(done.stdout).unwrap().lines().last().unwrap().to_owned();
            let counters: Value = serde_json::from_str(&last).unwrap();
            assert!(counters["sessionsOk"].as_u64() > Some(0) && counters["sessionsFailed"] == 0, "{last}");
        }
        server.stop().await;
    }

    /// S-BS-01: the nonce in it is good for the first message, where that comes soon.
    async fn a_device_that_calls_soon_is_not_challenged(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |_| {}).await;
        let portal = server.portal("acme", SCOPES).await;
        let id = register(&portal, "IMEI:1", &account()).await;
        let answer = portal.post(&format!("/v1/devices/{id}/bootstrap"), &json!({"profile": "DM"})).await.of(200);
        let Learned { client: [_, name, secret], nonces: [nonce, _], .. } = Learned::from_message(&document(&answer));
        let phone = Phone::of(server.url());
        let first = message("IMEI:1", "1", 1, &md5_cred(&name, &secret, &nonce), &format!("{PACKAGE_1}{FINAL}"));
        let reply = phone.say(first.clone()).await;
        assert!(reply.contains("<Cmd>SyncHdr</Cmd>") && reply.contains("<Data>212</Data>"), "{reply}");
        // Once only.
        let again = phone.say(first.replace("<SessionID>1<", "<SessionID>2<")).await;
        assert!(again.contains("<Data>401</Data>"), "{again}");
        server.stop().await;
    }

    /// S-BS-01: each method of either profile has its parameters, and its MAC over the bytes of the document.
    async fn a_document_has_the_proof_that_was_asked_for(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |_| {}).await;
        let portal = server.portal("acme", SCOPES).await;
        let id = register(&portal, "IMEI:1", &account()).await;
        let path = format!("/v1/devices/{id}/bootstrap");
        let before = portal.get(&format!("/v1/devices/{id}")).await.of(200);
        let imsi = b"\x29\x04\x10\x21\x43\x65\x87\x09";
        let with = |key: &[&[u8]]| key.concat();
        for (profile, security, sec, key) in [
            ("CP", json!({"method": "NETWPIN", "networkId": "240011234567890"}), "0", with(&[imsi])),
            ("CP", json!({"method": "USERPIN", "pin": "1234"}), "1", with(&[b"1234"])),
            ("CP", json!({"method": "USERNETWPIN", "pin": "1234", "networkId": "240011234567890"}), "2", with(&[imsi, b"1234"])),
            ("DM", json!({"method": "NETWORKID", "networkId": "0x736563726574"}), "NETWORKID", with(&[b"secret"])),
            ("DM", json!({"method": "USERPIN", "pin": "1234"}), "USERPIN", with(&[b"1234"])),
            ("DM", json!({"method": "USERPIN_NETWORKID", "pin": "1234", "networkId": "0x736563726574"}), "USERPIN_NETWORKID", with(&[b"1234:secret"])),
        ] {
            let answer = portal.post(&path, &json!({"profile": profile, "security": security, "connection": "NAP1", "name": "DM"})).await;
            assert_eq!(answer.header("cache-control"), "no-store");
            let answer = answer.of(200);
            let mac = mac(&key, &document(&answer));
            assert_eq!((&answer["sec"], &answer["mac"]), (&json!(sec), &json!(mac)), "{security}");
            let media_type = answer["mediaType"].as_str().unwrap();
            assert!(media_type.ends_with(&format!("wbxml; SEC={sec}; MAC={mac}")), "{media_type}");
        }
        let answer = portal.post(&path, &json!({"profile": "CP", "security": {"method": "USERPINMAC", "pin": "12345"}})).await.of(200);
        assert_eq!((&answer["mac"], &answer["mediaType"]), (&Value::Null, &json!("application/vnd.wap.connectivity-wbxml; SEC=3")));
        let told = answer["userPin"].as_str().unwrap();
        assert!(told.len() == 10 && told.starts_with("12345"), "{told}");

        for (profile, security, place) in [
            ("CP", json!({"method": "NETWORKID", "networkId": "240011234567890"}), "/security/method"),
            ("DM", json!({"method": "USERPINMAC", "pin": "12345"}), "/security/method"),
            ("CP", json!({"method": "NETWPIN", "networkId": "12345"}), "/security/networkId"),
            ("CP", json!({"method": "NETWPIN", "networkId": "0xABC"}), "/security/networkId"),
            ("CP", json!({"method": "USERPINMAC", "pin": "1234"}), "/security/pin"),
        ] {
            let problem = portal.post(&path, &json!({"profile": profile, "security": security})).await.of(400);
            assert_eq!(problem["errors"][0]["pointer"], place, "{problem}");
        }
        // An object of a connection has a place in the tree, an access point any name.
        for (profile, status) in [("DM", 400), ("CP", 200)] {
            for connection in ["./NAP//1", "./NAP/../1", "./NAP/1?list=Struct"] {
                let answer = portal.post(&path, &json!({"profile": profile, "connection": connection})).await.of(status);
                assert_eq!(answer["errors"][0]["pointer"].as_str(), (status == 400).then_some("/connection"), "{answer}");
            }
        }
        assert_eq!(portal.get(&format!("/v1/devices/{id}")).await.of(200), before);
        server.stop().await;
    }

    /// S-BS-01, AD-2: who may set an account may not therefore read one, and where there is no secret none is told.
    async fn nobody_is_told_what_is_not_his_or_not_there(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |_| {}).await;
        let portal = server.portal("acme", SCOPES).await;
        let certified = json!({"serverId": "dm", "client": {"auth": "TRANSPORT", "name": "device-2"}});
        let (id, without) = (register(&portal, "IMEI:1", &account()).await, register(&portal, "IMEI:2", &certified).await);
        let problem = portal.post(&format!("/v1/devices/{without}/bootstrap"), &json!({"profile": "CP"})).await.of(409);
        assert_eq!(problem["code"], "NO_SECRET");
        let path = format!("/v1/devices/{id}/bootstrap");
        server.portal("acme", "devices:read devices:wake devices:write").await.post(&path, &json!({"profile": "CP"})).await.of(403);
        server.portal("other", SCOPES).await.post(&path, &json!({"profile": "CP"})).await.of(404);

        // A server that the device does not want to be sure of is known by its address only.
        let mut account = account();
        account.as_object_mut().unwrap().remove("server");
        let id = register(&portal, "IMEI:3", &account).await;
        let answer = portal.post(&format!("/v1/devices/{id}/bootstrap"), &json!({"profile": "CP"})).await.of(200);
        let xml = answer["xml"].as_str().unwrap();
        assert!(xml.contains("\"APPSRV\"") && !xml.contains("\"CLIENT\""), "{xml}");
        server.stop().await;
    }
}

impl Learned {
    /// With what XML writes otherwise as it was.
    fn unescaped(mut self) -> Self {
        let [_, _, secret] = &mut self.client;
        *secret = secret.replace('\u{1}', "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        self
    }
}
