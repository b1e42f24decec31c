//! What the consensus core says, as lines of our own log.
//!
//! Any thread. The core is talkative: its news are for those who look for them, its warnings for all.

use slog::{Drain, KV, Key, Level, Logger, OwnedKVList, Record, Serializer};
use std::fmt::{self, Write};

/// A logger for the core.
pub fn logger() -> Logger {
    Logger::root(Forward, slog::o!())
}

struct Forward;

impl Drain for Forward {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), slog::Never> {
        let level = match record.level() {
            Level::Critical | Level::Error => log::Level::Error,
            Level::Warning => log::Level::Warn,
            Level::Info => log::Level::Debug,
            Level::Debug | Level::Trace => log::Level::Trace,
        };
        if log::log_enabled!(target: "larder::master::consensus", level) {
            let mut line = Line(record.msg().to_string());
            // A value that cannot be shown is left out.
            let _shown = record.kv().serialize(record, &mut line).and_then(|()| values.serialize(record, &mut line));
            log::log!(target: "larder::master::consensus", level, "raft: {}", line.0);
        }
        Ok(())
    }
}

struct Line(String);

impl Serializer for Line {
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        write!(self.0, ", {key}: {value}")?;
        Ok(())
    }
}
