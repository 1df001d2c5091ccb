//! Containers: delivered, judged, read about and withdrawn.
use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use openssl::sha::sha256;
use serde_json::{Value, json};

use crate::harness::archive::{Archive, SCOPES, TAR, files, header, hex, member};
use crate::harness::server::{Got, Portal, Server};
use crate::harness::{Database, eventually};

async fn deliver(portal: &Portal, tar: Vec<u8>) -> Got {
    deliver_as(portal, "", &[], tar).await
}

async fn deliver_as(portal: &Portal, query: &str, headers: &[(&str, &str)], tar: Vec<u8>) -> Got {
    let mut all = vec![TAR];
    all.extend(headers);
    portal.deliver(&format!("/v1/containers{query}"), &all, tar).await
}

fn id(container: &Value) -> String {
    container["containerId"].as_str().unwrap().to_owned()
}

/// Has the standing task look now.
async fn sweep(server: &Server) {
    let (now, ids) = (server.clock.now(), server.clock.new_ids());
    server.store().write(move |tx| tx.ring_sweep(now, now, &mut ids.clone())).await.unwrap();
}

/// The events of containers, by type.
fn told(database: &Database) -> Vec<String> {
    database.lines("SELECT type AS line FROM events WHERE type LIKE '%container-%' ORDER BY id")
}

both! {
    /// HL-INGEST1, HL-INGEST3, UC-10, AD-3: a container of each kind, and one of four kinds with two of one kind for different models.
    async fn a_container_of_each_kind_and_one_of_all_kinds_come_in(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let settings = json!([{"path": "./Browser/Fav/1/URL", "value": "https://start.example"}]);
        for (number, kind) in (1..).zip(["FIRMWARE", "SOFTWARE_COMPONENT", "CONTENT", "CONFIGURATION"]) {
            let mut archive = Archive::new(&format!("urn:{kind}"), number);
            archive = match kind {
                "CONFIGURATION" => {
                    let mut archive = archive.with(kind, "settings", b"");
                    archive.members.clear();
                    archive.deliverables()[0]["payloads"] = json!([]);
                    archive.deliverables()[0]["dm"] = json!({"configuration": settings});
                    archive
                }
                _ => archive.with(kind, "one", kind.as_bytes()),
            };
            let got = deliver(&portal, archive.tar()).await;
            let location = got.header("location").to_owned();
            let container = got.of(201);
            assert_eq!((container["state"].as_str(), container["verdicts"][0]["status"].as_str()), (Some("AVAILABLE"), Some("ACCEPTED")));
            assert_eq!(portal.get(&location).await.of(200), container);
            let deliverable = container["verdicts"][0]["deliverableId"].as_str().unwrap();
            let deliverable = portal.get(&format!("/v1/deliverables/{deliverable}")).await.of(200);
            assert_eq!((&deliverable["kind"], &deliverable["state"]), (&json!(kind), &json!("AVAILABLE")));
        }
        let mut all = Archive::new("urn:all", 10);
        for (kind, name) in [("FIRMWARE", "x1"), ("FIRMWARE", "x2"), ("SOFTWARE_COMPONENT", "app"), ("CONTENT", "map"), ("CONFIGURATION", "apn")] {
            all = all.with(kind, name, name.as_bytes());
        }
        all.deliverables()[1]["targets"][0]["models"] = json!(["X2"]);
        let container = deliver(&portal, all.tar()).await.of(201);
        assert_eq!(container["verdicts"].as_array().unwrap().len(), 5);
        let list = portal.get(&format!("/v1/deliverables?containerId={}&kind=FIRMWARE", id(&container))).await.of(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 2);
        assert_eq!(list["items"][0]["manifest"]["targets"][0]["models"], json!(["X2"]), "the newest first");
        let page = portal.get("/v1/containers?state=AVAILABLE&perPage=2").await.of(200);
        let next = page["nextCursor"].as_str().unwrap();
        assert_eq!(page["items"][0]["reference"], "urn:all");
        let rest = portal.get(&format!("/v1/containers?state=AVAILABLE&perPage=2&cursor={next}")).await.of(200);
        assert_eq!(rest["items"].as_array().unwrap().len(), 2);
        assert_eq!(told(&database).iter().filter(|kind| kind.as_str() == "dmwsi.v1.container-available").count(), 5);
        let digest = hex(b"map");
        assert!(files(&database.content()).contains(&format!("sha256/{}/{}", &digest[..2], &digest[2..])));
        server.stop().await;
    }
}

