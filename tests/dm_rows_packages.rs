//! Rows of the conformance list: packages, alerts of devices, and the ends of sessions.
use serde_json::{Value, json};

use crate::harness::phone::{FINAL, PACKAGE_1, results};
use crate::harness::talk::{ENCODINGS, Ground};

fn get() -> Value {
    json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]})
}

fn alert(id: u32, code: u16, correlator: &str, items: &[(&str, &str, &str)]) -> String {
    let items = items.iter().map(|(source, kind, data)| {
        let source = if source.is_empty() { String::new() } else { format!("<Source><LocURI>{source}</LocURI></Source>") };
        let kind = if kind.is_empty() { String::new() } else { format!("<Type xmlns=\"syncml:metinf\">{kind}</Type>") };
        format!("<Item>{source}<Meta><Format xmlns=\"syncml:metinf\">chr</Format>{kind}</Meta>{data}</Item>")
    });
    format!("<Alert><CmdID>{id}</CmdID><Data>{code}</Data>{correlator}{}</Alert>", items.collect::<String>())
}

const ABORT: &str = "<Alert><CmdID>8</CmdID><Data>1223</Data></Alert>";

both! {
    /// S-PK-01: a session that the device wants and one that it was called to are served alike.
    async fn sessions_of_either_side_are_served_alike(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            for code in ["1201", "1200"] {
                let job = talk.job(&get()).await;
                talk.begin();
                let heard = talk.say(&format!("{}{FINAL}", PACKAGE_1.replace("1201", code))).await;
                assert_eq!(heard.codes(), [("SyncHdr", 212), ("Alert", 200), ("Replace", 200)]);
                talk.say(&format!("{}{FINAL}", heard.answers(&[404]))).await;
                talk.ended(&job).await;
            }
        }
        ground.server.stop().await;
    }

    /// S-PK-02: with nothing to do, Statuses and the end of the package; what comes after the end gets 200 and the end again.
    async fn a_session_without_work_ends_at_once(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let heard = talk.opens("").await;
            assert_eq!((heard.asks(), heard.message.last, heard.verdict()), (false, true, 212));
            let late = talk.say(&format!("{}{FINAL}", heard.header())).await;
            assert_eq!((late.codes(), late.message.last), (vec![("SyncHdr", 200)], true));
        }
        ground.server.stop().await;
    }

    /// S-PK-03: a device that breaks off hears Statuses only; what it told before counts, and the rest is asked again.
    async fn a_device_that_breaks_off_hears_statuses_only(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let job = talk.job(&json!({"type": "NODES_GET", "nodes": ["./Vendor/A", "./Vendor/B"]})).await;
            let heard = talk.opens("").await;
            let told = results(5, 1, heard.commands()[0].1.parse().unwrap(), "./Vendor/A", "x");
            let over = talk.say(&format!("{}{told}{ABORT}{FINAL}", heard.answers(&[200]))).await;
            assert_eq!((over.codes(), over.message.last), (vec![("SyncHdr", 212), ("Alert", 200)], true));
            assert!(!over.asks());
            assert_eq!((talk.state(&job).await.as_str(), talk.outcomes(&job).await), ("WAITING", vec!["DONE".to_owned()]));
            let heard = talk.opens("").await;
            assert_eq!(heard.commands(), [("Get", heard.commands()[0].1, "./Vendor/B")]);
            talk.say(&format!("{}{FINAL}", heard.answers(&[404]))).await;
            assert_eq!(talk.ended(&job).await["outcome"], "PARTLY_READ");
            // One that breaks off at once, and before it has proven who it is.
            let heard = talk.opens(ABORT).await;
            assert_eq!((heard.asks(), heard.message.last), (false, true));
            talk.credentials = String::new();
            let heard = talk.opens(ABORT).await;
            assert_eq!((heard.verdict(), heard.asks()), (407, false));
        }
        ground.server.stop().await;
    }

    /// S-PK-05: events and Generic Alerts in packages 1 and 3, one by one and several at once, of any type; what is not whole gets 412, an alert of nobody's 406.
    async fn what_a_device_tells_is_noted_and_answered(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let job = talk.job(&get()).await;
            let two = [("./Vendor/A", "com.example.one", "<Data>1</Data>"), ("./Vendor/B", " Reversed-Domain-Name: com.example.TWO ", "<Data></Data>")];
            let first = [
                alert(3, 1226, "<Correlator>op-42</Correlator>", &two),
                alert(4, 1224, "", &[("", "com.example.event", "<Data>x</Data>")]),
                alert(5, 1226, "", &[]),
                alert(6, 1226, "", &[("./Vendor/A", "", "<Data>1</Data>")]),
                alert(7, 1226, "", &[("./Vendor/A", "com.example.mute", "")]),
                alert(8, 1202, "", &[]),
                alert(9, 1299, "", &[]),
            ];
            let heard = talk.opens(&first.concat()).await;
            let codes: Vec<_> = heard.statuses().skip(3).map(|status| status.code.0).collect();
            // What has no Data tells that it happened.
            assert_eq!(codes, [200, 200, 412, 412, 200, 406, 406], "{:?}", heard.message);
            let more = alert(6, 1226, "", &[("./Vendor/C", "urn:oma:at:nobody:1.0:Something", "<Data>3</Data>")]);
            let heard = talk.say(&format!("{}{more}{FINAL}", heard.answers(&[404]))).await;
            assert_eq!(heard.codes(), [("SyncHdr", 212), ("Alert", 200)]);
            talk.ended(&job).await;
            let told = database.lines("SELECT data AS line FROM events WHERE type = 'dmwsi.v1.device-alert' ORDER BY id");
            let told: Vec<Value> = told.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            let told: Vec<_> = told.iter().filter(|one| one.to_string().contains("com.example") || one.to_string().contains("nobody")).collect();
            let types: Vec<_> = told.iter().rev().take(5).rev().map(|one| one["alertType"].as_str().unwrap()).collect();
            assert_eq!(types, ["com.example.one", "com.example.two", "com.example.mute", "com.example.event", "urn:oma:at:nobody:1.0:something"]);
        }
        ground.server.stop().await;
    }

    /// S-PK-06: a new session ends the one before, whose late words count for nothing; what it was asked is asked anew.
    async fn a_new_session_takes_the_place_of_an_open_one(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let job = talk.job(&get()).await;
            let first = talk.opens("").await;
            let second = talk.opens("").await;
            assert!(second.commands().iter().any(|(_, _, target)| *target == "./Vendor/A"));
            talk.session -= 1;
            talk.number = 1;
            let late = talk.say_with(&talk.credentials.clone(), &format!("{}{FINAL}", first.answers(&[200]))).await;
            assert!(!late.asks(), "{:?}", late.message);
            assert_eq!(talk.state(&job).await, "RUNNING");
            // The second goes on, at its own address.
            talk.session += 1;
            talk.number = 1;
            talk.respond_at(&second);
            talk.say(&format!("{}{FINAL}", second.answers(&[404]))).await;
            assert_eq!(talk.ended(&job).await["outcome"], "NODES_UNREADABLE");
        }
        ground.server.stop().await;
    }

    /// S-PK-03, S-PK-02, S-PK-04: what is no answer to anything, again and again, gets an end; so does a device that only ever asks to go on.
    async fn a_device_that_only_asks_to_go_on_comes_to_an_end(database: Database) {
        let ground = Ground::with(&database, |config| config.gateway.max_next_messages = 5).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let job = talk.job(&get()).await;
            let mut heard = talk.opens("").await;
            let mut messages = 1;
            while heard.alert() != Some(1223) {
                let next = format!("{}<Alert><CmdID>9</CmdID><Data>1222</Data></Alert>", heard.header());
                heard = talk.say(&next).await;
                messages += 1;
                assert!(messages < 20, "{:?}", heard.message);
            }
            assert!(heard.message.last);
            assert_eq!(talk.state(&job).await, "WAITING");
            // Package 1 over and over under one number gets one answer.
            let first = talk.opens("").await;
            for _ in 0..5 {
                assert_eq!(talk.repeat().await.body, first.body);
            }
        }
        ground.server.stop().await;
    }
}
