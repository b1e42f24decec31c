//! Why a command failed: its exit code, and one line for the person: the thing, the place, the way out.
//!
//! Always: an exit code means the same for every command. Several failures of one command keep their code when they
//! agree, else it is 1.

use crate::client::ClientError;
use crate::request::Status;
use std::io;
use std::process::ExitCode;

/// What `--help` says about exit codes.
pub const EXIT_CODES: &str = "Exit codes:
  0  all was done
  1  something failed; standard error says what
  2  the arguments or the configuration are wrong, nothing was done
  3  stored data is damaged
  4  the node cannot be reached, or did not answer in time
  5  there is no such object or name
  6  a name leads to something else than it must: it is taken, is no directory, holds something, was changed";

/// The exit code of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Something failed.
    Failed = 1,
    /// The arguments or the configuration are wrong.
    Usage = 2,
    /// Stored data is damaged.
    Damaged = 3,
    /// The node cannot be reached, or did not answer in time.
    Unreachable = 4,
    /// There is no such object or name.
    NotFound = 5,
    /// A name leads to something else than it must.
    Conflict = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// With a line to be told.
    Told(Exit, String),
    /// All was told already.
    Silent(Exit),
    /// Whoever read the output went away: no failure of this command.
    OutputClosed,
}

impl Failure {
    /// A failure with a line to be told.
    pub fn new(exit: Exit, line: impl Into<String>) -> Self {
        Self::Told(exit, line.into())
    }

    /// Standard output cannot be written to.
    pub fn of_output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        Self::new(Exit::Failed, format!("standard output: cannot write: {error}"))
    }

    /// A call for `thing` (an object, a file, `status`) failed.
    pub fn of_client(thing: &str, error: &ClientError) -> Self {
        match error {
            ClientError::Output(output) if output.kind() == io::ErrorKind::BrokenPipe => return Self::OutputClosed,
            ClientError::BrokeOff { source, .. } if matches!(**source, ClientError::Output(_)) => {
                return Self::of_client(thing, source);
            }
            _ => {}
        }
        Self::new(exit_of(error), format!("{thing}: {error}{}", way_out(error)))
    }

    /// Tells it, on standard error, and gives the code to end with.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Told(exit, line) => {
                warn(line);
                (*exit).into()
            }
            Self::Silent(exit) => (*exit).into(),
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

/// Tells one line on standard error. If nobody reads it, there is nobody left to tell.
pub fn warn(line: &str) {
    use io::Write;
    let _ = writeln!(io::stderr().lock(), "larder: {line}");
}

fn exit_of(error: &ClientError) -> Exit {
    match error {
        ClientError::Refused(refusal) => match refusal.status {
            Status::NotFound | Status::ParentNotFound => Exit::NotFound,
            Status::NotADirectory
            | Status::IsADirectory
            | Status::DirectoryNotEmpty
            | Status::AlreadyExists
            | Status::VersionMismatch => Exit::Conflict,
            Status::PathTooLong | Status::BadPath | Status::IntoItself => Exit::Usage,
            Status::Damaged => Exit::Damaged,
            Status::TimedOut => Exit::Unreachable,
            _ => Exit::Failed,
        },
        ClientError::Connect { .. } | ClientError::TimedOut { .. } | ClientError::Lost { .. } => Exit::Unreachable,
        ClientError::BrokeOff { source, .. } => exit_of(source),
        ClientError::Corrupt { .. }
        | ClientError::Protocol { .. }
        | ClientError::Input(_)
        | ClientError::Output(_)
        | ClientError::System(_) => Exit::Failed,
    }
}

