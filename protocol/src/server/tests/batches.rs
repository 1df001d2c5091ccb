//! Commands, over as many messages as they need, and their answers.
use super::*;
use crate::message::{Meta, Results};
use crate::server::Turn;
use dmwsi_objects::{Answer, Format};

fn codes_of(answers: &[Answer]) -> Vec<Option<u16>> {
    answers.iter().map(|answer| answer.status.map(|code| code.0)).collect()
}

/// AD-12
#[test]
fn a_batch_goes_over_several_messages_and_is_answered_as_a_whole() {
    for mut scene in scenes() {
        scene.limits.max_commands = 2;
        scene.begin();
        let batch = ["./A", "./B", "./C", "./D", "./E"].map(get).to_vec();
        let mut reply = scene.say(batch.clone());
        for (message, first) in [(1, 4), (2, 2)] {
            assert_eq!(sent(&reply).len(), 2);
            let answers = vec![header_status(message, 212), status(message, first, 200), status(message, first + 1, 404)];
            let message = scene.message(answers);
            let received = scene.hear(message);
            assert_eq!((received.turn, received.answers.len()), (Turn::Continue, 0));
            reply = scene.say(vec![]);
            assert!(reply.message.last);
        }
        assert_eq!(sent(&reply), [(2, "Get", "./E".to_owned())]);
        let message = scene.message(vec![header_status(3, 212), status(3, 2, 200)]);
        let received = scene.hear(message);
        assert_eq!(received.turn, Turn::Offer);
        assert_eq!(codes_of(&received.answers), [Some(200), Some(404), Some(200), Some(404), Some(200)]);
        assert!(received.answers.iter().map(|answer| &answer.command).eq(&batch));
    }
}

#[test]
fn a_message_stays_below_what_the_device_takes() {
    for mut scene in scenes() {
        scene.takes = Some(2000);
        scene.begin();
        let long = "x".repeat(300);
        let mut reply = scene.say((0..9).map(|number| set(&format!("./N/{number}"), &long)).collect());
        let mut count = 0;
        loop {
            assert!(reply.bytes.len() <= 1900, "{} bytes", reply.bytes.len());
            let commands = sent(&reply);
            count += commands.len();
            let number = reply.message.header.message;
            let mut body = vec![header_status(number, 212)];
            body.extend(commands.iter().map(|(id, _, _)| status(number, *id, 200)));
            let message = scene.message(body);
            let received = scene.hear(message);
            if received.turn == Turn::Offer {
                assert_eq!(codes_of(&received.answers), [Some(200); 9]);
                break;
            }
            reply = scene.say(vec![]);
        }
        assert_eq!(count, 9);
        assert!(scene.session.unwrap().sent > 1);
    }
}

#[test]
fn a_command_that_is_too_large_for_the_device_is_answered_here() {
    for mut scene in scenes() {
        scene.takes = Some(2000);
        scene.begin();
        let reply = scene.say(vec![get("./A"), set("./B", &"x".repeat(3000)), get("./C")]);
        assert_eq!(sent(&reply), [(4, "Get", "./A".to_owned())]);
        let message = scene.message(vec![header_status(1, 212), status(1, 4, 200)]);
        assert_eq!(scene.hear(message).turn, Turn::Continue);
        assert_eq!(sent(&scene.say(vec![])), [(2, "Get", "./C".to_owned())]);
        let message = scene.message(vec![header_status(2, 212), status(2, 2, 200)]);
        assert_eq!(codes_of(&scene.hear(message).answers), [Some(200), Some(413), Some(200)]);
    }
}

#[test]
fn a_batch_of_nothing_but_too_large_commands_keeps_the_session_going_for_its_answers() {
    for mut scene in scenes() {
        scene.takes = Some(2000);
        scene.begin();
        let reply = scene.say(vec![set("./B", &"x".repeat(3000))]);
        assert_eq!(sent(&reply), [(4, "Get", "./DevInfo/DevId".to_owned())]);
        let body = vec![header_status(1, 212), status(1, 4, 200), results(1, 4, vec![leaf("./DevInfo/DevId", DEVICE)])];
        let message = scene.message(body);
        let received = scene.hear(message);
        assert_eq!((received.turn, codes_of(&received.answers)), (Turn::Offer, vec![Some(413)]));
        assert!(scene.say(vec![]).ended);
    }
}

