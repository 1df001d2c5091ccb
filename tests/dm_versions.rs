//! Devices that speak another version of OMA DM than 1.2.
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_protocol::message::Element;
use dmwsi_protocol::version::Version;
use dmwsi_simulator::Behaviour;
use serde_json::json;

use crate::harness::handset::{Handset, SCOPES, job, outcome, package, update};
use crate::harness::phone::{FINAL, PACKAGE_1, Phone, WBXML, basic_cred, message};
use crate::harness::server::Server;
use crate::harness::talk::ENCODINGS;

const DEVICE: &str = "IMEI:490154203237518";

both! {
    /// AD-12, S-MS-05: what a device of version 1.1 hears is of version 1.1 throughout.
    async fn a_device_of_version_1_1_is_answered_in_its_version(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| config.gateway.details_days = 0).await;
        let portal = server.portal("acme", SCOPES).await;
        let account = json!({"serverId": "dmwsi", "client": {"auth": "BASIC", "name": "me", "secret": "mine"}});
        let made = portal.post("/v1/devices", &json!({"dmIdentity": DEVICE, "account": account})).await.of(201);
        job(&portal, made["deviceId"].as_str().unwrap(), &json!({"type": "NODES_EXEC", "nodes": [{"node": "./A"}]})).await;
        let phone = Phone::of(server.url());
        let old = message(DEVICE, "1", 1, &basic_cred("me", "mine"), &format!("{PACKAGE_1}{FINAL}"));
        let old = old.replace("SYNCML:SYNCML1.2", "SYNCML:SYNCML1.1").replace("DM/1.2", "DM/1.1").replace("<VerDTD>1.2", "<VerDTD>1.1");
        let heard = phone.say(old.clone()).await;
        assert!(heard.contains("<SyncML xmlns=\"SYNCML:SYNCML1.1\"><SyncHdr><VerDTD>1.1</VerDTD><VerProto>DM/1.1</VerProto>"), "{heard}");
        assert!(heard.contains("<Data>212</Data>") && heard.contains("<Exec>") && !heard.contains("<Correlator>"), "{heard}");
        let body = Encoding::Wbxml.encode(&Encoding::Xml.decode(old.replace("<MsgID>1", "<MsgID>2").as_bytes()).unwrap());
        assert_eq!(body[..4], [2, 0x9F, 0x53, 0x6A], "the number of SyncML 1.1");
        assert_eq!(phone.post(WBXML, body).await.body[..4], [2, 0x9F, 0x53, 0x6A]);
        server.stop().await;
    }

    /// AD-12, S-MS-05: who speaks a version that nobody speaks here is told so in a message that it reads, in either encoding, and nothing is done.
    async fn an_unknown_version_is_refused_in_its_own_words(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let account = json!({"serverId": "dmwsi", "client": {"auth": "BASIC", "name": "me", "secret": "mine"}});
        let made = portal.post("/v1/devices", &json!({"dmIdentity": DEVICE, "account": account})).await.of(201);
        let job = job(&portal, made["deviceId"].as_str().unwrap(), &json!({"type": "NODES_GET", "nodes": ["./A"]})).await;
        let phone = Phone::deaf_to_resp_uri(server.url());
        for encoding in ENCODINGS {
            for (at, (protocol, dtd, code)) in [("DM/1.3", "1.2", "513"), ("DM/2.0", "2.0", "513"), ("DM/1.2", "1.1", "505")].into_iter().enumerate() {
                for device in [DEVICE, "IMEI:0"] {
                    let body = message(device, &format!("{at}{encoding:?}"), 1, &basic_cred("me", "mine"), &format!("{PACKAGE_1}{FINAL}"));
                    let body = body.replace("DM/1.2", protocol).replace("<VerDTD>1.2", &format!("<VerDTD>{dtd}")).into_bytes();
                    let body = if encoding == Encoding::Xml { body } else { encoding.encode(&Encoding::Xml.decode(&body).unwrap()) };
                    let heard = phone.post(encoding.content_type(), body).await;
                    assert_eq!((heard.status, heard.content_type.as_str()), (200, encoding.content_type()));
                    let heard = encoding.decode(&heard.body).unwrap();
                    assert_eq!((heard.header.dtd.as_str(), heard.header.protocol.as_str(), heard.last), (dtd, protocol, true));
                    let told = heard.body.iter().map(|element| match element {
                        Element::Status(status) => (status.name.as_str(), status.code.0.to_string()),
                        other => panic!("{other:?}"),
                    });
                    assert_eq!(told.collect::<Vec<_>>(), ["SyncHdr", "Alert", "Replace"].map(|name| (name, code.to_owned())), "Statuses only");
                }
            }
        }
        let waiting = portal.get(&job).await.of(200);
        assert!(waiting["outcome"].is_null(), "{waiting}");
        server.stop().await;
    }

    /// AD-12, FU-1, S-MS-05: a firmware update of simulated devices that know no correlators.
    async fn an_update_ends_well_in_version_1_1(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        for (encoding, auth) in [(Encoding::Xml, AuthType::Digest), (Encoding::Wbxml, AuthType::Hmac)] {
            let behaviour = Behaviour { version: Version::V1_1, encoding, client_auth: auth, server_auth: Some(auth), ..Behaviour::default() };
            let mut handset = Handset::register(&portal, server.url(), behaviour).await;
            let job = job(&portal, &handset.id, &update(&package, "2.0.0")).await;
            handset.live().await;
            assert_eq!(outcome(&portal, &job, &handset.id).await, ("SUCCEEDED".to_owned(), "UPDATED".to_owned()), "{encoding:?}");
        }
        server.stop().await;
    }
}
