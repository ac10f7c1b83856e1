"""Ids made of names."""

from __future__ import annotations

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import named_id


@given(st.uuids(), st.text(max_size=50).filter(lambda text: text.isprintable()))
def test_a_named_id_is_the_standards_fifth_kind(namespace: UUID, name: str) -> None:
    assert named_id(namespace, name.encode()) == str(uuid5(namespace, name))
