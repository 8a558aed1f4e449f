import json
from pathlib import Path

import pytest

from bench.classifiers.kinds import entry
from bench.cli.target import data_section
from bench.config import Config, load, parse
from bench.decisions import chosen_rules
from bench.util.errors import UserError
from bench.util.section import from_yaml

STAGE = {"objective": {"kind": "base"}, "steps": 3}
MINIMAL = {"classifiers": {"resnet18": {"kind": "baseline", "architecture": "resnet18"}}}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "default",
            "smoke",
            "regression",
            "ablation",
            "three_seeds",
            "reference",
            "cross",
            "robust",
        ),
        *("dynamic", "dynamic_ablation", "dynamic_direction", "smoke_dynamic"),
    ],
)
def test_shipped_configs_are_valid(name: str) -> None:
    assert isinstance(load(Path(f"{name}.yaml")), Config)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (MINIMAL | {"sed": 1}, "unknown field 'sed'. Did you mean seed?"),
        (MINIMAL | {"xyz": 1}, "unknown field 'xyz'. See docs/configuration.md"),
        (MINIMAL | {"seed": -1}, "field 'seed'"),
        (MINIMAL | {"limit": True}, "limit is a number, and not yes or no"),
        (MINIMAL | {"training_seeds": [False]}, "training_seeds is a number"),
        (MINIMAL | {"label": "x"}, "unknown field 'label': it belongs elsewhere"),
        ({"classifiers": {"r": {"kind": "baselin"}}}, "Did you mean baseline"),
        ({"classifiers": {}}, "field 'classifiers'"),
        ({"classifiers": {"A b": {"kind": "python", "factory": "m:f"}}}, "A b"),
        (MINIMAL | {"perturbations": {"corruptions": {"gaussian_nose": [1]}}}, "gaussian_noise"),
        (
            MINIMAL | {"perturbations": {"corruptions": {"gaussian_noise": [6]}}},
            "no severity 6; it has 1, 2, 3, 4, 5",
        ),
        (MINIMAL | {"perturbations": {"attacks": {"pdg": [1]}}}, "Did you mean pgd"),
        ([], "a config is a mapping"),
        ({"classifiers": {"r" * 101: {"kind": "python", "factory": "m:f"}}}, "at most 100"),
        ({"classifiers": {"r": {"kind": "baseline"}}}, "'classifiers.r.architecture' is missing$"),
        (MINIMAL | {"data": {"kind": "facs"}}, "no kind called 'facs'. Did you mean faces?"),
        (MINIMAL | {"data": "faces"}, "'data': it is a mapping of fields, got 'faces'"),
        (MINIMAL | {"data": {"kind": "folder", "root": 3}}, "root': it is a path, got 3"),
        (MINIMAL | {"perturbations": {"corruptions": {"fog": 3}}}, r"a list, such as \[3\]"),
        (MINIMAL | {"perturbations": {"attacks": {"pgd": "8/255"}}}, r"a list, such as \[8/255\]"),
        (MINIMAL | {"perturbations": {"attacks": {"pgd": [0.03]}}}, "write 7.65; if 0.03/255 is"),
        ({"classifiers": {"r": {"kind": "python", "factory": "mine"}}}, '"mine:function", not'),
        ({"classifiers": {"r": {"kind": "python", "factory": "./a/b.py:f"}}}, '"a.b:f", not'),
        ({"classifiers": {"r": {"kind": "python", "factory": "mine.py:f"}}}, '"mine:f", not'),
        (MINIMAL | {"perturbations": {"attacks": {"pgd": [-4]}}}, "more than 0, in 1/255, not -4$"),
    ],
)
def test_mistakes_are_named(content: object, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        parse(content, "my.yaml")
    assert caught.value.exit_code == 2


def test_selection_refuses_unknown_names_with_the_nearest() -> None:
    config = parse(MINIMAL | {"perturbations": {"attacks": {"pgd": [1]}}}, "x")
    with pytest.raises(UserError, match="Did you mean resnet18"):
        config.select(["resnet81"])
    with pytest.raises(UserError, match="no perturbation called 'blur'"):
        config.select(None, ["blur"])
    assert config.select(None, ["clean"]).perturbations.names() == []
    with pytest.raises(UserError, match="no budgets for the attack fgsm: give it some"):
        config.select(None, ["fgsm"])


def test_a_tiny_budget_that_is_meant_survives_being_written() -> None:
    given = MINIMAL | {"perturbations": {"attacks": {"pgd": ["0.03/255", 0.25, 4]}}}
    config = parse(given, "x")
    assert parse(config.model_dump(mode="json"), "x") == config
    assert config.perturbations.attacks["pgd"].eps == pytest.approx([0.03, 0.25, 4])


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="default"):
        load(tmp_path / "defualt")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1,")
    with pytest.raises(UserError, match="is not YAML"):
        load(broken)
    broken.write_text("a: " + "[" * 3000 + "]" * 3000)
    with pytest.raises(UserError, match=r"broken\.yaml is not YAML: it is nested too"):
        load(broken)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("seed: 1\nseed: 2\n", "'seed' is given twice, in lines 1 and 2"),
        ("seed: 1\ndata:\n  kind: faces\n  test: 7\n  test: 14\n", "'test' .* lines 4 and 5"),
        ("seed: 1\n'seed': 2\n", "'seed' is given twice"),
        ("yes: 1\ntrue: 2\n", "'true' is given twice"),
    ],
)
def test_a_key_given_twice_is_named(tmp_path: Path, text: str, lines: str) -> None:
    config = tmp_path / "twice.yaml"
    config.write_text(text)
    with pytest.raises(UserError, match=f"twice.yaml.*{lines}"):
        load(config)


