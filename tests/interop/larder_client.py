#!/usr/bin/env python3
"""A client of the Larder protocol, version 1, in the standard library of Python 3.

It is written from protocol.md alone, and shows that one can be. It uses checksum kind 2 (zlib's CRC-32) on every frame.
Content hashes (XXH3-128) are not in the standard library: they are handed out, and not checked.

    client = LarderClient("127.0.0.1", 7400)
    stored = client.put(b"hello", {CONTENT_TYPE: b"text/plain"})
    assert client.get(stored.id).content == b"hello"

Many requests at once, in one thread:

    tickets = [client.submit_put(content) for content in contents]
    ids = [ticket.result().id for ticket in tickets]

Files under names:

    with client.open_session() as session:
        session.put_file("/a/b.txt", b"content", parents=True)
    assert client.read_file("/a/b.txt") == b"content"

By hand:

    larder_client.py [--server HOST:PORT] put FILE...
    larder_client.py [--server HOST:PORT] get ID [FILE]
    larder_client.py [--server HOST:PORT] stat ID | delete ID | status | ping
"""

import argparse
import json
import select
import socket
import struct
import sys
import time
import zlib
from collections import deque, namedtuple

VERSION = 1
HELLO, PING, STATUS, PUT, GET, STAT, DELETE, SCRUB = 0x01, 0x02, 0x03, 0x10, 0x11, 0x12, 0x13, 0x40
SESSION, COMMIT, MAKE_DIRECTORY, RENAME, REMOVE, SET_ATTRIBUTES = 0x20, 0x21, 0x22, 0x23, 0x24, 0x25
LOOKUP, LIST, USAGE, REMOVAL = 0x28, 0x29, 0x2a, 0x2b
NONE, CRC32C, CRC32 = 0, 1, 2
REPLY, LAST = 1, 2
DISK, MEMORY = 0, 1
CONTENT_TYPE, CACHE_CONTROL, CONTENT_DISPOSITION, FILE_NAME = 1, 2, 3, 4

BODY_BYTES_MAX = 8_396_800
CHUNK_BYTES_MAX = 8_388_608
FILE_CHUNKS_MAX = 16_384
LOOKUP_CHUNKS_MAX = 2048
TO_THE_END = 2**64 - 1

# Conditions of changes; the third is the number of a version.
ANY, ABSENT = None, "absent"
NAMED = 1
OPEN, RENEW, CLOSE = 0, 1, 2
PARENTS, MODIFIED, REPLACE, TREE, REPLACED = 1, 2, 1, 1, 1
FILE, DIRECTORY = 1, 2
UPLOADS_AT_ONCE = 4

# Magic, version, op, status, kind, flags, stage, zero, deadline_ms, correlation, body_bytes, body_checksum, zero;
# the header checksum follows.
HEADER = struct.Struct("<4sBBBBHBBIQIII")
HEADER_BYTES = 40
META = struct.Struct("<QQ16sH6x")
# Session, number, flags, condition, path_bytes, second_bytes, version.
CHANGE_HEAD = struct.Struct("<QQBBHH2xQ")
# Kind, run_bytes, chunk_count, version, size, created_ms, modified_ms, hash.
FACTS = struct.Struct("<BxHIQQQQ16s")

STATUSES = [
    "OK", "NOT_FOUND", "RANGE_NOT_SATISFIABLE", "DAMAGED", "CHECKSUM_MISMATCH", "BAD_REQUEST", "UNKNOWN_OPERATION",
    "UNSUPPORTED_VERSION", "TOO_LARGE", "BUSY", "TIMED_OUT", "UNAVAILABLE", "FULL", "SHUTTING_DOWN", "REFUSED",
    "INTERNAL", "BAD_FRAME", "TOO_SLOW", "PATH_TOO_LONG", "BAD_PATH", "PARENT_NOT_FOUND", "NOT_A_DIRECTORY",
    "IS_A_DIRECTORY", "DIRECTORY_NOT_EMPTY", "ALREADY_EXISTS", "VERSION_MISMATCH", "INTO_ITSELF", "BAD_CURSOR",
    "NO_SUCH_CHUNK", "FOREIGN_CHUNK", "SESSION_UNKNOWN", "OUTCOME_FORGOTTEN",
]

