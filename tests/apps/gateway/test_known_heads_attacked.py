"""Heads that are known, and whoever would have one request taken for another: by what stands in front, or behind.

What a connection is handed is the same to a server that keeps heads and to one that keeps none, however it is cut:
the same requests, with the same content, in the same order, and the same answers to the byte.
"""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise, product
from typing import Final

import pytest

from tests.apps.gateway.fed import Server, Shown, settled

BEGIN: Final = b"POST /a HTTP/1.1\r\nHost: x\r\n"
LENGTH: Final = b"Content-Length: "


def post(body: bytes, *, begin: bytes = BEGIN, length: bytes | None = None) -> bytes:
    return begin + LENGTH + (b"%d" % len(body) if length is None else length) + b"\r\n\r\n" + body


KNOWN: Final = post(b"known")


@pytest.fixture
async def served() -> Server:
    """A server to which the head of `KNOWN` is known."""
    server = Server()
    await server.said(KNOWN, KNOWN)
    assert [known for known, _, _ in server.shown] == [False, True]
    server.shown.clear()
    return server


def requests(shown: Shown) -> list[tuple[str, bytes]]:
    return [(scope["path"], body) for _, scope, body in shown]


# What only looks like a request.


async def test_the_content_of_a_request_is_its_content_though_it_is_a_known_request(served: Server) -> None:
    head = post(b"", begin=BEGIN.replace(b"/a", b"/other"), length=b"%d" % (2 * len(KNOWN)))
    seen = await served.said(head, KNOWN, KNOWN)
    assert requests(served.shown) == [("/other", KNOWN + KNOWN)]
    assert seen.count(b"HTTP/1.1 ") == 1


async def test_a_chunk_is_a_chunk_though_it_is_a_known_request(served: Server) -> None:
    head = BEGIN.replace(b"/a", b"/other") + b"Transfer-Encoding: chunked\r\n\r\n"
    await served.said(head, b"%x\r\n" % len(KNOWN), KNOWN, b"\r\n0\r\n\r\n")
    assert requests(served.shown) == [("/other", KNOWN)]


async def test_the_end_of_a_head_is_its_end_though_it_is_a_known_request(served: Server) -> None:
    seen = await served.said(b"POST /other HTTP/1.1\r\nX-A: ", KNOWN)
    assert requests(served.shown) == [("/other", b"known")]
    _, scope, _ = served.shown[0]
    assert (b"x-a", b"POST /a HTTP/1.1") in scope["headers"]
    assert seen.count(b"HTTP/1.1 200 ") == 1


async def test_a_head_that_began_behind_a_request_goes_on_though_a_known_request_comes(served: Server) -> None:
    seen = await served.said(KNOWN + b"POST /other HTTP/1.1\r\nX-A: ", KNOWN, KNOWN)
    assert requests(served.shown) == [("/a", b"known"), ("/other", b"known"), ("/a", b"known")]
    assert seen.count(b"HTTP/1.1 200 ") == 3


async def test_trailers_are_trailers_though_they_are_a_known_request(served: Server) -> None:
    head = BEGIN.replace(b"/a", b"/other") + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: "
    await served.said(head, KNOWN)
    assert requests(served.shown)[0] == ("/other", b"")
    assert ("/a", b"known") not in requests(served.shown)


async def test_the_rest_of_a_request_that_was_answered_before_its_end_is_no_request(served: Server) -> None:
    head = post(b"", begin=BEGIN.replace(b"/a", b"/early"), length=b"%d" % len(KNOWN))
    seen = await served.said(head, KNOWN, KNOWN)
    assert requests(served.shown) == [("/early", b""), ("/a", b"known")]
    assert seen.count(b"HTTP/1.1 200 ") == 2


