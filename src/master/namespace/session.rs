//! One session: which of its numbers are finished, and the last answers.
//!
//! Owned by the apply thread. Always: a number that has an answer is finished; answers are in the order in which they
//! were given, the oldest first.
//!
//! ```text
//! open:     1 u8 | used_ms | numbers | answers: how many, then each
//! closed:   2 u8 | closed_ms | numbers
//! answer:   number | status u8, and for 0: version | size | removal | flags u8: 1 replaced, 2 a hash follows | [hash 16]
//! ```

use super::numbers::Numbers;
use crate::master::StateError;
use crate::master::fields::{Fields, push_varint};
use crate::request::{Changed, NameAnswer, Refusal, Status};
use std::collections::VecDeque;

const OPEN: u8 = 1;
const CLOSED: u8 = 2;
const REPLACED: u8 = 1;
const HASH: u8 = 2;

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Changed(Changed),
    Refused(Status),
}

impl Ending {
    /// What is told to who asks again.
    pub fn again(self) -> Result<NameAnswer, Refusal> {
        match self {
            Self::Changed(changed) => Ok(NameAnswer::Changed(changed)),
            Self::Refused(status) => Err(Refusal::new(status, "the change was refused when it came first")),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct OpenSession {
    pub used_ms: u64,
    pub finished: Numbers,
    answers: VecDeque<(u64, Ending)>,
    /// It is on the list of those that are to be stored.
    pub listed: bool,
}

/// A session that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedSession {
    /// When, in milliseconds since 1970.
    pub closed_ms: u64,
    /// Numbers whose chunks are not dead.
    pub finished: Numbers,
}

/// A session as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Open(OpenSession),
    Closed(ClosedSession),
}

impl OpenSession {
    /// One that is on the list of those to store already.
    pub fn new(used_ms: u64) -> Self {
        Self { used_ms, listed: true, ..Self::default() }
    }

    pub fn answer(&self, number: u64) -> Option<Ending> {
        // What is sent again was sent lately.
        self.answers.iter().rev().find(|(answered, _)| *answered == number).map(|(_, ending)| *ending)
    }

    pub fn finish(&mut self, number: u64, ending: Ending, answers_max: usize) {
        self.finished.insert(number);
        while self.answers.len() >= answers_max.max(1) {
            self.answers.pop_front();
        }
        self.answers.push_back((number, ending));
    }

    pub fn close(self, closed_ms: u64) -> ClosedSession {
        let mut finished = self.finished;
        finished.shrink();
        ClosedSession { closed_ms, finished }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + 40 * self.answers.len());
        out.push(OPEN);
        push_varint(&mut out, self.used_ms);
        self.finished.push_to(&mut out);
        push_varint(&mut out, self.answers.len() as u64);
        for (number, ending) in &self.answers {
            push_varint(&mut out, *number);
            push_ending(&mut out, ending);
        }
        out
    }
}

impl ClosedSession {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![CLOSED];
        push_varint(&mut out, self.closed_ms);
        self.finished.push_to(&mut out);
        out
    }
}

impl Stored {
    pub fn decode(session: u64, value: &[u8]) -> Result<Self, StateError> {
        let mut fields = Fields(value);
        Self::parse(&mut fields).filter(|_| fields.is_empty()).ok_or_else(|| {
            let place = format!("session {session} of the metadata state");
            StateError::damaged(place, format!("{} bytes are no session", value.len()))
        })
    }

    fn parse(fields: &mut Fields<'_>) -> Option<Self> {
        let (kind, time_ms, finished) = (fields.byte()?, fields.varint()?, Numbers::parse(fields)?);
        match kind {
            OPEN => {
                let count = usize::try_from(fields.varint()?).ok()?;
                let mut answers = VecDeque::with_capacity(count.min(fields.0.len() / 2));
                for _ in 0..count {
                    answers.push_back((fields.varint()?, ending(fields)?));
                }
                Some(Self::Open(OpenSession { used_ms: time_ms, finished, answers, listed: false }))
            }
            CLOSED => Some(Self::Closed(ClosedSession { closed_ms: time_ms, finished })),
            _ => None,
        }
    }
}

fn push_ending(out: &mut Vec<u8>, ending: &Ending) {
    match ending {
        Ending::Refused(status) => out.push(status.code()),
        Ending::Changed(Changed { version, hash, size, removal, replaced }) => {
            out.push(Status::Ok.code());
            push_varint(out, *version);
            push_varint(out, *size);
            push_varint(out, *removal);
            let with_hash = if *hash == 0 { 0 } else { HASH };
            out.push(with_hash | if *replaced { REPLACED } else { 0 });
            if with_hash != 0 {
                out.extend_from_slice(&hash.to_le_bytes());
            }
        }
    }
}

fn ending(fields: &mut Fields<'_>) -> Option<Ending> {
    let status = Status::of_code(fields.byte()?)?;
    if status != Status::Ok {
        return Some(Ending::Refused(status));
    }
    let (version, size, removal, flags) = (fields.varint()?, fields.varint()?, fields.varint()?, fields.byte()?);
    let hash = if flags & HASH == 0 { 0 } else { fields.u128()? };
    let changed = Changed { version, hash, size, removal, replaced: flags & REPLACED != 0 };
    (flags <= HASH | REPLACED).then_some(Ending::Changed(changed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let mut session = OpenSession { used_ms: 300, ..OpenSession::default() };
        session.finish(1, Ending::Refused(Status::AlreadyExists), 8);
        let changed = Changed { version: 2, hash: 3, size: 4, removal: 5, replaced: true };
        session.finish(2, Ending::Changed(changed), 8);
        let mut want = vec![1, 0xac, 2, 1, 1, 1, 2, 1, 24, 2, 0, 2, 4, 5, 3, 3];
        want.extend([0; 15]);
        assert_eq!(session.encode(), want);
        assert!((0..want.len()).all(|cut| Stored::decode(1, &want[..cut]).is_err()));
        assert_eq!(Stored::decode(1, &want).unwrap(), Stored::Open(session.clone()));
        let closed = session.close(128);
        assert_eq!(closed.encode(), [2, 0x80, 1, 1, 1, 1]);
        assert_eq!(Stored::decode(1, &closed.encode()).unwrap(), Stored::Closed(closed));
    }

    #[test]
    fn the_last_answers_are_kept() {
        let mut session = OpenSession::default();
        for number in 1..=5 {
            session.finish(number, Ending::Refused(Status::NotFound), 3);
        }
        assert_eq!((session.answer(2), session.answer(3)), (None, Some(Ending::Refused(Status::NotFound))));
        assert!(session.finished.contains(1) && session.finished.ranges() == 1);
    }
}
