//! RESP, as Redis speaks it: an object is a string under its name.
//!
//! A worker's thread. Always: answers come in the order of their requests; content goes to the sink as it comes. An answer
//! of another type than its request has is garbage.

use super::line::{decimal, line};
use super::pending::Pending;
use super::{Driver, Garbage, Output, Reply, Sink, Slot};
use crate::workload::{Step, Verb};
use std::io::Write as _;

/// The first words of errors that a server is known to answer.
const WORDS: [&str; 17] = [
    "ERR",
    "OOM",
    "WRONGTYPE",
    "READONLY",
    "NOAUTH",
    "NOPERM",
    "MISCONF",
    "LOADING",
    "BUSY",
    "BUSYKEY",
    "MOVED",
    "ASK",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "NOREPLICAS",
    "TRYAGAIN",
    "DENIED",
];

/// A connection to a Redis, or what speaks like one.
#[derive(Debug)]
pub struct Resp {
    pending: Pending<(Slot, Verb)>,
    at: At,
    name: Vec<u8>,
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
enum At {
    /// The line that begins an answer.
    Line,
    /// A string: bytes of it that are still to come, and how its request ends behind it.
    Bulk(u64, Reply),
    /// CR LF behind a string.
    End(Reply),
}

impl Resp {
    /// A driver for one connection, which lets `depth` requests be unanswered.
    #[must_use]
    pub fn new(depth: usize) -> Self {
        Self { pending: Pending::new(depth), at: At::Line, name: Vec::new() }
    }

