//! Secrets of devices that are changed over the air.
use std::fs;

use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_objects::dmacc::AuthType;
use dmwsi_objects::{NodeUri, StatusCode, Value as NodeValue};
use dmwsi_protocol::device::{Access, End};
use dmwsi_protocol::encoding::Encoding;
use dmwsi_simulator::Behaviour;
use dmwsi_store::DatabaseUrl;
use serde_json::{Value, json};

use crate::harness::handset::{Handset, SCOPES, execution, job, outcome};
use crate::harness::process::Process;
use crate::harness::server::{Portal, Server};
use crate::harness::{Database, eventually};
use crate::sessions::{messages, sessions, trace};

/// Where a device has its secret.
pub(crate) const SECRET: &str = "./DMAcc/1/AppAuth/C/AAuthSecret";

/// Every way that has a secret, and the encoding in which it is tried.
const WAYS: [(AuthType, Encoding); 3] =
    [(AuthType::Basic, Encoding::Xml), (AuthType::Digest, Encoding::Wbxml), (AuthType::Hmac, Encoding::Xml)];

fn rotate() -> Value {
    json!({"type": "SECRET_ROTATE"})
}

/// Server and portal, where one wrong try shuts the door for long.
async fn strict(database: &Database) -> (Server, Portal) {
    let server = Server::with(database, Keys::mint().unwrap(), Clock::System, |config| {
        config.gateway.details_days = 0;
        config.gateway.max_failed_tries = 1;
    })
    .await;
    let portal = server.portal("acme", &format!("{SCOPES} devices:bootstrap devices:trace events:read")).await;
    (server, portal)
}

/// The secret that the device was given and does not use yet.
fn given(handset: &Handset) -> String {
    handset.device.tree().text(SECRET).unwrap().to_owned()
}

/// The states of the secrets that were offered.
pub(crate) fn pending(database: &Database) -> Vec<String> {
    database.lines("SELECT state AS line FROM secret_rotations")
}

/// Whether that text, or its bytes, stand anywhere in the database as they are.
pub(crate) fn stands_in(database: &Database, text: &str) -> bool {
    match &database.url {
        DatabaseUrl::Sqlite(path) => ["", "-wal"].iter().any(|end| {
            let octets = fs::read(format!("{}{end}", path.display())).unwrap_or_default();
            octets.windows(text.len()).any(|part| part == text.as_bytes())
        }),
        DatabaseUrl::Postgres(_) => {
            let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            let tables =
                database.lines("SELECT table_name::text AS line FROM information_schema.tables WHERE table_schema = 'public'");
            let rows = |table: &String| database.lines(&format!("SELECT one::text AS line FROM {table} one"));
            tables.iter().flat_map(rows).any(|row| row.contains(text) || row.contains(&hex))
        }
    }
}

/// Everything that the portal can be shown of the device and the job.
async fn shown(portal: &Portal, id: &str, job: &str) -> String {
    let mut all = String::new();
    let paths = [
        job.to_owned(),
        format!("{job}/results"),
        format!("{job}/executions/{id}"),
        format!("{job}/executions/{id}/results"),
        format!("/v1/devices/{id}"),
        format!("/v1/devices/{id}/tree?perPage=100"),
        format!("/v1/devices/{id}/profile"),
        "/v1/events?perPage=100".to_owned(),
    ];
    for path in paths {
        all += &portal.get(&path).await.of(200).to_string();
    }
    for session in sessions(portal, id).await {
        all += &json!(messages(portal, id, &session).await).to_string();
    }
    all
}

async fn revision(portal: &Portal, id: &str) -> String {
    portal.get(&format!("/v1/devices/{id}")).await.header("etag").to_owned()
}

