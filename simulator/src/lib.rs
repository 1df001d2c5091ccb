//! Devices that speak OMA DM 1.2: one, driven step by step, or thousands that live on their own.
//!
//! A [`Device`] is made from a [`DeviceProfile`] (who it is) and a [`Behaviour`] (how well it behaves), and talks over a [`Wire`].
//! [`Device::check_in`] holds one session, [`Device::work`] does what an Exec asked for; a [`Fleet`] lets many do both by the clock.
mod behaviour;
mod device;
mod download;
mod ear;
mod fleet;
mod fumo;
mod handset;
mod make;
mod package;
mod profile;
mod random;
mod tally;
mod task;
mod user;
mod wire;

#[cfg(test)]
mod tests;

pub use behaviour::Behaviour;
pub use device::{Device, Memory, SessionReport};
pub use ear::Ear;
pub use fleet::{Fleet, Pace};
pub use make::Make;
pub use package::{Package, sample_package};
pub use profile::DeviceProfile;
pub use tally::Snapshot;
pub use user::{Mood, User};
pub use wire::{SessionError, Wire, WireError};
