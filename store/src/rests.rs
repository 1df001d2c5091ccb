//! Executions because of which no device needs to be called for a while.
use std::collections::BTreeSet;

use diesel::prelude::*;
use dmwsi_domain::execution::ExecutionState;
use dmwsi_domain::id::DeviceId;
use dmwsi_domain::{Ids, Result, Timestamp};

use crate::column::{text, uuid};
use crate::schema::executions;
use crate::{Tx, failed, on};

/// The most devices named in one statement.
const DEVICES_PER_STATEMENT: usize = 10_000;

impl Tx<'_> {
    /// Leaves a device alone until then because of what has had its turn and waits for another.
    pub fn rest_executions(&mut self, device: DeviceId, until: Timestamp) -> Result<()> {
        let place = executions::table
            .filter(executions::device_id.eq(text(device.uuid())))
            .filter(executions::finished_at.is_null())
            .filter(executions::state.eq(ExecutionState::Waiting.as_str()))
            .filter(executions::rests_until.is_null());
        let update = diesel::update(place).set(executions::rests_until.eq(until.micros()));
        on!(self, conn => update.execute(conn)).map(drop).map_err(failed)
    }

    /// The devices of executions whose rest is over, those of the longest overdue first; `most` executions are looked at.
    pub fn rested_devices(&mut self, now: Timestamp, most: i64) -> Result<Vec<DeviceId>> {
        let found = executions::table
            .filter(executions::rests_until.le(now.micros()))
            .order(executions::rests_until)
            .limit(most)
            .select(executions::device_id);
        let devices: BTreeSet<String> = on!(self, conn => found.load(conn)).map_err(failed)?.into_iter().collect();
        devices.iter().map(|device| Ok(DeviceId::new(uuid(device)?))).collect()
    }

    /// Ends the rests of these devices that are over, and has them woken.
    pub fn end_rests(&mut self, rested: &[DeviceId], now: Timestamp, ids: &mut Ids) -> Result<()> {
        for chunk in rested.chunks(DEVICES_PER_STATEMENT) {
            let place = executions::table
                .filter(executions::device_id.eq_any(chunk.iter().map(|device| text(device.uuid()))))
                .filter(executions::rests_until.le(now.micros()));
            let update = diesel::update(place).set(executions::rests_until.eq(None::<i64>));
            on!(self, conn => update.execute(conn)).map_err(failed)?;
        }
        self.open_wakes(rested, false, None, now, ids).map(drop)
    }
}
