"""`nameserver ask`: one question, and an exit code that a health check can go by."""

import argparse
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from nameserver.cli import ask

Answer = Callable[[dns.message.Message], dns.message.Message | None]


class Responder:
    """A nameserver of one function, on UDP and TCP of one port."""

    def __init__(self) -> None:
        self.answer: Answer = lambda _query: None
        self.tcp_answer: Answer | None = None
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._threads = [threading.Thread(target=part, daemon=True) for part in (self._datagrams, self._streams)]
        for thread in self._threads:
            thread.start()

    def _datagrams(self) -> None:
        while (data := self._udp.recvfrom(4096)) and data[0]:
            reply = self.answer(dns.message.from_wire(data[0]))
            if reply is not None:
                self._udp.sendto(reply.to_wire(), data[1])

    def _streams(self) -> None:
        while True:
            connection, _ = self._tcp.accept()
            with connection:
                head = connection.recv(2)
                if not head:
                    return
                query = dns.message.from_wire(connection.recv(struct.unpack("!H", head)[0]))
                wire = (self.tcp_answer or self.answer)(query).to_wire()
                connection.sendall(struct.pack("!H", len(wire)) + wire)

    def close(self) -> None:
        self._udp.sendto(b"", ("127.0.0.1", self.port))
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()


@pytest.fixture
def responder() -> Iterator[Responder]:
    responder = Responder()
    yield responder
    responder.close()


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    ask.configure(parser)
    return ask.main(parser.parse_args(arguments))


def authoritative(query: dns.message.Message) -> dns.message.Message:
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.1"))
    return reply


def refused(query: dns.message.Message) -> dns.message.Message:
    reply = dns.message.make_response(query)
    reply.set_rcode(dns.rcode.REFUSED)
    return reply


def truncated(query: dns.message.Message) -> dns.message.Message:
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.TC
    return reply


def test_an_authoritative_answer_is_printed_and_good(responder: Responder, capsys: pytest.CaptureFixture[str]) -> None:
    responder.answer = authoritative
    assert run("www.example.com", f"@127.0.0.1:{responder.port}") == 0
    said = capsys.readouterr().out
    assert said.startswith("NOERROR (qr aa) from 127.0.0.1:")
    assert "answer     www.example.com. 60 IN A 192.0.2.1" in said


def test_json_holds_the_same(responder: Responder, capsys: pytest.CaptureFixture[str]) -> None:
    responder.answer = authoritative
    assert run("www.example.com", "A", f"@127.0.0.1:{responder.port}", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["rcode"], said["answer"]) == ("NOERROR", ["www.example.com. 60 IN A 192.0.2.1"])


def test_an_answer_that_is_refused_is_a_finding_unless_any_answer_will_do(responder: Responder) -> None:
    responder.answer = refused
    assert run(".", "SOA", f"@127.0.0.1:{responder.port}") == 1
    assert run(".", "SOA", f"@127.0.0.1:{responder.port}", "--any") == 0


@pytest.mark.parametrize("options", [[], ["--tcp"]])
def test_a_truncated_answer_is_asked_for_again_over_tcp(responder: Responder, options: list[str]) -> None:
    responder.answer = truncated
    responder.tcp_answer = authoritative
    assert run("www.example.com", f"@127.0.0.1:{responder.port}", *options) == 0


def test_silence_is_told_from_a_bad_answer(responder: Responder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("www.example.com", f"@127.0.0.1:{responder.port}", "--timeout", "0.1") == 3
    assert "no answer from 127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["www", "NOTATYPE"], ["www", "@nowhere.example"], ["a..b"]])
def test_words_that_make_no_question_are_a_usage_error(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*words)
    assert ended.value.code == 2


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan"])
def test_a_timeout_that_is_none_is_a_usage_error(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("www", f"--timeout={seconds}")
    assert ended.value.code == 2
    assert "expected a number of seconds above 0" in capsys.readouterr().err


def test_nothing_that_a_server_says_reaches_the_terminal_as_it_is(
    responder: Responder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names, texts and options may hold anything: escapes, line ends, what turns the reading direction."""
    odd = "\x1b[31m\r\n\u202e\u2028"

    def hostile(query: dns.message.Message) -> dns.message.Message:
        reply = authoritative(query)
        reply.use_edns(0, options=[dns.edns.EDEOption(0, odd), dns.edns.NSIDOption(odd.encode())])
        reply.answer.append(dns.rrset.from_text(r"\027\010\255.test.", 60, "IN", "TXT", r'"\027[31m\010\255"'))
        reply.answer.append(dns.rrset.from_text("test.", 60, "IN", "CAA", r'0 issue "\027[31m\010"'))
        reply.answer.append(dns.rrset.from_text("test.", 60, "IN", "URI", r'1 1 "\027[31m\010"'))
        return reply

    responder.answer = hostile
    for form in ((), ("--json",)):
        assert run("www.example.com", f"@127.0.0.1:{responder.port}", *form) == 0
        said = capsys.readouterr().out
        assert all(map(str.isprintable, said.splitlines()))
        assert "[31m" in said and len(said.splitlines()) == (1 if form else 7)
