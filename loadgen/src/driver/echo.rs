//! The echo protocol of this program: frames as long as Larder's, with nothing in them.
//!
//! A worker's thread. Always: answers come in the order of their requests. What they carry is not what was put, so only
//! its length can be checked.

use super::pending::Pending;
use super::{Driver, Garbage, Output, Reply, Sink, Slot};
use crate::echo::frame::{CONTENT_HEAD_BYTES, ECHO_BYTES, Echo as Frame};
use crate::workload::{Key, Step, Verb, payload};
use ::larder::base::limits::CHUNK_BYTES_MAX;

/// A connection to an echo server.
#[derive(Debug)]
pub struct Echo {
    pending: Pending<Asked>,
    correlation: u64,
    /// The answer that is being read: bytes before its content, and of its content.
    body: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    slot: Slot,
    frame: Frame,
    has_content: bool,
}

impl Echo {
    /// A driver for one connection, which lets `depth` requests be unanswered.
    #[must_use]
    pub fn new(depth: usize) -> Self {
        Self { pending: Pending::new(depth), correlation: 0, body: None }
    }

    /// The next part of an answer: the bytes that it took; `None` until more is here.
    fn part(&mut self, input: &[u8], sink: &mut dyn Sink) -> Result<Option<usize>, Garbage> {
        let Some((fields, content)) = &mut self.body else { return self.head(input) };
        let asked = self.pending.front().ok_or_else(|| Garbage("an answer to nothing".to_owned()))?;
        let is_content = *fields == 0;
        let left = if is_content { content } else { fields };
        if *left == 0 {
            sink.done(asked.slot, Reply::Ok { id: None });
            self.pending.pop();
            self.body = None;
            return Ok(Some(0));
        }
        let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
        let Some(bytes) = input.get(..taken).filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
        *left -= taken as u64;
        if is_content {
            sink.content(asked.slot, bytes);
        }
        Ok(Some(taken))
    }

    fn head(&mut self, input: &[u8]) -> Result<Option<usize>, Garbage> {
        let Some(bytes) = input.first_chunk::<ECHO_BYTES>() else { return Ok(None) };
        let frame = Frame::parse(bytes).ok_or_else(|| Garbage::instead_of("the header of an echo", input))?;
        let expected = self
            .pending
            .front()
            .map(|asked| Frame {
                correlation: asked.frame.correlation,
                body_bytes: asked.frame.answer_bytes,
                answer_bytes: 0,
            })
            .ok_or_else(|| Garbage::instead_of("nothing: all is answered", input))?;
        if frame != expected {
            return Err(Garbage(format!("expected {expected:?}, came {frame:?}")));
        }
        let has_content = self.pending.front().is_some_and(|asked| asked.has_content);
        let fields = if has_content { CONTENT_HEAD_BYTES } else { frame.body_bytes };
        self.body = Some((fields, frame.body_bytes - fields));
        Ok(Some(ECHO_BYTES))
    }
}

impl Driver for Echo {
    fn open(&mut self, _: &mut Output) {
        self.pending.clear();
        self.body = None;
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn depth(&self) -> usize {
        self.pending.depth()
    }

    fn can(&self, verb: Verb) -> bool {
        !matches!(verb, Verb::Create | Verb::Lookup)
    }

    fn has_contents(&self) -> bool {
        false
    }

    fn content_bytes_max(&self) -> u64 {
        CHUNK_BYTES_MAX as u64
    }

    fn encode(&mut self, step: &Step, slot: Slot, output: &mut Output) {
        self.correlation = self.correlation.wrapping_add(1);
        let correlation = self.correlation;
        let frame = match step.verb {
            Verb::Put => Frame::put(correlation, step.object.bytes),
            Verb::Get | Verb::Range => Frame::get(correlation, step.expected_bytes()),
            Verb::Head => Frame::head(correlation),
            Verb::Delete => Frame::delete(correlation),
            Verb::Create | Verb::Lookup => unreachable!("it cannot, and says so"),
        };
        output.bytes(&frame.encode());
        let put = if step.verb == Verb::Put { step.object.bytes } else { 0 };
        // The fields before content, of which nobody reads what they say.
        payload::append(Key { seed: 0, number: 0 }, 0, frame.body_bytes - put, output.buffer());
        if put > 0 {
            output.content(step.object.key, put);
        }
        self.pending.push(Asked { slot, frame, has_content: matches!(step.verb, Verb::Get | Verb::Range) });
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

    fn asked(verbs: &[Verb], bytes: u64) -> Echo {
        let mut driver = Echo::new(8);
        let mut output = Output::default();
        for (slot, verb) in verbs.iter().enumerate() {
            driver.encode(&step(*verb, 5, bytes, None), Slot(u32::try_from(slot).unwrap()), &mut output);
        }
        driver
    }

    fn answer(correlation: u64, bytes: u64) -> Vec<u8> {
        let head = Frame { correlation, body_bytes: bytes, answer_bytes: 0 }.encode();
        [&head[..], &vec![b'e'; usize::try_from(bytes).unwrap()]].concat()
    }

    #[test]
    fn requests_are_as_long_as_they_say() {
        for (verb, bytes) in
            [(Verb::Put, 40 + 24 + 9), (Verb::Get, 80), (Verb::Range, 80), (Verb::Head, 60), (Verb::Delete, 60)]
        {
            let mut output = Output::default();
            Echo::new(1).encode(&step(verb, 5, 9, None), Slot(0), &mut output);
            assert_eq!(sent(&mut output).len(), bytes, "{verb}");
        }
    }

    #[test]
    fn answers_come_in_order_however_they_are_cut() {
        let verbs = [Verb::Put, Verb::Get, Verb::Range, Verb::Head, Verb::Delete];
        let answers = [answer(1, 48), answer(2, 56 + 9), answer(3, 56 + 5), answer(4, 40), answer(5, 4)].concat();
        let seen = everywhere(|| asked(&verbs, 9), &answers);
        survives(|| asked(&verbs, 9), &answers);
        assert_eq!(seen.done, (0..5).map(|slot| (slot, Reply::Ok { id: None })).collect::<Vec<_>>());
        assert_eq!((seen.content(1), seen.content(2), seen.content(3)), (&[b'e'; 9][..], &[b'e'; 5][..], &[][..]));
        assert_eq!(everywhere(|| asked(&[Verb::Get], 0), &answer(1, 56)).done.len(), 1);
    }

    #[test]
    fn what_is_no_answer_is_garbage() {
        let make = || asked(&[Verb::Get], 9);
        for wrong in [answer(2, 65), answer(1, 64), vec![0; 40], [answer(1, 65), answer(1, 65)].concat()] {
            garbage(make, &wrong);
        }
        let mut driver = make();
        feed(&mut driver, &[&answer(1, 65)[..90]]).unwrap();
        assert!(!driver.closed(&mut Seen::default()));
    }
}
