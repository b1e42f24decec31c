//! Why a command ends before it is carried out.
//!
//! Any thread; pure.

use crate::master::StateError;
use crate::request::{Refusal, Status};
use std::borrow::Cow;

/// A check said no, or the state could not be read.
#[derive(Debug)]
pub(super) enum Stop {
    Refused(Refusal),
    Failed(StateError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StateError> for Stop {
    fn from(error: StateError) -> Self {
        Self::Failed(error)
    }
}

/// A refusal.
pub(super) fn refused(status: Status, detail: impl Into<Cow<'static, str>>) -> Stop {
    Stop::Refused(Refusal::new(status, detail))
}

/// Takes the two kinds of failure apart.
pub(super) fn apart<T>(result: Result<T, Stop>) -> Result<Result<T, Refusal>, StateError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Stop::Refused(refusal)) => Ok(Err(refusal)),
        Err(Stop::Failed(error)) => Err(error),
    }
}
