//! Goal: a data directory whose files were cut, extended, swapped, restored from an older copy, written by a later program,
//! removed or replaced by something else is opened or refused with a message that names the file and the way out; what is
//! not hit is served; what is lost is DAMAGED and never NOT_FOUND; no byte of a segment goes away. Method: the real
//! program on a directory that is wrong in one way each; `volume verify` first, which must say the same and change nothing.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

use larder::base::checksum::keyed;
use larder::base::ids::ObjectId;
use larder::client::{Client, PutOptions};
use larder::request::Status;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use support::files::{copy, flip, listing, segments};
use support::process::ready_on;
use tempfile::TempDir;

const CONFIGURATION: &str = r#"
listen = "127.0.0.1:0"
http = "127.0.0.1:0"
processors = 1
segment_bytes = "16 MiB"
volume_bytes = "256 MiB"
reserve_bytes = "1 MiB"
fill_ahead_bytes = "64 KiB"
cache_bytes = "16 MiB"
log = "error"
"#;

const FAILED: i32 = 1;
const DAMAGED: i32 = 3;

/// Two of the large ones fill a segment: 0 and 1, 2 and 3; the last one is open and has the rest.
const SIZES: [usize; 7] = [7 << 20, 7 << 20, 7 << 20, 7 << 20, 7 << 20, 7 << 20, 1000];

/// Behind the first large object of a segment, within the second.
const INSIDE_THE_SECOND: u64 = 10 << 20;

/// What the objects are, made once.
fn object(number: usize) -> &'static [u8] {
    static MADE: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let made = MADE.get_or_init(|| SIZES.iter().zip(1..).map(|(&size, seed)| support::content(seed, size)).collect());
    &made[number]
}

fn command() -> Command {
    static WRITTEN: OnceLock<PathBuf> = OnceLock::new();
    let path = WRITTEN.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("damaged-{}.toml", std::process::id()));
        fs::write(&path, CONFIGURATION).unwrap();
        path
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.arg("serve").arg("--config").arg(path).stdin(Stdio::null());
    command
}

/// A running node, killed when a test fails.
struct Node {
    child: Child,
    client: Client,
    errors: tempfile::NamedTempFile,
}

impl Node {
    fn serve(directory: &Path) -> Self {
        let errors = tempfile::NamedTempFile::new().unwrap();
        let mut command = command();
        command.arg("--data").arg(directory).stdout(Stdio::piped()).stderr(errors.reopen().unwrap());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told = || fs::read_to_string(errors.path()).unwrap();
        let (address, _) = ready_on(&line).unwrap_or_else(|| panic!("not ready: {line:?} {}", told()));
        let client = Client::connect(address.to_string()).unwrap();
        Self { child, client, errors }
    }

    /// Stops it cleanly; what it logged as errors.
    fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        fs::read_to_string(self.errors.path()).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A stopped directory, as it was early and as it is.
struct Shelf {
    directory: TempDir,
    early: PathBuf,
    ids: Vec<ObjectId>,
    segments: Vec<PathBuf>,
}

/// The directories that all tests copy, made once.
fn original() -> &'static (TempDir, TempDir, Vec<ObjectId>) {
    static MADE: OnceLock<(TempDir, TempDir, Vec<ObjectId>)> = OnceLock::new();
    MADE.get_or_init(|| {
        let place = || tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (directory, early) = (place(), place());
        let mut ids = Vec::new();
        for (from, to) in [(0, 3), (3, SIZES.len())] {
            let node = Node::serve(directory.path());
            for number in from..to {
                let stored = node.client.put(object(number), PutOptions::default()).unwrap();
                ids.push(stored.id);
            }
            assert_eq!(node.stop(), "");
            if from == 0 {
                copy(directory.path(), early.path());
            }
        }
        assert_eq!(segments(directory.path()).len(), 3);
        (directory, early, ids)
    })
}

fn shelf() -> Shelf {
    let (from, early, ids) = original();
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    copy(from.path(), directory.path());
    let mut segments = segments(directory.path());
    segments.sort();
    Shelf { directory, early: early.path().to_path_buf(), ids: ids.clone(), segments }
}

impl Shelf {
    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn restore_early(&self, name: &str) {
        fs::copy(self.early.join(name), self.file(name)).unwrap();
    }

