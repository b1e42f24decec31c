//! What can be asked for.

use larder::base::limits::CHUNK_BYTES_MAX;
use larder::base::size::Size;
use std::path::PathBuf;
use std::str::FromStr;

/// Measures a Larder node, with contents that are verified
#[derive(Debug, clap::Parser)]
#[command(
    name = "loadgen",
    version,
    max_term_width = 100,
    after_help = "Without --rate a connection sends the next request when one is answered (closed loop): that finds the \
highest rate, and hides the waits of those who would have come meanwhile. With --rate requests have intended times (open \
loop): response time counts from there, also for what had to wait, and is the number to quote.

Exit codes: 0 all was done (BUSY is an answer); 1 something failed; 2 wrong arguments; 3 content was wrong

Examples:
  loadgen put --size 4KiB --count 100000 --connections 8 --in-flight 32
  loadgen get --objects 10000 --size 1KiB..64KiB --seconds 30 --rate 5000
  loadgen mixed --reads 95 --seconds 60 --json"
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Stores objects
    Put(Load),
    /// Stores a working set, or takes that of --ids, and reads objects of it at random
    Get(Load),
    /// As get, with puts among the reads
    Mixed(Load),
    /// Opens connections that say hello and nothing else, until standard input ends
    Hold(Hold),
}

#[derive(Debug, Clone, clap::Args)]
pub struct Load {
    /// The node, as host:port
    #[arg(long, env = "LARDER_SERVER", default_value = "127.0.0.1:7400", value_name = "ADDR")]
    pub server: String,

    /// Connections
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub connections: u32,

    /// Requests of each connection that may be unanswered
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub in_flight: u32,

    /// Bytes of an object, as 4KiB, or from one to another, as 1KiB..64KiB
    #[arg(long, default_value = "4KiB", value_name = "BYTES|LO..HI")]
    pub size: Sizes,

    /// Requests in all; the default is 10,000 unless --seconds is given
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    pub count: Option<u64>,

    /// How long to send
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,

    /// Seed of contents and choices: the same seed is the same work
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Requests a second in all, at intended times; the default is as many as the answers allow
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rate: Option<u64>,

    /// Objects of the working set that get and mixed begin with
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub objects: u64,

    /// put: write ids and keys there; get and mixed: read them, instead of storing a working set
    #[arg(long, value_name = "FILE")]
    pub ids: Option<PathBuf>,

    /// mixed: reads of 100 requests
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub reads: u8,

    /// How long each request may take, in milliseconds
    #[arg(long, default_value_t = 30_000, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..=86_400_000))]
    pub deadline_ms: u32,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, clap::Args)]
pub struct Hold {
    /// The node, as host:port
    #[arg(long, env = "LARDER_SERVER", default_value = "127.0.0.1:7400", value_name = "ADDR")]
    pub server: String,

    /// Connections
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,

    /// Come from as many addresses of this machine, from 127.0.0.2 on, for nodes that count connections by address
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=250))]
    pub sources: Option<u32>,
}

/// The sizes of objects: all of them from `low` to `high`, alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    pub low: usize,
    pub high: usize,
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |text: &str| -> Result<usize, String> {
            let Size(bytes) = text.trim().parse::<Size>().map_err(|error| error.to_string())?;
            usize::try_from(bytes)
                .ok()
                .filter(|bytes| *bytes <= CHUNK_BYTES_MAX)
                .ok_or_else(|| format!("{text} is over {}, the largest object", Size(CHUNK_BYTES_MAX as u64)))
        };
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        let (low, high) = (one(low)?, one(high)?);
        if low > high {
            return Err(format!("{low} is over {high}: the smaller comes first"));
        }
        Ok(Self { low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[test]
    fn arguments_are_sound() {
        Arguments::command().debug_assert();
        let parse = |arguments: &[&str]| Arguments::try_parse_from(["loadgen"].iter().chain(arguments));
        assert!(parse(&["put", "--count", "5", "--size", "1KiB..2KiB"]).is_ok());
        assert!(parse(&["hold", "--connections", "20000", "--sources", "10"]).is_ok());
        assert!(parse(&["get", "--count", "5", "--seconds", "5"]).is_err());
        assert!(parse(&["get", "--in-flight", "0"]).is_err());
        assert!(parse(&["put", "--size", "9MiB"]).unwrap_err().to_string().contains("the largest object"));
    }

    #[test]
    fn sizes_are_one_or_a_range() {
        assert_eq!("4KiB".parse(), Ok(Sizes { low: 4096, high: 4096 }));
        assert_eq!("0..8 MiB".parse(), Ok(Sizes { low: 0, high: 8 << 20 }));
        for bad in ["", "..", "2..1", "1..", "1..2..3", "8MiB..9MiB"] {
            assert!(bad.parse::<Sizes>().is_err(), "{bad}");
        }
    }
}
