//! Uploads: broken off anywhere, resumed, checked at the end; and deliveries that never come to an end.
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use openssl::sha::sha256;
use reqwest::Method;

use crate::harness::archive::{Archive, SCOPES, TAR, files};
use crate::harness::eventually;
use crate::harness::process::Process;
use crate::harness::server::{Portal, Server};
use crate::harness::upload::{PART, append, begin, offset};

/// The offset when no part is on its way any more.
async fn settled(portal: &Portal, path: &str) -> usize {
    let mut before = usize::MAX;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = offset(portal, path).await;
        if now == before {
            return now;
        }
        before = now;
    }
}

/// Sends the head of a request and part of its body, and hangs up.
fn torn(base: &str, head: &str, portal: &Portal, length: usize, part: &[u8]) -> TcpStream {
    let address = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let head =
        format!("{head} HTTP/1.1\r\nhost: {address}\r\nauthorization: {}\r\ncontent-length: {length}\r\n", portal.bearer());
    let (line, fields) = head.split_once("\r\n").unwrap();
    let extra =
        if line.starts_with("POST") { format!("{}: {}\r\n", TAR.0, TAR.1) } else { format!("{}: {}\r\n", PART.0, PART.1) };
    stream.write_all(format!("{line}\r\n{extra}{fields}\r\n").as_bytes()).unwrap();
    stream.write_all(part).unwrap();
    stream
}

/// A part of an upload that breaks off in the middle.
fn torn_part(base: &str, path: &str, portal: &Portal, offset: usize, rest: &[u8], sent: usize) {
    let head = format!("PATCH {path}");
    let address = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "{head} HTTP/1.1\r\nhost: {address}\r\nauthorization: {}\r\ncontent-length: {}\r\n{}: {}\r\nupload-offset: {offset}\r\nupload-complete: ?1\r\n\r\n",
        portal.bearer(),
        rest.len(),
        PART.0,
        PART.1
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&rest[..sent]).unwrap();
}

/// Bytes that repeat nowhere.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

both! {
    /// UC-10, OES2: broken off at many bytes and resumed where it stopped; the same container comes in, once.
    async fn an_upload_goes_on_where_it_broke_off(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let tar = Archive::new("urn:a", 1).with("CONTENT", "map", &noise(200_000)).tar();
        let digest = format!("sha-256=:{}:", BASE64_STANDARD.encode(sha256(&tar)));
        let length = tar.len().to_string();
        let path = begin(&portal, &[("upload-length", &length), ("repr-digest", &digest)], &tar[..1]).await;
        let mut there = offset(&portal, &path).await;
        let mut breaks = 0;
        for step in [0, 1, 511, 512, 513, 4_096, 10_000, 1, 65_536, 65_537, 20_000, 7] {
            let rest = &tar[there..];
            torn_part(server.url(), &path, &portal, there, rest, step);
            let next = settled(&portal, &path).await;
            assert!((there..=there + step).contains(&next), "{there} {step} {next}");
            // What the server says is there, it has: it never goes back.
            there = next;
            breaks += 1;
        }
        let wrong = append(&portal, &path, there + 1, false, &[], b"x").await;
        wrong.problem(409, "MISMATCHING_UPLOAD_OFFSET");
        assert_eq!((wrong.header("upload-offset"), wrong.header("upload-complete")), (there.to_string().as_str(), "?0"));
        let part = append(&portal, &path, there, false, &[], &tar[there..there + 100]).await;
        assert_eq!((part.status.as_u16(), part.header("upload-offset")), (204, (there + 100).to_string().as_str()));
        let torn = append(&portal, &path, there + 100, false, &[("content-digest", &digest)], &tar[there + 100..there + 200]).await;
        torn.problem(400, "DIGEST_MISMATCHED_VALUES");
        assert_eq!(offset(&portal, &path).await, there + 100, "a damaged part is not there");
        let done = append(&portal, &path, there + 100, true, &[], &tar[there + 100..]).await;
        assert_eq!((done.header("upload-complete"), breaks), ("?1", 12));
        let container = done.of(201);
        assert_eq!(container["state"], "AVAILABLE");
        // The answer was lost: it comes again.
        let again = append(&portal, &path, tar.len(), true, &[], b"").await.of(201);
        assert_eq!(again, container);
        append(&portal, &path, 5, true, &[], b"x").await.problem(409, "MISMATCHING_UPLOAD_OFFSET");
        assert_eq!(offset(&portal, &path).await, tar.len());
        assert_eq!(files(&database.content()).len(), 1);
        server.stop().await;
    }
}

