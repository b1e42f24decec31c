//! curl, as people use it in scripts.

use crate::origin::Origin;
use crate::program::{installed, succeeded};
use crate::support::content;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// curl, an origin, and a directory for the files of both.
struct Curl {
    program: PathBuf,
    origin: Origin,
    directory: TempDir,
}

impl Curl {
    fn new() -> Option<Self> {
        let program = installed("curl")?;
        Some(Self { program, origin: Origin::start(), directory: tempfile::tempdir().unwrap() })
    }

    fn run(&self, arguments: &[&str], path: &str) -> Vec<u8> {
        let mut command = self.command(arguments);
        succeeded(command.arg(self.origin.url(path)).output().unwrap())
    }

    fn text(&self, arguments: &[&str], path: &str) -> String {
        String::from_utf8(self.run(arguments, path)).unwrap()
    }

    /// What curl says with `-w` and this format.
    fn told(&self, format: &str, arguments: &[&str], path: &str) -> String {
        self.text(&[&["-o", "/dev/null", "-w", format], arguments].concat(), path)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        // -q: without the configuration of who runs this.
        command.args(["-q", "-sS", "--noproxy", "*", "--max-time", "60"]).args(arguments);
        command.current_dir(self.directory.path());
        command
    }

    fn file(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(self.directory.path(), name)
    }
}

#[test]
fn files_go_up_with_a_length_and_in_chunks_and_come_back() {
    let Some(curl) = Curl::new() else { return };
    for (seed, bytes) in [0, 1, 4_000, 70_000, (8 << 20) + 1, 20 << 20].into_iter().enumerate() {
        let content = content(seed as u64, bytes);
        curl.file("it", &content);
        for (path, source) in [("/length.bin", "it"), ("/chunks.bin", "-")] {
            let input = std::fs::File::open(curl.path("it")).unwrap();
            let mut command = curl.command(&["-w", "%{http_code}", "-T", source]);
            let output = command.arg(curl.origin.url(path)).stdin(input).stderr(Stdio::piped()).output().unwrap();
            let status = if seed == 0 { "201" } else { "204" };
            assert_eq!(String::from_utf8(succeeded(output)).unwrap(), status, "{path} {bytes}");
            assert!(curl.run(&[], path) == content, "{path} {bytes}");
        }
    }
}

