//! `larder get -r`: a directory of names to a directory of files.
//!
//! The main thread walks the names, workers read. Always: a file appears whole or not at all; nothing is written outside
//! of the directory, as every name is checked to be one.

use super::failure::{Exit, Failure, Failures};
use super::get::{cannot_write, not_read};
use super::listing::Listing;
use super::progress::{Counted, Transfer};
use super::target::Target;
use super::{output, workers};
use crate::base::path::NamePath;
use crate::client::{Client, DownloadOptions};
use crate::request::{NameFacts, NameKind, Status};
use indicatif::BinaryBytes;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// A file that is to be read.
#[derive(Debug)]
struct Job {
    path: NamePath,
    file: PathBuf,
}

/// Reads all that is under `path` into `directory`.
pub fn get(client: &Client, path: &NamePath, directory: &Path, in_flight: usize, json: bool) -> Result<(), Failure> {
    let failed = |error| Failure::of_client(path.as_str(), &error);
    let there = client.stat_name(path).map_err(failed)?;
    if there.facts.kind == NameKind::File {
        let line = format!("{path}: is a file: leave out -r, and name the file with -o");
        return Err(Failure::new(Exit::Conflict, line));
    }
    let progress = Transfer::new();
    // Of a very large tree it takes too long to count it: then the bar does without.
    if !progress.is_hidden()
        && let Ok(usage) = client.usage(path)
    {
        progress.expect(usage.files, usage.bytes);
    }
    fs::create_dir_all(directory).map_err(|error| cannot_write(directory, &error))?;
    let jobs = Listing::of(client, path, true).filter_map(|found| match found {
        Ok((name, facts)) => job(path, directory, name, &facts).transpose(),
        Err(failure) => Some(Err(failure)),
    });
    let mut failures = Failures::default();
    let mut all = (0u64, 0u64);
    let (of_workers, bar) = (client.clone(), progress.clone());
    let outcome = workers::each(
        in_flight,
        jobs,
        move |job| read(&of_workers, &bar, job),
        |done| match done {
            Ok((job, facts)) => {
                all.0 += 1;
                all.1 += facts.size;
                if !json {
                    return Ok(());
                }
                let fact = json!({
                    "path": job.path.as_str(),
                    "size_bytes": facts.size,
                    "hash": facts.hash.to_string(),
                    "file": job.file.display().to_string(),
                });
                progress.aside(|| output::json_line(&fact))
            }
            Err(failure) => progress.aside(|| failures.add_of_many(failure)),
        },
    );
    progress.end();
    outcome?;
    if !json {
        let (files, bytes) = all;
        output::line(format!("{files} files, {} read from {path}", BinaryBytes(bytes)))?;
    }
    failures.end()
}

/// What is to be done for a name. Directories are made at once.
fn job(root: &NamePath, directory: &Path, path: NamePath, facts: &NameFacts) -> Result<Option<Job>, Failure> {
    // All that is listed is below the root.
    let below = path.components().skip(root.components().count());
    let file = below.fold(directory.to_path_buf(), |file, name| file.join(name));
    match facts.kind {
        NameKind::Directory => {
            fs::create_dir_all(&file).map_err(|error| cannot_write(&file, &error))?;
            Ok(None)
        }
        NameKind::File => Ok(Some(Job { path, file })),
    }
}

fn read(client: &Client, progress: &Transfer, job: Job) -> Result<(Job, NameFacts), Failure> {
    let of_file = |error| cannot_write(&job.file, &error);
    // What broke off because the file was replaced is worth a second attempt: nothing of the first is kept.
    for is_last in [false, true] {
        let mut target = Target::create(&job.file).map_err(of_file)?;
        let mut output = Counted { inner: &mut target, progress };
        match client.download(&job.path, &mut output, DownloadOptions::default()) {
            Ok(entry) => {
                let time = UNIX_EPOCH.checked_add(Duration::from_millis(entry.facts.modified_ms));
                if let Some(time) = time {
                    target.set_modified(time).map_err(of_file)?;
                }
                target.finish_unsynced().map_err(of_file)?;
                progress.add_file();
                return Ok((job, entry.facts));
            }
            Err(error) if error.status() == Some(Status::VersionMismatch) && !is_last => {}
            Err(error) => return Err(not_read(job.path.as_str(), &job.file, &error)),
        }
    }
    Err(Failure::new(Exit::Conflict, format!("{}: it is replaced again and again", job.path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::memory::MemoryNode;

    fn path(text: &str) -> NamePath {
        NamePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_tree_comes_back_whole() {
        let node = MemoryNode::new();
        let client = node.client(Client::builder());
        let session = client.open_session().unwrap();
        session.make_directory(&path("/t/empty"), true).unwrap();
        session.make_directory(&path("/t/d/e"), true).unwrap();
        let long = "x".repeat(255);
        let names = ["a".to_owned(), "d/x".to_owned(), "d/e/y".to_owned(), long, "-r".to_owned()];
        node.with(|state| {
            state.page_max = 2;
            names.iter().for_each(|name| state.replace(&format!("/t/{name}"), name.as_bytes()));
            state.replace("/outside", b"");
        });
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("new/dir");
        for _ in 0..2 {
            get(&client, &path("/t"), &directory, 3, true).unwrap();
            for name in &names {
                assert_eq!(fs::read(directory.join(name)).unwrap(), name.as_bytes());
            }
        }
        assert!(directory.join("empty").is_dir() && !directory.join("outside").exists());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 5, "no temporary file is left");
        let time = fs::metadata(directory.join("a")).unwrap().modified().unwrap();
        assert_eq!(time, UNIX_EPOCH + Duration::from_millis(2));
        // One that cannot be read keeps no other back.
        node.with(|state| {
            let id = state.names["/t/a"].chunks[0];
            state.objects.remove(&id);
        });
        let other = place.path().join("other");
        assert_eq!(get(&client, &path("/t"), &other, 3, false), Err(Failure::Silent(Exit::Damaged)));
        assert!(!other.join("a").exists() && other.join("d/e/y").exists());
        assert!(matches!(get(&client, &path("/t/d/x"), &other, 3, false), Err(Failure::Told(Exit::Conflict, _))));
        assert!(matches!(get(&client, &path("/no"), &other, 3, false), Err(Failure::Told(Exit::NotFound, _))));
    }
}
