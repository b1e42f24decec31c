//! `larder put`: files to names, or to objects.

use super::failure::{Exit, Failure, Failures};
use super::files::{self, Found, Source};
use super::progress::Transfer;
use super::server::Server;
use super::thing::{Destination, below};
use super::tree::{Step, Tree};
use super::upload::Uploader;
use super::{output, put_objects, workers};
use crate::base::ids::ContentHash;
use crate::base::path::NamePath;
use crate::client::Client;
use crate::request::{Changed, Condition, NameKind};
use indicatif::BinaryBytes;
use serde::Serialize;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Stores files under names, or as objects
///
/// The last argument is the name, a path that begins with /. If it ends with /, if a directory is there, or if there are
/// several files, they go into it under their own names. Missing directories are made, files that are there are replaced,
/// each in one step: readers see the old or the new one. A file may have up to 128 GiB. Content type and modification time
/// are kept.
///
/// Prints a line for each file: name, size in bytes and hash, with tabs between; after -r what was stored in all. With
/// --id, files of up to 8 MiB become objects without names, and the lines are: id, size and path. Files that cannot be
/// stored are told on standard error, and the others go on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder put cat.jpg dog.jpg /pictures/
  larder put -r site/ /www
  producer | larder put - /logs/today.txt
  larder put --id photo.jpg
  larder put --id -r pictures/ > ids.tsv")]
pub struct Put {
    /// Store by id: the node chooses the name, and prints it
    #[arg(long)]
    id: bool,

    /// Files, and then the name where they go; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "recursive")]
    pub(super) files: Vec<PathBuf>,

    /// Store all that is under this directory; may be given several times
    #[arg(short, long, value_name = "DIR")]
    pub(super) recursive: Vec<PathBuf>,

    /// Refuse files whose name is taken, instead of replacing what is there
    #[arg(long, conflicts_with = "id")]
    if_absent: bool,

    /// The content type, whatever the names end with
    #[arg(long, value_name = "TYPE", conflicts_with = "id")]
    content_type: Option<String>,

    /// With --id: what must have happened before an object counts as stored
    #[arg(long, value_enum, default_value = "disk", requires = "id")]
    pub(super) durability: Class,

    /// Files that may be on their way at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) in_flight: u16,

    /// Print a line of JSON for each file
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) server: Server,
}

/// What must have happened before an object counts as stored.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Class {
    /// It is synced to disk
    Disk,
    /// It is in the node's memory, at most a second from the disk: a power cut may lose it
    Memory,
}

/// What is printed of a file.
#[derive(Debug, Serialize)]
pub struct Fact<'a> {
    path: &'a str,
    size_bytes: u64,
    hash: String,
    version: u64,
    replaced: bool,
    source: String,
}

impl<'a> Fact<'a> {
    /// What is known of a file that was stored.
    pub fn new(source: &Source, path: &'a NamePath, changed: &Changed) -> Self {
        Self {
            path: path.as_str(),
            size_bytes: changed.size,
            hash: ContentHash(changed.hash).to_string(),
            version: changed.version,
            replaced: changed.replaced,
            source: source.shown(),
        }
    }
}

/// One thing to be done.
#[derive(Debug)]
enum Job {
    File(Source, NamePath),
    Directory(NamePath),
}

type Done = Option<(Source, NamePath, Changed)>;

impl Put {
    pub fn run(self) -> Result<(), Failure> {
        if self.id {
            return put_objects::run(&self);
        }
        let (sources, destination) = self.sources_and_destination()?;
        let client = self.server.connect_for_files("put")?;
        self.put(&client, sources, &destination)
    }

    /// The files, and where they go.
    fn sources_and_destination(&self) -> Result<(&[PathBuf], Destination), Failure> {
        let usage = |line: String| Failure::new(Exit::Usage, line);
        let no_name = "put: the last argument must be the name where it goes, a path that begins with /; or add --id to \
                       store by id";
        let Some((last, sources)) = self.files.split_last() else {
            return Err(usage(no_name.to_owned()));
        };
        let shown = Source::File(last.clone()).shown();
        if !last.as_os_str().as_bytes().starts_with(b"/") {
            return Err(usage(no_name.to_owned()));
        }
        if sources.is_empty() && self.recursive.is_empty() {
            return Err(usage(format!("put: what goes to {shown}? name a file before it, or add --id to store by id")));
        }
        let destination = Destination::parse(last.as_os_str()).map_err(|why| usage(format!("{shown}: {why}")))?;
        Ok((sources, destination))
    }

