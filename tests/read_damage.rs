//! Goal: damage on a disk hurts the object it hits and nothing else: that one is DAMAGED, its sound blocks can still be
//! read, its neighbours are whole, nothing panics and nothing is given out unverified. Method: single bits of segment
//! files are flipped behind the back of a running node, and between two runs of it.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

use larder::base::ids::ObjectId;
use larder::client::{Client, PutOptions};
use larder::node::{Configuration, Node};
use larder::request::Status;
use std::path::Path;
use support::files::{find, find_before, flip};
use support::node::{assert_at_rest, client, configuration, number, on_directories};
use support::{content, eventually};
use tempfile::TempDir;

/// Objects on a disk, and what they were.
struct Shelf {
    directory: TempDir,
    configuration: Configuration,
    objects: Vec<(ObjectId, Vec<u8>)>,
}

const MIDDLE: usize = 3;

impl Shelf {
    /// A stopped node that holds seven objects; the one in the middle has this size.
    fn with(middle_bytes: usize) -> Self {
        Self::of(&[300, 4096, 200_000, middle_bytes, 8, 500_000, 2000])
    }

    /// A stopped node that holds objects of these sizes.
    fn of(sizes: &[usize]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let configuration =
            Configuration { segment_bytes: Some(16 << 20), fill_ahead_bytes: 64 << 10, ..configuration() };
        let node = on_directories(&configuration, &[directory.path()]);
        let client = client(&node);
        let contents = sizes.iter().zip(1..).map(|(bytes, seed)| content(seed, *bytes));
        let sent: Vec<_> =
            contents.map(|content| (client.submit_put(content.clone(), PutOptions::default()), content)).collect();
        let objects = sent.into_iter().map(|(ticket, content)| (ticket.wait().unwrap().id, content)).collect();
        node.stop();
        Self { directory, configuration, objects }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn start(&self) -> Node {
        on_directories(&self.configuration, &[self.path()])
    }

    fn middle(&self) -> (ObjectId, &[u8]) {
        let (id, content) = &self.objects[MIDDLE];
        (*id, content)
    }

    /// Flips a bit in the content of the middle object.
    fn flip_content(&self, at: u64) {
        let (path, start) = find(self.path(), self.middle().1);
        flip(&path, start + at);
    }

    /// Flips a bit in the head of an object.
    fn flip_head(&self, index: usize, at: u64) {
        let (path, start) = find(self.path(), &self.objects[index].1);
        flip(&path, find_before(&path, b"LARDNEED", start) + at);
    }

    fn assert_others_whole(&self, client: &Client, victims: &[usize]) {
        for (index, (id, content)) in self.objects.iter().enumerate() {
            if !victims.contains(&index) {
                let object = client.get(*id).unwrap_or_else(|error| panic!("object {index}: {error}"));
                assert!(object.content[..] == content[..], "object {index} differs");
            }
        }
    }

    fn assert_ends(&self, node: Node, client: Client) {
        client.put("the node still stores", PutOptions::default()).unwrap();
        drop(client);
        assert_at_rest(&node);
        node.stop();
    }
}

fn read_status(client: &Client, id: ObjectId) -> Option<Status> {
    client.get(id).expect_err("damaged content is never given out").status()
}

/// When the damage happens.
#[derive(Clone, Copy, PartialEq)]
enum When {
    /// The node runs and has never read the object.
    Running,
    /// The node runs, and reads the object by other threads, not from its cache of verified blocks.
    RunningUncached,
    /// Between two runs.
    Stopped,
}

const EACH: [When; 3] = [When::Running, When::RunningUncached, When::Stopped];

fn damaged(shelf: &mut Shelf, when: When, damage: impl FnOnce(&Shelf)) -> (Node, Client) {
    if when == When::RunningUncached {
        shelf.configuration.cache_bytes = 0;
    }
    if when == When::Stopped {
        damage(shelf);
        let node = shelf.start();
        let client = client(&node);
        return (node, client);
    }
    let node = shelf.start();
    let client = client(&node);
    if when == When::RunningUncached {
        let (id, content) = shelf.middle();
        assert!(client.get(id).unwrap().content[..] == *content);
    }
    damage(shelf);
    (node, client)
}

#[test]
fn a_bit_of_a_small_object_damages_that_object_alone() {
    for when in EACH {
        for at in [0, 1000, 4999] {
            let mut shelf = Shelf::with(5000);
            let (node, client) = damaged(&mut shelf, when, |shelf| shelf.flip_content(at));
            let (id, _) = shelf.middle();
            for _ in 0..3 {
                assert_eq!(read_status(&client, id), Some(Status::Damaged));
            }
            assert_eq!(client.get_range(id, 2000, 1).unwrap_err().status(), Some(Status::Damaged));
            assert_eq!(client.stat(id).unwrap().size, 5000, "its head is whole");
            assert!(number(&node, "/disks/0/damaged") >= 3, "it is counted");
            shelf.assert_others_whole(&client, &[MIDDLE]);
            shelf.assert_ends(node, client);
        }
    }
}

#[test]
fn sound_blocks_of_a_large_object_can_still_be_read() {
    let block = 65_536;
    for when in EACH {
        let mut shelf = Shelf::with(40 * 65_536 + 77);
        let (node, client) = damaged(&mut shelf, when, |shelf| shelf.flip_content(20 * block + 5));
        let (id, content) = shelf.middle();
        assert_eq!(read_status(&client, id), Some(Status::Damaged));
        let size = content.len() as u64;
        for (start, end) in
            [(0, 20 * block), (21 * block, size), (0, 1), (20 * block - 1, 20 * block), (size - 1, size)]
        {
            let part = client.get_range(id, start, end - start).unwrap();
            let expected = &content[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
            assert!(part.content[..] == *expected, "{start}..{end} differs");
        }
        for (start, length) in [(20 * block, 1), (21 * block - 1, 1), (19 * block, 2 * block), (0, u64::MAX)] {
            let refused = client.get_range(id, start, length).unwrap_err();
            assert_eq!(refused.status(), Some(Status::Damaged), "{start}+{length}");
        }
        let mut before = Vec::new();
        client.get_to(id, &mut before).unwrap_err();
        assert!(before.len() as u64 <= 20 * block && content.starts_with(&before), "no byte of the block left");
        assert_eq!(client.stat(id).unwrap().size, size);
        shelf.assert_others_whole(&client, &[MIDDLE]);
        shelf.assert_ends(node, client);
    }
}

#[test]
fn a_bit_of_a_head_damages_that_object_alone() {
    // Magic, checksum, version, kind, flags, volume, sequence, epoch, payload bytes, cookie, hash, attribute bytes, zeros,
    // and the table of checksums.
    let places = [0, 8, 16, 17, 18, 20, 24, 31, 32, 36, 38, 39, 40, 47, 72, 88, 89, 90, 96];
    for when in EACH {
        // One object for each place, between two others.
        let sizes: Vec<usize> = (0..=2 * places.len()).map(|n| 3000 + n).collect();
        let mut shelf = Shelf::of(&sizes);
        let victims: Vec<usize> = (0..places.len()).map(|n| 2 * n + 1).collect();
        let (node, client) = damaged(&mut shelf, when, |shelf| {
            victims.iter().zip(places).for_each(|(victim, at)| shelf.flip_head(*victim, at));
        });
        for (victim, at) in victims.iter().zip(places) {
            let id = shelf.objects[*victim].0;
            assert_eq!(read_status(&client, id), Some(Status::Damaged), "byte {at}");
            assert_eq!(client.stat(id).unwrap_err().status(), Some(Status::Damaged), "byte {at}");
            // Nobody knows whose it is, so nobody may delete it.
            assert_eq!(client.delete(id).unwrap_err().status(), Some(Status::Damaged), "byte {at}");
        }
        shelf.assert_others_whole(&client, &victims);
        shelf.assert_ends(node, client);
    }
}

#[test]
fn the_lengths_of_a_large_head_lead_no_reader_astray() {
    let places = [36, 37, 38, 39, 88, 89];
    let mut sizes = vec![2 << 20; places.len()];
    sizes.push(77);
    let mut shelf = Shelf::of(&sizes);
    let (node, client) = damaged(&mut shelf, When::Running, |shelf| {
        places.iter().enumerate().for_each(|(victim, at)| shelf.flip_head(victim, *at));
    });
    for (victim, at) in places.iter().enumerate() {
        assert_eq!(read_status(&client, shelf.objects[victim].0), Some(Status::Damaged), "byte {at}");
    }
    shelf.assert_others_whole(&client, &[0, 1, 2, 3, 4, 5]);
    shelf.assert_ends(node, client);
}

#[test]
fn the_frame_of_a_group_costs_no_object() {
    for at in [0, 9, 40, 95] {
        // Whatever the groups are, one of their frames is before the object in the middle.
        let shelf = Shelf::of(&[3000, 0, 200, 70_000, 3000, 0, 8, 9, 100_000, 1, 500]);
        let (path, start) = find(shelf.path(), shelf.middle().1);
        flip(&path, find_before(&path, b"LARDGRUP", start) + at);
        for _ in 0..2 {
            let node = shelf.start();
            let client = client(&node);
            shelf.assert_others_whole(&client, &[]);
            assert_eq!(number(&node, "/disks/0/store/damaged"), 0);
            shelf.assert_ends(node, client);
        }
    }
}

#[test]
fn a_segment_header_costs_no_object() {
    for at in [0, 9, 40, 60] {
        let shelf = Shelf::with(5000);
        let (path, _) = find(shelf.path(), shelf.middle().1);
        flip(&path, at);
        let node = shelf.start();
        let client = client(&node);
        shelf.assert_others_whole(&client, &[]);
        shelf.assert_ends(node, client);
    }
}

#[test]
fn damaged_content_can_be_deleted_and_damage_is_remembered() {
    let shelf = Shelf::with(5000);
    shelf.flip_content(77);
    let (id, _) = shelf.middle();
    let node = shelf.start();
    let first = client(&node);
    assert_eq!(read_status(&first, id), Some(Status::Damaged));
    first.delete(id).unwrap();
    assert_eq!(read_status(&first, id), Some(Status::NotFound));
    shelf.assert_ends(node, first);

    let shelf = Shelf::with(5000);
    shelf.flip_head(MIDDLE, 40);
    let (id, _) = shelf.middle();
    for _ in 0..2 {
        let node = shelf.start();
        let client = client(&node);
        assert_eq!(read_status(&client, id), Some(Status::Damaged));
        eventually("the damage is in the status", || number(&node, "/disks/0/store/damaged") == 1);
        shelf.assert_ends(node, client);
    }
    // The bit flips back: the needle is whole again, and what is known about its place does not change that it verifies.
    shelf.flip_head(MIDDLE, 40);
    let node = shelf.start();
    let client = client(&node);
    let (id, content) = shelf.middle();
    match client.get(id) {
        Ok(object) => assert!(object.content[..] == *content),
        Err(error) => assert_eq!(error.status(), Some(Status::Damaged)),
    }
    shelf.assert_others_whole(&client, &[MIDDLE]);
    shelf.assert_ends(node, client);
}
