//! The server's side of a session as a value: a message goes in, facts come out, commands go in, a message comes out (OMA DM Protocol 1.2).
//!
//! [`Session::open`] makes one from the first message of a device. For each message, the first one included, [`Session::receive`] says what the device
//! told, and [`Session::reply`] makes the answer; every message is answered. Between the two, and between messages, a session can be
//! stored: it holds no password, reads no clock and makes no random numbers. Nonces and passwords are lent to it for one message.
mod account;
mod alert;
mod arrival;
mod authentication;
mod batch;
mod due;
mod element;
mod fault;
mod item;
mod manners;
mod object;
mod octets;
mod on_wire;
mod piece;
mod proof;
mod received;
mod reply;
mod session;

pub use account::{Account, Limits, Nonces};
pub use arrival::Arrival;
pub use fault::Fault;
pub use manners::Manners;
pub use received::{Received, Turn};
pub use reply::Reply;
pub use session::Session;

#[cfg(test)]
mod tests;
