//! Many devices at once.
use std::time::Duration;

use dmwsi_objects::devdetail;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_protocol::message::Verb;
use tokio::time::{sleep, timeout};

use super::server::{File, Server, command};
use crate::behaviour::Behaviour;
use crate::device::Device;
use crate::fleet::{Fleet, Pace};
use crate::package::sample_package;
use crate::profile::DeviceProfile;
use crate::wire::Wire;

#[tokio::test]
async fn many_devices_update_by_the_clock_and_report() {
    let (server, wire) = (Server::start().await, Wire::new(None).unwrap());
    let url = server.file("/fw", File::Body(sample_package("2.0.0", 10_000)));
    let devices: Vec<Device> = (0..200)
        .map(|n| {
            let profile = DeviceProfile::nth(3, n);
            let exec = command(Verb::Exec, "./FUMO/DownloadAndUpdate", None, Some("c"));
            let replace = command(Verb::Replace, "./FUMO/DownloadAndUpdate/PkgURL", Some(&url), None);
            server.know(&profile, vec![vec![replace], vec![exec]]);
            let encoding = if n % 2 == 0 { Encoding::Xml } else { Encoding::Wbxml };
            let times = Behaviour { download_ms: 5, install_ms: 5, reboot_ms: 5, ..Behaviour::default() };
            Device::new(profile, Behaviour { encoding, poll_ms: 60_000, ..times }, server.dm(), &wire)
        })
        .collect();
    let fleet = Fleet::start(devices, Pace { concurrency: 16, spread: Duration::from_millis(50) });
    let all = async {
        while fleet.snapshot().alerts_heard < 200 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(Duration::from_secs(60), all).await.is_ok(), "{:?}", fleet.snapshot());
    let (snapshot, devices) = fleet.stop().await;
    assert_eq!((snapshot.updates_done, snapshot.updates_failed, snapshot.sessions_failed), (200, 0, 0), "{snapshot:?}");
    assert_eq!((snapshot.sessions_ok, snapshot.devices), (400, 0));
    assert!(devices.iter().all(|device| device.tree().text(devdetail::FW_V) == Some("2.0.0")));
}

#[tokio::test]
async fn a_device_that_runs_by_itself_stops_when_told() {
    let (server, wire) = (Server::start().await, Wire::new(None).unwrap());
    let profile = DeviceProfile::nth(3, 1);
    server.know(&profile, Vec::new());
    let device =
        Device::new(profile.clone(), Behaviour { poll_ms: 10, jitter_ms: 5, ..Behaviour::default() }, server.dm(), &wire);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(device.run(stopped));
    let sessions = || server.peer(&profile, |peer| peer.received.len());
    while sessions() < 5 {
        sleep(Duration::from_millis(5)).await;
    }
    stop.send_replace(true);
    let device = timeout(Duration::from_secs(10), running).await.unwrap().unwrap();
    assert!(device.pending().is_empty());
}

#[tokio::test]
async fn failures_are_counted_by_kind() {
    let wire = Wire::new(None).unwrap();
    let behaviour = Behaviour { retries: 0, ..Behaviour::default() };
    let device = Device::new(DeviceProfile::nth(3, 1), behaviour, "http://127.0.0.1:1/dm", &wire);
    let fleet = Fleet::start([device], Pace::default());
    let failed = async {
        while fleet.snapshot().sessions_failed == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(Duration::from_secs(10), failed).await.is_ok());
    assert_eq!(fleet.snapshot().errors.get("http"), Some(&1));
}
