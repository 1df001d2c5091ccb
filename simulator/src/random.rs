//! Numbers that look random and are the same in every run.
use serde::{Deserialize, Serialize};

/// A small generator (xorshift64*). Nothing made with it is a secret outside of a simulation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Random(u64);

impl Random {
    /// A generator of its own for this seed and number: neighbours have nothing in common.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        // One step of splitmix64 tells near seeds apart; xorshift must not start from 0.
        let mut mixed = seed ^ number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((mixed ^ (mixed >> 31)).max(1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number from 0 to `limit`, without `limit` itself; 0 when that is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // The lowest bits of the generator are its weakest.
        (self.next() >> 8).checked_rem(limit).unwrap_or(0)
    }

    /// A text of this many letters and digits.
    pub(crate) fn text(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let letter = |random: &mut Self| {
            let at = usize::try_from(random.below(62)).unwrap_or(0);
            char::from(LETTERS.get(at).copied().unwrap_or(b'0'))
        };
        (0..length).map(|_at| letter(self)).collect()
    }
}
