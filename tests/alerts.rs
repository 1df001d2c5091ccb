//! What devices tell of their own accord, for whoever comes late.
use dmwsi_domain::Clock;
use dmwsi_domain::event::Event;
use dmwsi_domain::id::{DeviceId, OrganisationId};
use dmwsi_objects::alert::{AlertType, GenericAlert, Mark};
use dmwsi_objects::{NodeUri, Value as NodeValue};
use dmwsi_protocol::encoding::Encoding;
use dmwsi_simulator::Behaviour;
use dmwsi_store::log::Wanted;
use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::handset::{Handset, SCOPES};
use crate::harness::phone::{FINAL, PACKAGE_1, Phone, basic_cred, message};
use crate::harness::server::{Portal, Server};
use crate::harness::statements::{assert_indexed, open, plan, sent};

fn alert(kind: &str, mark: Mark, data: &str) -> GenericAlert {
    let source = NodeUri::parse("./Vendor/Health").ok();
    GenericAlert {
        alert_type: AlertType::lenient(kind),
        correlator: None,
        source,
        target: None,
        mark,
        value: NodeValue::text(data),
    }
}

/// Alerts and faults, and nothing else.
const ALERTS: &str = "types=dmwsi.v1.device-alert,dmwsi.v1.device-fault";

/// What a query of the log brings of alerts and faults: type of the event, type of the alert, mark.
async fn found(portal: &Portal, query: &str) -> Vec<(String, String, String)> {
    let types = if query.contains("types=") { String::new() } else { format!("&{ALERTS}") };
    let page = portal.get(&format!("/v1/events?perPage=100{types}{query}")).await.of(200);
    let told = |event: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&event["type"]).replace("dmwsi.v1.", ""), text(&event["data"]["alertType"]), text(&event["data"]["mark"]))
    };
    page["items"].as_array().unwrap().iter().map(told).collect()
}

