//! What a device may fetch when several containers brought the same bytes.
use dmwsi_domain::digest::Sha256Digest;
use dmwsi_domain::id::JobId;
use dmwsi_domain::{Clock, Timestamp};
use dmwsi_simulator::Behaviour;
use dmwsi_worker::download::DownloadToken;
use reqwest::Method;
use serde_json::json;

use crate::harness::archive::{Archive, TAR, hex};
use crate::harness::fetch::{Scene, ordered};
use crate::harness::handset::Handset;
use crate::harness::statements::{open, plan, sent};

both! {
    /// FU-1: each device gets what its own job names, by the names its manifest gives, and until that is withdrawn.
    async fn the_same_bytes_in_another_container_are_another_deliverable(database: Database) {
        let scene = Scene::on(&database, 5_000, Behaviour::default(), |_| ()).await;
        let (server, portal) = (&scene.server, &scene.portal);
        let mut archive = Archive::new("urn:b", 2).with("FIRMWARE", "x2-2.0.1", &scene.bytes);
        let deliverable = archive.deliverables().last_mut().unwrap();
        deliverable["version"] = json!("2.0.1");
        deliverable["mediaType"] = json!("application/x-x2");
        let container = portal.deliver("/v1/containers", &[TAR], archive.tar()).await.of(201);
        let container = format!("/v1/containers/{}", container["containerId"].as_str().unwrap());
        let handset = Handset::register(portal, server.url(), Behaviour::default()).await;
        let (_job, token) = ordered(server.store(), &server.keys, server.url(), portal, &handset, &scene.bytes).await;
        let path = format!("/downloads/{}", scene.tokens().mint(&token));
        let get = async |path: &str, accept: &str| server.send(Method::GET, path, &[("accept", accept)], "").await;
        let described = get(&path, "application/vnd.oma.dd+xml").await;
        for part in ["<name>x2-2.0.1</name>", "<type>application/x-x2</type>", "<description>version 2.0.1</description>"] {
            assert!(described.text.contains(part), "{part} {}", described.text);
        }
        assert_eq!(get(&path, "*/*").await.header("content-type"), "application/x-x2");
        assert_eq!(get(&scene.path(), "*/*").await.header("content-type"), "application/octet-stream");
        portal.post(&format!("{}/withdraw", scene.container), &json!({})).await.of(200);
        assert_eq!((get(&scene.path(), "*/*").await.status.as_u16(), get(&path, "*/*").await.status.as_u16()), (404, 200));
        portal.post(&format!("{container}/withdraw"), &json!({})).await.of(200);
        assert_eq!(get(&path, "*/*").await.status.as_u16(), 404);
        scene.server.stop().await;
    }

    /// Whether what is under way may go on is asked for all of it together.
    async fn downloads_are_looked_at_again_all_at_once(database: Database) {
        let scene = Scene::on(&database, 5_000, Behaviour::default(), |_| ()).await;
        let store = open(&database);
        let DownloadToken { job, ordinal, payload, .. } = scene.token;
        let good = (job, ordinal, payload);
        let other = Archive::new("urn:b", 2).with("FIRMWARE", "x2", b"other bytes");
        scene.portal.deliver("/v1/containers", &[TAR], other.tar()).await.of(201);
        let foreign: Sha256Digest = hex(b"other bytes").parse().unwrap();
        let bad = vec![(job, ordinal + 1, payload), (job, ordinal, foreign), (JobId::new(Clock::System.new_id()), ordinal, payload)];
        let asked: Vec<_> = bad.iter().copied().chain([good]).collect();
        let look = async |at: Timestamp| {
            let asked = asked.clone();
            store.read(move |tx| tx.served_no_more(&asked, at)).await.unwrap()
        };
        let now = Clock::System.now();
        let statements = sent(async { assert_eq!(look(now).await, bad) }).await;
        assert_eq!(statements.len(), 3, "{statements:?}");
        for statement in &statements {
            let plan = plan(&database, statement);
            assert!(!plan.contains("Seq Scan") && !plan.replace("SCAN asked", "").contains("SCAN "), "{statement}\n{plan}");
        }
        scene.portal.post(&format!("{}/withdraw", scene.container), &json!({})).await.of(200);
        assert_eq!(look(now).await, asked);
        scene.server.stop().await;
    }
}
