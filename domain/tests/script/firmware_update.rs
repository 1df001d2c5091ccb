//! A firmware update, from every side it can be seen from (OMA FUMO 1.0).
use std::time::Duration;

use dmwsi_domain::event::Event;
use dmwsi_domain::evidence::Fact;
use dmwsi_domain::execution::ExecutionState;
use dmwsi_objects::Command;
use dmwsi_objects::fumo::ResultCode;

use super::device::Script;

const HOUR: Duration = Duration::from_secs(3600);

const TREE: &[(&str, &str)] = &[
    ("./DevDetail/FwV", "1.0"),
    ("./FUMO/PkgName", "none"),
    ("./FUMO/PkgVersion", "none"),
    ("./FUMO/State", "10"),
    ("./FUMO/Download/PkgURL", ""),
    ("./FUMO/Update", ""),
    ("./FUMO/DownloadAndUpdate/PkgURL", ""),
];

fn one_step() -> Script {
    Script::of(
        r#"{"type":"FIRMWARE_UPDATE","packageUrl":"https://d.example/p","expectedFirmwareVersion":"2.0","maxAttempts":1}"#,
        TREE,
    )
}

fn two_steps() -> Script {
    let request = r#"{"type":"FIRMWARE_UPDATE","packageUrl":"https://d.example/p","packageName":"P","packageVersion":"2",
        "expectedFirmwareVersion":"2.0","delivery":"DOWNLOAD_THEN_UPDATE","downloadTimeoutSeconds":7200,"updateTimeoutSeconds":7200}"#;
    Script::of(request, TREE)
}

/// A script in which the first Exec was answered 202.
fn started(mut script: Script) -> (Script, String) {
    script.session();
    assert_eq!(script.phase(), ("WAITING", "DOWNLOADING"));
    let correlator = script.execs()[0].1.clone();
    (script, correlator)
}

/// UC-7, AD-12
#[test]
fn an_update_in_one_step_succeeds_when_the_report_says_so_and_the_version_is_the_expected_one() {
    let (mut script, correlator) = started(one_step());
    assert_eq!(script.execs().len(), 1);
    assert_eq!(script.execs()[0].0, "./FUMO/DownloadAndUpdate");
    assert_eq!(script.tree["./FUMO/DownloadAndUpdate/PkgURL"], "https://d.example/p");
    script.set("./DevDetail/FwV", "2.0").set("./FUMO/State", "100");
    assert!(script.alert("downloadandupdate", "200", Some(&correlator), Some("./FUMO")));
    assert_eq!(script.phase(), ("WAITING", "VERIFYING"));
    script.session();
    assert_eq!(script.end(), ("SUCCEEDED", "UPDATED"));
    assert_eq!(script.execution.progress, 100);
    assert!(script.facts().contains(&&Fact::Read { node: "./DevDetail/FwV".to_owned(), value: "2.0".to_owned() }));
    let told: Vec<_> = script.events.iter().map(Event::type_name).collect();
    assert_eq!((told[0], *told.last().unwrap()), ("dmwsi.v1.execution-started", "dmwsi.v1.execution-finished"));
}

/// UC-7
#[test]
fn an_update_in_two_steps_downloads_reports_and_is_then_told_to_install() {
    let (mut script, first) = started(two_steps());
    assert_eq!((script.tree["./FUMO/PkgName"].as_str(), script.tree["./FUMO/PkgVersion"].as_str()), ("P", "2"));
    script.set("./FUMO/State", "50");
    assert!(script.alert("download", "200", Some(&first), Some("./FUMO")));
    assert_eq!(script.phase(), ("WAITING", "UPDATING"));
    script.session();
    let execs = script.execs();
    assert_eq!(execs.iter().map(|(node, _)| node.as_str()).collect::<Vec<_>>(), ["./FUMO/Download", "./FUMO/Update"]);
    assert_ne!(execs[0].1, execs[1].1, "each Exec has a correlator of its own");
    script.set("./DevDetail/FwV", "2.0").set("./FUMO/State", "90");
    assert!(script.alert("update", "200", Some(&execs[1].1), Some("./FUMO")));
    script.session();
    assert_eq!(script.end(), ("SUCCEEDED", "UPDATED"));
    assert_eq!(script.execs().len(), 2);
}

