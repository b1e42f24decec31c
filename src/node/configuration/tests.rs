//! Goal: what a person writes is either taken as meant, or refused with the place and the way out.

use super::{Configuration, ConfigurationError};
use crate::http::access::AccessLogFormat;
use std::path::{Path, PathBuf};

fn parse(text: &str) -> Result<Configuration, ConfigurationError> {
    Configuration::parse(Path::new("larder.toml"), text)
}

fn refused(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn the_example_is_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/larder.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(parse(&text).unwrap(), Configuration::default());
    assert_eq!(Configuration::load(Some(&path)).unwrap(), Configuration::default());
    for field in Configuration::FIELDS {
        let here = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{field} = "));
        assert_eq!(text.lines().filter(|line| here(line)).count(), 1, "{field} is not shown once");
    }
    // What the machine decides is shown as a remark; it must be right as a line too.
    let uncommented = ["processors", "meta", "access_log", "segment_bytes", "reserve_bytes"]
        .iter()
        .fold(text.to_string(), |text, field| text.replace(&format!("# {field} = "), &format!("{field} = ")));
    let all = parse(&uncommented).unwrap();
    assert!(all.segment_bytes.is_some() && all.reserve_bytes.is_some() && all.access_log.is_some());
}

#[test]
fn the_list_of_names_is_complete() {
    let all = Configuration {
        meta: Some(PathBuf::from("meta")),
        access_log: Some(PathBuf::from("access.log")),
        segment_bytes: Some(1),
        reserve_bytes: Some(1),
        ..Configuration::default()
    };
    let shown = serde_json::to_value(all).unwrap();
    let names: Vec<&String> = shown.as_object().unwrap().keys().collect();
    let mut want = Configuration::FIELDS.to_vec();
    want.sort_unstable();
    assert_eq!(names, want);
}

#[test]
fn what_is_written_is_taken() {
    let text = "
        data = ['/disk/a', '/disk/b']
        listen = '[::]:7400'
        http = '0.0.0.0:80'
        http_read_only = true
        http_cache_control = 'no-cache'
        access_log = '/var/log/larder/access.log'
        access_log_format = 'json'
        processors = 3
        budget_in_bytes = '64 MiB'
        segment_bytes = 33554432
        reserve_bytes = '1GiB'
        log = 'warn,larder::net=debug'";
    let want = Configuration {
        data: vec![PathBuf::from("/disk/a"), PathBuf::from("/disk/b")],
        listen: "[::]:7400".parse().unwrap(),
        http: "0.0.0.0:80".parse().unwrap(),
        http_read_only: true,
        http_cache_control: "no-cache".to_string(),
        access_log: Some(PathBuf::from("/var/log/larder/access.log")),
        access_log_format: AccessLogFormat::Json,
        processors: 3,
        budget_in_bytes: 64 << 20,
        segment_bytes: Some(32 << 20),
        reserve_bytes: Some(1 << 30),
        log: "warn,larder::net=debug".to_string(),
        ..Configuration::default()
    };
    assert_eq!(parse(text).unwrap(), want);
    assert_eq!(parse("").unwrap(), Configuration::default());
}

