//! What devices may be given, found by their make.
use std::cmp::Reverse;
use std::collections::BTreeSet;

use diesel::prelude::*;
use dmwsi_domain::container::ContainerState;
use dmwsi_domain::deliverable::{Deliverable, DeliverableKind};
use dmwsi_domain::eligibility::{Particulars, keys, looked_up};
use dmwsi_domain::id::{ContainerId, DeliverableId, OrganisationId};
use dmwsi_domain::{Result, Timestamp};

use super::{Of, Row, read};
use crate::column::{micros, text, uuid};
use crate::schema::{containers, deliverable_targets, deliverables};
use crate::{Tx, failed, insert_all, on};

#[derive(Insertable)]
#[diesel(table_name = deliverable_targets)]
struct TargetRow {
    organisation_id: String,
    kind: String,
    manufacturer: String,
    model: String,
    deliverable_id: String,
    expires_at: Option<i64>,
}

/// Which of what an organisation can distribute now is looked at, the newest first.
#[derive(Clone, Copy, Debug)]
pub struct Offered {
    /// Whose.
    pub organisation: OrganisationId,
    /// Of this kind.
    pub kind: DeliverableKind,
    /// Only those that came before this one.
    pub before: Option<DeliverableId>,
    /// What has not expired by then.
    pub now: Timestamp,
    /// At most so many.
    pub limit: i64,
}

impl Offered {
    /// The text that all ids it asks for come before.
    fn end(&self) -> String {
        self.before.map_or_else(|| "g".to_owned(), |id| text(id.uuid()))
    }
}

impl Tx<'_> {
    /// Those that are for the manufacturer and the model of the device, as far as their keys tell, and whether there may be more.
    pub fn offered_for(&mut self, offered: &Offered, device: &Particulars) -> Result<(Vec<Deliverable>, bool)> {
        let (makes, models) = looked_up(device);
        let found = deliverable_targets::table
            .filter(deliverable_targets::organisation_id.eq(text(offered.organisation.uuid())))
            .filter(deliverable_targets::kind.eq(offered.kind.as_str()))
            .filter(deliverable_targets::manufacturer.eq_any(makes))
            .filter(deliverable_targets::model.eq_any(models))
            .filter(deliverable_targets::deliverable_id.lt(offered.end()))
            .filter(deliverable_targets::expires_at.is_null().or(deliverable_targets::expires_at.gt(offered.now.micros())))
            // Not by the column itself: a database might then walk through all deliverables in that order.
            .order(deliverable_targets::deliverable_id.concat("").desc())
            .limit(offered.limit)
            .select(deliverable_targets::deliverable_id);
        let ids: Vec<String> = on!(self, conn => found.load(conn)).map_err(failed)?;
        let more = i64::try_from(ids.len()).is_ok_and(|count| count >= offered.limit);
        // One that is for several of the keys is found several times.
        let ids: BTreeSet<_> = ids.iter().map(|id| Ok(DeliverableId::new(uuid(id)?))).collect::<Result<_>>()?;
        Ok((self.deliverables_of(offered.organisation, ids.iter())?, more))
    }

    /// All of them, whatever device they are for.
    pub fn offered(&mut self, offered: &Offered) -> Result<Vec<Deliverable>> {
        let found = deliverables::table
            .inner_join(containers::table)
            .filter(deliverables::organisation_id.eq(text(offered.organisation.uuid())))
            .filter(deliverables::kind.eq(offered.kind.as_str()))
            .filter(deliverables::id.lt(offered.end()))
            .filter(deliverables::state.eq(ContainerState::Available.as_str()))
            .filter(containers::expires_at.is_null().or(containers::expires_at.gt(offered.now.micros())))
            .order(deliverables::id.desc())
            .limit(offered.limit);
        let rows: Vec<(Row, Of)> =
            on!(self, conn => found.select((Row::as_select(), Of::as_select())).load(conn)).map_err(failed)?;
        rows.into_iter().map(read).collect()
    }

    /// Those of these that the organisation has, the newest first.
    pub fn deliverables_of<'a>(
        &mut self,
        organisation: OrganisationId,
        ids: impl Iterator<Item = &'a DeliverableId>,
    ) -> Result<Vec<Deliverable>> {
        let ids: Vec<_> = ids.map(|id| text(id.uuid())).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let found = deliverables::table
            .inner_join(containers::table)
            .filter(deliverables::id.eq_any(ids))
            .filter(deliverables::organisation_id.eq(text(organisation.uuid())));
        let rows: Vec<(Row, Of)> =
            on!(self, conn => found.select((Row::as_select(), Of::as_select())).load(conn)).map_err(failed)?;
        let mut all = rows.into_iter().map(read).collect::<Result<Vec<_>>>()?;
        all.sort_by_key(|one| Reverse(one.id));
        Ok(all)
    }

    /// Has these be found from now on.
    pub(super) fn offer(&mut self, accepted: &[Deliverable]) -> Result<()> {
        let rows = accepted.iter().flat_map(|deliverable| {
            keys(&deliverable.spec.targets).into_iter().map(|(manufacturer, model)| TargetRow {
                organisation_id: text(deliverable.organisation.uuid()),
                kind: deliverable.spec.kind.as_str().to_owned(),
                manufacturer,
                model,
                deliverable_id: text(deliverable.id.uuid()),
                expires_at: micros(deliverable.expires_at),
            })
        });
        let rows: Vec<_> = rows.collect();
        insert_all!(self, deliverable_targets::table, rows.as_slice())
    }

    /// Has nothing of that container be found any more among what can be distributed.
    pub(crate) fn offer_no_more(&mut self, container: ContainerId) -> Result<()> {
        let withdrawn = diesel::update(deliverables::table.filter(deliverables::container_id.eq(text(container.uuid()))))
            .set(deliverables::state.eq(ContainerState::Withdrawn.as_str()));
        on!(self, conn => withdrawn.execute(conn)).map_err(failed)?;
        let of = deliverables::table.filter(deliverables::container_id.eq(text(container.uuid()))).select(deliverables::id);
        let rows = deliverable_targets::table.filter(deliverable_targets::deliverable_id.eq_any(of));
        on!(self, conn => diesel::delete(rows).execute(conn)).map(drop).map_err(failed)
    }
}
