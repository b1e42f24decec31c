//! nginx as a cache before two origins, with examples/nginx/larder.conf as it stands: only the five words that its head names
//! are replaced.

use crate::ask::{Answer, ask};
use crate::origin::Origin;
use crate::program::{Daemon, free_address, installed, succeeded};
use crate::support::{content, eventually};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const EXAMPLE: &str = include_str!("../../examples/nginx/larder.conf");

struct Cache {
    origins: [Origin; 2],
    /// Where the world reads.
    read: SocketAddr,
    /// Where programs write.
    write: SocketAddr,
    _nginx: Daemon,
    _directory: TempDir,
}

impl Cache {
    fn start() -> Option<Self> {
        let nginx = installed("nginx")?;
        let (origins, directory) = ([Origin::start(), Origin::start()], tempfile::tempdir().unwrap());
        let (read, write) = (free_address(), free_address());
        std::fs::write(directory.path().join("nginx.conf"), main_configuration()).unwrap();
        let conf = example(&origins, read, write, directory.path());
        std::fs::write(directory.path().join("larder.conf"), conf).unwrap();
        std::fs::create_dir(directory.path().join("cache")).unwrap();
        let mut command = Command::new(nginx);
        command.arg("-p").arg(directory.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        let nginx = Daemon::listening(command, directory.path(), read);
        Some(Self { origins, read, write, _nginx: nginx, _directory: directory })
    }

    /// Stores the same at both origins.
    fn put(&self, path: &str, headers: &[(&str, &str)], content: &[u8]) -> String {
        let [one, two] = self.origins.each_ref().map(|origin| origin.put(path, headers, content));
        assert_eq!(one, two, "the same content has the same tag everywhere");
        one
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.read, "GET", path, headers, b"")
    }

    /// How often both origins were asked.
    fn asked(&self, request: &str, status: u16) -> usize {
        self.origins.iter().map(|origin| origin.asked(request, status)).sum()
    }
}

fn main_configuration() -> String {
    // Who is root has workers that are somebody else, who may not write here.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user} daemon off; pid nginx.pid; error_log stderr;
         events {{}}
         http {{
            access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            include larder.conf;
         }}"
    )
}

fn example(origins: &[Origin; 2], read: SocketAddr, write: SocketAddr, directory: &Path) -> String {
    let words = [
        ("127.0.0.1:7480", origins[0].address.to_string()),
        ("127.0.0.1:7481", origins[1].address.to_string()),
        ("listen 8080", format!("listen {}", read.port())),
        ("listen 127.0.0.1:8081", format!("listen {write}")),
        ("/var/cache/nginx/larder", directory.join("cache").display().to_string()),
    ];
    words.into_iter().fold(EXAMPLE.to_string(), |text, (word, by)| {
        assert!(text.contains(word), "the example names {word}");
        text.replace(word, &by)
    })
}

fn assert_cache(answer: &Answer, status: u16, cache: &str) {
    assert_eq!((answer.status, answer.field("X-Cache-Status")), (status, cache), "{answer:?}");
}

#[test]
fn what_was_asked_for_once_is_kept() {
    let Some(cache) = Cache::start() else { return };
    let content = content(1, 50_000);
    let etag = cache.put("/a/picture%20%C3%A4.jpg", &[], &content);
    for (number, said) in ["MISS", "HIT", "HIT"].into_iter().enumerate() {
        let answer = cache.get("/a/picture%20%C3%A4.jpg", &[]);
        assert_cache(&answer, 200, said);
        assert!(answer.body == content && answer.field("ETag") == etag, "{number}: {answer:?}");
        assert_eq!(answer.field("Content-Type"), "image/jpeg");
    }
    let head = ask(cache.read, "HEAD", "/a/picture%20%C3%A4.jpg", &[], b"");
    assert_cache(&head, 200, "HIT");
    assert_eq!(head.field("Content-Length"), "50000");
    assert_cache(&cache.get("/a/picture%20%C3%A4.jpg", &[("If-None-Match", &etag)]), 304, "HIT");
    assert_eq!(cache.asked("GET /a/picture%20%C3%A4.jpg", 206), 1);
    assert_eq!(cache.get("/a/none.jpg", &[]).status, 404);
    cache.put("/a/none.jpg", &[], b"here now");
    assert_eq!(cache.get("/a/none.jpg", &[]).body, b"here now", "that it was not there is not kept");
}

