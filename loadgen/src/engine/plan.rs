//! What an engine is to run.
//!
//! Plain values.

use super::arrivals::Arrivals;
use crate::driver::Driver;
use crate::workload::Workload;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// One kind of load: its own connections, requests and times. A run has one or more, side by side.
pub struct Stream {
    /// In reports; empty for the first.
    pub name: String,
    /// Whom it asks.
    pub address: SocketAddr,
    /// Connections in all.
    pub connections: u32,
    /// Connections that are opened and say nothing.
    pub idle_connections: u32,
    /// When requests are sent.
    pub arrivals: Arrivals,
    /// Open loop: requests that may wait or be under way; more are shed.
    pub outstanding_max: u32,
    /// Which contents are compared with their keys.
    pub verify: Verify,
    /// A connection for each request.
    pub is_storm: bool,
    /// Requests in all; a run may also end by time.
    pub count: Option<u64>,
    /// Come from as many addresses of this machine, from 127.0.0.2 on; 0: from that which the kernel chooses.
    pub sources: u32,
    /// Seed of the times.
    pub seed: u64,
    /// Makes a driver for each connection.
    pub driver: Box<dyn Fn() -> Box<dyn Driver> + Send + Sync>,
    /// One for each worker thread.
    pub workloads: Vec<Workload>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("name", &self.name)
            .field("address", &self.address)
            .field("connections", &self.connections)
            .field("arrivals", &self.arrivals)
            .finish_non_exhaustive()
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the first connections, and for a server that went away to come back.
    pub server: Duration,
    /// For answers that are under way at the end, and for what was due by then.
    pub drain: Duration,
    /// Where no time ends the run: for any answer at all, when some are under way.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { server: Duration::from_secs(10), drain: Duration::from_secs(5), answer: Duration::from_secs(60) }
    }
}

/// Which contents are compared with their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Each.
    All,
    /// One of so many, spread evenly.
    One(u32),
    /// None.
    Nothing,
}

impl Verify {
    /// Whether the content of this request is compared.
    #[must_use]
    pub fn takes(self, request: u64) -> bool {
        match self {
            Self::All => true,
            Self::One(of) => request.is_multiple_of(u64::from(of)),
            Self::Nothing => false,
        }
    }
}

impl FromStr for Verify {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of = text.strip_prefix("1/").map(str::parse::<u32>);
        match (text, of) {
            ("all", _) => Ok(Self::All),
            ("none", _) => Ok(Self::Nothing),
            (_, Some(Ok(of @ 1..))) => Ok(Self::One(of)),
            _ => Err(format!("{text}: want all, none, or one of so many as 1/16")),
        }
    }
}

impl fmt::Display for Verify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::One(of) => write!(f, "1/{of}"),
            Self::Nothing => f.write_str("none"),
        }
    }
}

#[test]
fn samples_are_read_and_taken() {
    assert_eq!("1/4".parse(), Ok(Verify::One(4)));
    assert_eq!((0..8).filter(|request| Verify::One(4).takes(*request)).count(), 2);
    for text in ["all", "none", "1/16"] {
        assert_eq!(text.parse::<Verify>().map(|verify| verify.to_string()).as_deref(), Ok(text));
    }
    for bad in ["", "1/0", "2/3", "some"] {
        assert!(bad.parse::<Verify>().is_err(), "{bad}");
    }
}
