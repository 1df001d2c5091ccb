//! Rows of the conformance list: values in pieces.
use dmwsi_protocol::message::{Data, Element, Item};
use serde_json::{Value, json};

use crate::harness::phone::{FINAL, results, status};
use crate::harness::talk::{ENCODINGS, Ground, Heard, Talk};

const MORE: &str = "<Alert><CmdID>9</CmdID><Data>1222</Data></Alert>";

/// The one item of the last command, and whether anything comes after it.
fn piece(heard: &Heard) -> &Item {
    let Some(Element::Command(command)) = heard.message.body.last() else { panic!("{:?}", heard.message) };
    let [item] = command.items.as_slice() else { panic!("{command:?}") };
    item
}

fn text(item: &Item) -> &str {
    let Some(Data::Text(text)) = &item.data else { panic!("{item:?}") };
    text
}

/// Begins to send a value of 5,000 characters to a device that takes 2,000 bytes and has said that it takes pieces.
async fn begin(talk: &mut Talk) -> (String, Heard) {
    talk.meta =
        "<MaxMsgSize xmlns=\"syncml:metinf\">2000</MaxMsgSize><MaxObjSize xmlns=\"syncml:metinf\">100000</MaxObjSize>".to_owned();
    let job = talk.job(&json!({"type": "NODES_GET", "nodes": ["./DevDetail/LrgObj"]})).await;
    let heard = talk.opens("").await;
    let told = results(3, 1, heard.commands()[0].1.parse().unwrap(), "./DevDetail/LrgObj", "true");
    talk.say(&format!("{}{told}{FINAL}", heard.answers(&[200]))).await;
    talk.ended(&job).await;
    let value: String = (0..1_250).map(|at| format!("{at:04}")).collect();
    let operation = json!({"type": "NODES_ADD", "nodes": [
        {"node": "./Vendor/Small", "value": "s"}, {"node": "./Vendor/Large", "value": value}, {"node": "./Vendor/Last", "value": "l"},
    ]});
    let job = talk.job(&operation).await;
    let small = talk.opens("").await;
    assert_eq!((small.commands().len(), small.commands()[0].2), (1, "./Vendor/Small"));
    let heard = talk.say(&format!("{}{FINAL}", small.answers(&[200]))).await;
    (job, heard)
}

fn chunk(id: u32, heard: &Heard, size: &str, data: &str, more: bool) -> String {
    let command = heard.commands()[0].1;
    format!(
        "<Results><CmdID>{id}</CmdID><MsgRef>1</MsgRef><CmdRef>{command}</CmdRef><Item><Source><LocURI>./Vendor/A</LocURI></Source>\
        <Meta><Format xmlns=\"syncml:metinf\">chr</Format>{size}</Meta><Data>{data}</Data>{}</Item></Results>",
        if more { "<MoreData/>" } else { "" }
    )
}

fn size(size: usize) -> String {
    format!("<Size xmlns=\"syncml:metinf\">{size}</Size>")
}

fn get() -> Value {
    json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]})
}

/// The code for the Results of the device's last message.
fn code(heard: &Heard) -> Option<u16> {
    heard.codes().into_iter().find(|(name, _)| *name == "Results").map(|(_, code)| code)
}

