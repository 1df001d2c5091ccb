//! Objects that come in pieces.
use super::*;
use crate::server::Turn;

fn piece(node: &str, data: &str) -> Item {
    Item { more: true, ..leaf(node, data) }
}

#[test]
fn a_results_in_pieces_is_put_together() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![get("./A"), get("./B")]);
        let mut first = piece("./B", "one ");
        first.meta.format = Some("xml".to_owned());
        first.meta.size = Some(11);
        let body = vec![
            header_status(1, 212),
            status(1, 4, 200),
            results(1, 4, vec![leaf("./A", "a")]),
            status(1, 5, 200),
            results(1, 5, vec![first]),
        ];
        let mut message = scene.message(body);
        message.last = false;
        assert_eq!(scene.hear(message).turn, Turn::Continue);
        let mut reply = scene.say(vec![]);
        for data in ["two ", ""] {
            assert_eq!(statuses(&reply).last().map(|(_, name, code)| (name.as_str(), *code)), Some(("Results", 213)));
            assert_eq!((alerts(&reply), reply.message.last), (vec![code::NEXT_MESSAGE], false));
            if data.is_empty() {
                break;
            }
            let number = reply.message.header.message;
            let message = scene.message(vec![header_status(number, 212), results(1, 5, vec![piece("./B", data)])]);
            assert_eq!(scene.hear(message).turn, Turn::Continue, "an open object outweighs Final");
            reply = scene.say(vec![]);
        }
        let message = scene.message(vec![header_status(3, 212), results(1, 5, vec![leaf("./B", "end")])]);
        let received = scene.hear(message);
        assert_eq!(received.turn, Turn::Offer);
        let value = received.answers[1].value().unwrap();
        assert_eq!((value.format.as_str(), value.data.as_str()), ("xml", "one two end"));
        assert_eq!(received.answers[1].readings.len(), 1);
        assert_eq!(codes(&scene.say(vec![])), [212], "a whole Results needs no Status");
    }
}

#[test]
fn an_object_beyond_the_limit_is_refused_and_its_tail_is_not_taken_for_the_whole() {
    for announced in [Some(5000), None] {
        for mut scene in scenes() {
            scene.begin();
            scene.say(vec![get("./B")]);
            let mut first = piece("./B", &"x".repeat(600));
            first.meta.size = announced;
            let mut message = scene.message(vec![header_status(1, 212), status(1, 4, 200), results(1, 4, vec![first])]);
            message.last = false;
            scene.hear(message);
            let (first, refusal) = if announced.is_some() { (416, 416) } else { (213, 413) };
            assert_eq!(codes(&scene.say(vec![])), [212, first]);
            let mut message = scene.message(vec![header_status(2, 212), results(1, 4, vec![piece("./B", &"x".repeat(600))])]);
            message.last = false;
            scene.hear(message);
            assert_eq!(codes(&scene.say(vec![])), [212, refusal]);
            let message = scene.message(vec![header_status(3, 212), results(1, 4, vec![leaf("./B", "tail")])]);
            let received = scene.hear(message);
            assert_eq!(received.turn, Turn::Offer);
            let answer = &received.answers[0];
            assert_eq!((answer.status, answer.readings.len()), (Some(StatusCode(refusal)), 0));
        }
    }
}

#[test]
fn octets_in_pieces_are_octets_whatever_they_look_like() {
    for (format, pieces, is) in [
        (Some("bin"), [&b"ab"[..], b"cd"], "YWJjZA=="),
        (Some("bin"), [b"a\xFF", b"\0\0"], "Yf8AAA=="),
        (Some("chr"), [b"caf\xC3", b"\xA9"], "caf\u{E9}"),
        (Some("chr"), [b"ab", b"\x01c"], "YWIBYw=="),
    ] {
        let [_xml, mut scene] = scenes();
        scene.begin();
        scene.say(vec![get("./B")]);
        let octets = |data: &[u8]| Item { data: Some(Data::Octets(data.to_vec())), ..leaf("./B", "") };
        let mut first = Item { more: true, ..octets(pieces[0]) };
        first.meta.format = format.map(str::to_owned);
        first.meta.size = Some(4).filter(|_| format == Some("bin"));
        let message = scene.message(vec![header_status(1, 212), status(1, 4, 200), results(1, 4, vec![first])]);
        scene.hear(message);
        let number = scene.say(vec![]).message.header.message;
        let message = scene.message(vec![header_status(number, 212), results(1, 4, vec![octets(pieces[1])])]);
        let received = scene.hear(message);
        assert_eq!(received.answers[0].value().map(|value| value.data.as_str()), Some(is), "{pieces:?}");
    }
}

