//! What devices tell of a download, and the descriptor that some of them ask for first.
use dmwsi_simulator::Behaviour;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::fetch::{Scene, ordered, updated};
use crate::harness::handset::{Handset, ended, execution, outcome};

both! {
    /// FU-1, L-01: a descriptor where it is asked for, by its own name only.
    async fn a_device_that_wants_a_descriptor_gets_one_and_tells_what_became_of_it(database: Database) {
        let behaviour = Behaviour { wants_descriptor: true, ..Behaviour::default() };
        let mut scene = Scene::on(&database, 5_000, behaviour, |_| ()).await;
        let kind = "application/vnd.oma.dd+xml";
        for (accept, described) in [
            (kind, true), ("text/html, Application/VND.oma.dd+xml;q=0.5", true), ("application/vnd.oma.dd+xml;q=0", false), ("*/*", false),
            ("application/*", false),
        ] {
            let got = scene.get(&[("accept", accept), ("range", "bytes=0-9")]).await;
            assert_eq!((got.status.as_u16() == 200, got.header("content-type") == kind), (described, described), "{accept}");
        }
        let got = scene.get(&[("accept", kind)]).await;
        let url = format!("{}{}", scene.server.url(), scene.path());
        for part in [
            "<DDVersion>1.0</DDVersion>", "<name>x1-2.0.0</name>", "<type>application/octet-stream</type>", "<size>5000</size>", "<description>version 2.0.0</description>",
            &format!("<objectURI>{url}/object</objectURI>"), &format!("<installNotifyURI>{url}/status</installNotifyURI>"),
        ] {
            assert!(got.text.contains(part), "{part} {}", got.text);
        }
        assert_eq!(got.header("content-length"), got.text.len().to_string());
        let object = scene.server.send(Method::GET, &format!("{}/object", scene.path()), &[("accept", kind)], "").await;
        assert_eq!(object.text.as_bytes(), &*scene.bytes);
        scene.handset.live().await;
        ended(&scene.portal, &scene.job).await;
        assert_eq!(outcome(&scene.portal, &scene.job, &scene.handset.id).await, updated());
        let evidence = scene.execution().await["evidence"].clone();
        let told: Vec<&Value> = evidence.as_array().unwrap().iter().filter(|fact| fact["type"] == "INSTALL_NOTIFIED").collect();
        assert_eq!((told.len(), &told[0]["status"], &told[0]["text"]), (1, &json!(900), &json!("Success")), "{evidence}");
        // It may be told again when all is over; nothing comes of it.
        let again = scene.server.send(Method::POST, &format!("{}/status", scene.path()), &[], "903 Loss of Service").await;
        assert_eq!((again.status.as_u16(), again.text.as_str()), (200, ""));
        assert_eq!(scene.execution().await["evidence"], evidence);
        scene.server.stop().await;
    }

    /// FU-1: notifications and messages of the device meet in one row, and none is lost.
    async fn a_notification_is_noted_once_and_takes_nothing_from_the_device(database: Database) {
        let mut scene = Scene::on(&database, 5_000, Behaviour::default(), |_| ()).await;
        let status = format!("{}/status", scene.path());
        let say = async |body: &'static str| scene.server.send(Method::POST, &status, &[("content-type", "text/plain")], body).await.status.as_u16();
        assert_eq!((say("Success").await, say("").await, say("200 OK").await), (400, 400, 400));
        assert_eq!(scene.server.send(Method::POST, "/downloads/nothing/status", &[], "900 Success").await.status.as_u16(), 404);
        assert_eq!(scene.server.send(Method::POST, &status, &[], vec![b'9'; 10_000]).await.status.as_u16(), 413);
        let told = async {
            for _ in 0..5 {
                for body in ["900 Success\r\n", "900 Success", "902 User Cancelled\r\nIMEI 1", "953 Non-Acceptable Content\r\n", "970\r\n"] {
                    assert_eq!(say(body).await, 200);
                }
            }
        };
        let called = async { scene.handset.device.check_in().await.unwrap() };
        tokio::join!(told, called);
        let execution = scene.execution().await;
        assert_eq!(execution["phase"], "DOWNLOADING", "{execution}");
        let told = execution["evidence"].as_array().unwrap().iter().filter(|fact| fact["type"] == "INSTALL_NOTIFIED");
        let mut codes: Vec<u64> = told.map(|fact| fact["status"].as_u64().unwrap()).collect();
        codes.sort_unstable();
        assert_eq!(codes, [900, 902, 953, 970]);
        scene.handset.live().await;
        assert_eq!(outcome(&scene.portal, &scene.job, &scene.handset.id).await, updated());
        scene.server.stop().await;
    }

    /// FU-1, L-01: what a device cannot do is reported as what it is.
    async fn a_device_without_room_says_so_and_one_that_vanishes_says_nothing(database: Database) {
        let scene = Scene::on(&database, 5_000, Behaviour::default(), |_| ()).await;
        let (server, portal) = (&scene.server, &scene.portal);
        for descriptor in [false, true] {
            let behaviour = Behaviour { max_package: 2_000, wants_descriptor: descriptor, ..Behaviour::default() };
            let mut handset = Handset::register(portal, server.url(), behaviour).await;
            let (job, _) = ordered(server.store(), &server.keys, server.url(), portal, &handset, &scene.bytes).await;
            handset.live().await;
            let execution = execution(portal, &job, &handset.id).await;
            assert_eq!((execution["state"].as_str(), execution["phase"].as_str()), (Some("WAITING"), Some("RETRYING")), "its user may make room");
            let evidence = execution["evidence"].to_string();
            assert!(evidence.contains("\"data\":\"501\""), "{evidence}");
            assert_eq!(evidence.contains("\"status\":901"), descriptor, "{evidence}");
        }
        let behaviour = Behaviour { vanish_at: Some(1_000), ..Behaviour::default() };
        let mut handset = Handset::register(portal, server.url(), behaviour).await;
        let (job, _) = ordered(server.store(), &server.keys, server.url(), portal, &handset, &scene.bytes).await;
        handset.device.check_in().await.unwrap();
        handset.device.work().await;
        assert!(handset.device.is_gone());
        assert_eq!(outcome(portal, &job, &handset.id).await.0, "WAITING");
        scene.server.stop().await;
    }
}
