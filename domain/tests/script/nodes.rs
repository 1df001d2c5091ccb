//! Reading and changing nodes.
use dmwsi_domain::evidence::Fact;
use dmwsi_domain::operation::{NodeOutcome, NodeResult};
use dmwsi_objects::{Answer, Command, StatusCode, Value};

use super::device::{Script, node};

const TREE: &[(&str, &str)] = &[("./DevInfo/Man", "Acme"), ("./Vendor/Name", "red")];

/// UC-3: absent nodes are reported by node, the rest is delivered.
#[test]
fn what_is_there_is_read_and_what_is_not_is_named() {
    let request = r#"{"type":"NODES_GET","nodes":["./DevInfo/Man","./Absent","./Vendor"]}"#;
    let mut script = Script::of(request, TREE);
    let moved = script.turn();
    let answers: Vec<_> = moved.commands.iter().map(|command| script.answer(command)).collect();
    let moved = script.answered(&answers);
    assert_eq!(script.end(), ("SUCCEEDED", "PARTLY_READ"));
    let statuses: Vec<_> = moved.results.iter().map(|result| (result.node.as_deref().unwrap(), result.status)).collect();
    assert_eq!(statuses, [("./DevInfo/Man", Some(200)), ("./Absent", Some(404)), ("./Vendor", Some(200))]);
    assert_eq!(moved.results[0].value, Some(Value::text("Acme")));
    let ends = [(r#"["./DevInfo/Man"]"#, ("SUCCEEDED", "READ")), (r#"["./No","./None"]"#, ("FAILED", "NODES_UNREADABLE"))];
    for (nodes, end) in ends {
        let mut script = Script::of(&format!(r#"{{"type":"NODES_GET","nodes":{nodes}}}"#), TREE);
        assert_eq!(script.session().end(), end, "{nodes}");
    }
}

#[test]
fn what_was_lost_is_asked_again_in_the_next_session_and_nothing_else() {
    let mut script = Script::of(r#"{"type":"NODES_GET","nodes":["./DevInfo/Man","./Vendor/Name"]}"#, TREE);
    let moved = script.turn();
    let first = script.answer(&moved.commands[0]);
    let lost = Answer::unheard(moved.commands[1].clone());
    let moved = script.answered(&[first, lost]);
    assert_eq!((moved.results.len(), script.phase()), (1, ("WAITING", "READING")));
    assert!(script.facts().contains(&&Fact::AnswerLost { command: "Get".to_owned(), node: "./Vendor/Name".to_owned() }));
    let moved = script.turn();
    assert_eq!(moved.commands, [Command::Get { target: node("./Vendor/Name") }]);
    let last = script.answer(&moved.commands[0]);
    script.answered(&[last]);
    assert_eq!(script.end(), ("SUCCEEDED", "READ"));
}

/// AD-4
#[test]
fn a_value_is_set_whether_or_not_the_node_was_there() {
    let request = r#"{"type":"NODES_SET","changes":[{"node":"./Vendor/Name","value":"blue"},{"node":"./Vendor/New","value":"1"},
        {"command":"DELETE","node":"./DevInfo/Man"}]}"#;
    let mut script = Script::of(request, TREE);
    script.session();
    assert_eq!(script.end(), ("SUCCEEDED", "CHANGED"));
    assert_eq!((script.tree["./Vendor/Name"].as_str(), script.tree["./Vendor/New"].as_str()), ("blue", "1"));
    assert!(!script.tree.contains_key("./DevInfo/Man"));
}

#[test]
fn an_exec_is_never_sent_twice_and_its_lost_answer_is_reported_as_lost() {
    let request =
        r#"{"type":"NODES_SET","changes":[{"command":"EXEC","node":"./Vendor/Go"},{"node":"./Vendor/Name","value":"blue"}]}"#;
    let mut script = Script::of(request, TREE);
    script.session_cut_at("Exec");
    assert_eq!(script.phase(), ("WAITING", "CHANGING"));
    script.session();
    assert_eq!((script.end(), script.execs().len()), (("FAILED", "PARTLY_CHANGED"), 1));
    assert_eq!(script.tree["./Vendor/Name"], "blue");
}

#[test]
fn a_change_whose_answer_was_lost_counts_as_made_when_the_second_try_finds_it_made() {
    let request = r#"{"type":"NODES_SET","changes":[{"command":"ADD","node":"./Vendor/New","value":"1"}]}"#;
    let mut script = Script::of(request, TREE);
    script.session_cut_at("Add").set("./Vendor/New", "1").session();
    assert_eq!(script.end(), ("SUCCEEDED", "CHANGED"));
    let mut script = Script::of(request, &[("./Vendor/New", "1")]);
    assert_eq!(script.session().end(), ("FAILED", "NOT_CHANGED"));
}

#[test]
fn a_result_names_node_command_and_status() {
    let mut script = Script::of(r#"{"type":"NODES_SET","changes":[{"node":"./Vendor/Name","value":"blue"}]}"#, TREE);
    script.status("./Vendor/Name", 425);
    let moved = script.turn();
    let answer = script.answer(&moved.commands[0]);
    assert_eq!(answer.status, Some(StatusCode::PERMISSION_DENIED));
    let moved = script.answered(&[answer]);
    let expected = NodeResult {
        node: Some("./Vendor/Name".into()),
        source: None,
        command: "REPLACE".into(),
        outcome: NodeOutcome::PermissionDenied,
        status: Some(425),
        value: None,
        answers: Vec::new(),
    };
    assert_eq!(moved.results, [expected]);
    assert_eq!(script.end(), ("FAILED", "NOT_CHANGED"));
}
