//! What fits a device, and why the rest does not.
use dmwsi_domain::Clock;
use dmwsi_domain::deliverable::DeliverableKind;
use dmwsi_domain::eligibility::Particulars;
use dmwsi_domain::id::{DeliverableId, OrganisationId};
use dmwsi_simulator::Behaviour;
use dmwsi_store::Offered;
use serde_json::{Value, json};

use crate::harness::archive::{Archive, TAR};
use crate::harness::handset::Handset;
use crate::harness::server::{Portal, Server};
use crate::harness::statements::{open, plan, sent};

const SCOPES: &str = "containers:read containers:write devices:read devices:write jobs:read jobs:write";

/// Delivers these firmwares in one container: name, and what the manifest says of each beside. The container's id.
async fn firmware(portal: &Portal, number: u64, all: &[(&str, Value)]) -> String {
    let mut archive = Archive::new(&format!("urn:c{number}"), number);
    for (name, changes) in all {
        archive = archive.with("FIRMWARE", name, name.as_bytes());
        let last = archive.deliverables().last_mut().unwrap();
        last.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    }
    let container = portal.deliver("/v1/containers", &[TAR], archive.tar()).await.of(201);
    container["containerId"].as_str().unwrap().to_owned()
}

fn x1(version: &str, rule: &Value) -> Value {
    json!({"version": version, "targets": [{"manufacturer": "Acme", "models": ["X1"], "fwVersion": rule}]})
}

fn delta(from: &str, to: &str) -> Value {
    let mut delta = x1(to, &json!({"any": true}));
    delta["precursor"] = json!({"version": from});
    delta
}

/// References of a page with the codes of their reasons.
fn shown(page: &Value) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let codes = |item: &Value| item["reasons"].as_array().into_iter().flatten().map(|reason| text(&reason["code"])).collect();
    let items = page["items"].as_array().unwrap().iter();
    items
        .inspect(|item| assert_eq!(item["fits"], item["reasons"].is_null(), "{item}"))
        .map(|item| (text(&item["reference"]), codes(item)))
        .collect()
}

fn one(reference: &str, codes: &[&str]) -> (String, Vec<String>) {
    (reference.to_owned(), codes.iter().map(|code| (*code).to_owned()).collect())
}

/// Everything that a list has, by pages of `size`.
async fn all(portal: &Portal, path: &str, size: usize) -> Vec<(String, Vec<String>)> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page =
            portal.get(&format!("{path}{}perPage={size}{cursor}", if path.contains('?') { '&' } else { '?' })).await.of(200);
        found.extend(shown(&page));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

