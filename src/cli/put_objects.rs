//! `larder put --id`: files to objects.
//!
//! Several objects are on their way at once, bounded by count and by bytes. Always: facts come in the order of the
//! files; a file that fails does not keep the others from being stored.

use super::failure::{Exit, Failure, Failures};
use super::files::{self, Found, Source};
use super::output;
use super::put::{Class, Put};
use super::upload::cannot_read;
use crate::base::limits::CHUNK_BYTES_MAX;
use crate::client::{Client, PutOptions, Ticket};
use crate::request::{Attributes, Durability, Stored};
use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;

/// Bytes on their way at once, whatever --in-flight says.
const WINDOW_BYTES: usize = 64 << 20;

/// What is printed of an object.
#[derive(Debug, Serialize)]
struct Fact<'a> {
    id: String,
    size: u64,
    hash: String,
    durability: Durability,
    path: &'a str,
}

/// Stores all that the options name.
pub fn run(options: &Put) -> Result<(), Failure> {
    let client = options.server.connect("put")?;
    let mut run = Run {
        client,
        options,
        window: VecDeque::new(),
        window_bytes: 0,
        failures: Failures::default(),
        bar: bar(if options.recursive.is_empty() { Some(options.files.len() as u64) } else { None }),
    };
    let outcome = run.all(files::named(&options.files).chain(files::under(&options.recursive)));
    run.bar.finish_and_clear();
    outcome?;
    run.failures.end()
}

/// A bar on standard error if that is a terminal; hidden otherwise. Without a total it counts.
fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {pos}/{len} objects {elapsed} {wide_msg}"),
        None => (ProgressBar::new_spinner(), "{spinner} {pos} objects ({per_sec}) {elapsed} {wide_msg}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("a template of this program"))
}

struct Run<'a> {
    client: Client,
    options: &'a Put,
    window: VecDeque<Sent>,
    window_bytes: usize,
    failures: Failures,
    bar: ProgressBar,
}

/// An object on its way.
struct Sent {
    ticket: Ticket<Stored>,
    source: Source,
    bytes: usize,
}

impl Run<'_> {
    /// Puts all; ends early only if it is no use to go on.
    fn all(&mut self, found: impl Iterator<Item = Found>) -> Result<(), Failure> {
        for found in found {
            match found {
                Found::File(source) => match read(&source) {
                    Ok(content) => self.send(source, content)?,
                    Err(failure) => self.fail(failure)?,
                },
                Found::Failed(line) => self.fail(Failure::new(Exit::Failed, line))?,
                Found::Skipped(line) => self.bar.suspend(|| super::failure::warn(&line)),
            }
        }
        while !self.window.is_empty() {
            self.finish_first()?;
        }
        Ok(())
    }

    fn send(&mut self, source: Source, content: Bytes) -> Result<(), Failure> {
        let bytes = content.len();
        while self.window.len() >= usize::from(self.options.in_flight)
            || (!self.window.is_empty() && self.window_bytes + bytes > WINDOW_BYTES)
        {
            self.finish_first()?;
        }
        let durability = match self.options.durability {
            Class::Disk => Durability::Disk,
            Class::Memory => Durability::Memory,
        };
        let options = PutOptions { durability, attributes: attributes(&source)?, ..PutOptions::default() };
        self.window_bytes += bytes;
        self.window.push_back(Sent { ticket: self.client.submit_put(content, options), source, bytes });
        Ok(())
    }

    /// Waits for the object that was sent first.
    fn finish_first(&mut self) -> Result<(), Failure> {
        let Some(Sent { ticket, source, bytes }) = self.window.pop_front() else {
            return Ok(());
        };
        self.window_bytes -= bytes;
        match ticket.wait() {
            Ok(stored) => {
                let printed = self.bar.suspend(|| self.print(&stored, &source));
                self.bar.inc(1);
                // The ids are the only way to the objects: when nobody keeps them, that is a failure here.
                printed.map_err(|failure| match failure {
                    Failure::OutputClosed => {
                        let line =
                            format!("{}: stored as {}, but standard output is closed", source.shown(), stored.id);
                        Failure::new(Exit::Failed, line)
                    }
                    other => other,
                })
            }
            Err(error) => {
                let failure = Failure::of_client(&source.shown(), &error);
                // A node that is away for one file is away for all of them.
                if matches!(failure, Failure::Told(Exit::Unreachable, _)) {
                    return Err(failure);
                }
                self.fail(failure)
            }
        }
    }

    fn fail(&mut self, failure: Failure) -> Result<(), Failure> {
        let Self { bar, failures, .. } = self;
        bar.suspend(|| failures.add(failure))
    }

    fn print(&self, stored: &Stored, source: &Source) -> Result<(), Failure> {
        if self.options.json {
            let fact = Fact {
                id: stored.id.to_string(),
                size: stored.size,
                hash: stored.hash.to_string(),
                durability: stored.durability,
                path: &source.shown(),
            };
            return output::json_line(&fact);
        }
        let mut line = format!("{}\t{}\t", stored.id, stored.size).into_bytes();
        line.extend(source.path_bytes());
        output::line(line)
    }
}

/// The content of a source, which may be at most one object.
fn read(source: &Source) -> Result<Bytes, Failure> {
    match source {
        Source::Input => at_most_one_object(source, &mut std::io::stdin().lock()),
        Source::File(path) => {
            at_most_one_object(source, &mut File::open(path).map_err(|error| cannot_read(source, &error))?)
        }
    }
}

fn at_most_one_object(source: &Source, from: &mut impl Read) -> Result<Bytes, Failure> {
    let mut content = Vec::new();
    let read = from.take(CHUNK_BYTES_MAX as u64 + 1).read_to_end(&mut content);
    read.map_err(|error| cannot_read(source, &error))?;
    if content.len() > CHUNK_BYTES_MAX {
        let line = format!(
            "{}: over 8 MiB: larger files need names: give a path that begins with / instead of --id",
            source.shown()
        );
        return Err(Failure::new(Exit::Failed, line));
    }
    Ok(content.into())
}

fn attributes(source: &Source) -> Result<Attributes, Failure> {
    let name = source.file_name();
    let list: &[(u8, &[u8])] = if name.is_empty() { &[] } else { &[(Attributes::FILE_NAME, name)] };
    Attributes::of(list)
        .map_err(|error| Failure::new(Exit::Failed, format!("{}: its name is too long: {error}", source.shown())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_object_is_read_and_one_byte_more_is_refused() {
        let content = at_most_one_object(&Source::Input, &mut std::io::repeat(7).take(8 << 20)).unwrap();
        assert_eq!(content.len(), 8 << 20);
        let refused = at_most_one_object(&Source::Input, &mut std::io::repeat(7)).unwrap_err();
        let Failure::Told(Exit::Failed, line) = refused else { panic!("{refused:?}") };
        assert!(line.starts_with("-: over 8 MiB: larger files need names"), "{line}");
        assert_eq!(read(&Source::File("/nowhere/x".into())).unwrap_err(), {
            let line = "/nowhere/x: cannot read: No such file or directory (os error 2)";
            Failure::new(Exit::Failed, line)
        });
    }

    #[test]
    fn the_name_of_a_file_is_kept() {
        let attributes_of = |path: &str| attributes(&Source::File(path.into())).unwrap();
        let attributes_of_file = attributes_of("a/photo.jpg");
        assert_eq!(attributes_of_file.value(Attributes::FILE_NAME), Some(&b"photo.jpg"[..]));
        assert_eq!(attributes(&Source::Input).unwrap(), Attributes::default());
    }
}
