//! `dmwsi serve`: the server.
use std::io::IsTerminal as _;

use clap::Args;
use dmwsi::Role;
use dmwsi::config::{Config, LogFormat};
use dmwsi_domain::Clock;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{Failure, Settings};

/// Serve external systems and devices, and do the tasks.
#[derive(Args)]
pub(crate) struct Serve {
    /// What this process does. On SQLite one process does everything.
    #[arg(long, value_enum, default_value_t = Role::All)]
    role: Role,
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let config = self.settings.load()?;
        config.check()?;
        start_log(&config)?;
        raise_open_files();
        let keys = dmwsi::keys::Keys::load(&config.key_file, config.make_keys)?;
        // Before it serves: whoever sees it serving may stop it at once.
        let stop = stop_signal()?;
        let running = dmwsi::start(config, keys, self.role, Clock::System).await?;
        tracing::info!(address = %running.address(), role = %self.role, "serving");
        stop.await;
        tracing::info!("stopping: what runs is finished first");
        running.stop().await?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Hears from now on whether the process is told to stop, by SIGTERM or SIGINT; what it brings completes then.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Lets the process hold as many files open as the system allows it: each device and each delivery is a connection, and the usual limit of 1,024 is
/// one for programs of long ago.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if let Err(error) = raised {
        tracing::warn!(cause = ?error, "no more files than {:?} can be held open: {error}", limit.current);
    }
}

pub(crate) fn start_log(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.log.filter)?;
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Json => lines.json().try_init(),
        LogFormat::Text => lines.with_target(false).try_init(),
    }
}
