from collections.abc import Sequence
from pathlib import Path

import pytest
import torchattacks
from support import TINY

from bench.classifiers.kinds.python import PythonClassifier
from bench.config import load, parse
from bench.data.base import Sample, Split, balanced_subset
from bench.data.drawn import DrawnFaces
from bench.perturb.attacks import ATTACKS
from bench.sweep.plan import make_plan, shards_of
from bench.util.files import digest

CONFIG = load(TINY)
FACES = DrawnFaces({"train": 28, "val": 14, "test": 21})
WEIGHTS = dict.fromkeys(((name, seed) for name in CONFIG.classifiers for seed in range(3)), "w")


def ids(**changes: object) -> dict[tuple[str, str], str]:
    weights = changes.pop("weights", WEIGHTS)
    config = CONFIG.model_copy(update=changes)
    plan = make_plan(config, FACES, weights)
    return {(p.cell.classifier, f"{p.cell.condition} {p.cell.severity}"): p.cell.id for p in plan}


def test_every_result_determining_field_changes_the_id() -> None:
    reference = ids()
    assert len(set(reference.values())) == len(reference) == 16 + 4 + 2
    for change in ({"seed": 1}, {"limit": 3}, {"precision": "bfloat16"}):
        assert not set(ids(**change).values()) & set(reference.values()), change
    changed = ids(weights=WEIGHTS | {("emodc_base", 0): "other"})
    moved = {key[0] for key in reference if changed[key] != reference[key]}
    assert moved == {"emodc_base"}


def test_each_training_seed_has_cells_of_its_own_with_the_run_s_seed() -> None:
    config = CONFIG.model_copy(update={"training_seeds": [2, 0]})
    plan = make_plan(config, FACES, WEIGHTS)
    assert len({p.cell.id for p in plan}) == len(plan) == 2 * 22
    assert [p.cell.seed for p in plan if p.cell.family == "clean"] == [2, 0] * 4
    assert [p.cell.seed for p in plan if p.cell.family == "validation"] == [2, 0] * 4
    assert {p.cell.run_seed for p in plan} == {0}
    # Seed 0 is the same cell as in a run without training seeds: nothing is computed twice.
    single = {p.cell.id for p in make_plan(CONFIG, FACES, WEIGHTS)}
    assert {p.cell.id for p in plan if p.cell.seed == 0} == single
    # The same training, evaluated under another noise, is another cell.
    moved = make_plan(config.model_copy(update={"seed": 1}), FACES, WEIGHTS)
    assert not {p.cell.id for p in plan} & {p.cell.id for p in moved}


def test_a_classifier_that_is_not_trained_here_has_one_seed() -> None:
    mine = PythonClassifier(kind="python", factory="m:f")
    config = CONFIG.model_copy(
        update={"classifiers": {"mine": mine}, "training_seeds": [1, 2], "seed": 5}
    )
    assert {p.cell.seed for p in make_plan(config, FACES, {("mine", 5): "w"})} == {5}


def test_execution_changes_no_id() -> None:
    other = CONFIG.execution.model_copy(update={"batch_size": 1, "shards": 5, "workers": 2})
    assert ids(execution=other) == ids()


def test_cells_for_decisions_come_and_go_without_renaming_others() -> None:
    plain = ids(validation=False, views=0)
    assert len(plain) == 16 and ids().items() >= plain.items()
    added = ids().keys() - plain.keys()
    assert added == {
        *((name, "clean, validation split 0") for name in CONFIG.classifiers),
        ("test_resnet", "clean, TTA 3"),
        ("emodc_control", "clean, TTA 4"),  # its steps
    }
    plan = make_plan(CONFIG, FACES, WEIGHTS)
    for name in CONFIG.classifiers:
        own = [p for p in plan if p.cell.classifier == name]
        assert own[0].cell.family == "validation"  # whatever is fitted on it comes later
        assert own[0].sample_ids == tuple(sample.id for sample in FACES.samples("val"))
        assert not own[0].other_prompts
    limited = make_plan(CONFIG.model_copy(update={"limit": 7}), FACES, WEIGHTS)
    assert len(limited[0].sample_ids) == 7


