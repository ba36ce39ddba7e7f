"""What every pytest run here obeys: tests/ and notebooks/ (nbval) alike."""
import os
import shutil
import signal
import tempfile

import nbval.kernel
import pytest

pytest_plugins = ["pytester"]

ONLY_WHEN_ASKED_FOR = ("bench", "soak")


# ------------------------------------------------- one environment for all

def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a background job of a script: interrupts would reach nobody
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["VIRTLAB_STRICT"] = "1"  # an exception in a lab's callback is raised, not only shown
    # No start-up file, history or setting of whoever runs this reaches a kernel.
    config.virtlab_ipythondir = tempfile.mkdtemp(prefix="virtlab-ipython-")
    os.environ["IPYTHONDIR"] = config.virtlab_ipythondir


def pytest_unconfigure(config):
    shutil.rmtree(getattr(config, "virtlab_ipythondir", ""), ignore_errors=True)


# ------------------------------------------------- bench and soak: only with -m

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    not_asked_for = [name for name in ONLY_WHEN_ASKED_FOR if name not in config.option.markexpr]
    dropped = [item for item in items if any(item.get_closest_marker(name) for name in not_asked_for)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]
    for item in items:
        if hasattr(item, "output_timeout"):  # an nbval cell: five seconds are hard-coded there
            item.output_timeout = 60


# ------------------------------------------------- VIRTLAB_REQUIRE=browser,binder: there, a skip is a failure

def required():
    """The markers whose tests must run here, from the environment."""
    return {name.strip() for name in os.environ.get("VIRTLAB_REQUIRE", "").split(",") if name.strip()}


def _fail_instead_of_skip(report, names):
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"VIRTLAB_REQUIRE names {', '.join(sorted(names))}, so this must run, but: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    names = {name for name in required() if item.get_closest_marker(name)}
    if names and report.skipped and not hasattr(report, "wasxfail"):
        _fail_instead_of_skip(report, names)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """A whole module that skips itself has no items with markers: there its path speaks (tests/browser/...)."""
    report = yield
    names = required() & set(collector.path.parts)
    if names and report.skipped:
        _fail_instead_of_skip(report, names)
    return report


# ------------------------------------------------- three gaps of nbval 0.11 (with the 60 s above)

def _execute_cell_input(self, cell_input, allow_stdin=None):
    """As nbval's, but with history: without it a `;` at the end of a line does not hide the value."""
    return self.kc.execute(cell_input, store_history=True, allow_stdin=allow_stdin, stop_on_error=False)


def _get_message(self, stream, timeout=None, _original=nbval.kernel.RunningKernel.get_message):
    """As nbval's, but a usage error (an unknown magic skips the whole cell) fails the cell."""
    message = _original(self, stream, timeout=timeout)
    content = message["content"]
    if message["msg_type"] == "execute_reply" and content.get("ename") == "UsageError":
        raise RuntimeError(f"IPython usage error, the cell did not run: {content.get('evalue', '')}")
    return message


nbval.kernel.RunningKernel.execute_cell_input = _execute_cell_input
nbval.kernel.RunningKernel.get_message = _get_message
