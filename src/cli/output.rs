//! Standard output, to which facts are printed.
//!
//! Always: a reader that goes away is [`Failure::OutputClosed`], never a panic.

use super::failure::Failure;
use serde::Serialize;
use std::io::{self, Write};

/// Prints bytes.
pub fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    output.write_all(bytes).and_then(|()| output.flush()).map_err(|error| Failure::of_output(&error))
}

/// Prints a text and ends its line.
pub fn line(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    print(&[text.as_ref(), b"\n"].concat())
}

/// Prints a value as one line of JSON.
pub fn json_line(value: &impl Serialize) -> Result<(), Failure> {
    line(serde_json::to_vec(value).expect("facts have text keys only"))
}

/// Prints a value as JSON for people.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(serde_json::to_vec_pretty(value).expect("facts have text keys only"))
}