#[test]
fn an_object_that_is_not_ended_is_dropped_and_the_device_told() {
    for with_another in [true, false] {
        for mut scene in scenes() {
            scene.begin();
            scene.say(vec![get("./A"), get("./B")]);
            let begun = vec![header_status(1, 212), status(1, 4, 200), results(1, 4, vec![piece("./A", "half")])];
            let mut message = scene.message(begun);
            message.last = false;
            scene.hear(message);
            scene.say(vec![]);
            let mut body = vec![header_status(2, 212), status(1, 5, 200)];
            if with_another {
                body.push(results(1, 5, vec![leaf("./B", "b")]));
            }
            let message = scene.message(body);
            let received = scene.hear(message);
            assert_eq!(received.turn, Turn::Offer);
            assert_eq!(received.answers[0].status, Some(StatusCode::SIZE_MISMATCH));
            assert!(received.answers[0].readings.is_empty());
            assert_eq!(received.answers[1].readings.len(), usize::from(with_another));
            let reply = scene.say(vec![]);
            assert_eq!(alerts(&reply), [code::NO_END_OF_DATA]);
        }
    }
}

#[test]
fn devinfo_and_alerts_may_come_in_pieces_too() {
    for mut scene in scenes() {
        let mut kind = piece("./F", "12");
        kind.meta.media_type = Some("org.example.a".to_owned());
        let alert = |item| Element::Alert(Alert { code: code::GENERIC, items: vec![item], ..Alert::default() });
        let mut message = scene.message(vec![replace(vec![leaf("./DevInfo/Man", "Acme"), piece("./DevInfo/Mod", "X")])]);
        message.header.credentials = Some(right(AuthType::Digest));
        message.last = false;
        assert_eq!(scene.hear(message).device.len(), 1);
        assert_eq!(codes(&scene.say(vec![])), [212, 213]);
        let mut message = scene.message(vec![header_status(1, 212), replace(vec![leaf("./DevInfo/Mod", "1")]), alert(kind)]);
        message.last = false;
        let received = scene.hear(message);
        assert_eq!(received.device[0].value, Value::text("X1"));
        assert_eq!((received.turn, received.alerts.len()), (Turn::Continue, 0));
        assert_eq!(codes(&scene.say(vec![])), [212, 200, 213]);
        let message = scene.message(vec![header_status(2, 212), alert(leaf("./F", "3"))]);
        let received = scene.hear(message);
        assert_eq!(received.alerts[0].value, Value::text("123"));
        assert_eq!(codes(&scene.say(vec![])), [212, 200]);
    }
}

#[test]
fn pieces_may_be_cut_within_a_character() {
    let [_, mut scene] = scenes();
    scene.begin();
    scene.say(vec![get("./A")]);
    let octets = |octets: &[u8], more| Item { data: Some(Data::Octets(octets.to_vec())), more, ..leaf("./A", "") };
    let message = scene.message(vec![status(1, 4, 200), results(1, 4, vec![octets(&[b'a', 0xc3], true)])]);
    scene.hear(message);
    scene.say(vec![]);
    let message = scene.message(vec![results(1, 4, vec![octets(&[0xa4], false)])]);
    assert_eq!(scene.hear(message).answers[0].value().unwrap().data, "aä");
}

