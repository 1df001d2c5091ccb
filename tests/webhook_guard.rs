//! Events go where their receivers are, and never inside: every way in that is known, tried when an address is given and when it is used.
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_domain::egress::Egress;
use dmwsi_domain::subscription::Handshake;
use dmwsi_worker::egress::Guard;
use reqwest::Method;
use serde_json::{Value, json};

use crate::deliveries::quick;
use crate::harness::authority::Authority;
use crate::harness::eventually;
use crate::harness::handset::Handset;
use crate::harness::receiver::{Came, Receiver, says, taken};
use crate::harness::server::{Portal, Server};
use crate::subscriptions::{SCOPES, deliveries, patch, path, subscribe, wanted};

/// Addresses that lead inside, as they may be spelled.
const INSIDE: [&str; 50] = [
    "https://127.0.0.1/",
    "https://127.0.0.1:8443/",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0x7F.0x0.0x0.0x1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://%31%32%37.0.0.1/",
    "https://１２７.0.0.1/",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://[::1]/",
    "https://[::]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[0:0:0:0:0:ffff:10.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:1::1]/",
    "https://[fc00::1]/",
    "https://[fe80::1]/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.0.1/",
    "https://3232235777/",
    "https://0300.0250.1.1/",
    "https://100.64.0.1/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://[::ffff:169.254.169.254]/",
    "https://[fd00:ec2::254]/",
    "https://100.100.100.200/",
    "https://192.0.0.192/",
    "https://metadata.google.internal/",
    "https://localhost/",
    "https://LocalHost./",
    "https://a.localhost/",
    "https://kubernetes.default.svc.cluster.local/",
];

/// What is wrong for other reasons than where it leads.
const ODD: [&str; 15] = [
    "http://receiver.example/",
    "https://ok@receiver.example/",
    "https://ok@10.0.0.1/",
    "https://a:b@receiver.example/",
    "https://receiver.example:443@127.0.0.1/",
    "https://receiver.example:22/",
    "https://receiver.example:25/",
    "https://receiver.example:0/",
    "https://receiver.example/#a",
    "https://127.0.0.1#@receiver.example/",
    "ftp://receiver.example/",
    "file:///etc/passwd",
    "gopher://receiver.example/",
    "data:text/plain,a",
    "nothing",
];

/// Has an event delivered that means nothing.
async fn test(portal: &Portal, subscription: &Value) {
    portal.call(Method::POST, &format!("{}/test", path(subscription)), &[], None).await.of(202);
}

/// What was wrong with the first attempt at the first delivery.
async fn trouble(portal: &Portal, subscription: &Value) -> Value {
    let first = async || deliveries(portal, subscription).await.first().cloned().unwrap_or_default()["attempts"][0].clone();
    eventually("it was tried", async || first().await.is_object()).await;
    first().await["error"].clone()
}

/// A guard that looks names up so: by how often it was asked before.
fn looking_up(
    names: impl Fn(usize) -> Vec<&'static str> + Send + Sync + 'static,
) -> (impl FnOnce(Egress) -> Guard, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let guard = move |egress| {
        Guard::with_lookup(egress, move |_name| {
            let found = names(count.fetch_add(1, Ordering::SeqCst));
            async move { Ok(found.into_iter().map(|address| address.parse::<IpAddr>().unwrap()).collect()) }
        })
    };
    (guard, asked)
}

fn impatient(config: &mut Config) {
    config.webhooks.retry_ms = vec![100];
    config.webhooks.timeout_ms = 2_000;
    config.webhooks.handshake_retry_ms = vec![100, 100];
}

