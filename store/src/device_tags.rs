//! The tags of devices, a row each, for the lists that are filtered by one. They change in the transaction that changes the device.
use diesel::prelude::*;
use dmwsi_domain::Result;
use dmwsi_domain::device::Device;

use crate::column::text;
use crate::schema::device_tags;
use crate::{Tx, failed, insert_all, on};

/// A tag of a device.
#[derive(Insertable)]
#[diesel(table_name = device_tags)]
pub(crate) struct TagRow {
    organisation_id: String,
    tag: String,
    device_id: String,
}

/// The rows of a device's tags.
pub(crate) fn tag_rows(device: &Device) -> impl Iterator<Item = TagRow> {
    device.tags.iter().map(|tag| TagRow {
        organisation_id: text(device.organisation.uuid()),
        tag: tag.as_str().to_owned(),
        device_id: text(device.id.uuid()),
    })
}

impl Tx<'_> {
    /// Replaces the rows of a device's tags by those it has now.
    pub(crate) fn write_tags(&mut self, device: &Device) -> Result<()> {
        let before = diesel::delete(device_tags::table.filter(device_tags::device_id.eq(text(device.id.uuid()))));
        on!(self, conn => before.execute(conn)).map_err(failed)?;
        let rows: Vec<_> = tag_rows(device).collect();
        insert_all!(self, device_tags::table, rows)
    }
}
