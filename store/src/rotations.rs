//! Secrets that devices were offered and do not use yet: a row for each such device.
use diesel::prelude::*;
use dmwsi_domain::account::Sealed;
use dmwsi_domain::event::Event;
use dmwsi_domain::id::{DeviceId, EventId};
use dmwsi_domain::rotation::{Rotation, RotationState};
use dmwsi_domain::{Error, Ids, Result, Timestamp};

use crate::column::{damaged, text};
use crate::failed::belongs;
use crate::schema::{devices, secret_rotations};
use crate::{Tx, failed, on};

fn stale() -> Error {
    Error::Stale { what: "device" }
}

/// One row must have been as it was read.
fn one(rows: usize) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(stale()) }
}

impl Tx<'_> {
    /// The secret that the device was offered and does not use yet: one statement, answered by an index.
    pub fn rotation(&mut self, device: DeviceId) -> Result<Option<Rotation>> {
        let found =
            secret_rotations::table.find(text(device.uuid())).select((secret_rotations::client_secret, secret_rotations::state));
        let row: Option<(Vec<u8>, String)> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        row.map(|(secret, state)| {
            let state = RotationState::parse(&state).ok_or_else(|| damaged("state of a secret"))?;
            Ok(Rotation { secret: Sealed(secret), state })
        })
        .transpose()
    }

    /// Holds a device for a secret that is to take the place of that one. `Stale` where it has another by now.
    pub fn hold_secret(&mut self, device: DeviceId, present: &Sealed) -> Result<()> {
        let place = devices::table.find(text(device.uuid())).filter(devices::client_secret.eq(&present.0));
        let held = diesel::update(place).set(devices::client_secret.eq(&present.0));
        one(on!(self, conn => held.execute(conn)).map_err(failed)?)
    }

    /// Writes what is known of a secret after it `was` known so: there is a row of it before and after where these are some. `Stale` when it is
    /// not as it was.
    pub fn save_rotation(
        &mut self,
        device: DeviceId,
        secret: &Sealed,
        was: Option<RotationState>,
        is: Option<RotationState>,
        now: Timestamp,
    ) -> Result<()> {
        let device = text(device.uuid());
        let Some(was) = was else {
            let Some(is) = is else { return Ok(()) };
            let row = (
                secret_rotations::device_id.eq(device),
                secret_rotations::client_secret.eq(&secret.0),
                secret_rotations::state.eq(is.as_str()),
                secret_rotations::made_at.eq(now.micros()),
            );
            let insert = diesel::insert_into(secret_rotations::table).values(row).on_conflict_do_nothing();
            return one(belongs(on!(self, conn => insert.execute(conn)), stale)?);
        };
        let place = secret_rotations::table
            .find(device)
            .filter(secret_rotations::client_secret.eq(&secret.0))
            .filter(secret_rotations::state.eq(was.as_str()));
        let rows = match is {
            Some(is) => {
                let update = diesel::update(place).set(secret_rotations::state.eq(is.as_str()));
                on!(self, conn => update.execute(conn))
            }
            None => on!(self, conn => diesel::delete(place).execute(conn)),
        };
        one(rows.map_err(failed)?)
    }

    /// Puts the secret that a device was offered, and uses now, in the place of its old one, as a change of the device. `Stale` when it was not
    /// offered that one, or no longer is.
    pub fn adopt_secret(&mut self, device: DeviceId, secret: &Sealed, now: Timestamp, ids: &mut Ids) -> Result<()> {
        let id = text(device.uuid());
        let place = secret_rotations::table.find(&id).filter(secret_rotations::client_secret.eq(&secret.0));
        one(on!(self, conn => diesel::delete(place).execute(conn)).map_err(failed)?)?;
        let update = diesel::update(devices::table.find(&id)).set((
            devices::client_secret.eq(&secret.0),
            devices::updated_at.eq(now.micros()),
            devices::revision.eq(devices::revision + 1),
        ));
        one(on!(self, conn => update.execute(conn)).map_err(failed)?)?;
        self.tell_of_device(device, [(EventId::new(ids.new_id()), Event::DeviceUpdated {})], now)
    }

    /// Forgets the secret that a device was offered, if it was offered one: it lets the device in no more.
    pub fn drop_rotation(&mut self, device: DeviceId) -> Result<()> {
        let gone = diesel::delete(secret_rotations::table.find(text(device.uuid())));
        on!(self, conn => gone.execute(conn)).map(drop).map_err(failed)
    }
}
