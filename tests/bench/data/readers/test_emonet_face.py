"""EmoNet-Face: votes become labels only where several people agree on one class."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.data.on_disk import open_layout
from bench.data.readers.emonet_face import EmoNetFace
from bench.util.errors import UserError


@pytest.fixture
def votes(own: Callable[[str], Path]) -> Path:
    return own("emonet_face") / "data" / "binary.csv"


def opened(table: Path, **options: object) -> EmoNetFace:
    return EmoNetFace.model_validate({"root": table.parents[1], **options})


@pytest.mark.parametrize(
    ("options", "classes", "per_class"),
    [({}, 6, 12), ({"classes": 7}, 7, 12), ({"votes": 1}, 6, 15), ({"votes": 3}, 6, 6)],
)
def test_confirmed_pictures_are_samples(
    votes: Path, options: dict[str, object], classes: int, per_class: int
) -> None:
    listing = opened(votes, **options).listing()
    counts = Counter(entry.label for entry in listing.entries)
    assert set(counts) == set(listing.classes) and "neutral" not in counts
    assert set(counts.values()) == {per_class} and len(counts) == classes
    assert sum(listing.left_out.values()) == 7 * 15 - classes * per_class
    assert {e.label for e in listing.entries if e.split == "test"} == set(listing.classes)


def test_pictures_with_several_confirmed_classes_are_left_out(votes: Path) -> None:
    before = opened(votes).listing()
    with votes.open("a") as file:
        file.write("00000,0,1,Fear\n00000,1,True,Fear\n")
    listing = opened(votes).listing()
    assert listing.left_out["several classes are confirmed"] == 1
    assert len(listing.entries) == len(before.entries) - 1


def test_other_emotions_say_nothing(votes: Path) -> None:
    before = opened(votes).listing()
    with votes.open("a") as file:
        file.write("00000,0,1,Jealousy & Envy\n00000,1,1,Jealousy & Envy\n")
    assert opened(votes).listing().entries == before.entries


def test_it_is_no_evidence_about_real_faces_and_needs_no_agreement(votes: Path) -> None:
    (votes.parents[1] / "DRAWN_FACES.txt").unlink()
    dataset = open_layout(opened(votes))
    assert dataset.synthetic and "text-to-image" in dataset.protocol


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace(",1,", ",maybe,", 1), "a vote, 1 or 0, found 'maybe'"),
        (lambda text: text.replace("emotion", "feeling", 1), "no column 'emotion'"),
        (lambda text: text.replace("\n0", "\n9"), "none of the .* pictures"),
    ],
)
def test_another_file_is_told(votes: Path, change: Callable[[str], str], message: str) -> None:
    votes.write_text(change(votes.read_text()))
    with pytest.raises(UserError, match=message):
        opened(votes).listing()


def test_missing_pictures_are_told(votes: Path) -> None:
    (votes.parents[1] / "images" / "00000.png").unlink()
    assert [found.path for found in opened(votes).listing().missing] == ["00000"]
