//! Rows of the conformance list: a Sequence, of the server and of a device.
use serde_json::{Value, json};

use crate::harness::phone::{FINAL, results, status};
use crate::harness::talk::{ENCODINGS, Ground, Heard, Talk};

/// A device that takes a Sequence, with work whose commands are one.
async fn asked(talk: &mut Talk, operation: &Value) -> (String, Heard) {
    talk.known(&json!({"sequence": true})).await;
    let job = talk.job(operation).await;
    let heard = talk.opens("").await;
    assert_eq!(heard.commands()[0].0, "Sequence", "{:?}", heard.message);
    (job, heard)
}

fn set(names: &[&str]) -> Value {
    let changes: Vec<_> =
        names.iter().map(|name| json!({"command": "REPLACE", "node": format!("./Vendor/{name}"), "value": name})).collect();
    json!({"type": "NODES_SET", "changes": changes})
}

/// The names of the commands with what they are about.
fn told(heard: &Heard) -> Vec<(&str, &str)> {
    heard.commands().into_iter().map(|(name, _, target)| (name, target)).collect()
}

/// The Statuses for the header, for the Sequence, and for its members, as far as there are codes.
fn answers(heard: &Heard, whole: Option<u16>, members: &[u16]) -> String {
    let (commands, message) = (heard.commands(), heard.message.header.message);
    let of = |at: usize, code: u16| status(9, message, commands[at].1.parse().unwrap(), commands[at].0, code.into());
    let mut told = vec![heard.header()];
    told.extend(whole.map(|code| of(0, code)));
    told.extend(members.iter().enumerate().map(|(at, code)| of(at + 1, *code)));
    told.concat()
}

