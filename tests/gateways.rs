//! Two gateways side by side, and a balancer between them and the devices that knows nothing of sessions.
use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::handset::{SCOPES, ended, job, outcome};
use crate::harness::phone::{FINAL, Heard, PACKAGE_1, Phone, XML, mac, md5_cred, message, next_nonce, results, status};
use crate::harness::process::Process;
use crate::harness::server::Portal;

const DEVICE: &str = "IMEI:1";

/// Both gateways, and what else there must be.
struct Scene {
    gateways: [Phone; 2],
    portal: Portal,
    device: String,
    _processes: Vec<Process>,
}

async fn scene(database: &Database) -> Scene {
    scene_with(database, json!({"auth": "DIGEST", "name": "me", "secret": "mine"}), json!(null)).await
}

async fn scene_with(database: &Database, client_auth: Value, server_auth: Value) -> Scene {
    let store = database.store().await;
    let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
    let (client, secret) = add(&store, &Clock::System, new).await.unwrap();
    let keys = toml::to_string(&Keys::mint().unwrap()).unwrap();
    let start = |role| Process::serve_as(database, &keys, role, &[("DMWSI__GATEWAY__DETAILS_DAYS", "0")]);
    let (api, worker, one, two) = (start("api"), start("worker"), start("gateway"), start("gateway"));
    let portal = Portal::log_in(&api.base, &client, &secret).await;
    let account = json!({"serverId": "dmwsi", "client": client_auth, "server": server_auth});
    let made = portal.post("/v1/devices", &json!({"dmIdentity": DEVICE, "account": account})).await.of(201);
    let gateways = [Phone::of(&one.base), Phone::of(&two.base)];
    Scene { gateways, portal, device: made["deviceId"].as_str().unwrap().to_owned(), _processes: vec![api, worker, one, two] }
}

fn first(session: &str, number: u32, nonce: Option<&str>) -> String {
    let cred = nonce.map(|nonce| md5_cred("me", "mine", nonce)).unwrap_or_default();
    message(DEVICE, session, number, &cred, &format!("{PACKAGE_1}{FINAL}"))
}

fn is_in(reply: &str) -> bool {
    let header = reply.split("</Status>").next().unwrap();
    assert!(header.contains("<Data>212</Data>") != header.contains("<Data>401</Data>"), "{reply}");
    header.contains("<Data>212</Data>")
}

/// AD-6, AD-12, S-TR-06: every message reaches the other gateway, and yet one challenge a session is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_gets_on_when_its_messages_alternate_between_gateways() {
    let Some(database) = Database::postgres() else { return };
    let Scene { gateways: [one, two], portal, device, _processes } = scene(&database).await;
    let read = json!({"type": "NODES_GET", "nodes": ["./A"]});
    for session in ["1", "2", "3"] {
        let job = job(&portal, &device, &read).await;
        let challenged = one.say(first(session, 1, None)).await;
        let offered = two.say(first(session, 2, Some(next_nonce(&challenged)))).await;
        assert!(is_in(&offered) && offered.contains("<LocURI>./A</LocURI>"), "{offered}");
        // The second gateway has not heard the first message: its own first is number 1.
        let told = [status(1, 1, 0, "SyncHdr", 200), status(2, 1, 4, "Get", 200), results(3, 1, 4, "./A", "a"), FINAL.to_owned()];
        one.say(message(DEVICE, session, 3, "", &told.concat())).await;
        ended(&portal, &job).await;
        assert_eq!(outcome(&portal, &job, &device).await.0, "SUCCEEDED", "{offered}");
    }
}

