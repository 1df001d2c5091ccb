//! Firmware updates by deliverable: mapped, judged and served by the server.
use dmwsi_objects::fumo::ResultCode;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_simulator::{Behaviour, sample_package};
use serde_json::{Value, json};

use crate::harness::archive::{Archive, TAR};
use crate::harness::handset::{Handset, execution, job, outcome, update};
use crate::harness::server::{Portal, Server};

pub(crate) const SCOPES: &str = "containers:read containers:write devices:read devices:write jobs:read jobs:write";

/// A firmware 2.0.0 that was delivered: its container and its own id. `changes` goes into the manifest.
pub(crate) async fn firmware(portal: &Portal, number: u64, changes: &Value) -> (String, String) {
    let mut archive = Archive::new(&format!("urn:f{number}"), number).with("FIRMWARE", "fw", &sample_package("2.0.0", 40_000));
    let one = archive.deliverables().last_mut().unwrap();
    one["targets"] = json!([{"manufacturer": "Acme", "models": ["*"]}]);
    one.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let container = portal.deliver("/v1/containers", &[TAR], archive.tar()).await.of(201);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&container["containerId"]), text(&container["verdicts"][0]["deliverableId"]))
}

fn install(deliverable: &str) -> Value {
    json!({"type": "FIRMWARE_UPDATE", "deliverableId": deliverable})
}

fn one(state: &str, code: &str) -> (String, String) {
    (state.to_owned(), code.to_owned())
}

