//! What is encoded decodes to itself, what decodes encodes to the same bytes, and what is out of bounds is refused with
//! the status and the name of its field.

use super::*;
use crate::base::ids::{ContentHash, Cookie, ObjectId, Origin, Sequence, VolumeId};
use crate::base::limits::{LISTING_ENTRIES_MAX, LOOKUP_CHUNKS_MAX};
use crate::base::path::NamePath;
use crate::request::{
    Attributes, ChangeRequest, Changed, Condition, Entry, List, Listing, Lookup, NameFacts, NameKind, Removal, Session,
    SessionAct, Status, Usage,
};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

fn path(text: &str) -> NamePath {
    NamePath::parse(text.as_bytes()).unwrap()
}

fn paths() -> impl Strategy<Value = NamePath> {
    "(/[a-c\u{e4}\u{1f600}. ]{1,9}){1,5}|/"
        .prop_filter_map("it is a path", |text| NamePath::parse(text.as_bytes()).ok())
}

fn attributes() -> impl Strategy<Value = Attributes> {
    proptest::collection::btree_map(1u8.., vec(any::<u8>(), 0..40), 0..4).prop_map(|map| {
        let list: Vec<_> = map.iter().map(|(tag, value)| (*tag, &value[..])).collect();
        Attributes::of(&list).unwrap()
    })
}

fn ids(count: usize) -> impl Strategy<Value = Vec<ObjectId>> {
    vec(any::<(u32, u64, u64)>(), 0..count).prop_map(|ids| {
        let id = |(volume, sequence, cookie)| ObjectId {
            volume: VolumeId(volume),
            sequence: Sequence(sequence),
            cookie: Cookie(cookie),
        };
        ids.into_iter().map(id).collect()
    })
}

fn conditions() -> impl Strategy<Value = Condition> {
    prop_oneof![Just(Condition::Any), Just(Condition::Absent), any::<u64>().prop_map(Condition::Version)]
}

fn changes() -> impl Strategy<Value = Change> {
    let commit = (paths(), conditions(), any::<bool>(), any::<Option<u64>>(), attributes(), ids(5)).prop_map(
        |(path, condition, parents, modified_ms, attributes, chunks)| Change::Commit {
            path,
            condition,
            parents,
            modified_ms,
            attributes,
            chunks,
        },
    );
    prop_oneof![
        commit,
        (paths(), any::<bool>()).prop_map(|(path, parents)| Change::MakeDirectory { path, parents }),
        (paths(), paths(), any::<bool>(), conditions()).prop_map(|(from, to, replace, condition)| Change::Rename {
            from,
            to,
            replace,
            condition
        }),
        (paths(), any::<bool>(), conditions()).prop_map(|(path, tree, condition)| Change::Remove {
            path,
            tree,
            condition
        }),
        (paths(), conditions(), attributes()).prop_map(|(path, condition, attributes)| Change::SetAttributes {
            path,
            condition,
            attributes
        }),
    ]
}

pub(in crate::wire) fn operations() -> impl Strategy<Value = NameOperation> {
    prop_oneof![
        1 => Just(NameOperation::Session(SessionAct::Open)),
        1 => (1u64..).prop_map(|session| NameOperation::Session(SessionAct::Renew(session))),
        1 => (1u64..).prop_map(|session| NameOperation::Session(SessionAct::Close(session))),
        5 => (1u64.., any::<u64>(), changes()).prop_map(|(session, number, change)| {
            NameOperation::Change(Box::new(ChangeRequest { id: Origin { session, number }, change }))
        }),
        1 => (paths(), 0u32..=16384, 0u32..=2048).prop_map(|(path, chunk_first, chunks_max)| {
            NameOperation::Lookup(Lookup { path, chunk_first, chunks_max })
        }),
        1 => (paths(), vec(any::<u8>(), 0..=512), 0u32..=4096).prop_map(|(path, cursor, limit)| {
            NameOperation::List(List { path, cursor: cursor.into(), limit })
        }),
        1 => paths().prop_map(NameOperation::Usage),
        1 => (1u64..).prop_map(NameOperation::Removal),
    ]
}

fn facts() -> impl Strategy<Value = NameFacts> {
    (any::<bool>(), any::<[u64; 4]>(), any::<u128>(), 5u32..).prop_map(|(file, numbers, hash, chunks)| NameFacts {
        kind: if file { NameKind::File } else { NameKind::Directory },
        version: numbers[0],
        size: numbers[1],
        created_ms: numbers[2],
        modified_ms: numbers[3],
        hash: ContentHash(hash),
        chunks,
    })
}

