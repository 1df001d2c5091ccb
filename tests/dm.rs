//! The flow of packages over HTTP: repetition, several messages, several sessions, breaking off, damage.
use std::time::Duration;

use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_simulator::Behaviour;
use dmwsi_store::sweep::Ages;
use serde_json::{Value, json};

use crate::harness::handset::{Handset, SCOPES, ended, execution, job};
use crate::harness::phone::{FINAL, PACKAGE_1, Phone, WBXML, XML, basic_cred, between, message, results, status};
use crate::harness::server::{Portal, Server};
use crate::harness::{Database, eventually};

const DEVICE: &str = "IMEI:490154203237518";

/// A server with one device that shows a password, and a job that reads a node of it.
struct Scene {
    server: Server,
    keys: Keys,
    portal: Portal,
    device: String,
    job: String,
}

impl Scene {
    async fn set(database: &Database, change: impl FnOnce(&mut Config)) -> Self {
        let keys = Keys::mint().unwrap();
        let server = Server::with(database, keys.clone(), Clock::System, |config| {
            config.gateway.details_days = 0;
            change(config);
        })
        .await;
        let portal = server.portal("acme", SCOPES).await;
        let client = json!({"auth": "BASIC", "name": "me", "secret": "mine"});
        let new = json!({"dmIdentity": DEVICE, "account": {"serverId": "dmwsi", "client": client}});
        let device = portal.post("/v1/devices", &new).await.of(201)["deviceId"].as_str().unwrap().to_owned();
        let job = job(&portal, &device, &json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]})).await;
        Self { server, keys, portal, device, job }
    }

    fn phone(&self) -> Phone {
        Phone::of(self.server.url())
    }

    async fn state(&self) -> Value {
        execution(&self.portal, &self.job, &self.device).await["state"].clone()
    }
}

fn cred() -> String {
    basic_cred("me", "mine")
}

/// A package 1 in one message.
fn first(session: &str) -> String {
    message(DEVICE, session, 1, &cred(), &format!("{PACKAGE_1}{FINAL}"))
}

/// The answer to the one Get of a session.
fn answers(session: &str, value: &str) -> String {
    let told =
        [status(1, 1, 0, "SyncHdr", 200), status(2, 1, 4, "Get", 200), results(3, 1, 4, "./Vendor/A", value), FINAL.to_owned()];
    message(DEVICE, session, 2, "", &told.concat())
}

const GET: &str = "<Get><CmdID>4</CmdID><Item><Target><LocURI>./Vendor/A</LocURI></Target></Item></Get>";

fn alert(id: u32, kind: &str, correlator: &str, source: &str, data: &str) -> String {
    format!(
        "<Alert><CmdID>{id}</CmdID><Data>1226</Data>{correlator}<Item><Source><LocURI>{source}</LocURI></Source><Meta>\
        <Format xmlns=\"syncml:metinf\">chr</Format><Type xmlns=\"syncml:metinf\">{kind}</Type><Mark xmlns=\"syncml:metinf\">warning</Mark></Meta>\
        <Data>{data}</Data></Item></Alert>"
    )
}

/// 6,000 blanks, packed by gzip.
const PACKED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\x31\x01\x00\x00\x00\xc2\xa0\x2a\xeb\x9f\xd2\x10\xbe\x40\x01\x00\x00\x00\x00\x00\xaf\x01\xb0\xc8\xbb\xfd\x70\x17\x00\x00";

