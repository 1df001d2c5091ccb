//! Who may call what: every operation of the document, by callers who may not.
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::document::{Document, Operation};
use crate::harness::forge::{Jwt, private, stranger};
use crate::harness::server::{Got, Portal, Server};

const ALL: &str = "containers:read containers:write events:read devices:bootstrap devices:read devices:trace devices:wake devices:write jobs:read jobs:write subscriptions:read subscriptions:write";
const NOBODY: &str = "job_00000000000070008000000000000000";

/// Calls the operation as its document says, as far as the token goes.
async fn call(server: &Server, operation: &Operation<'_>, job: &str, device: &str, authorization: Option<&str>) -> Got {
    let (mut headers, body) = operation.sample();
    headers.push(("if-match", "*"));
    headers.extend(authorization.map(|value| ("authorization", value)));
    server.send(operation.method.clone(), &operation.address(job, device), &headers, body).await
}

/// A job of the portal on a device of it, both by name.
async fn job_and_device(server: &Server, portal: &Portal) -> (String, String) {
    let device = server.devices(portal, 1).await.remove(0).1;
    let operation = json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]});
    let body = json!({"operation": operation, "target": {"type": "DEVICES", "deviceIds": [device]}});
    let job = portal.post("/v1/jobs", &body).await.of(202);
    (job["jobId"].as_str().unwrap().to_owned(), device)
}

/// A problem without what belongs to the one request alone.
fn essence(mut problem: Value) -> Value {
    for field in ["correlator", "instance"] {
        problem[field].take();
    }
    problem
}

