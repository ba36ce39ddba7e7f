"""Kernels with and without numba: the same function, the same result, the same side effects."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from virtlab.core import jit as module
from virtlab.core.jit import KERNELS, Inlined, have_numba, jit


def _example():
    return np.zeros(1), np.zeros(1)


@pytest.fixture(autouse=True)
def _keep_registry():
    before = list(KERNELS)
    yield
    KERNELS[:] = before


def _running_sum(values, out):
    total = 0.0
    for k in range(len(values)):
        total += values[k]
        out[k] = total
    return total


def test_a_kernel_gives_the_same_with_and_without_numba(monkeypatch):
    kernel, values = jit(_example)(_running_sum), np.arange(5.0)
    first, second = np.zeros(5), np.zeros(5)
    total = kernel(values, first)
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")
    assert kernel(values, second) == total == 10
    assert np.array_equal(first, second)


def test_without_numba_arrays_are_written_back(monkeypatch):
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")
    out = np.zeros(3)
    jit(_example)(_running_sum)(np.ones(3), out)
    assert out.tolist() == [1, 2, 3]


def test_an_array_given_twice_stays_one(monkeypatch):
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")
    both = np.ones(3)
    jit(_example)(_running_sum)(both, both)
    assert both.tolist() == [1, 2, 3]


def test_the_environment_switches_numba_off(monkeypatch):
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")
    assert have_numba() is False


def test_a_missing_numba_is_done_without(monkeypatch):
    monkeypatch.delenv("VIRTLAB_NO_NUMBA", raising=False)
    monkeypatch.setattr(module, "_numba", lambda: None)
    assert have_numba() is False
    assert jit(_example)(_running_sum)(np.ones(2), np.zeros(2)) == 2


def test_a_kernel_keeps_its_python_function_and_registers():
    kernel = jit(_example)(_running_sum)
    assert kernel.py_func is _running_sum and kernel.__name__ == "_running_sum"
    assert KERNELS[-1] is kernel


def test_a_kernel_pickles_by_name():
    from virtlab.paths.kernels import path_kernel

    assert pickle.loads(pickle.dumps(path_kernel)) is path_kernel


@Inlined
def _add(out, k, value):
    out[k] += value
    return out[k] > 1


def _above_one(values, out):
    count = 0
    for k in range(len(values)):
        if _add(out, k, values[k]):
            count += 1
    return count


def test_an_inlined_helper_is_part_of_the_kernel_and_a_function_of_its_own(monkeypatch):
    kernel, values = jit(_example)(_above_one), np.arange(4.0)
    first, second = np.zeros(4), np.zeros(4)
    count = kernel(values, first)
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")
    assert kernel(values, second) == count == 2
    assert first.tolist() == second.tolist() == values.tolist()
    assert _add([0.0, 5.0], 1, 1) is True


_STEPS = """
from virtlab.core.jit import Inlined
STEP = {step}
@Inlined
def add(a):
    return a + {add}
"""
_KERNEL = """
from steps import STEP, add
from virtlab.core.jit import jit
@jit()
def kernel(a):
    return add(a) * STEP
"""


@pytest.mark.skipif(not have_numba(), reason="numba is not there to compile with")
def test_a_kernel_is_compiled_anew_when_a_helper_of_another_file_changes(tmp_path):
    """numba's cache asks only whether the kernel's own file changed."""
    (tmp_path / "kernel.py").write_text(_KERNEL)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "NUMBA_CACHE_DIR": str(tmp_path),
           "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    found = []
    for add, step in ((1, 10), (2, 10), (2, 100)):
        (tmp_path / "steps.py").write_text(_STEPS.format(add=add, step=step))
        run = subprocess.run([sys.executable, "-c", "from kernel import kernel; print(kernel(1))"], env=env,
                             capture_output=True, text=True, check=True)  # fmt: skip
        found.append(int(run.stdout))
    assert found == [20, 30, 300]
    assert len(list(tmp_path.rglob("*.nbc"))) == 3, "each is kept"


def test_every_example_of_a_kernel_is_called_when_all_are_compiled(monkeypatch, capsys):
    seen = []
    kernel = jit(lambda: (np.zeros(1), None), lambda: (np.zeros(1), 2.0))(lambda values, more: seen.append(more))
    monkeypatch.setattr(module, "KERNELS", [kernel])
    monkeypatch.setattr(module, "have_numba", lambda: True)
    monkeypatch.setattr(type(kernel), "__call__", lambda self, *args: self.py_func(*args))
    module.main()
    assert seen == [None, 2.0]


def test_importing_the_ground_floor_and_the_models_loads_no_numba_and_no_picture():
    code = (
        "import sys, virtlab, virtlab.paths, virtlab.evidence; "
        "print([m for m in ('numba', 'matplotlib', 'ipywidgets', 'IPython') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
