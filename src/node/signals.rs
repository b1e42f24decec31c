//! SIGTERM and SIGINT: the first asks the node to drain and stop, the second ends it at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;

/// Waits for the signals that stop a node.
#[derive(Debug)]
pub(super) struct StopSignals(Signals);

impl StopSignals {
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self(Signals::new([SIGTERM, SIGINT])?))
    }

    /// Waits for the first signal; from then on a second one ends the process with status 130.
    pub(super) fn wait(mut self) -> io::Result<()> {
        let first = self.0.forever().next();
        log::info!("signal {}: draining, then stopping", first.unwrap_or(SIGTERM));
        crate::base::thread::spawn("signals", move || {
            if self.0.forever().next().is_some() {
                std::process::exit(130);
            }
        })?;
        Ok(())
    }
}
