//! Why a call failed, and what its caller should do.

use crate::request::{Class, Refusal, Status};
use std::io;
use std::sync::Arc;

/// Why a call failed. Match [`class`](Self::class), never the text.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The node said no.
    #[error("{}: {}", .0.status.name(), .0.detail)]
    Refused(Refusal),
    /// No answer came before the deadline. A write may have been done, or not.
    #[error("no answer from {peer} within the deadline")]
    TimedOut {
        /// The node.
        peer: Arc<str>,
    },
    /// There is no connection; nothing was sent.
    #[error("cannot connect to {peer}: {source}")]
    Connect {
        /// The node.
        peer: Arc<str>,
        /// The system's reason.
        source: io::Error,
    },
    /// The connection ended before the answer.
    #[error("connection to {peer} was lost: {reason}")]
    Lost {
        /// The node.
        peer: Arc<str>,
        /// How it ended.
        reason: Arc<str>,
        /// Whether the node may have the whole request; if not, nothing was done.
        sent: bool,
    },
    /// Bytes arrived that are not those that were sent or stored.
    #[error("damaged on its way from or to {peer}: {what}")]
    Corrupt {
        /// The node.
        peer: Arc<str>,
        /// What does not match.
        what: String,
    },
    /// The node does not keep to the protocol.
    #[error("{peer} does not keep to the protocol: {what}")]
    Protocol {
        /// The node.
        peer: Arc<str>,
        /// What it did.
        what: String,
    },
    /// Content broke off after some of it had been handed out, which is sound.
    #[error("content broke off after {written} bytes: {source}")]
    BrokeOff {
        /// Bytes handed out.
        written: u64,
        /// Why there are no more.
        source: Box<ClientError>,
    },
    /// The caller's reader failed.
    #[error("cannot read what is to be stored: {0}")]
    Input(#[source] io::Error),
    /// The caller's writer failed.
    #[error("cannot write what was read: {0}")]
    Output(#[source] io::Error),
    /// The system has no random numbers, or no thread.
    #[error("the system refuses: {0}")]
    System(#[source] io::Error),
}

impl ClientError {
    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Refused(refusal) => refusal.status.class(),
            Self::Connect { .. } | Self::Lost { sent: false, .. } => Class::Reconnect,
            Self::TimedOut { .. } | Self::Lost { .. } | Self::Corrupt { .. } => Class::Unknown,
            Self::BrokeOff { source, .. } => source.class(),
            Self::Protocol { .. } | Self::Input(_) | Self::Output(_) | Self::System(_) => Class::Report,
        }
    }

    /// The node's status, if it answered.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            Self::BrokeOff { source, .. } => source.status(),
            _ => None,
        }
    }
}
