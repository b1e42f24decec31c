//! What is printed and written at the end of a session.

use super::exit::Exit;
use super::load::LoadArguments;
use crate::record::{Record, file};
use crate::report;
use crate::session::Outcome;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::path::{Path, PathBuf};

/// Prints to standard output; a reader that went away is no error.
pub(super) fn print(text: &str) -> Result<(), String> {
    match stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}

/// Says what went wrong.
pub(super) fn error(line: &str) {
    // If nobody reads it, there is nobody left to tell.
    let _ = writeln!(stderr(), "loadgen: {}", line.trim_end());
}

/// The arguments are wrong.
pub(super) fn usage(line: &str) -> Exit {
    error(line);
    Exit::Usage
}

/// Prints and writes what a session gave, and says how it ended.
pub(super) fn session(load: &LoadArguments, outcome: &Outcome) -> Result<Exit, String> {
    if load.json {
        for record in &outcome.records {
            let text = serde_json::to_string_pretty(record).map_err(|error| error.to_string())?;
            print(&(text + "\n"))?;
        }
    } else {
        for record in &outcome.records {
            print(&report::text::text(record))?;
        }
    }
    for line in &outcome.errors {
        error(line);
    }
    let mut is_written = true;
    let mut written = |result: Result<(), String>| {
        if let Err(line) = result {
            error(&line);
            is_written = false;
        }
    };
    if let Some(path) = &load.out {
        for (record, path) in outcome.records.iter().zip([path.clone(), beside(path)]) {
            written(file::write(&path, record).map_err(|error| error.to_string()));
        }
    }
    if let Some(path) = &load.html {
        written(html(path, &outcome.records));
    }
    // Wrong content is the graver news.
    let exit = exit(outcome);
    Ok(if is_written || exit == Exit::Wrong { exit } else { Exit::Failed })
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".against");
    name.into()
}

/// Writes a report of records.
pub(super) fn html(path: &Path, records: &[Record]) -> Result<(), String> {
    page(path, &report::html::render(records))
}

/// Writes a page.
pub(super) fn page(path: &Path, text: &str) -> Result<(), String> {
    file::write_text(path, text).map_err(|error| error.to_string())
}

fn exit(outcome: &Outcome) -> Exit {
    let has_doubt =
        |name: &str| outcome.records.iter().flat_map(|record| &record.doubts).any(|doubt| doubt.name == name);
    if outcome.wrong > 0 {
        Exit::Wrong
    } else if outcome.failed > 0 || !outcome.errors.is_empty() || has_doubt("short") {
        Exit::Failed
    } else if has_doubt("generator-bound") {
        Exit::Invalid
    } else {
        Exit::Done
    }
}
