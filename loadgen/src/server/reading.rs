//! What processes have taken up to a moment, and what between two moments.
//!
//! Any thread; plain values. Always: a difference of two readings is never negative, and what a thread took before it
//! ended is in it.

use super::Pid;
use crate::record::{Cost, DeviceWork};
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// What CPU time is called whose thread ended before it could be read.
const UNSEEN: &str = "(ended)";
/// CPU time of whole processes is counted in hundredths of a second; less than two of them may be rounding.
const UNSEEN_NS_MIN: u64 = 20_000_000;

/// What a thread has taken since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// On a processor, in nanoseconds.
    pub cpu_ns: u64,
    /// Ready, without a processor, in nanoseconds.
    pub wait_ns: u64,
    /// How often it was given a processor: its context switches, of its own will and not.
    pub switches: u64,
}

impl Times {
    fn less(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(other.cpu_ns),
            wait_ns: self.wait_ns.saturating_sub(other.wait_ns),
            switches: self.switches.saturating_sub(other.switches),
        }
    }
}

impl AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        self.cpu_ns += other.cpu_ns;
        self.wait_ns += other.wait_ns;
        self.switches += other.switches;
    }
}

/// A thread that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Its name.
    pub name: String,
    /// What it has taken.
    pub times: Times,
}

/// What threads had taken that have ended, by name.
pub type Ended = BTreeMap<String, Times>;

/// What processes have taken since they began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Threads that run, by process and number.
    pub threads: BTreeMap<(Pid, u32), Thread>,
    /// Threads that were seen and have ended.
    pub ended: Ended,
    /// CPU time of the processes with all threads that they ever had, in nanoseconds, rounded down to hundredths of a second.
    pub cpu_ns_rounded: u64,
    /// Bytes that came from devices.
    pub read_bytes: u64,
    /// Bytes that were made to be written to devices.
    pub written_bytes: u64,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// The most that was resident.
    pub resident_bytes_max: u64,
    /// What the watched device did, for all processes.
    pub device: Option<DeviceWork>,
}

impl Reading {
    /// What was taken since an earlier reading of the same meter. Its cost of a request is to be added with
    /// [`Cost::shared_by`].
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Cost {
        let (by_name, busiest_ns) = self.times_since(earlier);
        let mut all = Times::default();
        by_name.values().for_each(|times| all += *times);
        let seconds = |ns: u64| ns as f64 / 1e9;
        Cost {
            cpu_seconds: seconds(all.cpu_ns),
            wait_seconds: seconds(all.wait_ns),
            busiest_thread_seconds: seconds(busiest_ns),
            threads: by_name.into_iter().map(|(name, times)| (name.to_string(), seconds(times.cpu_ns))).collect(),
            cpu_us_per_request: 0.0,
            read_bytes: self.read_bytes.saturating_sub(earlier.read_bytes),
            dirtied_bytes: self.written_bytes.saturating_sub(earlier.written_bytes),
            device: self.device.zip(earlier.device).map(|(now, before)| now.since(before)),
            switches: all.switches,
            resident_bytes: self.resident_bytes,
            resident_bytes_max: self.resident_bytes_max,
            syncs: None,
        }
    }

    /// Times by name of thread, and the CPU time of the busiest thread.
    fn times_since<'a>(&'a self, earlier: &'a Self) -> (BTreeMap<&'a str, Times>, u64) {
        let mut by_name: BTreeMap<&str, Times> = BTreeMap::new();
        for (name, times) in &self.ended {
            let before = earlier.ended.get(name).copied().unwrap_or_default();
            by_name.insert(name, times.less(before));
        }
        // What has ended since had a part of it before.
        for (id, thread) in &earlier.threads {
            if self.threads.get(id).is_none_or(|now| now.times.cpu_ns < thread.times.cpu_ns)
                && let Some(times) = by_name.get_mut(thread.name.as_str())
            {
                *times = times.less(thread.times);
            }
        }
        let mut busiest_ns = 0;
        for (id, thread) in &self.threads {
            // A number that is used again belongs to a thread that began at nothing.
            let before = earlier.threads.get(id).map(|thread| thread.times);
            let before = before.filter(|before| before.cpu_ns <= thread.times.cpu_ns).unwrap_or_default();
            let times = thread.times.less(before);
            busiest_ns = busiest_ns.max(times.cpu_ns);
            *by_name.entry(&thread.name).or_default() += times;
        }
        let seen_ns: u64 = by_name.values().map(|times| times.cpu_ns).sum();
        let unseen_ns = self.cpu_ns_rounded.saturating_sub(earlier.cpu_ns_rounded).saturating_sub(seen_ns);
        if unseen_ns > UNSEEN_NS_MIN {
            *by_name.entry(UNSEEN).or_default() += Times { cpu_ns: unseen_ns, ..Times::default() };
        }
        by_name.retain(|_, times| *times != Times::default());
        (by_name, busiest_ns)
    }
}

