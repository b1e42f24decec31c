//! Goal: a table goes through a stream unchanged, and no damaged or cut stream is taken for one.

use super::*;
use crate::master::namespace::{SnapshotReader, digest_of, write_snapshot};

fn planted(names: usize) -> MapTable {
    let mut node = Node::new();
    for place in 0..names {
        node.create(&format!("/{place}")).unwrap();
    }
    node.stored()
}

fn read(bytes: &[u8]) -> Result<(MapTable, u128), StateError> {
    let (mut table, mut reader) = (MapTable::default(), SnapshotReader::open(bytes)?);
    while let Some(batch) = reader.batch()? {
        batch.into_iter().for_each(|(key, value)| table.put(key, value));
    }
    assert_eq!(reader.totals().entries, table.0.len() as u64);
    assert_eq!(reader.batch()?, None);
    Ok((table, reader.owner()))
}

#[test]
fn a_table_comes_back() {
    for names in [0, 1, 10_000] {
        let table = planted(names);
        let mut bytes = Vec::new();
        let totals = write_snapshot(&table, 77, &mut bytes).unwrap();
        assert_eq!(totals.entries, table.0.len() as u64);
        let (back, owner) = read(&bytes).unwrap();
        assert!(back == table && owner == 77);
        assert_eq!(digest_of(&back).unwrap(), digest_of(&table).unwrap());
        let mut names = Namespace::load(&back).unwrap();
        let (mut again, facts) = (back.clone(), names.facts());
        names.store(&mut again);
        assert!(again == back && facts.files as usize + 2 == table.0.len());
    }
}

#[test]
fn golden_bytes() {
    let mut table = MapTable::default();
    table.put(vec![1, 2], vec![3]);
    let mut bytes = Vec::new();
    write_snapshot(&table, 5, &mut bytes).unwrap();
    assert_eq!(bytes[..28], *b"LARDNAME\x01\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(bytes[28..36], xxhash_rust::xxh3::xxh3_64(&bytes[..28]).to_le_bytes());
    assert_eq!(bytes[36..46], *b"\x01\x05\0\0\0\x02\x01\x02\x01\x03");
    assert_eq!(bytes[46..54], xxhash_rust::xxh3::xxh3_64(&bytes[..46]).to_le_bytes());
    assert_eq!(bytes[54..71], *b"\0\x01\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0");
    assert_eq!(bytes[71..], xxhash_rust::xxh3::xxh3_64(&bytes[..71]).to_le_bytes());
}

#[test]
fn what_is_damaged_or_cut_is_refused() {
    let mut bytes = Vec::new();
    write_snapshot(&planted(3), 77, &mut bytes).unwrap();
    for cut in 0..bytes.len() {
        assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(read(&flipped).is_err(), "flipped at {at}");
    }
    assert!(read(&[&bytes[..], &[0]].concat()).is_err());
}
