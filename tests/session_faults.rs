//! Sessions that went wrong, in words that an operator understands.
use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use serde_json::{Value, json};

use crate::harness::handset::{SCOPES, job};
use crate::harness::phone::{FINAL, PACKAGE_1, Phone, XML, basic_cred, message, results, status};
use crate::harness::server::{Portal, Server};
use crate::harness::{Database, eventually};
use crate::sessions::{messages, sessions, trace};

const DEVICE: &str = "IMEI:490154203237518";

struct Scene {
    server: Server,
    portal: Portal,
    device: String,
    phone: Phone,
}

impl Scene {
    async fn set(database: &Database, change: impl FnOnce(&mut Config)) -> Self {
        let server = Server::with(database, Keys::mint().unwrap(), Clock::System, |config| {
            config.gateway.details_days = 0;
            change(config);
        })
        .await;
        let portal = server.portal("acme", &format!("{SCOPES} devices:trace")).await;
        let client = json!({"auth": "BASIC", "name": "me", "secret": "mine"});
        let new = json!({"dmIdentity": DEVICE, "account": {"serverId": "dmwsi", "client": client}});
        let device = portal.post("/v1/devices", &new).await.of(201)["deviceId"].as_str().unwrap().to_owned();
        let phone = Phone::of(server.url());
        Self { server, portal, device, phone }
    }

    async fn work(&self) {
        job(&self.portal, &self.device, &json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]})).await;
    }

    async fn latest(&self) -> Value {
        sessions(&self.portal, &self.device).await.remove(0)
    }
}

fn first(session: &str, secret: &str) -> String {
    message(DEVICE, session, 1, &basic_cred("me", secret), &format!("{PACKAGE_1}{FINAL}"))
}

fn fault(session: &Value) -> (&str, &str) {
    (session["fault"]["code"].as_str().unwrap_or_default(), session["ending"].as_str().unwrap_or_default())
}

both! {
    /// AD-12: whatever is wrong with a message, there is a word for it, and what was said where that was asked for.
    async fn every_way_in_which_a_message_is_refused_has_a_word(database: Database) {
        let scene = Scene::set(&database, |_| {}).await;
        trace(&scene.server, &scene.portal, &scene.device).await;
        let (phone, good) = (&scene.phone, first("1", "mine"));
        phone.say(first("1", "guess")).await;
        let wrong = scene.latest().await;
        assert_eq!((fault(&wrong).0, &wrong["authentication"]), ("WRONG_CREDENTIALS", &json!("REFUSED")), "{wrong}");
        let said = messages(&scene.portal, &scene.device, &wrong).await;
        assert!(said[0]["sent"].is_object() && said[0]["received"].to_string().contains("\"***\""), "{said:?}");

        phone.say(good.replace("DM/1.2", "DM/7.4").replace("<SessionID>1<", "<SessionID>2<")).await;
        let version = scene.latest().await;
        assert_eq!(fault(&version), ("VERSION_NOT_SUPPORTED", "REFUSED"), "{version}");
        assert!(version["fault"]["detail"].as_str().unwrap().contains("DM/7.4"), "{version}");
        // It may come down to one that is spoken here, in the same session.
        let lower = good.replace("<SessionID>1<", "<SessionID>2<").replace("<MsgID>1<", "<MsgID>2<");
        assert!(phone.say(lower).await.contains("<Data>212</Data>"));

        for (cut, is_told) in [(good.len() - 20, true), (60, false)] {
            let count = sessions(&scene.portal, &scene.device).await.len();
            assert_eq!(phone.post(XML, &good.as_bytes()[..cut]).await.status, 400);
            let all = sessions(&scene.portal, &scene.device).await;
            assert_eq!(all.len(), count + usize::from(is_told), "it must name the device: {cut}");
        }
        let malformed = scene.latest().await;
        assert_eq!(fault(&malformed), ("MALFORMED", "REFUSED"), "{malformed}");
        let said = messages(&scene.portal, &scene.device, &malformed).await;
        assert!(said[0]["sent"].is_null() && said[0]["received"].to_string().contains("./DevInfo/Man"), "as far as it goes: {said:?}");
        assert!(!said[0].to_string().contains(&crate::harness::phone::basic("me", "mine")));

        let large = good.replace(FINAL, &format!("{}{FINAL}", " ".repeat(300_000)));
        assert_eq!(phone.post(XML, large).await.status, 413);
        let large = scene.latest().await;
        assert_eq!(fault(&large), ("MALFORMED", "REFUSED"), "{large}");
        assert!(large["fault"]["detail"].as_str().unwrap().contains("262144"), "{large}");

        assert_eq!(phone.post(XML, good.replace("<MsgID>1<", "<MsgID>0<")).await.status, 400);
        assert_eq!(fault(&scene.latest().await).1, "REFUSED");
        scene.server.stop().await;
    }

    /// AD-12: how a session with work ended that did not come to its end.
    async fn sessions_that_break_off_say_who_did_it(database: Database) {
        let scene = Scene::set(&database, |config| config.gateway.session_idle_seconds = 1).await;
        scene.work().await;
        let phone = &scene.phone;
        assert!(phone.say(first("1", "mine")).await.contains("<Get>"));
        assert!(scene.latest().await["ending"].is_null());
        let abort = format!("{}<Alert><CmdID>2</CmdID><Data>1223</Data></Alert>{FINAL}", status(1, 1, 0, "SyncHdr", 200));
        phone.say(message(DEVICE, "1", 2, "", &abort)).await;
        assert_eq!(fault(&scene.latest().await), ("ABORTED_BY_DEVICE", "ABORTED_BY_DEVICE"));
        assert!(phone.say(first("2", "mine")).await.contains("<Get>"));
        assert!(phone.say(first("3", "mine")).await.contains("<Get>"));
        let all = sessions(&scene.portal, &scene.device).await;
        let endings: Vec<_> = all.iter().map(|one| (one["dmSessionId"].as_str().unwrap(), one["ending"].as_str())).collect();
        assert_eq!(endings, [("3", None), ("2", Some("SUPERSEDED")), ("1", Some("ABORTED_BY_DEVICE"))]);
        eventually("the silent session is ended", async || scene.latest().await["ending"] == "SILENT").await;
        assert!(phone.say(first("4", "mine")).await.contains("<Get>"));
        let told = [status(1, 1, 0, "SyncHdr", 200), status(2, 1, 4, "Get", 200), results(3, 1, 4, "./Vendor/A", "x"), FINAL.to_owned()];
        phone.say(message(DEVICE, "4", 2, "", &told.concat())).await;
        assert_eq!(fault(&scene.latest().await), ("", "COMPLETED"));
        scene.server.stop().await;
    }

    /// AD-6, AD-12: who fails too often is locked out, which is told, and strangers cannot fill the records.
    async fn what_nobody_has_proven_is_written_down_seldom(database: Database) {
        let scene = Scene::set(&database, |config| config.gateway.max_failed_tries = 3).await;
        for session in 1..6 {
            scene.phone.say(first(&session.to_string(), "guess")).await;
        }
        let all = sessions(&scene.portal, &scene.device).await;
        assert_eq!((all.len(), fault(&all[0]).0), (1, "WRONG_CREDENTIALS"), "{all:?}");
        trace(&scene.server, &scene.portal, &scene.device).await;
        scene.phone.say(first("9", "mine")).await;
        assert_eq!(fault(&scene.latest().await), ("LOCKED_OUT", "REFUSED"), "while it is traced, everything is told");
        scene.server.stop().await;
    }
}
