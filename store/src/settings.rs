//! Which database, and how many may use it at a time.
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The section of the settings that says which database is used and how.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Settings {
    /// `sqlite:PATH` or `postgres://user:password@host/name`; default `sqlite:dmwsi.db`.
    pub url: DatabaseUrl,
    /// Connections that read at the same time, SQLite only; default 8.
    pub readers: u32,
    /// Connections of this process, PostgreSQL only, one for notifications not counted; default 16.
    pub pool_size: u32,
    /// How many writes may wait for their turn before further ones wait outside; default 4,096.
    pub waiting_writes: u32,
    /// Longest wait for a connection or for room among the waiting writes, in milliseconds; then "temporarily unavailable". Default 5,000.
    pub wait_ms: u64,
    /// Longest wait for the lock of another process, SQLite only, in milliseconds; default 5,000.
    pub busy_timeout_ms: u64,
    /// When a commit counts as written, SQLite only; default `FULL`.
    pub synchronous: Synchronous,
    /// Most writes in one commit, SQLite only; default 512.
    pub batch_writes: u32,
    /// Longest time spent on one commit's writes before they are committed, SQLite only, in milliseconds; default 20.
    pub batch_ms: u64,
    /// Statements slower than this many milliseconds are logged, without their values; default 250.
    pub slow_query_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: DatabaseUrl::Sqlite(PathBuf::from("dmwsi.db")),
            readers: 8,
            pool_size: 16,
            waiting_writes: 4_096,
            wait_ms: 5_000,
            busy_timeout_ms: 5_000,
            synchronous: Synchronous::Full,
            batch_writes: 512,
            batch_ms: 20,
            slow_query_ms: 250,
        }
    }
}

impl Settings {
    /// The defaults for one database.
    #[must_use]
    pub fn of(url: DatabaseUrl) -> Self {
        Self { url, ..Self::default() }
    }

    pub(crate) const fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }
}

/// How far a commit on SQLite is pushed towards the disk before it counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Synchronous {
    /// On the disk: what was answered survives a loss of power.
    Full,
    /// With the operating system: the last commits may be lost with the power, the file stays sound.
    Normal,
}

/// Where the database is; any other scheme is refused, never a file named after a typo.
#[derive(Clone, Eq, PartialEq)]
pub enum DatabaseUrl {
    /// `postgres://…` or `postgresql://…`, as libpq reads it.
    Postgres(String),
    /// `sqlite:PATH`: one file, made when it is not there.
    Sqlite(PathBuf),
}

/// The text names no database that we know.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// The scheme is neither of the two.
    #[error("a database is sqlite:PATH or postgres://USER@HOST/NAME")]
    Scheme,
    /// What follows `sqlite:` is no path of a file.
    #[error("sqlite: wants the path of a file (sqlite:dmwsi.db, sqlite:/var/lib/dmwsi/dmwsi.db), without parameters")]
    Path,
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        let path = text.strip_prefix("sqlite:").ok_or(DatabaseUrlError::Scheme)?;
        // "sqlite:///a" is "/a"; "sqlite://a" has a host where a path was meant.
        let path = match path.strip_prefix("//") {
            Some(rest) if rest.starts_with('/') => rest,
            Some(_host) => return Err(DatabaseUrlError::Path),
            None => path,
        };
        let odd = path.is_empty()
            || path.ends_with('/')
            || path.starts_with(':')
            || path.starts_with("file:")
            || path.contains(['?', '\0']);
        if odd { Err(DatabaseUrlError::Path) } else { Ok(Self::Sqlite(Path::new(path).to_owned())) }
    }
}

/// As it may be shown: without the password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_secrets(url)),
        }
    }
}

/// The address without user, password and parameters, any of which can hold a secret.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let place = rest.rsplit_once('@').map_or(rest, |(_user, place)| place);
    let hidden = if place.len() == rest.len() { "" } else { "***@" };
    format!("{scheme}://{hidden}{place}")
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Without the password: settings are shown, never copied by way of their text.
impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_refused_and_names_no_file() {
        for typo in ["", "dmwsi.db", "postgre://h/d", "mysql://h/d", "Sqlite:a", "postgres:/h"] {
            assert_eq!(typo.parse::<DatabaseUrl>(), Err(DatabaseUrlError::Scheme), "{typo}");
        }
        for typo in ["sqlite:", "sqlite::memory:", "sqlite://a.db", "sqlite:a.db?mode=rwc", "sqlite:file:a", "sqlite:data/"] {
            assert_eq!(typo.parse::<DatabaseUrl>(), Err(DatabaseUrlError::Path), "{typo}");
        }
        assert_eq!("sqlite:///a/b.db".parse(), Ok(DatabaseUrl::Sqlite("/a/b.db".into())));
        assert_eq!("sqlite:b.db".parse(), Ok(DatabaseUrl::Sqlite("b.db".into())));
    }

    #[test]
    fn a_password_is_never_shown() {
        let url: DatabaseUrl = "postgres://dm:s3cret@db.example/dmwsi?sslpassword=s3cret".parse().unwrap();
        let shown = format!("{url} {url:?} {}", serde_json::to_string(&Settings::of(url.clone())).unwrap());
        assert!(!shown.contains("s3cret") && shown.contains("postgres://***@db.example/dmwsi"), "{shown}");
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        assert!(serde_json::from_str::<Settings>(r#"{"reeders":3}"#).is_err());
        assert_eq!(serde_json::from_str::<Settings>(r#"{"readers":3}"#).unwrap().readers, 3);
    }
}
