//! Devices that prove themselves by the certificate of their TLS client.
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_objects::StatusCode;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_protocol::device::End;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_simulator::{Behaviour, SessionError, Wire};
use openssl::hash::MessageDigest;
use openssl::x509::X509;
use reqwest::{Identity, Method};
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::authority::{Authority, Issued};
use crate::harness::document::Document;
use crate::harness::handset::{Handset, SCOPES, ended, job, outcome, package, update};
use crate::harness::phone::{FINAL, PACKAGE_1, Phone, md5_cred, message, next_nonce, results, status};
use crate::harness::server::Server;
use crate::sessions::sessions;

const DEVICE: &str = "IMEI:490154203237518";

/// A server with TLS that asks its clients for certificates of this authority, which has issued its own, too.
async fn server(database: &Database, authority: &Authority, folder: &tempfile::TempDir) -> Server {
    server_heeding(database, authority, folder, None).await
}

/// The same with this list of revoked certificates.
async fn server_heeding(database: &Database, authority: &Authority, folder: &tempfile::TempDir, revoked: Option<&str>) -> Server {
    let Issued { certificate, key } = authority.issue(&["127.0.0.1"]);
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let (certificate, key) = (file("server.pem", &certificate), file("server.key", &key));
    let revoked = revoked.map(|list| file("revoked.pem", list));
    Server::with(database, Keys::mint().unwrap(), Clock::System, |config| {
        config.public_url = "https://127.0.0.1:0".to_owned();
        config.gateway.details_days = 0;
        config.listen.certificate = Some(certificate);
        config.listen.private_key = Some(key);
        config.listen.client_authorities = Some(authority.file());
        config.listen.client_revocations = revoked;
    })
    .await
}

/// What a device talks over that shows this certificate.
fn wire(trusted: &Authority, shown: &Issued) -> Wire {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("device.pem"), folder.path().join("device.key"));
    std::fs::write(&certificate, &shown.certificate).unwrap();
    std::fs::write(&key, &shown.key).unwrap();
    Wire::certified(Some(&trusted.file()), &certificate, &key).unwrap()
}

fn phone(server: &Server, shown: Option<&Issued>) -> Phone {
    let mut client = reqwest::Client::builder().danger_accept_invalid_certs(true);
    if let Some(Issued { certificate, key }) = shown {
        client = client.identity(Identity::from_pkcs8_pem(certificate.as_bytes(), key.as_bytes()).unwrap());
    }
    Phone::over(client.build().unwrap(), server.url())
}

fn by_certificate() -> Behaviour {
    Behaviour { client_auth: AuthType::Transport, server_auth: None, ..Behaviour::default() }
}

fn fingerprint(issued: &Issued) -> String {
    let certificate = X509::from_pem(issued.certificate.as_bytes()).unwrap();
    certificate.digest(MessageDigest::sha256()).unwrap().iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
}

