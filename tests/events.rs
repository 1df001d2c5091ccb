//! The log: every change is told once, in order, to whom it may concern.
use std::collections::BTreeMap;
use std::time::Duration;

use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_domain::event::{Event, Recorded};
use dmwsi_domain::facts::Facts;
use dmwsi_domain::id::{DeviceId, EventId, OrganisationId};
use dmwsi_simulator::Behaviour;
use dmwsi_store::event_numbers::NUMBERED_AT_ONCE;
use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::handset::{Handset, ended, job};
use crate::harness::server::{Portal, Server};
use crate::harness::statements::{open, plan, sent};

const SCOPES: &str = "events:read jobs:read jobs:write devices:read devices:write containers:read containers:write";

/// All that a query brings, page by page, as it stands.
async fn all(portal: &Portal, query: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = portal.get(&format!("/v1/events?perPage=7{query}{cursor}")).await.of(200);
        items.extend(page["items"].as_array().unwrap().clone());
        if page["hasMore"] == false {
            return items;
        }
        cursor = format!("&cursor={}", page["nextCursor"].as_str().unwrap());
    }
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap().strip_prefix("dmwsi.v1.").unwrap()).collect()
}

fn number(event: &Value) -> u64 {
    event["sequence"].as_str().unwrap().parse().unwrap()
}

/// Waits until nothing is without a number.
async fn numbered(server: &Server) {
    eventually("all events have numbers", async || server.store().read(|tx| tx.unnumbered_after(None)).await.unwrap().is_none())
        .await;
}

/// An event of a device that nobody knows.
fn foreign(organisation: OrganisationId, device: DeviceId, revision: u64, id: EventId, at: dmwsi_domain::Timestamp) -> Recorded {
    Recorded {
        id,
        organisation,
        client: None,
        job: None,
        ordinal: None,
        device: Some(device),
        revision,
        correlator: None,
        at,
        event: Event::DeviceUpdated {},
    }
}

