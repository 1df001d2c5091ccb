//! Rows of the conformance list: commands, each with every status that the specification has for it.
use dmwsi_protocol::message::{Element, Item};
use serde_json::{Value, json};

use crate::harness::phone::{FINAL, results, status};
use crate::harness::talk::{ENCODINGS, Ground, Heard, Talk};

/// The first item of the first command.
fn item(heard: &Heard) -> &Item {
    let items = heard.message.body.iter().find_map(|element| match element {
        Element::Command(command) => Some(&command.items),
        _ => None,
    });
    let [item] = items.unwrap().as_slice() else { panic!("one item: {:?}", heard.message) };
    item
}

/// Each code with what becomes of the command that it answers.
async fn each(talk: &mut Talk, operation: &Value, codes: &[(u16, &str)]) {
    for (code, outcome) in codes {
        let execution = talk.does(operation, &[*code]).await;
        let job = format!("/v1/jobs/{}", execution["jobId"].as_str().unwrap());
        assert_eq!(talk.outcomes(&job).await, [*outcome], "{code} to {operation}: {execution}");
        let succeeded = ["DONE", "STARTED"].contains(outcome);
        assert_eq!(execution["state"] == "SUCCEEDED", succeeded, "{code} to {operation}: {execution}");
    }
}

/// What was passed over (215) is no end: it is said again in the next session, and then it succeeds.
async fn passed_over(talk: &mut Talk, operation: &Value) {
    let job = talk.job(operation).await;
    let heard = talk.opens("").await;
    talk.say(&format!("{}{FINAL}", heard.answers(&[215]))).await;
    assert_eq!(talk.state(&job).await, "WAITING", "{operation}");
    let again = talk.opens("").await;
    let said = |heard: &Heard| -> Vec<_> {
        heard.commands().into_iter().map(|(name, _, at)| (name.to_owned(), at.to_owned())).collect()
    };
    assert_eq!(said(&again), said(&heard), "{operation}");
    talk.say(&format!("{}{FINAL}", again.answers(&[200]))).await;
    assert_eq!(talk.ended(&job).await["state"], "SUCCEEDED", "{operation}");
    assert_eq!(talk.outcomes(&job).await, ["DONE"], "{operation}");
}

const REFUSALS: [(u16, &str); 11] = [
    (400, "UNINTELLIGIBLE"),
    (403, "CONFLICT"),
    (405, "NOT_ALLOWED"),
    (406, "NOT_SUPPORTED"),
    (407, "SERVER_REFUSED"),
    (412, "UNINTELLIGIBLE"),
    (414, "ADDRESS_TOO_LONG"),
    (425, "PERMISSION_DENIED"),
    (500, "DEVICE_ERROR"),
    (510, "DEVICE_ERROR"),
    (799, "UNRECOGNISED"),
];

