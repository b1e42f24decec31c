#!/usr/bin/env python3
"""Goal: a client written from protocol.md alone does everything with a real node. Method: every operation, also wrong
ones, against the node at --server; then files both ways.

    interop_test.py --server HOST:PORT [--files N | --tree DIR] [--expect DIR] [--hand-over DIR] [--names]

--expect names a directory of files, each named by the id of an object that another client has put: they are read and
compared. --hand-over names a directory for such files of what was put here, for another client to read.
--files puts so many made-up files, 200 by default. --tree puts the first 2,000 files under a directory instead, such as
/usr/share. --names goes through the operations on names too. Exit code 0: all is well; else the first difference is told.
"""

import argparse
import os
import random
import struct
import time

import larder_client
from larder_client import CONTENT_TYPE, DISK, FILE_NAME, MEMORY, LarderClient, ProtocolError, Refused

CHUNK_BYTES_MAX = 8 << 20
TREE_FILES_MAX = 2000
WINDOW = 32


def refused(status, call, *arguments):
    """The call is refused with this status."""
    try:
        result = call(*arguments)
    except Refused as refusal:
        assert refusal.status == status, f"{refusal.status} and not {status}: {refusal.detail}"
        assert refusal.detail, "a refusal has a text"
        return
    raise AssertionError(f"not refused with {status}: {result!r:.200}")


def raw_request(client, op, body):
    """A request of any opcode and body."""
    return client._submit(op, body, lambda frames: frames[0].body).result()


def check_node(client):
    welcome = client.welcome
    assert welcome.version == 1 and welcome.chunk_bytes_max == CHUNK_BYTES_MAX and welcome.in_flight_max >= 1, welcome
    for content in (b"", b"x", bytes(range(256)) * 16):
        assert client.ping(content) == content
    status = client.status()
    assert status["cluster"] == welcome.cluster and status["node"] == welcome.node, "status names another node"


def check_object(client):
    content = bytes(random.Random(1).randbytes(200_000))
    attributes = {CONTENT_TYPE: b"image/jpeg", FILE_NAME: "größe.jpg".encode(), 200: b"\x00\xff"}
    stored = client.put(content, attributes)
    assert (stored.size, stored.durability) == (len(content), DISK), stored

    whole = client.get(stored.id)
    assert whole.content == content and whole.start == 0
    assert whole.meta.attributes == attributes and whole.meta.content_hash == stored.content_hash, whole.meta
    assert client.stat(stored.id) == whole.meta
    for start, length in ((0, 1), (65_535, 2), (100_000, 100_000), (199_999, 2**64 - 1), (3, 0xffff_ffff)):
        part = client.get_range(stored.id, start, length)
        assert (part.start, part.content) == (start, content[start:start + length]), f"range {start}+{length}"
        assert part.meta == whole.meta
    for start, length in ((200_000, 1), (2**64 - 1, 1), (0, 0)):
        refused("RANGE_NOT_SATISFIABLE", client.get_range, stored.id, start, length)

    assert client.delete(stored.id) == DISK
    client.delete(stored.id)
    refused("NOT_FOUND", client.get, stored.id)
    refused("NOT_FOUND", client.stat, stored.id)

    empty = client.put(b"")
    assert client.get(empty.id).content == b"" and client.get_range(empty.id, 0, 5).content == b""
    memory = client.put(b"soon on disk", durability=MEMORY)
    assert memory.durability in (DISK, MEMORY) and client.get(memory.id).content == b"soon on disk"
    twice = [client.put(b"the same").id for _ in range(2)]
    assert twice[0] != twice[1], "the same content twice is two objects"


def check_errors(client):
    known = client.put(b"content").id
    volume, sequence, cookie = known.split("-")
    other_cookie = f"{volume}-{sequence}-{int(cookie, 16) ^ 1:016x}"
    for unknown in (other_cookie, f"{volume}-ffffffff-{cookie}", f"ffffffff-1-{cookie}"):
        for call in (client.get, client.stat, client.delete):
            refused("NOT_FOUND", call, unknown)
    refused("UNKNOWN_OPERATION", raw_request, client, 0x3A, b"")
    refused("UNKNOWN_OPERATION", raw_request, client, 0xFE, b"x" * 100_000)
    refused("BAD_REQUEST", raw_request, client, larder_client.GET, larder_client.encode_id(known))
    refused("BAD_REQUEST", raw_request, client, larder_client.HELLO, struct.pack("<BBH", 1, 1, 0))
    refused("BAD_REQUEST", raw_request, client, larder_client.PUT, struct.pack("<BBH4xQQ", 9, 0, 0, 0, 0))
    refused("TOO_LARGE", client.put, bytes(CHUNK_BYTES_MAX + 1))
    assert client.get(known).content == b"content", "and the connection has lived through all of it"


