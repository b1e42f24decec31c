//! The two forms of a line. Pure; on a processor's thread.
//!
//! Always: a line is one line, whatever the peer sent. The combined form is plain ASCII; the JSON form is valid JSON.

use super::entry::{Entry, Shown};
use crate::base::utc::Utc;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
/// Stands at the end of what was cut.
const CUT: &str = "...";

/// The form of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessLogFormat {
    /// The form "combined" of nginx and Apache, which every log reader knows; times are in UTC.
    #[default]
    Combined,
    /// One JSON object a line, which also has the duration.
    Json,
}

impl AccessLogFormat {
    /// The line of a request, with its line feed.
    pub(super) fn line(self, entry: &Entry<'_>) -> Vec<u8> {
        let mut line = String::with_capacity(entry.usual_bytes());
        let formatted = match self {
            Self::Combined => combined(&mut line, entry),
            Self::Json => json(&mut line, entry),
        };
        formatted.expect("a text takes all that is written to it");
        line.push('\n');
        line.into_bytes()
    }
}

/// `$remote_addr - - [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`: nobody is
/// named, for there are no users.
fn combined(line: &mut String, entry: &Entry<'_>) -> fmt::Result {
    write!(line, "{} - - [", entry.peer.ip().to_canonical())?;
    time_local(line, Utc::of_ms(entry.wall_ms))?;
    line.push_str("] \"");
    if entry.method.is_empty() {
        line.push('-');
    } else {
        escaped(line, entry.method());
        line.push(' ');
        escaped(line, entry.target());
        line.push(' ');
        line.push_str(entry.version);
    }
    write!(line, "\" {} {} \"", entry.status, entry.body_bytes)?;
    escaped_field(line, entry.referer());
    line.push_str("\" \"");
    escaped_field(line, entry.user_agent());
    line.push('"');
    Ok(())
}

/// `22/Nov/2026:17:20:56 +0000`
fn time_local(line: &mut String, utc: Utc) -> fmt::Result {
    let month = usize::try_from(utc.month - 1).ok().and_then(|month| MONTHS.get(month)).unwrap_or(&"-");
    let Utc { year, day, hour, minute, second, .. } = utc;
    write!(line, "{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
}

fn escaped_field(line: &mut String, field: Option<Shown<'_>>) {
    match field {
        Some(shown) if !shown.bytes.is_empty() => escaped(line, shown),
        _ => line.push('-'),
    }
}

/// As nginx does it: quotes, backslashes, control bytes and all above 126 are `\x` and two digits, so that no byte of a
/// peer ends a field or a line, or reaches a terminal.
fn escaped(line: &mut String, shown: Shown<'_>) {
    for &byte in shown.bytes {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff => {
                line.push_str("\\x");
                push_hex(line, byte);
            }
            _ => line.push(char::from(byte)),
        }
    }
    if shown.is_cut {
        line.push_str(CUT);
    }
}

fn push_hex(line: &mut String, byte: u8) {
    for half in [byte >> 4, byte & 15] {
        line.extend(HEX.get(usize::from(half)));
    }
}

fn json(line: &mut String, entry: &Entry<'_>) -> fmt::Result {
    let (peer, port) = (entry.peer.ip().to_canonical(), entry.peer.port());
    let is_read = !entry.method.is_empty();
    write!(line, "{{\"time\":\"{}\",\"peer\":\"{peer}\",\"port\":{port},\"method\":", Utc::of_ms(entry.wall_ms))?;
    quoted(line, is_read.then(|| entry.method()))?;
    line.push_str(",\"target\":");
    quoted(line, is_read.then(|| entry.target()))?;
    line.push_str(",\"version\":");
    quoted(line, is_read.then_some(Shown { bytes: entry.version.as_bytes(), is_cut: false }))?;
    write!(line, ",\"status\":{},\"body_bytes\":{},\"referer\":", entry.status, entry.body_bytes)?;
    quoted(line, entry.referer())?;
    line.push_str(",\"user_agent\":");
    quoted(line, entry.user_agent())?;
    write!(line, ",\"duration_us\":{}}}", entry.duration_us)
}