both! {
    /// API7: wherever an address can be given it is refused, by the same words whatever is behind it.
    async fn an_address_that_leads_inside_is_refused_in_every_spelling_and_in_every_place(database: Database) {
        let (server, portal) = quick(&database, |config| config.egress = Egress::default()).await;
        let handset = Handset::register(&portal, server.url(), dmwsi_simulator::Behaviour::default()).await;
        let made = portal.post("/v1/subscriptions", &wanted("https://receiver.example/", &["device-updated"])).await.of(202);
        let mut words = BTreeSet::new();
        for address in INSIDE.into_iter().chain(ODD) {
            let refused = portal.post("/v1/subscriptions", &wanted(address, &["device-updated"])).await;
            let problem = refused.problem(400, "INVALID_SINK");
            words.insert(format!("{} {}", problem["detail"], problem["errors"]));
            patch(&portal, &made, json!({"sink": address})).await.problem(400, "INVALID_SINK");
            let job = json!({
                "operation": {"type": "NODES_GET", "nodes": ["./DevInfo/Man"]}, "target": {"type": "DEVICES", "deviceIds": [handset.id]}, "sink": address
            });
            portal.post("/v1/jobs", &job).await.problem(400, "INVALID_SINK");
            for kind in ["CLIENT_CREDENTIALS", "PRIVATE_KEY_JWT"] {
                let mut new = wanted("https://receiver.example/", &["device-updated"]);
                new["sinkCredential"] = json!({"credentialType": kind, "tokenUrl": address, "clientId": "me", "clientSecret": "mine"});
                let refused = portal.post("/v1/subscriptions", &new).await;
                refused.problem(400, "INVALID_CREDENTIAL");
                assert_eq!(refused.pointers(), ["/sinkCredential/tokenUrl"]);
            }
        }
        assert_eq!(words.len(), 1, "{words:?}");
        for address in ["https://receiver.example/a?b", "https://receiver.example:8443/", "https://93.184.216.34/", "https://bücher.example/"] {
            portal.post("/v1/subscriptions", &wanted(address, &["device-updated"])).await.of(202);
        }
        server.stop().await;
    }

    /// API7: the same addresses once more, where they were taken at a time when they looked otherwise.
    async fn an_address_that_leads_inside_is_not_delivered_to_in_any_spelling(database: Database) {
        let (server, portal) = quick(&database, |config| {
            config.egress = Egress::default();
            config.webhooks.handshake = Handshake::Off;
            config.webhooks.retry_ms = vec![50];
        }).await;
        let receiver = Receiver::taking().await;
        let own = [receiver.url.clone(), receiver.url.replace("http", "https"), format!("https://localhost:{}/", receiver.port()), format!("https://[::ffff:127.0.0.1]:{}/", receiver.port())];
        let mut all = Vec::new();
        for address in INSIDE.into_iter().chain(ODD).map(str::to_owned).chain(own) {
            all.push((address, subscribe(&portal, &wanted("https://receiver.example/", &["device-updated"])).await));
        }
        // What is under way still goes where it was to go.
        for (_, made) in &all {
            let is_over = async || {
                let all = deliveries(&portal, made).await;
                !all.is_empty() && all.iter().all(|one| one["state"] == "DEAD")
            };
            eventually("nothing is under way", is_over).await;
        }
        for (address, made) in &all {
            let id = made["id"].as_str().unwrap().strip_prefix("sub_").unwrap();
            database.execute(&format!("DELETE FROM deliveries WHERE subscription_id = '{id}'; UPDATE subscriptions SET sink = '{address}', failures = 0, open_until = NULL WHERE id = '{id}'"));
            test(&portal, made).await;
        }
        for (address, made) in &all {
            let of_test = async || deliveries(&portal, made).await.into_iter().find(|one| one["eventType"] == "dmwsi.v1.subscription-test").unwrap_or_default();
            eventually(&format!("{address} was tried"), async || of_test().await["state"] == "DEAD").await;
            assert!(of_test().await["attempts"].as_array().unwrap().iter().all(|one| one["error"] == "ADDRESS_FORBIDDEN"), "{address}");
        }
        assert!(receiver.all().is_empty());
        server.stop().await;
    }

    /// API7: a name that is public when it is given and leads inside when events are delivered; and one that changes between check and connection.
    async fn a_name_that_is_rebound_leads_nowhere(database: Database) {
        let authority = Authority::new();
        let issued = authority.issue(&["receiver.example"]);
        let closes = |_: &Came, _: usize| says("204 No Content\r\nconnection: close");
        let outside = Receiver::secure("127.0.0.2:0", &issued, None, closes).await;
        let inside = Receiver::secure(&format!("127.0.0.1:{}", outside.port()), &issued, None, closes).await;
        // First outside, then inside for ever; 127.0.0.2 stands for what is public.
        let (guard, asked) = looking_up(|before| vec![if before == 0 { "127.0.0.2" } else { "127.0.0.1" }]);
        let change = |config: &mut Config| {
            impatient(config);
            config.egress = Egress::allowing(["127.0.0.2"]).unwrap();
            config.webhooks.handshake = Handshake::Off;
            config.webhooks.authorities = Some(authority.file());
        };
        let server = Server::behind(&database, Keys::mint().unwrap(), Clock::System, change, guard).await;
        let portal = server.portal("acme", SCOPES).await;
        let made = subscribe(&portal, &wanted(&format!("https://receiver.example:{}/events", outside.port()), &["device-updated"])).await;
        outside.heard("subscription-started", 1).await;
        assert_eq!(asked.load(Ordering::SeqCst), 1, "what was judged is what was connected to: there is no second look");
        test(&portal, &made).await;
        let last = async || deliveries(&portal, &made).await.last().cloned().unwrap_or_default();
        eventually("it is given up", async || last().await["state"] == "DEAD").await;
        assert!(last().await["attempts"].as_array().unwrap().iter().all(|one| one["error"] == "ADDRESS_FORBIDDEN"), "{}", last().await);
        assert_eq!((inside.all().len(), outside.all().len()), (0, 1));
        server.stop().await;
    }

    /// API7: one address inside among public ones is enough; nobody chooses which of them is taken.
    async fn a_name_with_one_address_inside_leads_nowhere(database: Database) {
        let authority = Authority::new();
        let inside = Receiver::secure("127.0.0.1:0", &authority.issue(&["receiver.example"]), None, |_, _| taken()).await;
        for addresses in [["127.0.0.1", "8.8.8.8"], ["8.8.8.8", "127.0.0.1"], ["8.8.8.8", "::ffff:127.0.0.1"], ["8.8.8.8", "169.254.169.254"]] {
            let (guard, _) = looking_up(move |_| addresses.to_vec());
            let change = |config: &mut Config| {
                impatient(config);
                config.egress = Egress::default();
                config.webhooks.handshake = Handshake::Off;
                config.webhooks.authorities = Some(authority.file());
            };
            let server = Server::behind(&database, Keys::mint().unwrap(), Clock::System, change, guard).await;
            let portal = server.portal("acme", SCOPES).await;
            let made = subscribe(&portal, &wanted(&format!("https://receiver.example:{}/", inside.port()), &["device-updated"])).await;
            assert_eq!(trouble(&portal, &made).await, "ADDRESS_FORBIDDEN", "{addresses:?}");
            server.stop().await;
        }
        assert!(inside.all().is_empty());
    }

    /// API7: whoever is not asked for events is not asked whether they want them either.
    async fn a_handshake_goes_nowhere_inside(database: Database) {
        let authority = Authority::new();
        let inside = Receiver::secure("127.0.0.1:0", &authority.issue(&["receiver.example"]), None, |_, _| says("200 OK\r\nwebhook-allowed-origin: *")).await;
        let (guard, asked) = looking_up(|_| vec!["127.0.0.1"]);
        let change = |config: &mut Config| {
            impatient(config);
            config.egress = Egress::default();
            config.webhooks.authorities = Some(authority.file());
        };
        let server = Server::behind(&database, Keys::mint().unwrap(), Clock::System, change, guard).await;
        let portal = server.portal("acme", SCOPES).await;
        let made = portal.post("/v1/subscriptions", &wanted(&format!("https://receiver.example:{}/", inside.port()), &["device-updated"])).await.of(202);
        eventually("it is given up", async || portal.get(&path(&made)).await.of(200)["statusReason"] == "HANDSHAKE_FAILED").await;
        assert_eq!((asked.load(Ordering::SeqCst), inside.all().len()), (3, 0));
        server.stop().await;
    }

    /// API7: what the operator does not allow any more is over at once: sinks, handshakes and token endpoints.
    async fn what_is_not_allowed_any_more_is_not_used_any_more(database: Database) {
        let keys = Keys::mint().unwrap();
        let at = |address: &'static str| Receiver::at(address, |came, _| {
            let body = json!({"access_token": "t", "token_type": "bearer", "expires_in": 1}).to_string();
            if came.method == "OPTIONS" { taken() } else { says(&format!("200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())) }
        });
        let (inside, endpoint, outside) = (at("127.0.0.1:0").await, at("127.0.0.1:0").await, at("127.0.0.2:0").await);
        let start = async |allow: &'static [&'static str], handshake: Handshake| {
            let change = |config: &mut Config| {
                impatient(config);
                config.egress = Egress::allowing(allow.iter().copied()).unwrap();
                config.webhooks.handshake = handshake;
                config.webhooks.handshake_retry_ms = vec![1_500, 200];
                // Tokens go on at the next one.
                config.public_url = "http://127.0.0.1:8080".to_owned();
            };
            Server::with(&database, keys.clone(), Clock::System, change).await
        };
        let server = start(&["127.0.0.0/8"], Handshake::Required).await;
        let portal = server.portal("acme", SCOPES).await;
        let asked = portal.post("/v1/subscriptions", &wanted(&inside.url, &["device-updated"])).await.of(202);
        eventually("it was asked", async || !inside.all().is_empty()).await;
        server.stop().await;
        let server = start(&["127.0.0.0/8"], Handshake::Off).await;
        let portal = portal.at(&server);
        let sink = subscribe(&portal, &wanted(&inside.url, &["device-updated"])).await;
        let mut new = wanted(&outside.url, &["device-updated"]);
        new["sinkCredential"] = json!({"credentialType": "CLIENT_CREDENTIALS", "tokenUrl": endpoint.url, "clientId": "me", "clientSecret": "mine"});
        let by_token = subscribe(&portal, &new).await;
        inside.heard("subscription-started", 1).await;
        outside.heard("subscription-started", 1).await;
        server.stop().await;
        let counts = || (inside.all().len(), endpoint.all().len(), outside.all().len());
        let before = counts();
        let server = start(&["127.0.0.2"], Handshake::Off).await;
        let portal = portal.at(&server);
        let last = async |made: &Value| deliveries(&portal, made).await.last().cloned().unwrap_or_default()["attempts"][0]["error"].clone();
        for (made, error) in [(&sink, "ADDRESS_FORBIDDEN"), (&by_token, "CREDENTIAL_REFUSED")] {
            test(&portal, made).await;
            eventually(error, async || last(made).await == error).await;
        }
        eventually("the handshake is over", async || portal.get(&path(&asked)).await.of(200)["statusReason"] == "HANDSHAKE_FAILED").await;
        assert_eq!(counts(), before);
        server.stop().await;
    }

    /// API7: nobody is sent elsewhere by whom they were sent to.
    async fn a_redirect_is_never_followed(database: Database) {
        let (server, portal) = quick(&database, impatient).await;
        let inside = Receiver::at("127.0.0.3:0", |_, _| says("200 OK\r\nwebhook-allowed-origin: *")).await;
        for status in ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
            let to = format!("{status}\r\nlocation: {}", inside.url);
            let receiver = Receiver::open(move |_, _| says(&to)).await;
            let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
            assert_eq!(trouble(&portal, &made).await, "REDIRECTED", "{status}");
            let mut new = wanted(&inside.url.replace("127.0.0.3", "127.0.0.4"), &["device-updated"]);
            new["sinkCredential"] = json!({"credentialType": "CLIENT_CREDENTIALS", "tokenUrl": receiver.url, "clientId": "me", "clientSecret": "mine"});
            let made = subscribe(&portal, &new).await;
            assert_eq!(trouble(&portal, &made).await, "CREDENTIAL_REFUSED", "{status}");
        }
        server.stop().await;
        let (server, portal) = quick(&database, |config| {
            impatient(config);
            config.webhooks.handshake = Handshake::Required;
        }).await;
        let inside_too = Receiver::at("127.0.0.3:0", |_, _| says("200 OK\r\nwebhook-allowed-origin: *")).await;
        let receiver = Receiver::taking().await;
        let to = inside_too.url.clone();
        receiver.answer(move |_, _| says(&format!("307 Temporary Redirect\r\nlocation: {to}")));
        let made = portal.post("/v1/subscriptions", &wanted(&receiver.url, &["device-updated"])).await.of(202);
        eventually("it is given up", async || portal.get(&path(&made)).await.of(200)["statusReason"] == "HANDSHAKE_FAILED").await;
        assert_eq!((inside.all().len(), inside_too.all().len(), receiver.all().len()), (0, 0, 3));
        server.stop().await;
    }

    /// API7, ES4: a proxy of the operator's carries all there is to carry, and is given nothing whose name leads inside as far as this server knows.
    async fn a_proxy_carries_everything_and_the_guard_still_judges(database: Database) {
        let proxy = Receiver::taking().await;
        proxy.answer(|came, _| {
            let body = json!({"access_token": "t", "token_type": "bearer"}).to_string();
            match (came.method.as_str(), came.path.as_str()) {
                ("CONNECT", _) => says("403 Forbidden"),
                (_, "http://tokens.internal/token") => says(&format!("200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())),
                _ => taken(),
            }
        });
        let address = proxy.url.replace("/events", "");
        let (guard, _) = looking_up(|_| vec!["127.0.0.1"]);
        let change = |config: &mut Config| {
            impatient(config);
            config.egress = Egress::allowing(["receiver.internal", "tokens.internal"]).unwrap();
            config.webhooks.handshake = Handshake::Off;
            config.webhooks.proxy = Some(address.parse().unwrap());
        };
        let server = Server::behind(&database, Keys::mint().unwrap(), Clock::System, change, guard).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut new = wanted("http://receiver.internal/events", &["device-updated"]);
        new["sinkCredential"] = json!({"credentialType": "CLIENT_CREDENTIALS", "tokenUrl": "http://tokens.internal/token", "clientId": "me", "clientSecret": "mine"});
        subscribe(&portal, &new).await;
        eventually("both came", async || proxy.all().len() == 2).await;
        let came = proxy.all();
        assert_eq!((came[0].path.as_str(), came[1].path.as_str()), ("http://tokens.internal/token", "http://receiver.internal/events"));
        assert_eq!(came[1].header("authorization"), "Bearer t");
        // A name that is known here to lead inside.
        let made = subscribe(&portal, &wanted("https://receiver.example/", &["device-updated"])).await;
        assert_eq!(trouble(&portal, &made).await, "ADDRESS_FORBIDDEN");
        assert_eq!(proxy.all().len(), 2);
        // What is public it is given, by CONNECT, and what it says of it counts.
        let made = subscribe(&portal, &wanted("https://93.184.216.34/", &["device-updated"])).await;
        assert_eq!(trouble(&portal, &made).await, "UNREACHABLE");
        assert_eq!((proxy.all()[2].method.as_str(), proxy.all()[2].path.as_str()), ("CONNECT", "93.184.216.34:443"));
        server.stop().await;
    }
}
