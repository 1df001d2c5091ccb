//! Packages, and what belongs to none.
use super::*;
use crate::message::Group;
use crate::server::Turn;

/// What is wrong with a header.
type Spoil = fn(&mut Header);

/// AD-12
#[test]
fn package_1_is_answered_status_by_status_in_the_name_the_device_knows() {
    for mut scene in scenes() {
        let received = scene.begin();
        assert_eq!(received.turn, Turn::Offer);
        let told: Vec<_> = received.device.iter().map(|read| (read.node.as_str(), read.value.data.as_str())).collect();
        assert_eq!(told, [("./DevInfo/DevId", DEVICE), ("./DevInfo/Man", "Acme"), ("./DevInfo/Mod", "X1")]);
        let reply = scene.say(vec![]);
        let expected = [("0", "SyncHdr", 212), ("1", "Alert", 200), ("2", "Replace", 200)];
        assert_eq!(statuses(&reply), expected.map(|(id, name, code)| (id.to_owned(), name.to_owned(), code)));
        let Element::Status(first) = &reply.message.body[0] else { panic!("a Status comes first") };
        assert_eq!((first.message, &first.targets, &first.sources), (1, &vec![SERVER.to_owned()], &vec![DEVICE.to_owned()]));
        let header = &reply.message.header;
        assert_eq!((header.session.as_str(), header.message), ("1A", 1));
        assert_eq!((header.target.uri.as_str(), header.source.uri.as_str()), (DEVICE, SERVER));
        assert_eq!(header.respond_to.as_deref(), Some("https://dm.example/dm?s=1"));
        assert_eq!((header.max_message, header.max_object), (Some(65_536), Some(1000)));
        assert!(reply.ended && reply.message.last);
    }
}

#[test]
fn a_session_that_the_server_asked_for_and_one_without_alert_are_taken() {
    for mut scene in scenes() {
        let mut message = scene.message(vec![device(), said(code::SERVER_INITIATED)]);
        message.header.credentials = Some(right(AuthType::Digest));
        assert_eq!(scene.hear(message).turn, Turn::Offer);
    }
    for mut scene in scenes() {
        let mut message = scene.message(vec![device()]);
        message.header.credentials = Some(right(AuthType::Digest));
        let received = scene.hear(message);
        assert_eq!(received.turn, Turn::Offer);
    }
}

/// libdmclient sends DevInfo in reverse and with its interior nodes, others leave Data out when it is empty. AD-12
#[test]
fn the_leaves_of_devinfo_are_told_however_they_come() {
    for mut scene in scenes() {
        let mut interior = leaf("./DevInfo/Ext", "Intel");
        interior.meta.format = Some("node".to_owned());
        let empty = Item { target: Some("DevInfo/Lang".to_owned()), ..Item::default() };
        let mut message = scene.message(vec![replace(vec![leaf("./DevInfo/Ext/Intel", "x"), interior, empty])]);
        message.header.credentials = Some(right(AuthType::Digest));
        let received = scene.hear(message);
        let told: Vec<_> = received.device.iter().map(|read| (read.node.as_str(), read.value.data.as_str())).collect();
        assert_eq!(told, [("./DevInfo/Ext/Intel", "x"), ("./DevInfo/Lang", "")]);
        assert_eq!(codes(&scene.say(vec![])), [212, 200]);
    }
}

#[test]
fn what_a_device_must_not_send_is_answered_and_not_done() {
    for mut scene in scenes() {
        let verb = |verb| {
            Element::Command(NodeCommand {
                id: String::new(),
                verb,
                correlator: None,
                meta: Meta::default(),
                items: vec![Item::target(&uri("./A"))],
            })
        };
        let mut inner = said(code::CLIENT_INITIATED);
        if let Element::Alert(alert) = &mut inner {
            alert.id = "77".to_owned();
        }
        let body = vec![
            replace(vec![leaf("./Vendor/X", "1"), leaf("./DevInfo/Man", "Acme")]),
            verb(Verb::Get),
            verb(Verb::Exec),
            said(1299),
            Element::Sequence(Group { id: String::new(), members: vec![inner] }),
            Element::Unknown { id: String::new(), name: "Put".to_owned() },
        ];
        let mut message = scene.message(body);
        message.header.credentials = Some(right(AuthType::Digest));
        let received = scene.hear(message);
        assert_eq!(received.device.len(), 1);
        let answered = statuses(&scene.say(vec![]));
        let answered: Vec<_> = answered.iter().map(|(id, name, code)| (id.as_str(), name.as_str(), *code)).collect();
        let expected = [
            ("0", "SyncHdr", 212),
            ("1", "Replace", 405),
            ("2", "Get", 406),
            ("3", "Exec", 406),
            ("4", "Alert", 406),
            ("5", "Sequence", 406),
            ("77", "Alert", 215),
            ("6", "Put", 406),
        ];
        assert_eq!(answered, expected);
    }
}

