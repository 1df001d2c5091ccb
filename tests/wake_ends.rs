//! How wakes end, and what follows a session: nobody is woken for nothing, and nobody is forgotten.
use std::time::Duration;

use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_domain::wake::{Patience, WakeState};
use dmwsi_domain::{Clock, Timestamp};
use dmwsi_simulator::{Behaviour, Ear};
use dmwsi_store::wakes::Carriers;
use serde_json::json;

use crate::harness::handset::{Handset, SCOPES, execution, job, outcome, package, update};
use crate::harness::phone::{FINAL, PACKAGE_1, Phone, basic_cred, message};
use crate::harness::server::{Portal, Server};
use crate::harness::statements::{assert_indexed, open, plan, sent};
use crate::harness::{Database, eventually};

const MINUTE: Duration = Duration::from_secs(60);

const PATIENCE: Patience = Patience { first: MINUTE, longest: MINUTE, attempts: 3 };

/// A server whose clock a test moves.
struct Ground {
    server: Server,
    client: (dmwsi_domain::client::Client, dmwsi_api::ClientSecret),
}

impl Ground {
    async fn on(database: &Database) -> Self {
        let clock = Clock::manual(Clock::System.now());
        let server = Server::with(database, Keys::mint().unwrap(), clock, |config| {
            config.tasks.safety_poll_ms = 200;
            config.gateway.seen_flush_seconds = 1;
            config.gateway.details_days = 0;
        });
        let server = server.await;
        let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
        let client = add(server.store(), &server.clock, new).await.unwrap();
        Self { server, client }
    }

    /// The client with a token of now.
    async fn portal(&self) -> Portal {
        Portal::log_in(self.server.url(), &self.client.0, &self.client.1).await
    }

    async fn state(&self, id: &str) -> String {
        let wake = self.portal().await.get(&format!("/v1/devices/{id}/wake")).await.of(200);
        wake["state"].as_str().unwrap().to_owned()
    }
}

async fn listening() -> (Ear, serde_json::Value) {
    let ear = Ear::open([127, 0, 0, 1].into(), 0).await.unwrap();
    let push = json!({"type": "UDP", "host": "127.0.0.1", "port": ear.address().port()});
    (ear, push)
}

/// The next datagram.
async fn heard(ear: &Ear) -> Vec<u8> {
    tokio::time::timeout(Duration::from_secs(20), ear.listen()).await.expect("a datagram").unwrap()
}

/// Whether nothing comes for a while.
async fn is_silent(ear: &Ear) -> bool {
    tokio::time::timeout(Duration::from_millis(800), ear.listen()).await.is_err()
}

/// When the rest of the only execution ends.
fn rest(database: &Database) -> Option<Timestamp> {
    let found = database.lines("SELECT CAST(rests_until AS TEXT) AS line FROM executions WHERE rests_until IS NOT NULL");
    found.first().map(|at| Timestamp::from_micros(at.parse().unwrap()))
}

async fn are_given_up(database: &Database) {
    eventually("sessions are given up", async || database.lines("SELECT device_id AS line FROM sessions").is_empty()).await;
}

