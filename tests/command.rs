//! The command `dmwsi`, as somebody at a terminal uses it.
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dmwsi::portal::{self, Portal};
use dmwsi_simulator::DeviceProfile;
use serde_json::{Value, json};

use crate::harness::archive::hex;
use crate::harness::{Database, eventually};

/// The command in a folder, with the settings of the environment taken away.
fn dmwsi(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmwsi"));
    command.args(arguments).current_dir(folder);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DMWSI")) {
        command.env_remove(name);
    }
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    dmwsi(folder, arguments).output().unwrap()
}

#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A server of the command's, ended with the test.
struct Serving {
    child: Child,
    base: String,
    /// What it logs.
    log: Arc<Mutex<String>>,
}

impl Serving {
    fn start(folder: &Path, more: &[&str]) -> Self {
        let mut child = dmwsi(folder, &["serve"])
            .args(more)
            .env("DMWSI__MAKE_KEYS", "true")
            .env("DMWSI__LISTEN__ADDRESS", "127.0.0.1:0")
            .env("DMWSI__PUBLIC_URL", "http://127.0.0.1:0")
            .env("DMWSI__LOG__FORMAT", "json")
            .env("DMWSI__LOG__FILTER", "debug,h2=info,hyper=info")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it does not serve");
            let entry: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            if entry["fields"]["message"] == "serving" {
                break entry["fields"]["address"].as_str().unwrap().to_owned();
            }
        };
        let kept = Arc::new(Mutex::new(String::new()));
        let keeping = Arc::clone(&kept);
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                keeping.lock().unwrap().push_str(&line);
            }
        });
        Self { child, base: format!("http://{address}"), log: kept }
    }

    fn terminate(mut self) -> i32 {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// UC-7, FU-1, UC-10, CC3, SW-2
#[test]
fn the_demo_updates_a_device_through_the_public_interface_and_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["demo", "--once", "--port", "0", "--folder", "state"]);
    let text = said(&output);
    for part in [
        "registered 5 devices",
        "it is AVAILABLE",
        "FIRMWARE_TOO_OLD",
        "it can be reached: 2.0.0, then 2.1.0",
        "DOWNLOADING",
        "woken by package 0: ANSWERED",
        "resumed: 2097152 of 2097152 bytes in 2 requests",
        "The job is COMPLETED: UPDATED",
        r#""node":"./DevDetail/FwV","value":"2.0.0""#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(folder.path().join("state/dmwsi.db").is_file());
}

/// OES1
#[tokio::test(flavor = "multi_thread")]
async fn a_client_made_by_the_command_gets_tokens_until_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path(), &[]);
    let text = said(&run(folder.path(), &["client", "add", "--name", "care desk", "--scope", "devices:read jobs:read"]));
    let after = |what: &str| text.lines().find_map(|line| line.strip_prefix(what)).unwrap().trim().to_owned();
    let (id, secret) = (after("client id:"), after("client secret:"));
    assert_eq!(after("scopes:"), "devices:read jobs:read");
    let http = reqwest::Client::new();
    let token = async || {
        let request = http.post(format!("{}/oauth2/token", serving.base)).basic_auth(&id, Some(&secret));
        request.form(&[("grant_type", "client_credentials")]).send().await.unwrap().status().as_u16()
    };
    assert_eq!(token().await, 200);
    let listed = said(&run(folder.path(), &["client", "list"]));
    assert!(listed.contains(&id) && listed.contains("active") && !listed.contains(&secret), "{listed}");
    said(&run(folder.path(), &["client", "revoke", &id]));
    eventually("the client is revoked", async || token().await == 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_its_health_and_ends_well_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path(), &[]);
    for (path, part) in [("/healthz", "alive"), ("/readyz", "ready"), ("/metrics", "dmwsi_")] {
        let answer = reqwest::get(format!("{}{path}", serving.base)).await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        assert!(answer.text().await.unwrap().contains(part), "{path}");
    }
    // As many files as it may have open, not as few as a shell gives it.
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serving.child.id())).unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let files: Vec<&str> = files.split_whitespace().collect();
    assert_eq!(files[0], files[1]);
    assert_eq!(serving.terminate(), 0);
}

#[test]
fn a_second_server_on_the_same_file_and_a_role_apart_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _serving = Serving::start(folder.path(), &[]);
    let second = dmwsi(folder.path(), &["serve"]).env("DMWSI__LISTEN__ADDRESS", "127.0.0.1:0").output().unwrap();
    assert!(complaint(&second).contains("another process"), "{}", complaint(&second));
    let apart = run(folder.path(), &["serve", "--role", "gateway", "--database", "sqlite:other.db"]);
    assert!(complaint(&apart).contains("needs PostgreSQL"), "{}", complaint(&apart));
}

