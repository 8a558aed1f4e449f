"""Whatever happens to a file of a finished run: the same numbers, or a sentence. Never others.

Every kind of file that a run leaves behind, checkpoints and caches included, is cut off, zeroed,
flipped, replaced by one of its kind, and edited so that it still reads. Afterwards a report, and
the same run again, must give the summary of the undisturbed run or end in a `UserError`.
"""

import fnmatch
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from support import write_pictures

from bench.config import Config, parse
from bench.data.base import Split
from bench.data.on_disk.packed import prepare
from bench.data.readers.folder import Folder
from bench.report.results import read
from bench.report.tables.diagnostics import diagnose
from bench.report.write import summary_frame, summary_rows
from bench.store.store import Store
from bench.sweep.run import run
from bench.util.errors import UserError
from bench.util.progress import Reporter

QUIET = Reporter(quiet=True)
SPLITS: tuple[Split, ...] = ("train", "val", "test")

#: Each kind of file by a pattern; of what matches, the first is damaged and the last its sibling.
KINDS = {
    "plan": "faces/plan.json",
    "manifest": "faces/cells/*/cell.json",
    "rows": "faces/cells/*/part-*.parquet",
    "trace": "faces/cells/*/trace-*.parquet",
    "prompts": "faces/cells/*/prompts-*.parquet",
    "record": "faces/datasets/*.json",
    "samples": "faces/datasets/*.parquet",
    "card": "faces/checkpoints/*/bench.json",
    "EmoDC's card": "faces/checkpoints/*/emodc.json",
    "pipeline": "faces/checkpoints/*/model_index.json",
    "scheduler": "faces/checkpoints/*/scheduler_config.json",
    "settings of networks": "faces/checkpoints/*/config.json",
    "tokenizer": "faces/checkpoints/*/tokenizer.json",
    "tokenizer's settings": "faces/checkpoints/*/tokenizer_config.json",
    "U-Net": "faces/checkpoints/*/unet/*.safetensors",
    "text encoder": "faces/checkpoints/*/text_encoder/*.safetensors",
    "latents": "faces/checkpoints/*/vae/*.safetensors",
    "baseline's card": "faces/checkpoints/*/classifier.json",
    "baseline": "faces/checkpoints/test_resnet-*/model.safetensors",
    "drawn faces": "cache/faces-test-*.npy",
    "facts of pictures": "cache/pictures/*.parquet",
    "index of pixels": "cache/prepared/*/index.parquet",
    "pixels": "cache/prepared/*/pixels.bin",
    "rows of pictures": "pictures/cells/*/part-*.parquet",
    "record of pictures": "pictures/datasets/*.json",
}
#: What nothing that is shown depends on.
UNREAD = (
    "*/training.jsonl",
    "*/run.log",
    "*/lock",
    "*/report/*",
    "cache/faces-[tv][ra]*.npy",
    "cache/*.json",
)


@dataclass(frozen=True)
class World:
    """Finished runs beside each other, with their cache and data.

    Attributes:
        root: Where they lie while they are damaged.
        whole: An untouched copy of what is not a user's own.
        configs: Of each run, by its folder.
        expected: Their summaries.
        stamps: Of files that are as they were, so that they need not be read again.
    """

    root: Path
    whole: Path
    configs: dict[str, Config]
    expected: dict[str, str]
    stamps: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def restore(self) -> None:
        """Files alone: to remove and make hundreds of folders takes longer than all the rest."""
        wanted = {p.relative_to(self.whole): p for p in self.whole.rglob("*") if p.is_file()}
        for place in {path.parts[0] for path in wanted}:
            for path in (self.root / place).rglob("*"):
                if path.is_file() and path.relative_to(self.root) not in wanted:
                    path.unlink()
        for name, source in wanted.items():
            path = self.root / name
            if path.is_dir():
                path.rmdir()
            if path.exists() and self.stamps.get(path) == stamp(path):
                continue
            if not path.exists() or path.read_bytes() != source.read_bytes():
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, path)
            self.stamps[path] = stamp(path)

    def files(self, pattern: str) -> list[Path]:
        return sorted(p for p in self.root.rglob("*") if p.is_file() and self.matches(p, pattern))

    def matches(self, path: Path, pattern: str) -> bool:
        return fnmatch.fnmatch(path.relative_to(self.root).as_posix(), pattern)

    def kind(self, name: str) -> tuple[Path, Path]:
        """The file of a kind that is damaged, and another of the kind."""
        own = self.files(KINDS[name])
        others = own[1:] or self.files(KINDS[name].replace("faces/", "others/", 1))
        assert own and others, name
        alike = [p for p in others if p.stat().st_size == own[0].stat().st_size]
        return own[0], (alike or others)[-1]


