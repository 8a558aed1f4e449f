"""A network of a user's own: tried before a run, known by what it computes, blamed by its name."""

import csv
import importlib
import json
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import call_apart

from bench import live
from bench.classifiers.discriminative import load_python
from bench.classifiers.kinds.python import PythonClassifier
from bench.store.store import Store

HEAD = """
import random, sys
import numpy as np
import torch
from torch import nn
from types import SimpleNamespace

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust")

class Net(nn.Module):
    classes = CLASSES
    calls = 0

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.linear = nn.Linear(48, 7)
        self.register_buffer("shift", torch.zeros(7), persistent=False)

    def logits(self, x):
        return self.linear(nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)) + self.shift

    def forward(self, x):
        self.calls += 1
        BODY

def make():
    return Net()
"""

FORWARD = {  # body of forward -> what the sentence says
    "return (self.logits(x),)": "returns tuple",
    "return {'logits': self.logits(x)}": "returns dict",
    "return self.logits(x).detach().numpy()": "returns ndarray",
    "return None": "returns NoneType",
    "return [self.logits(x)]": "returns list",
    "yield self.logits(x)": "returns generator",
    "return self.logits(x).flatten()": "returns a tensor (7,)",
    "return self.logits(x)[:, :5]": "returns a tensor (1, 5)",
    "return self.logits(x).argmax(1)": "returns a tensor (1,)",
    "return self.logits(x).long()": "returns int64 numbers",
    "return self.logits(x).to(torch.complex64)": "returns complex64 numbers",
    "return self.logits(x) * float('nan')": "returns NaN or infinite logits",
    "return self.logits(x) / 0": "returns NaN or infinite logits",
    "raise ValueError('no such thing')": "raises ValueError: no such thing (broken.py, line 25)",
    "raise KeyError('a\\nb')": "raises KeyError",
    "return self.linear(x)": "raises RuntimeError",
    "if x.shape[2] == 64: raise ValueError('size')\n        return self.logits(x)":
        "raises ValueError: size (broken.py, line 25) for float images (1, 3, 64, 64)",
    "if self.calls == 2: raise ValueError('twice')\n        return self.logits(x)":
        "raises ValueError: twice",
    "if len(x) == 2: raise ValueError('batch')\n        return self.logits(x)":
        "raises ValueError: batch (broken.py, line 25) for float images (2, 3",
    "sys.exit(0)": "raises SystemExit: 0 (broken.py, line 25)",
    "x -= 0.5\n        return self.logits(x)": "changes the images that it is given, in place",
    "return self.logits(x * torch.tensor(0.0) + torch.sqrt(x * 0))": "NaN or infinite",
}  # fmt: skip
WORKS = "return self.logits(x)"
FACTORY = {  # what stands at the end of the module -> what the sentence says
    "def make(): raise KeyError('weights')": "fails: KeyError: 'weights' (broken.py, line 30)",
    "def make(): open('no/weights.pth')": "FileNotFoundError",
    "def make(): import nowhere_at_all": "ModuleNotFoundError",
    "import nowhere_at_all": "cannot be imported: ModuleNotFoundError",
    "def make(:": "cannot be imported: SyntaxError",
    "sys.exit(3)": "cannot be imported: SystemExit",
    "make = 3": "must be a function",
    "del make": "cannot be imported: AttributeError",
    "def make(): return {}": "returns a torch module, got dict",
    "Net.classes = (0, 1, 2, 3, 4, 5, 6)": "must be names in logit order",
    "Net.classes = 7": "must be names in logit order",
    "Net.classes = ('fear', 'fear')": "must be names in logit order",
    "del Net.classes": "no attribute `classes`",
    "Net.state_dict = lambda self: {}[1]": "cannot be read: KeyError",
    "Net.train = lambda self, mode: {}[1]": "cannot be read: KeyError",
}
CASES = [(HEAD.replace("BODY", body), words) for body, words in FORWARD.items()] + [
    (f"{HEAD.replace('BODY', WORKS)}\n{end}", words) for end, words in FACTORY.items()
]

CONFIG = """
data: {kind: faces, train: 14, val: 14, test: 7}
validation: false
classifiers:
  mine: {kind: python, factory: "broken:make", check_class_order: false}
perturbations: {attacks: {fgsm: [4]}, attack_limit: 7}
execution: {workers: 1, device: cpu}
"""