#[test]
fn a_database_that_is_none_and_a_setting_that_is_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let typo = run(folder.path(), &["migrate", "--database", "postgre://localhost/x"]);
    assert!(complaint(&typo).contains("sqlite:PATH or postgres://"), "{}", complaint(&typo));
    std::fs::write(folder.path().join("dmwsi.toml"), "[gateway]\nmaxTrys = 1\n").unwrap();
    let unknown = run(folder.path(), &["config"]);
    assert!(complaint(&unknown).contains("maxTrys"), "{}", complaint(&unknown));
    std::fs::write(folder.path().join("dmwsi.toml"), "[gateway]\nmaxTries = 4\n").unwrap();
    let shown = said(&run(folder.path(), &["config", "--show"]));
    assert!(shown.contains("maxTries = 4"), "{shown}");
    let shown = dmwsi(folder.path(), &["config", "--show"]).env("DMWSI__GATEWAY__MAX_TRIES", "5").output().unwrap();
    assert!(said(&shown).contains("maxTries = 5"));
}

#[test]
fn postgresql_is_served_only_after_it_was_migrated() {
    let Some(database) = Database::postgres() else { return };
    let (folder, url) = (tempfile::tempdir().unwrap(), database.address());
    let serve = |name: &str| {
        dmwsi(folder.path(), &["serve", "--database", &url, "--role", name]).env("DMWSI__MAKE_KEYS", "true").output()
    };
    assert!(complaint(&serve("worker").unwrap()).contains("run `dmwsi migrate` first"));
    let planned = said(&run(folder.path(), &["migrate", "--dry-run", "--database", &url]));
    assert!(planned.contains("would apply"), "{planned}");
    said(&run(folder.path(), &["migrate", "--database", &url]));
    assert!(said(&run(folder.path(), &["migrate", "--database", &url])).contains("up to date"));
    assert_eq!(Serving::start(folder.path(), &["--database", &url, "--role", "worker"]).terminate(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_devices_register_themselves_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path(), &[]);
    let text = said(&run(folder.path(), &["client", "add", "--name", "factory"]));
    let after = |what: &str| text.lines().find_map(|line| line.strip_prefix(what)).unwrap().trim().to_owned();
    let server = format!("{}/dm", serving.base);
    let keys = ["--client-id", &after("client id:"), "--client-secret", &after("client secret:")];
    // Others of OMA DM 1.1 prove themselves by MACs, and are counted as well.
    let mut others =
        dmwsi(folder.path(), &["simulate", "--register", "--json", "--first", "100", "--every", "0.3", "--server", &server]);
    let others =
        others.args(keys).args(["--seconds", "1", "--auth", "hmac", "--server-auth", "hmac", "--mac-in-hexadecimal", "--dm-1-1"]);
    let counted = String::from_utf8(others.output().unwrap().stdout).unwrap();
    let last: Value = serde_json::from_str(counted.lines().last().unwrap()).unwrap();
    assert!(last["sessionsFailed"] == 0 && last["sessionsOk"].as_u64().unwrap() >= 1, "{last}");
    let mut fleet =
        dmwsi(folder.path(), &["simulate", "--devices", "20", "--register", "--json", "--every", "0.5", "--server", &server]);
    let fleet = fleet.args(keys).args(["--seconds", "3"]);
    let mut fleet = fleet.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = tokio::time::timeout(Duration::from_secs(30), tokio::task::spawn_blocking(move || (fleet.wait(), fleet)));
    let (status, fleet) = status.await.unwrap().unwrap();
    let (mut counted, mut told) = (String::new(), String::new());
    fleet.stdout.unwrap().read_to_string(&mut counted).unwrap();
    fleet.stderr.unwrap().read_to_string(&mut told).unwrap();
    assert!(status.unwrap().success() && told.contains("registered 20 devices; 0 were refused"), "{told}");
    let last: Value = serde_json::from_str(counted.lines().last().unwrap()).unwrap();
    assert_eq!((last["devices"].as_u64(), last["sessionsFailed"].as_u64()), (Some(20), Some(0)), "{last}");
    assert!(last["sessionsOk"].as_u64().unwrap() >= 20, "{last}");
}

/// OES3, OES6
#[tokio::test(flavor = "multi_thread")]
async fn the_log_holds_no_secret_no_number_and_no_node_value_even_when_it_says_most() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path(), &[]);
    let text = said(&run(folder.path(), &["client", "add", "--name", "portal"]));
    let after = |what: &str| text.lines().find_map(|line| line.strip_prefix(what)).unwrap().trim().to_owned();
    let (client, secret) = (after("client id:"), after("client secret:"));
    let portal = Portal::log_in(&serving.base, &client, &secret).await.unwrap();
    let profile = DeviceProfile::nth(1, 0);
    let mut device = portal::device(&profile, None);
    device["pushAddress"] = json!({"type": "SMS", "msisdn": "+491700000017"});
    let device = portal.call(reqwest::Method::POST, "/v1/devices", Some(&device)).await.unwrap();
    let device = device["deviceId"].as_str().unwrap().to_owned();
    let changes = json!([{"node": "./Vendor/Test/Name", "value": "canary-of-a-value"}]);
    let job = portal.start(&json!({"type": "NODES_SET", "changes": changes}), &[device]).await.unwrap();
    let server = format!("{}/dm", serving.base);
    said(&run(folder.path(), &["simulate", "--every", "0.3", "--seconds", "2", "--server", &server]));
    let ended = portal.job(&job, 20).await.unwrap();
    assert_eq!(ended["outcome"], "SUCCEEDED", "{ended}");
    let log = serving.log.lock().unwrap().clone();
    assert!(log.contains("/v1/jobs"), "it logs nothing: {log}");
    let imei = profile.client_name.as_str();
    for canary in [secret.as_str(), &profile.client_secret, &profile.server_secret, "491700000017", "canary-of-a-value", imei] {
        assert!(!log.contains(canary), "{canary} stands in the log");
    }
}

