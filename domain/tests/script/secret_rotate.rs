//! A secret that is offered, lost, refused and used.
use dmwsi_domain::account::Secret;
use dmwsi_domain::operation::{NewSecret, NodeOutcome, Request};
use dmwsi_domain::rotation::SecretNews;
use dmwsi_objects::{Answer, Command, StatusCode};

use super::device::{Script, node};

const ACCOUNTS: &[(&str, &str)] = &[
    ("./DMAcc/1/ServerID", "other"),
    ("./DMAcc/1/AppAuth/A/AAuthLevel", "CLCRED"),
    ("./DMAcc/2/ServerID", "dm"),
    ("./DMAcc/2/AppAuth/A/AAuthLevel", "SRVCRED"),
    ("./DMAcc/2/AppAuth/A/AAuthSecret", ""),
    ("./DMAcc/2/AppAuth/B/AAuthLevel", "clcred"),
    ("./DMAcc/2/AppAuth/B/AAuthSecret", ""),
];

const ROTATE: &str = r#"{"type":"SECRET_ROTATE"}"#;
const OWN: &str = "./DMAcc/2/AppAuth/B/AAuthSecret";

fn new(secret: &str, present: &str) -> NewSecret {
    let mark = format!("mark of {}", secret.len());
    NewSecret { server_id: "dm".to_owned(), secret: Secret::parse(secret), mark, present: present.to_owned(), may_be_told: true }
}

/// A session in which that secret is handed in, until it is offered; its offer.
fn offered(script: &mut Script, handed: &NewSecret) -> Option<Command> {
    script.handed = Some(handed.clone());
    let mut moved = script.turn();
    loop {
        match moved.commands.first() {
            None => return None,
            Some(Command::Replace { .. }) => return moved.commands.pop(),
            Some(_) => {
                let answers: Vec<_> = moved.commands.iter().map(|command| script.answer(command)).collect();
                moved = script.answered(&answers);
            }
        }
    }
}

fn news(script: &Script) -> SecretNews {
    script.execution.operation.secret_news()
}