both! {
    /// OES1, AD-6, AD-13: whatever is wrong with a token, the answer is the same and says nothing.
    async fn no_operation_answers_without_a_valid_token(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", ALL).await;
        let (job, device) = job_and_device(&server, &portal).await;
        let real = Jwt::read(portal.bearer().trim_start_matches("Bearer "));
        let pem = server.keys.api.signing[0].pem.clone();
        let key = private(&pem);
        let now = server.clock.now().micros() / 1_000_000;
        let jwks = server.send(Method::GET, "/oauth2/jwks", &[], "").await.text;
        let other = server.portal("other", ALL).await;

        // The forger can do it: with nothing wrong the token is good.
        let forged = format!("Bearer {}", real.clone().with("jti", "another").signed(&key));
        assert_eq!(server.send(Method::GET, "/v1/jobs", &[("authorization", &forged)], "").await.status.as_u16(), 200);

        let wrong = [
            ("garbage", "garbage".to_owned()),
            ("three dots", "a.b.c".to_owned()),
            ("a blank token", String::new()),
            ("expired", real.clone().with("exp", now - 60).signed(&key)),
            ("not yet valid", real.clone().with("nbf", now + 120).signed(&key)),
            ("another audience", real.clone().with("aud", "https://other.example").signed(&key)),
            ("another issuer", real.clone().with("iss", "https://other.example").signed(&key)),
            ("no algorithm", real.clone().headed("alg", "none").unsigned()),
            ("no signature", real.unsigned()),
            ("no algorithm but a signature", real.clone().headed("alg", "none").signed(&key)),
            ("a public key as the secret of HS256", real.clone().headed("alg", "HS256").mac(jwks.as_bytes())),
            ("the PEM as the secret of HS256", real.clone().headed("alg", "HS256").mac(pem.as_bytes())),
            ("a zero as the secret of HS256", real.clone().headed("alg", "HS256").mac(b"\0")),
            ("another kind of JWT", real.clone().headed("typ", "JWT").signed(&key)),
            ("an unknown key", real.clone().headed("kid", "unknown").signed(&key)),
            ("a key of its own in the header", real.clone().headed("jwk", json!({"kty": "EC"})).signed(&stranger())),
            ("the key of somebody else", real.signed(&stranger())),
            ("an extension it should understand", real.clone().headed("crit", json!(["exp"])).signed(&key)),
            ("another organisation", real.clone().with("org", other.organisation.to_string()).signed(&key)),
            ("a client that is not there", real.with("client_id", "cli_00000000000070008000000000000000").signed(&key)),
        ];
        let document = Document::generated();
        for operation in document.guarded() {
            let name = operation.name();
            let got = call(&server, &operation, &job, &device, None).await;
            got.problem(401, "UNAUTHENTICATED");
            assert_eq!(got.header("www-authenticate"), "Bearer realm=\"dmwsi\"", "{name}: no error is named where nothing was given");
            let silent = essence(got.json());
            for (what, token) in &wrong {
                let got = call(&server, &operation, &job, &device, Some(&format!("Bearer {token}"))).await;
                got.problem(401, "UNAUTHENTICATED");
                assert_eq!(essence(got.json()), silent, "{name} with {what}");
                assert!(got.header("www-authenticate").starts_with("Bearer realm=\"dmwsi\", error=\"invalid_"), "{name} with {what}");
            }
            for scheme in ["Basic YTpi", "Digest x", &portal.bearer().replace("Bearer ", "Bearer")] {
                call(&server, &operation, &job, &device, Some(scheme)).await.problem(401, "UNAUTHENTICATED");
            }
        }
        server.stop().await;
    }

    /// OES1, AD-13: every scope but the one is not enough, and the one is.
    async fn no_operation_answers_without_its_scope(database: Database) {
        let server = Server::on(&database).await;
        let document = Document::generated();
        let (client, secret) = server.client("acme", ALL).await;
        for operation in document.guarded() {
            let (name, scope) = (operation.name(), operation.scope().unwrap());
            let others: Vec<_> = ALL.split(' ').filter(|other| *other != scope).collect();
            // One never had it, another did not ask for it this time.
            let never = server.portal("acme", &others.join(" ")).await.bearer();
            let form = [("grant_type", "client_credentials"), ("scope", &others.join(" "))];
            let token = server.ask_token(Some((&client.id.to_string(), &secret)), &form).await.of(200);
            let narrow = format!("Bearer {}", token["access_token"].as_str().unwrap());
            for bearer in [never, narrow] {
                let got = call(&server, &operation, NOBODY, "dev_0", Some(&bearer)).await;
                got.problem(403, "PERMISSION_DENIED");
                let challenge = format!("Bearer realm=\"dmwsi\", error=\"insufficient_scope\", scope=\"{scope}\"");
                assert_eq!(got.header("www-authenticate"), challenge, "{name}");
            }
            let enough = server.portal("acme", scope).await.bearer();
            let got = call(&server, &operation, NOBODY, "dev_0", Some(&enough)).await;
            assert!(![401, 403].contains(&got.status.as_u16()), "{name}: {}", got.text);
        }
        server.stop().await;
    }

    /// OES1, AD-13: what belongs to somebody else is answered like what is not there at all.
    async fn another_organisations_things_are_not_there(database: Database) {
        let server = Server::on(&database).await;
        let (acme, other) = (server.portal("acme", ALL).await, server.portal("other", ALL).await);
        let (job, device) = job_and_device(&server, &acme).await;
        let (own_job, own_device) = job_and_device(&server, &other).await;
        let document = Document::generated();
        for operation in document.guarded().into_iter().filter(|operation| operation.path.contains('{')) {
            let name = operation.name();
            let foreign = call(&server, &operation, &job, &device, Some(&other.bearer())).await;
            let absent = call(&server, &operation, NOBODY, &format!("dev_{}", "0".repeat(32)), Some(&other.bearer())).await;
            assert_eq!(essence(foreign.problem(404, "NOT_FOUND")), essence(absent.problem(404, "NOT_FOUND")), "{name}");
            for (job, device) in [(&own_job, &device), (&job, &own_device)] {
                let both = operation.path.contains("{id}") && operation.path.contains("{deviceId}");
                if both {
                    call(&server, &operation, job, device, Some(&other.bearer())).await.problem(404, "NOT_FOUND");
                }
            }
        }
        // Nor do they stand in lists, nor can they be named.
        let listed = other.get("/v1/devices").await.of(200);
        let ids: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| item["deviceId"].clone()).collect();
        assert_eq!(ids, [json!(own_device)]);
        assert_eq!(other.get("/v1/jobs").await.of(200)["items"].as_array().unwrap().len(), 1);
        let own = acme.get(&format!("/v1/devices/{device}")).await.of(200);
        let found = other.post("/v1/devices/search", &json!({"dmIdentity": own["dmIdentity"]})).await.of(200);
        assert_eq!(found["items"], json!([]));
        let operation = json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]});
        let target = json!({"type": "DEVICES", "deviceIds": [own_device, device]});
        let named = other.post("/v1/jobs", &json!({"operation": operation, "target": target})).await;
        named.problem(422, "UNPROCESSABLE");
        assert_eq!(named.pointers(), ["/target/deviceIds/1"]);
        // A claim of a device that somebody has is refused alike, whoever has it; by import, too.
        let claim = json!({"dmIdentity": own["dmIdentity"], "account": {"serverId": "s", "client": {"auth": "BASIC", "name": "n", "secret": "s"}}});
        let mine = acme.post("/v1/devices", &claim).await.problem(409, "ALREADY_EXISTS");
        assert_eq!(essence(other.post("/v1/devices", &claim).await.problem(409, "ALREADY_EXISTS")), essence(mine));
        let mut verdicts = Vec::new();
        for portal in [&acme, &other] {
            let headers = [("authorization", portal.bearer()), ("content-type", "application/x-ndjson".into()), ("idempotency-key", "the-same".into())];
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            let got = server.send(Method::POST, "/v1/devices/imports", &headers, claim.to_string()).await;
            assert_eq!((got.status.as_u16(), got.header("idempotency-replayed")), (200, ""), "a key is its client's own");
            verdicts.push(got.text);
        }
        assert_eq!(verdicts[0], verdicts[1]);
        assert!(verdicts[0].contains("ALREADY_EXISTS"));
        server.stop().await;
    }

    /// OES6: two organisations cannot tell from ids that they know the same device, and nobody needs a phone number.
    async fn a_device_is_known_without_its_phone_number(database: Database) {
        let server = Server::on(&database).await;
        let (acme, other) = (server.portal("acme", ALL).await, server.portal("other", ALL).await);
        let new = json!({
            "dmIdentity": "IMEI:490154203237518",
            "identities": [{"type": "IMEI", "value": "490154203237518"}],
            "account": {"serverId": "s", "client": {"auth": "BASIC", "name": "n", "secret": "hush-hush"}},
            "pushAddress": {"type": "SMS", "msisdn": "+491701234567"},
        });
        let made = acme.post("/v1/devices", &new).await;
        let device = made.json()["deviceId"].as_str().unwrap().to_owned();
        assert_eq!(made.header("location"), format!("/v1/devices/{device}"));
        let organisation = acme.organisation;
        let stored = server.store().read(move |tx| tx.devices(organisation, &dmwsi_store::DeviceFilter::default(), None, 10));
        let inside = stored.await.unwrap()[0].id;
        let ids = dmwsi_api::Keys::open(&server.keys.api).unwrap().device_ids;
        assert_eq!(ids.public(acme.organisation, inside).unwrap(), device);
        let theirs = ids.public(other.organisation, inside).unwrap();
        assert!(theirs != device && !device.contains(&inside.uuid().simple().to_string()));
        other.get(&format!("/v1/devices/{theirs}")).await.problem(404, "NOT_FOUND");

        let search = json!({"identity": {"type": "IMEI", "value": "490154203237518"}});
        for shown in [
            made.text,
            acme.get(&format!("/v1/devices/{device}")).await.text,
            acme.get("/v1/devices").await.text,
            acme.post("/v1/devices/search", &search).await.text,
        ] {
            assert!(shown.contains(&device));
            for secret in ["1701234567", "hush-hush"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
        let document = Document::generated();
        for operation in document.operations() {
            let named = operation.parameters().iter().map(|it| it["name"].as_str().unwrap().to_lowercase()).collect::<Vec<_>>().join(" ");
            for personal in ["imei", "msisdn", "identity", "phone", "subscriber"] {
                assert!(!named.contains(personal) && !operation.path.to_lowercase().contains(personal), "{}", operation.name());
            }
        }
        server.stop().await;
    }

    /// OES1: a client that is revoked has no more rights within seconds, though its tokens are still good by themselves.
    async fn a_revoked_client_stops(database: Database) {
        let server = Server::on(&database).await;
        let (client, secret) = server.client("acme", ALL).await;
        let (id, form) = (client.id.to_string(), [("grant_type", "client_credentials")]);
        let token = server.ask_token(Some((&id, &secret)), &form).await.of(200);
        let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
        let list = async || server.send(Method::GET, "/v1/devices", &[("authorization", &bearer)], "").await;
        assert_eq!(list().await.status.as_u16(), 200);
        let now = server.clock.now();
        let revoke = move |tx: &mut dmwsi_store::Tx<'_>| {
            let mut client = tx.client(client.id)?;
            client.revoke(now);
            tx.update_client(&mut client)
        };
        server.store().write(revoke).await.unwrap();
        let refused = server.ask_token(Some((&id, &secret)), &form).await;
        assert_eq!(refused.of(401)["error"], "invalid_client", "no new token at once");
        crate::harness::eventually("the token stops", async || list().await.status.as_u16() == 401).await;
        list().await.problem(401, "UNAUTHENTICATED");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_method_that_is_not_declared_is_refused_with_those_that_are() {
    let server = Server::on(&Database::sqlite()).await;
    let bearer = server.portal("acme", ALL).await.bearer();
    let document = Document::generated();
    let device = format!("dev_{}", "0".repeat(32));
    for operation in document.operations() {
        let declared: Vec<_> =
            document.operations().iter().filter(|it| it.path == operation.path).map(|it| it.method.clone()).collect();
        let mut allowed: Vec<_> = declared.iter().map(Method::as_str).collect();
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        allowed.sort_unstable();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
            if allowed.contains(&method) {
                continue;
            }
            let address = operation.address(NOBODY, &device);
            // `GET /v1/devices/search` asks for a device of that name.
            let fits = |other: &Operation<'_>| {
                let (pattern, segments) = (other.path.split('/'), address.split('/'));
                pattern.clone().count() == segments.clone().count()
                    && pattern.zip(segments).all(|(a, b)| a == b || a.starts_with('{'))
            };
            if document.operations().iter().any(|other| other.path != operation.path && other.method == method && fits(other)) {
                continue;
            }
            let send = async |headers: &[(&str, &str)]| server.send(method.parse().unwrap(), &address, headers, "").await;
            let got = send(&[("authorization", bearer.as_str())]).await;
            got.problem(405, "METHOD_NOT_ALLOWED");
            let mut told: Vec<_> = got.header("allow").split(", ").collect();
            told.sort_unstable();
            assert_eq!(told, allowed, "{method} {}", operation.path);
            if operation.scope().is_some() {
                send(&[]).await.problem(401, "UNAUTHENTICATED");
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn an_address_that_is_not_there_is_told_only_to_who_has_a_token() {
    let server = Server::on(&Database::sqlite()).await;
    let bearer = server.portal("acme", ALL).await.bearer();
    for path in [
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v2/devices",
        "/nothing",
        "/v1/devices/",
        "/v1/jobs/x/y/z",
        "/oauth2",
        "/.well-known/nothing",
        "/docsx",
    ] {
        server.send(Method::GET, path, &[], "").await.problem(401, "UNAUTHENTICATED");
        server.send(Method::GET, path, &[("authorization", &bearer)], "").await.problem(404, "NOT_FOUND");
    }
    for path in
        ["/v1/devices/x", "/v1/devices/dev_x", "/v1/jobs/x", "/v1/jobs/dev_1/executions", "/v1/jobs/%00", "/v1/devices/%ff%fe"]
    {
        server.send(Method::GET, path, &[("authorization", &bearer)], "").await.problem(404, "NOT_FOUND");
    }
    server.stop().await;
}
