"""These tests drive a real QEMU: where there is none they skip, unless VIRTLAB_REQUIRE names qemu."""
import shutil
import sys

import pytest

from virtlab.machine.qemu.process import PROGRAM


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(__file__.rsplit("/", 1)[0]) and "fake" not in item.name:
            item.add_marker(pytest.mark.machine)
            item.add_marker(pytest.mark.qemu)


@pytest.fixture(autouse=True)
def real_qemu(request):
    if request.node.get_closest_marker("qemu") and (sys.platform != "linux" or shutil.which(PROGRAM) is None):
        pytest.skip(f"needs Linux and {PROGRAM} (virtlab doctor says how to get it)")
