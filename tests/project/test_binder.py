"""What Binder will do with binder/, without Docker: its structure, the Dockerfile, a replay as a user without rights.

Not replayed: the base image (its Ubuntu packages and its conda). A replay needs root, to become that user; everything
lives in one temporary folder and goes with it.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

pytestmark = pytest.mark.binder

ROOT = Path(__file__).resolve().parents[2]
BINDER = ROOT / "binder"
NOBODY = 65534  # no such account needs to exist
PYTHON = (BINDER / "runtime.txt").read_text(encoding="utf-8").strip()  # python-3.11


# ------------------------------------------------- structure

def test_binder_holds_what_repo2docker_reads_and_the_settings():
    assert {path.name for path in BINDER.iterdir()} == {
        "apt.txt", "requirements.txt", "runtime.txt", "postBuild", "start", "overrides.json"}
    assert not (ROOT / ".binder").exists(), "repo2docker refuses both"
    assert not (ROOT / "Dockerfile").exists() and not (BINDER / "environment.yml").exists(), "they would win"


def test_the_python_of_binder_is_one_that_the_package_supports():
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    assert PYTHON.removeprefix("python-") in SpecifierSet(supported), "with binder/, repo2docker does not look there"


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_a_script_is_executable_and_stops_at_the_first_error(name):
    script = (BINDER / name).read_text(encoding="utf-8")
    assert script.startswith("#!/bin/bash\n") and "\nset -euo pipefail\n" in script
    assert os.name == "nt" or os.access(BINDER / name, os.X_OK)


def test_start_hands_over_and_post_build_installs_this_commit_without_network():
    assert (BINDER / "start").read_text(encoding="utf-8").endswith('\nexec "$@"\n')
    install = next(line for line in (BINDER / "postBuild").read_text(encoding="utf-8").splitlines()
                   if "pip install" in line)
    assert "--no-deps" in install and "--no-build-isolation" in install and install.endswith("-e .")


def test_what_is_compiled_at_build_is_looked_for_at_the_same_place_for_the_same_processor():
    build, start = (re.findall(r"^export NUMBA_.*$", (BINDER / name).read_text(encoding="utf-8"), re.MULTILINE)
                    for name in ("postBuild", "start"))
    assert build == start and len(build) == 2


def test_the_pins_count_as_remote_so_that_their_layer_stays_cached():
    utils = pytest.importorskip("repo2docker.utils")
    local = [line for line in (BINDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
             if utils.is_local_pip_requirement(line)]
    assert local == [], "such a line moves the installation behind the sources: anew for every commit"


# ------------------------------------------------- what repo2docker makes of it

@pytest.fixture(scope="module")
def dockerfile():
    pytest.importorskip("repo2docker", reason="jupyter-repo2docker is not installed")
    if os.name == "nt":
        pytest.skip("repo2docker does not run on Windows")
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "--user-id", "1000", "--user-name",
               "jovyan", "."]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def test_the_image_has_that_python_installs_the_pins_before_the_sources_and_runs_both_scripts(dockerfile):
    assert f"environment-2epy-2d{PYTHON.removeprefix('python-').replace('.', '-2e')}-" in dockerfile
    pins = dockerfile.index('pip install --no-cache-dir -r "binder/requirements.txt"')
    sources, built = dockerfile.index("# Copy stuff."), dockerfile.index("./binder/postBuild")
    assert pins < sources < built < dockerfile.index("binder/start")


# ------------------------------------------------- the replay

def running_in(folder):
    """Ids of all processes whose working folder lies in `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(entry / "cwd")).is_relative_to(folder):
                found.append(int(entry.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def wait_until(true, seconds, poll=0.1):
    deadline = time.monotonic() + seconds
    while not (done := true()) and time.monotonic() < deadline:
        time.sleep(poll)
    return done


@contextmanager
def temporary_home():
    """A folder of nobody's, removed at the end with every process that still runs in it."""
    folder = Path(tempfile.mkdtemp(prefix="virtlab-binder-")).resolve()
    try:
        yield folder
    finally:
        for process in running_in(folder):
            os.kill(process, signal.SIGKILL)
        wait_until(lambda: not running_in(folder), 10)
        shutil.rmtree(folder, ignore_errors=True)


def pip_settings():
    """What pip is told on this machine, as variables: nobody cannot read root's files, and finds no index without."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings = dict(re.findall(r"^(?:global|install)\.([a-z-]+)='(.*)'$", listed.stdout, re.MULTILINE))
    return {"PIP_" + key.upper().replace("-", "_"): value.replace("\\n", " ") for key, value in settings.items()} | {
        key: value for key, value in os.environ.items() if key.startswith("PIP_")}


class Replay:
    """The steps of the image, one after the other, as nobody in a copy of the repository."""

    def __init__(self, home):
        self.home, self.environment = home, home / ".env"
        self.env = pip_settings() | {key: value for key, value in os.environ.items()
                                     if key.lower() in {"http_proxy", "https_proxy", "no_proxy", "ssl_cert_file"}} | {
            "HOME": str(home), "USER": "nobody", "LANG": "C.UTF-8", "REPO_DIR": str(home),
            "TMPDIR": str(home / ".tmp"), "NB_PYTHON_PREFIX": str(self.environment),
            "KERNEL_PYTHON_PREFIX": str(self.environment), "PATH": f"{self.environment}/bin:/usr/bin:/bin"}

    def start(self, *command, **kwargs):
        nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
        return subprocess.Popen([*nobody, *command], cwd=self.home, env=self.env, stdin=subprocess.DEVNULL,
                                start_new_session=True, **kwargs)

    def __call__(self, *command, timeout=600):
        process = self.start(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            said, _ = process.communicate(timeout=timeout)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, said

    def must(self, *command, **kwargs):
        code, said = self(*command, **kwargs)
        assert code == 0, f"{' '.join(map(str, command))}\n{said[-4000:]}"
        return said


def python_for(replay):
    """A Python of the version in runtime.txt that nobody may use."""
    version = PYTHON.removeprefix("python-")
    test = f"import ensurepip, sys; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
    usual = [shutil.which(f"python{version}"), f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"]
    for candidate in filter(None, [getattr(sys, "_base_executable", None), *usual]):
        if replay("bash", "-c", '"$0" -c "$1"', candidate, test)[0] == 0:
            return candidate
    pytest.skip(f"no Python {version} with venv that a user without rights may run")


@pytest.fixture(scope="module")
def repository():
    """The files of the commit to be: tracked, or new and not ignored."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("the replay needs Linux, root and setpriv, to become a user without rights")
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout: which files belong to it is not known")
    listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others",
                             "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def replay(repository):
    """A home in which everything was built as the image is: pins, then the sources, then postBuild."""
    with temporary_home() as home:
        for name in repository:
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, home / name)
        (home / ".tmp").mkdir()
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(home)], check=True)
        replay = Replay(home)
        replay.must(python_for(replay), "-m", "venv", str(replay.environment))
        code, said = replay("pip", "install", "--no-cache-dir", "-r", "binder/requirements.txt")
        if code and re.search(r"Failed to establish a new connection|Name or service not known|Network is unreach"
                              r"|Temporary failure in name resolution", said):
            pytest.skip("the package index cannot be reached: " + said.strip().splitlines()[-1])
        assert code == 0, said[-4000:]
        replay.must("./binder/postBuild")
        yield replay


@pytest.fixture(scope="module")
def jupyter(replay):
    """The address at which JupyterLab answers, started as the image starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = replay.home / "lab.log"
    with log.open("wb") as out:
        server = replay.start("./binder/start", "jupyter", "lab", "--no-browser", "--ServerApp.ip=127.0.0.1",
                              f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
                              "--IdentityProvider.token=replay", stdout=out, stderr=subprocess.STDOUT)
    try:
        yield server, f"http://127.0.0.1:{port}", log
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def test_the_replay_installs_this_commit(replay):
    said = replay.must("./binder/start", "python", "-c", "import virtlab; print(virtlab.__file__)")
    assert Path(said.strip()) == replay.home / "virtlab" / "__init__.py"


def test_the_replay_finds_every_kernel_compiled_at_build(replay):
    def compiled():
        return sorted(path.name for path in (replay.environment / "var/cache/numba").rglob("*.nb*"))

    before = compiled()
    assert before, "postBuild left no compiled kernel"
    replay.must("./binder/start", "python", "-m", "virtlab.core.jit")
    assert compiled() == before, "compiled again at start"


def test_the_replay_opens_jupyterlab_with_our_settings(replay, jupyter):
    server, address, log = jupyter

    def answer():
        assert server.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            return urllib.request.urlopen(f"{address}/lab?token=replay", timeout=5).read()
        except OSError:
            return b""

    assert b"jupyter-config-data" in wait_until(answer, 60), log.read_text(errors="replace")[-2000:]
    settings = json.loads((replay.environment / "share/jupyter/lab/settings/overrides.json").read_text())
    assert settings["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"


NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", NOTEBOOKS or ["(none)"])
def test_the_replay_runs(replay, name):
    replay.must("./binder/start", "jupyter", "execute", f"notebooks/{name}")


def test_the_replay_leaves_nothing_behind(repository):
    with temporary_home() as home:
        (home / "left.txt").write_text("x")
        process = subprocess.Popen(["sleep", "600"], cwd=home, start_new_session=True)
        assert running_in(home) == [process.pid]
        threading.Thread(target=process.wait).start()  # as its parent, collect it
    assert not home.exists() and running_in(home) == [] and process.poll() is not None