fn answers() -> impl Strategy<Value = (Opcode, NameAnswer)> {
    prop_oneof![
        (1u64.., any::<u64>()).prop_map(|(session, silent_ms_max)| {
            (Opcode::Session, NameAnswer::Session(Session { session, silent_ms_max }))
        }),
        Just((Opcode::Session, NameAnswer::SessionClosed)),
        (any::<[u64; 3]>(), any::<u128>(), any::<bool>()).prop_map(|([version, size, removal], hash, replaced)| {
            (Opcode::Rename, NameAnswer::Changed(Changed { version, hash, size, removal, replaced }))
        }),
        (facts(), attributes(), ids(5)).prop_map(|(facts, attributes, chunks)| {
            let chunk_first = facts.chunks - u32::try_from(chunks.len()).unwrap();
            (Opcode::Lookup, NameAnswer::Entry(Box::new(Entry { facts, attributes, chunk_first, chunks })))
        }),
        (vec(("[a-z\u{e4}]{1,80}", facts()), 0..5), vec(any::<u8>(), 0..=512)).prop_map(|(entries, cursor)| {
            (Opcode::List, NameAnswer::Listing(Listing { entries, cursor: cursor.into() }))
        }),
        any::<[u64; 3]>().prop_map(|[files, directories, bytes]| {
            (Opcode::Usage, NameAnswer::Usage(Usage { files, directories, bytes }))
        }),
        (any::<[u64; 2]>(), any::<bool>()).prop_map(|([names, bytes], done)| {
            (Opcode::Removal, NameAnswer::Removal(Removal { names, bytes, done }))
        }),
    ]
}

proptest! {
    #[test]
    fn operations_come_out_as_they_went_in(operation in operations()) {
        let (opcode, body) = (opcode_of(&operation), encode_operation(&operation));
        prop_assert!(body.len() <= opcode.body_bytes_max());
        prop_assert_eq!(parse_operation(opcode, &body), Ok(operation));
    }

    #[test]
    fn every_shorter_and_longer_body_is_refused(operation in operations()) {
        let (opcode, mut body) = (opcode_of(&operation), encode_operation(&operation));
        for bytes in 0..body.len() {
            let refusal = parse_operation(opcode, &body[..bytes]).unwrap_err();
            prop_assert_eq!(refusal.status, Status::BadRequest, "{}", refusal.detail);
            prop_assert!(refusal.detail.starts_with(opcode.name()), "{}", refusal.detail);
        }
        body.push(0);
        prop_assert_eq!(parse_operation(opcode, &body).unwrap_err().status, Status::BadRequest);
    }

    #[test]
    fn a_body_that_decodes_after_a_change_has_one_encoding(operation in operations(), at: prop::sample::Index, byte: u8) {
        let (opcode, mut body) = (opcode_of(&operation), encode_operation(&operation));
        let at = at.index(body.len());
        body[at] = byte;
        if let Ok(operation) = parse_operation(opcode, &body) {
            prop_assert_eq!(check(&operation), Ok(()));
            prop_assert_eq!(encode_operation(&operation), body);
        }
    }

    #[test]
    fn answers_come_out_as_they_went_in_and_newer_nodes_may_say_more((opcode, answer) in answers(), more in vec(any::<u8>(), 0..9)) {
        let mut body = encode_answer(&answer);
        prop_assert_eq!(parse_answer(opcode, &body), Ok(answer.clone()));
        for bytes in 0..body.len() {
            prop_assert!(parse_answer(opcode, &body[..bytes]).is_err(), "{bytes} of {} bytes were taken", body.len());
        }
        body.extend(more);
        prop_assert_eq!(parse_answer(opcode, &body), Ok(answer));
    }

    #[test]
    fn answers_from_a_node_gone_wrong_are_survived((opcode, answer) in answers(), at: prop::sample::Index, byte: u8) {
        let mut body = encode_answer(&answer);
        let at = at.index(body.len());
        body[at] = byte;
        let _ = parse_answer(opcode, &body);
    }
}

