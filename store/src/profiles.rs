//! What devices do otherwise than the standard says: columns of their rows.
use diesel::prelude::*;
use dmwsi_domain::id::{DeviceId, OrganisationId};
use dmwsi_domain::profile::{KnownTraits, Observed, Traits};
use dmwsi_domain::{Error, Result, Timestamp};

use crate::column::{document, parsed, text};
use crate::schema::devices;
use crate::{Tx, failed, on};

/// The columns.
#[derive(Queryable, Selectable)]
#[diesel(table_name = devices)]
pub(crate) struct TraitsColumns {
    traits_set: Option<String>,
    traits_observed: Option<String>,
}

impl TryFrom<TraitsColumns> for KnownTraits {
    type Error = Error;

    fn try_from(columns: TraitsColumns) -> Result<Self> {
        Ok(Self {
            set: columns.traits_set.as_deref().map(parsed).transpose()?.unwrap_or_default(),
            observed: columns.traits_observed.as_deref().map(parsed).transpose()?.unwrap_or_default(),
        })
    }
}

impl Tx<'_> {
    /// What is known of a device of the organisation.
    pub fn known_traits(&mut self, organisation: OrganisationId, device: DeviceId) -> Result<KnownTraits> {
        let found = devices::table.find(text(device.uuid())).filter(devices::organisation_id.eq(text(organisation.uuid())));
        let columns = on!(self, conn => found.select(TraitsColumns::as_select()).first(conn)).optional().map_err(failed)?;
        columns.ok_or(Error::NotFound { what: "device" })?.try_into()
    }

    /// Writes what an operator set; nothing where that is nothing.
    pub fn set_traits(&mut self, device: DeviceId, set: &Traits) -> Result<()> {
        let column = if *set == Traits::default() { None } else { Some(document(set)?) };
        let update = diesel::update(devices::table.find(text(device.uuid()))).set(devices::traits_set.eq(column));
        on!(self, conn => update.execute(conn)).map(drop).map_err(failed)
    }

    /// Writes what was observed; no change of the device by somebody.
    pub fn save_observed(&mut self, device: DeviceId, observed: &Observed) -> Result<()> {
        let column = document(observed)?;
        let update = diesel::update(devices::table.find(text(device.uuid()))).set(devices::traits_observed.eq(column));
        on!(self, conn => update.execute(conn)).map(drop).map_err(failed)
    }

    /// Counts a change of a device that stands in none of the columns a client writes otherwise; the revision it now has.
    pub fn touch_device(&mut self, device: DeviceId, now: Timestamp) -> Result<i64> {
        let update = diesel::update(devices::table.find(text(device.uuid())))
            .set((devices::updated_at.eq(now.micros()), devices::revision.eq(devices::revision + 1)));
        let revision = on!(self, conn => update.returning(devices::revision).get_result(conn)).optional().map_err(failed)?;
        revision.ok_or(Error::Stale { what: "device" })
    }
}
