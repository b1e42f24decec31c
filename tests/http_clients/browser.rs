//! Chromium without a screen. The pages say what they saw by a PUT to the origin that they came from.

use crate::origin::Origin;
use crate::picture::png;
use crate::program::{Daemon, installed, succeeded};
use crate::support::eventually;
use std::process::Command;
use tempfile::TempDir;

const PICTURES: u32 = 24;

/// All pictures and what they measure, when all have come or failed; then all again, which the browser has.
const GALLERY: &str = r#"<!doctype html><meta charset="utf-8"><title>Gallery</title>
<link rel="stylesheet" href="/own/style.css">
<script type="module" src="/own/script.js"></script>
<body></body>"#;

const SCRIPT: &str = r"
const all = await Promise.all([...Array(24).keys()].map(number => new Promise(done => {
    const picture = new Image();
    picture.onload = picture.onerror = () => done(picture.naturalWidth + 'x' + picture.naturalHeight);
    picture.src = '/pictures/' + number + '.png';
    document.body.append(picture);
})));
const again = await fetch('/pictures/0.png', { cache: 'no-cache' });
const colour = getComputedStyle(document.body).backgroundColor;
const said = { all, again: (await again.arrayBuffer()).byteLength, colour };
await fetch('/said.json', { method: 'PUT', body: JSON.stringify(said) });
";

/// Plays a bit of the film at places far from each other.
const FILM: &str = r#"<!doctype html><meta charset="utf-8"><title>Film</title>
<video id="film" src="/film.webm" preload="metadata" muted></video>
<script type="module">
const film = document.getElementById('film');
const event = name => new Promise((done, failed) => {
    film.addEventListener(name, done, { once: true });
    film.addEventListener('error', () => failed(film.error.message), { once: true });
});
const said = { places: [] };
try {
    if (film.readyState < 1) await event('loadedmetadata');
    Object.assign(said, { duration: film.duration, end: film.seekable.end(0), width: film.videoWidth });
    for (const share of [0.9, 0.1, 0.6]) {
        const seeked = event('seeked');
        film.currentTime = film.duration * share;
        await seeked;
        said.places.push(Math.round(film.currentTime / film.duration * 100));
    }
} catch (error) {
    said.error = String(error);
}
await fetch('/said.json', { method: 'PUT', body: JSON.stringify(said) });
</script>"#;

/// Opens a page of the origin, and waits for what it says.
fn visit(origin: &Origin, page: &str) -> Option<serde_json::Value> {
    let chromium = installed("chromium")?;
    let directory = TempDir::new().unwrap();
    let mut command = Command::new(chromium);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.args(["--disable-dev-shm-usage", "--no-proxy-server", "--remote-debugging-port=0"]);
    command.arg(format!("--user-data-dir={}", directory.path().join("profile").display()));
    command.env("HOME", directory.path()).arg(origin.url(page));
    let mut browser = Daemon::start(command, directory.path());
    let mut said = None;
    eventually("the page says what it saw", || {
        browser.assert_runs();
        let answer = origin.get("/said.json");
        said = (answer.status == 200).then(|| serde_json::from_slice(&answer.body).unwrap());
        said.is_some()
    });
    said
}

#[test]
#[ignore = "it starts a browser, which takes long"]
fn a_browser_shows_all_pictures_of_a_page() {
    let origin = Origin::start();
    origin.put("/gallery.html", &[], GALLERY.as_bytes());
    origin.put("/own/style.css", &[], b"body { background: rgb(1, 2, 3) }");
    origin.put("/own/script.js", &[], SCRIPT.as_bytes());
    let mut sizes = Vec::new();
    for number in 0..PICTURES {
        let (width, height) = (40 + number * 10, 30 + number * 8);
        origin.put(&format!("/pictures/{number}.png"), &[], &png(number.into(), width, height));
        sizes.push(format!("{width}x{height}"));
    }
    let Some(said) = visit(&origin, "/gallery.html") else { return };
    assert_eq!(said["all"], serde_json::json!(sizes), "each has the size that it was made with");
    assert_eq!(said["again"], png(0, 40, 30).len());
    assert_eq!(said["colour"], "rgb(1, 2, 3)");
    for number in 0..PICTURES {
        assert_eq!(origin.asked(&format!("GET /pictures/{number}.png"), 200), 1, "{number}");
    }
    assert_eq!(origin.asked("GET /pictures/0.png", 304), 1, "it asks whether what it has is still right");
}

#[test]
#[ignore = "it starts a browser and makes a film, which takes long"]
fn a_browser_seeks_in_a_film() {
    let Some(ffmpeg) = installed("ffmpeg") else { return };
    let (origin, directory) = (Origin::start(), tempfile::tempdir().unwrap());
    let mut command = Command::new(ffmpeg);
    // Noise, so that it is long in bytes, too, and not all of it is read ahead.
    let source = "color=gray:size=320x180:rate=5:duration=60,noise=alls=60:allf=t";
    command.args(["-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libvpx", "-deadline", "realtime"]);
    command.args(["-cpu-used", "8", "-b:v", "1500k", "-g", "10", "film.webm"]).current_dir(directory.path());
    succeeded(command.output().unwrap());
    let film = std::fs::read(directory.path().join("film.webm")).unwrap();
    assert!(film.len() > 6 << 20, "{} bytes", film.len());
    origin.put("/film.webm", &[], &film);
    origin.put("/film.html", &[], FILM.as_bytes());
    let Some(said) = visit(&origin, "/film.html") else { return };
    assert_eq!(said["places"], serde_json::json!([90, 10, 60]), "{said}");
    assert_eq!(said["width"], 320);
    assert!(said["end"] == said["duration"], "all of it can be sought in: {said}");
    assert!(origin.asked("GET /film.webm", 206) >= 2, "{:?}", origin.log());
    assert_eq!(origin.asked("GET /film.webm", 200), 0, "it always asks for ranges: {:?}", origin.log());
}
