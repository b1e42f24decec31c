//! Goal: arguments mean what the help says, and wrong ones are refused before anything is done.

use super::CommandLine;
use clap::{CommandFactory, Parser};

fn refused(arguments: &[&str]) -> String {
    let all = ["larder"].iter().chain(arguments);
    let error = CommandLine::try_parse_from(all).expect_err("these are wrong");
    assert_eq!(error.exit_code(), 2, "{arguments:?}");
    error.to_string()
}

#[test]
fn the_definition_is_sound() {
    CommandLine::command().debug_assert();
}

#[test]
fn every_command_teaches_by_example() {
    for command in CommandLine::command().get_subcommands() {
        let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let line = format!("larder {}", command.get_name());
        let nested = command.get_subcommands().next().is_some();
        assert!(example.contains(&line) || nested, "{line}: no example in its help");
        assert!(command.get_about().is_some(), "{line}: no first line");
        for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
            assert!(argument.get_help().is_some(), "{line}: {} has no help", argument.get_id());
        }
    }
    let help = CommandLine::command().render_long_help().to_string();
    assert!(help.contains("Exit codes:"), "{help}");
}

#[test]
fn wrong_arguments_are_refused() {
    assert!(refused(&["put", "--id"]).contains("FILE"));
    assert!(refused(&["put", "--id", "--in-flight", "0", "x"]).contains("1..=1024"));
    assert!(refused(&["put", "--id", "--durability", "tape", "x"]).contains("memory"));
    assert!(
        refused(&["put", "a", "/a", "--durability", "memory"]).contains("--id"),
        "what is committed is on the disk"
    );
    assert!(refused(&["put", "--id", "a", "--if-absent"]).contains("cannot be used"));
    assert!(refused(&["get"]).contains("ID"));
    assert!(refused(&["get", "pictures/a"]).contains("a name begins with /"));
    assert!(refused(&["get", "/a/../b"]).contains("no names"));
    assert!(refused(&["get", "-r", "/a"]).contains("DIR"));
    assert!(refused(&["get", "/a", "b"]).contains("--recursive"));
    assert!(refused(&["get", "-r", "/a", "b", "-o", "c"]).contains("cannot be used"));
    assert!(refused(&["ls", "a"]).contains("begins with /"));
    assert!(refused(&["rm", "--no-wait", "/a"]).contains("--recursive"));
    assert!(refused(&["mv", "/a"]).contains("TO"));
    assert!(refused(&["mv", "/a", "b"]).contains("begins with /"));
    assert!(refused(&["mkdir"]).contains("PATH"));
    assert!(refused(&["mkdir", "/.id/x"]).contains("the node's own"));
    assert!(refused(&["sync", "dir"]).contains("PATH"));
    assert!(refused(&["sync", "dir", "path"]).contains("begins with /"));
    assert!(refused(&["get", "3-1F-00c0ffee00c0ffee"]).contains("not an object id"));
    assert!(refused(&["rm"]).contains("ID"));
    assert!(refused(&["rm", "3-1f-00c0ffee00c0ffee", "x"]).contains("not an object id"));
    assert!(refused(&["ping", "--timeout-ms", "0"]).contains("1..="));
    assert!(refused(&["serve", "--listen", "7400"]).contains("invalid socket address"));
    assert!(refused(&["serve", "--cache-bytes", "1GB"]).contains("is no size"));
    assert!(refused(&["serve", "--http", "80"]).contains("invalid socket address"));
    assert!(refused(&["serve", "--http", "[::]:80", "--no-http"]).contains("cannot be used with"));
    assert!(refused(&["volume", "verify"]).contains("DIR"));
    assert!(refused(&["master", "backup"]).contains("FILE"));
    assert!(refused(&["completions", "cmd.exe"]).contains("bash"));
    assert!(refused(&["frobnicate"]).contains("frobnicate"));
}

#[test]
fn right_arguments_are_taken() {
    for arguments in [
        &["put", "--id", "a", "-", "b"][..],
        &["put", "--id", "-r", "a", "-r", "b", "c"],
        &["put", "a", "-", "/b/"],
        &["put", "-r", "a", "/b", "--json", "--in-flight", "8"],
        &["put", "a.bin", "/a", "--if-absent", "--content-type", "image/jpeg"],
        &["get", "3-1f-00c0ffee00c0ffee", "-o", "-"],
        &["get", "/a/b c", "-o", "x"],
        &["get", "-r", "/", "here", "--in-flight", "4", "--json"],
        &["ls"],
        &["ls", "-lr", "/a", "--json"],
        &["stat", "/"],
        &["rm", "-r", "/a", "/b", "3-1f-00c0ffee00c0ffee", "--no-wait"],
        &["mv", "-f", "/a", "/b/"],
        &["mkdir", "-p", "/a/b", "/c"],
        &["du"],
        &["du", "/a", "/b", "--json"],
        &["sync", "dir", "/a", "--delete", "--json"],
        &["rm", "3-1f-00c0ffee00c0ffee", "0-0-0000000000000000", "--json"],
        &["status", "--server", "[::1]:7400", "--json"],
        &["serve", "--data", "a", "--data", "b", "--listen", "[::]:0", "--cache-bytes", "1 GiB", "--check"],
        &["serve", "--http", "[::]:80", "--http-read-only", "--access-log", "-"],
        &["serve", "--no-http"],
        &["volume", "inspect", "a", "--json"],
        &["master", "backup", "-"],
        &["master", "restore", "a.backup", "--meta", "b", "--json"],
        &["master", "inspect", "--json"],
        &["completions", "fish"],
    ] {
        let parsed = CommandLine::try_parse_from(["larder"].iter().chain(arguments));
        assert!(parsed.is_ok(), "{arguments:?}: {parsed:?}");
    }
}

#[test]
fn without_a_name_put_says_what_to_do() {
    let command = CommandLine::try_parse_from(["larder", "put", "x"]).unwrap().command;
    let super::Failure::Told(exit, line) = command.run().unwrap_err() else { panic!("it is told") };
    assert_eq!(exit, super::failure::Exit::Usage);
    assert!(line.contains("begins with /") && line.contains("add --id"), "{line}");
}
