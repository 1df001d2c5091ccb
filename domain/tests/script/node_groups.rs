//! Changes that are made together, questions to the user, and trees that are read whole.
use dmwsi_domain::operation::{NodeOutcome, Request};
use dmwsi_objects::{Answer, Command, Format, PromptKind, Reading, StatusCode, Value};

use super::device::{Script, node};

const ATOMIC: &str = r#"{"type":"NODES_ATOMIC","commands":[{"command":"ADD","node":"./A","value":"1"},
    {"command":"REPLACE","node":"./B","value":"2"},{"command":"DELETE","node":"./C"}]}"#;

fn pointer(request: &str) -> String {
    let parsed: Request = serde_json::from_str(request).unwrap();
    match parsed.check() {
        Err(dmwsi_domain::Error::Invalid { pointer, .. }) => pointer,
        other => panic!("{request}: {other:?}"),
    }
}

/// The atomic command and its members with these codes; 0 stands for one whose answer did not come.
fn answered(script: &mut Script, whole: u16, members: [u16; 3]) -> Vec<NodeOutcome> {
    let sent = script.turn().commands.remove(0);
    let code = |code: u16| (code > 0).then_some(StatusCode(code));
    let mut answer = Answer { status: code(whole), ..Answer::unheard(sent) };
    for (member, status) in answer.members.iter_mut().zip(members) {
        member.status = code(status);
    }
    script.answered(&[answer]).results.iter().map(|result| result.outcome).collect()
}

