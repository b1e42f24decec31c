//! Goal: what a create costs the apply thread, on a table in memory. Not part of a plain run:
//! `cargo test --release --lib namespace::tests::cost -- --ignored --nocapture`.

use super::*;
use crate::master::command::GroupEncoder;
use std::time::Instant;

#[test]
#[ignore = "a measurement: it wants a release build and a machine at rest"]
fn creates_of_new_names_in_known_directories() {
    const GROUP: usize = 128;
    let mut node = Node::new();
    for directory in 0..100 {
        node.change(make(&format!("/data/pictures/{directory}"), true)).unwrap();
    }
    let attributes = Attributes::of(&[(1, b"image/jpeg")]).unwrap();
    let (mut encoded, mut encoding, mut decoding, mut applying) = (0, 0, 0, 0);
    let names = 1_000_000;
    for first in (0..names).step_by(GROUP) {
        let commands: Vec<Command> = (first..first + GROUP)
            .map(|place| {
                let name = format!("/data/pictures/{}/photo-{:07}.jpg", place / 1000 % 100, place);
                let Checked::Commit { path, condition, parents, modified_ms, size, hash, .. } =
                    commit(&name, 70_000, vec![])
                else {
                    panic!("a commit was made");
                };
                let chunks = vec![node.chunk()];
                let attributes = attributes.clone();
                let change = Checked::Commit { path, condition, parents, modified_ms, attributes, size, hash, chunks };
                Command::Change { id: node.id(), change }
            })
            .collect();
        let begun = Instant::now();
        let mut encoder = GroupEncoder::new(1);
        commands.iter().for_each(|command| encoder.push(command));
        encoding += begun.elapsed().as_nanos();
        encoded += encoder.bytes().len();
        let begun = Instant::now();
        let group = Group::decode(encoder.bytes()).unwrap();
        decoding += begun.elapsed().as_nanos();
        let begun = Instant::now();
        for command in &group.commands {
            node.touched.names.clear();
            node.names.apply(&mut node.table, command, group.time_ms, &mut node.touched).unwrap().unwrap();
        }
        applying += begun.elapsed().as_nanos();
    }
    let each = |nanos: u128| nanos / names as u128;
    println!("encode {} ns, decode {} ns, apply {} ns a create", each(encoding), each(decoding), each(applying));
    let stored: usize = node.stored().0.iter().map(|(key, value)| key.len() + value.len()).sum();
    println!("{} bytes of log, {} bytes of table a name", encoded / names, stored / names);
}
