//! Rows of the conformance list: who the device is, and who the server is.
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use crate::harness::phone::{FINAL, PACKAGE_1, basic, basic_cred, mac, md5, md5_cred, status};
use crate::harness::talk::{ENCODINGS, Ground, Heard};

fn account(client: &str, server: Option<&str>) -> Value {
    let mut account = json!({"client": {"auth": client, "name": "me", "secret": "mine"}});
    if let Some(auth) = server {
        account["server"] = json!({"auth": auth, "name": "you", "secret": "yours"});
    }
    account
}

/// The kind that a challenge wants.
fn wanted(heard: &Heard) -> Option<String> {
    heard.statuses().next().unwrap().challenge.as_ref().map(|challenge| challenge.kind.clone())
}

fn refused_by(heard: &Heard, code: u16) {
    assert_eq!(heard.codes(), [("SyncHdr", code), ("Alert", code), ("Replace", code)], "one code throughout");
    assert!(!heard.asks() && heard.message.last, "Statuses and the end of the package only");
}

fn package_1() -> String {
    format!("{PACKAGE_1}{FINAL}")
}

/// The device's Status for the header of the server's last message, with a challenge.
fn challenge(heard: &Heard, code: u16, nonce: &str) -> String {
    challenge_to("md5", heard, code, nonce)
}

/// The same to credentials of that kind; without a nonce where there is none.
fn challenge_to(kind: &str, heard: &Heard, code: u16, nonce: &str) -> String {
    let nonce = if nonce.is_empty() { String::new() } else { format!("<NextNonce xmlns=\"syncml:metinf\">{nonce}</NextNonce>") };
    format!(
        "<Status><CmdID>1</CmdID><MsgRef>{}</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Chal><Meta><Format xmlns=\"syncml:metinf\">b64</Format>\
        <Type xmlns=\"syncml:metinf\">syncml:auth-{kind}</Type>{nonce}</Meta></Chal><Data>{code}</Data></Status>",
        heard.message.header.message
    )
}

/// What the server shows in the header of its message.
fn proof(heard: &Heard) -> Option<(String, String)> {
    heard.message.header.credentials.clone().map(|credentials| (credentials.kind, credentials.data))
}

/// Its digest over that nonce.
fn digest(nonce: &str) -> Option<(String, String)> {
    Some(("syncml:auth-md5".to_owned(), md5("you", "yours", nonce)))
}

/// The device refuses the server by a code for the header, with a challenge, and for its one Get.
fn refusal(kind: &str, heard: &Heard, code: u16, nonce: &str) -> String {
    let get = status(2, heard.message.header.message, heard.commands()[0].1.parse().unwrap(), "Get", code.into());
    format!("{}{get}{FINAL}", challenge_to(kind, heard, code, nonce))
}