async def test_a_known_request_waits_for_the_one_before_it(served: Server) -> None:
    asked = asyncio.create_task(served.said(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n", KNOWN, KNOWN))
    for _ in range(3):
        await settled()
    assert requests(served.shown) == [("/late", b"")]
    served.go.set()
    await asked


async def test_answers_come_in_the_order_of_their_requests(served: Server) -> None:
    late = b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n"
    asked = asyncio.create_task(served.said(late, KNOWN, post(b"second"), late, *[b""] * 20))
    await settled()
    served.go.set()
    seen = await asked
    told = [answer.partition(b"\r\n\r\n")[2] for answer in seen.split(b"HTTP/1.1 ")[1:]]
    assert told == [b"/late ", b"/a known", b"/a second", b"/late "]


# Whatever is handed over, however it is cut.

OTHER: Final = b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n"
STREAMS: Final = {
    "itself": KNOWN,
    "another length": post(b"longer than it was"),
    "no content": post(b""),
    "less than it says": post(b"known")[:-2],
    "more than it says": KNOWN + b"more",
    "another behind it": KNOWN + OTHER,
    "itself behind it": KNOWN + KNOWN + post(b"", length=b"0005") + b"known",
    "itself within": post(KNOWN) + OTHER,
    "two lengths that are the same": post(b"known", begin=BEGIN + b"Content-Length: 5\r\n"),
    "two lengths that differ": post(b"known", begin=BEGIN + b"Content-Length: 0\r\n") + OTHER,
    "two lengths in two spellings": post(b"known", begin=BEGIN + b"content-length: 0\r\n") + OTHER,
    "two lengths in one": post(b"known", length=b"5, 5"),
    "a length with a sign": post(b"known", length=b"+5"),
    "a length with zeros": post(b"known", length=b"0000005"),
    "a length of too many digits": post(b"known", length=b"00000005"),
    "a length beyond all bounds": post(b"known", length=b"99999999999999999999"),
    "a length in other digits": post(b"known", length=b"\xd9\xa5"),
    "a length and a coding": post(b"5\r\nknown\r\n0\r\n\r\n", begin=BEGIN + b"Transfer-Encoding: chunked\r\n"),
    "a coding and a length": BEGIN + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "a coding that is none": post(b"known", begin=BEGIN + b"Transfer-Encoding: xchunked\r\n"),
    "a coding on two lines": post(b"known", begin=BEGIN + b"Transfer-Encoding:\r\n chunked\r\n"),
    "a coding": BEGIN + b"Transfer-Encoding: chunked\r\n\r\n5\r\nknown\r\n0\r\n\r\n" + KNOWN,
    "a chunk that is itself": BEGIN + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(KNOWN), KNOWN),
    "another order": b"POST /a HTTP/1.1\r\nContent-Length: 5\r\nHost: x\r\n\r\nknown",
    "other letters in a name": KNOWN.replace(b"Host", b"hOST"),
    "other letters in the length's name": KNOWN.replace(b"Content-Length", b"CONTENT-LENGTH"),
    "other letters in the method": KNOWN.replace(b"POST", b"post"),
    "another method": KNOWN.replace(b"POST", b"PUT"),
    "another host": KNOWN.replace(b"Host: x", b"Host: y"),
    "two hosts": post(b"known", begin=BEGIN + b"Host: y\r\n"),
    "no host": KNOWN.replace(b"Host: x\r\n", b""),
    "a whole address": KNOWN.replace(b"/a", b"http://y/a"),
    "an address that is encoded": KNOWN.replace(b"/a", b"/%61"),
    "a header more": post(b"known", begin=BEGIN + b"X-A: b\r\n"),
    "a header without a value": post(b"known", begin=BEGIN + b"X-A:\r\n"),
    "a header without a name": post(b"known", begin=BEGIN + b": b\r\n"),
    "a blank before the colon": KNOWN.replace(b"Length: ", b"Length : "),
    "a blank before the name": KNOWN.replace(b"Content-Length: ", b" Content-Length: "),
    "a tab for a blank": KNOWN.replace(b"Length: ", b"Length:\t"),
    "no blank": KNOWN.replace(b"Length: ", b"Length:"),
    "a length that goes on": post(b"known", length=b"5\r\n 0"),
    "a length in a value": post(b"known", begin=BEGIN + b"X-A: b\rContent-Length: 0\r\n"),
    "lines that end early": KNOWN.replace(b"\r\n", b"\n"),
    "a line that ends early": KNOWN.replace(b"x\r\n", b"x\n"),
    "a head that ends early": b"POST /a HTTP/1.1\nHost: x\ncontent-length: 0\n\n" + KNOWN,
    "a head that ends in the middle": b"POST /a HTTP/1.1\r\nHost: x\r\ncontent-length: 0\r\n\n" + KNOWN,
    "an end without its line": b"POST /a HTTP/1.1\r\nHost: x\r\n\rContent-Length: 5\r\n\r\nknown",
    "a nought": KNOWN.replace(b"Host: x", b"Host: \0"),
    "empty lines before it": b"\r\n\r\n" + KNOWN,
    "an empty line before it": b"\r\n" + KNOWN,
    "something before it": b"x" + KNOWN,
    "it expects to be asked": post(b"known", begin=BEGIN + b"Expect: 100-continue\r\n") + KNOWN,
    "it expects something else": post(b"known", begin=BEGIN + b"Expect: more\r\n") + KNOWN,
    "it is the last": post(b"known", begin=BEGIN + b"Connection: close\r\n") + KNOWN,
    "it offers another protocol": post(b"known", begin=BEGIN + b"Connection: upgrade\r\nUpgrade: h2c\r\n") + KNOWN,
    "it is an old one": KNOWN.replace(b"1.1", b"1.0") + KNOWN,
    "it is an old one that stays": KNOWN.replace(b"1.1\r\n", b"1.0\r\nConnection: keep-alive\r\n") + KNOWN,
    "it is of a version that is none": KNOWN.replace(b"1.1", b"1.2") + KNOWN,
    "it has no version": b"POST /a\r\nHost: x\r\nContent-Length: 5\r\n\r\nknown",
    "it is a tunnel": b"CONNECT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nknown",
    "it is longer than any that is kept": post(b"known", begin=BEGIN + b"X-A: " + b"b" * 3000 + b"\r\n"),
    "it is answered early": post(KNOWN, begin=BEGIN.replace(b"/a", b"/early")) + KNOWN,
}


def cuts(stream: bytes) -> list[list[bytes]]:
    """The stream whole, cut once where it might matter, and at random; for a name always the same."""
    ends = {0, len(stream)}
    for mark in (b"\r\n\r\n", b"Content-Length", b"POST", b"known", b"Transfer-Encoding"):
        place = -1
        while (place := stream.find(mark, place + 1)) >= 0:
            ends |= {place, place + len(mark) // 2, place + len(mark)}
    chance = random.Random(len(stream))
    ways = [{place} for place in sorted(ends)] + [set(chance.sample(range(len(stream)), 3)) for _ in range(5)]
    found = []
    for way in ways:
        at = [0, *sorted(way), len(stream)]
        found.append([stream[begin:end] for begin, end in pairwise(at) if begin < end])
    return found


async def told(server: Server, pieces: list[bytes]) -> tuple[bytes, list[tuple[object, bytes]]]:
    """What a server answers to some pieces, and which requests it took them for."""
    server.shown.clear()
    seen = await server.said(*pieces)
    return seen, [(scope, body) for _, scope, body in server.shown]


@pytest.mark.parametrize("name", STREAMS)
async def test_a_server_that_keeps_heads_takes_everything_for_what_it_is(name: str) -> None:
    stream = STREAMS[name]
    keeping, forgetful = Server(), Server(forgetful=True)
    # Once with only one head known, and again, behind a request that is known, with all that are known by then.
    for before, pieces in product(([], [KNOWN]), cuts(stream)):
        await keeping.said(KNOWN)
        assert await told(keeping, [*before, *pieces]) == await told(forgetful, [*before, *pieces]), (before, pieces)


async def test_what_stands_in_front_of_a_known_head_and_behind_it_is_what_it_is_by_itself() -> None:
    names = sorted(STREAMS)
    chance = random.Random(7)
    keeping, forgetful = Server(), Server(forgetful=True)
    for _ in range(300):
        pieces = [piece for name in chance.sample(names, 3) for piece in chance.choice(cuts(STREAMS[name]))]
        await keeping.said(KNOWN)
        assert await told(keeping, pieces) == await told(forgetful, pieces), pieces
