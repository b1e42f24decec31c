//! SESSION: opening, renewing and closing.
//!
//! ```text
//! request   0 action u8 (0 open, 1 renew, 2 close) | 1 zero [7] | 8 session u64
//! reply     0 state u8 (0 closed, 1 open) | 1 zero [7] | 8 session u64 | 16 silent_ms_max u64
//! ```
//!
//! Any thread.

use super::{BadBody, Fields};
use crate::request::{Session, SessionAct};

/// Bytes of the body of a request.
pub(super) const SESSION_BYTES: usize = 16;

const OPEN: u8 = 0;
const RENEW: u8 = 1;
const CLOSE: u8 = 2;

pub(super) fn check(act: SessionAct) -> Result<(), BadBody> {
    match act {
        SessionAct::Renew(0) | SessionAct::Close(0) => {
            Err(Fields::new("SESSION", &[]).bad("session", 0, "the number of a session"))
        }
        SessionAct::Open | SessionAct::Renew(_) | SessionAct::Close(_) => Ok(()),
    }
}

pub(super) fn parse(fields: &mut Fields<'_>) -> Result<SessionAct, BadBody> {
    let action = fields.u8("action")?;
    fields.zeros::<7>()?;
    let session = fields.u64("session")?;
    match (action, session) {
        (OPEN, 0) => Ok(SessionAct::Open),
        (OPEN, session) => Err(fields.bad("session", session, "0 with the action open")),
        (RENEW, session) => Ok(SessionAct::Renew(session)),
        (CLOSE, session) => Ok(SessionAct::Close(session)),
        _ => Err(fields.bad("action", action.into(), "0 (open), 1 (renew) or 2 (close)")),
    }
}

pub(super) fn encode(act: SessionAct) -> Vec<u8> {
    let (action, session) = match act {
        SessionAct::Open => (OPEN, 0),
        SessionAct::Renew(session) => (RENEW, session),
        SessionAct::Close(session) => (CLOSE, session),
    };
    [[action, 0, 0, 0, 0, 0, 0, 0], session.to_le_bytes()].concat()
}

/// The session, unless it is closed.
pub(super) fn parse_answer(fields: &mut Fields<'_>) -> Result<Option<Session>, BadBody> {
    let state = fields.u8("state")?;
    fields.skip::<7>()?;
    let session = Session { session: fields.u64("session")?, silent_ms_max: fields.u64("silent_ms_max")? };
    match state {
        0 => Ok(None),
        1 if session.session != 0 => Ok(Some(session)),
        1 => Err(fields.bad("session", 0, "the number of a session")),
        _ => Err(fields.bad("state", state.into(), "0 (closed) or 1 (open)")),
    }
}

pub(super) fn encode_answer(open: Option<Session>) -> Vec<u8> {
    let state = u8::from(open.is_some());
    let (session, silent_ms_max) = open.map_or((0, 0), |open| (open.session, open.silent_ms_max));
    [[state, 0, 0, 0, 0, 0, 0, 0], session.to_le_bytes(), silent_ms_max.to_le_bytes()].concat()
}
