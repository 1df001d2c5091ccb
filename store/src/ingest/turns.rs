//! Who may have a thread that reads a container while it comes.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dmwsi_domain::id::OrganisationId;
use dmwsi_domain::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a container waits for a thread before it is told to come later.
const PATIENCE: Duration = Duration::from_secs(5);

/// The threads. One organisation has at most half of them, so that slow senders of one leave room for the others.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    each: usize,
    patience: Duration,
    own: Mutex<HashMap<OrganisationId, Arc<Semaphore>>>,
}

/// A thread, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Turns {
    pub(super) fn new(threads: u32) -> Self {
        let threads = usize::try_from(threads.max(1)).unwrap_or(1);
        Self { all: Arc::new(Semaphore::new(threads)), each: (threads / 2).max(1), patience: PATIENCE, own: Mutex::default() }
    }

    /// Waits for a thread; unavailable when it takes too long.
    pub(super) async fn take(&self, organisation: OrganisationId) -> Result<Turn> {
        let own = self.own(organisation);
        let both = async {
            let own = own.acquire_owned().await.map_err(Error::internal)?;
            let all = Arc::clone(&self.all).acquire_owned().await.map_err(Error::internal)?;
            Ok(Turn { _own: own, _all: all })
        };
        match tokio::time::timeout(self.patience, both).await {
            Ok(turn) => turn,
            Err(_elapsed) => Err(Error::Unavailable("every thread that reads containers is busy".into())),
        }
    }

    fn own(&self, organisation: OrganisationId) -> Arc<Semaphore> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody holds or waits for any more is cleared when the next one comes.
        own.retain(|_, turns| Arc::strong_count(turns) > 1);
        Arc::clone(own.entry(organisation).or_insert_with(|| Arc::new(Semaphore::new(self.each))))
    }
}

#[cfg(test)]
mod tests {
    use dmwsi_domain::Clock;

    use super::*;

    #[tokio::test]
    async fn an_organisation_has_half_of_the_threads_and_what_it_gives_back_is_taken_again() {
        let turns = Turns { patience: Duration::from_millis(20), ..Turns::new(4) };
        let [one, other, third] = [(); 3].map(|()| OrganisationId::new(Clock::System.new_id()));
        let first = turns.take(one).await.unwrap();
        let second = turns.take(one).await.unwrap();
        assert!(matches!(turns.take(one).await, Err(Error::Unavailable(_))));
        let others = (turns.take(other).await.unwrap(), turns.take(other).await.unwrap());
        assert!(matches!(turns.take(third).await, Err(Error::Unavailable(_))), "all are busy");
        drop(first);
        let third = turns.take(third).await.unwrap();
        drop((second, others));
        assert!(turns.take(one).await.is_ok());
        assert_eq!(turns.own.lock().unwrap().len(), 2, "the other organisation is forgotten");
        drop(third);
        assert!(Turns::new(1).take(one).await.is_ok());
    }
}
