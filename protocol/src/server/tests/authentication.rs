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

/// S-AU-06
#[test]
fn a_device_that_proves_itself_by_macs_is_asked_for_one_in_every_message() {
    for mut scene in scenes() {
        scene.client_auth = AuthType::Hmac;
        let first = scene.first(None);
        assert_eq!(scene.hear(first).turn, refused(true, 0));
        let reply = scene.say(vec![]);
        assert_eq!(codes(&reply), [401, 401, 401]);
        let nonce = Some(BASE64_STANDARD.encode(NEXT));
        assert_eq!(header_challenge(&reply), Some(Challenge { kind: "syncml:auth-MAC".to_owned(), next_nonce: nonce }));

        (scene.expected, scene.signs) = (Some(NEXT), Some(("secret", NEXT)));
        let first = scene.first(None);
        let received = scene.hear(first);
        assert_eq!((received.turn, received.accepted_with, received.spent), (Turn::Offer, Some(AuthType::Hmac), Some(0)));
        let reply = scene.say(vec![get("./A")]);
        assert_eq!(codes(&reply), [200, 200, 200]);
        assert_eq!(header_challenge(&reply).unwrap().kind, "syncml:auth-MAC");

        // In the midst of the session neither none nor a wrong one will do.
        for (signs, missing) in [(None, true), (Some(("guess", NEXT)), false)] {
            let before = scene.session.clone();
            scene.signs = signs;
            let answer = scene.message(vec![header_status(2, 200), status(2, 4, 200)]);
            let received = scene.hear(answer);
            assert_eq!((received.turn, received.answers.len()), (refused(missing, 1), 0));
            let reply = scene.say(vec![]);
            assert_eq!(codes(&reply), [401]);
            assert_eq!(reply.message.header.respond_to, None, "the address is not told to anybody");
            scene.session = before;
        }
        scene.signs = Some(("secret", NEXT));
        let answer = scene.message(vec![header_status(2, 200), status(2, 4, 200)]);
        let received = scene.hear(answer);
        assert_eq!((received.turn, received.answers[0].status), (Turn::Offer, Some(StatusCode::OK)));
        assert_eq!(codes(&scene.say(vec![])), [200]);
    }
}

#[test]
fn neither_are_macs_taken_for_credentials_nor_credentials_for_macs() {
    for mut scene in scenes() {
        scene.client_auth = AuthType::Hmac;
        assert_eq!(scene.begin().turn, refused(false, 1));
    }
    for mut scene in scenes() {
        scene.signs = Some(("secret", NONCE));
        let first = scene.first(None);
        assert_eq!(scene.hear(first).turn, refused(true, 0));
        assert_eq!(codes(&scene.say(vec![]))[0], 407);
    }
}

/// S-AU-07
#[test]
fn a_device_that_has_lost_the_nonces_is_told_a_new_one_and_nobody_is_let_in_by_a_known_one() {
    for nonce in [&[0; 4][..], b"0x00000000", b""] {
        for mut scene in scenes() {
            for (secret, is_stale) in [("guess", false), ("secret", true)] {
                let first = scene.first(Some(shown(AuthType::Digest, secret, nonce)));
                let received = scene.hear(first);
                assert!(matches!(received.turn, Turn::Refused { missing: false, .. }));
                assert_eq!((received.stale, received.spent), (is_stale, None));
                let reply = scene.say(vec![]);
                assert_eq!(codes(&reply), [401, 401, 401], "whether the secret was right is not told");
                assert!(header_challenge(&reply).unwrap().next_nonce.is_some());
            }
            assert_eq!(scene.begin().turn, Turn::Offer);
        }
        for mut scene in scenes() {
            scene.client_auth = AuthType::Hmac;
            scene.signs = Some(("secret", nonce));
            let first = scene.first(None);
            assert!(scene.hear(first).stale);
            scene.say(vec![]);
            scene.signs = Some(("secret", NONCE));
            let first = scene.first(None);
            assert_eq!(scene.hear(first).turn, Turn::Offer);
        }
    }
}

/// S-AU-08
#[test]
fn a_device_with_a_certificate_needs_no_credentials_and_nobody_else_has_any() {
    for mut scene in scenes() {
        (scene.client_auth, scene.is_certified) = (AuthType::Transport, true);
        let first = scene.first(None);
        let received = scene.hear(first);
        assert_eq!((received.turn, received.accepted_with), (Turn::Offer, Some(AuthType::Transport)));
        let reply = scene.say(vec![get("./A")]);
        assert_eq!((codes(&reply), header_challenge(&reply)), (vec![212, 200, 200], None));
        // The address of the session alone is not enough.
        scene.is_certified = false;
        let answer = scene.message(vec![header_status(1, 212), status(1, 4, 200)]);
        let received = scene.hear(answer);
        assert_eq!((received.turn, received.answers.len()), (refused(true, 0), 0));
        let reply = scene.say(vec![]);
        assert_eq!(codes(&reply), [407]);
        assert_eq!(header_challenge(&reply).unwrap().kind, "syncml:auth-md5", "as to anybody who is not known");
    }
    for mut scene in scenes() {
        scene.client_auth = AuthType::Transport;
        for tries in 1..=3 {
            let first = scene.first(Some(shown(AuthType::Digest, "secret", NONCE)));
            assert_eq!(scene.hear(first).turn, refused(false, tries));
            assert_eq!(codes(&scene.say(vec![])), [401, 401, 401]);
        }
    }
}

#[test]
fn an_account_may_ask_for_credentials_in_every_message() {
    for auth in [AuthType::Basic, AuthType::Digest] {
        for mut scene in scenes() {
            (scene.client_auth, scene.every_message) = (auth, true);
            scene.begin();
            let reply = scene.say(vec![get("./A")]);
            assert_eq!((codes(&reply)[0], header_challenge(&reply).is_some()), (200, auth == AuthType::Digest));
            let mut answer = scene.message(vec![header_status(1, 212), status(1, 4, 200)]);
            let kept = scene.session.clone();
            assert_eq!(scene.hear(answer.clone()).turn, refused(true, 0));
            assert_eq!(codes(&scene.say(vec![])), [407]);
            scene.session = kept;
            answer.header.credentials = Some(right(auth));
            assert_eq!(scene.hear(answer).turn, Turn::Offer);
            assert_eq!(codes(&scene.say(vec![])), [200]);
        }
    }
}
