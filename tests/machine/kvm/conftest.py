"""Tests marked `machine` run where a tiny guest runs, and say why not elsewhere."""
import pytest

from virtlab.machine.kvm import kind


@pytest.fixture(scope="session")
def here():
    return kind()


@pytest.fixture(autouse=True)
def _only_with_kvm(request):
    if request.node.get_closest_marker("machine"):
        found = request.getfixturevalue("here")
        if found.name == "none":
            pytest.skip(found.text)
