"""A leaderboard of one run or of several, as files: `bench publish OUT --to FOLDER`.

    FOLDER/index.html                 sortable tables; opens from disk, asks nothing of a network
    FOLDER/leaderboard.csv            a row per cell
    FOLDER/manifests/RUN/CELL.json    what stands behind each cell, as the run stored it
    FOLDER/README.md                  a data set card of the Hugging Face hub
    FOLDER/.eval_results/NAME.yaml    a classifier's results, for its own repository on that hub

Nothing is uploaded unless a repository is named. A row is verified by re-run where `bench verify`
computed rows of its cells anew, they agreed, and the cells have not changed since.
"""

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
import yaml

from bench import __version__
from bench.report.page import Command, Page, PageSection, cells_table, summary_table, write_page
from bench.report.present import markdown, markdown_text, plain, relabelled
from bench.report.results import Result, Results, ResultSet, read
from bench.report.spec import Link, TableSpec, Value, how_to_read, seeds_text, setting, unique
from bench.report.write import labels_of, summary_csv, summary_frame
from bench.store.cells import Cell, pictures_of
from bench.store.store import Store
from bench.util.errors import UserError
from bench.util.files import atomic

_PAGE, _CARD, _CSV = "index.html", "README.md", "leaderboard.csv"
_MANIFESTS, _HUB = "manifests", ".eval_results"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_VERIFIED = "verified by re-run"


@dataclass(frozen=True, eq=False)
class _Run:
    """One run.

    Attributes:
        name: Of its folder, unique among those published together.
        store: Its store.
        results: What it holds.
    """

    name: str
    store: Store
    results: Results

    @cached_property
    def labels(self) -> dict[str, str]:
        """What people read of classifiers, by their shown names."""
        return labels_of(self.results, self.store)

    def manifest(self, cell: Cell, text: str) -> Link:
        """The way to the copy of a cell's manifest."""
        return Link(text, f"{_MANIFESTS}/{self.name}/{cell.id}.json")

    def verified(self, results: Sequence[Result]) -> str | None:
        """How much of some cells was computed anew and agreed; None for nothing."""
        each = [self.store.verified(result.cell) for result in results]
        if not any(each):
            return None
        rows, cells = sum(each), sum(map(bool, each))
        where = "" if len(each) == 1 else f" of {cells} of {len(each)} cells"
        return f"\u2713 {rows} row{'' if rows == 1 else 's'}{where}"


def publish_site(
    outs: Sequence[Path], to: Path, repository: str | None = None, title: str = "Leaderboard"
) -> Path:
    """Write the leaderboard of runs, in the place of an earlier one.

    Args:
        outs: Folders of runs.
        to: The folder to write.
        repository: OWNER/NAME of a data set on the Hugging Face hub, to which it is uploaded.
        title: Of the page and the card.

    Returns:
        The page.

    Raises:
        UserError: If a run is named twice, has no complete cell or damaged ones, if the folder
            holds anything else, or if the upload fails.
    """
    if repository is not None and not _REPOSITORY.fullmatch(repository):
        raise UserError(f"--push {repository}: name a data set of the hub as OWNER/NAME.")
    if len({out.resolve() for out in outs}) < len(outs):
        raise UserError("a run is named twice: name each folder once.")
    _require_own(to)
    names = unique(plain(out.resolve().name) for out in outs)
    runs = [_Run(name, Store(out), read(out)) for name, out in zip(names, outs, strict=True)]
    for reason in (reason for run in runs for reason in run.results.refused):
        raise UserError(f"nothing is published of damaged results: {reason}", 1)
    board, cells = _board(runs), _cells(runs)
    with atomic(to) as scratch:
        (scratch / _HUB).mkdir(parents=True)
        for run in runs:
            (scratch / _MANIFESTS / run.name).mkdir(parents=True)
            for cell in _all_cells(run):
                copy = scratch / _MANIFESTS / run.name / f"{cell.id}.json"
                shutil.copyfile(run.store.folder(cell) / "cell.json", copy)
        write_page(scratch / _PAGE, _page(runs, board, cells, title))
        texts = {_CSV: summary_csv(_frame(runs)), _CARD: _card(runs, board, title)}
        texts |= {f"{_HUB}/{name}.yaml": text for name, text in _for_the_hub(runs, repository)}
        for name, text in texts.items():
            (scratch / name).write_bytes(text.encode("utf-8", "backslashreplace"))
    if repository is not None:
        _push(to, repository)
    return to / _PAGE


