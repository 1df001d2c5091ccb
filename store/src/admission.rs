//! Whether a container may come into its organisation, and how much more it may bring.
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Text};
use dmwsi_domain::container::Container;
use dmwsi_domain::fault::{Fault, FaultCode};
use dmwsi_domain::id::OrganisationId;
use dmwsi_domain::{Error, Result};

use crate::column::{counted, number, text};
use crate::containers::Row;
use crate::content::Settings;
use crate::schema::{containers, organisations};
use crate::{Tx, failed, on};

/// What holds its id and its number. Written as it stands, for the indexes that hold no other.
const HELD: &str = "state IN ('AVAILABLE', 'WITHDRAWN') AND same_as IS NULL";

/// The cast is needed as the databases do not agree on the type of a sum.
const AVAILABLE: &str = "SELECT COUNT(*) AS deliveries, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes
    FROM containers WHERE organisation_id = $1 AND state = 'AVAILABLE' AND same_as IS NULL";

const VERIFYING: &str = "SELECT COUNT(*) AS deliveries, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes
    FROM containers WHERE organisation_id = $1 AND state = 'VERIFYING'";

/// An upload that has not said how long it will be may become as long as any.
const UPLOADING: &str = "SELECT COUNT(*) AS deliveries, CAST(COALESCE(SUM(COALESCE(length, $1)), 0) AS BIGINT) AS bytes
    FROM uploads WHERE organisation_id = $2 AND container_id IS NULL";

/// Whether a container may come in.
#[derive(Clone, Debug, PartialEq)]
pub enum Admission {
    /// It may.
    Free,
    /// It may not.
    Refused(Fault),
    /// It came in before.
    Same(Box<Container>),
}

/// How much more an organisation may bring.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// Deliveries.
    pub deliveries: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Room {
    /// Whether one more delivery of that many bytes may come.
    #[must_use]
    pub const fn takes(&self, bytes: u64) -> bool {
        self.deliveries > 0 && bytes <= self.bytes
    }

    fn less(self, used: &Used) -> Result<Self> {
        let (deliveries, bytes) = (counted(used.deliveries, "count of deliveries")?, counted(used.bytes, "count of bytes")?);
        Ok(Self { deliveries: self.deliveries.saturating_sub(deliveries), bytes: self.bytes.saturating_sub(bytes) })
    }
}

#[derive(QueryableByName)]
struct Used {
    #[diesel(sql_type = BigInt)]
    deliveries: i64,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

impl Tx<'_> {
    /// Whether this container, whose manifest has been read, may come into its organisation. `bytes` is how long its payloads are.
    pub fn admit(&mut self, container: &Container, bytes: u64, settings: &Settings) -> Result<Admission> {
        let Some(head) = &container.head else { return Ok(Admission::Free) };
        let organisation = text(container.owner.organisation.uuid());
        let held = || {
            let of = containers::table.filter(containers::organisation_id.eq(organisation.clone()));
            of.filter(diesel::dsl::sql::<Bool>(HELD))
        };
        let called = held().filter(containers::reference.eq(head.container_id.as_str()));
        let called: Option<Row> = on!(self, conn => called.select(Row::as_select()).first(conn)).optional().map_err(failed)?;
        if let Some(earlier) = called.map(Container::try_from).transpose()? {
            let same = earlier.fingerprint.is_some() && earlier.fingerprint == container.fingerprint;
            let detail = "another container has that id already";
            let fault = || Fault::at(FaultCode::ContainerIdReused, "/containerId", detail);
            return Ok(if same { Admission::Same(Box::new(earlier)) } else { Admission::Refused(fault()) });
        }
        let numbered = held().filter(containers::originator.eq(head.sequence_of()));
        let last = numbered.select(containers::sequence).order(containers::sequence.desc()).limit(1);
        let last: Option<Option<i64>> = on!(self, conn => last.first(conn)).optional().map_err(failed)?;
        if let Some(last) = last.flatten()
            && number(head.sequence_number) <= last
        {
            let detail = format!("must be above {last}, that of an earlier container");
            return Ok(Admission::Refused(Fault::at(FaultCode::SequenceReplay, "/sequenceNumber", detail)));
        }
        let room = self.room(container.owner.organisation, settings)?;
        Ok(if room.takes(bytes) { Admission::Free } else { Admission::Refused(no_room()) })
    }

    /// How much more an organisation may have available: containers, and bytes of their payloads.
    pub fn room(&mut self, organisation: OrganisationId, settings: &Settings) -> Result<Room> {
        let all = Room { deliveries: settings.organisation_containers.into(), bytes: settings.organisation_bytes };
        let used: Used = on!(self, conn => sql_query(AVAILABLE).bind::<Text, _>(text(organisation.uuid())).get_result(conn))
            .map_err(failed)?;
        all.less(&used)
    }

    /// How much more an organisation may have waiting: deliveries whose bytes are still coming by an upload, and those to be judged later.
    pub fn waiting_room(&mut self, organisation: OrganisationId, settings: &Settings) -> Result<Room> {
        let all = Room { deliveries: settings.waiting_deliveries.into(), bytes: settings.waiting_bytes };
        let (organisation, longest) = (text(organisation.uuid()), number(settings.max_container_bytes));
        let verifying: Used =
            on!(self, conn => sql_query(VERIFYING).bind::<Text, _>(&organisation).get_result(conn)).map_err(failed)?;
        let uploading = || sql_query(UPLOADING).bind::<BigInt, _>(longest).bind::<Text, _>(&organisation);
        let uploading: Used = on!(self, conn => uploading().get_result(conn)).map_err(failed)?;
        all.less(&verifying)?.less(&uploading)
    }

    /// Has room held for one more delivery of that many bytes that waits; refused with `QUOTA_EXCEEDED` where there is none. Others of the
    /// organisation wait until this transaction has ended.
    pub fn hold_waiting(&mut self, organisation: OrganisationId, bytes: u64, settings: &Settings) -> Result<()> {
        self.hold_organisation(organisation)?;
        if self.waiting_room(organisation, settings)?.takes(bytes) { Ok(()) } else { Err(too_much_waits()) }
    }

    /// Has others wait who want to bring something into that organisation, until this transaction has ended.
    pub fn hold_organisation(&mut self, organisation: OrganisationId) -> Result<()> {
        let row = organisations::table.find(text(organisation.uuid()));
        let touch = diesel::update(row).set(organisations::revision.eq(organisations::revision));
        on!(self, conn => touch.execute(conn)).map(drop).map_err(failed)
    }
}

pub(crate) fn no_room() -> Fault {
    Fault::new(FaultCode::QuotaExceeded, "the organisation has no room for it")
}

pub(crate) fn too_much_waits() -> Error {
    Error::conflict(
        "QUOTA_EXCEEDED",
        "too many deliveries of the organisation, or too large ones, wait for the rest of their bytes or their verdict",
    )
}
