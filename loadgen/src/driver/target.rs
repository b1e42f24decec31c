//! What is measured, as it is written on the command line.
//!
//! The main thread. Always: a target's address was looked up once, so that all connections go to one place.
//!
//! ```text
//! larder://HOST:PORT   HOST:PORT           a node's binary protocol
//! http://HOST:PORT     http://HOST:PORT/PATH   objects under a path; {key} or {number} in it stand for the object
//! redis://HOST:PORT    memcached://HOST:PORT    echo://HOST:PORT
//! ```

use super::Driver;
use super::echo::Echo;
use super::http::{Http, HttpOptions, NameStyle};
use super::larder::{Larder, LarderOptions};
use super::memcached::Memcached;
use super::resp::Resp;
use ::larder::request::Durability;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// The protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Larder's binary protocol.
    Larder,
    /// HTTP/1.1.
    Http,
    /// RESP.
    Redis,
    /// The text protocol of memcached.
    Memcached,
    /// The echo server of this program.
    Echo,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Larder, Self::Http, Self::Redis, Self::Memcached, Self::Echo];

    /// The scheme of its targets.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::Http => "http",
            Self::Redis => "redis",
            Self::Memcached => "memcached",
            Self::Echo => "echo",
        }
    }
}

/// Where requests go, and how they are said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The protocol.
    pub kind: Kind,
    /// The server.
    pub address: SocketAddr,
    /// The path before names, "" or with a slash at its front and none at its end. Only of HTTP.
    pub prefix: String,
    /// As it was written.
    pub text: String,
    /// The host and port, as they were written.
    authority: String,
}

/// What a target leaves open.
#[derive(Debug, Clone)]
pub struct DriverOptions {
    /// Requests that may be unanswered on a connection.
    pub depth: usize,
    /// When a put is to be answered, where a protocol can say so.
    pub durability: Durability,
    /// The deadline of requests, where a protocol has one; 0 for the server's own.
    pub deadline_ms: u32,
    /// Whether names will be made.
    pub creates: bool,
    /// Where the names are that a node keeps: a path without a slash at its end, "" for the root. A target of HTTP
    /// has it in its own path.
    pub directory: String,
}

/// Why a text is no target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTarget(String);

impl fmt::Display for BadTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadTarget {}

impl Target {
    /// A driver for one connection to it.
    #[must_use]
    pub fn driver(&self, options: &DriverOptions) -> Box<dyn Driver> {
        let depth = options.depth;
        match self.kind {
            Kind::Larder => Box::new(Larder::new(LarderOptions {
                depth,
                durability: options.durability,
                deadline_ms: options.deadline_ms,
                creates: options.creates,
                directory: options.directory.clone(),
            })),
            Kind::Http => {
                Box::new(Http::new(HttpOptions { depth, host: self.authority.clone(), names: names(&self.prefix) }))
            }
            Kind::Redis => Box::new(Resp::new(depth)),
            Kind::Memcached => Box::new(Memcached::new(depth)),
            Kind::Echo => Box::new(Echo::new(depth)),
        }
    }
}

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let bad = |why: &str| BadTarget(format!("{text}: {why}"));
        let (kind, rest) = match text.split_once("://") {
            None => (Kind::Larder, text),
            Some((scheme, rest)) => {
                let kind = Kind::ALL.into_iter().find(|kind| kind.scheme() == scheme);
                let all = || Kind::ALL.map(Kind::scheme).join(", ");
                (kind.ok_or_else(|| bad(&format!("no such protocol: {}", all())))?, rest)
            }
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let prefix = path.trim_end_matches('/');
        if kind != Kind::Http && !prefix.is_empty() {
            return Err(bad(&format!("a target of {} has no path", kind.scheme())));
        }
        if prefix.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'?' | b'#')) {
            return Err(bad("a path has no spaces, no ?, no # and nothing but ASCII: write them as %20 and so on"));
        }
        if prefix.matches(['{', '}']).count() > 0 && split(prefix).is_none() {
            return Err(bad("braces in a path are {key} or {number}, once"));
        }
        let (host, port) = authority.rsplit_once(':').ok_or_else(|| bad("no port: want HOST:PORT"))?;
        if host.is_empty() {
            return Err(bad("no host: want HOST:PORT"));
        }
        if !matches!(port.parse::<u16>(), Ok(1..)) || port.starts_with('+') {
            return Err(bad(&format!("the port is \"{port}\", want 1 to 65535")));
        }
        let mut found = authority.to_socket_addrs().map_err(|error| bad(&format!("{host}: {error}")))?;
        let address = found.next().ok_or_else(|| bad(&format!("{host} has no address")))?;
        let (prefix, authority, text) = (prefix.to_owned(), authority.to_owned(), text.to_owned());
        Ok(Self { kind, address, prefix, text, authority })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What objects are called under a path.
