//! Devices over HTTP.
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::server::{Got, Portal, Server};

const SCOPES: &str = "devices:read devices:write";
const PATCH: &str = "application/merge-patch+json";

fn device(dm_identity: &str) -> Value {
    json!({"dmIdentity": dm_identity, "account": {"serverId": "dm.example.com", "client": {"auth": "DIGEST", "name": "device-1", "secret": "swordfish"}}})
}

fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

fn path(device: &Value) -> String {
    format!("/v1/devices/{}", device["deviceId"].as_str().unwrap())
}

async fn create(portal: &Portal, body: &Value) -> Value {
    portal.post("/v1/devices", body).await.of(201)
}

async fn patch(portal: &Portal, path: &str, tag: &str, body: &Value) -> Got {
    portal.call(Method::PATCH, path, &[("if-match", tag), ("content-type", PATCH)], Some(body)).await
}

/// The problem's code and the first place it names.
fn problem(got: &Got) -> (u16, String, String) {
    assert_eq!(got.header("content-type"), "application/problem+json", "{}", got.text);
    let body = got.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (got.status.as_u16(), text(&body["code"]), text(&body["errors"][0]["pointer"]))
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["dmIdentity"].as_str().unwrap()).collect()
}

both! {
    /// AD-2, OES3: what was registered is read back, in one form, without its secrets.
    async fn a_device_is_registered_and_read_back_without_its_secrets(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let body = json!({
            "dmIdentity": "IMEI:490154203237518",
            "identities": [{"type": "MAC", "value": "00-1A-2B-3C-4D-5E"}, {"type": "IMEI", "value": "49-015420-323751-8"}],
            "account": {
                "serverId": "dm.example.com",
                "client": {"auth": "DIGEST", "name": "device-1", "secret": "swordfish-1"},
                "server": {"auth": "BASIC", "name": "dm", "secret": "swordfish-2"}
            },
            "pushAddress": {"type": "SMS", "msisdn": "+491701234567"},
            "subscriber": "customer-4711",
            "tags": ["pilot", "north"],
            "facts": {"manufacturer": "Acme", "model": "X1"}
        });
        let got = portal.post("/v1/devices", &body).await;
        assert_eq!((got.status.as_u16(), got.header("etag")), (201, "\"1\""));
        let correlator = got.header("x-correlator").to_owned();
        let made = got.json();
        assert_eq!(got.header("location"), path(&made));
        assert_eq!(made["identities"], json!([{"type": "IMEI", "value": "490154203237518"}, {"type": "MAC", "value": "00:1a:2b:3c:4d:5e"}]));
        assert_eq!(made["account"]["server"], json!({"auth": "BASIC", "name": "dm"}));
        assert_eq!(made["pushAddress"], json!({"type": "SMS", "msisdn": "***********67"}));
        assert_eq!((&made["tags"], &made["facts"]["model"]), (&json!(["north", "pilot"]), &json!("X1")));
        assert_eq!(made["createdAt"], made["updatedAt"]);
        assert!(made.get("lastSeenAt").is_none());

        let got = portal.get(&path(&made)).await;
        assert_eq!((got.header("etag"), got.header("cache-control")), ("\"1\"", "no-store"));
        assert!(!got.text.contains("swordfish"));
        assert_eq!(got.json(), made);
        let same = portal.call(Method::GET, &path(&made), &[("if-none-match", "\"1\"")], None).await;
        assert_eq!((same.status.as_u16(), same.text.as_str()), (304, ""));

        let stored = match database.is_postgres() {
            true => "SELECT encode(client_secret, 'escape') || encode(server_secret, 'escape') AS line FROM devices",
            false => "SELECT hex(client_secret) || hex(server_secret) AS line FROM devices",
        };
        let stored = database.lines(stored).concat();
        assert!(!stored.contains("swordfish") && !stored.contains("73776F7264"), "{stored}");
        let told = database.lines("SELECT type || ' ' || revision || ' ' || correlator AS line FROM events");
        assert_eq!(told, [format!("dmwsi.v1.device-created 1 {correlator}")]);
        server.stop().await;
    }

    /// A field that is not known, or not of its form, is told with its place.
    async fn what_is_wrong_with_a_device_is_told_with_its_place(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let account = |client: Value| with(device("a"), "account", json!({"serverId": "dm", "client": client}));
        for (body, pointer) in [
            (with(device("a"), "colour", "red"), "/colour"),
            (with(device("a"), "identities", json!([{"type": "IMEI", "value": "490154203237517"}])), "/identities/0"),
            (with(device("a"), "tags", json!(["a", "a"])), "/tags"),
            (with(device("a"), "facts", json!({"colour": "red"})), "/facts/colour"),
            (with(device("a"), "pushAddress", json!({"type": "NONE", "url": "x"})), "/pushAddress/url"),
            (account(json!({"auth": "SECURID", "name": "n", "secret": "s"})), "/account/client/auth"),
            (account(json!({"auth": "HMAC", "name": "n"})), "/account/client/secret"),
            (account(json!({"auth": "TRANSPORT", "name": "n", "secret": "s"})), "/account/client"),
            (account(json!({"auth": "BASIC", "name": "n", "secret": 24_680})), "/account/client/secret"),
            (account(json!({"auth": "BASIC", "name": "n"})), "/account/client/secret"),
            (with(device("a"), "dmIdentity", ""), "/dmIdentity"),
            (json!({}), "/dmIdentity"),
        ] {
            let got = portal.post("/v1/devices", &body).await;
            assert_eq!(problem(&got), (400, "INVALID_ARGUMENT".to_owned(), pointer.to_owned()), "{}", got.text);
            assert!(!got.text.contains("24680"), "a secret is never quoted");
        }
        assert_eq!(portal.get("/v1/devices").await.of(200), json!({"items": []}));
        server.stop().await;
    }

    /// OES6: another organisation's device is not there, and its identities are taken like one's own.
    async fn organisations_never_see_each_others_devices(database: Database) {
        let server = Server::on(&database).await;
        let (acme, other) = (server.portal("acme", SCOPES).await, server.portal("other", SCOPES).await);
        let imei = json!([{"type": "IMEI", "value": "490154203237518"}]);
        let made = create(&acme, &with(device("a"), "identities", imei.clone())).await;
        for portal in [&acme, &other] {
            let same_name = portal.post("/v1/devices", &device("a")).await;
            let same_number = portal.post("/v1/devices", &with(device("b"), "identities", imei.clone())).await;
            for got in [same_name, same_number] {
                assert_eq!(problem(&got).1, "ALREADY_EXISTS");
                assert_eq!(got.status.as_u16(), 409);
            }
        }
        assert_eq!(problem(&other.get(&path(&made)).await).1, "NOT_FOUND");
        assert_eq!(problem(&patch(&other, &path(&made), "*", &json!({})).await).1, "NOT_FOUND");
        assert_eq!(problem(&other.call(Method::DELETE, &path(&made), &[("if-match", "*")], None).await).1, "NOT_FOUND");
        assert_eq!(other.get("/v1/devices").await.of(200)["items"], json!([]));
        for search in [json!({"dmIdentity": "a"}), json!({"identity": imei[0]})] {
            assert_eq!(other.post("/v1/devices/search", &search).await.of(200)["items"], json!([]));
            assert_eq!(ids(&acme.post("/v1/devices/search", &search).await.of(200)), ["a"]);
        }
        for wrong in ["dev_00000000000000000000000000000000", "dev_x", "a"] {
            assert_eq!(problem(&acme.get(&format!("/v1/devices/{wrong}")).await).1, "NOT_FOUND", "{wrong}");
        }
        server.stop().await;
    }

    /// Filters and pages.
    async fn a_list_is_filtered_and_goes_on_where_its_page_ended(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        for n in 0..5 {
            let facts = json!({"manufacturer": "Acme", "model": if n % 2 == 0 { "X1" } else { "X2" }, "firmwareVersion": format!("{n}")});
            let body = with(with(device(&format!("d{n}")), "facts", facts), "tags", json!([format!("tag {n}"), "Pilot"]));
            create(&portal, &with(body, "subscriber", format!("s{}", n / 2))).await;
        }
        let list = async |query: &str| portal.get(&format!("/v1/devices?{query}")).await.of(200);
        assert_eq!(ids(&list("").await), ["d0", "d1", "d2", "d3", "d4"]);
        assert_eq!(ids(&list("manufacturer=Acme&model=X2").await), ["d1", "d3"]);
        assert_eq!(ids(&list("model=X1&firmwareVersion=4").await), ["d4"]);
        assert_eq!(ids(&list("tag=tag%203").await), ["d3"]);
        assert_eq!(ids(&list("tag=tag").await), [""; 0], "a part of a tag is none");
        assert_eq!(ids(&list("tag=pilot").await), [""; 0], "case counts");
        let first = list("model=X1&perPage=2").await;
        assert_eq!(ids(&first), ["d0", "d2"]);
        let cursor = first["nextCursor"].as_str().unwrap();
        let last = list(&format!("model=X1&perPage=2&cursor={cursor}")).await;
        assert_eq!((ids(&last), last.get("nextCursor")), (vec!["d4"], None));
        let wrong = portal.get(&format!("/v1/devices?model=X2&cursor={cursor}")).await;
        assert_eq!(problem(&wrong).1, "INVALID_ARGUMENT", "the cursor belongs to other filters");
        for wrong in ["colour=red", "perPage=0", "perPage=101", "subscriber=s0", "tag="] {
            assert_eq!(portal.get(&format!("/v1/devices?{wrong}")).await.status.as_u16(), 400, "{wrong}");
        }
        let search = async |body: Value| portal.post("/v1/devices/search", &body).await;
        let first = search(json!({"subscriber": "s0", "perPage": 1})).await.of(200);
        assert_eq!(ids(&first), ["d0"]);
        let next = json!({"subscriber": "s0", "perPage": 1, "cursor": first["nextCursor"]});
        assert_eq!(ids(&search(next).await.of(200)), ["d1"]);
        for wrong in [json!({}), json!({"subscriber": "s", "dmIdentity": "d"}), json!({"imei": "1"})] {
            assert_eq!(search(wrong.clone()).await.status.as_u16(), 400, "{wrong}");
        }
        server.stop().await;
    }

    /// 428, 412, merge patch.
    async fn a_change_is_decided_on_a_revision_and_changes_what_it_names(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let body = with(with(device("a"), "tags", json!(["a"])), "subscriber", "s");
        let made = create(&portal, &with(body, "identities", json!([{"type": "SERIAL_NUMBER", "value": "1"}]))).await;
        create(&portal, &with(device("b"), "identities", json!([{"type": "SERIAL_NUMBER", "value": "2"}]))).await;
        let at = path(&made);

        let without = portal.call(Method::PATCH, &at, &[("content-type", PATCH)], Some(&json!({}))).await;
        assert_eq!((without.status.as_u16(), problem(&without).1.as_str()), (428, "PRECONDITION_REQUIRED"));
        let stale = patch(&portal, &at, "\"7\"", &json!({})).await;
        assert_eq!((stale.status.as_u16(), problem(&stale).1.as_str()), (412, "FAILED_PRECONDITION"));
        let json_type = portal.call(Method::PATCH, &at, &[("if-match", "*")], Some(&json!({}))).await;
        assert_eq!((json_type.status.as_u16(), json_type.header("accept-patch")), (415, PATCH));

        let secrets = || database.lines("SELECT CAST(LENGTH(client_secret) AS TEXT) AS line FROM devices WHERE dm_identity = 'c'");
        let change = json!({"dmIdentity": "c", "subscriber": null, "tags": ["b"], "pushAddress": {"type": "UDP", "host": "device-7.example.com", "port": 2948},
            "identities": [{"type": "SERIAL_NUMBER", "value": "3"}], "account": {"client": {"secret": "a longer secret"}}});
        let got = patch(&portal, &at, "\"1\"", &change).await;
        assert_eq!((got.status.as_u16(), got.header("etag")), (200, "\"2\""), "{}", got.text);
        let now = got.json();
        assert_eq!((&now["dmIdentity"], &now["tags"], now.get("subscriber")), (&json!("c"), &json!(["b"]), None));
        assert_eq!(now["account"], made["account"], "only the secret is another");
        assert_eq!(secrets(), [(5 + 12 + 16 + "a longer secret".len()).to_string()]);
        assert_eq!(portal.get(&at).await.json(), now);
        let same = patch(&portal, &at, "\"2\"", &json!({"tags": ["b"]})).await;
        assert_eq!((same.status.as_u16(), same.header("etag")), (200, "\"2\""), "nothing changed");

        for taken in [json!({"dmIdentity": "b"}), json!({"identities": [{"type": "SERIAL_NUMBER", "value": "2"}]})] {
            assert_eq!(problem(&patch(&portal, &at, "\"2\"", &taken).await).1, "ALREADY_EXISTS");
        }
        for (wrong, pointer) in [(json!({"account": null}), "/account"), (json!({"facts": {}}), "/facts"), (json!({"tags": [""]}), "/tags/0")] {
            assert_eq!(problem(&patch(&portal, &at, "\"2\"", &wrong).await), (400, "INVALID_ARGUMENT".to_owned(), pointer.to_owned()));
        }
        let events = database.lines("SELECT type || ' ' || revision AS line FROM events ORDER BY id");
        assert_eq!(events, ["dmwsi.v1.device-created 1", "dmwsi.v1.device-created 1", "dmwsi.v1.device-updated 2"]);

        // Of two who decide on the same revision one is told to read again.
        let (one, other) = (json!({"subscriber": "one"}), json!({"subscriber": "other"}));
        let (one, other) = tokio::join!(patch(&portal, &at, "\"2\"", &one), patch(&portal, &at, "\"2\"", &other));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412]);
        server.stop().await;
    }

    /// Deletion frees the identities.
    async fn a_deleted_device_is_gone_and_its_identities_are_free(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let body = with(device("a"), "identities", json!([{"type": "SERIAL_NUMBER", "value": "1"}]));
        let at = path(&create(&portal, &body).await);
        assert_eq!(portal.call(Method::DELETE, &at, &[], None).await.status.as_u16(), 428);
        assert_eq!(portal.call(Method::DELETE, &at, &[("if-match", "\"2\"")], None).await.status.as_u16(), 412);
        let gone = portal.call(Method::DELETE, &at, &[("if-match", "\"1\"")], None).await;
        assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
        assert_eq!(portal.get(&at).await.status.as_u16(), 404);
        assert_eq!(portal.call(Method::DELETE, &at, &[("if-match", "*")], None).await.status.as_u16(), 404);
        create(&portal, &body).await;
        let events = database.lines("SELECT type || ' ' || revision AS line FROM events ORDER BY id");
        assert_eq!(events, ["dmwsi.v1.device-created 1", "dmwsi.v1.device-deleted 2", "dmwsi.v1.device-created 1"]);
        server.stop().await;
    }

    /// The same key, the same device; another body, 422; and nobody acts without the scope.
    async fn a_repeated_registration_makes_one_device_and_needs_its_scope(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let post = async |body: &Value| portal.call(Method::POST, "/v1/devices", &[("idempotency-key", "k-1")], Some(body)).await;
        let first = post(&device("a")).await;
        let again = post(&device("a")).await;
        assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, "true"));
        assert_eq!((again.header("location"), &again.text), (first.header("location"), &first.text));
        assert_eq!(problem(&post(&device("b")).await).1, "IDEMPOTENCY_KEY_REUSED");
        let reader = server.portal("acme", "devices:read").await;
        let at = path(&first.json());
        assert_eq!(reader.get(&at).await.status.as_u16(), 200, "the organisation's clients share its devices");
        assert_eq!(problem(&reader.post("/v1/devices", &device("c")).await).1, "PERMISSION_DENIED");
        assert_eq!(problem(&patch(&reader, &at, "*", &json!({})).await).1, "PERMISSION_DENIED");
        let writer = server.portal("acme", "devices:write").await;
        assert_eq!(problem(&writer.get(&at).await).1, "PERMISSION_DENIED");
        assert_eq!(problem(&writer.post("/v1/devices/search", &json!({"dmIdentity": "a"})).await).1, "PERMISSION_DENIED");
        server.stop().await;
    }
}
