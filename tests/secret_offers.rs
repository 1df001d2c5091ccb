//! Secrets that are offered to a device that is spoken for by hand: when it may use which.
use dmwsi_domain::Clock;
use dmwsi_domain::account::Sealed;
use dmwsi_domain::id::DeviceId;
use dmwsi_domain::rotation::RotationState;
use dmwsi_protocol::encoding::Encoding;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::handset::SCOPES;
use crate::harness::phone::{FINAL, basic_cred, results, status};
use crate::harness::server::Portal;
use crate::harness::statements::{assert_indexed, open, plan, sent};
use crate::harness::talk::{ENCODINGS, Ground, Heard, Talk};
use crate::secret_rotation::{SECRET, pending, stands_in};

/// Another secret for the device that says where its account is.
fn rotate_own() -> Value {
    json!({"type": "SECRET_ROTATE", "account": "./DMAcc/1"})
}

/// Says the next thing with what the device proves itself by, if it does so in each message.
async fn say(talk: &mut Talk, cred: Option<&str>, body: &str) -> Heard {
    match cred {
        Some(cred) => {
            talk.number += 1;
            talk.say_with(cred, body).await
        }
        None => talk.say(body).await,
    }
}

/// A session in which the device is asked for its account and tells it; the message with the offer.
async fn offer(talk: &mut Talk, cred: Option<&str>) -> Heard {
    let mut heard = talk.opens("").await;
    for (question, text) in [("./DMAcc/1/AppAuth", "C"), ("./DMAcc/1/AppAuth/C/AAuthLevel", "CLCRED")] {
        if heard.commands().first().is_some_and(|(name, ..)| *name == "Replace") {
            return heard;
        }
        let (message, (name, id, target)) = (heard.message.header.message, heard.commands()[0]);
        assert_eq!((name, target), ("Get", question), "{heard:?}");
        let id = id.parse().unwrap();
        let answer = format!("{}{}", status(2, message, id, "Get", 200), results(3, message, id, question, text));
        let header = heard.header();
        heard = say(talk, cred, &format!("{header}{answer}{FINAL}")).await;
    }
    assert_eq!(heard.commands().iter().map(|(name, _, node)| (*name, *node)).collect::<Vec<_>>(), [("Replace", SECRET)]);
    heard
}

async fn answer(talk: &mut Talk, heard: &Heard, code: u16) {
    let answers = heard.answers(&[code]);
    talk.say(&format!("{answers}{FINAL}")).await;
}

/// Changes the device by a merge patch.
async fn patch(portal: &Portal, id: &str, patch: Value) {
    let headers = [("content-type", "application/merge-patch+json"), ("if-match", "*")];
    portal.call(Method::PATCH, &format!("/v1/devices/{id}"), &headers, Some(&patch)).await.of(200);
}

