"""A leaderboard: what stands in it, that nothing in it can run, and that nothing leaves unasked."""

import csv
import json
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import huggingface_hub
import pytest
import yaml
from huggingface_hub.errors import LocalTokenNotFoundError
from pages import Elements
from typer.testing import CliRunner

from bench.cli import app
from bench.report.publish import publish_site
from bench.store.store import Store
from bench.util.errors import UserError


@pytest.fixture
def site(runs: list[Path], tmp_path: Path) -> Path:
    return publish_site(runs, tmp_path / "site").parent


def rows_of(site: Path) -> list[dict[str, str]]:
    with (site / "leaderboard.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_number_leads_to_its_manifest(site: Path, runs: list[Path]) -> None:
    elements = Elements((site / "index.html").read_text(encoding="utf-8"))
    links = [a["href"] for a in elements.all("a") if not (a["href"] or "").startswith("#")]
    copies = set(site.rglob("*.json"))
    assert {site / unquote(link or "") for link in links} == copies
    known = {cell.id for out in runs for cell in Store(out).planned()}
    assert {path.stem for path in copies} == known == {row["cell"] for row in rows_of(site)}
    for path in copies:
        (own,) = (p for out in runs for p in out.glob(f"cells/*/{path.stem}/cell.json"))
        assert path.read_bytes() == own.read_bytes()


def test_names_of_others_are_text(site: Path) -> None:
    html = (site / "index.html").read_text(encoding="utf-8")
    elements = Elements(html)
    assert not elements.all("b") and not elements.all("img")
    assert not any(name.startswith("on") for _, given in elements.found for name in given)
    addresses = [a.get(name) or "" for _, a in elements.found for name in ("src", "href")]
    beginnings = {address.partition("/")[0] for address in addresses if address[:1] not in "#"}
    assert beginnings <= {"", "data:,", "manifests"}
    assert "{{ 7 * 7 }}" in html and "49" not in html.partition("<main")[2].partition("n = ")[0]
    card = (site / "README.md").read_text(encoding="utf-8")
    assert "<img" not in card.replace("\\<", "")


def test_the_most_accurate_stands_first_with_its_numbers(site: Path) -> None:
    html = (site / "index.html").read_text(encoding="utf-8")
    board = html.partition('id="table-leaderboard"')[2].partition("</table>")[0]
    places = [board.index(name) for name in ("&lt;img", "ResNet-18")]
    assert places == sorted(places)
    for header in ("clean", "UAR", "gaussian noise", "pgd 2/255 (n\u00a02)", "run", "data set"):
        assert f">{header}</th>" in board
    assert "100.0" in board and "[51.0, 100.0]" in board  # 4 of 4, Wilson


def test_a_mark_stands_only_for_what_was_verified_and_is_the_same(
    runs: list[Path], tmp_path: Path
) -> None:
    store = Store(runs[0])
    cells = [c for c in store.planned() if c.classifier == "resnet18"]
    store.write_verified({cells[0].id: 3, cells[1].id: 1, "0" * 12: 9})
    site = publish_site(runs, tmp_path / "site").parent
    marked = {row["cell"]: row["verified_rows"] for row in rows_of(site)}
    assert marked.pop(cells[0].id) == "3" and marked.pop(cells[1].id) == "1"
    assert set(marked.values()) == {"0"}
    html = (site / "index.html").read_text(encoding="utf-8")
    assert "\u2713 4 rows of 2 of 3 cells" in html and html.count("\u2713 ") == 3

    manifest = store.manifest(cells[0])
    assert manifest is not None
    store.write_manifest(manifest.model_copy(update={"command": "another"}))
    again = publish_site(runs, tmp_path / "site").parent
    assert {row["verified_rows"] for row in rows_of(again)} == {"0", "1"}
    (runs[0] / "verified.json").write_text('{"cells": {}}')  # edited: without its checksum
    publish_site(runs, tmp_path / "site")
    assert {row["verified_rows"] for row in rows_of(site)} == {"0"}


def test_results_are_in_the_form_of_the_hub(runs: list[Path], tmp_path: Path) -> None:
    page = publish_site(runs[:1], tmp_path / "site")
    text = (page.parent / ".eval_results" / "resnet18.yaml").read_text(encoding="utf-8")
    entries = huggingface_hub.parse_eval_result_entries(yaml.safe_load(text))
    found = {entry.task_id: (entry.dataset_id, entry.value) for entry in entries}
    assert found == {
        "faces_clean": ("faces", 75.0),
        "faces_gaussian_noise_1": ("faces", 50.0),
        "faces_pgd_2_255": ("faces", 50.0),
    }
    assert "n 2, seed 0" in (entries[2].notes or "")
    head = (page.parent / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    assert yaml.safe_load(head)["configs"][0]["data_files"] == "leaderboard.csv"


def test_nothing_else_is_replaced(runs: list[Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    publish_site(runs, site)
    publish_site(runs[:1], site)
    assert {row["run"] for row in rows_of(site)} == {"a-run-more"}
    (site / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"holds thesis\.tex"):
        publish_site(runs, site)
    assert (site / "thesis.tex").read_text() == "years of work"
    with pytest.raises(UserError, match="is a file"):
        publish_site(runs, site / "thesis.tex")


def test_a_run_is_named_once(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="named twice"):
        publish_site([*runs, runs[0] / ".." / runs[0].name], tmp_path / "site")


def test_damaged_results_are_not_published(runs: list[Path], tmp_path: Path) -> None:
    part = next(runs[0].glob("cells/resnet18/*/part-*.parquet"))
    part.write_bytes(part.read_bytes()[:-5])
    with pytest.raises(UserError, match="damaged"):
        publish_site(runs, tmp_path / "site")
    assert not (tmp_path / "site").exists()


class Hub:
    """In the place of the hub's client."""

    asked: ClassVar[list[tuple[str, Any]]] = []
    error: Exception | None = None

    def whoami(self) -> None:
        if self.error is not None:
            raise self.error

    def create_repo(self, name: str, **given: Any) -> None:
        self.asked.append((name, given))

    def upload_folder(self, **given: Any) -> None:
        self.asked.append(("upload", given))


def test_it_is_uploaded_only_when_asked(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(Hub, "asked", [])
    to = str(tmp_path / "site")
    call = ["publish", *map(str, runs), "--to", to]
    assert CliRunner().invoke(app, call).exit_code == 0 and not Hub.asked
    done = CliRunner().invoke(app, [*call, "--push", "me/board", "--json"])
    assert json.loads(done.stdout) == {"page": f"{to}/index.html", "pushed": "me/board"}
    (made, about), (_, upload) = Hub.asked
    assert made == "me/board" and about["private"] and about["repo_type"] == "dataset"
    assert str(upload["folder_path"]) == to and upload["repo_id"] == "me/board"
    text = (tmp_path / "site" / ".eval_results" / "resnet18.yaml").read_text()
    assert yaml.safe_load(text)[0]["dataset"]["id"] == "me/board"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LocalTokenNotFoundError("no token"), "not logged in.*hf auth login.*lies in"),
        (ConnectionError("no network"), r"could not be asked, or refused \(no network\)"),
    ],
)
def test_why_it_was_not_uploaded_is_said(
    runs: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    said: str,
) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(Hub, "error", error)
    with pytest.raises(UserError, match=said):
        publish_site(runs, tmp_path / "site", "me/board")
    assert (tmp_path / "site" / "index.html").exists()
    with pytest.raises(UserError, match="OWNER/NAME"):
        publish_site(runs, tmp_path / "other", "https://huggingface.co/me/board")
    assert not (tmp_path / "other").exists()
