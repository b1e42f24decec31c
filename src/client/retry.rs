//! Which requests are sent again, when, and how many in all.
//!
//! Any thread. Pure but for the counter. Always: a request is repeated only if the first cannot have been carried out,
//! or if a repeat changes nothing; retries are a bounded share of what succeeds, so that they never keep a node busy.

use super::ClientError;
use crate::request::Status;
use crate::wire::Opcode;
use parking_lot::Mutex;
use std::time::Duration;

/// The first delay, doubled with each further attempt.
const DELAY_FIRST_MS: u64 = 10;
/// The longest delay that the client chooses by itself.
const DELAY_MAX_MS: u64 = 1000;
/// Tokens that a retry costs. A success earns one: in the long run one retry for ten successes.
const RETRY_COST: u32 = 10;

/// Whether a request of this kind that failed so may be sent again.
pub(super) fn may_repeat(error: &ClientError, opcode: Opcode) -> bool {
    match error {
        // In these nothing was done, whatever it was.
        ClientError::Refused(refusal) => {
            matches!(refusal.status, Status::Busy | Status::ShuttingDown | Status::ChecksumMismatch)
        }
        ClientError::Connect { .. } | ClientError::Lost { sent: false, .. } => true,
        ClientError::Lost { .. } | ClientError::Corrupt { .. } => opcode.may_be_repeated(),
        ClientError::TimedOut { .. }
        | ClientError::Protocol { .. }
        | ClientError::BrokeOff { .. }
        | ClientError::Input(_)
        | ClientError::Output(_)
        | ClientError::System(_) => false,
    }
}

/// How long to wait before attempt `attempt` (from 1): exponential with jitter, never before the node's own delay.
pub(super) fn delay(attempt: u32, error: &ClientError, random: u64) -> Duration {
    let advised_ms = match error {
        ClientError::Refused(refusal) => u64::from(refusal.retry_after_ms),
        _ => 0,
    };
    let doubled = DELAY_FIRST_MS << attempt.saturating_sub(1).min(16);
    let own_ms = doubled.min(DELAY_MAX_MS);
    // At least half of the delay, so that it is one; jitter over the other half, so that clients part.
    let own_ms = own_ms / 2 + random % (own_ms / 2 + 1);
    let advised_ms = if advised_ms == 0 { 0 } else { advised_ms + random % (advised_ms / 2 + 1) };
    Duration::from_millis(own_ms.max(advised_ms))
}

/// Tokens for retries.
#[derive(Debug)]
pub(super) struct RetryBudget {
    tokens: Mutex<u32>,
    tokens_max: u32,
}

impl RetryBudget {
    /// A budget that allows `burst` retries at once.
    pub(super) fn new(burst: u32) -> Self {
        let tokens_max = burst.saturating_mul(RETRY_COST);
        Self { tokens: Mutex::new(tokens_max), tokens_max }
    }

    /// Pays for a retry, if there is enough.
    pub(super) fn spend(&self) -> bool {
        let mut tokens = self.tokens.lock();
        match tokens.checked_sub(RETRY_COST) {
            Some(left) => {
                *tokens = left;
                true
            }
            None => false,
        }
    }

    /// Earns a share of a retry.
    pub(super) fn earn(&self) {
        let mut tokens = self.tokens.lock();
        *tokens = (*tokens + 1).min(self.tokens_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Refusal, Stage};

    fn lost(sent: bool) -> ClientError {
        ClientError::Lost { peer: "node".into(), reason: "reset".into(), sent }
    }

    #[test]
    fn only_what_is_safe_is_repeated() {
        assert!(may_repeat(&lost(false), Opcode::Put));
        assert!(!may_repeat(&lost(true), Opcode::Put), "it may be stored already");
        assert!(may_repeat(&lost(true), Opcode::Delete));
        assert!(may_repeat(&lost(true), Opcode::Commit), "its request id makes it happen once");
        assert!(may_repeat(&lost(true), Opcode::Session), "a session that nobody uses ends by itself");
        let refused = |status| ClientError::Refused(Refusal::new(status, ""));
        for status in Status::ALL {
            let nothing_was_done = matches!(status, Status::Busy | Status::ShuttingDown | Status::ChecksumMismatch);
            assert_eq!(may_repeat(&refused(status), Opcode::Put), nothing_was_done, "{status:?}");
        }
        let timed_out = ClientError::TimedOut { peer: "node".into() };
        assert!(!may_repeat(&timed_out, Opcode::Get), "its time is over");
    }

    #[test]
    fn delays_grow_have_jitter_and_honour_the_node() {
        let ms = |attempt, error: &ClientError, random| delay(attempt, error, random).as_millis();
        assert_eq!(ms(1, &lost(true), 0), 5);
        assert_eq!(ms(1, &lost(true), 5), 10);
        assert_eq!(ms(2, &lost(true), 0), 10);
        assert!((500..=1000).contains(&ms(u32::MAX, &lost(true), u64::MAX)));
        let busy = ClientError::Refused(Refusal::busy(Stage::Memory, 40, ""));
        assert_eq!(ms(1, &busy, 0), 40);
        assert_eq!(ms(1, &busy, 20), 60);
        let patient = ClientError::Refused(Refusal::busy(Stage::Memory, u32::MAX, ""));
        assert!(ms(1, &patient, u64::MAX) >= u128::from(u32::MAX));
    }

    #[test]
    fn retries_are_a_share_of_successes() {
        let budget = RetryBudget::new(2);
        assert!(budget.spend() && budget.spend() && !budget.spend());
        for _ in 0..9 {
            budget.earn();
        }
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend());
        for _ in 0..1000 {
            budget.earn();
        }
        assert!(budget.spend() && budget.spend() && !budget.spend());
        let none = RetryBudget::new(0);
        none.earn();
        assert!(!none.spend());
    }
}
