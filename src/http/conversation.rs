//! One connection's side of HTTP.
//!
//! Processor thread. Always: one request is under way at a time, so answers are in the order of the requests however many
//! were sent ahead; its end is counted and logged once; after what cannot be read, or cannot be answered to the end, the
//! connection ends. An idle conversation holds a few words.

use super::Origin;
use super::begin;
use super::chunked::{self, Chunked};
use super::date;
use super::exchange::{Act, Exchange, Line, Told};
use super::framing::Framing;
use super::head::{Head, Method, Parsed, Version, parse};
use super::log_line::{self, LogLine};
use super::refused::Failure;
use super::upload::{Upload, too_large};
use crate::base::limits::CHUNK_BYTES_MAX;
use crate::metrics::HttpMethod;
use crate::net::{Arrival, Body, Decoded, Output, Peer, Protocol, Tag};
use crate::request::{Answer, Refusal};
use std::sync::Arc;

pub(super) struct Conversation {
    origin: Arc<Origin>,
    peer: Peer,
    current: Option<Box<Current>>,
    /// The connection ends when what was said is sent.
    closes: bool,
}

/// The request that is under way.
struct Current {
    exchange: Exchange,
    logged: Option<Box<LogLine>>,
    /// Of a body that comes in chunks of its own.
    chunked: Option<Chunked>,
    /// Such a body's next chunk of ours has a buffer.
    is_open: bool,
}

impl Conversation {
    pub(super) fn new(origin: Arc<Origin>, peer: Peer) -> Self {
        Self { origin, peer, current: None, closes: false }
    }

    fn begin(&mut self, head_bytes: usize, head: &Head<'_>) -> Decoded {
        let line = Line {
            method: head.method,
            is_head: head.method == Method::Head,
            is_old: head.version == Version::Http10,
            keep_alive: head.keep_alive,
            started: self.origin.clock.now(),
        };
        let logged = LogLine::of(head, &self.origin);
        let (act, failure) = match begin::act(head, &self.origin) {
            Ok(act) => (act, None),
            Err(failure) => (Act::Told, Some(failure)),
        };
        let act = match act {
            Act::Read(mut read) if self.origin.hot.is_on() && is_plain(head) => {
                read.keeps_as = Some(head.target.into());
                Act::Read(read)
            }
            act => act,
        };
        let chunked = (head.framing == Framing::Chunked).then(Chunked::begin);
        let exchange = Exchange { line, told: Told::default(), act };
        let mut current = Box::new(Current { exchange, logged, chunked, is_open: false });
        if let Some(failure) = failure {
            let has_body = !matches!(head.framing, Framing::None | Framing::Length(0));
            return self.refuse(current, failure, has_body, head_bytes);
        }
        let decoded = current.first(head_bytes, head.expects_continue);
        self.current = Some(current);
        decoded
    }

    /// The answer to a plain GET that is kept, if it is.
    fn hot(&self, head: &Head<'_>) -> Option<Arrival> {
        let origin = &self.origin;
        if !origin.hot.is_on() || origin.access_log.is_some() || !is_plain(head) {
            return None;
        }
        let answer = origin.hot.find(head.target)?;
        let (head, own, content) = answer.parts(&date::date(origin.clock.wall_ms()));
        let http = &self.peer.metrics.http;
        http.request(HttpMethod::Get, 200);
        http.sent(HttpMethod::Get, content.len() as u64);
        // It took less than a microsecond, the least that is told apart.
        http.whole(HttpMethod::Get.work()).record(0);
        Some(Arrival::Answer { head, own, content })
    }

    /// The answer is known before anything was done. A body that is still to come is not waited for.
    fn refuse(&mut self, mut current: Box<Current>, failure: Failure, has_body: bool, head_bytes: usize) -> Decoded {
        let exchange = &mut current.exchange;
        exchange.line.keep_alive &= !has_body;
        let answer = failure.bytes(&exchange.line, self.origin.clock.wall_ms());
        exchange.told = Told { status: Some(failure.status), is_whole: true, ..Told::default() };
        self.current = Some(current);
        self.complete();
        let arrival = if has_body { Arrival::End(answer) } else { Arrival::Reply(answer) };
        Decoded::Whole { head_bytes, arrival }
    }