/// HL-INGEST3: a folder becomes a container; what is wrong is told before. That a server takes it is tested with the containers.
#[test]
fn a_folder_is_packed_into_a_container() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("release");
    std::fs::create_dir_all(source.join("payloads")).unwrap();
    std::fs::write(source.join("payloads/x1.bin"), b"the new firmware").unwrap();
    let targets = json!([{"manufacturer": "Acme", "models": ["X1"]}]);
    let deliverable = json!({"deliverableId": "x1", "kind": "FIRMWARE", "name": "X1", "version": "2.0.0", "targets": targets, "payloads": [{"payloadId": "p0", "path": "payloads/x1.bin"}]});
    let mut manifest = json!({"formatVersion": 1, "containerId": "urn:packed", "sequenceNumber": 1, "createdAt": "2026-11-20T10:00:00Z", "deliverables": [deliverable]});
    std::fs::write(source.join("manifest.json"), manifest.to_string()).unwrap();
    said(&run(folder.path(), &["container", "pack", "release"]));
    let packed = std::fs::read(folder.path().join("release.tar")).unwrap();
    let listed = Command::new("tar").arg("tf").arg(folder.path().join("release.tar")).output().unwrap();
    assert_eq!(said(&listed), "manifest.json\npayloads/x1.bin\n");
    assert!(complaint(&run(folder.path(), &["container", "pack", "release"])).contains("release.tar"), "it is there already");
    said(&run(folder.path(), &["container", "pack", "release", "--output", "again.tar"]));
    assert_eq!(std::fs::read(folder.path().join("again.tar")).unwrap(), packed, "the same folder gives the same bytes");
    manifest["deliverables"][0]["payloads"][0]["size"] = json!(3);
    std::fs::write(source.join("manifest.json"), manifest.to_string()).unwrap();
    assert!(complaint(&run(folder.path(), &["container", "pack", "release", "--output", "bad.tar"])).contains("has 16 bytes"));
    assert!(!folder.path().join("bad.tar").exists());
    for wrong in [json!("TOY"), json!("FIRMWARE ")] {
        manifest["deliverables"][0]["kind"] = wrong;
        manifest["deliverables"][0]["payloads"][0]["size"] = json!(16);
        std::fs::write(source.join("manifest.json"), manifest.to_string()).unwrap();
        assert!(
            complaint(&run(folder.path(), &["container", "pack", "release", "--output", "bad.tar"]))
                .contains("/deliverables/0/kind")
        );
    }
    // A signed manifest stays as it is, so it must say everything, and rightly.
    manifest["deliverables"][0]["kind"] = json!("FIRMWARE");
    std::fs::write(source.join("manifest.p7s"), "a signature").unwrap();
    for (digests, told) in [
        (json!({}), "still open"),
        (json!({"sha-256": "0".repeat(64)}), "sha-256"),
        (json!({"sha-256": hex(b"the new firmware"), "sha-512": "0".repeat(128)}), "sha-512"),
    ] {
        manifest["deliverables"][0]["payloads"][0]["digests"] = digests;
        std::fs::write(source.join("manifest.json"), manifest.to_string()).unwrap();
        assert!(complaint(&run(&source, &["container", "pack", ".", "--output", "../bad.tar"])).contains(told), "{told}");
    }
    manifest["deliverables"][0]["payloads"][0]["digests"] = json!({"sha-256": hex(b"the new firmware")});
    std::fs::write(source.join("manifest.json"), manifest.to_string()).unwrap();
    assert!(complaint(&run(&source, &["container", "pack", "."])).contains("--output is needed"));
    said(&run(&source, &["container", "pack", ".", "--output", "../signed.tar"]));
    let listed = Command::new("tar").arg("tf").arg(folder.path().join("signed.tar")).output().unwrap();
    assert_eq!(said(&listed), "manifest.json\nmanifest.p7s\npayloads/x1.bin\n");
    let help = said(&run(folder.path(), &["container", "pack", "--help"]));
    assert!(help.contains("manifest.json") && help.contains("--output"), "{help}");
}
