//! Bulk imports over HTTP.
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use serde_json::{Value, json};

use crate::harness::process::Process;
use crate::harness::server::{Portal, Server};
use crate::harness::{Database, eventually};

const SCOPES: &str = "devices:read devices:write";
const IMPORTS: &str = "/v1/devices/imports";
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

fn line(n: usize) -> String {
    let client = json!({"auth": "DIGEST", "name": "n", "secret": "swordfish"});
    let identity = json!({"type": "SERIAL_NUMBER", "value": format!("sn-{n}")});
    json!({"dmIdentity": format!("d{n}"), "account": {"serverId": "dm", "client": client}, "identities": [identity]}).to_string()
}

fn body(lines: impl IntoIterator<Item = usize>) -> String {
    lines.into_iter().map(|n| line(n) + "\n").collect()
}

async fn import(portal: &Portal, key: Option<&str>, body: &str) -> (u16, String) {
    let headers: Vec<_> = [Some(NDJSON), key.map(|key| ("idempotency-key", key))].into_iter().flatten().collect();
    let response = portal.send(IMPORTS, &headers, body.to_owned()).await;
    (response.status().as_u16(), response.text().await.unwrap())
}

fn verdicts(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn count(database: &Database) -> usize {
    database.lines("SELECT CAST(COUNT(*) AS TEXT) AS line FROM devices")[0].parse().unwrap()
}

both! {
    /// A verdict a line; what is wrong with one line hurts no other.
    async fn each_line_of_an_import_is_judged_by_itself(database: Database) {
        let server = Server::on(&database).await;
        let (portal, other) = (server.portal("acme", SCOPES).await, server.portal("other", SCOPES).await);
        let taken: Value = serde_json::from_str(&line(100)).unwrap();
        other.post("/v1/devices", &taken).await.of(201);
        let mut own: Value = serde_json::from_str(&line(1)).unwrap();
        own["dmIdentity"] = json!("another");
        let text = [
            line(1),
            line(2),
            line(2),
            own.to_string(),
            line(100),
            String::new(),
            "{\"dmIdentity\":".to_owned(),
            line(3).replace("DIGEST", "SECURID"),
            line(4).replace("serverId", "serverName"),
            line(5).replace("\"swordfish\"", "24680"),
            format!("{{\"dmIdentity\":\"{}\"}}", "x".repeat(17_000)),
            format!("  {}\r", line(6)),
            line(7),
        ]
        .join("\n");
        let (status, answer) = import(&portal, None, &text).await;
        assert_eq!(status, 200, "{answer}");
        let verdicts = verdicts(&answer);
        let said: Vec<_> = verdicts
            .iter()
            .map(|verdict| {
                let problem = &verdict["problem"];
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                (verdict["line"].as_u64().unwrap(), text(&problem["code"]), text(&problem["pointer"]))
            })
            .collect();
        let expected = [
            (1, "", ""),
            (2, "", ""),
            (3, "ALREADY_EXISTS", "/dmIdentity"),
            (4, "ALREADY_EXISTS", "/identities"),
            (5, "ALREADY_EXISTS", "/dmIdentity"),
            (7, "INVALID_ARGUMENT", ""),
            (8, "INVALID_ARGUMENT", "/account/client/auth"),
            (9, "INVALID_ARGUMENT", "/account/serverName"),
            (10, "INVALID_ARGUMENT", "/account/client/secret"),
            (11, "OUT_OF_RANGE", ""),
            (12, "", ""),
            (13, "", ""),
        ];
        assert_eq!(said, expected.map(|(line, code, pointer)| (line, code.to_owned(), pointer.to_owned())));
        assert!(!answer.contains("24680") && !answer.contains("swordfish"));
        let id = verdicts[0]["deviceId"].as_str().unwrap();
        assert_eq!(portal.get(&format!("/v1/devices/{id}")).await.of(200)["dmIdentity"], "d1");
        assert_eq!(portal.get("/v1/devices").await.of(200)["items"].as_array().unwrap().len(), 4);
        let events = database.lines("SELECT DISTINCT type AS line FROM events");
        assert_eq!(events, ["dmwsi.v1.device-created"]);
        server.stop().await;
    }

    /// The same key gives the same verdicts and makes nothing twice, also when both come at once; another body is another import.
    async fn a_repeated_import_gives_the_same_verdicts(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let text = body(0..2_500) + &line(7);
        let (first, second) = tokio::join!(import(&portal, Some("k"), &text), import(&portal, Some("k"), &text));
        let complete = if first.0 == 200 { first } else { second.clone() };
        assert_eq!(complete.0, 200, "{}", complete.1);
        assert_eq!(verdicts(&complete.1).len(), 2_501);
        for again in [second, import(&portal, Some("k"), &text).await] {
            // Two who begin at the very same moment: one of them may be asked to come again.
            assert!(again == complete || again.0 == 409, "{}", again.0);
        }
        assert_eq!(count(&database), 2_500);
        let (status, problem) = import(&portal, Some("k"), &body(0..1)).await;
        assert!(status == 422 && problem.contains("IDEMPOTENCY_KEY_REUSED"), "{status} {problem}");
        let other = server.portal("acme", SCOPES).await;
        let (_, answer) = import(&other, Some("k"), &body(0..1)).await;
        assert_eq!(verdicts(&answer)[0]["status"], "REFUSED", "a key is the client's own");
        server.stop().await;
    }

    /// What cannot be an import is refused before anything of it is applied.
    async fn a_body_that_is_no_import_changes_nothing(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        assert_eq!(import(&portal, None, "").await.0, 400);
        assert_eq!(import(&portal, None, &format!("{}{}", line(1), "\n".repeat(100_001))).await.0, 413);
        assert_eq!(portal.send(IMPORTS, &[("content-type", "application/json")], line(1)).await.status().as_u16(), 415);
        let reader = server.portal("acme", "devices:read").await;
        assert_eq!(import(&reader, None, &line(1)).await.0, 403);
        assert_eq!(count(&database), 0);
        server.stop().await;
    }

    /// A hundred thousand devices in one call.
    async fn a_hundred_thousand_devices_are_imported_in_one_call(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let text = body(0..100_000);
        let began = Instant::now();
        let (status, answer) = import(&portal, None, &text).await;
        let took = began.elapsed();
        eprintln!("100,000 devices in {took:?}");
        assert_eq!(status, 200);
        let lines: BTreeSet<_> = verdicts(&answer).iter().filter(|verdict| verdict["status"] == "CREATED").map(|verdict| verdict["line"].as_u64().unwrap()).collect();
        assert_eq!((lines.len(), lines.first(), lines.last()), (100_000, Some(&1), Some(&100_000)));
        assert_eq!(count(&database), 100_000);
        assert!(took < Duration::from_secs(300), "{took:?}");
        server.stop().await;
    }

    /// `kill -9` in the middle: a retry with the same key goes on and gives every verdict once.
    async fn an_import_that_was_killed_goes_on_with_the_same_key(database: Database) {
        let store = database.store().await;
        let keys = toml::to_string(&Keys::mint().unwrap()).unwrap();
        let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
        let (client, secret) = add(&store, &Clock::System, new).await.unwrap();
        drop(store);
        let text = body(0..20_000);

        let doomed = Process::serve(&database, &keys);
        let portal = Portal::log_in(&doomed.base, &client, &secret).await;
        let mut answer = portal.send(IMPORTS, &[NDJSON, ("idempotency-key", "k")], text.clone()).await;
        let mut before = Vec::new();
        while before.len() < 300_000 {
            before.extend_from_slice(&answer.chunk().await.unwrap().expect("it is not over yet"));
        }
        doomed.kill();
        let applied = count(&database);
        assert!((1_000..20_000).contains(&applied), "it was killed in the middle: {applied}");

        let process = Process::serve(&database, &keys);
        let portal = Portal::log_in(&process.base, &client, &secret).await;
        let (status, answer) = import(&portal, Some("k"), &text).await;
        assert_eq!(status, 200);
        assert!(answer.as_bytes().starts_with(&before), "what was answered before comes again");
        let all = verdicts(&answer);
        assert!(all.iter().zip(1..).all(|(verdict, line)| verdict["line"] == line && verdict["status"] == "CREATED"));
        assert_eq!((all.len(), count(&database)), (20_000, 20_000));
        assert_eq!(database.lines("SELECT CAST(COUNT(*) AS TEXT) AS line FROM events"), ["20000"]);
    }

    /// The verdicts of imports do not pile up: what nobody repeats any more is forgotten, some at a time.
    async fn an_import_is_forgotten_when_its_time_is_over(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        for n in 0..25 {
            assert_eq!(import(&portal, Some(&format!("old-{n}")), &line(n)).await.0, 200);
        }
        assert_eq!(import(&portal, Some("young"), &line(100)).await.0, 200);
        let kept = || database.lines("SELECT idempotency_key AS line FROM imports").len();
        let verdicts_kept = || database.lines("SELECT verdicts AS line FROM import_verdicts").len();
        let (now, ids) = (Clock::System.now(), Clock::System.new_ids());
        let ring = async || server.store().write(move |tx| tx.ring_sweep(now, now, &mut ids.clone())).await.unwrap();
        let days = |days: u64| now.minus(Duration::from_secs(days * 86_400)).micros();
        database.execute(&format!("UPDATE imports SET updated_at = {} WHERE idempotency_key <> 'young'", days(8)));
        database.execute(&format!("UPDATE imports SET updated_at = {} WHERE idempotency_key = 'young'", days(6)));
        assert_eq!((kept(), verdicts_kept()), (26, 26));
        ring().await;
        eventually("the old ones are forgotten", async || (kept(), verdicts_kept()) == (1, 1)).await;
        let again = import(&portal, Some("young"), &line(100)).await;
        assert!(again.1.contains("CREATED"), "{again:?}");
        let anew = import(&portal, Some("old-1"), &line(1)).await;
        assert!(anew.1.contains("ALREADY_EXISTS"), "the devices stay: {anew:?}");
        assert_eq!(count(&database), 26);
        server.stop().await;
    }
}
