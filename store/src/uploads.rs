//! Uploads that can be resumed. How far one has come is the length of its file.
use diesel::prelude::*;
use dmwsi_domain::device::Owner;
use dmwsi_domain::digest::Digests;
use dmwsi_domain::id::{ClientId, ContainerId, OrganisationId, UploadId};
use dmwsi_domain::{Error, Result, Timestamp};

use crate::column::{counted, document, number, parsed, text, uuid};
use crate::schema::uploads;
use crate::{Tx, failed, on};

/// An upload.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    /// Its id; its file waits under it.
    pub id: UploadId,
    /// Whose it is; only that client sees it.
    pub owner: Owner,
    /// How long it will be, in bytes, as soon as that is known.
    pub length: Option<u64>,
    /// What all of it hashes to, where that was said.
    pub digests: Digests,
    /// Whether what is good of the container may be taken when the rest is not.
    pub partial: bool,
    /// What became of it, once it is complete.
    pub container: Option<ContainerId>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it is given up.
    pub expires_at: Timestamp,
    /// Counts its changes, from 1.
    pub revision: i64,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = uploads)]
struct Row {
    id: String,
    organisation_id: String,
    client_id: String,
    length: Option<i64>,
    digests: String,
    partial: bool,
    container_id: Option<String>,
    created_at: i64,
    expires_at: i64,
    revision: i64,
}

impl TryFrom<Row> for Upload {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: UploadId::new(uuid(&row.id)?),
            owner: Owner {
                organisation: OrganisationId::new(uuid(&row.organisation_id)?),
                client: ClientId::new(uuid(&row.client_id)?),
            },
            length: row.length.map(|length| counted(length, "length")).transpose()?,
            digests: parsed(&row.digests)?,
            partial: row.partial,
            container: row.container_id.as_deref().map(uuid).transpose()?.map(ContainerId::new),
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: Timestamp::from_micros(row.expires_at),
            revision: row.revision,
        })
    }
}

impl Tx<'_> {
    /// Writes a new upload; refused with `TOO_MANY_UPLOADS` where its client has `most` open already.
    pub fn insert_upload(&mut self, upload: &Upload, most: u32) -> Result<()> {
        // Others that begin at the same moment are counted, too.
        self.hold_organisation(upload.owner.organisation)?;
        let open = uploads::table
            .filter(uploads::client_id.eq(text(upload.owner.client.uuid())))
            .filter(uploads::container_id.is_null())
            .filter(uploads::expires_at.gt(upload.created_at.micros()))
            .count();
        let open: i64 = on!(self, conn => open.get_result(conn)).map_err(failed)?;
        if open >= i64::from(most) {
            return Err(Error::conflict("TOO_MANY_UPLOADS", format!("a client has at most {most} uploads open")));
        }
        let row = Row {
            id: text(upload.id.uuid()),
            organisation_id: text(upload.owner.organisation.uuid()),
            client_id: text(upload.owner.client.uuid()),
            length: upload.length.map(number),
            digests: document(&upload.digests)?,
            partial: upload.partial,
            container_id: None,
            created_at: upload.created_at.micros(),
            expires_at: upload.expires_at.micros(),
            revision: upload.revision,
        };
        on!(self, conn => diesel::insert_into(uploads::table).values(&row).execute(conn)).map(drop).map_err(failed)
    }

    /// The upload of that id and client, while its time is not over.
    pub fn upload(&mut self, client: ClientId, id: UploadId, now: Timestamp) -> Result<Upload> {
        let found = uploads::table
            .find(text(id.uuid()))
            .filter(uploads::client_id.eq(text(client.uuid())))
            .filter(uploads::expires_at.gt(now.micros()));
        let row: Option<Row> = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        row.ok_or(Error::NotFound { what: "upload" })?.try_into()
    }

    /// Writes the length, digests and outcome of an upload that has changed since it was read.
    pub fn update_upload(&mut self, upload: &mut Upload) -> Result<()> {
        let row = uploads::table.find(text(upload.id.uuid()));
        let next = upload.revision.saturating_add(1);
        let update = diesel::update(row).filter(uploads::revision.eq(upload.revision)).set((
            uploads::length.eq(upload.length.map(number)),
            uploads::digests.eq(document(&upload.digests)?),
            uploads::container_id.eq(upload.container.map(|container| text(container.uuid()))),
            uploads::revision.eq(next),
        ));
        if on!(self, conn => update.execute(conn)).map_err(failed)? == 0 {
            return Err(Error::Stale { what: "upload" });
        }
        upload.revision = next;
        Ok(())
    }

    /// Forgets an upload; fine where it is gone.
    pub fn delete_upload(&mut self, id: UploadId) -> Result<()> {
        on!(self, conn => diesel::delete(uploads::table.find(text(id.uuid()))).execute(conn)).map(drop).map_err(failed)
    }

    /// Uploads whose time was over at that moment; at most `limit`.
    pub fn old_uploads(&mut self, now: Timestamp, limit: i64) -> Result<Vec<UploadId>> {
        let old = uploads::table
            .filter(uploads::expires_at.le(now.micros()))
            .order(uploads::expires_at)
            .select(uploads::id)
            .limit(limit);
        let ids: Vec<String> = on!(self, conn => old.load(conn)).map_err(failed)?;
        ids.iter().map(|id| Ok(UploadId::new(uuid(id)?))).collect()
    }

    /// Whether an upload of that id has a row.
    pub fn has_upload(&mut self, id: UploadId) -> Result<bool> {
        let found = diesel::dsl::select(diesel::dsl::exists(uploads::table.find(text(id.uuid()))));
        on!(self, conn => found.get_result(conn)).map_err(failed)
    }
}
