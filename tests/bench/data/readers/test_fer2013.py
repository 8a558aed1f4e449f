"""FER2013: rows of a large CSV, read on demand."""

import io
import random
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from fuzzing import mutated, survives

from bench.data.images import UnreadablePicture
from bench.data.on_disk import open_layout
from bench.data.readers.cast import Cast
from bench.data.readers.fer2013 import SIDE, Fer2013, parse_pixels, parse_rows
from bench.util.errors import UserError

PIXELS = " ".join(str(value % 256) for value in range(SIDE * SIDE))
SAMPLE = "emotion,pixels,Usage\n" + "".join(
    f"{n % 7},{n} 2 3 4 5 6 7 8 9,{('Training', 'PublicTest', 'PrivateTest')[n // 5]}\n"
    for n in range(15)
)


@pytest.fixture
def pictures(own: Callable[[str], Path]) -> Path:
    """The file of a tree that a test may change."""
    return own("fer2013") / "fer2013.csv"


def listed(pictures: Path) -> dict[str, tuple[str, str]]:
    """Label and split by id."""
    listing = Fer2013(root=pictures.parent).listing()
    return {entry.id: (entry.label, entry.split) for entry in listing.entries}


def picture(pictures: Path, place: int) -> np.ndarray:
    listing = Fer2013(root=pictures.parent).listing()
    return listing.entries[place].source.decode(
        listing.base, listing.entries[place].source.content(listing.base)
    )


def test_labels_have_fer2013s_order_and_usages_are_splits(pictures: Path) -> None:
    found = list(listed(pictures).values())
    assert found[:3] == [("anger", "train"), ("disgust", "train"), ("fear", "train")]
    assert found[42] == ("anger", "val")
    assert found[-1] == ("neutral", "test")


def test_published_counts_add_up() -> None:
    counts = Fer2013(root=Path()).published()
    assert [sum(counts[split].values()) for split in ("train", "val", "test")] == [
        28709,
        3589,
        3589,
    ]
    totals = {label: sum(counts[split][label] for split in counts) for label in counts["test"]}
    assert totals == {
        "anger": 4953,
        "disgust": 547,
        "fear": 5121,
        "happiness": 8989,
        "sadness": 6077,
        "surprise": 4002,
        "neutral": 6198,
    }


def test_pictures_are_grey_and_row_by_row(pictures: Path) -> None:
    drawn = Cast().picture("neutral", "test", 2, (48, 48))
    grey = cv2.cvtColor(drawn, cv2.COLOR_RGB2GRAY)
    assert np.array_equal(picture(pictures, -1), np.stack([grey] * 3, axis=2))


def test_the_columns_of_the_second_archive_are_found_by_name(pictures: Path) -> None:
    before, last = listed(pictures), picture(pictures, -1)
    rows = [line.split(",") for line in pictures.read_text().splitlines()[1:]]
    swapped = "".join(f"{emotion},{usage},{pixels}\n" for emotion, pixels, usage in rows)
    pictures.with_name("icml_face_data.csv").write_text("emotion, Usage, pixels\n" + swapped)
    pictures.unlink()
    assert listed(pictures) == before
    assert np.array_equal(picture(pictures, -1), last)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.partition("\n")[2],  # no header
        lambda text: "\ufeff" + text,
        lambda text: "\ufeff" + text.partition("\n")[2],
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text + "\n\n",
        lambda text: text.replace(",", ',"').replace(',"T', '",T').replace(',"P', '",P'),
    ],
    ids=["no_header", "mark", "mark_no_header", "crlf", "no_newline", "blank_lines", "quoted"],
)
def test_other_ways_to_write_the_file_give_the_same(
    change: Callable[[str], str], pictures: Path
) -> None:
    before, first, last = listed(pictures), picture(pictures, 0), picture(pictures, -1)
    pictures.write_bytes(change(pictures.read_text()).encode())
    assert listed(pictures) == before
    assert np.array_equal(picture(pictures, 0), first)
    assert np.array_equal(picture(pictures, -1), last)


def test_a_copy_that_counts_from_1_is_detected(pictures: Path) -> None:
    before = listed(pictures)
    header, *rows = pictures.read_text().splitlines()
    pictures.write_text("\n".join([header, *(f"{int(row[0]) + 1}{row[1:]}" for row in rows)]))
    assert listed(pictures) == before


def test_a_file_that_was_cut_off_is_told_with_its_line(pictures: Path) -> None:
    pictures.write_text(pictures.read_text()[:-2000])
    with pytest.raises(UserError, match=r"fer2013\.csv, line 85: expected the fields"):
        listed(pictures)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (PIXELS.rpartition(" ")[0], "line 3: 2303 pixels instead of 48x48"),
        (PIXELS + " 7", "2305 pixels"),
        (PIXELS.replace(" 255 ", " 256 ", 1), "'256' is no number from 0 to 255"),
        (PIXELS.replace(" 255 ", " -1 ", 1), "'-1'"),
        (PIXELS.replace(" 255 ", " 1.5 ", 1), "'1.5'"),
        ("", "0 pixels"),
    ],
)
def test_wrong_pixels_are_found_when_they_are_read(
    pixels: str, reason: str, pictures: Path
) -> None:
    lines = pictures.read_text().splitlines()
    lines[2] = f"1,{pixels},Training"
    pictures.write_text("\n".join(lines))
    listing = Fer2013(root=pictures.parent).listing()
    with pytest.raises(UnreadablePicture, match=reason):
        listing.entries[1].source.decode(
            listing.base, listing.entries[1].source.content(listing.base)
        )
    skipped = open_layout(Fer2013(root=pictures.parent)).skipped
    assert [found.path for found in skipped] == ["fer2013.csv"]
    assert reason in skipped[0].reason


def test_listing_looks_at_no_pixel(pictures: Path) -> None:
    before = listed(pictures)
    text = pictures.read_text().splitlines()
    rows = [f"{row[0]},x,{row.rpartition(',')[2]}" for row in text[1:]]
    pictures.write_text("\n".join([text[0], *rows]))
    assert listed(pictures) == before


def test_a_doubly_nested_folder_is_found(pictures: Path, tmp_path: Path) -> None:
    nested = tmp_path / "archive" / "fer2013" / "fer2013"
    nested.parent.mkdir(parents=True)
    pictures.parent.rename(nested)
    assert Fer2013(root=tmp_path / "archive").listing().base == nested


def test_the_file_itself_can_be_named(pictures: Path) -> None:
    assert Fer2013(root=pictures).listing() == Fer2013(root=pictures.parent).listing()
    assert open_layout(Fer2013(root=pictures)).synthetic


def test_files_of_rows_survive_fuzzing() -> None:
    survives(lambda text, origin: parse_rows(io.BytesIO(text.encode()), origin), SAMPLE)


def test_pixels_survive_fuzzing() -> None:
    draws = random.Random(0)
    readable = 0
    for _ in range(2000):
        try:
            readable += parse_pixels(mutated(PIXELS, draws).encode()).shape == (SIDE, SIDE, 3)
        except UnreadablePicture as error:
            assert str(error)
    assert 0 < readable < 2000