both! {
    async fn an_upload_keeps_to_its_length_its_owner_and_its_digest(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| {
            config.content.uploads_per_client = 2;
            config.content.max_container_bytes = 100_000;
        });
        let server = server.await;
        let (portal, other) = (server.portal("acme", SCOPES).await, server.portal("acme", SCOPES).await);
        let limits = portal.bring(Method::OPTIONS, "/v1/uploads", &[], "").await;
        assert_eq!((limits.status.as_u16(), limits.header("upload-limit")), (204, "max-size=100000, max-age=86400"));
        let tar = Archive::firmware("urn:a", 1).tar();
        let path = begin(&portal, &[], &tar[..700]).await;
        for method in [Method::HEAD, Method::DELETE] {
            assert_eq!(other.bring(method, &path, &[], "").await.status.as_u16(), 404, "it is another client's");
        }
        append(&other, &path, 700, true, &[], &tar[700..]).await.problem(404, "NOT_FOUND");
        append(&portal, &path, 700, true, &[("upload-length", "700")], b"more").await.problem(400, "INCONSISTENT_UPLOAD_LENGTH");
        append(&portal, &path, 700, true, &[], &tar[700..]).await.problem(404, "NOT_FOUND");
        let path = begin(&portal, &[("upload-length", "5000")], &tar[..700]).await;
        append(&portal, &path, 700, true, &[], &tar[700..]).await.problem(400, "INCONSISTENT_UPLOAD_LENGTH");
        begin(&portal, &[], b"").await;
        let more = portal.bring(Method::POST, "/v1/uploads", &[TAR, ("upload-complete", "?0")], "").await;
        more.problem(409, "TOO_MANY_UPLOADS");
        assert_eq!(portal.bring(Method::DELETE, &path, &[], "").await.status.as_u16(), 204);
        portal.bring(Method::DELETE, &path, &[], "").await.problem(404, "NOT_FOUND");
        let long = portal.bring(Method::POST, "/v1/uploads", &[TAR, ("upload-complete", "?0"), ("upload-length", "100001")], "").await;
        long.problem(413, "PAYLOAD_TOO_LARGE");
        let digest = format!("sha-256=:{}:", BASE64_STANDARD.encode(sha256(b"something else")));
        let whole = [TAR, ("upload-complete", "?1"), ("repr-digest", digest.as_str())];
        portal.bring(Method::POST, "/v1/uploads", &whole, tar.clone()).await.problem(400, "DIGEST_MISMATCHED_VALUES");
        let whole = [TAR, ("upload-complete", "?1")];
        let mut bad = tar.clone();
        bad[0] ^= 1;
        let refused = portal.bring(Method::POST, "/v1/uploads", &whole, bad).await;
        refused.problem(422, "CONTAINER_FORMAT_INVALID");
        let taken = portal.bring(Method::POST, "/v1/uploads", &whole, tar.clone()).await;
        assert_eq!(taken.header("upload-complete"), "?1");
        taken.of(201);
        let later = [TAR, ("upload-complete", "?1"), ("prefer", "respond-async")];
        let later = portal.bring(Method::POST, "/v1/uploads", &later, Archive::firmware("urn:b", 2).tar()).await;
        assert_eq!((later.status.as_u16(), later.header("preference-applied")), (202, "respond-async"));
        let location = later.header("location").to_owned();
        eventually("the verdict", async || portal.get(&location).await.of(200)["state"] == "AVAILABLE").await;
        server.stop().await;
    }
}

