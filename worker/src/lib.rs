//! South: the device gateway, and everything that happens later.
mod cancel;
mod ending;
mod expand;
mod expire;
mod fold;
pub mod gateway;
pub mod jobs;
pub mod queue;
mod sweep;
mod tasks;

pub use cancel::cancel;
pub use expand::expand;
pub use expire::expire;
pub use fold::fold;
pub use queue::Settings;
pub use sweep::sweep;
pub use tasks::spawn;
