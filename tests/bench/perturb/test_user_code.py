"""Corruptions and attacks of a user's own: what they compute is in the id, faults are named."""

import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import call_apart

from bench.config import parse
from bench.perturb import user_code
from bench.store.cells import Manifest
from bench.store.store import Store
from bench.sweep.run import dry_run, run
from bench.util.errors import UserError
from bench.util.progress import Reporter

FOG = """
def fog(pictures, severity, draws):
    noise = np.stack([d.integers(0, 9, pictures.shape[1:]) for d in draws])
    return (pictures * 0.5 + STRENGTH * severity + noise).clip(0, 255).astype(np.uint8)
"""
ATTACK = """
def push(images, labels, logits, eps):
    images = images.requires_grad_()
    loss = torch.nn.functional.cross_entropy(logits(images), labels)
    step = torch.autograd.grad(loss, images)[0].sign()
    return (images.detach() + eps * step).clamp(0, 1)
"""
NET = """
class Net(torch.nn.Module):
    classes = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
    def forward(self, x):
        m = x.mean((2, 3)) * self.scale
        return torch.cat([m, -m, m[:, :1] * 0.3], 1)
def net():
    return Net()
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes the module `mine` and forgets an earlier one."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def writer(text: str, strength: int = 10) -> None:
        head = f"import numpy as np\nimport torch\nSTRENGTH = {strength}\n"
        (tmp_path / "mine.py").write_text(head + text)
        sys.modules.pop("mine", None)
        import importlib
        import linecache

        importlib.invalidate_caches()
        linecache.clearcache()
        user_code._corrupted_probe.cache_clear()
        user_code._attacked_probe.cache_clear()

    yield writer
    sys.modules.pop("mine", None)


def corruption(function: str = "fog") -> user_code.UserCorruption:
    return user_code.UserCorruption("my_fog", f"mine:{function}")


def test_the_inputs_follow_source_and_outputs(write) -> None:
    write(FOG)
    first = corruption().inputs("1")
    assert first == corruption().inputs("1") and first != corruption().inputs("2")
    write(FOG, strength=11)  # which is beside the function
    other = corruption().inputs("1")
    assert other["source"] != first["source"] and other["outputs"] != first["outputs"]
    write(FOG.replace("0, 9", "0,  9"))  # what it computes is the same
    again = corruption().inputs("1")
    assert again["source"] != first["source"] and again["outputs"] == first["outputs"]
    write(ATTACK)
    attack = user_code.UserAttack("push", "mine:push")
    found = attack.inputs("4/255")
    write(ATTACK.replace("eps * step", "0.5 * eps * step"))
    assert attack.inputs("4/255")["outputs"] != found["outputs"]


USED = """
import functools
from uses import helpers as h
from uses.more import *
MEAN = [0.5]
MEAN[0] = 0.4
if MEAN:
    STD = 1
class Base:
    def crop(self, pictures):
        return h.crop(pictures) if len(pictures) > 99 else pictures
class Own(Base):
    scale = STD
def make(pictures, severity, draws):
    from uses.late import last
    return Own().crop(pictures) + MEAN[0] + more() + last
made = functools.partial(make, 3)
def unused():
    return 1