both! {
    /// S-AU-07, AD-6: whichever way the device proves itself, it comes again with the new secret without another challenge, the old one lets nobody in, and
    /// the new one is shown to nobody and kept sealed.
    async fn a_device_is_given_another_secret_and_the_old_one_is_over(database: Database) {
        let (server, portal) = strict(&database).await;
        for (client_auth, encoding) in WAYS {
            let behaviour = Behaviour { client_auth, encoding, ..Behaviour::default() };
            let mut handset = Handset::register(&portal, server.url(), behaviour).await;
            let id = handset.id.clone();
            trace(&server, &portal, &id).await;
            let job = job(&portal, &id, &rotate()).await;
            let first = handset.device.check_in().await.unwrap();
            assert_eq!(outcome(&portal, &job, &id).await, ("SUCCEEDED".to_owned(), "ROTATED".to_owned()), "{first:?}");
            let (secret, before) = (given(&handset), revision(&portal, &id).await);
            assert!(secret.len() == 32 && secret.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c)), "{secret}");
            assert_eq!(pending(&database), ["TAKEN"], "{client_auth:?}");

            let report = handset.device.check_in().await.unwrap();
            assert_eq!(handset.device.account().client_secret, secret);
            assert!(report.authenticated && report.verdicts.iter().all(|code| code.is_success()), "{client_auth:?} {report:?}");
            assert!(pending(&database).is_empty());
            assert_ne!(revision(&portal, &id).await, before, "the account was changed");
            eventually("the change is told", async || {
                let told = portal.get("/v1/events?types=dmwsi.v1.device-updated&perPage=100").await.of(200);
                told["items"].as_array().unwrap().iter().any(|one| one["data"]["deviceId"] == id.as_str())
            })
            .await;
            let said = shown(&portal, &id, &job).await;
            assert!(said.contains(SECRET) && said.contains("***"), "{said}");
            assert!(!said.contains(&secret), "{secret} in {said}");
            assert!(stands_in(&database, "SECRET_ROTATE"), "nothing is looked at");
            assert!(!stands_in(&database, &secret));
            let strangers = server.store().read(|tx| tx.strangers(10)).await.unwrap();
            assert!(strangers.iter().all(|one| one.dm_identity != handset.device.profile().device), "it did nothing wrong");

            // By the old one nobody is let in, by the new one the device still is.
            let mut old = handset.device.clone();
            old.account_mut().client_secret = old.profile().client_secret.clone();
            let refused = old.check_in().await.unwrap();
            assert_eq!((refused.end, refused.authenticated), (End::Refused(StatusCode(401)), false), "{client_auth:?}");
            database.execute("UPDATE devices SET failed_tries = 0");
            assert!(handset.device.check_in().await.unwrap().authenticated);
        }
        server.stop().await;
    }

    /// S-AU-07, AD-6: a device that took the secret, and whose word of that was lost, is let in by it at once, also where one wrong try would shut it out;
    /// its job ends well.
    async fn a_device_is_let_in_by_a_secret_that_it_was_not_heard_to_take(database: Database) {
        let (server, portal) = strict(&database).await;
        for (client_auth, encoding) in WAYS {
            for each in [false, true] {
                let behaviour =
                    Behaviour { client_auth, encoding, server_each: each, drop_after_secret: true, ..Behaviour::default() };
                let mut handset = Handset::register(&portal, server.url(), behaviour).await;
                let id = handset.id.clone();
                let job = job(&portal, &id, &rotate()).await;
                handset.device.check_in().await.unwrap_err();
                let secret = given(&handset);
                assert_eq!((pending(&database), execution(&portal, &job, &id).await["state"].clone()), (vec!["OFFERED".to_owned()], json!("RUNNING")));
                assert!(!stands_in(&database, &secret), "also while its answer is awaited");
                // Some have lost the nonce as well.
                let is_lost = each && client_auth != AuthType::Basic;
                if is_lost {
                    handset.device.account_mut().client_nonce = vec![0; 4];
                }
                let report = handset.device.check_in().await.unwrap();
                let refused = report.verdicts.iter().filter(|code| !code.is_success()).count();
                assert!(report.authenticated && refused == usize::from(is_lost), "{client_auth:?} {report:?}");
                assert_eq!((handset.device.account().client_secret.clone(), given(&handset)), (secret.clone(), String::new()));
                assert_eq!(outcome(&portal, &job, &id).await, ("SUCCEEDED".to_owned(), "ROTATED".to_owned()));
                assert!(pending(&database).is_empty() && !stands_in(&database, &secret));
                assert_eq!(database.lines("SELECT dm_identity AS line FROM strangers"), [""; 0], "it did nothing wrong");
                let results = portal.get(&format!("{job}/executions/{id}/results")).await.of(200);
                assert_eq!((&results["results"][0]["node"], &results["results"][0]["outcome"]), (&json!(SECRET), &json!("DONE")));
            }
        }
        server.stop().await;
    }

    /// S-AU-07, AD-12, OES3: so it is where the server was killed with the secret out; nor does its log hold the secret when it says most.
    async fn a_secret_outlives_a_server_that_is_killed_with_it_out(database: Database) {
        let store = database.store().await;
        let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
        let (client, key) = add(&store, &Clock::System, new).await.unwrap();
        let keys = toml::to_string(&Keys::mint().unwrap()).unwrap();
        for (client_auth, encoding) in WAYS {
            let most = [("DMWSI__LOG__FILTER", "debug,h2=info,hyper=info")];
            let mut process = Process::serve_as(&database, &keys, "all", &most);
            let portal = Portal::log_in(&process.base, &client, &key).await;
            let behaviour = Behaviour { client_auth, encoding, drop_after_secret: true, ..Behaviour::default() };
            let mut handset = Handset::register(&portal, &process.base, behaviour).await;
            let job = job(&portal, &handset.id, &rotate()).await;
            handset.device.check_in().await.unwrap_err();
            let (secret, mut log) = (given(&handset), process.said());
            process.kill();
            process = Process::serve_as(&database, &keys, "all", &most);
            handset.device.account_mut().server_url = format!("{}/dm", process.base);
            let report = handset.device.check_in().await.unwrap();
            assert!(report.authenticated, "{client_auth:?} {report:?}");
            let portal = Portal::log_in(&process.base, &client, &key).await;
            assert_eq!(outcome(&portal, &job, &handset.id).await, ("SUCCEEDED".to_owned(), "ROTATED".to_owned()));
            assert!(pending(&database).is_empty());
            log += &process.said();
            assert!(log.contains("/v1/jobs"), "it logs nothing: {log}");
            assert!(!log.contains(&secret), "{secret} stands in the log");
        }
    }

    /// S-AU-07: a device that does not take another secret keeps the one that it has.
    async fn a_device_that_refuses_a_secret_keeps_its_own(database: Database) {
        let (server, portal) = strict(&database).await;
        for (client_auth, encoding) in WAYS {
            let behaviour = Behaviour { client_auth, encoding, ..Behaviour::default() };
            let mut handset = Handset::register(&portal, server.url(), behaviour).await;
            handset.device.tree_mut().put(&NodeUri::parse(SECRET).unwrap(), NodeValue::text(""), Access::NONE);
            let job = job(&portal, &handset.id, &rotate()).await;
            handset.device.check_in().await.unwrap();
            assert_eq!(outcome(&portal, &job, &handset.id).await, ("FAILED".to_owned(), "NOT_ROTATED".to_owned()));
            assert!(pending(&database).is_empty() && given(&handset).is_empty());
            let report = handset.device.check_in().await.unwrap();
            assert!(report.authenticated && report.verdicts.iter().all(|code| code.is_success()), "{report:?}");
        }
        server.stop().await;
    }
}