def check_end_of_connection(connect):
    """A body over its bound ends the connection, with a reason."""
    client = connect()
    try:
        client.ping(bytes(4097))
    except (Refused, ProtocolError, larder_client.ConnectionLost) as error:
        assert "TOO_LARGE" in str(error), error
    else:
        raise AssertionError("a ping of 4,097 bytes was answered")
    refused_or_lost = False
    try:
        client.ping(b"x")
    except larder_client.LarderError:
        refused_or_lost = True
    assert refused_or_lost, "the connection goes on"


def check_pipelining(client):
    contents = [random.Random(n).randbytes(n * 37 % 5000) for n in range(500)]
    stored = client.pipelined(("put", content) for content in contents)
    objects = client.pipelined(("get", one.id) for one in stored)
    assert [one.content for one in objects] == contents
    mixed = client.pipelined([("get", stored[0].id), ("get", "1-ffffff-0000000000000000"), ("get", stored[1].id, 1, 2)])
    assert mixed[0].content == contents[0] and mixed[2].content == contents[1][1:3]
    assert isinstance(mixed[1], Refused) and mixed[1].status == "NOT_FOUND", mixed[1]


def names_round_trip(client, base="/interop"):
    """Every operation on names, under a directory that is not there yet."""
    content = random.Random(3).randbytes(CHUNK_BYTES_MAX + 12_345)
    files = {"empty": b"", "größe.jpg": content[:70_000], "large": content, "one chunk": content[:CHUNK_BYTES_MAX]}
    refused("NOT_FOUND", client.lookup, base)
    with client.open_session() as session:
        refused("PARENT_NOT_FOUND", session.make_directory, f"{base}/a/b")
        made = session.make_directory(f"{base}/a/b", parents=True)
        repeated = session.make_directory(f"{base}/a/b", parents=True, number=session.number)
        assert made == repeated, "a request id that comes again is answered as it was"
        refused("ALREADY_EXISTS", session.make_directory, f"{base}/a/b")
        for name, expected in files.items():
            options = {"condition": larder_client.ABSENT, "modified_ms": 1_600_000_000_000}
            changed = session.put_file(f"{base}/a/{name}", expected, attributes={CONTENT_TYPE: b"image/jpeg"}, **options)
            entry = client.lookup(f"{base}/a/{name}")
            assert (changed.size, changed.replaced, changed.removal) == (len(expected), False, 0), changed
            assert entry.facts[:3] == (larder_client.FILE, changed.version, len(expected)), entry
            assert entry.facts.modified_ms == 1_600_000_000_000 and entry.facts.content_hash == changed.content_hash
            assert entry.attributes == {CONTENT_TYPE: b"image/jpeg"}
            assert client.read_file(f"{base}/a/{name}") == expected, f"{name} differs"
            refused("ALREADY_EXISTS", session.commit, f"{base}/a/{name}", [], larder_client.ABSENT)
        wanted = sorted(["b", *files], key=str.encode)
        for limit in (0, 1, 2):
            assert [name for name, _ in client.list_names(f"{base}/a", limit)] == wanted, f"pages of {limit}"
        refused("BAD_CURSOR", client.list_page, base, b"\xff" * 40)
        total = sum(map(len, files.values()))
        assert client.usage(base) == (len(files), 2, total), client.usage(base)

        version = client.lookup(f"{base}/a/empty", chunks_max=0).facts.version
        refused("VERSION_MISMATCH", session.set_attributes, f"{base}/a/empty", {}, version + 1000)
        session.set_attributes(f"{base}/a/empty", {200: b"mine"}, version)
        entry = client.lookup(f"{base}/a/empty")
        assert entry.attributes == {200: b"mine"} and entry.facts.version > version, entry

        session.rename(f"{base}/a/large", f"{base}/a/b/moved")
        refused("NOT_FOUND", client.lookup, f"{base}/a/large")
        assert client.read_file(f"{base}/a/b/moved") == content
        refused("ALREADY_EXISTS", session.rename, f"{base}/a/empty", f"{base}/a/b/moved")
        assert session.rename(f"{base}/a/empty", f"{base}/a/b/moved", replace=True).replaced
        refused("INTO_ITSELF", session.rename, f"{base}/a", f"{base}/a/b/under")
        refused("IS_A_DIRECTORY", session.commit, f"{base}/a/b", [])
        refused("NOT_A_DIRECTORY", client.lookup, f"{base}/a/b/moved/x")

        by_id = client.put(b"by id").id
        refused("FOREIGN_CHUNK", session.commit, f"{base}/foreign", [by_id])
        unknown = by_id.rpartition("-")[0] + "-0000000000000000"
        refused("NO_SUCH_CHUNK", session.commit, f"{base}/foreign", [unknown])

        refused("DIRECTORY_NOT_EMPTY", session.remove, f"{base}/a")
        session.remove(f"{base}/a/größe.jpg")
        number = session.remove(base, tree=True).removal
        refused("NOT_FOUND", client.lookup, f"{base}/a/b")
        give_up = time.monotonic() + 60
        while not client.removal(number).done:
            assert time.monotonic() < give_up, client.removal(number)
            time.sleep(0.01)
    refused("SESSION_UNKNOWN", session.make_directory, "/late")