Write = Callable[[str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write the module `broken`, and a config beside it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "mine.yaml").write_text(CONFIG)

    def write(text: str) -> None:
        (tmp_path / "broken.py").write_text(text)
        sys.modules.pop("broken", None)
        importlib.invalidate_caches()

    yield write
    sys.modules.pop("broken", None)


def own(body: str = WORKS, end: str = "") -> str:
    return f"{HEAD.replace('BODY', body)}\n{end}"


@pytest.mark.parametrize(("text", "words"), CASES, ids=[*FORWARD, *FACTORY])
def test_a_broken_module_is_told_in_one_sentence_before_anything_is_measured(
    write: Write, tmp_path: Path, capsys, monkeypatch, text: str, words: str
) -> None:
    write(text)
    arguments = ("run", "robustness", "-c", tmp_path / "mine.yaml", "--out", tmp_path / "out")
    code, out, err = call_apart(capsys, monkeypatch, *arguments)
    assert code in (1, 2) and not out
    (sentence,) = [line for line in err.splitlines() if line.startswith("bench: ")]
    assert "'mine'" in sentence and "broken:make" in sentence and words in sentence
    assert "defect" not in err and "Traceback" not in err
    assert not list((tmp_path / "out").rglob("*.parquet"))


def loaded(name: str = "mine"):
    return load_python(
        name, PythonClassifier(kind="python", factory="broken:make"), torch.device("cpu")
    )


def test_a_network_without_gradient_is_measured_where_no_attack_is_planned(write: Write) -> None:
    write(own("return self.logits(x.detach())"))
    assert loaded().probe(attacked=False) == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "return self.logits(x) + torch.from_numpy(np.random.default_rng().random(7)).float()",
            "two answers",
        ),
        ("return self.logits(x) + torch.rand(7)", "two answers"),
        ("return self.logits((x.round() - x).detach() * 0 + x * 0)", "gradient that is zero"),
        ("with torch.no_grad(): return self.logits(x)", "has no gradient"),
        ("return self.logits((x * 255).to(torch.uint8).float())", "has no gradient"),
        ("return nn.functional.one_hot(self.logits(x).argmax(1), 7).float()", "has no gradient"),
        ("return self.logits(x.detach())", "has no gradient"),
    ],
)
def test_noise_and_zero_gradients_are_told(write: Write, body: str, words: str) -> None:
    write(own(body))
    first, second = loaded(), loaded()
    assert first.digest == second.digest  # or no run would ever find its rows again
    (warning,) = first.probe(attacked=True)
    assert words in warning and "'mine': broken:make" in warning
    assert first.deterministic is ("two answers" not in words)


def test_global_generators_stay_as_they_were_and_drawn_noise_is_addressed(write: Write) -> None:
    body = "random.seed(1); np.random.seed(1)\n        return self.logits(x) + 9 * torch.rand(7)"
    write(own(body, "def make():\n    torch.manual_seed(7)\n    return Net()"))

    def states() -> list[object]:
        numpy_state = np.random.get_state()[1].tolist()  # noqa: NPY002
        return [torch.get_rng_state().tolist(), random.getstate(), numpy_state]

    before = states()
    classifier = loaded()
    picture = np.full((24, 20, 3), 90, np.uint8)
    logits = [classifier.measure([picture], [name]).logits for name in ("a", "a", "b")]
    assert classifier.probe(attacked=True)
    assert states() == before
    assert np.array_equal(logits[0], logits[1]) and not np.array_equal(logits[0], logits[2])


def test_an_object_with_logits_is_accepted_and_normalisation_is_in_evaluation(
    write: Write,
) -> None:
    write(own("return SimpleNamespace(logits=self.logits(self.norm(x)))",
              "def make():\n    net = Net()\n    net.norm = nn.BatchNorm2d(3)\n"
              "    return net.train()"))  # fmt: skip
    classifier = loaded()
    assert classifier.deterministic and not classifier.model.model.norm.training
    assert classifier.measure([np.zeros((9, 9, 3), np.uint8)], ["x"]).logits.shape == (1, 7)


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ("return self.logits(x - 0.01)", ""),
        ("return self.logits(x).roll(1, 1)", ""),
        ("return self.logits(nn.functional.interpolate(x, (48, 48)))", ""),
        (WORKS, "def make():\n    net = Net()\n    net.shift += 1e-4\n    return net"),
        (WORKS, "old = Net.logits\nNet.logits = lambda self, x: old(self, x * 0.9)"),
    ],
)
def test_a_changed_network_is_another_classifier(write: Write, body: str, end: str) -> None:
    write(own())
    first = loaded().digest
    write(own() + "\n# a comment beside it\n")
    assert loaded().digest == first
    write(own(body, end))
    assert loaded().digest != first


