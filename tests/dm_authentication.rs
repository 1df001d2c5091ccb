//! Who a device is, and how the server proves itself, over HTTP with hand-made credentials.
use std::time::Duration;

use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_domain::contact::StrangerReason;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::eventually;
use crate::harness::handset::{SCOPES, job};
use crate::harness::phone::{FINAL, PACKAGE_1, Phone, XML, basic_cred, md5_cred, message, next_nonce, without_pass};
use crate::harness::server::Server;

const DEVICE: &str = "IMEI:490154203237518";

/// A server with one device that proves itself so; both sides are called by their names below.
async fn server(
    database: &Database,
    client: &str,
    server_auth: Option<&str>,
    change: impl FnOnce(&mut Config),
) -> (Server, Keys) {
    let keys = Keys::mint().unwrap();
    let server = Server::with(database, keys.clone(), Clock::System, |config| {
        config.gateway.details_days = 0;
        change(config);
    })
    .await;
    let portal = server.portal("acme", SCOPES).await;
    let mut account = json!({"serverId": "dmwsi", "client": {"auth": client, "name": "me", "secret": "mine"}});
    if let Some(auth) = server_auth {
        account["server"] = json!({"auth": auth, "name": "you", "secret": "yours"});
    }
    portal.post("/v1/devices", &json!({"dmIdentity": DEVICE, "account": account})).await.of(201);
    (server, keys)
}

fn first(session: &str, number: u32, cred: &str) -> String {
    message(DEVICE, session, number, cred, &format!("{PACKAGE_1}{FINAL}"))
}

/// The codes of all Statuses of a reply, that of the header first.
fn codes(reply: &str) -> Vec<&str> {
    reply
        .split("</Status>")
        .filter(|part| part.contains("<Status>"))
        .map(|part| part.rsplit("<Data>").next().unwrap().split('<').next().unwrap())
        .collect()
}

/// What stands in the credentials of a reply.
fn shown(reply: &str) -> Option<&str> {
    let cred = reply.split_once("<Cred>")?.1.split_once("</Cred>")?.0;
    Some(cred.split_once("<Data>")?.1.split_once("</Data>")?.0)
}

/// The `Data` of such credentials.
fn data(cred: &str) -> String {
    shown(cred).unwrap().to_owned()
}

async fn strangers(server: &Server) -> Vec<(String, StrangerReason)> {
    let all = server.store().read(|tx| tx.strangers(10)).await.unwrap();
    all.into_iter().map(|one| (one.dm_identity, one.reason)).collect()
}

fn status(challenge: &str) -> String {
    format!(
        "<Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Chal><Meta><Format xmlns=\"syncml:metinf\">b64</Format>\
        <Type xmlns=\"syncml:metinf\">syncml:auth-md5</Type><NextNonce xmlns=\"syncml:metinf\">{challenge}</NextNonce></Meta></Chal>\
        <Data>401</Data></Status>"
    )
}

