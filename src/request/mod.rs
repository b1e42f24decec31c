//! The seam between sockets and work: operations, answers, deadlines, and the trait that turns one into the other.

mod answer;
mod attributes;
mod name;
mod operation;
mod responder;
mod service;
mod stamps;
mod status;
mod uploads;

pub use answer::{Answer, Content, Durability, Limits, Meta, Piece, Refusal, Stored};
pub use attributes::{Attributes, BadAttributes};
pub use name::{
    Change, ChangeRequest, Changed, Condition, Entry, List, Listing, Lookup, NameAnswer, NameFacts, NameKind,
    NameOperation, Removal, Session, SessionAct, Usage, path_status,
};
pub use operation::{ByteRange, Operation, Put, Unsatisfiable};
pub use responder::{Completed, RequestKey, Responder};
pub use service::{Call, Outcome, Pieces, Service};
pub use stamps::{NameStamps, Stamp};
pub use status::{Class, Stage, Status};
pub use uploads::{UploadSession, UploadSessions};