both! {
    /// UC-10: the same container is the same one, other bytes under its id are another; the number grows.
    async fn a_container_is_known_by_its_id_and_its_bytes(database: Database) {
        let server = Server::on(&database).await;
        let (first, second) = (server.portal("acme", SCOPES).await, server.portal("other", SCOPES).await);
        let tar = Archive::firmware("urn:a", 7).tar();
        let container = deliver(&first, tar.clone()).await.of(201);
        let again = deliver(&first, tar.clone()).await.of(200);
        assert_eq!(again, container);
        let kept = files(&database.content());
        let changed = Archive::new("urn:a", 8).with("FIRMWARE", "x1-2.0.0", b"another firmware").tar();
        deliver(&first, changed).await.problem(409, "CONTAINER_ID_REUSED");
        for number in [7, 6] {
            let old = Archive::firmware(&format!("urn:b{number}"), number).tar();
            let refused = deliver(&first, old).await;
            refused.problem(422, "SEQUENCE_REPLAY");
            assert_eq!(refused.pointers()[0], "/sequenceNumber");
        }
        assert_eq!(files(&database.content()), kept);
        // Another organisation knows nothing of this one, and may use the same ids.
        second.get(&format!("/v1/containers/{}", id(&container))).await.problem(404, "NOT_FOUND");
        let own = deliver(&second, tar).await.of(201);
        assert_ne!(id(&own), id(&container));
        assert_eq!(files(&database.content()), kept, "the content is there once");
        let deliverable = container["verdicts"][0]["deliverableId"].as_str().unwrap();
        second.get(&format!("/v1/deliverables/{deliverable}")).await.problem(404, "NOT_FOUND");
        server.stop().await;
    }
}

both! {
    /// UC-10: the same file, unchanged, at a second server; and two external systems at the same time.
    async fn many_deliver_at_once_and_another_server_takes_the_same_file(database: Database) {
        let server = Server::on(&database).await;
        let portals = [server.portal("acme", SCOPES).await, server.portal("other", SCOPES).await];
        let archive = Archive::new("urn:big", 1).with("CONTENT", "map", &vec![7; 300_000]);
        let both = tokio::join!(deliver(&portals[0], archive.tar()), deliver(&portals[1], archive.tar()));
        let (left, right) = (both.0.of(201), both.1.of(201));
        assert_ne!(id(&left), id(&right));
        // The same container twice at the same moment is one container.
        let same = Archive::firmware("urn:same", 5).tar();
        let answers = tokio::join!(deliver(&portals[0], same.clone()), deliver(&portals[0], same.clone()), deliver(&portals[0], same));
        let mut statuses = [&answers.0, &answers.1, &answers.2].map(|got| got.status.as_u16());
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 201]);
        server.stop().await;

        let other = Database::sqlite();
        let second = Server::on(&other).await;
        deliver(&second.portal("acme", SCOPES).await, archive.tar()).await.of(201);
        second.stop().await;
    }
}

both! {
    /// UC-10: one bad item among good ones is reported by item; all or nothing, unless part is allowed.
    async fn one_bad_item_is_told_and_spoils_the_rest_unless_part_is_allowed(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut archive = Archive::firmware("urn:a", 1).with("CONTENT", "map", b"a map").with("CONTENT", "bad", b"a bad one");
        archive.members[2].1 = b"ANOTHER 1".to_vec();
        archive.deliverables().push(json!({"deliverableId": "toy", "kind": "TOY"}));
        let refused = deliver(&portal, archive.tar()).await;
        refused.problem(422, "DIGEST_MISMATCH");
        let location = refused.header("location").to_owned();
        let container = portal.get(&location).await.of(200);
        let verdict = |at: usize| container["verdicts"][at]["fault"]["code"].as_str().unwrap().to_owned();
        assert_eq!(container["state"], "REJECTED");
        assert_eq!([verdict(0), verdict(1), verdict(2), verdict(3)], ["CONTAINER_REJECTED", "CONTAINER_REJECTED", "DIGEST_MISMATCH", "MANIFEST_INVALID"]);
        assert_eq!(container["verdicts"][3]["fault"]["pointer"], "/deliverables/3/kind");
        assert!(files(&database.content()).is_empty());

        let container = deliver_as(&portal, "?partialAccept=true", &[], archive.tar()).await.of(201);
        let status = |at: usize| container["verdicts"][at]["status"].as_str().unwrap().to_owned();
        assert_eq!([status(0), status(1), status(2), status(3)], ["ACCEPTED", "ACCEPTED", "REJECTED", "REJECTED"]);
        assert_eq!(files(&database.content()).len(), 2);
        let list = portal.get("/v1/deliverables").await.of(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 2);
        server.stop().await;
    }
}