#[test]
fn an_exec_has_a_message_of_its_own() {
    for mut scene in scenes() {
        scene.begin();
        let reply = scene.say(vec![set("./F/URL", "u"), exec("./F/Run"), get("./F/State")]);
        assert_eq!(sent(&reply), [(4, "Replace", "./F/URL".to_owned())]);
        let message = scene.message(vec![header_status(1, 212), status(1, 4, 200)]);
        assert_eq!(scene.hear(message).turn, Turn::Continue);
        let reply = scene.say(vec![]);
        assert_eq!(sent(&reply), [(2, "Exec", "./F/Run".to_owned())]);
        let message = scene.message(vec![header_status(2, 212), status(2, 2, 202)]);
        assert_eq!(scene.hear(message).turn, Turn::Continue);
        assert_eq!(sent(&scene.say(vec![])), [(2, "Get", "./F/State".to_owned())]);
        let message = scene.message(vec![header_status(3, 212), status(3, 2, 200)]);
        assert_eq!(codes_of(&scene.hear(message).answers), [Some(200), Some(202), Some(200)]);
    }
}

#[test]
fn commands_look_as_the_most_fragile_client_needs_them() {
    for mut scene in scenes() {
        scene.begin();
        let value = Value { format: Format::Node, media_type: Some("urn:oma:mo:oma-fumo:1.0".to_owned()), data: String::new() };
        let octets = Value { format: Format::Bin, media_type: None, data: "AP8Q".to_owned() };
        let commands = vec![
            Command::Add { target: uri("./F"), value },
            Command::Replace { target: uri("./F/Data"), value: octets },
            Command::Delete { target: uri("./G") },
            get("./F?list=Struct"),
        ];
        let reply = scene.say(commands);
        let items: Vec<_> = reply
            .message
            .body
            .iter()
            .filter_map(|element| match element {
                Element::Command(command) => {
                    assert!(command.meta.is_empty(), "Meta stands in the item");
                    Some(command.items[0].clone())
                }
                _ => None,
            })
            .collect();
        assert_eq!(items[0].meta.format.as_deref(), Some("node"));
        assert_eq!(items[0].meta.media_type.as_deref(), Some("urn:oma:mo:oma-fumo:1.0"));
        assert_eq!(items[0].data, Some(text("")));
        assert_eq!(items[1].meta.format.as_deref(), Some("bin"));
        assert!(items[2].meta.is_empty() && items[2].data.is_none());
        assert!(items[3].meta.is_empty() && items[3].data.is_none());
        assert_eq!(items[3].target.as_deref(), Some("./F?list=Struct"));
    }
}

#[test]
fn a_command_without_status_has_an_unknown_outcome() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![set("./A", "1"), set("./B", "1")]);
        let message = scene.message(vec![header_status(1, 212), status(1, 5, 200), status(1, 17, 404), status(7, 4, 404)]);
        let received = scene.hear(message);
        assert_eq!((received.turn, codes_of(&received.answers)), (Turn::Offer, vec![None, Some(200)]));
    }
}

#[test]
fn of_several_statuses_the_worst_counts_and_one_in_progress_is_none() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![get("./A"), get("./B"), get("./C")]);
        let body = vec![
            header_status(1, 212),
            status(1, 4, 200),
            status(1, 4, 404),
            status(1, 4, 200),
            status(1, 5, 101),
            status(1, 6, 101),
            status(1, 6, 200),
        ];
        let message = scene.message(body);
        assert_eq!(codes_of(&scene.hear(message).answers), [Some(404), None, Some(200)]);
    }
}

/// libdmclient puts Results between Statuses; others put them first or last.
#[test]
fn results_may_stand_before_between_and_after_statuses() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![get("./A"), get("./B"), get("./N")]);
        let mut node = leaf("./N", "x/y");
        node.meta.format = Some("node".to_owned());
        let body = vec![
            results(1, 5, vec![leaf("./B", "b")]),
            header_status(1, 212),
            status(1, 4, 200),
            results(1, 4, vec![leaf("./A", "a")]),
            status(1, 5, 200),
            status(1, 6, 200),
            results(1, 6, vec![node]),
        ];
        let message = scene.message(body);
        let answers = scene.hear(message).answers;
        let data: Vec<_> = answers.iter().map(|answer| answer.value().unwrap().data.as_str()).collect();
        assert_eq!(data, ["a", "b", "x/y"]);
        assert!(answers[2].value().unwrap().children().eq(["x", "y"]));
        assert!(answers.iter().all(Answer::succeeded));
    }
}

#[test]
fn the_items_of_a_results_take_its_meta_and_a_get_may_bring_several_or_none() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![get("./D?list=Struct"), get("./E")]);
        let mut own = leaf(" D/x ", "5");
        own.meta.format = Some("int".to_owned());
        let many = Element::Results(Results {
            message: 1,
            command: "4".to_owned(),
            meta: Meta { format: Some("bool".to_owned()), media_type: Some("text/plain".to_owned()), ..Meta::default() },
            items: vec![own, leaf("./D/y", "true"), Item { data: Some(text("nameless")), ..Item::default() }],
            ..Results::default()
        });
        let message = scene.message(vec![header_status(1, 212), status(1, 4, 200), many, status(1, 5, 200)]);
        let answers = scene.hear(message).answers;
        let read: Vec<_> =
            answers[0].readings.iter().map(|read| (read.node.as_str(), read.value.format, read.value.data.as_str())).collect();
        let expected =
            [("./D/x", Format::Int, "5"), ("./D/y", Format::Bool, "true"), ("./D?list=Struct", Format::Bool, "nameless")];
        assert_eq!(read, expected);
        assert_eq!(answers[0].readings[0].value.media_type.as_deref(), Some("text/plain"));
        assert!(answers[1].succeeded() && answers[1].readings.is_empty());
    }
}

