"""Corrupted pictures as files: a contact sheet of a preset, or a data set that others can use."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

from bench.data.base import DataSet, Sample, Split, balanced_subset
from bench.data.images import UnreadablePicture
from bench.data.sheet import contact_sheet, fitted
from bench.perturb import CORRUPTIONS, Preset
from bench.util.errors import UserError
from bench.util.files import atomic, digest, write_json
from bench.util.progress import Reporter

_SIDE = 128  # pixels of the longer side of a shown picture, at most


def corruption_sheet(
    preset: Preset,
    picture: np.ndarray,
    sample_id: str,
    dataset: str,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """The page.

    Args:
        preset: Which corruptions.
        picture: uint8 RGB (H, W, 3).
        sample_id: With the next two, the address of all draws.
        dataset: Name of the data set.
        seed: Run seed.
        advance: Called after each corruption.

    Returns:
        uint8 RGB (height, width, 3).
    """
    rows = []
    for corruption in preset.corruptions.values():
        row = [
            corruption(picture, severity, seed=seed, dataset=dataset, sample_id=sample_id)
            for severity in (0, *corruption.severities)
        ]
        rows.append([fitted(one, min(_SIDE, max(one.shape))) for one in row])
        advance()
    names = [name.removeprefix(f"{preset.name}.").replace("_", " ") for name in preset.corruptions]
    columns = ["clean", *map(str, range(1, max(map(len, rows))))]
    scale = max(1, _SIDE // max(rows[0][0].shape[:2]))
    return np.asarray(contact_sheet(rows, names, columns, scale))


# ------------------------------------------------------------------------------------------------
# A corrupted data set: PNG pictures and a manifest
#
#     OUT/manifest.csv    path, label, split, corruption, severity, source; written last
#     OUT/export.json     what it was made of; the same command goes on where it stopped
#     OUT/pictures/...    test pictures, clean and corrupted; of other splits clean ones
# ------------------------------------------------------------------------------------------------

COLUMNS = ("path", "label", "split", "corruption", "severity", "source")
_BATCH = 32


@dataclass(frozen=True)
class Exported:
    """What an export holds.

    Attributes:
        folder: Where it is.
        pictures: How many.
        written: How many of them are new.
        unreadable: Ids of samples that could not be read.
    """

    folder: Path
    pictures: int
    written: int
    unreadable: tuple[str, ...]


@dataclass(frozen=True)
class _Set:
    """All pictures of one corruption at one severity."""

    split: Split
    corruption: str
    severity: int
    samples: Sequence[Sample]

    def row(self, sample: Sample) -> tuple[str, ...]:
        """The sample's row of the manifest."""
        where = Path("pictures", self.split, self.corruption, str(self.severity))
        path = (where / _file_name(sample.id)).as_posix()
        return path, sample.label, self.split, self.corruption, str(self.severity), sample.id


def export(
    dataset: DataSet,
    preset: Preset,
    out: Path,
    seed: int,
    reporter: Reporter,
    limit: int | None = None,
    test_only: bool = False,
    terms: str | None = None,
) -> Exported:
    """Write the test split under every corruption, and the other splits as they are.

    Args:
        dataset: An opened data set.
        preset: Which corruptions, at all their severities.
        out: A new folder, or one that the same export began.
        seed: Run seed; the pixels are those of a run of the bench with it.
        reporter: Shows progress.
        limit: At most so many test samples, taken evenly from the classes.
        test_only: Leave the other splits out. The bench does not read such a folder back, for it
            has nothing to train on.
        terms: The owners', which hold for the copies, too.

    Raises:
        UserError: If the folder holds something else.
    """
    _begin(dataset, preset, out, seed, limit, test_only, terms)
    sets = list(_sets(dataset, preset, limit, test_only))
    rows: list[tuple[str, ...]] = []
    unreadable: dict[str, None] = {}
    written = 0
    total = sum(len(one.samples) for one in sets)
    with reporter.task(f"export {dataset.name}", total) as task:
        for one in sets:
            for start in range(0, len(one.samples), _BATCH):
                batch = one.samples[start : start + _BATCH]
                found, new = _write(dataset, one, batch, out, seed)
                rows += [one.row(sample) for sample in batch if sample.id in found]
                unreadable |= dict.fromkeys(s.id for s in batch if s.id not in found)
                written += new
                task.advance(len(batch), f"{one.corruption} {one.severity}")
    with (
        atomic(out / "manifest.csv") as scratch,
        scratch.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    return Exported(out, len(rows), written, tuple(unreadable))


def _begin(
    dataset: DataSet,
    preset: Preset,
    out: Path,
    seed: int,
    limit: int | None,
    test_only: bool,
    terms: str | None,
) -> None:
    """Note what the folder is of, before anything is in it."""
    what: dict[str, Any] = {
        "dataset": dataset.name,
        "dataset_digest": dataset.digest,
        "protocol": dataset.protocol,
        "preset": f"{preset.name} {preset.version}",
        "corruptions": [c.parameters() for c in preset.corruptions.values()],
        "seed": seed,
        "limit": limit,
        "test_only": test_only,
        "terms": terms and f"The terms of the data set hold for these copies: {terms}.",
    }
    what = json.loads(json.dumps(what))
    noted = out / "export.json"
    try:
        known = json.loads(noted.read_text())
    except FileNotFoundError:
        if out.exists() and any(out.iterdir()):
            raise UserError(f"{out} is not empty and no export. Choose another --out.") from None
        write_json(noted, what)
        return
    except ValueError:
        known = None
    if known != what:
        raise UserError(
            f"{out} holds another export (see {noted}: data, preset, seed or limit differ). Choose "
            "another --out, or remove that folder."
        )


def _sets(dataset: DataSet, preset: Preset, limit: int | None, test_only: bool) -> Iterator[_Set]:
    for split in get_args(Split):
        if split != "test" and not test_only:
            yield _Set(split, "clean", 0, dataset.samples(split))
    samples = balanced_subset(dataset.samples("test"), limit)
    yield _Set("test", "clean", 0, samples)
    for name, corruption in preset.corruptions.items():
        for severity in corruption.severities:
            yield _Set("test", name, severity, samples)


def _write(
    dataset: DataSet, one: _Set, batch: Sequence[Sample], out: Path, seed: int
) -> tuple[set[str], int]:
    """Write what is not there; the ids of pictures that are there now, and how many are new."""
    found = {s.id for s in batch if (out / one.row(s)[0]).exists()}
    places: dict[tuple[int, ...], list[tuple[Sample, np.ndarray]]] = {}
    for sample in batch:
        if sample.id not in found:
            try:
                picture = dataset.picture(sample)
            except UnreadablePicture:
                continue
            places.setdefault(picture.shape, []).append((sample, picture))
    new = 0
    for own in places.values():
        pictures = np.stack([picture for _, picture in own])
        if one.severity:
            pictures = CORRUPTIONS[one.corruption].batch(
                pictures,
                one.severity,
                seed=seed,
                dataset=dataset.name,
                sample_ids=[sample.id for sample, _ in own],
            )
        for (sample, _), changed in zip(own, pictures, strict=True):
            with atomic(out / one.row(sample)[0]) as scratch:
                Image.fromarray(changed).save(scratch, format="PNG")
            found.add(sample.id)
            new += 1
    return found, new


def _file_name(sample_id: str) -> str:
    """Readable, unique, and a name on any file system."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", sample_id).strip("-.")[-80:]
    return f"{plain}-{digest(sample_id)[:8]}.png"
