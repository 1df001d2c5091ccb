//! Firmware updates.
use dmwsi_objects::fumo::ResultCode;
use dmwsi_objects::{NodeUri, devdetail};
use dmwsi_protocol::message::{Element, Verb};

use super::pair;
use super::server::{File, Server, alerts, brought, command};
use crate::behaviour::Behaviour;
use crate::device::{Device, Memory};
use crate::package::sample_package;
use crate::wire::{SessionError, Wire};

/// A whole order of an update in one step.
fn update(root: &str, url: &str, correlator: Option<&str>) -> Vec<Vec<Element>> {
    vec![
        vec![command(Verb::Replace, &format!("{root}/DownloadAndUpdate/PkgURL"), Some(url), None)],
        vec![command(Verb::Exec, &format!("{root}/DownloadAndUpdate"), None, correlator)],
    ]
}

/// A device that has been told to update from what `file` is, and the server.
async fn told(behaviour: Behaviour, file: File) -> (Server, Device) {
    let root = behaviour.fumo_root.clone();
    let (server, mut device) = pair(behaviour, Vec::new()).await;
    let url = server.file("/cut", file);
    server.peer(device.profile(), |peer| peer.batches = update(root.as_str(), &url, Some("c1")).into());
    let report = device.check_in().await.unwrap();
    assert!(report.answers.contains(&("Exec".to_owned(), dmwsi_objects::StatusCode(202))), "{report:?}");
    (server, device)
}

fn good() -> File {
    File::Body(sample_package("2.0.0", 300_000))
}

fn state(device: &Device) -> &str {
    device.tree().text("./FUMO/State").unwrap()
}

/// What the next session tells of the update.
async fn report(server: &Server, device: &mut Device) -> Vec<(String, String, Option<String>, String)> {
    server.peer(device.profile(), |peer| peer.received.clear());
    device.check_in().await.unwrap();
    assert!(device.pending().is_empty());
    server.peer(device.profile(), |peer| alerts(&peer.received))
}

#[tokio::test]
async fn an_update_is_downloaded_installed_and_reported_in_a_later_session() {
    let (server, mut device) = told(Behaviour::default(), good()).await;
    assert_eq!((state(&device), device.is_busy()), ("30", true));
    device.work().await;
    assert_eq!((state(&device), device.tree().text(devdetail::FW_V)), ("100", Some("2.0.0")));
    let told = report(&server, &mut device).await;
    assert_eq!(told, [("downloadandupdate".to_owned(), "./FUMO".to_owned(), Some("c1".to_owned()), "200".to_owned())]);
    assert!(report(&server, &mut device).await.is_empty(), "it is told once");
}

#[tokio::test]
async fn the_version_is_the_one_that_the_server_names() {
    let (server, mut device) = pair(Behaviour::default(), Vec::new()).await;
    let url = server.file("/fw", good());
    let mut batches = update("./FUMO", &url, None);
    batches[0].push(command(Verb::Replace, "./FUMO/PkgVersion", Some("3.1"), None));
    server.peer(device.profile(), |peer| peer.batches = batches.into());
    device.check_in().await.unwrap();
    device.work().await;
    assert_eq!(device.tree().text(devdetail::FW_V), Some("3.1"));
    assert_eq!(report(&server, &mut device).await[0].2, None, "without a correlator none comes back");
}

#[tokio::test]
async fn download_and_update_are_two_orders_with_a_state_between() {
    let root = "./FwUpdate/pkg1";
    let behaviour = Behaviour { fumo_root: NodeUri::parse(root).unwrap(), keep_package: true, ..Behaviour::default() };
    let (server, mut device) = pair(behaviour, Vec::new()).await;
    let url = server.file("/fw", good());
    let at = |name: &str| format!("{root}/{name}");
    let exec = |name: &str, correlator| vec![vec![command(Verb::Exec, &at(name), None, Some(correlator))]];
    server.peer(device.profile(), |peer| {
        peer.batches = vec![vec![
            command(Verb::Exec, &at("Update"), None, None),
            command(Verb::Replace, &at("Download/PkgURL"), Some(&url), None),
            command(Verb::Exec, &at("Download"), None, Some("d")),
            command(Verb::Exec, &at("Download"), None, Some("again")),
        ]]
        .into();
    });
    let first = device.check_in().await.unwrap();
    let execs: Vec<u16> = first.answers.iter().filter(|(name, _code)| name == "Exec").map(|(_name, code)| code.0).collect();
    assert_eq!(execs, [403, 202, 403], "nothing to install yet, and one thing at a time");
    device.work().await;
    assert_eq!(device.tree().text(&at("State")), Some("50"));
    server.peer(device.profile(), |peer| peer.batches = exec("Update", "u").into());
    assert_eq!(
        report(&server, &mut device).await,
        [("download".to_owned(), root.to_owned(), Some("d".to_owned()), "200".to_owned())]
    );
    assert_eq!(device.tree().text(&at("State")), Some("60"));
    device.work().await;
    assert_eq!(device.tree().text(&at("State")), Some("90"));
    assert_eq!(
        report(&server, &mut device).await,
        [("update".to_owned(), root.to_owned(), Some("u".to_owned()), "200".to_owned())]
    );
    assert_eq!(device.tree().text(devdetail::FW_V), Some("2.0.0"));
}