both! {
    /// UC-7, FU-1, SW-2, AD-3: from the container to the version on the device; the device fetches the package here.
    async fn a_device_fetches_a_deliverable_from_the_server_and_installs_it(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        for (number, dm) in (1..).zip([json!({}), json!({"operation": "DOWNLOAD"})]) {
            let (_, deliverable) = firmware(&portal, number, &json!({"dm": dm})).await;
            let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
            let job = job(&portal, &handset.id, &install(&deliverable)).await;
            handset.live().await;
            let execution = execution(&portal, &job, &handset.id).await;
            assert_eq!((execution["state"].as_str(), execution["outcome"].as_str()), (Some("SUCCEEDED"), Some("UPDATED")), "{execution}");
            assert_eq!(handset.firmware(), "2.0.0");
            assert_eq!(handset.device.tree().text("./FUMO/PkgName"), Some("fw"));
        }
        server.stop().await;
    }

    /// FU-1, F-03: the package inside the messages, cut in pieces, in both encodings; nothing is fetched.
    async fn a_small_package_comes_within_the_messages(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let direct = json!({"delivery": {"methods": ["DM_DIRECT"], "maxDirectBytes": 65_536}});
        let (_, deliverable) = firmware(&portal, 1, &direct).await;
        for behaviour in [
            Behaviour::default(),
            Behaviour { encoding: Encoding::Wbxml, max_message: 4_000, ..Behaviour::default() },
            Behaviour { lose_reply: Some(4), ..Behaviour::default() },
            Behaviour { send_twice: true, ..Behaviour::default() },
        ] {
            let name = format!("{behaviour:?}");
            let mut handset = Handset::register(&portal, server.url(), behaviour).await;
            let job = job(&portal, &handset.id, &install(&deliverable)).await;
            handset.live().await;
            let execution = execution(&portal, &job, &handset.id).await;
            assert_eq!((execution["state"].as_str(), execution["outcome"].as_str()), (Some("SUCCEEDED"), Some("UPDATED")), "{name} {execution}");
            assert!(execution["download"].is_null());
            assert_eq!(handset.firmware(), "2.0.0");
        }
        server.stop().await;
    }

    /// FU-1, SW-3: judged when the job is made as far as no update changes it, and by what the device says at its turn.
    async fn a_device_that_the_package_does_not_fit_is_told_nothing(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let (_, strange) = firmware(&portal, 1, &json!({"targets": [{"manufacturer": "Other", "models": ["*"]}]})).await;
        let (_, late) = firmware(&portal, 2, &json!({"targets": [{"manufacturer": "Acme", "models": ["*"], "hwVersion": {"in": ["rev-z"]}, "fwVersion": {"min": "1.5"}}]})).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let unknown = job(&portal, &handset.id, &install(&strange)).await;
        assert_eq!(outcome(&portal, &unknown, &handset.id).await.0, "QUEUED", "nothing is known of the device yet");
        handset.device.check_in().await.unwrap();
        assert_eq!(outcome(&portal, &unknown, &handset.id).await, one("REFUSED", "MANUFACTURER_DIFFERS"));
        let known = job(&portal, &handset.id, &install(&strange)).await;
        assert_eq!(outcome(&portal, &known, &handset.id).await, one("REFUSED", "MANUFACTURER_DIFFERS"), "known at once");
        let by_version = job(&portal, &handset.id, &install(&late)).await;
        handset.device.check_in().await.unwrap();
        let refused = execution(&portal, &by_version, &handset.id).await;
        assert_eq!((refused["state"].as_str(), refused["outcome"].as_str()), (Some("REFUSED"), Some("HARDWARE_DIFFERS")), "{refused}");
        let codes: Vec<_> = refused["evidence"].as_array().unwrap().iter().filter(|fact| fact["type"] == "UNFIT").map(|fact| fact["code"].clone()).collect();
        assert_eq!(codes, ["HARDWARE_DIFFERS", "FIRMWARE_TOO_OLD"]);
        let mut handed = update("https://d.example/p", "2.0.0");
        handed["precursor"] = json!({"version": "1.9"});
        let handed = job(&portal, &handset.id, &handed).await;
        handset.device.check_in().await.unwrap();
        assert_eq!(outcome(&portal, &handed, &handset.id).await, one("REFUSED", "PRECURSOR_DIFFERS"), "also the portal's own package");
        assert_eq!(handset.firmware(), "1.0.0");
        server.stop().await;
    }

    /// FU-1: what is withdrawn is not begun; what cannot be asked for is said at once.
    async fn a_deliverable_that_is_withdrawn_is_not_begun(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let (container, deliverable) = firmware(&portal, 1, &json!({})).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let waiting = job(&portal, &handset.id, &install(&deliverable)).await;
        portal.post(&format!("/v1/containers/{container}/withdraw"), &json!({})).await.of(200);
        handset.device.check_in().await.unwrap();
        assert_eq!(outcome(&portal, &waiting, &handset.id).await, one("REFUSED", "DELIVERABLE_WITHDRAWN"));
        let ask = async |portal: &Portal, operation: Value| {
            let target = json!({"type": "DEVICES", "deviceIds": [handset.id]});
            portal.post("/v1/jobs", &json!({"operation": operation, "target": target})).await
        };
        ask(&portal, install(&deliverable)).await.problem(409, "INCOMPATIBLE_STATE");
        let both = json!({"type": "FIRMWARE_UPDATE", "deliverableId": deliverable, "packageUrl": "https://d.example/p"});
        assert_eq!(ask(&portal, both).await.pointers(), ["/operation/packageUrl"]);
        assert_eq!(ask(&portal, json!({"type": "FIRMWARE_UPDATE"})).await.pointers(), ["/operation/deliverableId"]);
        let absent = "dlv_019a8e5d3c7b7f10a1b2c3d4e5f60718";
        ask(&portal, install(absent)).await.problem(422, "UNPROCESSABLE");
        let stranger = server.portal("stranger", SCOPES).await;
        let (_, foreign) = firmware(&stranger, 1, &json!({})).await;
        ask(&portal, install(&foreign)).await.problem(422, "UNPROCESSABLE");
        server.stop().await;
    }

    /// FU-1: a broken connection is not the end; the next attempt is due later.
    async fn a_download_that_broke_is_tried_again(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let (_, deliverable) = firmware(&portal, 1, &json!({})).await;
        let behaviour = Behaviour { fail_download: Some(ResultCode(503)), ..Behaviour::default() };
        let mut handset = Handset::register(&portal, server.url(), behaviour).await;
        let job = job(&portal, &handset.id, &install(&deliverable)).await;
        handset.live().await;
        let waiting = execution(&portal, &job, &handset.id).await;
        assert_eq!((waiting["state"].as_str(), waiting["phase"].as_str()), (Some("WAITING"), Some("RETRYING")), "{waiting}");
        assert_eq!(waiting["attempt"], 2);
        assert!(waiting["dueAt"].is_string());
        server.stop().await;
    }
}
