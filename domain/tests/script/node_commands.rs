//! Creating, copying and removing nodes, and starting what they stand for.
use std::time::Duration;

use dmwsi_domain::operation::{NodeOutcome, Request};
use dmwsi_objects::{AlertType, Answer, Command, GenericAlert, Mark, StatusCode, Value};

use super::device::{Script, node};

const TREE: &[(&str, &str)] = &[("./Vendor/Name", "red"), ("./Vendor/Old", "1")];

fn outcomes(moved: &dmwsi_domain::execution::Move) -> Vec<(&str, NodeOutcome)> {
    moved.results.iter().map(|result| (result.node.as_deref().unwrap(), result.outcome)).collect()
}

#[test]
fn what_cannot_be_asked_is_refused_with_its_place() {
    let cases = [
        (r#"{"type":"NODES_ADD","nodes":[]}"#, "/nodes"),
        (r#"{"type":"NODES_ADD","nodes":[{"node":"./A"}]}"#, "/nodes/0/value"),
        (r#"{"type":"NODES_ADD","nodes":[{"node":"./A","format":"node","value":"x"}]}"#, "/nodes/0/value"),
        (r#"{"type":"NODES_ADD","nodes":[{"node":"./A","format":"int","value":"x"}]}"#, "/nodes/0/value"),
        (r#"{"type":"NODES_ADD","nodes":[{"node":"./A","format":"bin","value":"?"}]}"#, "/nodes/0/value"),
        (r#"{"type":"NODES_ADD","nodes":[{"node":"./A?prop=ACL","value":"x"}]}"#, "/nodes/0/node"),
        (r#"{"type":"NODES_ADD","nodes":[{"node":".","value":"x"}]}"#, "/nodes/0/node"),
        (r#"{"type":"NODES_SET","changes":[{"node":"./A","format":"bin","value":"?"}]}"#, "/changes/0/value"),
        (r#"{"type":"NODES_SET","changes":[{"node":"./A","format":"int","value":"x"}]}"#, "/changes/0/value"),
        (r#"{"type":"NODES_DELETE","nodes":["./A","./A"]}"#, "/nodes/1"),
        (r#"{"type":"NODES_DELETE","nodes":["."]}"#, "/nodes/0"),
        (r#"{"type":"NODES_COPY","copies":[{"source":"./A","target":"A"}]}"#, "/copies/0/target"),
        (r#"{"type":"NODES_COPY","copies":[]}"#, "/copies"),
        (r#"{"type":"NODES_EXEC","nodes":[]}"#, "/nodes"),
        (r#"{"type":"NODES_EXEC","nodes":[{"node":"./A","format":"bool","value":"x"}]}"#, "/nodes/0/value"),
        (r#"{"type":"NODES_EXEC","nodes":[{"node":"./A"}],"reportWithinSeconds":0}"#, "/reportWithinSeconds"),
    ];
    for (request, place) in cases {
        let parsed: Request = serde_json::from_str(request).unwrap();
        let error = parsed.check().unwrap_err();
        assert!(matches!(&error, dmwsi_domain::Error::Invalid { pointer, .. } if pointer == place), "{request}: {error:?}");
    }
}

/// AD-4
#[test]
fn nodes_are_added_each_by_itself() {
    let request = r#"{"type":"NODES_ADD","nodes":[{"node":"./Vendor/New","value":"a"},{"node":"./Vendor/Name","value":"b"}]}"#;
    let mut script = Script::of(request, TREE);
    let moved = script.turn();
    let answers: Vec<_> = moved.commands.iter().map(|command| script.answer(command)).collect();
    let moved = script.answered(&answers);
    assert_eq!(outcomes(&moved), [("./Vendor/New", NodeOutcome::Done), ("./Vendor/Name", NodeOutcome::AlreadyExists)]);
    assert_eq!(script.end(), ("FAILED", "PARTLY_ADDED"));
    assert_eq!(script.execution.detail.as_deref(), Some("1 of 2 did not succeed, the first of them: ALREADY_EXISTS"));
    assert_eq!(script.tree["./Vendor/Name"], "red");
}

#[test]
fn what_an_earlier_try_made_counts_as_made_and_what_was_there_before_does_not() {
    let add = r#"{"type":"NODES_ADD","nodes":[{"node":"./Vendor/New","value":"1"}]}"#;
    let mut script = Script::of(add, TREE);
    script.session_cut_at("Add").set("./Vendor/New", "1").session();
    assert_eq!(script.end(), ("SUCCEEDED", "ADDED"));
    let delete = r#"{"type":"NODES_DELETE","nodes":["./Vendor/Old"]}"#;
    let mut script = Script::of(delete, TREE);
    script.session_cut_at("Delete").tree.remove("./Vendor/Old");
    assert_eq!(script.session().end(), ("SUCCEEDED", "DELETED"));
    let mut script = Script::of(delete, &[]);
    assert_eq!(script.session().end(), ("FAILED", "NOT_DELETED"));
    assert_eq!(script.execution.detail.as_deref(), Some("it did not succeed: NOT_FOUND"));
}

#[test]
fn a_busy_device_is_asked_again_in_later_sessions_but_not_for_ever() {
    let mut script = Script::of(r#"{"type":"NODES_DELETE","nodes":["./Vendor/Old"]}"#, TREE);
    script.status("./Vendor/Old", 417);
    assert_eq!(script.session().phase(), ("WAITING", "DELETING"));
    assert_eq!(script.session().phase(), ("WAITING", "DELETING"));
    script.session();
    assert_eq!((script.end(), script.sent.len()), (("FAILED", "NOT_DELETED"), 3));
}

#[test]
fn a_device_without_copy_has_the_server_read_and_write() {
    let request = r#"{"type":"NODES_COPY","copies":[{"source":"./Vendor/Name","target":"./Vendor/New"}]}"#;
    let mut script = Script::of(request, TREE);
    assert_eq!(script.session().end(), ("SUCCEEDED", "COPIED"));
    assert_eq!(script.sent.iter().map(Command::name).collect::<Vec<_>>(), ["Copy"]);
    let mut script = Script::of(request, TREE);
    let moved = script.turn();
    let moved = script.answered(&[Answer::with(moved.commands[0].clone(), StatusCode(501))]);
    let read = script.answer(&moved.commands[0]);
    let moved = script.answered(&[read]);
    let written = script.answer(&moved.commands[0]);
    assert_eq!(written.status, Some(StatusCode(404)));
    let moved = script.answered(&[written]);
    let added = script.answer(&moved.commands[0]);
    let moved = script.answered(&[added]);
    assert_eq!((script.end(), script.tree["./Vendor/New"].as_str()), (("SUCCEEDED", "COPIED"), "red"));
    let [result] = &moved.results[..] else { panic!("{:?}", moved.results) };
    assert_eq!((result.command.as_str(), result.source.as_deref()), ("COPY", Some("./Vendor/Name")));
    assert_eq!(script.sent.iter().map(Command::name).collect::<Vec<_>>(), ["Copy", "Get", "Replace", "Add"]);
}

#[test]
fn an_interior_node_is_not_copied_by_reading_it() {
    let mut script = Script::of(r#"{"type":"NODES_COPY","copies":[{"source":"./Vendor","target":"./New"}]}"#, TREE);
    let moved = script.turn();
    let moved = script.answered(&[Answer::with(moved.commands[0].clone(), StatusCode(406))]);
    let read = script.answer(&moved.commands[0]);
    let moved = script.answered(&[read]);
    assert_eq!(outcomes(&moved), [("./New", NodeOutcome::NotAllowed)]);
    assert_eq!(script.end(), ("FAILED", "NOT_COPIED"));
}

/// An empty value in the place of one that was lost would destroy what the target holds.
#[test]
fn what_was_not_read_is_not_written() {
    let request = r#"{"type":"NODES_COPY","copies":[{"source":"./Vendor/Name","target":"./Vendor/Old"}]}"#;
    let mut script = Script::of(request, TREE);
    let moved = script.turn();
    let moved = script.answered(&[Answer::with(moved.commands[0].clone(), StatusCode(501))]);
    let moved = script.answered(&[Answer::with(moved.commands[0].clone(), StatusCode(200))]);
    assert_eq!(outcomes(&moved), [("./Vendor/Old", NodeOutcome::AnswerLost)]);
    assert_eq!(script.sent.iter().map(Command::name).collect::<Vec<_>>(), ["Copy", "Get"]);
    assert_eq!(script.end(), ("FAILED", "NOT_COPIED"));
}

/// What a device tells about an Exec.
fn report(script: &mut Script, correlator: Option<&str>, source: Option<&str>, mark: Mark) -> (bool, Vec<(String, NodeOutcome)>) {
    report_behind(script, &[], correlator, source, mark)
}

/// The same, after it has said to have begun those Execs of what is out.
fn report_behind(
    script: &mut Script,
    begun: &[usize],
    correlator: Option<&str>,
    source: Option<&str>,
    mark: Mark,
) -> (bool, Vec<(String, NodeOutcome)>) {
    let alert = GenericAlert {
        alert_type: AlertType::lenient("com.example.done"),
        correlator: correlator.map(str::to_owned),
        source: source.map(node),
        target: None,
        mark,
        value: Value::text("17"),
    };
    let moved = script.alerted_behind(&alert, begun);
    let told = moved.results.iter().map(|result| (result.node.clone().unwrap(), result.outcome)).collect();
    (moved.mine, told)
}

#[test]
fn an_exec_is_done_when_it_has_begun_unless_its_report_is_waited_for() {
    let mut script = Script::of(r#"{"type":"NODES_EXEC","nodes":[{"node":"./Vendor/Go"}]}"#, TREE);
    assert_eq!(script.session().end(), ("SUCCEEDED", "STARTED"));
    let mut script = Script::of(r#"{"type":"NODES_EXEC","nodes":[{"node":"./Vendor/Go","value":"x"}]}"#, TREE);
    script.status("./Vendor/Go", 200);
    assert_eq!(script.session().end(), ("SUCCEEDED", "EXECUTED"));
    let mut script = Script::of(r#"{"type":"NODES_EXEC","nodes":[{"node":"./Vendor/Go"}]}"#, TREE);
    script.session_cut_at("Exec");
    assert_eq!((script.end(), script.execs().len()), (("FAILED", "NOT_EXECUTED"), 1));
    assert_eq!(script.execution.detail.as_deref(), Some("it did not succeed: ANSWER_LOST"));
}

const AWAITED: &str =
    r#"{"type":"NODES_EXEC","nodes":[{"node":"./Vendor/Go"},{"node":"./Vendor/Run"}],"reportWithinSeconds":3600}"#;

#[test]
fn a_report_is_known_by_its_correlator_or_by_its_node() {
    let mut script = Script::of(AWAITED, TREE);
    assert_eq!(script.session().phase(), ("WAITING", "REPORTING"));
    assert!(script.execution.rests_until().is_some());
    let second = script.execs()[1].1.clone();
    assert!(!report(&mut script, Some("foreign"), Some("./Vendor/Go"), Mark::Informational).0);
    assert!(!report(&mut script, None, Some("./Other"), Mark::Informational).0);
    let told = report(&mut script, Some(&second), None, Mark::Informational);
    assert_eq!(told, (true, vec![("./Vendor/Run".to_owned(), NodeOutcome::Reported)]));
    let told = report(&mut script, None, Some("./Vendor/Go"), Mark::Critical);
    assert_eq!(told, (true, vec![("./Vendor/Go".to_owned(), NodeOutcome::FaultReported)]));
    assert_eq!(script.end(), ("FAILED", "PARTLY_EXECUTED"));
}

#[test]
fn a_report_may_come_before_the_status_and_in_place_of_a_lost_one() {
    let mut script = Script::of(r#"{"type":"NODES_EXEC","nodes":[{"node":"./Vendor/Go"}],"reportWithinSeconds":60}"#, TREE);
    let moved = script.turn();
    let correlator = script.execs()[0].1.clone();
    assert_eq!(report(&mut script, Some(&correlator), None, Mark::Informational), (true, Vec::new()));
    let answer = script.answer(&moved.commands[0]);
    script.answered(&[answer]);
    assert_eq!(script.end(), ("SUCCEEDED", "EXECUTED"));
    let mut script = Script::of(AWAITED, TREE);
    script.session_cut_at("Exec");
    assert_eq!(script.phase(), ("WAITING", "REPORTING"));
    for correlator in script.execs().into_iter().map(|(_, correlator)| correlator) {
        report(&mut script, Some(&correlator), None, Mark::Informational);
    }
    assert_eq!((script.end(), script.execs().len()), (("SUCCEEDED", "EXECUTED"), 2));
}

/// AD-4: the answers come when all of them are there, the reports with the message in which they stand.
#[test]
fn a_report_without_a_correlator_is_about_the_exec_whose_status_stood_before_it() {
    let tell = |script: &mut Script, begun: &[usize], source: &str| {
        report_behind(script, begun, None, Some(source), Mark::Informational).0
    };
    let mut script = Script::of(AWAITED, TREE);
    let out = script.turn().commands;
    assert!(!tell(&mut script, &[], "./Vendor/Go"), "it may be about anything");
    assert!(!tell(&mut script, &[0], "./Vendor/Run") && !tell(&mut script, &[1], "./Vendor/Go"), "it is about another");
    assert!(tell(&mut script, &[0], "./Vendor/Go"));
    assert!(!tell(&mut script, &[0], "./Vendor/Go"), "it has reported");
    assert!(tell(&mut script, &[0, 1], "./Vendor"), "from above the node");
    let answers: Vec<_> = out.iter().map(|command| script.answer(command)).collect();
    let moved = script.answered(&answers);
    assert_eq!(outcomes(&moved), [("./Vendor/Go", NodeOutcome::Reported), ("./Vendor/Run", NodeOutcome::Reported)]);
    assert_eq!(script.end(), ("SUCCEEDED", "EXECUTED"));

    // Of two at one node the one that has begun is meant; places count what is out alone.
    let twice = r#"{"type":"NODES_EXEC","nodes":[{"node":"./A"},{"node":"./B"},{"node":"./B"}],"reportWithinSeconds":60}"#;
    let mut script = Script::of(twice, TREE);
    let out = script.turn().commands;
    let codes = [202, 417, 417];
    let answers: Vec<_> = out.iter().zip(codes).map(|(command, code)| Answer::with(command.clone(), StatusCode(code))).collect();
    script.answered(&answers);
    let out = script.turn().commands;
    assert_eq!(out.len(), 2, "who is busy is asked again");
    assert!(tell(&mut script, &[1], "./B"));
    let moved = script.answered(&[Answer::with(out[0].clone(), StatusCode(500)), Answer::with(out[1].clone(), StatusCode(202))]);
    assert_eq!(outcomes(&moved), [("./B", NodeOutcome::DeviceError), ("./B", NodeOutcome::Reported)]);
    assert_eq!(script.phase(), ("WAITING", "REPORTING"));

    // Without one that is waited for nothing is taken.
    let mut script = Script::of(r#"{"type":"NODES_EXEC","nodes":[{"node":"./Vendor/Go"}]}"#, TREE);
    script.turn();
    assert!(!tell(&mut script, &[0], "./Vendor/Go"));
}

#[test]
fn a_report_that_does_not_come_is_missed() {
    let mut script = Script::of(AWAITED, TREE);
    script.session().pass(Duration::from_secs(1800)).session().pass(Duration::from_secs(1801));
    assert_eq!((script.end(), script.execs().len()), (("FAILED", "REPORT_MISSING"), 2));
}
