"""Fixtures shared by all tests: tiny models, tiny folders of pictures."""

import fnmatch
import gc
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that reaches for the network is a mistake

import numpy as np
import pytest
import torch
from hypothesis import settings
from support import write_pictures

from bench.util import rng
from emodc import EmoDC, Evaluation, Prompts, small_denoiser

CLASSES = ("neutral", "happiness", "sadness")

settings.register_profile("bench", deadline=None)  # a busy machine is no failure
settings.load_profile("bench")


#: Whole runs and trainings, killed processes, a browser, and simulations of thousands of data sets:
#: files, and single tests (`file::test`) that take more than two seconds of a core.
SLOW = (
    "baselines/clips/test_networks.py::test_a_restored_trainer_continues_exactly",
    "chaos/*",
    "bench/classifiers/test_pretrained.py",
    "bench/sweep/test_verify.py::test_rows_that*",
    "bench/decisions/test_*.py",
    "bench/perturb/corruptions/test_against_the_package.py::test_distributions_are_the_same",
    "bench/perturb/corruptions/test_golden.py::test_processes_and_their_threads_make_the_same_pixels",
    "bench/perturb/test_commands.py::test_a_data_set_is_drawn",
    "bench/perturb/test_user_code.py::test_a_run_measures_them_and_a_changed_function_anew",
    "bench/report/test_ablation.py::test_the_report_writes_tables_and_figure",
    "bench/report/test_diagnostics.py::test_every_figure_of_the_page_exists",
    "bench/report/test_figures.py",
    "bench/report/test_page_in_chromium.py",
    "bench/report/test_seen.py",
    "bench/report/test_write.py",
    "bench/stats/test_bootstrap.py",
    "bench/stats/test_coverage.py",
    "bench/perturb/test_clips.py::test_attacks_stay_within_their_budget_and_their_frames",
    "bench/sweep/test_*_run.py",
    "bench/sweep/test_end_to_end.py",
    "bench/sweep/test_lost.py",
    "bench/sweep/test_sharing.py",
    "bench/training/*",
    "bench/test_api.py::test_entries_of_a_config_and_configs_are_models_and_runs",
    "bench/test_api.py::test_results_are_a_table_a_frame_a_figure_and_a_report",
    "bench/test_paper.py::test_the_tiny_scale*",
    "bench/test_regression.py",
    "benchmarks/*",
    "emodc/decisions/test_decision_errors.py",
    "emodc/test_selftest.py::test_a_trained_small_denoiser_passes_and_an_untrained_one_does_not",
    "emodc/test_adapters.py",
    "emodc/training/*",
    "test_site.py::test_the_tutorial_runs_as_it_stands",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `pytest -m "not slow"` leaves out."""
    root = Path(__file__).parent
    for item in items:
        path = item.path.relative_to(root).as_posix()
        names = (path, f"{path}::{getattr(item, 'originalname', item.name)}")
        if any(fnmatch.fnmatch(name, pattern) for name in names for pattern in SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _imported_modules_stay() -> Iterator[None]:
    """Runs collect garbage between their phases; to look through torch each time takes longest."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["EMODC_BENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))


@pytest.fixture
def images() -> torch.Tensor:
    """uint8 pictures (24, 3, 64, 64) with structure at several scales."""
    draws = rng.generator("test images")
    coarse = draws.random((24, 3, 8, 8)).repeat(8, axis=2).repeat(8, axis=3)
    fine = draws.random((24, 3, 64, 64))
    return torch.from_numpy(((0.8 * coarse + 0.2 * fine) * 255).astype(np.uint8))


@pytest.fixture
def tiny_emodc(images: torch.Tensor) -> EmoDC:
    """An EmoDC that is nearly random but treats its classes differently."""
    with rng.fenced("tiny emodc"):
        denoiser = small_denoiser(
            images, Prompts(CLASSES), block_out_channels=(8, 8, 8), head_channels=8, text_width=16
        )
        torch.nn.init.normal_(denoiser.unet.prompt_head.weight, std=0.1)
        torch.nn.init.normal_(denoiser.unet.shared_head.weight, std=0.05)
    plan = Evaluation(steps=6, precision="float32")
    return EmoDC(denoiser, Prompts(CLASSES), plan).eval()


@pytest.fixture
def picture_folder(tmp_path: Path) -> Path:
    """A two-class folder data set."""
    write_pictures(tmp_path / "faces" / "train", ("happy", "neutral"), 10)
    write_pictures(tmp_path / "faces" / "test", ("happy", "neutral"), 5)
    return tmp_path / "faces"
