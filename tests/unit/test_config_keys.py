"""Keys: format, randomness, checksum (ENGINEERING 5.2)."""

from __future__ import annotations

import re

import pytest

from contracts.configurations import KEY_PREFIXES, KeyType
from services.config.keys import KeyMaker, checksum, is_well_formed, random_text, secret_hash
from services.ingestion.admission import hash_secret

PEPPER = b"pepper"


@pytest.mark.parametrize("type", list(KEY_PREFIXES))
def test_a_key_says_its_type_and_carries_128_random_bits_and_a_checksum(type: KeyType) -> None:
    key = KeyMaker(PEPPER).make(type, 5)

    assert re.fullmatch(rf"{KEY_PREFIXES[type]}_[0-9A-Za-z]{{28}}", key.id)
    assert is_well_formed(key.id)
    assert (key.enabled, key.created_at, key.type) == (False, 5, type)
    assert 62**22 > 2**128


def test_only_a_server_key_has_a_secret_and_keeps_its_hash() -> None:
    keys = {type: KeyMaker(PEPPER).make(type, 0) for type in KEY_PREFIXES}

    assert [type for type, key in keys.items() if key.secret or key.secret_hash] == ["server"]
    server = keys["server"]
    assert server.secret is not None
    assert server.secret_hash == secret_hash(PEPPER, server.secret)
    assert server.secret_hash != secret_hash(b"other", server.secret)


def test_config_and_ingestion_hash_a_secret_alike() -> None:
    assert secret_hash(PEPPER, "a secret") == hash_secret(PEPPER, "a secret")


def test_keys_never_repeat() -> None:
    assert len({random_text(22) for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize("place", range(3, 31))
def test_a_changed_character_is_noticed(place: int) -> None:
    key = KeyMaker(PEPPER).make("web", 0).id
    other = "b" if key[place] != "b" else "c"

    assert not is_well_formed(key[:place] + other + key[place + 1 :])


def test_the_checksum_is_the_crc_in_base_62() -> None:
    assert checksum("") == "000000"
    assert checksum("123456789") == "3jZRME"
