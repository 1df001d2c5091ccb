//! Clients of OAuth2 as rows.
use diesel::prelude::*;
use dmwsi_domain::client::{Client, SecretHash};
use dmwsi_domain::id::{ClientId, OrganisationId};
use dmwsi_domain::{Error, Result, Timestamp};
use uuid::Uuid;

use crate::schema::clients;
use crate::{Tx, failed, on, unique};

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = clients)]
struct Row {
    id: String,
    organisation_id: String,
    name: String,
    secret_hash: Vec<u8>,
    scopes: String,
    created_at: i64,
    revoked_at: Option<i64>,
    revision: i64,
}

impl TryFrom<Row> for Client {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let secret_hash = row.secret_hash.as_slice().try_into().map_err(Error::internal)?;
        Ok(Self {
            id: ClientId::new(Uuid::try_parse(&row.id).map_err(Error::internal)?),
            organisation: OrganisationId::new(Uuid::try_parse(&row.organisation_id).map_err(Error::internal)?),
            name: row.name,
            secret_hash: SecretHash(secret_hash),
            scopes: row.scopes.parse().map_err(Error::internal)?,
            created_at: Timestamp::from_micros(row.created_at),
            revoked_at: row.revoked_at.map(Timestamp::from_micros),
            revision: row.revision,
        })
    }
}

fn key(id: ClientId) -> String {
    id.uuid().simple().to_string()
}

impl Tx<'_> {
    /// Adds a client of an organisation that is there.
    pub fn add_client(&mut self, client: &Client) -> Result<()> {
        let row = Row {
            id: key(client.id),
            organisation_id: client.organisation.uuid().simple().to_string(),
            name: client.name.clone(),
            secret_hash: client.secret_hash.0.to_vec(),
            scopes: client.scopes.to_string(),
            created_at: client.created_at.micros(),
            revoked_at: client.revoked_at.map(Timestamp::micros),
            revision: client.revision,
        };
        let insert = diesel::insert_into(clients::table).values(row);
        unique(on!(self, conn => insert.execute(conn)), || Error::Exists { what: "client of that id" })?;
        Ok(())
    }

    /// The client of that id, revoked or not.
    pub fn client(&mut self, id: ClientId) -> Result<Client> {
        let found = clients::table.find(key(id));
        let row: Option<Row> = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        row.ok_or(Error::NotFound { what: "client" })?.try_into()
    }

    /// Every client, the newest last; there are few.
    pub fn clients(&mut self) -> Result<Vec<Client>> {
        let all = clients::table.order(clients::id);
        let rows: Vec<Row> = on!(self, conn => all.select(Row::as_select()).load(conn)).map_err(failed)?;
        rows.into_iter().map(Client::try_from).collect()
    }

    /// Stores what may change of a client (name, scopes, revocation), if nobody else changed it meanwhile; its revision moves on.
    pub fn update_client(&mut self, client: &mut Client) -> Result<()> {
        let next = client.revision.saturating_add(1);
        let held = clients::table.filter(clients::id.eq(key(client.id))).filter(clients::revision.eq(client.revision));
        let update = diesel::update(held).set((
            clients::name.eq(client.name.clone()),
            clients::scopes.eq(client.scopes.to_string()),
            clients::revoked_at.eq(client.revoked_at.map(Timestamp::micros)),
            clients::revision.eq(next),
        ));
        if on!(self, conn => update.execute(conn)).map_err(failed)? == 0 {
            return Err(Error::Stale { what: "client" });
        }
        client.revision = next;
        // What it may be told of has changed.
        self.touch_subscriptions(client.organisation, client.id)
    }
}
