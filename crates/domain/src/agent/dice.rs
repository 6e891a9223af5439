//! The draw: a fair d20 that depends only on seed, agent and version.

use std::sync::LazyLock;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::governance::ids::AgentId;

/// BLAKE3 after its context, which all draws share.
static DRAW: LazyLock<blake3::Hasher> =
    LazyLock::new(|| blake3::Hasher::new_derive_key("life-agent 2026 d20 draw v1"));

/// A number from 1 to 20 for the step after `version`. ChaCha20 (RFC 8439 core) is seeded with BLAKE3 in
/// key-derivation mode over seed, version and agent, so draws of different agents and steps are independent
/// and unpredictable without the seed.
pub fn d20(seed: u64, agent: &AgentId, version: u64) -> u8 {
    let mut hasher = DRAW.clone();
    hasher.update(&seed.to_le_bytes());
    hasher.update(&version.to_le_bytes());
    hasher.update(agent.as_str().as_bytes());
    let mut rng = ChaCha20Rng::from_seed(*hasher.finalize().as_bytes());
    loop {
        // Rejects the remainder of the division by 20, which would favor low numbers.
        let word = rng.next_u32();
        if word < u32::MAX - u32::MAX % 20 {
            return (word % 20) as u8 + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_fixed_for_ever() {
        let agent = AgentId::new("hero").unwrap();
        let draws: Vec<_> = (0..8).map(|version| d20(42, &agent, version)).collect();
        assert_eq!(draws, [8, 5, 16, 16, 17, 16, 4, 10]);
    }

    #[test]
    fn draws_are_fair() {
        let agent = AgentId::new("hero").unwrap();
        let mut counts = [0_u32; 21];
        (0..20_000).for_each(|version| counts[d20(7, &agent, version) as usize] += 1);
        assert_eq!(counts[0], 0);
        // The expected count is 1,000; five standard deviations are 154.
        assert!(counts[1..].iter().all(|count| (846..=1154).contains(count)), "{counts:?}");
    }
}