def _require_own(folder: Path) -> None:
    """Refuse to replace what is no earlier leaderboard."""
    own = {_PAGE, _CARD, _CSV, _MANIFESTS, _HUB}
    try:
        others = sorted(path.name for path in folder.iterdir() if path.name not in own)
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise UserError(f"--to {folder} is a file: name a folder.") from error
    if others:
        raise UserError(
            f"--to {folder} holds {others[0]}, which is of no leaderboard and would be lost: name "
            "another folder."
        )


# ------------------------------------------------------------------------------------------------
# Tables
# ------------------------------------------------------------------------------------------------


def _board(runs: Sequence[_Run]) -> TableSpec:
    """A row per classifier, data set and run, the most accurate on clean pictures first."""
    places = [(run, group) for run in runs for group in run.results.groups]
    spec = summary_table([group for _, group in places])
    clean, count = 2, len(spec.header) - 3  # columns "clean" and "n"
    rows: list[tuple[tuple[str, float], tuple[Value, ...], set[int]]] = []
    given = iter(enumerate(spec.rows))
    for run, group in places:
        for classifier, name in group.names.items():
            (number, row), found = next(given), group.clean(classifier)
            own = [r for r in group.results if r.cell.classifier == classifier]
            first = found.cell if found is not None else own[0].cell if own else None
            order = group.dataset, 0.0 if found is None else -found.accuracy.value
            where = group.slug if len(places) > 1 else None
            begins = (run.labels.get(name, name), where, run.name if len(runs) > 1 else None)
            ends = (run.verified(own), None if first is None else run.manifest(first, first.id))
            uar = None if found is None else found.uar
            # n stands with the accuracies that it is of.
            measured = (row[clean], uar, row[count], *row[clean + 1 : count])
            met = {c + 3 for r, c in spec.seen if r == number}  # behind the run, UAR and n
            # Manifests have more.
            rows.append((order, (*begins, *measured, row[count + 1], *ends), met))
    rows.sort(key=lambda own: own[0])
    columns = ("clean", "UAR", "n", *spec.header[clean + 1 : count], spec.header[count + 1])
    header = ("classifier", "data set", "run", *columns, _VERIFIED, "manifest")
    about = f"{spec.caption} Rows of different runs were not tested against each other."
    body = tuple(row for _, row, _ in rows)
    seen = frozenset((r, c) for r, (*_, met) in enumerate(rows) for c in met)
    return TableSpec("leaderboard", "All classifiers", about, header, body, seen=seen).filled()


def _cells(runs: Sequence[_Run]) -> TableSpec:
    """A row per complete cell."""
    rows: list[tuple[Value, ...]] = []
    for run in runs:
        spec = cells_table(run.results)
        shown = relabelled(spec, run.labels).rows
        for result, row in zip(run.results.complete, shown, strict=True):
            where = run.name if len(runs) > 1 else None
            ends = run.verified([result]), run.manifest(result.cell, result.cell.id)
            rows.append((*row[:2], where, *row[2:-1], *ends))
    header = (*spec.header[:2], "run", *spec.header[2:-1], _VERIFIED, "manifest")
    about = "Every complete cell, 95% Wilson intervals, with its manifest."
    return TableSpec("cells", "All cells", about, header, tuple(rows)).filled()


def _all_cells(run: _Run) -> Iterator[Cell]:
    """Every cell that a number rests on."""
    kept = run.results
    yield from (one.cell for one in kept.flips)
    for results in (kept.complete, kept.levels, kept.draws, kept.validation, kept.views):
        yield from (one.cell for one in results)


def _frame(runs: Sequence[_Run]) -> pd.DataFrame:
    """The summaries of all runs, with run, cell and the number of verified rows."""
    parts = []
    for run in runs:
        cells = [result.cell for result in run.results.complete]
        frame = summary_frame(run.results.complete)
        frame["run"] = run.name
        frame["cell"] = [cell.id for cell in cells]
        frame["verified_rows"] = [run.store.verified(cell) for cell in cells]
        parts.append(frame)
    return pd.concat(parts, ignore_index=True).astype(object)


# ------------------------------------------------------------------------------------------------
# The page, the card, and results for the hub
# ------------------------------------------------------------------------------------------------


def _groups(runs: Sequence[_Run]) -> list[ResultSet]:
    return [group for run in runs for group in run.results.groups]


def _intro(runs: Sequence[_Run]) -> list[str]:
    settings = (setting(group, group.results) for group in _groups(runs))
    return [
        *(f"{sentence}." for sentence in dict.fromkeys(settings)),
        f"Written by the EmoDC bench {__version__}.",
    ]


