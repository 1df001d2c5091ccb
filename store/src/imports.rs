//! Bulk imports: how far each is, and the verdicts on its lines.
use std::collections::BTreeSet;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use dmwsi_domain::device::{Device, Owner};
use dmwsi_domain::event::Event;
use dmwsi_domain::id::{ClientId, ImportId, OrganisationId};
use dmwsi_domain::import::{Import, ImportState, Refusal, Verdict};
use dmwsi_domain::{Error, Ids, Result, Timestamp};

use crate::column::{counted, damaged, document, parsed, text, uuid};
use crate::schema::{import_verdicts, imports};
use crate::tx::Conn;
use crate::{Tx, failed, on, unique};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = imports)]
struct Row {
    id: String,
    organisation_id: String,
    client_id: String,
    idempotency_key: Option<String>,
    fingerprint: String,
    #[diesel(embed)]
    change: Change,
    created_at: i64,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = imports)]
struct Change {
    state: String,
    line: i64,
    created: i64,
    refused: i64,
    updated_at: i64,
    revision: i64,
}

#[derive(Insertable)]
#[diesel(table_name = import_verdicts)]
struct VerdictsRow {
    import_id: String,
    first_line: i64,
    verdicts: String,
}

impl From<&Import> for Change {
    fn from(import: &Import) -> Self {
        Self {
            state: import.state.as_str().to_owned(),
            line: import.line.into(),
            created: import.created.into(),
            refused: import.refused.into(),
            updated_at: import.updated_at.micros(),
            revision: import.revision,
        }
    }
}

impl TryFrom<Row> for Import {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: ImportId::new(uuid(&row.id)?),
            owner: Owner {
                organisation: OrganisationId::new(uuid(&row.organisation_id)?),
                client: ClientId::new(uuid(&row.client_id)?),
            },
            key: row.idempotency_key,
            fingerprint: row.fingerprint,
            state: ImportState::named(&row.change.state).ok_or_else(|| damaged("state of an import"))?,
            line: counted(row.change.line, "line")?,
            created: counted(row.change.created, "count")?,
            refused: counted(row.change.refused, "count")?,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.change.updated_at),
            revision: row.change.revision,
        })
    }
}

/// A line that has been read: a device to be made, or why it is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// A device, registered but for its row.
    Device {
        /// Which line, from 1.
        line: u32,
        /// What it says.
        device: Box<Device>,
    },
    /// It says nothing that could be a device.
    Refused {
        /// Which line, from 1.
        line: u32,
        /// Why.
        problem: Refusal,
    },
}

/// Lines that one transaction applies.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Those that are not blank, in their order.
    pub lines: Vec<Line>,
    /// The last line of the chunk, blank or not.
    pub upto: u32,
    /// Whether none follows.
    pub last: bool,
}