both! {
    /// S-CM-01: an Add has Meta with a Format, and Data, in its one item; each status is told as what it is.
    async fn an_add_is_whole_and_each_answer_to_it_is_told_apart(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let node = json!({"type": "NODES_ADD", "nodes": [{"node": "./Vendor/New", "format": "node"}]});
            let job = talk.job(&node).await;
            let heard = talk.opens("").await;
            let added = item(&heard);
            assert_eq!((added.target.as_deref(), added.meta.format.as_deref(), added.data.is_some()), (Some("./Vendor/New"), Some("node"), true));
            talk.say(&format!("{}{FINAL}", heard.answers(&[200]))).await;
            assert_eq!(talk.ended(&job).await["outcome"], "ADDED");
            let leaf = json!({"type": "NODES_ADD", "nodes": [{"node": "./Vendor/New/Leaf", "value": "a<b", "type": "text/plain"}]});
            each(&mut talk, &leaf, &REFUSALS).await;
            let more = [(200, "DONE"), (216, "ROLLED_BACK"), (413, "TOO_LARGE"), (415, "UNSUPPORTED_FORMAT"), (418, "ALREADY_EXISTS"), (420, "DEVICE_FULL")];
            each(&mut talk, &leaf, &more).await;
            passed_over(&mut talk, &leaf).await;
        }
        ground.server.stop().await;
    }

    /// S-CM-02: a Replace, of values in every format, and each answer to it.
    async fn a_replace_is_whole_and_each_answer_to_it_is_told_apart(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            for (format, value) in [
                ("chr", "a & b"), ("int", "-5"), ("bool", "true"), ("float", "+1.5e+01"), ("date", "2005-10-18"), ("time", "23:18:23"), ("b64", "AP8="), ("bin", "AP8="),
                ("xml", "<a b=\"c\"/>"), ("null", ""),
            ] {
                let change = json!({"type": "NODES_SET", "changes": [{"command": "REPLACE", "node": "./Vendor/Leaf", "format": format, "value": value}]});
                let job = talk.job(&change).await;
                let heard = talk.opens("").await;
                let sent = item(&heard);
                let on_wire = if format == "bin" && encoding == dmwsi_protocol::encoding::Encoding::Xml { "b64" } else { format };
                assert_eq!((sent.meta.format.as_deref(), sent.data.is_some()), (Some(on_wire), true), "{format}");
                talk.say(&format!("{}{FINAL}", heard.answers(&[200]))).await;
                assert_eq!(talk.ended(&job).await["outcome"], "CHANGED", "{format}");
            }
            let change = json!({"type": "NODES_SET", "changes": [{"command": "REPLACE", "node": "./Vendor/Leaf", "value": "x"}]});
            each(&mut talk, &change, &REFUSALS).await;
            let more = [(216, "ROLLED_BACK"), (404, "NOT_FOUND"), (413, "TOO_LARGE"), (415, "UNSUPPORTED_FORMAT"), (418, "ALREADY_EXISTS"), (420, "DEVICE_FULL")];
            each(&mut talk, &change, &more).await;
            passed_over(&mut talk, &change).await;
        }
        ground.server.stop().await;
    }

    /// S-CM-03: a Delete, and each answer to it.
    async fn each_answer_to_a_delete_is_told_apart(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let delete = json!({"type": "NODES_DELETE", "nodes": ["./Vendor/Old"]});
            each(&mut talk, &delete, &REFUSALS).await;
            each(&mut talk, &delete, &[(200, "DONE"), (216, "ROLLED_BACK"), (404, "NOT_FOUND")]).await;
            passed_over(&mut talk, &delete).await;
        }
        ground.server.stop().await;
    }

    /// S-CM-04: a Get, and each answer to it; a value without Data is an empty one.
    async fn each_answer_to_a_get_is_told_apart(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let get = json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]});
            each(&mut talk, &get, &REFUSALS).await;
            each(&mut talk, &get, &[(200, "DONE"), (404, "NOT_FOUND"), (413, "TOO_LARGE"), (415, "UNSUPPORTED_FORMAT")]).await;
            passed_over(&mut talk, &get).await;
            let job = talk.job(&get).await;
            let heard = talk.opens("").await;
            let id = heard.commands()[0].1;
            let empty = format!("<Results><CmdID>3</CmdID><MsgRef>1</MsgRef><CmdRef>{id}</CmdRef><Item><Source><LocURI>./Vendor/A</LocURI></Source></Item></Results>");
            talk.say(&format!("{empty}{}{FINAL}", heard.answers(&[200]))).await;
            talk.ended(&job).await;
            assert_eq!(talk.results(&job).await[0]["value"]["data"], "");
        }
        ground.server.stop().await;
    }

    /// S-CM-05: an Exec goes alone, with its correlator; each answer to it is told apart, and none sends it again.
    async fn an_exec_goes_alone_and_each_answer_to_it_is_told_apart(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let two = json!({"type": "NODES_EXEC", "nodes": [{"node": "./Vendor/One"}, {"node": "./Vendor/Two", "value": "now"}]});
            let job = talk.job(&two).await;
            let first = talk.opens("").await;
            assert_eq!(first.commands().len(), 1, "each in a message of its own");
            let correlators = |heard: &Heard| -> Vec<String> {
                let named = heard.message.body.iter().filter_map(|element| match element {
                    Element::Command(command) => command.correlator.clone(),
                    _ => None,
                });
                named.collect()
            };
            let second = talk.say(&format!("{}{FINAL}", first.answers(&[200]))).await;
            assert_eq!((second.commands().len(), second.data()), (1, "now".to_owned()));
            assert_ne!(correlators(&first), correlators(&second));
            talk.say(&format!("{}{FINAL}", second.answers(&[200]))).await;
            assert_eq!(talk.ended(&job).await["outcome"], "EXECUTED");
            let exec = json!({"type": "NODES_EXEC", "nodes": [{"node": "./Vendor/One"}]});
            each(&mut talk, &exec, &REFUSALS).await;
            each(&mut talk, &exec, &[(200, "DONE"), (202, "STARTED"), (404, "NOT_FOUND"), (420, "DEVICE_FULL"), (1200, "DONE"), (1400, "FAULT_REPORTED")]).await;
            passed_over(&mut talk, &exec).await;
            // Its answer never comes: nobody knows, and nobody asks for it again.
            let job = talk.job(&exec).await;
            let heard = talk.opens("").await;
            talk.say(&format!("{}{FINAL}", heard.header())).await;
            talk.ended(&job).await;
            assert_eq!(talk.outcomes(&job).await, ["ANSWER_LOST"]);
            assert!(!talk.opens("").await.asks());
        }
        ground.server.stop().await;
    }

    /// S-CM-01: where the answer to an Add was lost, a node that is there when it is said again is the one that was made; where none was lost, it is not.
    async fn an_add_whose_answer_was_lost_is_done_where_the_node_is_there(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let nodes = [json!({"node": "./Vendor/New", "format": "node"}), json!({"node": "./Vendor/New/A", "value": "a"})];
            let add = talk.job(&json!({"type": "NODES_ADD", "nodes": nodes})).await;
            assert_eq!(talk.opens("").await.commands().len(), 2);
            // The device did it, and its answer never came: it begins anew.
            let heard = talk.opens("").await;
            assert_eq!(heard.commands().len(), 2);
            talk.say(&format!("{}{FINAL}", heard.answers(&[418, 418]))).await;
            assert_eq!((talk.ended(&add).await["outcome"].as_str(), talk.outcomes(&add).await), (Some("ADDED"), vec!["DONE".to_owned(); 2]));
            let again = talk.does(&json!({"type": "NODES_ADD", "nodes": nodes}), &[418, 418]).await;
            assert_eq!(again["outcome"], "NOT_ADDED", "{again}");
        }
        ground.server.stop().await;
    }

    /// S-CM-06: a Copy where the device knows it, by reading and writing where it does not, and each answer to it.
    async fn each_answer_to_a_copy_is_told_apart(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let copy = json!({"type": "NODES_COPY", "copies": [{"source": "./Vendor/A", "target": "./Vendor/B"}]});
            let known: Vec<_> = REFUSALS.iter().copied().filter(|(code, _)| *code != 406).collect();
            each(&mut talk, &copy, &known).await;
            let more = [(200, "DONE"), (216, "ROLLED_BACK"), (404, "NOT_FOUND"), (413, "TOO_LARGE"), (415, "UNSUPPORTED_FORMAT"), (418, "ALREADY_EXISTS"), (420, "DEVICE_FULL")];
            each(&mut talk, &copy, &more).await;
            passed_over(&mut talk, &copy).await;
            for unknown in [406, 501] {
                // What a device does not know is remembered of it.
                let mut talk = ground.talk(encoding).await;
                let job = talk.job(&copy).await;
                let heard = talk.opens("").await;
                let (sent, id) = (item(&heard), heard.commands()[0].1.to_owned());
                assert_eq!((sent.source.as_deref(), sent.target.as_deref()), (Some("./Vendor/A"), Some("./Vendor/B")));
                let heard = talk.say(&format!("{}{FINAL}", heard.answers(&[unknown]))).await;
                assert_eq!(heard.commands(), [("Get", heard.commands()[0].1, "./Vendor/A")], "after {id}");
                let told = results(5, 2, heard.commands()[0].1.parse().unwrap(), "./Vendor/A", "value");
                let heard = talk.say(&format!("{}{told}{FINAL}", heard.answers(&[200]))).await;
                assert_eq!((heard.commands()[0].2, heard.data()), ("./Vendor/B", "value".to_owned()));
                talk.say(&format!("{}{FINAL}", heard.answers(&[200]))).await;
                assert_eq!(talk.ended(&job).await["outcome"], "COPIED");
                // Only before a value is written that may not fit is the device asked whether it takes it in pieces.
                let job = talk.job(&copy).await;
                let heard = talk.opens("").await;
                let long = "x".repeat(1_001);
                let told = results(5, 1, heard.commands()[0].1.parse().unwrap(), "./Vendor/A", &long);
                let heard = talk.say(&format!("{}{told}{FINAL}", heard.answers(&[200]))).await;
                assert_eq!(heard.commands(), [("Get", heard.commands()[0].1, "./DevDetail/LrgObj")]);
                let heard = talk.say(&format!("{}{FINAL}", heard.answers(&[404]))).await;
                assert_eq!((heard.commands()[0].2, heard.data()), ("./Vendor/B", long));
                talk.say(&format!("{}{FINAL}", heard.answers(&[200]))).await;
                assert_eq!(talk.ended(&job).await["outcome"], "COPIED");
            }
        }
        ground.server.stop().await;
    }

    /// S-CM-07: each kind of prompt with its options, its first item never empty, and each answer of a user or of a device that cannot ask.
    async fn prompts_are_whole_and_each_answer_to_them_is_told_apart(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let prompt = |kind: &str, more: Value| {
                let mut prompt = json!({"type": "USER_PROMPT", "kind": kind, "text": "Install?"});
                prompt.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                prompt
            };
            let choices = ["red", "blue", "none"];
            // The last says how it ends where the user is told to have agreed, and nothing is said of what the user wrote or chose.
            for (operation, code, texts, ends) in [
                (prompt("DISPLAY", json!({"minSeconds": 5})), 1100, vec!["MINDT=5&MAXDT=480", "Install?"], ("SUCCEEDED", "SHOWN")),
                (prompt("DISPLAY", json!({})), 1100, vec!["MAXDT=480", "Install?"], ("SUCCEEDED", "SHOWN")),
                (prompt("CONFIRM", json!({"maxSeconds": 30, "defaultAnswer": ["1"]})), 1101, vec!["MAXDT=30&DR=1", "Install?"], ("SUCCEEDED", "CONFIRMED")),
                (prompt("TEXT_INPUT", json!({"maxLength": 8, "input": "NUMERIC", "hidden": true})), 1102, vec!["MAXDT=480&MAXLEN=8&IT=N&ET=P", "Install?"], ("FAILED", "ANSWER_MISSING")),
                (prompt("TEXT_INPUT", json!({"defaultAnswer": ["a b&c"]})), 1102, vec!["MAXDT=480&DR=a+b%26c", "Install?"], ("FAILED", "ANSWER_MISSING")),
                (prompt("SINGLE_CHOICE", json!({"choices": choices})), 1103, vec!["MAXDT=480", "Install?", "red", "blue", "none"], ("FAILED", "ANSWER_MISSING")),
                // Of several a user may choose none.
                (prompt("MULTIPLE_CHOICE", json!({"choices": choices, "defaultAnswer": ["2", "3"]})), 1104, vec!["MAXDT=480&DR=2-3", "Install?", "red", "blue", "none"], ("SUCCEEDED", "ANSWERED")),
            ] {
                let job = talk.job(&operation).await;
                let heard = talk.opens("").await;
                assert_eq!(heard.alert(), Some(code));
                let items = heard.message.body.iter().find_map(|element| if let Element::Alert(alert) = element { Some(&alert.items) } else { None });
                let said = items.unwrap().iter().map(|item| match &item.data {
                    Some(dmwsi_protocol::message::Data::Text(text)) => text.clone(),
                    other => panic!("{other:?}"),
                });
                assert_eq!(said.collect::<Vec<_>>(), texts);
                talk.say(&format!("{}{FINAL}", heard.answers(&[200]))).await;
                let execution = talk.ended(&job).await;
                assert_eq!((execution["state"].as_str(), execution["outcome"].as_str()), (Some(ends.0), Some(ends.1)), "{operation}");
            }
            // What the user says stands in the items of the Status.
            for (kind, more, items, outcome, answers) in [
                ("TEXT_INPUT", json!({}), vec!["Ada"], "ANSWERED", json!(["Ada"])),
                ("SINGLE_CHOICE", json!({"choices": choices}), vec!["2"], "ANSWERED", json!(["2"])),
                ("SINGLE_CHOICE", json!({"choices": choices}), vec!["4"], "ANSWER_MISSING", Value::Null),
                ("SINGLE_CHOICE", json!({"choices": choices}), vec!["blue"], "ANSWER_MISSING", Value::Null),
                ("MULTIPLE_CHOICE", json!({"choices": choices}), vec!["3", "1"], "ANSWERED", json!(["1", "3"])),
                ("MULTIPLE_CHOICE", json!({"choices": choices}), vec!["0"], "ANSWER_MISSING", Value::Null),
            ] {
                let job = talk.job(&prompt(kind, more)).await;
                let heard = talk.opens("").await;
                let items: String = items.iter().map(|text| format!("<Item><Data>{text}</Data></Item>")).collect();
                let told = heard.answers(&[200]);
                let (before, _) = told.rsplit_once("</Status>").unwrap();
                talk.say(&format!("{before}{items}</Status>{FINAL}")).await;
                assert_eq!((talk.ended(&job).await["outcome"].as_str(), &talk.results(&job).await[0]["answers"]), (Some(outcome), &answers), "{kind} {items}");
            }
            let confirm = prompt("CONFIRM", json!({}));
            for (code, state, outcome) in [
                (200, "SUCCEEDED", "CONFIRMED"),
                // To be asked later is no consent.
                (202, "FAILED", "POSTPONED"),
                (214, "DECLINED", "USER_CANCELLED"),
                (216, "FAILED", "ROLLED_BACK"),
                (304, "DECLINED", "USER_DECLINED"),
                (405, "FAILED", "NOT_ALLOWED"),
                (406, "FAILED", "NOT_SUPPORTED"),
                (407, "FAILED", "SERVER_REFUSED"),
                (408, "FAILED", "NO_ANSWER"),
                (412, "FAILED", "UNINTELLIGIBLE"),
                (415, "FAILED", "UNSUPPORTED_FORMAT"),
                (416, "FAILED", "NOT_DISPLAYED"),
                (500, "FAILED", "DEVICE_ERROR"),
            ] {
                let execution = talk.does(&confirm, &[code]).await;
                assert_eq!((execution["state"].as_str(), execution["outcome"].as_str()), (Some(state), Some(outcome)), "{code}");
            }
            // What was passed over is asked later.
            let job = talk.job(&confirm).await;
            let heard = talk.opens("").await;
            talk.say(&format!("{}{FINAL}", heard.answers(&[215]))).await;
            assert_eq!((talk.state(&job).await.as_str(), talk.opens("").await.alert()), ("WAITING", Some(1101)));
        }
        ground.server.stop().await;
    }

    /// S-CM-08: members that were rolled back, that could not be, that were not begun; one that does not fit; and no Status for the whole.
    async fn each_way_in_which_an_atomic_ends_is_told_apart(database: Database) {
        let ground = Ground::on(&database).await;
        let atomic = json!({"type": "NODES_ATOMIC", "commands": [
            {"command": "ADD", "node": "./Vendor/A", "value": "a"},
            {"command": "REPLACE", "node": "./Vendor/B", "value": "b"},
            {"command": "DELETE", "node": "./Vendor/C"},
        ]});
        // The Status of the whole, if there is one, then those of the members.
        let cases = [
            (Some(200_u16), &[200_u16, 200, 200][..], "CHANGED", ["DONE"; 3]),
            (Some(200), &[][..], "CHANGED", ["DONE"; 3]),
            (None, &[200, 200, 200][..], "CHANGED", ["DONE"; 3]),
            (Some(507), &[216, 404, 215][..], "ROLLED_BACK", ["ROLLED_BACK", "NOT_FOUND", "NOT_EXECUTED"]),
            (Some(507), &[216, 216, 425][..], "ROLLED_BACK", ["ROLLED_BACK", "ROLLED_BACK", "PERMISSION_DENIED"]),
            (Some(507), &[516, 404, 215][..], "ROLLBACK_FAILED", ["ROLLBACK_FAILED", "NOT_FOUND", "NOT_EXECUTED"]),
            (Some(507), &[200, 404, 215][..], "NOT_ROLLED_BACK", ["DONE", "NOT_FOUND", "NOT_EXECUTED"]),
            (None, &[200, 405, 200][..], "NOT_ROLLED_BACK", ["DONE", "NOT_ALLOWED", "DONE"]),
            (Some(200), &[200, 404, 200][..], "NOT_ROLLED_BACK", ["DONE", "NOT_FOUND", "DONE"]),
            (Some(500), &[200, 404, 215][..], "NOT_ROLLED_BACK", ["DONE", "NOT_FOUND", "NOT_EXECUTED"]),
            (Some(517), &[216, 216, 216][..], "TOO_LARGE", ["ROLLED_BACK"; 3]),
            (Some(406), &[][..], "NOT_SUPPORTED", ["NOT_SUPPORTED"; 3]),
            (Some(407), &[][..], "SERVER_REFUSED", ["SERVER_REFUSED"; 3]),
            (Some(500), &[500, 215, 215][..], "DEVICE_ERROR", ["DEVICE_ERROR", "NOT_EXECUTED", "NOT_EXECUTED"]),
        ];
        for encoding in ENCODINGS {
            for (whole, members, outcome, each) in &cases {
                // What a device does otherwise is remembered of it.
                let mut talk = ground.talk(encoding).await;
                let job = talk.job(&atomic).await;
                let heard = talk.opens("").await;
                let commands = heard.commands();
                assert_eq!(commands.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), ["Atomic", "Add", "Replace", "Delete"]);
                let id = |at: usize| commands[at].1.parse().unwrap();
                let mut told = vec![heard.header()];
                told.extend(whole.map(|code| status(2, 1, id(0), "Atomic", code.into())));
                told.extend(members.iter().enumerate().map(|(at, code)| status(3, 1, id(at + 1), commands[at + 1].0, (*code).into())));
                talk.say(&format!("{}{FINAL}", told.concat())).await;
                let execution = talk.ended(&job).await;
                assert_eq!((execution["outcome"].as_str(), talk.outcomes(&job).await), (Some(*outcome), each.map(str::to_owned).to_vec()), "{whole:?} {members:?}");
            }
            // What was passed over as a whole is said again as a whole.
            let mut talk = ground.talk(encoding).await;
            let job = talk.job(&atomic).await;
            let heard = talk.opens("").await;
            talk.say(&format!("{}{FINAL}", heard.answers(&[215, 215, 215, 215]))).await;
            assert_eq!(talk.state(&job).await, "WAITING");
            let heard = talk.opens("").await;
            assert_eq!(heard.commands().len(), 4);
            talk.say(&format!("{}{FINAL}", heard.answers(&[200, 200, 200, 200]))).await;
            assert_eq!(talk.ended(&job).await["outcome"], "CHANGED");
        }
        ground.server.stop().await;
    }
}