/// Windows leaves references out, which stand for 1 then.
#[test]
fn a_results_whose_references_lead_nowhere_goes_to_the_get_of_its_node() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![get("./A"), get("./B")]);
        let lost = Element::Results(Results { message: 1, items: vec![leaf("./B", "b")], ..Results::default() });
        let message = scene.message(vec![header_status(1, 200), status(1, 4, 200), status(1, 5, 200), lost]);
        let answers = scene.hear(message).answers;
        assert_eq!((answers[0].readings.len(), answers[1].value().unwrap().data.as_str()), (0, "b"));
    }
}

#[test]
fn an_abort_tells_what_is_known_and_what_never_left() {
    for mut scene in scenes() {
        scene.limits.max_commands = 2;
        scene.begin();
        scene.say(vec![set("./A", "1"), set("./B", "1"), set("./C", "1")]);
        let message = scene.message(vec![header_status(1, 212), status(1, 4, 200), said(code::ABORT)]);
        let received = scene.hear(message);
        assert_eq!((received.turn, codes_of(&received.answers)), (Turn::Aborted, vec![Some(200), None, Some(215)]));
        let reply = scene.say(vec![]);
        assert_eq!(statuses(&reply)[1], ("3".to_owned(), "Alert".to_owned(), 200));
        assert!(reply.ended && reply.message.last && sent(&reply).is_empty() && alerts(&reply).is_empty());
    }
}

#[test]
fn a_session_that_is_given_up_tells_what_is_known() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![set("./A", "1"), exec("./B")]);
        let mut message = scene.message(vec![header_status(1, 212), status(1, 4, 200)]);
        assert_eq!(codes_of(&scene.session.clone().unwrap().abandon()), [None, Some(215)]);
        message.last = false;
        scene.hear(message);
        assert_eq!(codes_of(&scene.session.unwrap().abandon()), [Some(200), Some(215)]);
    }
}

/// AD-12: gaps, codes that are none, commands that were never sent, and messages that never were.
#[test]
fn statuses_with_gaps_or_of_nothing_leave_the_others_alone() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(["./A", "./B", "./C", "./D"].map(get).to_vec());
        let body = vec![
            status(1, 7, 200),
            status(1, 4711, 500),
            status(77, 5, 404),
            header_status(1, 212),
            status(1, 6, 0),
            status(1, 4, 200),
            status(1, 4, 200),
            status(0, 4, 404),
        ];
        let message = scene.message(body);
        let received = scene.hear(message);
        assert_eq!(received.turn, Turn::Offer);
        assert_eq!(codes_of(&received.answers), [Some(200), None, Some(0), Some(200)]);
    }
}

/// AD-12: a property is not the value of its node, though a client says it in the node's name.
#[test]
fn a_property_that_is_told_under_the_bare_node_stays_a_property() {
    for mut scene in scenes() {
        scene.begin();
        let id = sent(&scene.say(vec![get("./Vendor/A?prop=Type")]))[0].0;
        let told = results(1, id, vec![leaf("./Vendor/A", "text/plain")]);
        let message = scene.message(vec![header_status(1, 212), status(1, id, 200), told]);
        let answers = scene.hear(message).answers;
        assert_eq!(answers[0].readings[0].node, uri("./Vendor/A?prop=Type"));
    }
}

/// Windows encodes names and refers to no command.
#[test]
fn results_without_references_find_their_question_however_the_node_is_spelled() {
    for mut scene in scenes() {
        scene.begin();
        let reply = scene.say(vec![get("./Vendor/My App"), get("./Vendor/My App?prop=Type"), get("./Vendor/Other")]);
        let [first, second, third] = [0, 1, 2].map(|at: usize| sent(&reply)[at].0);
        let told =
            [leaf("./Vendor/My%20App?prop=Type", "text/plain"), leaf("Vendor/My%20App", "x"), leaf("./Vendor/Foreign", "y")];
        let mut body = vec![header_status(1, 212), status(1, first, 200), status(1, second, 200), status(1, third, 200)];
        body.extend(told.map(|item| results(1, 1, vec![item])));
        let message = scene.message(body);
        let answers = scene.hear(message).answers;
        let brought: Vec<_> = answers.iter().map(|answer| answer.value().map(|value| value.data.as_str())).collect();
        assert_eq!(brought, [Some("x"), Some("text/plain"), None]);
    }
}
