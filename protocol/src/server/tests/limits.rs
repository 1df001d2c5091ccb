//! What a device can make a session cost.
use super::*;
use crate::server::Turn;

fn unknown(id: &str, name: &str) -> Element {
    Element::Unknown { id: id.to_owned(), name: name.to_owned() }
}

/// In WBXML a few octets name a text of any length in the string table.
#[test]
fn what_a_device_calls_its_commands_makes_no_large_reply() {
    for mut scene in scenes() {
        let long = "x".repeat(5_000);
        let mut message = scene.message(vec![]);
        message.body.extend((1..=150).map(|id| unknown(&id.to_string(), &long)));
        message.body.extend((0..100).map(|_| unknown(&long, "Put")));
        message.body.extend((151..=1_000).map(|id| unknown(&id.to_string(), "Put")));
        message.header.credentials = Some(right(AuthType::Digest));
        message.header.max_message = Some(1_000_000);
        // Not by its bytes: what is unknown to the writer is not written.
        let session = Session::open(&message, "");
        let heard = scene.with(|account, nonces| session.receive(&message, &Arrival::bare(true), account, nonces, &scene.limits));
        scene.session = Some(heard.unwrap().0);
        let reply = scene.say(vec![]);
        assert!(reply.bytes.len() < 40_000, "{} bytes", reply.bytes.len());
        let answered = statuses(&reply);
        assert_eq!(answered.len(), 1 + Limits::MAX_ANSWERED);
        assert!(answered.iter().all(|(id, name, _)| id.len() <= 32 && name.len() <= 32));
        assert_eq!(answered[1], ("1".to_owned(), "x".repeat(32), 406));
        assert_eq!((answered[151].0.as_str(), answered[151].1.as_str()), ("151", "Put"), "what has no CmdID is not answered");
    }
}

#[test]
fn answers_that_do_not_fit_into_what_the_device_takes_come_in_the_next_message() {
    for mut scene in scenes() {
        scene.takes = Some(2_000);
        let mut message = scene.message((0..60).map(|_| said(1299)).collect());
        message.header.credentials = Some(right(AuthType::Digest));
        assert_eq!(scene.hear(message).turn, Turn::Offer);
        let mut told: Vec<String> = Vec::new();
        for replies in 1.. {
            let reply = scene.say(vec![]);
            assert!(reply.bytes.len() <= 1_900, "{} bytes", reply.bytes.len());
            let about = |element: &Element| match element {
                Element::Status(status) if status.message == 1 && status.command != "0" => Some(status.command.clone()),
                _ => None,
            };
            told.extend(reply.message.body.iter().filter_map(about));
            assert_eq!(reply.ended, reply.message.last);
            if reply.ended {
                assert!(replies > 1);
                break;
            }
            let number = reply.message.header.message;
            let message = scene.message(vec![header_status(number, 212), said(code::NEXT_MESSAGE)]);
            assert_eq!(scene.hear(message).turn, Turn::Offer);
        }
        assert_eq!(told, (1..=60).map(|id| id.to_string()).collect::<Vec<_>>());
    }
}

#[test]
fn commands_go_out_beside_answers_that_fill_a_message() {
    for mut scene in scenes() {
        scene.takes = Some(2_000);
        let mut message = scene.message((0..60).map(|_| said(1299)).collect());
        message.header.credentials = Some(right(AuthType::Digest));
        scene.hear(message);
        let reply = scene.say(vec![set("./A", &"x".repeat(200))]);
        assert_eq!((sent(&reply).len(), reply.message.last), (1, true));
        let message = scene.message(vec![header_status(1, 212), status(1, sent(&reply)[0].0, 200)]);
        assert_eq!(scene.hear(message).answers[0].status, Some(StatusCode::OK));
        assert!(codes(&scene.say(vec![])).len() > 2, "the rest of the answers");
    }
}

