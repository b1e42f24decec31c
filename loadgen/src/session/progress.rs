//! The line that tells how a run goes.
//!
//! The thread that watches the run. On a terminal one line that is written over; else nothing, unless it is asked for.

use crate::engine::Tick;
use crate::record::Second;
use crate::report::line::line;
use std::io::{IsTerminal, Write, stderr};

/// Where a run tells how it goes.
#[derive(Debug)]
pub struct Progress {
    is_shown: bool,
    what: String,
}

impl Progress {
    /// One that is shown if standard error is a terminal, and nobody said otherwise.
    #[must_use]
    pub fn new(is_quiet: bool) -> Self {
        Self { is_shown: !is_quiet && stderr().is_terminal(), what: String::new() }
    }

    /// What is done from now on.
    pub fn begin(&mut self, what: impl Into<String>) {
        self.what = what.into();
    }

    /// `seconds_left`: of measuring, where it ends by time; `None` in a warm-up too.
    pub(super) fn second(&mut self, second: &Second, tick: &Tick, is_measured: bool, seconds_left: Option<f64>) {
        if !self.is_shown || second.seconds <= 0.0 {
            return;
        }
        let phase = if is_measured { "measuring" } else { "warming up" };
        let told = line(second, tick.outstanding, seconds_left);
        let line = format!("\r\x1b[K{}, {phase}: {told}", self.what);
        // A terminal that went away is no reason to end a run.
        let _ = stderr().write_all(line.as_bytes());
    }

    /// Clears the line.
    pub fn end(&self) {
        if self.is_shown {
            let _ = stderr().write_all(b"\r\x1b[K");
        }
    }
}
