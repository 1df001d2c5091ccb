//! What a device told of itself stands in events for whoever asks for it, and for nobody else.
use dmwsi_simulator::Behaviour;
use serde_json::{Value, json};

use crate::firmware_deliverable::firmware;
use crate::harness::eventually;
use crate::harness::handset::{Handset, ended, execution, job, update};
use crate::harness::receiver::Receiver;
use crate::harness::server::Server;
use crate::subscriptions::{subscribe, wanted};

const SCOPES: &str = "containers:read containers:write devices:read devices:write events:read jobs:read jobs:write subscriptions:read \
    subscriptions:write";

both! {
    /// AD-10, OES6: why an execution ended may quote a node. It stands in the execution, and in events for which the full payload was asked.
    async fn how_an_execution_ended_is_told_without_what_the_device_said(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let (thin, full) = (Receiver::taking().await, Receiver::taking().await);
        let mut new = wanted(&thin.url, &["execution-finished"]);
        subscribe(&portal, &new).await;
        new["sink"] = json!(full.url);
        new["config"]["payload"] = json!("FULL");
        subscribe(&portal, &new).await;
        let (_, strange) = firmware(&portal, 1, &json!({"targets": [{"manufacturer": "Other", "models": ["*"]}]})).await;
        let mut older = update("https://d.example/p", "2.0.0");
        older["precursor"] = json!({"version": "0.9.7"});
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let device = handset.id.clone();
        let cases = [
            (json!({"type": "FIRMWARE_UPDATE", "deliverableId": strange}), "it is for the manufacturer Other, not Acme", "Acme"),
            (older, "it turns exactly version 0.9.7 into the new one, not 1.0.0", "1.0.0"),
        ];
        for (count, (operation, detail, value)) in (1..).zip(cases) {
            let path = job(&portal, &device, &operation).await;
            handset.device.check_in().await.unwrap();
            ended(&portal, &path).await;
            assert_eq!(execution(&portal, &path, &device).await["detail"], detail, "who may read the execution reads why");
            eventually("all is told", async || server.store().read(|tx| tx.unnumbered_after(None)).await.unwrap().is_none()).await;
            let id = path.rsplit('/').next().unwrap();
            let finished = async |query: &str| -> Value {
                let page = portal.get(&format!("/v1/events?jobId={id}&types=dmwsi.v1.execution-finished{query}")).await.of(200);
                page["items"][0].clone()
            };
            let (of_thin, of_full) = (finished("").await, finished("&payload=FULL").await);
            assert!(of_thin["data"]["outcome"].is_string() && !of_thin.to_string().contains(value), "{of_thin}");
            assert_eq!(of_full["data"]["detail"], detail);
            let stream = reqwest::Client::new().get(format!("{}{path}/events", server.url())).header("authorization", portal.bearer());
            let stream = stream.send().await.unwrap().text().await.unwrap();
            assert!(stream.contains("execution-finished") && !stream.contains(value), "{stream}");
            let last = |receiver: &Receiver| receiver.of("execution-finished")[count - 1].event();
            thin.heard("execution-finished", count).await;
            full.heard("execution-finished", count).await;
            assert!(!last(&thin).to_string().contains(value), "{}", last(&thin));
            assert_eq!(last(&full)["data"]["detail"], detail);
        }
        server.stop().await;
    }
}
