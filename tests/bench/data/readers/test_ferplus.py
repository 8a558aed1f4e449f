"""FERPlus: votes, their majority, and the rows they belong to."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fuzzing import survives

from bench.data.on_disk import open_layout
from bench.data.readers.fer2013 import FerPlus, majority, parse_votes
from bench.util.errors import UserError

HEADER = (
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
)
SAMPLE = HEADER + "".join(
    f"{usage},fer{n:07d}.png,{n},0,{9 - n},0,0,0,1,0,0,0\n"
    for usage in ("Training", "PublicTest", "PrivateTest")
    for n in range(4)
)


@pytest.fixture
def labels(own: Callable[[str], Path]) -> Path:
    """The label file of a tree that a test may change."""
    return own("ferplus") / "fer2013new.csv"


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        ((6, 1, 1, 1, 1, 0, 0, 0, 0, 0), "neutral"),
        ((0, 0, 0, 0, 0, 0, 0, 10, 0, 0), "contempt"),
        ((0, 5, 5, 0, 0, 0, 0, 0, 0, 0), None),  # a tie
        ((4, 3, 3, 0, 0, 0, 0, 0, 0, 0), None),  # the most, but not more than half
        ((5, 3, 1, 1, 0, 0, 0, 0, 0, 0), "neutral"),  # 5 of 8 that have company
        ((5, 3, 2, 0, 0, 0, 0, 0, 0, 0), None),  # 5 of 10
        ((4, 0, 0, 0, 0, 0, 0, 0, 6, 0), "unknown"),
        ((0, 0, 0, 0, 0, 0, 0, 0, 0, 10), "nf"),
        ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), None),
        ((0, 0, 0, 0, 0, 0, 0, 0, 0, 0), None),
    ],
)
def test_a_majority_is_more_than_half_of_the_votes_that_are_not_alone(
    votes: tuple[int, ...], label: str | None
) -> None:
    assert majority(votes) == label


def test_columns_have_ferpluss_order_and_junk_is_left_out(labels: Path) -> None:
    listing = FerPlus(root=labels.parent).listing()
    assert [entry.label for entry in listing.entries[:4]] == [
        "neutral",
        "happiness",
        "surprise",
        "sadness",
    ]
    assert listing.left_out == {"no face": 3, "no majority": 3, "unknown to the majority": 3}
    assert len(listing.classes) == 8


def test_pictures_behind_a_line_that_is_left_out_are_still_their_own(labels: Path) -> None:
    lines = (labels.parent / "fer2013.csv").read_text().splitlines()[1:]
    listing = FerPlus(root=labels.parent).listing()
    for entry in listing.entries:
        row = lines[int(entry.id.removeprefix("row_"))]
        assert entry.source.content(listing.base).decode() == row.split(",")[1]


def test_seven_classes_are_without_contempt(labels: Path) -> None:
    seven = FerPlus(root=labels.parent, classes=7)
    listing = seven.listing()
    assert "contempt" not in {*listing.classes, *(entry.label for entry in listing.entries)}
    assert listing.left_out["contempt"] == 12
    assert [seven.name, FerPlus(root=labels.parent).name] == ["ferplus_7", "ferplus"]


def test_votes_are_attributes_of_samples(labels: Path) -> None:
    dataset = open_layout(FerPlus(root=labels.parent))
    sample = next(s for s in dataset.samples("test") if s.label == "fear")
    votes = dataset.attributes(sample)
    assert (votes["votes_fear"], votes["votes_neutral"], votes["votes_unknown"]) == (7, 2, 1)
    assert sum(int(vote) for vote in votes.values()) == 10
    assert list(votes)[-3:] == ["votes_contempt", "votes_unknown", "votes_nf"]


def test_a_line_less_is_refused(labels: Path) -> None:
    labels.write_text("\n".join(labels.read_text().splitlines()[:-1]))
    with pytest.raises(UserError, match=r"104 lines of votes, but fer2013\.csv has 105 pictures"):
        FerPlus(root=labels.parent).listing()


def test_another_order_is_refused(labels: Path) -> None:
    header, *rows = labels.read_text().splitlines()
    labels.write_text("\n".join([header, *sorted(rows)]))
    with pytest.raises(UserError, match=r"fer2013new\.csv, line 2: its Usage is not that"):
        FerPlus(root=labels.parent).listing()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.partition("\n")[2],
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text + "\n",
    ],
    ids=["no_header", "mark_crlf", "no_newline", "blank_line"],
)
def test_other_ways_to_write_the_file_give_the_same(
    change: Callable[[str], str], labels: Path
) -> None:
    before = FerPlus(root=labels.parent).listing()
    labels.write_bytes(change(labels.read_text()).encode())
    assert FerPlus(root=labels.parent).listing() == before


def test_a_folder_without_the_votes_is_told_what_it_lacks(labels: Path) -> None:
    labels.unlink()
    with pytest.raises(UserError, match=r"fer2013new\.csv"):
        FerPlus(root=labels.parent).listing()


def test_files_of_votes_survive_fuzzing() -> None:
    survives(parse_votes, SAMPLE)