/// AD-6: whatever was captured of a device, at neither gateway does it let anybody in a second time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_gateway_has_accepted_no_other_accepts() {
    let Some(database) = Database::postgres() else { return };
    let Scene { gateways: [one, two], portal, device, _processes } = scene(&database).await;
    let challenge = next_nonce(&one.say(first("1", 1, None)).await).to_owned();
    let accepted = one.say(first("1", 2, Some(&challenge))).await;
    assert!(is_in(&accepted));
    // An idle call, for which nothing was written.
    let next = next_nonce(&accepted).to_owned();
    assert!(!is_in(&two.say(first("8", 1, Some(&next))).await), "the nonce is the first gateway's, which gave it");
    let accepted = one.say(first("2", 1, Some(&next))).await;
    assert!(is_in(&accepted), "and it was not spoilt elsewhere");
    // Now its session has a row, where every gateway can read the nonce; it is spent in another session that gets no work.
    job(&portal, &device, &json!({"type": "NODES_GET", "nodes": ["./A"]})).await;
    let offered = one.say(first("3", 1, Some(next_nonce(&accepted)))).await;
    assert!(is_in(&offered) && offered.contains("<Get>"), "{offered}");
    let stored = next_nonce(&offered).to_owned();
    let beside =
        message(DEVICE, "4", 1, &md5_cred("me", "mine", &stored), &format!("{}{FINAL}", status(1, 1, 0, "SyncHdr", 200)));
    assert!(is_in(&one.say(beside).await));
    let inside =
        message(DEVICE, "3", 2, &md5_cred("me", "mine", &stored), &format!("{}{FINAL}", status(1, 1, 0, "SyncHdr", 200)));
    assert!(!is_in(&two.say(inside).await), "it stood in the row, and was spent");
    for (at, used) in [&challenge, &next, &stored].into_iter().enumerate() {
        for (which, gateway) in [&one, &two].into_iter().enumerate() {
            for number in [1, 2, 3] {
                assert!(!is_in(&gateway.say(first(&format!("9{at}{which}{number}"), number, Some(used))).await));
            }
        }
    }
}

/// AD-6: two gateways that are asked at the same moment read the same row, and one of them lets the device in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_gateways_asked_at_once_one_accepts() {
    let Some(database) = Database::postgres() else { return };
    let Scene { gateways: [one, two], portal: _, device: _, _processes } = scene(&database).await;
    for round in 0..20 {
        let challenge = next_nonce(&one.say(first(&format!("{round}"), 1, None)).await).to_owned();
        let say = |gateway: &Phone, at: u32| {
            let (gateway, message) = (gateway.clone(), first(&format!("{round}-{at}"), 2, Some(&challenge)));
            async move { gateway.say(message).await }
        };
        let all = futures_util::future::join_all([say(&one, 0), say(&two, 1), say(&one, 2), say(&two, 3)]).await;
        assert_eq!(all.iter().filter(|reply| is_in(reply)).count(), 1, "{all:?}");
    }
}

/// AD-6, AD-12: both sides prove themselves by a MAC in every message, each time at the other gateway, with one challenge a session at most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn macs_are_over_the_nonces_that_the_other_gateway_knows() {
    let Some(database) = Database::postgres() else { return };
    let by = |name: &str, secret: &str| json!({"auth": "HMAC", "name": name, "secret": secret});
    let scene = scene_with(&database, by("me", "mine"), by("you", "yours")).await;
    let Scene { gateways: [one, two], portal, device, _processes } = scene;
    let read = json!({"type": "NODES_GET", "nodes": ["./A"]});
    let mut given = String::new();
    for session in ["1", "2", "3"] {
        let job = job(&portal, &device, &read).await;
        let say = async |gateway: &Phone, nonce: &str, body: String| {
            let header = format!("username=\"me\", mac={}", mac("me", "mine", nonce, body.as_bytes()));
            let heard = gateway.post_with(XML, &[("x-syncml-hmac", &header)], body).await;
            (String::from_utf8(heard.body.to_vec()).unwrap(), heard)
        };
        let servers = |nonce: &str, heard: &Heard| {
            heard.mac.clone().unwrap().ends_with(&format!("mac={}", mac("you", "yours", nonce, &heard.body)))
        };
        let (challenged, heard) = say(&one, "AAAA", first(session, 1, None)).await;
        assert!(challenged.contains("<Data>401</Data>") && servers(&given, &heard), "{challenged}");
        let (offered, heard) = say(&two, next_nonce(&challenged), first(session, 2, None)).await;
        assert!(
            offered.contains("<Data>200</Data>") && offered.contains("<LocURI>./A</LocURI>") && servers(&given, &heard),
            "{offered}"
        );
        given = format!("bm9uY2U{session}");
        let chal = format!(
            "<Chal><Meta><Type xmlns=\"syncml:metinf\">syncml:auth-MAC</Type><NextNonce xmlns=\"syncml:metinf\">{given}</NextNonce></Meta></Chal>"
        );
        let header = status(1, 1, 0, "SyncHdr", 200).replace("<Data>", &format!("{chal}<Data>"));
        let told = [header, status(2, 1, 4, "Get", 200), results(3, 1, 4, "./A", "a"), FINAL.to_owned()];
        let (done, heard) = say(&one, next_nonce(&offered), message(DEVICE, session, 3, "", &told.concat())).await;
        assert!(done.contains("<Data>200</Data>") && servers(&given, &heard), "{done}");
        ended(&portal, &job).await;
        assert_eq!(outcome(&portal, &job, &device).await.0, "SUCCEEDED");
    }
}
