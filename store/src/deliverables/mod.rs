//! Deliverables as rows.
mod offered;

use diesel::prelude::*;
use dmwsi_domain::container::ContainerState;
use dmwsi_domain::deliverable::{Deliverable, DeliverableKind};
use dmwsi_domain::id::{ContainerId, DeliverableId, OrganisationId};
use dmwsi_domain::{Error, Result, Timestamp};

use crate::column::{counted, damaged, document, moment, parsed, text, uuid};
use crate::schema::{containers, deliverables};
use crate::{Tx, failed, insert_all, on};

pub use offered::Offered;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = deliverables)]
struct Row {
    id: String,
    container_id: String,
    ordinal: i64,
    organisation_id: String,
    reference: String,
    kind: String,
    version: String,
    document: String,
    created_at: i64,
    /// That of its container, which changes it in the same transaction; by it deliverables are found.
    state: String,
}

/// What a deliverable has of its container.
#[derive(Queryable, Selectable)]
#[diesel(table_name = containers)]
struct Of {
    expires_at: Option<i64>,
}

fn read((row, of): (Row, Of)) -> Result<Deliverable> {
    Ok(Deliverable {
        id: DeliverableId::new(uuid(&row.id)?),
        container: ContainerId::new(uuid(&row.container_id)?),
        ordinal: counted(row.ordinal, "ordinal")?,
        organisation: OrganisationId::new(uuid(&row.organisation_id)?),
        state: ContainerState::parse(&row.state).ok_or_else(|| damaged("state of a deliverable"))?,
        expires_at: moment(of.expires_at),
        spec: parsed(&row.document)?,
        created_at: Timestamp::from_micros(row.created_at),
    })
}

/// Which deliverables a page holds; all conditions must hold.
#[derive(Clone, Debug)]
pub struct DeliverablePage {
    /// Whose.
    pub organisation: OrganisationId,
    /// Only those that came before this one.
    pub before: Option<DeliverableId>,
    /// Only those of this kind.
    pub kind: Option<DeliverableKind>,
    /// Only those whose container is in this state.
    pub state: Option<ContainerState>,
    /// Only those of this container.
    pub container: Option<ContainerId>,
    /// Only those that their originator calls so.
    pub reference: Option<String>,
    /// At most so many, the newest first.
    pub limit: i64,
}

impl Tx<'_> {
    /// The deliverable of that id in that organisation.
    pub fn deliverable(&mut self, organisation: OrganisationId, id: DeliverableId) -> Result<Deliverable> {
        let found = deliverables::table
            .inner_join(containers::table)
            .filter(deliverables::id.eq(text(id.uuid())))
            .filter(deliverables::organisation_id.eq(text(organisation.uuid())));
        let row: Option<(Row, Of)> =
            on!(self, conn => found.select((Row::as_select(), Of::as_select())).first(conn)).optional().map_err(failed)?;
        read(row.ok_or(Error::NotFound { what: "deliverable" })?)
    }

    /// Deliverables, the newest first.
    pub fn deliverables(&mut self, page: &DeliverablePage) -> Result<Vec<Deliverable>> {
        let rows: Vec<(Row, Of)> = on!(self, conn => {
            let mut found = deliverables::table
                .inner_join(containers::table)
                .filter(deliverables::organisation_id.eq(text(page.organisation.uuid())))
                .order(deliverables::id.desc())
                .limit(page.limit)
                .select((Row::as_select(), Of::as_select()))
                .into_boxed();
            if let Some(before) = page.before {
                found = found.filter(deliverables::id.lt(text(before.uuid())));
            }
            if let Some(kind) = page.kind {
                found = found.filter(deliverables::kind.eq(kind.as_str()));
            }
            if let Some(state) = page.state {
                found = found.filter(deliverables::state.eq(state.as_str()));
            }
            if let Some(container) = page.container {
                found = found.filter(deliverables::container_id.eq(text(container.uuid())));
            }
            if let Some(reference) = &page.reference {
                found = found.filter(deliverables::reference.eq(reference.clone()));
            }
            found.load(conn)
        })
        .map_err(failed)?;
        rows.into_iter().map(read).collect()
    }

    pub(crate) fn insert_deliverables(&mut self, accepted: &[Deliverable]) -> Result<()> {
        let rows = accepted.iter().map(|deliverable| {
            Ok(Row {
                id: text(deliverable.id.uuid()),
                container_id: text(deliverable.container.uuid()),
                ordinal: deliverable.ordinal.into(),
                organisation_id: text(deliverable.organisation.uuid()),
                reference: deliverable.spec.deliverable_id.clone(),
                kind: deliverable.spec.kind.as_str().to_owned(),
                version: deliverable.spec.version.clone(),
                document: document(&deliverable.spec)?,
                created_at: deliverable.created_at.micros(),
                state: deliverable.state.as_str().to_owned(),
            })
        });
        let rows = rows.collect::<Result<Vec<_>>>()?;
        insert_all!(self, deliverables::table, rows.as_slice())?;
        self.offer(accepted)
    }
}