#[test]
fn heads_without_memory_are_those_of_the_requests() {
    let path_bytes = "/a/b".len();
    let id = Origin { session: 7, number: 9 };
    let commit = request(Change::Commit {
        path: path("/a/b"),
        condition: Condition::Any,
        parents: true,
        modified_ms: None,
        attributes: Attributes::default(),
        chunks: vec![],
    });
    let body = [&EmptyCommit { id, path_bytes }.encode()[..], b"/a/b"].concat();
    assert_eq!(parse_operation(Opcode::Commit, &body), Ok(commit));
    let lookup = NameOperation::Lookup(Lookup { path: path("/a/b"), chunk_first: 3, chunks_max: 4 });
    let head = LookupHead { chunk_first: 3, chunks_max: 4, path_bytes };
    let body = [&head.encode()[..], b"/a/b"].concat();
    assert_eq!(parse_operation(Opcode::Lookup, &body), Ok(lookup));
}

fn request(change: Change) -> NameOperation {
    NameOperation::Change(Box::new(ChangeRequest { id: Origin { session: 7, number: 9 }, change }))
}

fn commit() -> NameOperation {
    request(Change::Commit {
        path: path("/a/b"),
        condition: Condition::Any,
        parents: false,
        modified_ms: None,
        attributes: Attributes::of(&[(1, b"x")]).unwrap(),
        chunks: vec![ObjectId { volume: VolumeId(1), sequence: Sequence(2), cookie: Cookie(3) }],
    })
}

fn samples() -> Vec<NameOperation> {
    let condition = Condition::Any;
    vec![
        NameOperation::Session(SessionAct::Renew(7)),
        commit(),
        request(Change::MakeDirectory { path: path("/a/b"), parents: false }),
        request(Change::Rename { from: path("/a/b"), to: path("/c"), replace: false, condition }),
        request(Change::Remove { path: path("/a/b"), tree: false, condition }),
        request(Change::SetAttributes { path: path("/a/b"), condition, attributes: Attributes::default() }),
        NameOperation::Lookup(Lookup { path: path("/a/b"), chunk_first: 0, chunks_max: 0 }),
        NameOperation::List(List { path: path("/a/b"), cursor: Bytes::from_static(b"cursor"), limit: 0 }),
        NameOperation::Usage(path("/a/b")),
        NameOperation::Removal(1),
    ]
}

fn refusal_with(opcode: Opcode, at: usize, bytes: &[u8]) -> Refusal {
    let operation = samples().into_iter().find(|operation| opcode_of(operation) == opcode).unwrap();
    let mut body = encode_operation(&operation);
    body[at..at + bytes.len()].copy_from_slice(bytes);
    let refusal = parse_operation(opcode, &body).unwrap_err();
    assert!(refusal.detail.starts_with(opcode.name()), "{}", refusal.detail);
    refusal
}

#[test]
fn each_field_out_of_bounds_is_refused_by_name() {
    use Opcode::{Commit, List, Lookup, MakeDirectory, Removal, Remove, Rename, Session, SetAttributes, Usage};
    for (opcode, at, bytes, field) in [
        (Session, 0, &[3][..], "action"),
        (Session, 1, &[1], "reserved"),
        (Session, 0, &[0], "session"),
        (Session, 8, &[0], "session"),
        (Commit, 0, &[0], "session"),
        (Commit, 16, &[4], "flags"),
        (Commit, 17, &[3], "condition"),
        (Commit, 20, &[1, 0x10], "attribute_bytes"),
        (Commit, 20, &[2], "attribute at byte 0"),
        (Commit, 23, &[1], "reserved"),
        (Commit, 24, &[1], "version"),
        (Commit, 32, &[1], "modified_ms"),
        (Commit, 40, &[2], "chunks"),
        (Commit, 47, &[1], "reserved"),
        (MakeDirectory, 0, &[0], "session"),
        (MakeDirectory, 16, &[2], "flags"),
        (MakeDirectory, 17, &[1], "condition"),
        (MakeDirectory, 17, &[2], "condition"),
        (MakeDirectory, 20, &[1], "reserved"),
        (MakeDirectory, 24, &[1], "version"),
        (Rename, 0, &[0], "session"),
        (Rename, 16, &[2], "flags"),
        (Rename, 17, &[9], "condition"),
        (Rename, 20, &[3], "to"),
        (Rename, 22, &[1], "reserved"),
        (Remove, 0, &[0], "session"),
        (Remove, 16, &[2], "flags"),
        (Remove, 17, &[9], "condition"),
        (Remove, 20, &[1], "reserved"),
        (Remove, 31, &[1], "version"),
        (SetAttributes, 0, &[0], "session"),
        (SetAttributes, 16, &[1], "flags"),
        (SetAttributes, 17, &[9], "condition"),
        (SetAttributes, 21, &[0xff], "attribute_bytes"),
        (SetAttributes, 23, &[1], "reserved"),
        (Lookup, 0, &[1, 0x40], "chunk_first"),
        (Lookup, 4, &[1, 8], "chunks_max"),
        (Lookup, 7, &[1], "chunks_max"),
        (Lookup, 8, &[9], "path"),
        (Lookup, 15, &[1], "reserved"),
        (List, 0, &[1, 0x10], "limit"),
        (List, 6, &[9], "cursor"),
        (Usage, 0, &[9], "path"),
        (Usage, 7, &[1], "reserved"),
        (Removal, 0, &[0], "removal"),
    ] {
        let refusal = refusal_with(opcode, at, bytes);
        let place = format!("{}, byte {at}: {}", opcode.name(), refusal.detail);
        assert_eq!(refusal.status, Status::BadRequest, "{place}");
        assert!(refusal.detail.contains(field), "{place}, want {field}");
    }
}

