//! Every ceiling of the node, with its reason, and the asserts that tie them together.
//!
//! Defaults that an operator may change are in `node::configuration`; these are the bounds of the formats and the code.

/// Bytes covered by one checksum of a payload: a range read verifies whole blocks, so smaller reads less and larger costs less.
pub const BLOCK_BYTES: usize = 64 << 10;

/// The largest object, and the largest piece of a file that names will store: bounds what one upload holds in memory.
pub const CHUNK_BYTES_MAX: usize = 8 << 20;

/// Blocks of the largest object.
pub const BLOCKS_MAX: usize = CHUNK_BYTES_MAX / BLOCK_BYTES;

/// Attributes of an object (content type and the like): they ride in the head of the needle, which is read whole.
pub const ATTRIBUTE_BYTES_MAX: usize = 4 << 10;

/// What a large reply reads at once, and so half of what it may hold: four blocks.
pub const PIECE_BYTES: usize = 256 << 10;

/// A body up to this is copied out of the read buffer; a larger one gets a buffer of its own that the socket fills.
pub const BODY_COPIED_BYTES_MAX: usize = 16 << 10;

/// A body up to this that came along with its head needs no room: a read, a delete, a ping go on while the bodies of
/// uploads hold all of the budget. Those of one connection are bounded by its requests in flight.
pub const BODY_FREE_BYTES_MAX: usize = 512;

/// One read of a socket for heads: bounds what a large body leaves in the read buffer to be moved.
pub const READ_BUFFER_BYTES: usize = BODY_COPIED_BYTES_MAX;

/// A body of an upload: the payload with its fixed fields and attributes.
pub const BODY_BYTES_MAX: usize = CHUNK_BYTES_MAX + ATTRIBUTE_BYTES_MAX + 4096;

/// Requests of one connection that may be unanswered; the next frame then stays in the socket.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 1024;

/// Misses of the page cache outstanding on a disk up to which a processor still tries the inline read: the 108th
/// non-blocking read of a slow disk was seen to sleep for seconds in the device's queue.
pub const INLINE_MISSES_MAX: usize = 32;

/// A job of a disk older than this says that the disk is slow now: inline reads then ask `cachestat` first.
pub const INLINE_JOB_AGE_MAX_NS: u64 = 20_000_000;

/// Needles in one group of the append lane: bounds the work between two syncs.
pub const GROUP_NEEDLES_MAX: usize = 1024;

/// Payload bytes in one group, beyond which no further needle joins it.
pub const GROUP_BYTES_MAX: usize = 16 << 20;

/// Segments may not be larger: a slot of the index has 29 bits of 8-byte units.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 32;

/// The default size of a segment.
pub const SEGMENT_BYTES_DEFAULT: u64 = 1 << 30;

/// A volume takes objects up to this, then it is sealed.
pub const VOLUME_BYTES_DEFAULT: u64 = 32 << 30;

/// Frames that one connection may have handled in one turn of its processor, so that none starves the others.
pub const TURN_FRAMES_PER_CONNECTION: usize = 64;

/// Frames that all connections together may have handled in one turn: at a few microseconds each, about a millisecond.
pub const TURN_FRAMES: usize = 256;

/// Bytes that one connection may move in one turn, each way.
pub const TURN_BYTES_PER_CONNECTION: usize = 256 << 10;

/// Bytes that all connections together may move in one turn, each way: they are hashed as they come.
pub const TURN_BYTES: usize = 2 << 20;

/// Connections that are stepped in one turn.
pub const TURN_CONNECTIONS: usize = 256;

/// Connections that a processor takes from its inbox in one turn.
pub const TURN_ACCEPTS: usize = 64;

/// Completions that a processor handles in one turn.
pub const TURN_COMPLETIONS: usize = 256;

/// Events that one poll brings.
pub const TURN_EVENTS: usize = 256;

/// Bytes read along with heads and not yet used, over the connections of a processor, above which heads are read
/// [`READ_STARVED_BYTES`] at a time: what is kept so is in no budget, so it must not grow with the connections.
pub const READ_KEPT_BYTES_MAX: usize = 16 << 20;

/// See [`READ_KEPT_BYTES_MAX`].
pub const READ_STARVED_BYTES: usize = 256;

/// Parts of one gathered write (the kernel's IOV_MAX).
pub const GATHER_PARTS_MAX: usize = 1024;

/// Places of a connection's output that are kept for its next replies: those of a pipeline of 64 heads and contents.
pub const KEPT_PARTS: usize = 128;

/// Bytes for copied heads that are kept in the same way.
pub const KEPT_COPIED_BYTES: usize = 16 << 10;

/// Bytes of one gathered write.
pub const GATHER_BYTES_MAX: usize = 512 << 10;

/// Output of a connection above which it takes no further request until the peer has read some.
pub const OUTPUT_BYTES_MAX: usize = 2 * PIECE_BYTES;