NO_VALUES = ["2001-99-99", "!!bool perhaps", "!!timestamp noon", "!!int x", "0x_", "9" * 5000]
NO_VALUES += [r'"\ud800"']


@pytest.mark.parametrize("value", NO_VALUES)
def test_a_value_that_only_looks_like_one_is_named_in_files_and_flags(
    tmp_path: Path, value: str
) -> None:
    config = tmp_path / "values.yaml"
    config.write_text(f"seed: 1\nlimit: {value}\n")
    with pytest.raises(UserError, match=r"values\.yaml is not YAML: .* in line 2 .* quotes"):
        load(config)
    for call in (
        lambda option: chosen_rules(["sequential"], [option]),
        lambda option: data_section("raf_db", tmp_path, [option]),
        lambda option: entry(f"onnx:net.onnx,{option}"),
    ):
        with pytest.raises(UserError, match="is not a value"):
            call(f"limit={value}")


@pytest.mark.parametrize(
    "bomb",
    [
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 8)),
        "a0: &a0 [x, *a0]\n",
        "a0: &a0 {b: *a0}\n",
    ],
)
def test_aliases_that_blow_a_file_up_are_refused(tmp_path: Path, bomb: str) -> None:
    config = tmp_path / "bomb.yaml"
    config.write_text(bomb)
    with pytest.raises(UserError, match=r"bomb\.yaml is not YAML: its aliases") as refused:
        load(config)
    assert len(str(refused.value)) < 300


def test_escapes_of_json_are_text() -> None:
    assert from_yaml(json.dumps({"data": "\U0001f600 é"})) == {"data": "\U0001f600 é"}


def test_a_merged_value_may_be_overridden() -> None:
    text = "common: &common {kind: faces, test: 7}\ndata:\n  <<: *common\n  test: 14\n"
    assert from_yaml(text)["data"] == {"kind": "faces", "test": 14}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evaluation": {"low": 500}}, "low must be below high"),
        ({"stages": [STAGE | {"null_share": 0.6, "non_class_share": 0.6}]}, "leave nothing"),
        (
            {"kind": "control", "stages": [STAGE | {"objective": {"kind": "amdit"}}]},
            "cross-entropy",
        ),
        ({"kind": "control", "pretrained": "some/model"}, "unknown field"),
        # Classes of emodc, which a config only validates.
        (
            {"evaluation": {"stepps": 3}},
            r"unknown field .*evaluation\.stepps'\. Did you mean steps",
        ),
        ({"evaluation": {"high": 1001}}, "less than or equal to 1000"),
        ({"stages": [STAGE | {"objective": {"kind": "amdit", "alpa": 1}}]}, "Did you mean alpha"),
        ({"stages": [STAGE | {"objective": {"kind": "margin", "weight": -1}}]}, "equal to 0"),
        (
            {"stages": [STAGE | {"objective": {"kind": "hard_negative", "weight": 2}}]},
            "diverges with a weight above 1",
        ),
        ({"stages": [STAGE | {"lora_rnk": 2}]}, "Did you mean lora_rank"),
        ({"prompts": {"template": ["a {}"]}}, "Did you mean templates"),
        ({"prompts": {"templates": ["a face"]}}, r"should match pattern .*, got 'a face'$"),
        ({"prompts": {"templates": []}}, "one template or more"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    change: dict[str, object], message: str
) -> None:
    classifier = {"kind": "emodc", "stages": [STAGE]} | change
    with pytest.raises(UserError, match=message):
        parse({"classifiers": {"one": classifier}}, "test")


