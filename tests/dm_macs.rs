//! Devices and server that prove themselves by a MAC over each message, in the header `x-syncml-hmac`.
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine as _};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_simulator::Behaviour;
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::handset::{Handset, SCOPES, ended, job, outcome, package, update};
use crate::harness::phone::{FINAL, Heard, PACKAGE_1, Phone, between, mac, md5_cred, message, next_nonce, results, status};
use crate::harness::server::{Portal, Server};
use crate::harness::talk::ENCODINGS;

const DEVICE: &str = "IMEI:490154203237518";

async fn start(database: &Database, keys: &Keys) -> Server {
    Server::with(database, keys.clone(), Clock::System, |config| {
        config.gateway.details_days = 0;
        config.gateway.max_tries = 3;
    })
    .await
}

/// Registers the device of these tests; its id.
async fn device(portal: &Portal, server: &Value) -> String {
    device_called(DEVICE, portal, server).await
}

/// Registers one by that name.
async fn device_called(identity: &str, portal: &Portal, server: &Value) -> String {
    let client = json!({"auth": "HMAC", "name": "me", "secret": "mine"});
    let account = json!({"serverId": "dmwsi", "client": client, "server": server});
    let made = portal.post("/v1/devices", &json!({"dmIdentity": identity, "account": account})).await.of(201);
    made["deviceId"].as_str().unwrap().to_owned()
}

fn server_by_macs() -> Value {
    json!({"auth": "HMAC", "name": "you", "secret": "yours"})
}

/// Says something with that header; the reply, and the header that came with it.
async fn say(phone: &Phone, header: Option<&str>, body: &str) -> (String, Heard) {
    say_in(Encoding::Xml, phone, header, body.as_bytes()).await
}

/// The same in that encoding; the reply is as it would be in XML.
async fn say_in(encoding: Encoding, phone: &Phone, header: Option<&str>, body: &[u8]) -> (String, Heard) {
    let headers: Vec<_> = header.map(|value| ("X-SyncML-Hmac", value)).into_iter().collect();
    let heard = phone.post_with(encoding.content_type(), &headers, body).await;
    assert_eq!(
        (heard.status, heard.content_type.as_str()),
        (200, encoding.content_type()),
        "{}\n{:?}",
        body.escape_ascii(),
        heard.body
    );
    let reply = match encoding {
        Encoding::Xml => heard.body.to_vec(),
        Encoding::Wbxml => Encoding::Xml.encode(&encoding.decode(&heard.body).unwrap()),
    };
    (String::from_utf8(reply).unwrap(), heard)
}

/// The header as the standard has it.
fn header(nonce: &str, body: impl AsRef<[u8]>) -> String {
    format!("algorithm=MD5, username=\"me\", mac={}", mac("me", "mine", nonce, body.as_ref()))
}

/// The same in base64 of hexadecimal characters, in odd case and order, and with blanks.
fn odd_header(nonce: &str, body: &[u8]) -> String {
    let octets = BASE64_STANDARD.decode(mac("me", "mine", nonce, body)).unwrap();
    let hexadecimal: String = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    format!(" MAC=\"{}\" ,  Username = me,ALGORITHM=md5", BASE64_STANDARD_NO_PAD.encode(hexadecimal))
}

/// What the server's header must be, over its reply as it came.
fn servers(nonce: &str, heard: &Heard) -> String {
    format!("algorithm=MD5, username=\"you\", mac={}", mac("you", "yours", nonce, &heard.body))
}

fn first(session: &str, number: u32) -> String {
    message(DEVICE, session, number, "", &format!("{PACKAGE_1}{FINAL}"))
}

/// The Status for the server's header, with a nonce for its next MAC.
fn given(id: u32, heard: u32, nonce: &str, code: u32) -> String {
    format!(
        "<Status><CmdID>{id}</CmdID><MsgRef>{heard}</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Chal><Meta>\
        <Format xmlns=\"syncml:metinf\">b64</Format><Type xmlns=\"syncml:metinf\">syncml:auth-MAC</Type>\
        <NextNonce xmlns=\"syncml:metinf\">{nonce}</NextNonce></Meta></Chal><Data>{code}</Data></Status>"
    )
}

