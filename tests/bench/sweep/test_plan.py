from collections.abc import Sequence

from support import TINY

from bench.config import PythonClassifier, load
from bench.data.base import Sample, Split, balanced_subset
from bench.data.drawn import DrawnFaces
from bench.sweep.plan import make_plan, shards_of

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
    for change in ({"seed": 1}, {"limit": 5}, {"precision": "bfloat16"}):
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
        ("test_resnet", "clean, views 3"),
        ("emodc_control", "clean, views 4"),  # its steps
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
