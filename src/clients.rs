//! Making clients from outside the interface: by the command, by the demo and by tests.
use dmwsi_api::ClientSecret;
use dmwsi_domain::client::Client;
use dmwsi_domain::id::{ClientId, OrganisationId};
use dmwsi_domain::organisation::Organisation;
use dmwsi_domain::scope::Grants;
use dmwsi_domain::{Clock, Error, Result};
use dmwsi_store::Store;

/// A client to be made.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// The name of its organisation, which is made when there is none.
    pub organisation: String,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: Grants,
}

/// Makes a client and its secret, which is kept nowhere.
pub async fn add(store: &Store, clock: &Clock, new: NewClient) -> Result<(Client, ClientSecret)> {
    let secret = ClientSecret::mint().map_err(Error::internal)?;
    let (now, hash) = (clock.now(), secret.hash());
    let (client, organisation) = (ClientId::new(clock.new_id()), OrganisationId::new(clock.new_id()));
    let client = store
        .write(move |tx| {
            let owner = match tx.organisation_named(&new.organisation)? {
                Some(owner) => owner,
                None => {
                    let owner = Organisation { id: organisation, name: new.organisation.clone(), created_at: now, revision: 1 };
                    tx.add_organisation(&owner)?;
                    owner
                }
            };
            let client = Client {
                id: client,
                organisation: owner.id,
                name: new.name.clone(),
                secret_hash: hash,
                scopes: new.scopes.clone(),
                created_at: now,
                revoked_at: None,
                revision: 1,
            };
            tx.add_client(&client)?;
            Ok(client)
        })
        .await?;
    Ok((client, secret))
}
