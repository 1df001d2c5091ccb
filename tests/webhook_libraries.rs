//! What this server delivers, judged by the libraries that receivers use.
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::deliveries::quick;
use crate::harness::receiver::{Came, Receiver, says, taken};
use crate::subscriptions::{alert, path, subscribe, tell, wanted};

/// The libraries for shared secrets.
const HMAC: [&str; 2] = ["standardwebhooks", "svix"];

/// What a library is to say of a delivery.
fn case(what: &str, came: &Came, key: &str, genuine: bool, by: &[&str]) -> Value {
    json!({"what": what, "key": key, "headers": came.headers, "body": STANDARD.encode(&came.body), "genuine": genuine, "by": by})
}

/// The same delivery with one thing changed.
fn altered(came: &Came) -> Vec<(&'static str, Came)> {
    let change = |what, change: &dyn Fn(&mut Came)| {
        let mut other = came.clone();
        change(&mut other);
        (what, other)
    };
    let header =
        |name: &'static str, value: &'static str| move |came: &mut Came| drop(came.headers.insert(name.into(), value.into()));
    vec![
        change("a byte of the body", &|came| came.body = came.body.replacen("alarm", "alarn", 1)),
        change("a byte too much", &|came| came.body.push(' ')),
        change("another id", &header("webhook-id", "evt_00000000000070008000000000000000")),
        change("an old time", &header("webhook-timestamp", "1614265330")),
        change("another second", &|came| {
            let seconds: i64 = came.header("webhook-timestamp").parse().unwrap();
            drop(came.headers.insert("webhook-timestamp".into(), (seconds + 1).to_string()));
        }),
        change("no signature", &header("webhook-signature", "")),
        change("another version", &|came| {
            let other = came.header("webhook-signature").replace("v1,", "v2,").replace("v1a,", "v2a,");
            drop(came.headers.insert("webhook-signature".into(), other));
        }),
    ]
}

/// What is no CloudEvent, or not this one.
fn broken(came: &Came) -> Vec<Came> {
    let change = |change: &dyn Fn(&mut Value)| {
        let mut event = came.event();
        change(&mut event);
        Came { body: event.to_string(), ..came.clone() }
    };
    vec![
        change(&|event| drop(event.as_object_mut().unwrap().remove("id"))),
        change(&|event| drop(event.as_object_mut().unwrap().remove("type"))),
        change(&|event| event["specversion"] = json!("9.9")),
        Came { body: "{".to_owned(), ..came.clone() },
    ]
}

/// How often each library has accepted and refused; none where the libraries are not installed.
fn judged(program: &str, script: &str, cases: &[Value]) -> Option<BTreeMap<String, BTreeMap<String, usize>>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/webhook_libraries").join(script);
    let run = || {
        let mut child =
            Command::new(program).arg(&script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // One that ends before it has read all says why.
        drop(child.stdin.take().unwrap().write_all(json!(cases).to_string().as_bytes()));
        child.wait_with_output()
    };
    let absent = match run() {
        Ok(done) if done.status.code() == Some(77) => String::from_utf8_lossy(&done.stderr).into_owned(),
        Ok(done) => {
            assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
            return Some(serde_json::from_slice(&done.stdout).unwrap());
        }
        Err(absent) => absent.to_string(),
    };
    assert_ne!(
        std::env::var("DMWSI_TEST_TOOLS").as_deref(),
        Ok("required"),
        "the webhook libraries of {program} are required: {absent}"
    );
    // Not by the macro: what a passing test prints is swallowed.
    let mut told = std::io::stderr();
    writeln!(told, "\n*** the webhook libraries of {program} are not installed: their test is SKIPPED ***\n").unwrap();
    None
}

both! {
    /// OES2, ES1, OES4, AD-14: deliveries of the running server are genuine, and nothing changed in them is, by `standardwebhooks`, `svix` and
    /// `cloudevents` of Python and Node; also those made again, and while a key is replaced.
    async fn deliveries_are_taken_by_the_libraries_of_receivers_and_altered_ones_are_not(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let [(device, _)] = server.devices(&portal, 1).await.try_into().unwrap();
        let mut cases = Vec::new();
        for (signing, by) in [("HMAC", &HMAC[..]), ("ED25519", &["ed25519"])] {
            let receiver = Receiver::taking().await;
            let mut new = wanted(&receiver.url, &["device-alert"]);
            new["config"]["signing"] = json!(signing);
            new["config"]["payload"] = json!("FULL");
            new["config"]["callbackData"] = json!("zurück – 返");
            let made = subscribe(&portal, &new).await;
            let first = made["signingKey"].as_str().unwrap().to_owned();
            receiver.heard("subscription-started", 1).await;
            receiver.answer(|_, count| if count == 1 { says("500 Oops") } else { taken() });
            tell(&server, &portal, device, [alert("com.example.alarm", "critical", "ünïcode \"quoted\" \u{1F4E1} <&>\n")]).await;
            let [failed, again] = receiver.heard("device-alert", 2).await.try_into().unwrap();
            for (what, came) in [("the first attempt", &failed), ("the second", &again)] {
                cases.push(case(what, came, &first, true, by));
                cases.push(case(what, came, &first, true, &["cloudevents"]));
            }
            for (what, other) in altered(&again) {
                cases.push(case(what, &other, &first, false, by));
            }
            for other in broken(&again) {
                cases.push(case("no CloudEvent", &other, &first, false, &["cloudevents"]));
            }
            let rotate = async |seconds| {
                let made = portal.post(&format!("{}/secret/rotate", path(&made)), &json!({"overlapSeconds": seconds})).await.of(200);
                made["signingKey"].as_str().unwrap().to_owned()
            };
            let test = async |count| {
                portal.call(Method::POST, &format!("{}/test", path(&made)), &[], None).await.of(202);
                receiver.heard("subscription-test", count).await.remove(count - 1)
            };
            let second = rotate(3_600).await;
            let by_both = test(1).await;
            cases.push(case("signed by both, judged by the old key", &by_both, &first, true, by));
            cases.push(case("signed by both, judged by the new key", &by_both, &second, true, by));
            let third = rotate(0).await;
            let by_one = test(2).await;
            cases.push(case("signed by the new key only", &by_one, &third, true, by));
            cases.push(case("judged by a key that does not sign any more", &by_one, &second, false, by));
            cases.push(case("judged by the first key", &by_one, &first, false, by));
        }
        server.stop().await;
        for (program, script) in [("python3", "verify.py"), ("node", "verify.cjs")] {
            let Some(counts) = judged(program, script, &cases) else { continue };
            let count = |name: &str| (counts[name]["accepted"], counts[name]["refused"]);
            for name in ["standardwebhooks", "svix", "ed25519"] {
                assert_eq!(count(name), (5, 9), "{program} {name}");
            }
            assert_eq!(count("cloudevents"), (4, 8), "{program}");
        }
    }
}
