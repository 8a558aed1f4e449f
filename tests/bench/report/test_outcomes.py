"""Rows as columns of numbers: order, codes, ties, subsets, and what is refused."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bench.report.outcomes import TIE, Outcomes, recognised, shared_samples
from bench.store.store import ROW_SCHEMA
from bench.util.errors import UserError

CLASSES = ["sad", "happy"]


def table(*rows: tuple[str, str, str | None], logits: object = (0.5, 1.5)) -> pa.Table:
    frame = pd.DataFrame(rows, columns=["sample_id", "label", "prediction"])
    frame["logits"] = [logits] * len(rows)
    frame["d_p"], frame["evaluations"], frame["seconds"] = None, 3, 0.5
    return pa.Table.from_pandas(frame, schema=ROW_SCHEMA, preserve_index=False)


ROWS = (("b", "happy", None), ("c", "sad", "happy"), ("a", "sad", "sad"))


def test_rows_are_ordered_by_sample_and_names_become_positions() -> None:
    found = Outcomes.of(table(*ROWS), CLASSES)
    assert found.ids.tolist() == ["a", "b", "c"]
    assert found.labels.tolist() == [0, 1, 0]
    assert found.predictions.tolist() == [0, TIE, 1]
    assert found.right.tolist() == [True, False, False]
    assert found.logits.tolist() == [[0.5, 1.5]] * 3
    assert np.isnan(found.d_p).all() and found.evaluations.tolist() == [3, 3, 3]
    assert (found.decision("b"), found.decision("c"), found.label("c")) == (None, "happy", "sad")


def test_equal_ids_are_kept_once() -> None:
    first = Outcomes.of(table(*ROWS), CLASSES)
    again = Outcomes.of(table(*reversed(ROWS)), CLASSES, like=first)
    assert again.ids is first.ids
    assert Outcomes.of(table(*ROWS[:2]), CLASSES, like=first).ids.tolist() == ["b", "c"]


def test_shared_samples_are_those_of_all() -> None:
    first, second = (Outcomes.of(table(*rows), CLASSES) for rows in (ROWS, ROWS[1:]))
    both = shared_samples([first, second])
    assert [own.ids.tolist() for own in both] == [["a", "c"]] * 2
    assert recognised(both).tolist() == [[1, 0], [1, 0]]


def test_not_finite_logits_are_kept_as_they_are() -> None:
    found = Outcomes.of(table(*ROWS, logits=(float("nan"), 1.0)), CLASSES)
    assert np.isnan(found.logits[:, 0]).all() and (found.logits[:, 1] == 1).all()


@pytest.mark.parametrize(
    ("rows", "logits", "words"),
    [
        ((*ROWS, ROWS[0]), (0, 0), "4 rows of 3 samples"),
        ((("a", "angry", None),), (0, 0), "not among the classes sad, happy: angry"),
        ((("a", "sad", "bored"),), (0, 0), "bored"),
        (ROWS, (0, 0, 0), "have not 2 logits"),
        (ROWS, None, "have not 2 logits"),
    ],
)
def test_what_is_no_cell_is_refused(rows: tuple, logits: object, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Outcomes.of(table(*rows, logits=logits), CLASSES)