def test_a_data_set_without_a_validation_split_has_no_validation_cells() -> None:
    class Unsplit(DrawnFaces):
        def samples(self, split: Split) -> Sequence[Sample]:
            return [] if split == "val" else super().samples(split)

    plan = make_plan(CONFIG, Unsplit({"train": 28, "val": 14, "test": 21}), WEIGHTS)
    assert {p.cell.family for p in plan} == {"clean", "corruption", "attack", "views"}


def test_fewer_attack_steps_make_other_attacks_only() -> None:
    spec = CONFIG.classifiers["emodc_base"]
    weaker = spec.model_copy(
        update={"evaluation": spec.evaluation.model_copy(update={"attack_steps": 1})}
    )
    changed = ids(classifiers=CONFIG.classifiers | {"emodc_base": weaker})
    assert {key for key, value in ids().items() if changed[key] != value} == {
        ("emodc_base", "pgd 4/255")
    }


def _with_evaluation(**update: object) -> dict[tuple[str, str], str]:
    spec = CONFIG.classifiers["emodc_base"]
    changed = spec.model_copy(update={"evaluation": spec.evaluation.model_copy(update=update)})
    return ids(classifiers=CONFIG.classifiers | {"emodc_base": changed})


def test_a_gradient_through_the_noise_level_makes_other_attacks_only() -> None:
    aware = _with_evaluation(noise_aware=True)
    through = _with_evaluation(noise_aware=True, level_gradient=True)
    assert {key for key, value in aware.items() if through[key] != value} == {
        ("emodc_base", "pgd 4/255")
    }


def test_an_attack_with_one_gradient_measures_every_step() -> None:
    plan = CONFIG.classifiers["emodc_base"].evaluation.model_copy(
        update={"steps": 100, "attack_steps": 20}
    )
    assert plan.gradient_steps(ATTACKS["fgsm"]()) == 100
    assert plan.gradient_steps(ATTACKS["pgd"]()) == 20


def test_another_target_makes_other_cells_of_noise_aware_evaluation_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, aware = ids(), _with_evaluation(noise_aware=True)
    monkeypatch.setattr("bench.classifiers.kinds.emodc.NOISE_AWARE_VERSION", 3)
    assert {key for key, value in plain.items() if ids()[key] != value} == {
        key for key in plain if key[0] == "emodc_control"
    }
    own = {key for key in aware if key[0] in ("emodc_base", "emodc_control")}
    changed = _with_evaluation(noise_aware=True)
    assert {key for key, value in aware.items() if changed[key] != value} == own


def test_attacked_pictures_are_kept_of_the_same_samples_and_of_drawn_ones_alone() -> None:
    def kept(limit: int | None, data: DrawnFaces) -> dict[str, set[str]]:
        own = CONFIG.perturbations.model_copy(update={"attack_limit": limit})
        plan = make_plan(CONFIG.model_copy(update={"perturbations": own}), data, WEIGHTS)
        return {p.cell.family: {*p.examples} for p in plan}

    first = {f"test-{number:05d}" for number in range(3)}
    for limit in (3, 9, None):
        assert kept(limit, FACES)["attack"] == first
        assert not any(ids for family, ids in kept(limit, FACES).items() if family != "attack")
    theirs = DrawnFaces(FACES.sizes)
    theirs.synthetic = False  # as a person's own pictures are
    assert not any(kept(None, theirs).values())


def test_shards_partition_the_samples_in_order() -> None:
    planned = make_plan(CONFIG, FACES, WEIGHTS)[1]
    for count in (1, 2, 5, 100):
        shards = shards_of(planned, count)
        assert len(shards) == min(count, 21)
        joined = [name for shard in shards for name in shard.sample_ids]
        assert joined == list(planned.sample_ids)


