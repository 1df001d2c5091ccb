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
        let heard = scene.with(|account, nonces| session.receive(&message, true, account, nonces, &scene.limits));
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
