//! `dmwsi migrate`: the schema.
use clap::Args;

use crate::{Failure, Settings};

/// Bring the database to the schema of this version, or see what is missing.
#[derive(Args)]
pub(crate) struct Migrate {
    /// Only list what would be done.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Migrate {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let store = dmwsi::open_store(&self.settings.load()?)?;
        let pending = store.pending().await?;
        if pending.is_empty() {
            println!("The schema is up to date.");
            return Ok(());
        }
        for name in &pending {
            println!("{} {name}", if self.dry_run { "would apply" } else { "applying" });
        }
        if !self.dry_run {
            store.migrate().await?;
            println!("The schema is up to date.");
        }
        Ok(())
    }
}
