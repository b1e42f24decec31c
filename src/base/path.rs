//! Paths of the namespace: checked and normalised once, where they come in.
//!
//! Any thread; pure. Always: a [`NamePath`] begins with `/`, has no empty, `.` or `..` component and no trailing `/` (but
//! the root is `/`), is at most 4,096 bytes of UTF-8 with components of at most 255, and holds no control character. So
//! two spellings of a name are never two entries of a cache. Letters are compared as they are: there is no folding of
//! case, and no Unicode normalisation, as on Linux.

use super::limits::{COMPONENT_BYTES_MAX, PATH_BYTES_MAX};
use std::fmt;

/// Names that mean something else at the root: the HTTP origin answers for them.
pub const ROOT_NAMES_KEPT: [&str; 4] = [".id", ".live", ".ready", ".metrics"];

/// A path of the namespace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePath(Box<str>);

/// Why a text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Over [`PATH_BYTES_MAX`].
    #[error("a path of {0} bytes is over the limit of {PATH_BYTES_MAX}")]
    TooLong(usize),
    /// A component over [`COMPONENT_BYTES_MAX`].
    #[error("a name of {0} bytes is over the limit of {COMPONENT_BYTES_MAX}")]
    ComponentTooLong(usize),
    /// Not UTF-8.
    #[error("the path is not UTF-8 at byte {0}")]
    NotText(usize),
    /// It does not begin with `/`.
    #[error("a path begins with /")]
    NotAbsolute,
    /// A component is `.` or `..`.
    #[error("`.` and `..` are no names")]
    Dots,
    /// NUL or another control character.
    #[error("the control character U+{code:04X} at byte {at} may not be in a path")]
    Control {
        /// The character.
        code: u32,
        /// Where it is.
        at: usize,
    },
    /// A name that is kept for the node itself.
    #[error("the name {0} at the root is the node's own")]
    Kept(&'static str),
}

impl BadPath {
    /// Whether it is the length that is wrong.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        matches!(self, Self::TooLong(_) | Self::ComponentTooLong(_))
    }
}

impl NamePath {
    /// The root.
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Checks bytes and normalises them: repeated and trailing slashes go.
    ///
    /// # Errors
    /// [`BadPath`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadPath> {
        if bytes.len() > PATH_BYTES_MAX {
            return Err(BadPath::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| BadPath::NotText(error.valid_up_to()))?;
        if !text.starts_with('/') {
            return Err(BadPath::NotAbsolute);
        }
        if let Some((at, character)) = text.char_indices().find(|(_, character)| character.is_control()) {
            return Err(BadPath::Control { code: character.into(), at });
        }
        let mut path = String::with_capacity(text.len());
        for component in text.split('/').filter(|component| !component.is_empty()) {
            check_component(component)?;
            path.push('/');
            path.push_str(component);
        }
        if path.is_empty() {
            return Ok(Self::root());
        }
        let path = Self(path.into());
        let first = path.components().next();
        match ROOT_NAMES_KEPT.iter().find(|kept| Some(**kept) == first) {
            Some(kept) => Err(BadPath::Kept(kept)),
            None => Ok(path),
        }
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `/`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Its names, from the root down.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|component| !component.is_empty())
    }

    /// The directory that holds it, and its name there; `None` for the root.
    #[must_use]
    pub fn split(&self) -> Option<(Self, &str)> {
        if self.is_root() {
            return None;
        }
        let (parent, name) = self.0.rsplit_once('/')?;
        let parent = if parent.is_empty() { Self::root() } else { Self(parent.into()) };
        Some((parent, name))
    }

    /// The path of `name` in this directory.
    ///
    /// # Errors
    /// [`BadPath`], when the name is none, or the path gets too long.
    pub fn join(&self, name: &str) -> Result<Self, BadPath> {
        if name.contains('/') || name.is_empty() {
            return Err(BadPath::Dots);
        }
        let parent = if self.is_root() { "" } else { self.as_str() };
        Self::parse(format!("{parent}/{name}").as_bytes())
    }
}

/// Whether a text may stand between the slashes of a path. What a peer calls a name is checked with it before it becomes
/// the name of a local file.
#[must_use]
pub fn is_component(text: &str) -> bool {
    !text.is_empty()
        && check_component(text).is_ok()
        && !text.contains(|character: char| character == '/' || character.is_control())
}

fn check_component(component: &str) -> Result<(), BadPath> {
    if component.len() > COMPONENT_BYTES_MAX {
        return Err(BadPath::ComponentTooLong(component.len()));
    }
    if component == "." || component == ".." {
        return Err(BadPath::Dots);
    }
    Ok(())
}

impl fmt::Display for NamePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NamePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_is_normalised_or_refused() {
        for (given, want) in [("/", "/"), ("//", "/"), ("/a", "/a"), ("//a///b/", "/a/b"), ("/\u{e4}/ ", "/\u{e4}/ ")] {
            assert_eq!(NamePath::parse(given.as_bytes()).unwrap().as_str(), want);
        }
        let long = format!("/{}", "x".repeat(256));
        let deep = "/x".repeat(2049);
        for (given, want) in [
            (&b""[..], BadPath::NotAbsolute),
            (b"a/b", BadPath::NotAbsolute),
            (b"/a/../b", BadPath::Dots),
            (b"/.", BadPath::Dots),
            (b"/a\0", BadPath::Control { code: 0, at: 2 }),
            (b"/a\x7f", BadPath::Control { code: 0x7f, at: 2 }),
            ("/\u{85}".as_bytes(), BadPath::Control { code: 0x85, at: 1 }),
            (b"/a\xff", BadPath::NotText(2)),
            (b"/.id", BadPath::Kept(".id")),
            (b"//.metrics/x", BadPath::Kept(".metrics")),
            (long.as_bytes(), BadPath::ComponentTooLong(256)),
            (deep.as_bytes(), BadPath::TooLong(4098)),
        ] {
            assert_eq!(NamePath::parse(given).unwrap_err(), want);
        }
        assert!(NamePath::parse(&long.as_bytes()[..256]).is_ok() && NamePath::parse(&deep.as_bytes()[..4096]).is_ok());
        assert!(NamePath::parse(b"/a/.id").is_ok());
    }

    #[test]
    fn a_path_is_its_directory_and_its_name() {
        let path = NamePath::parse(b"/a/b c").unwrap();
        let (parent, name) = path.split().unwrap();
        assert_eq!((parent.as_str(), name), ("/a", "b c"));
        assert_eq!(parent.join(name).unwrap(), path);
        assert_eq!(parent.split().unwrap().0, NamePath::root());
        assert_eq!(NamePath::root().split(), None);
        assert!(parent.join("x/y").is_err() && parent.join("").is_err() && NamePath::root().join(".id").is_err());
    }

    #[test]
    fn a_component_is_what_stands_between_slashes() {
        assert!([".id", "a b", "...", "\u{e4}"].into_iter().all(is_component));
        let long = "x".repeat(256);
        assert!(["", ".", "..", "a/b", "/", "a\0", "\u{85}", &long].into_iter().all(|text| !is_component(text)));
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(bytes in "[/.a\u{e4} ]{0,40}") {
            if let Ok(path) = NamePath::parse(bytes.as_bytes()) {
                prop_assert_eq!(NamePath::parse(path.as_str().as_bytes()).unwrap(), path.clone());
                let joined = path.components().fold(NamePath::root(), |path, name| path.join(name).unwrap());
                prop_assert_eq!(joined, path);
            }
        }
    }
}