both! {
    /// AD-6, AD-12, S-AU-02: every command gets the code of the refusal, tries are counted, and after the last there is no challenge any more.
    async fn wrong_credentials_are_refused_and_end_the_session(database: Database) {
        for kind in ["BASIC", "DIGEST"] {
            let database = if database.is_postgres() { Database::postgres().unwrap() } else { Database::sqlite() };
            let (server, _) = server(&database, kind, None, |config| config.gateway.max_tries = 2).await;
            let phone = Phone::of(server.url());
            let mut nonce = String::new();
            if kind == "DIGEST" {
                let challenged = phone.say(first("1", 1, "")).await;
                nonce = next_nonce(&challenged).to_owned();
            }
            let wrong = |nonce: &str| if kind == "BASIC" { basic_cred("me", "not mine") } else { md5_cred("me", "not mine", nonce) };
            let heard = phone.say(first("1", 2, &wrong(&nonce))).await;
            assert_eq!(codes(&heard), ["401", "401", "401"]);
            assert!(heard.contains(&format!("syncml:auth-{}", if kind == "BASIC" { "basic" } else { "md5" })), "{heard}");
            if kind == "DIGEST" {
                assert_ne!(next_nonce(&heard), nonce);
                nonce = next_nonce(&heard).to_owned();
            }
            let heard = phone.say(first("1", 3, &wrong(&nonce))).await;
            assert_eq!(codes(&heard), ["401", "401", "401"]);
            assert!(!heard.contains("<Chal>"), "{heard}");
            let late = phone.say(message(DEVICE, "1", 4, &wrong(&nonce), FINAL)).await;
            assert_eq!(codes(&late)[0], "401");
            assert_eq!(strangers(&server).await, [(DEVICE.to_owned(), StrangerReason::Credentials)]);
            server.stop().await;
        }
    }

    /// AD-6: too many failures close the door for a while, also to the right key.
    async fn a_device_that_fails_too_often_is_locked_out_for_a_while(database: Database) {
        let (server, _) = server(&database, "BASIC", None, |config| {
            config.gateway.max_failed_tries = 2;
            config.gateway.lockout_seconds = 2;
        }).await;
        let phone = Phone::of(server.url());
        let right = basic_cred("me", "mine");
        assert_eq!(codes(&phone.say(first("1", 1, &right)).await), ["212", "200", "200"]);
        for session in ["2", "3"] {
            assert_eq!(codes(&phone.say(first(session, 1, &basic_cred("me", "x"))).await), ["401", "401", "401"]);
        }
        assert_eq!(codes(&phone.say(first("4", 1, &right)).await), ["401", "401", "401"]);
        tokio::time::sleep(Duration::from_millis(2_100)).await;
        assert_eq!(codes(&phone.say(first("5", 1, &right)).await), ["212", "200", "200"]);
        assert_eq!(codes(&phone.say(first("6", 1, &basic_cred("me", "x"))).await)[0], "401");
        assert_eq!(codes(&phone.say(first("7", 1, &right)).await)[0], "212", "the failures before were forgotten");
        server.stop().await;
    }

    /// AD-6: who guesses at the secret of a device cannot shut it out where a digest proves more than a guess.
    async fn a_device_with_digests_is_let_in_whoever_knocks_in_its_name(database: Database) {
        let (server, _) = server(&database, "DIGEST", None, |config| config.gateway.max_failed_tries = 2).await;
        let (device, stranger) = (Phone::of(server.url()), Phone::deaf_to_resp_uri(server.url()));
        let guess = async |session: &str| {
            let nonce = next_nonce(&stranger.say(first(session, 1, "")).await).to_owned();
            let heard = stranger.say(first(session, 2, &md5_cred("me", "not mine", &nonce))).await;
            assert_eq!(codes(&heard), ["401", "401", "401"]);
        };
        for session in ["a", "b", "c", "d"] {
            guess(session).await;
        }
        // Its last nonce is of another time, and between every two messages of its own somebody guesses.
        let challenged = device.say(first("1", 1, "")).await;
        guess("e").await;
        let accepted = device.say(first("1", 2, &md5_cred("me", "mine", next_nonce(&challenged)))).await;
        assert_eq!(codes(&accepted), ["212", "200", "200"]);
        guess("f").await;
        let accepted = device.say(first("2", 1, &md5_cred("me", "mine", next_nonce(&accepted)))).await;
        assert_eq!(codes(&accepted)[0], "212", "without another challenge");
        assert_eq!(strangers(&server).await, [(DEVICE.to_owned(), StrangerReason::Credentials)]);
        server.stop().await;
    }

    /// AD-6: who repairs a device's account need not wait until the door opens again.
    async fn a_new_account_opens_the_door_at_once(database: Database) {
        let (server, _) = server(&database, "BASIC", None, |config| config.gateway.max_failed_tries = 1).await;
        let (portal, phone) = (server.portal("acme", SCOPES).await, Phone::of(server.url()));
        assert_eq!(codes(&phone.say(first("1", 1, &basic_cred("me", "new"))).await)[0], "401");
        let found = portal.post("/v1/devices/search", &json!({"dmIdentity": DEVICE})).await.of(200);
        let path = format!("/v1/devices/{}", found["items"][0]["deviceId"].as_str().unwrap());
        let merge = [("content-type", "application/merge-patch+json"), ("if-match", "*")];
        portal.call(Method::PATCH, &path, &merge, Some(&json!({"account": {"client": {"secret": "new"}}}))).await.of(200);
        assert_eq!(codes(&phone.say(first("2", 1, &basic_cred("me", "new"))).await)[0], "212");
        server.stop().await;
    }

    /// AD-2, AD-6: nobody learns from the answer which devices are known; the operator learns who knocked.
    async fn an_unknown_device_is_answered_like_one_with_wrong_credentials(database: Database) {
        let (server, _) = server(&database, "DIGEST", None, |_| {}).await;
        let phone = Phone::of(server.url());
        let mut replies = Vec::new();
        for device in [DEVICE, "IMEI:000000000000000"] {
            let body = format!("{PACKAGE_1}{FINAL}");
            let first = phone.say(message(device, "1", 1, "", &body)).await;
            let nonce = next_nonce(&first).to_owned();
            let second = phone.say(message(device, "1", 2, &md5_cred("me", "not mine", &nonce), &body)).await;
            let third = phone.say(message(device, "1", 3, &md5_cred("me", "not mine", next_nonce(&second)), &body)).await;
            let plain = |reply: &str| without_pass(reply).replace(device, "DEVICE").replace(next_nonce(reply), "NONCE");
            assert_eq!(next_nonce(&first).len(), next_nonce(&third).len());
            replies.push([plain(&first), plain(&second), plain(&third)]);
        }
        assert_eq!(replies[0], replies[1]);
        eventually("both are written down", async || strangers(&server).await.len() == 2).await;
        let mut known = strangers(&server).await;
        known.sort_by(|(a, _), (b, _)| a.cmp(b));
        assert_eq!(known, [("IMEI:000000000000000".to_owned(), StrangerReason::Unknown), (DEVICE.to_owned(), StrangerReason::Credentials)]);
        let told = server.store().read(|tx| tx.strangers(10)).await.unwrap();
        let told: Value = serde_json::from_str(&told.iter().find(|one| one.reason == StrangerReason::Unknown).unwrap().description).unwrap();
        assert_eq!(told, json!({"manufacturer": "Acme", "model": "One"}));
        server.stop().await;
    }

    /// AD-6: a digest that was accepted once is refused ever after, in any session.
    async fn a_nonce_is_accepted_once(database: Database) {
        let (server, _) = server(&database, "DIGEST", None, |_| {}).await;
        let phone = Phone::of(server.url());
        let nonce = next_nonce(&phone.say(first("1", 1, "")).await).to_owned();
        let cred = md5_cred("me", "mine", &nonce);
        let accepted = phone.say(first("1", 2, &cred)).await;
        assert_eq!(codes(&accepted), ["212", "200", "200"]);
        let next = next_nonce(&accepted).to_owned();
        assert_eq!(codes(&phone.say(first("2", 1, &cred)).await), ["401", "401", "401"]);
        let again = phone.say(first("3", 1, &md5_cred("me", "mine", &next))).await;
        assert_eq!(codes(&again)[0], "212", "what is refused to anybody leaves the device's own nonce");
        let mut nonce = next_nonce(&again).to_owned();
        for round in 10..20 {
            // Many at once with one nonce: one is let in.
            let cred = md5_cred("me", "mine", &nonce);
            let all = (0..4).map(|n| phone.say(first(&format!("{round}-{n}"), 1, &cred)));
            let all = futures_util::future::join_all(all).await;
            let accepted: Vec<_> = all.iter().filter(|reply| codes(reply)[0] == "212").collect();
            assert_eq!(accepted.len(), 1, "{all:?}");
            nonce = next_nonce(&phone.say(first(&format!("{round}"), 1, "")).await).to_owned();
        }
        server.stop().await;
    }

    /// AD-6, S-AU-04: a server that was restarted remembers no nonce, accepts none, and gives a new one once.
    async fn after_a_restart_a_device_is_challenged_once_more(database: Database) {
        let (first_server, keys) = server(&database, "DIGEST", None, |_| {}).await;
        let phone = Phone::of(first_server.url());
        let nonce = next_nonce(&phone.say(first("1", 1, "")).await).to_owned();
        let next = next_nonce(&phone.say(first("1", 2, &md5_cred("me", "mine", &nonce))).await).to_owned();
        first_server.stop().await;
        let server = Server::with(&database, keys, Clock::System, |config| config.gateway.details_days = 0).await;
        let phone = Phone::of(server.url());
        let challenged = phone.say(first("2", 1, &md5_cred("me", "mine", &next))).await;
        assert_eq!(codes(&challenged), ["401", "401", "401"]);
        let given = next_nonce(&challenged).to_owned();
        assert!(given != nonce && given != next);
        let accepted = phone.say(first("2", 2, &md5_cred("me", "mine", &given))).await;
        assert_eq!(codes(&accepted), ["212", "200", "200"]);
        assert_eq!(codes(&phone.say(first("3", 1, &md5_cred("me", "mine", next_nonce(&accepted)))).await)[0], "212");
        assert!(strangers(&server).await.is_empty(), "the device did nothing wrong");
        server.stop().await;
    }

    /// AD-6, S-AU-05: the server proves itself from its first reply; a password goes to nobody who has not proven who it is.
    async fn the_server_shows_its_credentials_from_the_first_reply(database: Database) {
        let (basic, _) = server(&database, "BASIC", Some("BASIC"), |_| {}).await;
        let phone = Phone::of(basic.url());
        assert_eq!(shown(&phone.say(first("1", 1, "")).await), None, "not to anybody");
        let heard = phone.say(first("2", 1, &basic_cred("me", "mine"))).await;
        assert_eq!(shown(&heard), Some(data(&basic_cred("you", "yours")).as_str()));
        basic.stop().await;

        let database = if database.is_postgres() { Database::postgres().unwrap() } else { Database::sqlite() };
        let (digest, _) = server(&database, "BASIC", Some("DIGEST"), |_| {}).await;
        let phone = Phone::of(digest.url());
        let heard = phone.say(first("1", 1, "")).await;
        assert_eq!(shown(&heard), Some(data(&md5_cred("you", "yours", "")).as_str()));
        // The device has another nonce in mind, says so, and is shown the digest of that.
        let told = format!("{}{FINAL}", status("bm9uY2U="));
        phone.say(first("2", 1, &basic_cred("me", "mine"))).await;
        let heard = phone.say(message(DEVICE, "2", 2, "", &told)).await;
        assert_eq!(shown(&heard), Some(data(&md5_cred("you", "yours", "bm9uY2U=")).as_str()), "{heard}");
        let kept = phone.say(first("3", 1, &basic_cred("me", "mine"))).await;
        assert_eq!(shown(&kept), Some(data(&md5_cred("you", "yours", "bm9uY2U=")).as_str()), "the nonce was kept");
        digest.stop().await;
    }

    /// OES2: who is known cannot be found out by asking, where strangers are answered by what the accounts have.
    async fn who_is_not_known_is_answered_like_who_is(database: Database) {
        for (client, server_auth) in [("DIGEST", None), ("DIGEST", Some("DIGEST")), ("BASIC", Some("BASIC"))] {
            let auth = |name: &str| serde_json::from_value(json!(name)).unwrap();
            let own = if database.is_postgres() { Database::postgres().unwrap() } else { Database::sqlite() };
            let (server, _) = server(&own, client, server_auth, |config| {
                config.gateway.unknown_client_auth = Some(auth(client));
                config.gateway.unknown_server_auth = server_auth.map(auth);
                config.gateway.unknown_server_name = "you".to_owned();
            })
            .await;
            let phone = Phone::of(server.url());
            let asked = |identity: &str| first("1", 1, "").replace(DEVICE, identity);
            let masked = |reply: &str, identity: &str| {
                let secrets = [shown(reply), reply.contains("<NextNonce").then(|| next_nonce(reply))];
                let masked = |text: String, secret: &str| text.replace(secret, &"*".repeat(secret.len()));
                secrets.into_iter().flatten().fold(reply.replace(identity, "WHO"), masked)
            };
            let (known, stranger) = (phone.say(asked(DEVICE)).await, phone.say(asked("IMEI:1")).await);
            assert_eq!(masked(&known, DEVICE), masked(&stranger, "IMEI:1"), "{client} {server_auth:?}");
            let again = phone.say(first("2", 1, "").replace(DEVICE, "IMEI:1")).await;
            assert_eq!(shown(&again), shown(&stranger), "as long as it gives no nonce");
            server.stop().await;
        }
    }

    /// OES2: where devices prove themselves in several ways, those who are not known seem to do so, too, each always in the same.
    async fn strangers_are_of_all_kinds_that_there_are(database: Database) {
        let (server, _) = server(&database, "BASIC", None, |config| config.gateway.unknown_server_name = "you".to_owned()).await;
        let portal = server.portal("acme", SCOPES).await;
        let kinds = [("DIGEST", Some("DIGEST")), ("HMAC", Some("HMAC"))];
        for (at, (client, server)) in kinds.into_iter().enumerate() {
            let auth = |auth, name, secret| json!({"auth": auth, "name": name, "secret": secret});
            let account = json!({"serverId": "dmwsi", "client": auth(client, "me", "mine"), "server": server.map(|way| auth(way, "you", "yours"))});
            portal.post("/v1/devices", &json!({"dmIdentity": format!("IMEI:9{at}"), "account": account})).await.of(201);
        }
        let phone = Phone::of(server.url());
        // What is shown, without what is of one device alone; with a header of a MAC, wherever that may be looked at, and without.
        let asked = async |identity: &str, session: &str, header: &[(&str, &str)]| {
            let heard = phone.post_with(XML, header, first(session, 1, "").replace(DEVICE, identity)).await;
            let reply = String::from_utf8(heard.body.to_vec()).unwrap();
            let secrets = [shown(&reply).map(str::to_owned), reply.contains("<NextNonce").then(|| next_nonce(&reply).to_owned())];
            let masked = secrets.into_iter().flatten().fold(reply.replace(identity, "WHO"), |text, secret| text.replace(&secret, "***"));
            (masked, heard.mac.map(|mac| mac.split("mac=").next().unwrap().to_owned()))
        };
        for (round, header) in [&[][..], &[("x-syncml-hmac", "algorithm=MD5, username=\"me\", mac=AAAAAAAAAAAAAAAAAAAAAA==")]].into_iter().enumerate() {
            let session = format!("{round}");
            let mut known = Vec::new();
            for identity in [DEVICE, "IMEI:90", "IMEI:91"] {
                known.push(asked(identity, &session, header).await);
            }
            let mut seen = [0; 3];
            for number in 0..40 {
                let identity = format!("IMEI:5{number}");
                let heard = asked(&identity, &session, header).await;
                seen[known.iter().position(|one| *one == heard).unwrap_or_else(|| panic!("{heard:?} of {known:?}"))] += 1;
                assert_eq!(asked(&identity, &session, header).await, heard, "always the same");
            }
            assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
        }
        server.stop().await;
    }

    /// AD-6: where a device has other credentials for the server, an operator learns of it.
    async fn a_device_that_does_not_accept_the_server_is_told_of(database: Database) {
        let (server, _) = server(&database, "BASIC", Some("DIGEST"), |_| {}).await;
        let portal = server.portal("acme", &format!("{SCOPES} events:read")).await;
        let device = portal.get("/v1/devices").await.of(200)["items"][0]["deviceId"].as_str().unwrap().to_owned();
        job(&portal, &device, &json!({"type": "NODES_GET", "nodes": ["./A"]})).await;
        let phone = Phone::of(server.url());
        phone.say(first("1", 1, &basic_cred("me", "mine"))).await;
        for number in [2, 3] {
            let refused = status("bm9uY2U=").replace("<MsgRef>1<", &format!("<MsgRef>{}<", number - 1));
            let heard = phone.say(message(DEVICE, "1", number, "", &format!("{refused}{FINAL}"))).await;
            assert_eq!(heard.contains("<Data>1223</Data>"), number == 3, "{heard}");
        }
        let told = async || portal.get("/v1/events?types=dmwsi.v1.device-refuses-server").await.of(200)["items"].clone();
        eventually("it is told", async || told().await.as_array().unwrap().len() == 1).await;
        assert_eq!(told().await[0]["data"]["deviceId"], device.as_str());
        server.stop().await;
    }
}
