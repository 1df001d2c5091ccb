//! The log is kept for a limited time, and who comes back too late is told so.
use std::time::Duration;

use dmwsi_domain::event::{Event, Recorded};
use dmwsi_domain::id::{DeviceId, EventId, OrganisationId};
use dmwsi_domain::{Clock, Timestamp};
use reqwest::Method;
use serde_json::json;

use crate::deliveries::quick;
use crate::harness::eventually;
use crate::harness::receiver::Receiver;
use crate::harness::server::Server;
use crate::harness::statements::{assert_indexed, open, plan, sent};
use crate::subscriptions::{path, subscribe, tell, wanted};

const SCOPES: &str = "events:read devices:read";

/// Events of one device, all of that moment.
async fn record(server: &Server, organisation: OrganisationId, count: usize, at: Timestamp) {
    let clock = &server.clock;
    let device = Some(DeviceId::new(clock.new_id()));
    let event = |revision| Recorded {
        id: EventId::new(clock.new_id()),
        organisation,
        client: None,
        job: None,
        ordinal: None,
        device,
        revision,
        correlator: None,
        at,
        event: Event::DeviceUpdated {},
    };
    let rows: Vec<_> = (1..).take(count).map(event).collect();
    server.store().write(move |tx| tx.record_all(&rows)).await.unwrap();
    eventually("they have numbers", async || server.store().read(|tx| tx.unnumbered_after(None)).await.unwrap().is_none()).await;
}

pub(crate) async fn sweep(server: &Server) {
    let (now, ids) = (server.clock.now(), server.clock.new_ids());
    server.store().write(move |tx| tx.ring_sweep(now, now, &mut ids.clone())).await.unwrap();
}

both! {
    /// ES4, UC-13: the old beginning of a log goes; numbers go on, readers of the rest notice nothing, and nobody skips what is gone unknowingly.
    async fn what_is_old_is_forgotten_and_who_wanted_it_is_told(database: Database) {
        let server = Server::on(&database).await;
        let (portal, quiet) = (server.portal("acme", SCOPES).await, server.portal("quiet", SCOPES).await);
        let now = server.clock.now();
        let day = Duration::from_secs(86_400);
        record(&server, portal.organisation, 1_200, now.minus(day * 31)).await;
        record(&server, quiet.organisation, 7, now.minus(day * 31)).await;
        record(&server, portal.organisation, 3, now.minus(day * 29)).await;
        let first = portal.get("/v1/events?perPage=5").await.of(200);
        let (old, latest) = (first["nextCursor"].as_str().unwrap(), portal.get("/v1/events?after=1202").await.of(200));
        sweep(&server).await;
        let count = || database.lines("SELECT id AS line FROM events").len();
        eventually("the old ones are gone", async || count() == 3).await;

        let page = portal.get("/v1/events?perPage=5").await.of(200);
        let numbers: Vec<_> = page["items"].as_array().unwrap().iter().map(|event| event["sequence"].as_str().unwrap()).collect();
        assert_eq!(numbers, ["00000000000000001201", "00000000000000001202", "00000000000000001203"]);
        for gone in [format!("cursor={old}"), "after=0".to_owned(), "after=1199".to_owned(), "after=3&mark=WARNING".to_owned()] {
            for path in ["/v1/events", "/v1/events/stream"] {
                portal.get(&format!("{path}?{gone}")).await.problem(410, "CURSOR_EXPIRED");
            }
        }
        let headers = [("last-event-id", "17")];
        portal.call(Method::GET, "/v1/events/stream", &headers, None).await.problem(410, "CURSOR_EXPIRED");
        assert_eq!(portal.get("/v1/events?after=1200").await.of(200)["items"], page["items"]);
        let since = now.minus(day * 40);
        assert_eq!(portal.get(&format!("/v1/events?since={since}")).await.of(200)["items"], page["items"]);
        record(&server, portal.organisation, 1, now).await;
        let next = portal.get(&format!("/v1/events?cursor={}", latest["nextCursor"].as_str().unwrap())).await.of(200);
        assert_eq!((next["items"].as_array().unwrap().len(), &next["items"][0]["sequence"]), (1, &json!("00000000000000001204")));

        // Of a log of which nothing is left one knows as well how far it went.
        let empty = quiet.get("/v1/events").await.of(200);
        assert_eq!(empty["items"], json!([]));
        quiet.get("/v1/events?after=2").await.problem(410, "CURSOR_EXPIRED");
        assert_eq!(quiet.get(&format!("/v1/events?since={since}")).await.of(200)["items"], json!([]));
        record(&server, quiet.organisation, 1, now).await;
        let next = quiet.get(&format!("/v1/events?cursor={}", empty["nextCursor"].as_str().unwrap())).await.of(200);
        assert_eq!(next["items"][0]["sequence"], "00000000000000000008");
        server.stop().await;
    }

    /// ES4: what is old is found and forgotten by indexes, with what became of it, however long the log is and however much was delivered of it.
    async fn what_is_old_is_found_without_a_scan(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let receiver = Receiver::taking().await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        tell(&server, &portal, device, [Event::DeviceUpdated {}, Event::DeviceUpdated {}]).await;
        receiver.heard("device-updated", 2).await;
        portal.call(Method::DELETE, &path(&made), &[("if-match", "*")], None).await;
        receiver.heard("subscription-ended", 1).await;
        let pending = || database.lines("SELECT state AS line FROM deliveries WHERE state = 'PENDING'");
        eventually("all is settled", async || pending().is_empty()).await;
        server.stop().await;

        let (store, organisation, now) = (open(&database), portal.organisation, Clock::System.now());
        let mut statements = sent(store.read(|tx| tx.oldest_event())).await;
        let gone = async {
            let forget = move |tx: &mut dmwsi_store::Tx<'_>| tx.forget_events(organisation, now, 500, now, &mut Clock::System.new_ids());
            let events = store.write(forget).await.unwrap();
            let sweep = move |tx: &mut dmwsi_store::Tx<'_>| tx.sweep_subscriptions(now, 500);
            let subscriptions = store.write(sweep).await.unwrap();
            assert!(events >= 4 && subscriptions == 1, "{events} events, {subscriptions} subscriptions");
        };
        statements.extend(sent(gone).await);
        let plain: Vec<_> = statements.iter().map(|statement| statement.replace(['`', '"'], "").replace("  ", " ")).collect();
        for (begins, goes_on) in [
            ("SELECT events", "ORDER BY events.id"),
            ("SELECT events.number", "ORDER BY events.number"),
            ("SELECT deliveries.number", "OFFSET"),
            ("SELECT DISTINCT deliveries", ""),
            ("DELETE FROM deliveries", ""),
            ("DELETE FROM events", ""),
            ("DELETE FROM subscriptions", ""),
        ] {
            let is_that = |statement: &String| statement.starts_with(begins) && statement.contains(goes_on);
            assert!(plain.iter().any(is_that), "{begins} {goes_on}: {plain:#?}");
        }
        for statement in statements {
            // The first row in the order of the primary key is one step into its index; and what is told apart is bounded by then.
            let plan = ["SCAN events USING INDEX sqlite_autoindex_events_1", "USE TEMP B-TREE FOR DISTINCT"]
                .into_iter()
                .fold(plan(&database, &statement), |plan, step| plan.replace(step, ""));
            assert_indexed(&statement, &plan);
        }
    }
}
