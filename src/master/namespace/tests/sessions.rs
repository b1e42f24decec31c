//! Goal: each change is made once, whatever is sent again; what nobody committed is known as garbage, and nothing else is.

use super::*;
use crate::base::limits::{SESSION_ANSWERS_MAX, SESSION_GAPS_MAX, SESSIONS_CLOSED_MAX, SESSIONS_OPEN_MAX};

fn origin(session: u64, number: u64) -> Origin {
    Origin { session, number }
}

fn reload(node: &mut Node) {
    node.stored();
    node.names = Namespace::load(&node.table).unwrap();
}

#[test]
fn a_change_that_is_sent_again_gets_the_answer_of_before() {
    let mut node = Node::new();
    let chunk = node.chunk();
    let id = node.id();
    let made = node.change_as(id, commit("/a", 10, vec![chunk])).unwrap();
    assert_eq!(made, Changed { version: 1, hash: 11, size: 10, removal: 0, replaced: false });
    let refused = node.id();
    assert_eq!(node.change_as(refused, make("/a", false)), Err(Status::AlreadyExists));
    node.remove("/a", false).unwrap();
    for _ in 0..2 {
        assert_eq!(node.change_as(id, commit("/a", 10, vec![chunk])), Ok(made));
        assert_eq!(node.change_as(refused, make("/a", false)), Err(Status::AlreadyExists));
        assert_eq!(node.names.facts().files, 0);
        reload(&mut node);
    }
}

#[test]
fn a_new_namespace_gives_no_session_of_an_earlier_one() {
    let mut sessions = Vec::new();
    for time_ms in [1_700_000_000_000u64, 1_700_000_001_000] {
        let mut table = MapTable::default();
        let mut names = Namespace::load(&table).unwrap();
        for _ in 0..3 {
            let opened = names.apply(&mut table, &Command::OpenSession, time_ms, &mut Touched::default()).unwrap();
            let Ok(NameAnswer::Session(session)) = opened else { panic!("{opened:?}") };
            sessions.push(session.session);
        }
    }
    assert!(sessions.is_sorted_by(|a, b| a < b), "{sessions:?}");
    assert_eq!((sessions[1], sessions[5] >> 53), (sessions[0] + 1, 0));
}

#[test]
fn how_a_change_ended_can_be_asked_for_without_it() {
    let mut node = Node::new();
    let (id, refused, fresh) = (node.id(), node.id(), node.id());
    let made = node.change_as(id, make("/a", false)).unwrap();
    assert!(node.change_as(refused, make("/a", false)).is_err());
    let digest = node.names.facts().digest;
    for _ in 0..2 {
        assert_eq!(node.run(Command::Recall(id)), Ok(NameAnswer::Changed(made)));
        assert_eq!(node.run(Command::Recall(refused)).unwrap_err().status, Status::AlreadyExists);
        assert_eq!(node.run(Command::Recall(fresh)), Ok(NameAnswer::Changed(Changed::default())));
        let nobody = node.run(Command::Recall(origin(id.session + 1, 1))).unwrap_err();
        assert_eq!(nobody.status, Status::SessionUnknown);
        reload(&mut node);
    }
    assert_eq!(node.names.facts().digest, digest, "asking changes nothing");
    assert!(node.change_as(fresh, make("/b", false)).is_ok(), "the number is still free");
}

#[test]
fn an_answer_of_long_ago_is_forgotten() {
    let mut node = Node::new();
    let id = node.id();
    node.change_as(id, make("/a", false)).unwrap();
    for place in 1..SESSION_ANSWERS_MAX {
        node.make(&format!("/{place}")).unwrap();
    }
    assert!(node.change_as(id, make("/a", false)).is_ok());
    node.make("/last").unwrap();
    assert_eq!(node.change_as(id, make("/a", false)), Err(Status::OutcomeForgotten));
    reload(&mut node);
    assert_eq!(node.change_as(id, make("/a", false)), Err(Status::OutcomeForgotten));
}

#[test]
fn too_many_gaps_want_another_session() {
    let mut node = Node::new();
    let session = node.session;
    for place in 0..SESSION_GAPS_MAX as u64 {
        node.change_as(origin(session, 10 + 2 * place), make("/a", true)).unwrap();
    }
    // Room is no answer: the number may come again.
    for _ in 0..2 {
        assert_eq!(node.change_as(origin(session, 5), make("/b", false)), Err(Status::Busy));
    }
    // What fills a gap, or lies beside a range, is taken.
    node.change_as(origin(session, 11), make("/b", false)).unwrap();
    node.change_as(origin(session, 5), make("/c", false)).unwrap();
    let chunk = node.chunk().0;
    let apart = commit("/d", 5, vec![(chunk, 1), (chunk, 3)]);
    assert_eq!(node.change_as(origin(session, 13), apart), Err(Status::Busy));
    assert_eq!(node.change_as(origin(session, 13), commit("/d", 5, vec![(chunk, 6)])).map(|made| made.size), Ok(5));
}

