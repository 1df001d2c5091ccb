//! A device with more unfinished executions than one message looks at.
use dmwsi_simulator::Behaviour;
use serde_json::{Value, json};

use crate::harness::handset::{Handset, SCOPES, execution, job, outcome, package, update};
use crate::harness::phone::{FINAL, PACKAGE_1, Phone, basic_cred, message, status};
use crate::harness::server::{Portal, Server};

const DEVICE: &str = "IMEI:490154203237518";
const READ: &str = "./Vendor/A";

/// The ids of the commands in a reply that a device answers.
fn commands(reply: &str) -> Vec<(String, u32)> {
    let names = ["Get", "Replace", "Add", "Exec"];
    let of = |name: &str| {
        let parts: Vec<_> = reply.split(&format!("<{name}><CmdID>")).skip(1).map(str::to_owned).collect();
        parts.into_iter().map(|part| (name.to_owned(), part.split('<').next().unwrap().parse().unwrap())).collect::<Vec<_>>()
    };
    names.into_iter().flat_map(of).collect()
}

async fn updates(portal: &Portal, device: &str, package: &str) -> Vec<String> {
    let mut jobs = Vec::new();
    for _ in 0..20 {
        jobs.push(job(portal, device, &update(package, "2.0.0")).await);
    }
    jobs
}

both! {
    /// OES10: what waits for another to end keeps nobody else waiting.
    async fn twenty_updates_that_wait_do_not_keep_a_later_job_waiting(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let mut handset = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let jobs = updates(&portal, &handset.id, &package("2.0.0").await).await;
        handset.device.check_in().await.unwrap();
        let state = async |job: &String| execution(&portal, job, &handset.id).await["state"].clone();
        assert_eq!((state(&jobs[0]).await, state(&jobs[1]).await), (json!("WAITING"), json!("QUEUED")));
        let later = job(&portal, &handset.id, &json!({"type": "NODES_GET", "nodes": ["./DevInfo/Man"]})).await;
        handset.device.check_in().await.unwrap();
        assert_eq!(outcome(&portal, &later, &handset.id).await.0, "SUCCEEDED");
        assert_eq!(outcome(&portal, &jobs[1], &handset.id).await.0, "QUEUED", "one update at a time");
        handset.live().await;
        assert_eq!(outcome(&portal, &jobs[0], &handset.id).await.0, "SUCCEEDED");
        for _ in &jobs {
            handset.live().await;
        }
        for job in &jobs {
            assert_eq!(outcome(&portal, job, &handset.id).await.0, "SUCCEEDED", "each has its turn");
        }
        server.stop().await;
    }

    async fn a_report_about_the_eighteenth_of_twenty_that_rest_is_taken_and_a_new_one_has_its_turn(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let package = package("2.0.0").await;
        // One that rests while its device downloads: the others are made to stand where it stands.
        let mut other = Handset::register(&portal, server.url(), Behaviour::default()).await;
        let model = job(&portal, &other.id, &update(&package, "2.0.0")).await;
        other.device.check_in().await.unwrap();
        assert_eq!(execution(&portal, &model, &other.id).await["phase"], "DOWNLOADING");
        let account = json!({"serverId": "dmwsi", "client": {"auth": "BASIC", "name": "me", "secret": "mine"}});
        let made = portal.post("/v1/devices", &json!({"dmIdentity": DEVICE, "account": account})).await.of(201);
        let device = made["deviceId"].as_str().unwrap().to_owned();
        let jobs = updates(&portal, &device, &package).await;
        let later = job(&portal, &device, &json!({"type": "NODES_GET", "nodes": [READ]})).await;
        let inside = |job: &str| job.rsplit("job_").next().unwrap().to_owned();
        let set: Vec<_> = ["state", "phase", "operation", "due_at"]
            .map(|column| format!("{column} = (SELECT {column} FROM executions WHERE job_id = '{}')", inside(&model)))
            .to_vec();
        let like: Vec<_> = jobs.iter().map(|job| format!("'{}'", inside(job))).collect();
        database.execute(&format!("UPDATE executions SET {} WHERE job_id IN ({})", set.join(", "), like.join(", ")));

        let phone = Phone::of(server.url());
        let correlator = format!("<Correlator>{}.0.1.1</Correlator>", inside(&jobs[17]));
        let report = format!(
            "<Alert><CmdID>3</CmdID><Data>1226</Data>{correlator}<Item><Source><LocURI>./FUMO</LocURI></Source><Meta>\
            <Format xmlns=\"syncml:metinf\">chr</Format><Type xmlns=\"syncml:metinf\">org.openmobilealliance.dm.firmwareupdate.downloadandupdate</Type>\
            </Meta><Data>410</Data></Item></Alert>"
        );
        let cred = basic_cred("me", "mine");
        let mut reply = phone.say(message(DEVICE, "1", 1, &cred, &format!("{PACKAGE_1}{report}{FINAL}"))).await;
        let told = execution(&portal, &jobs[17], &device).await;
        let is_410 = |told: &Value| told["evidence"].to_string().contains("410") || told["outcome"].to_string().contains("410");
        assert!(is_410(&told), "{told}");
        for job in &jobs[..17] {
            assert!(!is_410(&execution(&portal, job, &device).await));
        }
        let mut number = 1;
        while !reply.contains(READ) {
            let asked = commands(&reply);
            assert!(!asked.is_empty() && number < 60, "the new one had no turn: {reply}");
            let answers = asked.iter().zip(2..).map(|((name, id), own)| status(own, number, *id, name, 404)).collect::<String>();
            let header = status(1, number, 0, "SyncHdr", 200);
            number += 1;
            reply = phone.say(message(DEVICE, "1", number, "", &format!("{header}{answers}{FINAL}"))).await;
        }
        assert_eq!(execution(&portal, &later, &device).await["state"], "RUNNING");
        server.stop().await;
    }
}