both! {
    /// S-AU-07: what nobody was heard to take is offered again, the very same; a device that then refuses it may have it from before, and may come with either.
    async fn one_secret_is_offered_until_the_device_has_been_heard(database: Database) {
        let ground = Ground::with(&database, |config| config.gateway.max_failed_tries = 1).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let job = talk.job(&rotate_own()).await;
            let first = offer(&mut talk, None).await;
            assert!(!stands_in(&database, &first.data()), "the row of the session is sealed");
            assert_eq!(talk.repeat().await.body, first.body, "and answers a repeated message all the same");
            let again = offer(&mut talk, None).await;
            assert_eq!((again.data(), pending(&database)), (first.data(), vec!["DOUBTFUL".to_owned()]));
            answer(&mut talk, &again, 425).await;
            assert_eq!((talk.ended(&job).await["outcome"].clone(), talk.outcomes(&job).await), (json!("NOT_ROTATED"), vec!["PERMISSION_DENIED".to_owned()]));
            assert_eq!(talk.opens("").await.verdict(), 212, "by the old one");
            talk.credentials = basic_cred("me", &first.data());
            assert_eq!(talk.opens("").await.verdict(), 212, "by the new one");
            assert!(pending(&database).is_empty());
            talk.credentials = basic_cred("me", "mine");
            assert_eq!(talk.opens("").await.verdict(), 401, "and then by no other");
        }
        ground.server.stop().await;
    }

    /// S-AU-07: a device that proves itself in every message, and does so by the new secret from the very next one on, is heard.
    async fn a_device_may_use_its_secret_at_once(database: Database) {
        let ground = Ground::with(&database, |config| config.gateway.max_failed_tries = 1).await;
        for encoding in ENCODINGS {
            let account = json!({"client": {"auth": "BASIC", "name": "me", "secret": "mine"}, "everyMessage": true});
            let mut talk = ground.talk_with(encoding, account).await;
            let job = talk.job(&rotate_own()).await;
            let heard = offer(&mut talk, Some(&basic_cred("me", "mine"))).await;
            let answers = heard.answers(&[200]);
            let over = say(&mut talk, Some(&basic_cred("me", &heard.data())), &format!("{answers}{FINAL}")).await;
            assert_eq!((over.verdict(), over.asks()), (200, false));
            assert_eq!((talk.ended(&job).await["outcome"].clone(), pending(&database)), (json!("ROTATED"), Vec::new()));
            assert_eq!(talk.opens("").await.verdict(), 401, "by the old one");
        }
        ground.server.stop().await;
    }

    /// S-AU-07, AD-6: whoever gives the account other credentials ends what was offered before; a bootstrap document holds what the device last said it has.
    async fn an_operator_overrules_what_was_offered(database: Database) {
        let ground = Ground::on(&database).await;
        let portal = ground.server.portal("acme", &format!("{SCOPES} devices:bootstrap")).await;
        let mut talk = ground.talk(Encoding::Xml).await;
        let id = talk.id.clone();
        let told = async || portal.post(&format!("/v1/devices/{id}/bootstrap"), &json!({"profile": "CP"})).await.of(200)["xml"].to_string();
        let job = talk.job(&rotate_own()).await;
        let heard = offer(&mut talk, None).await;
        assert!(told().await.contains("\\\"mine\\\""), "it has not said that it took it");
        answer(&mut talk, &heard, 200).await;
        assert_eq!((talk.ended(&job).await["outcome"].clone(), pending(&database)), (json!("ROTATED"), vec!["TAKEN".to_owned()]));
        assert!(told().await.contains(&heard.data()));
        // Nothing else of the device counts.
        patch(&portal, &id, json!({"tags": ["pilot"]})).await;
        assert_eq!(pending(&database), ["TAKEN"]);
        patch(&portal, &id, json!({"account": {"client": {"secret": "theirs"}}})).await;
        assert!(pending(&database).is_empty());
        for (secret, verdict) in [(heard.data().as_str(), 401), ("mine", 401), ("theirs", 212)] {
            talk.credentials = basic_cred("me", secret);
            assert_eq!(talk.opens("").await.verdict(), verdict, "{secret}");
        }
        // The same between an offer and its answer.
        let job = talk.job(&rotate_own()).await;
        let heard = offer(&mut talk, None).await;
        patch(&portal, &id, json!({"account": {"client": {"secret": "mine"}}})).await;
        answer(&mut talk, &heard, 200).await;
        assert_eq!(talk.ended(&job).await["outcome"], "CREDENTIALS_CHANGED");
        assert!(pending(&database).is_empty());
        // With the device goes what it was offered.
        talk.credentials = basic_cred("me", "mine");
        talk.job(&rotate_own()).await;
        offer(&mut talk, None).await;
        assert_eq!(pending(&database), ["OFFERED"]);
        portal.call(Method::DELETE, &format!("/v1/devices/{id}"), &[("if-match", "*")], None).await;
        assert!(pending(&database).is_empty());
        ground.server.stop().await;
    }

    /// S-AU-07, AD-6: what a device may have lets it in, also under another name; who proved himself by a secret that is over is told no other.
    async fn what_a_device_may_have_lets_it_in_and_nobody_else(database: Database) {
        let ground = Ground::on(&database).await;
        let mut talk = ground.talk(Encoding::Xml).await;
        let id = talk.id.clone();
        let job = talk.job(&rotate_own()).await;
        let heard = offer(&mut talk, None).await;
        answer(&mut talk, &heard, 500).await;
        assert_eq!((talk.ended(&job).await["outcome"].clone(), pending(&database)), (json!("NOT_ROTATED"), vec!["OFFERED".to_owned()]));
        patch(&ground.portal, &id, json!({"account": {"client": {"name": "you"}}})).await;
        for secret in ["mine", &heard.data()] {
            talk.credentials = basic_cred("you", secret);
            assert_eq!(talk.opens("").await.verdict(), 212, "{secret}");
        }
        assert!(pending(&database).is_empty());
        talk.job(&rotate_own()).await;
        let mut heard = talk.opens("").await;
        patch(&ground.portal, &id, json!({"account": {"client": {"secret": "theirs"}}})).await;
        for text in ["C", "CLCRED"] {
            let (message, (name, id, target)) = (heard.message.header.message, heard.commands()[0]);
            assert_eq!(name, "Get", "{heard:?}");
            let id = id.parse().unwrap();
            let told = format!("{}{}{}", heard.header(), status(2, message, id, "Get", 200), results(3, message, id, target, text));
            heard = talk.say(&format!("{told}{FINAL}")).await;
        }
        assert!(!heard.asks() && pending(&database).is_empty(), "{heard:?}");
        talk.credentials = basic_cred("you", "theirs");
        offer(&mut talk, None).await;
        assert_eq!(pending(&database), ["OFFERED"]);
        ground.server.stop().await;
    }

    /// S-AU-07, AD-12: an idle check-in asks for no offered secret; where one is asked for, an index answers.
    async fn an_offered_secret_is_found_by_an_index(database: Database) {
        drop(database.store().await);
        let store = open(&database);
        let (device, now, ids) = (DeviceId::new(Clock::System.new_id()), Clock::System.now(), Clock::System.new_ids());
        let mut statements = sent(store.glance(|tx| tx.contact("a"))).await;
        assert!(statements.len() == 1 && !statements[0].contains("secret_rotations"), "{statements:?}");
        statements = sent(store.glance(move |tx| tx.rotation(device))).await;
        assert_eq!(statements.len(), 1, "{statements:?}");
        let secret = || Sealed(b"sealed".to_vec());
        let (was, is) = (Some(RotationState::Offered), Some(RotationState::Taken));
        for is in [is, None] {
            statements.extend(sent(store.write(move |tx| tx.save_rotation(device, &secret(), was, is, now))).await);
        }
        statements.extend(sent(store.write(move |tx| tx.adopt_secret(device, &secret(), now, &mut ids.clone()))).await);
        statements.extend(sent(store.write(move |tx| tx.drop_rotation(device))).await);
        for statement in &statements {
            assert_indexed(statement, &plan(&database, statement));
        }
    }
}
