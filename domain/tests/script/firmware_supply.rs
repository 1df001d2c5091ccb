//! What becomes of an update when its deliverable is withdrawn on the way, or is not at hand.
use dmwsi_domain::Timestamp;
use dmwsi_domain::container::ContainerState;
use dmwsi_domain::deliverable::Deliverable;
use dmwsi_objects::{Answer, Command};
use serde_json::json;

use super::device::Script;
use super::firmware_package::by_deliverable;

/// An update in two steps whose package the device has fetched; the server may not have heard of it.
fn fetched(is_reported: bool) -> Script {
    let mut script = by_deliverable(&json!({"dm": {"operation": "DOWNLOAD"}}));
    script.session();
    assert_eq!(script.execs()[0].0, "./FUMO/Download");
    script.set("./FUMO/State", "50");
    if is_reported {
        let correlator = script.execs().pop().unwrap().1;
        assert!(script.alert("download", "200", Some(&correlator), None));
    }
    script
}

/// FU-1
#[test]
fn what_is_withdrawn_or_expires_before_it_is_installed_is_not_installed() {
    let withdrawn: fn(&mut Deliverable) = |one| one.state = ContainerState::Withdrawn;
    let past: fn(&mut Deliverable) = |one| one.expires_at = Some(Timestamp::from_micros(1));
    for (code, change) in [("DELIVERABLE_WITHDRAWN", withdrawn), ("DELIVERABLE_EXPIRED", past)] {
        for is_reported in [true, false] {
            let mut script = fetched(is_reported);
            change(script.supply.as_mut().unwrap().deliverable.as_mut().unwrap());
            script.session();
            assert_eq!((script.end(), script.execs().len()), (("REFUSED", code), 1), "reported: {is_reported}");
        }
        let mut installing = fetched(true);
        installing.session();
        change(installing.supply.as_mut().unwrap().deliverable.as_mut().unwrap());
        installing.set("./DevDetail/FwV", "2.0").set("./FUMO/State", "100").session();
        assert_eq!(installing.end(), ("SUCCEEDED", "UPDATED"), "it was told to install already");
        let mut fetching = by_deliverable(&json!({"dm": {"operation": "DOWNLOAD"}}));
        fetching.session();
        change(fetching.supply.as_mut().unwrap().deliverable.as_mut().unwrap());
        fetching.set("./FUMO/State", "30").session();
        assert_eq!(fetching.phase(), ("WAITING", "DOWNLOADING"), "it may still turn out otherwise");
    }
}

/// SW-3: a session that is given up has all answers of the device and nobody who could judge them.
#[test]
fn answers_that_nobody_can_judge_count_as_lost() {
    let mut script = by_deliverable(&json!({"targets": [{"hwVersion": {"in": ["B"]}}]}));
    let out: Vec<Command> = script.turn().commands;
    let answers: Vec<Answer> = out.iter().map(|command| script.answer(command)).collect();
    let supply = script.supply.take();
    assert!(script.answered(&answers).commands.is_empty());
    assert_eq!((script.phase(), script.execution.detail.as_deref()), (("WAITING", "LOCATING"), None));
    script.supply = supply;
    script.session();
    assert_eq!((script.end(), script.execs().len()), (("REFUSED", "HARDWARE_DIFFERS"), 0));
}