both! {
    /// AD-12, S-TR-05: the same bytes to the same message: from memory, and from the row of a session with work even after a restart.
    async fn a_repeated_message_gets_the_identical_bytes(database: Database) {
        let scene = Scene::set(&database, |_| {}).await;
        let offered = scene.phone().say(first("1")).await;
        assert!(offered.contains(GET), "{offered}");
        assert_eq!(scene.phone().say(first("1")).await, offered);
        let Scene { server, keys, portal: _, device, job } = scene;
        server.stop().await;
        let server = Server::with(&database, keys, Clock::System, |config| config.gateway.details_days = 0).await;
        let phone = Phone::of(server.url());
        assert_eq!(phone.say(first("1")).await, offered, "another process has the row");
        let last = phone.say(answers("1", "x")).await;
        assert_eq!(phone.say(answers("1", "x")).await, last, "the end is said again, too");
        let again = phone.say(first("2")).await;
        assert!(!again.contains("<Get>") && phone.say(first("2")).await == again, "{again}");
        let evidence = database.lines("SELECT state AS line FROM executions");
        assert_eq!(evidence, ["SUCCEEDED"], "{device} {job}");
        server.stop().await;
    }

    /// AD-12: some clients begin every session in the same words.
    async fn a_session_that_begins_in_the_same_words_gets_the_work_that_came_meanwhile(database: Database) {
        let scene = Scene::set(&database, |_| {}).await;
        assert!(scene.phone().say(first("1")).await.contains(GET));
        scene.phone().say(answers("1", "x")).await;
        let idle = scene.phone().say(first("1")).await;
        assert!(!idle.contains("<Get>") && scene.phone().say(first("1")).await == idle, "{idle}");
        let job = job(&scene.portal, &scene.device, &json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]})).await;
        assert!(scene.phone().say(first("1")).await.contains(GET));
        scene.phone().say(answers("1", "y")).await;
        assert_eq!(ended(&scene.portal, &job).await["outcome"], "SUCCEEDED");
        scene.server.stop().await;
    }

    /// AD-12, S-TR-05: the same message many times at once is carried out once, and heard by all.
    async fn a_message_repeated_at_the_same_time_is_answered_alike(database: Database) {
        let scene = Scene::set(&database, |_| {}).await;
        for body in [first("1"), answers("1", "x"), first("2")] {
            let all = futures_util::future::join_all((0..8).map(|_| {
                let (phone, body) = (scene.phone(), body.clone());
                async move { phone.say(body).await }
            })).await;
            assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
        }
        let told = scene.portal.get(&format!("{}/executions/{}/results", scene.job, scene.device)).await.of(200);
        assert_eq!(told["results"].as_array().unwrap().len(), 1);
        let events = database.lines("SELECT type AS line FROM events WHERE type = 'dmwsi.v1.execution-finished'");
        assert_eq!(events.len(), 1);
        scene.server.stop().await;
    }

    /// OES10: a job cancelled, and a device deleted, between two messages of a session.
    async fn a_session_outlives_what_it_was_about(database: Database) {
        let scene = Scene::set(&database, |_| {}).await;
        let phone = scene.phone();
        assert!(phone.say(first("1")).await.contains(GET));
        scene.portal.post(&format!("{}/cancel", scene.job), &json!({})).await.of(202);
        ended(&scene.portal, &scene.job).await;
        let heard = phone.say(answers("1", "x")).await;
        assert!(heard.contains("<Data>212</Data>") && !heard.contains("<Get>"), "{heard}");
        assert_eq!(scene.state().await, "CANCELLED");

        job(&scene.portal, &scene.device, &json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]})).await;
        assert!(phone.say(first("2")).await.contains(GET));
        let path = format!("/v1/devices/{}", scene.device);
        let tag = scene.portal.get(&path).await.header("etag").to_owned();
        let gone = scene.portal.call(reqwest::Method::DELETE, &path, &[("if-match", &tag)], None).await;
        assert_eq!(gone.status.as_u16(), 204, "{}", gone.text);
        let heard = phone.say(answers("2", "x")).await;
        assert!(heard.contains("<Data>407</Data>") && !heard.contains("<Get>"), "nobody knows it any more: {heard}");
        scene.server.stop().await;
    }

    /// AD-12, S-PK-06: a new package 1 ends the session before, whose late answers count for nothing.
    async fn of_two_sessions_of_a_device_the_younger_has_the_work(database: Database) {
        let scene = Scene::set(&database, |_| {}).await;
        let phone = scene.phone();
        assert!(phone.say(first("1")).await.contains(GET));
        assert!(phone.say(first("2")).await.contains(GET));
        let late = phone.say(message(DEVICE, "1", 2, &cred(), &[status(1, 1, 4, "Get", 200), results(2, 1, 4, "./Vendor/A", "old"), FINAL.to_owned()].concat())).await;
        assert!(!late.contains("<Get>"), "{late}");
        assert_eq!(scene.state().await, "RUNNING");
        phone.say(answers("2", "new")).await;
        ended(&scene.portal, &scene.job).await;
        let told = scene.portal.get(&format!("{}/executions/{}/results", scene.job, scene.device)).await.of(200);
        assert_eq!(told["results"].as_array().unwrap().len(), 1);
        assert_eq!(told["results"][0]["value"]["data"], "new");
        scene.server.stop().await;
    }

    /// AD-6: who cannot prove to be the device does not take its session away.
    async fn a_stranger_does_not_end_the_session_of_a_device(database: Database) {
        let scene = Scene::set(&database, |_| {}).await;
        let phone = scene.phone();
        assert!(phone.say(first("1")).await.contains(GET));
        for (session, cred) in [("2", String::new()), ("3", basic_cred("me", "guess"))] {
            let heard = phone.say(message(DEVICE, session, 1, &cred, &format!("{PACKAGE_1}{FINAL}"))).await;
            assert!(heard.contains("<Chal>") && !heard.contains("<Get>"), "{heard}");
        }
        assert_eq!(scene.state().await, "RUNNING");
        phone.say(answers("1", "x")).await;
        assert_eq!(scene.state().await, "SUCCEEDED");
        scene.server.stop().await;
    }

    /// AD-12, S-MS-04: a package may come in pieces; each is answered by 1222 until the last.
    async fn a_package_in_several_messages_is_asked_for_to_its_end(database: Database) {
        let scene = Scene::set(&database, |_| {}).await;
        let phone = scene.phone();
        let heard = phone.say(message(DEVICE, "1", 1, &cred(), PACKAGE_1)).await;
        assert!(heard.contains("<Data>1222</Data>") && !heard.contains("<Get>"), "{heard}");
        let asked = format!("{}{}", status(1, 1, 0, "SyncHdr", 200), status(2, 1, 4, "Alert", 200));
        let more = format!("{asked}<Replace><CmdID>3</CmdID><Item><Source><LocURI>./DevInfo/Lang</LocURI></Source><Data>en</Data></Item></Replace>");
        let heard = phone.say(message(DEVICE, "1", 2, "", &more)).await;
        assert!(heard.contains("<Data>1222</Data>") && !heard.contains("<Get>"), "{heard}");
        let heard = phone.say(message(DEVICE, "1", 3, "", &format!("{}{FINAL}", status(1, 2, 0, "SyncHdr", 200)))).await;
        assert!(heard.contains("<LocURI>./Vendor/A</LocURI>") && !heard.contains("1222"), "{heard}");
        let facts = scene.portal.get(&format!("/v1/devices/{}", scene.device)).await.of(200)["facts"].clone();
        assert_eq!((facts["manufacturer"].as_str(), facts["language"].as_str()), (Some("Acme"), Some("en")));
        scene.server.stop().await;
    }

    /// AD-12, S-PK-03: the device breaks off by 1223; what was asked is asked again when it calls again.
    async fn a_device_that_breaks_off_is_asked_again_in_its_next_session(database: Database) {
        let scene = Scene::set(&database, |_| {}).await;
        let phone = scene.phone();
        assert!(phone.say(first("1")).await.contains(GET));
        let abort = format!("{}<Alert><CmdID>2</CmdID><Data>1223</Data></Alert>{FINAL}", status(1, 1, 0, "SyncHdr", 200));
        let heard = phone.say(message(DEVICE, "1", 2, "", &abort)).await;
        assert!(!heard.contains("<Get>"), "{heard}");
        assert_eq!(scene.state().await, "WAITING");
        assert!(phone.say(first("2")).await.contains(GET));
        phone.say(answers("2", "x")).await;
        assert_eq!(scene.state().await, "SUCCEEDED");
        scene.server.stop().await;
    }

    /// UC-3, OES8: a list that is broken off says nothing of what it had not come to.
    async fn a_list_that_is_broken_off_makes_nothing_forgotten(database: Database) {
        let scene = Scene::set(&database, |_| {}).await;
        let phone = scene.phone();
        phone.say(first("1")).await;
        phone.say(answers("1", "x")).await;
        job(&scene.portal, &scene.device, &json!({"type": "TREE_READ", "root": "./Vendor"})).await;
        let asked = phone.say(first("2")).await;
        assert!(asked.contains("?list=TNDS"), "{asked}");
        let id = |asked: &str| between(asked, "<Get><CmdID>", "</CmdID>").parse().unwrap();
        let refused = [status(1, 1, 0, "SyncHdr", 200), status(2, 1, id(&asked), "Get", 406), FINAL.to_owned()];
        let asked = phone.say(message(DEVICE, "2", 2, "", &refused.concat())).await;
        assert!(asked.contains("?list=StructData"), "{asked}");
        let part = format!(
            "<Results><CmdID>3</CmdID><MsgRef>2</MsgRef><CmdRef>{}</CmdRef><Item><Source><LocURI>./Vendor</LocURI></Source>\
            <Meta><Format xmlns=\"syncml:metinf\">node</Format></Meta></Item><Item><Source><LocURI>./Vendor/B</LocURI></Source><Data>b</Data></Item></Results>\
            <Alert><CmdID>4</CmdID><Data>1223</Data></Alert>",
            id(&asked)
        );
        let told = [status(1, 2, 0, "SyncHdr", 200), status(2, 2, id(&asked), "Get", 200), part, FINAL.to_owned()];
        phone.say(message(DEVICE, "2", 3, "", &told.concat())).await;
        let tree = scene.portal.get(&format!("/v1/devices/{}/tree?under=./Vendor", scene.device)).await.of(200);
        let known: Vec<_> = tree["items"].as_array().unwrap().iter().map(|one| one["node"].as_str().unwrap()).collect();
        assert!(known.contains(&"./Vendor/A") && known.contains(&"./Vendor/B"), "{known:?}");
        scene.server.stop().await;
    }

    /// AD-12, S-PK-05: what a device tells of its own accord is noted, with and without a correlator, known or not.
    async fn an_alert_that_nobody_waits_for_becomes_an_event(database: Database) {
        let scene = Scene::set(&database, |_| {}).await;
        let phone = scene.phone();
        let told = [
            PACKAGE_1.to_owned(),
            alert(3, "com.example.tamper", "", "./Vendor/Case", "open"),
            alert(4, "org.openmobilealliance.dm.firmwareupdate.update", "<Correlator>op-42</Correlator>", "./FUMO/Update", "200"),
            FINAL.to_owned(),
        ];
        let heard = phone.say(message(DEVICE, "1", 1, &cred(), &told.concat())).await;
        assert_eq!(heard.matches("<Cmd>Alert</Cmd><Data>200</Data>").count(), 3, "{heard}");
        let told: Vec<Value> = database
            .lines("SELECT data AS line FROM events WHERE type = 'dmwsi.v1.device-alert' ORDER BY id")
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let text = |of: usize, field: &str| told[of][field].as_str().map(str::to_owned);
        assert_eq!((text(0, "alertType").as_deref(), text(0, "data").as_deref(), text(0, "correlator")), (Some("com.example.tamper"), Some("open"), None), "{told:?}");
        assert_eq!((text(1, "correlator").as_deref(), text(1, "mark").as_deref()), (Some("op-42"), Some("WARNING")));
        let refused = phone.say(message(DEVICE, "2", 1, "", &[PACKAGE_1, &alert(3, "com.example.tamper", "", "./X", "2"), FINAL].concat())).await;
        assert!(refused.contains("407"), "{refused}");
        assert_eq!(database.lines("SELECT id AS line FROM events WHERE type = 'dmwsi.v1.device-alert'").len(), 2, "unproven words are no events");
        scene.server.stop().await;
    }

    /// AD-12, S-TR-04: too large is 413, garbage is 400, and nothing of either is remembered.
    async fn a_body_that_is_too_large_is_refused_unread(database: Database) {
        let scene = Scene::set(&database, |config| config.gateway.max_message_bytes = 5_000).await;
        let phone = scene.phone();
        assert_eq!(phone.post(XML, vec![b' '; 5_001]).await.status, 413);
        assert_eq!(phone.post(XML, vec![b' '; 5_000]).await.status, 400);
        // What counts is how large it is unpacked.
        let packed = reqwest::Client::new().post(format!("{}/dm", scene.server.url())).header("content-type", XML).header("content-encoding", "gzip");
        assert_eq!(packed.body(PACKED.to_vec()).send().await.unwrap().status(), 413);
        for garbage in [&b""[..], b"{}", b"\x03\x01\x6A\x00", b"<SyncML/>", b"\xFF\xFE\x00", b"<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"b\">]><SyncML>&a;</SyncML>"] {
            for kind in [XML, WBXML, "text/plain"] {
                assert_eq!(phone.post(kind, garbage).await.status, 400, "{kind} {}", garbage.escape_ascii());
            }
        }
        assert!(phone.say(first("1")).await.contains(GET));
        scene.server.stop().await;
    }

    /// AD-12, S-TR-04: cut anywhere, a message is refused, and the server goes on.
    async fn a_message_cut_at_any_byte_is_refused(database: Database) {
        let scene = Scene::set(&database, |_| {}).await;
        let phone = scene.phone();
        let xml = first("1").into_bytes();
        let wbxml = Encoding::Wbxml.encode(&Encoding::Xml.decode(&xml).unwrap());
        for (kind, whole) in [(XML, xml), (WBXML, wbxml)] {
            for end in 0..whole.len() {
                let heard = phone.post(kind, &whole[..end]).await;
                assert_eq!(heard.status, 400, "{kind} cut at {end} of {}: {}", whole.len(), heard.body.escape_ascii());
            }
        }
        assert!(phone.say(first("1")).await.contains(GET));
        scene.server.stop().await;
    }

    /// AD-12, OES10: a session in which nothing more is heard is given up at its time; what was asked is free for the next.
    async fn a_session_that_falls_silent_is_given_up(database: Database) {
        let scene = Scene::set(&database, |config| config.gateway.session_idle_seconds = 1).await;
        let phone = scene.phone();
        assert!(phone.say(first("1")).await.contains(GET));
        let sessions = || database.lines("SELECT session AS line FROM sessions");
        assert_eq!(sessions(), ["1"]);
        assert_eq!(scene.state().await, "RUNNING");
        let (idle, now) = (Duration::from_secs(1), scene.server.clock.now());
        let due = scene.server.store().read(move |tx| tx.outlook(Ages { session_idle: idle, imports_kept: idle, events_kept: idle, sessions_kept: idle }, now)).await.unwrap();
        assert!(due.next.is_some_and(|due| due <= now.plus(idle)), "the sweep knows when to look");
        eventually("it is given up", async || sessions().is_empty()).await;
        assert_eq!(scene.state().await, "WAITING");
        let late = phone.say(message(DEVICE, "1", 2, &cred(), &[status(1, 1, 4, "Get", 200), results(2, 1, 4, "./Vendor/A", "old"), FINAL.to_owned()].concat())).await;
        assert!(late.contains("<LocURI>./Vendor/A</LocURI>"), "whose word came too late is asked once more: {late}");
        eventually("it is given up", async || sessions().is_empty()).await;
        assert!(phone.say(first("3")).await.contains(GET));
        phone.say(answers("3", "x")).await;
        assert_eq!(scene.state().await, "SUCCEEDED");
        eventually("the ended one goes, too", async || sessions().is_empty()).await;
        scene.server.stop().await;
    }

    /// AD-12, S-PK-02: a device without work costs one read a message and writes nothing.
    async fn an_idle_check_in_reads_once_and_writes_nothing(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| {
            config.gateway.details_days = 0;
            config.gateway.seen_flush_seconds = 3_600;
        })
        .await;
        let portal = server.portal("acme", SCOPES).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let identity = handset.device.profile().device.clone();
        for _ in 0..2 {
            handset.device.check_in().await.unwrap();
        }
        // Nothing else may run meanwhile, so the quietest of some tries counts.
        let (mut read, mut called) = (u64::MAX, u64::MAX);
        let revision = || database.lines("SELECT CAST(revision AS TEXT) || ' ' || nonce_epoch AS line FROM devices");
        let before = revision();
        for _ in 0..10 {
            let at = server.store().statements();
            let name = identity.clone();
            assert!(server.store().glance(move |tx| tx.contact(&name)).await.unwrap().is_some());
            let then = server.store().statements();
            let report = handset.device.check_in().await.unwrap();
            assert!(report.authenticated && report.server_authenticated && report.messages == 1, "{report:?}");
            called = called.min(server.store().statements() - then);
            read = read.min(then - at);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        assert_eq!(called, read, "statements of a check-in, and of a read of one contact");
        assert_eq!(revision(), before);
        assert_eq!(database.lines("SELECT session AS line FROM sessions").len(), 0);
        server.stop().await;
    }
}
