//! How the ends of disk work read as answers. Any thread.

use super::content::{Rest, Source};
use crate::io::{AppendEnd, DeleteEnd, DiskScrub, ObjectFacts, Opened, PieceEnd, ReadEnd, Refused};
use crate::request::{Answer, Attributes, Content, Durability, Meta, Piece, Refusal, Stage, Status, Stored};
use std::sync::Arc;

const NOT_FOUND: &str = "no such object: unknown, deleted, or its cookie is wrong";
const DAMAGED: &str = "the stored object failed its checksum; run `larder volume verify` on the node's disks";
const FAILED: &str = "the disk of this object reported an error; see the node's log";
const EXPIRED: &str = "the deadline passed before the disk took the request";
const FULL: &str = "the disk is full; nothing was stored";

/// The memory of the facts that were told last: used again when nobody has them any more, which is mostly so once an
/// answer is encoded.
#[derive(Debug, Default)]
pub(super) struct Metas(Option<Arc<Meta>>);

impl Metas {
    fn share(&mut self, meta: Meta) -> Arc<Meta> {
        if let Some(shared) = &mut self.0
            && let Some(place) = Arc::get_mut(shared)
        {
            *place = meta;
            return Arc::clone(shared);
        }
        Arc::clone(self.0.insert(Arc::new(meta)))
    }
}

/// The answer to a read that has ended; what is left of it is fetched from `source`.
pub(super) fn of_read(end: ReadEnd, source: &Arc<Source>, metas: &mut Metas) -> Answer {
    match end {
        ReadEnd::Opened(opened) => match meta_of(&opened.facts).map(|meta| metas.share(meta)) {
            Some(meta) => content(opened, meta, source),
            None => Answer::refused(Status::Damaged, DAMAGED),
        },
        other => of_no_read(&other),
    }
}

/// The answer to a read of a head.
pub(super) fn of_stat(end: ReadEnd, metas: &mut Metas) -> Answer {
    match end {
        ReadEnd::Opened(opened) => match meta_of(&opened.facts) {
            Some(meta) => Answer::Stat(metas.share(meta)),
            None => Answer::refused(Status::Damaged, DAMAGED),
        },
        other => of_no_read(&other),
    }
}

fn of_no_read(end: &ReadEnd) -> Answer {
    match end {
        ReadEnd::OutOfRange { size } => {
            let detail = format!("the range holds no byte of the object, which has {size}");
            Answer::refused(Status::RangeNotSatisfiable, detail)
        }
        ReadEnd::NotFound => not_found(),
        ReadEnd::Damaged => damaged(),
        ReadEnd::Expired => Answer::refused(Status::TimedOut, EXPIRED),
        ReadEnd::Failed | ReadEnd::Opened(_) => Answer::refused(Status::Unavailable, FAILED),
    }
}

fn content(opened: Opened, meta: Arc<Meta>, source: &Arc<Source>) -> Answer {
    let Opened { range, parts, room, rest, known, .. } = opened;
    let rest = rest.map(|reading| Box::new(Rest::new(*reading, Arc::clone(source))) as _);
    Answer::Content(Content { meta, range, first: Piece { parts, room, known }, rest })
}

/// The answer to the read of a further piece.
pub(super) fn of_piece(end: PieceEnd) -> Answer {
    match end {
        PieceEnd::Piece { parts, room } => Answer::More(Piece { parts, room, known: None }),
        PieceEnd::Damaged => damaged(),
        PieceEnd::Gone => not_found(),
        PieceEnd::Failed => Answer::refused(Status::Unavailable, FAILED),
        PieceEnd::Expired => Answer::refused(Status::TimedOut, EXPIRED),
    }
}

pub(super) fn of_append(end: AppendEnd) -> Answer {
    match end {
        AppendEnd::Stored { id, hash, size, synced } => {
            let durability = if synced { Durability::Disk } else { Durability::Memory };
            Answer::Stored(Stored { id, hash, size, durability })
        }
        AppendEnd::Full => Answer::Refused(Refusal {
            status: Status::Full,
            stage: Stage::Disk,
            retry_after_ms: 1000,
            detail: FULL.into(),
        }),
        AppendEnd::Failed => Answer::refused(
            Status::Unavailable,
            "the disk failed while it stored the object, which may or may not be there; store it again",
        ),
        AppendEnd::Expired => Answer::refused(Status::TimedOut, EXPIRED),
    }
}

pub(super) fn of_delete(end: DeleteEnd) -> Answer {
    match end {
        DeleteEnd::Deleted => Answer::Deleted(Durability::Disk),
        DeleteEnd::NotFound => not_found(),
        DeleteEnd::Named => {
            Answer::refused(Status::Refused, "the object belongs to a name: remove the name, and it goes with it")
        }
        DeleteEnd::NotNamed => Answer::refused(Status::Refused, "the object was put by id, and belongs to no name"),
        DeleteEnd::Damaged => damaged(),
        DeleteEnd::Refused(refused) => of_refused(refused),
        DeleteEnd::Full => Answer::refused(Status::Full, "the disk has no room for a tombstone"),
        DeleteEnd::Failed => Answer::refused(Status::Unavailable, FAILED),
        DeleteEnd::Expired => Answer::refused(Status::TimedOut, EXPIRED),
    }
}

pub(super) fn of_refused(refused: Refused) -> Answer {
    Answer::Refused(match refused {
        Refused::ReadQueue => Refusal::busy(Stage::ReadQueue, 20, "the disk's readers have as much as they may"),
        Refused::AppendQueue => Refusal::busy(Stage::AppendQueue, 20, "the append lanes have as much as they may"),
        Refused::DiskShare => {
            Refusal::busy(Stage::Memory, 50, "the requests of this disk hold as much memory as they may")
        }
        Refused::Completions => {
            Refusal::busy(Stage::Processor, 20, "the processor has as much unfinished work as it may")
        }
        Refused::Full => {
            Refusal { status: Status::Full, stage: Stage::Disk, retry_after_ms: 1000, detail: FULL.into() }
        }
        Refused::Suspect => Refusal::busy(
            Stage::Disk,
            1000,
            "the disks that could take the object hang or report errors; see `larder status`",
        ),
        Refused::Closed => Refusal::new(Status::ShuttingDown, "the node is stopping: use another connection"),
        Refused::NoDisk => Refusal::new(Status::Unavailable, "no disk takes requests now; see `larder status`"),
    })
}

/// What the scrubs of the disks say, as JSON.
pub(super) fn of_scrub(disks: &[DiskScrub]) -> Answer {
    let text = serde_json::to_vec(&serde_json::json!({ "disks": disks })).expect("reports have text keys only");
    Answer::Status(text.into())
}

pub(super) fn not_found() -> Answer {
    Answer::refused(Status::NotFound, NOT_FOUND)
}

pub(super) fn damaged() -> Answer {
    Answer::refused(Status::Damaged, DAMAGED)
}

/// `None` if the stored attributes are not well formed, which a node never stores.
fn meta_of(facts: &ObjectFacts) -> Option<Meta> {
    Some(Meta {
        size: u64::from(facts.payload_bytes),
        hash: facts.hash,
        stored_ms: facts.stored_ms,
        attributes: Attributes::parse(facts.attributes.clone()).ok()?,
    })
}