#[test]
fn a_list_over_its_bound_is_told_before_it_is_looked_for() {
    for count in [16_385u32, u32::MAX] {
        let refusal = refusal_with(Opcode::Commit, 40, &count.to_le_bytes());
        assert_eq!(refusal.status, Status::TooLarge);
        assert!(refusal.detail.contains("chunk_count") && refusal.detail.contains("16384"), "{}", refusal.detail);
    }
    let refusal = refusal_with(Opcode::List, 6, &513u16.to_le_bytes());
    assert_eq!(refusal.status, Status::BadCursor);
    assert!(refusal.detail.contains("cursor_bytes is 513"), "{}", refusal.detail);
}

#[test]
fn a_path_is_refused_with_its_own_status_in_every_operation() {
    // The sample's path, and where its length stands.
    let place = |opcode| match opcode {
        Opcode::Lookup => (8, 16),
        Opcode::List => (4, 8),
        Opcode::Usage => (0, 8),
        Opcode::Commit => (18, 48),
        _ => (18, 32),
    };
    let cases: [(&[u8], Status, &str); 10] = [
        (b"", Status::BadPath, "a path begins with /"),
        (b"a/b", Status::BadPath, "a path begins with /"),
        (b"/a/../b", Status::BadPath, "`.` and `..` are no names"),
        (b"/a\nb", Status::BadPath, "control character U+000A"),
        (b"/\xff", Status::BadPath, "not UTF-8 at byte 1"),
        (b"/.id", Status::BadPath, "the node's own"),
        (b"/a//b", Status::BadPath, "not normalised"),
        (b"/a/b/", Status::BadPath, "not normalised"),
        (&[&b"/"[..], &[b'x'; 256]].concat(), Status::PathTooLong, "a name of 256 bytes"),
        (&b"/x".repeat(2049), Status::PathTooLong, "a path of 4098 bytes"),
    ];
    for operation in samples() {
        let opcode = opcode_of(&operation);
        if matches!(opcode, Opcode::Session | Opcode::Removal) {
            continue;
        }
        let (length_at, path_at) = place(opcode);
        for (path, status, text) in cases {
            let mut body = encode_operation(&operation);
            body[length_at..length_at + 2].copy_from_slice(&u16::try_from(path.len()).unwrap().to_le_bytes());
            body.splice(path_at..path_at + 4, path.iter().copied());
            assert!(body.len() <= opcode.body_bytes_max(), "it is told, and the connection lives");
            let refusal = parse_operation(opcode, &body).unwrap_err();
            assert_eq!(refusal.status, status, "{}", refusal.detail);
            assert!(refusal.detail.starts_with(opcode.name()), "{}", refusal.detail);
            assert!(refusal.detail.contains("path") && refusal.detail.contains(text), "{}", refusal.detail);
        }
    }
    let mut body = encode_operation(&samples()[3]);
    *body.last_mut().unwrap() = b'/';
    let refusal = parse_operation(Opcode::Rename, &body).unwrap_err();
    assert!(refusal.detail.starts_with("RENAME: to is not normalised"), "{}", refusal.detail);
}

