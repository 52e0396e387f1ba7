"""TLS in the configuration: certificates, keys and authorities as files, judged before anything starts."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from support.certificates import authority, self_signed

from nameserver.config.load import read_config
from nameserver.config.model import Config, Endpoint
from nameserver.errors import WireError
from nameserver.query.acl import AclRow
from nameserver.server.settings import decode_acl, decode_tls, encode_tls, encode_zones
from nameserver.wire.certificate import expires_at, spki_pin

SERVER = '[server]\nlisten-tls = ["127.0.0.1"]\ntls-certificate = "server.pem"\ntls-key = "server.key"\n'
REMOTE = '[remote.a]\naddress = ["192.0.2.1", "192.0.2.2:8853"]\ntls = "a"\n'
ZONE = '[zone."example.com"]\nprimaries = ["a"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    authority().issue("ns1.example.net").write(tmp_path, "server")
    authority().issue("client.example.net").write(tmp_path, "client")
    (tmp_path / "ca.pem").write_text(authority().pem)
    yield tmp_path


def read(folder: Path, text: str) -> tuple[Config | None, list[str], list[str]]:
    path = folder / "main.toml"
    path.write_text(text)
    config, errors, warnings = read_config(path)
    shown = [[str(each).removeprefix(f"{path}:") for each in found] for found in (errors, warnings)]
    return config, shown[0], shown[1]


def test_everything_of_tls_is_read_and_a_changed_file_is_another_configuration(folder: Path) -> None:
    pin = authority().issue("x").pin
    text = (
        f'{SERVER}tls-client-ca = "ca.pem"\ntls-require-client-certificate = true\n'
        f'[tls.a]\nserver-name = "NS1.example.net."\npin = "{pin}"\nca = "ca.pem"\n'
        f'certificate = "client.pem"\nkey = "client.key"\n{REMOTE}{ZONE}'
        f'allow-transfer = [{{ remote = "a" }}, {{ remote = "a", tls = false }}, '
        f'{{ certificate-name = "B.example.net", certificate-pin = "{pin}" }}]\nallow-notify = [{{ remote = "a" }}]\n'
    )
    config, errors, warnings = read(folder, text)
    assert (errors, warnings) == ([], [])
    assert config is not None
    assert config.server.listen_tls == (Endpoint("127.0.0.1", 853),)
    assert config.tls is not None
    assert config.tls.require_client_certificate
    remote = config.remotes["a"]
    assert remote.addresses == (Endpoint("192.0.2.1", 853), Endpoint("192.0.2.2", 8853))
    assert remote.tls is not None
    assert remote.tls.server_name == "ns1.example.net"
    [zone] = config.zones.values()
    over_tls = [row.tls for row in zone.allow_transfer.rows]
    assert over_tls == [True, True, False, False, True], "a remote with tls has to come over it, unless it says not"
    assert zone.allow_transfer.rows[-1].certificate_name == "b.example.net"
    assert not any(row.tls for row in zone.allow_notify.rows), "a NOTIFY is a hint, and may be plain"

    assert decode_tls(encode_tls(config.tls)) == config.tls
    [row] = encode_zones([zone])
    assert decode_acl(row["allow_transfer"]) == zone.allow_transfer
    assert decode_acl([[None, None]]).rows == (AclRow(),)

    assert read(folder, text)[0] == config
    authority().issue("client.example.net").write(folder, "client")
    changed, _, _ = read(folder, text)
    assert changed is not None
    assert changed.zones != config.zones, "the reload has to notice"
    assert changed.tls == config.tls
    authority().issue("ns1.example.net").write(folder, "server")
    renewed, _, _ = read(folder, text)
    assert renewed is not None
    assert renewed.tls != config.tls
    assert "PRIVATE" not in repr(renewed)


def test_what_is_wrong_with_files_is_said_at_once_and_in_one_run(folder: Path) -> None:
    (folder / "server.key").chmod(0o640)
    (folder / "client.key").write_text((folder / "client.key").read_text().replace("PRIVATE", "ENCRYPTED PRIVATE"))
    (folder / "ca.pem").write_text("nothing of that kind")
    text = (
        f'{SERVER}[tls.a]\nca = "ca.pem"\n[tls.b]\npin = "{authority().issue("x").pin}"\ncertificate = "client.pem"\n'
        f'key = "client.key"\n[tls.c]\nserver-name = "c"\ncertificate = "c.pem"\nkey = "server.pem"\n{REMOTE}{ZONE}'
    )
    config, errors, _ = read(folder, text)
    assert config is None
    assert errors == [
        "4: server.tls-key: server.key can be read or written by others; run: chmod 600 server.key",
        "6: tls.a.ca: ca.pem holds no certificates in PEM form",
        "10: tls.b.key: client.key is encrypted, and nobody is there to type its password; decrypt it",
        "13: tls.c.certificate: c.pem cannot be read: No such file or directory",
        "14: tls.c.key: server.pem can be read or written by others; run: chmod 600 server.pem",
    ]


def test_a_pipe_in_place_of_a_certificate_holds_up_nothing(folder: Path) -> None:
    (folder / "server.pem").unlink()
    os.mkfifo(folder / "server.pem")
    errors = read(folder, SERVER)[1]
    assert "3: server.tls-certificate: server.pem is not a regular file" in errors


def test_a_key_that_is_not_the_certificates_is_an_error_and_an_end_that_is_near_a_warning(folder: Path) -> None:
    self_signed("other.example.net").write(folder, "other")
    _, errors, _ = read(folder, SERVER.replace("server.key", "other.key"))
    assert errors == ["4: server.tls-key: other.key is not the key of this certificate"]
    (folder / "other.key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    _, errors, _ = read(folder, SERVER.replace("server.key", "other.key"))
    assert errors == ["4: server.tls-key: other.key holds no usable key"]
    both = (folder / "server.pem").read_text() + (folder / "server.key").read_text()
    (folder / "both.pem").write_text(both)
    _, errors, _ = read(folder, SERVER.replace("server.pem", "both.pem"))
    assert errors == [
        "3: server.tls-certificate: both.pem holds a private key too; it belongs into the file of the key alone"
    ]
    for ends, word in ((timedelta(hours=-1), "expired at"), (timedelta(days=3), "expires at")):
        authority().issue("ns1.example.net", ends=ends).write(folder, "server")
        config, errors, warnings = read(folder, SERVER)
        assert (config is not None, errors) == (True, [])
        assert any(f"3: server.tls-certificate: the certificate {word} 20" in each for each in warnings)


def test_what_has_no_effect_is_warned_of(folder: Path) -> None:
    text = SERVER.replace('listen-tls = ["127.0.0.1"]\n', "")
    _, errors, warnings = read(folder, text + '[remote.a]\naddress = ["192.0.2.1"]\n' + ZONE)
    assert errors == []
    assert warnings == [
        "2: server.tls-certificate: has no effect without listen-tls",
        "3: server.tls-key: has no effect without listen-tls",
    ]
    row = '[remote.a]\naddress = ["192.0.2.1"]\n' + ZONE + 'allow-transfer = [{ certificate-name = "b.example.net" }]\n'
    _, errors, warnings = read(folder, row)
    assert (errors, [each.rpartition(": ")[2] for each in warnings]) == (
        [],
        ["demands TLS, over which nobody can come; set listen-tls in [server]"],
    )
    _, errors, warnings = read(folder, SERVER + row)
    assert (errors, [each.rpartition(": ")[2] for each in warnings]) == (
        [],
        ["demands a certificate, and nobody is asked for one; set tls-client-ca in [server]"],
    )


def test_one_address_speaks_one_of_the_two(folder: Path) -> None:
    _, errors, _ = read(folder, SERVER + 'listen = ["127.0.0.1:853"]\n')
    assert errors == ["2: server.listen-tls[0]: is also in listen: an address speaks one of the two"]


def test_a_remote_whose_tls_is_faulty_does_not_go_on_without(folder: Path) -> None:
    config, errors, _ = read(folder, "[tls.a]\n" + REMOTE + ZONE)
    assert config is None
    assert errors == ["1: tls.a: says nothing about the other end; set server-name, pin or ca"]


def test_pins_and_ends_are_read_from_certificates_as_others_read_them() -> None:
    for ends in (timedelta(days=30), timedelta(days=365 * 60)):  # a UTCTime, a GeneralizedTime
        issued = authority().issue("a.example.net", ends=ends)
        parsed = x509.load_pem_x509_certificate(issued.certificate.encode())
        assert spki_pin(issued.der) == issued.pin_bytes
        assert expires_at(issued.der) == parsed.not_valid_after_utc.timestamp()


def test_no_octets_are_taken_for_a_certificate_that_are_none() -> None:
    whole = authority().issue("a.example.net").der
    for end in range(len(whole)):
        with pytest.raises(WireError):
            spki_pin(whole[:end])
        with pytest.raises(WireError):
            expires_at(whole[:end])