    fn put(&self, client: &Client, sources: &[PathBuf], destination: &Destination) -> Result<(), Failure> {
        let session = client.open_session().map_err(|error| Failure::of_client("put", &error))?;
        let progress = Transfer::new();
        if !progress.is_hidden() {
            expect(&progress, sources, &self.recursive);
        }
        let condition = if self.if_absent { Condition::Absent } else { Condition::Any };
        let uploader =
            Uploader { session, progress: progress.clone(), content_type: self.content_type.clone(), condition };
        let into = self.is_into(client, sources, destination)?;
        let named = files::named(sources).filter_map(|found| named_job(found, destination, into));
        let trees = self.recursive.iter().flat_map(|directory| {
            Tree::of_files(directory, &destination.path).filter_map(|step| tree_job(step, &progress))
        });
        let mut failures = Failures::default();
        let mut all = (0u64, 0u64);
        let outcome = workers::each(
            self.in_flight.into(),
            named.chain(trees),
            move |job| work(&uploader, job),
            |done| match done {
                Ok(done) => {
                    all.0 += u64::from(done.is_some());
                    all.1 += done.as_ref().map_or(0, |(_, _, changed)| changed.size);
                    progress.aside(|| self.print(&done))
                }
                Err(failure) => progress.aside(|| failures.add_of_many(failure)),
            },
        );
        progress.end();
        outcome?;
        if !self.recursive.is_empty() && !self.json {
            let (files, bytes) = all;
            output::line(format!("{files} files, {} stored under {}", BinaryBytes(bytes), destination.path))?;
        }
        failures.end()
    }

    /// Whether files go into the destination, under their own names.
    fn is_into(&self, client: &Client, sources: &[PathBuf], destination: &Destination) -> Result<bool, Failure> {
        if destination.is_directory || sources.len() > 1 || !self.recursive.is_empty() {
            return Ok(true);
        }
        match client.stat_name(&destination.path) {
            Ok(entry) => Ok(entry.facts.kind == NameKind::Directory),
            // The upload says what is wrong, if anything is.
            Err(error) if error.status().is_some() => Ok(false),
            Err(error) => Err(Failure::of_client(destination.path.as_str(), &error)),
        }
    }

    fn print(&self, done: &Done) -> Result<(), Failure> {
        match done {
            Some((source, path, changed)) if self.json => output::json_line(&Fact::new(source, path, changed)),
            Some((_, path, changed)) if self.recursive.is_empty() => {
                output::line(format!("{path}\t{}\t{}", changed.size, ContentHash(changed.hash)))
            }
            _ => Ok(()),
        }
        // The names are known to whoever chose them: it does not matter if nobody reads this.
        .or_else(|failure| if failure == Failure::OutputClosed { Ok(()) } else { Err(failure) })
    }
}

fn work(uploader: &Uploader, job: Job) -> Result<Done, Failure> {
    match job {
        Job::File(source, path) => {
            let changed = uploader.upload(&source, &path)?;
            Ok(Some((source, path, changed)))
        }
        Job::Directory(path) => {
            let made = uploader.session.make_directory(&path, true);
            made.map(|_| None).map_err(|error| Failure::of_client(path.as_str(), &error))
        }
    }
}

fn named_job(found: Found, destination: &Destination, into: bool) -> Option<Result<Job, Failure>> {
    match found {
        Found::File(source) if !into => Some(Ok(Job::File(source, destination.path.clone()))),
        Found::File(Source::Input) => {
            let line = format!("-: standard input has no name of its own: name a file in {}", destination.path);
            Some(Err(Failure::new(Exit::Usage, line)))
        }
        Found::File(source) => {
            let path = below(&destination.path, source.file_name(), &source.shown());
            Some(path.map(|path| Job::File(source, path)))
        }
        Found::Failed(line) => Some(Err(Failure::new(Exit::Failed, line))),
        Found::Skipped(line) => {
            super::failure::warn(&line);
            None
        }
    }
}

