//! An organisation: who owns clients and things.
use crate::clock::Timestamp;
use crate::id::OrganisationId;

/// Who owns clients, devices, jobs and everything else; two organisations never see each other's things.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Organisation {
    /// Its id.
    pub id: OrganisationId,
    /// Its name, unique in the server.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts its changes, from 1.
    pub revision: i64,
}