#[test]
fn an_exec_whose_answer_was_lost_is_sent_once_more_only_when_the_state_node_shows_that_nothing_began() {
    let mut script = one_step();
    script.session_cut_at("Exec");
    assert_eq!(script.phase(), ("WAITING", "DOWNLOADING"));
    script.session();
    assert_eq!((script.execs().len(), script.phase()), (2, ("WAITING", "DOWNLOADING")));

    let mut script = one_step();
    script.session_cut_at("Exec").set("./FUMO/State", "30").session();
    assert_eq!((script.execs().len(), script.phase()), (1, ("WAITING", "DOWNLOADING")));
    script.set("./FUMO/State", "100").set("./DevDetail/FwV", "2.0").session();
    assert_eq!((script.execs().len(), script.end()), (1, ("SUCCEEDED", "UPDATED")));
}

#[test]
fn an_exec_that_is_lost_again_and_again_ends_the_execution() {
    let mut script = one_step();
    script.session_cut_at("Exec").session_cut_at("Exec").session();
    assert_eq!((script.execs().len(), script.end()), (2, ("FAILED", "NOT_STARTED")));
}

#[test]
fn the_second_exec_is_sent_once_more_when_it_was_lost_and_the_device_still_waits_for_it() {
    let (mut script, first) = started(two_steps());
    script.set("./FUMO/State", "50").alert("download", "200", Some(&first), None);
    script.session_cut_at("Exec").session();
    let nodes: Vec<_> = script.execs().into_iter().map(|(node, _)| node).collect();
    assert_eq!(nodes, ["./FUMO/Download", "./FUMO/Update", "./FUMO/Update"]);
}

#[test]
fn an_end_that_an_earlier_update_left_in_the_state_node_says_nothing_of_this_one() {
    for left in ["20", "70", "80", "90", "100"] {
        let mut script = one_step();
        script.set("./FUMO/State", left).session().session();
        assert_eq!((script.execs().len(), script.phase()), (1, ("WAITING", "DOWNLOADING")), "{left}: begun, not yet visible");
        let mut script = one_step();
        script.set("./FUMO/State", left).session_cut_at("Exec").session();
        assert_eq!((script.execs().len(), script.phase()), (2, ("WAITING", "DOWNLOADING")), "{left}: never arrived");
        script.set("./DevDetail/FwV", "2.0").session();
        assert_eq!(script.end(), ("SUCCEEDED", "UPDATED"), "{left}: the version tells");
    }
}

#[test]
fn a_report_that_was_lost_is_made_up_for_by_the_state_node() {
    for (state, version, end) in [
        ("100", "2.0", ("SUCCEEDED", "UPDATED")),
        ("90", "2.0", ("SUCCEEDED", "UPDATED")),
        ("10", "2.0", ("SUCCEEDED", "UPDATED")),
        ("100", "1.0", ("FAILED", "VERSION_UNCHANGED")),
        ("20", "1.0", ("FAILED", "DOWNLOAD_FAILED")),
        ("70", "1.0", ("FAILED", "UPDATE_FAILED")),
        ("80", "1.0", ("FAILED", "UPDATE_FAILED")),
    ] {
        let (mut script, _) = started(one_step());
        script.set("./FUMO/State", state).set("./DevDetail/FwV", version).session();
        assert_eq!((script.end(), script.execs().len()), (end, 1), "state {state}, version {version}");
    }
    let (mut script, _) = started(two_steps());
    script.set("./FUMO/State", "50").session();
    assert_eq!((script.phase(), script.execs().len()), (("WAITING", "UPDATING"), 2));
}

#[test]
fn a_device_at_work_is_left_alone_and_the_time_of_a_phase_is_not_renewed_by_its_calls() {
    let (mut script, _) = started(two_steps());
    let due = script.execution.due_at.unwrap();
    for state in ["30", "40"] {
        script.set("./FUMO/State", state).pass(HOUR / 2).session();
        assert_eq!((script.phase(), script.execution.due_at), (("WAITING", "DOWNLOADING"), Some(due)), "{state}");
    }
    script.pass(HOUR);
    assert_eq!(script.end(), ("FAILED", "DOWNLOAD_NOT_REPORTED"));
}

#[test]
fn a_device_that_never_reports_the_installation_or_never_tells_its_version_runs_out_of_time() {
    let (mut script, first) = started(two_steps());
    script.set("./FUMO/State", "50").alert("download", "200", Some(&first), None);
    script.session().set("./FUMO/State", "60").session().pass(3 * HOUR);
    assert_eq!(script.end(), ("FAILED", "UPDATE_NOT_REPORTED"));
    let (mut script, correlator) = started(one_step());
    script.alert("downloadandupdate", "200", Some(&correlator), None);
    script.pass(25 * HOUR);
    assert_eq!(script.end(), ("FAILED", "VERSION_UNREADABLE"));
}