both! {
    /// UC-7, FU-1, HL-INGEST2: what fits comes first, then what nearly does and why not, then what is for others.
    async fn a_portal_asks_what_fits_a_device_and_why_the_rest_does_not(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let model = handset.device.tree().text("./DevInfo/Mod").unwrap().to_owned();
        let x1 = |version: &str, rule: &Value| {
            let mut x1 = x1(version, rule);
            x1["targets"][0]["models"] = json!([model]);
            x1
        };
        let (other, third) = (json!({"targets": [{"manufacturer": "Other", "models": ["X1"]}]}), json!({"targets": [{"manufacturer": "Acme", "models": ["Y*"]}]}));
        firmware(&portal, 1, &[
            ("fits", x1("2.0.0", &json!({"max": "1.9"}))),
            ("too-new", x1("3.0.0", &json!({"min": "2.0.0"}))),
            ("old", x1("0.9", &json!({"any": true}))),
            ("others", other),
            ("other-model", third),
            ("same", x1("1.0.0", &json!({"any": true}))),
            ("star", json!({"version": "2.1", "targets": [{"manufacturer": "ACME", "models": [format!("{}*", model.to_lowercase())]}]})),
        ]).await;
        let path = format!("/v1/devices/{}/firmware-updates", handset.id);
        let before = all(&portal, &path, 100).await;
        assert_eq!(before.len(), 7);
        assert!(before.iter().all(|(_, codes)| codes.contains(&"PARTICULARS_UNKNOWN".to_owned())), "it has told nothing: {before:?}");
        handset.device.check_in().await.unwrap();
        let expected = [
            one("star", &[]),
            one("fits", &[]),
            one("same", &["ALREADY_INSTALLED"]),
            one("old", &["OLDER_THAN_INSTALLED"]),
            one("too-new", &["FIRMWARE_TOO_OLD"]),
            one("other-model", &["MODEL_DIFFERS"]),
            one("others", &["MANUFACTURER_DIFFERS", "MODEL_DIFFERS"]),
        ];
        for size in [1, 2, 3, 7, 100] {
            assert_eq!(all(&portal, &path, size).await, expected, "by pages of {size}");
        }
        let page = portal.get(&format!("{path}?perPage=7")).await.of(200);
        let chain: Vec<_> = page["items"][4]["chain"].as_array().unwrap().iter().map(|step| step["reference"].clone()).collect();
        assert_eq!(chain.len(), 2, "over 2.0.0 or 2.1: {chain:?}");
        assert_eq!(chain[1], "too-new");
        assert_eq!(page["items"][4]["reasons"][0]["detail"], "it needs firmware version 2.0.0 or later, not 1.0.0");
        assert_eq!(all(&portal, &format!("{path}?includeUnfit=false"), 1).await, expected[..2]);
        assert_eq!(all(&portal, &path.replace("firmware-updates", "software-packages"), 9).await, []);
        // Another organisation offers nothing, and does not know the device.
        let stranger = server.portal("stranger", SCOPES).await;
        stranger.get(&path).await.problem(404, "NOT_FOUND");
        server.stop().await;
    }

    /// FU-1: only a chain of deltas leads there.
    async fn the_chain_that_leads_to_a_version_is_named(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        firmware(&portal, 1, &[("a", delta("1.0.0", "1.1")), ("b", delta("1.1", "1.2")), ("c", delta("1.2", "2.0")), ("d", delta("5", "6"))]).await;
        let asked = json!({"kind": "FIRMWARE", "particulars": {"manufacturer": "Acme", "model": "x1", "firmwareVersion": "1.0.0"}});
        let page = portal.post("/v1/deliverables/match", &asked).await.of(200);
        let items = page["items"].as_array().unwrap();
        let chains: Vec<Vec<&str>> = items.iter().map(|item| item["chain"].as_array().into_iter().flatten().map(|step| step["reference"].as_str().unwrap()).collect()).collect();
        assert_eq!(chains, [vec![], vec![], vec!["a", "b", "c"], vec!["a", "b"]]);
        assert_eq!(shown(&page)[2], one("c", &["PRECURSOR_DIFFERS"]));
        server.stop().await;
    }

    /// UC-7: particulars for a device that has told nothing, by what the portal says, and by an identity that stands in no address.
    async fn a_portal_tells_the_particulars_itself(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let container = firmware(&portal, 1, &[("x", x1("2.0.0", &json!({"max": "1.9"})))]).await;
        let told = json!({"manufacturer": "Acme", "model": "X1", "firmwareVersion": "1.0"});
        let ask = async |portal: &Portal, asked: Value| portal.post("/v1/deliverables/match", &asked).await;
        let fits = json!({"kind": "FIRMWARE", "particulars": told, "includeUnfit": false});
        assert_eq!(shown(&ask(&portal, fits.clone()).await.of(200)), [one("x", &[])]);
        let account = json!({"serverId": "dmwsi", "client": {"auth": "BASIC", "name": "me", "secret": "mine"}});
        let identity = json!({"type": "IMEI", "value": "490154203237518"});
        portal.post("/v1/devices", &json!({"dmIdentity": "IMEI:490154203237518", "identities": [identity], "account": account})).await.of(201);
        let known = json!({"kind": "FIRMWARE", "identity": identity, "particulars": told});
        assert_eq!(shown(&ask(&portal, known.clone()).await.of(200)), [one("x", &[])]);
        let silent = json!({"kind": "FIRMWARE", "identity": identity});
        assert_eq!(shown(&ask(&portal, silent).await.of(200)), [one("x", &["PARTICULARS_UNKNOWN"; 3])]);
        let unknown = json!({"kind": "FIRMWARE", "identity": {"type": "IMEI", "value": "356938035643809"}});
        ask(&portal, unknown).await.problem(422, "UNPROCESSABLE");
        let few = server.portal("acme", "containers:read").await;
        ask(&few, known).await.problem(403, "PERMISSION_DENIED");
        let long = json!({"kind": "FIRMWARE", "particulars": {"model": "x".repeat(257)}});
        assert_eq!(ask(&portal, long).await.pointers(), ["/particulars/model"]);
        // What is withdrawn is not offered.
        portal.post(&format!("/v1/containers/{container}/withdraw"), &json!({})).await.of(200);
        assert_eq!(shown(&ask(&portal, fits).await.of(200)), []);
        let rest = json!({"kind": "FIRMWARE", "particulars": told});
        assert_eq!(shown(&ask(&portal, rest).await.of(200)), []);
        server.stop().await;
    }

    /// Nobody pays for what is for other devices.
    async fn what_is_for_a_device_is_found_by_its_make(database: Database) {
        drop(database.store().await);
        let store = open(&database);
        let organisation = OrganisationId::new(Clock::System.new_id());
        let device = Particulars { manufacturer: Some("Acme".into()), model: Some("X1".into()), ..Particulars::default() };
        let before = Some(DeliverableId::new(Clock::System.new_id()));
        let offered = Offered { organisation, kind: DeliverableKind::Firmware, before, now: Clock::System.now(), limit: 500 };
        let statements = sent(store.read(move |tx| tx.offered_for(&offered, &device))).await;
        assert_eq!(statements.len(), 1, "there is nothing to read where nothing is found");
        let found = plan(&database, &statements[0]);
        // Of the few that are found the newest are chosen by sorting them.
        assert!(!found.contains("SCAN ") && !found.contains("Seq Scan"), "{found}");
        assert!(found.contains("SEARCH deliverable_targets USING") || found.contains("deliverable_targets_pkey"), "{found}");
        let statements = sent(store.read(move |tx| tx.offered(&offered))).await;
        let others = plan(&database, &statements[0]);
        assert!(others.contains("deliverables_kind_state "), "{others}");
    }
}