def stamp(path: Path) -> tuple[int, int]:
    """When a file was last written to, and its size: as long as both stay, so does the file."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def config_of(data: dict[str, Any], classifiers: list[str], seed: int = 0) -> Config:
    emodc = {
        "kind": "emodc",
        "block_out_channels": [8, 8, 8],
        "stages": [{"objective": {"kind": "base"}, "steps": 1, "batch_size": 8}],
        "evaluation": {"steps": 2, "attack_steps": 1},
    }
    resnet = {"kind": "baseline", "architecture": "test_resnet", "steps": 1, "batch_size": 8}
    known = {"test_resnet": resnet, "emodc": emodc}
    content = {
        "precision": "float32",
        "seed": seed,
        "views": 2,
        "data": data,
        "classifiers": {name: known[name] for name in classifiers},
        "perturbations": {"corruptions": {"gaussian_noise": [2]}},
        "execution": {"workers": 1, "shards": 2},
    }
    return parse(content, "damage.yaml")


def summary(out: Path) -> tuple[str, bool]:
    """The summary less its times, and whether something is said to be missing."""
    results, store = read(out), Store(out)
    diagnose(results, store)
    rows = summary_rows(summary_frame(results.complete))
    shown = [{k: v for k, v in row.items() if k != "seconds_per_image"} for row in rows]
    return json.dumps(shown), bool(results.missing or results.refused or store.refused)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root, whole = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("whole")
    for name in ("set", "other_set"):
        for split in ("train", "test"):
            write_pictures(root / name / split, ("happy", "neutral"), 4)
    faces = {"kind": "faces", "train": 14, "val": 7, "test": 7}
    configs = {
        "faces": config_of(faces, ["test_resnet", "emodc"]),
        "others": config_of(faces, ["test_resnet", "emodc"], seed=1),
        "pictures": config_of({"kind": "folder", "root": str(root / "set")}, ["test_resnet"]),
        "others_pictures": config_of(
            {"kind": "folder", "root": str(root / "other_set")}, ["test_resnet"]
        ),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMODC_BENCH_CACHE", str(root / "cache"))
        for name, config in configs.items():
            if isinstance(config.data, Folder):
                prepare(config.data, SPLITS, QUIET)
            run(config, root / name, QUIET)
        expected = {name: summary(root / name)[0] for name in configs}
        for place in (*configs, "cache"):
            shutil.copytree(root / place, whole / place)
        yield World(root, whole, configs, expected)


# ------------------------------------------------------------------------------------------------
# Damages: each changes `path`; `other` is a file of the same kind.

Damage = Callable[[Path, Path], object]


def flip(path: Path, _: Path) -> None:
    content = bytearray(path.read_bytes())
    content[2 * len(content) // 3] ^= 0x10
    path.write_bytes(content)


def exchange(path: Path, other: Path) -> None:
    first, second = path.read_bytes(), other.read_bytes()
    path.write_bytes(second)
    other.write_bytes(first)


def fold(path: Path, _: Path) -> None:
    path.unlink()
    path.mkdir()


def edit(number: int) -> Damage:
    """Another value somewhere, in a file that still reads; which one, `number` says."""

    def change(path: Path, _: Path) -> None:
        before = path.read_bytes()
        EDITORS[path.suffix](path, number)
        assert path.read_bytes() != before

    return change


def edit_json(path: Path, number: int) -> None:
    content = json.loads(path.read_bytes())
    places = list(leaves(content))
    inside, key = places[(number * 7919) % len(places)]
    inside[key] = other_value(inside[key])
    path.write_text(json.dumps(content, indent=1))


def leaves(content: Any) -> Iterator[tuple[Any, Any]]:
    """Containers and keys of all values of a JSON file."""
    for key in list(content) if isinstance(content, dict) else range(len(content)):
        if isinstance(content[key], dict | list) and content[key]:
            yield from leaves(content[key])
        else:
            yield content, key


def other_value(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}x" if isinstance(value, str) else 1


def edit_parquet(path: Path, number: int) -> None:
    content = path.read_bytes()
    table = pq.read_table(pa.BufferReader(content.rpartition(b"PAR1")[0] + b"PAR1"))
    seal = content.rpartition(b"PAR1")[2]
    last = table.num_columns - 1
    name = table.column_names[(0, last, table.num_columns // 2)[number]]
    column = table[name].to_pylist()
    if number:
        column[0] = changed(column[0] or "" if table[name].type == pa.string() else column[0])
    else:
        column[0], column[-1] = column[-1], column[0]
    place, kind = table.column_names.index(name), table.schema.field(name)
    table = table.set_column(place, kind, pa.array(column, kind.type))
    pq.write_table(table, path)
    path.write_bytes(path.read_bytes() + seal)


def changed(value: Any) -> Any:
    if isinstance(value, list):
        return [changed(one) for one in value]
    if isinstance(value, bytes):
        return value[::-1] + b"x"
    return other_value(value)


def edit_weights(path: Path, number: int) -> None:
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    name = sorted(tensors)[number % len(tensors)]
    tensors[name] = tensors[name] + torch.ones_like(tensors[name])
    save_file(tensors, path, metadata)


def edit_pixels(path: Path, number: int) -> None:
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    content[200 + number : -200] ^= 255
    path.write_bytes(content.tobytes())


EDITORS = {
    ".json": edit_json,
    ".parquet": edit_parquet,
    ".safetensors": edit_weights,
    ".npy": edit_pixels,
    ".bin": edit_pixels,
}

DAMAGES: dict[str, Damage] = {
    "cut off": lambda path, _: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "zeroed": lambda path, _: path.write_bytes(bytes(path.stat().st_size)),
    "a bit flipped": flip,
    "replaced by another": lambda path, other: path.write_bytes(other.read_bytes()),
    "exchanged with another": exchange,
    "edited": edit(0),
    "edited elsewhere": edit(1),
    "edited in a third place": edit(2),
    "a folder": fold,
}

#: How many were tried, by what became of the report and of the run.
TRIED: dict[tuple[str, str], str] = {}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_changes_no_number_without_a_word(
    world: World, kind: str, damage: str
) -> None:
    path, other = world.kind(kind)
    name = path.relative_to(world.root).parts[0]
    cached = name == "cache"  # it is read where something is measured
    if cached:
        name = "faces" if kind == "drawn faces" else "pictures"
    expected = world.expected[name]
    try:
        DAMAGES[damage](path, other)
        ends = []
        for step in ("report", "run"):
            try:
                if step == "run":
                    run(world.configs[name], world.root / name, QUIET, fresh=cached)
                found, told = summary(world.root / name)
            except UserError as error:
                assert error.exit_code in (1, 2)
                ends.append(str(error))
                continue
            # A report may leave out what is damaged; a run again leaves out nothing.
            assert found == expected or (told and step == "report"), (step, found, expected)
            ends.append("same" if found == expected else "told")
    finally:
        world.restore()
    TRIED[kind, damage] = ends[0]
    TRIED[kind, f"{damage}, then run"] = ends[1]


def test_every_file_of_a_run_is_of_a_kind_that_was_damaged(world: World) -> None:
    names = [p.relative_to(world.root).as_posix() for p in world.root.rglob("*") if p.is_file()]
    own = [n for n in names if n.startswith(("faces/", "cache/"))]
    known = (*KINDS.values(), *UNREAD)
    assert not [n for n in own if not any(fnmatch.fnmatch(n, pattern) for pattern in known)]


def test_at_least_two_hundred_damages_were_tried() -> None:
    assert 2 * len(KINDS) * len(DAMAGES) >= 200
    if len(TRIED) < 2 * len(KINDS) * len(DAMAGES):
        pytest.skip("only some of them were run, or failed")
    sentences = [end for end in TRIED.values() if end not in ("same", "told")]
    assert len(sentences) > 50 and not [s for s in sentences if "\n" in s]
