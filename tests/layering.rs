//! Goal: the layers of the tree hold. Who may import whom is written here once, and each power over the world outside
//! has its owners.
//!
//! Method: the sources are cut into words, their paths are made whole (groups, `super`, imports under another name), and
//! each path is held against the tables. Every violation is printed with its file and line. The checker is tried on
//! planted violations first, so that it cannot pass by seeing nothing.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "layering/lexer.rs"]
mod lexer;
#[path = "layering/paths.rs"]
mod paths;
#[path = "layering/rules.rs"]
mod rules;

use paths::named;
use rules::Rules;
use std::path::{Path, PathBuf};

/// A row may name only rows above it.
const LAYERS: &str = "
    base     []
    metrics  [base]
    disk     [base metrics]
    journal  [base metrics disk]
    store    [base metrics disk journal]
    io       [base metrics disk store]
    request  [base metrics]
    wire     [base request]
    client   [base metrics request wire]
    master   [base metrics disk journal request]
    handler  [base metrics request io master]
    net      [base metrics request]
    binary   [base metrics request wire net]
    http     [base metrics request net]
    node     [any]
    cli      [any]
    main     [any]
    loadgen  [base metrics request wire client]
";

/// Tests may use any of these; the layers above hold for them too.
const POWERS: &str = "
    mio                    [net loadgen]              loadgen has event loops of its own
    std::net::TcpListener  [net loadgen]              its echo server listens
    std::net::TcpStream    [net client loadgen]
    std::fs                [disk node cli loadgen]   files of data directories are disk's; node reads its configuration, cli and loadgen their user's files
    rustix::fs             [disk]
    std::thread::spawn     [base]                    base::thread names its threads and reports their panics
    std::thread::scope     [base store]              store syncs the files of one group at once, on threads that end with the call
    std::thread::Builder   [base client]             the client library reads each connection on a thread of its own
";

#[test]
fn the_layers_hold() {
    let rules = Rules::parse(LAYERS, POWERS).unwrap_or_else(|bad| panic!("{}", bad.join("\n")));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut violations = violations_under(&rules, root, "src", None);
    violations.extend(violations_under(&rules, root, "loadgen/src", Some("loadgen")));
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

/// `file:line: sentence` for each violation under a folder, whose files are all of one layer or of that of their folder.
fn violations_under(rules: &Rules, root: &Path, folder: &str, layer: Option<&str>) -> Vec<String> {
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files);
    assert!(!files.is_empty(), "no sources under {folder}");
    let sources: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let place = file.strip_prefix(root.join(folder)).expect("it was found there").to_path_buf();
            (place, text)
        })
        .collect();
    violations(rules, &sources, layer).into_iter().map(|violation| format!("{folder}/{violation}")).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// As [`violations_under`], of sources that are here.
fn violations(rules: &Rules, sources: &[(PathBuf, String)], layer: Option<&str>) -> Vec<String> {
    let module_of = |file: &Path| -> Vec<String> {
        let mut module: Vec<String> =
            file.with_extension("").iter().map(|part| part.to_string_lossy().into()).collect();
        if module.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
            module.pop();
        }
        module
    };
    let test_modules: Vec<Vec<String>> = sources
        .iter()
        .flat_map(|(file, text)| {
            let module = module_of(file);
            named(text, &module).test_modules.into_iter().map(move |name| [&module[..], &[name]].concat())
        })
        .collect();
    let mut found = Vec::new();
    for (file, text) in sources {
        let module = module_of(file);
        let of_folder = if file.iter().count() == 1 { "main" } else { module.first().map_or("main", String::as_str) };
        let of_crate = if layer.is_some() || file == Path::new("main.rs") { "larder" } else { "crate" };
        let mut paths = named(text, &module).paths;
        if test_modules.iter().any(|test| module.starts_with(test)) {
            paths.iter_mut().for_each(|path| path.in_test = true);
        }
        for (line, sentence) in rules.violations(layer.unwrap_or(of_folder), of_crate, &paths) {
            found.push(format!("{}:{line}: {sentence}", file.display()));
        }
    }
    found
}

mod planted {
    //! The checker sees what is planted.

    use super::*;

    fn found(layer: Option<&str>, sources: &[(&str, &str)]) -> Vec<String> {
        let rules = Rules::parse(LAYERS, POWERS).unwrap();
        let sources: Vec<_> = sources.iter().map(|(file, text)| (PathBuf::from(file), text.to_string())).collect();
        violations(&rules, &sources, layer)
    }

