//! What a device reports of an Exec in the message of its Status, or close to it, and without a correlator, as clients of Windows do.
use dmwsi_protocol::device::{Quirks, ReportQuirk};
use dmwsi_simulator::Behaviour;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::handset::{package, update};
use crate::harness::phone::{FINAL, results};
use crate::harness::talk::{ENCODINGS, Ground, Heard, Talk};
use crate::node_commands::{done, stage, told};

/// An alert from that node.
fn report(source: &str, kind: &str, data: &str) -> String {
    format!(
        "<Alert><CmdID>50</CmdID><Data>1226</Data><Item><Source><LocURI>{source}</LocURI></Source><Meta><Format xmlns=\"syncml:metinf\">chr</Format>\
        <Type xmlns=\"syncml:metinf\">{kind}</Type></Meta><Data>{data}</Data></Item></Alert>"
    )
}

fn finished(source: &str) -> String {
    report(source, "com.example.done", "5")
}

fn execs(nodes: &[&str]) -> Value {
    let nodes: Vec<_> = nodes.iter().map(|node| json!({"node": node})).collect();
    json!({"type": "NODES_EXEC", "nodes": nodes, "reportWithinSeconds": 3600})
}

/// How many alerts nobody waited for.
fn unclaimed(database: &Database) -> usize {
    database.lines("SELECT type AS line FROM events WHERE type = 'dmwsi.v1.device-alert'").len()
}

/// Answers what is asked of the device until it is told to begin: it has all that it is asked for.
async fn until_exec(talk: &mut Talk, mut heard: Heard) -> Heard {
    for _ in 0..8 {
        if heard.commands().iter().any(|(name, ..)| *name == "Exec") {
            return heard;
        }
        heard = talk.say(&format!("{}{FINAL}", brought(&heard, "1.0.0"))).await;
    }
    panic!("no Exec: {:?}", heard.message)
}

/// The Statuses and Results of a device that has that version.
fn brought(heard: &Heard, version: &str) -> String {
    let commands = heard.commands();
    let mut answer = heard.answers(&vec![200; commands.len()]);
    for (_, id, target) in commands.iter().filter(|(name, ..)| *name == "Get") {
        let value = match *target {
            node if node.ends_with("State") => "10",
            node if node.ends_with("FwV") => version,
            _ => "",
        };
        answer.push_str(&results(40, heard.message.header.message, id.parse().unwrap(), target, value));
    }
    answer
}

