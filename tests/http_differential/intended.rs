//! The one table of what Larder does otherwise than nginx, on purpose.
//!
//! A row tells by the request, and by the status of the side that is special, whether a difference is the one that it means.

use crate::compare::{Aspect, Difference, parts};
use std::ops::Range;

/// A difference that is meant to be.
pub struct Row {
    /// What differs, and why.
    pub what: &'static str,
    /// Of RFC 9110, or of another one that is named.
    pub section: &'static str,
    /// Whether it is this one.
    pub explains: fn(&Difference<'_>) -> bool,
}

pub const INTENDED: [Row; 31] = [
    // -- the head: Larder refuses what could be read in two ways, nginx mends it
    Row {
        what: "400 for lines that end in LF alone or have no colon; nginx takes the one and drops the other",
        section: "9112, 2.2 and 5",
        explains: |it| it.larder_says(400) && it.is_odd(&["bare line feed", "line without a colon"]),
    },
    Row {
        what: "400 for a request line with more blanks than two",
        section: "9112, 3",
        explains: |it| it.larder_says(400) && it.is_odd(&["blanks in the line"]),
    },
    Row {
        what: "400 for a Host that more likely is two; nginx takes any text",
        section: "9112, 3.2",
        explains: |it| it.larder_says(400) && it.is_odd(&["odd host"]),
    },
    Row {
        what: "400 for a second Range, even an empty one: which was meant? nginx takes the first or the last",
        section: "9110, 5.3",
        explains: |it| it.larder_says(400) && values(it, "range").len() > 1,
    },
    Row {
        what: "400 for a body of GET and HEAD; nginx reads and drops it",
        section: "9110, 9.3.1 and 9.3.2",
        explains: |it| it.larder_says(400) && it.is_odd(&["body"]),
    },
    Row {
        what: "400 for empty names and dot segments; nginx takes them out, and so has many paths for one file",
        section: "3986, 5.2.4; 9110, 17.1",
        explains: |it| it.larder_says(400) && it.is_odd(&["empty names", "dot segments"]),
    },
    Row {
        what: "400 for an escaped slash or control character, a backslash, bytes above ASCII, a fragment",
        section: "3986, 2.2 and 3.3; 9112, 3.2",
        explains: |it| {
            let odd = ["escaped slash", "escaped control", "backslash", "bytes above ascii", "fragment"];
            it.larder_says(400) && it.is_odd(&odd)
        },
    },
    Row {
        what: "400 for an address of https, which nobody asks of a connection without TLS",
        section: "9110, 4.2.2",
        explains: |it| it.larder_says(400) && it.is_odd(&["other scheme"]),
    },
    Row {
        what: "417 for an expectation that is not 100-continue; nginx ignores it",
        section: "9110, 10.1.1",
        explains: |it| it.larder_says(417) && it.is_odd(&["expects more"]),
    },
    Row {
        what: "431 over 100 fields; nginx has no bound of their number",
        section: "6585, 5",
        explains: |it| it.larder_says(431) && it.is_odd(&["large head"]),
    },
    Row {
        what: "414 for a path that no name can have; nginx asks the file system",
        section: "9110, 15.5.15",
        explains: |it| it.larder_says(414) && it.is_odd(&["long target"]),
    },
    Row {
        what: "505 for a minor version that does not exist; nginx takes it for 1.1",
        section: "9110, 15.6.6",
        explains: |it| it.larder_says(505) && it.is_odd(&["minor version"]),
    },
    Row {
        what: "501 for unknown methods, and names of methods have a case; nginx says 405, and 400 for small letters",
        section: "9110, 9.1",
        explains: |it| it.larder_says(501) && ["BREW", "get", "Get"].contains(&it.case.method),
    },
    Row {
        what: "an empty Host is one; nginx refuses it",
        section: "9112, 3.2",
        explains: |it| it.nginx_says(400) && it.is_odd(&["empty host"]),
    },
    Row {
        what: "lines up to the bound of the head, 16 KiB; nginx's default is 8 KiB",
        section: "9110, 5.4",
        explains: |it| it.nginx_says(400) && it.is_odd(&["long line"]),
    },
    Row {
        what: "tabs around values are blanks; nginx takes them for the value",
        section: "9110, 5.5",
        explains: |it| {
            let tab = |line: &String| line.contains(":\t") || line.contains(": \t") || line.ends_with("\t\r\n");
            let without = it.nginx_says(200) || it.nginx_says_of_range();
            without && it.larder_says_of_file() && it.case.lines.iter().any(tab)
        },
    },
    Row {
        what: "a directory is listed; nginx has no index to show",
        section: "9110, 9.3.1",
        explains: |it| it.nginx_says(403) && it.larder_says(200) && it.is_odd(&["directory"]),
    },
    // -- preconditions
    Row {
        what: "several lines If-Match or If-None-Match are one list; nginx refuses them",
        section: "9110, 5.3",
        explains: |it| {
            let repeated = values(it, "if-match").len() > 1 || values(it, "if-none-match").len() > 1;
            let read_well = it.larder_says_of_file() || [301, 404, 501].iter().any(|status| it.larder_says(*status));
            it.nginx_says(400) && repeated && read_well
        },
    },
    Row {
        what: "If-Unmodified-Since that is no date is ignored; nginx says 412",
        section: "9110, 13.1.4",
        explains: |it| {
            let bad = |date: &String| httpdate::parse_http_date(date).is_err();
            it.nginx_says(412) && it.larder_says_of_file() && values(it, "if-unmodified-since").iter().any(bad)
        },
    },
    Row {
        what: "If-Unmodified-Since is ignored where If-Match is; nginx asks both",
        section: "9110, 13.2.2",
        explains: |it| {
            let both = !values(it, "if-unmodified-since").is_empty() && !values(it, "if-match").is_empty();
            it.nginx_says(412) && it.larder_says_of_file() && both
        },
    },
    Row {
        what: "If-Modified-Since is ignored where If-None-Match is; nginx asks both",
        section: "9110, 13.1.3",
        explains: |it| {
            let both = !values(it, "if-modified-since").is_empty() && !values(it, "if-none-match").is_empty();
            it.larder_says(304) && (it.nginx_says(200) || it.nginx_says_of_range()) && both
        },
    },
    Row {
        what: "a list with what is no tag matches nothing; nginx finds the tag in it",
        section: "9110, 13.1.2",
        explains: |it| it.nginx_says(304) && it.larder_says_of_file() && it.is_odd(&["tag without quotes"]),
    },
    // -- ranges
    Row {
        what: "HEAD has no ranges: it says what GET without Range would; nginx answers 206 and 416",
        section: "9110, 14.2",
        explains: |it| it.case.is_head() && it.larder_says(200) && (it.nginx_says(206) || it.nginx_says(416)),
    },
    Row {
        what: "a malformed range is ignored; nginx says 416, or takes blanks within it",
        section: "9110, 14.2",
        explains: |it| it.larder_says(200) && it.nginx_says_of_range() && asked(it) == Asked::Malformed,
    },
    Row {
        what: "empty elements of a list of ranges, and numbers over 64 bits, are in the grammar; nginx says 416",
        section: "9110, 5.6.1.2 and 14.1.1",
        explains: |it| {
            let [range] = &values(it, "range")[..] else { return false };
            let digits = |spec: &str| spec.split('-').any(|number| number.len() > 18);
            let specs = range.split_once('=').map_or("", |(_, specs)| specs);
            let strange = specs.split(',').any(|spec| spec.trim().is_empty() || digits(spec));
            it.nginx_says(416) && it.larder_says_of_file() && strange && matches!(asked(it), Asked::Set(_))
        },
    },
    Row {
        what: "of nothing there are no ranges: the whole, 200; nginx says 416 to some",
        section: "9110, 14.2",
        explains: |it| it.file.content.is_empty() && it.nginx_says(416) && it.larder_says(200),
    },
    Row {
        what: "more than 8 parts, or more than 200 specs, are absurd: the whole, 200",
        section: "9110, 14.2 and 17.15",
        explains: |it| {
            let specs = values(it, "range").concat().split(',').count();
            it.nginx_says(206) && it.larder_says(200) && asked(it) != Asked::Malformed && specs > 8
        },
    },
    Row {
        what: "parts that overlap or nearly touch are one; nginx sends each",
        section: "9110, 15.3.7.2",
        explains: |it| {
            let of_parts = [Aspect::Body, Aspect::Parts, Aspect::ContentRange, Aspect::ContentLength];
            let Asked::Set(ranges) = asked(it) else { return false };
            it.both() == (206, 206) && of_parts.contains(&it.aspect) && sent(it) == merged(ranges)
        },
    },
    Row {
        what: "Accept-Ranges is in 206 too; nginx leaves it out",
        section: "9110, 14.3",
        explains: |it| it.aspect == Aspect::AcceptRanges && it.both() == (206, 206),
    },
    // -- connections
    Row {
        what: "the connection goes on after an error whose request was read to its end; nginx closes after some",
        section: "9112, 9.3",
        explains: |it| it.aspect == Aspect::Connection && it.larder.kept && it.nginx.answer.status >= 400,
    },
    Row {
        what: "the connection ends after what was refused as unreadable, or with a body; nginx goes on after some",
        section: "9112, 2.2, 9.6 and 11.2",
        explains: |it| {
            let unreadable = [400, 417, 431, 501, 505].contains(&it.larder.answer.status);
            it.aspect == Aspect::Connection && !it.larder.kept && unreadable
        },
    },
];

impl Difference<'_> {
    fn larder_says(&self, status: u16) -> bool {
        self.aspect == Aspect::Status && self.larder.answer.status == status
    }

