//! What an Exec carries so that the alert which tells its outcome can be told whose it is.
use std::fmt;
use std::str::FromStr;

use crate::id::{JobId, MalformedId};
use uuid::Uuid;

/// Derived from the execution, its attempt and the step in it, so it needs no table: `<job, 32 hex>.<ordinal>.<attempt>.<step>`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Correlator {
    /// The job.
    pub job: JobId,
    /// The execution within the job.
    pub ordinal: u32,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The step within the attempt, from 1.
    pub step: u8,
}

impl fmt::Display for Correlator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.job.uuid().simple(), self.ordinal, self.attempt, self.step)
    }
}

impl FromStr for Correlator {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        let mut parts = text.trim().split('.');
        let mut next = || parts.next().ok_or(MalformedId);
        let job = Uuid::try_parse(next()?).map(JobId::new).map_err(|_malformed| MalformedId)?;
        let ordinal = next()?.parse().map_err(|_malformed| MalformedId)?;
        let attempt = next()?.parse().map_err(|_malformed| MalformedId)?;
        let step = next()?.parse().map_err(|_malformed| MalformedId)?;
        if parts.next().is_some() {
            return Err(MalformedId);
        }
        Ok(Self { job, ordinal, attempt, step })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correlator_is_read_back_and_a_foreign_one_is_not() {
        let own = Correlator { job: JobId::new(Uuid::from_u128(7)), ordinal: 3, attempt: 1, step: 2 };
        assert_eq!(own.to_string().parse(), Ok(own));
        for foreign in [
            "",
            "op-42",
            "corr-77",
            "7.3.1.2",
            "00000000000000000000000000000007.3.1",
            "00000000000000000000000000000007.3.1.2.9",
        ] {
            assert_eq!(foreign.parse::<Correlator>(), Err(MalformedId), "{foreign}");
        }
    }
}
