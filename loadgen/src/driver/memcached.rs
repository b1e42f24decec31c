//! The text protocol of memcached; what is known of an object is asked for with its meta command, of version 1.6.
//!
//! A worker's thread. Always: answers come in the order of their requests; content goes to the sink as it comes.

use super::line::{decimal, line};
use super::pending::Pending;
use super::{Driver, Garbage, Output, Reply, Sink, Slot};
use crate::workload::{Step, Verb};
use std::io::Write as _;

/// A connection to a memcached.
#[derive(Debug)]
pub struct Memcached {
    pending: Pending<(Slot, Verb)>,
    at: At,
    name: Vec<u8>,
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
enum At {
    /// The line that begins an answer.
    Line,
    /// So many bytes of content.
    Content(u64),
    /// What stands behind content.
    End,
}

/// Behind the content of the one object that was asked for.
const END: &[u8; 7] = b"\r\nEND\r\n";

impl Memcached {
    /// A driver for one connection, which lets `depth` requests be unanswered.
    #[must_use]
    pub fn new(depth: usize) -> Self {
        Self { pending: Pending::new(depth), at: At::Line, name: Vec::new() }
    }

    /// The next part of an answer: the bytes that it took; `None` until more is here.
    fn part(&mut self, input: &[u8], sink: &mut dyn Sink) -> Result<Option<usize>, Garbage> {
        match self.at {
            At::Line => self.line(input, sink),
            At::Content(0) => {
                self.at = At::End;
                Ok(Some(0))
            }
            At::Content(left) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                let Some(content) = input.get(..taken).filter(|content| !content.is_empty()) else { return Ok(None) };
                if let Some((slot, _)) = self.pending.front() {
                    sink.content(*slot, content);
                }
                self.at = At::Content(left - taken as u64);
                Ok(Some(taken))
            }
            At::End => {
                let Some(end) = input.first_chunk::<{ END.len() }>() else { return Ok(None) };
                if end != END {
                    return Err(Garbage::instead_of("END behind content", input));
                }
                self.at = At::Line;
                self.end(Reply::Ok { id: None }, sink)?;
                Ok(Some(END.len()))
            }
        }
    }

    fn line(&mut self, input: &[u8], sink: &mut dyn Sink) -> Result<Option<usize>, Garbage> {
        if input.is_empty() {
            return Ok(None);
        }
        let Some((_, verb)) = self.pending.front().copied() else {
            return Err(Garbage::instead_of("nothing: all is answered", input));
        };
        let Some((text, taken)) = line(input)? else { return Ok(None) };
        let first = text.split(|byte| *byte == b' ').next().unwrap_or_default();
        let reply = match (verb, first) {
            (_, b"ERROR") => Reply::Refused("ERROR"),
            (_, b"CLIENT_ERROR") => Reply::Refused("CLIENT_ERROR"),
            (_, b"SERVER_ERROR") => Reply::Refused("SERVER_ERROR"),
            (Verb::Put | Verb::Create, b"STORED") | (Verb::Delete, b"DELETED") => Reply::Ok { id: None },
            (Verb::Put | Verb::Create, b"NOT_STORED") => Reply::Refused("NOT_STORED"),
            (Verb::Delete, b"NOT_FOUND") | (Verb::Get, b"END") => Reply::Missing,
            (Verb::Get, b"VALUE") => {
                let bytes = text.split(|byte| *byte == b' ').nth(3).and_then(decimal);
                let bytes = bytes.ok_or_else(|| Garbage::instead_of("VALUE <key> <flags> <bytes>", input))?;
                self.at = At::Content(bytes);
                return Ok(Some(taken));
            }
            (Verb::Head | Verb::Lookup, b"HD") => Reply::Ok { id: None },
            (Verb::Head | Verb::Lookup, b"EN") => Reply::Missing,
            _ => return Err(Garbage::instead_of(&format!("an answer to a {verb}"), input)),
        };
        self.end(reply, sink)?;
        Ok(Some(taken))
    }

    fn end(&mut self, reply: Reply, sink: &mut dyn Sink) -> Result<(), Garbage> {
        let (slot, _) = self.pending.pop().ok_or_else(|| Garbage("an answer to nothing".to_owned()))?;
        sink.done(slot, reply);
        Ok(())
    }
}

