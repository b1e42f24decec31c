//! Requests, made from a seed: first each peculiarity by itself, then mixtures.

use std::collections::BTreeSet;

/// A file that both servers have.
pub struct File {
    pub name: &'static str,
    pub content: Vec<u8>,
    /// Last-Modified, in seconds since 1970.
    pub modified_s: u64,
}

/// A request. `{tag}`, `{weak}` and `{other}` stand for the current tag, its weak form and another one, of the server that
/// is asked.
#[derive(Debug, Clone)]
pub struct Case {
    pub method: &'static str,
    /// The number of the file that it is about.
    pub file: usize,
    pub target: String,
    pub version: &'static str,
    /// Header lines after Host, each with its end; or anything else.
    pub lines: Vec<String>,
    pub host: &'static str,
    pub body: &'static str,
    /// Bytes before the request line.
    pub before: &'static str,
    /// What is odd about it.
    pub odd: BTreeSet<&'static str>,
}

impl Case {
    fn of(method: &'static str, files: &[File], file: usize) -> Self {
        let target = format!("/d/{}", files[file].name);
        let (lines, odd) = (Vec::new(), BTreeSet::new());
        Self {
            method,
            file,
            target,
            version: "HTTP/1.1",
            lines,
            host: "Host: shop.example\r\n",
            body: "",
            before: "",
            odd,
        }
    }

    /// Its bytes for a server whose tags are these: the current, the same weak, and another.
    pub fn bytes(&self, [tag, weak, other]: &[String; 3]) -> Vec<u8> {
        let Self { method, target, version, host, lines, body, before, .. } = self;
        let text = format!("{before}{method} {target} {version}\r\n{host}{}\r\n{body}", lines.concat());
        text.replace("{tag}", tag).replace("{weak}", weak).replace("{other}", other).into_bytes()
    }

