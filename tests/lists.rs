//! Lists: every one is read from an index in the order of its pages, however it is filtered.
use dmwsi_domain::Clock;
use dmwsi_domain::container::ContainerState;
use dmwsi_domain::deliverable::DeliverableKind;
use dmwsi_domain::device::Subscriber;
use dmwsi_domain::execution::ExecutionState;
use dmwsi_domain::id::{ClientId, ContainerId, DeliverableId, DeviceId, JobId, OrganisationId};
use dmwsi_domain::job::JobState;
use dmwsi_domain::tag::Tag;
use dmwsi_store::jobs::JobPage;
use dmwsi_store::{ContainerPage, DeliverablePage, DeviceFilter, ExecutionPage};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::server::{Portal, Server};
use crate::harness::statements::{assert_indexed, open, plan, sent};

fn device(name: &str, tags: &[&str]) -> Value {
    let client = json!({"auth": "BASIC", "name": "device", "secret": "secret"});
    json!({"dmIdentity": name, "account": {"serverId": "dm", "client": client}, "tags": tags})
}

async fn listed(portal: &Portal, query: &str) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let on = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = portal.get(&format!("/v1/devices?perPage=1&{query}{on}")).await.of(200);
        names.extend(page["items"].as_array().unwrap().iter().map(|item| item["dmIdentity"].as_str().unwrap().to_owned()));
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return names;
        }
    }
}

fn tag_rows(database: &Database) -> Vec<String> {
    let mut rows = database.lines(
        "SELECT devices.dm_identity || ' ' || device_tags.tag AS line FROM device_tags JOIN devices ON devices.id = device_tags.device_id",
    );
    rows.sort();
    rows
}

