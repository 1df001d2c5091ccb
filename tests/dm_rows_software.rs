//! Rows of the conformance list: software and diagnostics, as far as commands on nodes and reports show them.
use serde_json::{Value, json};

use crate::harness::phone::{FINAL, results};
use crate::harness::talk::{ENCODINGS, Ground, Heard, Talk};
use dmwsi_protocol::message::Element;

/// The correlator of the only Exec.
fn correlator(heard: &Heard) -> String {
    let named = heard.message.body.iter().find_map(|element| match element {
        Element::Command(command) => command.correlator.clone(),
        _ => None,
    });
    named.unwrap_or_else(|| panic!("{:?}", heard.message))
}

/// A report about that Exec, in the forms in which clients send it.
fn report(correlator: Option<&str>, kind: &str, source: &str, format: &str, data: &str) -> String {
    let correlator = correlator.map(|text| format!("<Correlator>{text}</Correlator>")).unwrap_or_default();
    format!(
        "<Alert><CmdID>5</CmdID><Data>1226</Data>{correlator}<Item><Source><LocURI>{source}</LocURI></Source><Meta>\
        <Format xmlns=\"syncml:metinf\">{format}</Format><Type xmlns=\"syncml:metinf\">{kind}</Type></Meta><Data>{data}</Data></Item></Alert>"
    )
}

/// Has a node started, and reports in the next session; what the portal is shown.
async fn started(talk: &mut Talk, node: &str, told: impl FnOnce(&str) -> String) -> Value {
    let job = talk.job(&json!({"type": "NODES_EXEC", "nodes": [{"node": node}], "reportWithinSeconds": 600})).await;
    let heard = talk.opens("").await;
    assert_eq!(heard.commands(), [("Exec", heard.commands()[0].1, node)]);
    let correlator = correlator(&heard);
    talk.say(&format!("{}{FINAL}", heard.answers(&[202]))).await;
    assert_eq!(talk.state(&job).await, "WAITING");
    let heard = talk.opens(&told(&correlator)).await;
    assert_eq!(heard.codes()[3..], [("Alert", 200)]);
    talk.ended(&job).await;
    talk.results(&job).await[0].clone()
}

const COMPLETE: &str = "urn:oma:at:scomo:1.0:OperationComplete";

both! {
    /// C-01, C-02: each operation of software is started by its node, and its report is shown: as XML, as a number, with a correlator and without.
    async fn operations_of_software_are_started_and_reported(database: Database) {
        let ground = Ground::on(&database).await;
        let operations = [
            "Download/p1/Operations/Download", "Download/p1/Operations/DownloadInstall", "Download/p1/Operations/DownloadInstallInactive",
            "Inventory/Delivered/p1/Operations/Install", "Inventory/Delivered/p1/Operations/InstallInactive", "Inventory/Delivered/p1/Operations/Remove",
            "Inventory/Deployed/c1/Operations/Activate", "Inventory/Deployed/c1/Operations/Deactivate", "Inventory/Deployed/c1/Operations/Remove",
        ];
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            for (at, operation) in operations.into_iter().enumerate() {
                let node = format!("./SCOMO/{operation}");
                let (format, data) = if at % 2 == 0 {
                    ("xml", "&lt;ResultCode&gt;1200&lt;/ResultCode&gt;&lt;Identifier&gt;c1&lt;/Identifier&gt;")
                } else {
                    ("int", "1200")
                };
                let shown = started(&mut talk, &node, |named| report((at % 3 != 2).then_some(named), COMPLETE, &node, format, data)).await;
                let plain = data.replace("&lt;", "<").replace("&gt;", ">");
                assert_eq!((shown["outcome"].as_str(), shown["value"]["data"].as_str()), (Some("REPORTED"), Some(plain.as_str())), "{operation}");
            }
        }
        ground.server.stop().await;
    }

    /// C-03: what is installed is listed with its numbers as the device has them, also those of no table.
    async fn an_inventory_is_read_with_its_numbers_as_they_are(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let job = talk.job(&json!({"type": "TREE_READ", "root": "./SCOMO/Inventory/Deployed", "method": "LIST"})).await;
            let heard = talk.opens("").await;
            let nodes = [("", "node", ""), ("/c1", "node", ""), ("/c1/ID", "chr", "one"), ("/c1/State", "int", "20"), ("/c1/Status", "int", "75")];
            let items = nodes.map(|(name, format, data)| {
                format!("<Item><Source><LocURI>./SCOMO/Inventory/Deployed{name}</LocURI></Source><Meta><Format xmlns=\"syncml:metinf\">{format}</Format></Meta><Data>{data}</Data></Item>")
            });
            let id = heard.commands()[0].1;
            let told = format!("<Results><CmdID>3</CmdID><MsgRef>1</MsgRef><CmdRef>{id}</CmdRef>{}</Results>", items.concat());
            talk.say(&format!("{}{told}{FINAL}", heard.answers(&[200]))).await;
            assert_eq!(talk.ended(&job).await["outcome"], "READ");
            let brought = talk.results(&job).await;
            let values: Vec<_> = brought.iter().map(|one| one["value"]["data"].as_str().unwrap()).collect();
            assert_eq!(values, ["", "", "one", "20", "75"]);
        }
        ground.server.stop().await;
    }

    /// D-01: a diagnosis is started and stopped, its end is reported and its data are read then; what a trap tells becomes an event.
    async fn a_diagnosis_is_started_and_its_data_are_read_when_it_is_over(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            for operation in ["Start", "Stop"] {
                let node = format!("./DiagMon/Memory/Operations/{operation}");
                let told = |named: &str| report(Some(named), "urn:oma:at:diagmon:1.0:OperationComplete", "./DiagMon/Memory", "int", "1200");
                assert_eq!(started(&mut talk, &node, told).await["outcome"], "REPORTED");
            }
            let job = talk.job(&json!({"type": "TREE_READ", "root": "./DiagMon/Memory/DiagMonData", "method": "WALK"})).await;
            let heard = talk.opens("").await;
            let told = results(3, 1, heard.commands()[0].1.parse().unwrap(), "./DiagMon/Memory/DiagMonData", "4096");
            talk.say(&format!("{}{told}{FINAL}", heard.answers(&[200]))).await;
            assert_eq!(talk.ended(&job).await["outcome"], "READ");
            talk.opens(&report(None, "urn:oma:at:diagmon:1.0:TrapNotification", "./Trap/geo", "chr", "left")).await;
        }
        let told = database.lines("SELECT data AS line FROM events WHERE type = 'dmwsi.v1.device-alert'");
        assert_eq!(told.iter().filter(|line| line.contains("trapnotification") && line.contains("left")).count(), 2, "{told:?}");
        ground.server.stop().await;
    }

    /// D-02: figures that a device keeps anyhow are read by plain Gets, again and again.
    async fn figures_are_polled(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            for figure in ["80", "79"] {
                let job = talk.job(&json!({"type": "NODES_GET", "nodes": ["./ManagedObjects/DiagMon/Battery/1/Level"]})).await;
                let heard = talk.opens("").await;
                let told = results(3, 1, heard.commands()[0].1.parse().unwrap(), "./ManagedObjects/DiagMon/Battery/1/Level", figure);
                talk.say(&format!("{}{told}{FINAL}", heard.answers(&[200]))).await;
                talk.ended(&job).await;
                assert_eq!(talk.results(&job).await[0]["value"]["data"], figure);
            }
        }
        ground.server.stop().await;
    }
}