impl Driver for Memcached {
    fn open(&mut self, _: &mut Output) {
        self.pending.clear();
        self.at = At::Line;
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn depth(&self) -> usize {
        self.pending.depth()
    }

    fn can(&self, verb: Verb) -> bool {
        verb != Verb::Range
    }

    /// The most that memcached can be told to take in its `-I`; by itself it takes 1 MiB.
    fn content_bytes_max(&self) -> u64 {
        1 << 30
    }

    fn encode(&mut self, step: &Step, slot: Slot, output: &mut Output) {
        self.name.clear();
        crate::workload::name(step.object.key, &mut self.name);
        let command: &[u8] = match step.verb {
            Verb::Put | Verb::Create => b"set ",
            Verb::Get => b"get ",
            Verb::Head | Verb::Lookup => b"mg ",
            Verb::Delete => b"delete ",
            Verb::Range => unreachable!("it cannot, and says so"),
        };
        output.bytes(command);
        output.bytes(&self.name);
        if step.verb.makes() {
            let bytes = if step.verb == Verb::Put { step.object.bytes } else { 0 };
            write!(output.buffer(), " 0 0 {bytes}\r\n").expect("a vector takes all that is written");
            output.content(step.object.key, bytes);
        }
        output.bytes(b"\r\n");
        self.pending.push((slot, step.verb));
    }

    fn decode(&mut self, input: &[u8], sink: &mut dyn Sink) -> Result<usize, Garbage> {
        let mut rest = input;
        while let Some(taken) = self.part(rest, sink)? {
            rest = rest.get(taken..).expect("no more is taken than is there");
        }
        Ok(input.len() - rest.len())
    }

    fn closed(&mut self, _: &mut dyn Sink) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::cuts::{Seen, everywhere, feed, garbage, sent, step, survives};

    const NAME: &str = "k0000000000000007-0000000000000005";

    fn asked(verbs: &[Verb]) -> (Memcached, Vec<u8>) {
        let mut driver = Memcached::new(8);
        let mut output = Output::default();
        driver.open(&mut output);
        for (slot, verb) in verbs.iter().enumerate() {
            driver.encode(&step(*verb, 5, 20, None), Slot(u32::try_from(slot).unwrap()), &mut output);
        }
        (driver, sent(&mut output))
    }

    #[test]
    fn requests_are_lines_and_content() {
        for (verb, expected) in [
            (Verb::Get, format!("get {NAME}\r\n")),
            (Verb::Head, format!("mg {NAME}\r\n")),
            (Verb::Lookup, format!("mg {NAME}\r\n")),
            (Verb::Delete, format!("delete {NAME}\r\n")),
            (Verb::Create, format!("set {NAME} 0 0 0\r\n\r\n")),
        ] {
            assert_eq!(String::from_utf8(asked(&[verb]).1).unwrap(), expected);
        }
        let put = asked(&[Verb::Put]).1;
        let head = format!("set {NAME} 0 0 20\r\n");
        assert!(put.starts_with(head.as_bytes()) && put.ends_with(b"\r\n") && put.len() == head.len() + 22);
        assert!(!Memcached::new(1).can(Verb::Range));
    }

    #[test]
    fn answers_come_in_order_however_they_are_cut() {
        let verbs = [Verb::Put, Verb::Get, Verb::Get, Verb::Head, Verb::Lookup, Verb::Delete, Verb::Delete, Verb::Get];
        let make = || asked(&verbs).0;
        let found = format!("VALUE {NAME} 0 5\r\nEND\r\n\r\nEND\r\n");
        let empty = format!("VALUE {NAME} 0 0\r\n\r\nEND\r\n");
        let answers = format!("STORED\r\n{found}END\r\nHD\r\nEN\r\nDELETED\r\nNOT_FOUND\r\n{empty}");
        let seen = everywhere(make, answers.as_bytes());
        survives(make, answers.as_bytes());
        let ok = Reply::Ok { id: None };
        let expected = [ok, ok, Reply::Missing, ok, Reply::Missing, ok, Reply::Missing, ok];
        assert_eq!(seen.done, (0..).zip(expected).collect::<Vec<_>>());
        assert_eq!((seen.content(1), seen.content(7)), (&b"END\r\n"[..], &b""[..]));
    }

    #[test]
    fn refusals_are_told_by_their_name() {
        let make = || asked(&[Verb::Put, Verb::Put, Verb::Get, Verb::Get]).0;
        let answers = b"NOT_STORED\r\nSERVER_ERROR out of memory\r\nCLIENT_ERROR bad\r\nERROR\r\n";
        let expected = ["NOT_STORED", "SERVER_ERROR", "CLIENT_ERROR", "ERROR"].map(Reply::Refused);
        assert_eq!(everywhere(make, answers).done, (0..).zip(expected).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_answer_is_garbage() {
        for (verb, answer) in [
            (Verb::Get, &b"STORED\r\n"[..]),
            (Verb::Get, b"VALUE k 0\r\n"),
            (Verb::Get, b"VALUE k 0 -1\r\n"),
            (Verb::Get, b"VALUE k 0 1\r\nab\r\nEND\r\n"),
            (Verb::Get, b"VALUE k 0 1\r\na\r\nVALUE k 0 1\r\n"),
            (Verb::Put, b"STORED\r\nSTORED\r\n"),
            (Verb::Delete, b"+OK\r\n"),
        ] {
            garbage(|| asked(&[verb]).0, answer);
        }
    }

    #[test]
    fn an_end_is_whole_between_answers() {
        let (mut driver, _) = asked(&[Verb::Get]);
        feed(&mut driver, &[b"VALUE k 0 3\r\na"]).unwrap();
        assert!(!driver.closed(&mut Seen::default()));
        feed(&mut driver, &[b"bc\r\nEND\r\n"]).unwrap();
        assert!(driver.closed(&mut Seen::default()));
    }
}
