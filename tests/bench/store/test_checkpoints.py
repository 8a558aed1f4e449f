from pathlib import Path

import pytest

from bench.store.checkpoints import GATE_FACTOR, Card, fingerprint, judge
from bench.util.errors import UserError


@pytest.mark.parametrize(
    ("d_p", "base", "passed"),
    [(0.40, 0.40, True), (0.48, 0.40, True), (0.4801, 0.40, False), (0.1, None, False)],
)
def test_the_gate(d_p: float, base: float | None, passed: bool) -> None:
    assert GATE_FACTOR == 1.2
    assert judge(d_p, base).passed is passed


def write(folder: Path) -> Card:
    (folder / "sub").mkdir()
    (folder / "sub" / "weights").write_bytes(b"12345")
    card = Card(
        kind="baseline", recipe={"a": 1}, weights=fingerprint(folder), validation={}, gate=None,
        seconds=1.0,
    )  # fmt: skip
    card.write(folder)
    return card


def test_a_card_vouches_for_the_files(tmp_path: Path) -> None:
    card = write(tmp_path)
    assert Card.verified(tmp_path) == card
    (tmp_path / "sub" / "weights").write_bytes(b"12346")
    with pytest.raises(UserError, match="damaged") as caught:
        Card.verified(tmp_path)
    assert caught.value.exit_code == 1


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no readable bench\.json"):
        Card.verified(tmp_path)
