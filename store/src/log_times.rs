//! Where in the log a time is. Numbers grow and times do not quite: an event has the time at which its process began with it, by that process's clock.
use std::time::Duration;

use diesel::prelude::*;
use dmwsi_domain::id::OrganisationId;
use dmwsi_domain::{Result, Timestamp};

use crate::column::{counted, text};
use crate::schema::events;
use crate::{Tx, failed, on};

/// By how much times may go back where numbers grow: the clocks of the processes that write events differ, and some of them wait.
pub const CLOCKS: Duration = Duration::from_secs(60);

/// The numbers in the log of an organisation.
macro_rules! numbers {
    ($organisation:expr) => {
        events::table
            .filter(events::organisation_id.eq(text($organisation.uuid())))
            .filter(events::number.is_not_null())
            .select(events::number.assume_not_null())
    };
}

impl Tx<'_> {
    /// The number before the first event of an organisation that happened at `since` or later: where a replay from that time begins. Some of what follows
    /// it may have happened before; none of what lies before it since, unless times go back by more than [`CLOCKS`].
    pub fn number_before(&mut self, organisation: OrganisationId, since: Timestamp) -> Result<u64> {
        let Some((first, last)) = self.numbers_kept(organisation)? else { return self.number_before_kept(organisation) };
        let from = self.number_near(organisation, (first, last), since.minus(CLOCKS))?;
        let found = numbers!(organisation)
            .filter(events::number.ge(from))
            .filter(events::created_at.ge(since.micros()))
            .order(events::number.asc());
        let found: Option<i64> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        counted(found.map_or(last, |first| first.saturating_sub(1)), "number")
    }

    /// The number of the last event of an organisation that happened before `until`: where a replay up to that time ends. Some of what lies before it may
    /// have happened later; none of what follows it before, unless times go back by more than [`CLOCKS`].
    pub fn number_until(&mut self, organisation: OrganisationId, until: Timestamp) -> Result<u64> {
        let Some(kept) = self.numbers_kept(organisation)? else { return self.number_before_kept(organisation) };
        let behind = self.number_near(organisation, kept, until.plus(CLOCKS))?;
        let found = numbers!(organisation)
            .filter(events::number.lt(behind))
            .filter(events::created_at.lt(until.micros()))
            .order(events::number.desc());
        let found: Option<i64> = on!(self, conn => found.first(conn)).optional().map_err(failed)?;
        found.map_or_else(|| self.number_before_kept(organisation), |last| counted(last, "number"))
    }

    /// The first and the last number that is kept; none where there is none.
    fn numbers_kept(&mut self, organisation: OrganisationId) -> Result<Option<(i64, i64)>> {
        let (first, last) =
            (numbers!(organisation).order(events::number.asc()), numbers!(organisation).order(events::number.desc()));
        let first: Option<i64> = on!(self, conn => first.first(conn)).optional().map_err(failed)?;
        let last: Option<i64> = on!(self, conn => last.first(conn)).optional().map_err(failed)?;
        Ok(first.zip(last))
    }

    fn number_before_kept(&mut self, organisation: OrganisationId) -> Result<u64> {
        Ok(self.first_event(organisation)?.saturating_sub(1))
    }

    /// A number whose event happened at that time or later, while the one before it happened earlier; it is the first such if times grow with the numbers.
    /// One behind the last where that happened earlier.
    fn number_near(&mut self, organisation: OrganisationId, (first, last): (i64, i64), time: Timestamp) -> Result<i64> {
        let (mut low, mut high) = (first, last.saturating_add(1));
        while low < high {
            let middle = low.midpoint(high);
            let at = events::table
                .filter(events::organisation_id.eq(text(organisation.uuid())))
                .filter(events::number.eq(middle))
                .select(events::created_at);
            let at: Option<i64> = on!(self, conn => at.first(conn)).optional().map_err(failed)?;
            if at.is_some_and(|at| at >= time.micros()) { high = middle } else { low = middle.saturating_add(1) }
        }
        Ok(low)
    }
}
