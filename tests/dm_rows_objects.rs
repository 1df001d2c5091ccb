//! Rows of the conformance list: values in pieces.
use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_protocol::encoding::Encoding;
use dmwsi_protocol::message::{Data, Element, Item};
use serde_json::{Value, json};

use crate::harness::phone::{FINAL, results, status};
use crate::harness::talk::{ENCODINGS, Ground, Heard, Talk};

pub(crate) const MORE: &str = "<Alert><CmdID>9</CmdID><Data>1222</Data></Alert>";

/// The one item of the last command, and whether anything comes after it.
pub(crate) fn piece(heard: &Heard) -> &Item {
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
    let value: String = (0..1_250).map(|at| format!("{at:04}")).collect();
    begin_with(talk, "chr", &value).await
}

/// The same with a value of that format.
pub(crate) async fn begin_with(talk: &mut Talk, format: &str, value: &str) -> (String, Heard) {
    talk.meta =
        "<MaxMsgSize xmlns=\"syncml:metinf\">2000</MaxMsgSize><MaxObjSize xmlns=\"syncml:metinf\">100000</MaxObjSize>".to_owned();
    let job = talk.job(&json!({"type": "NODES_GET", "nodes": ["./DevDetail/LrgObj"]})).await;
    let heard = talk.opens("").await;
    let told = results(3, 1, heard.commands()[0].1.parse().unwrap(), "./DevDetail/LrgObj", "true");
    talk.say(&format!("{}{told}{FINAL}", heard.answers(&[200]))).await;
    talk.ended(&job).await;
    let operation = json!({"type": "NODES_ADD", "nodes": [
        {"node": "./Vendor/Small", "value": "s"}, {"node": "./Vendor/Large", "format": format, "value": value}, {"node": "./Vendor/Last", "value": "l"},
    ]});
    let job = talk.job(&operation).await;
    let small = talk.opens("").await;
    assert_eq!((small.commands().len(), small.commands()[0].2), (1, "./Vendor/Small"));
    let heard = talk.say(&format!("{}{FINAL}", small.answers(&[200]))).await;
    (job, heard)
}

fn chunk(id: u32, heard: &Heard, size: &str, data: &str, more: bool) -> String {
    chunk_in(("chr", size), id, heard, data, more)
}

/// The same of a value of that format and size.
fn chunk_in((format, size): (&str, &str), id: u32, heard: &Heard, data: &str, more: bool) -> String {
    let command = heard.commands()[0].1;
    format!(
        "<Results><CmdID>{id}</CmdID><MsgRef>1</MsgRef><CmdRef>{command}</CmdRef><Item><Source><LocURI>./Vendor/A</LocURI></Source>\
        <Meta><Format xmlns=\"syncml:metinf\">{format}</Format>{size}</Meta><Data>{data}</Data>{}</Item></Results>",
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

    /// S-LO-01: octets are opaque in WBXML and base64 in XML, of which each piece, as of a value that is base64 itself, can be decoded by itself; the size is that on the wire.
    async fn octets_and_base64_go_out_in_pieces(database: Database) {
        let ground = Ground::on(&database).await;
        // As many as leave one over of every three; no piece of them is text.
        let octets: Vec<u8> = (0..=255).cycle().take(4_000).collect();
        let base64 = BASE64_STANDARD.encode(&octets);
        for encoding in ENCODINGS {
            for format in ["bin", "b64"] {
                let mut talk = ground.talk(encoding).await;
                let (job, mut heard) = begin_with(&mut talk, format, &base64).await;
                let is_opaque = format == "bin" && encoding == Encoding::Wbxml;
                let size = if is_opaque { octets.len() } else { base64.len() };
                assert_eq!(piece(&heard).meta.size, Some(size.try_into().unwrap()), "{format} {encoding:?}");
                let (mut whole, mut sent, mut pieces) = (Vec::new(), 0, 0);
                loop {
                    assert!(heard.body.len() <= 2_000);
                    let item = piece(&heard);
                    let (on_wire, part) = match &item.data {
                        Some(Data::Octets(octets)) if is_opaque => (octets.len(), octets.clone()),
                        Some(Data::Text(text)) if !is_opaque => (text.len(), BASE64_STANDARD.decode(text).expect("each piece by itself")),
                        other => panic!("{format} {encoding:?}: {other:?}"),
                    };
                    assert_eq!(item.meta.format.as_deref(), Some(if is_opaque { "bin" } else { "b64" }));
                    assert!(!is_opaque || heard.body.windows(part.len()).any(|window| window == part), "as they are");
                    whole.extend(part);
                    (sent, pieces) = (sent + on_wire, pieces + 1);
                    if !item.more {
                        break;
                    }
                    assert!(!heard.message.last);
                    heard = talk.say(&format!("{}{MORE}", heard.answers(&[213]))).await;
                    assert_eq!((heard.commands().len(), heard.commands()[0].2, piece(&heard).meta.size), (1, "./Vendor/Large", None));
                }
                assert!(heard.message.last && pieces >= 3, "{pieces}");
                assert!(whole == octets && sent == size, "{format} {encoding:?}: {sent} of {size}");
                let heard = talk.say(&format!("{}{FINAL}", heard.answers(&[200]))).await;
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

    /// S-LO-02: octets in pieces, opaque in WBXML and base64 in XML, are told as base64, also where each of them might be a letter.
    async fn octets_come_in_pieces(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            for octets in [&b"\x00\xFF\x80abc\x01\xC3\xA4\x00z"[..], b"abcdefghijk"] {
                let base64 = BASE64_STANDARD.encode(octets);
                // Text may be cut anywhere, octets too.
                let (format, size_on_wire, parts) = match encoding {
                    Encoding::Xml => ("b64", base64.len(), [&base64[..5], &base64[5..10], &base64[10..]].map(str::to_owned)),
                    Encoding::Wbxml => ("bin", octets.len(), [&octets[..5], &octets[5..7], &octets[7..]].map(|part| BASE64_STANDARD.encode(part))),
                };
                for announced in [size(size_on_wire), String::new()] {
                    let mut talk = ground.talk(encoding).await;
                    let job = talk.job(&get()).await;
                    let asked = talk.opens("").await;
                    let heard = talk.say(&format!("{}{}", asked.answers(&[200]), chunk_in((format, &announced), 5, &asked, &parts[0], true))).await;
                    assert_eq!((code(&heard), heard.alert()), (Some(213), Some(1222)));
                    let heard = talk.say(&format!("{}{}", heard.header(), chunk_in((format, ""), 5, &asked, &parts[1], true))).await;
                    assert_eq!((code(&heard), heard.alert()), (Some(213), Some(1222)));
                    let heard = talk.say(&format!("{}{}{FINAL}", heard.header(), chunk_in((format, ""), 5, &asked, &parts[2], false))).await;
                    assert_eq!((code(&heard), heard.asks(), heard.message.last), (None, false, true));
                    talk.ended(&job).await;
                    let value = talk.results(&job).await[0]["value"].clone();
                    assert_eq!((value["format"].as_str(), value["data"].as_str()), (Some(format), Some(base64.as_str())), "{encoding:?} {announced:?}");
                }
                // All of them at once are told alike.
                let mut talk = ground.talk(encoding).await;
                let job = talk.job(&get()).await;
                let asked = talk.opens("").await;
                talk.say(&format!("{}{}{FINAL}", asked.answers(&[200]), chunk_in((format, ""), 5, &asked, &base64, false))).await;
                talk.ended(&job).await;
                assert_eq!(talk.results(&job).await[0]["value"], json!({"format": format, "data": base64}));
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
