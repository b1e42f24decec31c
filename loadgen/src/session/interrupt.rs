//! Ctrl-C: the first ends what is being measured, so that it is told; the second ends the process.
//!
//! Any thread.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Of a process that was ended by a signal.
const ENDED: i32 = 130;

/// Whether the user wants the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches SIGINT and SIGTERM from now on.
    pub(super) fn catch() -> Result<Self, String> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // In this order: what the first sets, the next one finds.
            flag::register_conditional_shutdown(signal, ENDED, Arc::clone(&interrupt.0))
                .and_then(|_| flag::register(signal, Arc::clone(&interrupt.0)))
                .map_err(|error| format!("signals cannot be caught: {error}"))?;
        }
        Ok(interrupt)
    }

    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
