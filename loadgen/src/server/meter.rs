//! Reads what processes have taken.
//!
//! The thread that reports. Always: figures only grow; a thread or process that has ended is kept with what it had at the
//! last reading, so a server that ends is still paid for, and one that is followed is found again when it is back.

use super::device::Device;
use super::listeners::processes_listening_on;
use super::reading::{Ended, Reading, Thread};
use super::{Pid, Unreadable, files, numbers_in, text};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

/// The unit of times in `/proc/PID/stat`: USER_HZ is 100 wherever this runs.
const TICK_NS: u64 = 10_000_000;

/// Reads what some processes have taken.
#[derive(Debug)]
pub struct Meter {
    processes: BTreeMap<Pid, Process>,
    threads: BTreeMap<(Pid, u32), Thread>,
    ended: Ended,
    device: Option<Device>,
    followed: Option<SocketAddr>,
}

/// Of all threads of a process.
#[derive(Debug, Clone, Copy, Default)]
struct Process {
    ticks: u64,
    read_bytes: u64,
    written_bytes: u64,
    resident_bytes: u64,
    resident_bytes_max: u64,
    has_ended: bool,
}

impl Meter {
    /// One for these processes; reads each once, so that what cannot be read is known now.
    ///
    /// # Errors
    /// The file that cannot be read: the process has ended, or is another user's.
    pub fn of(pids: &[Pid]) -> Result<Self, Unreadable> {
        let mut meter = Self {
            processes: pids.iter().map(|pid| (*pid, Process::default())).collect(),
            threads: BTreeMap::new(),
            ended: Ended::new(),
            device: None,
            followed: None,
        };
        meter.read()?;
        Ok(meter)
    }

    /// One for this process.
    ///
    /// # Errors
    /// The file that cannot be read.
    pub fn own() -> Result<Self, Unreadable> {
        Self::of(&[Pid::own()])
    }

    /// Counts the reads of a device too.
    #[must_use]
    pub fn watching(mut self, device: Device) -> Self {
        self.device = Some(device);
        self
    }

    /// Once all processes have ended, takes those that listen on this address then: a server that was started again.
    #[must_use]
    pub fn following(mut self, address: SocketAddr) -> Self {
        self.followed = Some(address);
        self
    }