    #[test]
    fn an_import_that_the_table_does_not_have() {
        for (file, text, want) in [
            ("net/a.rs", "use crate::base;\nuse crate::store::Volume;", "net/a.rs:2: net may not import store"),
            ("net/a.rs", "use crate::{base, request::{self}, disk as d};", "net/a.rs:1: net may not import disk"),
            (
                "store/mod.rs",
                "fn f() {\n  let x = crate::wire::VERSION;\n}",
                "store/mod.rs:2: store may not import wire",
            ),
            ("net/a/b.rs", "use super::super::super::io::Job;", "net/a/b.rs:1: net may not import io"),
            (
                "net/a.rs",
                "mod x { mod y { use super::super::super::super::io; } }",
                "net/a.rs:1: net may not import io",
            ),
            ("base/a.rs", "use crate::*;", "base/a.rs:1: base names the whole of the crate"),
            ("base/a.rs", "use crate as c;", "base/a.rs:1: base names the whole of the crate"),
            ("base/a.rs", "use crate::{self as c};", "base/a.rs:1: base names the whole of the crate"),
            ("node/a.rs", "use crate::cli::Command;", "node/a.rs:1: node may not import cli"),
            ("disk/a.rs", "#[cfg(test)] mod tests { use crate::net; }", "disk/a.rs:1: disk may not import net"),
            ("strange/a.rs", "", "strange/a.rs:1: the folder strange has no row"),
        ] {
            let found = found(None, &[(file, text)]);
            assert!(found.len() == 1 && found[0].starts_with(want), "{text}: {found:?}, want {want}");
        }
    }

    #[test]
    fn a_power_in_the_wrong_hands() {
        for (file, text, want) in [
            ("io/a.rs", "use mio::Poll;", "io/a.rs:1: io uses `mio::Poll`"),
            ("store/a.rs", "use std::{io,\nfs::File};", "store/a.rs:2: store uses `std::fs::File`"),
            ("store/a.rs", "use std::*;", "store/a.rs:1: store uses `std::*`"),
            ("net/a.rs", "fn f() { ::rustix::fs::sync() }", "net/a.rs:1: net uses `rustix::fs::sync`"),
            ("io/a.rs", "use std::thread as t;\nfn f() { t::spawn(g) }", "io/a.rs:2: io uses `std::thread::spawn`"),
            (
                "io/a.rs",
                "use std::thread;\nfn f() { thread::Builder::new() }",
                "io/a.rs:2: io uses `std::thread::Builder",
            ),
        ] {
            let found = found(None, &[(file, text)]);
            assert!(found.len() == 1 && found[0].starts_with(want), "{text}: {found:?}, want {want}");
        }
    }

    #[test]
    fn loadgen_stands_outside() {
        let text = "use larder::client::Client;\nuse crate::table;\nuse larder::net;\nuse larder::cli::x;";
        let found = found(Some("loadgen"), &[("main.rs", text)]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("main.rs:3: loadgen may not import net"), "{found:?}");
        assert!(found[1].starts_with("main.rs:4: loadgen may not import cli"), "{found:?}");
    }

    #[test]
    fn what_is_allowed_passes() {
        let sources = [
            ("disk/mod.rs", "#[cfg(test)]\nmod behaviour;\nuse std::fs::File;"),
            ("disk/behaviour.rs", "use std::thread; fn f() { thread::spawn(g); super::open() }"),
            ("net/a.rs", "// use crate::store;\nuse mio::Poll; const A: &str = \"crate::store::X\"; use super::b;"),
            (
                "io/a.rs",
                "#[cfg(test)] mod tests { use std::thread; fn f() { thread::spawn(g) } }\nuse std::thread::current;",
            ),
            ("cli/a.rs", "use crate::node; use crate::store::verify; use std::fs;"),
            ("main.rs", "fn main() { larder::cli::run() }"),
        ];
        assert_eq!(found(None, &sources), [""; 0]);
    }

    #[test]
    fn a_cycle_in_the_table() {
        let bad = Rules::parse("a [b]\nb [a]", "").unwrap_err();
        assert_eq!(bad, ["a names b, which is no row above it: that is how cycles begin"]);
        assert!(Rules::parse("a [a]", "").is_err());
        assert!(Rules::parse("a []\na []", "").is_err());
        assert!(Rules::parse("a []", "std::fs [b]").is_err());
    }
}