    /// The next part of an answer: the bytes that it took; `None` until more is here.
    fn part(&mut self, input: &[u8], sink: &mut dyn Sink) -> Result<Option<usize>, Garbage> {
        match self.at {
            At::Line => self.line(input, sink),
            At::Bulk(0, reply) => {
                self.at = At::End(reply);
                Ok(Some(0))
            }
            At::Bulk(left, reply) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                let Some(content) = input.get(..taken).filter(|content| !content.is_empty()) else { return Ok(None) };
                if let Some((slot, Verb::Get | Verb::Range)) = self.pending.front() {
                    sink.content(*slot, content);
                }
                self.at = At::Bulk(left - taken as u64, reply);
                Ok(Some(taken))
            }
            At::End(reply) => {
                let Some(end) = input.first_chunk::<2>() else { return Ok(None) };
                if end != b"\r\n" {
                    return Err(Garbage::instead_of("CR LF behind a string", input));
                }
                self.at = At::Line;
                self.end(reply, sink)?;
                Ok(Some(2))
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
        let is_nil = matches!(text, b"$-1" | b"*-1" | b"_");
        let reply = match (verb, text.split_first()) {
            (_, Some((b'-', error))) => Reply::Refused(first_word(error)),
            (Verb::Put | Verb::Create, Some((b'+', b"OK"))) => Reply::Ok { id: None },
            (Verb::Get | Verb::Range, _) if is_nil => Reply::Missing,
            (Verb::Get | Verb::Range, Some((b'$', bytes))) => {
                let bytes = decimal(bytes).ok_or_else(|| Garbage::instead_of("the length of a string", input))?;
                // A range of what is not there is an empty string.
                let is_missing = verb == Verb::Range && bytes == 0;
                self.at = At::Bulk(bytes, if is_missing { Reply::Missing } else { Reply::Ok { id: None } });
                return Ok(Some(taken));
            }
            (Verb::Head | Verb::Lookup | Verb::Delete, Some((b':', b"1"))) => Reply::Ok { id: None },
            (Verb::Head | Verb::Lookup | Verb::Delete, Some((b':', b"0"))) => Reply::Missing,
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

impl Driver for Resp {
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

    fn can(&self, _: Verb) -> bool {
        true
    }

    /// The `proto-max-bulk-len` that Redis has by itself.
    fn content_bytes_max(&self) -> u64 {
        512 << 20
    }

    fn encode(&mut self, step: &Step, slot: Slot, output: &mut Output) {
        self.name.clear();
        crate::workload::name(step.object.key, &mut self.name);
        let command = match step.verb {
            Verb::Put | Verb::Create => "*3\r\n$3\r\nSET",
            Verb::Get => "*2\r\n$3\r\nGET",
            Verb::Range => "*4\r\n$8\r\nGETRANGE",
            Verb::Head | Verb::Lookup => "*2\r\n$6\r\nEXISTS",
            Verb::Delete => "*2\r\n$3\r\nDEL",
        };
        let buffer = output.buffer();
        write!(buffer, "{command}\r\n${}\r\n", self.name.len()).expect("a vector takes all that is written");
        buffer.extend_from_slice(&self.name);
        buffer.extend_from_slice(b"\r\n");
        match (step.verb, step.range) {
            (Verb::Put | Verb::Create, _) => {
                let bytes = if step.verb == Verb::Put { step.object.bytes } else { 0 };
                write!(buffer, "${bytes}\r\n").expect("a vector takes all that is written");
                output.content(step.object.key, bytes);
                output.bytes(b"\r\n");
            }
            (Verb::Range, range) => {
                let (start, bytes) = range.expect("a range has its bounds");
                bulk_decimal(buffer, start);
                bulk_decimal(buffer, start + bytes.max(1) - 1);
            }
            _ => {}
        }
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

/// A number as a string of its own.
fn bulk_decimal(buffer: &mut Vec<u8>, number: u64) {
    let digits = number.checked_ilog10().unwrap_or(0) + 1;
    write!(buffer, "${digits}\r\n{number}\r\n").expect("a vector takes all that is written");
}

fn first_word(error: &[u8]) -> &'static str {
    let word = error.split(|byte| *byte == b' ').next().unwrap_or_default();
    WORDS.into_iter().find(|known| known.as_bytes() == word).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::cuts::{Seen, everywhere, feed, garbage, sent, step, survives};

    fn asked(verbs: &[Verb]) -> (Resp, Vec<u8>) {
        let mut driver = Resp::new(8);
        let mut output = Output::default();
        driver.open(&mut output);
        for (slot, verb) in verbs.iter().enumerate() {
            driver.encode(&step(*verb, 5, 20, None), Slot(u32::try_from(slot).unwrap()), &mut output);
        }
        (driver, sent(&mut output))
    }

    #[test]
    fn requests_are_arrays_of_strings() {
        let name = "$34\r\nk0000000000000007-0000000000000005\r\n";
        for (verb, expected) in [
            (Verb::Get, format!("*2\r\n$3\r\nGET\r\n{name}")),
            (Verb::Range, format!("*4\r\n$8\r\nGETRANGE\r\n{name}$1\r\n3\r\n$1\r\n7\r\n")),
            (Verb::Head, format!("*2\r\n$6\r\nEXISTS\r\n{name}")),
            (Verb::Lookup, format!("*2\r\n$6\r\nEXISTS\r\n{name}")),
            (Verb::Delete, format!("*2\r\n$3\r\nDEL\r\n{name}")),
            (Verb::Create, format!("*3\r\n$3\r\nSET\r\n{name}$0\r\n\r\n")),
        ] {
            assert_eq!(asked(&[verb]).1.escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
        }
        let put = asked(&[Verb::Put]).1;
        assert!(put.starts_with(format!("*3\r\n$3\r\nSET\r\n{name}$20\r\n").as_bytes()) && put.ends_with(b"\r\n"));
        let mut digits = Vec::new();
        for number in [0, 9, 10, u64::MAX] {
            bulk_decimal(&mut digits, number);
        }
        assert_eq!(digits, b"$1\r\n0\r\n$1\r\n9\r\n$2\r\n10\r\n$20\r\n18446744073709551615\r\n");
    }

    #[test]
    fn answers_come_in_order_however_they_are_cut() {
        let verbs = [Verb::Put, Verb::Get, Verb::Get, Verb::Range, Verb::Head, Verb::Delete, Verb::Get, Verb::Range];
        let make = || asked(&verbs).0;
        let answers = b"+OK\r\n$4\r\n\r\n\r\n\r\n$-1\r\n$5\r\n34567\r\n:1\r\n:0\r\n$0\r\n\r\n$0\r\n\r\n";
        let seen = everywhere(make, answers);
        survives(make, answers);
        let ok = Reply::Ok { id: None };
        let expected = [ok, ok, Reply::Missing, ok, ok, Reply::Missing, ok, Reply::Missing];
        assert_eq!(seen.done, (0..).zip(expected).collect::<Vec<_>>());
        assert_eq!((seen.content(1), seen.content(3)), (&b"\r\n\r\n"[..], &b"34567"[..]));
    }

    #[test]
    fn errors_are_told_by_their_first_word() {
        let make = || asked(&[Verb::Put, Verb::Get, Verb::Get]).0;
        let errors = b"-OOM command not allowed\r\n-WRONGTYPE\r\n-NEVERHEARD of\r\n";
        let expected = ["OOM", "WRONGTYPE", "other"].map(Reply::Refused);
        assert_eq!(everywhere(make, errors).done, (0..).zip(expected).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_answer_is_garbage() {
        for (verb, answer) in [
            (Verb::Get, &b":1\r\n"[..]),
            (Verb::Get, b"$+5\r\n"),
            (Verb::Get, b"$2\r\nabcd"),
            (Verb::Get, b"HTTP/1.1 200 OK\r\n"),
            (Verb::Put, b"+QUEUED\r\n"),
            (Verb::Put, b"+OK\r\n+OK\r\n"),
            (Verb::Head, b":2\r\n"),
            (Verb::Delete, b"$-1\r\n"),
        ] {
            garbage(|| asked(&[verb]).0, answer);
        }
    }

    #[test]
    fn an_end_is_whole_between_answers() {
        let (mut driver, _) = asked(&[Verb::Get]);
        feed(&mut driver, &[b"$3\r\na"]).unwrap();
        assert!(!driver.closed(&mut Seen::default()));
        feed(&mut driver, &[b"bc\r\n"]).unwrap();
        assert!(driver.closed(&mut Seen::default()));
        driver.open(&mut Output::default());
        feed(&mut driver, &[b"+OK\r\n"]).expect_err("nothing was asked on the new connection");
    }
}
