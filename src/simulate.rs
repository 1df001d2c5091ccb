//! `dmwsi simulate`: devices.
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use dmwsi::portal::{self, Portal};
use dmwsi_protocol::encoding::Encoding;
use dmwsi_simulator::{Behaviour, Device, DeviceProfile, Ear, Fleet, Make, Pace, sample_package};

use crate::Failure;
use crate::serve::stop_signal;
use crate::simulate_bootstrap::Told;
use crate::simulate_faults::Faults;
use crate::simulate_proofs::Proofs;

/// Run simulated devices against a server, register them, or show what is to be registered.
#[derive(Args)]
pub(crate) struct Simulate {
    /// How many devices.
    #[arg(long, default_value_t = 1, value_name = "N")]
    devices: u32,
    /// Where devices send their messages, such as `http://127.0.0.1:8080/dm`.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Have the device know of its server what this bootstrap document says: a message of OMA DM in WBXML, or a document of Client Provisioning in XML.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["devices", "package", "register", "show"])]
    bootstrap: Option<PathBuf>,
    /// Register the devices first, through the interface of external systems.
    #[arg(long, requires = "client_id", requires = "client_secret")]
    register: bool,
    /// Where that interface is; the server's address without `/dm` when absent.
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    /// The client that registers.
    #[arg(long, env = "DMWSI_CLIENT_ID")]
    client_id: Option<String>,
    /// Its secret.
    #[arg(long, env = "DMWSI_CLIENT_SECRET", hide_env_values = true, allow_hyphen_values = true)]
    client_secret: Option<String>,
    /// What the identities and secrets of the devices are derived from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of the first device.
    #[arg(long, default_value_t = 0)]
    first: u32,
    /// Let devices listen for notifications (package 0) and call when they are woken; with --register their addresses are registered.
    #[arg(long)]
    wake: bool,
    /// Where they listen, as the server sees it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", requires = "wake")]
    wake_address: IpAddr,
    /// The port at which the first device listens, the others after it; any free ports when absent.
    #[arg(long, value_name = "PORT", requires = "wake")]
    wake_port: Option<u16>,
    /// Talk in WBXML.
    #[arg(long)]
    wbxml: bool,
    /// Talk as a client of the field does: android, libdmclient, nokia, samsung, windows or windows-mobile.
    #[arg(long = "as", value_name = "CLIENT")]
    make: Option<Make>,
    /// The time between two calls of a device, in seconds.
    #[arg(long, default_value_t = 2.0)]
    every: f64,
    /// How many devices may talk at the same time.
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Stop after so many seconds; without it, when told to.
    #[arg(long)]
    seconds: Option<u64>,
    /// Trust the certificates of this PEM file, too.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print the counters as JSON, one object a second.
    #[arg(long)]
    json: bool,
    /// Only print what is to be registered of the devices, one JSON object a line.
    #[arg(long, conflicts_with_all = ["server", "register"])]
    show: bool,
    /// Only write a sample firmware package of this version to standard output.
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["server", "register", "show"])]
    package: Option<String>,
    #[command(flatten)]
    proofs: Proofs,
    #[command(flatten)]
    faults: Faults,
}

impl Simulate {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        if let Some(version) = &self.package {
            std::io::stdout().write_all(&sample_package(version, 256 * 1024))?;
            return Ok(());
        }
        if self.show {
            for profile in self.profiles() {
                println!("{}", portal::device_that(&profile, None, &self.proofs.of(Behaviour::default())));
            }
            return Ok(());
        }
        let told = self.bootstrap.as_deref().map(Told::read).transpose()?;
        let server = self.server.as_deref().or_else(|| told.as_ref().map(Told::address));
        let Some(server) = server else { return Err("--server names where the devices call".into()) };
        let ears = self.ears().await?;
        if self.register {
            self.register(server, &ears).await?;
        }
        let wire = self.proofs.wire(self.ca.as_deref())?;
        let every = Duration::try_from_secs_f64(self.every)?;
        let millis = u64::try_from(every.as_millis())?;
        let usual = self.make.map_or(Encoding::Xml, Make::encoding);
        let behaviour = Behaviour {
            encoding: if self.wbxml { Encoding::Wbxml } else { usual },
            poll_ms: millis,
            jitter_ms: millis / 4,
            ..self.proofs.of(self.faults.behaviour())
        };
        let behaviour = told.iter().fold(behaviour, |behaviour, told| told.behaviour(behaviour));
        let behaviour = self.make.map_or_else(|| behaviour.clone(), |make| make.of(behaviour.clone()));
        let profiles = self.profiles().map(|profile| told.iter().fold(profile, |profile, told| told.profile(profile)));
        let devices = profiles.map(|profile| Device::new(profile, behaviour.clone(), server, &wire));
        let fleet = Fleet::start_listening(devices.zip(ears), Pace { concurrency: self.concurrency, spread: every });
        let told = stop_signal()?;
        let stop = async {
            match self.seconds {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => told.await,
            }
        };
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(Duration::from_secs(1)) => self.print(&fleet)?,
            }
        }
        self.print(&fleet)?;
        fleet.stop().await;
        Ok(())
    }

    fn profiles(&self) -> impl Iterator<Item = DeviceProfile> + use<> {
        let (seed, first, make) = (self.seed, self.first, self.make);
        let made = move |profile| match make {
            Some(make) => make.device(profile),
            None => profile,
        };
        (first..first.saturating_add(self.devices)).map(move |n| made(DeviceProfile::nth(seed, n)))
    }

    /// Where each device listens, if it does.
    async fn ears(&self) -> Result<Vec<Option<Ear>>, Failure> {
        let mut ears = Vec::new();
        for n in 0..self.devices {
            if !self.wake {
                ears.push(None);
                continue;
            }
            let port = self.wake_port.map(|first| u32::from(first).saturating_add(n));
            let port = u16::try_from(port.unwrap_or(0)).map_err(|_over| "there are not as many ports")?;
            ears.push(Some(Ear::open(self.wake_address, port).await?));
        }
        Ok(ears)
    }

    async fn register(&self, server: &str, ears: &[Option<Ear>]) -> Result<(), Failure> {
        let api = self.api.as_deref().unwrap_or_else(|| server.strip_suffix("/dm").unwrap_or(server));
        let (id, secret) = (self.client_id.as_deref().unwrap_or_default(), self.client_secret.as_deref().unwrap_or_default());
        let addresses = ears.iter().map(|ear| ear.as_ref().map(Ear::address)).collect::<Vec<_>>();
        let behaviour = self.proofs.of(Behaviour::default());
        let devices = self.profiles().zip(addresses).map(|(profile, ear)| portal::device_that(&profile, ear, &behaviour));
        let (made, refused) = Portal::log_in(api, id, secret).await?.import(devices).await?;
        eprintln!("registered {made} devices; {refused} were refused (those that are there already among them)");
        Ok(())
    }

    fn print(&self, fleet: &Fleet) -> Result<(), Failure> {
        let now = fleet.snapshot();
        if self.json {
            println!("{}", serde_json::to_string(&now)?);
            return Ok(());
        }
        println!(
            "{} devices, {} sessions, {} failed {:?}, {} updates done, {} failed",
            now.devices, now.sessions_ok, now.sessions_failed, now.errors, now.updates_done, now.updates_failed
        );
        Ok(())
    }
}