impl Cost {
    /// The same, with the CPU time of each of so many requests.
    #[must_use]
    pub fn shared_by(mut self, requests: u64) -> Self {
        self.cpu_us_per_request = if requests == 0 { 0.0 } else { self.cpu_seconds * 1e6 / requests as f64 };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn times(seconds: u64) -> Times {
        Times { cpu_ns: seconds * SECOND, wait_ns: seconds * SECOND / 2, switches: seconds * 10 }
    }

    fn reading(threads: &[(u32, &str, u64)], ended: &[(&str, u64)], seconds: u64) -> Reading {
        let thread = |(tid, name, seconds): &(u32, &str, u64)| {
            ((Pid(1), *tid), Thread { name: (*name).to_string(), times: times(*seconds) })
        };
        Reading {
            threads: threads.iter().map(thread).collect(),
            ended: ended.iter().map(|(name, seconds)| ((*name).to_string(), times(*seconds))).collect(),
            cpu_ns_rounded: seconds * SECOND,
            ..Reading::default()
        }
    }

    fn cpu(earlier: &Reading, later: &Reading) -> (f64, f64, Vec<(String, f64)>) {
        let cost = later.since(earlier);
        (cost.cpu_seconds, cost.busiest_thread_seconds, cost.threads.into_iter().collect())
    }

    #[test]
    fn threads_are_added_by_name() {
        let earlier = reading(&[(1, "main", 5), (2, "io", 10), (3, "io", 20)], &[], 35);
        let later = reading(&[(1, "main", 5), (2, "io", 13), (3, "io", 21), (4, "new", 2)], &[], 41);
        assert_eq!(cpu(&earlier, &later), (6.0, 3.0, vec![("io".to_string(), 4.0), ("new".to_string(), 2.0)]));
        let cost = later.since(&earlier).shared_by(1000);
        assert_eq!((cost.wait_seconds, cost.switches, cost.cpu_us_per_request), (3.0, 60, 6000.0));
        assert_eq!(later.since(&earlier).shared_by(0).cpu_us_per_request, 0.0);
    }

    #[test]
    fn threads_that_ended_leave_what_they_took() {
        let earlier = reading(&[(1, "main", 5), (2, "io", 10)], &[("io", 100)], 115);
        let seen = reading(&[(1, "main", 6)], &[("io", 112)], 118);
        assert_eq!(cpu(&earlier, &seen), (3.0, 1.0, vec![("io".to_string(), 2.0), ("main".to_string(), 1.0)]));

        let unseen = reading(&[(1, "main", 6)], &[("io", 110)], 120);
        assert_eq!(cpu(&earlier, &unseen), (5.0, 1.0, vec![("(ended)".to_string(), 4.0), ("main".to_string(), 1.0)]));

        let used_again = reading(&[(1, "main", 6), (2, "other", 1)], &[("io", 110)], 117);
        assert_eq!(cpu(&earlier, &used_again).2, [("main".to_string(), 1.0), ("other".to_string(), 1.0)]);
    }

    #[test]
    fn nothing_is_negative() {
        let (large, small) = (reading(&[(1, "main", 50)], &[("io", 9)], 59), reading(&[(1, "io", 5)], &[], 5));
        let cost = small.since(&large);
        assert_eq!((cost.cpu_seconds, cost.threads.len(), cost.switches), (5.0, 1, 50));
    }
}
