#!/usr/bin/env python3
"""Goal: the Python client speaks as protocol.md says. Method: a node made of the golden frames of that page: it compares
each request with its golden frame, byte for byte, and answers with the golden replies. Run: python3 golden_test.py"""

import pathlib
import re
import socket
import threading
import unittest
import zlib

import larder_client
from larder_client import LarderClient

PAGE = pathlib.Path(__file__).resolve().parents[2] / "protocol.md"
ID = "3-1f-00c0ffee00c0ffee"
HASH = "e353667619ec664b49655fc9692165fb"


def golden_frames():
    blocks = re.findall(r"```golden (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return {name: bytes.fromhex(re.sub(r"#.*", "", lines)) for name, lines in blocks}


GOLDEN = golden_frames()


def renumbered(name, correlation, kind=larder_client.CRC32):
    """A golden frame as if it belonged to another request: the correlation id and the kind of checksum are changed."""
    frame = bytearray(GOLDEN[name])
    frame[7] = kind
    frame[16:24] = correlation.to_bytes(8, "little")
    frame[28:32] = zlib.crc32(frame[40:]).to_bytes(4, "little")
    frame[36:40] = zlib.crc32(frame[:36]).to_bytes(4, "little")
    return bytes(frame)


class Node(threading.Thread):
    """Runs steps of (bytes to be received, or how many; bytes to be sent)."""

    def __init__(self, *steps):
        super().__init__(daemon=True)
        self.client_end, self.end = socket.socketpair()
        self.end.settimeout(10)
        self.client_end.settimeout(10)
        self.steps = [(GOLDEN["hello-request"], GOLDEN["hello-reply"]), *steps]
        self.differences = []
        self.start()

    def run(self):
        for expected, reply in self.steps:
            wanted = expected if isinstance(expected, int) else len(expected)
            received = b""
            while len(received) < wanted:
                part = self.end.recv(wanted - len(received))
                if not part:
                    self.differences.append((expected, received))
                    return
                received += part
            if not isinstance(expected, int) and received != expected:
                self.differences.append((expected.hex(" "), received.hex(" ")))
            self.end.sendall(reply)
        self.end.close()


class GoldenTest(unittest.TestCase):
    def talk(self, *steps):
        node = Node(*steps)
        client = LarderClient(connection=node.client_end, name="golden", send_deadline=False)
        self.addCleanup(client.close)
        return node, client

    def check(self, node):
        node.join(10)
        self.assertFalse(node.is_alive())
        self.assertEqual(node.differences, [])

    def test_hello_and_status(self):
        node, client = self.talk((40, renumbered("status-reply", 2)))
        self.assertEqual(client.welcome.in_flight_max, 1024)
        self.assertEqual(client.welcome.deadline_max_ms, 60_000)
        self.assertEqual(client.welcome.node, "101112131415161718191a1b1c1d1e1f")
        self.assertEqual(client.status(), {"ready": True})
        self.check(node)

    def test_the_requests_of_the_page_in_its_order(self):
        steps = [
            (GOLDEN["ping-request"], GOLDEN["ping-reply"]),
            (GOLDEN["status-request"], GOLDEN["status-reply"]),
            (renumbered("put-request", 4), renumbered("put-reply", 4)),
            (len(GOLDEN["put-named-request"]), renumbered("put-busy-reply", 5)),
            (GOLDEN["get-request"], GOLDEN["get-reply-1"] + GOLDEN["get-reply-2"]),
            (GOLDEN["get-range-request"], GOLDEN["get-range-reply-1"] + GOLDEN["get-range-reply-2"]),
            (GOLDEN["stat-request"], GOLDEN["stat-reply"]),
            (GOLDEN["delete-request"], GOLDEN["delete-reply"]),
        ]
        node, client = self.talk(*steps)
        client.timeout, client.send_deadline = 0.25, True
        self.assertEqual(client.ping(b"hello"), b"hello")
        client.timeout, client.send_deadline = 10, False
        self.assertEqual(client.status(), {"ready": True})

        client.timeout, client.send_deadline = 1.5, True
        stored = client.put(b"0123456789", {larder_client.CONTENT_TYPE: b"text/plain"})
        client.timeout, client.send_deadline = 10, False
        self.assertEqual(stored, (ID, larder_client.DISK, 10, HASH))
        with self.assertRaises(larder_client.Refused) as raised:
            client.put(b"", durability=larder_client.MEMORY)
        busy = raised.exception
        self.assertEqual((busy.status, busy.stage, busy.retry_after_ms), ("BUSY", 4, 40))

        found = client.get(ID)
        self.assertEqual(found.content, b"0123456789")
        self.assertEqual(found.meta, (10, 1_700_000_000_000, HASH, {1: b"text/plain"}))
        with self.assertRaises(larder_client.Refused) as raised:
            client.get_range(ID, 4, 100)
        self.assertEqual(raised.exception.status, "DAMAGED")
        self.assertEqual(client.stat(ID), found.meta)
        self.assertEqual(client.delete(ID), larder_client.DISK)
        self.check(node)

    def test_a_scrub_is_asked_for(self):
        node, client = self.talk((len(GOLDEN["scrub-request"]), renumbered("scrub-reply", 2)))
        self.assertEqual(client.scrub(now=True), {"disks": []})
        self.check(node)

    def test_names(self):
        names = ["session", "session-close", "commit", "commit-exists", "make-directory", "rename", "remove",
                 "set-attributes", "lookup", "list", "list-next", "usage", "removal"]
        steps = [(renumbered(f"{name}-request", at), renumbered(f"{name}-reply", at)) for at, name in enumerate(names, 2)]
        node, client = self.talk(*steps)
        path, created_ms, modified_ms = "/a/ä.txt", 1_700_000_000_000, 1_600_000_000_000
        session = client.open_session()
        self.assertEqual((session.session, session.silent_ms_max), (7, 86_400_000))
        session.close()
        session.number = 9
        changed = session.commit(path, [ID], larder_client.ABSENT, True, modified_ms, {1: b"text/plain"})
        self.assertEqual(changed, (42, 10, HASH, 0, False))
        with self.assertRaises(larder_client.Refused) as raised:
            session.commit("//a/ä.txt/", [], larder_client.ABSENT)
        self.assertEqual(raised.exception.status, "ALREADY_EXISTS")
        self.assertEqual(session.make_directory("/a/b", parents=True).version, 43)
        self.assertEqual(session.rename("/a/b", "/c", True, 43), (44, 0, "0" * 32, 0, True))
        self.assertEqual(session.remove("/c", tree=True).removal, 5)
        self.assertEqual(session.set_attributes(path, {}, 42).version, 46)
        file = (larder_client.FILE, 42, 10, created_ms, modified_ms, HASH, 1)
        directory = (larder_client.DIRECTORY, 43, 0, created_ms, created_ms, "0" * 32, 0)
        self.assertEqual(client.lookup(path), (file, {1: b"text/plain"}, 0, [ID]))
        page = client.list_page("/a", limit=2)
        self.assertEqual(page, ([("b", directory), ("ä.txt", file)], b"\1\2\3"))
        self.assertEqual(client.list_page("/a", page.cursor), ([], b""))
        self.assertEqual(client.usage("/a"), (1, 1, 10))
        self.assertEqual(client.removal(5), (1000, 4096, True))
        self.check(node)

    def test_a_chunk_is_put_for_a_session(self):
        node, client = self.talk((renumbered("put-named-request", 2), renumbered("put-reply", 2)))
        ticket = client.submit_put(b"", durability=larder_client.MEMORY, origin=(7, 9))
        self.assertEqual(ticket.result().id, ID)
        self.check(node)

    def test_only_normal_paths_are_sent(self):
        for given, want in [("/", b"/"), ("///", b"/"), ("//a///b/", b"/a/b"), ("/ä", "/ä".encode())]:
            self.assertEqual(larder_client.normal_path(given), want)
        for bad in ["", "a", "/a/../b", "/.", "/a\0", "/\x85", "/" + "x" * 256, "/x" * 2049]:
            with self.assertRaises(ValueError):
                larder_client.normal_path(bad)

    def test_replies_come_in_any_order_and_interleave(self):
        first, second = renumbered("get-reply-1", 2), renumbered("get-reply-2", 2)
        other = renumbered("put-reply", 3)
        node, client = self.talk((len(GOLDEN["get-request"]) + 40 + 24 + 1, first + other + second))
        results = client.pipelined([("get", ID), ("put", b"x")])
        self.assertEqual(results[0].content, b"0123456789")
        self.assertEqual(results[1].id, ID)
        self.check(node)

    def test_a_damaged_body_is_an_error_of_its_request_alone(self):
        damaged = bytearray(renumbered("get-reply-2", 2))
        damaged[-1] ^= 1
        node, client = self.talk(
            (len(GOLDEN["get-request"]), renumbered("get-reply-1", 2) + damaged),
            (45, renumbered("ping-reply", 3)),
        )
        with self.assertRaises(larder_client.LarderError):
            client.get(ID)
        self.assertEqual(client.ping(b"hello"), b"hello")
        self.check(node)

    def test_a_broken_frame_ends_the_connection_with_the_nodes_reason(self):
        node, client = self.talk((45, GOLDEN["bad-frame-reply"]))
        with self.assertRaisesRegex(larder_client.ProtocolError, "BAD_FRAME: a frame begins"):
            client.ping(b"hello")
        self.check(node)

        node, client = self.talk((45, GOLDEN["ping-reply"][:-1]))
        with self.assertRaises(larder_client.ConnectionLost):
            client.ping(b"hello")
        self.check(node)

    def test_only_the_canonical_id_is_sent(self):
        for bad in ["", "3-1f", "03-1f-00c0ffee00c0ffee", "3-1F-00c0ffee00c0ffee", "3-1f-c0ffee00c0ffee"]:
            with self.assertRaises(ValueError):
                larder_client.encode_id(bad)
        self.assertEqual(larder_client.decode_id(larder_client.encode_id(ID)), ID)


if __name__ == "__main__":
    unittest.main()
