//! A bulk import of devices: many lines, each judged by itself.
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::device::Owner;
use crate::id::{DeviceId, ImportId};

/// The most lines of one import.
pub const MAX_LINES: u32 = 100_000;

/// The longest line, in bytes, its end not counted.
pub const MAX_LINE: usize = 16 * 1024;

/// The most lines one transaction applies.
pub const LINES_PER_CHUNK: u32 = 1_000;

/// How far an import is. It stands on disk, so that it goes on where it stopped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Import {
    /// Its id.
    pub id: ImportId,
    /// Who imports, and for whom.
    pub owner: Owner,
    /// What tells a repetition from a new import, where the caller gave it.
    pub key: Option<String>,
    /// The hash of the body: a key belongs to one body.
    pub fingerprint: String,
    /// Whether every line has its verdict.
    pub state: ImportState,
    /// The last line that has its verdict.
    pub line: u32,
    /// How many devices were made.
    pub created: u32,
    /// How many lines were refused.
    pub refused: u32,
    /// When it began.
    pub created_at: Timestamp,
    /// When it last moved on.
    pub updated_at: Timestamp,
    /// Counts its steps, from 1.
    pub revision: i64,
}

/// Whether an import still has lines to judge.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ImportState {
    /// Every line has its verdict.
    Completed,
    /// There are lines left.
    Running,
}

impl ImportState {
    /// The name in the row.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "COMPLETED",
            Self::Running => "RUNNING",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Completed, Self::Running].into_iter().find(|state| state.as_str() == name)
    }
}

/// What became of one line. The device stands in it by its id inside; the public one is made when the verdict is shown.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "UPPERCASE", rename_all_fields = "camelCase")]
pub enum Verdict {
    /// It made a device.
    Created {
        /// Which line, from 1.
        line: u32,
        /// The device.
        device: DeviceId,
    },
    /// It made none.
    Refused {
        /// Which line, from 1.
        line: u32,
        /// Why.
        problem: Refusal,
    },
}

impl Verdict {
    /// Which line it is about.
    #[must_use]
    pub const fn line(&self) -> u32 {
        match self {
            Self::Created { line, .. } | Self::Refused { line, .. } => *line,
        }
    }
}

/// Why a line was refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Refusal {
    /// The stable code.
    pub code: String,
    /// A sentence for the caller.
    pub detail: String,
    /// Where in the line, as a JSON pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

impl Import {
    /// A new one, before its first line.
    #[must_use]
    pub const fn begin(id: ImportId, owner: Owner, key: Option<String>, fingerprint: String, now: Timestamp) -> Self {
        Self {
            id,
            owner,
            key,
            fingerprint,
            state: ImportState::Running,
            line: 0,
            created: 0,
            refused: 0,
            created_at: now,
            updated_at: now,
            revision: 1,
        }
    }

    /// Moves on past `line` with the verdicts of the lines up to it; `last` says that none follows.
    pub fn advance(&mut self, line: u32, verdicts: &[Verdict], last: bool, now: Timestamp) {
        let made = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Created { .. })).count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.line = line;
        self.created = self.created.saturating_add(count(made));
        self.refused = self.refused.saturating_add(count(verdicts.len().saturating_sub(made)));
        self.state = if last { ImportState::Completed } else { ImportState::Running };
        self.updated_at = now;
        self.revision = self.revision.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::id::{ClientId, OrganisationId};

    #[test]
    fn an_import_counts_what_its_lines_came_to() {
        let owner = Owner { organisation: OrganisationId::new(Uuid::nil()), client: ClientId::new(Uuid::nil()) };
        let mut import = Import::begin(ImportId::new(Uuid::nil()), owner, None, String::new(), Timestamp::from_micros(1));
        let refusal = Refusal { code: "ALREADY_EXISTS".into(), detail: "device exists already".into(), pointer: None };
        let verdicts =
            [Verdict::Created { line: 1, device: DeviceId::new(Uuid::nil()) }, Verdict::Refused { line: 3, problem: refusal }];
        import.advance(3, &verdicts, true, Timestamp::from_micros(2));
        assert_eq!((import.line, import.created, import.refused, import.revision), (3, 1, 1, 2));
        assert_eq!(import.state, ImportState::Completed);
        let text = serde_json::to_string(&verdicts).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Verdict>>(&text).unwrap(), verdicts);
    }
}
