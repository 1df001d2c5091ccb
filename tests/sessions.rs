//! What is written down of sessions, and what was said in them.
use std::time::Duration;

use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_simulator::Behaviour;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::handset::{Handset, SCOPES, ended, job};
use crate::harness::server::{Portal, Server};

/// The sessions that are written down, the latest first.
pub(crate) async fn sessions(portal: &Portal, device: &str) -> Vec<Value> {
    portal.get(&format!("/v1/devices/{device}/sessions?perPage=100")).await.of(200)["items"].as_array().unwrap().clone()
}

/// Has what is said with the device kept for an hour.
pub(crate) async fn trace(server: &Server, portal: &Portal, device: &str) -> Value {
    let until = server.clock.now().plus(Duration::from_secs(3_600));
    let path = format!("/v1/devices/{device}/tracing");
    portal.call(Method::PUT, &path, &[("if-match", "*")], Some(&json!({"until": until}))).await.of(200)
}

/// What was said in a session.
pub(crate) async fn messages(portal: &Portal, device: &str, session: &Value) -> Vec<Value> {
    let id = session["sessionId"].as_str().unwrap();
    portal.get(&format!("/v1/devices/{device}/sessions/{id}/messages")).await.of(200)["items"].as_array().unwrap().clone()
}

async fn server(database: &crate::harness::Database) -> Server {
    Server::with(database, Keys::mint().unwrap(), Clock::System, |config| {
        config.gateway.details_days = 0;
        config.gateway.name = "gateway-1".to_owned();
    })
    .await
}

