//! `dmwsi demo`: the main job, shown on an empty machine.
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use dmwsi::clients::{self, NewClient};
use dmwsi::config::Config;
use dmwsi::keys::Keys;
use dmwsi::portal::Portal;
use dmwsi::selfcare::{self, Selfcare};
use dmwsi::{Role, Running};
use dmwsi_domain::Clock;
use dmwsi_domain::egress::Egress;
use dmwsi_domain::scope::Grants;
use dmwsi_simulator::{Behaviour, Device, DeviceProfile, Ear, Fleet, Pace, Wire};
use serde_json::json;

use crate::Failure;
use crate::release;
use crate::serve::{start_log, stop_signal};
use crate::story;

/// Start a server with some simulated devices, deliver firmware to it and update one of them.
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
    /// The port of the self-care page; any free one when it is taken, or 0.
    #[arg(long, default_value_t = 8090)]
    selfcare_port: u16,
    /// How many devices.
    #[arg(long, default_value_t = 5)]
    devices: u32,
    /// Write addresses, client id and secret to this file as JSON, for programs that want to try the server.
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
}

/// What the demo has started.
pub(crate) struct Stage {
    running: Running,
    base: String,
    client: String,
    secret: String,
    selfcare: Selfcare,
    /// The portal of the story, which is the self-care's.
    pub(crate) portal: Portal,
    /// Who delivers firmware.
    pub(crate) partner: Portal,
    /// Where the partner keeps its release.
    pub(crate) release: PathBuf,
    pub(crate) devices: Vec<(String, DeviceProfile)>,
    fleet: Fleet,
}

impl Demo {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        let (began, stop) = (Instant::now(), stop_signal()?);
        let temporary = if self.folder.is_none() { Some(temporary_folder()?) } else { None };
        let folder = self.folder.clone().or_else(|| temporary.clone()).unwrap_or_default();
        let stage = self.start(&folder).await?;
        let done = story::tell(&stage, began).await;
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
        stage.selfcare.stop().await?;
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
        config.listen.address = free(self.port)?.local_addr()?;
        // The devices of the demo are on this machine.
        config.egress = Egress::allowing(["127.0.0.0/8"])?;
        config.public_url = format!("http://{}", config.listen.address);
        let base = config.public_url.clone();
        let keys = Keys::load(&folder.join("keys.toml"), true)?;
        let running = dmwsi::start(config, keys, Role::All, Clock::System).await?;
        println!("A server listens on {base}, with its database in {}.", folder.display());

        let (client, secret) = add_client(&running, "operator", Grants::all()).await?;
        let operator = Portal::log_in(&base, &client, &secret).await?;
        let (id, word) = add_client(&running, "partner", "containers:read containers:write".parse()?).await?;
        let partner = Portal::log_in(&base, &id, &word).await?;
        let (id, word) = add_client(&running, "self-care", selfcare::SCOPES.parse()?).await?;
        let portal = Portal::log_in(&base, &id, &word).await?;

        // Another seed each time, so that a folder can be used again.
        let seed = u64::try_from(Clock::System.now().micros())?;
        let (mut devices, mut ears) = (Vec::new(), Vec::new());
        for n in 0..self.devices.max(1) {
            let (profile, ear) = (DeviceProfile::nth(seed, n), Ear::open(Ipv4Addr::LOCALHOST.into(), 0).await?);
            devices.push((operator.register(&profile, Some(ear.address())).await?, profile));
            ears.push(ear);
        }
        println!("The operator's system has registered {} devices.", devices.len());
        let fleet = start_devices(&devices, ears, &format!("{base}/dm"))?;
        let selfcare = Selfcare::start(free(self.selfcare_port)?, portal.clone())?;
        if let Some(file) = &self.credentials {
            let page = format!("http://{}", selfcare.address());
            let text = json!({"url": base, "clientId": client, "clientSecret": secret, "selfcareUrl": page});
            std::fs::write(file, text.to_string())?;
        }
        let release = release::write(folder, seed)?;
        Ok(Stage { running, base, client, secret, selfcare, portal, partner, release, devices, fleet })
    }
}

/// A client of the demo's organisation; its id and its secret.
async fn add_client(running: &Running, name: &str, scopes: Grants) -> Result<(String, String), Failure> {
    let new = NewClient { organisation: "demo".to_owned(), name: name.to_owned(), scopes };
    let (client, secret) = clients::add(running.store(), &Clock::System, new).await?;
    Ok((client.id.to_string(), secret.reveal().to_owned()))
}

fn invite(stage: &Stage) {
    println!("\nThe server and its devices stay up. Two ways to try it in a browser:");
    println!("  as the user of a device:   http://{}", stage.selfcare.address());
    println!("  as an external system:     {}/docs", stage.base);
    println!("    client id:      {}", stage.client);
    println!("    client secret:  {}", stage.secret);
    for (device, profile) in &stage.devices {
        println!("    a device:       {device}  {} {}", profile.manufacturer, profile.model);
    }
    println!("Stop it with Ctrl-C.");
}

/// Devices that call once and then sleep until they are woken. Every download of theirs breaks once, to be resumed.
fn start_devices(devices: &[(String, DeviceProfile)], ears: Vec<Ear>, server: &str) -> Result<Fleet, Failure> {
    let wire = Wire::new(None)?;
    let behaviour = Behaviour {
        poll_ms: 3_600_000,
        jitter_ms: 200,
        download_ms: 700,
        break_downloads: vec![release::BREAK],
        install_ms: 700,
        reboot_ms: 500,
        ..Behaviour::default()
    };
    let device = |(_, profile): &(String, DeviceProfile)| Device::new(profile.clone(), behaviour.clone(), server, &wire);
    let devices = devices.iter().map(device).zip(ears.into_iter().map(Some));
    Ok(Fleet::start_listening(devices, Pace::default()))
}

/// A socket at the wanted port of this machine, or at a free one.
fn free(port: u16) -> Result<TcpListener, Failure> {
    let bound = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    Ok(bound(port).or_else(|_taken| bound(0))?)
}

fn temporary_folder() -> Result<PathBuf, Failure> {
    let folder = std::env::temp_dir().join(format!("dmwsi-demo-{}", Clock::System.new_id().simple()));
    std::fs::create_dir(&folder)?;
    Ok(folder)
}
