//! `larder volume`: offline work on a data directory.

use super::failure::{Exit, Failure};
use super::{output, report};
use crate::disk::RealDisk;
use crate::store::{self, Inspection, Verification};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Looks at a data directory whose node does not run
#[derive(Debug, clap::Args)]
pub struct Volume {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Inspect(Inspect),
    Verify(Verify),
    Reindex(Reindex),
}

/// Shows what a data directory holds: volumes, segments, objects
///
/// Reads the heads only, so it is quick. Ends with 3 if the list of volumes is damaged or a file is missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  larder volume inspect /disk/a")]
struct Inspect {
    /// The data directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Reads and checks every byte of a data directory
///
/// Ends with 3 if anything that was durable does not verify. A torn tail is no damage: it is what an unclean stop leaves
/// of writes that were never acknowledged, and the next start cuts it. Nor is an index file that does not fit: the next
/// start reads its segment instead.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  larder volume verify /disk/a --json | jq .damages")]
struct Verify {
    /// The data directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Makes anew what a data directory can do without: its index files, and its list of volumes if that is gone
///
/// Reads all segments and changes none. A list of volumes that was damaged is kept as manifest.aside. Ends with 3 if
/// anything that was durable does not verify, as far as the heads show; `larder volume verify` reads every byte.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  larder volume reindex /disk/a")]
struct Reindex {
    /// The data directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Volume {
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Inspect(command) => command.run(),
            Command::Verify(command) => command.run(),
            Command::Reindex(command) => command.run(),
        }
    }
}

impl Inspect {
    fn run(self) -> Result<(), Failure> {
        let disk = open(&self.directory)?;
        let bar = bytes_bar();
        let inspected = store::inspect(&disk, &mut |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let inspection = inspected.map_err(|error| failed(&error))?;
        print(&inspection, &facts(&inspection), self.json)?;
        let missing = inspection.volumes.iter().flat_map(|volume| &volume.segments).any(|segment| segment.missing);
        sound(inspection.manifest_damaged == 0 && !missing)
    }
}

impl Verify {
    fn run(self) -> Result<(), Failure> {
        let disk = open(&self.directory)?;
        let bar = bytes_bar();
        let verified = store::verify(&disk, &mut |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let verification: Verification = verified.map_err(|error| failed(&error))?;
        print(&verification, &value(&verification), self.json)?;
        sound(verification.damages.is_empty())
    }
}

impl Reindex {
    fn run(self) -> Result<(), Failure> {
        let disk = open(&self.directory)?;
        let bar = bytes_bar();
        let reindexed = store::reindex(&disk, &mut |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let reindexed = reindexed.map_err(|error| failed(&error))?;
        print(&reindexed, &value(&reindexed), self.json)?;
        sound(reindexed.damages.is_empty())
    }
}

fn bytes_bar() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:30} {binary_bytes}/{binary_total_bytes} ({binary_bytes_per_sec}) {eta}");
    ProgressBar::no_length().with_style(style.expect("a template of this program"))
}

/// The directory as a disk. One that is not there is not made.
fn open(directory: &Path) -> Result<RealDisk, Failure> {
    let cannot = |why: &str| {
        Failure::new(Exit::Failed, format!("{}: {why}; name a data directory of Larder", directory.display()))
    };
    match std::fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => RealDisk::open(directory).map_err(|error| cannot(&error.to_string())),
        Ok(_) => Err(cannot("is no directory")),
        Err(error) => Err(cannot(&error.to_string())),
    }
}

fn failed(error: &store::StoreError) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

fn sound(is_sound: bool) -> Result<(), Failure> {
    if is_sound { Ok(()) } else { Err(Failure::Silent(Exit::Damaged)) }
}

fn print(whole: &impl Serialize, facts: &Value, as_json: bool) -> Result<(), Failure> {
    if as_json { output::json(whole) } else { output::print(report::report(facts).as_bytes()) }
}

fn value(facts: &impl Serialize) -> Value {
    serde_json::to_value(facts).expect("facts have text keys only")
}

/// An inspection with its segments as a table of their own.
fn facts(inspection: &Inspection) -> Value {
    let mut segments = Vec::new();
    for volume in &inspection.volumes {
        for segment in &volume.segments {
            let mut row = value(segment);
            row["volume"] = json!(volume.volume);
            segments.push(row);
        }
    }
    let mut facts = value(inspection);
    for volume in facts["volumes"].as_array_mut().into_iter().flatten() {
        if let Some(fields) = volume.as_object_mut() {
            fields.remove("segments");
        }
    }
    facts["segments"] = segments.into();
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_there_is_not_made() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("typo");
        let Failure::Told(Exit::Failed, line) = open(&path).unwrap_err() else { panic!("it is told") };
        assert!(line.contains("typo: No such file") && line.ends_with("name a data directory of Larder"), "{line}");
        assert!(!path.exists());
        std::fs::write(&path, "").unwrap();
        assert!(open(&path).is_err());
    }

    #[test]
    fn a_strange_directory_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("thesis.txt"), "mine").unwrap();
        let inspect = Inspect { directory: place.path().to_path_buf(), json: false };
        let Failure::Told(Exit::Failed, line) = inspect.run().unwrap_err() else { panic!("it is told") };
        assert!(line.contains(&place.path().display().to_string()), "{line}");
        let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["thesis.txt"]);
    }
}
