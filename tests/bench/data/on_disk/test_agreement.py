"""Gated data sets: refused until the user says that they hold the agreement, then never asked."""

import io
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import assert_refused
from support import TINY

from bench.cli.target import settle_agreement
from bench.data.config import CrossData
from bench.data.on_disk import open_layout
from bench.data.on_disk.dataset import VARIABLE, agreement_is_needed, confirm
from bench.data.readers import Layout, make_like
from bench.data.readers.base import DRAWN_MARK
from bench.data.readers.raf_db import RafDb, RafDbCompound
from bench.util.errors import UserError


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RAF-DB as it comes, of drawn faces."""
    root = tmp_path_factory.mktemp("drawn") / "raf"
    make_like("raf_db", root, 2)
    return root


@pytest.fixture
def gated(drawn: Path, tmp_path: Path) -> Path:
    """The same without what marks it as drawn."""
    root = Path(shutil.copytree(drawn, tmp_path / "raf"))
    (root / DRAWN_MARK).unlink()
    return root


@pytest.fixture(autouse=True)
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a user who was never asked."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "config" / "emodc-bench" / "agreements.json"


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a person with these answers before a terminal."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    return lambda text: monkeypatch.setattr(sys, "stdin", Terminal(text))


def needed(layout: Layout) -> bool:
    return agreement_is_needed(layout, layout.listing())


@pytest.mark.parametrize(
    "command",
    [
        ("data", "show", "raf_db"),
        ("run", "robustness", "-c", TINY, "--dry-run", "--data", "raf_db"),
        ("run", "robustness", "-c", TINY, "--data", "raf_db"),
        ("train", "-c", TINY, "--data", "raf_db"),
    ],
)
def test_every_command_refuses_with_the_terms_and_the_ways(
    bench, gated: Path, record: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    outcome = bench(*command, "--root", gated, *([] if "--dry-run" in command else out(tmp_path)))
    assert_refused(
        outcome,
        "RAF-DB basic is given out under an agreement (non-commercial research and education",
        "--i-hold-the-agreement",
        f"{VARIABLE}=raf_db",
    )
    assert not (tmp_path / "out").exists() and not record.exists()


def out(tmp_path: Path) -> list[str]:
    return ["--out", str(tmp_path / "out")]


def test_a_job_without_standard_input_is_refused(
    bench, gated: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert_refused(bench("data", "show", "raf_db", "--root", gated, *out(tmp_path)), VARIABLE)


def test_python_callers_are_refused_too(gated: Path) -> None:
    with pytest.raises(UserError, match="under an agreement") as caught:
        open_layout(RafDb(root=gated))
    assert caught.value.exit_code == 2


def test_the_flag_confirms_and_is_remembered(
    bench, gated: Path, record: Path, tmp_path: Path
) -> None:
    show = ("data", "show", "raf_db", "--root", gated, "--columns", 1, *out(tmp_path))
    assert bench(*show, "--i-hold-the-agreement")[0] == 0
    assert json.loads(record.read_text()) == ["raf_db"]
    assert bench(*show)[0] == 0


def test_one_agreement_is_not_the_other(gated: Path, record: Path, tmp_path: Path) -> None:
    make_like("raf_db_compound", tmp_path / "compound", 2)
    (tmp_path / "compound" / DRAWN_MARK).unlink()
    confirm("raf_db")
    assert not needed(RafDb(root=gated))
    assert needed(RafDbCompound(root=tmp_path / "compound"))
    confirm("raf_db_compound")
    assert json.loads(record.read_text()) == ["raf_db", "raf_db_compound"]


def test_the_variable_counts_as_long_as_it_is_set(
    gated: Path, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, " raf_db_compound , raf_db,")
    assert not needed(RafDb(root=gated))
    assert not record.exists()
    monkeypatch.setenv(VARIABLE, "raf_db_compound")
    assert needed(RafDb(root=gated))
    monkeypatch.setenv(VARIABLE, "raf_bd")
    with pytest.raises(UserError, match=rf"{VARIABLE}.*'raf_bd'.*Did you mean raf_db"):
        needed(RafDb(root=gated))


def test_drawn_trees_never_ask_and_a_tree_without_its_mark_does(
    bench, drawn: Path, gated: Path, record: Path, answer: Callable[[str], None], tmp_path: Path
) -> None:
    answer("")  # a question would end in an error
    show = ("data", "show", "raf_db", "--root", drawn, "--columns", 1, *out(tmp_path))
    assert bench(*show)[0] == 0
    assert not record.exists()
    assert needed(RafDb(root=gated))
    (gated / DRAWN_MARK).write_text("drawn")
    assert not needed(RafDb(root=gated))


def test_a_person_who_declines_is_refused(
    bench, gated: Path, record: Path, answer: Callable[[str], None], tmp_path: Path
) -> None:
    answer("n\n")
    outcome = bench("data", "show", "raf_db", "--root", gated, *out(tmp_path))
    assert_refused(outcome, "Do you hold it?", "under an agreement", VARIABLE)
    assert not record.exists() and not (tmp_path / "out").exists()


def test_a_person_who_agrees_is_asked_once(
    bench,
    document,
    gated: Path,
    record: Path,
    answer: Callable[[str], None],
    tmp_path: Path,
) -> None:
    show = ("data", "show", "raf_db", "--root", gated, "--columns", 1, *out(tmp_path))
    answer("y\n")
    assert document(*show)[0] == 0  # the question is not on stdout
    assert json.loads(record.read_text()) == ["raf_db"]
    answer("")
    code, text = bench(*show)
    assert code == 0 and "Do you hold it?" not in text


def test_on_a_real_terminal_the_question_waits_for_an_answer(gated: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bench", "data", "show", "raf_db", "--root", str(gated)]
    with subprocess.Popen(
        [*command, *out(tmp_path)], stdin=theirs, stderr=subprocess.PIPE, text=True
    ) as process:
        os.write(ours, b"n\n")
        assert process.stderr is not None
        text = process.stderr.read()
    os.close(ours)
    os.close(theirs)
    assert_refused((process.returncode, text), "Do you hold it? [y/N]", "under an agreement")


@pytest.mark.parametrize("content", [b"", b"{", b"7", b'{"raf_db": 1}', b'[["raf_db"]]', b"\xff["])
def test_a_damaged_record_is_an_empty_one(gated: Path, record: Path, content: bytes) -> None:
    record.parent.mkdir(parents=True)
    record.write_bytes(content)
    assert needed(RafDb(root=gated))
    confirm("raf_db")
    assert json.loads(record.read_text()) == ["raf_db"]


def test_a_folder_that_cannot_be_written_is_named_with_the_other_way(
    bench, gated: Path, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("a file where the folder should be")
    show = ("data", "show", "raf_db", "--root", gated, *out(tmp_path))
    outcome = bench(*show, "--i-hold-the-agreement")
    assert_refused(outcome, str(tmp_path / "config"), f"{VARIABLE}=raf_db", code=1)


def both_sides(train: Layout, test: Layout) -> CrossData:
    return CrossData.model_validate({"kind": "cross", "train": train, "test": test})


def test_both_sides_of_a_cross_run_are_settled_at_once(
    gated: Path, record: Path, answer: Callable[[str], None], tmp_path: Path
) -> None:
    make_like("raf_db_compound", tmp_path / "compound", 2)
    (tmp_path / "compound" / DRAWN_MARK).unlink()
    cross = both_sides(RafDb(root=gated), RafDbCompound(root=tmp_path / "compound"))
    with pytest.raises(UserError, match=rf"{VARIABLE}=raf_db,raf_db_compound"):
        settle_agreement(cross, agreed=False)
    answer("y\nn\n")
    with pytest.raises(UserError, match=rf"{VARIABLE}=raf_db_compound"):
        settle_agreement(cross, agreed=False)
    assert json.loads(record.read_text()) == ["raf_db"]
    settle_agreement(cross, agreed=True)
    assert json.loads(record.read_text()) == ["raf_db", "raf_db_compound"]
    settle_agreement(cross, agreed=False)


def test_one_data_set_on_both_sides_is_asked_about_once(
    gated: Path, record: Path, answer: Callable[[str], None]
) -> None:
    answer("y\n")
    settle_agreement(both_sides(RafDb(root=gated), RafDb(root=gated)), agreed=False)
    assert json.loads(record.read_text()) == ["raf_db"]