class Large(torch.nn.Module):
    """Seven logits, by another way for pictures larger than those that are tried."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] > 99:
            x = x[:, :, : self.side]
        return x.flatten(1)[:, :7]


def test_a_compiled_network_is_known_by_its_code(write: Write, tmp_path: Path) -> None:
    """Its class is one of torch's."""
    write("import os, torch\ndef make():\n"
          "    return torch.jit.load(os.path.dirname(__file__) + '/net.pt')\n")  # fmt: skip
    spec = PythonClassifier(kind="python", factory="broken:make", class_order="dfew")
    digests = []
    for side in (90, 91, 91):
        torch.jit.script(Large(side)).save(str(tmp_path / "net.pt"))
        digests.append(load_python("mine", spec, torch.device("cpu")).digest)
    assert digests[0] != digests[1] == digests[2]


SETS = """
import os, warnings
warnings.filterwarnings("error")
np.seterr(all="raise")
torch.set_grad_enabled(False)
torch.set_default_dtype(torch.float64)
def make():
    os.chdir("/")
    torch.set_num_threads(3)
    return Net().float()
"""


def test_what_a_module_sets_for_the_process_is_put_back(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def state() -> list[object]:
        own = [torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()]
        return [*own, np.geterr(), list(warnings.filters), Path.cwd()]

    before = state()
    write(own(end=SETS))
    classifier = loaded()
    assert state() == before
    assert classifier.probe(attacked=True) == []


def test_a_run_says_that_the_code_changed_and_fresh_measures_anew(
    write: Write, tmp_path: Path, capsys, monkeypatch
) -> None:
    def run(*flags: str) -> tuple[dict, str]:
        arguments = ("run", "robustness", "-c", tmp_path / "mine.yaml", "--out", tmp_path / "out")
        code, out, err = call_apart(capsys, monkeypatch, *arguments, "--json", *flags)
        assert code == 0, err
        return json.loads(out), err

    def files() -> dict[str, int]:
        store = Store(tmp_path / "out")
        parts = [p for cell in store.planned() for p in store.folder(cell).glob("part-*")]
        return {str(part): part.stat().st_ino for part in parts}

    body = "print('noise on stdout')\n        return self.logits(x)"
    write(own(body))
    said, err = run()
    assert "noise on stdout" in err and said["summary"]
    before = files()
    assert "all 2 cells are already there" in run()[1] and files() == before
    write(own(body + ".roll(1, 1)"))
    assert "mine: its code changed since these rows: they are measured again" in run()[1]
    changed = files()
    assert len(changed) == len(before) and not set(changed) & set(before)
    assert "already there" not in run("--fresh")[1]
    assert set(files()) == set(changed)
    assert "all 2 cells are already there" in run()[1]


def test_a_live_function_is_known_by_its_source() -> None:
    def grey(images: torch.Tensor) -> torch.Tensor:
        return images.mean((1, 2, 3))[:, None] * torch.arange(7.0)

    with live.offered({"mine": grey}) as entries:
        spec = PythonClassifier(**entries["mine"], class_order="dfew")
        found = load_python("mine", spec, torch.device("cpu"))
    with live.offered({"mine": lambda x: grey(x)}) as entries:
        spec = PythonClassifier(**entries["mine"], class_order="dfew")
        assert load_python("mine", spec, torch.device("cpu")).digest != found.digest


def test_pictures_without_a_number_are_counted_and_told(
    write: Write, tmp_path: Path, capsys, monkeypatch
) -> None:
    # Trying calls it four times; of seven pictures the last three then give NaN.
    write(own("return self.logits(x) + (float('nan') if self.calls > 8 else 0)"))
    (tmp_path / "mine.yaml").write_text(
        CONFIG.replace("{attacks: {fgsm: [4]}, attack_limit: 7}", "{}")
    )
    arguments = ("run", "robustness", "-c", tmp_path / "mine.yaml", "--out", tmp_path / "out")
    code, out, err = call_apart(capsys, monkeypatch, *arguments)
    assert code == 0, err
    assert "mine, clean 0: 3 of 7 pictures gave no number and count as wrong" in out
    page = tmp_path / "out" / "report" / "index.html"
    assert "3 of 7 pictures gave no number" in page.read_text()
    assert "3 of 7 pictures gave no number" in page.with_name("tables.md").read_text()
    header, row = csv.reader(page.with_name("summary.csv").read_text().splitlines())
    assert dict(zip(header, row, strict=True))["without_number"] == "3"
    code, out, _ = call_apart(capsys, monkeypatch, "report", tmp_path / "out", "--json")
    assert [row["without_number"] for row in json.loads(out)["summary"]] == [3]