#[test]
fn the_own_credentials_are_found_wherever_the_account_stands() {
    let old: Vec<_> = ACCOUNTS.iter().map(|(node, text)| (node.replace("./DMAcc", "./SyncML/DMAcc"), *text)).collect();
    let old: Vec<_> = old.iter().map(|(node, text)| (node.as_str(), *text)).collect();
    for (tree, place) in [(ACCOUNTS, OWN), (&old, "./SyncML/DMAcc/2/AppAuth/B/AAuthSecret")] {
        let mut script = Script::of(ROTATE, tree);
        let offer = offered(&mut script, &new("swordfish", "")).unwrap();
        assert!(matches!(&offer, Command::Replace { target, value } if *target == node(place) && value.data == "swordfish"));
        assert_eq!(news(&script), SecretNews { taken: None, is_offered: true });
        let done = script.answered(&[Answer::with(offer, StatusCode::OK)]);
        assert_eq!((script.end(), news(&script).taken), (("SUCCEEDED", "ROTATED"), Some(true)));
        assert_eq!((done.results[0].outcome, done.results[0].value.as_ref()), (NodeOutcome::Done, None));
        let stored = serde_json::to_string(&script.execution.operation).unwrap();
        let told = format!("{:?} {:?} {stored}", script.execution, done);
        assert!(!told.contains("swordfish") && !script.facts().is_empty(), "{told}");
    }
    let mut named = Script::of(r#"{"type":"SECRET_ROTATE","account":"./DMAcc/2"}"#, ACCOUNTS);
    assert_eq!(offered(&mut named, &new("swordfish", "")).unwrap().target(), Some(&node(OWN)));
    assert_eq!(named.sent.len(), 3 + 1, "it is not looked for: {:?}", named.sent);
}

#[test]
fn an_account_that_is_not_there_is_told_of() {
    let cases = [
        (&ACCOUNTS[..0], "no account"),
        (&ACCOUNTS[..2], "none of"),
        (&ACCOUNTS[2..3], "no credentials"),
        (&ACCOUNTS[2..5], "of the device"),
    ];
    for (tree, why) in cases {
        let mut script = Script::of(ROTATE, tree);
        assert_eq!(offered(&mut script, &new("swordfish", "")), None, "{why}");
        assert_eq!(script.end(), ("FAILED", "ACCOUNT_NOT_FOUND"));
        assert!(script.execution.detail.as_ref().unwrap().contains(why), "{:?}", script.execution.detail);
    }
    let property: Request = serde_json::from_str(r#"{"type":"SECRET_ROTATE","account":"./DMAcc/2?prop=ACL"}"#).unwrap();
    assert!(property.check().is_err());
    assert!(serde_json::from_str::<Request>(r#"{"type":"SECRET_ROTATE","secret":"mine"}"#).is_err(), "nobody brings a secret");
}

#[test]
fn a_device_with_a_certificate_has_no_secret() {
    let mut script = Script::of(ROTATE, ACCOUNTS);
    assert_eq!(offered(&mut script, &NewSecret { secret: None, ..new("", "") }), None);
    assert_eq!((script.end(), script.sent.len()), (("REFUSED", "NO_SECRET"), 0));
}

#[test]
fn what_was_not_heard_of_is_offered_again_until_the_device_uses_it() {
    let mut script = Script::of(ROTATE, ACCOUNTS);
    let handed = new("swordfish", "");
    for _ in 0..3 {
        let offer = offered(&mut script, &handed).unwrap();
        script.answered(&[Answer::unheard(offer)]);
        assert_eq!((script.phase(), news(&script)), (("WAITING", "CHANGING"), SecretNews::NONE));
    }
    assert_eq!(offered(&mut script, &new("another", &handed.mark)), None);
    assert_eq!(script.end(), ("SUCCEEDED", "ROTATED"));

    // Without anybody to hand in a secret nothing is said, and nothing is lost.
    let mut script = Script::of(ROTATE, ACCOUNTS);
    assert!(script.turn().commands.is_empty());
    assert_eq!(script.phase(), ("WAITING", "LOCATING"));
    assert!(offered(&mut script, &handed).is_some());
}

#[test]
fn a_busy_device_is_asked_again_and_one_that_refuses_is_not() {
    let mut script = Script::of(ROTATE, ACCOUNTS);
    let offer = offered(&mut script, &new("swordfish", "")).unwrap();
    script.answered(&[Answer::with(offer, StatusCode(503))]);
    assert_eq!((script.phase(), news(&script).taken), (("WAITING", "CHANGING"), Some(false)));
    let offer = offered(&mut script, &new("another one", "")).unwrap();
    script.answered(&[Answer::with(offer, StatusCode(425))]);
    assert_eq!((script.end(), news(&script).taken), (("FAILED", "NOT_ROTATED"), Some(false)));
    assert_eq!(script.execution.detail.as_deref(), Some("it did not succeed: PERMISSION_DENIED"));

    // The account was given other credentials between offer and answer.
    let mut script = Script::of(ROTATE, ACCOUNTS);
    let offer = offered(&mut script, &new("swordfish", "")).unwrap();
    script.handed = Some(new("another one", "mark of somebody's"));
    script.answered(&[Answer::with(offer, StatusCode::OK)]);
    assert_eq!(script.end(), ("FAILED", "CREDENTIALS_CHANGED"));
}

#[test]
fn a_fault_leaves_open_whether_the_device_has_it() {
    for status in [203, 408, 500, 516] {
        let mut script = Script::of(ROTATE, ACCOUNTS);
        let offer = offered(&mut script, &new("swordfish", "")).unwrap();
        script.answered(&[Answer::with(offer, StatusCode(status))]);
        assert_eq!((script.end().0, news(&script).taken), ("FAILED", None), "{status}");
    }
}

#[test]
fn who_proved_himself_by_a_secret_that_is_over_is_told_none() {
    let mut script = Script::of(ROTATE, ACCOUNTS);
    assert_eq!(offered(&mut script, &NewSecret { may_be_told: false, ..new("swordfish", "") }), None);
    assert_eq!(script.phase(), ("WAITING", "CHANGING"));
    assert!(offered(&mut script, &new("swordfish", "")).is_some());
}