#[test]
fn a_long_file_is_read_in_slices() {
    let Some(cache) = Cache::start() else { return };
    let content = content(2, (5 << 20) + 4321);
    let end = content.len();
    let etag = cache.put("/film.mp4", &[], &content);
    // A range first, so that one slice is there and the others are not.
    let mib = 1 << 20;
    for (range, part) in [
        (format!("bytes={}-{}", 2 * mib + 10, 2 * mib + 99), 2 * mib + 10..2 * mib + 100),
        (format!("bytes={}-{}", mib - 10, 3 * mib + 9), mib - 10..3 * mib + 10),
        ("bytes=-1000".into(), end - 1000..end),
        (format!("bytes={}-", 4 * mib), 4 * mib..end),
        ("bytes=0-0".into(), 0..1),
        (format!("bytes={}-{}", end - 1, end + 5000), end - 1..end),
    ] {
        let answer = cache.get("/film.mp4", &[("Range", &range)]);
        assert_eq!(answer.status, 206, "{range}: {answer:?}");
        assert_eq!(answer.field("Content-Range"), format!("bytes {}-{}/{end}", part.start, part.end - 1));
        assert!(answer.body == content[part], "{range}");
    }
    for _again in 0..2 {
        let answer = cache.get("/film.mp4", &[]);
        assert!(answer.status == 200 && answer.body == content, "{answer:?}");
        assert_eq!(answer.field("ETag"), etag);
    }
    let head = ask(cache.read, "HEAD", "/film.mp4", &[], b"");
    assert_cache(&head, 200, "HIT");
    assert_eq!(head.field("Content-Length"), end.to_string());
    assert_eq!(cache.get("/film.mp4", &[("Range", "bytes=99999999-")]).status, 416);
    let fresh = [("Range", "bytes=5-9"), ("If-Range", &etag)];
    assert_eq!(cache.get("/film.mp4", &fresh).body, content[5..10]);
    let old = [("Range", "bytes=5-9"), ("If-Range", "\"of something else\"")];
    assert!(cache.get("/film.mp4", &old).body == content);
    assert_eq!(cache.asked("GET /film.mp4", 206), 6, "each slice once");
    assert_eq!(cache.asked("GET /film.mp4", 200), 0);
}

#[test]
fn files_of_any_size_pass_slices() {
    let Some(cache) = Cache::start() else { return };
    let mib = 1 << 20;
    for bytes in [0, 1, mib - 1, mib, mib + 1, 2 * mib] {
        let (path, content) = (format!("/{bytes}"), content(bytes as u64, bytes));
        cache.put(&path, &[], &content);
        for said in ["MISS", "HIT"] {
            let answer = cache.get(&path, &[]);
            assert_cache(&answer, 200, said);
            assert!(answer.body == content, "{bytes}");
        }
        let head = ask(cache.read, "HEAD", &path, &[], b"");
        assert_eq!((head.status, head.field("Content-Length")), (200, bytes.to_string().as_str()));
    }
    cache.put("/head-first", &[], &[7; 3 << 20]);
    let head = ask(cache.read, "HEAD", "/head-first", &[], b"");
    assert_eq!((head.status, head.field("Content-Length")), (200, "3145728"));
}

#[test]
fn what_is_too_old_is_asked_about_and_not_sent_again() {
    let Some(cache) = Cache::start() else { return };
    let short = [("Cache-Control", "public, max-age=1")];
    let content = content(3, (1 << 20) + 5);
    cache.put("/old", &short, &content);
    cache.put("/empty", &short, b"");
    for (path, content) in [("/old", &content[..]), ("/empty", b"")] {
        let mut seen = Vec::new();
        eventually("it is asked about", || {
            let answer = cache.get(path, &[]);
            assert!(answer.status == 200 && answer.body == content, "{answer:?}");
            seen.push(answer.field("X-Cache-Status").to_string());
            seen.last().unwrap() == "REVALIDATED"
        });
        assert_eq!(seen[0], "MISS");
        assert!(cache.asked(&format!("GET {path}"), 304) >= 1);
    }
    assert_eq!(cache.asked("GET /old", 206), 2, "two slices, each sent once");
    // New content is seen when the old is too old.
    cache.put("/old", &short, b"new");
    eventually("the new content is given out", || cache.get("/old", &[]).body == b"new");
}

#[test]
fn many_that_ask_at_once_are_one_for_the_origins() {
    let Some(cache) = Cache::start() else { return };
    let content = content(4, 700_000);
    cache.put("/hot.png", &[], &content);
    std::thread::scope(|scope| {
        for _client in 0..24 {
            scope.spawn(|| {
                let answer = cache.get("/hot.png", &[]);
                assert!(answer.status == 200 && answer.body == content, "{answer:?}");
            });
        }
    });
    assert_eq!(cache.asked("GET /hot.png", 206), 1);
}