impl Tx<'_> {
    /// Begins an import, or finds the one of the same client and key.
    pub fn begin_import(&mut self, import: &Import) -> Result<Import> {
        if let Some(key) = &import.key
            && let Some(known) = self.import_of_key(import.owner.client, key)?
        {
            return Ok(known);
        }
        let row = Row {
            id: text(import.id.uuid()),
            organisation_id: text(import.owner.organisation.uuid()),
            client_id: text(import.owner.client.uuid()),
            idempotency_key: import.key.clone(),
            fingerprint: import.fingerprint.clone(),
            change: Change::from(import),
            created_at: import.created_at.micros(),
        };
        let inserted = on!(self, conn => diesel::insert_into(imports::table).values(&row).execute(conn));
        // Two at once with the same key: the second comes again and finds the first.
        unique(inserted, || Error::Stale { what: "import" })?;
        Ok(import.clone())
    }

    /// The import of that id.
    pub fn import(&mut self, id: ImportId) -> Result<Import> {
        let found = imports::table.find(text(id.uuid()));
        let row = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        row.ok_or(Error::NotFound { what: "import" })?.try_into()
    }

    fn import_of_key(&mut self, client: ClientId, key: &str) -> Result<Option<Import>> {
        let found = imports::table.filter(imports::client_id.eq(text(client.uuid()))).filter(imports::idempotency_key.eq(key));
        let row = on!(self, conn => found.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        row.map(Import::try_from).transpose()
    }

    /// Applies the next lines of an import, and stores the verdicts on them with the cursor. `import` is as it was read: when somebody else
    /// applied these lines meanwhile, it is stale. A line that asks for what is taken is refused and hurts no other.
    pub fn apply_chunk(
        &mut self,
        import: &Import,
        chunk: &Chunk,
        correlator: &str,
        now: Timestamp,
        mut ids: Ids,
    ) -> Result<(Import, Vec<Verdict>)> {
        let (devices, verdicts) = self.judge(&chunk.lines)?;
        let mut next = import.clone();
        next.advance(chunk.upto, &verdicts, chunk.last, now);
        let update = diesel::update(imports::table.find(text(import.id.uuid())))
            .filter(imports::revision.eq(import.revision))
            .set(Change::from(&next));
        if on!(self, conn => update.execute(conn)).map_err(failed)? == 0 {
            return Err(Error::Stale { what: "import" });
        }
        self.insert_devices(&devices)?;
        let events: Vec<_> = devices
            .iter()
            .map(|device| device.tells(Event::DeviceCreated {}, now, Some(correlator.to_owned()), &mut ids))
            .collect();
        self.record_all(&events)?;
        if !verdicts.is_empty() {
            let row = VerdictsRow {
                import_id: text(import.id.uuid()),
                first_line: i64::from(import.line).saturating_add(1),
                verdicts: document(&verdicts)?,
            };
            on!(self, conn => diesel::insert_into(import_verdicts::table).values(&row).execute(conn)).map_err(failed)?;
        }
        Ok((next, verdicts))
    }

    /// Which devices can be made, and what becomes of each line.
    fn judge(&mut self, lines: &[Line]) -> Result<(Vec<Device>, Vec<Verdict>)> {
        self.plan_anew()?;
        let asked = || {
            lines.iter().filter_map(|line| match line {
                Line::Device { device, .. } => Some(device),
                Line::Refused { .. } => None,
            })
        };
        let asked_names: Vec<_> = asked().map(|device| &device.dm_identity).collect();
        let mut names = self.dm_identities_taken(&asked_names)?;
        let mut numbers: BTreeSet<_> =
            self.identities_taken(asked().flat_map(|device| device.identities.iter()))?.into_keys().collect();
        let mut devices = Vec::new();
        let mut verdicts = Vec::with_capacity(lines.len());
        for line in lines {
            let (line, device) = match line {
                Line::Device { line, device } => (*line, device),
                Line::Refused { line, problem } => {
                    verdicts.push(Verdict::Refused { line: *line, problem: problem.clone() });
                    continue;
                }
            };
            let own: Vec<_> = device.identities.iter().map(|identity| (identity.kind(), identity.value().to_owned())).collect();
            if names.contains(device.dm_identity.as_str()) {
                verdicts.push(exists(line, "device of this DM identity", "/dmIdentity"));
            } else if own.iter().any(|number| numbers.contains(number)) {
                verdicts.push(exists(line, "device of one of these identities", "/identities"));
            } else {
                names.insert(device.dm_identity.as_str().to_owned());
                numbers.extend(own);
                verdicts.push(Verdict::Created { line, device: device.id });
                devices.push(Device::clone(device));
            }
        }
        Ok((devices, verdicts))
    }

    /// Has PostgreSQL plan the statements of this transaction for the tables as they are. A plan kept from the first chunks, when the tables
    /// were empty, reads them whole for every later chunk.
    fn plan_anew(&mut self) -> Result<()> {
        match &mut self.conn {
            Conn::Pg(conn) => conn.batch_execute("SET LOCAL plan_cache_mode = force_custom_plan").map_err(failed),
            Conn::Sqlite(_) => Ok(()),
        }
    }

    /// Forgets imports that did not move on since `before`, the eldest first and at most `limit`, with their verdicts; how many those were.
    pub fn sweep_imports(&mut self, before: Timestamp, limit: i64) -> Result<usize> {
        let old = imports::table
            .filter(imports::updated_at.le(before.micros()))
            .order(imports::updated_at)
            .limit(limit)
            .select(imports::id);
        let ids: Vec<String> = on!(self, conn => old.load(conn)).map_err(failed)?;
        let gone = diesel::delete(imports::table.filter(imports::id.eq_any(&ids)));
        on!(self, conn => gone.execute(conn)).map_err(failed)
    }

    /// The verdicts on the lines after `line`, as they were stored: those of one transaction, or none when there are no more.
    pub fn verdicts(&mut self, import: ImportId, line: u32) -> Result<Vec<Verdict>> {
        let found = import_verdicts::table
            .filter(import_verdicts::import_id.eq(text(import.uuid())))
            .filter(import_verdicts::first_line.gt(i64::from(line)))
            .order(import_verdicts::first_line)
            .select(import_verdicts::verdicts);
        let stored = on!(self, conn => found.first::<String>(conn)).optional().map_err(failed)?;
        stored.as_deref().map_or_else(|| Ok(Vec::new()), parsed)
    }
}

fn exists(line: u32, what: &'static str, pointer: &str) -> Verdict {
    let problem = Refusal {
        code: "ALREADY_EXISTS".to_owned(),
        detail: Error::Exists { what }.to_string(),
        pointer: Some(pointer.to_owned()),
    };
    Verdict::Refused { line, problem }
}
