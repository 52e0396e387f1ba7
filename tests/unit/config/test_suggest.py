"""Suggestions, and how text from a file is shown."""

import pytest

from nameserver.config.suggest import (
    did_you_mean,
    dotted,
    may_be_secret,
    may_be_secret_file,
    named,
    nearest,
    printable,
    shown,
    shown_file,
)

ZONE = ["primaries", "also-notify", "allow-transfer", "file", "template"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("primarys", "primaries"),
        ("ALLOW_TRANSFER", "allow-transfer"),
        ("notify", "also-notify"),
        ("zonefile", "file"),
        ("pattern", "template"),
        ("qqq", None),
        ("Masters", "primaries"),
        ("slaves", "also-notify"),
    ],
)
def test_the_nearest_known_name_is_found(typed, meant):
    assert nearest(typed, ZONE) == meant


def test_few_known_names_are_listed_where_none_is_near():
    assert did_you_mean("qqq", ["b", "a"]) == " (known: a, b)"
    assert did_you_mean("qqq", []) == ""
    assert did_you_mean("qqq", [f"name{number}" for number in range(9)]) == ""


def test_paths_are_written_as_in_toml():
    assert dotted(("zone", "example.com", "allow-transfer", 0, "key")) == 'zone."example.com".allow-transfer[0].key'
    assert dotted(("zone", 'a"b\n')) == 'zone."a\\"b\\n"'
    assert dotted(()) == ""


def test_a_key_that_is_called_like_a_secret_is_not_shown():
    assert dotted(("key", "c2VjcmV0LXNlY3JldA==", "secret")) == 'key."(not shown)".secret'
    assert dotted(("key", "transfer-key.example")) == 'key."transfer-key.example"'


def test_text_is_shown_on_one_line_and_not_endlessly():
    assert printable("a\x1b[31m\n\u202eb") == "a\\x1b[31m\\n\\u202eb"
    assert len(printable("x" * 10_000)) < 200


def test_what_looks_like_a_secret_is_not_shown():
    secret = "c2l4dGVlbiBieXRlcyBvZiB0aGUgc2VjcmV0ISEhISE="
    assert may_be_secret(f"hmac-sha256:key:{secret}")
    assert secret not in shown(secret)
    assert shown("primary-a") == '"primary-a"'


@pytest.mark.parametrize(
    "text",
    [
        "c2l4dGVlbiBieXRlcyBvZiB0aGUgc2VjcmV0",
        "Zm9vYmFyYmF6cXV1eA==",
        "hmac-sha256:short",
        "HMAC-SHA512-256:k:x",
        "key:c2l4dGVlbiBieXRlcyBvZiB0aGUgc2Vj",
        "sha256:x",
    ],
)
def test_these_may_be_secrets(text):
    assert may_be_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        "primary-a",
        "averyveryverylongnameofaremote",
        "customer0123456789012345678",
        "TransferKeyForExampleCom",
        "hmac-sha256",
        "192.0.2.1:53",
        "2001:db8:1234:5678:9abc:def0:1234:5678",
        "d41d8cd98f00b204e9800998ecf8427e.example",
    ],
)
def test_these_are_ordinary_names(text):
    assert not may_be_secret(text)


def test_file_names_are_judged_word_by_word():
    assert not may_be_secret_file("/opt/Company/dns2/zones/x.toml")
    assert may_be_secret_file("/etc/nameserver/c2l4dGVlbiBieXRlcyBvZiB0")
    assert may_be_secret_file("Ab3+/Cd4/Ef5/Gh6/Ij7/Kl8/Mn9")
    assert shown_file("keys/a.key") == "keys/a.key"
    assert "not shown" in shown_file("hmac-sha256:x")


def test_a_known_name_that_may_be_a_secret_is_not_suggested():
    assert did_you_mean("c2l4dgvlbibiexrlcybvzib0", ["c2l4dgvlbibiexrlcybvzib0agug", "b"]) == " (known: b)"


def test_named_things_keep_their_kind():
    assert named("remote", "a") == 'remote "a"'
    assert named("remote", "hmac-sha256:x") == "remote of that name (it is not shown, it looks like a secret)"