Welcome = namedtuple("Welcome", "version body_bytes_max chunk_bytes_max in_flight_max "
                                "deadline_default_ms deadline_max_ms cluster node")
Stored = namedtuple("Stored", "id durability size content_hash")
Meta = namedtuple("Meta", "size stored_ms content_hash attributes")
Object = namedtuple("Object", "meta start content")
Changed = namedtuple("Changed", "version size content_hash removal replaced")
Facts = namedtuple("Facts", "kind version size created_ms modified_ms content_hash chunk_count")
Entry = namedtuple("Entry", "facts attributes chunk_first chunks")
Page = namedtuple("Page", "entries cursor")
Usage = namedtuple("Usage", "files directories bytes")
Removal = namedtuple("Removal", "names bytes done")
Frame = namedtuple("Frame", "op status flags stage deadline_ms correlation body")


class LarderError(Exception):
    """Something did not work."""


class Refused(LarderError):
    """The node answered with a status that is not OK."""

    def __init__(self, status, stage, retry_after_ms, detail):
        self.status = STATUSES[status] if status < len(STATUSES) else "INTERNAL"
        self.stage = stage
        self.retry_after_ms = retry_after_ms
        self.detail = detail
        super().__init__(f"{self.status}: {detail}")


class ProtocolError(LarderError):
    """The node sent what protocol.md does not allow; the connection is closed."""


class ConnectionLost(LarderError):
    """The connection ended before the answer came."""


class TimedOut(LarderError):
    """No answer came in time; a write may have been done or not."""


def encode_frame(op, correlation, body, deadline_ms=0, flags=0, status=0, stage=0):
    """One frame, checked with CRC-32."""
    head = HEADER.pack(b"LARD", VERSION, op, status, CRC32, flags, stage, 0, deadline_ms, correlation,
                       len(body), zlib.crc32(body), 0)
    return head + struct.pack("<I", zlib.crc32(head)) + body


def decode_header(header):
    """The header of a reply as (its fields without a body, kind, body_bytes, body_checksum)."""
    (magic, version, op, status, kind, flags, stage, zero, deadline_ms, correlation, body_bytes, body_checksum,
     zeros) = HEADER.unpack(header[:36])
    if magic != b"LARD":
        raise ProtocolError(f"a frame begins with {magic!r}")
    if struct.unpack("<I", header[36:40])[0] != zlib.crc32(header[:36]):
        raise ProtocolError("the header checksum is wrong")
    if body_bytes > BODY_BYTES_MAX:
        raise ProtocolError(f"a body of {body_bytes} bytes is over the bound")
    if version != VERSION or zero or zeros or flags & ~(REPLY | LAST) or not flags & REPLY:
        raise ProtocolError("a header that version 1 does not allow")
    return Frame(op, status, flags, stage, deadline_ms, correlation, b""), kind, body_bytes, body_checksum


def encode_id(text):
    """The 20 bytes of an object id."""
    parts = text.split("-")
    if len(parts) != 3:
        raise ValueError(f"not an object id: {text!r}")
    raw = struct.pack("<IQQ", *(int(part, 16) for part in parts))
    if decode_id(raw) != text:
        raise ValueError(f"not the canonical spelling of an object id: {text!r}")
    return raw


def decode_id(raw):
    """The text form of the 20 bytes of an object id."""
    return "{:x}-{:x}-{:016x}".format(*struct.unpack("<IQQ", raw))


def encode_attributes(attributes):
    """A run of attributes, from a dictionary of tags and values."""
    run = b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in sorted(attributes.items()))
    if len(run) > 4096:
        raise ValueError(f"attributes take {len(run)} bytes, 4096 at most")
    return run


def decode_attributes(run):
    """A dictionary of tags and values."""
    attributes, at = {}, 0
    while at < len(run):
        if len(run) - at < 3:
            raise ProtocolError("an attribute is cut short")
        tag, length = struct.unpack_from("<BH", run, at)
        value = run[at + 3:at + 3 + length]
        if len(value) < length or tag <= max(attributes, default=0):
            raise ProtocolError("an attribute is cut short or out of order")
        attributes[tag] = value
        at += 3 + length
    return attributes


