//! Reports that come before the answers to what was said: they move the update, and the answers are of the stage before.
use dmwsi_domain::evidence::Fact;
use dmwsi_objects::{Answer, Command};

use super::device::Script;

const TREE: &[(&str, &str)] = &[
    ("./DevDetail/FwV", "1.0"),
    ("./FUMO/State", "10"),
    ("./FUMO/Download/PkgURL", ""),
    ("./FUMO/Update", ""),
    ("./FUMO/DownloadAndUpdate/PkgURL", ""),
];

fn update(delivery: &str) -> Script {
    let request = format!(
        r#"{{"type":"FIRMWARE_UPDATE","packageUrl":"https://d.example/p","expectedFirmwareVersion":"2.0","delivery":"{delivery}"}}"#
    );
    Script::of(&request, TREE)
}

/// Goes on until a command of that name, and perhaps others with it, is out; they are not yet answered.
fn until(script: &mut Script, name: &str) -> Vec<Command> {
    let mut moved = script.turn();
    while moved.commands.iter().all(|command| command.name() != name) {
        let answers: Vec<_> = moved.commands.iter().map(|command| script.answer(command)).collect();
        moved = script.answered(&answers);
    }
    moved.commands
}

/// One package with a report and the answers to `out`, as the gateway takes it; then the session goes on.
fn tell(script: &mut Script, kind: &str, out: &[Command]) {
    let answers: Vec<_> = out.iter().map(|command| script.answer(command)).collect();
    let correlator = script.execs().pop().unwrap().1;
    assert!(script.alert(kind, "200", Some(&correlator), Some("./FUMO")));
    assert!(script.answered(&answers).commands.is_empty(), "nothing is concluded from them");
    script.session();
}

/// UC-7, AD-12
#[test]
fn a_report_of_success_that_comes_with_the_status_of_the_exec_is_verified_by_reading_the_version() {
    for status in [200, 202] {
        let mut script = update("DOWNLOAD_AND_UPDATE");
        let exec = until(&mut script, "Exec");
        script.status("./FUMO/DownloadAndUpdate", status).set("./DevDetail/FwV", "2.0").set("./FUMO/State", "100");
        tell(&mut script, "downloadandupdate", &exec);
        assert_eq!((script.end(), script.execs().len()), (("SUCCEEDED", "UPDATED"), 1), "{status}");
        assert!(script.facts().contains(&&Fact::Read { node: "./DevDetail/FwV".to_owned(), value: "2.0".to_owned() }));
    }
}

#[test]
fn a_report_of_success_that_comes_with_the_state_that_was_asked_for_is_not_judged_by_that() {
    for (delivery, report) in [("DOWNLOAD_AND_UPDATE", "downloadandupdate"), ("DOWNLOAD_THEN_UPDATE", "update")] {
        let mut script = update(delivery);
        script.session();
        let polled = until(&mut script, "Get");
        script.set("./DevDetail/FwV", "2.0").set("./FUMO/State", "100");
        tell(&mut script, report, &polled);
        assert_eq!((script.end(), script.execs().len()), (("SUCCEEDED", "UPDATED"), 1), "{delivery}");
    }
}

#[test]
fn a_report_of_the_download_is_followed_by_the_second_exec_whatever_was_out() {
    for out in ["Exec", "Get"] {
        let mut script = update("DOWNLOAD_THEN_UPDATE");
        if out == "Get" {
            script.session();
        }
        let out = until(&mut script, out);
        script.set("./FUMO/State", "50");
        tell(&mut script, "download", &out);
        let nodes: Vec<_> = script.execs().into_iter().map(|(node, _)| node).collect();
        assert_eq!(nodes, ["./FUMO/Download", "./FUMO/Update"]);
        assert_eq!(script.phase(), ("WAITING", "UPDATING"));
    }
}

#[test]
fn answers_that_are_lost_after_a_report_leave_the_next_turn_to_what_the_report_calls_for() {
    let mut script = update("DOWNLOAD_THEN_UPDATE");
    let exec = until(&mut script, "Exec");
    script.set("./FUMO/State", "50");
    let correlator = script.execs().pop().unwrap().1;
    assert!(script.alert("download", "200", Some(&correlator), None));
    let lost: Vec<_> = exec.iter().map(|command| Answer::unheard(command.clone())).collect();
    assert!(script.answered(&lost).commands.is_empty());
    script.session();
    assert_eq!(script.execs().len(), 2);
}

#[test]
fn an_update_that_owes_a_report_rests_for_an_hour_after_its_last_word_and_one_that_was_lost_does_not() {
    let hour = std::time::Duration::from_secs(3_600);
    let mut script = update("DOWNLOAD_AND_UPDATE");
    assert_eq!(script.execution.rests_until(), None, "it has not begun");
    script.session();
    assert_eq!(script.execution.rests_until(), Some(script.now.plus(hour)));
    script.set("./FUMO/State", "30").pass(hour / 2).session();
    assert_eq!(script.execution.rests_until(), Some(script.now.plus(hour)), "it was asked meanwhile");
    let correlator = script.execs().pop().unwrap().1;
    script.alert("downloadandupdate", "200", Some(&correlator), None);
    assert_eq!(script.execution.rests_until(), None, "its version is to be read");
    script.set("./DevDetail/FwV", "2.0").session();
    assert_eq!((script.end(), script.execution.rests_until()), (("SUCCEEDED", "UPDATED"), None));

    let mut lost = update("DOWNLOAD_AND_UPDATE");
    lost.session_cut_at("Exec");
    assert_eq!(lost.execution.rests_until(), None, "whether it has begun is to be asked");
    lost.set("./FUMO/State", "30").session();
    assert_eq!(lost.execution.rests_until(), Some(lost.now.plus(hour)), "it has");

    let mut busy = update("DOWNLOAD_AND_UPDATE");
    busy.set("./FUMO/State", "60").session();
    assert_eq!((busy.phase(), busy.execution.rests_until()), (("WAITING", "LOCATING"), Some(busy.now.plus(hour))));
}