both! {
    /// UC-10: acknowledged with a tracking id, judged later under the same id; not distributable before.
    async fn a_container_is_judged_later_where_that_is_preferred(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let later = [("prefer", "respond-async")];
        let tar = Archive::firmware("urn:a", 1).tar();
        let got = deliver_as(&portal, "", &later, tar.clone()).await;
        assert_eq!((got.status.as_u16(), got.header("preference-applied")), (202, "respond-async"));
        let location = got.header("location").to_owned();
        assert_eq!(got.of(202)["state"], "VERIFYING");
        let state = async |location: &str| portal.get(location).await.of(200)["state"].as_str().unwrap().to_owned();
        eventually("the verdict", async || state(&location).await == "AVAILABLE").await;
        assert_eq!(told(&database), ["dmwsi.v1.container-received", "dmwsi.v1.container-available"]);
        // The same bytes again turn out to be the same container, also under their own tracking id.
        let again = deliver_as(&portal, "", &later, tar).await;
        let tracked = again.header("location").to_owned();
        assert_ne!(tracked, location);
        eventually("the repetition", async || state(&tracked).await == "AVAILABLE").await;
        assert_eq!(portal.get(&tracked).await.of(200), portal.get(&location).await.of(200));
        assert_eq!(portal.get("/v1/containers").await.of(200)["items"].as_array().unwrap().len(), 1);

        let bad = Archive::firmware("urn:b", 1).tar();
        let bad = deliver_as(&portal, "", &later, bad).await.header("location").to_owned();
        eventually("the refusal", async || state(&bad).await == "REJECTED").await;
        assert_eq!(portal.get(&bad).await.of(200)["fault"]["code"], "SEQUENCE_REPLAY");
        eventually("an empty waiting room", async || files(&database.content()).iter().all(|name| name.starts_with("sha256/"))).await;
        server.stop().await;
    }
}

both! {
    async fn what_is_withdrawn_is_not_distributed_and_its_content_is_collected(database: Database) {
        let settings = |config: &mut dmwsi::config::Config| {
            config.content.organisation_containers = 2;
            config.content.unreferenced_seconds = 0;
        };
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, settings).await;
        let (portal, other) = (server.portal("acme", SCOPES).await, server.portal("other", SCOPES).await);
        let first = Archive::firmware("urn:a", 1);
        let container = deliver(&portal, first.tar()).await.of(201);
        let shared = deliver(&portal, Archive::new("urn:b", 2).with("CONTENT", "own", b"own").with("CONTENT", "same", b"the new firmware").tar()).await.of(201);
        deliver(&portal, Archive::new("urn:c", 3).with("CONTENT", "c", b"c").tar()).await.problem(422, "QUOTA_EXCEEDED");
        let path = format!("/v1/containers/{}/withdraw", id(&shared));
        other.post(&path, &json!({})).await.problem(404, "NOT_FOUND");
        for _ in 0..2 {
            assert_eq!(portal.post(&path, &json!({})).await.of(200)["state"], "WITHDRAWN");
        }
        let list = portal.get("/v1/deliverables?state=WITHDRAWN").await.of(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 2);
        assert_eq!(told(&database).iter().filter(|kind| kind.ends_with("withdrawn")).count(), 1);
        let digest = hex(b"the new firmware");
        let kept = vec![format!("sha256/{}/{}", &digest[..2], &digest[2..])];
        eventually("the collection", async || {
            sweep(&server).await;
            files(&database.content()) == kept
        })
        .await;
        assert_eq!(database.lines("SELECT digest AS line FROM contents"), [digest]);
        assert_eq!(portal.get(&format!("/v1/containers/{}", id(&container))).await.of(200)["state"], "AVAILABLE");
        server.stop().await;
    }
}