def decode_meta(body, at=0):
    """The meta block at a place of a body, and where it ends."""
    size, stored_ms, content_hash, attribute_bytes = META.unpack_from(body, at)
    start = at + META.size
    if start + attribute_bytes > len(body):
        raise ProtocolError("the attributes are cut short")
    attributes = decode_attributes(body[start:start + attribute_bytes])
    return Meta(size, stored_ms, content_hash.hex(), attributes), start + attribute_bytes


def normal_path(path):
    """The bytes of a path in its normal form; a ValueError if there is none."""
    if not path.startswith("/"):
        raise ValueError(f"a path begins with /: {path!r}")
    names = [name for name in path.split("/") if name]
    raw = "/".join(["", *names]).encode() or b"/"
    check_names(names)
    if len(raw) > 4096:
        raise ValueError(f"a path of {len(raw)} bytes, 4096 at most")
    return raw


def check_names(names):
    """Raises a ValueError unless all can stand between the slashes of a path."""
    for name in names:
        if not 0 < len(name.encode()) <= 255 or name in (".", "..") or "/" in name:
            raise ValueError(f"not a name: {name!r}")
        if any(ord(character) < 0x20 or 0x7f <= ord(character) < 0xa0 for character in name):
            raise ValueError(f"a control character is in {name!r}")


def encode_change(session, number, flags, condition, path, second=b"", fixed=b""):
    """The body of a change: its head, `fixed` fields of its own, the path and what follows it."""
    code, version = (0, 0) if condition is ANY else (1, 0) if condition == ABSENT else (2, condition)
    path = normal_path(path)
    head = CHANGE_HEAD.pack(session, number, flags, code, len(path), len(second), version)
    return b"".join((head, fixed, path, second))


def decode_facts(body, at=0):
    """The facts at a place of a body, and the length of the run that belongs to them."""
    kind, run_bytes, chunk_count, version, size, created_ms, modified_ms, content_hash = FACTS.unpack_from(body, at)
    if kind not in (FILE, DIRECTORY):
        raise ProtocolError(f"a name of kind {kind}")
    return Facts(kind, version, size, created_ms, modified_ms, content_hash.hex(), chunk_count), run_bytes


def take(body, at, length):
    """So many bytes at a place of a body, and where they end."""
    if at + length > len(body):
        raise ProtocolError("the body of a reply is cut short")
    return body[at:at + length], at + length