    fn nginx_says(&self, status: u16) -> bool {
        self.aspect == Aspect::Status && self.nginx.answer.status == status
    }

    fn larder_says_of_file(&self) -> bool {
        [200, 206, 304, 412, 416].iter().any(|status| self.larder_says(*status))
    }

    fn nginx_says_of_range(&self) -> bool {
        self.nginx_says(206) || self.nginx_says(416)
    }

    fn is_odd(&self, odd: &[&str]) -> bool {
        odd.iter().any(|odd| self.case.odd.contains(odd))
    }

    fn both(&self) -> (u16, u16) {
        (self.nginx.answer.status, self.larder.answer.status)
    }
}

/// The values of a field, without the blanks around them.
fn values(it: &Difference<'_>, name: &str) -> Vec<String> {
    let head = it.case.lines.concat();
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    lines.filter(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).collect()
}

/// What a request asks for: RFC 9110, 14.1.1, read as simply as can be.
#[derive(PartialEq)]
enum Asked {
    Malformed,
    /// Those that can be satisfied.
    Set(Vec<Range<usize>>),
}

fn asked(it: &Difference<'_>) -> Asked {
    let [value] = &values(it, "range")[..] else { return Asked::Malformed };
    let Some(set) = value.to_ascii_lowercase().strip_prefix("bytes=").map(str::to_owned) else {
        return Asked::Malformed;
    };
    let specs: Vec<&str> = set.split(',').map(str::trim).filter(|spec| !spec.is_empty()).collect();
    let ranges: Option<Vec<_>> = specs.iter().map(|spec| range_of(spec, it.file.content.len())).collect();
    match ranges {
        Some(ranges) if !ranges.is_empty() => {
            Asked::Set(ranges.into_iter().filter(|range| !range.is_empty()).collect())
        }
        _ => Asked::Malformed,
    }
}

fn range_of(spec: &str, size: usize) -> Option<Range<usize>> {
    let number = |digits: &str| {
        let valid = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        valid.then(|| digits.parse::<usize>().unwrap_or(usize::MAX))
    };
    let (first, last) = spec.split_once('-')?;
    match (first, last) {
        ("", suffix) => Some(size.saturating_sub(number(suffix)?)..size),
        (first, "") => Some(number(first)?..size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| first..last.saturating_add(1).min(size))
        }
    }
}

/// What Larder sent, in order of its place.
fn sent(it: &Difference<'_>) -> Vec<Range<usize>> {
    let answer = &it.larder.answer;
    let of = |text: &str| range_of(text.strip_prefix("bytes ")?.split_once('/')?.0, it.file.content.len());
    let mut all: Vec<_> = match parts(answer) {
        Some(parts) => parts.iter().filter_map(|(range, _)| of(range)).collect(),
        None => answer.field("content-range").and_then(of).into_iter().collect(),
    };
    all.sort_by_key(|range| range.start);
    all
}

/// Ranges in order of their place, with those that overlap or are less than 80 bytes apart as one.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut all: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if range.start < last.end + 80 => last.end = last.end.max(range.end),
            _ => all.push(range),
        }
    }
    all
}
