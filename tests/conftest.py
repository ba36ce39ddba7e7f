"""The unit tests: hypothesis draws the same examples every time (others in the soak); what runs without numba too."""
import os
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
TWICE = {"memory", "paths", "labs"}  # everything in these folders must hold without numba too: make test runs it twice
# But these labs call no kernel (tests/labs/test_lab.py sees to it), and are the same either way.
WITHOUT_KERNELS = {"AfterIoLab", "BalanceLab", "BarrierLab", "CostLab", "CryptoLab", "DeliveryLab", "DensityLab",
                   "DeviceLab", "ExitLab", "FilterLab", "FleetLab", "FootprintLab", "ForecastLab", "FunctionLab",
                   "HaltLab", "InnerKvmLab", "JitterLab", "JourneyLab", "LadderLab", "MixLab", "MmuLab", "PcieLab",
                   "PostedLab", "RingLab", "StorageLab", "TaxLab", "TcoLab", "TimelineLab", "WalkLab", "WalkMapLab"}

# And these of other folders, which call kernels.
FILES_TWICE = {"test_iommu.py", "test_iotlb.py", "test_locks.py", "test_moderation.py", "test_published_iommu.py",
               "test_published_locks.py", "test_published_moderation.py"}
# These files test such labs alone.
FILES_WITHOUT_KERNELS = {"test_crypto_lab.py", "test_device.py", "test_exits.py", "test_filter_lab.py",
                         "test_function_lab.py", "test_halt_lab.py", "test_inner_kvm_lab.py", "test_interrupt_labs.py",
                         "test_jitter_lab.py", "test_pcie_lab.py", "test_ring.py", "test_storage_lab.py",
                         "test_timeline.py"}

# These draw each lab again and again; its lines are counted by the others. (Counting makes a test take twice as long.)
UNCOUNTED = {
    "test_a_cell_that_runs_again_closes_its_earlier_lab", "test_a_control_does_exactly_what_the_attribute_does",
    "test_a_ghost_of_any_setting_can_stand_behind_any_other", "test_a_lab_opens_with_the_setting_it_is_given",
    "test_a_picture_does_not_depend_on_what_was_shown_before", "test_a_slider_stays_where_it_was_put",
    "test_any_setting_holds_its_laws_and_says_what_it_shows", "test_closing_leaves_no_widget_behind",
    "test_closing_one_lab_leaves_another_alive", "test_no_label_is_too_small_for_a_projector",
    "test_one_move_of_a_control_is_at_most_one_redraw", "test_the_code_of_any_setting_makes_it_again",
    "test_the_theme_can_be_changed_at_any_time", "test_two_labs_of_one_setting_show_the_same_bytes",
}  # fmt: skip

# Every verdict is computed when this file is read: a minute in plain Python, for tests that the second run leaves out.
collect_ignore = ["cloud/test_judges.py"] if os.environ.get("VIRTLAB_NO_NUMBA") == "1" else []

settings.register_profile("tests", deadline=None, derandomize=True, database=None)
settings.register_profile("soak", deadline=None, derandomize=False, max_examples=2000, print_blob=True)
settings.load_profile("tests")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items):
    twins = bool(os.environ.get("VIRTLAB_NO_NUMBA"))  # then one case of each test is enough to count a kernel's lines
    seen = set()
    for item in items:
        test = item.path, getattr(item, "originalname", None) or item.name
        if test[1] in UNCOUNTED or twins and test in seen:
            item.add_marker("no_cover")
        seen.add(test)
        lab = getattr(item, "callspec", None) and item.callspec.params.get("cls")
        if lab and lab.__name__ in WITHOUT_KERNELS or item.path.name in FILES_WITHOUT_KERNELS:
            continue
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        if folder in TWICE or item.path.name in FILES_TWICE:
            item.add_marker("kernels")
