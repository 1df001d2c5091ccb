//! How the log is read by those who want little of it, and by those who read for long.
use std::time::Duration;

use dmwsi_domain::event::{Event, Recorded};
use dmwsi_domain::id::{ClientId, DeviceId, EventId, OrganisationId};
use dmwsi_domain::{Clock, Timestamp};
use dmwsi_simulator::Behaviour;
use dmwsi_store::log::Wanted;
use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::json;

use crate::harness::eventually;
use crate::harness::handset::{Handset, ended, job};
use crate::harness::server::{Portal, Server};
use crate::harness::statements::{assert_indexed, open, plan, sent};

const SCOPES: &str = "events:read jobs:read jobs:write devices:read devices:write";

/// So many changes of a device that nobody knows, all at that time, and waits until they have numbers.
async fn changes(server: &Server, organisation: OrganisationId, count: u64, at: Timestamp) {
    let device = DeviceId::new(Clock::System.new_id());
    let make = |revision| Recorded {
        id: EventId::new(Clock::System.new_id()),
        organisation,
        client: None,
        job: None,
        ordinal: None,
        device: Some(device),
        revision,
        correlator: None,
        at,
        event: Event::DeviceUpdated {},
    };
    let recorded: Vec<_> = (1..=count).map(make).collect();
    server.store().write(move |tx| tx.record_all(&recorded)).await.unwrap();
    numbered(server).await;
}

async fn numbered(server: &Server) {
    eventually("all events have numbers", async || server.store().read(|tx| tx.unnumbered_after(None)).await.unwrap().is_none())
        .await;
}

async fn stream(server: &Server, portal: &Portal, path: &str) -> reqwest::Response {
    let request = reqwest::Client::new().request(Method::GET, format!("{}{path}", server.url()));
    let answer = request.header("authorization", portal.bearer()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer
}

both! {
    /// AD-10: who reads alerts only, of which there are none for longer than events are kept, has missed nothing.
    async fn a_reader_of_alerts_goes_on_although_none_came_for_long(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        changes(&server, portal.organisation, 700, Clock::System.now()).await;
        for filter in ["alertType=com.example.*&types=dmwsi.v1.device-alert", "mark=WARNING&types=dmwsi.v1.device-fault", "types=dmwsi.v1.job-completed"] {
            let first = portal.get(&format!("/v1/events?{filter}")).await.of(200);
            assert_eq!((&first["items"], &first["hasMore"]), (&json!([]), &json!(false)), "{filter}");
            let cursor = first["nextCursor"].as_str().unwrap();
            database.execute("UPDATE organisations SET first_event = 650");
            portal.get(&format!("/v1/events?{filter}&cursor={cursor}")).await.of(200);
            portal.get(&format!("/v1/events?{filter}&after=5")).await.problem(410, "CURSOR_EXPIRED");
            database.execute("UPDATE organisations SET first_event = 1");
        }
        server.stop().await;
    }

    /// UC-13: what concerns one job or one device is found in one request although thousands of other events lie before it.
    async fn what_is_wanted_is_found_among_thousands_of_others(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        changes(&server, portal.organisation, 3_000, Clock::System.now()).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let read = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
        handset.device.check_in().await.unwrap();
        ended(&portal, &read).await;
        numbered(&server).await;
        let job = read.rsplit('/').next().unwrap();
        for filter in [format!("jobId={job}"), format!("deviceId={}", handset.id), "types=dmwsi.v1.job-completed".to_owned()] {
            let page = portal.get(&format!("/v1/events?{filter}&perPage=100")).await.of(200);
            assert!(!page["items"].as_array().unwrap().is_empty(), "{filter} {page}");
            assert_eq!(page["hasMore"], false, "{filter}");
        }
        changes(&server, portal.organisation, 11_000, Clock::System.now()).await;
        let page = portal.get(&format!("/v1/events?jobId={job}&perPage=1")).await.of(200);
        let cursor = page["nextCursor"].as_str().unwrap();
        let page = portal.get(&format!("/v1/events?jobId={job}&perPage=100&cursor={cursor}")).await.of(200);
        assert_eq!(page["hasMore"], true, "a request goes over a bounded part of the log");
        server.stop().await;
    }

    /// UC-13: a job's stream begins with the job although other processes' clocks were behind when it was made.
    async fn a_jobs_stream_begins_with_the_job_whatever_the_clocks_say(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        numbered(&server).await;
        let read = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
        numbered(&server).await;
        let behind = Clock::System.now().minus(Duration::from_secs(20));
        changes(&server, portal.organisation, 50, behind).await;
        handset.device.check_in().await.unwrap();
        ended(&portal, &read).await;
        let text = stream(&server, &portal, &format!("{read}/events")).await.text().await.unwrap();
        assert!(text.contains("event: dmwsi.v1.job-accepted\n"), "{text}");
        server.stop().await;
    }

    /// A client that is revoked hears nothing more, also where its stream was open before.
    async fn a_revoked_clients_stream_ends(database: Database) {
        let server = Server::on(&database).await;
        let (portal, other) = (server.portal("acme", SCOPES).await, server.portal("acme", SCOPES).await);
        let (ends, goes) = (stream(&server, &portal, "/v1/events/stream").await, stream(&server, &other, "/v1/events/stream").await);
        revoke(&server, portal.client).await;
        tokio::time::sleep(Duration::from_millis(5_200)).await;
        let (_, public) = server.devices(&other, 1).await.pop().unwrap();
        let gone = other.call(Method::DELETE, &format!("/v1/devices/{public}"), &[("if-match", "*")], None).await;
        assert_eq!(gone.status, 204, "{}", gone.text);
        let text = tokio::time::timeout(Duration::from_secs(20), ends.text()).await.expect("it ends").unwrap();
        assert!(!text.contains("event: "), "{text}");
        let (mut pieces, mut heard) = (goes.bytes_stream(), String::new());
        while !heard.contains("device-deleted") {
            let piece = tokio::time::timeout(Duration::from_secs(20), pieces.next()).await.unwrap().unwrap().unwrap();
            heard.push_str(std::str::from_utf8(&piece).unwrap());
        }
        drop(pieces);
        server.stop().await;
    }

    /// However many events there are, a part is found in the order of the numbers, without reading what lies before it or sorting.
    async fn a_part_of_the_log_is_read_by_index(database: Database) {
        drop(database.store().await);
        let store = open(&database);
        let (organisation, wanted) = (OrganisationId::new(Clock::System.new_id()), Wanted::default());
        let statements = sent(store.read(move |tx| tx.log_after(organisation, &wanted, 7, 21))).await;
        for statement in &statements {
            assert_indexed(statement, &plan(&database, statement));
        }
        assert_eq!(statements.len(), 3, "how far the log goes, the events, and where it begins");
    }
}

async fn revoke(server: &Server, client: ClientId) {
    let now = Clock::System.now();
    let revoked = server.store().write(move |tx| {
        let mut client = tx.client(client)?;
        client.revoke(now);
        tx.update_client(&mut client)
    });
    revoked.await.unwrap();
}
