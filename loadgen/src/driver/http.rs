//! HTTP/1.1 on connections that are kept; more than one unanswered request is pipelining.
//!
//! A worker's thread. Always: answers come in the order of their requests; content goes to the sink as it comes, and the
//! bodies of all other answers are dropped. After an answer that ends the connection nothing more is sent on it.

mod body;
mod head;

use super::pending::Pending;
use super::{Driver, Garbage, Output, Reply, Sink, Slot};
use crate::workload::{Object, Step, Verb};
use body::{Body, Part};
use head::Head;
use std::io::Write as _;

/// What objects are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameStyle {
    /// By the name of their key, between two texts.
    Keyed {
        /// The path before it, with the slash that it begins with.
        prefix: String,
        /// What follows it.
        suffix: String,
    },
    /// By the decimal number of their key, for stores that give out rows of names.
    Numbered {
        /// The path before it, with the slash that it begins with.
        prefix: String,
        /// What follows it.
        suffix: String,
    },
}

/// How a server is spoken to.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Requests that may be unanswered on a connection.
    pub depth: usize,
    /// The value of the header Host.
    pub host: String,
    /// What objects are called that have no id. Those that have one are under `/.id/`.
    pub names: NameStyle,
}

/// A connection to a server.
#[derive(Debug)]
pub struct Http {
    pending: Pending<(Slot, Verb)>,
    host: String,
    names: NameStyle,
    /// The body that is being read, and how its request ends.
    body: Option<(Body, Reply)>,
    /// The server has said that it closes.
    is_closing: bool,
}

impl Http {
    /// A driver for one connection.
    #[must_use]
    pub fn new(options: HttpOptions) -> Self {
        let HttpOptions { depth, host, names } = options;
        Self { pending: Pending::new(depth), host, names, body: None, is_closing: false }
    }

    /// The next part of an answer: the bytes that it took; `None` until more is here.
    fn part(&mut self, input: &[u8], sink: &mut dyn Sink) -> Result<Option<usize>, Garbage> {
        let Some((body, reply)) = &mut self.body else { return self.head(input, sink) };
        match body.part(input)? {
            Part::Nothing => Ok(None),
            Part::Frame(taken) => Ok(Some(taken)),
            Part::Content(content) => {
                let is_good = matches!(reply, Reply::Ok { .. });
                if let Some((slot, Verb::Get | Verb::Range)) = self.pending.front().filter(|_| is_good) {
                    sink.content(*slot, content);
                }
                Ok(Some(content.len()))
            }
            Part::End => {
                let reply = *reply;
                self.end(reply, sink)?;
                Ok(Some(0))
            }
        }
    }

    fn head(&mut self, input: &[u8], sink: &mut dyn Sink) -> Result<Option<usize>, Garbage> {
        if input.is_empty() {
            return Ok(None);
        }
        let asked = self.pending.front().copied().filter(|_| !self.is_closing);
        let Some((_, verb)) = asked else {
            return Err(Garbage::instead_of("nothing: all is answered, or the connection ends", input));
        };
        let Some((head, taken)) = Head::parse(input)? else { return Ok(None) };
        if head.is_interim()? {
            return Ok(Some(taken));
        }
        let is_bodiless = matches!(verb, Verb::Head | Verb::Lookup) || matches!(head.code, 204 | 304);
        self.is_closing = !head.is_kept || (head.framing == Body::ToTheEnd && !is_bodiless);
        let reply = reply(verb, head.code);
        if is_bodiless {
            self.end(reply, sink)?;
            return Ok(Some(taken));
        }
        self.body = Some((head.framing, reply));
        Ok(Some(taken))
    }

    fn end(&mut self, reply: Reply, sink: &mut dyn Sink) -> Result<(), Garbage> {
        self.body = None;
        let (slot, _) = self.pending.pop().ok_or_else(|| Garbage("an answer to nothing".to_owned()))?;
        sink.done(slot, reply);
        Ok(())
    }

    fn write_path(&self, object: &Object, buffer: &mut Vec<u8>) {
        const TAKES_ALL: &str = "a vector takes all that is written";
        match (&self.names, object.id) {
            (_, Some(id)) => write!(buffer, "/.id/{id}").expect(TAKES_ALL),
            (NameStyle::Keyed { prefix, suffix }, None) => {
                buffer.extend_from_slice(prefix.as_bytes());
                crate::workload::name(object.key, buffer);
                buffer.extend_from_slice(suffix.as_bytes());
            }
            (NameStyle::Numbered { prefix, suffix }, None) => {
                write!(buffer, "{prefix}{}{suffix}", object.key.number).expect(TAKES_ALL);
            }
        }
    }
}

impl Driver for Http {
    fn open(&mut self, _: &mut Output) {
        self.pending.clear();
        self.body = None;
        self.is_closing = false;
    }

    fn is_ready(&self) -> bool {
        !self.is_closing
    }

    fn depth(&self) -> usize {
        self.pending.depth()
    }

    fn can(&self, _: Verb) -> bool {
        true
    }

    fn encode(&mut self, step: &Step, slot: Slot, output: &mut Output) {
        const TAKES_ALL: &str = "a vector takes all that is written";
        let method = match step.verb {
            Verb::Put | Verb::Create => "PUT ",
            Verb::Get | Verb::Range => "GET ",
            Verb::Head | Verb::Lookup => "HEAD ",
            Verb::Delete => "DELETE ",
        };
        let buffer = output.buffer();
        buffer.extend_from_slice(method.as_bytes());
        self.write_path(&step.object, buffer);
        write!(buffer, " HTTP/1.1\r\nHost: {}\r\n", self.host).expect(TAKES_ALL);
        if step.verb == Verb::Range {
            let (start, bytes) = step.range.expect("a range has its bounds");
            write!(buffer, "Range: bytes={start}-{}\r\n", start + bytes.max(1) - 1).expect(TAKES_ALL);
        }
        if step.verb.makes() {
            let bytes = if step.verb == Verb::Put { step.object.bytes } else { 0 };
            write!(buffer, "Content-Length: {bytes}\r\n\r\n").expect(TAKES_ALL);
            output.content(step.object.key, bytes);
        } else {
            buffer.extend_from_slice(b"\r\n");
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

    fn closed(&mut self, sink: &mut dyn Sink) -> bool {
        if let Some((Body::ToTheEnd, reply)) = &self.body {
            let reply = *reply;
            if self.end(reply, sink).is_err() {
                return false;
            }
        }
        self.pending.is_empty()
    }
}

/// What a status says of a request.
fn reply(verb: Verb, code: u16) -> Reply {
    let is_good = match verb {
        Verb::Put | Verb::Create => matches!(code, 200 | 201 | 204),
        Verb::Get => code == 200,
        Verb::Range => code == 206,
        Verb::Head | Verb::Lookup => matches!(code, 200 | 204),
        Verb::Delete => matches!(code, 200 | 202 | 204),
    };
    match code {
        _ if is_good => Reply::Ok { id: None },
        404 | 410 => Reply::Missing,
        429 | 503 => Reply::Busy,
        code => Reply::Refused(head::code_name(code)),
    }
}

#[cfg(test)]
#[path = "http/tests.rs"]
mod tests;
