//! The server proves who it is, or not.
use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::*;
use crate::server::Turn;

fn proof(reply: &Reply) -> Option<&str> {
    reply.message.header.credentials.as_ref().map(|credentials| credentials.data.as_str())
}

#[test]
fn the_server_shows_its_credentials_until_the_device_accepts_them_for_the_session() {
    for mut scene in scenes() {
        scene.begin();
        let reply = scene.say(vec![get("./A")]);
        assert_eq!(proof(&reply), Some(server_digest(SERVER_NONCE).as_str()));
        assert_eq!(reply.message.header.source.name.as_deref(), Some("server"));
        let nonce = BASE64_STANDARD.encode(b"per message");
        let message = scene.message(vec![challenging(1, 200, "syncml:auth-md5", &nonce), status(1, 4, 200)]);
        assert_eq!(scene.hear(message).server_nonce.as_deref(), Some(b"per message".as_slice()));
        let reply = scene.say(vec![get("./A")]);
        assert_eq!(proof(&reply), Some(server_digest(b"per message").as_str()));
        let nonce = BASE64_STANDARD.encode(b"next session");
        let message = scene.message(vec![challenging(2, 212, "syncml:auth-md5", &nonce), status(2, 2, 200)]);
        assert_eq!(scene.hear(message).server_nonce.as_deref(), Some(b"next session".as_slice()));
        let reply = scene.say(vec![get("./A")]);
        assert_eq!(proof(&reply), None);
        let message = scene.message(vec![header_status(3, 200), status(3, 2, 200)]);
        let received = scene.hear(message);
        assert_eq!((received.turn, received.server_nonce), (Turn::Offer, None));
        assert_eq!(proof(&scene.say(vec![])), None, "200 does not take 212 back");
    }
}

#[test]
fn a_refused_batch_is_sent_once_more_with_the_nonce_of_the_challenge() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![get("./A"), set("./B", "1")]);
        let nonce = BASE64_STANDARD.encode(b"challenge");
        let message = scene.message(vec![challenging(1, 401, "syncml:auth-md5", &nonce), status(1, 4, 401), status(1, 5, 401)]);
        let received = scene.hear(message);
        assert_eq!((received.turn, received.answers.len()), (Turn::Continue, 0));
        let reply = scene.say(vec![]);
        assert_eq!(proof(&reply), Some(server_digest(b"challenge").as_str()));
        assert_eq!(sent(&reply), [(2, "Get", "./A".to_owned()), (3, "Replace", "./B".to_owned())]);
        let message = scene.message(vec![header_status(2, 212), status(2, 2, 200), status(2, 3, 425)]);
        let received = scene.hear(message);
        let codes: Vec<_> = received.answers.iter().map(|answer| answer.status).collect();
        assert_eq!((received.turn, codes), (Turn::Offer, vec![Some(StatusCode::OK), Some(StatusCode::PERMISSION_DENIED)]));
    }
}

#[test]
fn a_device_that_refuses_the_server_twice_is_left_alone() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![set("./B", "1"), exec("./C")]);
        let refusal = |message| challenging(message, 401, "syncml:auth-md5", "AAAA");
        let message = scene.message(vec![refusal(1), status(1, 4, 401)]);
        let received = scene.hear(message);
        assert_eq!((received.turn, received.rejected), (Turn::Continue, false));
        assert_eq!(sent(&scene.say(vec![])).len(), 1);
        let message = scene.message(vec![refusal(2), status(2, 2, 401)]);
        let received = scene.hear(message);
        assert_eq!((received.turn, received.rejected), (Turn::Aborted, true));
        let codes: Vec<_> = received.answers.iter().map(|answer| answer.status).collect();
        assert_eq!(codes, [Some(StatusCode::INVALID_CREDENTIALS), Some(StatusCode::NOT_EXECUTED)]);
        let reply = scene.say(vec![]);
        assert_eq!((alerts(&reply), reply.ended, reply.message.last), (vec![code::ABORT], true, true));
    }
}

/// libdmclient answers 0 throughout as long as the server is unknown to it.
#[test]
fn status_0_means_that_credentials_are_missing() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![exec("./C")]);
        let message = scene.message(vec![status(1, 4, 0)]);
        assert_eq!(scene.hear(message).turn, Turn::Continue);
        assert_eq!(sent(&scene.say(vec![])), [(2, "Exec", "./C".to_owned())], "the device says itself that it did not start");
    }
}

#[test]
fn an_exec_without_status_is_not_repeated_by_a_challenge() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![exec("./C")]);
        let message = scene.message(vec![challenging(1, 401, "syncml:auth-md5", "AAAA")]);
        let received = scene.hear(message);
        assert_eq!((received.turn, received.answers[0].status), (Turn::Offer, None));
    }
}

#[test]
fn a_401_to_a_command_is_its_answer_when_the_header_was_accepted() {
    for mut scene in scenes() {
        scene.begin();
        scene.say(vec![get("./A")]);
        let message = scene.message(vec![header_status(1, 212), status(1, 4, 401)]);
        let received = scene.hear(message);
        assert_eq!(received.turn, Turn::Offer);
        assert_eq!(received.answers[0].status, Some(StatusCode::INVALID_CREDENTIALS));
    }
}

