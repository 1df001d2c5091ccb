//! Accounts by which a device, or the server, proves itself in every message and not once a session.
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_simulator::Behaviour;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::handset::{Handset, SCOPES, ended, job, outcome, package, update};
use crate::harness::phone::{FINAL, PACKAGE_1, Phone, basic_cred, md5_cred, message, next_nonce, results, status};
use crate::harness::server::Server;

const DEVICE: &str = "IMEI:490154203237518";

both! {
    /// AD-6, AD-12: at its own address, too, a session hears nobody without credentials, and says 200 in the place of 212.
    async fn a_device_shows_credentials_in_each_message_where_its_account_says_so(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| config.gateway.details_days = 0).await;
        let portal = server.portal("acme", SCOPES).await;
        let phone = Phone::of(server.url());
        for auth in ["BASIC", "DIGEST"] {
            let device = format!("{DEVICE}-{auth}");
            let client = json!({"auth": auth, "name": "me", "secret": "mine"});
            let account = json!({"serverId": "dmwsi", "client": client, "everyMessage": true});
            let made = portal.post("/v1/devices", &json!({"dmIdentity": device, "account": account})).await.of(201);
            let job = job(&portal, made["deviceId"].as_str().unwrap(), &json!({"type": "NODES_GET", "nodes": ["./A"]})).await;
            let cred = |nonce: &str| if auth == "BASIC" { basic_cred("me", "mine") } else { md5_cred("me", "mine", nonce) };
            let say = async |number, cred: &str, body: &str| phone.say(message(&device, "1", number, cred, &format!("{body}{FINAL}"))).await;
            let code = |reply: &str| crate::harness::phone::between(reply, "<Data>", "</Data>").to_owned();
            let mut nonce = String::new();
            let mut heed = |reply: &str| {
                if auth == "DIGEST" {
                    nonce = next_nonce(reply).to_owned();
                }
                cred(&nonce)
            };

            let challenged = say(1, "", PACKAGE_1).await;
            assert_eq!(code(&challenged), "407");
            let offered = say(2, &heed(&challenged), PACKAGE_1).await;
            assert!(code(&offered) == "200" && offered.contains("<Get>"), "{offered}");
            let answer = format!("{}{}{}", status(1, 2, 0, "SyncHdr", 212), status(2, 2, 4, "Get", 200), results(3, 2, 4, "./A", "a"));
            let right = heed(&offered);
            let refused = say(3, "", &answer).await;
            assert!(code(&refused) == "407" && !refused.contains("RespURI"), "{refused}");
            assert_eq!(code(&say(4, &right, &answer).await), "200");
            assert_eq!(ended(&portal, &job).await["outcome"], "SUCCEEDED");
        }
        server.stop().await;
    }

    /// AD-12, FU-1: an update by simulated devices of which each side wants that of the other.
    async fn an_update_ends_well_where_each_message_has_its_credentials(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        for client_auth in [AuthType::Basic, AuthType::Digest] {
            for server_auth in [AuthType::Basic, AuthType::Digest] {
                let behaviour = Behaviour { client_auth, server_auth: Some(server_auth), server_each: true, ..Behaviour::default() };
                let mut handset = Handset::register(&portal, server.url(), behaviour).await;
                let job = job(&portal, &handset.id, &update(&package, "2.0.0")).await;
                handset.live().await;
                assert_eq!(outcome(&portal, &job, &handset.id).await.0, "SUCCEEDED", "{client_auth:?} {server_auth:?}");
                let report = handset.device.check_in().await.unwrap();
                assert!(report.verdicts.iter().all(|code| code.0 == 200), "{report:?}");
                assert!(report.answers.iter().all(|(_, code)| code.0 == 200), "{report:?}");
            }
        }
        server.stop().await;
    }

    /// AD-2: the way in which a device proves itself is changed by a patch, with all that belongs to it.
    async fn an_account_is_given_another_way_to_prove_itself(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let account = json!({"serverId": "dmwsi", "client": {"auth": "DIGEST", "name": "me", "secret": "mine"}});
        let made = portal.post("/v1/devices", &json!({"dmIdentity": DEVICE, "account": account})).await.of(201);
        assert_eq!((&made["account"]["client"]["auth"], &made["account"]["everyMessage"]), (&json!("DIGEST"), &json!(false)));
        let path = format!("/v1/devices/{}", made["deviceId"].as_str().unwrap());
        let merge = [("content-type", "application/merge-patch+json"), ("if-match", "*")];
        let patch = async |account: Value| portal.call(Method::PATCH, &path, &merge, Some(&json!({"account": account}))).await;
        for (change, auth) in [
            (json!({"client": {"auth": "HMAC"}, "everyMessage": true}), "HMAC"),
            (json!({"client": {"auth": "TRANSPORT", "name": DEVICE}}), "TRANSPORT"),
            (json!({"client": {"auth": "BASIC", "name": "me", "secret": "new"}, "everyMessage": null}), "BASIC"),
        ] {
            let changed = patch(change).await.of(200);
            assert_eq!(changed["account"]["client"]["auth"], auth);
            assert_eq!(changed, portal.get(&path).await.of(200));
            assert_eq!(changed["account"]["everyMessage"], auth != "BASIC");
        }
        patch(json!({"client": {"auth": "TRANSPORT", "secret": "x"}})).await.problem(400, "INVALID_ARGUMENT");
        patch(json!({"client": {"auth": "TRANSPORT"}})).await.of(200);
        patch(json!({"client": {"auth": "HMAC"}})).await.problem(400, "INVALID_ARGUMENT");
        patch(json!({"server": {"auth": "TRANSPORT", "name": "you"}})).await.problem(400, "INVALID_ARGUMENT");
        server.stop().await;
    }
}
