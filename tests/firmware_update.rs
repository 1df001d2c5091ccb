//! Firmware updates with simulated devices over HTTP, each end as what it is.
use std::time::Duration;

use dmwsi_objects::NodeUri;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::fumo::ResultCode;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_simulator::Behaviour;
use serde_json::json;

use crate::harness::eventually;
use crate::harness::handset::{Handset, SCOPES, ended, execution, job, outcome, package, update};
use crate::harness::server::{Portal, Server};

/// An update of a device that behaves so, to its end.
async fn updated(server: &Server, portal: &Portal, package: &str, delivery: &str, behaviour: Behaviour) -> (String, String) {
    let name = format!("{behaviour:?}");
    let mut handset = Handset::register(portal, server.url(), behaviour).await;
    let mut operation = update(package, "2.0.0");
    operation["delivery"] = delivery.into();
    operation["maxAttempts"] = 1.into();
    let job = job(portal, &handset.id, &operation).await;
    handset.live().await;
    let found = outcome(portal, &job, &handset.id).await;
    assert_eq!(handset.firmware() == "2.0.0", found.0 == "SUCCEEDED", "{found:?} {name}");
    found
}

fn one(state: &str, code: &str) -> (String, String) {
    (state.to_owned(), code.to_owned())
}

const ONE_STEP: &str = "DOWNLOAD_AND_UPDATE";
const TWO_STEPS: &str = "DOWNLOAD_THEN_UPDATE";

/// Each way in each encoding.
const EACH: [(&str, Encoding); 4] =
    [(ONE_STEP, Encoding::Xml), (ONE_STEP, Encoding::Wbxml), (TWO_STEPS, Encoding::Xml), (TWO_STEPS, Encoding::Wbxml)];