#[test]
fn the_largest_of_each_fits_its_bound() {
    let longest = path(&"/x".repeat(2048));
    let attributes = Attributes::of(&[(1, &[b'x'; 4093])]).unwrap();
    let id = ObjectId { volume: VolumeId(1), sequence: Sequence(2), cookie: Cookie(3) };
    let (condition, cursor) = (Condition::Version(u64::MAX), Bytes::from(vec![1; CURSOR_BYTES_MAX]));
    let commit = |chunks: usize| {
        request(Change::Commit {
            path: longest.clone(),
            condition,
            parents: true,
            modified_ms: Some(u64::MAX),
            attributes: attributes.clone(),
            chunks: vec![id; chunks],
        })
    };
    let limit = u32::try_from(LISTING_ENTRIES_MAX).unwrap();
    let chunks_max = u32::try_from(LOOKUP_CHUNKS_MAX).unwrap();
    for operation in [
        commit(FILE_CHUNKS_MAX),
        request(Change::Rename { from: longest.clone(), to: longest.clone(), replace: true, condition }),
        request(Change::SetAttributes { path: longest.clone(), condition, attributes: attributes.clone() }),
        NameOperation::List(List { path: longest.clone(), cursor: cursor.clone(), limit }),
        NameOperation::Lookup(Lookup { path: longest.clone(), chunk_first: 16_384, chunks_max }),
    ] {
        let (opcode, body) = (opcode_of(&operation), encode_operation(&operation));
        assert!(body.len() <= opcode.body_bytes_max());
        assert_eq!(parse_operation(opcode, &body), Ok(operation));
    }

    // What a client would not even send.
    let over = [
        (commit(FILE_CHUNKS_MAX + 1), Status::TooLarge),
        (NameOperation::List(List { path: path("/"), cursor, limit: limit + 1 }), Status::BadRequest),
        (
            NameOperation::List(List { path: path("/"), cursor: vec![0; CURSOR_BYTES_MAX + 1].into(), limit }),
            Status::BadCursor,
        ),
        (
            NameOperation::Lookup(Lookup { path: path("/"), chunk_first: 0, chunks_max: chunks_max + 1 }),
            Status::BadRequest,
        ),
        (NameOperation::Session(SessionAct::Close(0)), Status::BadRequest),
        (NameOperation::Removal(0), Status::BadRequest),
    ];
    for (operation, status) in over {
        let refusal = crate::wire::Request::Name(operation).check().unwrap_err();
        assert_eq!(refusal.status, status, "{}", refusal.detail);
    }
}

#[test]
fn a_reply_that_contradicts_itself_is_refused() {
    let facts = NameFacts {
        kind: NameKind::File,
        version: 1,
        size: 2,
        created_ms: 3,
        modified_ms: 4,
        hash: ContentHash(5),
        chunks: 2,
    };
    let id = ObjectId { volume: VolumeId(1), sequence: Sequence(2), cookie: Cookie(3) };
    let entry = |chunk_first, chunks| {
        let entry = Entry { facts: facts.clone(), attributes: Attributes::default(), chunk_first, chunks };
        encode_answer(&NameAnswer::Entry(Box::new(entry)))
    };
    assert!(parse_answer(Opcode::Lookup, &entry(1, vec![id])).is_ok());
    assert!(parse_answer(Opcode::Lookup, &entry(9, vec![])).is_ok(), "there are none from there");
    assert!(parse_answer(Opcode::Lookup, &entry(1, vec![id, id])).is_err());
    assert!(parse_answer(Opcode::Lookup, &entry(u32::MAX, vec![id])).is_err());

    let listing = |name: &str| {
        let entries = vec![(name.to_owned(), facts.clone())];
        encode_answer(&NameAnswer::Listing(Listing { entries, cursor: Bytes::new() }))
    };
    assert!(parse_answer(Opcode::List, &listing("a b")).is_ok());
    for name in ["", ".", "..", "a/b", "../../etc/passwd", "a\nb"] {
        assert!(parse_answer(Opcode::List, &listing(name)).is_err(), "{name:?} was taken");
    }
    let mut body = listing("a");
    body[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(parse_answer(Opcode::List, &body).is_err(), "and no memory is taken for so many");

    for (opcode, answer, at) in [
        (Opcode::Session, NameAnswer::SessionClosed, 0),
        (Opcode::Removal, NameAnswer::Removal(Removal::default()), 16),
        (
            Opcode::Lookup,
            NameAnswer::Entry(Box::new(Entry {
                facts: facts.clone(),
                attributes: Attributes::default(),
                chunk_first: 0,
                chunks: vec![],
            })),
            0,
        ),
    ] {
        let mut body = encode_answer(&answer);
        body[at] = 9;
        assert!(parse_answer(opcode, &body).is_err(), "{answer:?}");
    }
}
