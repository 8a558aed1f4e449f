"""Fixtures shared by all tests: tiny models, tiny folders of pictures."""

import fnmatch
import gc
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that reaches for the network is a mistake
# Also of processes that tests start: small networks on as many threads as there are cores take up
# to ten times as long where another process computes, too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

# Everything else is imported where it is used: the process that deals tests to others uses none.
if TYPE_CHECKING:
    import torch

    from emodc import EmoDC

CLASSES = ("neutral", "happiness", "sadness")

settings.register_profile("bench", deadline=None)  # a busy machine is no failure
settings.load_profile("bench")


#: Whole runs and trainings, killed processes, a browser, and simulations of thousands of data sets:
#: files, and single tests (`file::test`) that take about a second of a core or more.
SLOW = (
    "*/test_*.py::test_*_survive_fuzzing",
    "baselines/clips/test_networks.py::test_a_checkpoint_gives_the_same_logits",
    "baselines/clips/test_networks.py::test_a_restored_trainer_continues_exactly",
    "baselines/clips/test_networks.py::test_any_size_in_logits_out_differentiable",
    "baselines/clips/test_networks.py::test_x3d_has_the_published_size_and_reads_the_published_names",
    "baselines/fer/test_attention.py",
    "baselines/fer/test_released.py::test_wrappers_and_prefixes_are_taken_off",
    "baselines/test_baselines.py::test_a_run_starts_from_a_file_at_a_size_and_follows_its_content",
    "baselines/test_baselines.py::test_an_easy_task_is_learned_and_the_best_weights_are_kept",
    "baselines/test_baselines.py::test_progress_names_the_best_accuracy_once_there_is_one",
    "baselines/test_objectives.py::test_a_restored_trainer_continues_exactly",
    "baselines/test_objectives.py::test_a_run_trains_and_measures_it",
    "baselines/test_objectives.py::test_an_easy_task_is_learned",
    "baselines/test_objectives.py::test_ma_nets_loss_weighs_its_branches_as_its_logits",
    "baselines/test_packaged.py::test_logits_are_those_of_a_plain_evaluation_in_numpy",
    "baselines/test_robust.py::test_a_restored_trainer_continues_exactly",
    "bench/classifiers/test_adapted.py::test_rows_are_in_the_order_of_other_classifiers_and_can_be_verified",
    "bench/classifiers/test_adapted.py::test_rows_do_not_depend_on_shards_workers_or_batches",
    "bench/classifiers/test_check.py::test_a_picture_of_ones_own_and_json",
    "bench/classifiers/test_check.py::test_a_trained_classifier_passes",
    "bench/classifiers/test_check.py::test_an_untrained_pipeline_is_refused_with_the_cause",
    "bench/classifiers/test_class_order.py::test_bad_classifiers_in_the_right_order_are_never_refused",
    "bench/classifiers/test_class_order.py::test_two_classes_of_three_tempt_nobody",
    "bench/classifiers/test_denoised.py::test_a_run_measures_it_and_another_timestep_anew",
    "bench/classifiers/test_doors.py::test_models_check_and_run_take_the_same_line",
    "bench/classifiers/test_frozen.py::test_a_probe_*",
    "bench/classifiers/test_newcomer.py::test_ten_lines_give_a_table",
    "bench/classifiers/test_pretrained.py",
    "bench/classifiers/test_published.py::test_a_file_that_does_not_fit_is_named_with_the_tensor",
    "bench/classifiers/test_published.py::test_a_released_file_is_measured_and_attacked",
    "bench/classifiers/test_published.py::test_arms_batch_statistic_is_frozen_and_marked",
    "bench/classifiers/test_side_by_side.py",
    "bench/classifiers/test_user_network.py::test_a_run_says_that_the_code_changed_and_fresh_measures_anew",
    "bench/classifiers/test_user_network.py::test_pictures_without_a_number_are_counted_and_told",
    "bench/cli/test_cli.py::test_a_contact_sheet_is_written",
    "bench/cli/test_cli.py::test_a_manifest_has_the_command_behind_its_rows",
    "bench/cli/test_cli.py::test_a_truncated_jpeg_is_skipped_counted_and_listed",
    "bench/cli/test_cli.py::test_an_interrupted_run_says_that_the_same_command_continues",
    "bench/cli/test_cli.py::test_paths_may_begin_with_a_tilde_and_hold_colons",
    "bench/cli/test_cli.py::test_tables_may_be_named_with_a_tilde_and_a_colon",
    "bench/cli/test_cli.py::test_what_lies_in_the_way_is_named",
    "bench/cli/test_data.py::test_a_sheet_of_a_tree_has_a_row_per_class",
    "bench/cli/test_data.py::test_make_like_says_what_to_try_and_that_works",
    "bench/cli/test_data.py::test_names_steer_no_terminal",
    "bench/data/on_disk/test_agreement.py::test_on_a_real_terminal_the_question_waits_for_an_answer",
    "bench/data/on_disk/test_examine.py::test_other_bytes_under_the_same_stamp_are_an_error_when_measured",
    "bench/data/on_disk/test_examine.py::test_two_*",
    "bench/data/on_disk/test_near.py::test_copies_are_found",
    "bench/data/on_disk/test_near.py::test_different_faces_are_different",
    "bench/data/on_disk/test_near.py::test_every_pair_within_the_limits_is_found_among_60_000_in_seconds",
    "bench/data/on_disk/test_packed.py::test_killed_and_continued",
    "bench/data/on_disk/test_packed.py::test_two_processes_decode_what_one_does",
    "bench/data/on_disk/test_trap_pictures.py::test_a_limited_run_over_all_of_them",
    "bench/data/readers/test_by_subject.py",
    "bench/data/readers/test_ck_plus.py",
    "bench/data/readers/test_clip_folder.py",
    "bench/data/readers/test_dfew.py",
    "bench/data/readers/test_every_layout.py::test_a_run_sweeps_it",
    "bench/data/readers/test_every_layout.py::test_a_tree_is_read_whole",
    "bench/data/readers/test_every_layout.py::test_a_tree_verifies_without_warnings",
    "bench/data/readers/test_ferv39k.py::test_the_first_line_is_a_clip_and_no_header",
    "bench/data/readers/test_kdef.py",
    "bench/data/readers/test_mafw.py",
    "bench/data/test_drawn_clips.py",
    "bench/data/test_drawn_faces.py::test_a_damaged_cache_is_drawn_again",
    "bench/decisions/test_*.py",
    "bench/faces/test_drawing.py::test_teeth_are_visible_where_they_change_the_picture",
    "bench/perturb/attacks/test_attacks.py::test_stronger_attacks_find_more",
    "bench/perturb/attacks/test_attacks.py::test_success_is_within_a_point_of_*",
    "bench/perturb/attacks/test_side_by_side.py::test_neighbours_change_no_bit",
    "bench/perturb/corruptions/test_against_the_package.py",
    "bench/perturb/corruptions/test_blur.py::test_*_imagecorruptions",
    "bench/perturb/corruptions/test_blur.py::test_defocus_blur_of_any_radius_is_the_reference",
    "bench/perturb/corruptions/test_blur.py::test_glass_blur_leaves_the_order_of_flat_pictures",
    "bench/perturb/corruptions/test_golden.py::test_a_picture_depends_on_itself_alone",
    "bench/perturb/corruptions/test_golden.py::test_distance_grows_with_severity",
    "bench/perturb/corruptions/test_golden.py::test_pictures_are_not_written_to",
    "bench/perturb/corruptions/test_golden.py::test_pixels_are_pinned",
    "bench/perturb/corruptions/test_golden.py::test_processes_and_their_threads_make_the_same_pixels",
    "bench/perturb/test_certified.py::test_a_planes_certificate_is_below_its_distance_and_near",
    "bench/perturb/test_certified.py::test_a_run_has_rows_a_table_and_a_curve",
    "bench/perturb/test_certified.py::test_it_abstains_at_the_plane_and_a_little_beyond",
    "bench/perturb/test_clips.py::test_a_clip_comes_out_of_a_codec_the_same_each_time_and_worse_the_severer",
    "bench/perturb/test_clips.py::test_attacks_stay_within_their_budget_and_their_frames",
    "bench/perturb/test_commands.py::test_a_data_set_is_drawn",
    "bench/perturb/test_commands.py::test_a_file_is_drawn_with_the_pixels_of_a_run",
    "bench/perturb/test_user_code.py::test_a_run_measures_them_and_a_changed_function_anew",
    "bench/report/test_ablation.py::test_the_report_writes_tables_and_figure",
    "bench/report/test_diagnostics.py::test_every_figure_of_the_page_exists",
    "bench/report/test_figures.py",
    "bench/report/test_page_in_chromium.py",
    "bench/report/test_ranking.py::test_marks_follow_holm_over_all_pairs_of_the_table",
    "bench/report/test_render.py::test_all_tables_of_a_store_and_hostile_ones_compile",
    "bench/report/test_render.py::test_hundreds_of_wide_figures_make_a_document",
    "bench/report/test_render.py::test_every_table_and_figure_of_the_kept_run_is_in_an_article_of_two_columns",
    "bench/report/test_seen.py",
    "bench/report/test_write.py",
    "bench/stats/test_bootstrap.py",
    "bench/stats/test_coverage.py",
    "bench/stats/test_influence.py::test_coverage",
    "bench/sweep/test_*_run.py",
    "bench/sweep/test_costs.py::test_each_network_is_measured_once",
    "bench/sweep/test_end_to_end.py",
    "bench/sweep/test_executors.py::test_a_node_that_dies_takes_no_shard_with_it",
    "bench/sweep/test_executors.py::test_a_training_that_loses_its_process_goes_on_elsewhere",
    "bench/sweep/test_executors.py::test_an_actor_that_is_killed_is_replaced",
    "bench/sweep/test_executors.py::test_an_error_in_a_training_is_the_runs_and_is_not_tried_elsewhere",
    "bench/sweep/test_executors.py::test_an_error_stops_a_run_or_is_recorded",
    "bench/sweep/test_executors.py::test_the_store_does_not_depend_on_the_executor",
    "bench/sweep/test_executors.py::test_too_little_memory_halves_the_batch_and_is_recorded",
    "bench/sweep/test_frost.py::test_a_preset_runs_its_other_members_and_says_so",
    "bench/sweep/test_frost.py::test_show_draws_the_others_and_says_so",
    "bench/sweep/test_lost.py",
    "bench/sweep/test_regression.py",
    "bench/sweep/test_sharing.py",
    "bench/sweep/test_together.py",
    "bench/sweep/test_verify.py",
    "bench/test_api.py::test_a_model_that_computes_something_else_is_measured_anew",
    "bench/test_api.py::test_entries_of_a_config_and_configs_are_models_and_runs",
    "bench/test_api.py::test_functions_and_several_models_are_compared",
    "bench/test_api.py::test_results_are_a_table_a_frame_a_figure_and_a_report",
    "bench/test_paper.py::test_a_full_plan_names_what_is_missing_and_needs_no_network",
    "bench/test_paper.py::test_the_tiny_scale*",
    "bench/training/test_probe.py",
    "bench/training/test_training.py",
    "bench/util/test_runtime.py::test_a_worker_ends_with_the_process_that_started_it",
    "benchmarks/*",
    "chaos/*",
    "emodc/decisions/test_calibration.py",
    "emodc/decisions/test_decision_errors.py",
    "emodc/decisions/test_engine.py::test_compiling_traces_one_static_shape",
    "emodc/decisions/test_live.py::test_live_decides_as_replay",
    "emodc/decisions/test_live.py::test_templates_are_averaged",
    "emodc/test_adapters.py",
    "emodc/test_analysis.py::test_separation_covers_the_truth",
    "emodc/test_hub.py::test_every_kind_of_pipeline_loads_to_the_same_bits",
    "emodc/test_selftest.py::test_a_trained_small_denoiser_passes_and_an_untrained_one_does_not",
    "emodc/test_selftest.py::test_a_wrong_prediction_type_is_named",
    "emodc/test_selftest.py::test_untrained_pipelines_are_refused",
    "emodc/training/*",
    "test_names.py::test_no_class_name_is_defined_twice",
    "test_site.py::test_the_site_builds",
    "test_site.py::test_the_tutorial_runs_as_it_stands",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `pytest -m "not slow"` leaves out; files that have some come first.

    Where files are dealt to processes, the last ones are then short, and no process waits for long.
    """
    root, slow = Path(__file__).parent, re.compile("|".join(map(fnmatch.translate, SLOW)))
    long = set()
    for item in items:
        path = item.path.relative_to(root).as_posix()
        if slow.match(path) or slow.match(f"{path}::{getattr(item, 'originalname', item.name)}"):
            item.add_marker(pytest.mark.slow)
            long.add(item.path)
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session", autouse=True)
def _imported_modules_stay() -> Iterator[None]:
    """Runs collect garbage between their phases; to look through torch each time takes longest."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _one_core() -> Iterator[None]:
    """What asks for no number of processes starts none: each would import torch anew."""
    import torch

    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 1)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_power_cut() -> Iterator[None]:
    """Nothing is forced to the disk: no test cuts the power, and killed processes lose nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["EMODC_BENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))


@pytest.fixture
def images() -> "torch.Tensor":
    """uint8 pictures (24, 3, 64, 64) with structure at several scales."""
    import numpy as np
    import torch

    from bench.util import rng

    draws = rng.generator("test images")
    coarse = draws.random((24, 3, 8, 8)).repeat(8, axis=2).repeat(8, axis=3)
    fine = draws.random((24, 3, 64, 64))
    return torch.from_numpy(((0.8 * coarse + 0.2 * fine) * 255).astype(np.uint8))


@pytest.fixture
def tiny_emodc(images: "torch.Tensor") -> "EmoDC":
    """An EmoDC that is nearly random but treats its classes differently."""
    from pipelines import small

    from emodc import EmoDC, Evaluation, Prompts

    plan = Evaluation(steps=6, precision="float32")
    return EmoDC(small(images, Prompts(CLASSES)), Prompts(CLASSES), plan).eval()


@pytest.fixture
def picture_folder(tmp_path: Path) -> Path:
    """A two-class folder data set."""
    from support import write_pictures

    write_pictures(tmp_path / "faces" / "train", ("happy", "neutral"), 10)
    write_pictures(tmp_path / "faces" / "test", ("happy", "neutral"), 5)
    return tmp_path / "faces"
