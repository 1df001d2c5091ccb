//! Containers and what was accepted of them.
use diesel::prelude::*;
use diesel::sql_types::Bool;
use dmwsi_domain::container::{Container, ContainerState};
use dmwsi_domain::deliverable::Deliverable;
use dmwsi_domain::device::Owner;
use dmwsi_domain::id::{ClientId, ContainerId, OrganisationId, TaskId};
use dmwsi_domain::{Error, Ids, Result, Timestamp};

use crate::column::{counted, damaged, document, micros, number, parsed, text, uuid};
use crate::content::Reference;
use crate::failed::unique;
use crate::queue::NewTask;
use crate::schema::{container_manifests, containers};
use crate::{Tx, failed, on};

/// The queue whose task judges a delivery that waits; its key is the container's id.
pub const INGEST: &str = "container.ingest.v1";

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = containers)]
pub(crate) struct Row {
    id: String,
    organisation_id: String,
    client_id: String,
    partial: bool,
    #[diesel(embed)]
    change: Change,
    correlator: Option<String>,
    created_at: i64,
}

/// The columns that change.
#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = containers, treat_none_as_null = true)]
pub(crate) struct Change {
    state: String,
    reference: Option<String>,
    sequence: Option<i64>,
    originator: String,
    head: Option<String>,
    fingerprint: Option<String>,
    bytes: i64,
    verdicts: String,
    fault: Option<String>,
    same_as: Option<String>,
    expires_at: Option<i64>,
    updated_at: i64,
    revision: i64,
}

#[derive(Insertable)]
#[diesel(table_name = container_manifests)]
struct ManifestRow {
    container_id: String,
    manifest: Vec<u8>,
    signature: Option<Vec<u8>>,
}

impl Change {
    fn of(container: &Container) -> Result<Self> {
        let head = container.head.as_ref();
        Ok(Self {
            state: container.state.as_str().to_owned(),
            reference: container.reference().map(str::to_owned),
            sequence: head.map(|head| number(head.sequence_number)),
            originator: head.map_or_else(String::new, |head| head.sequence_of().to_owned()),
            head: head.map(document).transpose()?,
            fingerprint: container.fingerprint.map(|digest| digest.to_string()),
            bytes: number(container.bytes),
            verdicts: document(&container.verdicts)?,
            fault: container.fault.as_ref().map(document).transpose()?,
            same_as: container.same_as.map(|same| text(same.uuid())),
            expires_at: micros(head.and_then(|head| head.expires_at)),
            updated_at: container.updated_at.micros(),
            revision: container.revision,
        })
    }
}

impl TryFrom<Row> for Container {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let change = row.change;
        Ok(Self {
            id: ContainerId::new(uuid(&row.id)?),
            owner: Owner {
                organisation: OrganisationId::new(uuid(&row.organisation_id)?),
                client: ClientId::new(uuid(&row.client_id)?),
            },
            state: ContainerState::parse(&change.state).ok_or_else(|| damaged("state of a container"))?,
            partial: row.partial,
            head: change.head.as_deref().map(parsed).transpose()?,
            fingerprint: change.fingerprint.map(|digest| digest.parse().map_err(Error::internal)).transpose()?,
            bytes: counted(change.bytes, "count of bytes")?,
            verdicts: parsed(&change.verdicts)?,
            fault: change.fault.as_deref().map(parsed).transpose()?,
            same_as: change.same_as.as_deref().map(uuid).transpose()?.map(ContainerId::new),
            correlator: row.correlator,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(change.updated_at),
            revision: change.revision,
        })
    }
}

/// Which containers a page holds.
#[derive(Clone, Debug)]
pub struct ContainerPage {
    /// Whose.
    pub organisation: OrganisationId,
    /// Only those that came before this one.
    pub before: Option<ContainerId>,
    /// Only those in this state.
    pub state: Option<ContainerState>,
    /// At most so many, the newest first.
    pub limit: i64,
}