both! {
    /// AD-12, EI3: sessions with work are written down with how they went, the latest first, and idle ones are not.
    async fn sessions_with_work_are_written_down_and_idle_ones_are_not(database: Database) {
        let server = server(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let id = handset.id.clone();
        for _ in 0..3 {
            handset.device.check_in().await.unwrap();
        }
        assert!(sessions(&portal, &id).await.is_empty());
        let mut jobs = Vec::new();
        for _ in 0..2 {
            let job = job(&portal, &id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man", "./DevInfo/Mod"]})).await;
            handset.device.check_in().await.unwrap();
            ended(&portal, &job).await;
            jobs.push(job.rsplit('/').next().unwrap().to_owned());
        }
        let all = sessions(&portal, &id).await;
        assert_eq!(all.iter().map(|one| one["jobIds"].clone()).collect::<Vec<_>>(), [json!([jobs[1]]), json!([jobs[0]])]);
        let one = &all[0];
        for (field, value) in [
            ("ending", json!("COMPLETED")), ("authentication", json!("ACCEPTED")), ("authenticatedBy", json!("DIGEST")),
            ("gateway", json!("gateway-1")), ("encoding", json!("XML")), ("protocol", json!("DM/1.2")), ("messages", json!(2)),
            ("commands", json!(2)), ("alerts", json!(0)), ("initiatedBy", json!("DEVICE")), ("tracedMessages", json!(0)),
        ] {
            assert_eq!(one[field], value, "{field} of {one}");
        }
        assert!(one["fault"].is_null() && one["endedAt"].is_string() && one["bytesSent"].as_u64() > Some(500), "{one}");
        let path = format!("/v1/devices/{id}/sessions/{}", one["sessionId"].as_str().unwrap());
        assert_eq!(portal.get(&path).await.of(200), *one);
        // Pages go on where they stopped.
        let first = portal.get(&format!("/v1/devices/{id}/sessions?perPage=1")).await;
        let link = first.header("link").to_owned();
        let next = link.strip_prefix('<').and_then(|rest| rest.split_once('>')).unwrap().0.to_owned();
        assert_eq!((&first.json()["items"][0], &portal.get(&next).await.of(200)["items"][0]), (one, &all[1]));
        // Others of the organisation do not learn whose job it was, and other organisations nothing.
        let colleague = server.portal("acme", "devices:read").await;
        assert_eq!(colleague.get(&path).await.of(200)["jobIds"], json!([]));
        let other = server.portal("umbrella", "devices:read devices:trace").await;
        other.get(&path).await.problem(404, "NOT_FOUND");
        other.get(&format!("/v1/devices/{id}/sessions")).await.problem(404, "NOT_FOUND");
        server.stop().await;
    }

    /// AD-12, OES3: what is said is kept only while somebody wants to see it, without secrets, and sealed.
    async fn what_is_said_is_kept_where_that_was_asked_for_and_without_secrets(database: Database) {
        let server = server(&database).await;
        let portal = server.portal("acme", &format!("{SCOPES} devices:trace")).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let id = handset.id.clone();
        let path = format!("/v1/devices/{id}/tracing");
        assert_eq!(portal.get(&path).await.of(200)["isOn"], false);
        portal.call(Method::PUT, &path, &[("if-match", "*")], Some(&json!({"until": "2020-01-01T00:00:00Z"}))).await.problem(400, "OUT_OF_RANGE");
        let reader = server.portal("acme", "devices:read devices:write").await;
        reader.call(Method::PUT, &path, &[("if-match", "*")], Some(&json!({"until": "2120-01-01T00:00:00Z"}))).await.problem(403, "PERMISSION_DENIED");
        assert_eq!(trace(&server, &portal, &id).await["isOn"], true);
        // Even an idle check-in is seen now.
        handset.device.check_in().await.unwrap();
        let idle = sessions(&portal, &id).await;
        assert_eq!((idle.len(), &idle[0]["ending"]), (1, &json!("COMPLETED")), "{idle:?}");
        let add = json!({"type": "NODES_ADD", "nodes": [
            {"node": "./Vendor/Test/Name", "value": "plain-word"},
            {"node": "./Vendor/Test/Password", "value": "hidden-word"},
        ]});
        let job = job(&portal, &id, &add).await;
        handset.device.check_in().await.unwrap();
        ended(&portal, &job).await;
        let session = sessions(&portal, &id).await.remove(0);
        assert_eq!((&session["tracedMessages"], &session["jobIds"].as_array().unwrap().len()), (&json!(2), &1));
        let said = messages(&portal, &id, &session).await;
        assert_eq!(said.iter().map(|one| one["number"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
        let text = json!(said).to_string();
        assert!(text.contains("plain-word") && text.contains("./Vendor/Test/Password") && text.contains("***"), "{text}");
        for secret in ["hidden-word", "/dm?s=A", handset.device.profile().client_secret.as_str()] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        let header = |of: &Value| of["SyncML"][0]["SyncHdr"].clone();
        assert!(header(&said[0]["received"]).is_array() && header(&said[1]["sent"]).is_array(), "{text}");
        let next_nonce = text.split("\"NextNonce\":").skip(1).all(|rest| rest.starts_with("\"***\""));
        assert!(next_nonce, "{text}");
        let hex = if database.is_postgres() { "encode(document, 'hex')" } else { "lower(hex(document))" };
        let stored = database.lines(&format!("SELECT {hex} AS line FROM session_messages"));
        let word: String = "plain-word".bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(stored.len() >= 3 && stored.iter().all(|row| !row.contains(&word)));
        let told = portal.get(&path).await.of(200);
        assert!(told["messages"].as_u64() >= Some(3) && told["bytes"].as_u64() > Some(1_000), "{told}");
        // Whoever may only read devices sees the sessions, not what was said.
        let at = format!("/v1/devices/{id}/sessions/{}/messages", session["sessionId"].as_str().unwrap());
        reader.get(&at).await.problem(403, "PERMISSION_DENIED");
        assert_eq!(portal.call(Method::DELETE, &path, &[("if-match", "*")], None).await.status.as_u16(), 204);
        let before = sessions(&portal, &id).await.len();
        handset.device.check_in().await.unwrap();
        assert_eq!(sessions(&portal, &id).await.len(), before);
        assert_eq!(messages(&portal, &id, &session).await, said, "what was kept stays");
        server.stop().await;
    }

    /// AD-12: what came again and was told the same stands in the trace once, with how often, whether the session had work or not.
    async fn what_is_said_twice_is_kept_once_and_counted(database: Database) {
        let server = server(&database).await;
        let portal = server.portal("acme", &format!("{SCOPES} devices:trace")).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour { send_twice: true, ..Behaviour::default() }).await;
        let id = handset.id.clone();
        handset.device.check_in().await.unwrap();
        trace(&server, &portal, &id).await;
        handset.device.check_in().await.unwrap();
        let job = job(&portal, &id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
        handset.device.check_in().await.unwrap();
        ended(&portal, &job).await;
        let all = sessions(&portal, &id).await;
        assert_eq!(all.iter().map(|one| one["messages"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 1], "{all:?}");
        for session in &all {
            let said = messages(&portal, &id, session).await;
            assert!(said.iter().all(|one| one["repeats"] == 1), "{said:?}");
        }
        server.stop().await;
    }

    /// AD-12: records are forgotten with what was said, and those that nobody ends are ended.
    async fn records_end_and_are_forgotten_in_their_time(database: Database) {
        let server = server(&database).await;
        let portal = server.portal("acme", &format!("{SCOPES} devices:trace")).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let id = handset.id.clone();
        trace(&server, &portal, &id).await;
        for _ in 0..2 {
            handset.device.check_in().await.unwrap();
        }
        assert_eq!(sessions(&portal, &id).await.len(), 2);
        database.execute("UPDATE session_records SET ended_at = NULL, ended_as = NULL");
        let (store, now) = (server.store(), server.clock.now());
        let before = now.minus(Duration::from_secs(60));
        assert_eq!(store.write(move |tx| tx.end_silent_records(before, 100, now)).await.unwrap(), 0);
        assert_eq!(store.write(move |tx| tx.end_silent_records(now, 100, now)).await.unwrap(), 2);
        let all = sessions(&portal, &id).await;
        assert!(all.iter().all(|one| one["ending"] == "SILENT" && one["fault"]["code"] == "SILENT"), "{all:?}");
        assert_eq!(store.write(move |tx| tx.forget_session_records(before, 100)).await.unwrap(), 0);
        assert_eq!(store.write(move |tx| tx.forget_session_records(now, 1)).await.unwrap(), 1);
        assert_eq!(store.write(move |tx| tx.forget_session_records(now, 100)).await.unwrap(), 1);
        assert!(sessions(&portal, &id).await.is_empty());
        assert!(database.lines("SELECT record_id AS line FROM session_messages").is_empty());
        server.stop().await;
    }
}
