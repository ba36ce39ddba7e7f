"""These tests share memory and eventfds between processes: they need Linux, and some of them a QEMU program."""
import shutil
import sys

import pytest

PROGRAMS = {"qemu": "qemu-system-x86_64", "storage-daemon": "qemu-storage-daemon"}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(__file__.rsplit("/", 1)[0]):
            item.add_marker(pytest.mark.machine)


@pytest.fixture(autouse=True)
def what_it_needs(request):
    if sys.platform != "linux":
        pytest.skip("needs Linux (memfd, eventfd)")
    for marker, program in PROGRAMS.items():
        if request.node.get_closest_marker(marker) and shutil.which(program) is None:
            pytest.skip(f"needs {program} (virtlab doctor says how to get it)")
