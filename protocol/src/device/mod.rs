//! The device's side of OMA DM 1.2: a session as a value, the account it is held under, and a tree of nodes.
//!
//! A session begins with [`Session::begin`], which gives package 1. Every message of the server goes through [`Session::receive`], which carries
//! out its commands on whatever implements [`Nodes`] and gives the message to send back, until it says that the session is over.
mod access;
mod account;
mod alert;
mod dress;
mod execution;
mod listing;
mod nodes;
mod outbox;
mod percent;
mod proof;
mod properties;
mod quirks;
mod session;
mod tree;

#[cfg(test)]
mod tests;

pub use access::{Access, Acl};
pub use account::Account;
pub use nodes::{Nodes, Outcome};
pub use quirks::{AtomicQuirk, Quirks, ReportQuirk};
pub use session::{End, Ending, Fault, Initiator, Opening, Session, Turn};
pub use tree::{Node, Tree};
