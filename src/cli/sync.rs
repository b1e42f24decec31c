//! `larder sync`: makes names what a directory is.
//!
//! Both trees are walked side by side on the main thread; workers hash, upload and remove. Always: a file whose size and
//! hash are those of its name is not sent; nothing is removed unless that was asked for.

use super::failure::{Exit, Failure, Failures};
use super::files::Source;
use super::progress::Transfer;
use super::put::{Fact, expect};
use super::server::Server;
use super::thing::name;
use super::tree::{Step, Tree};
use super::upload::{Uploader, cannot_read};
use super::{output, workers};
use crate::base::path::NamePath;
use crate::client::{Client, FileHash};
use crate::request::{Changed, Condition, NameFacts, NameKind, Status};
use indicatif::BinaryBytes;
use serde::Serialize;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Makes names what a directory is: stores what is new or differs
///
/// Files are compared by size and hash, whatever their times. A run that was interrupted is completed by the next one,
/// and one more transfers nothing. Names that no file has are left alone, unless --delete is given. Prints what was done.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder sync site/ /www
  larder sync --delete site/ /www")]
pub struct Sync {
    /// The directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// The name that it shall have
    #[arg(value_name = "PATH", value_parser = name)]
    path: NamePath,

    /// Remove names that no file has
    #[arg(long)]
    delete: bool,

    /// Files that may be on their way at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    in_flight: u16,

    /// Print a line of JSON for each file that is stored, and one for all
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: Server,
}

/// What was done.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
struct Summary {
    stored: u64,
    stored_bytes: u64,
    unchanged: u64,
    /// Names that no file has.
    extra: u64,
    deleted: u64,
    failed: u64,
}

#[derive(Debug)]
enum Job {
    File(Source, NamePath, Option<NameFacts>),
    Directory(NamePath),
    Delete(NamePath),
    /// A name that no file has, and that stays.
    Leave,
}

enum Done {
    Stored(Source, NamePath, Changed),
    Unchanged,
    Deleted,
    Extra,
    Made,
}

impl Sync {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_for_files("sync")?;
        let (summary, outcome) = self.sync(&client);
        let printed = if self.json { output::json_line(&summary) } else { output::line(summary.line()) };
        outcome.and(printed)
    }

    fn sync(&self, client: &Client) -> (Summary, Result<(), Failure>) {
        let mut summary = Summary::default();
        let session = match client.open_session() {
            Ok(session) => session,
            Err(error) => return (summary, Err(Failure::of_client("sync", &error))),
        };
        let progress = Transfer::new();
        if !progress.is_hidden() {
            expect(&progress, &[], std::slice::from_ref(&self.directory));
        }
        let uploader = Uploader { session, progress: progress.clone(), content_type: None, condition: Condition::Any };
        let uploader = Arc::new(uploader);
        let jobs = Jobs {
            tree: Tree::of_both(&self.directory, &self.path, client),
            uploader: Arc::clone(&uploader),
            delete: self.delete,
        };
        let mut failures = Failures::default();
        let outcome = workers::each(
            self.in_flight.into(),
            jobs,
            move |job| work(&uploader, job),
            |done| match done {
                Ok(done) => progress.aside(|| self.count(&mut summary, &done)),
                Err(failure) => {
                    summary.failed += 1;
                    progress.aside(|| failures.add_of_many(failure))
                }
            },
        );
        progress.end();
        (summary, outcome.and_then(|()| failures.end()))
    }

    fn count(&self, summary: &mut Summary, done: &Done) -> Result<(), Failure> {
        match done {
            Done::Stored(source, path, changed) => {
                summary.stored += 1;
                summary.stored_bytes += changed.size;
                if self.json {
                    return output::json_line(&Fact::new(source, path, changed));
                }
            }
            Done::Unchanged => summary.unchanged += 1,
            Done::Deleted => summary.deleted += 1,
            Done::Extra => summary.extra += 1,
            Done::Made => {}
        }
        Ok(())
    }
}

impl Summary {
    fn line(&self) -> String {
        let Self { stored, stored_bytes, unchanged, extra, deleted, failed } = self;
        let mut line = format!("{stored} stored ({}), {unchanged} unchanged", BinaryBytes(*stored_bytes));
        for (count, what) in [(deleted, "deleted"), (extra, "extra (see --delete)"), (failed, "failed")] {
            if *count > 0 {
                line.push_str(&format!(", {count} {what}"));
            }
        }
        line
    }
}