fn way_out(error: &ClientError) -> &'static str {
    match error {
        ClientError::Connect { .. } => "; start a node with `larder serve`, or name another with --server",
        ClientError::TimedOut { .. } => "; see `larder status`, or wait longer with --timeout-ms",
        ClientError::Lost { sent: true, .. } => "; a write may have been done or not: look before repeating it",
        ClientError::Lost { .. } => "; nothing was done, try again",
        ClientError::Corrupt { .. } => "; try again, and check the network if it stays",
        ClientError::Protocol { .. } => "; does a node of Larder listen there?",
        ClientError::BrokeOff { source, .. } => way_out(source),
        ClientError::Input(_) | ClientError::Output(_) | ClientError::System(_) => "",
        ClientError::Refused(refusal) => match refusal.status {
            Status::Busy => "; try again in a moment",
            Status::Full => "; delete objects, or give the node another disk with --data",
            Status::Damaged => "; see `larder volume verify`, and restore the object from elsewhere",
            Status::Unavailable => "; see `larder status`",
            Status::ShuttingDown => "; try again when it is back",
            Status::TimedOut => {
                "; a write may have been done or not: see `larder status`, or wait longer with --timeout-ms"
            }
            Status::ParentNotFound => "; make it with `larder mkdir -p`",
            Status::NotADirectory => "; see `larder stat` of the names above it",
            Status::IsADirectory => "; name a file in it, or use -r for all of it",
            Status::DirectoryNotEmpty => "; remove all that is in it with -r",
            Status::AlreadyExists => "; choose another name, or replace what is there",
            Status::VersionMismatch => "; look at it again, and repeat",
            Status::OutcomeForgotten => "; look whether it was done before repeating it",
            _ => "",
        },
    }
}

/// The code of several failures: theirs when they agree, else 1.
#[derive(Debug, Default)]
pub struct Failures(Option<Exit>);

impl Failures {
    /// Tells a failure and counts it.
    ///
    /// # Errors
    /// The failure itself, when going on is no use: nobody reads the output.
    pub fn add(&mut self, failure: Failure) -> Result<(), Failure> {
        let exit = match failure {
            Failure::Told(exit, line) => {
                warn(&line);
                exit
            }
            Failure::Silent(exit) => exit,
            Failure::OutputClosed => return Err(failure),
        };
        self.0 = Some(self.0.map_or(exit, |before| if before == exit { exit } else { Exit::Failed }));
        Ok(())
    }

    /// As [`add`](Self::add), for one file of many.
    ///
    /// # Errors
    /// The failure itself, when going on is no use: a node that is away for one file is away for all of them.
    pub fn add_of_many(&mut self, failure: Failure) -> Result<(), Failure> {
        if matches!(failure, Failure::Told(Exit::Unreachable, _)) { Err(failure) } else { self.add(failure) }
    }

    /// The end of the command.
    ///
    /// # Errors
    /// If there was any failure.
    pub fn end(self) -> Result<(), Failure> {
        self.0.map_or(Ok(()), |exit| Err(Failure::Silent(exit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Refusal;

    #[test]
    fn a_failure_names_thing_place_and_way_out() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let connect = ClientError::Connect { peer: "127.0.0.1:1".into(), source: refused };
        let line = "status: cannot connect to 127.0.0.1:1: connection refused; start a node with `larder serve`, or \
                    name another with --server";
        assert_eq!(Failure::of_client("status", &connect), Failure::new(Exit::Unreachable, line));
        let missing = ClientError::Refused(Refusal::new(Status::NotFound, "no such object"));
        let failure = Failure::of_client("1-2-0000000000000003", &missing);
        assert_eq!(failure, Failure::new(Exit::NotFound, "1-2-0000000000000003: NOT_FOUND: no such object"));
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = || ClientError::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!(Failure::of_client("x", &closed()), Failure::OutputClosed);
        let later = ClientError::BrokeOff { written: 7, source: Box::new(closed()) };
        assert_eq!(Failure::of_client("x", &later), Failure::OutputClosed);
        let full = Failure::of_output(&io::ErrorKind::StorageFull.into());
        assert_eq!(full, Failure::new(Exit::Failed, "standard output: cannot write: no storage space"));
    }

    #[test]
    fn failures_that_agree_keep_their_code() {
        let code = |exits: &[Exit]| {
            let mut failures = Failures::default();
            exits.iter().for_each(|exit| failures.add(Failure::Silent(*exit)).unwrap());
            failures.end()
        };
        assert_eq!(code(&[]), Ok(()));
        assert_eq!(code(&[Exit::NotFound, Exit::NotFound]), Err(Failure::Silent(Exit::NotFound)));
        assert_eq!(code(&[Exit::NotFound, Exit::Damaged]), Err(Failure::Silent(Exit::Failed)));
        assert_eq!(Failures::default().add(Failure::OutputClosed), Err(Failure::OutputClosed));
    }
}
