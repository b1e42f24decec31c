//! The files that `put` and `sync` are asked for: those that were named, and those under directories.
//!
//! Links are followed. Always: a walk ends, also when a link leads back to a directory above it; entries of a directory
//! come in the order of their names, so that a run can be compared with another.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Input,
    /// A file.
    File(PathBuf),
}

impl Source {
    /// The path as bytes; `-` for standard input.
    pub fn path_bytes(&self) -> &[u8] {
        match self {
            Self::Input => b"-",
            Self::File(path) => path.as_os_str().as_bytes(),
        }
    }

    /// The path as a text that is safe to print.
    pub fn shown(&self) -> String {
        super::report::printable(&String::from_utf8_lossy(self.path_bytes()))
    }

    /// The last part of the path; nothing for standard input.
    pub fn file_name(&self) -> &[u8] {
        match self {
            Self::Input => b"",
            Self::File(path) => path.file_name().map_or(b"", OsStrExt::as_bytes),
        }
    }
}

/// What came of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A file to be read.
    File(Source),
    /// Something that is no file, and a line that says so.
    Skipped(String),
    /// Something that was asked for and cannot be had, and a line that says so.
    Failed(String),
}

/// Files that were named one by one.
pub fn named(paths: &[PathBuf]) -> impl Iterator<Item = Found> {
    paths.iter().map(|path| {
        if path.as_os_str() == OsStr::new("-") {
            return Found::File(Source::Input);
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => Found::File(Source::File(path.clone())),
            Ok(metadata) if metadata.is_dir() => failed(path, "is a directory: use -r to store what is in it"),
            Ok(_) => failed(path, "is no regular file: pipe it in, with - as the file"),
            Err(error) => failed(path, &error.to_string()),
        }
    })
}

/// All files under directories.
pub fn under(directories: &[PathBuf]) -> impl Iterator<Item = Found> {
    directories.iter().flat_map(|directory| Walk::from(directory))
}

fn failed(path: &Path, why: &str) -> Found {
    Found::Failed(format!("{}: {why}", Source::File(path.to_path_buf()).shown()))
}

fn skipped(path: &Path, why: &str) -> Found {
    Found::Skipped(format!("{}: skipped: {why}", Source::File(path.to_path_buf()).shown()))
}

/// A depth-first walk: what is left of each directory on the way down.
struct Walk {
    levels: Vec<Level>,
    /// What was found and not yet given.
    first: Option<Found>,
}

struct Level {
    identity: Identity,
    /// In reverse, so that the next is the last.
    entries: Vec<PathBuf>,
}

/// Device and number of a directory: no link may lead to it again below.
pub type Identity = (u64, u64);

/// The identity of what a path leads to.
pub fn identity(metadata: &fs::Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// What is in a directory, in the order of the bytes of the names, the last first.
///
/// # Errors
/// Those of the file system.
pub fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries: io::Result<Vec<PathBuf>> = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect();
    let mut entries = entries?;
    entries.sort_unstable_by(|a, b| b.cmp(a));
    Ok(entries)
}

impl Walk {
    fn from(directory: &Path) -> Self {
        let mut walk = Self { levels: Vec::new(), first: None };
        walk.first = match fs::metadata(directory) {
            Ok(metadata) if metadata.is_dir() => walk.enter(directory, &metadata),
            Ok(_) => Some(failed(directory, "is no directory: leave out the -r")),
            Err(error) => Some(failed(directory, &error.to_string())),
        };
        walk
    }

    fn enter(&mut self, directory: &Path, metadata: &fs::Metadata) -> Option<Found> {
        let identity = identity(metadata);
        if self.levels.iter().any(|level| level.identity == identity) {
            return Some(skipped(directory, "a link to a directory above it"));
        }
        match entries(directory) {
            Ok(entries) => {
                self.levels.push(Level { identity, entries });
                None
            }
            Err(error) => Some(failed(directory, &error.to_string())),
        }
    }

    fn visit(&mut self, path: PathBuf) -> Option<Found> {
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => self.enter(&path, &metadata),
            Ok(metadata) if metadata.is_file() => Some(Found::File(Source::File(path))),
            Ok(_) => Some(skipped(&path, "no regular file")),
            Err(error) => Some(failed(&path, &error.to_string())),
        }
    }
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let level = self.levels.last_mut()?;
            match level.entries.pop() {
                Some(path) => {
                    if let Some(found) = self.visit(path) {
                        return Some(found);
                    }
                }
                None => drop(self.levels.pop()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn shown(found: impl Iterator<Item = Found>, root: &Path) -> Vec<String> {
        let root = format!("{}/", root.display());
        found.map(|found| format!("{found:?}").replace(&root, "")).collect()
    }

    #[test]
    fn a_tree_is_walked_in_order_and_ends() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        fs::create_dir_all(root.join("b/deep")).unwrap();
        for file in ["c", "a", "b/deep/x", "b/y"] {
            fs::write(root.join(file), file).unwrap();
        }
        symlink("..", root.join("b/up")).unwrap();
        symlink("c", root.join("d-link")).unwrap();
        symlink("nowhere", root.join("e-broken")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("f-socket")).unwrap();
        let found = shown(under(&[root.to_path_buf()]), root);
        let want = [
            r#"File(File("a"))"#,
            r#"File(File("b/deep/x"))"#,
            r#"Skipped("b/up: skipped: a link to a directory above it")"#,
            r#"File(File("b/y"))"#,
            r#"File(File("c"))"#,
            r#"File(File("d-link"))"#,
            r#"Failed("e-broken: No such file or directory (os error 2)")"#,
            r#"Skipped("f-socket: skipped: no regular file")"#,
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn what_was_named_must_be_a_file() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        fs::write(root.join("a\nb"), "").unwrap();
        let paths = ["a\nb", "", "missing"].map(|name| root.join(name));
        let found = shown(named(&[&paths[..], &["-".into(), "/dev/null".into()]].concat()), root);
        assert_eq!(found[0], r#"File(File("a\nb"))"#);
        assert!(found[1].starts_with("Failed(") && found[1].contains("is a directory: use -r"), "{found:?}");
        assert!(found[2].starts_with(r#"Failed("missing: No such file"#), "{found:?}");
        assert_eq!(
            found[3..],
            ["File(Input)", r#"Failed("/dev/null: is no regular file: pipe it in, with - as the file")"#]
        );
        assert_eq!(Source::File("x/a\nb".into()).shown(), "x/a?b");
        assert!(shown(under(&[root.join("a\nb")]), root)[0].contains("is no directory"));
    }
}