/// What is to be done, from what the walk finds.
struct Jobs {
    tree: Tree,
    uploader: Arc<Uploader>,
    delete: bool,
}

impl Iterator for Jobs {
    type Item = Result<Job, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            return Some(match self.tree.next()? {
                Step::File { path, there: Some(there), .. } if there.kind == NameKind::Directory && !self.delete => {
                    Err(in_the_way(&path, "a directory", "a file"))
                }
                Step::File { source, path, there } => Ok(Job::File(source, path, there)),
                Step::Directory { path, is_file_there: false } => Ok(Job::Directory(path)),
                Step::Directory { path, .. } if self.delete => {
                    // Here and now: files that go below it come next.
                    match remove(&self.uploader, &path).and_then(|()| make(&self.uploader, &path)) {
                        Ok(()) => continue,
                        Err(failure) => {
                            self.tree.leave();
                            Err(failure)
                        }
                    }
                }
                Step::Directory { path, .. } => {
                    self.tree.leave();
                    Err(in_the_way(&path, "a file", "a directory"))
                }
                Step::Extra(path) if self.delete => Ok(Job::Delete(path)),
                Step::Extra(..) => Ok(Job::Leave),
                Step::Failed(failure) => Err(failure),
                Step::Skipped(line) => {
                    self.uploader.progress.aside(|| super::failure::warn(&line));
                    continue;
                }
            });
        }
    }
}

fn in_the_way(path: &NamePath, there: &str, here: &str) -> Failure {
    let line = format!("{path}: {there} has the name of {here}: remove it, or sync with --delete");
    Failure::new(Exit::Conflict, line)
}

fn work(uploader: &Uploader, job: Job) -> Result<Done, Failure> {
    match job {
        Job::File(source, path, there) => {
            match there {
                Some(there) if there.kind == NameKind::Directory => remove(uploader, &path)?,
                Some(there) if is_same(uploader, &source, &there)? => return Ok(Done::Unchanged),
                _ => {}
            }
            let changed = uploader.upload(&source, &path)?;
            Ok(Done::Stored(source, path, changed))
        }
        Job::Directory(path) => make(uploader, &path).map(|()| Done::Made),
        Job::Delete(path) => remove(uploader, &path).map(|()| Done::Deleted),
        Job::Leave => Ok(Done::Extra),
    }
}

/// Whether a name leads to what a file holds.
fn is_same(uploader: &Uploader, source: &Source, there: &NameFacts) -> Result<bool, Failure> {
    let Source::File(path) = source else {
        return Ok(false);
    };
    let cannot = |error| cannot_read(source, &error);
    let file = File::open(path).map_err(cannot)?;
    let size = file.metadata().map_err(cannot)?.len();
    if size != there.size {
        return Ok(false);
    }
    let (hash, bytes) = FileHash::of(&mut &file).map_err(cannot)?;
    let is_same = bytes == there.size && hash == there.hash;
    if is_same {
        uploader.progress.add_bytes(bytes);
        uploader.progress.add_file();
    }
    Ok(is_same)
}

fn make(uploader: &Uploader, path: &NamePath) -> Result<(), Failure> {
    let made = uploader.session.make_directory(path, true);
    made.map(drop).map_err(|error| Failure::of_client(path.as_str(), &error))
}

