//! The deliverables of an organisation in the order in which they concern a device.
use std::rc::Rc;

use dmwsi_domain::deliverable::{Deliverable, DeliverableKind};
use dmwsi_domain::eligibility::{Chains, Particulars, Reason, is_for_model, judge};
use dmwsi_domain::id::{DeliverableId, OrganisationId};
use dmwsi_domain::{Result, Timestamp};
use dmwsi_store::{Offered, Tx};
use serde::{Deserialize, Serialize};

/// The most deliverables that are looked at for one page, and among which chains are searched: the newest.
const WINDOW: i64 = 500;

/// The most that are for other models and looked at in one read.
const OTHERS: i64 = 101;

/// How often others are read for one page.
const READS: usize = 5;

/// What is listed, and for which device.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    pub(crate) organisation: OrganisationId,
    pub(crate) kind: DeliverableKind,
    pub(crate) device: Particulars,
    pub(crate) include_unfit: bool,
}

/// Where a list goes on: after that one, or at the beginning of the part.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Place(Part, Option<DeliverableId>);

/// The list has three parts, one after the other.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
enum Part {
    /// What fits.
    #[default]
    Fit,
    /// What is for the model and does not fit.
    Near,
    /// What is for other models.
    Other,
}

/// A deliverable with how it stands to the device.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) deliverable: Deliverable,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) chain: Vec<Deliverable>,
    place: Place,
}

/// A page, and where the next one begins.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) items: Vec<Judged>,
    pub(crate) next: Option<Place>,
}

/// What is for the model, as far as one read goes, and whether there may be more.
type Near = (Rc<Vec<Deliverable>>, bool);

impl Catalogue {
    /// At most `limit` of them. When much was looked at and little found, the page is short, and the next one goes on.
    pub(crate) fn page(&self, tx: &mut Tx<'_>, from: Place, limit: usize, now: Timestamp) -> Result<Found> {
        let mut items = Vec::new();
        let mut next = Some(from);
        // Two parts and the chains begin with the same, so it is read once for a page.
        let mut newest = None;
        while let Some(place) = next {
            if items.len() > limit {
                break;
            }
            let (more, then) = self.part(tx, &mut newest, place, limit.saturating_add(1).saturating_sub(items.len()), now)?;
            // What was looked at in vain is enough for one page.
            let goes_on = then.is_some_and(|then| then.0 == place.0 && then.1.is_some());
            items.extend(more);
            next = then;
            if goes_on {
                break;
            }
        }
        if items.len() > limit {
            items.truncate(limit);
            next = items.last().map(|last: &Judged| last.place);
        }
        if items.iter().any(|one| !one.reasons.is_empty() && one.place.0 == Part::Near) {
            self.lead(tx, &mut newest, &mut items, now)?;
        }
        Ok(Found { items, next })
    }

    /// Up to `limit` of a part, and where to go on after it.
    fn part(
        &self,
        tx: &mut Tx<'_>,
        newest: &mut Option<Near>,
        place: Place,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Vec<Judged>, Option<Place>)> {
        let Place(part, before) = place;
        let mut items = Vec::new();
        let mut before = before;
        for _ in 0..READS {
            let (seen, more) = match part {
                Part::Other => {
                    let seen = tx.offered(&self.offered(before, OTHERS, now))?;
                    let more = i64::try_from(seen.len()).is_ok_and(|count| count >= OTHERS);
                    (Rc::new(seen), more)
                }
                Part::Fit | Part::Near => self.near(tx, newest, before, now)?,
            };
            before = seen.last().map(|last| last.id).or(before);
            let judged = seen.iter().filter_map(|one| self.judge(one, part));
            items.extend(judged.take(limit.saturating_sub(items.len())));
            if !more {
                let after = match part {
                    Part::Fit if self.include_unfit => Some(Place(Part::Near, None)),
                    Part::Near => Some(Place(Part::Other, None)),
                    Part::Fit | Part::Other => None,
                };
                return Ok((items, after));
            }
            if items.len() >= limit || part != Part::Other {
                break;
            }
        }
        Ok((items, Some(Place(part, before))))
    }

    /// What is for the model and came before that one.
    fn near(&self, tx: &mut Tx<'_>, newest: &mut Option<Near>, before: Option<DeliverableId>, now: Timestamp) -> Result<Near> {
        if let (None, Some(read)) = (before, &*newest) {
            return Ok(read.clone());
        }
        let (all, more) = tx.offered_for(&self.offered(before, WINDOW, now), &self.device)?;
        let read = (Rc::new(all), more);
        if before.is_none() {
            *newest = Some(read.clone());
        }
        Ok(read)
    }

    /// How it stands to the device, where it belongs into that part.
    fn judge(&self, deliverable: &Deliverable, part: Part) -> Option<Judged> {
        let is_near = is_for_model(&deliverable.spec.targets, &self.device);
        if is_near == (part == Part::Other) {
            return None;
        }
        let reasons = judge(&deliverable.spec, &self.device);
        if reasons.is_empty() != (part == Part::Fit) {
            return None;
        }
        let place = Place(part, Some(deliverable.id));
        Some(Judged { deliverable: deliverable.clone(), reasons, chain: Vec::new(), place })
    }

    /// Names the chains that lead to what does not fit.
    fn lead(&self, tx: &mut Tx<'_>, newest: &mut Option<Near>, items: &mut [Judged], now: Timestamp) -> Result<()> {
        let (all, _more) = self.near(tx, newest, None, now)?;
        let chains = Chains::find(&all, &self.device);
        for one in items {
            let steps = chains.to(one.deliverable.id).iter();
            one.chain = steps.filter_map(|id| all.iter().find(|step| step.id == *id).cloned()).collect();
        }
        Ok(())
    }

    const fn offered(&self, before: Option<DeliverableId>, limit: i64, now: Timestamp) -> Offered {
        Offered { organisation: self.organisation, kind: self.kind, before, now, limit }
    }
}