both! {
    /// UC-13, EI3: from registration to the end of a job, each as a CloudEvent with its number; the same by pages, by filters and from anywhere.
    async fn what_happens_is_told_in_order_and_once(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let read = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
        handset.device.check_in().await.unwrap();
        ended(&portal, &read).await;
        numbered(&server).await;
        let events = all(&portal, "").await;
        let told = kinds(&events);
        let place = |kind: &str| told.iter().position(|told| *told == kind).unwrap_or_else(|| panic!("no {kind} in {told:?}"));
        assert_eq!(place("device-created"), 0);
        for pair in [["job-accepted", "execution-started"], ["execution-started", "execution-finished"], ["execution-finished", "job-completed"]] {
            assert!(place(pair[0]) < place(pair[1]), "{told:?}");
        }
        assert_eq!(events.iter().map(number).collect::<Vec<_>>(), (1..=u64::try_from(events.len()).unwrap()).collect::<Vec<_>>(), "no gap");
        let finished = &events[place("execution-finished")];
        let job_id = read.rsplit('/').next().unwrap();
        assert_eq!(finished["specversion"], "1.0");
        assert_eq!(finished["source"], format!("{}/v1", server.issuer));
        assert_eq!(finished["subject"], format!("jobs/{job_id}/executions/{}", handset.id));
        assert_eq!((&finished["data"]["jobId"], &finished["data"]["deviceId"]), (&json!(job_id), &json!(handset.id)));
        assert_eq!((&finished["data"]["state"], &finished["data"]["outcome"]), (&json!("SUCCEEDED"), &json!("READ")));
        assert!(!serde_json::to_string(&events).unwrap().contains("Acme"), "what was read of a device is not told");

        let of_job = all(&portal, &format!("&jobId={job_id}")).await;
        assert!(of_job.iter().all(|event| event["data"]["jobId"] == job_id) && kinds(&of_job).last() == Some(&"job-completed"));
        let of_type = all(&portal, "&types=dmwsi.v1.job-accepted,dmwsi.v1.job-completed").await;
        assert_eq!(kinds(&of_type), ["job-accepted", "job-completed"]);
        let of_device = all(&portal, &format!("&deviceId={}", handset.id)).await;
        assert!(!of_device.is_empty() && of_device.iter().all(|event| event["data"]["deviceId"] == handset.id));
        let accepted = &of_type[0];
        let later = portal.get(&format!("/v1/events?perPage=100&after={}", number(accepted))).await.of(200);
        assert_eq!(number(&later["items"][0]), number(accepted) + 1);
        let since = portal.get(&format!("/v1/events?perPage=100&since={}", accepted["time"].as_str().unwrap())).await.of(200);
        assert!(kinds(since["items"].as_array().unwrap()).contains(&"job-accepted") && number(&since["items"][0]) > 1, "{since}");
        server.stop().await;
    }

    /// ES4: for whoever cannot be called; an answer is held until something happens.
    async fn a_reader_who_waits_hears_at_once(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let empty = portal.get("/v1/events").await.of(200);
        assert_eq!((&empty["items"], &empty["hasMore"]), (&json!([]), &json!(false)));
        let cursor = empty["nextCursor"].as_str().unwrap().to_owned();
        let waiting = {
            let (portal, cursor) = (portal.clone(), cursor.clone());
            tokio::spawn(async move { portal.get(&format!("/v1/events?wait=20&cursor={cursor}")).await.of(200) })
        };
        tokio::time::sleep(Duration::from_millis(200)).await;
        let handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let heard = waiting.await.unwrap();
        assert_eq!(heard["items"][0]["data"]["deviceId"], handset.id);
        let next = heard["nextCursor"].as_str().unwrap();
        let nothing = portal.get(&format!("/v1/events?wait=0&cursor={next}&perPage=3")).await.of(200);
        assert_eq!(nothing["items"], json!([]), "nothing twice");
        server.stop().await;
    }

    /// AD-10, OES7: of jobs one's own, of the rest what the token may read; nothing of another organisation.
    async fn nobody_is_told_what_they_may_not_read(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let read = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
        handset.device.check_in().await.unwrap();
        ended(&portal, &read).await;
        numbered(&server).await;
        let colleague = server.portal("acme", SCOPES).await;
        let seen = all(&colleague, "").await;
        assert!(kinds(&seen).contains(&"device-created"));
        assert!(kinds(&seen).iter().all(|kind| !kind.starts_with("job") && !kind.starts_with("execution")), "{:?}", kinds(&seen));
        assert!(all(&server.portal("acme", "events:read jobs:read").await, "").await.is_empty());
        let stranger = server.portal("other", SCOPES).await;
        assert!(all(&stranger, "").await.is_empty());
        // Read with the stranger's key, the device's name is no id at all or, once in 64 times, one of which nothing is told.
        let foreign = stranger.get(&format!("/v1/events?deviceId={}", handset.id)).await;
        assert!(foreign.status == 404 || foreign.json()["items"] == json!([]), "{}", foreign.text);
        stranger.get(&format!("{read}/events")).await.problem(404, "NOT_FOUND");
        server.portal("acme", "jobs:read").await.get("/v1/events").await.problem(403, "PERMISSION_DENIED");
        for wrong in ["types=dmwsi.v1.nothing", "wait=31", "after=1&since=2026-11-21T10:00:00Z", "cursor=abc", "job=1", "after=-1", "payload=ALL"] {
            portal.get(&format!("/v1/events?{wrong}")).await.problem(400, "INVALID_ARGUMENT");
        }
        let cursor = portal.get("/v1/events").await.of(200)["nextCursor"].as_str().unwrap().to_owned();
        colleague.get(&format!("/v1/events?cursor={cursor}")).await.problem(400, "INVALID_ARGUMENT");
        portal.get(&format!("/v1/events?cursor={cursor}&after=1")).await.problem(400, "INVALID_ARGUMENT");
        server.stop().await;
    }

    /// What a device tells in an alert is told in full only to whom asks for it.
    async fn the_data_of_an_alert_is_told_on_demand(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let [(device, public)] = server.devices(&portal, 1).await.try_into().unwrap();
        let alert = Event::DeviceAlert {
            alert_type: "com.example.low".to_owned(),
            mark: "warning".to_owned(),
            correlator: None,
            source: None,
            format: "chr".to_owned(),
            data: "a secret reading".to_owned(),
        };
        let id = EventId::new(server.clock.new_id());
        let told = Recorded { event: alert, ..foreign(portal.organisation, device, 1, id, server.clock.now()) };
        server.store().write(move |tx| tx.record(&told)).await.unwrap();
        numbered(&server).await;
        let thin = &all(&portal, "&types=dmwsi.v1.device-alert").await[0];
        assert_eq!((&thin["data"]["alertType"], &thin["data"]["deviceId"]), (&json!("com.example.low"), &json!(public)));
        assert!(thin["data"]["data"].is_null());
        let full = &all(&portal, "&types=dmwsi.v1.device-alert&payload=FULL").await[0];
        assert_eq!(full["data"]["data"], "a secret reading");
        server.stop().await;
    }

    /// However many write and however many give numbers: every event once, without a gap, each device's in the order of its revisions.
    async fn numbers_have_no_gap_and_follow_the_revisions(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let (organisation, clock) = (portal.organisation, Clock::System);
        let devices: Vec<_> = server.devices(&portal, 4).await.into_iter().map(|(device, _)| device).collect();
        // Revisions grow while ids go back, as they do where clocks differ, across more than one batch.
        let revisions = u64::try_from(NUMBERED_AT_ONCE).unwrap() / 2;
        let mut ids: Vec<_> = (0..revisions * 4).map(|_| EventId::new(clock.new_id())).collect();
        ids.reverse();
        let now = clock.now();
        let rows: Vec<_> = (1..=revisions).flat_map(|revision| devices.iter().map(move |device| (*device, revision))).zip(ids).collect();
        let rows: Vec<_> = rows.into_iter().map(|((device, revision), id)| foreign(organisation, device, revision, id, now)).collect();
        let count = rows.len();
        server.store().write(move |tx| tx.record_all(&rows)).await.unwrap();
        let numbering = (0..4).map(|_| {
            let store = server.store().clone();
            tokio::spawn(async move {
                while store.read(|tx| tx.unnumbered_after(None)).await.unwrap().is_some() {
                    drop(store.write(move |tx| tx.number_events(organisation)).await);
                }
            })
        });
        for one in numbering.collect::<Vec<_>>() {
            one.await.unwrap();
        }
        let (mut numbers, mut last) = (Vec::new(), BTreeMap::new());
        for line in database.lines("SELECT number || ' ' || device_id || ' ' || revision AS line FROM events ORDER BY number") {
            let [number, device, revision]: [&str; 3] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let revision: u64 = revision.parse().unwrap();
            numbers.push(number.parse::<u64>().unwrap());
            let before = last.insert(device.to_owned(), revision).unwrap_or(0);
            assert_eq!(before + 1, revision, "{number}");
        }
        assert_eq!(numbers, (1..=u64::try_from(count).unwrap()).collect::<Vec<_>>());
        server.stop().await;
    }

    /// What is told of a device without changing it stands behind the change that came before it, whatever the clocks say, also within one transaction.
    async fn an_alert_is_told_behind_the_change_before_it(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let (early, now) = (EventId::new(Clock::System.new_id()), Clock::System.now());
        let (fault, late) = (EventId::new(Clock::System.new_id()), Clock::System.new_ids());
        let mark = || ("com.example.low".to_owned(), "CRITICAL".to_owned());
        let told = server.store().write(move |tx| {
            let mut ids = late;
            tx.save_facts(device, &Facts::default(), now, &mut ids)?;
            let ((alert_type, mark), format, data) = (mark(), "chr".to_owned(), "17 %".to_owned());
            let alert = Event::DeviceAlert { alert_type, mark, correlator: None, source: None, format, data };
            tx.tell_of_device(device, [(early, alert)], now)
        });
        told.await.unwrap();
        // Another process, whose clock is behind, tells of the device as it is now.
        let (alert_type, alert_mark) = mark();
        let event = Event::DeviceFault { alert_type, mark: alert_mark, correlator: None, source: None, alert_event_id: early };
        server.store().write(move |tx| tx.tell_of_device(device, [(fault, event.clone())], now)).await.unwrap();
        numbered(&server).await;
        assert_eq!(kinds(&all(&portal, "").await), ["device-updated", "device-alert", "device-fault"]);
        let gone = DeviceId::new(Clock::System.new_id());
        let told = server.store().write(move |tx| tx.tell_of_device(gone, [(early, Event::DeviceWakeRequested {})], now)).await;
        assert!(matches!(told, Err(dmwsi_domain::Error::Stale { .. })));
        server.stop().await;
    }

    /// However long the backlog is and however often one device is told of in it, a transaction numbers a bounded part of it, and none is told too early.
    async fn a_long_backlog_is_numbered_in_bounded_parts(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        server.stop().await;
        let (store, organisation, clock) = (database.store().await, portal.organisation, Clock::System);
        let (device, other, now) = (DeviceId::new(clock.new_id()), DeviceId::new(clock.new_id()), clock.now());
        let make = |device, revision| foreign(organisation, device, revision, EventId::new(clock.new_id()), now);
        let most = usize::try_from(NUMBERED_AT_ONCE).unwrap();
        let mut rows = vec![make(device, 9), make(other, 1)];
        rows.extend((0..4 * most).map(|_| make(device, 8)));
        let count = rows.len();
        store.write(move |tx| tx.record_all(&rows)).await.unwrap();
        let mut parts = Vec::new();
        while parts.iter().sum::<usize>() < count {
            parts.push(store.write(move |tx| tx.number_events(organisation)).await.unwrap());
        }
        assert!(parts.iter().all(|part| (1..=2 * most).contains(part)), "{parts:?}");
        let last = database.lines("SELECT CAST(revision AS TEXT) AS line FROM events ORDER BY number DESC LIMIT 1");
        assert_eq!(last, ["9"], "told last, as its revision says");
    }

    /// The log is numbered by three statements, whatever is in it, and what is to be told before the rest is found by indexes.
    async fn a_part_of_the_log_is_found_by_one_statement(database: Database) {
        drop(database.store().await);
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        server.stop().await;
        let (store, organisation) = (open(&database), portal.organisation);
        let statements = sent(store.write(move |tx| tx.number_events(organisation))).await;
        let found: Vec<_> = statements.iter().filter(|statement| statement.starts_with("WITH")).collect();
        assert_eq!(found.len(), 1, "{statements:?}");
        let plan = plan(&database, found[0]);
        for index in ["events_unnumbered", "events_of_job", "events_of_device"] {
            assert!(plan.contains(index), "{index}\n{plan}");
        }
        assert!(!plan.contains("SCAN events") && !plan.contains("Seq Scan on events"), "{plan}");
    }

    /// What was committed without a number when everything died gets one.
    async fn what_a_dead_process_left_without_a_number_gets_one(database: Database) {
        let keys = Keys::mint().unwrap();
        let server = Server::with(&database, keys.clone(), Clock::System, |_config| {}).await;
        let portal = server.portal("acme", SCOPES).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        server.stop().await;
        let store = database.store().await;
        let late = foreign(portal.organisation, device, 1, EventId::new(Clock::System.new_id()), Clock::System.now());
        store.write(move |tx| tx.record(&late)).await.unwrap();
        drop(store);
        let server = Server::with(&database, keys, Clock::System, |_config| {}).await;
        numbered(&server).await;
        server.stop().await;
    }

    /// UC-13: a stream tells what is there and what comes, goes on where it broke off, and ends with the job.
    async fn a_job_is_followed_by_a_stream_to_its_end(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let read = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
        let http = reqwest::Client::new();
        let open = async |path: &str, last: Option<&str>| {
            let mut request = http.request(Method::GET, format!("{}{path}", server.url())).header("authorization", portal.bearer());
            if let Some(last) = last {
                request = request.header("last-event-id", last);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["content-type"], "text/event-stream");
            answer
        };
        let stream = open(&format!("{read}/events"), None).await;
        let everything = open("/v1/events/stream", None).await;
        handset.device.check_in().await.unwrap();
        let text = tokio::time::timeout(Duration::from_secs(20), stream.text()).await.unwrap().unwrap();
        assert!(text.starts_with("retry: 5000\n\n") && text.ends_with("event: end\ndata: {}\n\n"), "{text}");
        for kind in ["job-accepted", "execution-started", "execution-finished", "job-completed"] {
            assert_eq!(text.matches(&format!("event: dmwsi.v1.{kind}\n")).count(), 1, "{kind} {text}");
        }
        let ids: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
        assert!(ids.is_sorted());
        let rest = open(&format!("{read}/events"), Some(ids[1])).await.text().await.unwrap();
        let again: Vec<_> = rest.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
        assert_eq!(again, ids[2..], "it goes on where it broke off");
        let rest = open(&format!("{read}/events"), ids.last().copied()).await.text();
        let rest = tokio::time::timeout(Duration::from_secs(10), rest).await.unwrap().unwrap();
        assert_eq!(rest, "retry: 5000\n\nevent: end\ndata: {}\n\n", "nothing is left to be read");

        let mut pieces = everything.bytes_stream();
        let mut seen = String::new();
        while !seen.contains("job-completed") {
            let piece = tokio::time::timeout(Duration::from_secs(20), pieces.next()).await.unwrap().unwrap().unwrap();
            seen.push_str(std::str::from_utf8(&piece).unwrap());
        }
        assert!(seen.contains("dmwsi.v1.device-created"));
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(open("/v1/events/stream", None).await);
        }
        portal.get("/v1/events/stream").await.problem(429, "TOO_MANY_REQUESTS");
        let began = std::time::Instant::now();
        server.stop().await;
        assert!(began.elapsed() < Duration::from_secs(8), "streams do not keep the server from stopping");
        drop((held, pieces));
    }

    /// OES10: whoever reads a job until its end has all of it, also where the clock of the process that ends it went behind the others'.
    async fn the_end_of_a_job_is_told_after_all_of_its_executions(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let read = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
        let job_id = read.rsplit('/').next().unwrap().to_owned();
        let (id, behind) = (job_id.parse().unwrap(), Clock::System.new_ids());
        tokio::time::sleep(Duration::from_millis(5)).await;
        let (ids, now) = (Clock::System.new_ids(), Clock::System.now());
        let ended = server.store().write(move |tx| {
            let (mut execution, mut ids, mut behind) = (tx.execution(id, 0)?, ids, behind);
            let was = execution.state;
            let moved = execution.cancel(now);
            tx.save_execution(was, &execution, &moved, None, now, &mut ids)?;
            let mut job = tx.job(id)?;
            tx.fold_deltas(&mut job, &mut behind)?;
            let told = job.settle(now);
            tx.save_job(&mut job, told.as_slice(), None, now, &mut behind)
        });
        ended.await.unwrap();
        crate::harness::handset::ended(&portal, &read).await;
        numbered(&server).await;
        let events = all(&portal, &format!("&jobId={job_id}")).await;
        assert_eq!(kinds(&events)[2..], ["execution-finished", "job-completed"], "{events:?}");
        server.stop().await;
    }
}
