"""A notebook's kernel with real devices in it: interrupted, restarted, killed; nothing of it may outlive that."""
import contextlib
import shutil
import sys
import time

import pytest

from tests.machine.leftovers import alive

pytestmark = [pytest.mark.machine, pytest.mark.qemu]
START = """
import os
from tests.machine.leftovers import children, nothing_left
from virtlab.machine import VhostBlk, VirtioBlk
disks = [VirtioBlk(), VhostBlk()]
print(os.getpid(), *children())
"""
READ_FOR_EVER = """
with VirtioBlk() as third:
    print("reading", flush=True)
    while True:
        third.read(0)
"""


@pytest.fixture
def kernel(monkeypatch):
    jupyter_client = pytest.importorskip("jupyter_client")
    if sys.platform != "linux" or shutil.which("qemu-system-x86_64") is None:
        pytest.skip("needs Linux and qemu-system-x86_64")
    monkeypatch.setenv("PYTHONPATH", ".")
    manager = jupyter_client.KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)

    def run(code):
        """What a cell prints, and the name of its error."""
        printed, error = [], ""

        def take(message):
            nonlocal error
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])
            elif message["msg_type"] == "error":
                error = message["content"]["ename"]

        client.execute_interactive(code, timeout=60, output_hook=take)
        return "".join(printed), error

    run.manager, run.client = manager, client
    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def pids(printed):
    kernel, *others = map(int, printed.split())
    assert len(others) == 2 and all(map(alive, others)), "QEMU and the server of the other disk"
    return kernel, others


def all_gone(numbers, seconds=10):
    until = time.monotonic() + seconds
    while any(map(alive, numbers)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(alive, numbers))


def test_an_interrupt_leaves_the_disks_of_other_cells_alone_and_nothing_of_its_own(kernel):
    _, mine = pids(kernel(START)[0])
    client = kernel.client
    message = client.execute(READ_FOR_EVER)
    while client.get_iopub_msg(timeout=60)["content"].get("text") != "reading\n":
        pass
    kernel.manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=30)
    while reply["parent_header"].get("msg_id") != message:
        reply = client.get_shell_msg(timeout=30)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    printed, error = kernel("print(len(children()), [len(disk.read(0)) for disk in disks])")
    assert (printed, error) == ("2 [4096, 4096]\n", "") and all(map(alive, mine))


def test_closing_in_a_cell_and_running_it_again_leaves_one_set(kernel):
    _, first = pids(kernel(START)[0])
    _, second = pids(kernel("del disks\n" + START)[0])
    assert all_gone(first) and all(map(alive, second))


@pytest.mark.parametrize("how", ["restart", "kill", "shutdown"])
def test_nothing_outlives_the_kernel(kernel, how):
    process, others = pids(kernel(START)[0])
    with contextlib.suppress(RuntimeError):
        if how == "restart":
            kernel.manager.restart_kernel(now=True)
        elif how == "kill":
            kernel.manager.signal_kernel(9)
        else:
            kernel.manager.shutdown_kernel(now=False)
    assert all_gone([process, *others]), "a process has outlived its kernel"
