//! The one translation of diesel's errors into the domain's.
use diesel::result::{DatabaseErrorKind, Error as Diesel};
use dmwsi_domain::{Error, Result};

/// What a failure of the database means to the caller. A row that is missing is the caller's to name: use `.optional()` first.
pub(crate) fn failed(error: Diesel) -> Error {
    if passes(&error) { Error::Unavailable(Box::new(error)) } else { Error::internal(error) }
}

/// A violated unique constraint, where the caller knows what it means; everything else as [`failed`].
pub(crate) fn unique<T>(result: diesel::QueryResult<T>, exists: impl FnOnce() -> Error) -> Result<T> {
    match result {
        Err(Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation, _message)) => Err(exists()),
        other => other.map_err(failed),
    }
}

/// A violated foreign key, where what the row belongs to was removed meanwhile; everything else as [`failed`].
pub(crate) fn belongs<T>(result: diesel::QueryResult<T>, gone: impl FnOnce() -> Error) -> Result<T> {
    match result {
        Err(Diesel::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _message)) => Err(gone()),
        other => other.map_err(failed),
    }
}

/// Whether the same transaction may well succeed a little later.
fn passes(error: &Diesel) -> bool {
    match error {
        Diesel::DatabaseError(kind, message) => match kind {
            DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::ReadOnlyTransaction
            | DatabaseErrorKind::SerializationFailure
            | DatabaseErrorKind::UnableToSendCommand => true,
            // Neither diesel nor libpq's message has a kind for these. The texts are SQLite's, and PostgreSQL's for deadlock, shutdown and standby.
            DatabaseErrorKind::Unknown => {
                let text = message.message();
                [
                    "database is locked",
                    "database table is locked",
                    "deadlock detected",
                    "terminating connection",
                    "server closed the connection",
                    "database system is",
                    "read-write mode during recovery",
                ]
                .iter()
                .any(|passing| text.contains(passing))
            }
            _ => false,
        },
        Diesel::BrokenTransactionManager | Diesel::RollbackErrorOnCommit { .. } => true,
        _ => false,
    }
}

/// How much of a transaction a failed statement spoils.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Damage {
    /// Nothing has failed.
    #[default]
    None,
    /// A constraint was violated: the closure's own fault, its savepoint goes.
    Constraint,
    /// The transaction lost against another one: run it again.
    Lost,
    /// The database itself failed: nothing of the transaction can be trusted.
    Database,
}

/// Judges a failed statement.
pub(crate) fn damage(error: &Diesel) -> Damage {
    match error {
        Diesel::DatabaseError(kind, message) => match kind {
            DatabaseErrorKind::CheckViolation
            | DatabaseErrorKind::ExclusionViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::RestrictViolation
            | DatabaseErrorKind::UniqueViolation => Damage::Constraint,
            DatabaseErrorKind::SerializationFailure => Damage::Lost,
            _ if message.message().contains("deadlock detected") => Damage::Lost,
            _ => Damage::Database,
        },
        Diesel::NotFound => Damage::None,
        _ => Damage::Database,
    }
}
