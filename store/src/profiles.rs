//! What devices do otherwise than the standard says: columns of their rows.
use diesel::prelude::*;
use dmwsi_domain::id::{DeviceId, OrganisationId};
use dmwsi_domain::profile::{KnownTraits, Observed, Traits};
use dmwsi_domain::{Error, Result};

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

    /// Forgets what was observed.
    pub fn forget_observed(&mut self, device: DeviceId) -> Result<()> {
        let update = diesel::update(devices::table.find(text(device.uuid()))).set(devices::traits_observed.eq(None::<String>));
        on!(self, conn => update.execute(conn)).map(drop).map_err(failed)
    }
}