both! {
    /// FU-1, AD-12, F-01, F-02: in one step and in two, in XML and WBXML, with basic and digest, from both usual places.
    async fn an_update_succeeds_whatever_the_device_is_like(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        let x = || NodeUri::parse("./FwUpdate/x").unwrap();
        for delivery in [ONE_STEP, TWO_STEPS] {
            for behaviour in [
                Behaviour::default(),
                Behaviour { encoding: Encoding::Wbxml, ..Behaviour::default() },
                Behaviour { client_auth: AuthType::Basic, server_auth: Some(AuthType::Basic), ..Behaviour::default() },
                Behaviour { client_auth: AuthType::Basic, server_auth: None, ..Behaviour::default() },
                Behaviour { fumo_root: x(), ..Behaviour::default() },
                Behaviour { keep_package: true, ..Behaviour::default() },
                Behaviour { max_message: 2_000, ..Behaviour::default() },
            ] {
                let name = format!("{delivery} {behaviour:?}");
                assert_eq!(updated(&server, &portal, &package, delivery, behaviour).await, one("SUCCEEDED", "UPDATED"), "{name}");
            }
        }
        server.stop().await;
    }

    /// FU-1, AD-12, F-05: what a device gets wrong, and what the wire does to it, does not keep an update from its end.
    async fn an_update_succeeds_in_spite_of_faults_on_the_way(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        for delivery in [ONE_STEP, TWO_STEPS] {
            for behaviour in [
                Behaviour { omit_correlator: true, ..Behaviour::default() },
                Behaviour { alert_from_exec_node: true, ..Behaviour::default() },
                Behaviour { omit_correlator: true, alert_from_exec_node: true, ..Behaviour::default() },
                Behaviour { send_twice: true, ..Behaviour::default() },
                Behaviour { lose_reply: Some(1), ..Behaviour::default() },
                Behaviour { lose_reply: Some(2), encoding: Encoding::Wbxml, ..Behaviour::default() },
                Behaviour { lose_reply: Some(3), ..Behaviour::default() },
                Behaviour { lose_reply: Some(4), ..Behaviour::default() },
            ] {
                let name = format!("{delivery} {behaviour:?}");
                assert_eq!(updated(&server, &portal, &package, delivery, behaviour).await, one("SUCCEEDED", "UPDATED"), "{name}");
            }
        }
        server.stop().await;
    }

    /// AD-12: the same bytes for the same message, in sessions with work and without.
    async fn a_device_that_sends_twice_hears_the_same_twice(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour { send_twice: true, ..Behaviour::default() }).await;
        let read = json!({"type": "NODES_GET", "nodes": ["./DevDetail/FwV"]});
        let job = job(&portal, &handset.id, &read).await;
        for _ in 0..3 {
            assert_eq!(handset.device.check_in().await.unwrap().replies_differed, 0);
        }
        assert_eq!(ended(&portal, &job).await["outcome"], "SUCCEEDED");
        server.stop().await;
    }

    /// FU-1, F-06: a device that drops out after the Exec is asked for its state, and the Exec is not sent again, in either encoding.
    async fn an_exec_whose_answer_is_lost_is_not_repeated(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        for (delivery, encoding) in EACH {
            let mut handset = Handset::register(&portal, server.url(), Behaviour { encoding, drop_after_exec: true, ..Behaviour::default() }).await;
            let mut operation = update(&package, "2.0.0");
            operation["delivery"] = delivery.into();
            let job = job(&portal, &handset.id, &operation).await;
            for _ in 0..4 {
                // Where it drops out there is no report.
                drop(handset.device.check_in().await);
                drop(handset.device.check_in().await);
                handset.device.work().await;
            }
            let execution = execution(&portal, &job, &handset.id).await;
            assert_eq!((execution["state"].as_str(), execution["outcome"].as_str()), (Some("SUCCEEDED"), Some("UPDATED")), "{delivery} {encoding:?} {execution}");
            let evidence = execution["evidence"].as_array().unwrap();
            let lost = evidence.iter().filter(|fact| fact["type"] == "ANSWER_LOST" && fact["command"] == "Exec").count();
            assert_eq!(lost, if delivery == ONE_STEP { 1 } else { 2 }, "{execution}");
            assert!(!evidence.iter().any(|fact| fact["command"] == "Exec" && fact["type"] == "ANSWERED"), "{execution}");
        }
        server.stop().await;
    }

    /// FU-1, CC2, F-02: each code of FUMO that a device reports is shown as itself, those of vendors as such, in either encoding.
    async fn each_failure_is_reported_as_what_it_is(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        for code in [400, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 452, 499, 500, 501, 502, 503, 550, 599] {
            let code = ResultCode(code);
            for (delivery, encoding) in EACH {
                for behaviour in [
                    Behaviour { encoding, fail_download: Some(code), ..Behaviour::default() },
                    Behaviour { encoding, fail_update: Some(code), ..Behaviour::default() },
                ] {
                    let found = updated(&server, &portal, &package, delivery, behaviour).await;
                    assert_eq!(found, one("FAILED", code.name()), "{code:?} {delivery} {encoding:?}");
                }
            }
        }
        server.stop().await;
    }

    /// FU-1: a user who says no is not a failure.
    async fn a_user_who_declines_is_told_apart(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        for delivery in [ONE_STEP, TWO_STEPS] {
            let found = updated(&server, &portal, &package, delivery, Behaviour { decline: true, ..Behaviour::default() }).await;
            assert_eq!(found, one("DECLINED", "USER_CANCELLED"));
        }
        server.stop().await;
    }

    /// FU-1: success counts only with the version.
    async fn a_device_that_lies_about_its_version_is_found_out(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        for delivery in [ONE_STEP, TWO_STEPS] {
            let found = updated(&server, &portal, &package, delivery, Behaviour { lie_about_version: true, ..Behaviour::default() }).await;
            assert_eq!(found, one("FAILED", "VERSION_UNCHANGED"));
        }
        server.stop().await;
    }

    /// FU-1, OES10: nothing is heard again of a device: the time of the phase ends the update.
    async fn a_device_that_goes_away_ends_with_the_time_of_its_phase(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        for (delivery, behaviour, code) in [
            (TWO_STEPS, Behaviour { go_away: true, ..Behaviour::default() }, "DOWNLOAD_NOT_REPORTED"),
            (ONE_STEP, Behaviour { go_away: true, ..Behaviour::default() }, "DOWNLOAD_NOT_REPORTED"),
            (TWO_STEPS, Behaviour::default(), "UPDATE_NOT_REPORTED"),
        ] {
            let stays = !behaviour.go_away;
            let mut handset = Handset::register(&portal, server.url(), behaviour).await;
            let mut operation = update(&package, "2.0.0");
            operation["delivery"] = delivery.into();
            operation["downloadTimeoutSeconds"] = if stays { 3_600 } else { 1 }.into();
            operation["updateTimeoutSeconds"] = 1.into();
            let job = job(&portal, &handset.id, &operation).await;
            handset.device.check_in().await.unwrap();
            if stays {
                handset.device.work().await;
                handset.device.check_in().await.unwrap();
            }
            ended(&portal, &job).await;
            assert_eq!(outcome(&portal, &job, &handset.id).await, one("FAILED", code), "{delivery}");
        }
        server.stop().await;
    }

    /// FU-1: two updates of one device do not meet on it.
    async fn two_updates_of_one_device_run_one_after_the_other(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let (second, third) = (package("2.0.0").await, package("3.0.0").await);
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let first = job(&portal, &handset.id, &update(&second, "2.0.0")).await;
        let then = job(&portal, &handset.id, &update(&third, "3.0.0")).await;
        handset.device.check_in().await.unwrap();
        assert_eq!(outcome(&portal, &first, &handset.id).await.0, "WAITING");
        assert_eq!(outcome(&portal, &then, &handset.id).await.0, "QUEUED");
        handset.live().await;
        handset.live().await;
        assert_eq!(outcome(&portal, &first, &handset.id).await, one("SUCCEEDED", "UPDATED"));
        assert_eq!(outcome(&portal, &then, &handset.id).await, one("SUCCEEDED", "UPDATED"));
        assert_eq!(handset.firmware(), "3.0.0");
        server.stop().await;
    }

    /// FU-1, SW-3: nothing is installed again that is there, and a device without the object says so.
    async fn what_cannot_or_need_not_be_done_is_said_at_once(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("1.0.0").await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let same = job(&portal, &handset.id, &update(&package, "1.0.0")).await;
        handset.live().await;
        assert_eq!(outcome(&portal, &same, &handset.id).await, one("SUCCEEDED", "ALREADY_INSTALLED"));
        let elsewhere = Behaviour { fumo_root: NodeUri::parse("./Vendor/Fota").unwrap(), ..Behaviour::default() };
        let mut handset = Handset::register(&portal, server.url(), elsewhere).await;
        let lost = job(&portal, &handset.id, &update(&package, "2.0.0")).await;
        handset.live().await;
        assert_eq!(outcome(&portal, &lost, &handset.id).await, one("FAILED", "FIRMWARE_OBJECT_NOT_FOUND"));
        server.stop().await;
    }

    /// AD-2: what a device tells of itself is seen north, with the moment it last spoke.
    async fn what_a_device_tells_is_seen_by_the_portal(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let path = format!("/v1/devices/{}", handset.id);
        assert!(portal.get(&path).await.of(200).get("lastSeenAt").is_none());
        handset.device.check_in().await.unwrap();
        let told = portal.get(&path).await.of(200)["facts"].clone();
        assert_eq!((told["manufacturer"].as_str(), told["firmwareVersion"].as_str()), (Some("Acme"), Some("1.0.0")), "{told}");
        assert_eq!((told["softwareVersion"].as_str(), told["hardwareVersion"].as_str()), (Some("7.1"), Some("rev-b")), "{told}");
        eventually("the time is written", async || portal.get(&path).await.of(200)["lastSeenAt"].is_string()).await;
        let job = job(&portal, &handset.id, &update(&package, "2.0.0")).await;
        handset.live().await;
        ended(&portal, &job).await;
        assert_eq!(portal.get(&path).await.of(200)["facts"]["firmwareVersion"], "2.0.0");
        server.stop().await;
    }

    /// OES10: a job that nobody wants any more, or whose time is over, is not begun when the device calls late.
    async fn a_device_that_calls_too_late_is_told_nothing(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let operation = update("https://d.example/p", "2.0.0");
        let cancelled = job(&portal, &handset.id, &operation).await;
        portal.post(&format!("{cancelled}/cancel"), &json!({})).await.of(202);
        ended(&portal, &cancelled).await;
        let end = server.clock.now().plus(Duration::from_secs(1)).to_string();
        let body = json!({"operation": operation, "target": {"type": "DEVICES", "deviceIds": [handset.id]}, "expiresAt": end});
        let expired = portal.post("/v1/jobs", &body).await.of(202);
        let expired = format!("/v1/jobs/{}", expired["jobId"].as_str().unwrap());
        ended(&portal, &expired).await;
        let report = handset.device.check_in().await.unwrap();
        assert!(!report.answers.iter().any(|(name, _)| name == "Exec" || name == "Replace"), "{report:?}");
        assert_eq!(outcome(&portal, &cancelled, &handset.id).await, one("CANCELLED", "CANCELLED"));
        assert_eq!(outcome(&portal, &expired, &handset.id).await, one("EXPIRED", "EXPIRED"));
        server.stop().await;
    }

    /// OES10, FU-1, SW-3: what the device still does for a job that was cancelled is noted, harms nobody, and the next update waits for it.
    async fn the_next_update_waits_until_the_device_is_done_with_a_cancelled_one(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let (second, third) = (package("2.0.0").await, package("3.0.0").await);
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let first = job(&portal, &handset.id, &update(&second, "2.0.0")).await;
        handset.device.check_in().await.unwrap();
        portal.post(&format!("{first}/cancel"), &json!({})).await.of(202);
        ended(&portal, &first).await;
        let then = job(&portal, &handset.id, &update(&third, "3.0.0")).await;
        let report = handset.device.check_in().await.unwrap();
        assert!(!report.answers.iter().any(|(name, _)| name == "Exec"), "it is busy: {report:?}");
        handset.live().await;
        handset.live().await;
        assert_eq!(outcome(&portal, &first, &handset.id).await, one("CANCELLED", "CANCELLED"));
        assert_eq!(outcome(&portal, &then, &handset.id).await, one("SUCCEEDED", "UPDATED"));
        assert_eq!(handset.firmware(), "3.0.0");
        let late = database.lines("SELECT data AS line FROM events WHERE type = 'dmwsi.v1.device-alert'");
        assert_eq!(late.len(), 1, "the report of the first");
        server.stop().await;
    }

    /// AD-12, S-PK-01: a session that the server asked for (1200) is one like any other.
    async fn a_device_that_was_called_is_served_like_one_that_calls(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let job = job(&portal, &handset.id, &update(&package, "2.0.0")).await;
        for call in 7..10 {
            handset.device.answer_call(call).await.unwrap();
            handset.device.work().await;
        }
        assert_eq!(outcome(&portal, &job, &handset.id).await, one("SUCCEEDED", "UPDATED"));
        server.stop().await;
    }
}