    /// The request is over: it is counted and logged, and the next may come.
    fn complete(&mut self) {
        let Some(mut current) = self.current.take() else { return };
        let Exchange { line, told, .. } = &mut current.exchange;
        if line.is_head {
            // RFC 9110, 9.3.2: what was said had no content.
            told.bytes = 0;
        }
        self.closes |= !current.exchange.line.keep_alive || current.exchange.told.is_broken;
        self.count(&current);
    }

    fn count(&self, current: &Current) {
        let Exchange { line, told, act } = &current.exchange;
        let http = &self.peer.metrics.http;
        http.request(line.method, told.status.unwrap_or(499));
        http.sent(line.method, told.bytes);
        if let Act::Upload(upload) = act {
            http.received(line.method, upload.received());
        }
        http.whole(line.method.work()).record(self.origin.clock.now().since(line.started));
        log_line::ended(&current.exchange, current.logged.as_deref(), &self.origin, self.peer.address);
    }

    /// A request that could not be read.
    fn unreadable(&mut self, input: &[u8], failure: Failure) -> Arrival {
        self.closes = true;
        self.peer.metrics.http.request(HttpMethod::Other, failure.status);
        // RFC 9110, 9.3.2: an answer to HEAD has no content, and whatever else is wrong, this can be told.
        let is_head = input.trim_ascii_start().starts_with(b"HEAD ");
        let line = Line { is_head, ..Line::unknown(self.origin.clock.now()) };
        Arrival::End(failure.bytes(&line, self.origin.clock.wall_ms()))
    }
}

impl Protocol for Conversation {
    fn decode(&mut self, input: &[u8]) -> Decoded {
        if let Some(current) = &mut self.current {
            return current.body(input);
        }
        match parse(input) {
            Parsed::More => Decoded::More,
            Parsed::Head { head_bytes, head } => match self.hot(&head) {
                Some(arrival) => Decoded::Whole { head_bytes, arrival },
                None => self.begin(head_bytes, &head),
            },
            Parsed::Bad(bad) => Decoded::Whole { head_bytes: input.len(), arrival: self.unreadable(input, bad.into()) },
        }
    }

    fn absorb(&mut self, bytes: &[u8]) -> usize {
        self.upload().map_or(bytes.len(), |upload| upload.absorb(bytes))
    }

    fn finish(&mut self, body: Option<Body>) -> Arrival {
        if let Some(current) = &mut self.current {
            current.is_open = false;
        }
        if let Some(upload) = self.upload() {
            upload.chunk(body);
        }
        Arrival::Taken
    }

    fn give_up(&mut self, refusal: Refusal) {
        if let Some(upload) = self.upload() {
            upload.fail(Failure::of(&refusal, true));
        }
    }

    fn encode(&mut self, tag: Tag, answer: Answer, last: bool, output: &mut Output) {
        // An answer that comes after the request has ended finds another request, or none.
        let Some(current) = &mut self.current else { return };
        current.exchange.answer(&self.origin, tag, answer, last, output);
        if current.exchange.told.is_whole {
            self.complete();
        }
    }

    fn next(&mut self) -> Option<Arrival> {
        let Some(current) = &mut self.current else {
            return std::mem::take(&mut self.closes).then_some(Arrival::Close);
        };
        let arrival = current.exchange.next(&self.origin);
        if current.exchange.told.is_whole {
            self.complete();
        }
        arrival
    }

    fn takes_more(&self) -> bool {
        match &self.current {
            None => !self.closes,
            Some(current) => matches!(&current.exchange.act, Act::Upload(upload) if upload.takes_more()),
        }
    }

    fn is_at_rest(&self) -> bool {
        self.current.is_none()
    }

