//! The HTTP origin.

#[allow(dead_code, reason = "the conversation uses it")]
mod bad;
#[allow(dead_code, reason = "the conversation uses it")]
mod framing;
#[allow(dead_code, reason = "the conversation uses it")]
mod grammar;
#[allow(dead_code, reason = "the conversation uses it")]
mod head;
