//! What a guest takes for chance: the system's or, in a replay, the same for the same attempt.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sha2::{Digest as _, Sha256};

/// Of what an attempt's chance is made in a replay. A real attempt's is not made of it: others know its idempotency key.
#[derive(Clone, Copy)]
pub(crate) struct Seed([u8; 32]);

impl Seed {
    /// That of a call's attempt.
    pub(crate) fn new(key: &str, attempt: u32) -> Self {
        Self(Sha256::new().chain_update(attempt.to_le_bytes()).chain_update(key).finalize().into())
    }

    /// For one of its sources of chance, by name.
    pub(crate) fn of(self, source: &str) -> StdRng {
        StdRng::from_seed(Sha256::new().chain_update(self.0).chain_update(source).finalize().into())
    }
}

/// Where a call's random bytes come from.
pub(crate) enum Chance {
    /// The operating system.
    System,
    /// The attempt.
    Seeded(Box<StdRng>),
}

impl Chance {
    /// The system's where there is no seed.
    pub(crate) fn new(seed: Option<Seed>) -> Self {
        seed.map_or(Self::System, |seed| Self::Seeded(Box::new(seed.of("random-bytes"))))
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        match self {
            Self::System => rand::rng().fill_bytes(bytes),
            Self::Seeded(random) => random.fill_bytes(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_has_its_own_chance_again() {
        let drawn = |key: &str, attempt| {
            let mut bytes = [0; 16];
            Chance::new(Some(Seed::new(key, attempt))).fill(&mut bytes);
            bytes
        };
        assert_eq!(drawn("k", 1), drawn("k", 1));
        assert_ne!(drawn("k", 1), drawn("k", 2));
        assert_ne!(drawn("k", 1), drawn("l", 1));
        let system = || {
            let mut bytes = [0; 16];
            Chance::new(None).fill(&mut bytes);
            bytes
        };
        assert_ne!(system(), system());
    }
}
