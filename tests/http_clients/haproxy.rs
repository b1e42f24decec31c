//! HAProxy before two origins: connections that stay, and health checks by `/.ready`.

use crate::ask::Client;
use crate::origin::Origin;
use crate::program::{Daemon, free_address, installed};
use crate::support::{content, eventually};
use std::net::SocketAddr;
use std::process::Command;

fn configuration(world: SocketAddr, one: SocketAddr, two: SocketAddr) -> String {
    format!(
        "defaults
    mode http
    option http-keep-alive
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response response-timeout
frontend world
    bind {world}
    use_backend first if {{ method PUT POST DELETE }}
    default_backend both
backend both
    balance roundrobin
    http-reuse always
    option httpchk GET /.ready
    http-check expect status 200
    default-server check inter 100ms fall 2 rise 2
    server one {one}
    server two {two}
    http-response set-header X-Server %s
backend first
    http-reuse always
    server one {one}
"
    )
}

#[test]
fn requests_are_shared_and_go_where_an_origin_is_ready() {
    let Some(haproxy) = installed("haproxy") else { return };
    let (one, mut two, directory) = (Origin::start(), Origin::start(), tempfile::tempdir().unwrap());
    let world = free_address();
    let file = directory.path().join("haproxy.cfg");
    std::fs::write(&file, configuration(world, one.address, two.address)).unwrap();
    let mut command = Command::new(haproxy);
    command.arg("-db").arg("-f").arg(file);
    let _haproxy = Daemon::listening(command, directory.path(), world);
    let mut client = Client::connect(world).unwrap();
    let mut ask = |method, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        client.ask(method, path, headers, body).expect("the connection stays")
    };

    let content = content(1, (9 << 20) + 7);
    for origin in [&one, &two] {
        origin.put("/a.jpg", &[], b"a picture");
        origin.put("/film.mp4", &[], &content);
    }
    let mut seen = Vec::new();
    for _again in 0..40 {
        let answer = ask("GET", "/a.jpg", &[], b"");
        assert_eq!((answer.status, &answer.body[..]), (200, &b"a picture"[..]));
        seen.push(answer.field("X-Server").to_string());
        let known = ask("GET", "/a.jpg", &[("If-None-Match", answer.field("ETag"))], b"");
        assert_eq!(known.status, 304, "by whichever of them");
        assert_eq!(ask("HEAD", "/a.jpg", &[], b"").field("Content-Length"), "9");
    }
    assert!(["one", "two"].iter().all(|name| seen.iter().any(|server| server == name)), "{seen:?}");
    assert!(ask("GET", "/film.mp4", &[], b"").body == content);
    let border = 8 << 20;
    let range = format!("bytes={}-{}", border - 5, border + 4);
    assert!(ask("GET", "/film.mp4", &[("Range", &range)], b"").body == content[border - 5..border + 5]);
    assert_eq!(ask("PUT", "/up", &[], &content).status, 201);
    assert!(one.get("/up").body == content);
    assert_eq!(ask("DELETE", "/up", &[], b"").status, 204);

    two.stop();
    for _again in 0..40 {
        assert_eq!(ask("GET", "/a.jpg", &[], b"").body, b"a picture", "nobody notices");
    }
    two.again();
    eventually("the second is asked again", || ask("GET", "/a.jpg", &[], b"").field("X-Server") == "two");
}
