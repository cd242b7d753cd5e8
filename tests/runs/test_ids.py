"""Ids: sortable by time, never the same, and an item's names its response."""

from __future__ import annotations

import pytest

from antiphon.ids import KEY_LENGTH, Ids, ItemIds, response_of


@pytest.mark.requirement("runs:ids:key")
def test_an_id_is_its_cell_its_time_and_chance() -> None:
    times = iter([1_000, 1_000, 1_001, 999])
    ids = Ids(cell=0x1A7, clock=lambda: next(times), random=lambda size: bytes(range(250)) * 16)
    minted = [ids.mint("resp") for _ in range(4)]
    assert [id[:19] for id in minted] == [
        "resp_a70000000003e8",
        "resp_a70000000003e8",
        "resp_a70000000003e9",
        "resp_a70000000003e7",
    ]
    assert [id[19:] for id in minted[:2]] == [bytes(range(10)).hex(), bytes(range(10, 20)).hex()]
    assert {len(id) for id in minted} == {len("resp_") + KEY_LENGTH}


@pytest.mark.requirement("runs:ids:key")
def test_no_id_is_minted_twice() -> None:
    ids = Ids(clock=lambda: 5)
    assert len({ids.mint("resp") for _ in range(2_000)}) == 2_000


@pytest.mark.requirement("runs:ids:key")
def test_an_items_id_tells_its_response() -> None:
    response = Ids().mint("resp")
    items = ItemIds(response)
    minted = [items.mint("msg"), items.mint("fc")]
    assert minted == [f"msg{response[4:]}0001", f"fc{response[4:]}0002"]
    assert [response_of(id) for id in minted] == [response, response]
    assert response_of("msg_of_somebody_else") is None