fn tree_job(step: Step, progress: &Transfer) -> Option<Result<Job, Failure>> {
    match step {
        Step::File { source, path, .. } => Some(Ok(Job::File(source, path))),
        Step::Directory { path, .. } => Some(Ok(Job::Directory(path))),
        Step::Failed(failure) => Some(Err(failure)),
        Step::Skipped(line) => {
            progress.aside(|| super::failure::warn(&line));
            None
        }
        Step::Extra(..) => None,
    }
}

/// Counts what is to be done, so that the time left can be told.
pub fn expect(progress: &Transfer, sources: &[PathBuf], directories: &[PathBuf]) {
    let (mut files, mut bytes) = (0, 0);
    for found in files::named(sources).chain(files::under(directories)) {
        if let Found::File(Source::File(path)) = found {
            files += 1;
            bytes += std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        }
    }
    progress.expect(files, bytes);
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::super::CommandLine;
    use super::*;
    use crate::client::memory::MemoryNode;
    use clap::Parser;
    use std::fs;

    fn put(arguments: &[&str]) -> Put {
        match CommandLine::parse_from(["larder", "put"].iter().chain(arguments)).command {
            Command::Put(put) => put,
            _ => panic!("it is a put"),
        }
    }

    fn run(client: &Client, arguments: &[&str]) -> Result<(), Failure> {
        let put = put(arguments);
        let (sources, destination) = put.sources_and_destination()?;
        put.put(client, sources, &destination)
    }

    #[test]
    fn the_last_argument_is_the_name() {
        let refused = |arguments: &[&str]| match put(arguments).sources_and_destination() {
            Err(Failure::Told(Exit::Usage, line)) => line,
            other => panic!("{arguments:?}: {other:?}"),
        };
        assert!(refused(&["a"]).contains("add --id"));
        assert!(refused(&["a", "b"]).contains("begins with /"));
        assert!(refused(&["/a"]).contains("what goes to /a?"));
        assert!(refused(&["-r", "a"]).contains("begins with /"));
        assert!(refused(&["a", "/b/../c"]).contains("no names"));
        assert!(put(&["-r", "a", "/b"]).sources_and_destination().is_ok());
    }

    #[test]
    fn files_go_where_the_name_says() {
        let node = MemoryNode::new();
        let client = node.client(Client::builder());
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str| place.path().join(name).display().to_string();
        fs::create_dir_all(file("t/empty")).unwrap();
        fs::create_dir_all(file("t/d")).unwrap();
        for name in ["a", "b", "t/x", "t/d/y", "t/d/bad\nname"] {
            fs::write(file(name), name).unwrap();
        }
        run(&client, &[&file("a"), "/one"]).unwrap();
        run(&client, &[&file("a"), "/dir/"]).unwrap();
        run(&client, &[&file("b"), "/dir"]).unwrap();
        run(&client, &[&file("a"), &file("b"), "/new/dir", "--json"]).unwrap();
        let failed = run(&client, &["-r", &file("t"), "/tree", "--in-flight", "3"]).unwrap_err();
        assert_eq!(failed, Failure::Silent(Exit::Failed), "one name is none here");
        for (path, want) in [
            ("/one", "a"),
            ("/dir/a", "a"),
            ("/dir/b", "b"),
            ("/new/dir/a", "a"),
            ("/new/dir/b", "b"),
            ("/tree/x", "t/x"),
            ("/tree/d/y", "t/d/y"),
        ] {
            assert_eq!(node.content(path).as_deref(), Some(want.as_bytes()), "{path}");
        }
        assert!(node.with(|state| state.names.contains_key("/tree/empty")));
        assert_eq!(run(&client, &[&file("b"), "/one", "--if-absent"]), Err(Failure::Silent(Exit::Conflict)));
        assert_eq!(node.content("/one").unwrap(), b"a");
        assert_eq!(run(&client, &["-", "/dir/"]), Err(Failure::Silent(Exit::Usage)));
        assert_eq!(run(&client, &[&file("missing"), &file("a"), "/more"]), Err(Failure::Silent(Exit::Failed)));
        assert!(node.content("/more/a").is_some());
    }
}
