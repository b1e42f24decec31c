//! The HTTP origin.

#[allow(dead_code, reason = "the conversation uses it")]
mod bad;
#[allow(dead_code, reason = "the conversation uses it")]
mod chunked;
#[allow(dead_code, reason = "the conversation uses it")]
mod digest;
#[allow(dead_code, reason = "the conversation uses it")]
mod framing;
#[allow(dead_code, reason = "the conversation uses it")]
mod grammar;
#[allow(dead_code, reason = "the conversation uses it")]
mod head;
//! The HTTP origin: pure code between the bytes of a connection and the operations of `request`.

#[allow(dead_code, reason = "the conversation will use it")]
mod conditions;
#[allow(dead_code, reason = "the conversation will use it")]
mod content_type;
#[allow(dead_code, reason = "the conversation will use it")]
mod date;
#[allow(dead_code, reason = "the conversation will use it")]
mod disposition;
#[allow(dead_code, reason = "the conversation will use it")]
mod etag;
#[allow(dead_code, reason = "the conversation will use it")]
mod field_value;
mod fuzz_validators;
#[allow(dead_code, reason = "the conversation will use it")]
mod metadata;
#[allow(dead_code, reason = "the conversation will use it")]
mod multipart;
#[allow(dead_code, reason = "the conversation will use it")]
mod range;
pub mod access;
#[allow(dead_code, unused_imports, reason = "the conversation uses it")]
mod target;

pub use fuzz_validators::fuzz_conditions;
