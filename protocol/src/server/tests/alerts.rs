//! What a device tells on its own.
use super::*;
use dmwsi_objects::{Format, Mark};

fn typed(node: Option<&str>, kind: &str, data: Option<&str>) -> Item {
    Item {
        source: node.map(str::to_owned),
        meta: Meta { media_type: Some(kind.to_owned()), ..Meta::default() },
        data: data.map(text),
        ..Item::default()
    }
}

fn generic(items: Vec<Item>) -> Element {
    Element::Alert(Alert { code: code::GENERIC, correlator: Some("corr-77".to_owned()), items, ..Alert::default() })
}

#[test]
fn generic_alerts_are_told_item_by_item() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![exec("./FUMO/Update")]);
        let mut first =
            typed(Some(" ./FUMO/Update "), " Reversed-Domain-Name: org.openmobilealliance.DM.firmwareupdate.update", Some("200"));
        first.meta.format = Some("int".to_owned());
        first.meta.mark = Some("warning".to_owned());
        first.target = Some("./Other".to_owned());
        let mut second = typed(Some("https://no.node/"), "org.example.other", Some(""));
        second.meta.format = Some("text/plain".to_owned());
        let message = scene.message(vec![header_status(1, 212), generic(vec![first, second]), status(1, 4, 202)]);
        let alerts = scene.hear(message).alerts;
        assert_eq!(alerts.len(), 2);
        assert_eq!(alerts[0].alert_type.as_str(), "org.openmobilealliance.dm.firmwareupdate.update");
        assert_eq!((alerts[0].correlator.as_deref(), alerts[0].mark), (Some("corr-77"), Mark::Warning));
        assert_eq!((&alerts[0].source, &alerts[0].target), (&Some(uri("./FUMO/Update")), &Some(uri("./Other"))));
        assert_eq!(alerts[0].value, Value::int(200));
        assert_eq!((&alerts[1].source, alerts[1].mark, alerts[1].value.format), (&None, Mark::Informational, Format::Chr));
        assert_eq!(codes(&scene.say(vec![])), [212, 200]);
    }
}

/// AD-12: what an alert without a correlator may be about is told by what had begun before it, in this message and in those before.
#[test]
fn an_alert_knows_which_execs_had_begun_before_it() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![get("./A"), exec("./B"), exec("./C"), exec("./D")]);
        let alert = || generic(vec![typed(Some("./B"), "org.example.a", Some("1")), typed(None, "org.example.b", Some("2"))]);
        let begun = |scene: &mut Scene, body: Vec<Element>| {
            let message = scene.message(body);
            let received = scene.hear(message);
            let begun: Vec<_> = received.told().map(|(_, begun)| begun.to_vec()).collect();
            assert_eq!(begun.len(), received.alerts.len());
            begun
        };
        let told = begun(&mut scene, vec![header_status(1, 212), status(1, 4, 200), alert()]);
        assert_eq!(told, vec![Vec::<usize>::new(); 2]);
        let id = sent(&scene.say(vec![]))[0].0;
        let told = begun(&mut scene, vec![header_status(2, 212), alert(), status(2, id, 202), alert()]);
        assert_eq!(told, [vec![], vec![], vec![1], vec![1]]);
        let id = sent(&scene.say(vec![]))[0].0;
        let told = begun(&mut scene, vec![header_status(3, 212), alert(), status(3, id, 500), alert()]);
        assert_eq!(told, vec![vec![1]; 4], "what is refused has not begun");
        let id = sent(&scene.say(vec![]))[0].0;
        let told = begun(&mut scene, vec![header_status(4, 212), alert(), status(4, id, 200), alert()]);
        assert_eq!(told, [vec![1], vec![1], vec![1, 3], vec![1, 3]]);
    }
}

#[test]
fn an_incomplete_item_is_412_and_not_told() {
    for (items, told) in
        [(vec![], 0), (vec![leaf("./A", "1")], 0), (vec![leaf("./A", "1"), typed(None, "org.example.a", Some("1"))], 1)]
    {
        for mut scene in scenes() {
            let mut message = scene.message(vec![generic(items.clone())]);
            message.header.credentials = Some(right(AuthType::Digest));
            assert_eq!(scene.hear(message).alerts.len(), told);
            assert_eq!(codes(&scene.say(vec![])), [212, 412]);
        }
    }
}

/// AD-12: some clients leave out a Data that would be empty.
#[test]
fn an_alert_that_says_nothing_but_its_type_is_told() {
    for mut scene in scenes() {
        let mut message = scene.message(vec![generic(vec![typed(Some("./A"), "org.example.a", None)])]);
        message.header.credentials = Some(right(AuthType::Digest));
        let alerts = scene.hear(message).alerts;
        assert_eq!((alerts[0].alert_type.as_str(), &alerts[0].value), ("org.example.a", &Value::text("")));
        assert_eq!(codes(&scene.say(vec![])), [212, 200]);
    }
}

/// Windows tells events in package 1, without a format.
#[test]
fn client_events_are_told_apart_from_alerts() {
    for mut scene in scenes() {
        let event = Element::Alert(Alert {
            code: code::CLIENT_EVENT,
            items: vec![typed(None, "com.microsoft/MDM/LoginStatus", Some("user"))],
            ..Alert::default()
        });
        let mut message = scene.message(vec![said(code::CLIENT_INITIATED), event, device()]);
        message.header.credentials = Some(right(AuthType::Digest));
        let received = scene.hear(message);
        assert_eq!((received.alerts.len(), received.events.len()), (0, 1));
        assert_eq!(received.events[0].value, Value::text("user"));
        assert_eq!(codes(&scene.say(vec![])), [212, 200, 200, 200]);
    }
}

#[test]
fn nothing_is_told_of_a_device_that_has_not_proven_who_it_is() {
    for mut scene in scenes() {
        let message = scene.message(vec![device(), generic(vec![typed(None, "org.example.a", Some("1"))])]);
        let received = scene.hear(message);
        assert_eq!((received.device.len(), received.alerts.len(), received.events.len()), (0, 0, 0));
        assert_eq!(codes(&scene.say(vec![])), [407, 407, 407]);
    }
}
