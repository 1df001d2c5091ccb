//! Containers between the processes of one server, and from the command to the server.
use std::process::Command;

use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_simulator::{Behaviour, sample_package};
use serde_json::json;

use crate::harness::archive::{Archive, SCOPES, TAR, files};
use crate::harness::fetch::{self, ordered, tokens};
use crate::harness::handset::Handset;
use crate::harness::process::Process;
use crate::harness::server::{Portal, Server};
use crate::harness::{Database, eventually};

/// UC-10, AD-12: delivered at one process, judged by another, fetched by a device from a third, withdrawn at a fourth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_share_a_folder_serve_one_container() {
    let Some(database) = Database::postgres() else { return };
    let store = database.store().await;
    let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: fetch::SCOPES.parse().unwrap() };
    let (client, secret) = add(&store, &Clock::System, new).await.unwrap();
    let keys = Keys::mint().unwrap();
    let text = toml::to_string(&keys).unwrap();
    let start = |role| Process::serve_as(&database, &text, role, &[("DMWSI__CONTENT__UNREFERENCED_SECONDS", "0")]);
    let (first, second, gateway) = (start("api"), start("api"), start("gateway"));
    let portal = Portal::log_in(&first.base, &client, &secret).await;
    let elsewhere = Portal::log_in(&second.base, &client, &secret).await;
    let bytes = sample_package("2.0.0", 300_000);
    let tar = Archive::new("urn:a", 1).with("FIRMWARE", "x1-2.0.0", &bytes).tar();
    let got = portal.deliver("/v1/containers", &[TAR, ("prefer", "respond-async")], tar.clone()).await;
    let path = got.header("location").to_owned();
    got.of(202);
    assert_eq!(elsewhere.get(&path).await.of(200)["state"], "VERIFYING", "nobody judges yet");
    let worker = start("worker");
    eventually("the verdict", async || elsewhere.get(&path).await.of(200)["state"] == "AVAILABLE").await;
    assert_eq!(elsewhere.deliver("/v1/containers", &[TAR], tar).await.of(200)["containerId"], path["/v1/containers/".len()..]);

    let handset = Handset::register(&portal, &gateway.base, Behaviour::default()).await;
    let (_job, token) = ordered(&store, &keys, &gateway.base, &portal, &handset, &bytes).await;
    let url = format!("{}/downloads/{}", gateway.base, tokens(&keys).mint(&token));
    let fetched = reqwest::get(&url).await.unwrap();
    assert_eq!((fetched.status().as_u16(), &*fetched.bytes().await.unwrap()), (200, &*bytes));

    elsewhere.post(&format!("{path}/withdraw"), &json!({})).await.of(200);
    assert_eq!(reqwest::get(&url).await.unwrap().status().as_u16(), 404);
    eventually("the collection", async || {
        let (now, ids) = (Clock::System.now(), Clock::System.new_ids());
        store.write(move |tx| tx.ring_sweep(now, now, &mut ids.clone())).await.unwrap();
        files(&database.content()).is_empty()
    })
    .await;
    drop((first, second, gateway, worker));
}

both! {
    /// HL-INGEST3: what `container pack` makes of a folder comes in as it is, with all that a folder may have.
    async fn a_packed_folder_comes_in(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let folder = tempfile::tempdir().unwrap();
        let pack = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_dmwsi"));
            let packed = command.current_dir(folder.path()).args(["container", "pack"]).args(arguments).output().unwrap();
            assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
            std::fs::read(folder.path().join("release.tar")).unwrap()
        };
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join("release").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        let mut archive = Archive::firmware("urn:packed", 1);
        archive.manifest["attestations"] = json!([{"path": "attestations/slsa.json"}]);
        let payload = archive.deliverables()[0]["payloads"][0].as_object_mut().unwrap();
        for open in ["size", "digests"] {
            payload.remove(open);
        }
        write("manifest.json", archive.manifest.to_string().as_bytes());
        write("attestations/slsa.json", b"{}");
        write(&archive.members[0].0, &archive.members[0].1);
        let container = portal.deliver("/v1/containers", &[TAR], pack(&["release"])).await.of(201);
        assert_eq!((&container["state"], &container["bytes"]), (&json!("AVAILABLE"), &json!(16)));
        assert_eq!(files(&database.content()).len(), 2);
        // Signed: it must say everything itself.
        let mut signed = Archive::firmware("urn:signed", 2);
        signed.manifest["originator"] = json!({"id": "urn:acme"});
        write("manifest.json", signed.manifest.to_string().as_bytes());
        write("manifest.p7s", b"a signature");
        std::fs::remove_file(folder.path().join("release.tar")).unwrap();
        portal.deliver("/v1/containers", &[TAR], pack(&["release/.", "--output", "release.tar"])).await.of(201);
        server.stop().await;
    }
}
