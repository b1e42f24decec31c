"""Goal: the HTTP client that most Python programs use works with the origin. Method: each function below is one sort of use,
against the origin whose address is the argument. Nothing is printed if all is well."""

import base64
import email.parser
import email.policy
import hashlib
import random
import sys
import threading

import requests
import urllib3

ORIGIN = sys.argv[1]
SESSION = requests.Session()
SESSION.trust_env = False
BIG = random.Random(5).randbytes((17 << 20) + 321)


def url(path):
    return ORIGIN + path


def expect(answer, *statuses):
    assert answer.status_code in statuses, (answer.request.method, answer.url, answer.status_code, answer.text[:200])
    return answer


def sessions_keep_their_connection():
    for number in range(100):
        body = b"%d" % number
        expect(SESSION.put(url(f"/session/{number}.txt"), data=body), 201)
        assert expect(SESSION.get(url(f"/session/{number}.txt")), 200).content == body
        expect(SESSION.get(url(f"/session/{number}.none")), 404)
    pools = SESSION.get_adapter(ORIGIN).poolmanager.pools
    connections = [pools[key].num_connections for key in pools.keys()]
    assert connections == [1], connections


def bodies_stream_both_ways():
    def pieces():
        step = random.Random(6)
        at = 0
        while at < len(BIG):
            size = step.choice([1, 7, 1000, 65536, 300000])
            yield BIG[at : at + size]
            at += size

    expect(SESSION.put(url("/stream.bin"), data=pieces()), 201)
    with SESSION.get(url("/stream.bin"), stream=True) as answer:
        assert answer.headers["Content-Length"] == str(len(BIG))
        assert hashlib.sha256(b"".join(answer.iter_content(12345))).digest() == hashlib.sha256(BIG).digest()
    expect(SESSION.put(url("/nothing"), data=iter(())), 201)
    assert expect(SESSION.get(url("/nothing")), 200).content == b""


def a_download_that_is_left_harms_nobody():
    with SESSION.get(url("/stream.bin"), stream=True) as answer:
        assert next(answer.iter_content(10)) == BIG[:10]
    assert expect(SESSION.head(url("/stream.bin")), 200).headers["Content-Length"] == str(len(BIG))


