//! `dmwsi demo`: the main job, shown on an empty machine.
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, web};
use clap::Args;
use dmwsi::clients::{self, NewClient};
use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi::portal::Portal;
use dmwsi::{Role, Running};
use dmwsi_domain::Clock;
use dmwsi_domain::egress::Egress;
use dmwsi_domain::scope::Grants;
use dmwsi_simulator::{Behaviour, Device, DeviceProfile, Ear, Fleet, Pace, Wire, sample_package};
use serde_json::{Value, json};

use crate::Failure;
use crate::serve::{start_log, stop_signal};

/// The firmware that the demo brings onto a device.
const VERSION: &str = "2.0.0";

/// How large it is, in bytes.
const PACKAGE: usize = 2 << 20;

/// How long the update may take.
const PATIENCE: Duration = Duration::from_secs(25);

/// Start a server with some simulated devices and update one of them.
#[derive(Args)]
pub(crate) struct Demo {
    /// End when the update has ended: 0 when it succeeded, 1 otherwise.
    #[arg(long)]
    once: bool,
    /// Keep database and keys in this folder; without it they are gone afterwards.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// The port to listen on; any free one when it is taken, or 0.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// How many devices.
    #[arg(long, default_value_t = 5)]
    devices: u32,
    /// Write address, client id and secret to this file as JSON, for programs that want to try the server.
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
}

/// What the demo has started.
struct Stage {
    running: Running,
    base: String,
    client: String,
    secret: String,
    portal: Portal,
    package: String,
    devices: Vec<(String, DeviceProfile)>,
    fleet: Fleet,
}

impl Demo {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        let (began, stop) = (Instant::now(), stop_signal()?);
        let temporary = if self.folder.is_none() { Some(temporary_folder()?) } else { None };
        let folder = self.folder.clone().or_else(|| temporary.clone()).unwrap_or_default();
        let stage = self.start(&folder).await?;
        let done = update(&stage, began).await;
        let code = match &done {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) | Err(_) => ExitCode::FAILURE,
        };
        if let Err(error) = &done {
            eprintln!("the update did not come to an end: {error}");
        }
        if !self.once {
            invite(&stage);
            stop.await;
            println!("\nStopping.");
        }
        stage.fleet.stop().await;
        stage.running.stop().await?;
        if let Some(folder) = temporary {
            std::fs::remove_dir_all(folder)?;
        }
        Ok(if self.once { code } else { ExitCode::SUCCESS })
    }

    async fn start(&self, folder: &Path) -> Result<Stage, Failure> {
        std::fs::create_dir_all(folder)?;
        let mut config = Config::default();
        config.log.filter = "warn".to_owned();
        start_log(&config)?;
        config.store.url = format!("sqlite:{}", folder.join("dmwsi.db").display()).parse()?;
        config.listen.address = free_address(self.port)?;
        // Devices and packages of the demo are on this machine.
        config.egress = Egress::allowing(["127.0.0.0/8"])?;
        config.public_url = format!("http://{}", config.listen.address);
        let base = config.public_url.clone();
        let keys = Keys::load(&folder.join("keys.toml"), true)?;
        let running = dmwsi::start(config, keys, Role::All, Clock::System).await?;
        println!("A server listens on {base}, with its database in {}.", folder.display());

        let new = NewClient { organisation: "demo".to_owned(), name: "portal".to_owned(), scopes: Grants::all() };
        let (client, secret) = clients::add(running.store(), &Clock::System, new).await?;
        let (client, secret) = (client.id.to_string(), secret.reveal().to_owned());
        let portal = Portal::log_in(&base, &client, &secret).await?;

        // Another seed each time, so that a folder can be used again.
        let seed = u64::try_from(Clock::System.now().micros())?;
        let (mut devices, mut ears) = (Vec::new(), Vec::new());
        for n in 0..self.devices.max(1) {
            let (profile, ear) = (DeviceProfile::nth(seed, n), Ear::open(Ipv4Addr::LOCALHOST.into(), 0).await?);
            devices.push((portal.register(&profile, Some(ear.address())).await?, profile));
            ears.push(ear);
        }
        println!("A portal with an OAuth2 token has registered {} devices.", devices.len());
        let package = serve_package()?;
        let fleet = start_devices(&devices, ears, &format!("{base}/dm"))?;
        if let Some(file) = &self.credentials {
            let text = json!({"url": base, "clientId": client, "clientSecret": secret, "packageUrl": package});
            std::fs::write(file, text.to_string())?;
        }
        Ok(Stage { running, base, client, secret, portal, package, devices, fleet })
    }
}