    /// The processes.
    pub fn pids(&self) -> impl Iterator<Item = Pid> + '_ {
        self.processes.keys().copied()
    }

    /// What they have taken.
    ///
    /// # Errors
    /// The file that cannot be read; if all processes have ended, one of theirs.
    pub fn read(&mut self) -> Result<Reading, Unreadable> {
        let mut last_gone = None;
        // The number of one that has ended may be another's by now.
        let living: Vec<Pid> =
            self.processes.iter().filter(|(_, process)| !process.has_ended).map(|(pid, _)| *pid).collect();
        for pid in living {
            match self.read_process(pid) {
                Ok(()) => {}
                Err(error) if error.is_gone() => {
                    self.end(pid);
                    last_gone = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        let have_ended = self.processes.values().all(|process| process.has_ended);
        match self.processes.keys().next().copied() {
            Some(pid) if have_ended && !self.look_again()? => {
                let gone = || Unreadable::new(&pid.file("stat"), std::io::ErrorKind::NotFound);
                Err(last_gone.unwrap_or_else(gone))
            }
            _ => self.reading(),
        }
    }

    /// Whether the server is back, under other numbers.
    fn look_again(&mut self) -> Result<bool, Unreadable> {
        let Some(address) = self.followed else { return Ok(false) };
        let mut is_back = false;
        for pid in processes_listening_on(address)? {
            match self.read_process(pid) {
                Ok(()) => is_back = true,
                Err(error) if error.is_gone() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(is_back)
    }

    fn read_process(&mut self, pid: Pid) -> Result<(), Unreadable> {
        let mut process = Process::default();
        let mut threads = BTreeMap::new();
        for tid in numbers_in(&pid.file("task"))? {
            match read_thread(pid, tid) {
                Ok(thread) => {
                    threads.insert((pid, tid), thread);
                }
                Err(error) if error.is_gone() => {}
                Err(error) => return Err(error),
            }
        }
        let stat = parsed(&pid.file("stat"), "fields of a process", files::stat)?;
        // A first thread that has ended is listed as long as others run.
        if stat.has_ended && threads.len() <= 1 {
            return Err(Unreadable::new(&pid.file("stat"), std::io::ErrorKind::NotFound));
        }
        process.ticks = stat.ticks;
        let status = parsed(&pid.file("status"), "the status of a process", files::status)?;
        process.resident_bytes = status.resident_bytes;
        process.resident_bytes_max = status.resident_bytes_max;
        (process.read_bytes, process.written_bytes) = parsed(&pid.file("io"), "read_bytes and write_bytes", files::io)?;
        self.processes.insert(pid, process);
        self.take(pid, threads);
        Ok(())
    }

    /// Puts the threads of a process in the place of those of the last reading.
    fn take(&mut self, pid: Pid, threads: BTreeMap<(Pid, u32), Thread>) {
        let range = (pid, 0)..=(pid, u32::MAX);
        let before: Vec<(Pid, u32)> = self.threads.range(range).map(|(id, _)| *id).collect();
        for id in before {
            let Some(old) = self.threads.remove(&id) else { continue };
            // A number that is used again begins at nothing.
            if threads.get(&id).is_none_or(|now| now.times.cpu_ns < old.times.cpu_ns) {
                *self.ended.entry(old.name).or_default() += old.times;
            }
        }
        self.threads.extend(threads);
    }

    fn end(&mut self, pid: Pid) {
        self.take(pid, BTreeMap::new());
        if let Some(process) = self.processes.get_mut(&pid) {
            process.has_ended = true;
            process.resident_bytes = 0;
        }
    }

    fn reading(&self) -> Result<Reading, Unreadable> {
        let sum = |of: fn(&Process) -> u64| self.processes.values().map(of).sum();
        Ok(Reading {
            threads: self.threads.clone(),
            ended: self.ended.clone(),
            cpu_ns_rounded: sum(|process| process.ticks * TICK_NS),
            read_bytes: sum(|process| process.read_bytes),
            written_bytes: sum(|process| process.written_bytes),
            resident_bytes: sum(|process| process.resident_bytes),
            resident_bytes_max: sum(|process| process.resident_bytes_max),
            device: self.device.as_ref().map(Device::work).transpose()?,
        })
    }
}

fn read_thread(pid: Pid, tid: u32) -> Result<Thread, Unreadable> {
    // Two small files: the status would tell all of it, and take the kernel eight times as long.
    let times = parsed(&pid.file(&format!("task/{tid}/schedstat")), "times of a thread", files::schedstat)?;
    let name = text(&pid.file(&format!("task/{tid}/comm")))?;
    Ok(Thread { name: name.trim_end_matches('\n').to_string(), times })
}

fn parsed<T>(path: &Path, want: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Unreadable> {
    parse(&text(path)?).ok_or_else(|| Unreadable::garbled(path, want))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    /// Reads until the cost is as wanted.
    fn read_until(meter: &mut Meter, first: &Reading, is_enough: impl Fn(&crate::record::Cost) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let cost = meter.read().unwrap().since(first);
            if is_enough(&cost) {
                return;
            }
            assert!(Instant::now() < deadline, "{cost:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    struct Ending(Child);

    impl Drop for Ending {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_busy_thread_is_seen_by_its_name() {
        static IS_OVER: AtomicBool = AtomicBool::new(false);
        let mut meter = Meter::own().unwrap();
        let first = meter.read().unwrap();
        let spin = || {
            while !IS_OVER.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        };
        let thread = std::thread::Builder::new().name("busy thread".to_string()).spawn(spin).unwrap();
        read_until(&mut meter, &first, |cost| {
            let own = cost.threads.get("busy thread").copied().unwrap_or(0.0);
            own > 0.05 && cost.cpu_seconds >= own && cost.busiest_thread_seconds > 0.05
        });
        let seen = meter.read().unwrap().since(&first).threads["busy thread"];
        IS_OVER.store(true, Ordering::Relaxed);
        thread.join().unwrap();
        let cost = meter.read().unwrap().since(&first);
        assert!(cost.threads["busy thread"] >= seen, "{cost:?}");
        assert!(cost.resident_bytes > 1 << 20 && cost.resident_bytes_max >= cost.resident_bytes);
    }

    #[test]
    fn a_thread_between_two_readings_is_seen() {
        let mut meter = Meter::own().unwrap();
        let first = meter.read().unwrap();
        let spin = || {
            let spent = || files::schedstat(&text(Path::new("/proc/thread-self/schedstat")).unwrap()).unwrap().cpu_ns;
            while spent() < 200_000_000 {}
        };
        std::thread::Builder::new().name("brief thread".to_string()).spawn(spin).unwrap().join().unwrap();
        read_until(&mut meter, &first, |cost| {
            let unseen = cost.threads.get("(ended)").copied().unwrap_or(0.0);
            unseen + cost.threads.get("brief thread").copied().unwrap_or(0.0) > 0.15
        });
    }

    #[test]
    fn a_busy_child_is_seen_until_it_ends() {
        let child = Ending(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
        let pid = Pid(child.0.id());
        let mut meter = Meter::of(&[pid]).unwrap();
        let mut both = Meter::of(&[pid, Pid::own()]).unwrap();
        let first = meter.read().unwrap();
        read_until(&mut meter, &first, |cost| cost.cpu_seconds > 0.05 && cost.threads.len() == 1);
        let seen = both.read().unwrap();
        drop(child);
        let error = meter.read().unwrap_err();
        assert!(error.is_gone() && error.to_string().starts_with(&format!("/proc/{pid}/")), "{error}");
        assert!(meter.read().is_err() && Meter::of(&[pid]).is_err());
        let left = both.read().unwrap();
        assert!(left.ended.values().any(|times| times.cpu_ns > 50_000_000), "{:?}", left.ended);
        assert!(left.since(&seen).cpu_seconds >= 0.0 && !left.threads.keys().any(|(of, _)| *of == pid));
    }

    #[test]
    fn a_server_that_is_back_is_followed() {
        let child = Ending(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
        let pid = Pid(child.0.id());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut followed = Meter::of(&[pid]).unwrap().following(listener.local_addr().unwrap());
        let mut plain = Meter::of(&[pid]).unwrap();
        let first = followed.read().unwrap();
        read_until(&mut followed, &first, |cost| cost.cpu_seconds > 0.05);
        assert!(followed.read().unwrap().threads.keys().all(|(of, _)| *of == pid), "the first server lives");
        drop(child);
        assert!(plain.read().unwrap_err().is_gone());
        let back = followed.read().unwrap();
        assert!(back.threads.keys().all(|(of, _)| *of == Pid::own()) && !back.threads.is_empty());
        assert!(back.since(&first).cpu_seconds > 0.05, "what the first took is still paid for");
        drop(listener);
        assert!(followed.read().is_ok(), "it lives, whether it listens or not");
    }
}
