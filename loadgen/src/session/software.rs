//! What a server says of itself.
//!
//! Blocking, before and after a round. Always: a server that says nothing is no error.

use crate::driver::target::{Kind, Target};
use larder::client::Client;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(2);
/// The heads that are looked at are shorter.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Name and version, as far as it tells.
pub(super) fn of(target: &Target) -> String {
    let told = match target.kind {
        Kind::Larder => status(target).map(|status| {
            let version = status.get("version").and_then(Value::as_str).unwrap_or("");
            format!("larder {version}")
        }),
        Kind::Http => ask(target, &format!("HEAD / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.address))
            .and_then(|head| field(&head, "server:")),
        Kind::Redis => ask(target, "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n*1\r\n$4\r\nQUIT\r\n")
            .and_then(|info| field(&info, "redis_version:").map(|version| format!("redis {version}"))),
        Kind::Memcached => ask(target, "version\r\nquit\r\n")
            .and_then(|line| line.strip_prefix("VERSION ").map(|version| format!("memcached {}", version.trim()))),
        Kind::Echo => Some("echo".to_string()),
    };
    told.unwrap_or_default()
}

/// Syncs that it has done so far, if it tells.
pub(super) fn syncs(target: &Target) -> Option<u64> {
    match target.kind {
        Kind::Larder => status(target).and_then(|status| sum_of(&status, "syncs")),
        _ => None,
    }
}

fn status(target: &Target) -> Option<Value> {
    let client = Client::builder().connections(1).deadline(PATIENCE).connect_timeout(PATIENCE);
    client.connect(target.address.to_string()).ok()?.status().ok()
}

/// The sum of all numbers of this name, wherever they stand.
fn sum_of(value: &Value, name: &str) -> Option<u64> {
    let below: Vec<u64> = match value {
        Value::Object(fields) => fields
            .iter()
            .filter_map(|(key, value)| if key == name { value.as_u64() } else { sum_of(value, name) })
            .collect(),
        Value::Array(items) => items.iter().filter_map(|item| sum_of(item, name)).collect(),
        _ => Vec::new(),
    };
    (!below.is_empty()).then(|| below.iter().sum())
}

fn ask(target: &Target, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&target.address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    // One that answers byte by byte, or never ends, is not waited for.
    let until = Instant::now() + PATIENCE;
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    while answer.len() < HEAD_BYTES_MAX && Instant::now() < until {
        match stream.read(&mut part) {
            Ok(bytes @ 1..) => answer.extend_from_slice(part.get(..bytes).unwrap_or_default()),
            // What came before an error is looked at.
            _ => break,
        }
    }
    Some(String::from_utf8_lossy(&answer).into_owned())
}

fn field(text: &str, name: &str) -> Option<String> {
    let found = text.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
    found.and_then(|line| line.get(name.len()..)).map(|value| value.trim().to_string())
}

#[test]
fn sums_and_fields_are_found() {
    let status = serde_json::json!({"disks": [{"syncs": 3}, {"syncs": 4}], "names": {"log": {"syncs": 5}}, "n": 1});
    assert_eq!(sum_of(&status, "syncs"), Some(12));
    assert_eq!(sum_of(&status, "sync"), None);
    assert_eq!(field("HTTP/1.1 200 OK\r\nServer: nginx/1.22\r\n", "server:").as_deref(), Some("nginx/1.22"));
}
