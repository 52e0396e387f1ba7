"""RFC 9018: server cookies that every server with the same secret makes and accepts."""

from ipaddress import ip_address

import pytest

from nameserver.wire.cookie import judge, make
from nameserver.wire.siphash import siphash24, siphash24_many

SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
OLD, NEW = bytes.fromhex("dd3bdf9344b678b185a6f5cb60fca715"), bytes.fromhex("445536bcd2513298075a5d379663c962")
CLIENT = bytes.fromhex("2464c4abcf10c957")
HERE = ip_address("198.51.100.100")
NOW = 1559731985


def test_appendix_a1_a_new_server_cookie() -> None:
    assert make(CLIENT, HERE, NOW, SECRET).hex() == "010000005cf79f111f8130c3eee29480"


def test_appendix_a2_a_good_cookie_is_sent_back_as_it_is_until_it_is_half_an_hour_old() -> None:
    option = CLIENT + make(CLIENT, HERE, NOW, SECRET)
    for age in (0, 1800, -300):
        assert judge(option, HERE, NOW + age, [SECRET]) == (True, option)
    renewed = judge(option, HERE, NOW + 1801, [SECRET])
    assert renewed == (True, CLIENT + make(CLIENT, HERE, NOW + 1801, SECRET))


def test_appendix_a3_reserved_octets_are_signed_as_they_were_sent() -> None:
    option = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")
    assert judge(option, ip_address("203.0.113.203"), 0x5CF78F71, [SECRET]) == (True, option)


def test_appendix_a4_the_second_secret_is_accepted_and_the_first_one_answers() -> None:
    option = bytes.fromhex("22681ab97d52c298010000005cf7c57926556bd0934c72f8")
    verdict = judge(option, ip_address("2001:db8:220:1:59de:d0f4:8769:82b8"), 1559741961, [NEW, OLD])
    assert verdict.valid
    assert verdict.reply.hex() == "22681ab97d52c298010000005cf7c609a6bb79d16625507a"


@pytest.mark.parametrize("age", [3601, -301, 1 << 20, -(1 << 20)])
def test_section_4_3_a_cookie_older_than_an_hour_or_from_five_minutes_ahead_is_none(age: int) -> None:
    option = CLIENT + make(CLIENT, HERE, NOW, SECRET)
    assert judge(option, HERE, NOW + age, [SECRET]) == (False, CLIENT + make(CLIENT, HERE, NOW + age, SECRET))


@pytest.mark.parametrize("turn", [2**31, 2**32])
def test_section_4_3_times_are_compared_as_serials_so_2038_and_2106_are_days_like_others(turn: int) -> None:
    option = CLIENT + make(CLIENT, HERE, turn - 10, SECRET)
    assert judge(option, HERE, turn + 10, [SECRET]) == (True, option)


@pytest.mark.parametrize("place", range(8, 24))
def test_a_cookie_with_any_octet_changed_is_none(place: int) -> None:
    option = bytearray(CLIENT + make(CLIENT, HERE, NOW, SECRET))
    option[place] ^= 1
    assert not judge(bytes(option), HERE, NOW, [SECRET]).valid


def test_a_cookie_is_good_for_its_address_only() -> None:
    option = CLIENT + make(CLIENT, HERE, NOW, SECRET)
    assert not judge(option, ip_address("198.51.100.101"), NOW, [SECRET]).valid


def test_section_4_4_the_hash_is_siphash_2_4() -> None:
    """The authors' test vector: key 00…0f, message 00…0e."""
    assert siphash24(bytes(range(16)), bytes(range(15))).hex() == "e545be4961ca29a1"


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 20, 32])
def test_many_hashes_at_once_are_the_hashes_one_by_one(size: int) -> None:
    messages = [bytes((number * 37 + index) & 0xFF for index in range(size)) for number in range(70)]
    assert siphash24_many(SECRET, messages) == [siphash24(SECRET, message) for message in messages]
    assert siphash24_many(SECRET, []) == []


def test_messages_of_different_lengths_are_not_hashed_together() -> None:
    with pytest.raises(ValueError, match="length"):
        siphash24_many(SECRET, [b"", b"x"])
