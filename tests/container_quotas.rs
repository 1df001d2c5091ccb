//! What many containers may take: threads, time, disk, numbers; and that nobody takes it from the others.
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi_domain::id::ContainerId;
use dmwsi_domain::{Clock, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::archive::{Archive, SCOPES, TAR, files, hex};
use crate::harness::server::{Got, Portal, Server};
use crate::harness::{Database, eventually};

const LATER: (&str, &str) = ("prefer", "respond-async");

async fn start(database: &Database, change: impl FnOnce(&mut dmwsi_store::content::Settings)) -> Server {
    Server::with(database, Keys::mint().unwrap(), Clock::System, |config: &mut Config| change(&mut config.content)).await
}

async fn deliver(portal: &Portal, tar: Vec<u8>) -> Got {
    portal.deliver("/v1/containers", &[TAR], tar).await
}

fn content(id: &str, number: u64, bytes: &[u8]) -> Vec<u8> {
    Archive::new(id, number).with("CONTENT", "map", bytes).tar()
}

async fn withdraw(portal: &Portal, container: &Value) {
    let path = format!("/v1/containers/{}/withdraw", container["containerId"].as_str().unwrap());
    assert_eq!(portal.post(&path, &json!({})).await.of(200)["state"], "WITHDRAWN");
}

/// A delivery whose sender stops in the middle.
fn dawdle(server: &Server, portal: &Portal, tar: &[u8]) -> TcpStream {
    let address = server.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    let (name, value) = TAR;
    let head = format!("POST /v1/containers HTTP/1.1\r\nhost: {address}\r\nauthorization: {}\r\n", portal.bearer());
    write!(stream, "{head}{name}: {value}\r\ncontent-length: {}\r\n\r\n", tar.len()).unwrap();
    stream.write_all(&tar[..600]).unwrap();
    stream
}

/// Has the standing task look now.
async fn sweep(server: &Server) {
    let (now, ids) = (server.clock.now(), server.clock.new_ids());
    server.store().write(move |tx| tx.ring_sweep(now, now, &mut ids.clone())).await.unwrap();
}

both! {
    async fn slow_senders_of_one_organisation_stop_neither_others_nor_verdicts(database: Database) {
        let server = start(&database, |content| content.ingest_threads = 2).await;
        let (slow, other) = (server.portal("slow", SCOPES).await, server.portal("other", SCOPES).await);
        let tar = content("urn:a", 1, b"a map");
        let first = dawdle(&server, &slow, &tar);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let busy = deliver(&slow, tar.clone()).await;
        busy.problem(503, "UNAVAILABLE");
        assert_ne!(busy.header("retry-after"), "");
        deliver(&other, tar.clone()).await.of(201);
        // Both threads are taken; what waits on disk is judged nevertheless.
        let second = dawdle(&server, &other, &content("urn:b", 2, b"b"));
        tokio::time::sleep(Duration::from_millis(300)).await;
        let got = other.bring(Method::POST, "/v1/uploads", &[TAR, LATER, ("upload-complete", "?1")], content("urn:c", 3, b"c")).await;
        let location = got.header("location").to_owned();
        got.of(202);
        eventually("the verdict", async || other.get(&location).await.of(200)["state"] == "AVAILABLE").await;
        drop((first, second));
        eventually("a free thread", async || deliver(&slow, tar.clone()).await.status == 201).await;
        server.stop().await;
    }
}

both! {
    async fn a_delivery_in_one_request_has_an_end_however_steadily_it_comes(database: Database) {
        let server = start(&database, |content| {
            content.delivery_seconds = 1;
            content.min_bytes_per_second = 1;
        })
        .await;
        let portal = server.portal("acme", SCOPES).await;
        let mut stream = dawdle(&server, &portal, &content("urn:a", 1, &[7; 10_000]));
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(600)).await;
            // The server may have hung up already.
            drop(stream.write_all(&[0; 10]));
        }
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408");
        eventually("an empty folder", async || files(&database.content()).is_empty()).await;
        server.stop().await;
    }
}

both! {
    /// Its sender hears why, though it sends on and on; and the thread is free for the next one.
    async fn what_is_refused_already_is_waited_for_only_a_little_longer(database: Database) {
        let server = start(&database, |content| {
            content.ingest_threads = 1;
            content.min_bytes_per_second = 1;
        })
        .await;
        let portal = server.portal("acme", SCOPES).await;
        let mut stream = dawdle(&server, &portal, &[7; 100_000]);
        let began = Instant::now();
        let mut sending = stream.try_clone().unwrap();
        let sender = std::thread::spawn(move || {
            for _ in 0..60 {
                std::thread::sleep(Duration::from_millis(200));
                if sending.write_all(&[7; 100]).is_err() {
                    break;
                }
            }
        });
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!((&answer, began.elapsed() < Duration::from_secs(9)), (b"HTTP/1.1 422", true), "{:?}", began.elapsed());
        deliver(&portal, content("urn:a", 1, b"a")).await.of(201);
        drop(stream);
        sender.join().unwrap();
        server.stop().await;
    }
}