both! {
    /// CC3, UC-7: a device that has had its turn is called again only when its report is an hour late.
    async fn a_device_that_updates_is_not_woken_until_its_report_is_late(database: Database) {
        let ground = Ground::on(&database).await;
        let (server, portal) = (&ground.server, ground.portal().await);
        let (ear, push) = listening().await;
        let mut handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        let job = job(&portal, &handset.id, &update(&package("2.0.0").await, "2.0.0")).await;
        let session = handset.device.hear(&heard(&ear).await).unwrap();
        handset.device.answer_call(session).await.unwrap();
        assert_eq!(execution(&portal, &job, &handset.id).await["phase"], "DOWNLOADING");
        eventually("its call is noted", async || ground.state(&handset.id).await == "ANSWERED").await;
        while !is_silent(&ear).await {}
        for minutes in [11, 48] {
            server.clock.advance(MINUTE * minutes);
            are_given_up(&database).await;
            assert!(is_silent(&ear).await, "after {minutes} minutes");
            assert_eq!(ground.state(&handset.id).await, "ANSWERED", "after {minutes} minutes");
        }
        server.clock.advance(MINUTE * 2);
        let session = handset.device.hear(&heard(&ear).await).unwrap();
        handset.device.answer_call(session).await.unwrap();
        eventually("its call is noted", async || ground.state(&handset.id).await == "ANSWERED").await;
        while !is_silent(&ear).await {}
        assert_eq!(rest(&database), Some(server.clock.now().plus(MINUTE * 60)), "it was asked just now");
        handset.live().await;
        assert_eq!(outcome(&ground.portal().await, &job, &handset.id).await, ("SUCCEEDED".to_owned(), "UPDATED".to_owned()));
        server.clock.advance(MINUTE * 61);
        are_given_up(&database).await;
        assert!(is_silent(&ear).await && rest(&database).is_none());
        ground.server.stop().await;
    }

    /// AD-12: whoever falls silent in a session is called when it is given up; whoever breaks it off, an hour later.
    async fn a_session_that_is_cut_is_asked_anew_soon_and_one_that_was_aborted_later(database: Database) {
        const DEVICE: &str = "IMEI:490154203237518";
        let ground = Ground::on(&database).await;
        let (server, portal) = (&ground.server, ground.portal().await);
        let (ear, push) = listening().await;
        let account = json!({"serverId": "dmwsi", "client": {"auth": "BASIC", "name": "me", "secret": "mine"}});
        let new = json!({"dmIdentity": DEVICE, "account": account, "pushAddress": push});
        let id = portal.post("/v1/devices", &new).await.of(201)["deviceId"].as_str().unwrap().to_owned();
        job(&portal, &id, &json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]})).await;
        heard(&ear).await;
        let phone = Phone::of(server.url());
        let first = |session| message(DEVICE, session, 1, &basic_cred("me", "mine"), &format!("{PACKAGE_1}{FINAL}"));
        for (session, aborts) in [("1", false), ("2", true)] {
            assert!(phone.say(first(session)).await.contains("<Get>"));
            if aborts {
                let abort = format!("<Alert><CmdID>1</CmdID><Data>1223</Data></Alert>{FINAL}");
                phone.say(message(DEVICE, session, 2, "", &abort)).await;
            }
            eventually("its call is noted", async || ground.state(&id).await == "CALLED").await;
            while !is_silent(&ear).await {}
            server.clock.advance(MINUTE * 11);
            are_given_up(&database).await;
            if aborts {
                assert!(is_silent(&ear).await && rest(&database).is_some());
                assert_eq!(ground.state(&id).await, "CALLED");
                server.clock.advance(MINUTE * 61);
            }
            heard(&ear).await;
        }
        ground.server.stop().await;
    }

    /// CC3: what was wanted after a call looked for work is not lost with the wake that the call ends.
    async fn a_call_ends_no_wake_that_was_opened_since_it_looked(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| config.push.retry_first_ms = 3_600_000).await;
        let portal = server.portal("acme", SCOPES).await;
        let (_ear, push) = listening().await;
        let handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        let name = handset.device.account().client_name.clone();
        let identity = database.lines("SELECT dm_identity AS line FROM devices").remove(0);
        let store = open(&database);
        let contact = async || {
            let identity = identity.clone();
            store.read(move |tx| tx.contact(&identity)).await.unwrap().unwrap()
        };
        let device = contact().await.device;
        assert_eq!(contact().await.wake, None, "{name}");
        let now = Clock::System.now();
        let wake = async |is_asked: bool, end: Option<Timestamp>| {
            store.write(move |tx| tx.open_wakes(&[device], is_asked, end, now, &mut Clock::System.new_ids())).await.unwrap()
        };
        wake(true, Some(now.plus(MINUTE * 60))).await;
        let seen = contact().await.wake.unwrap();
        // In the same moment, and perhaps by a clock that is behind.
        wake(true, Some(now.plus(MINUTE * 60))).await;
        let state = async || store.read(move |tx| tx.wake(device)).await.unwrap().unwrap();
        let session = state().await.session;
        let late = now.plus(MINUTE);
        store.write(move |tx| tx.end_wakes_called(&[(device, seen, late)])).await.unwrap();
        assert!(!store.write(move |tx| tx.end_wake_answered(device, [Some(session), None], seen, late)).await.unwrap());
        assert_eq!(state().await.state, WakeState::Waking);
        let seen = contact().await.wake.unwrap();
        store.write(move |tx| tx.end_wakes_called(&[(device, seen, now)])).await.unwrap();
        assert_eq!((state().await.state, contact().await.wake), (WakeState::Called, None));

        let identity = identity.clone();
        let statements = sent(store.glance(move |tx| tx.contact(&identity))).await;
        assert_eq!(statements.len(), 1, "{statements:?}");
        assert_indexed(&statements[0], &plan(&database, &statements[0]));
        server.stop().await;
    }

    /// CC3: a client that wanted to hear of a device is told when it does not, whatever else wanted it meanwhile.
    async fn an_asked_for_wake_keeps_its_end_when_work_joins_it(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| config.push.retry_first_ms = 3_600_000).await;
        let portal = server.portal("acme", SCOPES).await;
        let (_ear, push) = listening().await;
        let handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
        let asked = portal.post(&format!("/v1/devices/{}/wake", handset.id), &serde_json::Value::Null).await.of(202);
        let job = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
        eventually("the job is spread", async || !database.lines("SELECT device_id AS line FROM executions").is_empty()).await;
        let joined = portal.get(&format!("/v1/devices/{}/wake", handset.id)).await.of(200);
        assert_eq!((&joined["state"], &joined["expiresAt"]), (&json!("WAKING"), &asked["expiresAt"]));
        let store = server.store();
        let late = Clock::System.now().plus(MINUTE * 60 * 25);
        let look = async || {
            let ids = Clock::System.new_ids();
            store.write(move |tx| tx.take_wakes(&Carriers::ALL, 10, &PATIENCE, late, &mut ids.clone())).await.unwrap()
        };
        assert_eq!(look().await.woken.len(), 1, "there is something to do");
        portal.post(&format!("{job}/cancel"), &serde_json::Value::Null).await.of(202);
        eventually("it is over", async || portal.get(&job).await.of(200)["outcome"].is_string()).await;
        database.execute("UPDATE wakes SET next_at = 1 WHERE next_at IS NOT NULL");
        assert!(look().await.woken.is_empty());
        assert_eq!(portal.get(&format!("/v1/devices/{}/wake", handset.id)).await.of(200)["state"], "EXPIRED");
        server.stop().await;
    }

    /// AD-12: what cannot be read of one device is that device's trouble.
    async fn a_damaged_row_keeps_nobody_else_asleep(database: Database) {
        let ground = Ground::on(&database).await;
        let portal = ground.portal().await;
        let mut ids = Vec::new();
        let (ear, push) = listening().await;
        for _ in 0..3 {
            ids.push(Handset::register_at(&portal, ground.server.url(), Behaviour::default(), &push).await.id);
        }
        for id in &ids {
            portal.post(&format!("/v1/devices/{id}/wake"), &serde_json::Value::Null).await.of(202);
        }
        let rows = || database.lines("SELECT state || ' ' || COALESCE(trouble, '-') || ' ' || attempts AS line FROM wakes ORDER BY device_id");
        eventually("all are woken", async || rows() == ["WAKING - 1"; 3]).await;
        // SQLite has one writer, and this connection does not wait for its turn.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let damage = "UPDATE devices SET push_address = '{\"type\":\"UDP\",\"host\":7}' WHERE id = (SELECT min(id) FROM devices)";
        database.execute(damage);
        ground.server.clock.advance(MINUTE);
        eventually("the others are woken again", async || rows() == ["FAILED DEVICE_DAMAGED 1", "WAKING - 2", "WAKING - 2"]).await;
        heard(&ear).await;
        ground.server.stop().await;
    }
}