/// UC-7: a failure is reported with its FUMO result code.
#[test]
fn each_result_code_is_reported_as_what_it_is() {
    for code in (400..=412).chain(500..=503).chain([450, 451, 499, 550, 599, 213, 249, 0]) {
        let (mut script, correlator) = started(one_step());
        assert!(script.alert("downloadandupdate", &code.to_string(), Some(&correlator), Some("./FUMO")));
        let state = if matches!(code, 401 | 450) { "DECLINED" } else { "FAILED" };
        assert_eq!(script.end(), (state, ResultCode(code).name()), "{code}");
        let told = |fact: &&Fact| matches!(fact, Fact::Alert { data, .. } if *data == code.to_string());
        assert!(script.facts().iter().any(told), "{code}");
    }
    for code in ["200", "250", "299"] {
        let (mut script, correlator) = started(one_step());
        script.alert("downloadandupdate", code, Some(&correlator), None);
        assert_eq!(script.phase(), ("WAITING", "VERIFYING"), "{code}");
    }
    let (mut script, correlator) = started(one_step());
    script.alert("downloadandupdate", "no number", Some(&correlator), None);
    assert_eq!(script.end(), ("FAILED", "CLIENT_ERROR"));
}

#[test]
fn a_success_that_the_version_does_not_bear_out_is_a_failure() {
    let (mut script, correlator) = started(one_step());
    script.alert("downloadandupdate", "200", Some(&correlator), None);
    script.session();
    assert_eq!(script.end(), ("FAILED", "VERSION_UNCHANGED"));
    let (mut script, correlator) = started(one_step());
    script.alert("downloadandupdate", "200", Some(&correlator), None);
    script.status("./DevDetail/FwV", 404).session();
    assert_eq!(script.end(), ("FAILED", "VERSION_UNREADABLE"));
}

#[test]
fn a_user_who_says_no_declines() {
    for status in [304, 214] {
        let mut script = one_step();
        script.status("./FUMO/DownloadAndUpdate", status).session();
        assert_eq!(script.end(), ("DECLINED", "USER_CANCELLED"), "{status}");
    }
}

#[test]
fn a_refused_command_ends_the_execution_with_its_status_in_the_detail() {
    for (status, code) in [(425, "PERMISSION_DENIED"), (405, "COMMAND_REFUSED"), (500, "COMMAND_REFUSED")] {
        for node in ["./FUMO/DownloadAndUpdate", "./FUMO/DownloadAndUpdate/PkgURL"] {
            let mut script = one_step();
            script.status(node, status).session();
            assert_eq!(script.end(), ("FAILED", code), "{status} {node}");
            assert!(script.execution.detail.as_ref().unwrap().contains(&status.to_string()));
        }
    }
}

#[test]
fn a_device_that_is_busy_is_told_nothing_until_it_is_free() {
    for busy in ["30", "40", "60"] {
        let mut script = one_step();
        script.set("./FUMO/State", busy).session();
        assert_eq!(script.phase(), ("WAITING", "LOCATING"), "{busy}");
        assert!(script.execs().is_empty());
        script.set("./FUMO/State", "10").session();
        assert_eq!((script.phase(), script.execs().len()), (("WAITING", "DOWNLOADING"), 1));
    }
}

#[test]
fn a_device_that_is_never_free_is_waited_for_as_long_as_an_update_may_take() {
    let mut script = one_step();
    script.set("./FUMO/State", "30").session();
    let due = script.execution.due_at.unwrap();
    script.pass(HOUR).session();
    assert_eq!((script.phase(), script.execution.due_at), (("WAITING", "LOCATING"), Some(due)), "not renewed by its calls");
    script.now = due;
    script.pass(HOUR);
    assert_eq!(script.end(), ("FAILED", "DEVICE_BUSY"));
}