both! {
    /// Nobody pays for the devices that a list leaves out.
    async fn a_list_of_devices_is_read_from_an_index_whatever_it_is_filtered_by(database: Database) {
        drop(database.store().await);
        let store = open(&database);
        let organisation = OrganisationId::new(Clock::System.new_id());
        let after = Some(DeviceId::new(Clock::System.new_id()));
        for (manufacturer, model, version, tag, subscriber, indexes) in [
            (false, false, false, false, false, vec!["devices_page"]),
            (true, false, false, false, false, vec!["devices_manufacturer"]),
            (false, true, false, false, false, vec!["devices_model"]),
            (false, false, true, false, false, vec!["devices_firmware"]),
            // A model has one manufacturer, so either is as good as both.
            (true, true, false, false, false, vec!["devices_model", "devices_manufacturer"]),
            (true, false, true, false, false, vec!["devices_manufacturer_firmware"]),
            (false, true, true, false, false, vec!["devices_model_firmware"]),
            (true, true, true, false, false, vec!["devices_model_firmware", "devices_manufacturer_firmware"]),
            (false, false, false, true, false, vec!["device_tags"]),
            (true, true, true, true, false, vec!["device_tags"]),
            (false, false, false, false, true, vec!["devices_subscriber"]),
        ] {
            let text = |wanted: bool| wanted.then(|| "x".to_owned());
            let filter = DeviceFilter {
                manufacturer: text(manufacturer),
                model: text(model),
                firmware_version: text(version),
                tag: tag.then(|| Tag::parse("pilot").unwrap()),
                subscriber: subscriber.then(|| Subscriber::parse("customer-1").unwrap()),
            };
            let shown = format!("{filter:?}");
            let statements = sent(store.read(move |tx| tx.devices(organisation, &filter, after, 21))).await;
            assert_eq!(statements.len(), 1, "{shown}");
            for statement in statements {
                let plan = plan(&database, &statement);
                assert_indexed(&statement, &plan);
                assert!(indexes.iter().any(|index| plan.contains(&format!("{index} ")) || plan.contains(&format!("{index}_pkey "))), "{shown}\n{plan}");
            }
        }
    }

    async fn a_list_of_jobs_or_executions_is_read_from_an_index_whatever_it_is_filtered_by(database: Database) {
        drop(database.store().await);
        let store = open(&database);
        let (client, job) = (ClientId::new(Clock::System.new_id()), JobId::new(Clock::System.new_id()));
        for (state, kind, index) in [
            (None, None, "jobs_page"),
            (Some(JobState::Running), None, "jobs_state"),
            (None, Some("NODES_GET"), "jobs_kind"),
            (Some(JobState::Running), Some("NODES_GET"), "jobs_kind_state"),
        ] {
            let page = JobPage { client, before: Some(job), state, operation_type: kind, client_correlator: None, limit: 21 };
            let statements = sent(store.read(move |tx| tx.jobs(&page))).await;
            assert_eq!(statements.len(), 1);
            let plan = plan(&database, &statements[0]);
            assert_indexed(&statements[0], &plan);
            assert!(plan.contains(&format!("{index} ")), "{state:?} {kind:?}\n{plan}");
        }
        for (state, indexes) in [(None, ["executions_pkey ", "sqlite_autoindex_executions_1 "]), (Some(ExecutionState::Failed), ["executions_state "; 2])] {
            let page = ExecutionPage { job, after: Some(7), state, limit: 21 };
            let statements = sent(store.read(move |tx| tx.executions(&page))).await;
            assert_eq!(statements.len(), 1);
            let plan = plan(&database, &statements[0]);
            assert_indexed(&statements[0], &plan);
            assert!(indexes.iter().any(|index| plan.contains(index)), "{state:?}\n{plan}");
        }
    }

    async fn a_list_of_containers_or_deliverables_is_read_from_an_index_whatever_it_is_filtered_by(database: Database) {
        drop(database.store().await);
        let store = open(&database);
        let (organisation, before) = (OrganisationId::new(Clock::System.new_id()), Some(DeliverableId::new(Clock::System.new_id())));
        let (available, firmware) = (Some(ContainerState::Available), Some(DeliverableKind::Firmware));
        for (state, kind, index) in [
            (None, None, "deliverables_page"),
            (available, None, "deliverables_state"),
            (None, firmware, "deliverables_kind"),
            (available, firmware, "deliverables_kind_state"),
        ] {
            let page = DeliverablePage { organisation, before, kind, state, container: None, reference: None, limit: 21 };
            let statements = sent(store.read(move |tx| tx.deliverables(&page))).await;
            assert_eq!(statements.len(), 1);
            let plan = plan(&database, &statements[0]);
            assert_indexed(&statements[0], &plan);
            assert!(plan.contains(&format!("{index} ")), "{state:?} {kind:?}\n{plan}");
        }
        for (state, index) in [(None, "containers_page"), (available, "containers_state")] {
            let page = ContainerPage { organisation, before: Some(ContainerId::new(Clock::System.new_id())), state, limit: 21 };
            let statements = sent(store.read(move |tx| tx.containers(&page))).await;
            assert_eq!(statements.len(), 1);
            let plan = plan(&database, &statements[0]);
            assert_indexed(&statements[0], &plan);
            assert!(plan.contains(&format!("{index} ")), "{state:?}\n{plan}");
        }
    }

    async fn the_rows_of_tags_follow_every_change_of_a_device(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", "devices:read devices:write").await;
        let made = portal.post("/v1/devices", &device("a", &["north", "pilot"])).await.of(201);
        let lines = format!("{}\n{}\n", device("b", &["pilot"]), device("c", &[]));
        let imported = portal.send("/v1/devices/imports", &[("content-type", "application/x-ndjson")], lines).await;
        assert_eq!(imported.text().await.unwrap().matches("CREATED").count(), 2);
        assert_eq!(tag_rows(&database), ["a north", "a pilot", "b pilot"]);
        assert_eq!(listed(&portal, "tag=pilot").await, ["a", "b"]);
        let path = format!("/v1/devices/{}", made["deviceId"].as_str().unwrap());
        let headers = [("if-match", "\"1\""), ("content-type", "application/merge-patch+json")];
        let changed = portal.call(Method::PATCH, &path, &headers, Some(&json!({"tags": ["south"]}))).await;
        assert_eq!((changed.status.as_u16(), tag_rows(&database)), (200, vec!["a south".to_owned(), "b pilot".to_owned()]));
        assert_eq!(listed(&portal, "tag=pilot").await, ["b"]);
        let gone = portal.call(Method::DELETE, &path, &[("if-match", "*")], None).await;
        assert_eq!((gone.status.as_u16(), tag_rows(&database)), (204, vec!["b pilot".to_owned()]));
        server.stop().await;
    }

    async fn tags_of_devices_that_were_there_before_are_carried_over(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", "devices:read devices:write").await;
        for (name, tags) in [("a", vec!["north", "pilot"]), ("b", vec!["pilot"]), ("c", vec![])] {
            portal.post("/v1/devices", &device(name, &tags)).await.of(201);
        }
        server.stop().await;
        let rows = tag_rows(&database);
        database.execute(match database.is_postgres() {
            true => include_str!("../migrations/postgres/00000000000003_lists/down.sql"),
            false => include_str!("../migrations/sqlite/00000000000003_lists/down.sql"),
        });
        database.execute("DELETE FROM __diesel_schema_migrations WHERE version = '00000000000003'");
        assert_eq!(database.open().migrate().await.unwrap().len(), 1);
        assert_eq!(tag_rows(&database), rows);
        assert_eq!(rows, ["a north", "a pilot", "b pilot"]);
    }

    async fn every_combination_of_filters_lists_what_fits_in_the_order_of_registration(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", "devices:read devices:write").await;
        let all: Vec<_> = (0..16u8).map(|n| (n, n & 1 > 0, n & 2 > 0, n & 4 > 0, n & 8 > 0)).collect();
        for (n, manufacturer, model, version, tag) in &all {
            let tags: &[&str] = if *tag { &["t"] } else { &[] };
            portal.post("/v1/devices", &device(&format!("d{n:02}"), tags)).await.of(201);
            // As the device would tell it of itself.
            let set: Vec<_> = [(manufacturer, "manufacturer"), (model, "model"), (version, "firmware_version")]
                .into_iter()
                .map(|(wanted, column)| format!("{column} = {}", if *wanted { "'x'" } else { "NULL" }))
                .collect();
            database.execute(&format!("UPDATE devices SET {} WHERE dm_identity = 'd{n:02}'", set.join(", ")));
        }
        for wanted in 0..16u8 {
            let filters = [(1, "manufacturer=x"), (2, "model=x"), (4, "firmwareVersion=x"), (8, "tag=t")];
            let query: Vec<_> = filters.into_iter().filter(|(bit, _)| wanted & bit > 0).map(|(_, filter)| filter).collect();
            let fitting: Vec<_> = (0..16u8).filter(|n| n & wanted == wanted).map(|n| format!("d{n:02}")).collect();
            assert_eq!(listed(&portal, &query.join("&")).await, fitting, "{query:?}");
        }
        server.stop().await;
    }

    /// UC-3, EI8: the next page of every list is a link away.
    async fn a_page_links_to_the_next_one_until_there_is_none(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", "devices:read jobs:read jobs:write").await;
        let devices: Vec<_> = server.devices(&portal, 3).await.into_iter().map(|(_, name)| name).collect();
        let job = |devices: &[String]| json!({"operation": {"type": "NODES_GET", "nodes": ["./A"]}, "target": {"type": "DEVICES", "deviceIds": devices}});
        let made = portal.post("/v1/jobs", &job(&devices)).await.of(202);
        portal.post("/v1/jobs", &job(&devices[..1])).await.of(202);
        portal.post("/v1/jobs", &job(&devices[1..2])).await.of(202);
        let id = made["jobId"].as_str().unwrap();
        for list in ["/v1/devices?perPage=2", "/v1/jobs?operationType=NODES_GET&perPage=2", &format!("/v1/jobs/{id}/executions?perPage=2&state=QUEUED"), &format!("/v1/jobs/{id}/results?perPage=2")] {
            let first = portal.get(list).await;
            let link = first.header("link").to_owned();
            let next = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\"")).unwrap_or_else(|| panic!("{list}: {link}"));
            assert!(next.starts_with(list.split('?').next().unwrap()), "{next}");
            let (first, second) = (first.of(200), portal.get(next).await);
            assert_eq!((second.status.as_u16(), second.header("link")), (200, ""), "{next}");
            let second = second.json();
            assert_eq!((first["items"].as_array().unwrap().len(), second["items"].as_array().unwrap().len()), (2, 1), "{list}");
        }
        server.stop().await;
    }

    async fn a_path_of_its_own_is_never_taken_for_the_id_of_a_device(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", "devices:read devices:write").await;
        for path in ["/v1/devices/search", "/v1/devices/imports"] {
            for method in [Method::GET, Method::HEAD, Method::PATCH, Method::DELETE] {
                let got = portal.call(method.clone(), path, &[("if-match", "*")], None).await;
                assert_eq!((got.status.as_u16(), got.header("allow")), (405, "POST"), "{method} {path}");
            }
        }
        let unknown = portal.get("/v1/devices/searches").await;
        assert_eq!(unknown.status.as_u16(), 404);
        server.stop().await;
    }
}
