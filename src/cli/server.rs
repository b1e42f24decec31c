//! The options of every command that talks to a node, and the connection that they give.

use super::failure::Failure;
use crate::client::Client;
use std::time::Duration;

/// Which node, and how long to wait for it.
#[derive(Debug, clap::Args)]
pub struct Server {
    /// The node, as host:port
    #[arg(long, env = "LARDER_SERVER", default_value = "127.0.0.1:7400", value_name = "ADDR")]
    server: String,

    /// How long each request may take, in milliseconds, with its retries
    #[arg(long, default_value_t = 30_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    timeout_ms: u64,
}

impl Server {
    /// The address as it was given.
    pub fn address(&self) -> &str {
        &self.server
    }

    /// Connects, on behalf of `thing`.
    ///
    /// # Errors
    /// A failure that names `thing` and the node.
    pub fn connect(&self, thing: &str) -> Result<Client, Failure> {
        self.connect_by(thing, 1)
    }

    /// As [`connect`](Self::connect), with several connections: one alone does not keep a node busy with large chunks.
    pub fn connect_for_files(&self, thing: &str) -> Result<Client, Failure> {
        self.connect_by(thing, 4)
    }

    fn connect_by(&self, thing: &str, connections: usize) -> Result<Client, Failure> {
        Client::builder()
            .connections(connections)
            .deadline(Duration::from_millis(self.timeout_ms))
            .name(concat!("larder/", env!("CARGO_PKG_VERSION")))
            .connect(&*self.server)
            .map_err(|error| Failure::of_client(thing, &error))
    }
}