"""
PACKAGE = {
    "helpers": "from .deep import SIZE as S\ndef crop(x):\n    return x[:S]\n"
    "def other():\n    return 1\n",
    "deep": "SIZE = 3\nfrom uses import helpers\n",
    "more": "def more():\n    return 2\n",
    "late": "last = 5\n",
}


@pytest.mark.parametrize(
    ("file", "old", "new", "same"),
    [
        ("mine", "MEAN[0] = 0.4", "MEAN[0] = 0.3", False),
        ("mine", "STD = 1", "STD = 2", False),
        ("mine", "> 99", "> 98", False),
        ("mine", "make, 3", "make, 4", None),
        ("helpers", "x[:S]", "x[1:S]", False),
        ("deep", "SIZE = 3", "SIZE = 4", False),
        ("more", "return 2", "return 3", False),
        ("late", "last = 5", "last = 6", False),
        ("mine", "return 1", "return 2", True),
        ("helpers", "return 1", "return 2", True),
        ("deep", "SIZE = 3", "SIZE = 3  # pixels", True),
        ("mine", "import functools", "import functools\n\n\n", True),
    ],
)
def test_the_source_is_that_of_all_that_is_used_in_whatever_file(
    write, tmp_path: Path, file: str, old: str, new: str, same: bool | None
) -> None:
    def digests() -> tuple[str, str]:
        for name in [name for name in sys.modules if name.partition(".")[0] == "uses"]:
            del sys.modules[name]
        write(text["mine"])
        for name, content in text.items():
            if name != "mine":
                (tmp_path / "uses" / f"{name}.py").write_text(content)
        return user_code._source("mine:make"), user_code._source("mine:made")

    (tmp_path / "uses").mkdir()
    (tmp_path / "uses" / "__init__.py").write_text("")
    text = {"mine": USED, **PACKAGE}
    before = digests()
    assert old in text[file]
    text[file] = text[file].replace(old, new)
    make, made = (now == then for now, then in zip(digests(), before, strict=True))
    assert make == (same is not False) and made == bool(same)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("return None", "it returned NoneType"),
        ("return pictures / 255", "it returned float64"),
        ("return pictures[:, 1:]", "it returned uint8 (2, 39, 32, 3)"),
        ("return pictures[0]", "it returned uint8 (40, 32, 3)"),
        ("raise KeyError('x')", "KeyError: 'x' (mine.py, line 5)"),
        ("return torch.zeros(2)", "it returned Tensor"),
        ("return np.random.randint(0, 9, pictures.shape).astype(np.uint8)", "two results"),
        ("return pictures - pictures.mean(0, dtype=int).astype(np.uint8)", "beside it"),
        ("return draws[0].integers(0, 9, pictures.shape).astype(np.uint8)", "beside it"),
    ],
)
def test_wrong_corruptions_are_named(write, body: str, sentence: str) -> None:
    write(f"def fog(pictures, severity, draws):\n    {body}\n")
    with pytest.raises(UserError) as caught:
        corruption().inputs("1")
    assert "mine:fog" in str(caught.value) and sentence in str(caught.value)


@pytest.mark.parametrize(
    ("factory", "sentence"),
    [
        ("nowhere_at_all:fog", "cannot be imported: ModuleNotFoundError"),
        ("mine:foggy", "cannot be imported: AttributeError"),
        ("mine:STRENGTH", "must be a function, and is int"),
    ],
)
def test_functions_that_are_not_there_are_named(write, factory: str, sentence: str) -> None:
    write(FOG)
    with pytest.raises(UserError) as caught:
        user_code.UserCorruption("my_fog", factory).inputs("1")
    assert factory in str(caught.value) and sentence in str(caught.value)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("return images.numpy()", "it returned ndarray"),
        ("return images[0]", "it returned float32 (3, 40, 32)"),
        ("return (images * 255).byte()", "it returned uint8"),
        ("return images * float('nan')", "no finite numbers"),
        ("return images - 1", "values from"),
        ("return (images + 3 * eps).clamp(0, 1)", "a change of 12/255 for eps 4/255"),
        ("return logits.nothing(images)", "failed: AttributeError"),
        ("u = np.random.default_rng().random(images.shape)\n    "
         "return images + torch.tensor(u).float() * eps / 2",
         "two results"),
    ],
)  # fmt: skip
def test_wrong_attacks_are_named(write, body: str, sentence: str) -> None:
    write(f"def push(images, labels, logits, eps):\n    {body}\n")
    with pytest.raises(UserError) as caught:
        user_code.UserAttack("push", "mine:push").inputs("4/255")
    assert "mine:push" in str(caught.value) and sentence in str(caught.value)


def test_a_run_measures_them_and_a_changed_function_anew(
    write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {
        "validation": False,
        "data": {"kind": "faces", "train": 14, "val": 7, "test": 7},
        "classifiers": {"net": {"kind": "python", "factory": "mine:net",
                                "check_class_order": False}},
        "perturbations": {
            "corruptions": {"my_fog": {"kind": "python", "factory": "mine:fog",
                                       "severities": [1, 3]}},
            "attacks": {"push": {"kind": "python", "factory": "mine:push", "eps": [4, 0.25]}},
            "attack_limit": 3,
        },
        "execution": {"workers": 1},
    }  # fmt: skip
    write(FOG + ATTACK + NET)
    config, out = parse(content, "here"), tmp_path / "out"
    store = run(config, out, Reporter())
    shown = [f"{cell.perturbation} {cell.severity}" for cell in store.planned()]
    assert shown == ["clean 0", "my_fog 1", "my_fog 3", "push 0.25/255", "push 4/255"]
    assert [manifest_of(store, i).n for i in range(5)] == [7, 7, 7, 3, 3]
    first = manifest_of(store, 1)
    assert first.inputs["perturbation"]["function"] == "mine:fog"
    assert not any(shown for _, done, _ in dry_run(config, out).cells if not done)
    write(FOG.replace("0.5", "0.4") + ATTACK + NET)
    assert [done for _, done, _ in dry_run(config, out).cells] == [True, False, False, True, True]
    capsys.readouterr()
    again = run(config, out, Reporter())
    assert "my_fog: its code changed since these rows" in capsys.readouterr().err
    assert manifest_of(again, 1).cell.id != first.cell.id
    logits = [np.stack(store.rows(m)["logits"]) for m in (first, manifest_of(again, 1))]
    assert not np.array_equal(*logits)


def test_a_dry_run_says_whose_code_it_imports(
    write, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(FOG + ATTACK + NET)
    (tmp_path / "own.yaml").write_text(
        "data: {kind: faces, train: 14, val: 7, test: 7}\n"
        "classifiers: {net: {kind: python, factory: 'mine:net', check_class_order: false}}\n"
        "perturbations:\n"
        "  corruptions: {my_fog: {kind: python, factory: 'mine:fog'}, gaussian_noise: [1]}\n"
        "  attacks: {push: {kind: python, factory: 'mine:push', eps: [4]}}\n"
    )
    flags = ("-c", tmp_path / "own.yaml", "--out", tmp_path / "out", "--dry-run")
    code, _, err = call_apart(capsys, monkeypatch, "run", "robustness", *flags)
    assert code == 0
    said = [line for line in err.splitlines() if "imported and tried" in line]
    whose = ["classifier 'net'", "perturbation 'my_fog'", "perturbation 'push'"]
    assert [line.partition(":")[0] for line in said] == whose


def manifest_of(store: Store, number: int) -> Manifest:
    found = store.manifest(store.planned()[number])
    assert found is not None
    return found
