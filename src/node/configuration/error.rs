//! Why a configuration is refused: the file, the field, the value, what is allowed, and the way out.

use std::path::PathBuf;

/// Why a configuration is refused. Its text is one line for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {reason}; name another file with --config, or none for the defaults", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file is not TOML, or a value is of another kind.
    #[error("{}:{line}: `{text}`: {reason}; examples/larder.toml shows every field", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line in it, from 1.
        line: usize,
        /// That line.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file sets what does not exist.
    #[error("{}:{line}: there is no field {field}{}; remove the line, or correct the name",
        file.display(), near.map_or(String::new(), |near| format!(", the nearest is {near}")))]
    Unknown {
        /// The file.
        file: PathBuf,
        /// The line in it, from 1.
        line: usize,
        /// The name.
        field: String,
        /// A field of nearly that name.
        near: Option<&'static str>,
    },
    /// A number is too small or too large.
    #[error("{}{field} = {value} is out of bounds: want {want}; the default is {default}", of(file))]
    OutOfBounds {
        /// The file, or none when a flag set it.
        file: Option<PathBuf>,
        /// The field.
        field: &'static str,
        /// What it is set to.
        value: String,
        /// What it may be, as `1 to 64`.
        want: String,
        /// What it is when it is left out.
        default: String,
    },
    /// Two fields, or two values of one, do not go together.
    #[error("{}{reason}", of(file))]
    Contradiction {
        /// The file, or none when a flag set it.
        file: Option<PathBuf>,
        /// The fields, their values, and the way out.
        reason: String,
    },
}

fn of(file: &Option<PathBuf>) -> String {
    file.as_ref().map_or("configuration: ".to_string(), |file| format!("{}: ", file.display()))
}

impl ConfigurationError {
    /// The same error, which stands in `file`.
    #[must_use]
    pub(super) fn in_file(mut self, place: &std::path::Path) -> Self {
        if let Self::OutOfBounds { file, .. } | Self::Contradiction { file, .. } = &mut self {
            *file = Some(place.to_path_buf());
        }
        self
    }
}
