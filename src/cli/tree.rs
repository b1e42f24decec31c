//! A tree of files beside a tree of names: what is in one, in the other, and in both.
//!
//! Both are walked depth first, each directory in the order of the bytes of its names, so that only the directories on the
//! way down are held. Always: a step about a name comes once; nothing is told as missing below a directory that could not
//! be read, on either side.

use super::failure::{Exit, Failure};
use super::files::{self, Identity, Source};
use super::thing::below;
use crate::base::path::NamePath;
use crate::client::{Client, ClientError, Entries};
use crate::request::{NameFacts, NameKind, Status};
use std::cmp::Ordering;
use std::fs;
use std::iter::Peekable;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What was found.
#[derive(Debug)]
pub enum Step {
    /// A file, and what has its name.
    File {
        /// The file.
        source: Source,
        /// Its name.
        path: NamePath,
        /// What the name leads to.
        there: Option<NameFacts>,
    },
    /// A directory that must be made, or whose name leads to a file.
    Directory {
        /// Its name.
        path: NamePath,
        /// The name leads to a file.
        is_file_there: bool,
    },
    /// A name that no file has.
    Extra(NamePath),
    /// Something that is no file.
    Skipped(String),
    /// Something that cannot be had.
    Failed(Failure),
}

/// The walk of both trees.
#[derive(Debug)]
pub struct Tree {
    /// Nothing, when the names do not matter.
    client: Option<Client>,
    levels: Vec<Level>,
    /// Found and not yet given.
    first: Option<Step>,
}

#[derive(Debug)]
struct Level {
    identity: Identity,
    path: NamePath,
    /// The last first.
    files: Vec<PathBuf>,
    /// Nothing, when there is no such directory.
    names: Option<Peekable<Entries>>,
}

/// The next of a level.
enum Next {
    File(PathBuf, Option<NameFacts>),
    Name(String),
    Broken(ClientError),
    End,
}

impl Tree {
    /// All files under `directory`, each with the name that it shall have under `path`.
    pub fn of_files(directory: &Path, path: &NamePath) -> Self {
        Self::new(directory, path, None)
    }

    /// All files under `directory`, and all names under `path`.
    pub fn of_both(directory: &Path, path: &NamePath, client: &Client) -> Self {
        Self::new(directory, path, Some(client.clone()))
    }

    /// Leaves out what is in the directory that the last step was about.
    pub fn leave(&mut self) {
        self.levels.pop();
    }

    fn new(directory: &Path, path: &NamePath, client: Option<Client>) -> Self {
        let mut tree = Self { client, levels: Vec::new(), first: None };
        tree.first = match fs::metadata(directory) {
            Ok(metadata) if metadata.is_dir() => tree.enter(directory, path.clone(), &metadata, true),
            Ok(_) => Some(failed(directory, "is no directory")),
            Err(error) => Some(failed(directory, &error.to_string())),
        };
        tree
    }

    /// Goes into a directory. `may_be_there` is whether its name may lead to a directory.
    fn enter(&mut self, directory: &Path, path: NamePath, metadata: &fs::Metadata, may_be_there: bool) -> Option<Step> {
        let identity = files::identity(metadata);
        if self.levels.iter().any(|level| level.identity == identity) {
            let line = format!("{}: skipped: a link to a directory above it", shown(directory));
            return Some(Step::Skipped(line));
        }
        let files = match files::entries(directory) {
            Ok(files) => files,
            Err(error) => return Some(failed(directory, &error.to_string())),
        };
        let (names, must_be_made, is_file_there) = match self.client.as_ref().filter(|_| may_be_there) {
            None => (None, files.is_empty(), false),
            Some(client) => {
                let mut names = client.entries(&path).peekable();
                match names.peek() {
                    Some(Err(error)) => match error.status() {
                        Some(Status::NotFound | Status::ParentNotFound) => (None, files.is_empty(), false),
                        Some(Status::NotADirectory) => (None, true, true),
                        _ => return Some(Step::Failed(Failure::of_client(path.as_str(), error))),
                    },
                    _ => (Some(names), false, false),
                }
            }
        };
        self.levels.push(Level { identity, path: path.clone(), files, names });
        must_be_made.then_some(Step::Directory { path, is_file_there })
    }

    fn visit(&mut self, file: PathBuf, there: Option<NameFacts>) -> Option<Step> {
        let level = self.levels.last()?;
        let name = file.file_name().map_or(&b""[..], OsStrExt::as_bytes);
        let path = match below(&level.path, name, &shown(&file)) {
            Ok(path) => path,
            Err(failure) => return Some(Step::Failed(failure)),
        };
        match fs::metadata(&file) {
            Ok(metadata) if metadata.is_dir() => {
                let kind = there.map(|facts| facts.kind);
                let entered = self.enter(&file, path.clone(), &metadata, kind == Some(NameKind::Directory));
                let is_file_there = kind == Some(NameKind::File);
                match entered {
                    None | Some(Step::Directory { .. }) if is_file_there => {
                        Some(Step::Directory { path, is_file_there })
                    }
                    entered => entered,
                }
            }
            Ok(metadata) if metadata.is_file() => Some(Step::File { source: Source::File(file), path, there }),
            Ok(_) => Some(Step::Skipped(format!("{}: skipped: no regular file", shown(&file)))),
            Err(error) => Some(failed(&file, &error.to_string())),
        }
    }
}

