//! Varnish before one origin: what it keeps, parts of it, and asking whether it is still right.

use crate::ask::ask;
use crate::origin::Origin;
use crate::program::{Daemon, free_address, installed};
use crate::support::{content, eventually};
use std::process::Command;

fn configuration(origin: &Origin) -> String {
    format!(
        "vcl 4.1;
         backend larder {{
             .host = \"{}\"; .port = \"{}\";
             .probe = {{ .url = \"/.ready\"; .interval = 1s; .initial = 3; }}
         }}
         sub vcl_deliver {{ set resp.http.X-Hits = obj.hits; }}",
        origin.address.ip(),
        origin.address.port()
    )
}

#[test]
fn varnish_keeps_cuts_and_asks_again() {
    let Some(varnishd) = installed("varnishd") else { return };
    let (origin, directory, world) = (Origin::start(), tempfile::tempdir().unwrap(), free_address());
    let file = directory.path().join("larder.vcl");
    std::fs::write(&file, configuration(&origin)).unwrap();
    let mut command = Command::new(varnishd);
    // Without its jail: that is another user, who may not read here.
    command.args(["-j", "none", "-F", "-T", "none", "-s", "malloc,64m", "-a", &world.to_string()]);
    command.arg("-n").arg(directory.path().join("work")).arg("-f").arg(file);
    let _varnish = Daemon::listening(command, directory.path(), world);
    let get = |path: &str, headers: &[(&str, &str)]| ask(world, "GET", path, headers, b"");

    let content = content(1, (9 << 20) + 7);
    let etag = origin.put("/film.mp4", &[], &content);
    for hits in ["0", "1"] {
        let answer = get("/film.mp4", &[]);
        assert!(answer.status == 200 && answer.body == content, "{answer:?}");
        assert_eq!((answer.field("X-Hits"), answer.field("ETag")), (hits, etag.as_str()));
    }
    let part = get("/film.mp4", &[("Range", "bytes=8388600-8388700")]);
    assert!(part.status == 206 && part.body == content[8_388_600..8_388_701], "{part:?}");
    let last = get("/film.mp4", &[("Range", "bytes=-10")]);
    assert!(last.status == 206 && last.body == content[content.len() - 10..], "{last:?}");
    assert_eq!(get("/film.mp4", &[("If-None-Match", &etag)]).status, 304);
    assert_eq!(origin.asked("GET /film.mp4", 200), 1);

    assert_eq!(ask(world, "PUT", "/up.txt", &[], b"up").status, 201);
    assert_eq!(get("/up.txt", &[]).body, b"up");
    assert_eq!(get("/none", &[]).status, 404);
    origin.put("/none", &[], b"here now");
    assert_eq!(get("/none", &[]).body, b"here now", "that it was not there is not kept");

    origin.put("/short", &[("Cache-Control", "public, max-age=1")], b"short");
    eventually("it asks whether it is still right", || {
        assert_eq!(get("/short", &[]).body, b"short");
        origin.asked("GET /short", 304) > 0
    });
    assert_eq!(origin.asked("GET /short", 200), 1, "it was sent once");
}