class Session:
    """A session, in which names are changed. Closes itself at the end of a `with`.

    A change takes the next number, and may be repeated with `number` when its answer was lost: it is made once.
    """

    def __init__(self, client, session, silent_ms_max, number=0):
        self._client, self.session, self.silent_ms_max, self.number = client, session, silent_ms_max, number

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        # After an error the connection may be gone; the session ends by itself then.
        if kind is None:
            self.close()

    def renew(self):
        """Says that it is still in use."""
        self._client._session(RENEW, self.session)

    def close(self):
        """Ends it; chunks that were not committed are garbage."""
        self._client._session(CLOSE, self.session)

    def next_number(self):
        self.number += 1
        return self.number

    def put_file(self, path, content, **options):
        """Stores content under a path; returns a Changed. Options are those of `commit`."""
        parts = [content[at:at + CHUNK_BYTES_MAX] for at in range(0, len(content), CHUNK_BYTES_MAX)]
        chunks, under_way = [], deque()
        for part in parts:
            if len(under_way) == UPLOADS_AT_ONCE:
                chunks.append(under_way.popleft().result().id)
            under_way.append(self._client.submit_put(part, origin=(self.session, self.next_number())))
        chunks += [ticket.result().id for ticket in under_way]
        return self.commit(path, chunks, **options)

    def commit(self, path, chunks, condition=ANY, parents=False, modified_ms=None, attributes=None, number=None):
        """Gives a path these chunks as its content; returns a Changed."""
        if len(chunks) > FILE_CHUNKS_MAX:
            raise ValueError(f"{len(chunks)} chunks, {FILE_CHUNKS_MAX} at most")
        flags = (PARENTS if parents else 0) | (0 if modified_ms is None else MODIFIED)
        fixed = struct.pack("<QI4x", modified_ms or 0, len(chunks))
        run = encode_attributes(attributes or {})
        body = encode_change(self.session, number or self.next_number(), flags, condition, path, run, fixed)
        return self._change(COMMIT, body + b"".join(map(encode_id, chunks)))

    def make_directory(self, path, parents=False, number=None):
        """Makes a directory; returns a Changed."""
        flags = PARENTS if parents else 0
        return self._change(
            MAKE_DIRECTORY, encode_change(self.session, number or self.next_number(), flags, ANY, path))

    def rename(self, path, to, replace=False, condition=ANY, number=None):
        """Gives a file or directory another name; returns a Changed."""
        flags = REPLACE if replace else 0
        body = encode_change(self.session, number or self.next_number(), flags, condition, path, normal_path(to))
        return self._change(RENAME, body)

    def remove(self, path, tree=False, condition=ANY, number=None):
        """Removes a file, an empty directory or a tree; returns a Changed."""
        flags = TREE if tree else 0
        return self._change(
            REMOVE, encode_change(self.session, number or self.next_number(), flags, condition, path))

    def set_attributes(self, path, attributes, condition=ANY, number=None):
        """Gives a file other attributes; returns a Changed."""
        run = encode_attributes(attributes)
        body = encode_change(self.session, number or self.next_number(), 0, condition, path, run)
        return self._change(SET_ATTRIBUTES, body)

    def _change(self, op, body):
        return self._client._submit(op, body, _changed).result()


class Ticket:
    """A request under way."""

    def __init__(self, client, op, decode, deadline):
        self._client, self._decode, self._deadline = client, decode, deadline
        self.op = op
        self.frames = []
        self.error = None
        self.is_done = False

    def result(self):
        """Waits for the answer, and returns it or raises a LarderError."""
        self._client._run(lambda: self.is_done, self._deadline)
        if self.error is not None:
            raise self.error
        try:
            return self._decode(self.frames)
        except (struct.error, IndexError, ValueError) as error:
            broken = ProtocolError(f"the body of a reply is not what its op says: {error}")
            self._client._fail(broken)
            raise broken from None


