"""The unit tests: hypothesis draws the same examples every time (others in the soak); what runs without numba too."""
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
TWICE = {"memory", "paths", "labs"}  # everything in these folders must hold without numba too: make test runs it twice
# But these labs call no kernel (tests/labs/test_lab.py sees to it), and are the same either way.
WITHOUT_KERNELS = {"AfterIoLab", "BalanceLab", "BarrierLab", "CostLab", "CryptoLab", "DeliveryLab", "DeviceLab",
                   "ExitLab", "FilterLab", "FleetLab", "FootprintLab", "ForecastLab", "FunctionLab", "HaltLab",
                   "InnerKvmLab", "JitterLab", "JourneyLab", "LadderLab", "MixLab", "MmuLab", "PcieLab", "PostedLab",
                   "RingLab", "StorageLab", "TaxLab", "TcoLab", "TimelineLab", "WalkLab", "WalkMapLab"}

# And these of other folders, which call kernels.
FILES_TWICE = {"test_iommu.py", "test_iotlb.py", "test_locks.py", "test_moderation.py", "test_published_iommu.py",
               "test_published_locks.py", "test_published_moderation.py"}
# These files test such labs alone.
FILES_WITHOUT_KERNELS = {"test_crypto_lab.py", "test_device.py", "test_exits.py", "test_filter_lab.py",
                         "test_function_lab.py", "test_halt_lab.py", "test_inner_kvm_lab.py", "test_interrupt_labs.py",
                         "test_jitter_lab.py", "test_pcie_lab.py", "test_ring.py", "test_storage_lab.py",
                         "test_timeline.py"}

settings.register_profile("tests", deadline=None, derandomize=True, database=None)
settings.register_profile("soak", deadline=None, derandomize=False, max_examples=2000, print_blob=True)
settings.load_profile("tests")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items):
    for item in items:
        lab = getattr(item, "callspec", None) and item.callspec.params.get("cls")
        if lab and lab.__name__ in WITHOUT_KERNELS or item.path.name in FILES_WITHOUT_KERNELS:
            continue
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        if folder in TWICE or item.path.name in FILES_TWICE:
            item.add_marker("kernels")
