//! Every end of an update by every way of delivery, each with its own outcome at the interface.
use std::time::Duration;

use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_api::ClientSecret;
use dmwsi_domain::Clock;
use dmwsi_domain::client::Client;
use dmwsi_objects::StatusCode;
use dmwsi_simulator::{Behaviour, sample_package};
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::archive::{Archive, TAR};
use crate::harness::handset::{Handset, ended, execution, job, outcome};
use crate::harness::server::{Portal, Server};

const SCOPES: &str = "containers:read containers:write devices:read devices:write jobs:read jobs:write";

/// How a package comes onto a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// Within messages.
    Direct,
    /// Fetched and installed in one step.
    OneStep,
    /// The same, by a download descriptor.
    OneStepDescribed,
    /// Fetched, then installed.
    TwoSteps,
    /// The same, by a download descriptor.
    TwoStepsDescribed,
}

use Way::{Direct, OneStep, OneStepDescribed, TwoSteps, TwoStepsDescribed};

const WAYS: [Way; 5] = [Direct, OneStep, OneStepDescribed, TwoSteps, TwoStepsDescribed];

impl Way {
    fn delivery(self) -> &'static str {
        match self {
            Direct => "DM_DIRECT",
            OneStep | OneStepDescribed => "DOWNLOAD_AND_UPDATE",
            TwoSteps | TwoStepsDescribed => "DOWNLOAD_THEN_UPDATE",
        }
    }

    /// A device that takes it this way.
    fn device(self, behaviour: Behaviour) -> Behaviour {
        Behaviour { wants_descriptor: matches!(self, OneStepDescribed | TwoStepsDescribed), ..behaviour }
    }
}

/// A server whose clock a test moves, with a firmware that may go every way.
struct Ground {
    server: Server,
    portal: Portal,
    client: (Client, ClientSecret),
    sound: String,
    corrupt: String,
}

impl Ground {
    async fn on(database: &Database) -> Self {
        let clock = Clock::manual(Clock::System.now());
        let server = Server::with(database, Keys::mint().unwrap(), clock, |config| config.tasks.safety_poll_ms = 200).await;
        let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
        let client = add(server.store(), &server.clock, new).await.unwrap();
        let portal = Portal::log_in(server.url(), &client.0, &client.1).await;
        let sound = firmware(&portal, 1, &sample_package("2.0.0", 20_000)).await;
        let corrupt = firmware(&portal, 2, &[b'x'; 20_000]).await;
        Self { server, portal, client, sound, corrupt }
    }

    /// Has a device updated that way; `changes` goes into the operation.
    async fn begin(&self, way: Way, behaviour: Behaviour, changes: &Value) -> (Handset, String) {
        let handset = Handset::register(&self.portal, self.server.url(), way.device(behaviour)).await;
        let mut operation = json!({"type": "FIRMWARE_UPDATE", "deliverableId": self.sound, "delivery": way.delivery()});
        operation.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let job = job(&self.portal, &handset.id, &operation).await;
        (handset, job)
    }

    /// The same in a single attempt, to its end.
    async fn end(&self, way: Way, behaviour: Behaviour, deliverable: &str) -> (String, String) {
        let only = json!({"maxAttempts": 1, "deliverableId": deliverable});
        let (mut handset, job) = self.begin(way, behaviour, &only).await;
        handset.live().await;
        let found = outcome(&self.portal, &job, &handset.id).await;
        assert_eq!(handset.firmware() == "2.0.0", found.0 == "SUCCEEDED", "{way:?} {found:?}");
        found
    }

    /// Lets time pass, after which tokens are too old.
    async fn pass(&mut self, time: Duration) {
        self.server.clock.advance(time);
        self.portal = Portal::log_in(self.server.url(), &self.client.0, &self.client.1).await;
    }
}