class LarderClient:
    """A connection to a node. Not for use by several threads at once.

    `timeout` is in seconds, for each request; `send_deadline` also tells it to the node, which then gives up too.
    It sends nothing twice: see "Retries" in protocol.md for when a caller may.
    """

    def __init__(self, host="127.0.0.1", port=7400, timeout=10.0, name="larder_client.py", connection=None,
                 send_deadline=True):
        self.timeout = timeout
        self.send_deadline = send_deadline
        self._socket = connection or socket.create_connection((host, port), timeout)
        self._socket.setblocking(False)
        self._outgoing = deque()
        self._incoming = bytearray()
        self._header = None
        self._open = {}
        self._correlation = 0
        self._failure = None
        self._in_flight_max = 1
        self.welcome = self._hello(name)
        self._in_flight_max = self.welcome.in_flight_max

    def close(self):
        """Ends the connection; requests under way are lost."""
        self._fail(ConnectionLost("the client closed the connection"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # What it can do. Each `submit_` returns a Ticket at once, unless the connection is full.

    def ping(self, content=b""):
        """Sends bytes there and back; returns them."""
        return self._submit(PING, content, lambda frames: frames[0].body).result()

    def put(self, content, attributes=None, durability=DISK):
        """Stores an object; returns a Stored."""
        return self.submit_put(content, attributes, durability).result()

    def submit_put(self, content, attributes=None, durability=DISK, origin=None):
        """`origin` is the session and number of a chunk that will be committed."""
        run = encode_attributes(attributes or {})
        flags, (session, number) = (NAMED, origin) if origin else (0, (0, 0))
        head = struct.pack("<BBH4xQQ", durability, flags, len(run), session, number)
        return self._submit(PUT, b"".join((head, run, content)), _stored)

    def get(self, object_id):
        """Reads a whole object; returns an Object."""
        return self.submit_get(object_id).result()

    def get_range(self, object_id, start, length=TO_THE_END):
        """Reads a part of an object; returns an Object."""
        return self.submit_get(object_id, start, length).result()

    def submit_get(self, object_id, start=None, length=TO_THE_END):
        whole = start is None
        body = encode_id(object_id) + struct.pack("<B3xQQ", whole, start or 0, TO_THE_END if whole else length)
        return self._submit(GET, body, _object)

    def stat(self, object_id):
        """What is known about an object, as a Meta."""
        return self._submit(STAT, encode_id(object_id), lambda frames: decode_meta(frames[0].body)[0]).result()

    def delete(self, object_id):
        """Deletes an object; returns the durability reached. A repeat succeeds."""
        return self._submit(DELETE, encode_id(object_id), lambda frames: frames[0].body[0]).result()

    def status(self):
        """The node, as a dictionary."""
        return self._submit(STATUS, b"", lambda frames: json.loads(frames[0].body)).result()

    def scrub(self, now=False):
        """How far each disk is checked, as a dictionary; `now` starts a check first."""
        return self._submit(SCRUB, bytes([now]) + bytes(7), lambda frames: json.loads(frames[0].body)).result()

    def open_session(self):
        """A new Session, to change names in."""
        return Session(self, *self._session(OPEN, 0))

    def lookup(self, path, chunk_first=0, chunks_max=LOOKUP_CHUNKS_MAX):
        """What a path leads to, as an Entry with some of its chunks."""
        raw = normal_path(path)
        body = struct.pack("<IIH6x", chunk_first, chunks_max, len(raw)) + raw
        return self._submit(LOOKUP, body, _entry).result()

    def read_file(self, path):
        """The content of a file."""
        entry = self.lookup(path)
        chunks = entry.chunks
        while len(chunks) < entry.facts.chunk_count:
            more = self.lookup(path, len(chunks))
            if more.facts.version != entry.facts.version or not more.chunks:
                raise LarderError(f"{path} was changed while it was read")
            chunks = chunks + more.chunks
        content = b"".join(self.get(chunk).content for chunk in chunks)
        if len(content) != entry.facts.size:
            raise LarderError(f"{path} has {len(content)} bytes of {entry.facts.size}")
        return content

    def list_page(self, path, cursor=b"", limit=0):
        """A page of the names in a directory, as a Page of (name, Facts) and the cursor of the next."""
        raw = normal_path(path)
        body = struct.pack("<IHH", limit, len(raw), len(cursor)) + raw + cursor
        return self._submit(LIST, body, _page).result()

    def list_names(self, path, limit=0):
        """All names in a directory with their Facts, page by page of `limit` at most."""
        cursor = b""
        while True:
            page = self.list_page(path, cursor, limit)
            yield from page.entries
            cursor = page.cursor
            if not cursor:
                return

    def usage(self, path):
        """What is under a path, as a Usage."""
        raw = normal_path(path)
        body = struct.pack("<H6x", len(raw)) + raw
        return self._submit(USAGE, body, lambda frames: Usage(*struct.unpack_from("<QQQ", frames[0].body))).result()

    def removal(self, number):
        """How far a removal is, as a Removal."""
        return self._submit(REMOVAL, struct.pack("<Q", number), _removal).result()

    def pipelined(self, submits):
        """Runs many `submit_` calls at once, as ("put", content) or ("get", id) and so on; returns their results or
        errors in order."""
        tickets = [getattr(self, "submit_" + name)(*arguments) for name, *arguments in submits]
        results = []
        for ticket in tickets:
            try:
                results.append(ticket.result())
            except LarderError as error:
                results.append(error)
        return results

    # How it does it.

    def _session(self, action, session):
        return self._submit(SESSION, struct.pack("<B7xQ", action, session), _session).result()

    def _hello(self, name):
        name = name.encode()[:255]
        body = struct.pack("<BBH", VERSION, VERSION, len(name)) + name
        return self._submit(HELLO, body, _welcome, deadline_ms=0).result()

    def _submit(self, op, body, decode, deadline_ms=None):
        deadline = time.monotonic() + self.timeout
        self._run(lambda: len(self._open) < self._in_flight_max, deadline)
        if deadline_ms is None:
            deadline_ms = max(1, int(self.timeout * 1000)) if self.send_deadline else 0
        self._correlation += 1
        ticket = Ticket(self, op, decode, deadline)
        self._open[self._correlation] = ticket
        self._outgoing.append(memoryview(encode_frame(op, self._correlation, body, deadline_ms)))
        return ticket

    def _run(self, is_done, deadline):
        """Sends and receives until something is done. It never sends without also reading: a node whose replies are
        not read stops to read requests."""
        while not is_done():
            if self._failure is not None:
                raise self._failure
            # The node's own TIMED_OUT comes at the deadline: leave it a moment to get here.
            left = deadline + 0.25 - time.monotonic()
            if left <= 0:
                raise TimedOut("no answer within the deadline")
            writers = [self._socket] if self._outgoing else []
            readable, writable, _ = select.select([self._socket], writers, [], left)
            try:
                if writable:
                    self._send_some()
                if readable:
                    self._receive_some()
            except ProtocolError as error:
                self._fail(error)
            except BlockingIOError:
                pass
            except OSError as error:
                self._fail(ConnectionLost(str(error)))

    def _send_some(self):
        frame = self._outgoing[0]
        sent = self._socket.send(frame)
        if sent == len(frame):
            self._outgoing.popleft()
        else:
            self._outgoing[0] = frame[sent:]

    def _receive_some(self):
        received = self._socket.recv(1 << 18)
        if not received:
            raise ConnectionResetError("the node closed the connection")
        self._incoming += received
        while (frame := self._next_frame()) is not None:
            self._take(*frame)

    def _next_frame(self):
        """The next whole frame among the bytes received, and whether its body is damaged."""
        if self._header is None:
            if len(self._incoming) < HEADER_BYTES:
                return None
            self._header = decode_header(bytes(self._incoming[:HEADER_BYTES]))
        frame, kind, body_bytes, body_checksum = self._header
        end = HEADER_BYTES + body_bytes
        if len(self._incoming) < end:
            return None
        body = bytes(self._incoming[HEADER_BYTES:end])
        del self._incoming[:end]
        self._header = None
        # The node answers in the kind of the request, so it is 2; kind 0 is zero anyway.
        damaged = body_checksum != (zlib.crc32(body) if kind == CRC32 else 0)
        return frame._replace(body=body), damaged

    def _take(self, frame, damaged):
        if frame.correlation == 0:
            raise ProtocolError("the node ends the connection: " + str(_refusal(frame)))
        ticket = self._open.get(frame.correlation)
        if ticket is None or ticket.op != frame.op:
            raise ProtocolError(f"a reply to request {frame.correlation}, which is not open")
        if damaged:
            ticket.error = ticket.error or LarderError("a body was damaged on its way here")
        elif frame.status != 0:
            ticket.error = ticket.error or _refusal(frame)
        else:
            ticket.frames.append(frame)
        if frame.flags & LAST:
            del self._open[frame.correlation]
            ticket.is_done = True

    def _fail(self, error):
        """Ends the connection and everything that waits on it."""
        self._failure = self._failure or error
        self._socket.close()
        for ticket in self._open.values():
            ticket.error = ticket.error or self._failure
            ticket.is_done = True
        self._open.clear()
        self._outgoing.clear()


def _refusal(frame):
    return Refused(frame.status, frame.stage, frame.deadline_ms, frame.body.decode("utf-8", "replace"))


def _welcome(frames):
    version, *numbers, cluster, node = struct.unpack_from("<B3xIIIII16s16s", frames[0].body)
    if version != VERSION or numbers[2] == 0:
        raise ProtocolError("the node's hello says what cannot be")
    return Welcome(version, *numbers, cluster.hex(), node.hex())


def _stored(frames):
    raw_id, durability, size, content_hash = struct.unpack_from("<20sB3xQ16s", frames[0].body)
    return Stored(decode_id(raw_id), durability, size, content_hash.hex())


def _session(frames):
    """Number and longest silence of a session; `None` when it is closed."""
    state, session, silent_ms_max = struct.unpack_from("<B7xQQ", frames[0].body)
    if state > 1 or state == 1 and session == 0:
        raise ProtocolError(f"session {session} in state {state}")
    return (session, silent_ms_max) if state else None


def _changed(frames):
    version, size, content_hash, removal, flags = struct.unpack_from("<QQ16sQB7x", frames[0].body)
    return Changed(version, size, content_hash.hex(), removal, bool(flags & REPLACED))


def _entry(frames):
    body = frames[0].body
    facts, attribute_bytes = decode_facts(body)
    chunk_first, chunks_here = struct.unpack_from("<II", body, FACTS.size)
    run, at = take(body, FACTS.size + 8, attribute_bytes)
    ids, _ = take(body, at, 20 * chunks_here)
    chunks = [decode_id(ids[at:at + 20]) for at in range(0, len(ids), 20)]
    return Entry(facts, decode_attributes(run), chunk_first, chunks)


def _page(frames):
    body = frames[0].body
    entry_count, cursor_bytes = struct.unpack_from("<IH2x", body)
    cursor, at = take(body, 8, cursor_bytes)
    entries = []
    for _ in range(entry_count):
        facts, name_bytes = decode_facts(body, at)
        name, at = take(body, at + FACTS.size, name_bytes)
        entries.append((name.decode(), facts))
    check_names(name for name, _ in entries)
    return Page(entries, cursor)


def _removal(frames):
    names, gone, done = struct.unpack_from("<QQB7x", frames[0].body)
    return Removal(names, gone, bool(done))


def _object(frames):
    first = frames[0].body
    start, length = struct.unpack_from("<QQ", first)
    meta, content_at = decode_meta(first, 16)
    content = b"".join([first[content_at:]] + [frame.body for frame in frames[1:]])
    if len(content) != length or start + length > meta.size:
        raise ProtocolError(f"content of {len(content)} bytes, its range is {length} from {start} of {meta.size}")
    return Object(meta, start, content)


def main():
    parser = argparse.ArgumentParser(description="A Larder client for use by hand.")
    parser.add_argument("--server", default="127.0.0.1:7400", metavar="HOST:PORT")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("put", help="store files; prints their ids").add_argument("files", nargs="+")
    get = commands.add_parser("get", help="read an object to a file or to standard output")
    get.add_argument("id")
    get.add_argument("file", nargs="?")
    commands.add_parser("stat", help="what is known about an object").add_argument("id")
    commands.add_parser("delete", help="delete an object").add_argument("id")
    commands.add_parser("status", help="the node as JSON")
    commands.add_parser("ping", help="there and back")
    arguments = parser.parse_args()

    host, _, port = arguments.server.rpartition(":")
    try:
        with LarderClient(host, int(port)) as client:
            run(client, arguments)
    except (LarderError, OSError, ValueError) as error:
        sys.exit(f"{arguments.server}: {error}")


def run(client, arguments):
    if arguments.command == "put":
        for path in arguments.files:
            with open(path, "rb") as file:
                stored = client.put(file.read(), {FILE_NAME: path.rpartition("/")[2].encode()})
            print(stored.id, stored.size, path)
    elif arguments.command == "get":
        content = client.get(arguments.id).content
        if arguments.file:
            with open(arguments.file, "wb") as file:
                file.write(content)
        else:
            sys.stdout.buffer.write(content)
    elif arguments.command == "stat":
        print(client.stat(arguments.id))
    elif arguments.command == "delete":
        client.delete(arguments.id)
    elif arguments.command == "status":
        print(json.dumps(client.status(), indent=2))
    else:
        began = time.perf_counter()
        client.ping(b"ping")
        print(f"{(time.perf_counter() - began) * 1e6:.0f} us")


if __name__ == "__main__":
    main()