both! {
    /// S-CM-09: without a profile that says so the server sends no Sequence; what a device passes over after a No (215) is asked again, and a Sequence of a device gets 406.
    async fn what_is_passed_over_after_a_no_is_asked_again(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let job = talk.job(&set(&["A", "B"])).await;
            let heard = talk.opens("").await;
            assert!(heard.commands().iter().all(|(name, ..)| *name == "Replace"));
            talk.say(&format!("{}{FINAL}", heard.answers(&[200, 215]))).await;
            assert_eq!(talk.state(&job).await, "WAITING");
            let sequence = "<Sequence><CmdID>7</CmdID><Get><CmdID>8</CmdID><Item><Target><LocURI>./X</LocURI></Target></Item></Get></Sequence>";
            let heard = talk.opens(sequence).await;
            assert_eq!(heard.codes()[3..], [("Sequence", 406), ("Get", 215)]);
            assert_eq!(told(&heard), [("Replace", "./Vendor/B")]);
            talk.say(&format!("{}{FINAL}", heard.answers(&[200]))).await;
            assert_eq!(talk.ended(&job).await["outcome"], "CHANGED");
        }
        ground.server.stop().await;
    }

    /// S-CM-09: where the profile says so what is asked goes out as a Sequence, whose members are answered one by one, with and without a Status for the whole.
    async fn the_members_of_a_sequence_are_answered_one_by_one(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            for whole in [Some(200), None] {
                let mut talk = ground.talk(encoding).await;
                let (job, heard) = asked(&mut talk, &set(&["A", "B", "C", "D"])).await;
                let members = ["./Vendor/A", "./Vendor/B", "./Vendor/C", "./Vendor/D"].map(|target| ("Replace", target));
                assert_eq!(told(&heard), [&[("Sequence", "")][..], &members].concat());
                // After the second the device goes no further.
                let heard = talk.say(&format!("{}{FINAL}", answers(&heard, whole, &[200, 404, 215, 215]))).await;
                assert_eq!((heard.asks(), talk.state(&job).await), (false, "WAITING".to_owned()));
                assert_eq!(talk.outcomes(&job).await, ["DONE", "NOT_FOUND"]);
                let heard = talk.opens("").await;
                assert_eq!(told(&heard), [&[("Sequence", "")][..], &members[2..]].concat(), "what was not executed, and nothing else");
                talk.say(&format!("{}{FINAL}", answers(&heard, whole, &[200, 215]))).await;
                let heard = talk.opens("").await;
                assert_eq!(told(&heard), [members[3]], "of one there is no Sequence");
                talk.say(&format!("{}{FINAL}", heard.answers(&[425]))).await;
                assert_eq!(talk.ended(&job).await["outcome"], "PARTLY_CHANGED");
                assert_eq!(talk.outcomes(&job).await, ["DONE", "NOT_FOUND", "DONE", "PERMISSION_DENIED"]);
                // Results are those of a member.
                let job = talk.job(&json!({"type": "NODES_GET", "nodes": ["./Vendor/A", "./Vendor/B"]})).await;
                let heard = talk.opens("").await;
                assert_eq!(told(&heard), [("Sequence", ""), ("Get", "./Vendor/A"), ("Get", "./Vendor/B")]);
                let read = results(10, 1, heard.commands()[2].1.parse().unwrap(), "./Vendor/B", "b");
                talk.say(&format!("{}{read}{FINAL}", answers(&heard, whole, &[404, 200]))).await;
                talk.ended(&job).await;
                let brought = talk.results(&job).await;
                assert_eq!((talk.outcomes(&job).await, brought[1]["value"]["data"].as_str()), (vec!["NOT_FOUND".to_owned(), "DONE".to_owned()], Some("b")));
            }
        }
        ground.server.stop().await;
    }

    /// S-CM-09: the code of a Sequence that is refused as a whole is that of each member without one of its own; 215 is asked again, and 406 without a Sequence, for good.
    async fn a_sequence_that_is_refused_tells_its_members(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            for (whole, members, outcomes, outcome) in [
                (500, &[][..], ["DEVICE_ERROR"; 2], "NOT_CHANGED"),
                (500, &[200][..], ["DONE", "DEVICE_ERROR"], "PARTLY_CHANGED"),
                (500, &[404, 200][..], ["NOT_FOUND", "DONE"], "PARTLY_CHANGED"),
                (400, &[][..], ["UNINTELLIGIBLE"; 2], "NOT_CHANGED"),
                (407, &[404, 200][..], ["NOT_FOUND", "DONE"], "PARTLY_CHANGED"),
                (425, &[][..], ["PERMISSION_DENIED"; 2], "NOT_CHANGED"),
            ] {
                let mut talk = ground.talk(encoding).await;
                let (job, heard) = asked(&mut talk, &set(&["A", "B"])).await;
                talk.say(&format!("{}{FINAL}", answers(&heard, Some(whole), members))).await;
                assert_eq!((talk.ended(&job).await["outcome"].as_str(), talk.outcomes(&job).await), (Some(outcome), outcomes.map(str::to_owned).to_vec()), "{whole} {members:?}");
            }
            // Credentials that are missing say nothing of what was asked, and a Sequence that was passed over was not begun.
            let mut talk = ground.talk(encoding).await;
            let (job, mut heard) = asked(&mut talk, &set(&["A", "B"])).await;
            for code in [407, 215] {
                talk.say(&format!("{}{FINAL}", answers(&heard, Some(code), &[]))).await;
                assert_eq!(talk.state(&job).await, "WAITING", "{code}");
                heard = talk.opens("").await;
                assert_eq!(told(&heard)[0].0, "Sequence", "it was not refused");
            }
            let heard = talk.say(&format!("{}{FINAL}", answers(&heard, Some(406), &[]))).await;
            assert_eq!(told(&heard), [("Replace", "./Vendor/A"), ("Replace", "./Vendor/B")]);
            talk.say(&format!("{}{FINAL}", heard.answers(&[200, 200]))).await;
            assert_eq!(talk.ended(&job).await["outcome"], "CHANGED");
        }
        ground.server.stop().await;
    }
}
