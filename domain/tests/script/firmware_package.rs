//! Packages that fit or do not, and attempts after what may pass.
use std::time::Duration;

use dmwsi_domain::container::ContainerState;
use dmwsi_domain::deliverable::Deliverable;
use dmwsi_domain::eligibility::ReasonCode;
use dmwsi_domain::event::Event;
use dmwsi_domain::evidence::Fact;
use dmwsi_domain::id::{ContainerId, DeliverableId, OrganisationId};
use dmwsi_domain::operation::Supply;
use dmwsi_domain::{Clock, Timestamp};
use serde_json::{Value, json};

use super::device::Script;

const MINUTE: Duration = Duration::from_secs(60);

const TREE: &[(&str, &str)] = &[
    ("./DevDetail/FwV", "1.0"),
    ("./DevDetail/HwV", "A"),
    ("./FUMO/PkgName", "none"),
    ("./FUMO/PkgVersion", "none"),
    ("./FUMO/State", "10"),
    ("./FUMO/Download/PkgURL", ""),
    ("./FUMO/Update", ""),
    ("./FUMO/DownloadAndUpdate/PkgURL", ""),
];

fn by_reference(more: &Value) -> Script {
    let mut request = json!({"type": "FIRMWARE_UPDATE", "packageUrl": "https://d.example/p", "expectedFirmwareVersion": "2.0"});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Script::of(&request.to_string(), TREE)
}