def _trust(runs: Sequence[_Run]) -> str:
    verified = [run.store.verified(cell) > 0 for run in runs for cell in _all_cells(run)]
    count = sum(verified)
    return (
        f"{_VERIFIED.capitalize()}: how many rows the publisher computed anew by `bench verify`, "
        f"all of which agreed ({count} of {len(verified)} cells). Who has a run's folder can "
        "repeat that."
    )


def _page(runs: Sequence[_Run], board: TableSpec, cells: TableSpec, title: str) -> Page:
    names = dict.fromkeys(str(row[0]) for row in board.rows)
    command = Command("Rows of a run computed anew.", "bench verify RESULTS --samples 200")
    return Page(
        title=title,
        intro=tuple(_intro(runs)),
        how_to_read=(*how_to_read(_groups(runs)), _trust(runs)),
        summary=board,
        sections=(PageSection("All cells", "cells", (cells,)),),
        classifiers=tuple(names),
        commands=(command,),
    )


def _card(runs: Sequence[_Run], board: TableSpec, title: str) -> str:
    head = {
        "pretty_name": title,
        "tags": ["facial-expression-recognition", "robustness", "benchmark"],
        "task_categories": ["image-classification"],
        "configs": [{"config_name": "cells", "data_files": _CSV}],
    }
    table = replace(board, rows=tuple(tuple(_in_markdown(v) for v in row) for row in board.rows))
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n",
        f"# {markdown_text(title)}\n",
        *(f"{markdown_text(sentence)}\n" for sentence in _intro(runs)),
        markdown(table, alone=False),
        "## How to read\n",
        "".join(f"- {markdown_text(s)}\n" for s in (*how_to_read(_groups(runs)), _trust(runs))),
        "## Files\n",
        f"- `{_CSV}`: a row per cell\n- `{_MANIFESTS}/`: what stands behind each, by run and cell\n"
        f"- `{_PAGE}`: the same as a page that sorts and filters\n- `{_HUB}/`: a classifier's "
        f"results each, to be copied into `{_HUB}/` of its own repository\n",
    ]
    return "\n".join(parts)


def _in_markdown(value: Value) -> Value:
    return f"{value} ({value.address})" if isinstance(value, Link) else value


def _for_the_hub(runs: Sequence[_Run], repository: str | None) -> Iterator[tuple[str, str]]:
    """Name and YAML of each classifier's results, in the form of the hub."""
    each = [(run, c) for run in runs for c in {r.cell.classifier: 0 for r in run.results.complete}]
    names = unique(plain(classifier) for _, classifier in each)
    for name, (run, classifier) in zip(names, each, strict=True):
        entries = [
            _entry(group, result, repository)
            for group in run.results.groups
            for perturbation in dict.fromkeys(r.cell.perturbation for r in group.results)
            for result in group.under(classifier, perturbation)
        ]
        yield name, yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)


def _entry(group: ResultSet, result: Result, repository: str | None) -> dict[str, object]:
    cell, found = result.cell, result.accuracy
    what = plain(pictures_of(cell.perturbation, cell.family, cell.severity)).replace("-", "_")
    notes = (
        f"accuracy in percent {found.range}, 95% interval, n {result.n}, {seeds_text(group)}, "
        f"EmoDC bench {__version__}"
    )
    # Without a repository the data set is named as the run names it.
    about = {"id": repository or group.dataset, "task_id": f"{plain(group.dataset)}_{what}"}
    entry: dict[str, object] = {"dataset": about, "value": round(100 * found.value, 2)}
    if repository is not None:
        entry["source"] = {"url": _address(repository), "name": "EmoDC bench"}
    return entry | {"notes": notes}


# ------------------------------------------------------------------------------------------------
# The hub
# ------------------------------------------------------------------------------------------------


def _address(repository: str) -> str:
    return f"https://huggingface.co/datasets/{repository}"


def _push(folder: Path, repository: str) -> None:
    """Upload a written leaderboard; a new repository is private.

    Raises:
        UserError: If nobody is logged in, or the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import LocalTokenNotFoundError

    api, where = HfApi(), f"The leaderboard lies in {folder}"
    try:
        api.whoami()
        api.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            repo_type="dataset",
            folder_path=folder,
            commit_message="A leaderboard of the EmoDC bench",
        )
    except LocalTokenNotFoundError as error:
        raise UserError(
            f"--push {repository}: you are not logged in at the Hugging Face hub. Run `hf auth "
            f"login`, or set HF_TOKEN, and publish again. {where}.",
            1,
        ) from error
    except Exception as error:  # the hub's client raises whatever its transport does
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"--push {repository}: the hub could not be asked, or refused ({reason}). {where}; "
            "the same command uploads it.",
            1,
        ) from error
