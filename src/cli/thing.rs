//! What an argument means: a name, which begins with `/`, or an object by its id.

use super::failure::{Exit, Failure};
use crate::base::ids::ObjectId;
use crate::base::path::NamePath;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

/// A name or an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// A name.
    Name(NamePath),
    /// An object.
    Object(ObjectId),
}

impl FromStr for Thing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return name(text).map(Self::Name);
        }
        text.parse().map(Self::Object).map_err(|error| format!("{error}; a name begins with /"))
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(path) => path.fmt(f),
            Self::Object(id) => id.fmt(f),
        }
    }
}

/// A name, as an argument.
///
/// # Errors
/// Why it is none.
pub fn name(text: &str) -> Result<NamePath, String> {
    NamePath::parse(text.as_bytes()).map_err(|bad| bad.to_string())
}

/// Where something goes: to a name, or into a directory under its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The name or the directory.
    pub path: NamePath,
    /// It was written as a directory, with `/` at its end.
    pub is_directory: bool,
}

impl Destination {
    /// Reads an argument.
    ///
    /// # Errors
    /// Why it is no name.
    pub fn parse(argument: &OsStr) -> Result<Self, String> {
        let bytes = argument.as_bytes();
        let path = NamePath::parse(bytes).map_err(|bad| bad.to_string())?;
        Ok(Self { path, is_directory: bytes.ends_with(b"/") })
    }
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(OsStr::new(text))
    }
}

/// The name of something below `directory`, whose relative path comes from a file system, where a name is any bytes.
///
/// # Errors
/// A failure that names `shown` and says why it cannot be a name.
pub fn below(directory: &NamePath, relative: &[u8], shown: &str) -> Result<NamePath, Failure> {
    let path = [directory.as_str().as_bytes(), b"/", relative].concat();
    NamePath::parse(&path)
        .map_err(|bad| Failure::new(Exit::Failed, format!("{shown}: left out, it cannot be a name here: {bad}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_makes_a_name() {
        let name = |text: &str| NamePath::parse(text.as_bytes()).unwrap();
        assert_eq!("/a//b/".parse(), Ok(Thing::Name(name("/a/b"))));
        assert!(matches!("3-1f-00c0ffee00c0ffee".parse(), Ok(Thing::Object(_))));
        assert!("a/b".parse::<Thing>().unwrap_err().ends_with("a name begins with /"));
        assert!("/a/../b".parse::<Thing>().unwrap_err().contains("no names"));
        for (text, is_directory) in [("/", true), ("/a", false), ("/a/", true)] {
            assert_eq!(text.parse::<Destination>().unwrap().is_directory, is_directory);
        }
        assert!("a".parse::<Destination>().is_err());
    }

    #[test]
    fn names_of_files_may_be_none_here() {
        let root = NamePath::root();
        assert_eq!(below(&root, b"a/b", "x").unwrap().as_str(), "/a/b");
        for (bytes, why) in [(&b"a\xff"[..], "UTF-8"), (b"a\nb", "control"), (b".id", "own"), (&[b'x'; 300], "limit")] {
            let Failure::Told(Exit::Failed, line) = below(&root, bytes, "dir/file").unwrap_err() else { panic!() };
            assert!(line.starts_with("dir/file: left out") && line.contains(why), "{line}");
        }
    }
}
