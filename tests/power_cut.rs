//! Goal: after a real power cut everything acknowledged is there, byte for byte, and what was deleted is not; the same when
//! the process is killed. Method: the real program on an ext4 file system of its own, in an image behind a loop device, under
//! load by the client library with many requests in flight; then the process is stopped, the file system shut down with
//! what its journal holds in memory (`EXT4_IOC_SHUTDOWN`), the process killed, the image mounted again. Needs root,
//! `mkfs.ext4`, loop devices and `python3`; where one is missing it says so and is skipped.
//!
//! A plain run cuts twice and kills three times. The full number:
//! `LARDER_CUTS=50 LARDER_KILLS=200 cargo test --release --test power_cut -- --nocapture`
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use support::ledger::{Ledger, client, load_until};
use support::process::Process;
use tempfile::TempDir;

/// Sparse; objects of all rounds must fit.
const IMAGE_BYTES: u64 = 8 << 30;
/// Of the objects of earlier rounds, so many are looked at after each.
const OLD_OBJECTS_LOOKED_AT: usize = 100;

/// Waits for a line, stops the process that it names (0: none), and shuts the file system down: `_IOR('X', 125, u32)` with
/// "the journal in memory is lost as well". Stopped first, for without power nobody acknowledges anything: a sync that
/// is under way in the kernel may end well while the file system goes, and would be believed.
const SHUTDOWN: &str = "import fcntl, os, signal, struct, sys
mount = os.open(sys.argv[1], os.O_RDONLY)
print('ready', flush=True)
process = int(sys.stdin.readline())
if process:
    os.kill(process, signal.SIGSTOP)
fcntl.ioctl(mount, 0x8004587D, struct.pack('I', 2))";

/// Runs a program; its error as a sentence if it fails.
fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(format!("{program} {arguments:?}: {}", error.trim()))
    }
}

/// A file system of its own. Dropped, it is unmounted and its loop device let go.
struct Image {
    device: String,
    mount: PathBuf,
    mounted: bool,
    _directory: TempDir,
}

impl Image {
    fn make() -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let image = directory.path().join("image");
        let mount = directory.path().join("mount");
        let made = std::fs::File::create(&image).and_then(|file| file.set_len(IMAGE_BYTES));
        made.and_then(|()| std::fs::create_dir(&mount)).map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q", "-F", &text(&image)])?;
        let device = run("losetup", &["--find", "--show", &text(&image)])?;
        let mut image = Self { device, mount, mounted: false, _directory: directory };
        image.mount()?;
        Ok(image)
    }

    fn mount(&mut self) -> Result<(), String> {
        run("mount", &["-t", "ext4", &self.device, &text(&self.mount)])?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), String> {
        run("umount", &[&text(&self.mount)])?;
        self.mounted = false;
        Ok(())
    }

    /// Stops a process and cuts the power: from then on every call on the file system fails, and what was not synced is
    /// gone at the next mount. A moment before that.
    fn cut_power(&self, process: u32) -> Result<Instant, String> {
        let mut python = Command::new("python3");
        python.args(["-c", SHUTDOWN]).arg(&self.mount).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut python = python.spawn().map_err(|error| format!("python3: {error}"))?;
        let (mut into, from) = (python.stdin.take().unwrap(), python.stdout.take().unwrap());
        let mut ready = String::new();
        BufReader::new(from).read_line(&mut ready).map_err(|error| error.to_string())?;
        let cut = Instant::now();
        let told = writeln!(into, "{process}");
        let status = python.wait().map_err(|error| error.to_string())?;
        told.map_err(|error| format!("python3: {error}"))?;
        if status.success() { Ok(cut) } else { Err(format!("the file system was not shut down: {status}")) }
    }

    fn data(&self) -> PathBuf {
        self.mount.join("data")
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.mounted && self.unmount().is_err() {
            // Somebody still holds a file: it goes when that ends.
            let _told = run("umount", &["--lazy", &text(&self.mount)]).inspect_err(|error| eprintln!("{error}"));
        }
        let _told = run("losetup", &["--detach", &self.device]).inspect_err(|error| eprintln!("{error}"));
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a temporary path is UTF-8").to_owned()
}

/// An image whose power can be cut, or why there is none here.
fn image() -> Result<Image, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("it needs root".to_owned());
    }
    run("python3", &["--version"])?;
    let mut image = Image::make()?;
    image.cut_power(0)?;
    image.unmount()?;
    image.mount()?;
    Ok(image)
}

fn count(variable: &str, plain: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) => plain,
    }
}

/// Everything of this round, and some of before.
fn look_at(node: &Process, all: &Ledger, round: &Ledger) {
    let client = client(node);
    round.check(&client);
    let some = all.stored.iter().take(OLD_OBJECTS_LOOKED_AT).map(|(id, entry)| (*id, *entry)).collect();
    let gone = all.deleted.iter().take(OLD_OBJECTS_LOOKED_AT).copied().collect();
    Ledger { stored: some, deleted: gone }.check(&client);
}

#[test]
fn what_was_acknowledged_survives_power_cuts_and_kills() {
    let mut image = match image() {
        Ok(image) => image,
        Err(why) => {
            println!("SKIPPED: power cannot be cut here: {why}");
            return;
        }
    };
    let (cuts, kills) = (count("LARDER_CUTS", 2), count("LARDER_KILLS", 3));
    let began = Instant::now();
    let data = image.data();
    let directories = [data.as_path()];
    let mut all = Ledger::default();
    let mut young_lost = 0;
    let mut node = Process::serve(&directories);
    for round in 0..cuts + kills {
        // Both kinds, mixed; a round ends after this many acknowledgements, wherever the node is then.
        let cut = round * cuts / (cuts + kills) < (round + 1) * cuts / (cuts + kills);
        let enough = 20 + round * 37 % 160;
        let mut ended = Instant::now();
        let mut ledger = load_until(node, (round + 1) * 1_000_000, enough, |node| {
            if cut {
                ended = image.cut_power(node.id()).unwrap();
            }
            node.kill();
        });
        if cut {
            image.unmount().unwrap();
            image.mount().unwrap();
        }
        node = Process::serve(&directories);
        if cut {
            young_lost += ledger.check_after_power_cut(&client(&node), ended);
        }
        look_at(&node, &all, &ledger);
        all.add(ledger);
    }
    all.check(&client(&node));
    node.terminate();
    assert_eq!(node.wait().code(), Some(0), "it stops cleanly");
    let verified = run(env!("CARGO_BIN_EXE_larder"), &["volume", "verify", &text(&data)]);
    assert!(verified.is_ok(), "{verified:?}");
    println!(
        "{cuts} power cuts and {kills} kills in {} s: {} objects and {} deletes acknowledged, none missing or wrong; \
         {young_lost} of class memory were lost within their second",
        began.elapsed().as_secs(),
        all.stored.len(),
        all.deleted.len(),
    );
    assert!(all.stored.len() as u64 >= 20 * (cuts + kills), "there was no load");
}
