//! Making the executions of a job, some thousand at a time.
use std::collections::BTreeMap;

use dmwsi_domain::eligibility::{Particulars, Reason, lasting};
use dmwsi_domain::event::{Event, Recorded};
use dmwsi_domain::execution::{Execution, ExecutionState};
use dmwsi_domain::id::{DeviceId, EventId};
use dmwsi_domain::job::{Counts, Job};
use dmwsi_domain::{Error, Ids, Result, Timestamp};

use crate::Tx;

impl Tx<'_> {
    /// Makes the next executions of a job, for these devices in this order, and counts them in the job, which the caller then saves with
    /// the event. A device that was deleted meanwhile is refused, and one that is of another make than the package is for.
    pub fn make_executions(
        &mut self,
        job: &mut Job,
        devices: &[DeviceId],
        now: Timestamp,
        ids: &mut Ids,
    ) -> Result<Option<Event>> {
        let owned = self.known_devices(job.organisation, devices)?;
        let unfit = self.unfit(job, devices)?;
        let mut events = Vec::new();
        let mut made = Vec::with_capacity(devices.len());
        for (ordinal, device) in (job.expanded..).zip(devices) {
            let ordinal = u32::try_from(ordinal).map_err(Error::internal)?;
            let mut execution = Execution::new(job, ordinal, *device, now);
            let refused = if owned.contains(device) {
                unfit.get(device).map(|reasons| execution.refuse_unfit(reasons.clone(), now))
            } else {
                Some(execution.device_gone(now))
            };
            if let Some(moved) = refused {
                events.extend(moved.events.into_iter().map(|event| Recorded {
                    id: EventId::new(ids.new_id()),
                    organisation: job.organisation,
                    client: Some(job.client),
                    job: Some(job.id),
                    ordinal: Some(ordinal),
                    device: Some(*device),
                    revision: execution.revision,
                    correlator: job.correlator.clone(),
                    at: now,
                    event,
                }));
            }
            job.counts.add(Counts::of(execution.state, 1));
            made.push(execution);
        }
        self.insert_executions(&made)?;
        self.record_all(&events)?;
        let begun: Vec<_> = made.iter().filter(|one| !one.state.is_finished()).map(|one| one.device).collect();
        self.open_wakes(&begun, false, None, now, ids)?;
        let count = u64::try_from(made.len()).unwrap_or(u64::MAX);
        let refused = made.iter().any(|execution| execution.state == ExecutionState::Refused);
        if refused {
            // Those who are over when they are made change no counts later, so nobody else would look whether the job is over.
            self.ring_job(crate::jobs::FOLD, job.id, now, ids)?;
        }
        Ok(job.expand(count, now))
    }

    /// The devices among these that are of another make than the package is for, with the reasons. What an update of a device may change is
    /// judged at its turn.
    fn unfit(&mut self, job: &Job, devices: &[DeviceId]) -> Result<BTreeMap<DeviceId, Vec<Reason>>> {
        let offered = match job.operation.deliverable() {
            Some(id) => self.deliverables_of(job.organisation, [id].iter())?.pop(),
            None => None,
        };
        let targets = offered.as_ref().map_or_else(|| job.operation.targets(), |one| one.spec.targets.as_slice());
        if targets.is_empty() {
            return Ok(BTreeMap::new());
        }
        let facts = self.facts_of(job.organisation, devices)?;
        let judged = facts.iter().map(|(device, facts)| (*device, lasting(targets, &Particulars::from(facts))));
        Ok(judged.filter(|(_, reasons)| !reasons.is_empty()).collect())
    }
}