    /// The first line of this field, without the blanks around it.
    pub fn line(&self, name: &str) -> Option<&str> {
        let mut found = self.lines.iter().filter_map(|line| {
            let (given, value) = line.split_once(':')?;
            given.eq_ignore_ascii_case(name).then_some(value.trim())
        });
        found.next()
    }

    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

/// A stream of numbers that a seed decides.
pub struct Numbers(u64);

impl Numbers {
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

/// All requests: each peculiarity by itself, and `mixed` mixtures.
pub fn cases(files: &[File], mixed: usize, numbers: &mut Numbers) -> Vec<Case> {
    let mut all = Vec::new();
    let plain = |method, file| Case::of(method, files, file);
    for method in METHODS {
        for file in 0..files.len() {
            all.push(plain(method, file));
        }
    }
    let with = |case: &Case, line: String| {
        let mut case = case.clone();
        case.lines.push(line);
        case
    };
    for file in [0, 3, 5] {
        let (get, head) = (plain("GET", file), plain("HEAD", file));
        for line in conditions(&files[file]) {
            all.extend([with(&get, line.clone()), with(&head, line)]);
        }
        for range in ranges(files[file].content.len()) {
            let line = format!("Range: {range}\r\n");
            all.extend([with(&get, line.clone()), with(&head, line)]);
        }
        let get = with(&get, "Range: bytes=0-0\r\n".to_owned());
        for line in if_ranges(&files[file]) {
            all.push(with(&get, line));
        }
    }
    for odd in 0..odds() {
        for method in ["GET", "HEAD"] {
            let mut case = plain(method, 3);
            make_odd(&mut case, odd);
            all.push(case);
        }
    }
    let single = all.len();
    while all.len() < single + mixed {
        all.push(mixture(files, numbers));
    }
    all
}

const METHODS: [&str; 13] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "MKCOL", "BREW", "get", "Get"];

/// Mixtures of what both take, mostly, so that it is the meaning that is compared.
fn mixture(files: &[File], numbers: &mut Numbers) -> Case {
    // The largest is seldom asked for.
    let file = if numbers.percent(4) { 5 } else { numbers.below(5) };
    let method = numbers.one(&["GET", "GET", "GET", "HEAD"]);
    let mut case = Case::of(method, files, file);
    let conditions = conditions(&files[file]);
    for _ in 0..numbers.one(&[0, 0, 1, 1, 2, 3]) {
        let line = numbers.one(&conditions);
        let name = line.split(':').next().unwrap_or_default().to_owned();
        // A field that may be there once is; lists go on in another line.
        if name.ends_with("Match") || case.line(&name).is_none() {
            case.lines.push(line);
        }
    }
    if numbers.percent(50) {
        let range = match numbers.percent(50) {
            true => numbers.one(&ranges(files[file].content.len())),
            false => random_ranges(files[file].content.len(), numbers),
        };
        case.lines.push(format!("Range: {range}\r\n"));
        if numbers.percent(40) {
            case.lines.push(numbers.one(&if_ranges(&files[file])));
        }
    }
    for index in (1..case.lines.len()).rev() {
        let other = numbers.below(index + 1);
        case.lines.swap(index, other);
    }
    if numbers.percent(20) {
        make_odd(&mut case, numbers.below(odds()));
    }
    case
}

fn random_ranges(size: usize, numbers: &mut Numbers) -> String {
    let size = size.max(1);
    let specs: Vec<_> = (0..numbers.one(&[1, 1, 2, 2, 3, 5, 9, 12]))
        .map(|_| {
            let first = numbers.below(size + size / 8 + 1);
            match numbers.below(8) {
                0 => format!("-{first}"),
                1 => format!("{first}-"),
                2 => format!("{first}-{}", first + numbers.below(size)),
                _ => format!("{first}-{}", first + numbers.below(size / 16 + 1)),
            }
        })
        .collect();
    format!("bytes={}", specs.join(numbers.one(&[",", ", "])))
}

/// Conditions about a file.
fn conditions(file: &File) -> Vec<String> {
    let mut lines = Vec::new();
    for field in ["If-Match", "If-None-Match"] {
        for value in [
            "{tag}",
            "{weak}",
            "{other}",
            "*",
            "{other}, {tag}",
            "{tag}, {other}",
            "{other},{weak}",
            "W/{other}, {other}",
            "\"\"",
            "\"x\", {tag}",
            "\"a,b\" , {tag}",
            "{other}\t,\t{tag}",
        ] {
            lines.push(format!("{field}: {value}\r\n"));
        }
    }
    for field in ["If-Modified-Since", "If-Unmodified-Since"] {
        for date in dates(file.modified_s) {
            lines.push(format!("{field}: {date}\r\n"));
        }
    }
    lines
}

/// In all three forms, around a moment; and texts that are no dates.
fn dates(modified_s: u64) -> Vec<String> {
    let mut dates = Vec::new();
    for second in [modified_s - 86_400, modified_s - 1, modified_s, modified_s + 1, modified_s + 86_400] {
        dates.extend(forms(second));
    }
    dates.extend(forms(784_111_777));
    dates.extend(["yesterday", "0", "Sun, 06 Nov 1994 08:49:37", "Sun, 32 Nov 1994 08:49:37 GMT"].map(str::to_owned));
    dates
}

/// RFC 9110, 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT`, `Sun Nov  6 08:49:37 1994`.
fn forms(second: u64) -> [String; 3] {
    let fixdate = imf(second);
    let [day, month, year, time] = [&fixdate[5..7], &fixdate[8..11], &fixdate[12..16], &fixdate[17..25]];
    let weekday = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
        .into_iter()
        .find(|weekday| weekday[..3] == fixdate[..3])
        .unwrap();
    let rfc850 = format!("{weekday}, {day}-{month}-{} {time} GMT", &year[2..]);
    let number: u8 = day.parse().unwrap();
    let asctime = format!("{} {month} {number:2} {time} {year}", &fixdate[..3]);
    [fixdate, rfc850, asctime]
}

pub fn imf(second: u64) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(second))
}

fn if_ranges(file: &File) -> Vec<String> {
    let [now, now_850, now_asc] = forms(file.modified_s);
    let values = [
        "{tag}",
        "{weak}",
        "{other}",
        "\"x\"",
        "*",
        "yesterday",
        &now,
        &now_850,
        &now_asc,
        &imf(file.modified_s - 1),
        &imf(file.modified_s + 1),
        &imf(784_111_777),
    ];
    values.iter().map(|value| format!("If-Range: {value}\r\n")).collect()
}