#[test]
fn a_body_waits_for_100_continue_and_is_not_sent_if_it_is_refused() {
    let Some(curl) = Curl::new() else { return };
    curl.file("it", &content(1, 3 << 20));
    let long = ["-D", "-", "-T", "it", "-H", "Expect: 100-continue", "--expect100-timeout", "50"];
    let head = curl.text(&long, "/it");
    assert!(head.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n"), "{head}");

    let told = curl.told("%{http_code} %{size_upload}", &long[2..], "/.live");
    assert_eq!(told, "405 0", "a probe is no file: nothing of the body is sent");
}

#[test]
fn head_tells_what_get_would_and_ranges_are_parts_of_it() {
    let Some(curl) = Curl::new() else { return };
    let content = content(2, 10 << 20);
    let etag = curl.origin.put("/film.mp4", &[], &content);
    let head = curl.text(&["-I"], "/film.mp4");
    for line in ["HTTP/1.1 200 OK", "Content-Length: 10485760", "Accept-Ranges: bytes", "Content-Type: video/mp4"] {
        assert!(head.contains(&format!("{line}\r\n")), "{line}: {head}");
    }
    assert!(head.contains(&format!("ETag: {etag}\r\n")), "{head}");

    let end = content.len();
    let border = 8 << 20;
    for (range, part) in [
        ("0-0", &content[..1]),
        ("100-299", &content[100..300]),
        (&format!("{}-{}", border - 10, border + 9), &content[border - 10..border + 10]),
        ("10485000-", &content[10_485_000..]),
        ("-777", &content[end - 777..]),
        ("10485700-99999999", &content[10_485_700..]),
    ] {
        assert!(curl.run(&["-r", range], "/film.mp4") == part, "{range}");
        assert_eq!(curl.told("%{http_code}", &["-r", range], "/film.mp4"), "206", "{range}");
    }
    assert_eq!(curl.told("%{http_code}", &["-r", "10485760-"], "/film.mp4"), "416");
    let several = curl.text(&["-D", "-", "-o", "/dev/null", "-r", "0-9,20000-20009"], "/film.mp4");
    assert!(several.contains("206 Partial Content") && several.contains("multipart/byteranges"), "{several}");
}

#[test]
fn what_is_known_is_not_sent_again_and_updates_do_not_get_lost() {
    let Some(curl) = Curl::new() else { return };
    let first = curl.origin.put("/page", &[], b"first");
    let known = curl.told("%{http_code} %{size_download}", &["-H", &format!("If-None-Match: {first}")], "/page");
    assert_eq!(known, "304 0");
    // curl's own way: the tag in a file.
    assert_eq!(curl.text(&["--etag-save", "etag"], "/page"), "first");
    assert_eq!(curl.told("%{http_code}", &["--etag-compare", "etag"], "/page"), "304");
    // With -R a file gets the time of Last-Modified, and -z asks with the time of a file.
    curl.run(&["-R", "-o", "page"], "/page");
    assert_eq!(curl.told("%{http_code}", &["-z", "page"], "/page"), "304");

    curl.file("mine", b"mine");
    let mine = ["-T", "mine", "-H", &format!("If-Match: {first}")];
    assert_eq!(curl.told("%{http_code}", &mine, "/page"), "204", "nobody changed it");
    curl.file("mine", b"mine again");
    assert_eq!(curl.told("%{http_code}", &mine, "/page"), "412", "it is not the first any more");
    assert_eq!(curl.text(&[], "/page"), "mine");
    assert_eq!(curl.told("%{http_code}", &["--etag-compare", "etag"], "/page"), "200");
}

#[test]
fn nothing_is_compressed_and_old_clients_are_answered() {
    let Some(curl) = Curl::new() else { return };
    let text = "much of the same\n".repeat(10_000);
    curl.origin.put("/a.txt", &[], text.as_bytes());
    assert_eq!(curl.text(&["--compressed"], "/a.txt"), text);
    let head = curl.text(&["--compressed", "-D", "-", "-o", "/dev/null"], "/a.txt");
    assert!(!head.contains("Content-Encoding") && !head.contains("Transfer-Encoding"), "{head}");
    assert_eq!(curl.text(&["--http1.0"], "/a.txt"), text);
    let old = curl.told("%{http_code} %{num_connects}", &["--http1.0", "-r", "0-99"], "/a.txt");
    assert_eq!(old, "206 1", "RFC 9110, 14.2: a range needs no version");
}

#[test]
fn one_connection_carries_all_requests_of_a_run() {
    let Some(curl) = Curl::new() else { return };
    for number in 0..50 {
        curl.origin.put(&format!("/{number}"), &[], format!("{number},").as_bytes());
    }
    assert_eq!(curl.text(&[], "/[0-49]"), (0..50).map(|number| format!("{number},")).collect::<String>());
    let output = curl.command(&["-o", "/dev/null", "-w", "%{num_connects} "]).arg(curl.origin.url("/[0-50]")).output();
    let connects = String::from_utf8(succeeded(output.unwrap())).unwrap();
    assert_eq!(connects, format!("1{}", " 0".repeat(50) + " "), "the last one is a 404, and needs no other either");
}

#[test]
fn a_download_that_was_cut_goes_on_where_it_was() {
    let Some(curl) = Curl::new() else { return };
    let content = content(3, 9 << 20);
    curl.origin.put("/big", &[], &content);
    for had in [1, 5_000_000, (9 << 20) - 1] {
        curl.file("part", &content[..had]);
        assert_eq!(curl.text(&["-C", "-", "-o", "part", "-w", "%{http_code}"], "/big"), "206", "{had}");
        assert!(std::fs::read(curl.path("part")).unwrap() == content, "{had}");
    }
}

#[test]
fn what_was_deleted_is_gone() {
    let Some(curl) = Curl::new() else { return };
    curl.origin.put("/a/b", &[], b"b");
    assert_eq!(curl.told("%{http_code}", &["-X", "DELETE"], "/a/b"), "204");
    assert_eq!(curl.told("%{http_code}", &[], "/a/b"), "404");
    assert_eq!(curl.told("%{http_code}", &["-X", "DELETE"], "/a/b"), "404");

    let answer = curl.text(&["-D", "-", "-o", "/dev/null", "--data-binary", "an object"], "/.id/");
    let place = answer.lines().find_map(|line| line.strip_prefix("Location: ")).expect("it says where it is").trim();
    let place = place.strip_prefix(&curl.origin.url("")).unwrap_or(place);
    assert_eq!(curl.text(&[], place), "an object");
    assert_eq!(curl.told("%{http_code}", &["-X", "DELETE"], place), "204");
    assert!(matches!(curl.told("%{http_code}", &[], place).as_str(), "404" | "410"));
}