#[test]
fn a_session_is_open_then_closed_then_forgotten() {
    let mut node = Node::new();
    let session = node.session;
    let (kept, lost) = (node.chunk(), node.chunk());
    node.change(commit("/a", 10, vec![kept])).unwrap();
    let dead = node.names.dead_numbers();
    assert!(!dead.is_dead(origin(session, lost.1)) && !dead.is_dead(origin(session + 1, 1)));

    assert_eq!(node.run(Command::CloseSession(session)), Ok(NameAnswer::SessionClosed));
    assert_eq!(node.run(Command::CloseSession(session)), Ok(NameAnswer::SessionClosed));
    assert_eq!(node.make("/b"), Err(Status::SessionUnknown));
    assert_eq!(node.run(Command::RenewSession(session)).unwrap_err().status, Status::SessionUnknown);
    reload(&mut node);
    assert!(!dead.is_dead(origin(session, lost.1)), "a snapshot changed");
    let dead = node.names.dead_numbers();
    assert!(dead.is_dead(origin(session, lost.1)) && !dead.is_dead(origin(session, kept.1)));
    assert!(!dead.is_dead(origin(session + 1, 1)) && !dead.is_dead(origin(0, 0)));
    assert_eq!(dead.closed_until(node.time_ms - 1).count(), 0);
    assert_eq!(dead.closed_until(node.time_ms).collect::<Vec<_>>(), [session]);

    node.run(Command::ForgetSessions(vec![session, 77])).unwrap();
    reload(&mut node);
    assert!(!node.names.dead_numbers().is_dead(origin(session, lost.1)));
    assert_eq!(node.run(Command::CloseSession(session)).unwrap_err().status, Status::SessionUnknown);
    let facts = node.names.facts();
    assert_eq!((facts.sessions_open, facts.sessions_closed), (0, 0));
    let NameAnswer::Session(next) = node.run(Command::OpenSession).unwrap() else { panic!("no session") };
    assert_eq!(next.session, session + 1);
}

#[test]
fn an_open_session_is_not_forgotten() {
    let mut node = Node::new();
    node.run(Command::ForgetSessions(vec![node.session])).unwrap();
    node.make("/a").unwrap();
}

#[test]
fn silent_sessions_are_closed() {
    let mut node = Node::new();
    let silent = node.session;
    let NameAnswer::Session(renewed) = node.run(Command::OpenSession).unwrap() else { panic!("no session") };
    let NameAnswer::Session(busy) = node.run(Command::OpenSession).unwrap() else { panic!("no session") };
    node.time_ms += 600;
    node.run(Command::RenewSession(renewed.session)).unwrap();
    node.change_as(origin(busy.session, 1), make("/a", false)).unwrap();
    node.run(Command::ExpireSessions { silent_ms: 601 }).unwrap();
    assert_eq!(node.names.facts().sessions_open, 3);
    node.run(Command::ExpireSessions { silent_ms: 600 }).unwrap();
    assert_eq!(node.names.facts().sessions_open, 2);
    assert_eq!(node.make("/b"), Err(Status::SessionUnknown));
    assert_eq!(node.names.dead_numbers().closed_until(node.time_ms).collect::<Vec<_>>(), [silent]);
    // Time does not go back.
    node.time_ms = 0;
    node.run(Command::ExpireSessions { silent_ms: 0 }).unwrap();
    assert_eq!(node.names.facts().sessions_open, 0);
    assert_eq!(node.names.facts().time_ms, 1_000_600);
}

#[test]
fn the_number_of_open_sessions_is_bounded() {
    let mut table = MapTable::default();
    let mut names = Namespace::load(&table).unwrap();
    let mut open =
        |names: &mut Namespace| names.apply(&mut table, &Command::OpenSession, 0, &mut Touched::default()).unwrap();
    for _ in 0..SESSIONS_OPEN_MAX {
        open(&mut names).unwrap();
    }
    assert_eq!(open(&mut names).unwrap_err().status, Status::Busy);
    let mut other = MapTable::default();
    names.apply(&mut other, &Command::CloseSession(5), 0, &mut Touched::default()).unwrap().unwrap();
    let NameAnswer::Session(session) = open(&mut names).unwrap() else { panic!("no session") };
    assert_eq!(session.session, SESSIONS_OPEN_MAX as u64 + 1);
}

#[test]
fn the_number_of_closed_sessions_is_bounded() {
    let mut table = MapTable::default();
    let mut names = Namespace::load(&table).unwrap();
    let mut run = |command| names.apply(&mut table, &command, 0, &mut Touched::default()).unwrap().unwrap();
    for session in 1..=SESSIONS_CLOSED_MAX as u64 + 2 {
        run(Command::OpenSession);
        run(Command::CloseSession(session));
    }
    let (facts, dead) = (names.facts(), names.dead_numbers());
    assert_eq!((facts.sessions_closed, facts.sessions_forgotten_early), (SESSIONS_CLOSED_MAX, 2));
    assert!(!dead.is_dead(origin(2, 1)) && dead.is_dead(origin(3, 1)));
}

#[test]
fn a_namespace_that_is_made_anew_gives_out_other_sessions() {
    let session = |time_ms| {
        let mut table = MapTable::default();
        let mut names = Namespace::load(&table).unwrap();
        match names.apply(&mut table, &Command::OpenSession, time_ms, &mut Touched::default()).unwrap().unwrap() {
            NameAnswer::Session(session) => session.session,
            other => panic!("{other:?}"),
        }
    };
    assert!(session(1_700_000_000_001) > session(1_700_000_000_000));
    assert!(session(4_000_000_000_000) < 1 << 53, "every language can count to it until the year 2096");
}
