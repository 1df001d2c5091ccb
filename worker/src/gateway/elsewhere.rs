//! Devices that send all their messages to the address of their account, whatever `RespURI` says.
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use dmwsi_domain::id::DeviceId;
use lru::LruCache;

/// Remembers them, so that they are told from the first message on to show credentials in each.
pub(super) struct Elsewhere(Mutex<LruCache<DeviceId, ()>>);

impl Elsewhere {
    /// Remembers at most `capacity` devices; one that is forgotten is found out once more.
    pub(super) fn new(capacity: NonZeroUsize) -> Self {
        Self(Mutex::new(LruCache::new(capacity)))
    }

    /// Whether the device is one of them.
    pub(super) fn has(&self, device: DeviceId) -> bool {
        self.lock().get(&device).is_some()
    }

    /// What a device that has proven itself does.
    pub(super) fn note(&self, device: DeviceId, is_elsewhere: bool) {
        let mut devices = self.lock();
        if is_elsewhere {
            devices.put(device, ());
        } else {
            devices.pop(&device);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<DeviceId, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Elsewhere").field(&self.lock().len()).finish()
    }
}
