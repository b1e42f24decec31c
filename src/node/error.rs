//! Why a node does not start.

use crate::io::OpenError;
use std::net::SocketAddr;

/// One line each: the thing, the place, the way out.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The disks cannot be opened.
    #[error(transparent)]
    Disks(#[from] OpenError),
    /// The address cannot be listened on.
    #[error("listen address {address}: {error}: choose a free address of this machine with {flag}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The option that names it.
        flag: &'static str,
        /// What the system says.
        error: std::io::Error,
    },
    /// The access log cannot be written.
    #[error("access log {}: {error}: name another file with --access-log, or make this one writable", file.display())]
    AccessLog {
        /// The file.
        file: std::path::PathBuf,
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