both! {
    /// AD-5, AD-10, EI7: alerts of real devices in either encoding are stored by type and mark; another system fetches them later, and only those it wants.
    async fn who_comes_late_finds_the_alerts_by_type_and_mark(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut devices = Vec::new();
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let mut handset = Handset::register(&portal, server.url(), Behaviour { encoding, ..Behaviour::default() }).await;
            handset.device.tell(alert("com.example.battery", Mark::Warning, "17 %"));
            handset.device.tell(alert("Reversed-Domain-Name: com.Example.storage", Mark::Critical, "sector 7"));
            handset.device.tell(alert("org.openmobilealliance.dm.firmwareupdate.update", Mark::Informational, "410"));
            handset.device.tell(alert("org.example.greeting", Mark::Harmless, "hello"));
            handset.live().await;
            assert!(handset.device.pending().is_empty());
            devices.push(handset.id);
        }
        eventually("all is told", async || server.store().read(|tx| tx.unnumbered_after(None)).await.unwrap().is_none()).await;

        let late = server.portal("acme", "events:read devices:read").await;
        let row = |kind: &str, alert: &str, mark: &str| (kind.to_owned(), alert.to_owned(), mark.to_owned());
        let battery = row("device-alert", "com.example.battery", "WARNING");
        let storage = [row("device-alert", "com.example.storage", "CRITICAL"), row("device-fault", "com.example.storage", "CRITICAL")];
        let update = "org.openmobilealliance.dm.firmwareupdate.update";
        let update = [row("device-alert", update, "INFORMATIONAL"), row("device-fault", update, "INFORMATIONAL")];
        for device in &devices {
            let of = format!("&deviceId={device}");
            let both = [vec![battery.clone()], storage.to_vec()].concat();
            assert_eq!(found(&late, &format!("{of}&alertType=com.example.*")).await, both);
            assert_eq!(found(&late, &format!("{of}&alertType=com.example.battery")).await, std::slice::from_ref(&battery));
            assert_eq!(found(&late, &format!("{of}&mark=MINOR")).await, storage);
            assert_eq!(found(&late, &format!("{of}&mark=WARNING&types=dmwsi.v1.device-alert")).await, [battery.clone(), storage[0].clone()]);
            assert_eq!(found(&late, &format!("{of}&alertType=com.example")).await, []);
            let faults = [storage[1].clone(), update[1].clone()];
            assert_eq!(found(&late, &format!("{of}&types=dmwsi.v1.device-fault&mark=INDETERMINATE")).await, faults, "also an update that failed");
        }
        assert_eq!(found(&late, "&alertType=org.example.*").await.len(), 2, "of all devices");
        let pages = late.get(&format!("/v1/events?perPage=1&alertType=com.example.*&{ALERTS}")).await.of(200);
        assert_eq!((pages["items"].as_array().unwrap().len(), &pages["hasMore"]), (1, &json!(true)));
        let next = pages["nextCursor"].as_str().unwrap();
        assert_eq!(found(&late, &format!("&alertType=com.example.*&cursor={next}")).await.len(), 5);

        let page = late.get(&format!("/v1/events?mark=MINOR&payload=FULL&deviceId={}&{ALERTS}", devices[1])).await.of(200);
        let (told, fault) = (&page["items"][0], &page["items"][1]);
        assert_eq!((&told["data"]["data"], &told["data"]["source"]), (&json!("sector 7"), &json!("./Vendor/Health")));
        assert_eq!(fault["data"]["alertEventId"], told["id"]);
        assert!(fault["data"]["data"].is_null());
        assert!(found(&server.portal("other", "events:read devices:read").await, "&mark=HARMLESS").await.is_empty());
        assert!(found(&server.portal("acme", "events:read jobs:read").await, "&mark=HARMLESS").await.is_empty());
        for wrong in ["mark=LOUD", "mark=warning"] {
            late.get(&format!("/v1/events?{wrong}")).await.problem(400, "INVALID_ARGUMENT");
        }
        server.stop().await;
    }

    /// AD-10: what is no alert costs nothing, however long the log is.
    async fn alerts_are_read_from_indexes_of_their_own(database: Database) {
        drop(database.store().await);
        let store = open(&database);
        let organisation = OrganisationId::new(Clock::System.new_id());
        let [one, other] = [(); 2].map(|()| DeviceId::new(Clock::System.new_id()));
        for (devices, index) in [(vec![], "events_alerts "), (vec![one], "events_alerts_of_device "), (vec![one, other], "events_alerts ")] {
            let wanted = Wanted { types: Event::ALERTS.into(), devices: devices.into_iter().collect(), ..Wanted::default() };
            let statements = sent(store.read(move |tx| tx.log_after(organisation, &wanted, 7, 21))).await;
            assert_eq!(statements.len(), 3, "how far the log goes, the events, and where it begins");
            let plan = plan(&database, &statements[1]);
            assert_indexed(&statements[1], &plan);
            assert!(plan.contains(index), "{plan}");
        }
    }

    /// AD-10: what a client tells as an event (1224) is told as an alert is.
    async fn events_of_clients_are_told_as_alerts_are(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", &format!("{SCOPES} events:read")).await;
        let account = json!({"serverId": "dmwsi", "client": {"auth": "BASIC", "name": "me", "secret": "mine"}});
        portal.post("/v1/devices", &json!({"dmIdentity": "IMEI:1", "account": account})).await.of(201);
        let event = "<Alert><CmdID>3</CmdID><Data>1224</Data><Item><Meta><Type xmlns=\"syncml:metinf\">com.microsoft/MDM/LoginStatus</Type>\
            </Meta><Data>user</Data></Item></Alert>";
        let package = format!("{PACKAGE_1}{event}{FINAL}");
        Phone::of(server.url()).say(message("IMEI:1", "1", 1, &basic_cred("me", "mine"), &package)).await;
        let told = [("device-alert".to_owned(), "com.microsoft/mdm/loginstatus".to_owned(), "INFORMATIONAL".to_owned())];
        eventually("it is told", async || found(&portal, "&types=dmwsi.v1.device-alert").await == told).await;
        server.stop().await;
    }
}
