//! How those who are not known seem to be known: as the devices that there are, in the same shares, each always in the same way.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dmwsi_domain::{Result, Timestamp};
use dmwsi_objects::dmacc::AuthType;
use dmwsi_store::Store;

/// How the device proves who it is, and how the server does.
pub(super) type Kind = (AuthType, Option<AuthType>);

/// Where there are no devices.
const USUAL: Kind = (AuthType::Digest, None);

/// How often the devices of each kind are counted.
const COUNTED_EVERY: Duration = Duration::from_secs(3_600);

/// How often they are while there are few, so that one more changes the shares.
const FEW_COUNTED_EVERY: Duration = Duration::from_secs(60);

/// Up to how many are few.
const FEW: u64 = 10_000;

/// How many devices there are of each kind, as they were counted last.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    counted: Mutex<Option<(Timestamp, Arc<Shares>)>>,
    /// Held by who counts: however many are asked about, they are counted once.
    counting: tokio::sync::Mutex<()>,
}

/// How many devices there are of each kind.
#[derive(Debug)]
struct Shares(Vec<(AuthType, Option<AuthType>, u64)>);

impl Kinds {
    /// The kind of a stranger who is at that place among all that there may be. One caller counts; the others go by what was counted before, and wait
    /// where nothing was.
    pub(super) async fn at(&self, place: u64, store: &Store, now: Timestamp) -> Result<Kind> {
        let counting = match self.known(now) {
            Some((shares, true)) => return Ok(shares.at(place)),
            Some((shares, false)) => match self.counting.try_lock() {
                Ok(counting) => counting,
                Err(_others_count) => return Ok(shares.at(place)),
            },
            None => self.counting.lock().await,
        };
        // Somebody else may have counted meanwhile.
        let shares = match self.known(now) {
            Some((shares, true)) => shares,
            _ => {
                let shares = Arc::new(Shares(store.read(|tx| tx.devices_by_auth()).await?));
                *self.lock() = Some((now, Arc::clone(&shares)));
                shares
            }
        };
        drop(counting);
        Ok(shares.at(place))
    }

    /// What was counted last, and whether that still holds.
    fn known(&self, now: Timestamp) -> Option<(Arc<Shares>, bool)> {
        let counted = self.lock();
        let (at, shares) = counted.as_ref()?;
        let lasts = if shares.all() > FEW { COUNTED_EVERY } else { FEW_COUNTED_EVERY };
        Some((Arc::clone(shares), now.since(*at) < lasts))
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Timestamp, Arc<Shares>)>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shares {
    fn all(&self) -> u64 {
        self.0.iter().fold(0, |all, (.., devices)| all.saturating_add(*devices))
    }

    /// Of those at all places each kind has its share. Where shares change a little, few change their kind.
    fn at(&self, place: u64) -> Kind {
        let upto = (u128::from(place) * u128::from(self.all())) >> 64;
        let mut below = 0;
        let found = self.0.iter().find(|(.., devices)| {
            below += u128::from(*devices);
            upto < below
        });
        found.map_or(USUAL, |(client, server, _)| (*client, *server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_share_of_all_places() {
        let basic = (AuthType::Basic, Some(AuthType::Digest));
        let hmac = (AuthType::Hmac, None);
        let shares = Shares(vec![(basic.0, basic.1, 1), (hmac.0, hmac.1, 3)]);
        let at = |quarters: u64| shares.at((u64::MAX / 4).saturating_mul(quarters));
        assert_eq!([shares.at(0), at(1), at(2), at(3), shares.at(u64::MAX)], [basic, basic, hmac, hmac, hmac]);
        assert_eq!(shares.at(u64::MAX / 4 + 1), hmac);
        assert_eq!(Shares(Vec::new()).at(7), USUAL);
    }
}