/// A string of JSON (RFC 8259, section 7), or null. Bytes that are no UTF-8 are replaced by U+FFFD.
fn quoted(line: &mut String, shown: Option<Shown<'_>>) -> fmt::Result {
    let Some(shown) = shown else {
        line.push_str("null");
        return Ok(());
    };
    line.push('"');
    for chunk in shown.bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => line.push_str("\\\""),
                '\\' => line.push_str("\\\\"),
                // Also those that JSON would let pass: nothing in a log shall drive a terminal, or break a line.
                _ if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') => {
                    write!(line, "\\u{:04x}", u32::from(character))?;
                }
                _ => line.push(character),
            }
        }
        if !chunk.invalid().is_empty() {
            line.push(char::REPLACEMENT_CHARACTER);
        }
    }
    if shown.is_cut {
        line.push_str(CUT);
    }
    line.push('"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> Entry<'static> {
        Entry {
            peer: "192.0.2.7:51234".parse().unwrap(),
            wall_ms: 1_709_251_199_042,
            method: b"GET",
            target: b"/a/b%20c.jpg?x=1",
            version: "HTTP/1.1",
            status: 206,
            body_bytes: 4096,
            referer: Some(b"https://shop.example/"),
            user_agent: Some(b"curl/8.5.0"),
            duration_us: 153,
        }
    }

    fn combined(entry: &Entry<'_>) -> String {
        String::from_utf8(AccessLogFormat::Combined.line(entry)).unwrap()
    }

    fn json(entry: &Entry<'_>) -> String {
        String::from_utf8(AccessLogFormat::Json.line(entry)).unwrap()
    }

    #[test]
    fn golden_lines() {
        assert_eq!(
            combined(&entry()),
            "192.0.2.7 - - [29/Feb/2024:23:59:59 +0000] \"GET /a/b%20c.jpg?x=1 HTTP/1.1\" 206 4096 \
             \"https://shop.example/\" \"curl/8.5.0\"\n"
        );
        assert_eq!(
            json(&entry()),
            "{\"time\":\"2024-02-29T23:59:59.042Z\",\"peer\":\"192.0.2.7\",\"port\":51234,\"method\":\"GET\",\
             \"target\":\"/a/b%20c.jpg?x=1\",\"version\":\"HTTP/1.1\",\"status\":206,\"body_bytes\":4096,\
             \"referer\":\"https://shop.example/\",\"user_agent\":\"curl/8.5.0\",\"duration_us\":153}\n"
        );
    }

    #[test]
    fn what_could_not_be_read_is_a_dash_or_null() {
        let nothing = Entry {
            peer: "[::ffff:192.0.2.7]:9".parse().unwrap(),
            method: b"",
            target: b"",
            version: "",
            status: 400,
            body_bytes: 0,
            referer: None,
            user_agent: Some(b""),
            ..entry()
        };
        assert_eq!(combined(&nothing), "192.0.2.7 - - [29/Feb/2024:23:59:59 +0000] \"-\" 400 0 \"-\" \"-\"\n");
        assert_eq!(
            json(&nothing),
            "{\"time\":\"2024-02-29T23:59:59.042Z\",\"peer\":\"192.0.2.7\",\"port\":9,\"method\":null,\"target\":null,\
             \"version\":null,\"status\":400,\"body_bytes\":0,\"referer\":null,\"user_agent\":\"\",\"duration_us\":153}\n"
        );
        let v6 = Entry { peer: "[2001:db8::1]:80".parse().unwrap(), ..entry() };
        assert!(combined(&v6).starts_with("2001:db8::1 - - ["));
    }

    #[test]
    fn bytes_of_a_peer_are_escaped() {
        for (agent, plain, quoted) in [
            (&b"a\"b"[..], "a\\x22b", "a\\\"b"),
            (b"a\\b", "a\\x5Cb", "a\\\\b"),
            (b"a\r\nb", "a\\x0D\\x0Ab", "a\\u000d\\u000ab"),
            (b"\x1b[31m\x7f\t\0", "\\x1B[31m\\x7F\\x09\\x00", "\\u001b[31m\\u007f\\u0009\\u0000"),
            ("ä".as_bytes(), "\\xC3\\xA4", "ä"),
            ("\u{85}\u{2028}".as_bytes(), "\\xC2\\x85\\xE2\\x80\\xA8", "\\u0085\\u2028"),
            (b"\xff\xfe!", "\\xFF\\xFE!", "\u{fffd}\u{fffd}!"),
            (b" ~", " ~", " ~"),
        ] {
            let entry = Entry { user_agent: Some(agent), ..entry() };
            assert!(combined(&entry).ends_with(&format!(" \"{plain}\"\n")), "{}", combined(&entry));
            assert!(json(&entry).contains(&format!("\"user_agent\":\"{quoted}\",")), "{}", json(&entry));
        }
    }

    #[test]
    fn long_fields_are_cut() {
        let long = vec![b'a'; 70_000];
        let entry = Entry { method: &long, target: &long, referer: Some(&long), user_agent: Some(&long), ..entry() };
        let a = |count| "a".repeat(count) + "...";
        let want = format!("\"{} {} HTTP/1.1\" 206 4096 \"{}\" \"{}\"\n", a(32), a(4096), a(512), a(512));
        assert!(combined(&entry).ends_with(&want));
        let parsed: serde_json::Value = serde_json::from_str(&json(&entry)).unwrap();
        assert_eq!((&parsed["target"], &parsed["referer"]), (&a(4096).into(), &a(512).into()));
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let odd = prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), Just(b'\n'), 0..32u8, 0x80..=0xffu8];
        prop_oneof![prop::collection::vec(odd, 0..700), "\\PC{0,300}".prop_map(String::into_bytes)]
    }

    proptest! {
        #[test]
        fn any_bytes_make_one_line(
            method in bytes(), target in bytes(), referer in prop::option::of(bytes()), agent in bytes(),
            wall_ms in 0..300_000_000_000_000u64, status in any::<u16>(), body_bytes in any::<u64>(),
        ) {
            let entry = Entry {
                method: &method, target: &target, referer: referer.as_deref(), user_agent: Some(&agent),
                wall_ms, status, body_bytes, ..entry()
            };
            let line = combined(&entry);
            prop_assert!(line.strip_suffix('\n').unwrap().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(line.matches('"').count(), 6);
            let line = json(&entry);
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&parsed["status"], &serde_json::json!(status));
            prop_assert_eq!(&parsed["body_bytes"], &serde_json::json!(body_bytes));
            if agent.len() <= 512 {
                prop_assert_eq!(&parsed["user_agent"], &serde_json::json!(String::from_utf8_lossy(&agent)));
            }
            if method.is_empty() {
                prop_assert!(parsed["target"].is_null());
            } else if target.len() <= 4096 {
                prop_assert_eq!(&parsed["target"], &serde_json::json!(String::from_utf8_lossy(&target)));
            }
        }
    }
}
