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
    "baselines/clips/test_networks.py::test_a_checkpoint_gives_the_same_logits",
    "baselines/clips/test_networks.py::test_a_restored_trainer_continues_exactly",
    "baselines/clips/test_networks.py::test_any_size_in_logits_out_differentiable",
    "baselines/test_objectives.py::test_a_restored_trainer_continues_exactly",
    "baselines/test_objectives.py::test_a_run_trains_and_measures_it",
    "baselines/test_objectives.py::test_an_easy_task_is_learned",
    "baselines/test_packaged.py::test_logits_are_those_of_a_plain_evaluation_in_numpy",
    "baselines/test_robust.py::test_a_restored_trainer_continues_exactly",
    "bench/classifiers/test_check.py::test_a_trained_classifier_passes",
    "bench/classifiers/test_doors.py::test_models_check_and_run_take_the_same_line",
    "bench/classifiers/test_pretrained.py",
    "bench/classifiers/test_published.py::test_a_released_file_is_measured_and_attacked",
    "bench/classifiers/test_user_network.py::test_a_run_says_that_the_code_changed_and_fresh_measures_anew",
    "bench/classifiers/test_user_network.py::test_pictures_without_a_number_are_counted_and_told",
    "bench/cli/test_cli.py::test_an_interrupted_run_says_that_the_same_command_continues",
    "bench/data/on_disk/test_trap_pictures.py::test_a_limited_run_over_all_of_them",
    "bench/data/readers/test_by_subject.py::test_nobody_is_in_two_splits",
    "bench/data/readers/test_every_layout.py::test_a_run_sweeps_it",
    "bench/decisions/test_*.py",
    "bench/perturb/attacks/test_attacks.py::test_stronger_attacks_find_more",
    "bench/perturb/attacks/test_attacks.py::test_success_is_within_a_point_of_torchattacks",
    "bench/perturb/corruptions/test_against_the_package.py::test_distributions_are_the_same",
    "bench/perturb/corruptions/test_golden.py::test_processes_and_their_threads_make_the_same_pixels",
    "bench/perturb/test_clips.py::test_attacks_stay_within_their_budget_and_their_frames",
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
    "bench/sweep/test_*_run.py",
    "bench/sweep/test_end_to_end.py",
    "bench/sweep/test_lost.py",
    "bench/sweep/test_sharing.py",
    "bench/sweep/test_verify.py::test_rows_that*",
    "bench/test_api.py::test_entries_of_a_config_and_configs_are_models_and_runs",
    "bench/test_api.py::test_results_are_a_table_a_frame_a_figure_and_a_report",
    "bench/test_paper.py::test_the_tiny_scale*",
    "bench/test_regression.py",
    "bench/training/*",
    "benchmarks/*",
    "chaos/*",
    "emodc/decisions/test_decision_errors.py",
    "emodc/decisions/test_live.py::test_live_decides_as_replay",
    "emodc/test_adapters.py",
    "emodc/test_analysis.py::test_separation_covers_the_truth",
    "emodc/test_selftest.py::test_a_trained_small_denoiser_passes_and_an_untrained_one_does_not",
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
def _one_core() -> Iterator[None]:
    """What asks for no number of processes starts none: each would import torch anew."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 1)
        yield


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
