//! What is read of the content that travels within messages.
use std::fs;
use std::path::Path;

use dmwsi_simulator::{Behaviour, sample_package};
use serde_json::json;

use crate::harness::archive::{Archive, TAR};
use crate::harness::fetch::SCOPES;
use crate::harness::handset::{Handset, job};
use crate::harness::phone::{FINAL, PACKAGE_1, Phone, basic_cred, message};
use crate::harness::server::Server;

/// Puts a folder in the place of every file of at least 10,000 bytes, so that whoever reads one fails; how many they were.
fn spoil(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let spoilt = entries.map(|path| {
        if path.is_dir() {
            return spoil(&path);
        }
        if fs::metadata(&path).unwrap().len() < 10_000 {
            return 0;
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        1
    });
    spoilt.sum()
}

both! {
    /// AD-6: who knows a name and proves nothing has no content read for him.
    async fn nothing_is_read_for_whoever_has_not_proven_himself(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut archive = Archive::new("urn:f", 1).with("FIRMWARE", "fw", &sample_package("2.0.0", 20_000));
        let one = archive.deliverables().last_mut().unwrap();
        one["delivery"] = json!({"methods": ["DM_DIRECT"], "maxDirectBytes": 65_536});
        let container = portal.deliver("/v1/containers", &[TAR], archive.tar()).await.of(201);
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        job(&portal, &handset.id, &json!({"type": "FIRMWARE_UPDATE", "deliverableId": container["verdicts"][0]["deliverableId"]})).await;
        crate::harness::eventually("the job is spread", async || !database.lines("SELECT state AS line FROM executions").is_empty()).await;
        assert_eq!(spoil(&database.content()), 1);
        let name = database.lines("SELECT dm_identity AS line FROM devices").remove(0);
        for cred in ["", &basic_cred("me", "guessed")] {
            let heard = Phone::of(server.url()).say(message(&name, "1", 1, cred, &format!("{PACKAGE_1}{FINAL}"))).await;
            assert!(heard.contains("<Data>407</Data>") || heard.contains("<Data>401</Data>"), "{heard}");
        }
        assert!(handset.device.check_in().await.is_err(), "for the device itself it would be read");
        server.stop().await;
    }
}
