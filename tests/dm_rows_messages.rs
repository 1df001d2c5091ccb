//! Rows of the conformance list: headers, numbers, sizes and what is unknown in a message.
use dmwsi_protocol::document::{Content, Document};
use dmwsi_protocol::encoding::Encoding;
use serde_json::json;

use crate::harness::phone::{FINAL, PACKAGE_1, results, status};
use crate::harness::talk::{ENCODINGS, Ground};

/// The names of the elements below the one of that name.
fn names(encoding: Encoding, body: &[u8], of: &str) -> Vec<String> {
    let Content::Children(parts) = Document::decode(encoding, body).unwrap().root.content else { panic!("no elements") };
    let part = parts.into_iter().find(|part| part.name == of).unwrap();
    let Content::Children(children) = part.content else { panic!("nothing in {of}") };
    children.into_iter().map(|child| child.name).collect()
}

both! {
    /// S-MS-01: every element that a header must have, in order; the SessionID as it came; numbers that go up by one.
    async fn a_header_is_complete_and_in_order(database: Database) {
        let ground = Ground::on(&database).await;
        let server = json!({"auth": "DIGEST", "name": "you", "secret": "yours"});
        for encoding in ENCODINGS {
            let account = json!({"client": {"auth": "BASIC", "name": "me", "secret": "mine"}, "server": server});
            let mut talk = ground.talk_with(encoding, account).await;
            let job = talk.job(&json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]})).await;
            let first = talk.opens("").await;
            let order = ["VerDTD", "VerProto", "SessionID", "MsgID", "Target", "Source", "RespURI", "Cred", "Meta"];
            assert_eq!(names(encoding, &first.body, "SyncHdr"), order);
            let second = talk.say(&format!("{}{FINAL}", first.answers(&[404]))).await;
            for (heard, number) in [(first, 1), (second, 2)] {
                let header = &heard.message.header;
                assert_eq!((header.dtd.as_str(), header.protocol.as_str(), header.session.as_str()), ("1.2", "DM/1.2", "1"));
                assert_eq!((header.message, &header.target.uri), (number, &talk.device));
                assert_eq!((header.source.uri.as_str(), header.source.name.as_deref()), (&*format!("{}/dm", ground.server.url()), Some("you")));
                assert!(header.max_message.is_some() && header.max_object.is_some() && heard.message.last);
            }
            talk.ended(&job).await;
        }
        for session in ["FFFF", "a1b2", "00A1", "4294967295"] {
            let mut talk = ground.talk(Encoding::Xml).await;
            talk.begin();
            talk.number = 1;
            let text = talk.xml(&talk.credentials, &format!("{PACKAGE_1}{FINAL}")).replace("<SessionID>1<", &format!("<SessionID>{session}<"));
            let (_, _, body) = talk.post(Some(Encoding::Xml.content_type()), text).await;
            assert_eq!(Encoding::Xml.decode(&body).unwrap().header.session, session);
        }
        ground.server.stop().await;
    }

    /// S-MS-02: every CmdID once, the Status of the header first, then one for each command in order, none for Statuses and Results.
    async fn each_command_is_answered_once_and_in_order(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            talk.job(&json!({"type": "NODES_GET", "nodes": ["./Vendor/A", "./Vendor/B", "./Vendor/C"]})).await;
            let event = |id: u32| format!("<Alert><CmdID>{id}</CmdID><Data>1224</Data><Item><Meta><Type xmlns=\"syncml:metinf\">com.example.event</Type></Meta><Data>x</Data></Item></Alert>");
            let heard = talk.opens(&format!("{}{}", event(7), event(5))).await;
            let codes = [("SyncHdr", 212), ("Alert", 200), ("Replace", 200), ("Alert", 200), ("Alert", 200)];
            assert_eq!(heard.codes(), codes);
            let answered: Vec<_> = heard.statuses().map(|status| (status.message, status.command.as_str())).collect();
            assert_eq!(answered, [(1, "0"), (1, "1"), (1, "2"), (1, "7"), (1, "5")]);
            assert_eq!(heard.statuses().next().unwrap().targets, [format!("{}/dm", ground.server.url())]);
            let mut ids: Vec<_> = heard.statuses().map(|status| status.id.clone()).collect();
            ids.extend(heard.commands().into_iter().map(|(_, id, _)| id.to_owned()));
            assert_eq!(ids, (1..=ids.len()).map(|id| id.to_string()).collect::<Vec<_>>());
            let place = names(encoding, &heard.body, "SyncBody").iter().rposition(|name| name == "Status");
            assert_eq!(place, Some(codes.len() - 1), "Statuses come first");
            let told = [heard.answers(&[200, 404, 200]), results(8, 1, 6, "./Vendor/A", "a"), results(9, 1, 8, "./Vendor/C", "c"), event(10)].concat();
            let heard = talk.say(&format!("{told}{FINAL}")).await;
            assert_eq!(heard.codes(), [("SyncHdr", 212), ("Alert", 200)]);
        }
        ground.server.stop().await;
    }

    /// S-MS-03: no message is larger than the device says, by its latest word; what does not fit comes in the next.
    async fn no_message_is_larger_than_the_device_takes(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let nodes: Vec<_> = (0..100).map(|at| format!("./Vendor/A_node_with_a_name_of_some_length/{at:04}")).collect();
            let job = talk.job(&json!({"type": "NODES_GET", "nodes": nodes})).await;
            let size = |most: u32| format!("<MaxMsgSize xmlns=\"syncml:metinf\">{most}</MaxMsgSize>");
            let small = if encoding == Encoding::Xml { 1_600 } else { 900 };
            let (mut most, mut messages, mut asked) = (2 * small, 1, 0);
            talk.meta = size(most);
            let mut heard = talk.opens("").await;
            while heard.asks() {
                assert!(heard.body.len() <= usize::try_from(most).unwrap(), "{} of {most}", heard.body.len());
                assert!(heard.message.last, "only pieces of values and a request for more end no package");
                let commands = heard.commands();
                assert!(commands.len() <= 20);
                asked += commands.len();
                (messages, most) = (messages + 1, if messages > 2 { small } else { most });
                talk.meta = size(most);
                let answers = heard.answers(&vec![404; commands.len()]);
                heard = talk.say(&format!("{answers}{FINAL}")).await;
                assert!(messages < 40);
            }
            assert_eq!((asked, talk.outcomes(&job).await.len()), (100, 100));
            assert!(messages > 4, "{messages} messages");
        }
        ground.server.stop().await;
    }

    /// S-MS-04, S-PK-04: until the device's package is whole, it is asked for more and for nothing else, and only so often.
    async fn a_package_is_asked_for_to_its_end_and_not_for_ever(database: Database) {
        let ground = Ground::with(&database, |config| config.gateway.max_next_messages = 5).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let job = talk.job(&json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]})).await;
            talk.begin();
            let mut heard = talk.say(PACKAGE_1).await;
            for _ in 0..3 {
                assert_eq!((heard.alert(), heard.commands().len(), heard.message.last), (Some(1222), 1, false));
                let asked = heard.header();
                let event = "<Alert><CmdID>5</CmdID><Data>1224</Data><Item><Meta><Type xmlns=\"syncml:metinf\">com.example.event</Type></Meta><Data>x</Data></Item></Alert>";
                heard = talk.say(&format!("{asked}{event}")).await;
                assert_eq!(heard.codes(), [("SyncHdr", 212), ("Alert", 200)]);
            }
            heard = talk.say(&format!("{}{FINAL}", heard.header())).await;
            assert_eq!((heard.commands().len(), heard.message.last), (1, true));
            // Another one never ends.
            talk.begin();
            let mut heard = talk.say(PACKAGE_1).await;
            let mut asked = 0;
            while heard.alert() == Some(1222) {
                asked += 1;
                assert!(asked < 20);
                heard = talk.say(&heard.header()).await;
            }
            assert_eq!((asked, heard.alert(), heard.message.last), (5, Some(1223), true));
            assert_eq!(talk.state(&job).await, "WAITING");
        }
        ground.server.stop().await;
    }

    /// S-MS-06: elements, attributes, tokens and namespaces of nobody's are passed over; a command of nobody's gets 406.
    async fn what_is_unknown_in_a_message_is_passed_over(database: Database) {
        let ground = Ground::on(&database).await;
        let mut talk = ground.talk(Encoding::Xml).await;
        talk.begin();
        talk.number = 1;
        let text = talk.xml(&talk.credentials, &format!("{PACKAGE_1}<Dance><CmdID>8</CmdID><Step a=\"b\">1</Step></Dance>{FINAL}"));
        let strange = text
            .replace("<SyncML ", "<!-- x --><SyncML xmlns:msft=\"http://schemas.microsoft.com/MobileDevice/MDM\" mood='good' ")
            .replace("<SyncHdr>", "<SyncHdr id=\"1\"><Weather><Sun>yes</Sun></Weather>")
            .replace("<Meta><MaxMsgSize", "<Meta><Colour xmlns=\"urn:x\">red</Colour><MaxMsgSize")
            .replace("<SyncBody>", "<SyncBody xmlns:msft=\"urn:x\"><?pi?><Silence/>")
            .replace("<Data>Acme</Data>", "<Meta></Meta><Type xmlns=\"syncml:metinf\">text/plain</Type><Data msft:originalerror=\"0x8\">Acme</Data><Echo>no</Echo>");
        let (status_code, _, body) = talk.post(Some(Encoding::Xml.content_type()), strange).await;
        assert_eq!(status_code, 200, "{}", body.escape_ascii());
        let heard = Encoding::Xml.decode(&body).unwrap();
        let codes = |message: &dmwsi_protocol::message::Message| -> Vec<(String, u16)> {
            let told = message.body.iter().filter_map(|element| match element {
                dmwsi_protocol::message::Element::Status(status) => Some((status.name.clone(), status.code.0)),
                _ => None,
            });
            told.collect()
        };
        let expected = [("SyncHdr", 212), ("Alert", 200), ("Replace", 200), ("Dance", 406)].map(|(name, code)| (name.to_owned(), code));
        assert_eq!(codes(&heard), expected);
        let facts = ground.portal.get(&format!("/v1/devices/{}", talk.id)).await.of(200)["facts"].clone();
        assert_eq!(facts["manufacturer"], "Acme");

        let mut talk = ground.talk(Encoding::Wbxml).await;
        talk.begin();
        talk.number = 1;
        let text = talk.xml(&talk.credentials, &format!("{PACKAGE_1}{FINAL}"));
        let tokens = Encoding::Wbxml.encode(&Encoding::Xml.decode(text.as_bytes()).unwrap());
        let rest = tokens.strip_prefix(b"\x02\xA4\x01\x6A\x00\x6D\x6C").unwrap();
        // A name from the string table, with and without content and attributes, and a token that nobody has.
        let head = b"\x02\xA4\x01\x6A\x08vendor\0a\x6D\x6C\x44\x00\x03x\0\x01\x04\x00\x7E\x44\x00\x03y\0\x01\x01\x3E";
        let (status_code, _, body) = talk.post(Some(Encoding::Wbxml.content_type()), [&head[..], rest].concat()).await;
        assert_eq!(status_code, 200, "{}", body.escape_ascii());
        let expected = [("SyncHdr", 212), ("Alert", 200), ("Replace", 200)].map(|(name, code)| (name.to_owned(), code));
        assert_eq!(codes(&Encoding::Wbxml.decode(&body).unwrap()), expected);
        ground.server.stop().await;
    }

    /// S-MS-02, S-PK-02: Statuses with gaps, out of order, twice, without a number, from other messages and of 0 are each taken for what they are.
    async fn statuses_in_any_disorder_are_taken_for_what_they_are(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let job = talk.job(&json!({"type": "NODES_ADD", "nodes": [
                {"node": "./Vendor/A", "value": "a"}, {"node": "./Vendor/B", "value": "b"}, {"node": "./Vendor/C", "value": "c"}, {"node": "./Vendor/D", "value": "d"},
            ]})).await;
            let heard = talk.opens("").await;
            let ids: Vec<u32> = heard.commands().into_iter().map(|(_, id, _)| id.parse().unwrap()).collect();
            let told = [
                status(1, 1, ids[3], "Add", 200),
                status(2, 1, ids[0], "Add", 418),
                status(3, 1, ids[0], "Add", 200),
                status(4, 7, ids[1], "Add", 500),
                status(5, 1, 4_711, "Add", 500),
                status(6, 1, ids[1], "Add", 101),
                "<Status><CmdID>7</CmdID><MsgRef>1</MsgRef><CmdRef>x</CmdRef><Cmd>Add</Cmd><Data>no</Data></Status>".to_owned(),
                status(8, 1, 0, "SyncHdr", 200),
            ];
            let heard = talk.say(&format!("{}{FINAL}", told.concat())).await;
            assert!(!heard.asks(), "{:?}", heard.message);
            assert_eq!(talk.state(&job).await, "WAITING", "two were not answered, and are asked again in another session");
            let heard = talk.opens("").await;
            let targets: Vec<_> = heard.commands().into_iter().map(|(name, _, target)| (name, target)).collect();
            assert_eq!(targets, [("Add", "./Vendor/B"), ("Add", "./Vendor/C")]);
            talk.say(&format!("{}{FINAL}", heard.answers(&[418, 0]))).await;
            let execution = talk.ended(&job).await;
            assert_eq!(execution["outcome"], "PARTLY_ADDED", "{execution}");
            let mut outcomes = talk.outcomes(&job).await;
            outcomes.sort_unstable();
            assert_eq!(outcomes, ["ALREADY_EXISTS", "DONE", "DONE", "SERVER_REFUSED"]);
        }
        ground.server.stop().await;
    }
}