    /// The offline check ends with this code, says all of `words`, and changes nothing.
    fn verify(&self, code: i32, words: &[&str]) {
        let before = listing(self.path());
        let output = Command::new(env!("CARGO_BIN_EXE_larder"))
            .args(["volume", "verify", "--json"])
            .arg(self.path())
            .output()
            .unwrap();
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{told}");
        for word in words {
            assert!(told.contains(word), "{word:?} is not in {told}");
        }
        assert!(listing(self.path()) == before, "the check changed something");
    }

    /// The node starts, logs all of `words`, answers `lost` as DAMAGED and all others whole, takes a new object, and does
    /// the same once more; what the segment files held before, some file holds after.
    fn serves(&self, lost: &[usize], words: &[&str]) {
        let before = contents(self.path());
        for round in 0..2 {
            let node = Node::serve(self.path());
            for (number, id) in self.ids.iter().enumerate() {
                match node.client.get(*id) {
                    Ok(got) if !lost.contains(&number) => {
                        assert!(got.content[..] == *object(number), "object {number}");
                    }
                    Err(error) if lost.contains(&number) => {
                        assert_eq!(error.status(), Some(Status::Damaged), "object {number}: {error}");
                    }
                    other => panic!("object {number}: {:?}", other.map(|object| object.content.len())),
                }
            }
            let new = node.client.put("new", PutOptions::default()).unwrap();
            assert!(!self.ids.contains(&new.id));
            assert_eq!(&node.client.get(new.id).unwrap().content[..], b"new");
            let told = node.stop();
            for word in words.iter().filter(|_| round == 0) {
                assert!(told.contains(word), "{word:?} is not in {told}");
            }
        }
        let after = contents(self.path());
        // Index files hold nothing of their own: what does not fit is made anew.
        for (name, bytes) in before.into_iter().filter(|(name, _)| !name.ends_with(".index")) {
            let whole = trimmed(&bytes);
            let kept = after.values().any(|file| file.starts_with(whole))
                || after.values().any(|file| {
                    let head = after.get(&name).map_or(&[][..], |left| common(left, whole));
                    !head.is_empty() && whole.get(head.len()..).is_some_and(|rest| file.starts_with(rest))
                });
            assert!(kept, "bytes of {name} are in no file");
        }
    }

    /// The node does not start, says all of `words` on one line, and changes nothing.
    fn is_refused(&self, words: &[&str]) {
        let before = listing(self.path());
        let output = command().arg("--data").arg(self.path()).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), told.lines().count()), (Some(FAILED), 1), "{told}");
        for word in words.iter().chain([&self.path().to_str().unwrap()]) {
            assert!(told.contains(word), "{word:?} is not in {told}");
        }
        assert!(listing(self.path()) == before, "something changed, though it says: {told}");
    }
}

/// What the segment files of a directory hold, under whatever name.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let files = files.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
    files.filter(|(name, _)| name.starts_with('v')).map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    // By pieces first: most of what is reserved ahead is zeros.
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut bytes = bytes;
    while let Some(rest) = bytes.strip_suffix(&ZEROS) {
        bytes = rest;
    }
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &bytes[..used]
}

/// The bytes that both begin with.
fn common<'a>(one: &[u8], other: &'a [u8]) -> &'a [u8] {
    let length = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    &other[..length]
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn cut(path: &Path, bytes: u64) {
    File::options().write(true).open(path).unwrap().set_len(bytes).unwrap();
}

