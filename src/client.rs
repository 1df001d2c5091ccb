//! `dmwsi client`: who may use the interface.
use clap::{Args, Subcommand};
use dmwsi::clients::{self, NewClient};
use dmwsi_domain::Clock;
use dmwsi_domain::id::ClientId;
use dmwsi_domain::scope::{Grants, Scope};
use dmwsi_store::Tx;

use crate::{Failure, Settings};

/// Add, list and revoke clients.
#[derive(Args)]
pub(crate) struct Client {
    #[command(subcommand)]
    which: Which,
}

#[derive(Subcommand)]
enum Which {
    /// Add a client and print its id and secret. The secret is shown this once.
    Add(Add),
    /// List the clients.
    List {
        #[command(flatten)]
        settings: Settings,
    },
    /// Take a client's rights away for good; its tokens stop working within seconds.
    Revoke {
        /// The client, as in `list`.
        client: ClientId,
        #[command(flatten)]
        settings: Settings,
    },
}

#[derive(Args)]
struct Add {
    /// What people call it.
    #[arg(long)]
    name: String,
    /// The organisation that owns it and everything it makes; made when there is none of that name.
    #[arg(long, default_value = "default")]
    organisation: String,
    /// What it may do, several times or separated by blanks; everything when absent.
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<Grants>,
    #[command(flatten)]
    settings: Settings,
}

impl Client {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self.which {
            Which::Add(add) => add.run().await,
            Which::List { settings } => {
                let store = dmwsi::open_store(&settings.load()?)?;
                let (clients, organisations) = store.read(|tx| Ok((tx.clients()?, tx.organisations()?))).await?;
                for client in clients {
                    let state = if client.is_active() { "active" } else { "revoked" };
                    let owner =
                        organisations.iter().find(|one| one.id == client.organisation).map_or("?", |one| one.name.as_str());
                    println!("{}  {state:7}  {owner}  {}  [{}]", client.id, client.name, client.scopes);
                }
                Ok(())
            }
            Which::Revoke { client, settings } => {
                let store = dmwsi::open_store(&settings.load()?)?;
                let now = Clock::System.now();
                let revoke = move |tx: &mut Tx<'_>| {
                    let mut client = tx.client(client)?;
                    client.revoke(now);
                    tx.update_client(&mut client)
                };
                store.write(revoke).await?;
                println!("{client} is revoked");
                Ok(())
            }
        }
    }
}

impl Add {
    async fn run(self) -> Result<(), Failure> {
        let store = dmwsi::open_store(&self.settings.load()?)?;
        let scopes: Grants = self.scope.iter().flat_map(Grants::iter).collect();
        let scopes = if scopes.is_empty() { Scope::ALL.iter().copied().collect() } else { scopes };
        let new = NewClient { organisation: self.organisation, name: self.name, scopes };
        let (client, secret) = clients::add(&store, &Clock::System, new).await?;
        println!("client id:     {}", client.id);
        println!("client secret: {}", secret.reveal());
        println!("scopes:        {}", client.scopes);
        eprintln!("Keep the secret: it is not kept here and cannot be shown again.");
        Ok(())
    }
}
