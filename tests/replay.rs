//! Replay from a time on and up to another, where times do not grow with the numbers of the log.
use std::sync::LazyLock;
use std::time::Duration;

use dmwsi_domain::event::Recorded;
use dmwsi_domain::id::{EventId, OrganisationId};
use dmwsi_domain::{Clock, Timestamp};
use serde_json::json;

use crate::deliveries::quick;
use crate::harness::eventually;
use crate::harness::receiver::Receiver;
use crate::harness::server::Server;
use crate::harness::statements::{assert_indexed, open, plan, sent};
use crate::subscriptions::{SCOPES, alert, path, subscribe, wanted};

/// So many milliseconds after a moment of yesterday.
fn at(millis: u64) -> Timestamp {
    static YESTERDAY: LazyLock<Timestamp> = LazyLock::new(|| Clock::System.now().minus(Duration::from_secs(86_400)));
    YESTERDAY.plus(Duration::from_millis(millis))
}

/// Writes alerts whose types say when they happened, in that order, and waits until they have numbers.
async fn tell_at(server: &Server, organisation: OrganisationId, times: &[u64]) {
    let told = |millis: &u64| Recorded {
        id: EventId::new(Clock::System.new_id()),
        organisation,
        client: None,
        job: None,
        ordinal: None,
        device: None,
        revision: 1,
        correlator: None,
        at: at(*millis),
        event: alert(&millis.to_string(), "fatal", ""),
    };
    let told: Vec<_> = times.iter().map(told).collect();
    server.store().write(move |tx| tx.record_all(&told)).await.unwrap();
    eventually("all have numbers", async || server.store().read(|tx| tx.unnumbered_after(None)).await.unwrap().is_none()).await;
}

both! {
    /// UC-13, OES4: who reads from a moment on has all that happened since, and who asks for what happened before another all of that, although events of
    /// other processes stand between them.
    async fn nothing_that_happened_since_a_time_is_left_out(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let organisation = portal.organisation;
        // The numbers are 1 to 11.
        let times = [0, 70_000, 140_000, 200_050, 200_060, 200_010, 200_100, 170_000, 200_070, 270_000, 340_000];
        tell_at(&server, organisation, &times).await;
        for (since, first) in [(200_050, 4), (200_055, 5), (200_100, 7), (200_101, 10), (140_000, 3), (0, 1), (340_001, 12)] {
            let before = server.store().read(move |tx| tx.number_before(organisation, at(since))).await.unwrap();
            assert_eq!(before + 1, first, "since {since}");
            let page = portal.get(&format!("/v1/events?since={}", at(since))).await.of(200);
            let told: Vec<u64> = page["items"].as_array().unwrap().iter().map(|event| event["data"]["alertType"].as_str().unwrap().parse().unwrap()).collect();
            let all: Vec<u64> = times[usize::try_from(first).unwrap() - 1..].to_vec();
            assert_eq!(told, all, "since {since}");
        }
        for (until, last) in [(200_010, 8), (200_050, 8), (200_071, 9), (200_000, 8), (170_000, 3), (140_000, 2), (1, 1), (0, 0), (340_001, 11)] {
            let found = server.store().read(move |tx| tx.number_until(organisation, at(until))).await.unwrap();
            assert_eq!(found, last, "until {until}");
        }
        let nobody = server.portal("nobody", SCOPES).await.organisation;
        let ends = move |tx: &mut dmwsi_store::Tx<'_>| Ok((tx.number_before(nobody, at(0))?, tx.number_until(nobody, at(0))?));
        assert_eq!(server.store().read(ends).await.unwrap(), (0, 0));
        server.stop().await;
    }

    /// UC-13, OES4: the same of what is delivered again.
    async fn what_is_recovered_is_all_that_happened_between_two_times(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        tell_at(&server, portal.organisation, &[0, 70_000, 140_050, 140_060, 140_010, 140_100, 110_000, 140_070, 240_000]).await;
        let receiver = Receiver::taking().await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-alert"])).await;
        receiver.heard("subscription-started", 1).await;
        let part = json!({"since": at(140_050).to_string(), "until": at(140_071).to_string(), "onlyFailed": false});
        assert_eq!(portal.post(&format!("{}/recover", path(&made)), &part).await.status.as_u16(), 202);
        let came = receiver.heard("device-alert", 6).await;
        let mut kinds: Vec<_> = came.iter().map(|came| came.event()["data"]["alertType"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        assert_eq!(kinds, ["110000", "140010", "140050", "140060", "140070", "140100"]);
        server.stop().await;
    }

    /// However long the log is, a time is found in it without a scan.
    async fn a_time_is_found_by_index(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        tell_at(&server, portal.organisation, &[0, 1, 2]).await;
        server.stop().await;
        let (store, organisation) = (open(&database), portal.organisation);
        for statement in [
            sent(store.read(move |tx| tx.number_before(organisation, at(2)))).await,
            sent(store.read(move |tx| tx.number_until(organisation, at(2)))).await,
        ]
        .concat()
        {
            assert_indexed(&statement, &plan(&database, &statement));
        }
    }
}
