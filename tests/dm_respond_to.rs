//! The address that a session gives its device: who speaks elsewhere must prove itself each time.
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_simulator::Behaviour;
use serde_json::json;

use crate::harness::Database;
use crate::harness::handset::{Handset, SCOPES, ended, job, outcome, package, update};
use crate::harness::phone::{
    FINAL, PACKAGE_1, Phone, basic_cred, between, md5_cred, message, next_nonce, results, status, without_pass,
};
use crate::harness::server::{Portal, Server};

const DEVICE: &str = "IMEI:490154203237518";

/// A server, and a device with such credentials that has two nodes to tell, one in a session.
async fn scene(database: &Database, auth: &str) -> (Server, Portal, String) {
    let server = Server::with(database, Keys::mint().unwrap(), Clock::System, |config| config.gateway.details_days = 0).await;
    let portal = server.portal("acme", SCOPES).await;
    let account = json!({"serverId": "dmwsi", "client": {"auth": auth, "name": "me", "secret": "mine"}});
    let device = portal.post("/v1/devices", &json!({"dmIdentity": DEVICE, "account": account})).await.of(201);
    let read = json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]});
    let job = job(&portal, device["deviceId"].as_str().unwrap(), &read).await;
    (server, portal, job)
}

fn first(cred: &str) -> String {
    message(DEVICE, "1", 1, cred, &format!("{PACKAGE_1}{FINAL}"))
}

/// The answer to the Get of package 2, which was the server's first message.
fn answer(number: u32, cred: &str, value: &str) -> String {
    answer_to(1, number, cred, value)
}

/// The same, where it was another one.
fn answer_to(heard: u32, number: u32, cred: &str, value: &str) -> String {
    let header = status(1, heard, 0, "SyncHdr", 212);
    let read = format!("{}{}", status(2, heard, 4, "Get", 200), results(3, heard, 4, "./Vendor/A", value));
    message(DEVICE, "1", number, cred, &format!("{header}{read}{FINAL}"))
}

async fn told(server: &Server, portal: &Portal, job: &str) -> String {
    assert_eq!(ended(portal, job).await["outcome"], "SUCCEEDED");
    let results = portal.get(&format!("{job}/results")).await.of(200);
    assert!(server.url().starts_with("http"));
    results.to_string()
}