both! {
    /// S-AU-01: without credentials, 407 with a challenge for the header and 407 for every command, and nothing else.
    async fn without_credentials_everything_is_407(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            for (auth, kind) in [("BASIC", "syncml:auth-basic"), ("DIGEST", "syncml:auth-md5")] {
                let mut talk = ground.talk_with(encoding, account(auth, None)).await;
                talk.job(&json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]})).await;
                talk.credentials = String::new();
                let heard = talk.opens("").await;
                refused_by(&heard, 407);
                assert_eq!(wanted(&heard).as_deref(), Some(kind));
            }
        }
        ground.server.stop().await;
    }

    /// S-AU-02: a wrong digest gets 401 and another nonce, the right one 212 and the nonce for the next session; who fails again and again is told no more.
    async fn a_wrong_digest_gets_another_chance_and_not_for_ever(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk_with(encoding, account("DIGEST", None)).await;
            talk.credentials = md5_cred("me", "wrong", "AAAA");
            let refused = talk.opens("").await;
            refused_by(&refused, 401);
            talk.number += 1;
            let accepted = talk.say_with(&md5_cred("me", "mine", &refused.nonce()), &package_1()).await;
            assert_eq!(accepted.verdict(), 212);
            assert_ne!(accepted.nonce(), refused.nonce());
            talk.begin();
            let (mut nonce, mut tries) = (accepted.nonce(), 0);
            loop {
                (talk.number, tries) = (talk.number + 1, tries + 1);
                let heard = talk.say_with(&md5_cred("me", "wrong", &nonce), &package_1()).await;
                refused_by(&heard, 401);
                if wanted(&heard).is_none() {
                    break;
                }
                assert_ne!(heard.nonce(), nonce, "a nonce for each try");
                nonce = heard.nonce();
            }
            assert_eq!(tries, 3);
            talk.number += 1;
            let late = talk.say_with(&md5_cred("me", "mine", &nonce), &package_1()).await;
            assert_eq!((late.verdict(), wanted(&late)), (401, None), "the session is over");
        }
        ground.server.stop().await;
    }

    /// S-AU-03: credentials of another kind than the account's get 401 and a challenge to the right kind.
    async fn credentials_of_another_kind_are_challenged_to_the_right_one(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            for (auth, shown, kind) in
                [("DIGEST", basic_cred("me", "mine"), "syncml:auth-md5"), ("BASIC", md5_cred("me", "mine", "AAAA"), "syncml:auth-basic")]
            {
                let mut talk = ground.talk_with(encoding, account(auth, None)).await;
                talk.credentials = shown.clone();
                let heard = talk.opens("").await;
                refused_by(&heard, 401);
                assert_eq!(wanted(&heard).as_deref(), Some(kind));
                let strange = shown.replace("auth-basic", "auth-x509").replace("auth-md5", "auth-x509");
                talk.begin();
                talk.number += 1;
                refused_by(&talk.say_with(&strange, &package_1()).await, 401);
            }
        }
        ground.server.stop().await;
    }

    /// S-AU-04: the nonce of one session opens the next; where its reply was lost, one challenge more does.
    async fn the_nonce_of_one_session_opens_the_next(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk_with(encoding, account("DIGEST", None)).await;
            talk.credentials = String::new();
            let challenged = talk.opens("").await.nonce();
            talk.number += 1;
            let mut heard = talk.say_with(&md5_cred("me", "mine", &challenged), &package_1()).await;
            for _ in 0..3 {
                assert_eq!(heard.codes(), [("SyncHdr", 212), ("Alert", 200), ("Replace", 200)]);
                talk.credentials = md5_cred("me", "mine", &heard.nonce());
                heard = talk.opens("").await;
            }
            // This reply the device never heard.
            talk.credentials = md5_cred("me", "mine", &heard.nonce());
            assert_eq!(talk.opens("").await.verdict(), 212);
            let stale = talk.opens("").await;
            refused_by(&stale, 401);
            talk.number += 1;
            assert_eq!(talk.say_with(&md5_cred("me", "mine", &stale.nonce()), &package_1()).await.verdict(), 212);
        }
        ground.server.stop().await;
    }

    /// S-AU-07: a device that has lost the nonces takes the zero nonce when it is woken, as octets or as text: it is told a new one, is told nothing
    /// before, and the server follows the nonce that it wants in turn. One that forgets to decode its nonce is let in.
    async fn a_woken_device_with_a_zero_nonce_is_told_a_new_one(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            for zero in ["AAAAAA==", "MHgwMDAwMDAwMA=="] {
                let mut talk = ground.talk_with(encoding, account("DIGEST", Some("DIGEST"))).await;
                let woken = package_1().replace("1201", "1200");
                // Both sides have nonces by then.
                talk.credentials = String::new();
                let challenged = talk.opens("").await;
                talk.number += 1;
                let given = challenge(&challenged, 200, "b2xk");
                let accepted = talk.say_with(&md5_cred("me", "mine", &challenged.nonce()), &format!("{given}{}", package_1())).await;
                assert_eq!((accepted.verdict(), proof(&accepted)), (212, digest("b2xk")));
                let job = talk.job(&json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]})).await;
                for own in [zero, "bm9uY2Utb25lLTEyMzQ1"] {
                    talk.begin();
                    talk.number += 1;
                    let refused = talk.say_with(&md5_cred("me", "mine", zero), &woken).await;
                    refused_by(&refused, 401);
                    assert_eq!(wanted(&refused).as_deref(), Some("syncml:auth-md5"));
                    talk.number += 1;
                    let lost = challenge(&refused, 401, own);
                    let let_in = talk.say_with(&md5_cred("me", "mine", &refused.nonce()), &format!("{lost}{woken}")).await;
                    assert_eq!((let_in.verdict(), proof(&let_in)), (212, digest(own)));
                    assert_eq!(let_in.commands()[0].2, "./Vendor/A");
                    talk.credentials = md5_cred("me", "mine", &BASE64_STANDARD.encode(let_in.nonce()));
                }
                // The nonce of the session before, as the text that it came as.
                let heard = talk.opens("").await;
                assert_eq!((heard.verdict(), heard.commands()[0].2), (212, "./Vendor/A"));
                talk.say(&format!("{}{FINAL}", heard.answers(&[404]))).await;
                assert_eq!(talk.ended(&job).await["outcome"], "NODES_UNREADABLE");
            }
        }
        ground.server.stop().await;
    }

    /// S-AU-05, S-PK-04: credentials in every message until the device says 212; after its challenge, by 401 or 407, others, and what it refused again; after a
    /// second refusal, 1223.
    async fn the_server_proves_itself_until_it_is_believed(database: Database) {
        let ground = Ground::on(&database).await;
        let get = json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]});
        let (one, two) = ("bm9uY2Utb25lLTEyMzQ1", "bm9uY2UtdHdvLTEyMzQ1");
        for (encoding, code) in ENCODINGS.into_iter().flat_map(|encoding| [(encoding, 401), (encoding, 407)]) {
            let mut talk = ground.talk_with(encoding, account("BASIC", Some("DIGEST"))).await;
            let job = talk.job(&get).await;
            let first = talk.opens("").await;
            assert_eq!(proof(&first), digest(""));
            let second = talk.say(&refusal("md5", &first, code, one)).await;
            assert_eq!(proof(&second), digest(one));
            assert_eq!(second.commands(), [("Get", second.commands()[0].1, "./Vendor/A")], "what was refused is asked again");
            let answer = format!("{}{}{FINAL}", challenge(&second, 212, two), second.answers(&[404]).split_once("</Status>").unwrap().1);
            let third = talk.say(&answer).await;
            assert_eq!((proof(&third), third.message.last), (None, true), "who is believed shows nothing more");
            assert_eq!(talk.ended(&job).await["outcome"], "NODES_UNREADABLE");
            // The nonce is kept, and a device that believes nothing is left alone.
            let job = talk.job(&get).await;
            let first = talk.opens("").await;
            assert_eq!(proof(&first), digest(two));
            let second = talk.say(&refusal("md5", &first, code, one)).await;
            let third = talk.say(&refusal("md5", &second, code, two)).await;
            assert_eq!((third.alert(), third.message.last), (Some(1223), true));
            assert_eq!((talk.ended(&job).await["state"].as_str(), talk.outcomes(&job).await), (Some("FAILED"), vec!["SERVER_REFUSED".to_owned()]));
        }
        ground.server.stop().await;
    }

    /// S-AU-05: a device that wants credentials of another kind than its account says gets those, by 401 or 407; of a kind that nobody knows, 1223.
    async fn the_server_proves_itself_in_the_way_that_the_device_wants(database: Database) {
        let ground = Ground::on(&database).await;
        let get = json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]});
        let (one, two) = ("bm9uY2Utb25lLTEyMzQ1", "bm9uY2UtdHdvLTEyMzQ1");
        for (encoding, code) in ENCODINGS.into_iter().flat_map(|encoding| [(encoding, 401), (encoding, 407)]) {
            // A password, until it is believed.
            let mut talk = ground.talk_with(encoding, account("BASIC", Some("DIGEST"))).await;
            let job = talk.job(&get).await;
            let first = talk.opens("").await;
            assert_eq!((proof(&first), first.mac.as_ref()), (digest(""), None));
            let second = talk.say(&refusal("basic", &first, code, "")).await;
            assert_eq!(proof(&second), Some(("syncml:auth-basic".to_owned(), basic("you", "yours"))));
            assert_eq!(second.commands(), [("Get", second.commands()[0].1, "./Vendor/A")], "what was refused is asked again");
            let third = talk.say(&format!("{}{FINAL}", second.answers(&[404]).replacen("<Data>200<", "<Data>212<", 1))).await;
            assert_eq!((proof(&third), third.message.last), (None, true));
            assert_eq!(talk.ended(&job).await["outcome"], "NODES_UNREADABLE");
            // A digest in the place of a password.
            let mut talk = ground.talk_with(encoding, account("BASIC", Some("BASIC"))).await;
            let job = talk.job(&get).await;
            let first = talk.opens("").await;
            let second = talk.say(&refusal("md5", &first, code, one)).await;
            assert_eq!(proof(&second), digest(one));
            talk.say(&format!("{}{FINAL}", second.answers(&[404]))).await;
            assert_eq!(talk.ended(&job).await["outcome"], "NODES_UNREADABLE");
            // A MAC over each message, with the nonce that came last.
            let mut talk = ground.talk_with(encoding, account("BASIC", Some("DIGEST"))).await;
            let job = talk.job(&json!({"type": "NODES_EXEC", "nodes": [{"node": "./Vendor/A"}, {"node": "./Vendor/B"}]})).await;
            let of = |nonce: &str, heard: &Heard| Some(format!("algorithm=MD5, username=\"you\", mac={}", mac("you", "yours", nonce, &heard.body)));
            let mut heard = talk.opens("").await;
            let refused = refusal("MAC", &heard, code, one).replace("<Cmd>Get<", "<Cmd>Exec<");
            heard = talk.say(&refused).await;
            for (nonce, next, node) in [(one, two, "./Vendor/A"), (two, one, "./Vendor/B")] {
                assert_eq!((proof(&heard), heard.mac.clone()), (None, of(nonce, &heard)));
                assert_eq!(heard.commands(), [("Exec", heard.commands()[0].1, node)]);
                let answer = heard.answers(&[200]);
                heard = talk.say(&format!("{}{}{FINAL}", challenge_to("MAC", &heard, 200, next), answer.split_once("</Status>").unwrap().1)).await;
            }
            assert_eq!((heard.mac.clone(), heard.asks(), heard.message.last), (of(one, &heard), false, true));
            assert_eq!(talk.ended(&job).await["outcome"], "EXECUTED");
            // What nobody knows.
            let mut talk = ground.talk_with(encoding, account("BASIC", Some("DIGEST"))).await;
            let job = talk.job(&get).await;
            let first = talk.opens("").await;
            let second = talk.say(&refusal("securid", &first, code, "")).await;
            assert_eq!((second.alert(), second.message.last), (Some(1223), true));
            assert_eq!((talk.ended(&job).await["state"].as_str(), talk.outcomes(&job).await), (Some("FAILED"), vec!["SERVER_REFUSED".to_owned()]));
        }
        ground.server.stop().await;
    }
}
