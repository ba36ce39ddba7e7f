"""binder/requirements.txt: one lock for make, CI and Binder, for three systems and four Pythons, that names no host."""
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
INSTALLED = ("fast", "lab", "cluster", "test", "build")  # the extras that the lock covers, as in the Makefile
PIN = re.compile(r"([a-z0-9.-]+(?:\[[a-z0-9,-]+\])?)==(\S+)( ; .+?)?((?: --hash=sha256:[0-9a-f]{64})+)")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SYSTEMS = {  # what a marker asks for
    "Linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    "Linux on ARM": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix",
                     "platform_machine": "aarch64"},
    "macOS": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    "Windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
}


def pins():
    lines = [line for line in LOCK.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
    for line in lines:
        match = PIN.fullmatch(re.sub(r" +", " ", line.strip()))
        assert match, f"neither name==version with hashes nor a comment (make lock writes this file): {line[:80]}"
        yield Requirement(f"{match[1]}=={match[2]}{match[3] or ''}")


def environment(python, system):
    return SYSTEMS[system] | {"python_version": python, "python_full_version": f"{python}.7",
                              "implementation_name": "cpython", "platform_python_implementation": "CPython"}


def test_every_line_is_a_pin_with_hashes():
    assert len(list(pins())) > 50


def test_the_lock_says_how_it_is_made_and_who_uses_it():
    head = LOCK[: LOCK.index("==")]
    assert "make lock" in head and "Binder" in head and "CI" in head


@pytest.mark.parametrize("name", ["scipy", "pandas", "virtlab"])
def test_the_lock_does_not_hold(name):
    assert name not in {pin.name for pin in pins()}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_each_system_and_python_gets_one_version_of_all_that_is_wanted(python, system):
    here = environment(python, system)
    got = {}
    for pin in pins():
        if pin.marker is None or pin.marker.evaluate(here):
            assert pin.name not in got, f"two versions of {pin.name}"
            got[pin.name] = str(pin.specifier).removeprefix("==")
    wanted = list(PROJECT["project"]["dependencies"]) + PROJECT["build-system"]["requires"]
    for extra in INSTALLED:
        wanted += PROJECT["project"]["optional-dependencies"][extra]
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate(here):
            version = got.get(canonicalize_name(requirement.name))
            fits = version and requirement.specifier.contains(version)
            assert fits, f"{requirement}: the lock has {version}; make lock"


def test_the_lock_covers_every_extra():
    assert set(INSTALLED) == set(PROJECT["project"]["optional-dependencies"])


CONFIGURATION = ("pyproject.toml", "Makefile", "conftest.py", ".pre-commit-config.yaml", ".ci/run", "tools/*.py",
                 "binder/*", ".github/workflows/*.yml", "**/requirements*.txt", "**/*.lock", "**/package-lock.json")
ADDRESS = re.compile(r"://|index-url|find-links|trusted-host|git\+|\bpypi\b|npmjs|pythonhosted", re.IGNORECASE)


def own(path):
    return path.is_file() and not {".venv", ".git", "node_modules"} & set(path.relative_to(ROOT).parts)


@pytest.mark.parametrize("pattern", CONFIGURATION)
def test_no_file_that_decides_what_is_installed_names_a_host_or_an_index(pattern):
    for path in filter(own, ROOT.glob(pattern)):
        found = [line for line in path.read_text(encoding="utf-8").splitlines() if ADDRESS.search(line)]
        assert not found, f"{path.relative_to(ROOT)}: {found}"