#[tokio::test]
async fn a_package_may_come_inside_a_message() {
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(sample_package("2.5", 400));
    let batches = vec![
        vec![command(Verb::Replace, "./FUMO/Update/PkgData", Some(&data), None)],
        vec![command(Verb::Get, "./FUMO/State", None, None), command(Verb::Get, "./FUMO/Update/PkgData", None, None)],
        vec![command(Verb::Exec, "./FUMO/Update", None, Some("u"))],
    ];
    let (server, mut device) = pair(Behaviour::default(), batches).await;
    device.check_in().await.unwrap();
    assert_eq!(server.peer(device.profile(), |peer| brought(&peer.received)), ["50"]);
    device.work().await;
    assert_eq!(device.tree().text(devdetail::FW_V), Some("2.5"));
}

#[tokio::test]
async fn a_download_that_fails_is_reported_as_what_it_is() {
    let head = |status: &str| File::Head(format!("{status}\r\ncontent-length: 0"), Vec::new());
    let promising = |digest: &str| {
        let package = sample_package("2.0.0", 300);
        File::Head(format!("200 OK\r\ncontent-length: {}\r\nrepr-digest: {digest}", package.len()), package)
    };
    for (file, code) in [
        (File::Body(b"<html>sign in first</html>".to_vec()), "402"),
        (head("401 Unauthorized"), "406"),
        (head("403 Forbidden"), "406"),
        (head("404 Not Found"), "411"),
        (head("502 Bad Gateway"), "500"),
        (promising("sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"), "402"),
        (File::Cut, "503"),
    ] {
        let (server, mut device) = told(Behaviour::default(), file).await;
        device.work().await;
        assert_eq!(state(&device), "20");
        assert_eq!(report(&server, &mut device).await[0].3, code);
        assert_eq!(device.tree().text(devdetail::FW_V), Some("1.0.0"));
    }
    let small = Behaviour { max_package: 1_000, ..Behaviour::default() };
    let (server, mut device) = told(small, good()).await;
    device.work().await;
    assert_eq!(report(&server, &mut device).await[0].3, "501");
    for (url, code) in [("ftp://x/y", "411"), ("", "411"), ("http://127.0.0.1:1/fw", "412")] {
        let (server, mut device) = pair(Behaviour::default(), update("./FUMO", url, None)).await;
        device.check_in().await.unwrap();
        device.work().await;
        assert_eq!(report(&server, &mut device).await[0].3, code, "{url}");
    }
}

#[tokio::test]
async fn a_device_can_decline_and_fail_with_any_code() {
    let failing = |code| Behaviour { fail_update: Some(ResultCode(code)), ..Behaviour::default() };
    for (behaviour, code, expected) in [
        (Behaviour { decline: true, ..Behaviour::default() }, "401", "20"),
        (Behaviour { fail_download: Some(ResultCode(407)), ..Behaviour::default() }, "407", "20"),
        (failing(410), "410", "80"),
        (Behaviour { keep_package: true, ..failing(455) }, "455", "70"),
    ] {
        let (server, mut device) = told(behaviour, good()).await;
        device.work().await;
        assert_eq!(state(&device), expected);
        assert_eq!(report(&server, &mut device).await[0].3, code);
        assert_eq!(device.tree().text(devdetail::FW_V), Some("1.0.0"));
    }
}

#[tokio::test]
async fn a_device_can_lie_forget_and_mistake() {
    let behaviour =
        Behaviour { lie_about_version: true, omit_correlator: true, alert_from_exec_node: true, ..Behaviour::default() };
    let (server, mut device) = told(behaviour, good()).await;
    device.work().await;
    let (_kind, source, correlator, code) = report(&server, &mut device).await.remove(0);
    assert_eq!((source.as_str(), correlator, code.as_str()), ("./FUMO/DownloadAndUpdate", None, "200"));
    assert_eq!(device.tree().text(devdetail::FW_V), Some("1.0.0"));
}

#[tokio::test]
async fn a_device_that_goes_away_takes_the_order_and_is_never_heard_again() {
    let (_server, mut device) = told(Behaviour { go_away: true, ..Behaviour::default() }, good()).await;
    device.work().await;
    assert!(matches!(device.check_in().await, Err(SessionError::Gone)));
    assert!(device.is_gone());
}

#[tokio::test]
async fn a_device_that_drops_out_after_the_exec_still_reports_the_outcome() {
    let (server, mut device) = pair(Behaviour { drop_after_exec: true, ..Behaviour::default() }, Vec::new()).await;
    let url = server.file("/fw", good());
    server.peer(device.profile(), |peer| peer.batches = update("./FUMO", &url, Some("c1")).into());
    assert!(matches!(device.check_in().await, Err(SessionError::Dropped)));
    let told = server.peer(device.profile(), |peer| peer.received.len());
    assert_eq!((told, state(&device)), (3, "30"), "refused, asked to replace, asked to begin; nothing after that");
    device.work().await;
    assert_eq!(report(&server, &mut device).await[0].3, "200");
}

#[tokio::test]
async fn an_update_survives_being_switched_off_in_every_phase() {
    let (server, mut device) = told(Behaviour::default(), good()).await;
    let wire = Wire::new(None).unwrap();
    let mut phases = 0;
    while device.advance().await.is_some() {
        let stored = serde_json::to_string(device.memory()).unwrap();
        let memory: Memory = serde_json::from_str(&stored).unwrap();
        device = Device::wake(memory, &wire);
        phases += 1;
    }
    assert_eq!(phases, 3, "downloaded, installed, rebooted");
    assert_eq!(report(&server, &mut device).await[0].3, "200");
    assert_eq!(device.tree().text(devdetail::FW_V), Some("2.0.0"));
}