#[test]
fn a_password_goes_in_the_clear_only_to_a_device_that_has_proven_who_it_is() {
    for mut scene in scenes() {
        scene.server_auth = Some(AuthType::Basic);
        let first = scene.first(None);
        scene.hear(first);
        assert_eq!(proof(&scene.say(vec![])), None);
        scene.begin();
        assert_eq!(proof(&scene.say(vec![])), Some(credentials::basic("server", "hidden").as_str()));
    }
    for mut scene in scenes() {
        let first = scene.first(None);
        scene.hear(first);
        assert!(proof(&scene.say(vec![])).is_some(), "a digest goes to all");
        let mut fishing = scene.message(vec![challenging(1, 407, "syncml:auth-basic", "")]);
        fishing.header.credentials = None;
        scene.hear(fishing);
        assert_eq!(proof(&scene.say(vec![])), None);
    }
}

#[test]
fn a_nonce_is_told_only_by_a_device_that_has_proven_who_it_is_but_used_at_once() {
    for mut scene in scenes() {
        let first = scene.first(None);
        scene.hear(first);
        scene.say(vec![]);
        let nonce = BASE64_STANDARD.encode(b"fresh");
        let mut message =
            scene.message(vec![challenging(1, 401, "syncml:auth-md5", &nonce), said(code::CLIENT_INITIATED), device()]);
        let received = scene.hear(message.clone());
        assert_eq!(received.server_nonce, None);
        assert_eq!(proof(&scene.say(vec![])), Some(server_digest(b"fresh").as_str()));
        scene.number += 1;
        message.header.message = scene.number;
        message.header.credentials = Some(right(AuthType::Digest));
        let received = scene.hear(message);
        assert_eq!((received.turn, received.server_nonce.as_deref()), (Turn::Offer, Some(b"fresh".as_slice())));
    }
}

#[test]
fn a_device_that_asks_for_what_the_server_has_not_is_left_alone() {
    for (server_auth, kind) in [(None, "syncml:auth-md5"), (Some(AuthType::Digest), "syncml:auth-sha")] {
        for mut scene in scenes() {
            scene.server_auth = server_auth;
            scene.begin();
            assert_eq!(proof(&scene.say(vec![get("./A")])).is_some(), server_auth.is_some());
            let message = scene.message(vec![challenging(1, 407, kind, "AAAA"), status(1, 4, 407)]);
            let received = scene.hear(message);
            assert_eq!((received.turn, received.rejected), (Turn::Aborted, true));
            assert_eq!(received.answers[0].status, Some(StatusCode::MISSING_CREDENTIALS));
        }
    }
}

/// S-AU-06
#[test]
fn a_device_that_wants_macs_gets_one_over_every_reply_until_its_end() {
    for (server_auth, is_asked) in [(AuthType::Hmac, false), (AuthType::Digest, true)] {
        for mut scene in scenes() {
            scene.server_auth = Some(server_auth);
            let is_over = |reply: &Reply, nonce: &[u8]| {
                let expected = Mac::of("server", &credentials::account_hash("server", "hidden"), nonce, &reply.bytes);
                reply.mac.as_ref() == Some(&expected) && proof(reply).is_none()
            };
            scene.begin();
            let reply = scene.say(vec![get("./A")]);
            assert_eq!(is_over(&reply, SERVER_NONCE), !is_asked);
            let message = scene.message(vec![challenging(1, 401, "syncml:auth-MAC", "bm9uY2U="), status(1, 4, 401)]);
            let received = scene.hear(message);
            assert_eq!((received.turn, received.server_nonce.as_deref()), (Turn::Continue, Some(b"nonce".as_slice())));
            let reply = scene.say(vec![]);
            assert!(is_over(&reply, b"nonce") && !sent(&reply).is_empty(), "what was refused is sent again");
            // Accepted for this message, and another nonce for the next.
            let message = scene.message(vec![challenging(2, 200, "syncml:auth-MAC", "bmV4dA=="), status(2, 2, 200)]);
            let received = scene.hear(message);
            assert_eq!((received.turn, received.server_nonce.as_deref()), (Turn::Offer, Some(b"next".as_slice())));
            let reply = scene.say(vec![]);
            assert!(reply.ended && is_over(&reply, b"next"));
        }
    }
}

#[test]
fn no_code_at_all_is_no_refusal_where_the_server_has_nothing_to_show() {
    for (code, expected) in [(0, Turn::Offer), (401, Turn::Aborted)] {
        for mut scene in scenes() {
            scene.server_auth = None;
            scene.begin();
            scene.say(vec![get("./A")]);
            let message = scene.message(vec![header_status(1, code), status(1, 4, 200), results(1, 4, vec![leaf("./A", "a")])]);
            assert_eq!(scene.hear(message).turn, expected);
        }
    }
}