/// The answer to a Get that was command 4 of that message.
fn answer(session: &str, number: u32, heard: u32, nonce: &str, value: &str) -> String {
    let read = format!("{}{}", status(2, heard, 4, "Get", 200), results(3, heard, 4, "./A", value));
    message(DEVICE, session, number, "", &format!("{}{read}{FINAL}", given(1, heard, nonce, 200)))
}

/// The codes of all Statuses of a reply, that of the header first.
fn codes(reply: &str) -> Vec<&str> {
    let statuses = reply.split("</Status>").filter(|part| part.contains("<Status>"));
    statuses.map(|part| part.rsplit("<Data>").next().unwrap().split('<').next().unwrap()).collect()
}

fn read() -> Value {
    json!({"type": "NODES_GET", "nodes": ["./A"]})
}

both! {
    /// AD-6, AD-12, OES2, SC-1, S-AU-06: every message of either side has its MAC, over a nonce of its own and the octets as they are, in either encoding; what has
    /// none, or a wrong one, is refused and spoils nothing.
    async fn each_message_of_either_side_is_proven_by_itself(database: Database) {
        let server = start(&database, &Keys::mint().unwrap()).await;
        let portal = server.portal("acme", SCOPES).await;
        for (encoding, identity) in ENCODINGS.into_iter().zip([DEVICE, "IMEI:490154203237526"]) {
            let id = device_called(identity, &portal, &server_by_macs()).await;
            let job = job(&portal, &id, &read()).await;
            let phone = Phone::of(server.url());
            let in_bytes = |text: &str| match encoding {
                Encoding::Xml => text.replace(DEVICE, identity).into_bytes(),
                Encoding::Wbxml => encoding.encode(&Encoding::Xml.decode(text.replace(DEVICE, identity).as_bytes()).unwrap()),
            };
            let say = async |header: Option<&str>, body: &[u8]| say_in(encoding, &phone, header, body).await;

            let (challenged, heard) = say(None, &in_bytes(&first("1", 1))).await;
            assert_eq!(codes(&challenged), ["401", "401", "401"]);
            assert_eq!(between(&challenged, "<Type xmlns=\"syncml:metinf\">", "</Type>"), "syncml:auth-MAC");
            assert!(!challenged.contains("<Cred>") && !challenged.contains("<Get>"));
            assert_eq!(heard.mac, Some(servers("", &heard)), "over the nonce that the device never gave");

            let body = in_bytes(&first("1", 2));
            let (offered, heard) = say(Some(&odd_header(next_nonce(&challenged), &body)), &body).await;
            assert_eq!(codes(&offered), ["200", "200", "200"]);
            assert!(offered.contains("<LocURI>./A</LocURI>") && next_nonce(&offered) != next_nonce(&challenged));
            assert_eq!(heard.mac, Some(servers("", &heard)));

            // None, the last one again, one over other octets, one by another name: nobody hears more than that.
            let text = answer("1", 3, 2, "bm9uY2U=", "told");
            let body = in_bytes(&text);
            let nonce = next_nonce(&offered).to_owned();
            let other = header(&nonce, in_bytes(&text.replace("told", "sold")));
            let named = header(&nonce, &body).replace("\"me\"", "\"you\"");
            for wrong in [None, Some(header(next_nonce(&challenged), &body)), Some(other), Some(named), Some("mac".to_owned())] {
                let (refused, heard) = say(wrong.as_deref(), &body).await;
                assert_eq!(codes(&refused), ["401"], "{wrong:?}");
                assert!(refused.contains("syncml:auth-MAC") && !refused.contains("RespURI"));
                assert_eq!(heard.mac, Some(servers("", &heard)), "nobody unproven chooses the nonce of the server");
            }
            let (done, heard) = say(Some(&header(&nonce, &body)), &body).await;
            assert_eq!(codes(&done), ["200"]);
            assert_ne!(next_nonce(&done), nonce, "a nonce for each message");
            assert_eq!(heard.mac, Some(servers("bm9uY2U=", &heard)), "over the nonce that the device gave");
            ended(&portal, &job).await;
            let told = portal.get(&format!("{job}/results")).await.of(200).to_string();
            assert!(told.contains("told") && !told.contains("sold"), "{told}");

            // The same once more, body and header, is answered the same, body and header; the same body with another header is not.
            let (again, same) = say(Some(&header(&nonce, &body)), &body).await;
            assert_eq!((again.as_str(), &same.mac), (done.as_str(), &heard.mac));
            let refused = phone.post_with(encoding.content_type(), &[("x-syncml-hmac", &odd_header(&nonce, &body))], body.clone()).await;
            assert_eq!((refused.status, refused.mac), (400, None));
        }
        server.stop().await;
    }

    /// AD-12, S-TR-05: a package 1 with work, too, is answered once more octet by octet from the row of its session.
    async fn a_repeated_message_gets_the_identical_reply_and_mac(database: Database) {
        let server = start(&database, &Keys::mint().unwrap()).await;
        let portal = server.portal("acme", SCOPES).await;
        let id = device(&portal, &server_by_macs()).await;
        let phone = Phone::of(server.url());
        let (challenged, _) = say(&phone, None, &first("1", 1)).await;
        job(&portal, &id, &read()).await;
        let body = first("1", 2);
        let mac = header(next_nonce(&challenged), &body);
        let (one, heard_one) = say(&phone, Some(&mac), &body).await;
        let (two, heard_two) = say(&phone, Some(&mac), &body).await;
        assert!(one.contains("<Get>"));
        assert_eq!((one, heard_one.mac), (two, heard_two.mac));
        server.stop().await;
    }

    /// AD-6, AD-12, S-AU-06: after a restart the device is challenged once, and the server goes on by the nonce that the device gave it last.
    async fn the_nonces_of_both_sides_outlive_the_server(database: Database) {
        let keys = Keys::mint().unwrap();
        let server = start(&database, &keys).await;
        let portal = server.portal("acme", SCOPES).await;
        let id = device(&portal, &server_by_macs()).await;
        job(&portal, &id, &read()).await;
        let phone = Phone::of(server.url());
        let (challenged, _) = say(&phone, None, &first("1", 1)).await;
        let body = first("1", 2);
        let (offered, _) = say(&phone, Some(&header(next_nonce(&challenged), &body)), &body).await;
        server.stop().await;

        // In the midst of the session: its row has what is needed.
        let server = start(&database, &keys).await;
        let phone = Phone::of(server.url());
        let body = answer("1", 3, 2, "bm9uY2U=", "a");
        let (done, heard) = say(&phone, Some(&header(next_nonce(&offered), &body)), &body).await;
        assert_eq!(codes(&done), ["200"]);
        assert_eq!(heard.mac, Some(servers("bm9uY2U=", &heard)));
        server.stop().await;

        let server = start(&database, &keys).await;
        let phone = Phone::of(server.url());
        let body = first("2", 1);
        let (challenged, heard) = say(&phone, Some(&header(next_nonce(&done), &body)), &body).await;
        assert_eq!(codes(&challenged)[0], "401");
        assert_eq!(heard.mac, Some(servers("bm9uY2U=", &heard)), "the device's nonce was kept");
        let body = first("2", 2);
        let (accepted, _) = say(&phone, Some(&header(next_nonce(&challenged), &body)), &body).await;
        assert_eq!(codes(&accepted), ["200", "200", "200"]);
        let strangers = server.store().read(|tx| tx.strangers(10)).await.unwrap();
        assert!(strangers.is_empty(), "the device did nothing wrong: {strangers:?}");
        server.stop().await;
    }

    /// AD-6, AD-12, S-AU-07: who has lost the nonces is told a new one, and nobody is let in by one that everybody knows.
    async fn a_device_that_has_lost_the_nonces_finds_back(database: Database) {
        let server = start(&database, &Keys::mint().unwrap()).await;
        let portal = server.portal("acme", SCOPES).await;
        device(&portal, &server_by_macs()).await;
        let md5 = json!({"serverId": "dmwsi", "client": {"auth": "DIGEST", "name": "me", "secret": "mine"}});
        portal.post("/v1/devices", &json!({"dmIdentity": "IMEI:2", "account": md5})).await.of(201);
        let phone = Phone::of(server.url());
        for (session, zero) in [("1", "AAAAAA=="), ("2", "MHgwMDAwMDAwMA=="), ("3", "")] {
            let body = first(session, 1);
            let (refused, _) = say(&phone, Some(&header(zero, &body)), &body).await;
            assert_eq!(codes(&refused), ["401", "401", "401"]);
            let body = first(session, 2);
            let (accepted, _) = say(&phone, Some(&header(next_nonce(&refused), &body)), &body).await;
            assert_eq!(codes(&accepted), ["200", "200", "200"]);

            let body = |number, nonce: &str| message("IMEI:2", session, number, &md5_cred("me", "mine", nonce), &format!("{PACKAGE_1}{FINAL}"));
            let refused = phone.say(body(1, zero)).await;
            assert_eq!(codes(&refused), ["401", "401", "401"]);
            assert_eq!(codes(&phone.say(body(2, next_nonce(&refused))).await)[0], "212");
        }
        let strangers = server.store().read(|tx| tx.strangers(10)).await.unwrap();
        assert!(strangers.is_empty(), "they know their secrets: {strangers:?}");
        server.stop().await;
    }

    /// AD-6: a device that never gets it right is told so a few times, then without another challenge, and gets no work.
    async fn a_device_that_never_stops_is_made_to_stop(database: Database) {
        let server = start(&database, &Keys::mint().unwrap()).await;
        let portal = server.portal("acme", SCOPES).await;
        let id = device(&portal, &Value::Null).await;
        job(&portal, &id, &read()).await;
        let phone = Phone::of(server.url());
        for (session, is_wrong) in [("1", true), ("2", false)] {
            let mut challenges = 0;
            for number in 1..10 {
                let body = first(session, number);
                let wrong = is_wrong.then(|| header("d3Jvbmc=", &body));
                let (refused, heard) = say(&phone, wrong.as_deref(), &body).await;
                assert_eq!((codes(&refused), heard.mac), (vec!["401", "401", "401"], None));
                challenges += u32::from(refused.contains("<Chal>"));
            }
            assert_eq!(challenges, if is_wrong { 2 } else { 3 });
        }
        // Nobody who is unknown hears anything else than a device that is wrong.
        let body = message("IMEI:0", "1", 1, "", &format!("{PACKAGE_1}{FINAL}"));
        let (refused, heard) = say(&phone, Some(&header("d3Jvbmc=", &body)), &body).await;
        assert_eq!((codes(&refused), heard.mac), (vec!["401", "401", "401"], None));
        assert!(refused.contains("syncml:auth-MAC"), "{refused}");
        server.stop().await;
    }

    /// AD-12, FU-1, S-AU-06: simulated devices with every pair of credentials finish an update, also where they say everything twice.
    async fn updates_end_well_whoever_proves_himself_by_macs(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        let all = [AuthType::Basic, AuthType::Digest, AuthType::Hmac];
        for (client_auth, server_auth) in all.iter().flat_map(|one| all.iter().map(move |other| (*one, *other))) {
            if client_auth != AuthType::Hmac && server_auth != AuthType::Hmac {
                continue;
            }
            for (encoding, odd) in [(Encoding::Xml, false), (Encoding::Wbxml, true)] {
                let behaviour = Behaviour {
                    client_auth,
                    server_auth: Some(server_auth),
                    encoding,
                    mac_in_hexadecimal: odd,
                    send_twice: odd,
                    ..Behaviour::default()
                };
                let name = format!("{behaviour:?}");
                let mut handset = Handset::register(&portal, server.url(), behaviour).await;
                let mut operation = update(&package, "2.0.0");
                operation["delivery"] = "DOWNLOAD_THEN_UPDATE".into();
                let job = job(&portal, &handset.id, &operation).await;
                handset.live().await;
                assert_eq!(outcome(&portal, &job, &handset.id).await, ("SUCCEEDED".to_owned(), "UPDATED".to_owned()), "{name}");
                let report = handset.device.check_in().await.unwrap();
                assert!(report.authenticated && report.server_authenticated && report.replies_differed == 0, "{name} {report:?}");
                assert!(report.verdicts.iter().all(|code| code.is_success()), "{name}: no challenge any more: {report:?}");
            }
        }
        server.stop().await;
    }
}