/// Ranges of a file of this size, of each kind.
fn ranges(size: usize) -> Vec<String> {
    let last = size.saturating_sub(1);
    let (half, end) = (size / 2, size + 10);
    let mut all: Vec<String> = [
        "bytes=0-0",
        "bytes=0-",
        "bytes=1-",
        "bytes=-1",
        "bytes=-0",
        "bytes=0-0,-1",
        "bytes=0-0, 2-2",
        "bytes=2-2,0-0",
        "bytes=-1,0-0",
        "BYTES=0-0",
        "Bytes=0-0",
        "bytes=5-2",
        "bytes=0-0,5-2",
        "bytes=",
        "bytes",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=0-0-0",
        "bytes=--1",
        "bytes= 0-0",
        "bytes=0 - 0",
        "bytes=0-0 ,2-2",
        "bytes=,0-0",
        "bytes=0-0,",
        "bytes=,,0-0,,1-1",
        "bytes = 0-0",
        "bytes 0-0",
        "items=0-0",
        "seconds=1-2",
        "bytes:0-0",
        "=0-0",
        "0-0",
        "none",
        "bytes=0-0;1-1",
        "bytes=0x0-0x1",
        "bytes=+0-0",
        "bytes=0-99999999999999999999",
        "bytes=99999999999999999999-",
        "bytes=-99999999999999999999",
        "bytes=18446744073709551615-18446744073709551616",
        "bytes=0-,0-",
        "bytes=0-,-1",
        "bytes=0-0,0-0,0-0,0-0",
    ]
    .map(str::to_owned)
    .into();
    all.extend([
        format!("bytes=0-{last}"),
        format!("bytes=0-{end}"),
        format!("bytes={last}-"),
        format!("bytes={size}-"),
        format!("bytes={size}-{end}"),
        format!("bytes={end}-"),
        format!("bytes=-{size}"),
        format!("bytes=-{end}"),
        format!("bytes=0-0,{end}-"),
        format!("bytes={end}-,{end}-"),
        format!("bytes=0-{half},{half}-"),
        format!("bytes=0-9,{half}-,20-29"),
        format!("bytes=0-9,{half}-{}", half + 9),
        format!("bytes=0-9,{}-{}", half.saturating_sub(1), half + 9),
        format!("bytes=0-{half},{}-", half + 1),
    ]);
    // As long as players that open documents, and as attackers.
    for (count, step) in [(8, 400), (9, 400), (20, 150), (150, 2), (250, 1)] {
        let specs: Vec<_> = (0..count).map(|number| format!("{}-{}", number * step, number * step)).collect();
        all.push(format!("bytes={}", specs.join(",")));
    }
    all
}

type MakeOdd = fn(&mut Case);
type MakeTarget = fn(&str) -> String;

fn odds() -> usize {
    LINES.len() + TARGETS.len() + OTHERS.len()
}

fn make_odd(case: &mut Case, number: usize) {
    if let Some((name, line)) = LINES.get(number) {
        case.lines.push((*line).to_owned());
        case.odd.insert(name);
    } else if let Some((name, make)) = TARGETS.get(number - LINES.len()) {
        case.target = make(&case.target);
        case.odd.insert(name);
    } else if let Some((name, make)) = OTHERS.get(number - LINES.len() - TARGETS.len()) {
        make(case);
        case.odd.insert(name);
    }
}

