//! Rows of the conformance list: firmware.
use dmwsi_objects::StatusCode;
use dmwsi_simulator::Behaviour;
use serde_json::{Value, json};

use crate::harness::handset::{Handset, SCOPES, job, outcome, package, update};
use crate::harness::phone::{FINAL, results};
use crate::harness::server::Server;
use crate::harness::talk::{ENCODINGS, Ground, Heard, Talk};

fn told(kind: &str, source: &str, data: &str) -> String {
    format!(
        "<Alert><CmdID>5</CmdID><Data>1226</Data><Item><Source><LocURI>{source}</LocURI></Source><Meta><Format xmlns=\"syncml:metinf\">chr</Format>\
        <Type xmlns=\"syncml:metinf\">{kind}</Type></Meta><Data>{data}</Data></Item></Alert>"
    )
}

/// All that is asked in a message is there, and read so: no update is under way, of the usual object, on a device of that version.
fn has_all(heard: &Heard, version: &str) -> String {
    let commands = heard.commands();
    let mut answer = heard.answers(&vec![200; commands.len()]);
    for (name, id, target) in &commands {
        if *name == "Get" {
            let value = match target {
                target if target.ends_with("State") => "10",
                target if target.contains("?prop=Type") => "urn:oma:mo:oma-fumo:1.0",
                target if target.ends_with("FwV") => version,
                _ => "",
            };
            answer.push_str(&results(40, heard.message.header.message, id.parse().unwrap(), target, value));
        }
    }
    answer
}

/// Goes on until the device is told to begin, and begins; the node that it was told so at.
async fn begun(talk: &mut Talk) -> String {
    let mut heard = talk.opens("").await;
    for _ in 0..8 {
        if heard.commands().iter().any(|(name, ..)| *name == "Exec") {
            break;
        }
        heard = talk.say(&format!("{}{FINAL}", has_all(&heard, "1.0.0"))).await;
    }
    let exec = heard.commands()[0].2.to_owned();
    assert!(exec.ends_with("DownloadAndUpdate"), "{:?}", heard.message);
    talk.say(&format!("{}{FINAL}", heard.answers(&[202]))).await;
    exec
}

both! {
    /// F-02: the codes of vendors: from 250 to 299 the version tells whether it succeeded, from 452 to 499 and from 550 to 599 it failed; so it did by any other.
    async fn the_codes_of_vendors_succeed_and_fail_by_their_ranges(database: Database) {
        let ground = Ground::on(&database).await;
        let package = package("2.0.0").await;
        let mut operation = update(&package, "2.0.0");
        operation["delivery"] = "DOWNLOAD_AND_UPDATE".into();
        operation["maxAttempts"] = 1.into();
        for encoding in ENCODINGS {
            for (code, version, state, outcome) in [
                ("250", "2.0.0", "SUCCEEDED", "UPDATED"),
                ("299", "2.0.0", "SUCCEEDED", "UPDATED"),
                ("250", "1.0.0", "FAILED", "VERSION_UNCHANGED"),
                ("201", "", "FAILED", "CLIENT_ERROR"),
                ("249", "", "FAILED", "CLIENT_ERROR"),
                ("300", "", "FAILED", "CLIENT_ERROR"),
                ("452", "", "FAILED", "CLIENT_VENDOR_ERROR"),
                ("499", "", "FAILED", "CLIENT_VENDOR_ERROR"),
                ("550", "", "FAILED", "SERVER_VENDOR_ERROR"),
                ("599", "", "FAILED", "SERVER_VENDOR_ERROR"),
            ] {
                let mut talk = ground.talk(encoding).await;
                let job = talk.job(&operation).await;
                let exec = begun(&mut talk).await;
                let mut heard = talk.opens(&told("org.openmobilealliance.dm.firmwareupdate.downloadandupdate", &exec, code)).await;
                assert_eq!(heard.codes()[3..], [("Alert", 200)]);
                assert_eq!(heard.commands().iter().any(|(_, _, target)| *target == "./DevDetail/FwV"), !version.is_empty(), "{code}");
                if heard.asks() {
                    heard = talk.say(&format!("{}{FINAL}", has_all(&heard, version))).await;
                }
                assert!(!heard.asks(), "{:?}", heard.message);
                let execution = talk.ended(&job).await;
                assert_eq!((execution["state"].as_str(), execution["outcome"].as_str()), (Some(state), Some(outcome)), "{code} {execution}");
            }
        }
        ground.server.stop().await;
    }

    /// F-04: a request of the device or of its user is accepted (202), in either spelling, and told to whoever listens.
    async fn a_device_or_its_user_may_ask_for_an_update(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            for who in ["dm.firmwareupdate.devicerequest", "firmwareupdate.userrequest"] {
                let kind = format!("org.openmobilealliance.{who}");
                let heard = talk.opens(&told(&kind, "./FUMO", "")).await;
                assert_eq!(heard.codes()[3..], [("Alert", 202)]);
                let events = database.lines("SELECT data AS line FROM events WHERE type = 'dmwsi.v1.device-alert'");
                assert!(events.iter().any(|line| line.contains(&kind)), "{events:?}");
            }
        }
        ground.server.stop().await;
    }

    /// F-05: the report comes in a later session that the device begins, in the spelling of old clients, without a correlator and from the node of the Exec; a foreign correlator is nobody's.
    async fn a_report_is_known_in_every_spelling(database: Database) {
        let ground = Ground::on(&database).await;
        let package = package("2.0.0").await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let mut operation = update(&package, "2.0.0");
            operation["delivery"] = "DOWNLOAD_AND_UPDATE".into();
            operation["maxAttempts"] = 1.into();
            let job = talk.job(&operation).await;
            let exec = begun(&mut talk).await;
            let old = " Reversed-Domain-Name: org.openmobilealliance.firmwareupdate.DownloadAndUpdate ";
            let foreign = told(old, &exec, "410").replace("</Data><Item>", "</Data><Correlator>somebody-else</Correlator><Item>");
            let heard = talk.opens(&foreign).await;
            assert_eq!(heard.codes()[3..], [("Alert", 200)]);
            assert_ne!(talk.state(&job).await, "FAILED", "a foreign correlator is about something else");
            talk.opens(&told(old, &exec, "410")).await;
            let execution = talk.ended(&job).await;
            assert_eq!((execution["state"].as_str(), execution["outcome"].as_str()), (Some("FAILED"), Some("UPDATE_FAILED")), "{execution}");
        }
        ground.server.stop().await;
    }

    /// F-06: an Exec that is refused ends the update as what the device said, and is not repeated.
    async fn an_exec_that_is_refused_ends_the_update(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        for encoding in ENCODINGS {
            for code in [403, 404, 405, 406, 414, 425, 500, 510] {
                let refuse_exec = Some(StatusCode(code));
                let mut handset = Handset::register(&portal, server.url(), Behaviour { encoding, refuse_exec, ..Behaviour::default() }).await;
                let mut operation: Value = update(&package, "2.0.0");
                operation["maxAttempts"] = json!(1);
                let job = job(&portal, &handset.id, &operation).await;
                let mut execs = 0;
                for _ in 0..3 {
                    let report = handset.device.check_in().await.unwrap();
                    execs += report.answers.iter().filter(|(name, _)| name == "Exec").count();
                }
                assert_eq!((outcome(&portal, &job, &handset.id).await.0.as_str(), execs), ("FAILED", 1), "{code}");
            }
        }
        server.stop().await;
    }
}