both! {
    async fn what_waits_of_an_organisation_is_bounded_in_number_and_bytes(database: Database) {
        let server = start(&database, |content| {
            content.waiting_bytes = 20_000;
            content.waiting_deliveries = 2;
            content.max_container_bytes = 30_000;
        })
        .await;
        let (portal, other) = (server.portal("acme", SCOPES).await, server.portal("other", SCOPES).await);
        let begin = async |portal: &Portal, length: &str| {
            let headers = [TAR, ("upload-complete", "?0"), ("upload-length", length)];
            portal.bring(Method::POST, "/v1/uploads", if length.is_empty() { &headers[..2] } else { &headers }, "").await
        };
        begin(&portal, "").await.problem(422, "QUOTA_EXCEEDED");
        let one = begin(&portal, "12000").await;
        assert_eq!(one.status, 201);
        begin(&portal, "12000").await.problem(422, "QUOTA_EXCEEDED");
        // The same for what is to be judged later: nothing of it stays.
        let large = content("urn:a", 1, &[7; 10_000]);
        let later = async |portal: &Portal, tar: &[u8]| portal.deliver("/v1/containers", &[TAR, LATER], tar.to_vec()).await;
        later(&portal, &large).await.problem(422, "QUOTA_EXCEEDED");
        assert_eq!(files(&database.content()).len(), 1, "the upload alone");
        assert_eq!(begin(&portal, "1000").await.status, 201);
        begin(&portal, "1000").await.problem(422, "QUOTA_EXCEEDED");
        later(&portal, &content("urn:b", 2, b"x")).await.problem(422, "QUOTA_EXCEEDED");
        // What is judged at once does not wait, and others have room of their own.
        deliver(&portal, large.clone()).await.of(201);
        later(&other, &large).await.of(202);
        assert_eq!(portal.bring(Method::DELETE, one.header("location"), &[], "").await.status, 204);
        later(&portal, &content("urn:c", 3, b"x")).await.of(202);
        server.stop().await;
    }
}

both! {
    /// What an organisation has counts in bytes and in containers; a withdrawn container takes no room.
    async fn room_is_counted_in_bytes_and_in_containers_and_given_back(database: Database) {
        let server = start(&database, |content| {
            content.organisation_bytes = 100;
            content.organisation_containers = 3;
        })
        .await;
        let portal = server.portal("acme", SCOPES).await;
        let tars = [content("urn:a", 1, &[1; 60]), content("urn:b", 2, &[2; 40]), content("urn:c", 3, &[3; 1])];
        let first = deliver(&portal, tars[0].clone()).await.of(201);
        deliver(&portal, tars[1].clone()).await.of(201);
        deliver(&portal, tars[2].clone()).await.problem(422, "QUOTA_EXCEEDED");
        assert_eq!(files(&database.content()).len(), 2);
        // An earlier container takes no further room, so it is the same one still.
        assert_eq!(deliver(&portal, tars[0].clone()).await.of(200), first);
        withdraw(&portal, &first).await;
        assert_eq!(deliver(&portal, tars[0].clone()).await.of(200)["state"], "WITHDRAWN");
        deliver(&portal, tars[2].clone()).await.of(201);
        let empty = |id: &str, number| {
            let mut archive = Archive::new(id, number).with("CONFIGURATION", "settings", b"");
            archive.members.clear();
            archive.deliverables()[0]["payloads"] = json!([]);
            archive.deliverables()[0]["dm"] = json!({"configuration": [{"path": "./a", "value": "b"}]});
            archive.tar()
        };
        deliver(&portal, empty("urn:d", 4)).await.of(201);
        deliver(&portal, empty("urn:e", 5)).await.problem(422, "QUOTA_EXCEEDED");
        deliver(&portal, empty("urn:d", 4)).await.of(200);
        server.stop().await;
    }
}