both! {
    /// AD-4, AD-12, S-CM-05: behind the Status in the same message, and with the Status of the next Exec, before it and behind it.
    async fn a_report_that_follows_the_status_of_its_exec_is_about_it(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let job = talk.job(&execs(&["./Vendor/Task"])).await;
            let heard = talk.opens("").await;
            talk.say(&format!("{}{}{FINAL}", heard.answers(&[202]), finished("./Vendor/Task"))).await;
            let execution = talk.ended(&job).await;
            assert_eq!((&execution["state"], &execution["outcome"]), (&json!("SUCCEEDED"), &json!("EXECUTED")), "{execution}");
            assert_eq!(talk.outcomes(&job).await, ["REPORTED"]);

            for is_late in [false, true] {
                let job = talk.job(&execs(&["./Vendor/One", "./Vendor/Two"])).await;
                let heard = talk.opens("").await;
                let (one, two) = (finished("./Vendor/One"), finished("./Vendor/Two"));
                let with_first = if is_late { "" } else { one.as_str() };
                let next = talk.say(&format!("{}{with_first}{FINAL}", heard.answers(&[202]))).await;
                assert_eq!(next.commands()[0].2, "./Vendor/Two");
                let before_second = if is_late { one.as_str() } else { "" };
                talk.say(&format!("{before_second}{}{two}{FINAL}", next.answers(&[202]))).await;
                assert_eq!(talk.ended(&job).await["outcome"], "EXECUTED", "{is_late}");
                assert_eq!(talk.outcomes(&job).await, ["REPORTED", "REPORTED"]);
            }
        }
        assert_eq!(unclaimed(&database), 0);
        ground.server.stop().await;
    }

    /// AD-12, S-CM-05, S-MS-04: in another message of the same package, and in one that ends no package.
    async fn a_report_in_another_message_than_the_status_is_about_its_exec(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            for is_split in [false, true] {
                let job = talk.job(&execs(&["./Vendor/Task"])).await;
                let heard = talk.opens("").await;
                let more = talk.say(&heard.answers(&[202])).await;
                assert_eq!(more.alert(), Some(1222));
                let (report, header) = (finished("./Vendor/Task"), more.header());
                if is_split {
                    let more = talk.say(&format!("{header}{report}")).await;
                    talk.say(&format!("{}{FINAL}", more.header())).await;
                } else {
                    talk.say(&format!("{header}{report}{FINAL}")).await;
                }
                assert_eq!((talk.ended(&job).await["outcome"].clone(), talk.outcomes(&job).await), (json!("EXECUTED"), vec!["REPORTED".to_owned()]));
            }
        }
        assert_eq!(unclaimed(&database), 0);
        ground.server.stop().await;
    }

    /// AD-12, S-CM-05: what stands before the Status, or after a refusal, is about something else, unless the device is known to tell early.
    async fn a_report_before_the_status_of_its_exec_is_taken_from_a_device_that_is_known_to_tell_early(database: Database) {
        let ground = Ground::on(&database).await;
        let headers = [("if-match", "*"), ("content-type", "application/merge-patch+json")];
        for encoding in ENCODINGS {
            for (traits, code, is_taken) in
                [(json!({}), 202, false), (json!({"alertOrder": "AFTER_STATUS"}), 202, false), (json!({"alertOrder": "BEFORE_STATUS"}), 202, true)]
            {
                let mut talk = ground.talk(encoding).await;
                ground.portal.call(Method::PATCH, &format!("/v1/devices/{}/profile", talk.id), &headers, Some(&traits)).await.of(200);
                let job = talk.job(&execs(&["./Vendor/Task"])).await;
                let heard = talk.opens("").await;
                talk.say(&format!("{}{}{FINAL}", finished("./Vendor/Task"), heard.answers(&[code]))).await;
                assert_eq!(talk.state(&job).await, if is_taken { "SUCCEEDED" } else { "WAITING" }, "{traits}");
                talk.opens(&finished("./Vendor/Task")).await;
                assert_eq!(talk.ended(&job).await["outcome"], "EXECUTED", "{traits}");
            }
            let mut talk = ground.talk(encoding).await;
            let job = talk.job(&execs(&["./Vendor/Task"])).await;
            let heard = talk.opens("").await;
            talk.say(&format!("{}{}{FINAL}", heard.answers(&[405]), finished("./Vendor/Task"))).await;
            assert_eq!((talk.ended(&job).await["outcome"].clone(), talk.outcomes(&job).await), (json!("NOT_EXECUTED"), vec!["NOT_ALLOWED".to_owned()]));
        }
        ground.server.stop().await;
    }

    /// FU-1, F-01, F-05: the report of an update stands in the message of the Exec's Status, before it or behind it.
    async fn an_update_that_is_reported_with_the_status_of_its_exec_is_verified(database: Database) {
        let ground = Ground::on(&database).await;
        let package = package("2.0.0").await;
        for encoding in ENCODINGS {
            for is_before in [false, true] {
                let mut talk = ground.talk(encoding).await;
                let mut operation = update(&package, "2.0.0");
                operation["delivery"] = "DOWNLOAD_AND_UPDATE".into();
                let job = talk.job(&operation).await;
                let heard = talk.opens("").await;
                let heard = until_exec(&mut talk, heard).await;
                let exec = heard.commands()[0].2.to_owned();
                let report = report(&exec, "org.openmobilealliance.dm.firmwareupdate.downloadandupdate", "200");
                let status = heard.answers(&[202]);
                let said = if is_before { format!("{report}{status}") } else { format!("{status}{report}") };
                let heard = talk.say(&format!("{said}{FINAL}")).await;
                assert!(heard.commands().iter().any(|(_, _, node)| node.ends_with("FwV")), "{:?}", heard.message);
                talk.say(&format!("{}{FINAL}", brought(&heard, "2.0.0"))).await;
                let execution = talk.ended(&job).await;
                assert_eq!((&execution["state"], &execution["outcome"]), (&json!("SUCCEEDED"), &json!("UPDATED")), "{execution}");
            }
        }
        assert_eq!(unclaimed(&database), 0);
        ground.server.stop().await;
    }

    /// AD-12, S-CM-05: a simulated device that reports at once, with or without a correlator.
    async fn a_device_that_reports_at_once_is_done_in_one_session(database: Database) {
        for (exec_report, omit_task_correlator) in [(ReportQuirk::BehindStatus, true), (ReportQuirk::BehindStatus, false), (ReportQuirk::BeforeStatus, false)] {
            let quirks = Quirks { exec_report, ..Quirks::default() };
            let (server, portal, handsets) = stage(&database, &Behaviour { omit_task_correlator, quirks, ..Behaviour::default() }).await;
            for mut handset in handsets {
                let (execution, brought) = done(&portal, &mut handset, &execs(&["./Vendor/Test/Task", "./Vendor/Test/Task"])).await;
                assert_eq!(execution["outcome"], "EXECUTED", "{exec_report:?} {execution}");
                assert_eq!(told(&brought), [("./Vendor/Test/Task", "REPORTED"); 2]);
                assert!(handset.device.pending().is_empty());
            }
            server.stop().await;
        }
    }
}