fn extend(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend((0..3000u32).map(|at| (at % 200) as u8 + 1));
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_closed_segment_cut_short() {
    let shelf = shelf();
    cut(&shelf.segments[0], INSIDE_THE_SECOND);
    shelf.verify(DAMAGED, &[name(&shelf.segments[0])]);
    shelf.serves(&[1], &[]);
}

#[test]
fn the_open_segment_cut_short() {
    let shelf = shelf();
    cut(&shelf.segments[2], INSIDE_THE_SECOND);
    shelf.verify(DAMAGED, &[name(&shelf.segments[2])]);
    shelf.serves(&[5, 6], &[]);
}

#[test]
fn an_empty_segment() {
    let shelf = shelf();
    cut(&shelf.segments[1], 0);
    shelf.verify(DAMAGED, &[name(&shelf.segments[1])]);
    shelf.serves(&[2, 3], &[name(&shelf.segments[1]), "does not verify"]);
}

#[test]
fn segments_that_were_extended() {
    let shelf = shelf();
    extend(&shelf.segments[0]);
    extend(&shelf.segments[2]);
    shelf.verify(DAMAGED, &[name(&shelf.segments[0]), "behind its end", "truncate", "torn"]);
    shelf.serves(&[], &[name(&shelf.segments[0]), "behind its end", "truncate"]);
    assert!(shelf.file(&format!("{}.torn-0", name(&shelf.segments[2]))).exists());
}

#[test]
fn small_files_that_were_extended() {
    for file in ["superblock", "mark"] {
        let shelf = shelf();
        extend(&shelf.file(file));
        shelf.verify(DAMAGED, &[file, "else than zeros"]);
        shelf.serves(&[], &[file, "else than zeros"]);
    }
    let shelf = shelf();
    extend(&shelf.file("manifest"));
    shelf.serves(&[], &[]);
    assert!(shelf.file("manifest.torn-0").exists());
}

#[test]
fn segments_that_were_swapped() {
    let shelf = shelf();
    let swap = || {
        let aside = shelf.file("swapping");
        fs::rename(&shelf.segments[0], &aside).unwrap();
        fs::rename(&shelf.segments[1], &shelf.segments[0]).unwrap();
        fs::rename(&aside, &shelf.segments[1]).unwrap();
    };
    swap();
    let words = [name(&shelf.segments[0]), name(&shelf.segments[1]), "swapped", "swap their names back"];
    shelf.verify(DAMAGED, &words);
    shelf.serves(&[0, 1, 2, 3], &words);
    // The way out.
    swap();
    shelf.serves(&[], &[]);
    shelf.verify(0, &[]);
}

#[test]
fn a_segment_of_another_disk() {
    let shelf = shelf();
    let other = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let node = Node::serve(other.path());
    node.client.put(object(6), PutOptions::default()).unwrap();
    assert_eq!(node.stop(), "");
    let stranger = segments(other.path()).remove(0);
    let ours = shelf.segments[2].with_extension("kept");
    fs::rename(&shelf.segments[2], &ours).unwrap();
    fs::copy(&stranger, &shelf.segments[2]).unwrap();
    let words = [name(&shelf.segments[2]), "of disk", "not of this disk", "move it back"];
    shelf.verify(DAMAGED, &words);
    shelf.serves(&[4, 5, 6], &words);
    assert!(trimmed(&fs::read(&shelf.segments[2]).unwrap()) == trimmed(&fs::read(&stranger).unwrap()));
    fs::rename(&ours, &shelf.segments[2]).unwrap();
    shelf.serves(&[], &[]);
}

#[test]
fn an_older_copy_of_a_segment() {
    let shelf = shelf();
    shelf.restore_early(name(&shelf.segments[1]));
    shelf.verify(DAMAGED, &[name(&shelf.segments[1])]);
    shelf.serves(&[3], &[]);
}

#[test]
fn an_older_copy_of_the_manifest() {
    let shelf = shelf();
    shelf.restore_early("manifest");
    shelf.verify(DAMAGED, &[name(&shelf.segments[2]), "an older copy"]);
    shelf.serves(&[], &[name(&shelf.segments[2]), "an older copy", "taken in again"]);
    shelf.verify(0, &[]);
}

#[test]
fn older_copies_of_the_other_small_files() {
    for files in [&["mark"][..], &["superblock"], &["superblock", "mark", "manifest"]] {
        let shelf = shelf();
        files.iter().for_each(|file| shelf.restore_early(file));
        shelf.serves(&[], &[]);
        shelf.verify(0, &[]);
    }
}

#[test]
fn a_newer_format_of_each_file() {
    let shelf = shelf();
    for (file, slots) in [("superblock", 4096), ("mark", 16 << 10)] {
        let sound = fs::read(shelf.file(file)).unwrap();
        let mut bytes = sound.clone();
        for slot in 0..2 {
            let at = slot * slots;
            let body = u32::from_le_bytes(bytes[at + 20..at + 24].try_into().unwrap()) as usize;
            bytes[at + 16] = 2;
            let checksum = keyed(slot as u64, &bytes[at + 16..at + 32 + body]);
            bytes[at + 8..at + 16].copy_from_slice(&checksum.to_le_bytes());
        }
        fs::write(shelf.file(file), bytes).unwrap();
        shelf.is_refused(&[file, "version 2 is newer than 1", "use a newer larder"]);
        shelf.verify(FAILED, &[file, "use a newer larder"]);
        fs::write(shelf.file(file), sound).unwrap();
    }
    for (path, covered) in [(shelf.file("manifest"), 16..48), (shelf.segments[1].clone(), 16..512)] {
        let sound = fs::read(&path).unwrap();
        let mut bytes = sound.clone();
        bytes[16] = 2;
        let checksum = keyed(0, &bytes[covered]);
        bytes[8..16].copy_from_slice(&checksum.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        if name(&path) == "manifest" {
            shelf.is_refused(&["manifest", "version 2 is newer than 1", "use a newer larder"]);
        } else {
            let words = [name(&path), "format version 2", "use a newer larder"];
            shelf.verify(DAMAGED, &words);
            shelf.serves(&[2, 3], &words);
        }
        fs::write(&path, sound).unwrap();
    }
    shelf.serves(&[], &[]);
}

#[test]
fn a_missing_segment_that_comes_back() {
    for which in [0, 1, 2] {
        let shelf = shelf();
        let kept = shelf.segments[which].with_extension("kept");
        fs::rename(&shelf.segments[which], &kept).unwrap();
        let lost: &[usize] = [&[0, 1][..], &[2, 3], &[4, 5, 6]][which];
        let words = [name(&shelf.segments[which]), "is gone", "put it back"];
        shelf.verify(DAMAGED, &words);
        shelf.serves(lost, &words);
        fs::rename(&kept, &shelf.segments[which]).unwrap();
        shelf.serves(&[], &[]);
    }
}

#[test]
fn missing_small_files() {
    let shelf = shelf();
    for (file, words) in [
        ("manifest", &["manifest", "restore", "larder volume reindex"][..]),
        ("superblock", &["superblock", "restore"]),
    ] {
        let sound = fs::read(shelf.file(file)).unwrap();
        fs::remove_file(shelf.file(file)).unwrap();
        shelf.is_refused(words);
        fs::write(shelf.file(file), sound).unwrap();
    }
    for file in ["mark", "reserve"] {
        fs::remove_file(shelf.file(file)).unwrap();
        shelf.serves(&[], &[]);
    }
}

#[test]
fn something_else_where_a_file_should_be() {
    for file in ["lock", "superblock", "manifest", "mark", "reserve"] {
        let shelf = shelf();
        fs::remove_file(shelf.file(file)).unwrap();
        fs::create_dir(shelf.file(file)).unwrap();
        shelf.is_refused(&[file, "is a directory", "move it away"]);
        shelf.verify(FAILED, &[file, "is a directory"]);
        fs::remove_dir(shelf.file(file)).unwrap();
        std::os::unix::fs::symlink("nowhere", shelf.file(file)).unwrap();
        shelf.is_refused(&[file, "is a link", "move it away"]);
    }
    let shelf = shelf();
    let kept = [0, 2].map(|which| {
        let kept = shelf.segments[which].with_extension("kept");
        fs::rename(&shelf.segments[which], &kept).unwrap();
        kept
    });
    fs::create_dir(&shelf.segments[0]).unwrap();
    std::os::unix::fs::symlink("nowhere", &shelf.segments[2]).unwrap();
    let words =
        [name(&shelf.segments[0]), "is a directory", name(&shelf.segments[2]), "is a link", "put the file back"];
    shelf.verify(DAMAGED, &words);
    shelf.serves(&[0, 1, 4, 5, 6], &words);
    fs::remove_dir(&shelf.segments[0]).unwrap();
    fs::remove_file(&shelf.segments[2]).unwrap();
    fs::rename(&kept[0], &shelf.segments[0]).unwrap();
    fs::rename(&kept[1], &shelf.segments[2]).unwrap();
    shelf.serves(&[], &[]);
}

#[test]
fn what_is_wrong_is_in_the_status() {
    let shelf = shelf();
    fs::remove_file(&shelf.segments[0]).unwrap();
    flip(&shelf.segments[1], 60);
    let node = Node::serve(shelf.path());
    let status = node.client.status().unwrap();
    let findings = status["disks"][0]["findings"].as_array().unwrap().clone();
    let cases: Vec<_> = findings.iter().map(|finding| finding["case"].as_str().unwrap()).collect();
    assert_eq!(cases, ["M", "H"], "{findings:?}");
    // Two objects, and the needle that begins the volume.
    assert_eq!(status["disks"][0]["store"]["damaged"], 3);
    node.stop();
}