both! {
    async fn an_expired_container_is_withdrawn_and_still_the_same(database: Database) {
        let clock = Clock::manual(Timestamp::parse("2026-11-21T10:00:00Z").unwrap());
        let settings = |config: &mut Config| {
            config.content.organisation_containers = 1;
            config.content.unreferenced_seconds = 0;
        };
        let server = Server::with(&database, Keys::mint().unwrap(), clock.clone(), settings).await;
        let portal = server.portal("acme", SCOPES).await;
        let expiring = |id: &str, number| {
            let mut archive = Archive::firmware(id, number);
            archive.manifest["expiresAt"] = json!("2026-11-21T10:05:00Z");
            archive.tar()
        };
        let container = deliver(&portal, expiring("urn:a", 1)).await.of(201);
        clock.advance(Duration::from_secs(301));
        assert_eq!(deliver(&portal, expiring("urn:a", 1)).await.of(200), container);
        deliver(&portal, expiring("urn:b", 2)).await.problem(422, "CONTAINER_EXPIRED");
        deliver(&portal, content("urn:c", 3, b"c")).await.problem(422, "QUOTA_EXCEEDED");
        let path = format!("/v1/containers/{}", container["containerId"].as_str().unwrap());
        eventually("the withdrawal", async || {
            clock.advance(Duration::from_secs(1));
            sweep(&server).await;
            portal.get(&path).await.of(200)["state"] == "WITHDRAWN" && files(&database.content()).is_empty()
        })
        .await;
        deliver(&portal, content("urn:c", 3, b"c")).await.of(201);
        server.stop().await;
    }
}

both! {
    /// Numbers grow by originator; of two with the same number or the same id at the same moment one comes in.
    async fn each_originator_has_its_own_numbers(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let by = |originator: &str, id: &str, number: u64| {
            let mut archive = Archive::new(id, number).with("CONTENT", "map", id.as_bytes());
            if !originator.is_empty() {
                archive.manifest["originator"] = json!({"id": originator});
            }
            archive.tar()
        };
        for (originator, number) in [("one", 9), ("two", 4), ("", 4), ("two", 5)] {
            deliver(&portal, by(originator, &format!("urn:{originator}:{number}"), number)).await.of(201);
        }
        for (originator, number) in [("one", 9), ("two", 5), ("", 4)] {
            deliver(&portal, by(originator, "urn:late", number)).await.problem(422, "SEQUENCE_REPLAY");
        }
        let both = tokio::join!(deliver(&portal, by("", "urn:x", 7)), deliver(&portal, by("", "urn:y", 7)));
        let mut statuses = [both.0.status.as_u16(), both.1.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 422]);
        let both = tokio::join!(deliver(&portal, by("", "urn:z", 8)), deliver(&portal, by("", "urn:z", 9)));
        let mut statuses = [both.0.status.as_u16(), both.1.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
        server.stop().await;
    }
}

both! {
    async fn bytes_that_were_lost_before_the_verdict_are_told(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let container = deliver(&portal, content("urn:a", 1, b"a")).await.of(201);
        database.execute("UPDATE containers SET state = 'VERIFYING'");
        let id: ContainerId = container["containerId"].as_str().unwrap().parse().unwrap();
        let (now, ids) = (server.clock.now(), server.clock.new_ids());
        server.store().write(move |tx| tx.ring_ingest(id, now, &mut ids.clone())).await.unwrap();
        let path = format!("/v1/containers/{id}");
        eventually("the verdict", async || portal.get(&path).await.of(200)["state"] == "REJECTED").await;
        assert_eq!(portal.get(&path).await.of(200)["fault"]["code"], "BYTES_LOST");
        server.stop().await;
    }
}

both! {
    async fn a_folder_that_is_not_the_right_one_is_neither_filled_nor_swept(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let marker = database.content().join("marker");
        let right = std::fs::read_to_string(&marker).unwrap();
        let left = database.content().join("staging/left");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("lock"), "\n").unwrap();
        std::fs::write(&marker, "another").unwrap();
        for headers in [&[TAR][..], &[TAR, LATER]] {
            portal.deliver("/v1/containers", headers, content("urn:a", 1, b"a")).await.problem(503, "UNAVAILABLE");
        }
        portal.bring(Method::POST, "/v1/uploads", &[TAR, ("upload-complete", "?0")], "").await.problem(503, "UNAVAILABLE");
        assert!(database.lines("SELECT id AS line FROM uploads").is_empty());
        sweep(&server).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(left.exists());
        std::fs::write(&marker, right).unwrap();
        deliver(&portal, content("urn:a", 1, b"a")).await.of(201);
        eventually("the sweep", async || {
            sweep(&server).await;
            !left.exists()
        })
        .await;
        let digest = hex(b"a");
        assert_eq!(files(&database.content()), [format!("sha256/{}/{}", &digest[..2], &digest[2..])]);
        server.stop().await;
    }
}
