//! Parts of uploads: who comes at the same time, what is said of the whole, and what is answered again.
use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use futures_util::future::join_all;
use openssl::sha::{sha256, sha512};
use reqwest::Method;

use crate::harness::archive::{Archive, SCOPES, TAR, files};
use crate::harness::eventually;
use crate::harness::server::Server;
use crate::harness::upload::{PART, append, begin, offset};

fn sha_256(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(sha256(bytes)))
}

fn sha_512(bytes: &[u8]) -> String {
    format!("sha-512=:{}:", BASE64_STANDARD.encode(sha512(bytes)))
}

both! {
    /// UC-10: senders that lost patience and asked again are answered by the one verdict that there is.
    async fn a_last_part_that_comes_twice_at_once_is_judged_once(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        for (number, headers) in [(1, &[][..]), (2, &[("prefer", "respond-async")][..])] {
            let tar = Archive::new(&format!("urn:{number}"), number).with("CONTENT", "map", &vec![7; 300_000]).tar();
            let path = begin(&portal, &[], &tar).await;
            let last = || append(&portal, &path, tar.len(), true, headers, b"");
            let answers = join_all((0..6).map(|_| last())).await;
            let mut judged = Vec::new();
            for got in &answers {
                match got.status.as_u16() {
                    200..=202 => judged.push(got.json()["containerId"].clone()),
                    // Who came later took over before this one had its turn.
                    _ => drop(got.problem(409, "ABORTED")),
                }
            }
            assert!(!judged.is_empty() && judged.iter().all(|id| *id == judged[0]), "{answers:?}");
            let known = database.lines("SELECT id AS line FROM containers");
            assert_eq!(known.len(), usize::try_from(number).unwrap(), "{known:?}");
        }
        server.stop().await;
    }

    /// FU-1: what the whole hashes to may be said with any part; it counts at the end, and nobody may say something else.
    async fn what_is_said_of_the_whole_with_any_part_counts(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let tar = Archive::firmware("urn:a", 1).tar();
        let (right, wrong) = (sha_256(&tar), sha_256(b"something else"));
        let path = begin(&portal, &[], &tar[..100]).await;
        let part = append(&portal, &path, 100, false, &[("repr-digest", &wrong)], &tar[100..200]).await;
        assert_eq!(part.status.as_u16(), 204, "{}", part.text);
        let other = append(&portal, &path, 200, false, &[("repr-digest", &right)], &tar[200..300]).await;
        other.problem(400, "DIGEST_MISMATCHED_VALUES");
        assert_eq!(offset(&portal, &path).await, 200, "nothing of a part that contradicts is there");
        append(&portal, &path, 200, true, &[], &tar[200..]).await.problem(400, "DIGEST_MISMATCHED_VALUES");
        append(&portal, &path, tar.len(), true, &[], b"").await.problem(404, "NOT_FOUND");
        // Both kinds, said at different times, of one upload that has a length.
        let path = begin(&portal, &[("repr-digest", &right)], &tar[..100]).await;
        let (length, more) = (tar.len().to_string(), (tar.len() + 1).to_string());
        let said = [("repr-digest", sha_512(&tar)), ("upload-length", length)];
        let said = said.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_eq!(append(&portal, &path, 100, false, &said, &tar[100..200]).await.status.as_u16(), 204);
        for (name, value) in [("repr-digest", sha_512(b"something else")), ("repr-digest", wrong.clone())] {
            append(&portal, &path, 200, false, &[(name, &value)], b"").await.problem(400, "DIGEST_MISMATCHED_VALUES");
        }
        append(&portal, &path, 200, false, &[("upload-length", &more)], b"").await.problem(400, "INCONSISTENT_UPLOAD_LENGTH");
        append(&portal, &path, 200, true, &[], &tar[200..]).await.of(201);
        // A container that comes in one piece is asked the same.
        let both = [TAR, ("content-digest", &sha_512(&tar)), ("repr-digest", &sha_512(b"something else"))];
        portal.deliver("/v1/containers", &both, tar.clone()).await.problem(400, "DIGEST_MISMATCHED_VALUES");
        let path = begin(&portal, &[], &tar).await;
        append(&portal, &path, tar.len(), true, &[("repr-digest", &sha_512(b"x"))], b"").await.problem(400, "DIGEST_MISMATCHED_VALUES");
        assert_eq!(files(&database.content()).len(), 1);
        server.stop().await;
    }

    async fn a_part_without_its_headers_or_of_another_kind_changes_nothing(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let tar = Archive::firmware("urn:a", 1).tar();
        let (json, complete) = (("content-type", "application/json"), ("upload-complete", "?1"));
        let begun = async |headers: &[(&str, &str)]| portal.bring(Method::POST, "/v1/uploads", headers, tar.clone()).await;
        begun(&[TAR]).await.problem(400, "INVALID_ARGUMENT");
        begun(&[TAR, ("upload-complete", "1")]).await.problem(400, "INVALID_ARGUMENT");
        begun(&[json, complete]).await.problem(415, "UNSUPPORTED_MEDIA_TYPE");
        begun(&[PART, complete]).await.problem(415, "UNSUPPORTED_MEDIA_TYPE");
        assert!(database.lines("SELECT id AS line FROM uploads").is_empty() && files(&database.content()).is_empty());
        let path = begin(&portal, &[], &tar[..100]).await;
        let sent = async |headers: &[(&str, &str)]| portal.bring(Method::PATCH, &path, headers, tar[100..].to_vec()).await;
        sent(&[PART, complete]).await.problem(400, "INVALID_ARGUMENT");
        sent(&[PART, ("upload-offset", "100")]).await.problem(400, "INVALID_ARGUMENT");
        sent(&[PART, complete, ("upload-offset", "100.0")]).await.problem(400, "INVALID_ARGUMENT");
        sent(&[PART, complete, ("upload-offset", "100"), ("upload-length", "-1")]).await.problem(400, "INVALID_ARGUMENT");
        for kind in [TAR, json] {
            let refused = sent(&[kind, complete, ("upload-offset", "100")]).await;
            refused.problem(415, "UNSUPPORTED_MEDIA_TYPE");
            assert_eq!(refused.header("accept-patch"), PART.1);
        }
        assert_eq!(offset(&portal, &path).await, 100);
        append(&portal, &path, 100, true, &[], &tar[100..]).await.of(201);
        server.stop().await;
    }

    /// UC-10: whoever asks again after 202 learns what became of it, also when that was taken before, or refused.
    async fn the_last_part_of_a_container_that_is_judged_later_is_answered_by_its_verdict(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let tar = Archive::firmware("urn:a", 1).tar();
        let later = [("prefer", "respond-async")];
        let mut bad = tar.clone();
        bad[0] ^= 1;
        let mut first = None;
        for (tar, status) in [(&tar, 201), (&tar, 200), (&bad, 422)] {
            let path = begin(&portal, &[], &tar[..100]).await;
            let accepted = append(&portal, &path, 100, true, &later, &tar[100..]).await;
            assert_eq!((accepted.header("preference-applied"), accepted.header("upload-complete")), ("respond-async", "?1"));
            accepted.of(202);
            let again = || append(&portal, &path, tar.len(), true, &[], b"");
            eventually("the verdict", async || again().await.status.as_u16() != 202).await;
            let got = again().await;
            assert_eq!((got.status.as_u16(), got.header("upload-complete")), (status, "?1"), "{}", got.text);
            if status < 300 {
                let container = got.json();
                assert_eq!((&container["state"], container["verdicts"].as_array().unwrap().len()), (&"AVAILABLE".into(), 1));
                assert_eq!(*first.get_or_insert_with(|| container.clone()), container);
            }
        }
        // One that is judged at once, and was taken before.
        let path = begin(&portal, &[], &tar[..100]).await;
        assert_eq!(append(&portal, &path, 100, true, &[], &tar[100..]).await.of(200), first.clone().unwrap());
        assert_eq!(append(&portal, &path, tar.len(), true, &[], b"").await.of(200), first.unwrap());
        server.stop().await;
    }

    async fn uploads_begun_at_once_are_counted_together(database: Database) {
        const MOST: u32 = 3;
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| config.content.uploads_per_client = MOST);
        let server = server.await;
        let (portal, other) = (server.portal("acme", SCOPES).await, server.portal("acme", SCOPES).await);
        let begin = || portal.bring(Method::POST, "/v1/uploads", &[TAR, ("upload-complete", "?0")], "");
        let answers = join_all((0..16).map(|_| begin())).await;
        let (begun, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|got| got.status.as_u16() == 201);
        refused.iter().for_each(|got| drop(got.problem(409, "TOO_MANY_UPLOADS")));
        assert_eq!(begun.len(), usize::try_from(MOST).unwrap());
        let theirs = other.bring(Method::POST, "/v1/uploads", &[TAR, ("upload-complete", "?0")], "").await;
        assert_eq!(theirs.status.as_u16(), 201, "each client has its own");
        server.stop().await;
    }

    /// What is held by whoever appends to it or judges it is not taken away when its time is over, but afterwards.
    async fn an_upload_that_is_at_work_when_its_time_is_over_may_end(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| config.content.upload_seconds = 1).await;
        let portal = server.portal("acme", SCOPES).await;
        begin(&portal, &[], b"part").await;
        let held = std::fs::File::open(database.content().join(&files(&database.content())[0])).unwrap();
        held.lock().unwrap();
        begin(&portal, &[], b"another").await;
        let rows = || database.lines("SELECT id AS line FROM uploads").len();
        let swept = async |left: usize| {
            eventually("the sweep", async || {
                let (now, ids) = (server.clock.now(), server.clock.new_ids());
                server.store().write(move |tx| tx.ring_sweep(now, now, &mut ids.clone())).await.unwrap();
                (rows(), files(&database.content()).len()) == (left, left)
            })
            .await;
        };
        swept(1).await;
        drop(held);
        swept(0).await;
        server.stop().await;
    }
}
