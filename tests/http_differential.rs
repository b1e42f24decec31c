//! Goal: Larder means by its answers what the origin that everybody knows means by them.
//!
//! Method: hundreds of requests, made from a seed that is printed (`HTTP_DIFFERENTIAL_SEED` chooses another), to nginx with
//! the same files on its disk, and to Larder. Status, content, ranges, validators and what becomes of the connection must
//! agree, or a row of the table of intended differences says why not, with the section of the RFC. A row that explains
//! nothing fails the test too, so the table stays true. Skipped where nginx is not installed.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "http_differential/case.rs"]
mod case;
#[path = "http_differential/compare.rs"]
mod compare;
#[path = "http_differential/intended.rs"]
mod intended;
mod support;

use case::{Case, File, Numbers, cases};
use compare::{Seen, check, differences, shown};
use intended::INTENDED;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};
use support::content;
use support::front::Front;
use support::process::Process;
use support::web::Web;

/// Requests beside those that have one peculiarity each.
const MIXED: usize = 500;
const SEED: u64 = 9110;
/// Differences that are shown when they are not explained.
const SHOWN: usize = 25;

/// One over a chunk of 8 MiB is last.
const SIZES: [(&str, usize); 6] =
    [("zero", 0), ("one", 1), ("ten", 10), ("four", 4096), ("seventy", 70_000), ("large", (8 << 20) + 5000)];

#[test]
fn larder_answers_as_nginx_does() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    std::fs::create_dir_all(root.join("d")).unwrap();
    std::fs::create_dir(place.path().join("nginx")).unwrap();
    let Some(nginx) = Front::nginx(&place.path().join("nginx"), 1, |addresses| configuration(&root, addresses[0]))
    else {
        return;
    };
    for (index, (name, size)) in SIZES.into_iter().enumerate() {
        std::fs::write(root.join("d").join(name), content(index as u64, size)).unwrap();
    }
    let larder = Process::serve_with(&[&place.path().join("data")], &["--http-read-only"]);
    let files = same_files(&root, &larder);
    let (nginx, larder) = (nginx.addresses[0], larder.http.expect("it has an origin"));

    let seed = std::env::var("HTTP_DIFFERENTIAL_SEED").map_or(SEED, |seed| seed.parse().expect("a number"));
    let cases = cases(&files, MIXED, &mut Numbers::of(seed));
    let (mut agreed, mut explained, mut unexplained) = (0, [0; INTENDED.len()], Vec::new());
    for case in &cases {
        let file = &files[case.file];
        let [nginx, larder] = [nginx, larder].map(|server| exchange(server, case, &files));
        let all = differences(case, file, &nginx, &larder);
        agreed += usize::from(all.is_empty());
        for difference in all {
            match INTENDED.iter().position(|row| (row.explains)(&difference)) {
                Some(row) => explained[row] += 1,
                None => unexplained.push(format!(
                    "{:?} of {}: nginx {}, Larder {}: {} {:?} {:?} {:?} {:?}",
                    difference.aspect,
                    difference.file.content.len(),
                    shown(difference.aspect, case, &nginx),
                    shown(difference.aspect, case, &larder),
                    case.method,
                    case.target.chars().take(60).collect::<String>(),
                    case.version,
                    case.lines.iter().take(5).map(|line| line.chars().take(90).collect()).collect::<Vec<String>>(),
                    case.odd,
                )),
            }
        }
    }
    println!("seed {seed}: {} requests, {agreed} agreed in all; differences:", cases.len());
    for (row, count) in INTENDED.iter().zip(explained) {
        println!("{count:5}  {} (RFC {})", row.what, row.section);
    }
    assert!(cases.len() >= 500);
    let some = unexplained.iter().take(SHOWN).map(|line| format!("\n{line}")).collect::<String>();
    assert!(unexplained.is_empty(), "seed {seed}: {} differences that no row explains:{some}", unexplained.len());
    for (row, count) in INTENDED.iter().zip(explained) {
        assert!(count > 0, "seed {seed}: a row explains nothing: {}", row.what);
    }
}

/// nginx's defaults, but that a date need not be the very same one to be "not modified since" (RFC 9110, 13.1.3).
fn configuration(root: &Path, address: SocketAddr) -> String {
    format!(
        "access_log off; if_modified_since before; keepalive_requests 1000000;\n\
         server {{ listen {address}; root {}; }}",
        root.display()
    )
}

/// Gives Larder the files of nginx, and the files Larder's times.
fn same_files(root: &Path, larder: &Process) -> Vec<File> {
    let mut sync = Command::new(env!("CARGO_BIN_EXE_larder"));
    sync.arg("sync").arg(root.join("d")).arg("/d").arg("--server").arg(larder.address.to_string());
    assert!(sync.output().unwrap().status.success());
    let mut web = Web::connect(larder.http.unwrap());
    let mut files = Vec::new();
    for (name, _) in SIZES {
        let ask = format!("HEAD /d/{name} HTTP/1.1\r\nHost: h\r\n\r\n");
        let modified = seconds(web.ask(ask.as_bytes()).field("last-modified"));
        let path = root.join("d").join(name);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(modified)).unwrap();
        // RFC 9110, 8.8.2.2: a date is a strong validator only when its second is over.
        support::eventually("the second of a file is over", || {
            seconds(web.ask(ask.as_bytes()).field("date")) > modified
        });
        files.push(File { name, content: std::fs::read(&path).unwrap(), modified_s: modified });
    }
    files
}

fn seconds(date: Option<&str>) -> u64 {
    let date = httpdate::parse_http_date(date.expect("a date")).unwrap();
    date.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// One request, and whether the connection takes another after it.
fn exchange(server: SocketAddr, case: &Case, files: &[File]) -> Seen {
    let file = &files[case.file];
    let mut web = Web::connect(server);
    let known = web.ask(format!("HEAD /d/{} HTTP/1.1\r\nHost: h\r\n\r\n", file.name).as_bytes());
    let tag = known.field("etag").expect("every file has a tag").to_owned();
    // Another file's size or hash: a tag of the same kind.
    let other = tag.chars().rev().map(|digit| if digit == '0' { '1' } else { digit }).collect::<String>();
    let answer = web.ask(&case.bytes(&[tag.clone(), format!("W/{tag}"), other]));
    let ends = |web: &mut Web| match answer.field("server") {
        Some("larder") => web.has_ended(),
        // It may send a text after a HEAD that it could not read.
        _ => web.ends(),
    };
    let kept = !(answer.says_close() && ends(&mut web)) && {
        web.send(b"GET /probe HTTP/1.1\r\nHost: h\r\n\r\n");
        web.answer(false).unwrap_or_else(|error| panic!("after {case:?}: {error}")).is_some()
    };
    let seen = Seen { answer, kept };
    if let Err(panic) = std::panic::catch_unwind(|| check(case, file, &seen)) {
        eprintln!("{case:?}: {} {:?}", seen.answer.status, seen.answer.fields);
        std::panic::resume_unwind(panic);
    }
    seen
}
