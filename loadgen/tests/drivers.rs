//! Goal: each driver and its server understand each other: what was put comes back byte by byte, whole and in parts, also
//! when many requests are under way at once.
//!
//! Method: a connection of the driver to a real server on loopback: a node on a disk in memory in this process, over both
//! of its listeners, the echo server, and Redis, memcached and nginx where they are installed. One that is not is skipped,
//! and named.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "drivers/connection.rs"]
mod connection;
#[path = "drivers/servers.rs"]
mod servers;

use connection::{Answer, Connection};
use larder::base::ids::ObjectId;
use larder::request::Durability;
use loadgen::driver::Reply;
use loadgen::driver::target::DriverOptions;
use loadgen::workload::{Key, Object, Step, Verb, payload};
use servers::Server;

const OK: Reply = Reply::Ok { id: None };
const DEPTH: usize = 16;
/// Around the pieces in which contents are made, sent and stored.
const SIZES: [u64; 14] =
    [0, 1, 15, 16, 17, 100, 4096, 65_535, 65_536, 65_537, 300_000, (1 << 20) - 1, 1 << 20, 5 << 20];

fn options() -> DriverOptions {
    let directory = "/load".to_owned();
    DriverOptions { depth: DEPTH, durability: Durability::Memory, deadline_ms: 0, creates: true, directory }
}

fn object(number: u64, bytes: u64) -> Object {
    Object { key: Key { seed: 7, number }, bytes, id: None }
}

fn step(verb: Verb, object: Object) -> Step {
    let range = (verb == Verb::Range).then_some((object.bytes / 3, object.bytes.div_ceil(2)));
    Step { verb, object, range, place: 0 }
}

/// Asks the same of all objects.
fn ask(connection: &mut Connection, verb: Verb, objects: &[Object]) -> Vec<Answer> {
    let steps: Vec<Step> = objects.iter().map(|object| step(verb, *object)).collect();
    connection.run(&steps)
}

fn is_ok(reply: Reply) -> bool {
    matches!(reply, Reply::Ok { .. })
}

/// Puts objects of all sizes, several of each, and gives them their ids.
fn put_all(connection: &mut Connection) -> Vec<Object> {
    let objects: Vec<Object> = (0..)
        .zip(SIZES.into_iter().cycle().take(3 * SIZES.len()))
        .map(|(number, bytes)| object(number, bytes))
        .collect();
    let answers = ask(connection, Verb::Put, &objects);
    let named = |(object, answer): (&Object, &Answer)| match answer.reply {
        Reply::Ok { id } => Object { id, ..*object },
        other => panic!("{object:?}: {other:?}"),
    };
    objects.iter().zip(&answers).map(named).collect()
}

fn check_contents(connection: &mut Connection, objects: &[Object]) {
    for verb in [Verb::Get, Verb::Range] {
        // No protocol has a range without bytes.
        let objects: Vec<Object> =
            objects.iter().copied().filter(|object| verb == Verb::Get || object.bytes > 0).collect();
        if !connection.can(verb) {
            continue;
        }
        for (object, answer) in objects.iter().zip(ask(connection, verb, &objects)) {
            let step = step(verb, *object);
            let at = step.range.map_or(0, |(start, _)| start);
            assert!(is_ok(answer.reply), "{step:?}: {:?}", answer.reply);
            assert_eq!(answer.content.len() as u64, step.expected_bytes(), "{step:?}");
            let is_same = !connection.has_contents() || payload::matches(object.key, at, &answer.content);
            assert!(is_same, "{step:?}");
        }
    }
}

/// All that can be asked of objects. `lost` is one that was never put.
fn exercise(server: &Server, lost: Option<ObjectId>) {
    let mut connection = Connection::open(&server.target, &options());
    let objects = put_all(&mut connection);
    check_contents(&mut connection, &objects);
    assert!(ask(&mut connection, Verb::Head, &objects).iter().all(|answer| answer.reply == OK));

    let (deleted, kept) = objects.split_at(objects.len() / 2);
    assert!(ask(&mut connection, Verb::Delete, deleted).iter().all(|answer| answer.reply == OK));
    if connection.has_contents() {
        for verb in [Verb::Get, Verb::Head] {
            let answers = ask(&mut connection, verb, deleted);
            assert!(answers.iter().all(|answer| answer.reply == Reply::Missing && answer.content.is_empty()), "{verb}");
        }
        let lost = Object { id: lost, ..object(1 << 40, 100) };
        for verb in [Verb::Get, Verb::Range, Verb::Head, Verb::Delete] {
            if connection.can(verb) {
                assert_eq!(ask(&mut connection, verb, &[lost])[0].reply, Reply::Missing, "{verb}");
            }
        }
    }
    check_contents(&mut connection, kept);

    if connection.can(Verb::Create) {
        let names: Vec<Object> = (1000..1040).map(|number| object(number, 0)).collect();
        assert!(ask(&mut connection, Verb::Lookup, &names).iter().all(|answer| answer.reply == Reply::Missing));
        assert!(ask(&mut connection, Verb::Create, &names).iter().all(|answer| answer.reply == OK));
        assert!(ask(&mut connection, Verb::Lookup, &names).iter().all(|answer| answer.reply == OK));
    }
    assert!(connection.close(), "nothing was under way");
}

#[test]
fn a_node_by_its_binary_protocol() {
    let (node, server, _) = servers::node();
    exercise(&server, Some("1-ffff-0000000000000000".parse().unwrap()));
    node.stop();
}

#[test]
fn a_node_by_http() {
    let (node, _, server) = servers::node();
    exercise(&server, None);
    node.stop();
}

#[test]
fn a_node_by_http_and_ids() {
    let (node, binary, http) = servers::node();
    let mut connection = Connection::open(&binary.target, &options());
    let objects = put_all(&mut connection);
    assert!(objects.iter().all(|object| object.id.is_some()));
    let mut connection = Connection::open(&http.target, &options());
    check_contents(&mut connection, &objects);
    assert!(ask(&mut connection, Verb::Delete, &objects).iter().all(|answer| answer.reply == OK));
    assert!(ask(&mut connection, Verb::Get, &objects).iter().all(|answer| answer.reply == Reply::Missing));
    node.stop();
}

#[test]
fn the_echo_server() {
    let (server, ending) = servers::echo();
    exercise(&server, None);
    let mut connection = Connection::open(&server.target, &options());
    let steps: Vec<Step> = (0..5000).map(|number| step(Verb::Get, object(number, 100))).collect();
    assert!(connection.run(&steps).iter().all(|answer| answer.reply == OK && answer.content.len() == 100));
    ending.end();
}

#[test]
fn a_connection_that_says_something_else_ends() {
    let (server, ending) = servers::echo();
    let mut other = servers::target(&format!("redis://{}", server.target.address));
    assert!(!Connection::open(&other, &options()).lose(&step(Verb::Get, object(1, 1))), "its request was lost");
    let (node, binary, _) = servers::node();
    other = servers::target(&format!("echo://{}", binary.target.address));
    assert!(!Connection::open(&other, &options()).lose(&step(Verb::Get, object(1, 1))), "its request was lost");
    node.stop();
    ending.end();
}

#[test]
fn redis() {
    if let Some(server) = servers::redis() {
        exercise(&server, None);
    }
}

#[test]
fn memcached() {
    if let Some(server) = servers::memcached() {
        exercise(&server, None);
    }
}

#[test]
fn nginx() {
    if let Some(server) = servers::nginx() {
        exercise(&server, None);
    }
}
