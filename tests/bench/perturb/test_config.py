"""Perturbations in YAML: parameters, kinds, budgets, and what is said of mistakes."""

import re

import numpy as np
import pytest
import yaml

from bench.config import Config, parse
from bench.perturb import ATTACKS, CORRUPTIONS
from bench.perturb.corruptions import weather
from bench.util.errors import UserError


def config(text: str) -> Config:
    classifiers = {"r": {"kind": "baseline", "architecture": "test_resnet"}}
    return parse({"classifiers": classifiers, "perturbations": yaml.safe_load(text)}, "my.yaml")


def inputs(text: str) -> list[dict[str, object]]:
    """What the ids of the cells digest, less the clean cell's."""
    members = config(text).perturbations.members()[1:]
    return [one.inputs(level) for one, levels in members for level in levels]


@pytest.mark.parametrize(
    "text",
    [
        "attacks: {pgd: [4]}",
        "attacks: {pgd: [4/255]}",
        'attacks: {pgd: ["4 / 255"]}',
        "attacks: {pgd: [4.0, 4]}",
        "attacks: {pgd: {eps: [4]}}",
        "attacks: {pgd: {kind: pgd, eps: [4], steps: 10, step_size: eps/4, restarts: 1}}",
    ],
)
def test_defaults_have_the_inputs_of_cells_that_name_none(text: str) -> None:
    usual = ATTACKS["pgd"]().parameters()
    assert usual["steps"] == 10 and usual["step_size"] == "eps/4" and "restarts" not in usual
    assert inputs(text) == [usual | {"severity": "4/255"}]
    assert config(text).model_dump(mode="json")["perturbations"]["attacks"] in (
        {"pgd": [4]},
        {"pgd": [4, 4]},
        {"pgd": {"eps": [4], "kind": "pgd", "steps": 10, "step_size": "eps/4", "restarts": 1}},
    )


@pytest.mark.parametrize(
    ("parameter", "stored"),
    [
        ("steps: 50", {"steps": 50}),
        ("step_size: 2/255", {"step_size": "2/255"}),
        ("step_size: 2", {"step_size": "2/255"}),
        ("step_size: eps/10", {"step_size": "eps/10"}),
        ("restarts: 3", {"restarts": 3, "chosen": "by verdict"}),
        ("loss: dlr", {"loss": "dlr"}),
        ("norm: l2", {"norm": "l2"}),
        ("rounding: true", {"rounding": True}),
        ("momentum: 0.9", {"momentum": 0.9}),
    ],
)
def test_other_parameters_of_an_attack_are_in_the_id(parameter: str, stored: dict) -> None:
    (found,) = inputs(f"attacks: {{pgd: {{eps: [4], {parameter}}}}}")
    (usual,) = inputs("attacks: {pgd: [4]}")
    assert found == usual | stored != usual


def test_one_attack_may_stand_several_times_under_names_of_its_own() -> None:
    text = "attacks: {pgd: [4], pgd_50: {kind: pgd, eps: [0.25, 1], steps: 50}}"
    first, second, _ = inputs(text)
    assert (first["name"], first["steps"], second["name"]) == ("pgd", 10, "pgd_50")
    assert second["severity"] == "0.25/255"


def test_a_suite_stands_for_its_attacks() -> None:
    text = "attacks: {standard: {eps: [1], steps: 5, budget: 9}, apgd_dlr: [2]}"
    found = {one["name"]: one for one in inputs(text)}
    assert list(found) == ["apgd_ce", "square", "apgd_dlr"]
    assert found["apgd_ce"]["steps"] == 5 and found["square"]["budget"] == 9
    assert found["apgd_dlr"]["steps"] == 100 and found["apgd_dlr"]["severity"] == "2/255"
    table = config(text).model_dump(mode="json")["perturbations"]
    assert (
        config(yaml.safe_dump(table, sort_keys=False)).perturbations.members()[1:]
        == (config(text).perturbations.members()[1:])
    )
    only = config(text).select(None, ["standard"]).perturbations
    assert list(only.attacks) == ["apgd_ce", "square", "apgd_dlr"]


def test_budgets_in_l2_may_be_long_and_those_of_a_value_not() -> None:
    (found,) = inputs("attacks: {pgd: {eps: [510/255], norm: l2}}")
    assert found["severity"] == "510/255"
    with pytest.raises(UserError, match="at most 255"):
        config("attacks: {pgd: [510/255]}")


def test_an_attack_of_torchattacks_has_its_arguments_in_the_id() -> None:
    (found,) = inputs("attacks: {di: {kind: torchattacks.DIFGSM, eps: [4], steps: 3}}")
    assert found["arguments"] == {"steps": 3} and found["attack"] == "DIFGSM"
    assert found["name"] == "di" and found["norm"] == "linf" and found["torchattacks"]