/// Header lines that both should take in one way, and some that nobody should send.
const LINES: [(&str, &str); 47] = [
    ("", "rAnGe: bytes=0-0\r\n"),
    ("", "RANGE:bytes=0-0\r\n"),
    ("", "Range: \t  bytes=0-0 \t \r\n"),
    ("", "IF-NONE-MATCH:{tag}\r\n"),
    ("", "if-none-match:\t{tag}\t\r\n"),
    ("empty Range", "Range:\r\n"),
    ("empty list", "If-None-Match:\r\n"),
    ("empty list", "If-None-Match: ,\r\n"),
    ("empty list", "If-None-Match: , ,\r\n"),
    ("empty list", "If-Match:\r\n"),
    ("empty list", "If-Match: ,,\r\n"),
    ("empty elements", "If-None-Match: , {tag}, ,\r\n"),
    ("empty elements", "If-Match: ,,{tag}\r\n"),
    ("tag without quotes", "If-None-Match: x, {tag}\r\n"),
    ("tag without quotes", "If-Match: x\r\n"),
    ("star in a list", "If-None-Match: {other}, *\r\n"),
    ("star in a list", "If-Match: *, {other}\r\n"),
    ("weak in small letters", "If-None-Match: w/{tag}\r\n"),
    ("two lists", "If-None-Match: {other}\r\nIf-None-Match: {tag}\r\n"),
    ("two lists", "If-Match: {other}\r\nIf-Match: {tag}\r\n"),
    ("empty date", "If-Modified-Since:\r\n"),
    ("empty date", "If-Unmodified-Since:\r\n"),
    ("two ranges", "Range: bytes=0-0\r\nRange: bytes=1-1\r\n"),
    ("", "Accept-Encoding: gzip, br\r\nAccept: */*\r\nTE: trailers\r\nCookie: a=b; c=d\r\nX-Empty:\r\n"),
    ("", "Cache-Control: no-cache\r\nPragma: no-cache\r\nReferer: x\r\nUser-Agent: y\r\nUser-Agent: z\r\n"),
    ("", "Connection: close\r\n"),
    ("", "connection: CLOSE\r\n"),
    ("", "Connection: keep-alive\r\n"),
    ("", "Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    ("connection list", "Connection: keep-alive, close\r\n"),
    ("connection list", "Connection: x, close\r\n"),
    ("", "Expect: 100-continue\r\n"),
    ("expects more", "Expect: more\r\n"),
    ("", "Content-Length: 0\r\n"),
    ("bad length", "Content-Length: x\r\n"),
    ("bad length", "Content-Length: 5, 5\r\n"),
    ("bad length", "Content-Length: -1\r\n"),
    ("bad length", "Content-Length: 0\r\nContent-Length: 0\r\n"),
    ("two framings", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
    ("unknown coding", "Transfer-Encoding: gzip, chunked\r\n"),
    ("two hosts", "Host: shop.example\r\n"),
    ("folded line", "X: y\r\n z\r\n"),
    ("blank before a colon", "X : y\r\n"),
    ("bare line feed", "X: y\nZ: z\r\n"),
    ("nul", "X: y\0\r\n"),
    ("line without a colon", "nonsense\r\n"),
    ("underscore", "If_None_Match: {tag}\r\n"),
];

const TARGETS: [(&str, MakeTarget); 34] = [
    ("", |target| format!("{target}?")),
    ("", |target| format!("{target}?x=1&y=%20;z")),
    ("", |target| format!("{target}?a=/../b//c")),
    ("", |target| target.replacen("/d/", "/%64/", 1)),
    ("", |target| target.replace('e', "%65")),
    ("", |target| format!("http://shop.example{target}")),
    ("", |target| format!("HTTP://shop.example:80{target}?x")),
    ("", |target| format!("http://other.example{target}")),
    ("", |target| format!("{target}x")),
    ("", |target| format!("{target}%20")),
    ("", |target| format!("{target};x=1")),
    ("", |target| target.to_uppercase()),
    ("", |_| "/nothing/here".to_owned()),
    ("", |_| "/d/\u{e4}".replace('\u{e4}', "%C3%A4")),
    ("", |_| "/d".to_owned()),
    ("", |_| "/%64".to_owned()),
    ("below a file", |target| format!("{target}/")),
    ("below a file", |target| format!("{target}/x")),
    ("directory", |_| "/d/".to_owned()),
    ("directory", |_| "/".to_owned()),
    ("other scheme", |target| format!("https://shop.example{target}")),
    ("empty names", |target| format!("/{target}")),
    ("empty names", |target| target.replacen("/d/", "/d//", 1)),
    ("dot segments", |target| format!("/.{target}")),
    ("dot segments", |target| format!("/d/x/../..{target}")),
    ("dot segments", |target| target.replacen("/d/", "/d/%2e/", 1)),
    ("dot segments", |target| format!("/..{target}")),
    ("escaped slash", |target| target.replacen("/d/", "/d%2f", 1)),
    ("escaped control", |target| format!("{target}%0a")),
    ("escaped nul", |target| format!("{target}%00")),
    ("bad escape", |target| format!("{target}%zz")),
    ("fragment", |target| format!("{target}#x")),
    ("backslash", |target| format!("{target}\\x")),
    ("bytes above ascii", |target| format!("{target}\u{e4}")),
];

const OTHERS: [(&str, MakeOdd); 25] = [
    ("", |case| case.version = "HTTP/1.0"),
    ("", |case| (case.version, case.host) = ("HTTP/1.0", "")),
    ("", |case| {
        case.version = "HTTP/1.0";
        case.lines.push("Connection: Keep-Alive\r\n".to_owned());
    }),
    ("", |case| {
        case.version = "HTTP/1.0";
        case.lines.push("Connection: close\r\n".to_owned());
    }),
    ("", |case| case.lines.extend((0..30).map(|number| format!("X-Line-{number}: {number}\r\n")))),
    ("", |case| case.lines.push(format!("X: {}\r\n", "y".repeat(4000)))),
    ("", |case| case.before = "\r\n"),
    ("", |case| case.target += &format!("?{}", "q".repeat(3000))),
    ("", |case| case.host = "Host: 127.0.0.1:8080\r\n"),
    ("", |case| case.host = "Host: [::1]:80\r\n"),
    ("", |case| case.host = ""),
    ("empty host", |case| case.host = "Host:\r\n"),
    ("", |case| case.host = "Host: a b\r\n"),
    ("odd host", |case| case.host = "Host: a,b\r\n"),
    ("", |case| case.host = "Host: a/b\r\n"),
    ("", |case| case.version = "HTTP/2.0"),
    ("minor version", |case| case.version = "HTTP/1.2"),
    ("version in small letters", |case| case.version = "http/1.1"),
    ("blanks in the line", |case| case.target.insert(0, ' ')),
    ("blanks in the line", |case| case.version = "HTTP/1.1 "),
    ("body", |case| {
        case.lines.push("Content-Length: 5\r\n".to_owned());
        case.body = "hello";
    }),
    ("body", |case| {
        case.lines.push("Transfer-Encoding: chunked\r\n".to_owned());
        case.body = "5\r\nhello\r\n0\r\n\r\n";
    }),
    ("large head", |case| case.lines.extend((0..150).map(|number| format!("X-Line-{number}: {number}\r\n")))),
    ("long line", |case| case.lines.push(format!("X: {}\r\n", "y".repeat(9000)))),
    ("long target", |case| case.target += &"n".repeat(5000)),
];