/// Small replies (receipts, facts, refusals) hold no room in a budget; this many bytes of them may wait on a connection
/// before it takes no further request.
pub const LOOSE_BYTES_MAX: usize = 64 << 10;

/// What is still read and dropped of a peer that has had the last words: a body that was refused, as far as it is on its way.
pub const LINGER_BYTES_MAX: usize = 4 << 20;

/// The request line and the header fields of one HTTP request: what one read of a socket brings, so that a head never
/// needs a buffer of its own.
pub const HTTP_HEAD_BYTES_MAX: usize = READ_BUFFER_BYTES;

/// The longest path of a name.
pub const PATH_BYTES_MAX: usize = 4096;

/// The longest name in a directory, as on most file systems.
pub const COMPONENT_BYTES_MAX: usize = 255;

/// Chunks of one file: 128 GiB. The list of them is one value of the metadata state and one frame on the wire.
pub const FILE_CHUNKS_MAX: usize = 16 << 10;

/// Chunks in one answer to a lookup; further ones are asked for. With it the answer stays below [`LOOSE_BYTES_MAX`].
pub const LOOKUP_CHUNKS_MAX: usize = 2048;

/// Bytes of one page of a listing.
pub const LISTING_BYTES_MAX: usize = 48 << 10;

/// Entries of one page of a listing.
pub const LISTING_ENTRIES_MAX: usize = 4096;

/// The place in a directory where a page of a listing ended: a name, and what the node needs to know about the directory.
pub const CURSOR_BYTES_MAX: usize = 512;

/// Answers to changes that are kept for each session, so that a change that is sent again is answered and not done again.
pub const SESSION_ANSWERS_MAX: usize = 1024;

/// Gaps between the finished numbers of a session, above which it takes no further change.
pub const SESSION_GAPS_MAX: usize = 4096;

/// Answers that are kept over all sessions: with many sessions open, each keeps its share, but not less than
/// [`SESSION_ANSWERS_MIN`]. At 64 bytes an answer it bounds them near 64 MiB.
pub const ANSWERS_MAX: usize = 1 << 20;

/// See [`ANSWERS_MAX`].
pub const SESSION_ANSWERS_MIN: usize = 16;

/// Gaps that are kept over all sessions, shared in the same way, at 16 bytes a gap.
pub const GAPS_MAX: usize = 4 << 20;

/// Sessions that may be open at once.
pub const SESSIONS_OPEN_MAX: usize = 64 << 10;

/// Closed sessions that are kept until every disk was searched for their dead chunks. Above it the oldest is forgotten
/// sooner: what its client left behind then stays on the disk, which is better than that nobody can open a session.
pub const SESSIONS_CLOSED_MAX: usize = 256 << 10;

/// Removals of trees that may be under way in the background.
pub const REMOVALS_MAX: usize = 4096;

/// Removals that are remembered after they are done, so that who asks for their progress sees the end.
pub const REMOVALS_DONE_MAX: usize = 64;

/// Names that one command takes out of a removed tree at most: bounds how long other commands wait for it.
pub const DRAIN_NAMES_MAX: usize = 4096;

/// Chunks of removed files after which one such command takes no further name.
pub const DRAIN_CHUNKS_MAX: usize = 32 << 10;

/// Object ids in one entry of the to-do list of tombstones.
pub const TOMBSTONE_IDS_MAX: usize = 256;

/// Commands in one group of the metadata log: bounds what decoding one takes.
pub const GROUP_COMMANDS_MAX: usize = 64 << 10;

/// Directories whose inodes are remembered to resolve paths of changes, at about 100 bytes each.
pub const DIRECTORIES_CACHED_MAX: usize = 128 << 10;

/// Directories below one another up to which usage is counted: bounds what the walk remembers. Renames can make a tree
/// deeper than a path is long.
pub const WALK_DEPTH_MAX: usize = 4096;

const _: () = assert!(CHUNK_BYTES_MAX.is_multiple_of(BLOCK_BYTES));
const _: () = assert!(PIECE_BYTES.is_multiple_of(BLOCK_BYTES));
const _: () = assert!(READ_BUFFER_BYTES >= BODY_COPIED_BYTES_MAX);
const _: () = assert!(BODY_BYTES_MAX > CHUNK_BYTES_MAX + ATTRIBUTE_BYTES_MAX);
const _: () = assert!(GROUP_BYTES_MAX >= CHUNK_BYTES_MAX);
const _: () = assert!(CURSOR_BYTES_MAX > COMPONENT_BYTES_MAX);
const _: () = assert!(OUTPUT_BYTES_MAX >= 2 * PIECE_BYTES);
const _: () = assert!(SEGMENT_BYTES_DEFAULT <= SEGMENT_BYTES_MAX);
