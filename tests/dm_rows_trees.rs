//! Rows of the conformance list: reading trees, properties and access control.
use dmwsi_simulator::Behaviour;
use serde_json::{Value, json};

use crate::harness::phone::{FINAL, results};
use crate::harness::talk::{ENCODINGS, Ground};
use crate::node_commands::{done, stage, told};

/// What a device says of the children of a node, and the names that are meant.
const LISTS: [(&str, &[&str]); 5] =
    [("", &[]), ("A", &["A"]), ("A/B/C", &["A", "B", "C"]), ("A\0/B\0", &["A", "B"]), ("A%20B/C", &["A%20B", "C"])];

both! {
    /// S-TR-20: a list as one document, as items and by walking, the first that the device does not refuse by 406; names in every form.
    async fn a_tree_is_walked_where_the_device_knows_no_lists(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            for (said, names) in LISTS {
                // What a device does not know is remembered of it.
                let mut talk = ground.talk(encoding).await;
                let job = talk.job(&json!({"type": "TREE_READ", "root": "./Vendor"})).await;
                let mut heard = talk.opens("").await;
                for question in ["?list=TNDS", "?list=StructData"] {
                    let asked = heard.commands()[0].2;
                    assert!(asked.starts_with(&format!("./Vendor{question}")), "{asked}");
                    heard = talk.say(&format!("{}{FINAL}", heard.answers(&[406]))).await;
                }
                let mut asked = Vec::new();
                while heard.asks() {
                    let number = heard.message.header.message;
                    let mut told = heard.answers(&vec![200; heard.commands().len()]);
                    for (_, id, target) in heard.commands() {
                        asked.push(target.to_owned());
                        let id = id.parse().unwrap();
                        told.push_str(&if target == "./Vendor" {
                            let node = results(9, number, id, target, &said.replace('\0', "")).replace("<Data>", "<Meta><Format xmlns=\"syncml:metinf\">node</Format></Meta><Data>");
                            // In XML a NUL stands among the bytes as it is.
                            if encoding == dmwsi_protocol::encoding::Encoding::Xml { node.replace(&said.replace('\0', ""), said) } else { node }
                        } else {
                            results(9, number, id, target, "leaf")
                        });
                    }
                    heard = talk.say(&format!("{told}{FINAL}")).await;
                }
                let wanted: Vec<_> = std::iter::once("./Vendor".to_owned()).chain(names.iter().map(|name| format!("./Vendor/{name}"))).collect();
                assert_eq!(asked, wanted, "{said:?}");
                assert_eq!(talk.ended(&job).await["outcome"], "READ");
            }
        }
        ground.server.stop().await;
    }

    /// S-TR-20: a list that an operator asks for himself, without values, with them, or as one document, is told node by node; where the device knows none, that is said.
    async fn a_list_is_read_like_any_node(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            for (question, with_data) in [("Struct", false), ("StructData", true)] {
                let mut talk = ground.talk(encoding).await;
                let list = format!("./Vendor?list={question}");
                let job = talk.job(&json!({"type": "NODES_GET", "nodes": [list, "./Other?list=Struct", "./DevInfo/Man"]})).await;
                let heard = talk.opens("").await;
                let targets: Vec<_> = heard.commands().into_iter().map(|(name, _, target)| (name, target)).collect();
                assert_eq!(targets, [("Get", list.as_str()), ("Get", "./Other?list=Struct"), ("Get", "./DevInfo/Man")]);
                let nodes = [("./Vendor", "node", ""), ("./Vendor/A", "chr", "a"), ("./Vendor/In", "node", ""), ("./Vendor/In/B", "int", "7")];
                let items = nodes.map(|(node, format, data)| {
                    let data = if with_data && format != "node" { format!("<Data>{data}</Data>") } else { String::new() };
                    format!("<Item><Source><LocURI>{node}</LocURI></Source><Meta><Format xmlns=\"syncml:metinf\">{format}</Format></Meta>{data}</Item>")
                });
                let ids: Vec<_> = heard.commands().into_iter().map(|(_, id, _)| id.to_owned()).collect();
                let told = format!("<Results><CmdID>20</CmdID><MsgRef>1</MsgRef><CmdRef>{}</CmdRef>{}</Results>", ids[0], items.concat());
                let maker = results(21, 1, ids[2].parse().unwrap(), "./DevInfo/Man", "Acme");
                talk.say(&format!("{}{told}{maker}{FINAL}", heard.answers(&[200, 406, 200]))).await;
                let execution = talk.ended(&job).await;
                assert_eq!((execution["state"].as_str(), execution["outcome"].as_str()), (Some("SUCCEEDED"), Some("PARTLY_READ")), "{execution}");
                let brought = talk.results(&job).await;
                let text = |one: &Value, field: &str| one["value"][field].as_str().map(str::to_owned);
                let found: Vec<_> = brought.iter().map(|one| (one["node"].as_str().unwrap(), one["outcome"].as_str().unwrap(), text(one, "format"), text(one, "data"))).collect();
                let listed = nodes.map(|(node, format, data)| (node, "DONE", Some(format.to_owned()), Some(if with_data { data } else { "" }.to_owned())));
                let rest = [("./Other?list=Struct", "NOT_SUPPORTED", None, None), ("./DevInfo/Man", "DONE", Some("chr".to_owned()), Some("Acme".to_owned()))];
                assert_eq!(found, [&listed[..], &rest].concat());
            }
        }
        ground.server.stop().await;
    }

    /// S-TR-20: every property of a node is asked for by its name and told with it; one that the device does not have is not supported.
    async fn every_property_is_read(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let values = [
                ("ACL", "Add=dmwsi&amp;Get=*"), ("Format", "chr"), ("Name", "A"), ("Size", "5"), ("Title", "A leaf"), ("TStamp", "20260101T000000Z"), ("Type", "text/plain"),
                ("VerNo", "65535"),
            ];
            let nodes: Vec<_> = values.iter().map(|(name, _)| format!("./Vendor/A?prop={name}")).chain(["./Vendor/A?prop=Colour".to_owned()]).collect();
            let job = talk.job(&json!({"type": "NODES_GET", "nodes": nodes})).await;
            let heard = talk.opens("").await;
            let mut told = heard.answers(&[200, 200, 200, 200, 200, 200, 200, 200, 406]);
            for ((_, id, target), (_, value)) in heard.commands().into_iter().zip(values) {
                told.push_str(&results(30, 1, id.parse().unwrap(), target, value));
            }
            talk.say(&format!("{told}{FINAL}")).await;
            talk.ended(&job).await;
            let brought = talk.results(&job).await;
            for (one, (name, value)) in brought.iter().zip(values) {
                assert_eq!(one["node"], format!("./Vendor/A?prop={name}"));
                assert_eq!(one["value"]["data"], value.replace("&amp;", "&"));
            }
            assert_eq!(brought[8]["outcome"], "NOT_SUPPORTED");
        }
        ground.server.stop().await;
    }

    /// S-TR-21: a list is read and replaced as a property; a bad one is refused; what it forbids gets 425, and what it leaves goes on.
    async fn access_control_lists_are_read_replaced_and_heeded(database: Database) {
        let (server, portal, handsets) = stage(&database, &Behaviour::default()).await;
        for mut handset in handsets {
            let us = handset.device.profile().server_id.clone();
            let change = |acl: &str| json!({"type": "NODES_SET", "changes": [{"command": "REPLACE", "node": "./Vendor/Test/Text?prop=ACL", "value": acl}]});
            let text = |value: &str| json!({"type": "NODES_SET", "changes": [{"command": "REPLACE", "node": "./Vendor/Test/Text", "value": value}]});
            let read = json!({"type": "NODES_GET", "nodes": ["./Vendor/Test/Text?prop=ACL", "./Vendor/Test/Text"]});
            let (_, before) = done(&portal, &mut handset, &read).await;
            assert_eq!(before[0]["value"]["data"], "", "inherited");
            for bad in ["Add=", "Frob=*", "Get", "Get=a b"] {
                let (execution, refused) = done(&portal, &mut handset, &change(bad)).await;
                assert_eq!((execution["state"].as_str(), refused[0]["outcome"].as_str()), (Some("FAILED"), Some("UNINTELLIGIBLE")), "{bad}");
            }
            for (acl, may_write, may_read) in [
                (format!("Get=*&Replace=someone+{us}"), true, true),
                ("Get=*&Replace=someone".to_owned(), false, true),
                (format!("Replace={us}"), true, false),
                ("Add=*".to_owned(), false, false),
                (String::new(), true, true),
            ] {
                assert_eq!(done(&portal, &mut handset, &change(&acl)).await.0["outcome"], "CHANGED", "{acl}");
                let (_, written) = done(&portal, &mut handset, &text("new")).await;
                let word = |may: bool| if may { "DONE" } else { "PERMISSION_DENIED" };
                assert_eq!(told(&written), [("./Vendor/Test/Text", word(may_write))], "{acl}");
                let (_, found) = done(&portal, &mut handset, &read).await;
                assert_eq!(found[1]["outcome"], word(may_read), "{acl}");
                if may_read {
                    assert_eq!(found[0]["value"]["data"], acl.as_str());
                }
            }
        }
        server.stop().await;
    }
}
