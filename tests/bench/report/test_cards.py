"""Model cards: what they say, that their numbers are the store's, and that text stays text."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from made_up_cells import IGNORES
from statsmodels.stats.proportion import proportion_confint

from bench.report.cards import write_cards
from bench.report.results import read
from bench.store.cells import Gate
from bench.store.records import DatasetRecord
from bench.store.store import Store

N = 90
RECIPE = {
    "kind": "emodc",
    "stages": [
        {"objective": {"kind": "base"}, "steps": 10, "batch_size": 4},
        {"objective": {"kind": "margin", "margin": 0.3, "weight": 8.0}, "steps": 5},
    ],
    "seconds": 12.4,
}


def cards(root: Path, tmp_path: Path) -> dict[str, str]:
    files = write_cards(read(root), Store(root), tmp_path / "cards")
    assert sorted(files) == sorted((tmp_path / "cards").iterdir())
    return {path.stem: path.read_text(encoding="utf-8") for path in files}


def right(seed: int) -> list[bool]:
    return (np.random.default_rng(seed).random(N) < 0.7).tolist()


def row(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip().replace("\\", "") for cell in line.strip("|").split("|")]


def shown(outcomes: list[bool] | np.ndarray) -> str:
    values = np.array(outcomes, float)
    low, high = proportion_confint(values.sum(), len(values), method="wilson")
    return f"{100 * values.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"


@pytest.fixture
def known(build) -> Path:
    """An EmoDC in five cells of a data set whose groups are recorded, and a net."""
    gate = Gate(passed=True, d_p=0.3, base_d_p=0.25)
    for number, cell in enumerate((("clean", "0"), ("noise", "1"), ("noise", "2"), ("blur", "1"))):
        made = build.add("emodc", *cell, right(number), gate=gate, training=RECIPE, d_p=[0.1] * N)
        inputs = {"data": "abc"}
        build.restate(made, inputs=inputs)
    build.add("emodc", "pgd", "2/255", right(5)[:40], gate=gate, training=RECIPE, d_p=[0.1] * 40)
    build.add("net", "clean", "0", right(9))
    record = DatasetRecord(
        name="faces", digest="abc", kind="drawn faces", synthetic=True,
        classes=["happy", "sad", "angry"],
        counts={s: {"happy": n, "sad": n, "angry": n} for s, n in
                (("train", 7), ("val", 2), ("test", 30))},
        height=(64, 64), width=(64, 64), groups={"light": ["dim", "bright", "odd"]}, skipped=0,
    )  # fmt: skip
    samples = pd.DataFrame(
        {
            "sample_id": [f"s{i:03d}" for i in range(N)],
            "label": ["happy", "sad", "angry"] * (N // 3),
            "light": ["odd"] * 10 + ["dim"] * 40 + ["bright"] * 40,
        },
        dtype=object,
    )
    build.store.write_dataset(record, samples)
    return build.plan()


def test_numbers_are_those_of_the_rows(known: Path, tmp_path: Path) -> None:
    text = cards(known, tmp_path)["emodc"]
    assert row(text, "clean")[1:3] == [str(N), shown(right(0))]
    noise = np.mean([right(1), right(2)], axis=0)
    assert row(text, "noise, mean of 2 severities")[2] == shown(noise)
    assert row(text, "noise 2")[2] == shown(right(2))
    both = np.mean([noise, right(3)], axis=0)
    assert row(text, "mean of all 2 corruptions")[2] == shown(both)
    assert row(text, "pgd eps 2/255")[1:3] == ["40", shown(right(5)[:40])]
    assert row(text, "pgd: clean")[1:3] == ["40", shown(right(0)[:40])]


def test_groups_are_ranked_if_they_are_large(known: Path, tmp_path: Path) -> None:
    text = cards(known, tmp_path)["emodc"]
    accuracies = {"dim": right(0)[10:50], "bright": right(0)[50:]}
    worst, best = sorted(accuracies, key=lambda name: np.mean(accuracies[name]))
    assert row(text, "faces")[1:] == [
        "light", worst, "40", shown(accuracies[worst]), best, "40", shown(accuracies[best]),
    ]  # fmt: skip
    assert "odd" not in text


def test_what_stands_behind_it(known: Path, tmp_path: Path) -> None:
    found = cards(known, tmp_path)
    text = found["emodc"]
    assert row(text, "checkpoint")[1] == "weights-of-emodc"
    assert row(text, "class order of the logits")[1] == "happy, sad, angry"
    assert row(text, "happy") == ["happy", "7", "2", "30"]
    assert "21 train, 6 val, 90 test pictures" in text
    assert "fixed margin 0.3, weight 8, 15 steps in all, 12 s" in text
    assert row(text, "stages.2.objective.margin")[1] == "0.3"
    assert "Passed. Validation d\\_p 0.3000, 1.20 times the 0.2500" in text
    # Three nearly equal logits: a third of confidence.
    assert f"ECE {abs(np.mean(right(0)) - 1 / 3):.3f} (15 bins" in text
    for words in ("Article 5(1)(f)", "Out of scope", "Trained on drawn faces", "Apache-2.0"):
        assert words in text
    net = found["net"]
    assert "brought along" in net and "Not trained here" in net and "## Denoiser check" not in net
    assert "No groups of people or pictures are recorded" in net
    assert "Trained on drawn faces" not in net and "Measured on drawn faces" in net


def test_metadata_is_yaml(known: Path, tmp_path: Path) -> None:
    _, head, _ = cards(known, tmp_path)["emodc"].split("---\n", 2)
    content = yaml.safe_load(head)
    assert content["pipeline_tag"] == "image-classification"
    assert "diffusion-classifier" in content["tags"]
    (result,) = content["model-index"][0]["results"]
    assert result["dataset"]["name"] == "faces"
    assert result["metrics"][0]["value"] == pytest.approx(np.mean(right(0)), abs=1e-4)


def test_a_card_per_training(build, tmp_path: Path) -> None:
    for seed, passed in ((0, True), (1, False)):
        gate = Gate(passed=passed, d_p=0.5, base_d_p=None)
        build.add("emodc", "clean", "0", right(seed), gate=gate, seed=seed, d_p=[0.1] * N)
    found = cards(build.plan(), tmp_path)
    assert list(found) == ["emodc-seed0", "emodc-seed1"]
    for seed in (0, 1):
        assert row(found[f"emodc-seed{seed}"], "clean")[2] == shown(right(seed))
    assert "denoiser check failed" not in found["emodc-seed0"]
    assert (
        "# emodc (denoiser check failed)".replace("(", "\\(").replace(")", "\\)")
        in found["emodc-seed1"]
    )
    assert "Its denoiser check failed" in found["emodc-seed1"]


def test_a_failed_conditioning_check_is_said(build, tmp_path: Path) -> None:
    gate = Gate(passed=True, d_p=0.5, base_d_p=0.5, conditioning=IGNORES)
    build.add("emodc", "clean", "0", right(0), gate=gate, d_p=[0.1] * N)
    found = cards(build.plan(), tmp_path)["emodc"]
    assert "# emodc \\(conditioning check failed\\)" in found
    assert "Its conditioning check failed" in found and "Its denoiser check failed" not in found
    assert (
        "16.0%, at least 12.5% (chance 14.3%); d_n - d_p 1e-05 [-2e-05, 4e-05], 350 pictures"
        in (found.replace("\\", ""))
    )


def test_text_stays_text(build, tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>: & _a_ *b* `c` | [d](e) %\\ ü\n---\n# x"
    classes = [hostile, "sad", "angry"]
    training = {"kind": hostile, hostile: hostile}
    cell = build.add("net", "clean", "0", [True] * 3, dataset="set: {a} | b", training=training)
    rows = build.store.rows(build.store.manifest(cell))
    rows["label"] = rows["prediction"] = [hostile, "sad", "angry"]
    build.store.write_part(cell, 0, rows)
    manifest = build.store.manifest(cell)
    build.store.write_manifest(manifest.model_copy(update={"classes": classes, "files": None}))
    text = cards(build.plan(), tmp_path)["net"]
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head)["model-index"][0]["results"][0]["dataset"]["name"] == "set: {a} | b"
    assert "<script>" not in body and "\n# x" not in body and "\n---\n" not in body
    assert "&lt;script&gt;" in body and "\\[d\\]\\(e\\)" in body
    # Escaped bars do not part cells: every row of a table has as many as its head.
    for block in body.split("\n\n"):
        bars = {line.replace("\\|", "").count("|") for line in block.splitlines() if "|" in line}
        if block.startswith("|"):
            assert len(bars) == 1, block


def test_a_checkpoint_without_clean_pictures(build, tmp_path: Path) -> None:
    build.add("net", "noise", "1", [True])
    text = cards(build.plan(), tmp_path)["net"]
    assert row(text, "noise 1")[1] == "1" and "ECE" not in text
    assert "model-index" not in text