#[test]
fn the_firmware_object_is_found_where_the_device_keeps_it_or_is_said_to_be_absent() {
    let tree = [("./DevDetail/FwV", "1.0"), ("./FwUpdate/X/State", "10"), ("./FwUpdate/X/DownloadAndUpdate/PkgURL", "")];
    let mut script = one_step();
    script.tree = tree.map(|(node, text)| (node.to_owned(), text.to_owned())).into();
    script.session();
    assert_eq!(script.execs()[0].0, "./FwUpdate/X/DownloadAndUpdate");

    let mut script = one_step();
    script.tree.retain(|node, _| node == "./DevDetail/FwV");
    script.session();
    assert_eq!(script.end(), ("FAILED", "FIRMWARE_OBJECT_NOT_FOUND"));

    let mut script = one_step();
    script.tree.retain(|node, _| node == "./DevDetail/FwV");
    script.status("./FUMO/State", 425).session();
    assert_eq!(script.end(), ("FAILED", "PERMISSION_DENIED"));
}

#[test]
fn a_device_that_lacks_the_node_of_the_address_gets_it_added() {
    let mut script = one_step();
    script.tree.remove("./FUMO/DownloadAndUpdate/PkgURL");
    script.set("./FUMO/DownloadAndUpdate", "").session();
    assert_eq!(script.tree["./FUMO/DownloadAndUpdate/PkgURL"], "https://d.example/p");
    assert!(script.sent.iter().any(|command| matches!(command, Command::Add { .. })));
    assert_eq!(script.execs().len(), 1);
}

#[test]
fn a_device_that_has_the_version_already_is_left_as_it_is() {
    let mut script = one_step();
    script.set("./DevDetail/FwV", "2.0").session();
    assert_eq!((script.end(), script.execs().len()), (("SUCCEEDED", "ALREADY_INSTALLED"), 0));
}

#[test]
fn foreign_duplicate_and_late_reports_change_nothing() {
    let (mut script, correlator) = started(one_step());
    let (head, tail) = correlator.split_once('.').unwrap();
    let before = script.execution.clone();
    let foreign = [format!("{head}.1.1.1"), format!("{head}.0.2.1"), format!("{}.{tail}", "0".repeat(32)), "op-42".to_owned()];
    for foreign in foreign {
        assert!(!script.alert("downloadandupdate", "200", Some(&foreign), Some("./FUMO")), "{foreign}");
    }
    assert!(!script.alert("downloadandupdate", "200", None, Some("./Other")));
    assert!(!script.alert("userrequest", "", Some(&correlator), None), "another kind of alert");
    assert_eq!(script.execution, before);

    assert!(script.alert("downloadandupdate", "200", Some(&correlator), Some("./FUMO")));
    assert!(script.alert("downloadandupdate", "200", Some(&correlator), Some("./FUMO")), "told twice");
    assert_eq!(script.phase(), ("WAITING", "VERIFYING"));
    script.set("./DevDetail/FwV", "2.0").session();
    let ended = script.execution.clone();
    assert!(!script.alert("downloadandupdate", "410", Some(&correlator), Some("./FUMO")), "too late");
    assert_eq!(script.execution, ended);
}

#[test]
fn a_report_without_a_correlator_is_known_by_where_it_comes_from() {
    for (correlator, source) in
        [(None, Some("./FUMO")), (None, Some("./FUMO/DownloadAndUpdate")), (None, None), (Some(" "), None)]
    {
        let (mut script, _) = started(one_step());
        assert!(script.alert("downloadandupdate", "200", correlator, source), "{correlator:?} {source:?}");
        assert_eq!(script.phase(), ("WAITING", "VERIFYING"));
    }
    let mut script = one_step();
    assert!(!script.alert("downloadandupdate", "200", None, None), "nothing was begun");
    assert_eq!(script.execution.state, ExecutionState::Queued);
}

#[test]
fn a_report_in_the_session_of_the_exec_itself_counts() {
    let mut script = one_step();
    let mut moved = script.turn();
    while !matches!(moved.commands[..], [Command::Exec { .. }]) {
        let answers: Vec<_> = moved.commands.iter().map(|command| script.answer(command)).collect();
        moved = script.answered(&answers);
    }
    let correlator = script.execs()[0].1.clone();
    assert!(script.alert("downloadandupdate", "412", Some(&correlator), Some("./FUMO")));
    assert_eq!(script.end(), ("FAILED", "DOWNLOAD_SERVER_UNAVAILABLE"));
}

#[test]
fn a_client_that_installs_at_once_though_told_to_download_only_is_verified_too() {
    let (mut script, _) = started(two_steps());
    script.set("./DevDetail/FwV", "2.0");
    assert!(script.alert("update", "200", None, Some("./FUMO")));
    script.session();
    assert_eq!((script.end(), script.execs().len()), (("SUCCEEDED", "UPDATED"), 1));
}