impl Iterator for Tree {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let level = self.levels.last_mut()?;
            match level.next() {
                Next::File(file, there) => {
                    if let Some(step) = self.visit(file, there) {
                        return Some(step);
                    }
                }
                Next::Name(name) => {
                    return Some(match level.path.join(&name) {
                        Ok(path) => Step::Extra(path),
                        Err(bad) => Step::Failed(bad_name(&level.path, &bad)),
                    });
                }
                Next::Broken(error) => {
                    let failure = Failure::of_client(level.path.as_str(), &error);
                    self.levels.pop();
                    return Some(Step::Failed(failure));
                }
                Next::End => drop(self.levels.pop()),
            }
        }
    }
}

impl Level {
    fn next(&mut self) -> Next {
        let file = self.files.last().and_then(|file| file.file_name()).map(OsStrExt::as_bytes);
        let name = self.names.as_mut().and_then(Peekable::peek);
        let order = match (file, name) {
            (None, None) => return Next::End,
            (Some(_), None) => Ordering::Less,
            (None, Some(Ok(_))) => Ordering::Greater,
            (Some(file), Some(Ok((name, _)))) => file.cmp(name.as_bytes()),
            (_, Some(Err(_))) => Ordering::Greater,
        };
        let file = if order.is_le() { self.files.pop() } else { None };
        let name = if order.is_ge() { self.names.as_mut().and_then(Iterator::next) } else { None };
        match (file, name) {
            (_, Some(Err(error))) => Next::Broken(error),
            (Some(file), Some(Ok((_, facts)))) => Next::File(file, Some(facts)),
            (Some(file), None) => Next::File(file, None),
            (None, Some(Ok((name, _)))) => Next::Name(name),
            (None, None) => Next::End,
        }
    }
}

/// A name that a node told and that is none.
pub fn bad_name(directory: &NamePath, bad: &crate::base::path::BadPath) -> Failure {
    Failure::new(Exit::Failed, format!("{directory}: the node tells of something in it that is no name: {bad}"))
}

fn shown(path: &Path) -> String {
    Source::File(path.to_path_buf()).shown()
}

fn failed(path: &Path, why: &str) -> Step {
    Step::Failed(Failure::new(Exit::Failed, format!("{}: {why}", shown(path))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::memory::MemoryNode;
    use std::os::unix::fs::symlink;

    fn shown_steps(tree: Tree, root: &Path) -> Vec<String> {
        let root = format!("{}/", root.display());
        tree.map(|step| match step {
            Step::File { source, path, there } => {
                format!("file {} {path} {:?}", source.shown(), there.map(|facts| facts.kind))
            }
            Step::Directory { path, is_file_there } => format!("directory {path} {is_file_there}"),
            Step::Extra(path) => format!("extra {path}"),
            Step::Skipped(line) => line,
            Step::Failed(Failure::Told(_, line)) => line,
            Step::Failed(other) => format!("{other:?}"),
        })
        .map(|line| line.replace(&root, ""))
        .collect()
    }

    #[test]
    fn both_trees_are_walked_side_by_side() {
        let node = MemoryNode::new();
        let client = node.client(Client::builder());
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        for directory in ["b/deep", "e-empty", "g-file-there", "only-here/x"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        for file in ["a", "a\nb", "b/deep/x", "b/y", "c", "f-directory-there", "g-file-there/x", "only-here/x/1"] {
            fs::write(root.join(file), file).unwrap();
        }
        symlink("..", root.join("b/up")).unwrap();
        let session = client.open_session().unwrap();
        let directory = |name: &str| {
            session.make_directory(&NamePath::parse(name.as_bytes()).unwrap(), true).unwrap();
        };
        ["/t/b", "/t/f-directory-there/z", "/t/z-extra/more"].into_iter().for_each(directory);
        node.with(|state| {
            for file in ["/t/a", "/t/b/y", "/t/b/extra", "/t/g-file-there", "/t/0-extra"] {
                state.replace(file, b"x");
            }
        });
        let path = NamePath::parse(b"/t").unwrap();
        for page_max in [1, 1000] {
            node.with(|state| state.page_max = page_max);
            let want = [
                "extra /t/0-extra",
                "file a /t/a Some(File)",
                "a?b: left out, it cannot be a name here: the control character U+000A at byte 4 may not be in a path",
                "file b/deep/x /t/b/deep/x None",
                "extra /t/b/extra",
                "b/up: skipped: a link to a directory above it",
                "file b/y /t/b/y Some(File)",
                "file c /t/c None",
                "directory /t/e-empty false",
                "file f-directory-there /t/f-directory-there Some(Directory)",
                "directory /t/g-file-there true",
                "file g-file-there/x /t/g-file-there/x None",
                "file only-here/x/1 /t/only-here/x/1 None",
                "extra /t/z-extra",
            ];
            assert_eq!(shown_steps(Tree::of_both(root, &path, &client), root), want);
        }
        node.forget_asked();
        let files = shown_steps(Tree::of_files(root, &path), root);
        assert_eq!(files.iter().filter(|line| line.starts_with("file ")).count(), 7);
        assert!(files.contains(&"directory /t/e-empty false".to_owned()));
        assert_eq!(node.with(|state| state.asked.len()), 0);
        // A place that is not there yet, and one that is a file.
        let nowhere = NamePath::parse(b"/nowhere/x").unwrap();
        assert_eq!(shown_steps(Tree::of_both(root, &nowhere, &client), root).len(), files.len());
        let file = NamePath::parse(b"/t/a").unwrap();
        assert_eq!(shown_steps(Tree::of_both(root, &file, &client), root)[0], "directory /t/a true");
    }
}