#[test]
fn an_error_names_place_and_way_out() {
    for (text, want) in [
        (
            "log = 'info'\nreaders_per_disk = 100",
            "larder.toml: readers_per_disk = 100 is out of bounds: want 1 to 64; the default is 4",
        ),
        (
            "segment_bytes = '8 GiB'",
            "larder.toml: segment_bytes = 8 GiB is out of bounds: want 16 MiB to 4 GiB; the default is by the disk",
        ),
        (
            "drain_ms = 100000000",
            "larder.toml: drain_ms = 100000000 ms is out of bounds: want 0 ms to 86400000 ms; the default is 10000 ms",
        ),
        (
            "reserve_bytes = 0",
            "larder.toml: reserve_bytes = 0 B is out of bounds: want 1 MiB to 1 TiB; the default is by the disk",
        ),
        (
            "\nsegmnt_bytes = 1",
            "larder.toml:2: there is no field segmnt_bytes, the nearest is segment_bytes; remove the line, or correct the name",
        ),
        ("xyz = 1", "larder.toml:1: there is no field xyz; remove the line, or correct the name"),
        (
            "log = 'info,loud'",
            "larder.toml: log = \"info,loud\": `loud` is no level: want off, error, warn, info, debug or trace, or a module and \
             a level as larder::net=debug, with commas between",
        ),
        ("data = []", "larder.toml: data is empty: name one directory for each disk"),
        ("data = ['a', 'b', 'a']", "larder.toml: data[2] is a again: name each directory once"),
        (
            "listen = '127.0.0.1:7480'",
            "larder.toml: http = 127.0.0.1:7480 is listen again: give each protocol a port of its own, or set http_enabled = \
             false",
        ),
        ("access_log = ''", "larder.toml: access_log is empty: name a file, or - for standard output, or leave it out"),
        (
            "deadline_default_ms = 2000\ndeadline_max_ms = 1000",
            "larder.toml: deadline_default_ms = 2000 is over deadline_max_ms = 1000: lower the one or raise the other",
        ),
        (
            "segment_bytes = '1 GiB'\nvolume_bytes = '512 MiB'",
            "larder.toml: segment_bytes = 1 GiB is over volume_bytes = 512 MiB: a volume holds at least one segment",
        ),
    ] {
        assert_eq!(refused(text), want);
    }
    for (text, line, reason) in [
        ("cache_bytes = '1 MB'", "larder.toml:1: `cache_bytes = '1 MB'`: ", "\"1 MB\" is no size"),
        ("\n\ncache_bytes = -1", "larder.toml:3: `cache_bytes = -1`: ", "a number of bytes, or a text with a unit"),
        ("processors = 'two'", "larder.toml:1: `processors = 'two'`: ", "expected usize"),
        ("access_log_format = 'xml'", "larder.toml:1: `access_log_format = 'xml'`: ", "expected `combined` or `json`"),
        ("http_enabled = 1", "larder.toml:1: `http_enabled = 1`: ", "expected a boolean"),
        ("http = '7480'", "larder.toml:1: `http = '7480'`: ", "socket address"),
        ("listen = 'here'", "larder.toml:1: `listen = 'here'`: ", "socket address"),
        ("a = 1\nb = = 2", "larder.toml:2: `b = = 2`: ", ""),
    ] {
        let error = refused(text);
        assert!(error.starts_with(line) && error.contains(reason) && error.contains("examples/larder.toml"), "{error}");
        assert!(!error.contains('\n'), "one line: {error}");
    }
    let missing = Configuration::load(Some(Path::new("/nowhere/larder.toml"))).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/larder.toml: cannot read the configuration: No such file"), "{missing}");
}

#[test]
fn cache_control_is_a_field_value() {
    let of = |text: &str| Configuration { http_cache_control: text.to_string(), ..Configuration::default() }.check();
    for text in ["no-cache", "public, max-age=300", "private=\"set-cookie\",\tmax-age=1", "x", &"x".repeat(256)] {
        assert_eq!(of(text), Ok(()), "{text:?}");
    }
    for text in
        ["", " ", " public", "public ", "a\r\nb: c", "a\nb", "a\0b", "a\x7f", "max-age=\u{e4}", &"x".repeat(257)]
    {
        let error = of(text).unwrap_err().to_string();
        assert!(error.starts_with("configuration: http_cache_control = ") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn two_protocols_need_two_ports() {
    let on = |listen: &str, http: &str, http_enabled| {
        let (listen, http) = (listen.parse().unwrap(), http.parse().unwrap());
        Configuration { listen, http, http_enabled, ..Configuration::default() }.check()
    };
    assert!(on("127.0.0.1:7400", "127.0.0.1:7400", true).is_err());
    assert_eq!(on("127.0.0.1:7400", "127.0.0.1:7400", false), Ok(()));
    assert_eq!(on("127.0.0.1:0", "127.0.0.1:0", true), Ok(()));
    assert_eq!(on("127.0.0.1:7400", "127.0.0.2:7400", true), Ok(()));
}

#[test]
fn flags_are_checked_like_a_file() {
    let configuration = Configuration { processors: 0, ..Configuration::default() };
    let error = configuration.check().unwrap_err().to_string();
    assert!(
        error.starts_with("configuration: processors = 0 is out of bounds: want 1 to 1024; the default is "),
        "{error}"
    );
    assert_eq!(Configuration::default().check(), Ok(()));
}