pub(crate) fn by_deliverable(more: &Value) -> Script {
    let id = DeliverableId::new(Clock::System.new_id());
    let mut script = Script::of(&json!({"type": "FIRMWARE_UPDATE", "deliverableId": id}).to_string(), TREE);
    let mut spec = json!({"deliverableId": "fw", "kind": "FIRMWARE", "name": "Two", "version": "2.0",
        "targets": [{"hwVersion": {"in": ["A"]}}]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let deliverable = Deliverable {
        id,
        container: ContainerId::new(Clock::System.new_id()),
        ordinal: 0,
        organisation: OrganisationId::new(Clock::System.new_id()),
        state: ContainerState::Available,
        expires_at: None,
        spec: serde_json::from_value(spec).unwrap(),
        created_at: Timestamp::from_micros(0),
    };
    script.supply = Some(Supply {
        deliverable: Some(deliverable),
        url: "https://dm.example/downloads/t".into(),
        content: None,
        at: script.now,
    });
    script
}

fn is_unfit(script: &Script, code: ReasonCode) -> bool {
    script.facts().iter().any(|fact| matches!(fact, Fact::Unfit { code: told, .. } if *told == code))
}

/// FU-1: the server maps a deliverable to a package.
#[test]
fn a_deliverable_says_all_that_the_device_is_told() {
    let mut script = by_deliverable(&json!({"dm": {"pkgName": "X", "operation": "DOWNLOAD", "expectedVersion": "2.0-b"}}));
    script.session();
    assert_eq!(script.phase(), ("WAITING", "DOWNLOADING"));
    assert_eq!(script.execs()[0].0, "./FUMO/Download");
    let told = ["PkgName", "PkgVersion", "Download/PkgURL"].map(|node| script.tree[&format!("./FUMO/{node}")].clone());
    assert_eq!(told, ["X", "2.0", "https://dm.example/downloads/t"]);
    script.set("./FUMO/State", "50").session();
    script.set("./DevDetail/FwV", "2.0-b").set("./FUMO/State", "100").session();
    assert_eq!(script.end(), ("SUCCEEDED", "UPDATED"));
}

/// FU-1, SW-3: the server itself judges, also a package handed in.
#[test]
fn a_package_that_does_not_fit_is_refused_with_every_reason() {
    let wrong = json!([{"hwVersion": {"in": ["B"]}, "fwVersion": {"min": "1.5"}}]);
    for mut script in [by_reference(&json!({"targets": wrong})), by_deliverable(&json!({"targets": wrong}))] {
        script.session();
        assert_eq!(script.end(), ("REFUSED", "HARDWARE_DIFFERS"));
        assert!(is_unfit(&script, ReasonCode::HardwareDiffers) && is_unfit(&script, ReasonCode::FirmwareTooOld));
        assert!(script.execs().is_empty() && script.tree["./FUMO/DownloadAndUpdate/PkgURL"].is_empty());
    }
    let mut delta = by_reference(&json!({"precursor": {"version": "1.9"}}));
    delta.session();
    assert_eq!(delta.end(), ("REFUSED", "PRECURSOR_DIFFERS"));
    let mut unknown = by_reference(&json!({"targets": [{"manufacturer": "Acme"}]}));
    unknown.session();
    assert_eq!(unknown.end(), ("REFUSED", "PARTICULARS_UNKNOWN"), "the device never said who made it");
    let mut fits = by_reference(&json!({"targets": [{"hwVersion": {"in": ["A"]}, "fwVersion": {"max": "1.9"}}]}));
    fits.session();
    assert_eq!(fits.phase(), ("WAITING", "DOWNLOADING"));
}

/// FU-1: inside the messages, where the deliverable may and the device can.
#[test]
fn a_small_package_is_sent_within_the_messages() {
    let large = ["x".repeat(8_192), "x".repeat(8_196)];
    for (methods, content, takes, end) in [
        (json!(["DM_DIRECT", "HTTP"]), &large[1], "true", "./FUMO/Update"),
        (json!(["DM_DIRECT"]), &large[0], "false", "./FUMO/Update"),
        (json!(["DM_DIRECT", "HTTP"]), &large[1], "false", "./FUMO/DownloadAndUpdate"),
        (json!(["HTTP", "DM_DIRECT"]), &large[1], "true", "./FUMO/DownloadAndUpdate"),
        (json!(["DM_DIRECT"]), &large[1], "false", "NO_DELIVERY_METHOD"),
    ] {
        let mut script = by_deliverable(&json!({"delivery": {"methods": methods}}));
        script.set("./DevDetail/LrgObj", takes).set("./FUMO/Update/PkgData", "");
        script.supply.as_mut().unwrap().content = Some(content.clone());
        script.session();
        if end == "NO_DELIVERY_METHOD" {
            assert_eq!(script.end(), ("REFUSED", end));
            continue;
        }
        assert_eq!(script.execs()[0].0, end, "{methods} {takes}");
        assert_eq!(script.tree["./FUMO/Update/PkgData"] == *content, end == "./FUMO/Update");
        if end == "./FUMO/Update" {
            assert_eq!(script.phase(), ("WAITING", "UPDATING"));
            let correlator = script.execs()[0].1.clone();
            script.set("./DevDetail/FwV", "2.0");
            assert!(script.alert("update", "200", Some(&correlator), None));
            script.session();
            assert_eq!(script.end(), ("SUCCEEDED", "UPDATED"));
        }
    }
}

/// FU-1, AD-12: what is known of its kind counts for more than what the device says of itself.
#[test]
fn a_device_is_not_believed_where_its_kind_is_known() {
    for (methods, known, says, end) in [
        (json!(["DM_DIRECT", "HTTP"]), false, "true", "./FUMO/DownloadAndUpdate"),
        (json!(["DM_DIRECT"]), true, "false", "./FUMO/Update"),
    ] {
        let mut script = by_deliverable(&json!({"delivery": {"methods": methods}}));
        script.known.traits.large_objects = Some(known);
        script.set("./DevDetail/LrgObj", says).set("./FUMO/Update/PkgData", "");
        script.supply.as_mut().unwrap().content = Some("x".repeat(8_196));
        script.session();
        assert_eq!(script.execs()[0].0, end);
    }
}

#[test]
fn what_is_withdrawn_expired_or_gone_before_the_device_began_is_refused_before_anything_is_said() {
    let withdrawn: fn(&mut Deliverable) = |one| one.state = ContainerState::Withdrawn;
    let past: fn(&mut Deliverable) = |one| one.expires_at = Some(Timestamp::from_micros(1));
    for (code, change) in [("DELIVERABLE_WITHDRAWN", withdrawn), ("DELIVERABLE_EXPIRED", past)] {
        let mut script = by_deliverable(&json!({}));
        change(script.supply.as_mut().unwrap().deliverable.as_mut().unwrap());
        script.session();
        assert_eq!((script.end(), script.sent.len()), (("REFUSED", code), 0));
        assert!(script.events.iter().all(|event| !matches!(event, Event::ExecutionStarted { .. })));
    }
    let mut gone = by_deliverable(&json!({}));
    gone.supply.as_mut().unwrap().deliverable = None;
    gone.session();
    assert_eq!(gone.end(), ("REFUSED", "DELIVERABLE_GONE"));
    let mut begun = by_deliverable(&json!({}));
    begun.session();
    begun.supply.as_mut().unwrap().deliverable = None;
    begun.session();
    assert_eq!(begun.phase(), ("WAITING", "DOWNLOADING"), "what the device has begun goes on");
    let mut broadcast = by_deliverable(&json!({"delivery": {"methods": ["BROADCAST"]}}));
    broadcast.session();
    assert_eq!(broadcast.end(), ("REFUSED", "NO_DELIVERY_METHOD"));
}

/// FU-1: a broken connection is tried again, with a pause that grows, as another attempt; then it is reported.
#[test]
fn what_may_pass_is_tried_again_until_the_attempts_are_used_up() {
    let mut script = by_deliverable(&json!({}));
    for (attempt, pause) in [(1, 5), (2, 15)] {
        script.session();
        assert_eq!((script.phase(), script.execs().len()), (("WAITING", "DOWNLOADING"), attempt));
        let correlator = script.execs().pop().unwrap().1;
        assert!(script.alert("downloadandupdate", "503", Some(&correlator), None));
        assert_eq!(script.phase(), ("WAITING", "RETRYING"));
        assert_eq!(script.execution.due_at, Some(script.now.plus(MINUTE * pause)));
        assert_eq!(script.execution.attempt, u32::try_from(attempt).unwrap() + 1);
        assert!(!script.alert("downloadandupdate", "503", Some(&correlator), None), "a report of an earlier attempt");
        script.pass(MINUTE).session();
        assert_eq!(script.execs().len(), attempt, "it is too early");
        script.pass(MINUTE * pause);
        assert_eq!((script.phase(), script.execution.due_at), (("WAITING", "LOCATING"), None));
    }
    script.session();
    let correlator = script.execs().pop().unwrap().1;
    script.alert("downloadandupdate", "503", Some(&correlator), None);
    assert_eq!(script.end(), ("FAILED", "DOWNLOAD_NETWORK_FAILED"));
    for (code, end) in [("451", "BATTERY_LOW"), ("501", "DOWNLOAD_OUT_OF_MEMORY"), ("502", "UPDATE_OUT_OF_MEMORY")] {
        for (attempts, expected) in [(1, ("FAILED", end)), (2, ("WAITING", ""))] {
            let mut script = by_reference(&json!({"maxAttempts": attempts}));
            script.session();
            let correlator = script.execs().pop().unwrap().1;
            script.alert("downloadandupdate", code, Some(&correlator), None);
            assert_eq!(script.end(), expected, "{code}");
        }
    }
    for code in ["400", "403", "404", "405", "408", "409", "410", "411"] {
        let mut script = by_reference(&json!({"maxAttempts": 10}));
        script.session();
        let correlator = script.execs().pop().unwrap().1;
        script.alert("downloadandupdate", code, Some(&correlator), None);
        assert_eq!(script.end().0, "FAILED", "{code}");
    }
}

/// FU-1: the user is asked again when the user wants to be.
#[test]
fn a_user_who_names_a_time_is_asked_again_then() {
    let mut script = by_reference(&json!({"delivery": "DOWNLOAD_THEN_UPDATE", "maxAttempts": 1}));
    script.session();
    script.set("./FUMO/State", "50");
    let correlator = script.execs().pop().unwrap().1;
    script.alert("download", "200", Some(&correlator), None);
    script.session();
    let time = script.now.plus(MINUTE * 90);
    let correlator = script.execs().pop().unwrap().1;
    assert!(script.alert("update", &format!("450;{time}"), Some(&correlator), None));
    assert_eq!((script.phase(), script.execution.due_at), (("WAITING", "DEFERRED"), Some(time)));
    script.pass(MINUTE * 89).session();
    assert_eq!(script.execs().len(), 2);
    script.pass(MINUTE).session();
    let asked: Vec<_> = script.execs().into_iter().map(|(node, _)| node).collect();
    assert_eq!(asked, ["./FUMO/Download", "./FUMO/Update", "./FUMO/Update"], "it has the package still");
    assert_ne!(script.execs()[2].1, correlator);
    let mut past = by_reference(&json!({}));
    past.session();
    let correlator = past.execs().pop().unwrap().1;
    past.alert("downloadandupdate", "401 2020-01-01T00:00:00Z", Some(&correlator), None);
    assert_eq!(past.end(), ("DECLINED", "USER_CANCELLED"));
}
