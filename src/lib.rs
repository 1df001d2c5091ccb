//! The server as a library: [`start`] it, and stop it again. The command, the demo, the tests and the benchmarks do no more.
pub mod clients;
pub mod config;
pub mod keys;
pub mod portal;
pub mod selfcare;

mod health;
mod listener;
mod place;
mod proxy;
mod running;

pub use listener::ListenError;
pub use running::{Role, Running, StartError, open_store, start, start_behind};

/// Messages are small trees of texts, made and dropped on many threads; this allocator is built for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
