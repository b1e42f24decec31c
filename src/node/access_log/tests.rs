//! Goal: what is logged is in the file, through rotation and a clean stop; a file or pipe that takes nothing costs lines,
//! which are counted, and never a processor's time.

use super::*;
use crate::base::clock::ManualClock;
use crate::http::access::Entry;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::thread as threads;

/// More lines than wait in the queue and in a pipe.
const MANY: u64 = 20_000;

fn entry(target: &str) -> Entry<'_> {
    Entry {
        peer: "192.0.2.7:51234".parse().unwrap(),
        wall_ms: 0,
        method: b"GET",
        target: target.as_bytes(),
        version: "HTTP/1.1",
        status: 200,
        body_bytes: 0,
        referer: None,
        user_agent: None,
        duration_us: 0,
    }
}

struct World {
    place: tempfile::TempDir,
    clock: Arc<ManualClock>,
    dropped: Arc<Counter>,
}

impl World {
    fn new() -> Self {
        Self { place: tempfile::tempdir().unwrap(), clock: Arc::default(), dropped: Arc::default() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.place.path().join("access.log")
    }

    fn start(&self) -> Result<AccessLogThread, NodeError> {
        let clock = Arc::<ManualClock>::clone(&self.clock);
        AccessLogThread::start(&self.path(), AccessLogFormat::Combined, clock, Arc::clone(&self.dropped))
    }

    fn file(&self) -> LogFile {
        LogFile::open(&self.path(), Arc::clone(&self.dropped), self.clock.now()).unwrap()
    }

    fn second_later(&self) -> crate::base::clock::Moment {
        self.clock.advance(Duration::from_secs(1));
        self.clock.now()
    }

    /// A pipe with a name, and its reading end, which reads nothing until it is told to.
    fn pipe(&self) -> fs::File {
        mkfifo(&self.path());
        // Opened to read and write, it waits for nobody.
        fs::OpenOptions::new().read(true).write(true).open(self.path()).unwrap()
    }
}

fn mkfifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let ends = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < ends, "never came true: {what}");
        threads::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_stop_writes_what_waits() {
    let world = World::new();
    fs::write(world.path(), "of before\n").unwrap();
    let thread = world.start().unwrap();
    for number in 0..1000 {
        thread.log().write(&entry(&format!("/{number}")));
    }
    thread.finish();
    let text = fs::read_to_string(world.path()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines.len(), lines[0], world.dropped.value()), (1001, "of before", 0));
    assert!((0..1000).all(|number| lines[number + 1].contains(&format!("\"GET /{number} HTTP/1.1\""))));
}

#[test]
fn a_file_that_was_renamed_or_removed_is_begun_anew() {
    let world = World::new();
    let mut file = world.file();
    let read = |name: &str| fs::read_to_string(world.place.path().join(name)).unwrap();
    file.write(b"a\n", world.clock.now());
    fs::rename(world.path(), world.place.path().join("access.log.1")).unwrap();
    file.write(b"b\n", world.clock.now());
    assert_eq!(read("access.log.1"), "a\nb\n", "the name is looked at once a second");
    file.write(b"c\n", world.second_later());
    assert_eq!((read("access.log"), read("access.log.1")), ("c\n".to_string(), "a\nb\n".to_string()));
    fs::remove_file(world.path()).unwrap();
    file.write(b"d\n", world.second_later());
    assert_eq!(read("access.log"), "d\n");
    // Cut in place, as logrotate's copytruncate does.
    fs::write(world.path(), "").unwrap();
    file.write(b"e\n", world.second_later());
    assert_eq!(read("access.log"), "e\n");
    assert_eq!(world.dropped.value(), 0);
}

#[test]
fn a_directory_that_goes_away_costs_nothing_until_it_is_back() {
    let world = World::new();
    let inner = world.place.path().join("logs");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("a.log");
    let mut file = LogFile::open(&path, Arc::clone(&world.dropped), world.clock.now()).unwrap();
    let gone = world.place.path().join("gone");
    fs::rename(&inner, &gone).unwrap();
    file.write(b"a\n", world.second_later());
    assert_eq!(fs::read_to_string(gone.join("a.log")).unwrap(), "a\n", "the old file takes it");
    fs::create_dir(&inner).unwrap();
    file.write(b"b\n", world.second_later());
    assert_eq!(fs::read_to_string(&path).unwrap(), "b\n");
    assert_eq!(world.dropped.value(), 0);
}

