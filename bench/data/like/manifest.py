"""A table of one's own: pictures in one folder, and what is known of them."""

import csv
from pathlib import Path

from bench.data.labels import BASIC
from bench.data.like.cast import Cast, save


def write(root: Path, cast: Cast, per_class: int) -> None:
    """`manifest.csv` with split, person and skin tone, and `pictures/0.png` and so on."""
    rows: list[list[str]] = []
    for split, share in (("train", 2), ("val", 1), ("test", 1)):
        for number in range(share * per_class):
            for label in BASIC:
                path = f"pictures/{len(rows)}.png"
                save(root / path, cast.picture(label, split, number))
                tone = (
                    "light" if cast.face(label, split, number).identity.skin_level < 0.5 else "dark"
                )
                rows.append([path, label, split, f"{split} {number}", tone])
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "split", "person", "skin tone"], *rows])