both! {
    /// AD-6, AD-12, SC-1, S-AU-08: the device that its certificate names is served without credentials; nobody else is.
    async fn a_device_is_known_by_the_certificate_of_its_tls_client(database: Database) {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        let server = server(&database, &authority, &folder).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        let none = json!({"type": "NONE"});
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let behaviour = Behaviour { encoding, ..by_certificate() };
            let own = |profile: &dmwsi_simulator::DeviceProfile| wire(&authority, &authority.issue(&[&profile.device]));
            let mut handset = Handset::register_over(&portal, server.url(), behaviour.clone(), &none, own).await;
            let first = job(&portal, &handset.id, &update(&package, "2.0.0")).await;
            handset.live().await;
            assert_eq!(outcome(&portal, &first, &handset.id).await, ("SUCCEEDED".to_owned(), "UPDATED".to_owned()));
            let report = handset.device.check_in().await.unwrap();
            assert_eq!((report.authenticated, report.verdicts), (true, vec![StatusCode::AUTHENTICATED]), "not even challenged");

            // The same device with another's certificate, with none, and with one that an authority of its own has issued.
            let waiting = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
            let url = format!("{}/dm", server.url());
            let other = |wire: &Wire| dmwsi_simulator::Device::new(handset.device.profile().clone(), behaviour.clone(), url.clone(), wire);
            for wire in [wire(&authority, &authority.issue(&["IMEI:1", "other.example"])), Wire::new(Some(&authority.file())).unwrap()] {
                let report = other(&wire).check_in().await.unwrap();
                assert!(matches!(report.end, End::Refused(_)) && !report.authenticated, "{report:?}");
                assert!(report.answers.iter().all(|(name, _)| name == "SyncHdr"), "it was asked nothing: {report:?}");
            }
            let forged = Authority::new().issue(&[&handset.device.profile().device]);
            assert!(matches!(other(&wire(&authority, &forged)).check_in().await, Err(SessionError::Http(_))));
            assert_eq!(outcome(&portal, &waiting, &handset.id).await.0, "QUEUED");
            handset.live().await;
            assert_eq!(outcome(&portal, &waiting, &handset.id).await.0, "SUCCEEDED");

            let all = sessions(&portal, &handset.id).await;
            let accepted: Vec<_> = all.iter().filter(|one| one["authentication"] == "ACCEPTED").collect();
            assert!(!accepted.is_empty() && accepted.iter().all(|one| one["authenticatedBy"] == "TRANSPORT"), "{all:?}");
            let (document, schema) = (Document::generated(), json!({"$ref": "#/components/schemas/DeviceSession"}));
            assert_eq!(document.faults(&schema, accepted[0], ""), Vec::<String>::new());
        }
        server.stop().await;
    }

    /// AD-6, SC-1, S-AU-08: a certificate that its authority has revoked lets nobody in, and where it cannot be told, nor does any.
    async fn a_revoked_certificate_lets_nobody_in(database: Database) {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        let (kept, lost) = (authority.issue(&["IMEI:1"]), authority.issue(&["IMEI:2"]));
        let (old, none) = (authority.revoke(&[], (-9, -2)), Authority::new().revoke(&[], (-1, 9)));
        let lists = [(authority.revoke(&[&lost], (-1, 9)), true), (authority.revoke(&[], (-1, 9)) + &none, true), (old, false), (none, false)];
        for (at, (list, kept_is_let_in)) in lists.into_iter().enumerate() {
            let own = if database.is_postgres() { Database::postgres().unwrap() } else { Database::sqlite() };
            let server = server_heeding(&own, &authority, &folder, Some(&list)).await;
            let portal = server.portal("acme", SCOPES).await;
            for name in ["IMEI:1", "IMEI:2"] {
                let account = json!({"serverId": "dmwsi", "client": {"auth": "TRANSPORT", "name": name}});
                portal.post("/v1/devices", &json!({"dmIdentity": name, "account": account})).await.of(201);
            }
            let calls = async |shown: Option<&Issued>| {
                let mut client = reqwest::Client::builder().danger_accept_invalid_certs(true);
                if let Some(Issued { certificate, key }) = shown {
                    client = client.identity(Identity::from_pkcs8_pem(certificate.as_bytes(), key.as_bytes()).unwrap());
                }
                let name = if shown.is_some_and(|shown| shown.key == lost.key) { "IMEI:2" } else { "IMEI:1" };
                let body = message(name, "1", 1, "", &format!("{PACKAGE_1}{FINAL}"));
                let url = format!("{}/dm", server.url());
                let answer = client.build().unwrap().post(url).header("content-type", "application/vnd.syncml.dm+xml").body(body).send().await;
                Some(answer.ok()?.text().await.unwrap().contains("<Data>212</Data>"))
            };
            assert_eq!(calls(Some(&kept)).await, kept_is_let_in.then_some(true), "{at}");
            assert_eq!(calls(Some(&lost)).await, (at == 1).then_some(true), "{at}");
            assert_eq!(calls(None).await, Some(false), "who shows none is challenged: {at}");
            server.stop().await;
        }
    }

    /// AD-6, S-AU-08: who lacks the certificate hears what anybody unknown hears, and neither ends a session nor goes on with it.
    async fn without_its_certificate_nobody_goes_on_with_the_session_of_a_device(database: Database) {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        let server = server(&database, &authority, &folder).await;
        let portal = server.portal("acme", SCOPES).await;
        let own = authority.issue(&["a device", "IMEI.example"]);
        let account = json!({"serverId": "dmwsi", "client": {"auth": "TRANSPORT", "name": format!("sha256:{}", fingerprint(&own))}});
        let made = portal.post("/v1/devices", &json!({"dmIdentity": DEVICE, "account": account})).await.of(201);
        let id = made["deviceId"].as_str().unwrap();
        let wanted = job(&portal, id, &json!({"type": "NODES_GET", "nodes": ["./A"]})).await;
        let strangers = [phone(&server, None), phone(&server, Some(&authority.issue(&[DEVICE])))];
        let device = phone(&server, Some(&own));
        for (at, stranger) in strangers.iter().enumerate() {
            let mut all = Vec::new();
            for device in [DEVICE, "IMEI:0"] {
                let body = |number, cred: &str| message(device, &format!("{at}"), number, cred, &format!("{PACKAGE_1}{FINAL}"));
                let first = stranger.say(body(1, "")).await;
                let second = stranger.say(body(2, &md5_cred("me", "mine", next_nonce(&first)))).await;
                let plain = |reply: &str| reply.replace(device, "DEVICE").replace(next_nonce(reply), "NONCE");
                assert!(first.contains("<Data>407</Data>") && second.contains("<Data>401</Data>"));
                all.push([plain(&first), plain(&second)]);
            }
            assert_eq!(all[0], all[1]);
        }
        let offered = device.say(message(DEVICE, "9", 1, "", &format!("{PACKAGE_1}{FINAL}"))).await;
        assert!(offered.contains("<Data>212</Data>") && offered.contains("<Get>"), "{offered}");
        // They know the numbers of the session and even its address, and that is not enough.
        let answer = |value: &str| {
            let said = [status(1, 1, 0, "SyncHdr", 212), status(2, 1, 4, "Get", 200), results(3, 1, 4, "./A", value)];
            message(DEVICE, "9", 2, "", &format!("{}{FINAL}", said.concat()))
        };
        for stranger in &strangers {
            let heard = stranger.say(answer("forged")).await;
            assert!(heard.contains("<Data>407</Data>") && !heard.contains("<Data>2"), "{heard}");
        }
        assert!(device.say(answer("told")).await.contains("<Data>212</Data>"));
        ended(&portal, &wanted).await;
        let told = portal.get(&format!("{wanted}/results")).await.of(200).to_string();
        assert!(told.contains("told") && !told.contains("forged"), "{told}");

        // Its account is given another certificate, and the old one is nobody's any more.
        let merge = [("content-type", "application/merge-patch+json"), ("if-match", "*")];
        let patch: Value = json!({"account": {"client": {"name": "another device"}}});
        portal.call(Method::PATCH, &format!("/v1/devices/{id}"), &merge, Some(&patch)).await.of(200);
        let begin = |session: &str| message(DEVICE, session, 1, "", &format!("{PACKAGE_1}{FINAL}"));
        assert!(device.say(begin("10")).await.contains("<Data>407</Data>"));
        assert!(phone(&server, Some(&authority.issue(&["another device"]))).say(begin("11")).await.contains("<Data>212</Data>"));
        server.stop().await;
    }
}
