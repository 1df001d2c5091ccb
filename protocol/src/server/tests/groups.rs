//! Commands that are done together, and questions to the user.
use super::*;
use crate::server::Turn;
use dmwsi_objects::{Answer, Prompt, PromptKind};

fn add(node: &str) -> Command {
    Command::Add { target: uri(node), value: Value::text("x") }
}

fn atomic() -> Command {
    Command::Atomic { members: vec![add("./A"), set("./B", "y"), Command::Delete { target: uri("./C") }] }
}

fn members(answer: &Answer) -> Vec<Option<u16>> {
    answer.members.iter().map(|member| member.status.map(|code| code.0)).collect()
}

fn named(message: u32, command: u32, name: &str, code: u16, items: Vec<Item>) -> Element {
    match status(message, command, code) {
        Element::Status(status) => Element::Status(Status { name: name.to_owned(), items, ..status }),
        other => other,
    }
}

fn said_item(data: &str) -> Item {
    Item { data: Some(text(data)), ..Item::default() }
}

/// AD-12: the members of an Atomic have ids of their own, and the command after it the next one.
#[test]
fn an_atomic_goes_alone_and_each_of_its_members_is_answered() {
    for mut scene in scenes() {
        scene.begin();
        let reply = scene.say(vec![atomic(), get("./D")]);
        let Some(Element::Atomic(group)) = reply.message.body.last() else { panic!("{:?}", reply.message.body) };
        let first: u32 = group.id.parse().unwrap();
        let ids: Vec<u32> = group
            .members
            .iter()
            .map(|member| match member {
                Element::Command(command) => command.id.parse().unwrap(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(ids, [first + 1, first + 2, first + 3]);
        // In any order, and the Atomic's own last.
        let answers = vec![
            header_status(1, 212),
            status(1, first + 3, 215),
            status(1, first + 2, 404),
            status(1, first + 1, 216),
            status(1, first, 507),
        ];
        let message = scene.message(answers);
        assert_eq!(scene.hear(message).turn, Turn::Continue);
        let reply = scene.say(vec![]);
        let number = sent(&reply)[0].0;
        let message = scene.message(vec![header_status(2, 212), status(2, number, 200)]);
        let answers = scene.hear(message).answers;
        assert_eq!((answers[0].status, members(&answers[0])), (Some(StatusCode(507)), vec![Some(216), Some(404), Some(215)]));
        assert_eq!(answers[1].status, Some(StatusCode::OK));
    }
}

/// AD-12: libdmclient has no Status for an Atomic.
#[test]
fn a_status_for_the_atomic_itself_is_not_waited_for() {
    for mut scene in scenes() {
        scene.begin();
        let reply = scene.say(vec![atomic()]);
        let Some(Element::Atomic(group)) = reply.message.body.last() else { panic!() };
        let first: u32 = group.id.parse().unwrap();
        let body = vec![header_status(1, 212), status(1, first + 1, 200), status(1, first + 2, 200), status(1, first + 3, 404)];
        let message = scene.message(body);
        let received = scene.hear(message);
        assert_eq!((received.turn, received.answers[0].status), (Turn::Offer, None));
        assert_eq!(members(&received.answers[0]), [Some(200), Some(200), Some(404)]);
    }
}

#[test]
fn an_atomic_that_a_device_refuses_for_want_of_credentials_is_sent_again() {
    for mut scene in scenes() {
        scene.begin();
        let reply = scene.say(vec![atomic()]);
        let Some(Element::Atomic(group)) = reply.message.body.last() else { panic!() };
        let first: u32 = group.id.parse().unwrap();
        let mut body = vec![challenging(1, 401, "syncml:auth-md5", "AAAA")];
        body.extend((first..first + 4).map(|id| status(1, id, 401)));
        let message = scene.message(body);
        assert_eq!(scene.hear(message).turn, Turn::Continue);
        let reply = scene.say(vec![]);
        let Some(Element::Atomic(again)) = reply.message.body.last() else { panic!("{:?}", reply.message.body) };
        let first: u32 = again.id.parse().unwrap();
        let mut body = vec![header_status(2, 212)];
        body.extend((first..first + 4).map(|id| status(2, id, 200)));
        let message = scene.message(body);
        let answers = scene.hear(message).answers;
        assert_eq!((answers[0].status, members(&answers[0])), (Some(StatusCode::OK), vec![Some(200); 3]));
    }
}

#[test]
fn an_atomic_that_no_message_holds_is_not_sent() {
    for mut scene in scenes() {
        scene.takes = Some(2000);
        scene.begin();
        let long = "x".repeat(1200);
        let reply = scene.say(vec![Command::Atomic { members: vec![set("./A", &long), set("./B", &long)] }]);
        assert_eq!(sent(&reply).len(), 1, "something is asked for, so that the session goes on");
        let message = scene.message(vec![header_status(1, 212), status(1, sent(&reply)[0].0, 200)]);
        let received = scene.hear(message);
        assert_eq!(received.answers[0].status, Some(StatusCode::TOO_LARGE));
    }
}

/// AD-12: the first item of a prompt has data, even where there are no options, and what the user said comes back.
#[test]
fn a_prompt_has_all_its_items_and_brings_what_the_user_said() {
    for mut scene in scenes() {
        scene.begin();
        let choices = vec!["red".to_owned(), "blue".to_owned()];
        let kind = PromptKind::MultipleChoice;
        let prompt = Prompt { kind, options: String::new(), text: "Which & why?".to_owned(), choices };
        let reply = scene.say(vec![Command::Alert(prompt), get("./A")]);
        let Some(Element::Alert(alert)) = reply.message.body.last() else { panic!("{:?}", reply.message.body) };
        let data: Vec<_> = alert.items.iter().map(|item| item.data.clone().unwrap()).collect();
        assert_eq!((alert.code, data), (1104, ["", "Which & why?", "red", "blue"].map(text).to_vec()));
        let id = alert.id.parse().unwrap();
        // Some clients have a Status for each choice; the same once more changes nothing.
        let answered = ["2", "1", "2"].map(|choice| named(1, id, "Alert", 200, vec![said_item(choice)]));
        let message = scene.message([header_status(1, 212)].into_iter().chain(answered).collect());
        assert_eq!(scene.hear(message).turn, Turn::Continue);
        let reply = scene.say(vec![]);
        let message = scene.message(vec![header_status(2, 212), status(2, sent(&reply)[0].0, 200)]);
        let answers = scene.hear(message).answers;
        assert_eq!((answers[0].status, answers[0].said.clone()), (Some(StatusCode::OK), vec!["2".to_owned(), "1".to_owned()]));
    }
}

#[test]
fn a_user_is_not_asked_twice_because_an_answer_was_lost() {
    for mut scene in scenes() {
        scene.begin();
        let prompt = Prompt { kind: PromptKind::Confirm, options: String::new(), text: "Now?".to_owned(), choices: Vec::new() };
        scene.say(vec![Command::Alert(prompt)]);
        let message = scene.message(vec![challenging(1, 401, "syncml:auth-md5", "AAAA")]);
        let received = scene.hear(message);
        assert_eq!((received.turn, received.answers[0].status), (Turn::Offer, None));
    }
}

#[test]
fn a_copy_names_where_from_and_where_to() {
    for mut scene in scenes() {
        scene.begin();
        let reply = scene.say(vec![Command::Copy { source: uri("./A"), target: uri("./B") }]);
        let Some(Element::Command(copy)) = reply.message.body.last() else { panic!() };
        assert_eq!(
            (copy.verb, copy.items[0].source.as_deref(), copy.items[0].target.as_deref()),
            (Verb::Copy, Some("./A"), Some("./B"))
        );
    }
}

/// A serialised tree, in either form and however it travels, is its nodes.
#[test]
fn a_serialised_tree_is_read_as_the_nodes_it_holds() {
    use crate::tnds;
    let leaf_of = |name: &str, text: &str| tnds::Node {
        name: Some(name.to_owned()),
        value: Some(text.to_owned()),
        properties: tnds::Properties { acl: Some("Get=*".to_owned()), ..tnds::Properties::default() },
        ..tnds::Node::default()
    };
    let top = tnds::Node {
        name: Some("A".to_owned()),
        path: Some(".".to_owned()),
        children: vec![leaf_of("b", "1 < 2")],
        ..tnds::Node::default()
    };
    let tree = tnds::Tree { version: "1.2".to_owned(), nodes: vec![top], ..tnds::Tree::default() };
    for mut scene in scenes() {
        for (form, has_type) in [Encoding::Xml, Encoding::Wbxml].into_iter().flat_map(|form| [(form, true), (form, false)]) {
            scene.session = None;
            scene.number = 0;
            scene.begin();
            scene.say(vec![Command::Get { target: uri("./A?list=TNDS") }]);
            let body = tree.encode(form);
            let mut item = match form {
                Encoding::Xml => leaf("./A", std::str::from_utf8(&body).unwrap()),
                Encoding::Wbxml => Item { data: Some(Data::Octets(body)), ..leaf("./A", "") },
            };
            let (format, kind) = if form == Encoding::Xml { ("xml", tnds::XML) } else { ("bin", tnds::WBXML) };
            if form == Encoding::Wbxml && scene.encoding == Encoding::Xml {
                item.meta.format = Some("b64".to_owned());
            } else {
                item.meta.format = Some(format.to_owned());
            }
            item.meta.media_type = has_type.then(|| kind.to_owned());
            let message = scene.message(vec![header_status(1, 212), status(1, 4, 200), results(1, 4, vec![item])]);
            let answers = scene.hear(message).answers;
            let read: Vec<_> = answers[0].readings.iter().map(|one| (one.node.as_str(), one.value.data.as_str())).collect();
            assert_eq!(
                read,
                [("./A", "b"), ("./A/b", "1 < 2"), ("./A/b?prop=ACL", "Get=*")],
                "{:?} in {:?}",
                form,
                scene.encoding
            );
        }
    }
}
