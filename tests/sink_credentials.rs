//! What receivers are shown by which they know this server.
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_store::DatabaseUrl;
use reqwest::Method;
use serde_json::{Value, json};

use crate::deliveries::quick;
use crate::harness::authority::{Authority, Issued};
use crate::harness::eventually;
use crate::harness::forge::{Jwt, public, verifies};
use crate::harness::receiver::{Receiver, says, taken};
use crate::harness::server::Server;
use crate::subscriptions::{SCOPES, deliveries, patch, path, subscribe, wanted};

fn mutual_tls(certificate: &str, key: &str) -> Value {
    json!({"credentialType": "MUTUAL_TLS", "clientCertificate": certificate, "clientKey": key})
}

both! {
    /// OES1, OES2, OES3: a receiver that talks only to whom it knows by a certificate gets events by that, and nobody else's; the key is sealed and never shown.
    async fn a_receiver_knows_this_server_by_its_certificate(database: Database) {
        let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
        let receiver = Receiver::secure("127.0.0.1:0", &authority.issue(&["127.0.0.1"]), Some(&clients), |_, _| taken()).await;
        let (server, portal) = quick(&database, |config| config.webhooks.authorities = Some(authority.file())).await;
        let Issued { certificate, key } = clients.issue(&["dm.example.com"]);
        let mut new = wanted(&receiver.url, &["device-updated"]);
        new["sinkCredential"] = mutual_tls(&certificate, &key);
        let made = subscribe(&portal, &new).await;
        assert_eq!(receiver.heard("subscription-started", 1).await[0].header(":peer"), "dm.example.com");
        let shown = portal.get(&path(&made)).await.of(200);
        assert!(![&made, &shown].iter().any(|told| told.to_string().contains("BEGIN") || told.to_string().contains("lientKey")), "{shown}");
        let stored = match &database.url {
            DatabaseUrl::Sqlite(_) => database.lines("SELECT hex(secrets) AS line FROM subscriptions"),
            DatabaseUrl::Postgres(_) => database.lines("SELECT upper(encode(secrets, 'hex')) AS line FROM subscriptions"),
        };
        let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
        assert!(!stored[0].contains(&hex("PRIVATE KEY")) && !stored[0].contains(&hex("CERTIFICATE")));

        // Without one, or with another's, there is no connection.
        let other = strangers.issue(&["dm.example.com"]);
        for credential in [Value::Null, mutual_tls(&other.certificate, &other.key)] {
            let mut new = wanted(&receiver.url, &["device-updated"]);
            new["sinkCredential"] = credential;
            let made = subscribe(&portal, &new).await;
            let tried = async || deliveries(&portal, &made).await.first().cloned().unwrap_or_default()["attempts"][0]["error"].clone();
            eventually("it was tried", async || tried().await == "UNREACHABLE").await;
        }
        assert_eq!(receiver.all().len(), 1);

        // Another certificate takes its place at once.
        let renewed = clients.issue(&["new.example.com"]);
        patch(&portal, &made, json!({"sinkCredential": mutual_tls(&renewed.certificate, &renewed.key)})).await.of(200);
        portal.call(Method::POST, &format!("{}/test", path(&made)), &[], None).await.of(202);
        assert_eq!(receiver.heard("subscription-test", 1).await[0].header(":peer"), "new.example.com");

        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (certificate, key, at) in [
            ("", key.as_str(), "/sinkCredential/clientCertificate"), ("nothing", &key, "/sinkCredential/clientCertificate"),
            (&certificate, "", "/sinkCredential/clientKey"), (&certificate, &other.key, "/sinkCredential/clientKey"), (&certificate, encrypted, "/sinkCredential/clientKey"),
        ] {
            new["sinkCredential"] = mutual_tls(certificate, key);
            let refused = portal.post("/v1/subscriptions", &new).await;
            refused.problem(400, "INVALID_CREDENTIAL");
            assert_eq!(refused.pointers(), [at]);
        }
        server.stop().await;
    }

    /// OES2: a receiver that cannot prove who it is gets nothing.
    async fn a_receiver_that_is_not_whom_it_says_gets_nothing(database: Database) {
        let (authority, strangers) = (Authority::new(), Authority::new());
        let unknown = Receiver::secure("127.0.0.1:0", &strangers.issue(&["127.0.0.1"]), None, |_, _| taken()).await;
        let misnamed = Receiver::secure("127.0.0.1:0", &authority.issue(&["receiver.example"]), None, |_, _| taken()).await;
        let (server, portal) = quick(&database, |config| config.webhooks.authorities = Some(authority.file())).await;
        for receiver in [&unknown, &misnamed] {
            let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
            let tried = async || deliveries(&portal, &made).await.first().cloned().unwrap_or_default()["attempts"][0]["error"].clone();
            eventually("it was tried", async || tried().await == "UNREACHABLE").await;
            assert!(receiver.all().is_empty());
        }
        server.stop().await;
    }

    /// OES1: a token endpoint that wants no shared secret is shown a JWT that anybody can verify by the published keys.
    async fn a_token_is_had_by_a_signed_assertion(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |_| {}).await;
        let portal = server.portal("acme", SCOPES).await;
        let endpoint = Receiver::open(|_, _| {
            let body = json!({"access_token": "t", "token_type": "bearer", "expires_in": 3600}).to_string();
            says(&format!("200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
        }).await;
        let receiver = Receiver::taking().await;
        let mut new = wanted(&receiver.url, &["device-updated"]);
        new["sinkCredential"] = json!({"credentialType": "PRIVATE_KEY_JWT", "tokenUrl": endpoint.url, "clientId": "me", "scope": "events"});
        subscribe(&portal, &new).await;
        assert_eq!(receiver.heard("subscription-started", 1).await[0].header("authorization"), "Bearer t");
        let form: std::collections::HashMap<_, _> = url::form_urlencoded::parse(endpoint.all()[0].body.as_bytes()).into_owned().collect();
        let of = |name: &str| form.get(name).map(String::as_str);
        assert_eq!((of("grant_type"), of("scope")), (Some("client_credentials"), Some("events")));
        assert_eq!(of("client_assertion_type"), Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
        assert_eq!((of("client_secret"), endpoint.all()[0].header("authorization")), (None, ""));
        let assertion = of("client_assertion").unwrap();
        let keys = server.send(Method::GET, "/oauth2/jwks", &[], "").await.of(200);
        assert!(verifies(assertion, &public(&keys["keys"][0])));
        let Jwt { header, payload } = Jwt::read(assertion);
        assert_eq!((&header["alg"], &header["kid"]), (&json!("ES256"), &keys["keys"][0]["kid"]));
        assert_eq!((&payload["iss"], &payload["sub"], &payload["aud"]), (&json!("me"), &json!("me"), &json!(endpoint.url)));
        let now = server.clock.now().micros() / 1_000_000;
        assert!((1..=60).contains(&(payload["exp"].as_i64().unwrap() - now)) && payload["jti"].is_string());
        // It opens nothing here.
        let bearer = format!("Bearer {assertion}");
        server.send(Method::GET, "/v1/devices", &[("authorization", &bearer)], "").await.problem(401, "UNAUTHENTICATED");
        server.stop().await;
    }

    /// OES2: whoever lost the answer to a rotation and asks again loses nothing: the key that receivers have signs as long as it was promised to, and the
    /// lost one does no harm. All of them end when a client wants that.
    async fn a_second_rotation_keeps_what_the_first_one_promised(database: Database) {
        let (server, portal) = quick(&database, |_| {}).await;
        let receiver = Receiver::taking().await;
        let made = subscribe(&portal, &wanted(&receiver.url, &["device-updated"])).await;
        let test = async |count| {
            portal.call(Method::POST, &format!("{}/test", path(&made)), &[], None).await.of(202);
            receiver.heard("subscription-test", count).await[count - 1].clone()
        };
        let rotate = async |seconds: u64| {
            let new = portal.post(&format!("{}/secret/rotate", path(&made)), &json!({"overlapSeconds": seconds})).await.of(200);
            new["signingKey"].as_str().unwrap().to_owned()
        };
        let deployed = made["signingKey"].as_str().unwrap().to_owned();
        let (lost, new) = (rotate(3_600).await, rotate(600).await);
        let came = test(1).await;
        assert!([&deployed, &lost, &new].iter().all(|key| came.is_signed_by(key)), "{}", came.header("webhook-signature"));
        let (fourth, fifth) = (rotate(600).await, rotate(600).await);
        let came = test(2).await;
        assert!([&lost, &new, &fourth, &fifth].iter().all(|key| came.is_signed_by(key)) && !came.is_signed_by(&deployed), "three at most");
        let last = rotate(0).await;
        let came = test(3).await;
        assert!(came.is_signed_by(&last) && !came.header("webhook-signature").contains(' '));
        server.stop().await;
    }

    /// Of a token endpoint 64 KiB are read: one that says more gives no token.
    async fn a_token_endpoint_that_says_too_much_gives_no_token(database: Database) {
        let (server, portal) = quick(&database, |config| config.webhooks.retry_ms = vec![2_100; 3]).await;
        let endpoint = Receiver::open(|_, count| {
            let body = json!({"access_token": format!("t{count}"), "token_type": "bearer", "expires_in": 3600}).to_string();
            let length = if count == 0 { 65_537 } else { 65_536 };
            let body = format!("{body}{}", " ".repeat(length - body.len()));
            says(&format!("200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
        }).await;
        let receiver = Receiver::taking().await;
        let mut new = wanted(&receiver.url, &["device-updated"]);
        new["sinkCredential"] = json!({"credentialType": "CLIENT_CREDENTIALS", "tokenUrl": endpoint.url, "clientId": "me", "clientSecret": "mine"});
        let made = subscribe(&portal, &new).await;
        let came = receiver.heard("subscription-started", 1).await;
        assert_eq!(came[0].header("authorization"), "Bearer t1");
        eventually("it is settled", async || deliveries(&portal, &made).await[0]["state"] == "DELIVERED").await;
        let attempts = deliveries(&portal, &made).await[0]["attempts"].clone();
        assert_eq!((&attempts[0]["error"], endpoint.all().len()), (&json!("CREDENTIAL_REFUSED"), 2), "{attempts}");
        server.stop().await;
    }
}