#[test]
fn a_full_disk_costs_lines_until_there_is_room() {
    let world = World::new();
    symlink("/dev/full", world.path()).unwrap();
    let mut file = world.file();
    file.write(b"a\nb\n", world.clock.now());
    file.write(b"c\n", world.second_later());
    assert_eq!(world.dropped.value(), 3);
    fs::remove_file(world.path()).unwrap();
    file.write(b"d\n", world.clock.now());
    assert_eq!(world.dropped.value(), 4);
    file.write(b"e\n", world.second_later());
    assert_eq!((fs::read_to_string(world.path()).unwrap().as_str(), world.dropped.value()), ("e\n", 4));
}

#[test]
fn a_pipe_that_nobody_empties_stops_nobody() {
    let world = World::new();
    let mut pipe = world.pipe();
    let thread = world.start().unwrap();
    let log = thread.log();
    for number in 0..MANY {
        log.write(&entry(&format!("/{number}")));
    }
    let lost = world.dropped.value();
    assert!(lost > 0, "the queue is full");
    // What was not lost comes when the pipe is read, in order.
    let mut text = Vec::new();
    let mut piece = vec![0; 65_536];
    let kept = usize::try_from(MANY - lost).unwrap();
    while text.iter().filter(|&&byte| byte == b'\n').count() < kept {
        let bytes = pipe.read(&mut piece).unwrap();
        text.extend_from_slice(&piece[..bytes]);
    }
    let text = String::from_utf8(text).unwrap();
    let numbers: Vec<u64> = text
        .lines()
        .map(|line| line.split_once("\"GET /").unwrap().1.split_once(' ').unwrap().0.parse().unwrap())
        .collect();
    assert!(numbers.len() == kept && numbers.is_sorted_by(|one, next| one < next));
    assert_eq!(world.dropped.value(), lost);
    thread.finish();
}

#[test]
fn a_pipe_that_nobody_empties_does_not_hold_a_stop() {
    let world = World::new();
    let pipe = world.pipe();
    let thread = world.start().unwrap();
    for _ in 0..MANY {
        thread.log().write(&entry("/a"));
    }
    thread.finish();
    assert!(world.dropped.value() > 0);
    drop(pipe);
}

#[test]
fn a_pipe_whose_reader_goes_away_costs_lines() {
    let world = World::new();
    let pipe = world.pipe();
    let thread = world.start().unwrap();
    drop(pipe);
    let log = thread.log();
    eventually("a line is counted", || {
        log.write(&entry("/a"));
        world.dropped.value() > 0
    });
    let mut pipe = fs::OpenOptions::new().read(true).write(true).open(world.path()).unwrap();
    let lost = world.dropped.value();
    world.second_later();
    log.write(&entry("/b"));
    thread.finish();
    let mut bytes = vec![0; 65_536];
    let read = pipe.read(&mut bytes).unwrap();
    assert!(String::from_utf8_lossy(&bytes[..read]).contains("GET /b "), "it is written again");
    assert!(world.dropped.value() >= lost);
}

#[test]
fn what_cannot_be_opened_is_told_at_start() {
    let world = World::new();
    mkfifo(&world.path());
    let told = world.start().unwrap_err().to_string();
    assert!(told.starts_with("access log /") && told.contains("access.log: No such device"), "{told}");
    fs::remove_file(world.path()).unwrap();
    fs::create_dir(world.path()).unwrap();
    let told = world.start().unwrap_err().to_string();
    assert!(told.contains("Is a directory") && told.contains("--access-log"), "{told}");
}

#[test]
fn others_cannot_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    world.start().unwrap().finish();
    assert_eq!(fs::metadata(world.path()).unwrap().permissions().mode() & 0o007, 0);
}
