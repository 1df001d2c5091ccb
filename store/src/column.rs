//! How single values stand in columns: ids as 32 hex digits, times as microseconds, documents as JSON text.
use dmwsi_domain::{Error, Result, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// What a row that cannot be read means: the data was damaged, or written by a later version.
pub(crate) fn damaged(what: &'static str) -> Error {
    Error::internal(format!("the database holds no readable {what}"))
}

/// An id as it stands in a column.
pub(crate) fn text(uuid: Uuid) -> String {
    uuid.simple().to_string()
}

/// The id in a column.
pub(crate) fn uuid(text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(Error::internal)
}

/// A document as it stands in a column.
pub(crate) fn document<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

/// The document in a column.
pub(crate) fn parsed<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(Error::internal)
}

/// A number as it stands in a column.
pub(crate) fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// The number in a column, which is never negative.
pub(crate) fn counted<T: TryFrom<i64>>(value: i64, what: &'static str) -> Result<T> {
    T::try_from(value).map_err(|_negative| damaged(what))
}

/// A moment in a column that may be empty.
pub(crate) fn moment(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_micros)
}

/// A moment that may be absent, for a column.
pub(crate) fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::micros)
}
