//! The command `dmwsi`.
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use dmwsi::config::Config;

mod client;
mod container;
mod demo;
mod migrate;
mod openapi;
mod release;
mod serve;
mod simulate;
mod simulate_bootstrap;
mod simulate_faults;
mod simulate_proofs;
mod story;
mod syncml;

/// An open OMA DM 1.2 server with a REST interface.
///
/// Try it: `dmwsi demo` starts a server and some simulated devices, and updates one of them.
#[derive(Parser)]
#[command(version, about, long_about, max_term_width = 110, arg_required_else_help = true)]
struct Command {
    #[command(subcommand)]
    which: Which,
}

#[derive(Subcommand)]
enum Which {
    /// Print the description of what is told: AsyncAPI 3.0 as YAML.
    Asyncapi,
    /// Add, list and revoke the clients of external systems.
    Client(client::Client),
    /// Make containers of firmware, software, content and configuration.
    Container(container::Container),
    /// Show the settings as they are: defaults, file and environment together.
    Config(Show),
    /// Start a server and some simulated devices in a folder of its own, and update one of them through the public interface.
    Demo(demo::Demo),
    /// Bring the database to the schema of this version.
    Migrate(migrate::Migrate),
    /// Print the description of the interface: OpenAPI 3.1 as YAML.
    Openapi,
    /// Serve external systems and devices, and do the tasks, until told to stop (SIGTERM, SIGINT).
    Serve(serve::Serve),
    /// Run simulated devices against a server.
    Simulate(Box<simulate::Simulate>),
    /// Turn messages of OMA DM into what people read, and back: XML, WBXML and JSON.
    Syncml(syncml::Syncml),
}

#[derive(Args)]
struct Show {
    /// Show them; without it they are only checked.
    #[arg(long)]
    show: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Where the settings come from.
#[derive(Args)]
pub(crate) struct Settings {
    /// The settings file; `dmwsi.toml` of this folder when there is one.
    #[arg(long, value_name = "FILE", env = "DMWSI_CONFIG")]
    config: Option<PathBuf>,
    /// The database: `sqlite:PATH` or `postgres://USER@HOST/NAME`. Goes before the settings.
    #[arg(long, value_name = "URL", env = "DMWSI_DATABASE", hide_env_values = true)]
    database: Option<String>,
}

impl Settings {
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(url) = &self.database {
            config.store.url = url.parse()?;
        }
        Ok(config)
    }
}

/// Why a command ended badly: shown to whoever called it.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let command = Command::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let done = runtime.block_on(async {
        match command.which {
            Which::Asyncapi => {
                openapi::run_asyncapi();
                Ok(())
            }
            Which::Client(client) => client.run().await,
            Which::Container(container) => container.run(),
            Which::Config(show) => show.run(),
            Which::Demo(demo) => return demo.run().await,
            Which::Migrate(migrate) => migrate.run().await,
            Which::Openapi => {
                openapi::run();
                Ok(())
            }
            Which::Serve(serve) => serve.run().await,
            Which::Simulate(simulate) => simulate.run().await,
            Which::Syncml(syncml) => syncml.run(),
        }
        .map(|()| ExitCode::SUCCESS)
    });
    // What still runs in the background has nothing to lose by now.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done.unwrap_or_else(|error| failed(&error))
}

impl Show {
    fn run(&self) -> Result<(), Failure> {
        let config = self.settings.load()?;
        config.check()?;
        if self.show {
            print!("{}", config.shown()?);
        } else {
            println!("The settings are good. Show them with --show.");
        }
        Ok(())
    }
}

fn failed(error: &Failure) -> ExitCode {
    eprintln!("dmwsi: {error}");
    let mut cause = error.source();
    while let Some(deeper) = cause {
        eprintln!("  because: {deeper}");
        cause = deeper.source();
    }
    ExitCode::FAILURE
}