fn remove(uploader: &Uploader, path: &NamePath) -> Result<(), Failure> {
    match uploader.session.remove(path, true, Condition::Any) {
        Ok(_) => Ok(()),
        // Somebody was faster.
        Err(error) if error.status() == Some(Status::NotFound) => Ok(()),
        Err(error) => Err(Failure::of_client(path.as_str(), &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Command, CommandLine};
    use super::*;
    use crate::client::memory::{Fault, MemoryNode};
    use crate::wire::Opcode;
    use clap::Parser;
    use std::fs;
    use std::path::Path;

    fn sync(client: &Client, directory: &Path, more: &[&str]) -> (Summary, Result<(), Failure>) {
        let directory = directory.display().to_string();
        let arguments = ["larder", "sync", "--json", &directory, "/t"];
        match CommandLine::parse_from(arguments.iter().chain(more)).command {
            Command::Sync(sync) => sync.sync(client),
            _ => panic!("it is a sync"),
        }
    }

    fn counts(stored: u64, unchanged: u64, extra: u64, deleted: u64, failed: u64) -> [u64; 5] {
        [stored, unchanged, extra, deleted, failed]
    }

    fn done(summary: &Summary) -> [u64; 5] {
        counts(summary.stored, summary.unchanged, summary.extra, summary.deleted, summary.failed)
    }

    #[test]
    fn what_differs_is_stored_and_a_second_run_does_nothing() {
        let node = MemoryNode::new();
        let client = node.client(Client::builder());
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        fs::create_dir_all(root.join("d/e")).unwrap();
        fs::create_dir_all(root.join("empty")).unwrap();
        for name in ["a", "b", "d/x", "d/e/y"] {
            fs::write(root.join(name), name).unwrap();
        }
        fs::write(root.join("nothing"), "").unwrap();
        let (summary, outcome) = sync(&client, root, &[]);
        assert_eq!((done(&summary), outcome), (counts(5, 0, 0, 0, 0), Ok(())));
        assert_eq!(node.content("/t/d/e/y").unwrap(), b"d/e/y");
        assert!(node.with(|state| state.names.contains_key("/t/empty")));

        node.forget_asked();
        let (summary, _) = sync(&client, root, &["--delete"]);
        assert_eq!((done(&summary), summary.stored_bytes), (counts(0, 5, 0, 0, 0), 0));
        assert_eq!(node.asked(Opcode::Put) + node.asked(Opcode::Commit) + node.asked(Opcode::Remove), 0);

        // Same size, other content; another size; a new one; one that is gone.
        fs::write(root.join("a"), "A").unwrap();
        fs::write(root.join("b"), "bb").unwrap();
        fs::write(root.join("c"), "c").unwrap();
        fs::remove_file(root.join("d/x")).unwrap();
        fs::remove_dir_all(root.join("d/e")).unwrap();
        let (summary, _) = sync(&client, root, &[]);
        assert_eq!(done(&summary), counts(3, 1, 2, 0, 0));
        assert_eq!(summary.line(), "3 stored (4 B), 1 unchanged, 2 extra (see --delete)");
        assert!(node.content("/t/d/x").is_some() && node.content("/t/a").unwrap() == b"A");
        let (summary, _) = sync(&client, root, &["--delete"]);
        assert_eq!(done(&summary), counts(0, 4, 0, 2, 0));
        assert!(node.content("/t/d/x").is_none() && node.content("/t/d/e/y").is_none());
    }

    #[test]
    fn a_run_that_stopped_is_completed_by_the_next() {
        let node = MemoryNode::new();
        let client = node.client(Client::builder());
        let place = tempfile::tempdir().unwrap();
        for n in 0..20 {
            fs::write(place.path().join(format!("f{n}")), vec![n; 100]).unwrap();
        }
        for _ in 0..5 {
            node.plan(Opcode::Commit, Fault::Refuse(Status::Full));
        }
        let (summary, outcome) = sync(&client, place.path(), &[]);
        assert_eq!((done(&summary), outcome), (counts(15, 0, 0, 0, 5), Err(Failure::Silent(Exit::Failed))));
        let (summary, outcome) = sync(&client, place.path(), &[]);
        assert_eq!((done(&summary), outcome), (counts(5, 15, 0, 0, 0), Ok(())));
    }

    #[test]
    fn files_and_directories_in_each_others_way() {
        let node = MemoryNode::new();
        let client = node.client(Client::builder());
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("d")).unwrap();
        fs::write(place.path().join("d/x"), "x").unwrap();
        fs::write(place.path().join("f"), "f").unwrap();
        let session = client.open_session().unwrap();
        session.make_directory(&NamePath::parse(b"/t/f/z").unwrap(), true).unwrap();
        node.with(|state| state.replace("/t/d", b"file"));
        let (summary, outcome) = sync(&client, place.path(), &[]);
        assert_eq!((done(&summary), outcome), (counts(0, 0, 0, 0, 2), Err(Failure::Silent(Exit::Conflict))));
        let (summary, outcome) = sync(&client, place.path(), &["--delete"]);
        assert_eq!((done(&summary), outcome), (counts(2, 0, 0, 0, 0), Ok(())));
        assert_eq!((node.content("/t/d/x").unwrap(), node.content("/t/f").unwrap()), (b"x".to_vec(), b"f".to_vec()));
    }
}
