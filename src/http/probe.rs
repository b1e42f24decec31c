//! What probes and scrapers ask: whether the node lives, whether it can serve, what it counts.
//!
//! Processor thread; pure.

use super::exchange::{Line, Say, Step};
use super::refused::Failure;
use super::reply::ReplyHead;
use crate::request::{Answer, Operation};

/// The text of metrics (OpenMetrics 1.0).
const METRICS_TYPE: &[u8] = b"application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// Whether it lives: nothing is asked.
    Live,
    /// Whether it can serve.
    Ready,
    /// What it counts.
    Metrics,
    /// It was asked.
    Asked { is_metrics: bool },
}

impl Probe {
    pub(super) fn next(&mut self, line: &Line, now_ms: u64) -> Option<Step> {
        let operation = match self {
            Self::Live => {
                return Some(Step::Answer(200, head_of(line, now_ms, b"text/plain").end_with(line, b"live\n")));
            }
            Self::Ready => Operation::Ready,
            Self::Metrics => Operation::Metrics,
            Self::Asked { .. } => return None,
        };
        *self = Self::Asked { is_metrics: *self == Self::Metrics };
        Some(Step::Ask(0, operation))
    }

    pub(super) fn answer(&mut self, answer: Answer, say: &mut Say<'_>) {
        let text = match answer {
            Answer::Status(text) => text,
            Answer::Refused(refusal) => return say.fail(Failure::of(&refusal, false)),
            _ => return say.fail(Failure::internal()),
        };
        let is_metrics = *self == Self::Asked { is_metrics: true };
        let kind = if is_metrics { METRICS_TYPE } else { b"application/json" };
        say.text(200, head_of(say.line, say.now_ms(), kind), &text);
    }
}

fn head_of(line: &Line, now_ms: u64, kind: &[u8]) -> ReplyHead {
    let mut head = ReplyHead::begin(200, line, now_ms);
    head.field("Content-Type", kind).field("Cache-Control", b"no-store");
    head
}
