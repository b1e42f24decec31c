//! Commands of the user that are run on the way: to restart a server, to slow down its disk.
//!
//! The thread that watches the run. Always: a run never waits for a command; how each ended is told.

use std::process::{Child, Command};
use std::str::FromStr;
use std::time::Duration;

/// A command, and when it is run: seconds from the start of measuring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// When.
    pub at: Duration,
    /// What, for `sh -c`.
    pub command: String,
}

impl FromStr for Hook {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text}: want SECONDS:COMMAND, as 10:'systemctl restart larder'");
        let (at, command) = text.split_once(':').ok_or_else(bad)?;
        let at: f64 = at.trim().parse().map_err(|_| bad())?;
        let at = Duration::try_from_secs_f64(at).map_err(|_| bad())?;
        if command.trim().is_empty() {
            return Err(bad());
        }
        Ok(Self { at, command: command.to_string() })
    }
}

/// Commands to come, and those that run.
#[derive(Debug)]
pub struct Hooks {
    waiting: Vec<Hook>,
    running: Vec<(String, Child)>,
}

impl Hooks {
    /// None has been run yet.
    #[must_use]
    pub fn new(hooks: &[Hook]) -> Self {
        Self { waiting: hooks.to_vec(), running: Vec::new() }
    }

    /// Starts what is due, and says what has begun and ended.
    pub fn due(&mut self, at: Duration) -> Vec<String> {
        let mut told = Vec::new();
        let due: Vec<Hook> = self.waiting.extract_if(.., |hook| hook.at <= at).collect();
        for hook in due {
            match Command::new("sh").args(["-c", &hook.command]).spawn() {
                Ok(child) => {
                    told.push(format!("begun: {}", hook.command));
                    self.running.push((hook.command, child));
                }
                Err(error) => told.push(format!("cannot run {}: {error}", hook.command)),
            }
        }
        self.running.retain_mut(|(command, child)| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                told.push(format!("ended: {command}: {status}"));
                false
            }
            Err(error) => {
                told.push(format!("lost sight of {command}: {error}"));
                false
            }
        });
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn commands_run_when_they_are_due() {
        let hook: Hook = "1.5:exit 3".parse().unwrap();
        assert_eq!(hook, Hook { at: Duration::from_millis(1500), command: "exit 3".to_string() });
        let mut hooks = Hooks::new(&[hook]);
        assert!(hooks.due(Duration::from_secs(1)).is_empty());
        let mut told = hooks.due(Duration::from_secs(2));
        assert_eq!(told[0], "begun: exit 3");
        let ends = Instant::now() + Duration::from_secs(30);
        while told.len() < 2 && Instant::now() < ends {
            told.extend(hooks.due(Duration::from_secs(2)));
            std::thread::yield_now();
        }
        assert!(told[1].starts_with("ended: exit 3: exit status: 3"), "{told:?}");
        for bad in ["", "5", "x:true", "-1:true", "5: "] {
            assert!(bad.parse::<Hook>().is_err(), "{bad}");
        }
    }
}