def test_constants_of_a_corruption_can_be_set() -> None:
    (usual,) = inputs("corruptions: {gaussian_noise: {severities: [2]}}")
    assert usual == CORRUPTIONS["gaussian_noise"].parameters() | {"severity": "2"}
    own = config("corruptions: {soft: {kind: gaussian_noise, sigma: [0.01, 0.02]}}").perturbations
    ((_, _), (soft, levels)) = own.members()
    assert levels == ("1", "2") and soft.parameters()["levels"] == [0.01, 0.02]
    (one,) = inputs("corruptions: {imagecorruptions.fog: {severities: [3], amount: 9}}")
    assert one["levels"][2] == {"amount": 9.0, "decay": 1.7}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("attacks: {pgd: [0]}", "an eps is more than 0"),
        ("attacks: {pgd: [256]}", "at most 255"),
        ("attacks: {pgd: [8/0]}", "such as 4, 0.25"),
        ("attacks: {pgd: [much]}", "such as 4, 0.25"),
        ("attacks: {pgd: {eps: [1], steps: 0}}", "pgd: field 'steps'"),
        ("attacks: {pgd: {eps: [1], step: 5}}", "pgd: unknown field 'step'"),
        ("attacks: {pgd: {eps: [1], step_size: eps/x}}", "a share of eps"),
        ("attacks: {fgsm: {eps: [1], steps: 5}}", "fgsm: unknown field 'steps'"),
        ("attacks: {pgd: {steps: 5}}", "eps"),
        ("attacks: {pgd: {eps: [1], loss: hinge}}", "pgd: field 'loss'"),
        ("attacks: {pgd: {eps: [1], norm: l1}}", "pgd: field 'norm'"),
        ("attacks: {m: {kind: transfer, eps: [1]}}", "needs `source`"),
        ("attacks: {standard: {eps: [1], step: 3}}", "no attack of it has a field 'step'"),
        ("attacks: {torchattacks.DIFGSN: [1]}", "Did you mean DIFGSM"),
        ("attacks: {torchattacks.DIFGSM: {eps: [1], stps: 3}}", "no argument 'stps'"),
        ("attacks: {torchattacks.PGD: {eps: [1], norm: l1}}", "norm is linf or l2"),
        ("attacks: {gaussian_noise: [1]}", "belongs under `perturbations.corruptions`"),
        ("corruptions: {pgd: [1]}", "belongs under `perturbations.attacks`"),
        ("corruptions: {gaussian_noise_snr: [1]}", "belongs under `perturbations.levels`"),
        ("corruptions: {imagecorruptions: [1]}", "belongs under `perturbations.presets`"),
        ("corruptions: {fogg: [1]}", "Did you mean"),
        ("corruptions: {mask: [1]}", "Did you mean face.mask?"),
        ("corruptions: {gaussian_noise: {sigmas: [1]}}", "no constant 'sigmas'; it has sigma"),
        ("corruptions: {gaussian_noise: {sigma: [a]}}", "sigma is a number"),
        ("corruptions: {motion_blur: {radius: [1.5]}}", "radius is a whole number"),
        (
            "corruptions: {gaussian_noise: {severities: [3], sigma: [0.1]}}",
            "no severity 3; it has 1",
        ),
        ("corruptions: {mine: {kind: python}}", "needs `factory"),
        ("corruptions: {mine: {kind: python, factory: 'a:b', x: 1}}", "unknown field 'x'"),
        ("corruptions: {gaussian_noise: {factory: 'a:b'}}", "for `kind: python`"),
    ],
)
def test_mistakes_are_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        config(text)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gaussian_nose", "fog", "pdg", "imagecoruptions"])
def test_no_suggestion_comes_twice(name: str) -> None:
    corruptions = "{gaussian_noise: [1], imagecorruptions.fog: [1]}"
    chosen = config(f"{{corruptions: {corruptions}, attacks: {{pgd: [1]}}}}")
    with pytest.raises(UserError, match="Did you mean") as caught:
        chosen.select(None, [name])
    suggestions = str(caught.value).partition("Did you mean")[2].replace(" or ", " ")
    suggested = re.findall(r"[\w.]+", suggestions)
    assert len(suggested) == len(set(suggested))


def test_a_preset_leaves_out_what_cannot_be_applied_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weather.importlib.util, "find_spec", lambda name: None)
    for chosen in (
        config("presets: [imagecorruptions]"),
        config("{}").select(None, ["imagecorruptions"]),
    ):
        table = chosen.perturbations
        assert len(table.corruptions) == 18 and "imagecorruptions.frost" not in table.corruptions
        assert "pip install" in table.left_out["imagecorruptions.frost"]
    named = config("{presets: [imagecorruptions], corruptions: {imagecorruptions.frost: [1]}}")
    assert "imagecorruptions.frost" in named.perturbations.corruptions
    assert not named.perturbations.left_out


def test_restarts_are_at_least_as_strong(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.LazyLinear(3)
    )
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    net(torch.zeros(1, 3, 8, 8))

    def loss(restarts: int) -> float:
        attack = ATTACKS["pgd"](steps=1, restarts=restarts)
        found = attack(picture, 0, net, 0.5, seed=0, dataset="d", sample_id="a")
        assert found.dtype == np.float32 and np.abs(found - picture).max() <= 0.5 + 1e-3
        image = torch.from_numpy(found.transpose(2, 0, 1)[None] / np.float32(255))
        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(net(image), torch.tensor([0])))

    assert loss(1) < loss(8)