/// AD-12
#[test]
fn a_package_in_several_messages_is_asked_for_before_anything_is_offered() {
    for mut scene in scenes() {
        let mut message = scene.first(Some(right(AuthType::Digest)));
        message.last = false;
        let received = scene.hear(message);
        assert_eq!((received.turn, received.device.len()), (Turn::Continue, 3));
        let reply = scene.say(vec![]);
        assert_eq!((codes(&reply), alerts(&reply)), (vec![212, 200, 200], vec![code::NEXT_MESSAGE]));
        assert!(!reply.message.last && !reply.ended);
        let message = scene.message(vec![header_status(1, 212), status(1, 4, 200)]);
        let received = scene.hear(message);
        assert_eq!(received.turn, Turn::Offer);
        scene.say(vec![set("./A", "1"), set("./B", "1")]);

        let mut message = scene.message(vec![header_status(2, 212), status(2, 2, 200)]);
        message.last = false;
        assert_eq!(scene.hear(message).turn, Turn::Continue);
        scene.say(vec![]);
        let message = scene.message(vec![header_status(3, 212), status(2, 3, 404)]);
        let answers = scene.hear(message).answers;
        assert_eq!((answers[0].status, answers[1].status), (Some(StatusCode::OK), Some(StatusCode::NOT_FOUND)));
    }
}

#[test]
fn a_package_without_end_is_broken_off() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![set("./A", "1")]);
        for asked in 1.. {
            let mut message = scene.message(vec![]);
            message.last = false;
            let received = scene.hear(message);
            let reply = scene.say(vec![]);
            if asked > 4 {
                assert_eq!((received.turn, received.rejected, received.answers[0].status), (Turn::Aborted, false, None));
                assert_eq!((alerts(&reply), reply.message.last, reply.ended), (vec![code::ABORT], true, true));
                break;
            }
            assert_eq!((received.turn, alerts(&reply)), (Turn::Continue, vec![code::NEXT_MESSAGE]));
        }
    }
}

#[test]
fn a_device_that_asks_for_the_next_message_gets_it_but_not_for_ever() {
    for mut scene in scenes() {
        scene.begin();
        for asked in 1.. {
            let reply = scene.say(vec![get("./A")]);
            let number = reply.message.header.message;
            let id = sent(&reply)[0].0;
            let read = results(number, id, vec![leaf("./A", "1")]);
            let mut message =
                scene.message(vec![header_status(number, 212), status(number, id, 200), read, said(code::NEXT_MESSAGE)]);
            message.last = false;
            let received = scene.hear(message);
            assert_eq!(received.answers.len(), 1);
            if received.turn == Turn::Aborted {
                assert_eq!(asked, 5);
                break;
            }
            assert_eq!(received.turn, Turn::Offer);
        }
    }
}

/// AD-12: a client may end its message between the Statuses and the values, and ask for the next.
#[test]
fn values_that_follow_in_the_next_message_are_waited_for() {
    for mut scene in scenes() {
        scene.begin();
        let reply = scene.say(vec![get("./A"), get("./B")]);
        let [a, b] = [0, 1].map(|at: usize| sent(&reply)[at].0);
        let told = [header_status(1, 212), status(1, a, 200), status(1, b, 200), results(1, a, vec![leaf("./A", "1")])];
        let mut message = scene.message(told.into_iter().chain([said(code::NEXT_MESSAGE)]).collect());
        message.last = false;
        let received = scene.hear(message);
        assert_eq!((received.turn, received.answers.len()), (Turn::Continue, 0));
        scene.say(vec![]);
        let message = scene.message(vec![header_status(2, 212), results(1, b, vec![leaf("./B", "2")])]);
        let received = scene.hear(message);
        let brought: Vec<_> = received.answers.iter().map(|answer| answer.value().map(|value| value.data.as_str())).collect();
        assert_eq!((received.turn, brought), (Turn::Offer, vec![Some("1"), Some("2")]));
    }
}

