//! Updates that survive `kill -9` of the built command.
use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_api::ClientSecret;
use dmwsi_domain::Clock;
use dmwsi_domain::client::Client;
use dmwsi_simulator::Behaviour;
use serde_json::json;

use crate::harness::Database;
use crate::harness::handset::{Handset, SCOPES, ended, execution, job, outcome, package, update};
use crate::harness::phone::{FINAL, PACKAGE_1, Phone, md5_cred, message, next_nonce, results, status};
use crate::harness::process::Process;
use crate::harness::server::Portal;

/// A database with a client in it, and keys for the processes.
async fn ground(database: &Database) -> (String, Client, ClientSecret) {
    let store = database.store().await;
    let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
    let (client, secret) = add(&store, &Clock::System, new).await.unwrap();
    (toml::to_string(&Keys::mint().unwrap()).unwrap(), client, secret)
}

/// The whole server; what a killed one had claimed is free after a second.
fn serve(database: &Database, keys: &str) -> Process {
    Process::serve_as(database, keys, "all", &[("DMWSI__TASKS__LEASE_MS", "1000")])
}

fn moved(handset: &mut Handset, process: &Process) {
    handset.device.account_mut().server_url = format!("{}/dm", process.base);
}

both! {
    /// FU-1, AD-12, F-05: killed after every session, and with an Exec out whose answer never came, the update still ends as it should.
    async fn an_update_outlives_a_server_that_is_killed_again_and_again(database: Database) {
        let (keys, client, secret) = ground(&database).await;
        let package = package("2.0.0").await;
        for (delivery, drops) in [("DOWNLOAD_AND_UPDATE", true), ("DOWNLOAD_THEN_UPDATE", false)] {
            let mut process = serve(&database, &keys);
            let portal = Portal::log_in(&process.base, &client, &secret).await;
            let behaviour = Behaviour { drop_after_exec: drops, ..Behaviour::default() };
            let mut handset = Handset::register(&portal, &process.base, behaviour).await;
            let mut operation = update(&package, "2.0.0");
            operation["delivery"] = delivery.into();
            let job = job(&portal, &handset.id, &operation).await;
            for _ in 0..3 {
                // In the session that it drops out of there is no report.
                assert_eq!(handset.device.check_in().await.is_err(), drops && handset.device.is_busy());
                process.kill();
                process = serve(&database, &keys);
                moved(&mut handset, &process);
                handset.device.work().await;
            }
            handset.live().await;
            let portal = Portal::log_in(&process.base, &client, &secret).await;
            ended(&portal, &job).await;
            assert_eq!(outcome(&portal, &job, &handset.id).await, ("SUCCEEDED".to_owned(), "UPDATED".to_owned()), "{delivery}");
            let evidence = execution(&portal, &job, &handset.id).await["evidence"].clone();
            let execs = evidence.as_array().unwrap().iter().filter(|fact| fact["command"] == "Exec").count();
            assert_eq!(execs, if drops { 1 } else { 2 }, "{evidence}");
            process.kill();
        }
    }
}

/// AD-6, AD-12, S-TR-06: one gateway dies between two messages of a session and another takes the next, which the device has proven for already; a nonce
/// that one has accepted the other never does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_gateway_takes_the_next_message_of_a_session() {
    let Some(database) = Database::postgres() else { return };
    let (keys, client, secret) = ground(&database).await;
    let start = |role| Process::serve_as(&database, &keys, role, &[("DMWSI__GATEWAY__DETAILS_DAYS", "0")]);
    let (api, worker, [first, second, third]) =
        (start("api"), start("worker"), [start("gateway"), start("gateway"), start("gateway")]);
    let portal = Portal::log_in(&api.base, &client, &secret).await;
    let account = json!({"serverId": "dmwsi", "client": {"auth": "DIGEST", "name": "me", "secret": "mine"}});
    let new = json!({"dmIdentity": "IMEI:1", "account": account});
    let device = portal.post("/v1/devices", &new).await.of(201)["deviceId"].as_str().unwrap().to_owned();
    let job = job(&portal, &device, &json!({"type": "NODES_GET", "nodes": ["./A", "./B"]})).await;
    let body = format!("{PACKAGE_1}{FINAL}");
    let say = |process: &Process, session: &str, number, cred: &str, body: &str| {
        let (phone, message) = (Phone::of(&process.base), message("IMEI:1", session, number, cred, body));
        async move { phone.say(message).await }
    };

    let challenged = say(&first, "1", 1, "", &body).await;
    let nonce = next_nonce(&challenged).to_owned();
    let cred = md5_cred("me", "mine", &nonce);
    let offered = say(&first, "1", 2, &cred, &body).await;
    assert!(offered.contains("<LocURI>./A</LocURI>"), "{offered}");
    let next = next_nonce(&offered).to_owned();
    first.kill();
    assert_eq!(say(&second, "1", 2, &cred, &body).await, offered, "the reply that was lost with it");
    let told = [
        status(1, 2, 0, "SyncHdr", 200),
        status(2, 2, 4, "Get", 200),
        results(3, 2, 4, "./A", "a"),
        status(4, 2, 5, "Get", 404),
        FINAL.to_owned(),
    ];
    // Credentials that nobody asked for must be right, too: the row says which nonce the device was given.
    let last = say(&second, "1", 3, &md5_cred("me", "mine", &next), &told.concat()).await;
    assert!(last.contains("<Data>212</Data>") && !last.contains("<Get>"), "{last}");
    ended(&portal, &job).await;
    assert_eq!(outcome(&portal, &job, &device).await.0, "SUCCEEDED");

    // Neither the nonces accepted by the first nor those of the second are accepted by the third.
    for (at, used) in [&nonce, &next].into_iter().enumerate() {
        let replayed = say(&third, &format!("9{at}"), 1, &md5_cred("me", "mine", used), &body).await;
        assert!(replayed.contains("<Data>401</Data>"), "{replayed}");
    }
    // The device's own nonce is not spoilt by that.
    let back = say(&second, "2", 1, &md5_cred("me", "mine", next_nonce(&last)), &body).await;
    assert!(back.contains("<Data>212</Data>"), "{back}");
    drop((api, worker));
}
