//! Why a node does not start.

use crate::io::OpenError;
use std::net::SocketAddr;

/// One line each: the thing, the place, the way out.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A data directory cannot be reached.
    #[error(
        "data directory {place}: {error}: make it a directory that this user may write to, or name another with --data"
    )]
    Directory {
        /// The directory.
        place: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The disks cannot be opened.
    #[error(transparent)]
    Disks(#[from] OpenError),
    /// The address cannot be listened on.
    #[error("listen address {address}: {error}: choose a free address of this machine with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The system gave no thread, descriptor or signal handler.
    #[error("{what}: {error}: raise the limits of this process")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What the system says.
        error: std::io::Error,
    },
}

impl NodeError {
    pub(super) fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::System { what, error }
    }
}
