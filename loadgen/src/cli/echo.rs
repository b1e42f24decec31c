//! Serves the echo protocol.

use super::exit::Exit;
use super::output;
use crate::echo::Server;
use std::net::{SocketAddr, TcpListener};

/// Arguments of an echo server.
#[derive(Debug, clap::Args)]
pub(super) struct Echo {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7499", value_name = "ADDR")]
    listen: SocketAddr,
}

/// Serves until the process is ended.
pub(super) fn echo(echo: &Echo) -> Result<Exit, String> {
    let listener =
        TcpListener::bind(echo.listen).map_err(|error| format!("{}: cannot listen: {error}", echo.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    output::print(&format!("echo listens on {address}\n"))?;
    Server::new(listener).and_then(Server::run).map_err(|error| format!("{address}: {error}"))?;
    Ok(Exit::Done)
}
