//! The foundation as a whole, over HTTP in process, with a few routes of its own and a real database.
mod bench;
mod gate;
mod idempotency;
mod oauth;
mod public;