/// Delivers a firmware that may go every way; its id.
async fn firmware(portal: &Portal, number: u64, bytes: &[u8]) -> String {
    let mut archive = Archive::new(&format!("urn:f{number}"), number).with("FIRMWARE", "fw", bytes);
    let one = archive.deliverables().last_mut().unwrap();
    one["targets"] = json!([{"manufacturer": "Acme", "models": ["*"]}]);
    one["delivery"] = json!({"methods": ["HTTP", "OMA_DOWNLOAD", "DM_DIRECT"], "maxDirectBytes": 65_536});
    let container = portal.deliver("/v1/containers", &[TAR], archive.tar()).await.of(201);
    container["verdicts"][0]["deliverableId"].as_str().unwrap().to_owned()
}

fn one(state: &str, code: &str) -> (String, String) {
    (state.to_owned(), code.to_owned())
}

const MINUTE: Duration = Duration::from_secs(60);

both! {
    /// FU-1, SW-3, CC2: what a device does for good, it is reported as, whichever way the package came.
    async fn each_end_is_told_apart_by_every_way_of_delivery(database: Database) {
        let ground = Ground::on(&database).await;
        let quiet = Behaviour::default;
        let refusing = |code| Behaviour { refuse_exec: Some(StatusCode(code)), ..quiet() };
        for way in WAYS {
            let memory = if way == Direct { "UPDATE_OUT_OF_MEMORY" } else { "DOWNLOAD_OUT_OF_MEMORY" };
            let in_two = matches!(way, TwoSteps | TwoStepsDescribed);
            // Only who is told in two steps to do something can lose the package between them; what breaks within messages is said again.
            let lost = if in_two { one("FAILED", "WRONG_STATE") } else { one("SUCCEEDED", "UPDATED") };
            let broken = if way == Direct { one("SUCCEEDED", "UPDATED") } else { one("FAILED", "DOWNLOAD_NETWORK_FAILED") };
            for (behaviour, expected) in [
                (quiet(), one("SUCCEEDED", "UPDATED")),
                (Behaviour { decline: true, ..quiet() }, one("DECLINED", "USER_CANCELLED")),
                (Behaviour { decline: true, ask_late: true, ..quiet() }, one("DECLINED", "USER_CANCELLED")),
                (refusing(304), one("DECLINED", "USER_CANCELLED")),
                (Behaviour { low_battery: 1, ..quiet() }, one("FAILED", "BATTERY_LOW")),
                (Behaviour { out_of_memory: 1, ..quiet() }, one("FAILED", memory)),
                (refusing(420), one("FAILED", "DEVICE_FULL")),
                (refusing(417), one("FAILED", "DEVICE_NOT_READY")),
                (refusing(405), one("FAILED", "COMMAND_REFUSED")),
                (Behaviour { lose_package: true, ..quiet() }, lost),
                (Behaviour { break_downloads: vec![7_000], download_tries: 0, lose_reply: Some(4), ..quiet() }, broken),
                (Behaviour { break_downloads: vec![7_000], retry_ms: 1, ..quiet() }, one("SUCCEEDED", "UPDATED")),
                (Behaviour { lie_about_version: true, ..quiet() }, one("FAILED", "VERSION_UNCHANGED")),
            ] {
                let name = format!("{way:?} {behaviour:?}");
                assert_eq!(ground.end(way, behaviour, &ground.sound).await, expected, "{name}");
            }
            assert_eq!(ground.end(way, quiet(), &ground.corrupt).await, one("FAILED", "PACKAGE_CORRUPTED"), "{way:?}");
        }
        ground.server.stop().await;
    }

    /// FU-1, SW-3: what passes is tried again when its time has come, no sooner, and comes to a good end by every way.
    async fn what_may_pass_is_tried_again_by_every_way_of_delivery(database: Database) {
        let mut ground = Ground::on(&database).await;
        let quiet = Behaviour::default;
        let user = ground.server.clock.now().plus(MINUTE * 30).to_string();
        let deferring = Behaviour { defer_until: Some(user), ..quiet() };
        for (behaviour, phase, minutes) in [
            (deferring.clone(), "DEFERRED", 30),
            (Behaviour { ask_late: true, ..deferring }, "DEFERRED", 30),
            (Behaviour { low_battery: 1, ..quiet() }, "RETRYING", 60),
            (Behaviour { out_of_memory: 1, ..quiet() }, "RETRYING", 60),
            (Behaviour { refuse_exec: Some(StatusCode(420)), ..quiet() }, "RETRYING", 60),
            (Behaviour { refuse_exec: Some(StatusCode(417)), ..quiet() }, "RETRYING", 5),
            (Behaviour { break_downloads: vec![7_000], download_tries: 0, ..quiet() }, "RETRYING", 5),
            (Behaviour { lose_package: true, ..quiet() }, "RETRYING", 5),
        ] {
            let mut begun = Vec::new();
            let ways = WAYS.into_iter().filter(|way| *way != Direct || behaviour.break_downloads.is_empty());
            let ways = ways.filter(|way| !behaviour.lose_package || matches!(way, TwoSteps | TwoStepsDescribed));
            let due = ground.server.clock.now().plus(MINUTE * minutes);
            for way in ways {
                // The users name a time from now on.
                let until = behaviour.defer_until.as_ref().map(|_| due.to_string());
                let behaviour = Behaviour { defer_until: until, ..behaviour.clone() };
                let name = format!("{way:?} {behaviour:?}");
                let (mut handset, job) = ground.begin(way, behaviour, &json!({})).await;
                handset.live().await;
                let waiting = execution(&ground.portal, &job, &handset.id).await;
                assert_eq!((waiting["state"].as_str(), waiting["phase"].as_str()), (Some("WAITING"), Some(phase)), "{name} {waiting}");
                assert_eq!((waiting["attempt"].as_u64(), waiting["dueAt"].as_str()), (Some(2), Some(due.to_string().as_str())), "{name}");
                // What it once could not do it now can.
                let better = Behaviour { refuse_exec: None, break_downloads: Vec::new(), lose_package: false, ..handset.device.behaviour().clone() };
                handset.device.behave(better);
                let early = handset.device.check_in().await.unwrap();
                assert!(!early.answers.iter().any(|(command, _)| command == "Exec"), "{name} {early:?}");
                begun.push((name, handset, job));
            }
            ground.pass(MINUTE * minutes).await;
            for (name, mut handset, job) in begun {
                handset.live().await;
                let done = execution(&ground.portal, &job, &handset.id).await;
                assert_eq!((done["state"].as_str(), done["outcome"].as_str()), (Some("SUCCEEDED"), Some("UPDATED")), "{name} {done}");
                assert_eq!((done["attempt"].as_u64(), handset.firmware()), (Some(2), "2.0.0"), "{name}");
            }
        }
        ground.server.stop().await;
    }

    /// FU-1: only a deferral is no attempt; everything else that may pass is over after as many as were asked for.
    async fn a_deferral_counts_as_no_attempt_and_a_failure_does(database: Database) {
        let mut ground = Ground::on(&database).await;
        let due = ground.server.clock.now().plus(MINUTE * 60);
        let behaviour = Behaviour { defer_until: Some(due.to_string()), low_battery: 1, ..Behaviour::default() };
        let (mut handset, job) = ground.begin(OneStep, behaviour, &json!({"maxAttempts": 1})).await;
        handset.live().await;
        assert_eq!(execution(&ground.portal, &job, &handset.id).await["phase"], "DEFERRED");
        ground.pass(MINUTE * 60).await;
        handset.live().await;
        assert_eq!(outcome(&ground.portal, &job, &handset.id).await, one("FAILED", "BATTERY_LOW"));
        ground.server.stop().await;
    }

    /// FU-1, OES10: nobody wants it any more, or the job or the phase takes too long, while the device is at it or before.
    async fn cancelled_expired_and_timed_out_are_told_apart_by_every_way_of_delivery(database: Database) {
        let mut ground = Ground::on(&database).await;
        let mut waiting = Vec::new();
        for way in WAYS {
            for begun in [true, false] {
                let (mut handset, job) = ground.begin(way, Behaviour::default(), &json!({})).await;
                if begun {
                    handset.device.check_in().await.unwrap();
                    assert!(handset.device.is_busy(), "{way:?}");
                }
                ground.portal.post(&format!("{job}/cancel"), &json!({})).await.of(202);
                ended(&ground.portal, &job).await;
                handset.live().await;
                assert_eq!(outcome(&ground.portal, &job, &handset.id).await, one("CANCELLED", "CANCELLED"), "{way:?} {begun}");
                // What nobody wants any more is not served; what the device has it installs.
                assert_eq!(handset.firmware() == "2.0.0", begun && way == Direct, "{way:?} {begun}");

                let limits = json!({"downloadTimeoutSeconds": 120, "updateTimeoutSeconds": 120});
                let code = match way {
                    Direct => "UPDATE_NOT_REPORTED",
                    OneStep | OneStepDescribed | TwoSteps | TwoStepsDescribed => "DOWNLOAD_NOT_REPORTED",
                };
                if begun {
                    let (mut handset, job) = ground.begin(way, Behaviour { go_away: true, ..Behaviour::default() }, &limits).await;
                    handset.device.check_in().await.unwrap();
                    waiting.push((handset, job, one("FAILED", code)));
                }
                let mut handset = Handset::register(&ground.portal, ground.server.url(), way.device(Behaviour::default())).await;
                let operation = json!({"type": "FIRMWARE_UPDATE", "deliverableId": ground.sound, "delivery": way.delivery()});
                let end = ground.server.clock.now().plus(MINUTE * 3).to_string();
                let body = json!({"operation": operation, "target": {"type": "DEVICES", "deviceIds": [handset.id]}, "expiresAt": end});
                let job = ground.portal.post("/v1/jobs", &body).await.of(202);
                let job = format!("/v1/jobs/{}", job["jobId"].as_str().unwrap());
                if begun {
                    handset.device.check_in().await.unwrap();
                }
                waiting.push((handset, job, one("EXPIRED", "EXPIRED")));
            }
        }
        ground.pass(MINUTE * 5).await;
        for (handset, job, expected) in waiting {
            ended(&ground.portal, &job).await;
            assert_eq!(outcome(&ground.portal, &job, &handset.id).await, expected, "{:?}", handset.device.behaviour());
        }
        ground.server.stop().await;
    }

    /// FU-1: what a device says it cannot take within messages it is not sent; what turns out too large ends as that.
    async fn a_package_too_large_for_the_messages_is_refused_early_or_fetched(database: Database) {
        let ground = Ground::on(&database).await;
        let small = || Behaviour { max_object: Some(5_000), ..Behaviour::default() };
        let (mut handset, job) = ground.begin(Direct, small(), &json!({})).await;
        let report = handset.device.check_in().await.unwrap();
        assert!(!report.answers.iter().any(|(command, _)| command == "Replace" || command == "Exec"), "{report:?}");
        let refused = execution(&ground.portal, &job, &handset.id).await;
        assert_eq!((refused["state"].as_str(), refused["outcome"].as_str()), (Some("REFUSED"), Some("PACKAGE_TOO_LARGE")), "{refused}");
        assert_eq!(refused["detail"], "the device takes no more than 5000 bytes within messages");
        // The octets would fit, but base64 does not: by what the device takes at most no piece of it is begun.
        let (mut handset, job) = ground.begin(Direct, Behaviour { max_object: Some(22_000), ..Behaviour::default() }, &json!({})).await;
        let report = handset.device.check_in().await.unwrap();
        assert!(!report.answers.iter().any(|(_, status)| [StatusCode::SIZE_TOO_BIG, StatusCode::CHUNK_ACCEPTED].contains(status)), "{report:?}");
        assert_eq!(outcome(&ground.portal, &job, &handset.id).await, one("FAILED", "PACKAGE_TOO_LARGE"));
        for (way, room) in [(Direct, 27_000), (OneStep, 5_000)] {
            let (mut handset, job) = ground.begin(way, Behaviour { max_object: Some(room), ..Behaviour::default() }, &json!({})).await;
            handset.live().await;
            assert_eq!(outcome(&ground.portal, &job, &handset.id).await, one("SUCCEEDED", "UPDATED"), "{way:?}");
        }
        ground.server.stop().await;
    }
}
