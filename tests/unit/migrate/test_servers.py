"""How servers, root hints and records of a stream are read and written."""

import dns.name
import pytest

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.root_hints import read_root_hints
from nameserver.migrate.asking.servers import BadValue, parse_server


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 53),
        ("@192.0.2.1", "192.0.2.1", 53),
        ("192.0.2.1:5353", "192.0.2.1", 5353),
        ("192.0.2.1#5353", "192.0.2.1", 5353),
        ("[2001:db8::1]:53", "2001:db8::1", 53),
        ("2001:DB8:0::1", "2001:db8::1", 53),
        ("2001:db8::1#5353", "2001:db8::1", 5353),
    ],
)
def test_an_address_is_read_in_every_form_that_people_write(text: str, host: str, port: int):
    assert parse_server(text).endpoint == Endpoint(host, port)


@pytest.mark.parametrize(
    ("text", "name", "port"),
    [("ns1.example.net", "ns1.example.net.", 53), ("NS1.example.net.:5353", "ns1.example.net.", 5353)],
)
def test_a_name_is_looked_up_later(text: str, name: str, port: int):
    server = parse_server(text)
    assert (server.endpoint, server.name, server.port) == (None, dns.name.from_text(name), port)


@pytest.mark.parametrize(
    "text", ["", "@", "192.0.2", "1.2.3.4.5", "192.0.2.1:0", "192.0.2.1:x", "a..b", "0.0.0.0", "224.0.0.1"]
)
def test_what_is_neither_is_refused_with_a_sentence(text: str):
    with pytest.raises(BadValue):
        parse_server(text)


def test_root_hints_are_the_addresses_of_a_hints_file():
    text = "; hints\n.  3600000  NS  A.ROOT.\nA.ROOT. 3600000 A 127.0.5.1\nA.ROOT. 3600000 IN AAAA ::1\n127.0.5.2:99\n"
    assert read_root_hints(text, 53) == (Endpoint("127.0.5.1", 53), Endpoint("::1", 53), Endpoint("127.0.5.2", 99))


@pytest.mark.parametrize("text", ["", "; nothing\n", ". NS a.root.\n", "ns1.example.\n"])
def test_root_hints_without_an_address_are_refused(text: str):
    with pytest.raises(ValueError, match=r"address"):
        read_root_hints(text, 53)
