//! Nodes of simulated devices changed together, and users of theirs asked.
use dmwsi_protocol::device::{AtomicQuirk, Quirks};
use dmwsi_simulator::{Behaviour, Mood, User};
use serde_json::{Value, json};

use crate::node_commands::{done, stage, told};

/// State, outcome and detail.
fn end(execution: &Value) -> (&str, &str, &str) {
    let text = |field: &str| execution[field].as_str().unwrap_or_default();
    (text("state"), text("outcome"), text("detail"))
}

fn changes(last: &str) -> Value {
    json!({"type": "NODES_ATOMIC", "commands": [
        {"command": "ADD", "node": "./Vendor/Test/New", "value": "a"},
        {"command": "REPLACE", "node": "./Vendor/Test/Text", "value": "b"},
        {"command": "COPY", "node": "./Vendor/Test/Twice", "source": "./Vendor/Test/New"},
        {"command": "REPLACE", "node": last, "value": "c"},
        {"command": "DELETE", "node": "./Vendor/Test/New"},
    ]})
}

both! {
    /// AD-4, AD-12, S-CM-08: in order, all of it or nothing, and which of it was undone.
    async fn nodes_are_changed_together_or_not_at_all(database: Database) {
        let (server, portal, handsets) = stage(&database, &Behaviour::default()).await;
        for mut handset in handsets {
            let (execution, results) = done(&portal, &mut handset, &changes("./Absent")).await;
            let why = "REPLACE of ./Absent failed: NOT_FOUND; nothing was changed";
            assert_eq!(end(&execution), ("FAILED", "ROLLED_BACK", why));
            let expected = [
                ("./Vendor/Test/New", "ROLLED_BACK"),
                ("./Vendor/Test/Text", "ROLLED_BACK"),
                ("./Vendor/Test/Twice", "ROLLED_BACK"),
                ("./Absent", "NOT_FOUND"),
                ("./Vendor/Test/New", "NOT_EXECUTED"),
            ];
            assert_eq!(told(&results), expected);
            let text = |node: &str| handset.device.tree().text(node).map(str::to_owned);
            assert_eq!((text("./Vendor/Test/Text").as_deref(), text("./Vendor/Test/Twice")), (Some(""), None));
            let (execution, results) = done(&portal, &mut handset, &changes("./Vendor/Test/Text")).await;
            assert_eq!(end(&execution), ("SUCCEEDED", "CHANGED", ""));
            assert!(told(&results).iter().all(|(_, outcome)| *outcome == "DONE"), "{results:?}");
            let text = |node: &str| handset.device.tree().text(node);
            assert_eq!((text("./Vendor/Test/Text"), text("./Vendor/Test/Twice")), (Some("c"), Some("a")));
            assert_eq!(text("./Vendor/Test/New"), None);
        }
        server.stop().await;
    }

    /// AD-12, S-CM-08: clients that have no Status for an Atomic do one command after the other; others know no Atomic at all.
    async fn a_device_that_does_not_change_nodes_together_is_told_apart(database: Database) {
        let quirks = |atomic| Behaviour { quirks: Quirks { atomic, ..Quirks::default() }, ..Behaviour::default() };
        let (server, portal, handsets) = stage(&database, &quirks(AtomicQuirk::Silent)).await;
        for mut handset in handsets {
            let (execution, results) = done(&portal, &mut handset, &changes("./Absent")).await;
            let why = "REPLACE of ./Absent failed: NOT_FOUND; the device does not change nodes together, and 4 of 5 changes stay";
            assert_eq!(end(&execution), ("FAILED", "NOT_ROLLED_BACK", why));
            assert_eq!(told(&results)[3..], [("./Absent", "NOT_FOUND"), ("./Vendor/Test/New", "DONE")]);
            // From now on it is known, unless an operator says that it is to be tried all the same.
            let headers = [("if-match", "*"), ("content-type", "application/merge-patch+json")];
            let path = format!("/v1/devices/{}/profile", handset.id);
            portal.call(reqwest::Method::PATCH, &path, &headers, Some(&json!({"atomic": "PROPER"}))).await.of(200);
            let (execution, _) = done(&portal, &mut handset, &changes("./Vendor/Test/Text")).await;
            assert_eq!(end(&execution), ("SUCCEEDED", "CHANGED", ""));
            handset.device.behave(Behaviour { encoding: handset.device.behaviour().encoding, ..quirks(AtomicQuirk::Unsupported) });
            let (execution, results) = done(&portal, &mut handset, &changes("./Vendor/Test/Text")).await;
            assert_eq!(end(&execution).1, "NOT_SUPPORTED");
            assert!(told(&results).iter().all(|(_, outcome)| *outcome == "NOT_SUPPORTED"), "{results:?}");
        }
        server.stop().await;
    }

    /// AD-12, S-CM-08: a device that cannot undo what it did, and one that cannot answer so much at once.
    async fn what_is_not_undone_and_what_is_too_much_to_answer_are_told_apart(database: Database) {
        for (atomic, outcome, members, text) in [
            (AtomicQuirk::Irreversible, "ROLLBACK_FAILED", ["ROLLBACK_FAILED", "ROLLBACK_FAILED", "ROLLBACK_FAILED", "NOT_FOUND", "NOT_EXECUTED"], "b"),
            (AtomicQuirk::Overlong, "TOO_LARGE", ["TOO_LARGE"; 5], ""),
        ] {
            let behaviour = Behaviour { quirks: Quirks { atomic, ..Quirks::default() }, ..Behaviour::default() };
            let (server, portal, handsets) = stage(&database, &behaviour).await;
            for mut handset in handsets {
                let (execution, results) = done(&portal, &mut handset, &changes("./Absent")).await;
                assert_eq!((end(&execution).0, end(&execution).1), ("FAILED", outcome), "{execution}");
                assert_eq!(told(&results).into_iter().map(|(_, outcome)| outcome).collect::<Vec<_>>(), members, "{execution}");
                assert_eq!(handset.device.tree().text("./Vendor/Test/Text"), Some(text), "{atomic:?}");
            }
            server.stop().await;
        }
    }

    /// AD-12, S-CM-07: every kind of prompt, every kind of user.
    async fn users_are_told_and_asked_and_their_answers_come_back(database: Database) {
        let (server, portal, handsets) = stage(&database, &Behaviour::default()).await;
        for mut handset in handsets {
            let encoding = handset.device.behaviour().encoding;
            let prompt = |kind: &str, choices: &[&str], default: &[&str]| {
                let mut prompt = json!({"type": "USER_PROMPT", "kind": kind, "text": "a < b & c?", "maxSeconds": 30, "defaultAnswer": default});
                if !choices.is_empty() {
                    prompt["choices"] = json!(choices);
                }
                prompt
            };
            let three = ["red", "green & blue", "none"];
            let cases = [
                (Mood::Willing, prompt("DISPLAY", &[], &[]), vec![], ("SUCCEEDED", "SHOWN"), json!(null)),
                (Mood::Willing, prompt("CONFIRM", &[], &["0"]), vec![], ("SUCCEEDED", "CONFIRMED"), json!(null)),
                (Mood::Willing, prompt("TEXT_INPUT", &[], &["x y"]), vec!["d\u{e9}j\u{e0} <vu>"], ("SUCCEEDED", "ANSWERED"), json!(["d\u{e9}j\u{e0} <vu>"])),
                (Mood::Willing, prompt("SINGLE_CHOICE", &three, &[]), vec!["2"], ("SUCCEEDED", "ANSWERED"), json!(["2"])),
                (Mood::Willing, prompt("MULTIPLE_CHOICE", &three, &[]), vec!["3", "1"], ("SUCCEEDED", "ANSWERED"), json!(["1", "3"])),
                (Mood::Unwilling, prompt("CONFIRM", &[], &[]), vec![], ("DECLINED", "USER_DECLINED"), json!(null)),
                (Mood::Cancelling, prompt("TEXT_INPUT", &[], &[]), vec![], ("DECLINED", "USER_CANCELLED"), json!(null)),
                (Mood::Away, prompt("CONFIRM", &[], &[]), vec![], ("FAILED", "NO_ANSWER"), json!(null)),
                (Mood::Away, prompt("CONFIRM", &[], &["1"]), vec![], ("SUCCEEDED", "CONFIRMED"), json!(null)),
                (Mood::Away, prompt("TEXT_INPUT", &[], &["x y"]), vec![], ("SUCCEEDED", "ANSWERED"), json!(["x y"])),
                (Mood::Away, prompt("MULTIPLE_CHOICE", &three, &["2", "3"]), vec![], ("SUCCEEDED", "ANSWERED"), json!(["2", "3"])),
                (Mood::None, prompt("DISPLAY", &[], &[]), vec![], ("FAILED", "NOT_SUPPORTED"), json!(null)),
            ];
            for (mood, operation, says, ends, answers) in cases {
                let user = User { mood, says: says.into_iter().map(str::to_owned).collect() };
                handset.device.behave(Behaviour { encoding, user, ..Behaviour::default() });
                let shown = handset.device.shown().len();
                let (execution, results) = done(&portal, &mut handset, &operation).await;
                assert_eq!((end(&execution).0, end(&execution).1), ends, "{mood:?} {operation}");
                assert_eq!((results.len(), &results[0]["command"], &results[0]["answers"]), (1, &json!("ALERT"), &answers), "{mood:?} {operation}");
                if mood != Mood::None && mood != Mood::Cancelling {
                    let prompt = &handset.device.shown()[shown];
                    assert_eq!((prompt.text.as_str(), prompt.options.starts_with("MAXDT=30")), ("a < b & c?", true));
                }
            }
        }
        server.stop().await;
    }

    /// OES3: what a user types hidden is a secret: the device is told to hide it, and nothing of it is kept.
    async fn what_a_user_types_hidden_is_not_kept(database: Database) {
        let user = User { mood: Mood::Willing, says: vec!["hidden-word".to_owned()] };
        let (server, portal, handsets) = stage(&database, &Behaviour { user, ..Behaviour::default() }).await;
        for mut handset in handsets {
            let prompt = json!({"type": "USER_PROMPT", "kind": "TEXT_INPUT", "text": "Password?", "hidden": true});
            let (execution, results) = done(&portal, &mut handset, &prompt).await;
            assert_eq!(end(&execution), ("SUCCEEDED", "ANSWERED", "what was typed is a secret, and not kept"));
            assert_eq!((results.len(), results[0]["answers"].is_null()), (1, true));
            assert!(handset.device.shown()[0].options.contains("ET=P"));
        }
        for column in ["SELECT document AS line FROM execution_results", "SELECT data AS line FROM events", "SELECT document AS line FROM sessions"] {
            let lines = database.lines(column);
            assert!(lines.iter().all(|line| !line.contains("hidden-word")), "{column}");
        }
        server.stop().await;
    }

    /// AD-12: what is done together comes in one message or not at all.
    async fn what_does_not_fit_into_one_message_is_not_done_together(database: Database) {
        let (server, portal, handsets) = stage(&database, &Behaviour { max_message: 4_096, ..Behaviour::default() }).await;
        for mut handset in handsets {
            let long = "x".repeat(5_000);
            let changes = json!({"type": "NODES_ATOMIC", "commands": [
                {"command": "REPLACE", "node": "./Vendor/Test/Text", "value": long}, {"command": "ADD", "node": "./Vendor/Test/New", "value": "a"},
            ]});
            let (execution, results) = done(&portal, &mut handset, &changes).await;
            assert_eq!(end(&execution), ("FAILED", "TOO_LARGE", "the commands do not fit into one message of the device"));
            assert_eq!(told(&results), [("./Vendor/Test/Text", "TOO_LARGE"), ("./Vendor/Test/New", "TOO_LARGE")]);
            assert_eq!(handset.device.tree().text("./Vendor/Test/New"), None);
        }
        server.stop().await;
    }
}