/// One update through the public interface, told as it goes; whether it succeeded.
async fn update(stage: &Stage, began: Instant) -> Result<bool, Failure> {
    let Some((device, profile)) = stage.devices.first() else { return Ok(false) };
    let operation = json!({
        "type": "FIRMWARE_UPDATE", "packageUrl": stage.package, "packageName": "Sample firmware", "packageVersion": VERSION,
        "expectedFirmwareVersion": VERSION, "delivery": "DOWNLOAD_AND_UPDATE",
    });
    let job = stage.portal.start(&operation, std::slice::from_ref(device)).await?;
    println!("It starts the job {job}: firmware {} to {VERSION} on {device}.\n", profile.firmware);
    let mut told = 0;
    loop {
        let execution = stage.portal.execution(&job, device).await?;
        let timeline = execution.get("timeline").and_then(Value::as_array).cloned().unwrap_or_default();
        for entry in timeline.iter().skip(told) {
            println!("  {:>5.1} s  {}", began.elapsed().as_secs_f32(), line(entry));
        }
        told = timeline.len();
        if execution.get("finishedAt").is_some_and(|at| !at.is_null()) {
            let job = stage.portal.job(&job, 5).await?;
            tell_wake(&stage.portal.wake(device).await?);
            return Ok(report(&execution, &job));
        }
        if began.elapsed() > PATIENCE {
            return Err("it takes too long".into());
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

/// How the device was woken.
fn tell_wake(wake: &Value) {
    let text = |name: &str| wake.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let [state, attempts, session] = ["state", "attempts", "sessionId"].map(|name| text(name).unwrap_or_default());
    println!("\nThe device slept and was woken by package 0: {state}, attempts {attempts}, session {session}.");
}

/// One entry of a timeline in words.
fn line(entry: &Value) -> String {
    let text = |of: &Value, name: &str| of.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let what = text(entry, "type").unwrap_or_default();
    let what = what.strip_prefix("dmwsi.v1.").unwrap_or(&what).to_owned();
    let data = entry.get("data").unwrap_or(&Value::Null);
    let more: Vec<_> = ["phase", "progress", "state", "outcome"].into_iter().filter_map(|name| text(data, name)).collect();
    format!("{what:20} {}", more.join(" "))
}

/// Prints how it ended and why; whether it succeeded.
fn report(execution: &Value, job: &Value) -> bool {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    println!("\nThe job is {}: {}. The evidence:", text(job, "state"), text(execution, "outcome"));
    for piece in execution.get("evidence").and_then(Value::as_array).into_iter().flatten() {
        let mut piece = piece.clone();
        let (at, kind) = (text(&piece, "at"), text(&piece, "type"));
        if let Some(fields) = piece.as_object_mut() {
            fields.remove("at");
            fields.remove("type");
        }
        println!("  {at}  {kind:9} {piece}");
    }
    text(execution, "state") == "SUCCEEDED"
}

fn invite(stage: &Stage) {
    println!("\nThe server and its devices stay up. Try it in a browser: {}/docs", stage.base);
    println!("  client id:      {}", stage.client);
    println!("  client secret:  {}", stage.secret);
    println!("  a package:      {}", stage.package);
    for (device, profile) in &stage.devices {
        println!("  a device:       {device}  {} {}", profile.manufacturer, profile.model);
    }
    println!("Stop it with Ctrl-C.");
}

/// Devices that call once and then sleep until they are woken.
fn start_devices(devices: &[(String, DeviceProfile)], ears: Vec<Ear>, server: &str) -> Result<Fleet, Failure> {
    let wire = Wire::new(None)?;
    let behaviour = Behaviour {
        poll_ms: 3_600_000,
        jitter_ms: 200,
        download_ms: 700,
        install_ms: 700,
        reboot_ms: 500,
        ..Behaviour::default()
    };
    let device = |(_, profile): &(String, DeviceProfile)| Device::new(profile.clone(), behaviour.clone(), server, &wire);
    let devices = devices.iter().map(device).zip(ears.into_iter().map(Some));
    Ok(Fleet::start_listening(devices, Pace::default()))
}

/// Serves the package, and brings its address. It ends with the process.
fn serve_package() -> Result<String, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let package = web::Bytes::from(sample_package(VERSION, PACKAGE));
    let server = HttpServer::new(move || {
        let package = package.clone();
        let answer = move || {
            let package = package.clone();
            async move { HttpResponse::Ok().content_type("application/octet-stream").body(package) }
        };
        App::new().route("/firmware-2.0.0.bin", web::get().to(answer))
    })
    .disable_signals()
    .workers(1)
    .listen(listener)?
    .run();
    tokio::spawn(server);
    Ok(format!("http://{address}/firmware-{VERSION}.bin"))
}

/// The wanted port on this machine, or a free one.
fn free_address(port: u16) -> Result<SocketAddr, Failure> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).or_else(|_taken| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(bound.local_addr()?)
}

fn temporary_folder() -> Result<PathBuf, Failure> {
    let folder = std::env::temp_dir().join(format!("dmwsi-demo-{}", Clock::System.new_id().simple()));
    std::fs::create_dir(&folder)?;
    Ok(folder)
}