#[test]
fn what_cannot_be_asked_together_is_refused_with_its_place() {
    let of = |command: &str| pointer(&format!(r#"{{"type":"NODES_ATOMIC","commands":[{command}]}}"#));
    assert_eq!(of(""), "/commands");
    assert_eq!(of(r#"{"command":"ADD","node":"./A"}"#), "/commands/0/value");
    assert_eq!(of(r#"{"command":"DELETE","node":"./A","value":"x"}"#), "/commands/0/value");
    assert_eq!(of(r#"{"command":"COPY","node":"./A"}"#), "/commands/0/source");
    assert_eq!(of(r#"{"command":"DELETE","node":"./A","source":"./B"}"#), "/commands/0/source");
    assert_eq!(of(r#"{"command":"REPLACE","node":"./A","format":"int","value":"x"}"#), "/commands/0/value");
    let exec = r#"{"type":"NODES_ATOMIC","commands":[{"command":"EXEC","node":"./A"}]}"#;
    assert!(serde_json::from_str::<Request>(exec).is_err(), "an Exec cannot be undone");
}

/// What each device makes of three changes, and what that is called.
#[test]
fn every_end_of_what_is_done_together_has_a_name() {
    use NodeOutcome::{
        AnswerLost, DeviceError, Done, NotAllowed, NotExecuted, NotFound, NotSupported, RollbackFailed, RolledBack, TooLarge,
    };
    let cases = [
        (200, [200, 200, 200], ("SUCCEEDED", "CHANGED"), [Done, Done, Done]),
        (200, [0, 0, 0], ("SUCCEEDED", "CHANGED"), [Done, Done, Done]),
        (507, [216, 404, 215], ("FAILED", "ROLLED_BACK"), [RolledBack, NotFound, NotExecuted]),
        (507, [516, 404, 215], ("FAILED", "ROLLBACK_FAILED"), [RollbackFailed, NotFound, NotExecuted]),
        (507, [200, 404, 215], ("FAILED", "NOT_ROLLED_BACK"), [Done, NotFound, NotExecuted]),
        // Whatever is said of the whole, what was done and not undone stays.
        (200, [200, 404, 200], ("FAILED", "NOT_ROLLED_BACK"), [Done, NotFound, Done]),
        (500, [200, 404, 215], ("FAILED", "NOT_ROLLED_BACK"), [Done, NotFound, NotExecuted]),
        (406, [200, 405, 215], ("FAILED", "NOT_ROLLED_BACK"), [Done, NotAllowed, NotExecuted]),
        (500, [200, 200, 200], ("FAILED", "NOT_ROLLED_BACK"), [Done; 3]),
        (200, [216, 404, 215], ("FAILED", "ROLLED_BACK"), [RolledBack, NotFound, NotExecuted]),
        (500, [500, 215, 215], ("FAILED", "DEVICE_ERROR"), [DeviceError, NotExecuted, NotExecuted]),
        (517, [216, 216, 216], ("FAILED", "TOO_LARGE"), [RolledBack; 3]),
        (517, [0, 0, 0], ("FAILED", "TOO_LARGE"), [TooLarge; 3]),
        (406, [0, 0, 0], ("FAILED", "NOT_SUPPORTED"), [NotSupported; 3]),
        (413, [0, 0, 0], ("FAILED", "TOO_LARGE"), [TooLarge; 3]),
        // Clients that have no Status for the whole, and do one after the other.
        (0, [200, 200, 200], ("SUCCEEDED", "CHANGED"), [Done, Done, Done]),
        (0, [200, 404, 200], ("FAILED", "NOT_ROLLED_BACK"), [Done, NotFound, Done]),
        (0, [216, 404, 215], ("FAILED", "ROLLED_BACK"), [RolledBack, NotFound, NotExecuted]),
        (0, [0, 404, 215], ("FAILED", "OUTCOME_UNKNOWN"), [AnswerLost, NotFound, NotExecuted]),
    ];
    for (whole, members, end, outcomes) in cases {
        let mut script = Script::of(ATOMIC, &[]);
        assert_eq!(answered(&mut script, whole, members), outcomes, "{whole} {members:?}");
        assert_eq!(script.end(), end, "{whole} {members:?}");
    }
}

#[test]
fn the_detail_of_what_is_done_together_says_what_stays_and_does_not_deny_what_was_begun() {
    let cases = [
        (507, [216, 404, 215], "REPLACE of ./B failed: NOT_FOUND; nothing was changed"),
        (
            200,
            [200, 404, 200],
            "REPLACE of ./B failed: NOT_FOUND; the device does not change nodes together, and 2 of 3 changes stay",
        ),
        (500, [200, 404, 215], "REPLACE of ./B failed: NOT_FOUND; 1 of 3 changes were not undone"),
        (500, [200, 200, 200], "the device answered 500 to the whole; 3 of 3 changes were not undone"),
        (500, [500, 215, 215], "ADD of ./A failed: DEVICE_ERROR; nothing was changed"),
        (500, [216, 216, 216], "the device answered 500 to the whole; nothing was changed"),
        (517, [216, 216, 216], "the answers do not fit into one message of the device; nothing was changed"),
        (413, [0, 0, 0], "the commands do not fit into one message of the device"),
        (406, [0, 0, 0], "the device did not begin: ADD of ./A failed: NOT_SUPPORTED"),
    ];
    for (whole, members, detail) in cases {
        let mut script = Script::of(ATOMIC, &[]);
        answered(&mut script, whole, members);
        assert_eq!(script.execution.detail.as_deref(), Some(detail), "{whole} {members:?}");
    }
}

#[test]
fn a_second_try_that_finds_the_changes_made_does_not_say_that_nothing_was_changed() {
    let mut script = Script::of(ATOMIC, &[]);
    assert!(answered(&mut script, 0, [0, 0, 0]).is_empty());
    assert_eq!(script.phase(), ("WAITING", "CHANGING"));
    answered(&mut script, 507, [418, 215, 215]);
    assert_eq!(script.end(), ("FAILED", "OUTCOME_UNKNOWN"));
    let mut script = Script::of(ATOMIC, &[]);
    answered(&mut script, 215, [0, 0, 0]);
    answered(&mut script, 200, [200, 200, 200]);
    assert_eq!(script.end(), ("SUCCEEDED", "CHANGED"));
}

#[test]
fn a_prompt_is_told_in_the_options_of_the_protocol() {
    let options = |request: &str| match Script::of(request, &[]).turn().commands.remove(0) {
        Command::Alert(prompt) => (prompt.kind, prompt.options, prompt.choices.len()),
        other => panic!("{other:?}"),
    };
    let cases = [
        (r#"{"type":"USER_PROMPT","kind":"DISPLAY","text":"Hello"}"#, (PromptKind::Display, "MAXDT=480", 0)),
        (
            r#"{"type":"USER_PROMPT","kind":"CONFIRM","text":"Now?","minSeconds":5,"maxSeconds":30,"defaultAnswer":["1"]}"#,
            (PromptKind::Confirm, "MINDT=5&MAXDT=30&DR=1", 0),
        ),
        (
            r#"{"type":"USER_PROMPT","kind":"TEXT_INPUT","text":"Name?","defaultAnswer":["a b&c"],"maxLength":8,"input":"NUMERIC","hidden":true}"#,
            (PromptKind::TextInput, "MAXDT=480&DR=a+b%26c&MAXLEN=8&IT=N&ET=P", 0),
        ),
        (
            r#"{"type":"USER_PROMPT","kind":"MULTIPLE_CHOICE","text":"Which?","choices":["a","b","c"],"defaultAnswer":["2","3"]}"#,
            (PromptKind::MultipleChoice, "MAXDT=480&DR=2-3", 3),
        ),
    ];
    for (request, (kind, text, choices)) in cases {
        assert_eq!(options(request), (kind, text.to_owned(), choices));
    }
}

#[test]
fn a_prompt_that_cannot_be_is_refused_with_its_place() {
    let of = |rest: &str| pointer(&format!(r#"{{"type":"USER_PROMPT",{rest}}}"#));
    assert_eq!(of(r#""kind":"DISPLAY","text":"""#), "/text");
    assert_eq!(of(&format!(r#""kind":"DISPLAY","text":"{}""#, "x".repeat(1001))), "/text");
    assert_eq!(of(r#""kind":"SINGLE_CHOICE","text":"?""#), "/choices");
    assert_eq!(of(r#""kind":"CONFIRM","text":"?","choices":["a"]"#), "/choices");
    assert_eq!(of(r#""kind":"SINGLE_CHOICE","text":"?","choices":[""]"#), "/choices/0");
    assert_eq!(of(r#""kind":"SINGLE_CHOICE","text":"?","choices":["a"],"defaultAnswer":["2"]"#), "/defaultAnswer");
    assert_eq!(of(r#""kind":"CONFIRM","text":"?","defaultAnswer":["yes"]"#), "/defaultAnswer");
    assert_eq!(of(r#""kind":"CONFIRM","text":"?","hidden":true"#), "/kind");
    assert_eq!(of(r#""kind":"CONFIRM","text":"?","maxSeconds":0"#), "/maxSeconds");
    assert_eq!(of(r#""kind":"CONFIRM","text":"?","maxSeconds":481"#), "/maxSeconds");
    assert_eq!(of(r#""kind":"CONFIRM","text":"?","minSeconds":481"#), "/minSeconds");
    assert_eq!(of(r#""kind":"CONFIRM","text":"?","minSeconds":9,"maxSeconds":3"#), "/minSeconds");
}

#[test]
fn every_answer_of_a_user_is_an_end_that_is_understood() {
    let confirm = r#"{"type":"USER_PROMPT","kind":"CONFIRM","text":"Now?"}"#;
    let cases = [
        (200, ("SUCCEEDED", "CONFIRMED")),
        (202, ("FAILED", "POSTPONED")),
        (212, ("FAILED", "ANSWER_MISSING")),
        (1200, ("FAILED", "ANSWER_MISSING")),
        (304, ("DECLINED", "USER_DECLINED")),
        (214, ("DECLINED", "USER_CANCELLED")),
        (408, ("FAILED", "NO_ANSWER")),
        (405, ("FAILED", "NOT_ALLOWED")),
        (406, ("FAILED", "NOT_SUPPORTED")),
        (416, ("FAILED", "NOT_DISPLAYED")),
        (412, ("FAILED", "UNINTELLIGIBLE")),
        (500, ("FAILED", "DEVICE_ERROR")),
        (0, ("FAILED", "ANSWER_LOST")),
    ];
    for (code, end) in cases {
        let mut script = Script::of(confirm, &[]);
        let sent = script.turn().commands.remove(0);
        let status = (code > 0).then_some(StatusCode(code));
        script.answered(&[Answer { status, ..Answer::unheard(sent) }]);
        assert_eq!(script.end(), end, "{code}");
    }
    let choice = r#"{"type":"USER_PROMPT","kind":"MULTIPLE_CHOICE","text":"Which?","choices":["a","b","c"]}"#;
    let mut script = Script::of(choice, &[]);
    let sent = script.turn().commands.remove(0);
    let said = ["3", "Which?", "1", "9", "3"].map(str::to_owned).to_vec();
    let moved = script.answered(&[Answer { said, ..Answer::with(sent, StatusCode::OK) }]);
    assert_eq!(
        (script.end(), moved.results[0].answers.clone()),
        (("SUCCEEDED", "ANSWERED"), vec!["1".to_owned(), "3".to_owned()])
    );
}

#[test]
fn an_answer_in_which_nothing_is_answered_is_none() {
    let rest = |kind: &str| match kind {
        "TEXT_INPUT" => "",
        _ => r#","choices":["a","b","c"]"#,
    };
    let cases: [(&str, &[&str], _, &[&str]); 13] = [
        ("TEXT_INPUT", &[], ("FAILED", "ANSWER_MISSING"), &[]),
        ("TEXT_INPUT", &[""], ("SUCCEEDED", "ANSWERED"), &[""]),
        ("TEXT_INPUT", &["Ada"], ("SUCCEEDED", "ANSWERED"), &["Ada"]),
        ("SINGLE_CHOICE", &[], ("FAILED", "ANSWER_MISSING"), &[]),
        ("SINGLE_CHOICE", &["0"], ("FAILED", "ANSWER_MISSING"), &[]),
        ("SINGLE_CHOICE", &["4"], ("FAILED", "ANSWER_MISSING"), &[]),
        ("SINGLE_CHOICE", &["1", "2"], ("FAILED", "ANSWER_MISSING"), &["1", "2"]),
        ("SINGLE_CHOICE", &["Which?", "3"], ("SUCCEEDED", "ANSWERED"), &["3"]),
        // A user may choose none of several.
        ("MULTIPLE_CHOICE", &[], ("SUCCEEDED", "ANSWERED"), &[]),
        ("MULTIPLE_CHOICE", &[""], ("SUCCEEDED", "ANSWERED"), &[]),
        ("MULTIPLE_CHOICE", &["4"], ("FAILED", "ANSWER_MISSING"), &[]),
        ("MULTIPLE_CHOICE", &["Which?"], ("FAILED", "ANSWER_MISSING"), &[]),
        ("MULTIPLE_CHOICE", &["2", "1"], ("SUCCEEDED", "ANSWERED"), &["1", "2"]),
    ];
    for (kind, said, end, answers) in cases {
        let mut script = Script::of(&format!(r#"{{"type":"USER_PROMPT","kind":"{kind}","text":"Which?"{}}}"#, rest(kind)), &[]);
        let sent = script.turn().commands.remove(0);
        let told = said.iter().map(|text| (*text).to_owned()).collect();
        let moved = script.answered(&[Answer { said: told, ..Answer::with(sent, StatusCode::OK) }]);
        assert_eq!(script.end(), end, "{kind} {said:?}");
        assert_eq!(moved.results[0].answers, answers, "{kind} {said:?}");
    }
    // What is hidden is not kept, and was said all the same.
    let hidden = r#"{"type":"USER_PROMPT","kind":"TEXT_INPUT","text":"Password?","hidden":true}"#;
    for (said, end) in [(vec![], ("FAILED", "ANSWER_MISSING")), (vec!["word".to_owned()], ("SUCCEEDED", "ANSWERED"))] {
        let mut script = Script::of(hidden, &[]);
        let sent = script.turn().commands.remove(0);
        let moved = script.answered(&[Answer { said, ..Answer::with(sent, StatusCode::OK) }]);
        assert_eq!((script.end(), moved.results[0].answers.len()), (end, 0));
    }
}

const TREE: &[(&str, &str)] = &[("./V/a", "1"), ("./V/b/c", "2"), ("./V/b/d", "3")];

#[test]
fn a_tree_is_walked_where_the_device_knows_no_list() {
    let mut script = Script::of(r#"{"type":"TREE_READ","root":"./V"}"#, TREE);
    script.status("./V?list=TNDS", 406).status("./V?list=StructData", 406).status("./V/b/c", 425);
    script.session();
    assert_eq!(script.end(), ("SUCCEEDED", "PARTLY_READ"));
    assert_eq!(script.execution.detail.as_deref(), Some("1 could not be read, the first of them: PERMISSION_DENIED"));
    let asked: Vec<_> = script.sent.iter().map(Command::target_text).collect();
    assert_eq!(asked, ["./V?list=TNDS", "./V?list=StructData", "./V", "./V/a", "./V/b", "./V/b/c", "./V/b/d"]);
    let mut script = Script::of(r#"{"type":"TREE_READ","root":"./Absent","method":"WALK"}"#, TREE);
    assert_eq!(script.session().end(), ("FAILED", "NOT_FOUND"));
}

#[test]
fn what_says_what_a_value_is_is_asked_for_wherever_something_is_selected() {
    let asked = |properties: &str| {
        let request = format!(r#"{{"type":"TREE_READ","root":"./V","properties":[{properties}]}}"#);
        Script::of(&request, TREE).turn().commands.remove(0).target_text().to_owned()
    };
    assert_eq!(asked(""), "./V?list=TNDS");
    assert_eq!(asked(r#""NAME","SIZE""#), "./V?list=TNDS", "neither is selected in a serialised tree");
    assert_eq!(asked(r#""ACL""#), "./V?list=TNDS+ACL+Format+Type+Value");
    assert_eq!(asked(r#""TYPE","TITLE","FORMAT""#), "./V?list=TNDS+Title+Format+Type+Value");
}

#[test]
fn a_list_brings_all_at_once_and_properties_are_asked_for_one_by_one() {
    let mut script = Script::of(r#"{"type":"TREE_READ","root":"./V","properties":["ACL"],"method":"LIST"}"#, TREE);
    let sent = script.turn().commands.remove(0);
    assert_eq!(sent.target_text(), "./V?list=StructData");
    let reading = |at: &str, value: Value| Reading { node: node(at), value };
    let interior = Value { format: Format::Node, ..Value::default() };
    let readings = vec![reading("./V", interior), reading("./V/a", Value::text("1"))];
    let moved = script.answered(&[Answer { readings, ..Answer::with(sent, StatusCode::OK) }]);
    let told: Vec<_> = moved.results.iter().map(|result| result.node.clone().unwrap()).collect();
    assert_eq!(told, ["./V", "./V/a"]);
    let asked: Vec<_> = moved.commands.iter().map(Command::target_text).collect();
    assert_eq!(asked, ["./V?prop=ACL", "./V/a?prop=ACL"]);
    let answers: Vec<_> = moved.commands.iter().map(|command| Answer::with(command.clone(), StatusCode(406))).collect();
    script.answered(&answers);
    assert_eq!(script.end(), ("SUCCEEDED", "PARTLY_READ"));
}

#[test]
fn what_looks_at_no_question_is_walked_and_what_was_lost_is_asked_again() {
    let mut script = Script::of(r#"{"type":"TREE_READ","root":"./V","method":"LIST"}"#, TREE);
    let sent = script.turn().commands.remove(0);
    let reading = Reading { node: node("./V"), value: Value::node(&["a", "b"]) };
    let moved = script.answered(&[Answer { readings: vec![reading], ..Answer::with(sent, StatusCode::OK) }]);
    assert_eq!(moved.commands[0].target_text(), "./V");
    let top = script.answer(&moved.commands[0]);
    let moved = script.answered(&[top]);
    let lost: Vec<_> = moved.commands.iter().cloned().map(Answer::unheard).collect();
    script.answered(&lost);
    assert_eq!(script.phase(), ("WAITING", "READING"));
    assert_eq!(script.session().end(), ("SUCCEEDED", "READ"));
}

#[test]
fn a_busy_device_has_said_so_once_whatever_it_was_asked() {
    let nodes: Vec<_> = (0..20).map(|number| (format!("./V/{number:02}"), "1".to_owned())).collect();
    let tree: Vec<_> = nodes.iter().map(|(node, text)| (node.as_str(), text.as_str())).collect();
    let mut script = Script::of(r#"{"type":"TREE_READ","root":"./V","method":"WALK"}"#, &tree);
    let moved = script.turn();
    let top = script.answer(&moved.commands[0]);
    let moved = script.answered(&[top]);
    let mut commands = moved.commands;
    for _ in 0..2 {
        assert_eq!(commands.len(), 20);
        let busy: Vec<_> = commands.iter().map(|command| Answer::with(command.clone(), StatusCode(417))).collect();
        assert!(script.answered(&busy).results.is_empty());
        assert_eq!(script.phase(), ("WAITING", "READING"));
        commands = script.turn().commands;
    }
    assert_eq!(script.session().end(), ("SUCCEEDED", "READ"));

    let mut script = Script::of(r#"{"type":"NODES_GET","nodes":["./V/00","./V/01"]}"#, &tree);
    script.status("./V/01", 503);
    script.session().session();
    assert_eq!(script.phase(), ("WAITING", "READING"));
    assert_eq!(script.session().end(), ("SUCCEEDED", "PARTLY_READ"));
    let mut script = Script::of(r#"{"type":"NODES_SET","changes":[{"node":"./V/00","value":"2"}]}"#, &tree);
    script.status("./V/00", 503).session();
    assert_eq!(script.phase(), ("WAITING", "CHANGING"));
    script.statuses.clear();
    assert_eq!(script.session().end(), ("SUCCEEDED", "CHANGED"));
}

#[test]
fn a_list_that_is_not_found_says_nothing_of_the_node() {
    let mut script = Script::of(r#"{"type":"TREE_READ","root":"./V"}"#, TREE);
    script.status("./V?list=TNDS", 404).status("./V?list=StructData", 404);
    assert_eq!(script.session().end(), ("SUCCEEDED", "READ"));
    let mut script = Script::of(r#"{"type":"TREE_READ","root":"./Absent"}"#, TREE);
    assert_eq!(script.session().end(), ("FAILED", "NOT_FOUND"));
}

#[test]
fn a_document_without_a_type_is_no_list() {
    let mut script = Script::of(r#"{"type":"TREE_READ","root":"./V"}"#, TREE);
    let sent = script.turn().commands.remove(0);
    let broken = Reading { node: node("./V"), value: Value::text("<?xml version='1.0'?><MgmtTree><Node>") };
    let moved = script.answered(&[Answer { readings: vec![broken], ..Answer::with(sent, StatusCode::OK) }]);
    assert_eq!((moved.results.len(), moved.commands[0].target_text()), (0, "./V?list=StructData"));
}

#[test]
fn a_copy_by_hand_asks_about_pieces_where_what_was_read_may_need_them() {
    let request = r#"{"type":"NODES_COPY","copies":[{"source":"./V/a","target":"./V/e"}]}"#;
    for (length, next) in [(4_000, "./DevDetail/LrgObj"), (40, "./V/e")] {
        let value = "x".repeat(length);
        let mut script = Script::of(request, &[("./V/a", &value)]);
        assert!(!script.execution.operation.sends_large());
        let copy = script.turn().commands.remove(0);
        let read = script.answered(&[Answer::with(copy, StatusCode::NOT_SUPPORTED)]).commands.remove(0);
        let value = script.answer(&read);
        let mut asked = script.answered(&[value]).commands;
        assert_eq!(asked[0].target_text(), next);
        if length > 40 {
            asked = script.answered(&[Answer::with(asked.remove(0), StatusCode::NOT_FOUND)]).commands;
        }
        assert!(matches!(&asked[..], [Command::Replace { target, .. }] if target.as_str() == "./V/e"), "{asked:?}");
    }
}