/// AD-12
#[test]
fn pieces_that_do_not_add_up_to_what_was_announced_are_no_value() {
    for (announced, expected) in [(7, 200), (8, 424), (6, 424)] {
        for mut scene in scenes() {
            scene.begin();
            scene.say(vec![get("./B")]);
            let mut first = piece("./B", "one");
            first.meta.size = Some(announced);
            let mut message = scene.message(vec![header_status(1, 212), status(1, 4, 200), results(1, 4, vec![first])]);
            message.last = false;
            scene.hear(message);
            scene.say(vec![]);
            let message = scene.message(vec![header_status(2, 212), results(1, 4, vec![leaf("./B", "four")])]);
            let received = scene.hear(message);
            let answer = &received.answers[0];
            assert_eq!((answer.status, answer.readings.len()), (Some(StatusCode(expected)), usize::from(expected == 200)));
            let told = codes(&scene.say(vec![]));
            assert_eq!(told.contains(&424), expected == 424, "{announced}: {told:?}");
        }
    }
}

/// AD-12
#[test]
fn a_device_that_says_no_end_of_data_is_sent_no_more_of_it() {
    for mut scene in scenes() {
        scene.takes = Some(2000);
        scene.begin();
        scene.session.as_mut().unwrap().set_large_objects(true);
        let reply = scene.say(vec![set("./A", &"x".repeat(5000)), get("./B")]);
        assert!(!reply.message.last);
        let number = sent(&reply)[0].0;
        let mut lost = said(code::NO_END_OF_DATA);
        if let Element::Alert(alert) = &mut lost {
            alert.items.push(leaf("./A", ""));
        }
        let message = scene.message(vec![header_status(1, 212), status(1, number, 213), lost]);
        scene.hear(message);
        let reply = scene.say(vec![]);
        assert_eq!(sent(&reply), [(3, "Get", "./B".to_owned())]);
        let message = scene.message(vec![header_status(2, 212), status(2, 3, 200)]);
        let answers = scene.hear(message).answers;
        assert_eq!((answers[0].status, answers[1].status), (Some(StatusCode::SIZE_MISMATCH), Some(StatusCode::OK)));
    }
}

/// AD-12: such a refusal is told apart from one of the device, and no other value goes out in pieces.
#[test]
fn a_device_that_takes_a_piece_for_the_whole_is_sent_no_more_pieces() {
    for mut scene in scenes() {
        scene.takes = Some(2000);
        scene.begin();
        scene.session.as_mut().unwrap().set_large_objects(true);
        let long = "x".repeat(5000);
        let reply = scene.say(vec![set("./A", &long), set("./B", &long), get("./C")]);
        let [(id, _, node)] = &sent(&reply)[..] else { panic!("{:?}", reply.message.body) };
        assert_eq!(node, "./A");
        let message = scene.message(vec![header_status(1, 212), status(1, *id, 200), status(1, *id, 200)]);
        assert_eq!(scene.hear(message).turn, Turn::Continue);
        let reply = scene.say(vec![]);
        assert_eq!(sent(&reply), [(2, "Get", "./C".to_owned())]);
        let message = scene.message(vec![header_status(2, 212), status(2, 2, 200)]);
        let answers = scene.hear(message).answers;
        let told: Vec<_> = answers.iter().map(|answer| (answer.status.unwrap().0, answer.kept_piece)).collect();
        assert_eq!(told, [(413, true), (413, false), (200, false)]);
        let reply = scene.say(vec![set("./D", &long)]);
        assert_eq!(sent(&reply), [(2, "Get", "./DevInfo/DevId".to_owned())], "nothing of it");
    }
}

/// AD-12: what the device says it takes at most is what it is sent at most.
#[test]
fn a_value_beyond_what_the_device_takes_is_not_begun() {
    for mut scene in scenes() {
        scene.takes = Some(2000);
        let mut first = scene.first(Some(right(AuthType::Digest)));
        first.header.max_object = Some(4000);
        scene.hear(first);
        scene.session.as_mut().unwrap().set_large_objects(true);
        let reply = scene.say(vec![set("./A", &"x".repeat(4001)), set("./B", &"x".repeat(4000))]);
        let [(id, _, node)] = &sent(&reply)[..] else { panic!("{:?}", reply.message.body) };
        assert_eq!((node.as_str(), reply.message.last), ("./B", false));
        let message = scene.message(vec![header_status(1, 212), status(1, *id, 413)]);
        let answers = scene.hear(message).answers;
        assert_eq!([answers[0].status, answers[1].status], [Some(StatusCode::TOO_LARGE); 2]);
    }
}
