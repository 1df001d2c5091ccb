//! Organisations as rows.
use diesel::prelude::*;
use dmwsi_domain::id::OrganisationId;
use dmwsi_domain::organisation::Organisation;
use dmwsi_domain::{Error, Result, Timestamp};
use uuid::Uuid;

use crate::schema::organisations;
use crate::{Tx, failed, on, unique};

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = organisations)]
struct Row {
    id: String,
    name: String,
    created_at: i64,
    revision: i64,
}

impl TryFrom<Row> for Organisation {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: OrganisationId::new(Uuid::try_parse(&row.id).map_err(Error::internal)?),
            name: row.name,
            created_at: Timestamp::from_micros(row.created_at),
            revision: row.revision,
        })
    }
}

impl Tx<'_> {
    /// Adds an organisation; its name must be new.
    pub fn add_organisation(&mut self, organisation: &Organisation) -> Result<()> {
        let row = Row {
            id: organisation.id.uuid().simple().to_string(),
            name: organisation.name.clone(),
            created_at: organisation.created_at.micros(),
            revision: organisation.revision,
        };
        let insert = diesel::insert_into(organisations::table).values(row);
        unique(on!(self, conn => insert.execute(conn)), || Error::Exists { what: "organisation of that name" })?;
        Ok(())
    }

    /// The organisation of that name, if there is one.
    pub fn organisation_named(&mut self, name: &str) -> Result<Option<Organisation>> {
        let found = organisations::table.filter(organisations::name.eq(name.to_owned()));
        let row: Option<Row> = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        row.map(Organisation::try_from).transpose()
    }

    /// Every organisation, by name; there are few.
    pub fn organisations(&mut self) -> Result<Vec<Organisation>> {
        let all = organisations::table.order(organisations::name);
        let rows: Vec<Row> = on!(self, conn => all.select(Row::as_select()).load(conn)).map_err(failed)?;
        rows.into_iter().map(Organisation::try_from).collect()
    }
}