def conditions_hold_or_do_not():
    place = url("/conditions")
    first = expect(SESSION.put(place, data=b"1", headers={"If-None-Match": "*"}), 201).headers["ETag"]
    expect(SESSION.put(place, data=b"2", headers={"If-None-Match": "*"}), 412)
    read = expect(SESSION.get(place), 200)
    assert read.headers["ETag"] == first
    expect(SESSION.get(place, headers={"If-None-Match": first}), 304)
    expect(SESSION.get(place, headers={"If-None-Match": "W/" + first}), 304)
    expect(SESSION.get(place, headers={"If-None-Match": '"other"'}), 200)
    expect(SESSION.get(place, headers={"If-Modified-Since": read.headers["Last-Modified"]}), 304)
    expect(SESSION.get(place, headers={"If-Match": '"other"'}), 412)
    expect(SESSION.get(place, headers={"If-Unmodified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}), 412)
    second = expect(SESSION.put(place, data=b"22", headers={"If-Match": first}), 204).headers["ETag"]
    expect(SESSION.put(place, data=b"333", headers={"If-Match": first}), 412)
    # A range of what it was is a range of nothing now: the whole of what it is.
    assert expect(SESSION.get(place, headers={"Range": "bytes=1-", "If-Range": first}), 200).content == b"22"
    assert expect(SESSION.get(place, headers={"Range": "bytes=1-", "If-Range": second}), 206).content == b"2"
    expect(SESSION.delete(place, headers={"If-Match": first}), 412)
    expect(SESSION.delete(place, headers={"If-Match": second}), 204)


def only_one_of_many_writers_wins():
    place = url("/race")
    tag = expect(SESSION.put(place, data=b"before"), 201).headers["ETag"]
    statuses = []

    def write(number):
        with requests.Session() as session:
            session.trust_env = False
            statuses.append(session.put(place, data=b"%d" % number, headers={"If-Match": tag}).status_code)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(statuses) == [204] + [412] * 7, statuses


def several_ranges_are_a_multipart_that_mail_can_read():
    expect(SESSION.put(url("/parts.bin"), data=BIG, headers={"Content-Type": "application/x-parts"}), 201)
    border = 8 << 20
    for wanted in ([(0, 9), (1000, 1999)], [(border - 5, border + 5), (0, 0), (len(BIG) - 3, len(BIG) - 1)]):
        ranges = "bytes=" + ",".join("%d-%d" % both for both in wanted)
        answer = expect(SESSION.get(url("/parts.bin"), headers={"Range": ranges}), 206)
        assert answer.headers["Content-Length"] == str(len(answer.content))
        head = b"Content-Type: " + answer.headers["Content-Type"].encode() + b"\r\n\r\n"
        policy = email.policy.HTTP
        message = email.parser.BytesParser(policy=policy).parsebytes(head + answer.content)
        assert message.get_content_type() == "multipart/byteranges" and not message.defects, message.defects
        parts = list(message.iter_parts())
        assert len(parts) == len(wanted), parts
        for (first, last), part in zip(wanted, parts):
            assert part["Content-Range"] == "bytes %d-%d/%d" % (first, last, len(BIG)), part["Content-Range"]
            assert part.get_content_type() == "application/x-parts"
        by_hand(answer, wanted)


def by_hand(answer, wanted):
    """Mail changes line ends; the bytes are cut out by the boundary."""
    boundary = b"--" + answer.headers["Content-Type"].split("boundary=")[1].strip('"').encode()
    body = b"\r\n" + answer.content
    pieces = body.split(b"\r\n" + boundary)
    assert pieces[0] == b"" and pieces[-1] in (b"--", b"--\r\n"), (pieces[0], pieces[-1])
    for (first, last), piece in zip(wanted, pieces[1:-1], strict=True):
        assert piece.split(b"\r\n\r\n", 1)[1] == BIG[first : last + 1], (first, last)


def digests_are_checked():
    body = BIG[:100_000]
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    sha = base64.b64encode(hashlib.sha256(body).digest()).decode()
    wrong = base64.b64encode(bytes(32)).decode()
    for name, good, bad in (
        ("Content-MD5", md5, base64.b64encode(bytes(16)).decode()),
        ("Content-Digest", f"sha-256=:{sha}:", f"sha-256=:{wrong}:"),
    ):
        place = url("/digest-" + name)
        refused = expect(SESSION.put(place, data=body, headers={name: bad}), 400)
        assert refused.json()["code"], refused.text
        expect(SESSION.get(place), 404)
        expect(SESSION.put(place, data=body, headers={name: good}), 201)
        expect(SESSION.put(place, data=iter([body]), headers={name: good}), 204)
        expect(SESSION.put(place, data=b"other" + body, headers={name: good}), 400)
        assert expect(SESSION.get(place), 200).content == body


def names_in_all_scripts_come_back():
    for name in ("/ä ö ü.txt", "/日本語/写真.jpg", "/100%/a+b&c=d;e.txt", "/a(b)[c]'d!.txt"):
        quoted = url(requests.utils.quote(name))
        expect(SESSION.put(quoted, data=name.encode()), 201)
        assert expect(SESSION.get(quoted), 200).content == name.encode()


def metadata_comes_back():
    sent = {
        "Content-Type": "text/markdown; charset=utf-8",
        "Cache-Control": "public, max-age=31536000, immutable",
        "Content-Disposition": 'attachment; filename="read me.md"',
        "Content-Language": "de",
    }
    expect(SESSION.put(url("/meta"), data=b"#", headers=sent), 201)
    got = expect(SESSION.get(url("/meta")), 200).headers
    for name in ("Content-Type", "Cache-Control", "Content-Disposition"):
        assert got[name] == sent[name], (name, got.get(name))


def urllib3_reads_by_itself():
    pool = urllib3.HTTPConnectionPool(ORIGIN.split("//")[1], maxsize=1)
    answer = pool.request("GET", "/stream.bin", preload_content=False)
    total = hashlib.sha256()
    for piece in answer.stream(99_999):
        total.update(piece)
    answer.release_conn()
    assert total.digest() == hashlib.sha256(BIG).digest()
    form = pool.request("POST", "/.id/", body=b"an object")
    assert form.status == 201, (form.status, form.data)
    place = urllib3.util.parse_url(form.headers["Location"]).path
    assert pool.request("GET", place).data == b"an object"
    # requests with fields is a form, which no place here takes.
    assert pool.request("POST", "/somewhere", fields={"a": "b"}).status == 405
    assert pool.num_connections <= 2, pool.num_connections


for test in (
    sessions_keep_their_connection,
    bodies_stream_both_ways,
    a_download_that_is_left_harms_nobody,
    conditions_hold_or_do_not,
    only_one_of_many_writers_wins,
    several_ranges_are_a_multipart_that_mail_can_read,
    digests_are_checked,
    names_in_all_scripts_come_back,
    metadata_comes_back,
    urllib3_reads_by_itself,
):
    test()
