//! The device proves who it is, or not.
use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_objects::dmacc::AuthType;

use super::*;
use crate::server::Turn;

fn refused(missing: bool, tries: u32) -> Turn {
    Turn::Refused { missing, tries }
}

/// AD-12
#[test]
fn a_device_without_credentials_is_challenged_on_every_command_and_then_accepted_in_the_same_session() {
    for mut scene in scenes() {
        let first = scene.first(None);
        let received = scene.hear(first);
        assert_eq!(received.turn, refused(true, 0));
        assert_eq!(received.device.len(), 0, "nothing is believed");
        let reply = scene.say(vec![]);
        let expected = [("0", "SyncHdr", 407), ("1", "Alert", 407), ("2", "Replace", 407)];
        assert_eq!(statuses(&reply), expected.map(|(id, name, code)| (id.to_owned(), name.to_owned(), code)));
        assert_eq!(
            header_challenge(&reply),
            Some(Challenge { kind: "syncml:auth-md5".to_owned(), next_nonce: Some(BASE64_STANDARD.encode(NEXT)) })
        );
        assert!(reply.message.last && !reply.ended && sent(&reply).is_empty());

        scene.expected = Some(NEXT);
        let again = scene.first(Some(shown(AuthType::Digest, "secret", NEXT)));
        let received = scene.hear(again);
        assert_eq!(received.turn, Turn::Offer);
        assert_eq!((received.accepted_with, received.spent), (Some(AuthType::Digest), Some(0)));
        assert_eq!(received.device.len(), 3);
        let reply = scene.say(vec![get("./DevDetail/FwV")]);
        assert_eq!(codes(&reply), [212, 200, 200]);
        assert!(header_challenge(&reply).unwrap().next_nonce.is_some());
        assert_eq!(sent(&reply), [(4, "Get", "./DevDetail/FwV".to_owned())]);
        assert_eq!(reply.message.header.message, 2);
    }
}

#[test]
fn a_device_may_come_again_under_the_same_number_after_a_challenge_and_only_then() {
    for mut scene in scenes() {
        let first = scene.first(None);
        scene.hear(first);
        scene.say(vec![]);
        scene.number = 0;
        assert_eq!(scene.begin().turn, Turn::Offer);
        scene.say(vec![get("./A")]);
        scene.number = 0;
        let again = scene.first(Some(right(AuthType::Digest)));
        assert!(!scene.session.as_ref().unwrap().continues(&again));
        assert_eq!(scene.try_hear(&again), Err(Fault::Stale { last: 1, got: 1 }));
    }
}

#[test]
fn basic_is_accepted_only_where_it_was_agreed_and_needs_no_nonce() {
    for mut scene in scenes() {
        scene.client_auth = AuthType::Basic;
        scene.expected = None;
        assert_eq!(scene.begin().turn, Turn::Offer);
        let reply = scene.say(vec![]);
        assert_eq!((codes(&reply)[0], header_challenge(&reply)), (212, None));
    }
    for mut scene in scenes() {
        let first = scene.first(Some(right(AuthType::Basic)));
        assert_eq!(scene.hear(first).turn, refused(false, 1));
        assert_eq!(header_challenge(&scene.say(vec![])).unwrap().kind, "syncml:auth-md5");
    }
    for mut scene in scenes() {
        scene.client_auth = AuthType::Basic;
        let first = scene.first(Some(right(AuthType::Digest)));
        assert_eq!(scene.hear(first).turn, refused(false, 1));
        let challenge = header_challenge(&scene.say(vec![])).unwrap();
        assert_eq!(challenge, Challenge { kind: "syncml:auth-basic".to_owned(), next_nonce: None });
    }
}

#[test]
fn a_device_that_fails_too_often_is_refused_for_good() {
    for mut scene in scenes() {
        for tries in 1..=3 {
            let wrong = scene.first(Some(shown(AuthType::Digest, "guess", NONCE)));
            assert_eq!(scene.hear(wrong).turn, refused(false, tries));
            let reply = scene.say(vec![]);
            assert_eq!(codes(&reply), [401, 401, 401]);
            assert_eq!((header_challenge(&reply).is_some(), reply.ended), (tries < 3, tries == 3));
        }
        let received = scene.begin();
        assert_eq!((received.turn, received.accepted_with), (Turn::Closed, None), "even the right ones come too late");
        let reply = scene.say(vec![]);
        assert_eq!((codes(&reply), reply.ended), (vec![401, 401, 401], true));
    }
}

#[test]
fn a_device_that_never_shows_credentials_is_not_asked_for_ever() {
    for mut scene in scenes() {
        for tries in 0..=3 {
            let first = scene.first(None);
            assert_eq!(scene.hear(first).turn, refused(true, tries));
            assert_eq!(scene.say(vec![]).ended, tries == 3);
        }
    }
}

#[test]
fn no_digest_is_accepted_where_the_nonce_is_not_known() {
    for mut scene in scenes() {
        scene.expected = None;
        assert_eq!(scene.begin().turn, refused(false, 1));
        assert!(header_challenge(&scene.say(vec![])).is_some());
    }
}

#[test]
fn a_client_that_does_not_decode_the_nonce_or_pad_its_digest_is_understood() {
    for mut scene in scenes() {
        let mut undecoded = shown(AuthType::Digest, "secret", BASE64_STANDARD.encode(NONCE).as_bytes());
        undecoded.data = undecoded.data.trim_end_matches('=').to_owned();
        undecoded.kind = "SyncML:Auth-MD5".to_owned();
        let first = scene.first(Some(undecoded));
        assert_eq!(scene.hear(first).turn, Turn::Offer);
    }
}

#[test]
fn later_credentials_need_not_be_there_but_must_be_right() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![get("./A")]);
        let mut wrong = scene.message(vec![header_status(1, 212), status(1, 4, 200), said(code::GENERIC)]);
        wrong.header.credentials = Some(shown(AuthType::Digest, "guess", NONCE));
        let received = scene.hear(wrong);
        assert_eq!((received.turn, received.answers.len()), (refused(false, 1), 0));
        let reply = scene.say(vec![]);
        assert_eq!(codes(&reply), [401, 401], "a Status gets none");
        let mut right = scene.message(vec![header_status(2, 212), status(1, 4, 200)]);
        right.header.credentials = Some(super::right(AuthType::Digest));
        let received = scene.hear(right);
        assert_eq!(received.turn, Turn::Offer);
        assert_eq!(received.answers[0].status, Some(StatusCode::OK), "the batch waited");
    }
}

#[test]
fn an_account_that_demands_a_mac_is_ours_to_mend() {
    for mut scene in scenes() {
        scene.client_auth = AuthType::Hmac;
        let first = scene.first(None);
        assert_eq!(scene.try_hear(&first), Err(Fault::MacAccount));
    }
}
