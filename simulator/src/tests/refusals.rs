//! What keeps a device from an update: its user, its battery, its memory, its state.
use dmwsi_objects::{StatusCode, devdetail};
use dmwsi_protocol::message::{Element, Verb};

use super::pair;
use super::server::{File, Server, alerts, command};
use crate::behaviour::Behaviour;
use crate::device::Device;
use crate::package::sample_package;

const LATER: &str = "2030-01-01T08:00:00Z";

/// An order of an update in one step or in two, and the second of those two.
fn order(step: &str, url: &str) -> Vec<Vec<Element>> {
    let at = |name: &str| format!("./FUMO/{name}");
    match step {
        "Update" => vec![vec![command(Verb::Exec, &at(step), None, Some("u"))]],
        _ => vec![vec![
            command(Verb::Replace, &at(&format!("{step}/PkgURL")), Some(url), None),
            command(Verb::Exec, &at(step), None, Some("u")),
        ]],
    }
}

/// Gives an order and has it carried out: how the Exec was answered, what is told of it, and the state after it.
async fn ordered(server: &Server, device: &mut Device, step: &str) -> (u16, Option<String>, String) {
    let url = server.file("/fw", File::Body(sample_package("2.0.0", 3_000)));
    server.peer(device.profile(), |peer| peer.batches = order(step, &url).into());
    let report = device.check_in().await.unwrap();
    let exec = report.answers.iter().find(|(name, _code)| name == "Exec").unwrap().1;
    device.work().await;
    server.peer(device.profile(), |peer| peer.received.clear());
    device.check_in().await.unwrap();
    let told = server.peer(device.profile(), |peer| alerts(&peer.received)).pop();
    (exec.0, told.map(|told| told.3), device.tree().text("./FUMO/State").unwrap().to_owned())
}

fn said(exec: u16, told: &str, state: &str) -> (u16, Option<String>, String) {
    (exec, (!told.is_empty()).then(|| told.to_owned()), state.to_owned())
}

#[tokio::test]
async fn a_user_who_puts_it_off_names_the_time_once_and_then_agrees() {
    let (server, mut device) = pair(Behaviour { defer_until: Some(LATER.to_owned()), ..Behaviour::default() }, Vec::new()).await;
    let put_off = format!("450;{LATER}");
    assert_eq!(ordered(&server, &mut device, "DownloadAndUpdate").await, said(202, &put_off, "20"));
    assert_eq!(ordered(&server, &mut device, "DownloadAndUpdate").await, said(202, "200", "100"));
    // Another time puts it off again; asked late, the user leaves the package where it is.
    let behaviour = Behaviour { defer_until: Some("2031-01-01T08:00:00Z".to_owned()), ask_late: true, ..Behaviour::default() };
    device.behave(behaviour);
    assert_eq!(ordered(&server, &mut device, "Download").await, said(202, "200", "50"));
    assert_eq!(ordered(&server, &mut device, "Update").await, said(202, "450;2031-01-01T08:00:00Z", "50"));
    assert_eq!(ordered(&server, &mut device, "Update").await, said(202, "200", "100"));
}

#[tokio::test]
async fn want_of_power_and_of_memory_passes() {
    let (server, mut device) = pair(Behaviour { low_battery: 2, out_of_memory: 1, ..Behaviour::default() }, Vec::new()).await;
    for (told, state) in [("501", "20"), ("451", "80"), ("451", "80"), ("200", "100")] {
        assert_eq!(ordered(&server, &mut device, "DownloadAndUpdate").await, said(202, told, state));
    }
    let (server, mut device) = pair(Behaviour::default(), Vec::new()).await;
    ordered(&server, &mut device, "Download").await;
    device.behave(Behaviour { out_of_memory: 1, ..Behaviour::default() });
    assert_eq!(ordered(&server, &mut device, "Update").await, said(202, "502", "80"));
    assert_eq!(device.tree().text(devdetail::FW_V), Some("1.0.0"));
}

#[tokio::test]
async fn an_exec_in_the_wrong_state_or_at_a_bad_time_is_refused() {
    let (server, mut device) = pair(Behaviour { lose_package: true, ..Behaviour::default() }, Vec::new()).await;
    assert_eq!(ordered(&server, &mut device, "Update").await, said(403, "", "10"), "there is nothing to install");
    assert_eq!(ordered(&server, &mut device, "Download").await, said(202, "200", "10"));
    assert_eq!(ordered(&server, &mut device, "Update").await, said(403, "", "10"), "it is lost");
    device.behave(Behaviour { refuse_exec: Some(StatusCode::RETRY_LATER), ..Behaviour::default() });
    assert_eq!(ordered(&server, &mut device, "Download").await, said(417, "", "10"));
    device.behave(Behaviour::default());
    assert_eq!(ordered(&server, &mut device, "DownloadAndUpdate").await, said(202, "200", "100"));
}
