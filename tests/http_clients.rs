//! Goal: the programs that people use speak with the HTTP origin as they are. Method: the real program, and before it or
//! beside it the real ones: curl, wget, aria2, Python's requests, nginx with examples/nginx/larder.conf, HAProxy, Varnish and
//! a browser. A test whose program is not there says `skipped: <program> is not installed`, and does nothing.
//!
//! All of them: `cargo test --test http_clients -- --include-ignored --nocapture`, with these packages of Debian:
//! `curl wget aria2 python3-requests nginx haproxy varnish chromium ffmpeg`. What starts a browser is ignored otherwise.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

#[path = "http_clients/ask.rs"]
mod ask;
#[path = "http_clients/browser.rs"]
mod browser;
#[path = "http_clients/curl.rs"]
mod curl;
#[path = "http_clients/downloaders.rs"]
mod downloaders;
#[path = "http_clients/haproxy.rs"]
mod haproxy;
#[path = "http_clients/nginx.rs"]
mod nginx;
#[path = "http_clients/origin.rs"]
mod origin;
#[path = "http_clients/picture.rs"]
mod picture;
#[path = "http_clients/program.rs"]
mod program;
#[path = "http_clients/python.rs"]
mod python;
#[path = "http_clients/varnish.rs"]
mod varnish;
