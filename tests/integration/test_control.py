"""The control socket, both ends, over a real Unix socket."""

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from nameserver.control import client
from nameserver.control.client import ControlClient
from nameserver.control.protocol import MAX_REQUEST, ControlError, ControlTimeout, ControlUnreachable, Json
from nameserver.control.server import ControlServer, Verb


async def echo(request: Json) -> Json:
    return {"got": request}


async def refuse(request: Json) -> Json:
    raise ControlError(f"no zone {request['zone']}; try: nameserver status")


async def break_down(request: Json) -> Json:
    raise RuntimeError("a fault with a secret in it")


class Patience:
    """Verbs that last as long as a test wants."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.ended = asyncio.Event()

    async def long(self, request: Json) -> Json:
        self.begun.set()
        await self.go_on.wait()
        self.ended.set()
        if request.get("fail"):
            raise ControlError("too late for anybody to hear")
        return {}


async def short(request: Json) -> Json:
    await asyncio.sleep(0.02)
    return {}


VERBS: dict[str, Verb] = {"echo": echo, "refuse": refuse, "break": break_down, "short": short}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def put(path: Path, kind: str) -> None:
    """Something that is not a socket."""
    match kind:
        case "file":
            path.write_text("precious")
        case "symlink":
            path.symlink_to(path.parent / "elsewhere")
        case _:
            path.mkdir(parents=True)


def there(path: Path) -> bool:
    return os.path.lexists(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


@pytest.fixture
async def server(path: Path) -> AsyncIterator[ControlServer]:
    each = ControlServer(path, VERBS, idle_limit=2.0, verb_limit=1.0)
    await each.start()
    yield each
    await each.stop()


async def ask(path: Path, verb: str, **arguments: object) -> Json:
    return await asyncio.to_thread(client.call, path, verb, **arguments)


async def raw(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.usefixtures("server")
class TestAnswers:
    async def test_a_verb_gets_the_request_and_its_answer_comes_back(self, path: Path) -> None:
        answer = await ask(path, "echo", zone="é\n.example", number=2**32 - 1)
        assert answer == {"got": {"verb": "echo", "zone": "é\n.example", "number": 2**32 - 1}}

    async def test_a_connection_takes_several_requests(self, path: Path) -> None:
        def talk() -> list[Json]:
            with ControlClient(path) as each:
                return [each.call("echo", n=number) for number in range(3)]

        assert [answer["got"]["n"] for answer in await asyncio.to_thread(talk)] == [0, 1, 2]

    async def test_a_refusal_carries_its_sentence(self, path: Path) -> None:
        with pytest.raises(ControlError, match=r"no zone example\.org; try") as caught:
            await ask(path, "refuse", zone="example.org")
        assert not isinstance(caught.value, ControlUnreachable)

    @pytest.mark.parametrize("verb", ["nonsense", "__class__", ""])
    async def test_an_unknown_verb_names_the_known_ones(self, path: Path, verb: str) -> None:
        with pytest.raises(ControlError, match="there is: break, echo"):
            await ask(path, verb)

    @pytest.mark.parametrize("line", [b"nonsense", b"[]", b'{"verb": 1}', b"\xff\xfe", b"[" * 60_000])
    async def test_what_is_not_a_request_is_refused_and_the_connection_goes_on(self, path: Path, line: bytes) -> None:
        first, second = (await raw(path, line + b"\n" + b'{"verb": "echo"}\n')).splitlines()
        assert json.loads(first)["ok"] is False
        assert json.loads(second)["ok"] is True

    async def test_a_request_that_is_too_long_is_refused(self, path: Path) -> None:
        answer = json.loads(await raw(path, b'"' + b"x" * (MAX_REQUEST + 10) + b'"\n'))
        assert str(MAX_REQUEST) in answer["error"]

    async def test_half_a_request_is_dropped(self, path: Path) -> None:
        assert await raw(path, b'{"verb": "echo"') == b""

    async def test_a_fault_is_logged_and_not_told(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(ControlError, match="internal error") as caught:
            await ask(path, "break")
        assert "secret" not in str(caught.value)
        assert "a fault with a secret in it" in caplog.text

    @pytest.mark.parametrize("asked", [30, True, "1", None, -1, [1]])
    async def test_a_timeout_that_is_none_leaves_the_usual_one(self, path: Path, asked: object) -> None:
        assert await ask(path, "short", timeout=asked) == {}

    async def test_only_owner_and_group_may_connect(self, path: Path) -> None:
        assert mode_of(path) == 0o660

    async def test_a_second_server_is_refused_and_the_first_stays(self, path: Path) -> None:
        with pytest.raises(ControlError, match="another server answers"):
            await ControlServer(path, VERBS).start()
        assert await ask(path, "echo")

    async def test_connections_beyond_the_limit_are_closed(self, path: Path) -> None:
        held = [await asyncio.open_unix_connection(path) for _ in range(32)]
        reader, writer = await asyncio.open_unix_connection(path)
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        for each in (writer, *(writer for _, writer in held)):
            each.close()


async def test_a_silent_connection_is_closed(path: Path) -> None:
    server = ControlServer(path, VERBS, idle_limit=0.05)
    await server.start()
    reader, writer = await asyncio.open_unix_connection(path)
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    await server.stop()


@pytest.mark.parametrize("fail", [False, True])
async def test_a_verb_that_takes_too_long_is_reported_and_goes_on(path: Path, fail: bool) -> None:
    patience = Patience()
    server = ControlServer(path, {"long": patience.long}, verb_limit=30)
    await server.start()
    with pytest.raises(ControlTimeout, match=r"0\.05 s; the server goes on"):
        await ask(path, "long", timeout=0.05, fail=fail)
    patience.go_on.set()
    await asyncio.wait_for(patience.ended.wait(), 5)
    await server.stop()


async def test_stopping_ends_connections_and_verbs_and_removes_the_socket(path: Path) -> None:
    patience = Patience()
    server = ControlServer(path, {"long": patience.long})
    await server.start()
    waiting = asyncio.create_task(ask(path, "long"))
    await asyncio.wait_for(patience.begun.wait(), 5)
    await server.stop()
    await server.stop()
    assert not there(path)
    assert not patience.ended.is_set()
    with pytest.raises(ControlUnreachable):
        await waiting


async def test_stopping_leaves_a_successors_socket_alone(path: Path) -> None:
    server = ControlServer(path, VERBS)
    await server.start()
    os.rename(path, path.with_name("moved"))
    put(path, "file")
    await server.stop()
    assert there(path)


async def test_a_socket_left_by_a_dead_server_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    server = ControlServer(path, VERBS)
    await server.start()
    assert await ask(path, "echo")
    await server.stop()


@pytest.mark.parametrize("kind", ["file", "symlink", "directory"])
async def test_what_is_not_a_socket_is_not_touched(path: Path, kind: str) -> None:
    put(path.parent, "directory")
    put(path, kind)
    with pytest.raises(ControlError, match="not a socket"):
        await ControlServer(path, VERBS).start()
    assert there(path)
    assert not there(path.parent / "elsewhere")


async def test_an_impossible_path_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match=r"cannot offer the control socket .*: AF_UNIX path too long"):
        await ControlServer(tmp_path / ("x" * 200), VERBS).start()


def test_without_a_server_the_client_says_where_it_looked(path: Path) -> None:
    with pytest.raises(ControlUnreachable, match="is the server running"):
        client.call(path, "status")


def test_a_dead_servers_socket_is_told_apart(tmp_path: Path) -> None:
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as each:
        each.bind(str(dead))
    with pytest.raises(ControlUnreachable, match="no server listens"):
        client.call(dead, "status")
    with pytest.raises(ControlUnreachable, match="control socket of the server"):
        client.call(dead / "below", "status")


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (b"", ControlUnreachable, "hung up"),
        (b'{"ok": tr', ControlUnreachable, "hung up"),
        (b"nonsense\n", ControlError, "not a JSON object"),
        (b"{}\n", ControlError, "without saying why"),
        (None, ControlUnreachable, "in time"),
    ],
)
def test_a_peer_that_is_no_server_is_an_error_not_a_crash(
    tmp_path: Path, answer: bytes | None, error: type[Exception], text: str
) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        with ControlClient(path, timeout=0.1) as each:
            peer, _ = listener.accept()
            with peer:
                if answer is not None:
                    peer.sendall(answer)
                    peer.shutdown(socket.SHUT_WR)
                with pytest.raises(error, match=text):
                    each.call("status")


def test_a_server_that_vanished_between_two_requests_is_unreachable(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        with ControlClient(path) as each:
            listener.accept()[0].close()
            with pytest.raises(ControlUnreachable, match=r"went away|hung up"):
                each.call("status")