both! {
    /// OES2: a flipped bit on the way is told from a wrong container.
    async fn a_digest_in_the_header_must_be_right(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut tar = Archive::firmware("urn:a", 1).tar();
        let digest = format!("sha-256=:{}:", BASE64_STANDARD.encode(sha256(&tar)));
        let at = tar.len() - 1500;
        tar[at] ^= 1;
        for name in ["content-digest", "repr-digest"] {
            deliver_as(&portal, "", &[(name, &digest)], tar.clone()).await.problem(400, "DIGEST_MISMATCHED_VALUES");
        }
        deliver_as(&portal, "", &[("content-digest", "md5=:AAAA:")], tar.clone()).await.problem(400, "INVALID_ARGUMENT");
        assert!(files(&database.content()).is_empty() && told(&database).is_empty());
        tar[at] ^= 1;
        deliver_as(&portal, "", &[("content-digest", &digest)], tar).await.of(201);
        server.stop().await;
    }
}

/// Every fault of an archive: what it is, its bytes, the code, and what the detail names.
pub(crate) fn faults() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let good = || Archive::firmware("urn:x", 1);
    let tar = |manifest: &Value, rest: &[Vec<u8>]| {
        let mut tar = member("manifest.json", manifest.to_string().as_bytes());
        rest.iter().for_each(|part| tar.extend(part));
        tar
    };
    let (manifest, end) = (good().manifest, vec![0; 1024]);
    let payload = || member("payloads/x1-2.0.0.bin", b"the new firmware");
    let odd =
        |at: usize, bytes: &[u8]| tar(&manifest, &[header("payloads/x1-2.0.0.bin", 16, at, bytes), vec![0; 512], end.clone()]);
    let with = |pointer: &str, value: Value| {
        let mut archive = good();
        *archive.manifest.pointer_mut(pointer).unwrap() = value;
        archive.tar()
    };
    let mut wrong_bytes = good();
    wrong_bytes.members[0].1 = b"the old firmware".to_vec();
    let mut longer = good();
    longer.members[0].1.push(b'!');
    let mut missing = good();
    missing.members.clear();
    let mut extra = good();
    extra.members.push(("payloads/extra.bin".into(), b"x".to_vec()));
    let mut twice = good();
    twice.members.push(("payloads/X1-2.0.0.BIN".into(), b"x".to_vec()));
    let mut expired = good();
    expired.manifest["expiresAt"] = json!("2020-01-01T00:00:00Z");
    let mut critical = good();
    critical.manifest["critical"] = json!(["antigravity"]);
    let whole = good().tar();
    let mut dirty = whole.clone();
    let at = dirty.len() - 1024 - 10;
    dirty[at] = 1;
    let mut checksum = whole.clone();
    checksum[0] ^= 1;
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(1_000), "]".repeat(1_000));
    vec![
        ("a wrong digest", wrong_bytes.tar(), "DIGEST_MISMATCH", "x1-2.0.0.bin"),
        ("another length", longer.tar(), "SIZE_MISMATCH", "x1-2.0.0.bin"),
        ("a missing member", missing.tar(), "MEMBER_MISSING", "x1-2.0.0.bin"),
        ("an extra member", extra.tar(), "MEMBER_UNEXPECTED", "extra.bin"),
        ("a duplicate name", twice.tar(), "CONTAINER_FORMAT_INVALID", "X1-2.0.0.BIN"),
        ("a name with ..", odd(0, b"../../etc/passwd\0\0\0\0\0\0\0\0"), "CONTAINER_FORMAT_INVALID", "../../etc/passwd"),
        ("an absolute name", odd(0, b"/etc/passwd\0\0\0\0\0\0\0\0\0\0\0"), "CONTAINER_FORMAT_INVALID", "/etc/passwd"),
        ("a hard link", odd(156, b"1"), "CONTAINER_FORMAT_INVALID", "no regular file"),
        ("a symbolic link", odd(156, b"2"), "CONTAINER_FORMAT_INVALID", "no regular file"),
        ("a folder", odd(156, b"5"), "CONTAINER_FORMAT_INVALID", "no regular file"),
        ("a sparse file", odd(156, b"S"), "CONTAINER_FORMAT_INVALID", "no regular file"),
        ("a long name of GNU", odd(156, b"L"), "CONTAINER_FORMAT_INVALID", "no regular file"),
        ("a header of pax", odd(156, b"x"), "CONTAINER_FORMAT_INVALID", "no regular file"),
        ("a length that lies", odd(124, b"00000001000\0"), "SIZE_MISMATCH", "x1-2.0.0.bin"),
        ("a length of GNU", odd(124, b"\x80\0\0\0\0\0\0\0\0\0\0\x10"), "CONTAINER_FORMAT_INVALID", "length"),
        ("a huge length", odd(124, b"77777777777\0"), "LIMIT_EXCEEDED", "x1-2.0.0.bin"),
        ("a wrong checksum", checksum, "CONTAINER_FORMAT_INVALID", "checksum"),
        ("dirty padding", dirty, "CONTAINER_FORMAT_INVALID", "x1-2.0.0.bin"),
        ("no end", tar(&manifest, &[payload()]), "CONTAINER_FORMAT_INVALID", "too early"),
        ("half an end", tar(&manifest, &[payload(), vec![0; 512]]), "CONTAINER_FORMAT_INVALID", "too early"),
        ("a torn payload", whole[..whole.len() - 1600].to_vec(), "CONTAINER_FORMAT_INVALID", "too early"),
        ("something behind", [whole.clone(), vec![1]].concat(), "CONTAINER_FORMAT_INVALID", "followed"),
        ("nothing", vec![], "CONTAINER_FORMAT_INVALID", "too early"),
        ("gzip", [vec![0x1f, 0x8b, 8, 0], vec![7; 2_000]].concat(), "CONTAINER_FORMAT_INVALID", "checksum"),
        ("a manifest in the second place", [payload(), whole.clone()].concat(), "CONTAINER_FORMAT_INVALID", "manifest.json"),
        (
            "a manifest of 50 MB",
            [member("manifest.json", &vec![b' '; 50_000_000]), end.clone()].concat(),
            "LIMIT_EXCEEDED",
            "manifest.json",
        ),
        ("JSON 1,000 deep", [member("manifest.json", deep.as_bytes()), end.clone()].concat(), "MANIFEST_INVALID", "too deep"),
        ("no JSON", [member("manifest.json", b"{"), end].concat(), "MANIFEST_INVALID", "manifest.json"),
        ("an unknown kind", with("/deliverables/0/kind", json!("TOY")), "MANIFEST_INVALID", "TOY"),
        ("another format", with("/formatVersion", json!(9)), "UNSUPPORTED", "version"),
        ("a critical member", critical.tar(), "UNSUPPORTED_CRITICAL", ""),
        ("its time over", expired.tar(), "CONTAINER_EXPIRED", ""),
        ("more than there is room for", with("/deliverables/0/payloads/0/size", json!(1_u64 << 40)), "QUOTA_EXCEEDED", ""),
    ]
}

both! {
    /// UC-9: whatever is wrong, it is told, nothing of it stays on disk, and the next good container comes in.
    async fn every_kind_of_bad_container_is_refused_and_leaves_nothing(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        for (what, tar, code, names) in faults() {
            let got = deliver(&portal, tar).await;
            assert!(got.status.is_client_error(), "{what}: {} {}", got.status, got.text);
            let problem = got.problem(422, code);
            assert!(problem["detail"].as_str().unwrap().contains(names), "{what}: {problem}");
            let container = portal.get(got.header("location")).await.of(200);
            assert_eq!((&container["state"], &container["fault"]["code"]), (&json!("REJECTED"), &json!(code)), "{what}");
            assert!(files(&database.content()).is_empty(), "{what}: {:?}", files(&database.content()));
        }
        deliver(&portal, Archive::firmware("urn:x", 1).tar()).await.of(201);
        let json = [("content-type", "application/json")];
        portal.deliver("/v1/containers", &json, b"{}".to_vec()).await.problem(415, "UNSUPPORTED_MEDIA_TYPE");
        server.stop().await;
    }
}
