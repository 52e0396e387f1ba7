"""The HTTP server over real connections: what it answers, and what it does not put up with."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest

from nameserver.config.model import Endpoint
from nameserver.server.http import MAX_HEAD, READ, HttpError, HttpServer, Response, plain


def pieces() -> Iterator[bytes]:
    for number in range(50):
        yield b"%d\n" % number * 100


def broken() -> Response:
    raise RuntimeError("a fault")


ROUTES = {
    "/": lambda: Response(content_type="text/html; charset=utf-8", body=b"<p>hello"),
    "/metrics": lambda: Response(body=pieces()),
    "/long": lambda: plain("all the same\n" * 1000),
    "/ready": lambda: plain("not yet\n", 503),
    "/broken": broken,
}


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    """A server on a free port, with short limits."""
    each = HttpServer(
        Endpoint("127.0.0.1", 0), ROUTES, time_limit=0.5, max_connections=4, clock=lambda: 1_795_225_000.0
    )
    await each.start()
    yield each
    await each.stop()


async def connect(server: HttpServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(server.endpoint.host, server.endpoint.port)


async def exchange(server: HttpServer, request: bytes) -> bytes:
    """Send, and read until the server closes."""
    reader, writer = await connect(server)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await asyncio.wait_for(writer.wait_closed(), 10)


def get(path: str, method: str = "GET", *extra: str) -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: x", *extra, "Connection: close", "", "")
    return "\r\n".join(lines).encode()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_a_page_comes_with_its_type_and_length(server: HttpServer) -> None:
    answer = await exchange(server, get("/"))
    head, body = answer.lower().split(b"\r\n\r\n", 1)
    assert status_of(answer) == 200
    assert body == b"<p>hello"
    assert b"content-type: text/html; charset=utf-8" in head
    assert b"content-length: 8" in head
    assert b"x-content-type-options: nosniff" in head
    assert b"cache-control: no-store" in head


async def test_every_answer_is_dated(server: HttpServer) -> None:
    """RFC 9110 §6.6.1."""
    for request in (get("/"), get("/none"), get("/metrics", "HEAD"), get("/", "POST"), b"nonsense\r\n\r\n"):
        assert b"\r\ndate: Sat, 21 Nov 2026 01:36:40 GMT\r\n" in await exchange(server, request)


@pytest.mark.parametrize("path", ["/metrics", "/long"])
async def test_a_long_body_is_packed_for_who_takes_gzip(server: HttpServer, path: str) -> None:
    plainly = await exchange(server, f"GET {path} HTTP/1.0\r\n\r\n".encode())
    answer = await exchange(server, f"GET {path} HTTP/1.0\r\nAccept-Encoding: gzip, deflate\r\n\r\n".encode())
    head, body = answer.split(b"\r\n\r\n", 1)
    assert b"content-encoding: gzip" in head
    assert b"content-length" not in head
    assert gzip.decompress(body) == plainly.split(b"\r\n\r\n", 1)[1]
    assert len(answer) < len(plainly) / 2
    for each in (head, plainly):
        assert b"vary: accept-encoding" in each


async def test_a_packed_body_in_chunks_is_whole_and_the_connection_goes_on(server: HttpServer) -> None:
    reader, writer = await connect(server)
    for _ in range(2):
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        assert b"content-encoding: gzip" in await reader.readuntil(b"\r\n\r\n")
        packed = b""
        while size := int(await reader.readline(), 16):
            packed += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        assert gzip.decompress(packed) == b"".join(pieces())
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("header", "packed"),
    [
        ("gzip", True),
        ("GZIP;q=0.5", True),
        ("x-gzip", True),
        ("*", True),
        ("identity, gzip ; q=1.000", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*;q=0", False),
        ("br, deflate", False),
        ("", False),
        ("gzip;q=x", False),
        (";;,,", False),
    ],
)
async def test_gzip_is_for_those_that_accept_it(server: HttpServer, header: str, packed: bool) -> None:
    """RFC 9110 §12.5.3."""
    answer = await exchange(server, get("/metrics", "HEAD", f"Accept-Encoding: {header}"))
    assert (b"content-encoding: gzip" in answer) is packed
    assert answer.endswith(b"\r\n\r\n")


async def test_a_short_body_is_sent_as_it_is(server: HttpServer) -> None:
    answer = await exchange(server, get("/", "GET", "Accept-Encoding: gzip"))
    assert b"content-encoding" not in answer
    assert answer.endswith(b"<p>hello")


async def test_a_query_string_does_not_matter(server: HttpServer) -> None:
    assert status_of(await exchange(server, get("/?name=x"))) == 200


async def test_a_body_in_pieces_is_sent_chunked_and_whole(server: HttpServer) -> None:
    answer = await exchange(server, get("/metrics"))
    head, body = answer.split(b"\r\n\r\n", 1)
    assert b"transfer-encoding: chunked" in head.lower()
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    assert whole == b"".join(pieces())


async def test_http_1_0_gets_the_same_without_chunks(server: HttpServer) -> None:
    answer = await exchange(server, b"GET /metrics HTTP/1.0\r\n\r\n")
    assert answer.split(b"\r\n\r\n", 1)[1] == b"".join(pieces())


@pytest.mark.parametrize("path", ["/", "/metrics"])
async def test_head_has_no_body(server: HttpServer, path: str) -> None:
    answer = await exchange(server, get(path, "HEAD"))
    assert status_of(answer) == 200
    assert answer.endswith(b"\r\n\r\n")


async def test_a_connection_takes_several_requests(server: HttpServer) -> None:
    reader, writer = await connect(server)
    for _ in range(3):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert status_of(head) == 200
        assert await reader.readexactly(8) == b"<p>hello"
    writer.close()
    await writer.wait_closed()


async def test_a_route_chooses_its_status(server: HttpServer) -> None:
    assert status_of(await exchange(server, get("/ready"))) == 503


async def test_an_unknown_path_is_404_and_names_the_pages(server: HttpServer) -> None:
    answer = await exchange(server, get("/../etc/passwd"))
    assert status_of(answer) == 404
    assert b"/metrics" in answer
    assert b"passwd" not in answer


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_405(server: HttpServer, method: str) -> None:
    answer = await exchange(server, get("/", method))
    assert status_of(answer) == 405
    assert b"allow: GET, HEAD" in answer


@pytest.mark.parametrize("header", ["Content-Length: 1000000000", "Transfer-Encoding: chunked"])
async def test_a_body_is_refused_before_it_comes(server: HttpServer, header: str) -> None:
    assert status_of(await exchange(server, get("/", "GET", header, "Expect: 100-continue"))) == 413


async def test_an_endless_body_is_answered_and_cut_off(server: HttpServer) -> None:
    reader, writer = await connect(server)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"8000\r\n" + b"x" * 32768 + b"\r\n"
    )
    assert status_of(await asyncio.wait_for(reader.read(), 10)) == 413
    writer.close()
    await writer.wait_closed()


async def test_a_head_that_is_too_long_is_431(server: HttpServer) -> None:
    answer = await exchange(server, get("/", "GET", "X-Long: " + "x" * (MAX_HEAD + READ)))
    assert status_of(answer) == 431


async def test_what_is_not_http_is_400(server: HttpServer) -> None:
    assert status_of(await exchange(server, b"\x00\x1cnonsense\r\n\r\n")) == 400


@pytest.mark.parametrize("begun", [b"G", b"GET / HTTP/1.1\r\nHost:", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_request_that_does_not_arrive_in_time_is_408_and_cut_off(server: HttpServer, begun: bytes) -> None:
    """RFC 9110 §15.5.9."""
    answer = await exchange(server, begun)
    assert status_of(answer) == 408
    assert b"\r\nconnection: close\r\n" in answer.lower()


async def test_a_request_that_trickles_in_is_408_however_busy_it_looks(server: HttpServer) -> None:
    reader, writer = await connect(server)
    answer = b""
    try:
        for octet in get("/", "GET", "X: " + "x" * 1000):
            writer.write(bytes((octet,)))
            try:
                async with asyncio.timeout(0.01):
                    answer = await reader.read(4096)  # not all until the end: what of that had come would be lost
            except TimeoutError:
                continue
            break
    finally:
        writer.close()
    assert status_of(answer) == 408


async def test_a_connection_on_which_nothing_is_asked_is_closed_without_a_word(server: HttpServer) -> None:
    assert await exchange(server, b"") == b""
    assert (await exchange(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).endswith(b"<p>hello")


async def test_a_client_that_hangs_up_at_once_harms_nothing(server: HttpServer) -> None:
    _, writer = await connect(server)
    writer.close()
    await writer.wait_closed()
    assert status_of(await exchange(server, get("/"))) == 200


async def test_connections_beyond_the_limit_are_closed_and_the_others_live(server: HttpServer) -> None:
    held = [await connect(server) for _ in range(4)]
    await asyncio.sleep(0)
    reader, writer = await connect(server)
    try:
        refused = await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        refused = b""
    assert refused == b""
    writer.close()
    held[0][1].write(get("/"))
    assert status_of(await held[0][0].read()) == 200
    for _, each in held:
        each.close()
        await each.wait_closed()


async def test_a_fault_in_a_page_is_500_without_its_details(
    server: HttpServer, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await exchange(server, get("/broken"))
    assert status_of(answer) == 500
    assert b"a fault" not in answer
    assert "a fault" in caplog.text
    assert status_of(await exchange(server, get("/"))) == 200


async def test_stopping_ends_open_connections() -> None:
    each = HttpServer(Endpoint("127.0.0.1", 0), ROUTES)
    await each.start()
    reader, writer = await connect(each)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"<p>hello")
    await each.stop()
    await each.stop()
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_a_taken_address_is_named_with_what_to_do(server: HttpServer) -> None:
    with pytest.raises(HttpError, match=rf"{server.endpoint}.*http") as caught:
        await HttpServer(server.endpoint, ROUTES).start()
    assert str(caught.value).count(str(server.endpoint.port)) == 1
    assert "Address already in use;" in str(caught.value)


def test_before_the_start_the_endpoint_is_the_configured_one() -> None:
    assert HttpServer(Endpoint("127.0.0.1", 9530), ROUTES).endpoint.port == 9530
