"""Presets, versions and constants in captions and in a table of their own, from manifests."""

import json
from pathlib import Path

import pytest

from bench.perturb import ATTACKS, CORRUPTIONS, PRESETS
from bench.perturb.presets import in_words
from bench.report.results import read
from bench.report.spec import TableSpec
from bench.report.tables import tables
from bench.store.store import Store

NAMES = ("raf_db_c.pixelate_low_light_low_contrast", "imagecorruptions.fog", "zoom_blur")


@pytest.fixture
def specs(build) -> dict[str, TableSpec]:
    build.add("net", "clean", "0", [True] * 6)
    for name in NAMES:
        for severity in ("1", "5"):
            build.add("net", name, severity, [True, False] * 3)
    store, root = Store(build.root), build.plan()
    for cell in store.planned():
        manifest = store.manifest(cell)
        if manifest is not None and cell.family == "corruption":
            preset = next(p for p in PRESETS.values() if cell.perturbation in p.corruptions)
            parameters = CORRUPTIONS[cell.perturbation].parameters() | {"severity": cell.severity}
            update = {
                "inputs": {"perturbation": parameters},
                "environment": {"preset": f"{preset.name} {preset.version}"},
            }
            build.restate(cell, **update)
    root = build.plan()
    return {spec.name: spec for spec in tables(read(root), store)}


def test_every_corruption_has_its_constants_in_one_table(specs: dict[str, TableSpec]) -> None:
    rows = {row[0]: row[1:] for row in specs["constants"].rows}
    assert specs["constants"].chapter == "provenance"
    assert rows["imagecorruptions.fog"] == (
        "imagecorruptions 1", "1", "amount 1.5, 2, 2.5, 2.5, 3; decay 2, 2, 1.7, 1.5, 1.4",
    )  # fmt: skip
    preset, _, constants = rows["raf db c.pixelate low light low contrast"]
    assert preset == "raf_db_c 1"
    assert constants == (
        "pixelate share 0.6, 0.5, 0.41, 0.3, 0.3; brightness down offset -0.1, -0.2, -0.2, -0.2, "
        "-0.3; contrast down factor 0.4, 0.4, 0.33, 0.4, 0.24"
    )
    assert rows["zoom blur"][2].startswith("1 to 1.11 (12 values), ")
    assert len(rows) == len(NAMES)


def test_parameters_of_attacks_and_functions_of_a_user_are_shown(build) -> None:
    attack = ATTACKS["pgd"](steps=50, restarts=2).inputs("4/255")
    own = {"name": "my_fog", "function": "m:fog", "source": "abc", "outputs": "d", "severity": "1"}
    build.add("net", "clean", "0", [True] * 6)
    for name, level, inputs in (("pgd", "4/255", attack), ("my_fog", "1", own)):
        cell = build.add("net", name, level, [True, False] * 3)
        build.restate(cell, inputs={"perturbation": inputs})
    store, root = Store(build.root), build.plan()
    specs = {spec.name: spec for spec in tables(read(root), store)}
    assert [(row[0], row[3]) for row in specs["constants"].rows] == [
        ("my fog", "function m:fog; source abc"),
        ("pgd", "steps 50; step size eps/4; restarts 2; chosen by verdict"),
    ]


def test_no_caption_grows_with_lists_of_constants() -> None:
    said = {name: in_words(c.parameters()) for name, c in CORRUPTIONS.items()}
    longest = {name: len(words) for name, words in said.items()}
    stored = {name: json.loads(json.dumps(c.parameters())) for name, c in CORRUPTIONS.items()}
    assert said == {name: in_words(parameters) for name, parameters in stored.items()}
    assert max(longest.values()) < 400, max(longest, key=longest.__getitem__)


def test_stores_that_say_nothing_have_no_such_table(build) -> None:
    build.add("net", "clean", "0", [True] * 6)
    build.add("net", "fog", "1", [True, False] * 3)
    store, root = Store(build.root), build.plan()
    found = {spec.name: spec for spec in tables(read(root), store)}
    assert "constants" not in found and "reset" not in found["faces-fog"].about


def test_constants_that_moved_have_a_row_for_each(build, tmp_path: Path) -> None:
    for severity, version in (("1", 1), ("2", 2)):
        cell = build.add("net", "fog", severity, [True] * 3)
        inputs = {"perturbation": {"name": "fog", "levels": [1.5, 2.0], "version": version}}
        build.restate(cell, inputs=inputs)
    spec = next(s for s in tables(read(build.plan()), Store(build.root)) if s.name == "constants")
    assert [row[1:] for row in spec.rows] == [(None, "1", "1.5, 2"), (None, "2", "1.5, 2")]