    fn last_words(&mut self, refusal: &Refusal, output: &mut Output) {
        let now_ms = self.origin.clock.wall_ms();
        let failure = Failure::of(refusal, true);
        match &mut self.current {
            // In the middle of an answer nothing can be said.
            Some(current) if current.exchange.told.status.is_some() => current.exchange.told.is_broken = true,
            Some(current) => {
                current.exchange.line.keep_alive = false;
                current.exchange.told.status = Some(failure.status);
                output.push(failure.bytes(&current.exchange.line, now_ms));
            }
            None => {
                self.peer.metrics.http.request(HttpMethod::Other, failure.status);
                output.push(failure.bytes(&Line::unknown(self.origin.clock.now()), now_ms));
            }
        }
        self.complete();
    }
}

impl Conversation {
    fn upload(&mut self) -> Option<&mut Upload> {
        match &mut self.current.as_mut()?.exchange.act {
            Act::Upload(upload) => Some(upload),
            _ => None,
        }
    }
}

impl Current {
    /// What comes behind the head.
    fn first(&mut self, head_bytes: usize, waits: bool) -> Decoded {
        let Act::Upload(upload) = &mut self.exchange.act else {
            return Decoded::Whole { head_bytes, arrival: Arrival::Taken };
        };
        let body_bytes = upload.next_chunk_bytes();
        if waits || self.chunked.is_some() || body_bytes == 0 {
            return Decoded::Whole { head_bytes, arrival: Arrival::Taken };
        }
        Decoded::Body { head_bytes, body_bytes, keep: true }
    }

    /// What of the input belongs to the body.
    fn body(&mut self, input: &[u8]) -> Decoded {
        let Act::Upload(upload) = &mut self.exchange.act else { return Decoded::More };
        let Some(chunked) = &mut self.chunked else {
            return Decoded::Body { head_bytes: 0, body_bytes: upload.next_chunk_bytes(), keep: true };
        };
        if !self.is_open {
            self.is_open = true;
            return Decoded::Open { head_bytes: 0, bytes_max: CHUNK_BYTES_MAX };
        }
        let room = upload.room_in_chunk();
        // What is full may only end. It is not sealed before it does: whether it is whole is not known.
        let here = match upload.is_full() {
            true => input,
            false if room == 0 => return Decoded::Sealed { skip: 0 },
            false => input.get(..room).unwrap_or(input),
        };
        match chunked.next(here) {
            Ok(chunked::Step::More) => Decoded::Content { skip: here.len(), take: 0 },
            Ok(chunked::Step::Data { .. }) if upload.is_full() => self.broken(too_large(), input.len()),
            Ok(chunked::Step::Data { skip, take }) => Decoded::Content { skip, take },
            Ok(chunked::Step::End { skip }) => {
                upload.ended();
                Decoded::Sealed { skip }
            }
            Err(bad) => self.broken(bad.into(), input.len()),
        }
    }

    /// The rest of the body is not read: what it belongs to is not done. This is said before anything is read again, be it the
    /// end of the stream.
    fn broken(&mut self, failure: Failure, bytes: usize) -> Decoded {
        if let Act::Upload(upload) = &mut self.exchange.act {
            upload.fail(failure);
        }
        Decoded::Whole { head_bytes: bytes, arrival: Arrival::Taken }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // The peer went away, or the node stopped.
        self.complete();
    }
}

/// Whether the answer to a GET depends on nothing but the target.
fn is_plain(head: &Head<'_>) -> bool {
    let dates = head.if_modified_since.is_some() || head.if_unmodified_since.is_some();
    let ranges = head.range.is_some() || head.if_range.is_some();
    head.method == Method::Get
        && head.version == Version::Http11
        && head.keep_alive
        && head.framing == Framing::None
        && !head.expects_continue
        && !dates
        && !ranges
        && head.if_match.is_empty()
        && head.if_none_match.is_empty()
        && head.target.first() == Some(&b'/')
        && !head.target.contains(&b'?')
}

#[cfg(test)]
mod tests;
