//! Devices that are known to differ are spoken to otherwise.
use super::*;
use crate::message::Group;
use crate::server::Turn;
use dmwsi_objects::Format;

fn commands(reply: &Reply) -> Vec<&Element> {
    reply.message.body.iter().filter(|element| !matches!(element, Element::Status(_))).collect()
}

fn sequence(reply: &Reply) -> &Group {
    match commands(reply)[..] {
        [Element::Sequence(group)] => group,
        ref others => panic!("{others:?}"),
    }
}

fn id(element: &Element) -> u32 {
    match element {
        Element::Command(command) => command.id.parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// AD-12: the commands of a message are a Sequence where the device is known to take one, and never else.
#[test]
fn commands_are_a_sequence_only_for_a_device_that_takes_one() {
    for mut scene in scenes() {
        scene.begin();
        let reply = scene.say(vec![set("./A", "1"), get("./B")]);
        assert!(commands(&reply).iter().all(|element| matches!(element, Element::Command(_))));
    }
    for mut scene in scenes() {
        scene.manners = Manners { sequence: true, ..Manners::default() };
        scene.begin();
        let reply =
            scene.say(vec![set("./A", "1"), get("./B"), Command::Exec { target: uri("./C"), correlator: None, value: None }]);
        let group = sequence(&reply);
        let (own, ids): (u32, Vec<_>) = (group.id.parse().unwrap(), group.members.iter().map(id).collect());
        assert_eq!(ids, [own + 1, own + 2]);
        let message =
            scene.message(vec![header_status(1, 212), status(1, own, 200), status(1, own + 2, 404), status(1, own + 1, 200)]);
        assert_eq!(scene.hear(message).turn, Turn::Continue);
        let reply = scene.say(vec![]);
        let alone = commands(&reply);
        assert!(matches!(alone[..], [Element::Command(_)]), "one command is no Sequence: {alone:?}");
        let message = scene.message(vec![header_status(2, 212), status(2, id(alone[0]), 202)]);
        let codes: Vec<_> = scene.hear(message).answers.iter().map(|answer| answer.status.unwrap().0).collect();
        assert_eq!(codes, [200, 404, 202]);
    }
}

/// AD-12: where the device takes none after all, its commands go out once more, one by one.
#[test]
fn a_sequence_that_is_refused_is_said_again_without() {
    for mut scene in scenes() {
        scene.manners = Manners { sequence: true, ..Manners::default() };
        scene.begin();
        let reply = scene.say(vec![set("./A", "1"), get("./B")]);
        let own: u32 = sequence(&reply).id.parse().unwrap();
        let Element::Status(refused) = status(1, own, 406) else { panic!() };
        let refused = Element::Status(Status { name: "Sequence".to_owned(), ..refused });
        let message = scene.message(vec![header_status(1, 212), refused]);
        let received = scene.hear(message);
        assert_eq!((received.turn, received.no_sequence), (Turn::Continue, true));
        let reply = scene.say(vec![]);
        let ids: Vec<_> = commands(&reply).into_iter().map(id).collect();
        let message = scene.message(vec![header_status(2, 212), status(2, ids[0], 200), status(2, ids[1], 200)]);
        let received = scene.hear(message);
        assert_eq!((received.turn, received.no_sequence), (Turn::Offer, false));
        assert!(received.answers.iter().all(|answer| answer.status == Some(StatusCode::OK)));
    }
}

/// S-CM-09: what is said of a Sequence is not yet said of its commands, whose own codes may come in the next message.
#[test]
fn commands_of_a_sequence_that_failed_are_waited_for() {
    for mut scene in scenes() {
        scene.manners = Manners { sequence: true, ..Manners::default() };
        scene.begin();
        let reply = scene.say(vec![set("./A", "1"), set("./B", "2"), set("./C", "3")]);
        let own: u32 = sequence(&reply).id.parse().unwrap();
        let of_all = |code| match status(1, own, code) {
            Element::Status(said) => Element::Status(Status { name: "Sequence".to_owned(), ..said }),
            other => other,
        };
        let mut message = scene.message(vec![header_status(1, 212), of_all(101), of_all(500), said(code::NEXT_MESSAGE)]);
        message.last = false;
        assert_eq!(scene.hear(message).turn, Turn::Continue);
        scene.say(vec![]);
        let message = scene.message(vec![header_status(2, 212), status(1, own + 1, 200), status(1, own + 2, 404)]);
        let received = scene.hear(message);
        let codes: Vec<_> = received.answers.iter().map(|answer| answer.status.map(|status| status.0)).collect();
        assert_eq!((received.turn, codes), (Turn::Offer, vec![Some(200), Some(404), Some(500)]));
    }
}

/// AD-12: Data is always there, unless the device is known to want it otherwise; the same of the correlator.
#[test]
fn data_and_correlator_are_left_out_only_where_that_is_known() {
    let said = |manners: Manners| {
        scenes().map(|mut scene| {
            scene.manners = manners;
            scene.begin();
            let add = Command::Add { target: uri("./A"), value: Value { format: Format::Node, ..Value::default() } };
            let exec = Command::Exec { target: uri("./B"), correlator: Some("op-1".to_owned()), value: None };
            let reply = scene.say(vec![add]);
            let Element::Command(add) = commands(&reply)[0] else { panic!() };
            let data = add.items[0].data.clone();
            let message = scene.message(vec![header_status(1, 212), status(1, add.id.parse().unwrap(), 200)]);
            assert_eq!(scene.hear(message).turn, Turn::Offer);
            let reply = scene.say(vec![exec]);
            let Element::Command(exec) = commands(&reply)[0] else { panic!() };
            (data.is_some(), exec.correlator.is_some())
        })
    };
    assert_eq!(said(Manners::default()), [(true, true); 2]);
    assert_eq!(said(Manners { omits_empty_data: true, ..Manners::default() }), [(false, true); 2]);
    assert_eq!(said(Manners { omits_correlator: true, ..Manners::default() }), [(true, false); 2]);
}

/// AD-12: what is known of a device limits its messages where it says nothing, or too much.
#[test]
fn messages_keep_to_the_limits_that_are_known() {
    let lengths = |takes: Option<u32>, manners: Manners| {
        scenes().map(|mut scene| {
            (scene.takes, scene.manners) = (takes, manners);
            scene.begin();
            let reply = scene.say((0..12).map(|at| set(&format!("./{at}"), &"x".repeat(700))).collect());
            (reply.bytes.len(), commands(&reply).len())
        })
    };
    assert!(lengths(Some(16_384), Manners::default()).iter().all(|(_, count)| *count == 12));
    for (takes, manners) in [
        (Some(16_384), Manners { max_message: Some(3_000), ..Manners::default() }),
        (None, Manners { max_message: Some(3_000), ..Manners::default() }),
        (None, Manners { usual_max_message: Some(3_000), ..Manners::default() }),
    ] {
        assert!(lengths(takes, manners).iter().all(|(size, count)| *size <= 3_000 && *count < 5), "{manners:?}");
    }
    let few = Manners { max_commands: Some(2), ..Manners::default() };
    assert!(lengths(Some(16_384), few).iter().all(|(_, count)| *count == 2));
}