#[test]
fn one_origin_is_enough_and_without_any_the_old_is_given_out() {
    let Some(mut cache) = Cache::start() else { return };
    let short = [("Cache-Control", "public, max-age=1")];
    for number in 0..20 {
        cache.put(&format!("/{number}"), &[], format!("content {number}").as_bytes());
    }
    cache.put("/short", &short, b"short");
    cache.put("/unknown", &[], b"unknown");
    assert_cache(&cache.get("/short", &[]), 200, "MISS");

    cache.origins[0].stop();
    for number in 0..20 {
        let answer = cache.get(&format!("/{number}"), &[]);
        assert_cache(&answer, 200, "MISS");
        assert_eq!(answer.body, format!("content {number}").as_bytes());
    }
    cache.origins[1].stop();
    for number in 0..20 {
        assert_cache(&cache.get(&format!("/{number}"), &[]), 200, "HIT");
    }
    eventually("what is too old is given out", || {
        let answer = cache.get("/short", &[]);
        assert!(answer.status == 200 && answer.body == b"short", "{answer:?}");
        answer.field("X-Cache-Status") == "STALE"
    });
    assert!(matches!(cache.get("/unknown", &[]).status, 502 | 504));

    cache.origins[1].again();
    eventually("it is asked again", || cache.get("/unknown", &[]).body == b"unknown");
    eventually("the old is asked about again", || cache.get("/short", &[]).field("X-Cache-Status") == "HIT");
}

#[test]
fn programs_write_by_the_second_server_only() {
    let Some(cache) = Cache::start() else { return };
    let small = ask(cache.write, "PUT", "/up/small.txt", &[], b"small");
    assert_eq!(small.status, 201, "{small:?}");
    assert_eq!(ask(cache.write, "GET", "/up/small.txt", &[], b"").body, b"small");
    let content = content(5, 20 << 20);
    assert_eq!(ask(cache.write, "PUT", "/up/big.bin", &[], &content).status, 201);
    assert!(ask(cache.write, "GET", "/up/big.bin", &[], b"").body == content);
    assert!(cache.origins[0].get("/up/big.bin").body == content, "it is at the first origin");
    assert_eq!(cache.origins[1].get("/up/big.bin").status, 404);

    let first = small.field("ETag");
    let second = ask(cache.write, "PUT", "/up/small.txt", &[("If-Match", first)], b"second");
    assert_eq!(second.status, 204, "{second:?}");
    assert_eq!(ask(cache.write, "PUT", "/up/small.txt", &[("If-Match", first)], b"third").status, 412);
    assert_eq!(ask(cache.write, "DELETE", "/up/small.txt", &[], b"").status, 204);
    assert_eq!(ask(cache.write, "GET", "/up/small.txt", &[], b"").status, 404);

    for method in ["PUT", "POST", "DELETE"] {
        assert_eq!(ask(cache.read, method, "/up/big.bin", &[], b"").status, 403, "{method}");
    }
    assert!(cache.origins[0].get("/up/big.bin").body == content);
}

#[test]
fn chunks_go_through_nginx_as_they_come() {
    let Some(cache) = Cache::start() else { return };
    let Some(curl) = installed("curl") else { return };
    let (content, directory) = (content(6, 20 << 20), tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("it"), &content).unwrap();
    let mut command = Command::new(curl);
    command.args(["-q", "-sS", "--noproxy", "*", "-w", "%{http_code}", "-T", "-"]);
    command.arg(format!("http://{}/chunks", cache.write));
    command.stdin(std::fs::File::open(directory.path().join("it")).unwrap());
    assert_eq!(succeeded(command.output().unwrap()), b"201");
    assert!(cache.origins[0].get("/chunks").body == content);
}

#[test]
fn what_is_for_operators_is_not_for_the_world() {
    let Some(cache) = Cache::start() else { return };
    cache.put("/directory/file", &[], b"file");
    assert_eq!(cache.origins[0].get("/.metrics").status, 200);
    for path in ["/.metrics", "/.ready", "/.live", "/%2emetrics", "/.metrics/", "/.metrics?x", "/x/../.metrics"] {
        for address in [cache.read, cache.write] {
            assert!(matches!(ask(address, "GET", path, &[], b"").status, 400 | 404), "{path}");
        }
    }
    for path in ["/", "/directory/", "/directory/?limit=1"] {
        assert_eq!(cache.get(path, &[]).status, 404, "{path}");
        assert_eq!(ask(cache.write, "GET", path, &[], b"").status, 200, "{path}");
    }
}