def test_presets_are_their_members_at_all_severities() -> None:
    given = {"presets": ["raf_db_c"], "corruptions": {"raf_db_c.pixelate": [2], "shot_noise": [1]}}
    found = parse(MINIMAL | {"perturbations": given}, "here").perturbations
    assert found.presets == [] and len(found.corruptions) == 18 + 1
    assert found.corruptions["raf_db_c.pixelate"].severities == [2]
    assert found.corruptions["raf_db_c.shot_noise"].severities == [1, 2, 3, 4, 5]
    with pytest.raises(UserError, match=r"no preset called 'raf_db_d'.*raf_db_c"):
        parse(MINIMAL | {"perturbations": {"presets": ["raf_db_d"]}}, "here")


def test_a_preset_or_any_corruption_can_be_selected() -> None:
    given = {"corruptions": {"imagecorruptions.fog": [3], "gaussian_noise": [1]}}
    config = parse(MINIMAL | {"perturbations": given}, "here")
    found = config.select(None, ["imagecorruptions"]).perturbations.corruptions
    assert len(found) == 19 and found["imagecorruptions.fog"].severities == [3]
    assert found["imagecorruptions.snow"].severities == [1, 2, 3, 4, 5]
    alone = config.select(None, ["face.mask", "gaussian_noise"]).perturbations.corruptions
    assert {name: own.severities for name, own in alone.items()} == {
        "gaussian_noise": [1],
        "face.mask": [1, 2, 3, 4, 5],
    }


def test_a_file_extends_others_field_by_field(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("data: {kind: faces, test: 7, val: 7}\nseed: 1\n")
    (tmp_path / "b.yaml").write_text("data: {test: 14}\nlimit: 3\n")
    top = tmp_path / "top.yaml"
    top.write_text(
        "extends: [a.yaml, b.yaml]\nseed: 2\n"
        "classifiers: {r: {kind: baseline, architecture: resnet18}}\n"
    )
    config = load(top)
    assert (config.seed, config.limit) == (2, 3)
    assert config.data.model_dump()["test"] == 14
    assert config.data.model_dump()["val"] == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("extends: top.yaml\n", "extends itself"),
        ("extends: nowhere.yaml\n", r"nowhere\.yaml cannot be read"),
        ("extends: 3\n", "extends names a file, or a list"),
        ("extends: list.yaml\n", r"list\.yaml: a config is a mapping"),
    ],
)
def test_what_cannot_be_extended_is_told(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "list.yaml").write_text("[1]\n")
    (tmp_path / "top.yaml").write_text(text)
    with pytest.raises(UserError, match=words):
        load(tmp_path / "top.yaml")


def test_null_takes_a_mapping_of_the_file_below_away(tmp_path: Path) -> None:
    """A classifier and all corruptions go; of a plain field, such as `limit`, null is a value."""
    (tmp_path / "below.yaml").write_text(
        "limit: 3\n"
        "perturbations: {corruptions: {gaussian_noise: [1]}, attacks: {pgd: [1], fgsm: [1]}}\n"
        "classifiers:\n"
        "  a: {kind: baseline, architecture: resnet18}\n"
        "  b: {kind: baseline, architecture: resnet18}\n"
    )
    top = tmp_path / "top.yaml"
    top.write_text(
        "extends: below.yaml\nlimit: null\n"
        "classifiers: {b: null}\nperturbations: {corruptions: null}\n"
    )
    config = load(top)
    assert list(config.classifiers) == ["a"] and config.limit is None
    assert not config.perturbations.corruptions
    assert set(config.perturbations.attacks) == {"pgd", "fgsm"}
