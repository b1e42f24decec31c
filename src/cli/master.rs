//! `larder master`: offline work on a metadata directory: backup and restore of the names, and a look at them.

use super::failure::{Exit, Failure};
use super::target::Target;
use super::{get, output, report};
use crate::disk::{Disk, RealDisk};
use crate::master::{self, MasterSettings, Offline, StateError};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is read or written at once.
const STREAM_BYTES: usize = 256 << 10;

/// Backs up and restores the names of a node that does not run
#[derive(Debug, clap::Args)]
pub struct Master {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Backup(Backup),
    Restore(Restore),
    Inspect(Inspect),
    Verify(Verify),
}

/// Writes all names of a stopped node to one file
///
/// The backup has the names and what belongs to them, not the content, which lies in the data directories. Every byte is
/// checked when it is read, and the file appears whole or not at all. The node must be stopped; what its log has is applied
/// first, as a start does.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder master backup names.backup
  larder master backup --meta /ssd/master - | zstd > names.backup.zst")]
struct Backup {
    /// The file to write; - is standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    meta: Meta,
}

/// Makes a metadata directory from a backup
///
/// The directory must be missing or empty, or be left from a restore that was not completed. A node takes it only after the
/// whole backup was verified and is on the disk, and only a node of the same cluster: one that has the data directories
/// that the backup was made with. Names are as they were at the backup: the content of files that were removed or replaced
/// since then may be gone, and files that were stored since then have no names.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder master restore names.backup
  zstd -dc names.backup.zst | larder master restore --meta /ssd/master - && larder serve --meta /ssd/master")]
struct Restore {
    /// The backup; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    meta: Meta,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows what a metadata directory holds: files, sessions, how far the log is
///
/// Opens log and state as a start does. Ends with 3 if either is damaged.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  larder master inspect --meta /ssd/master")]
struct Inspect {
    #[command(flatten)]
    meta: Meta,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Reads and checks the whole log and state of a metadata directory
///
/// Ends with 3 if anything does not verify.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  larder master verify --json | jq .damages")]
struct Verify {
    #[command(flatten)]
    meta: Meta,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Meta {
    /// The metadata directory
    #[arg(long = "meta", value_name = "DIR", default_value = "larder-data/master")]
    directory: PathBuf,
}

impl Master {
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Backup(command) => command.run(),
            Command::Restore(command) => command.run(),
            Command::Inspect(command) => command.run(),
            Command::Verify(command) => command.run(),
        }
    }
}

impl Backup {
    fn run(self) -> Result<(), Failure> {
        let offline = self.meta.open()?;
        let written = if self.file == Path::new("-") {
            write(&offline, &mut io::stdout().lock())
        } else {
            self.to_file(&offline)
        };
        let closed = offline.close().map_err(|error| failed(&error));
        written.and(closed)
    }

    fn to_file(&self, offline: &Offline) -> Result<(), Failure> {
        let of_file = |error: &io::Error| get::cannot_write(&self.file, error);
        let mut target = Target::create(&self.file).map_err(|error| of_file(&error))?;
        write(offline, &mut target)?;
        target.finish().map_err(|error| of_file(&error))
    }
}

fn write(offline: &Offline, to: &mut dyn Write) -> Result<(), Failure> {
    offline.backup(&mut BufWriter::with_capacity(STREAM_BYTES, to)).map_err(|error| failed(&error)).map(drop)
}

impl Restore {
    fn run(self) -> Result<(), Failure> {
        let from: Box<dyn Read> = if self.file == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            let shown = report::printable(&self.file.display().to_string());
            let cannot = |error| Failure::new(Exit::Failed, format!("{shown}: cannot read: {error}"));
            Box::new(File::open(&self.file).map_err(cannot)?)
        };
        let from = BufReader::with_capacity(STREAM_BYTES, from);
        let disk: Arc<dyn Disk> =
            Arc::new(RealDisk::open(&self.meta.directory).map_err(|error| self.meta.cannot(&error.to_string()))?);
        let restored = master::restore(&disk, from, &MasterSettings::default()).map_err(|error| failed(&error))?;
        print(&restored, self.json)
    }
}

impl Inspect {
    fn run(self) -> Result<(), Failure> {
        let offline = self.meta.open()?;
        let found = offline.report();
        offline.close().map_err(|error| failed(&error))?;
        print(&found, self.json)?;
        sound(found.log.damages.is_empty())
    }
}

impl Verify {
    fn run(self) -> Result<(), Failure> {
        let offline = self.meta.open()?;
        let found = offline.verify();
        print(&found, self.json)?;
        sound(found.damaged == 0)?;
        offline.close().map_err(|error| failed(&error))
    }
}

impl Meta {
    /// Opens what is there; a directory that is missing is not made.
    fn open(&self) -> Result<Offline, Failure> {
        match std::fs::metadata(&self.directory) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(self.cannot("is no directory")),
            Err(error) => return Err(self.cannot(&error.to_string())),
        }
        let disk = RealDisk::open(&self.directory).map_err(|error| self.cannot(&error.to_string()))?;
        Offline::open(Arc::new(disk), MasterSettings::default()).map_err(|error| failed(&error))
    }

    fn cannot(&self, why: &str) -> Failure {
        let shown = report::printable(&self.directory.display().to_string());
        Failure::new(Exit::Failed, format!("{shown}: {why}; name a metadata directory with --meta"))
    }
}

fn failed(error: &StateError) -> Failure {
    let exit = match error {
        StateError::Damaged { .. } => Exit::Damaged,
        StateError::Io { .. } | StateError::Full { .. } | StateError::InUse { .. } => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}

fn sound(is_sound: bool) -> Result<(), Failure> {
    if is_sound { Ok(()) } else { Err(Failure::Silent(Exit::Damaged)) }
}

fn print(facts: &impl Serialize, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return output::json(facts);
    }
    let facts = serde_json::to_value(facts).expect("facts have text keys only");
    output::print(report::report(&facts).as_bytes())
}