both! {
    /// S-LO-01: the size stands in the first piece, nothing stands after a piece or between two, the package ends with the last.
    async fn a_large_value_goes_out_in_pieces(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            // Some ask by nothing but 213.
            for (asks, end) in [(MORE, ""), (MORE, FINAL), ("", FINAL), ("", "")] {
                let mut talk = ground.talk(encoding).await;
                let (job, mut heard) = begin(&mut talk).await;
                assert_eq!((heard.commands().len(), heard.commands()[0].2, piece(&heard).meta.size), (1, "./Vendor/Large", Some(5_000)));
                let mut whole = text(piece(&heard)).to_owned();
                let mut pieces = 1;
                while piece(&heard).more {
                    assert!(!heard.message.last && heard.body.len() <= 2_000);
                    heard = talk.say(&format!("{}{asks}{end}", heard.answers(&[213]))).await;
                    assert_eq!(heard.codes()[0], ("SyncHdr", 212));
                    assert_eq!((heard.commands().len(), heard.commands()[0].2), (1, "./Vendor/Large"), "nothing comes between");
                    assert_eq!((piece(&heard).meta.size, piece(&heard).meta.format.as_deref()), (None, Some("chr")));
                    whole.push_str(text(piece(&heard)));
                    pieces += 1;
                }
                assert!(heard.message.last && pieces >= 3, "{pieces}");
                assert_eq!(whole, (0..1_250).map(|at| format!("{at:04}")).collect::<String>());
                let heard = talk.say(&format!("{}{FINAL}", heard.answers(&[200]))).await;
                assert_eq!(heard.commands()[0].2, "./Vendor/Last");
                talk.say(&format!("{}{FINAL}", heard.answers(&[200]))).await;
                assert_eq!(talk.ended(&job).await["outcome"], "ADDED");
            }
        }
        ground.server.stop().await;
    }

    /// S-LO-01: a piece that is refused, taken for the whole, dropped by 1225 or answered by nothing ends the value and harms no other.
    async fn a_large_value_that_is_refused_ends_and_the_others_go_on(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            for (code, dropped, outcome) in [
                (200, false, "TOO_LARGE"),
                (413, false, "TOO_LARGE"),
                (416, false, "TOO_LARGE"),
                (411, false, "SIZE_MISMATCH"),
                (420, false, "DEVICE_FULL"),
                (424, false, "SIZE_MISMATCH"),
                (425, false, "PERMISSION_DENIED"),
                (500, false, "DEVICE_ERROR"),
                (213, true, "SIZE_MISMATCH"),
            ] {
                let mut talk = ground.talk(encoding).await;
                let (job, heard) = begin(&mut talk).await;
                let alert = if dropped { "<Alert><CmdID>9</CmdID><Data>1225</Data><Item><Source><LocURI>./Vendor/Large</LocURI></Source></Item></Alert>" } else { "" };
                let heard = talk.say(&format!("{}{alert}{FINAL}", heard.answers(&[code]))).await;
                assert_eq!(heard.commands(), [("Add", heard.commands()[0].1, "./Vendor/Last")], "{code}");
                talk.say(&format!("{}{FINAL}", heard.answers(&[200]))).await;
                assert_eq!(talk.ended(&job).await["outcome"], "PARTLY_ADDED");
                assert_eq!(talk.outcomes(&job).await, ["DONE", outcome, "DONE"], "{code}");
            }
        }
        ground.server.stop().await;
    }

    /// S-LO-02: each piece gets 213 and is asked for by 1222 until the last; the whole is the value.
    async fn a_large_value_comes_in_pieces(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            for (announced, says_final) in [(size(12), false), (String::new(), false), (size(12), true)] {
                let mut talk = ground.talk(encoding).await;
                let job = talk.job(&get()).await;
                let asked = talk.opens("").await;
                let end = if says_final { FINAL } else { "" };
                let heard = talk.say(&format!("{}{}{end}", asked.answers(&[200]), chunk(5, &asked, &announced, "abcd", true))).await;
                assert_eq!((code(&heard), heard.alert(), heard.message.last), (Some(213), Some(1222), false));
                let alert: u32 = heard.commands()[0].1.parse().unwrap();
                let answered = |heard: &Heard| status(2, heard.message.header.message, alert, "Alert", 200);
                let heard = talk.say(&format!("{}{}{}{end}", heard.header(), answered(&heard), chunk(5, &asked, "", "efgh", true))).await;
                assert_eq!((code(&heard), heard.alert()), (Some(213), Some(1222)));
                let heard = talk.say(&format!("{}{}{FINAL}", heard.header(), chunk(5, &asked, "", "ijkl", false))).await;
                assert_eq!((code(&heard), heard.asks(), heard.message.last), (None, false, true));
                talk.ended(&job).await;
                assert_eq!(talk.results(&job).await[0]["value"]["data"], "abcdefghijkl");
            }
        }
        ground.server.stop().await;
    }

    /// S-LO-02: what does not add up gets 424, what is announced as too large 416, what turns out so 413, what is not ended 1225.
    async fn a_large_value_that_is_not_as_it_should_be_is_refused(database: Database) {
        let ground = Ground::with(&database, |config| config.gateway.max_object_bytes = 1_000).await;
        let long = "x".repeat(600);
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            for (first, last, codes, outcome) in [
                ((size(13), "abcd"), Some("efgh"), [Some(213), Some(424)], "SIZE_MISMATCH"),
                ((size(3), "abcd"), Some("efgh"), [Some(213), Some(424)], "SIZE_MISMATCH"),
                ((size(1_001), "abcd"), None, [Some(416), None], "TOO_LARGE"),
                ((String::new(), long.as_str()), Some(long.as_str()), [Some(213), Some(413)], "TOO_LARGE"),
            ] {
                let job = talk.job(&get()).await;
                let asked = talk.opens("").await;
                let heard = talk.say(&format!("{}{}", asked.answers(&[200]), chunk(5, &asked, &first.0, first.1, true))).await;
                assert_eq!(code(&heard), codes[0], "{:?}", heard.message);
                let rest = last.map(|last| chunk(5, &asked, "", last, false)).unwrap_or_default();
                let heard = talk.say(&format!("{}{rest}{FINAL}", heard.header())).await;
                assert_eq!(code(&heard), codes[1], "{:?}", heard.message);
                talk.ended(&job).await;
                assert_eq!(talk.outcomes(&job).await, [outcome]);
            }
            // It goes on with something else: by another object, and by nothing at all.
            for next in [chunk_of("./Vendor/B"), String::new()] {
                let job = talk.job(&get()).await;
                let asked = talk.opens("").await;
                let heard = talk.say(&format!("{}{}", asked.answers(&[200]), chunk(5, &asked, &size(9), "abcd", true))).await;
                let heard = talk.say(&format!("{}{next}{FINAL}", heard.header())).await;
                let told = heard.message.body.iter().find_map(|element| match element {
                    Element::Alert(alert) if alert.code == 1225 => alert.items.first().and_then(|item| item.source.clone()),
                    _ => None,
                });
                assert_eq!(told.as_deref(), Some("./Vendor/A"), "{:?}", heard.message);
                talk.ended(&job).await;
                assert_eq!(talk.outcomes(&job).await, ["SIZE_MISMATCH"]);
            }
        }
        ground.server.stop().await;
    }
}

/// A Results that nobody asked for.
fn chunk_of(node: &str) -> String {
    results(6, 1, 4_711, node, "y")
}
