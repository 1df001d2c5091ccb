//! Gives events their numbers after they were committed: a bell rings with each commit that wrote some.
use std::time::Duration;

use dmwsi_domain::{Error, Result};
use dmwsi_store::Store;
use dmwsi_store::event_numbers::LOG;

use crate::bell::Rounds;

/// How long it waits after the bell, so that what is written at the same time goes into one transaction.
const GATHERING: Duration = Duration::from_millis(10);

/// Numbers events until `stopped`. However many processes do, each number is given once and none is left out. It looks by itself every `poll`, should
/// a bell have been lost.
pub async fn number_events(store: Store, poll: Duration, stopped: impl Future<Output = ()>) {
    let mut rounds = Rounds::new(&store, LOG, stopped);
    while rounds.go_on(number_all(&store).await.map(|()| poll)).await {
        tokio::time::sleep(GATHERING).await;
    }
}

/// One organisation after the other, some of each, until there is nothing without a number. One that fails holds up no other; the failure is told in the
/// end.
async fn number_all(store: &Store) -> Result<()> {
    loop {
        let (mut last, mut found, mut failed) = (None, false, None);
        while let Some(organisation) = store.read(move |tx| tx.unnumbered_after(last)).await? {
            (last, found) = (Some(organisation), true);
            match store.write(move |tx| tx.number_events(organisation)).await {
                // Another process was faster.
                Ok(_) | Err(Error::Stale { .. }) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if !found {
            return Ok(());
        }
    }
}
