"""DNS cookies with the peers (RFC 9018): with one secret, each takes the others' cookies for its own."""

import time
from pathlib import Path

import dns.edns
import dns.message
import dns.query
import dns.rcode
import pytest
from support.ask import LOOPBACK
from support.peers import BindPrimary, KnotPrimary, NsdPrimary, Primary, requires
from support.pipelines import handle, pipeline_of, served

from nameserver.query.exchange import QuerySettings

SECRET = "00112233445566778899aabbccddeeff"
ZONE = "cookies.test"
TEXT = f"$ORIGIN {ZONE}.\n$TTL 300\n@ SOA ns1 host 1 3600 600 86400 300\n@ NS ns1\nns1 A 192.0.2.1\n"
CLIENT = b"a client"
# What makes each use the secret, and hold to cookies where it can: (in its configuration, what to write there instead).
SETTINGS = {
    BindPrimary: ("options {", f'options {{ answer-cookie yes; cookie-secret "{SECRET}"; require-server-cookie yes;'),
    NsdPrimary: ("server:\n", f'server:\n  answer-cookie: yes\n  cookie-secret: "{SECRET}"\n'),
    KnotPrimary: (
        "template:\n  - id: default\n",
        f"mod-cookies:\n  - id: shared\n    secret: 0x{SECRET}\n"
        "template:\n  - id: default\n    global-module: mod-cookies/shared\n",
    ),
}


def with_cookies(kind: type[Primary]) -> Primary:
    """The peer, serving the zone with the secret."""
    requires(*kind.programs)
    peer = kind({ZONE: TEXT})
    plain = peer.configure

    def configure() -> None:
        plain()
        before, after = SETTINGS[kind]
        for path in Path(peer.directory).glob("*.conf"):
            text = path.read_text()
            assert before in text
            path.write_text(text.replace(before, after, 1))

    peer.configure = configure  # type: ignore[method-assign]
    return peer


def query(cookie: bytes) -> dns.message.Message:
    return dns.message.make_query(f"ns1.{ZONE}", "A", use_edns=0, options=[dns.edns.GenericOption(10, cookie)], flags=0)


def cookie_in(reply: dns.message.Message) -> bytes:
    return next(option.to_wire() for option in reply.options if option.otype == 10)


def ask_ours(cookie: bytes) -> dns.message.Message:
    """Our answer, for which a good cookie is required, to a question from 127.0.0.1."""
    ours = pipeline_of(
        served(TEXT.split("\n", 2)[2], f"{ZONE}."),
        settings=QuerySettings(cookie_secrets=(bytes.fromhex(SECRET),), require_cookies=True),
    )
    return dns.message.from_wire(handle(ours, query(cookie).to_wire(), client=LOOPBACK, now=int(time.time())).reply)


@pytest.mark.interop
@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.name)
def test_each_takes_the_others_cookies_for_its_own(kind: type[Primary]) -> None:
    def ask_peer(cookie: bytes) -> dns.message.Message:
        return dns.query.udp(query(cookie), LOOPBACK, port=peer.port, timeout=5)

    with with_cookies(kind) as peer:
        peer.start()
        theirs = cookie_in(ask_peer(CLIENT))
        assert len(theirs) == 24
        assert ask_ours(CLIENT).rcode() == dns.rcode.BADCOOKIE
        answered = ask_ours(theirs)
        assert answered.rcode() == dns.rcode.NOERROR and answered.answer

        ours = cookie_in(ask_ours(CLIENT))
        taken = ask_peer(ours)
        assert taken.rcode() == dns.rcode.NOERROR and taken.answer
        forged = ours[:-1] + bytes((ours[-1] ^ 1,))
        refused = ask_peer(forged)
        # BIND and Knot turn a bad one away; NSD answers, and sends back a good one unchanged, a bad one made anew.
        assert refused.rcode() == dns.rcode.BADCOOKIE or (cookie_in(taken) == ours and cookie_in(refused) != forged)