def made_up(count):
    """Files of mixed sizes: mostly small, a few large, the smallest and the largest."""
    rng = random.Random(7)
    sizes = [0, 1, 65_535, 65_536, 65_537, CHUNK_BYTES_MAX]
    for number in range(count):
        size = sizes[number] if number < len(sizes) else int(rng.paretovariate(0.7) * 500) % 400_000
        yield rng.randbytes(size)


def tree(directory):
    """The first files under a directory that fit an object."""
    found = 0
    for place, _, names in os.walk(directory):
        for name in sorted(names):
            path = os.path.join(place, name)
            if found < TREE_FILES_MAX and os.path.isfile(path) and os.path.getsize(path) <= CHUNK_BYTES_MAX:
                found += 1
                with open(path, "rb") as file:
                    yield file.read()


def put_and_get(client, files):
    """Puts all and reads them back, a window at a time; gives the id and content of each."""
    window = []
    for content in files:
        window.append(content)
        if len(window) == WINDOW:
            yield from there_and_back(client, window)
            window = []
    yield from there_and_back(client, window)


def there_and_back(client, contents):
    stored = client.pipelined(("put", content) for content in contents)
    for one, content in zip(stored, contents):
        assert not isinstance(one, Exception) and one.size == len(content), one
    names = [one.id for one in stored]
    compare(client, zip(names, contents), len(names))
    return zip(names, contents)


def compare(client, expected, count):
    """Reads objects at once and compares them with (id, content)."""
    expected = list(expected)
    assert len(expected) == count
    for (name, content), got in zip(expected, client.pipelined(("get", name) for name, _ in expected)):
        assert not isinstance(got, Exception), f"{name}: {got}"
        assert got.content == content, f"{name} differs"


def read_files(directory, names):
    for name in names:
        with open(os.path.join(directory, name), "rb") as file:
            yield name, file.read()


def check_expected(client, directory):
    names = sorted(os.listdir(directory))
    assert names, "there is something to read"
    for at in range(0, len(names), WINDOW):
        part = names[at:at + WINDOW]
        compare(client, read_files(directory, part), len(part))
    return len(names)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True, metavar="HOST:PORT")
    parser.add_argument("--files", type=int, default=200, metavar="N")
    parser.add_argument("--tree", metavar="DIR")
    parser.add_argument("--expect", metavar="DIR")
    parser.add_argument("--hand-over", metavar="DIR")
    parser.add_argument("--names", action="store_true")
    arguments = parser.parse_args()
    host, _, port = arguments.server.rpartition(":")

    def connect():
        return LarderClient(host, int(port), timeout=30.0, name="interop_test.py")

    with connect() as client:
        check_node(client)
        check_object(client)
        check_errors(client)
        check_pipelining(client)
        if arguments.names:
            names_round_trip(client)
        if arguments.expect:
            print(f"{check_expected(client, arguments.expect)} objects of another client are what they were")
        count = 0
        for name, content in put_and_get(client, tree(arguments.tree) if arguments.tree else made_up(arguments.files)):
            count += 1
            if arguments.hand_over:
                with open(os.path.join(arguments.hand_over, name), "wb") as file:
                    file.write(content)
        assert count > 0, "there was something to store"
        print(f"{count} files came back as they were")
    check_end_of_connection(connect)


if __name__ == "__main__":
    main()
