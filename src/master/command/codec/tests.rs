//! Groups come back from their bytes, and no bytes bring the decoder down.

use super::*;
use proptest::prelude::*;

fn path(text: &str) -> NamePath {
    NamePath::parse(text.as_bytes()).unwrap()
}

fn id(volume: u32, sequence: u64, cookie: u64) -> ObjectId {
    ObjectId { volume: VolumeId(volume), sequence: Sequence(sequence), cookie: Cookie(cookie) }
}

#[test]
fn golden_bytes() {
    let commit = Checked::Commit {
        path: path("/a/b"),
        condition: Condition::Version(300),
        parents: true,
        modified_ms: Some(5),
        attributes: Attributes::of(&[(1, b"x")]).unwrap(),
        size: 128,
        hash: ContentHash(0x0f),
        chunks: vec![(id(3, 4, 6), 7)],
    };
    let change = |change| Command::Change { id: Origin { session: 1, number: 2 }, change };
    let key = TombstoneKey { since_ms: 1, version: 2, part: 3 };
    let remove = Checked::Remove { path: path("/a"), tree: true, condition: Condition::Any };
    let make = Checked::MakeDirectory { path: path("/a"), parents: false };
    let rename = Checked::Rename { from: path("/a"), to: path("/b"), replace: true, condition: Condition::Version(9) };
    let set =
        Checked::SetAttributes { path: path("/"), condition: Condition::Absent, attributes: Attributes::default() };
    let cases = [
        (Command::OpenSession, &b"\x01"[..]),
        (Command::RenewSession(300), b"\x02\xac\x02"),
        (Command::CloseSession(1), b"\x03\x01"),
        (
            change(commit),
            b"\x04\x01\x02\x0e\xac\x02\x05\x04/a/b\x04\x01\x01\0x\x80\x01\
              \x0f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x03\x04\x06\0\0\0\0\0\0\0\x07",
        ),
        (change(make), b"\x05\x01\x02\x00\x02/a"),
        (change(rename), b"\x06\x01\x02\x06\x09\x02/a\x02/b"),
        (change(remove), b"\x07\x01\x02\x04\x02/a"),
        (change(set), b"\x08\x01\x02\x01\x01/\x00"),
        (Command::Drain { removal: 1, names_max: 128 }, b"\x09\x01\x80\x01"),
        (Command::TombstonesWritten(vec![key]), b"\x0a\x01\x01\x02\x03"),
        (Command::ExpireSessions { silent_ms: 5 }, b"\x0b\x05"),
        (Command::ForgetSessions(vec![1, 2]), b"\x0c\x02\x01\x02"),
        (Command::Recall(Origin { session: 300, number: 2 }), b"\x0d\xac\x02\x02"),
    ];
    for (command, bytes) in &cases {
        let group = Group { time_ms: 0x0102, commands: vec![command.clone()] };
        let want = [b"\x01\x02\x01\0\0\0\0\0\0", *bytes].concat();
        assert_eq!(group.encode(), want, "{command:?}");
        assert_eq!(Group::decode(&want).unwrap(), group);
        for cut in 10..want.len() {
            assert!(Group::decode(&want[..cut]).is_err(), "{command:?} cut at {cut}");
        }
    }
    let mut encoder = GroupEncoder::new(0);
    cases.iter().for_each(|(command, _)| encoder.push(command));
    encoder.set_time(77);
    let group = Group { time_ms: 77, commands: cases.iter().map(|(command, _)| command.clone()).collect() };
    assert_eq!((encoder.bytes(), encoder.count()), (&group.encode()[..], cases.len()));
    assert_eq!(Group::decode(encoder.bytes()).unwrap(), group);
    encoder.restart(5);
    assert_eq!((encoder.count(), encoder.into_bytes()), (0, Group { time_ms: 5, commands: vec![] }.encode()));
}

#[test]
fn what_is_no_group_is_refused() {
    let head = b"\x01\0\0\0\0\0\0\0\0";
    for (tail, why) in [
        (&b"\x00"[..], "no kind"),
        (b"\x0d", "no kind"),
        (b"\x05\x01\x02\x01\x02/a", "a condition for a directory"),
        (b"\x07\x01\x02\x03\x02/a", "no condition"),
        (b"\x07\x01\x02\x00\x03/a/", "a path that is not normalised"),
        (b"\x07\x01\x02\x00\x02a/", "no path"),
        (b"\x08\x01\x02\x00\x02/a\x01\x01", "no attributes"),
        (b"\x0c\xff\xff\xff\xff\x0f\x01", "more told than there is"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "more told than there is"),
    ] {
        assert!(Group::decode(&[&head[..], tail].concat()).is_err(), "{why}");
    }
    for cut in 0..head.len() {
        assert!(Group::decode(&head[..cut]).is_err());
    }
    assert!(Group::decode(b"\x02\0\0\0\0\0\0\0\0").unwrap_err().to_string().contains("version is 2"));
    let many = [&head[..], &vec![OPEN_SESSION; GROUP_COMMANDS_MAX]].concat();
    assert_eq!(Group::decode(&many).unwrap().commands.len(), GROUP_COMMANDS_MAX);
    assert!(Group::decode(&[&many[..], &[OPEN_SESSION]].concat()).is_err());
}

proptest! {
    #[test]
    fn commits_come_back(
        numbers: (u64, u64, u64, u64, u128), version: Option<u64>, modified_ms: Option<u64>, parents: bool,
        name in "[a-z\u{e4} ]{1,20}", chunks in prop::collection::vec((any::<(u32, u64, u64)>(), any::<u64>()), 0..4),
    ) {
        let commit = Checked::Commit {
            path: path(&format!("/{name}")),
            condition: version.map_or(Condition::Any, Condition::Version),
            parents,
            modified_ms,
            attributes: Attributes::default(),
            size: numbers.3,
            hash: ContentHash(numbers.4),
            chunks: chunks.into_iter().map(|((a, b, c), number)| (id(a, b, c), number)).collect(),
        };
        let origin = Origin { session: numbers.0, number: numbers.1 };
        let group = Group { time_ms: numbers.2, commands: vec![Command::Change { id: origin, change: commit }] };
        prop_assert_eq!(Group::decode(&group.encode()).unwrap(), group);
    }

    #[test]
    fn no_bytes_bring_it_down(mut bytes in prop::collection::vec(any::<u8>(), 0..200), headed: bool) {
        if let (true, Some(first)) = (headed, bytes.first_mut()) {
            *first = VERSION;
        }
        if let Ok(group) = Group::decode(&bytes) {
            // What is a group has this form only.
            prop_assert_eq!(group.encode(), bytes);
        }
    }
}
