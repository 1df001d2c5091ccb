//! The one seam that reads the wall clock and mints ids.
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// A moment: microseconds since 1970 UTC, as both databases store it. On the wire it is RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since 1970 UTC.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970 UTC.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This moment and `later` of it; stops at the end of time.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(micros(later)))
    }

    /// This moment less `earlier`; stops at the beginning of time.
    #[must_use]
    pub fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(micros(earlier)))
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads RFC 3339 with any offset; fractions below a microsecond are cut.
    pub fn parse(text: &str) -> Result<Self, chrono::ParseError> {
        Ok(Self(DateTime::parse_from_rfc3339(text)?.timestamp_micros()))
    }

    /// Reads the time of an HTTP header, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn parse_http_date(text: &str) -> Result<Self, chrono::ParseError> {
        Ok(Self(DateTime::parse_from_rfc2822(text)?.timestamp_micros()))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = DateTime::from_timestamp_micros(self.0).unwrap_or_default();
        f.write_str(&at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime)))
            .description(Some("A moment by RFC 3339, in UTC when it comes from the server."))
            .max_length(Some(40))
            .examples(["2026-11-21T10:15:30.123456Z"])
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

/// Where the time and new ids come from: the system, or a hand that a test moves.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The wall clock of the machine.
    #[default]
    System,
    /// Stands still until it is moved; microseconds since 1970 UTC.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn manual(at: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(at.micros())))
    }

    /// The present moment, cut to microseconds.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp(Utc::now().timestamp_micros()),
            Self::Manual(hand) => Timestamp(hand.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock on; the system clock cannot be moved and stays.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(hand) = self {
            hand.fetch_add(micros(by), Ordering::SeqCst);
        }
    }

    /// A new UUIDv7: ids minted later in one process sort later.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    pub fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    /// New ids for one transaction, which may have to run more than once and must then use the same ones.
    #[must_use]
    pub fn new_ids(&self) -> Ids {
        Ids(self.new_id().as_u128())
    }
}

/// A row of ids that follow each other: a copy taken before gives the same again. They are UUIDv7 of one moment whose random part counts up.
#[derive(Clone, Copy, Debug)]
pub struct Ids(u128);

impl Ids {
    /// The next id; sorts after those before.
    pub fn new_id(&mut self) -> Uuid {
        let id = Uuid::from_u128(self.0);
        // The variant's two bits stand above 62 random ones: a carry out of those would need more ids than anybody makes.
        self.0 = self.0.wrapping_add(1);
        id
    }

    /// From here on they also sort after that id, whatever the clock said of whoever minted it.
    pub fn follow(&mut self, other: Uuid) {
        // The upper half holds the milliseconds, the version and twelve bits more; the lower half is chance.
        const MILLISECOND: u128 = 1 << 80;
        const CHANCE: u128 = (1 << 64) - 1;
        let other = other.as_u128();
        if self.0 <= other {
            self.0 = ((other & !CHANCE).wrapping_add(MILLISECOND)) | (self.0 & CHANCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_a_row_of_ids_gives_the_same_ids_again() {
        let mut first = Clock::System.new_ids();
        let mut again = first;
        let ids = [first.new_id(), first.new_id(), first.new_id()];
        assert_eq!(ids, [again.new_id(), again.new_id(), again.new_id()]);
        assert!(ids.is_sorted() && ids.iter().all(|id| id.get_version_num() == 7));
    }

    #[test]
    fn ids_follow_those_of_a_clock_that_goes_before() {
        let (mut early, mut late) = (Clock::System.new_ids(), Ids(Clock::System.new_ids().0 + (7 << 80)));
        let last = late.new_id();
        early.follow(last);
        let next = early.new_id();
        assert!(next > last && next.get_version_num() == 7 && next.get_variant() == uuid::Variant::RFC4122, "{next} {last}");
        assert_ne!(next, late.new_id(), "nobody else mints it");
        late.follow(last);
        assert!(late.new_id() < next, "who is ahead stays where he is");
    }

    #[test]
    fn a_moment_survives_its_text() {
        let at = Timestamp::from_micros(1_795_255_200_123_456);
        assert_eq!(Timestamp::parse(&at.to_string()).unwrap(), at);
        assert_eq!(Timestamp::parse("2026-11-21T12:00:00+02:00").unwrap().to_string(), "2026-11-21T10:00:00Z");
    }
}