impl Tx<'_> {
    /// The container of that id in that organisation; for a repetition the one it repeats.
    pub fn container(&mut self, organisation: OrganisationId, id: ContainerId) -> Result<Container> {
        let found = self.delivery(id)?;
        if found.owner.organisation != organisation {
            return Err(Error::NotFound { what: "container" });
        }
        found.same_as.map_or(Ok(found), |same| self.delivery(same))
    }

    /// The delivery of that id, whoever owns it.
    pub fn delivery(&mut self, id: ContainerId) -> Result<Container> {
        let found = containers::table.find(text(id.uuid()));
        let row: Option<Row> = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        row.ok_or(Error::NotFound { what: "container" })?.try_into()
    }

    /// Containers, the newest first; repetitions are left out.
    pub fn containers(&mut self, page: &ContainerPage) -> Result<Vec<Container>> {
        let rows: Vec<Row> = on!(self, conn => {
            let mut found = containers::table
                .filter(containers::organisation_id.eq(text(page.organisation.uuid())))
                .filter(containers::same_as.is_null())
                .order(containers::id.desc())
                .limit(page.limit)
                .select(Row::as_select())
                .into_boxed();
            if let Some(before) = page.before {
                found = found.filter(containers::id.lt(text(before.uuid())));
            }
            if let Some(state) = page.state {
                found = found.filter(containers::state.eq(state.as_str()));
            }
            found.load(conn)
        })
        .map_err(failed)?;
        rows.into_iter().map(Container::try_from).collect()
    }

    /// Writes a container that has no row yet.
    pub fn insert_container(&mut self, container: &Container) -> Result<()> {
        let row = Row {
            id: text(container.id.uuid()),
            organisation_id: text(container.owner.organisation.uuid()),
            client_id: text(container.owner.client.uuid()),
            partial: container.partial,
            change: Change::of(container)?,
            correlator: container.correlator.clone(),
            created_at: container.created_at.micros(),
        };
        let inserted = on!(self, conn => diesel::insert_into(containers::table).values(&row).execute(conn));
        unique(inserted, || Error::Stale { what: "container" }).map(drop)
    }

    /// Writes a container that has changed once since it was read.
    pub fn update_container(&mut self, container: &Container) -> Result<()> {
        let update = diesel::update(containers::table.find(text(container.id.uuid())))
            .filter(containers::revision.eq(container.revision.saturating_sub(1)))
            .set(Change::of(container)?);
        let updated = unique(on!(self, conn => update.execute(conn)), || Error::Stale { what: "container" })?;
        if updated == 1 { Ok(()) } else { Err(Error::Stale { what: "container" }) }
    }

    /// Writes what its present state tells.
    pub fn tell_container(&mut self, container: &Container, now: Timestamp, ids: &mut Ids) -> Result<()> {
        match container.event() {
            Some(event) => self.record(&container.tells(event, now, container.correlator.clone(), ids)),
            None => Ok(()),
        }
    }

    /// Writes what was accepted of a container that has a row.
    pub fn insert_accepted(
        &mut self,
        container: &Container,
        (manifest, signature): (&[u8], Option<&[u8]>),
        deliverables: &[Deliverable],
        references: &[Reference],
    ) -> Result<()> {
        let row = ManifestRow {
            container_id: text(container.id.uuid()),
            manifest: manifest.to_vec(),
            signature: signature.map(<[u8]>::to_vec),
        };
        on!(self, conn => diesel::insert_into(container_manifests::table).values(&row).execute(conn)).map_err(failed)?;
        self.insert_deliverables(deliverables)?;
        self.refer(container.id, references)
    }

    /// Withdraws a container: from now on nothing of it is distributed, and its content may be collected.
    pub fn withdraw_container(&mut self, container: &mut Container, now: Timestamp, ids: &mut Ids) -> Result<()> {
        if container.enter(ContainerState::Withdrawn, now)? {
            self.update_container(container)?;
            self.offer_no_more(container.id)?;
            self.release(container.id)?;
            self.tell_container(container, now, ids)?;
        }
        Ok(())
    }

    /// Has the delivery that waits under the container's id be judged.
    pub fn ring_ingest(&mut self, container: ContainerId, now: Timestamp, ids: &mut Ids) -> Result<()> {
        let task = NewTask::new(INGEST, container.to_string(), &container, now)?;
        self.enqueue(TaskId::new(ids.new_id()), &task, now)
    }

    /// Containers that are available although their time was over at that moment; at most `limit`.
    pub fn expired_containers(&mut self, now: Timestamp, limit: i64) -> Result<Vec<ContainerId>> {
        let over = containers::table
            .filter(diesel::dsl::sql::<Bool>("state = 'AVAILABLE'"))
            .filter(containers::expires_at.le(now.micros()))
            .order(containers::expires_at)
            .select(containers::id)
            .limit(limit);
        let ids: Vec<String> = on!(self, conn => over.load(conn)).map_err(failed)?;
        ids.iter().map(|id| Ok(ContainerId::new(uuid(id)?))).collect()
    }

    /// Forgets up to `limit` refused and repeated deliveries that ended before that moment; how many those were.
    pub fn sweep_containers(&mut self, before: Timestamp, limit: i64) -> Result<usize> {
        let old = containers::table
            .filter(containers::state.eq(ContainerState::Rejected.as_str()).or(containers::same_as.is_not_null()))
            .filter(containers::updated_at.lt(before.micros()))
            .order(containers::updated_at)
            .select(containers::id)
            .limit(limit);
        let ids: Vec<String> = on!(self, conn => old.load(conn)).map_err(failed)?;
        let rows = containers::table.filter(containers::id.eq_any(ids));
        on!(self, conn => diesel::delete(rows).execute(conn)).map_err(failed)
    }
}
