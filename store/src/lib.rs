//! Persistence on SQLite or PostgreSQL, chosen by the scheme of one URL.
//!
//! The only crate that sees diesel. A query is written once, with the crate's macro `on!`, and checked by the compiler for both databases; rows
//! become values of the domain here. Reads run on a snapshot, writes in transactions that may run more than once.
mod account;
mod admission;
mod bells;
mod clients;
mod column;
mod contacts;
mod containers;
pub mod content;
mod deliverables;
pub mod deliveries;
mod deltas;
pub mod device_id;
mod device_row;
mod device_tags;
mod devices;
pub mod distribution;
pub mod downloads;
pub mod event_numbers;
pub mod events;
pub mod executions;
mod expansion;
mod failed;
mod handshakes;
pub mod idempotency;
mod imports;
pub mod ingest;
pub mod jobs;
mod kept;
pub mod log;
mod migrations;
mod notice;
mod organisations;
mod postgres;
mod profiles;
pub mod queue;
mod recovery;
mod rests;
pub mod results;
mod retention;
pub mod seal;
mod session_records;
mod sessions;
mod settings;
pub mod settlement;
mod sqlite;
mod store;
#[cfg(test)]
mod store_test;
mod subscription_ends;
mod subscription_holds;
pub mod subscriptions;
pub mod sweep;
mod trees;
mod tx;
mod uploads;
pub mod wakes;
mod watch;
pub mod webhook_secrets;
mod writer;

mod schema;

pub use admission::{Admission, Room};
pub use contacts::MAX_DESCRIPTION;
pub use containers::{ContainerPage, INGEST};
pub use content::Content;
pub use deliverables::{DeliverablePage, Offered};
pub use devices::DeviceFilter;
pub use executions::ExecutionPage;
pub use imports::{Chunk, Line};
pub use migrations::Migrations;
pub use notice::Notice;
pub use seal::{Keys, Sealed, Secret};
pub use session_records::{MessageRow, RecordPage};
pub use sessions::StoredSession;
pub use settings::{DatabaseUrl, Settings, Synchronous};
pub use sqlite::Exclusive;
pub use store::Store;
pub use trees::{NodePage, NodeRow, SealedLesson};
pub use tx::Tx;
pub use uploads::Upload;

pub(crate) use failed::{failed, unique};
pub(crate) use kept::Kept;
pub(crate) use tx::{insert_all, on};