fn names(path: &str) -> NameStyle {
    match split(path) {
        Some((prefix, true, suffix)) => NameStyle::Numbered { prefix: prefix.to_owned(), suffix: suffix.to_owned() },
        Some((prefix, false, suffix)) => NameStyle::Keyed { prefix: prefix.to_owned(), suffix: suffix.to_owned() },
        None => NameStyle::Keyed { prefix: format!("{path}/"), suffix: String::new() },
    }
}

/// A path around the one place of its object, and whether that is a number.
fn split(path: &str) -> Option<(&str, bool, &str)> {
    let (prefix, rest) = path.split_once('{')?;
    let (place, suffix) = rest.split_once('}')?;
    if suffix.contains(['{', '}']) || prefix.contains('}') {
        return None;
    }
    match place {
        "number" => Some((prefix, true, suffix)),
        "key" => Some((prefix, false, suffix)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    #[test]
    fn targets_say_protocol_and_place() {
        for (text, kind) in [
            ("127.0.0.1:7400", Kind::Larder),
            ("larder://127.0.0.1:7400", Kind::Larder),
            ("http://127.0.0.1:7400", Kind::Http),
            ("redis://127.0.0.1:7400/", Kind::Redis),
            ("memcached://[::1]:7400", Kind::Memcached),
            ("echo://127.0.0.1:7400", Kind::Echo),
        ] {
            let target = target(text);
            assert_eq!((target.kind, target.address.port(), target.prefix.as_str()), (kind, 7400, ""));
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn paths_say_what_objects_are_called() {
        let named = |path: &str| names(&target(&format!("http://127.0.0.1:80{path}")).prefix);
        let keyed = |prefix: &str, suffix: &str| NameStyle::Keyed { prefix: prefix.into(), suffix: suffix.into() };
        assert_eq!(named(""), keyed("/", ""));
        assert_eq!(named("/a/b/"), keyed("/a/b/", ""));
        assert_eq!(named("/a/{key}.jpg"), keyed("/a/", ".jpg"));
        let numbered = NameStyle::Numbered { prefix: "/3,01637037d6_".into(), suffix: String::new() };
        assert_eq!(named("/3,01637037d6_{number}"), numbered);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("ftp://127.0.0.1:21", "no such protocol: larder, http, redis"),
            ("127.0.0.1", "no port"),
            (":80", "no host"),
            ("127.0.0.1:x", "the port is \"x\""),
            ("127.0.0.1:0", "the port is \"0\""),
            ("127.0.0.1:70000", "want 1 to 65535"),
            ("redis://127.0.0.1:1/2", "a target of redis has no path"),
            ("http://127.0.0.1:1/a b", "no spaces"),
            ("http://127.0.0.1:1/a?b", "no ?"),
            ("http://127.0.0.1:1/{id}", "{key} or {number}"),
            ("http://127.0.0.1:1/{key}{key}", "{key} or {number}"),
            ("http://127.0.0.1:1/a}", "{key} or {number}"),
        ] {
            let told = text.parse::<Target>().unwrap_err().to_string();
            assert!(told.starts_with(&format!("{text}: ")) && told.contains(why), "{told}");
        }
    }
}