#[test]
fn after_the_end_a_message_is_answered_and_its_alerts_are_not_lost() {
    for mut scene in scenes() {
        scene.begin();
        assert!(scene.say(vec![]).ended);
        let mut item = leaf("./FUMO", "200");
        item.meta.media_type = Some("org.example.late".to_owned());
        let late = Element::Alert(Alert { code: code::GENERIC, items: vec![item], ..Alert::default() });
        let message = scene.message(vec![header_status(1, 212), late]);
        let received = scene.hear(message);
        assert_eq!((received.turn, received.alerts.len()), (Turn::Closed, 1));
        let reply = scene.say(vec![]);
        assert_eq!((codes(&reply), reply.ended, reply.message.last), (vec![200, 200], true, true));
    }
}

/// S-MS-05
#[test]
fn another_version_is_told_apart_and_ends_the_session() {
    for (protocol, dtd, code) in [("DM/1.3", "1.2", 513), ("SyncML/1.0", "1.0", 513), ("DM/1.2", "1.1", 505)] {
        for mut scene in scenes() {
            let mut message = scene.first(Some(right(AuthType::Digest)));
            message.header.protocol = protocol.to_owned();
            message.header.dtd = dtd.to_owned();
            let received = scene.hear(message);
            assert_eq!((received.turn, received.device.len()), (Turn::Closed, 0));
            let reply = scene.say(vec![]);
            assert_eq!((codes(&reply), reply.ended), (vec![code, code, code], true));
            let told = (reply.message.header.protocol.as_str(), reply.message.header.dtd.as_str());
            assert_eq!(told, (protocol, dtd), "clients drop unread what is in another version than theirs");
        }
    }
}

/// S-MS-05
#[test]
fn a_session_keeps_to_the_version_that_it_began_in() {
    for mut scene in scenes() {
        scene.version = ("DM/1.1", "1.1");
        assert_eq!(scene.begin().turn, Turn::Offer);
        let reply = scene.say(vec![exec("./Go")]);
        assert_eq!(codes(&reply), [212, 200, 200]);
        assert_eq!((reply.message.header.protocol.as_str(), reply.message.header.dtd.as_str()), ("DM/1.1", "1.1"));
        let correlators: Vec<_> = reply
            .message
            .body
            .iter()
            .filter_map(|element| match element {
                Element::Command(command) => Some(command.correlator.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(correlators, [None], "there are none in 1.1");
        scene.version = ("DM/1.2", "1.2");
        let answer = scene.message(vec![header_status(1, 212), status(1, 4, 200)]);
        assert_eq!(scene.hear(answer).turn, Turn::Closed);
        assert_eq!(codes(&scene.say(vec![])), [513]);
    }
}

#[test]
fn a_version_that_is_no_text_is_not_told_back() {
    for mut scene in scenes() {
        let mut message = scene.first(None);
        message.header.protocol = "x".repeat(17);
        scene.hear(message);
        let reply = scene.say(vec![]);
        assert_eq!((codes(&reply)[0], reply.message.header.protocol.as_str()), (513, "DM/1.2"));
    }
}

#[test]
fn a_message_that_cannot_belong_to_the_session_is_a_fault_and_changes_nothing() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![get("./A")]);
        let before = scene.session.clone();
        let good = scene.message(vec![]);
        let faults: [(Spoil, Fault); 7] = [
            (|header| header.session = "1a".to_owned(), Fault::OtherSession),
            (|header| header.session.clear(), Fault::NoSession),
            (|header| header.source.uri = "IMEI:1".to_owned(), Fault::OtherSource),
            (|header| header.source.uri.clear(), Fault::NoSource),
            (|header| header.target.uri.clear(), Fault::NoTarget),
            (|header| header.message = 0, Fault::NoMessageNumber),
            (|header| header.message = 1, Fault::Stale { last: 1, got: 1 }),
        ];
        for (spoil, fault) in faults {
            let mut message = good.clone();
            spoil(&mut message.header);
            let session = before.clone().unwrap();
            assert!(!session.continues(&message));
            let got =
                scene.with(|account, nonces| session.receive(&message, &Arrival::bare(true), account, nonces, &scene.limits));
            assert_eq!(got.err(), Some(fault));
        }
        assert_eq!(scene.session, before);
        scene.number += 3;
        let after_a_gap = scene.message(vec![]);
        assert_eq!(scene.hear(after_a_gap).turn, Turn::Offer);
    }
}