def test_a_subset_is_balanced_and_nested() -> None:
    samples = [Sample(str(i), "ab"[i % 3 == 0]) for i in range(30)]
    small, large = (balanced_subset(samples, limit) for limit in (6, 12))
    assert [s.label for s in small].count("a") == 3
    assert {s.id for s in small} < {s.id for s in large}
    assert balanced_subset(samples, None) == samples


EVERYTHING = {
    "limit": 14,
    "views": 2,
    "training_seeds": [3, 0],
    "data": {"kind": "faces", "train": 28, "val": 14, "test": 21},
    "lists": {"occluded": "occluded.txt"},
    "classifiers": {
        "net": {"kind": "baseline", "architecture": "test_resnet"},
        "emodc": {
            "kind": "emodc",
            "stages": [{"objective": {"kind": "base"}, "steps": 3}],
            "evaluation": {"steps": 4, "decision": {"kind": "sequential", "bet": "bounded"}},
        },
        "control": {
            "kind": "control",
            "stages": [{"objective": {"kind": "base"}, "steps": 3}],
            "evaluation": {"steps": 4, "other_prompts": 3},
        },
        "mine": {"kind": "python", "factory": "m:f"},
    },
    "perturbations": {
        "presets": ["noise_blur", "imagecorruptions", "sequences", "raf_db_c", "face"],
        "corruptions": {"gaussian_noise": [5, 1, 1]},
        "levels": {"gaussian_noise_snr": [30, 0], "gaussian_blur_sigma": [0.5, 2.0]},
        "attacks": {"fgsm": [8, 1], "pgd": [4]},
        "attack_limit": 7,
        "sequence_limit": 7,
    },
}

#: A digest of the ids of all planned cells, by config and family. They name what is stored.
PINNED = {
    "default": {
        "validation": (6, "488bc0bfd894"),
        "clean": (6, "85499c25b0cf"),
        "corruption": (36, "40ef6009b4a1"),
        "attack": (6, "4aaed904f32f"),
    },
    "ablation": {"validation": (60, "a3bc6de8c8ba"), "clean": (60, "dd627ce30ed4")},
    "smoke": {
        "validation": (4, "e542d499f55b"),
        "clean": (4, "f11f7ca2d856"),
        "corruption": (12, "555210c7bfa2"),
        "attack": (8, "da4a0365b970"),
    },
    "cross": {
        "validation": (4, "b462c15b5c89"),
        "clean": (4, "e97b5df9d313"),
        "corruption": (24, "55b6291ed14f"),
    },
    "everything": {
        "validation": (7, "40462e630773"),
        "clean": (7, "82c1c8cc8464"),
        "corruption": (1974, "92234999402c"),
        "level": (28, "d609153906ff"),
        "attack": (21, "1a1a2eb61a7e"),
        "sequence": (70, "809f1eec34c2"),
        "views": (5, "a4cf1d1e8c69"),
    },
}


@pytest.mark.parametrize("name", ["default", "ablation", "smoke", "cross", "everything"])
def test_the_ids_of_all_planned_cells_are_those_of_earlier_runs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchattacks, "__version__", "3.5.1")  # it is in the ids of attacks
    config = parse(EVERYTHING, name) if name == "everything" else load(Path(name))
    weights = {(n, s): f"{n} {s}" for n in config.classifiers for s in {*config.seeds, config.seed}}
    ids: dict[str, list[str]] = {}
    for planned in make_plan(config, FACES, weights):
        cell = planned.cell
        what = (cell.classifier, cell.perturbation, cell.severity, cell.seed, cell.run_seed)
        own = [*map(str, what), cell.id, planned.sample_ids, sorted(planned.other_prompts)]
        ids.setdefault(cell.family, []).append(digest(own))
    assert {family: (len(own), digest(own)) for family, own in ids.items()} == PINNED[name]