both! {
    /// AD-6: who knows a session's numbers can neither go on with it, nor end it, nor hear its last reply again.
    async fn nobody_takes_over_a_session_who_does_not_know_its_address(database: Database) {
        let (server, portal, job) = scene(&database, "BASIC").await;
        let (device, stranger) = (Phone::of(server.url()), Phone::deaf_to_resp_uri(server.url()));
        let mine = basic_cred("me", "mine");
        assert!(device.say(first(&mine)).await.contains("<Get>"));
        for number in [2, 2, 9] {
            let heard = stranger.say(answer(number, "", "forged")).await;
            assert!(heard.contains("<Data>407</Data>") && heard.contains("<Chal>") && !heard.contains("<Data>2"), "{heard}");
            assert!(!heard.contains("?s=") && !heard.contains("<RespURI>"), "the refusal tells the address: {heard}");
        }
        let heard = stranger.say(answer(2, &basic_cred("me", "guessed"), "forged")).await;
        assert!(heard.contains("<Data>401</Data>"), "{heard}");
        let other_version = answer(2, "", "forged").replace("DM/1.2", "DM/9.9");
        assert!(!stranger.say(other_version).await.contains("?s="));
        let begin = first("").replace("DM/1.2", "DM/9.9").replace("<SessionID>1<", "<SessionID>77<");
        assert!(!stranger.say(begin).await.contains("?s="));
        let abort = message(DEVICE, "1", 2, "", &format!("<Alert><CmdID>1</CmdID><Data>1223</Data></Alert>{FINAL}"));
        assert!(stranger.say(abort).await.contains("<Data>407</Data>"));
        let last = device.say(answer(2, "", "true")).await;
        assert!(last.contains("<Data>212</Data>"), "{last}");
        assert_eq!(device.say(answer(2, "", "true")).await, last);
        assert_eq!(stranger.post(crate::harness::phone::XML, answer(2, "", "true")).await.status, 400);
        let told = told(&server, &portal, &job).await;
        assert!(told.contains("true") && !told.contains("forged"), "{told}");
        server.stop().await;
    }

    /// AD-6: guesses lock out new sessions by password, not the one whose device has proven itself.
    async fn a_session_goes_on_while_somebody_guesses_at_the_password(database: Database) {
        let (server, portal, job) = scene(&database, "BASIC").await;
        let (device, stranger) = (Phone::of(server.url()), Phone::deaf_to_resp_uri(server.url()));
        let mine = basic_cred("me", "mine");
        assert!(device.say(first(&mine)).await.contains("<Get>"));
        let begin = |session: usize, cred: &str| message(DEVICE, &session.to_string(), 1, cred, &format!("{PACKAGE_1}{FINAL}"));
        for session in 10..22 {
            assert!(stranger.say(begin(session, &basic_cred("me", "guessed"))).await.contains("<Data>401</Data>"));
        }
        assert!(stranger.say(begin(22, &mine)).await.contains("<Data>401</Data>"), "locked, also for the right one");
        assert!(stranger.say(answer(2, &mine, "forged")).await.contains("<Data>401</Data>"));
        assert!(device.say(answer(2, "", "true")).await.contains("<Data>212</Data>"));
        assert!(!told(&server, &portal, &job).await.contains("forged"));
        server.stop().await;
    }

    /// AD-6: the address is told to the device once it has proven itself, not to whoever opened the session before.
    async fn a_session_that_a_stranger_opened_gets_another_address(database: Database) {
        for auth in ["BASIC", "DIGEST"] {
            let database = if database.is_postgres() { Database::postgres().unwrap() } else { Database::sqlite() };
            let (server, portal, job) = scene(&database, auth).await;
            let (device, stranger) = (Phone::of(server.url()), Phone::deaf_to_resp_uri(server.url()));
            let seeded = stranger.say(first("")).await;
            assert!(seeded.contains("<Data>407</Data>") && !seeded.contains("?s="), "{seeded}");
            let cred = match auth {
                "BASIC" => basic_cred("me", "mine"),
                _ => md5_cred("me", "mine", next_nonce(&device.say(first("")).await)),
            };
            let heard = device.say(first(&cred)).await;
            assert!(heard.contains("<Get>") && heard.contains("?s="), "{heard}");
            let number: u32 = between(&heard, "<MsgID>", "</MsgID>").parse().unwrap();
            let forged = stranger.say(answer_to(number, 2, "", "forged")).await;
            assert!(forged.contains("<Data>407</Data>") && !forged.contains("?s="), "{forged}");
            device.say(answer_to(number, 2, "", "true")).await;
            assert!(told(&server, &portal, &job).await.contains("true"));
            server.stop().await;
        }
    }

    /// AD-12: a client that sends all of a session to the address of its account shows its credentials when it is asked to.
    async fn a_client_that_does_not_heed_resp_uri_is_asked_for_credentials_and_gets_on(database: Database) {
        let (server, portal, job) = scene(&database, "BASIC").await;
        let phone = Phone::deaf_to_resp_uri(server.url());
        let mine = basic_cred("me", "mine");
        assert!(phone.say(first(&mine)).await.contains("<Get>"));
        let heard = phone.say(answer(2, "", "told")).await;
        assert!(heard.contains("<Data>407</Data>") && heard.contains("syncml:auth-basic"), "{heard}");
        let heard = phone.say(answer(2, &mine, "told")).await;
        assert!(heard.contains("<Data>200</Data>"), "{heard}");
        assert!(told(&server, &portal, &job).await.contains("told"));
        server.stop().await;
    }

    /// AD-12: and so does one whose credentials are over a nonce that each reply renews.
    async fn a_client_that_does_not_heed_resp_uri_gets_on_by_digest(database: Database) {
        let (server, portal, job) = scene(&database, "DIGEST").await;
        let phone = Phone::deaf_to_resp_uri(server.url());
        let challenged = phone.say(first("")).await;
        let heard = phone.say(first(&md5_cred("me", "mine", next_nonce(&challenged)))).await;
        assert!(heard.contains("<Get>"), "{heard}");
        let heard = phone.say(answer_to(2, 2, "", "told")).await;
        assert!(heard.contains("<Data>407</Data>"), "{heard}");
        let heard = phone.say(answer_to(2, 3, &md5_cred("me", "mine", next_nonce(&heard)), "told")).await;
        assert!(heard.contains("<Data>200</Data>"), "{heard}");
        assert!(told(&server, &portal, &job).await.contains("told"));
        server.stop().await;
    }

    /// AD-12, FU-1: simulated devices of that kind, which begin anew when they are asked for credentials on the way, finish an update.
    async fn an_update_ends_well_on_a_client_that_does_not_heed_resp_uri(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        for client_auth in [AuthType::Basic, AuthType::Digest] {
            for delivery in ["DOWNLOAD_AND_UPDATE", "DOWNLOAD_THEN_UPDATE"] {
                let behaviour = Behaviour { ignore_resp_uri: true, client_auth, ..Behaviour::default() };
                let mut handset = Handset::register(&portal, server.url(), behaviour).await;
                let mut operation = update(&package, "2.0.0");
                operation["delivery"] = delivery.into();
                let job = job(&portal, &handset.id, &operation).await;
                handset.live().await;
                assert_eq!(outcome(&portal, &job, &handset.id).await, ("SUCCEEDED".to_owned(), "UPDATED".to_owned()), "{client_auth:?}");
                // What it is like was learned by then: nothing is asked twice any more.
                let report = handset.device.check_in().await.unwrap();
                assert!(report.verdicts.iter().all(|code| code.0 == 200), "{:?}", report.verdicts);
            }
        }
        server.stop().await;
    }

    /// AD-12, AD-6, S-TR-06: each session has an address of its own, all of its messages the same one.
    async fn every_session_has_an_address_of_its_own(database: Database) {
        let (server, _portal, _job) = scene(&database, "BASIC").await;
        let phone = Phone::of(server.url());
        let mine = basic_cred("me", "mine");
        let begin = |session| message(DEVICE, session, 1, &mine, &format!("{PACKAGE_1}{FINAL}"));
        let pass = |heard: &str| between(heard, "/dm?s=", "</RespURI>").to_owned();
        let (one, two) = (phone.say(begin("1")).await, phone.say(begin("2")).await);
        assert_ne!(pass(&one), pass(&two));
        assert_eq!(pass(&phone.say(begin("2")).await), pass(&two));
        assert!(without_pass(&one).contains(&format!("<RespURI>{}/dm</RespURI>", server.url())), "{one}");
        server.stop().await;
    }
}
