//! From a file to a configuration.

use super::{Configuration, ConfigurationError};
use crate::base::size::Size;
use serde::de::{self, Deserializer, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

impl Configuration {
    /// The configuration of a file; of none, the defaults.
    ///
    /// # Errors
    /// The first thing that is wrong with it, also what [`check`](Self::check) finds.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigurationError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigurationError::Unreadable { file: path.to_path_buf(), reason: error.to_string() })?;
        Self::parse(path, &text)
    }

    /// The configuration of a text that stands in `file`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, ConfigurationError> {
        let configuration: Self = toml::from_str(text).map_err(|error| malformed(file, text, &error))?;
        configuration.check().map_err(|error| error.in_file(file))?;
        Ok(configuration)
    }
}

fn malformed(file: &Path, text: &str, error: &toml::de::Error) -> ConfigurationError {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let file = file.to_path_buf();
    // The library's sentence names all fields there are; a person wants the one that was meant.
    if let Some(field) = error.message().strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()) {
        return ConfigurationError::Unknown { file, line, field: field.to_string(), near: nearest(field) };
    }
    let text = text.lines().nth(line - 1).unwrap_or_default().trim().to_string();
    let reason = error.message().lines().collect::<Vec<_>>().join(", ");
    ConfigurationError::Malformed { file, line, text, reason }
}

/// The field whose name differs by a few letters only.
fn nearest(name: &str) -> Option<&'static str> {
    let near = |field: &&&str| distance(field, name) <= 1 + field.len() / 4;
    Configuration::FIELDS.iter().filter(near).min_by_key(|field| distance(field, name)).copied()
}

/// Letters to insert, remove or replace (Levenshtein, by the row of Wagner and Fischer).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.bytes().enumerate() {
        let mut diagonal = place;
        let mut left = place + 1;
        for (above, other_letter) in row.iter_mut().skip(1).zip(other.bytes()) {
            let here = (diagonal + usize::from(letter != other_letter)).min(left + 1).min(*above + 1);
            diagonal = std::mem::replace(above, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = place + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// A number of bytes, written as a number or as a text with a unit.
pub(super) fn size<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(SizeVisitor(PhantomData))
}

/// As [`size`], of a field that may be absent.
pub(super) fn optional_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    size(deserializer).map(Some)
}

struct SizeVisitor<T>(PhantomData<T>);

impl<T: TryFrom<u64>> Visitor<'_> for SizeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes, or a text with a unit such as \"256 MiB\"")
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<T, E> {
        T::try_from(bytes).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(bytes), &self))
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<T, E> {
        let unsigned = u64::try_from(bytes).map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))?;
        self.visit_u64(unsigned)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        let size: Size = text.parse().map_err(E::custom)?;
        self.visit_u64(size.0)
    }
}