/// Each asks the other for the next message, and neither says anything.
#[test]
fn a_device_that_answers_a_piece_by_asking_for_more_is_not_asked_for_ever() {
    for mut scene in scenes() {
        scene.takes = Some(2_000);
        scene.begin();
        scene.session.as_mut().unwrap().set_large_objects(true);
        scene.say(vec![set("./A", &"x".repeat(5_000))]);
        for asked in 1.. {
            assert!(asked < 10, "it goes on for ever");
            let mut message = scene.message(vec![header_status(asked, 212), said(code::NEXT_MESSAGE)]);
            message.last = false;
            let received = scene.hear(message);
            scene.say(vec![]);
            if received.turn == Turn::Aborted {
                break;
            }
        }
    }
}

#[test]
fn a_session_ends_in_good_order_when_it_has_had_its_messages() {
    for mut scene in scenes() {
        scene.begin();
        for number in 1..=Limits::MAX_MESSAGES {
            let is_last = number == Limits::MAX_MESSAGES;
            let reply = scene.say(if is_last { vec![get("./A"), exec("./B")] } else { vec![get("./A")] });
            let message = scene.message(vec![header_status(number, 212), status(number, sent(&reply)[0].0, 200)]);
            let received = scene.hear(message);
            if is_last {
                let answers: Vec<_> = received.answers.iter().map(|answer| answer.status.unwrap().0).collect();
                assert_eq!((received.turn, answers), (Turn::Exhausted, vec![200, 215]));
                break;
            }
            assert_eq!(received.turn, Turn::Offer);
        }
        let reply = scene.say(vec![]);
        assert_eq!((codes(&reply), alerts(&reply), reply.message.last, reply.ended), (vec![212], vec![], true, true));
    }
}

#[test]
fn a_device_that_begins_an_object_in_each_message_is_not_heard_for_ever() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![get("./A")]);
        for number in 1.. {
            assert!(number <= Limits::MAX_MESSAGES, "it goes on for ever");
            let item = Item { more: true, ..leaf(&format!("./A/{number}"), "x") };
            let message = scene.message(vec![header_status(number, 212), status(number, 4, 200), results(1, 4, vec![item])]);
            let received = scene.hear(message);
            let reply = scene.say(vec![]);
            if received.turn == Turn::Exhausted {
                assert_eq!((alerts(&reply).last(), reply.ended, received.answers.len()), (Some(&code::ABORT), true, 1));
                assert_eq!(number, Limits::MAX_MESSAGES);
                break;
            }
            assert_eq!(received.turn, Turn::Continue);
        }
    }
}

#[test]
fn an_object_in_very_many_pieces_is_refused() {
    let [_, mut scene] = scenes();
    scene.limits.max_object = 10_000;
    scene.begin();
    scene.say(vec![get("./A")]);
    for number in 1.. {
        let item = Item { more: true, ..leaf("./A", "x") };
        let mut message = scene.message(vec![header_status(number, 212), status(number, 4, 200), results(1, 4, vec![item])]);
        message.last = false;
        scene.hear(message);
        if codes(&scene.say(vec![])).contains(&413) {
            assert_eq!(usize::try_from(number).unwrap(), Limits::MAX_PIECES + 1);
            break;
        }
    }
}

#[test]
fn a_value_for_which_a_device_leaves_too_little_room_is_not_begun() {
    for mut scene in scenes() {
        scene.takes = Some(2_000);
        scene.begin();
        scene.session.as_mut().unwrap().set_large_objects(true);
        let reply = scene.say(vec![set("./A", &"x".repeat(3_000_000)), get("./B")]);
        assert_eq!(sent(&reply)[0].1, "Get");
    }
}

#[test]
fn of_very_many_alerts_in_a_message_the_first_are_told_and_the_others_refused() {
    for mut scene in scenes() {
        let mut item = leaf("./A", "1");
        item.meta.media_type = Some("org.example.a".to_owned());
        let alert = |code, items| Element::Alert(Alert { code, items: vec![item.clone(); items], ..Alert::default() });
        let body =
            vec![alert(code::GENERIC, 50), alert(code::CLIENT_EVENT, 10), alert(code::GENERIC, 5), alert(code::GENERIC, 1)];
        let mut message = scene.message(body);
        message.header.credentials = Some(right(AuthType::Digest));
        let received = scene.hear(message);
        assert_eq!((received.alerts.len(), received.events.len()), (54, 10));
        assert_eq!(codes(&scene.say(vec![])), [212, 200, 200, 500, 500]);
    }
}
