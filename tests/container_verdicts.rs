//! Between a container's last byte and its verdict, and what others see of it.
use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use reqwest::Method;
use serde_json::json;

use crate::containers::faults;
use crate::harness::archive::{Archive, SCOPES, TAR, files, hex};
use crate::harness::server::Server;
use crate::harness::{Database, eventually};

const LATER: (&str, &str) = ("prefer", "respond-async");
const WHOLE: (&str, &str) = ("upload-complete", "?1");

/// From now on no verdict can be written; what gives them back.
fn hold_verdicts(database: &Database) -> &'static str {
    if database.is_postgres() {
        database.execute("CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'held'; END $$");
        database.execute("CREATE TRIGGER held BEFORE UPDATE ON containers FOR EACH ROW EXECUTE FUNCTION hold()");
        "DROP TRIGGER held ON containers"
    } else {
        database.execute("CREATE TRIGGER held BEFORE UPDATE ON containers BEGIN SELECT RAISE(ABORT, 'held'); END");
        "DROP TRIGGER held"
    }
}

both! {
    /// UC-10: nothing of a container is seen, named or handed out before its verdict; and the verdict comes however often writing it failed.
    async fn what_waits_for_its_verdict_is_not_distributed(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", &format!("{SCOPES} jobs:write jobs:read")).await;
        let give_back = hold_verdicts(&database);
        let got = portal.deliver("/v1/containers", &[TAR, LATER], Archive::firmware("urn:a", 1).tar()).await;
        let path = got.header("location").to_owned();
        got.of(202);
        let attempts = || database.lines("SELECT CAST(attempt AS TEXT) AS line FROM tasks WHERE queue = 'container.ingest.v1'");
        eventually("an attempt that failed", async || attempts().iter().any(|count| count != "0")).await;
        let container = portal.get(&path).await.of(200);
        assert_eq!((&container["state"], &container["bytes"]), (&json!("VERIFYING"), &json!(0)));
        assert!(container["verdicts"].as_array().is_none_or(Vec::is_empty) && container["manifest"].is_null(), "{container}");
        for list in ["/v1/deliverables", "/v1/deliverables?kind=FIRMWARE"] {
            assert_eq!(portal.get(list).await.of(200)["items"], json!([]), "{list}");
        }
        assert!(database.lines("SELECT path AS line FROM content_references").is_empty());
        assert_eq!(portal.post(&format!("{path}/withdraw"), &json!({})).await.status, 409);
        database.execute(give_back);
        eventually("the verdict", async || portal.get(&path).await.of(200)["state"] == "AVAILABLE").await;
        assert_eq!(portal.get("/v1/deliverables").await.of(200)["items"].as_array().unwrap().len(), 1);
        server.stop().await;
    }
}

both! {
    /// UC-9, UC-10: the same faults, when the container is judged later and when it came by an upload.
    async fn every_kind_of_bad_container_is_refused_whatever_way_it_comes(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        for (what, tar, code, names) in faults() {
            let uploaded = portal.bring(Method::POST, "/v1/uploads", &[TAR, WHOLE], tar.clone()).await;
            let detail = uploaded.problem(422, code)["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(names), "{what}: {detail}");
            let later = portal.deliver("/v1/containers", &[TAR, LATER], tar).await;
            let path = later.header("location").to_owned();
            assert_eq!(later.of(202)["state"], "VERIFYING", "{what}");
            eventually("the refusal", async || portal.get(&path).await.of(200)["state"] == "REJECTED").await;
            let container = portal.get(&path).await.of(200);
            assert_eq!(container["fault"]["code"], code, "{what}");
            assert!(detail.contains(container["fault"]["detail"].as_str().unwrap()), "{what}: {container}");
        }
        eventually("an empty folder", async || files(&database.content()).is_empty()).await;
        server.stop().await;
    }
}

both! {
    /// UC-10: what two organisations delivered is one file, which goes with the last of them.
    async fn content_of_another_organisation_survives_a_withdrawal(database: Database) {
        let settings = |config: &mut Config| config.content.unreferenced_seconds = 0;
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, settings).await;
        let sweep = async || {
            let (now, ids) = (server.clock.now(), server.clock.new_ids());
            server.store().write(move |tx| tx.ring_sweep(now, now, &mut ids.clone())).await.unwrap();
        };
        let mut withdrawn = Vec::new();
        for organisation in ["acme", "other"] {
            let portal = server.portal(organisation, SCOPES).await;
            let own = Archive::firmware("urn:a", 1).with("CONTENT", organisation, organisation.as_bytes());
            let container = portal.deliver("/v1/containers", &[TAR], own.tar()).await.of(201);
            withdrawn.push((portal, format!("/v1/containers/{}/withdraw", container["containerId"].as_str().unwrap())));
        }
        let file = |bytes: &[u8]| {
            let digest = hex(bytes);
            format!("sha256/{}/{}", &digest[..2], &digest[2..])
        };
        let shared = file(b"the new firmware");
        assert_eq!(files(&database.content()).len(), 3);
        for (portal, path) in &withdrawn {
            portal.post(path, &json!({})).await.of(200);
            let is_first = portal.organisation == withdrawn[0].0.organisation;
            let mut expected = if is_first { vec![shared.clone(), file(b"other")] } else { Vec::new() };
            expected.sort();
            eventually("the collection", async || {
                sweep().await;
                files(&database.content()) == expected
            })
            .await;
        }
        server.stop().await;
    }
}