both! {
    /// What is abandoned goes: uploads, deliveries that broke off, and whoever sends too slowly.
    async fn a_sender_that_goes_away_or_dawdles_leaves_nothing(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| {
            config.content.upload_seconds = 1;
            config.content.rate_seconds = 1;
        });
        let server = server.await;
        let portal = server.portal("acme", SCOPES).await;
        let tar = Archive::new("urn:a", 1).with("CONTENT", "map", &noise(400_000)).tar();
        drop(torn(server.url(), "POST /v1/containers", &portal, tar.len(), &tar[..300_000]));
        eventually("an empty folder", async || files(&database.content()).is_empty()).await;
        let mut slow = torn(server.url(), "POST /v1/containers", &portal, tar.len(), &tar[..1_000]);
        slow.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut answer = [0; 12];
        tokio::task::spawn_blocking(move || {
            slow.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 408");
        })
        .await
        .unwrap();
        assert!(files(&database.content()).is_empty());
        assert!(database.lines("SELECT id AS line FROM containers").is_empty());
        begin(&portal, &[], &tar[..300_000]).await;
        assert_eq!(files(&database.content()).len(), 1);
        eventually("the sweep", async || {
            let (now, ids) = (server.clock.now(), server.clock.new_ids());
            server.store().write(move |tx| tx.ring_sweep(now, now, &mut ids.clone())).await.unwrap();
            files(&database.content()).is_empty() && database.lines("SELECT id AS line FROM uploads").is_empty()
        })
        .await;
        server.stop().await;
    }
}

both! {
    /// `kill -9` during upload, during delivery and while a container waits for its verdict.
    async fn a_killed_server_loses_no_byte_that_it_confirmed_and_leaves_none_behind(database: Database) {
        let store = database.store().await;
        let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
        let (client, secret) = add(&store, &Clock::System, new).await.unwrap();
        drop(store);
        let keys = toml::to_string(&Keys::mint().unwrap()).unwrap();
        let serve = || Process::serve_as(&database, &keys, "all", &[("DMWSI__TASKS__LEASE_MS", "1000")]);
        let tar = Archive::new("urn:a", 1).with("CONTENT", "map", &noise(2_000_000)).tar();
        let mut process = serve();
        let mut portal = Portal::log_in(&process.base, &client, &secret).await;
        let path = begin(&portal, &[], &tar[..1_000]).await;
        let mut confirmed = 1_000;
        for part in [500_000, 700_000] {
            let got = append(&portal, &path, confirmed, false, &[], &tar[confirmed..confirmed + part]).await;
            assert_eq!(got.status.as_u16(), 204);
            confirmed += part;
            // Killed with a part and a whole delivery under way.
            torn_part(&process.base, &path, &portal, confirmed, &tar[confirmed..], 50_000);
            let _held = torn(&process.base, "POST /v1/containers", &portal, tar.len(), &tar[..1_500_000]);
            process.kill();
            process = serve();
            portal = Portal::log_in(&process.base, &client, &secret).await;
            let there = offset(&portal, &path).await;
            assert!(there >= confirmed, "{there} {confirmed}");
            confirmed = there;
        }
        let later = [("prefer", "respond-async")];
        let accepted = append(&portal, &path, confirmed, true, &later, &tar[confirmed..]).await;
        assert_eq!(accepted.status.as_u16(), 202, "{}", accepted.text);
        let location = accepted.header("location").to_owned();
        process.kill();
        process = serve();
        let portal = Portal::log_in(&process.base, &client, &secret).await;
        eventually("the verdict", async || portal.get(&location).await.of(200)["state"] == "AVAILABLE").await;
        eventually("an orderly folder", async || files(&database.content()).iter().all(|name| name.starts_with("sha256/"))).await;
        assert_eq!(files(&database.content()).len(), 1);
        process.kill();
    }
}
