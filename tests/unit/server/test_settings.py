"""What a worker is told of the configuration comes out as it went in."""

import json
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

from nameserver.config.model import Config, Endpoint, Remote, ServerConfig, ZoneConfig
from nameserver.query.acl import Acl, AclRow
from nameserver.server.settings import decode_acl, decode_keys, encode_keys, encode_server, encode_zones
from nameserver.wire.tsig import TsigKey

KEY = TsigKey(b"\x01k\x00", "hmac-sha512", bytes(range(64)))
SERVER = ServerConfig((Endpoint("127.0.0.1", 53),), Path("state"), Path("control"), nsid=b"\x00ns\xff", version="9")
ZONE = ZoneConfig(
    b"\x07example\x00",
    "example",
    primaries=(Remote("a", (Endpoint("192.0.2.1", 53), Endpoint("2001:db8::1", 53)), (KEY,)),),
    allow_notify=Acl((AclRow(ip_network("198.51.100.0/24")),)),
    allow_transfer=Acl((AclRow(ip_network("2001:db8::/32"), KEY.name), AclRow(None, KEY.name))),
)


def test_keys_pass_through_json() -> None:
    config = Config(Path("c"), SERVER, {KEY.name: KEY})
    assert decode_keys(json.loads(json.dumps(encode_keys(config)))) == {KEY.name: KEY}


def test_access_lists_pass_through_json() -> None:
    [row] = json.loads(json.dumps(encode_zones([ZONE])))
    assert (row["zones"], row["type"]) == ([[ZONE.name.hex(), "example"]], "secondary")
    assert decode_acl(row["allow_transfer"]) == ZONE.allow_transfer


def test_what_is_the_same_for_many_zones_is_said_once() -> None:
    like_it = replace(ZONE, name=b"\x04like\x00", text="like")
    other = replace(ZONE, name=b"\x05other\x00", text="other", allow_transfer=Acl())
    primary = replace(ZONE, name=b"\x02of\x00", text="of", type="primary", primaries=())
    rows = encode_zones([ZONE, other, like_it, primary])
    assert [[text for _, text in row["zones"]] for row in rows] == [["example", "like"], ["other"], ["of"]]
    assert [row["type"] for row in rows] == ["secondary", "secondary", "primary"]
    assert [bool(row["allow_transfer"]) for row in rows] == [True, False, True]
    assert [len(row["allow_notify"]) for row in rows] == [3, 3, 1]


def test_primaries_may_notify_with_their_key_without_being_listed() -> None:
    acl = decode_acl(encode_zones([ZONE])[0]["allow_notify"])
    assert acl.allows(ip_address("192.0.2.1"), KEY.name)
    assert acl.allows(ip_address("2001:db8::1"), KEY.name)
    assert not acl.allows(ip_address("192.0.2.1"), None)
    assert acl.allows(ip_address("198.51.100.9"), None)
    assert not acl.allows(ip_address("192.0.2.2"), KEY.name)


def test_the_server_table_holds_no_bytes_that_json_cannot() -> None:
    settings = json.loads(json.dumps(encode_server(SERVER)))
    assert bytes.fromhex(settings["nsid"]) == SERVER.nsid
    assert settings["tcp_max_clients_per_address"] == SERVER.tcp_max_clients_per_address
