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

/// Many lines, printed a lot at a time. What is kept is printed by [`end`](Self::end).
#[derive(Debug, Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Adds a line.
    pub fn add(&mut self, text: impl AsRef<[u8]>) -> Result<(), Failure> {
        self.0.extend(text.as_ref());
        self.0.push(b'\n');
        if self.0.len() < 64 << 10 { Ok(()) } else { self.end() }
    }

    /// Prints what is kept.
    pub fn end(&mut self) -> Result<(), Failure> {
        let lines = std::mem::take(&mut self.0);
        if lines.is_empty() { Ok(()) } else { print(&lines) }
    }
}
