"""What is there on this computer, rung by rung: looked at once, in bounded time, never raising, changing nothing."""

from __future__ import annotations

import errno
import functools
import html
import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from virtlab.core.words import say, words

#: The longest that a program may take to tell its version.
SECONDS = 5.0
PACKAGES = ("numpy", "matplotlib", "ipywidgets", "pydantic", "joblib")
GUEST = Path(".cache/virtlab/guest")  # below the home directory: where a kernel package may be unpacked
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_KVM_GET_API_VERSION, _KVM_API_VERSION = 0xAE00, 12


def _installed(distribution: str) -> str | None:
    """The version of an installed Python package, without importing it."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _first_line(command: list[str]) -> str | None:
    """The first line that a program prints; None when it fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(done.stdout.splitlines()), "").strip()


def _kvm_api(device: Path) -> int:
    """The API version of /dev/kvm. Raises OSError."""
    import fcntl  # not on Windows, where the device is missing anyway

    handle = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(handle, _KVM_GET_API_VERSION)
    finally:
        os.close(handle)


@dataclass(frozen=True)
class Host:
    """The computer that is looked at. A test gives other paths and functions; the defaults are this one."""

    system: str = field(default_factory=platform.system)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    root: Path = Path("/")
    home: Path = field(default_factory=Path.home)
    installed: Callable[[str], str | None] = _installed
    first_line: Callable[[list[str]], str | None] = _first_line
    kvm_api: Callable[[Path], int] = _kvm_api

    def which(self, *names: str) -> str | None:
        """The path of the first of these programs that PATH has."""
        path = self.environ.get("PATH", "")
        return next((found for name in names if path and (found := shutil.which(name, path=path))), None)

    def read(self, file: str) -> str:
        """The text of a file below the root, empty when it cannot be read."""
        try:
            return (self.root / file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


@dataclass(frozen=True)
class Found:
    """One rung of the ladder: whether it is present, and the version or the reason in ``detail``."""

    id: str
    present: bool
    detail: str

    @property
    def title(self) -> str:
        return str(words(f"doctor.{self.id}.title"))

    @property
    def unlocks(self) -> str:
        """What it is good for."""
        return str(words(f"doctor.{self.id}.unlocks"))

    @property
    def later(self) -> bool:
        """Whether only notebooks that are still to come need it."""
        return bool(words(f"doctor.{self.id}").get("later", False))

    def get(self, system: str) -> str:
        """How to get it on "Linux", "Darwin" or "Windows"."""
        how = words(f"doctor.{self.id}.get")
        return str(how.get(system, how["Linux"]))


@dataclass(frozen=True, repr=False)
class Presence:
    """Every rung, in order. Prints what is there, and what each missing one would unlock and how to get it."""

    system: str
    found: tuple[Found, ...]

    def __getitem__(self, key: str) -> Found:
        return next(f for f in self.found if f.id == key)

    def summary(self) -> str:
        """One sentence: whether anything is missing that a notebook of today wants."""
        missing = [f.title for f in self.found if not f.present and not f.later]
        return say("doctor.missing", names=", ".join(missing)) if missing else str(words("doctor.complete"))

    def ready(self) -> str:
        """One sentence: whether the notebooks of today run here; the same on every computer where they do."""
        python = self["python"]
        return str(words("doctor.ready")) if python.present else say("doctor.not_ready", detail=python.detail)

    def text(self, everywhere: bool = False) -> str:
        """The report. ``everywhere``: the ways to get a missing thing on all three systems, not only on this one."""
        lines = []
        for f in self.found:
            lines.append(f"[{'x' if f.present else ' '}] {f.title}: {f.detail}")
            if not f.present:
                later = f" {words('doctor.later')}" if f.later else ""
                lines.append(f"      {words('doctor.unlocks')} {f.unlocks}{later}")
                systems = ("Linux", "Darwin", "Windows") if everywhere else (self.system,)
                lines += [f"      {words('doctor.system').get(s, s)}: {f.get(s)}" for s in systems]
        return "\n".join([*lines, "", self.summary()])

    __str__ = __repr__ = text

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.text())}</pre>"


def look(host: Host | None = None) -> Presence:
    """What a computer has, from Python up to hardware KVM. The answer for this one is kept after the first look."""
    return _here() if host is None else _look(host)


@functools.cache
def _here() -> Presence:
    return _look(Host())


def _look(host: Host) -> Presence:
    return Presence(host.system, tuple(_careful(name, rung, host) for name, rung in RUNGS.items()))


def _careful(name: str, rung: Callable[[Host], tuple[bool, str]], host: Host) -> Found:
    try:
        return Found(name, *rung(host))
    except Exception as error:  # a report about a broken computer must not break on it
        return Found(name, False, say("doctor.why.failed", error=f"{type(error).__name__}: {error}"))


def _why(key: str, **values: str) -> str:
    return say(f"doctor.why.{key}", **values)


# --- the rungs: each returns whether it is present, and its version or the reason why not ---------------------------


def _python(host: Host) -> tuple[bool, str]:
    versions = {name: host.installed(name) for name in PACKAGES}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        return False, _why("packages", names=", ".join(missing))
    return True, ", ".join([platform.python_version(), *(f"{n} {v}" for n, v in versions.items())])


def _package(distribution: str) -> Callable[[Host], tuple[bool, str]]:
    def rung(host: Host) -> tuple[bool, str]:
        version = host.installed(distribution)
        return (False, _why("package", name=distribution)) if version is None else (True, version)

    return rung


def _numba(host: Host) -> tuple[bool, str]:
    if host.environ.get("VIRTLAB_NO_NUMBA"):
        return False, _why("no_numba")
    return _package("numba")(host)


def _browser(host: Host) -> tuple[bool, str]:
    playwright = host.installed("playwright")
    if playwright is None:
        return False, _why("package", name="playwright")
    program = host.which(*BROWSERS)
    if program is None:
        caches = {"Darwin": host.home / "Library/Caches", "Windows": host.home / "AppData/Local"}
        default = caches.get(host.system, host.home / ".cache") / "ms-playwright"
        cache = Path(host.environ.get("PLAYWRIGHT_BROWSERS_PATH") or default)
        program = next((str(p) for p in sorted(cache.glob("chromium*"))), None)
    return (False, _why("no_browser")) if program is None else (True, f"{program}, playwright {playwright}")


def _program(name: str) -> Callable[[Host], tuple[bool, str]]:
    def rung(host: Host) -> tuple[bool, str]:
        path = host.which(name)
        if path is None:
            return False, _why("program", name=name)
        line = host.first_line([path, "--version"])
        return (False, _why("silent", name=path)) if line is None else (True, line or path)

    return rung


def _guest_kernel(host: Host) -> tuple[bool, str]:
    from virtlab.machine.guest.kernel import find_kernel  # which knows this module
    from virtlab.machine.owning import MachineError

    try:
        kernel = find_kernel(host)
    except MachineError as error:
        return False, str(error)
    busybox = host.which("busybox")
    return (False, _why("program", name="busybox")) if busybox is None else (True, f"{kernel.image}, {busybox}")


def _kvm(host: Host) -> tuple[bool, str]:
    device = host.root / "dev/kvm"
    if not device.exists():
        return False, _why("no_kvm")
    try:
        version = host.kvm_api(device)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            return False, _why("forbidden", name=f"{device} ({errno.errorcode[error.errno]})")
        return False, _why("failed", error=str(error))
    if version != _KVM_API_VERSION:
        return False, _why("kvm_api", version=str(version))
    return True, _why("kvm_opens", version=str(version))


def _hardware_kvm(host: Host) -> tuple[bool, str]:
    modules = {line.split()[0] for line in host.read("proc/modules").splitlines() if line.strip()}
    modules |= {path.name for path in (host.root / "sys/module").glob("kvm_*")}
    flags = set(next((x for x in host.read("proc/cpuinfo").splitlines() if x.startswith("flags")), "").split())
    hardware = modules & {"kvm_intel", "kvm_amd"}
    if hardware and flags & {"vmx", "svm"}:
        present, reason = _kvm(host)
        nested = _why("nested") if "hypervisor" in flags else ""
        return present, f"{', '.join(sorted(hardware))}{nested}" if present else reason
    software = sorted(m for m in modules if m.startswith("kvm_") and m not in hardware)
    return False, _why("software", names=", ".join(software)) if software else _why("no_hardware")


def _huge_pages(host: Host) -> tuple[bool, str]:
    rows = (line.partition(":") for line in host.read("proc/meminfo").splitlines())
    numbers = {key: value.split()[0] for key, _, value in rows if value.split()}
    if "HugePages_Total" not in numbers:
        return False, _why("no_huge_pages")
    counts = _why("huge_pages", free=numbers["HugePages_Free"], total=numbers["HugePages_Total"],
                  size=numbers.get("Hugepagesize", "?"))  # fmt: skip
    return int(numbers["HugePages_Free"]) > 0, counts


#: The rungs by id, from what every reader needs to what few computers have.
RUNGS: Mapping[str, Callable[[Host], tuple[bool, str]]] = {
    "python": _python,
    "numba": _numba,
    "jupyterlab": _package("jupyterlab"),
    "browser": _browser,
    "repo2docker": _package("jupyter-repo2docker"),
    "storage-daemon": _program("qemu-storage-daemon"),
    "qemu": _program("qemu-system-x86_64"),
    "guest-kernel": _guest_kernel,
    "huge-pages": _huge_pages,
    "kvm": _kvm,
    "hardware-kvm": _hardware_kvm,
}

#: The rungs of the third witness, each of which shows more: no notebook needs one, and all say what they show without.
LADDER = ("python", "storage-daemon", "qemu", "guest-kernel", "kvm", "hardware-kvm")


@dataclass(frozen=True, repr=False)
class Available:
    """Which rungs of the ladder this computer has. ``"qemu" in available()`` asks for one."""

    rungs: tuple[str, ...]

    def __contains__(self, rung: object) -> bool:
        if rung not in LADDER:
            raise KeyError(say("doctor.no_rung", rung=rung, known=", ".join(LADDER)))
        return rung in self.rungs

    @property
    def level(self) -> int:
        """How far up the ladder goes without a gap: 0 is Python only, 5 hardware KVM; -1 is not even Python."""
        return next((n for n, rung in enumerate(LADDER) if rung not in self.rungs), len(LADDER)) - 1

    def __str__(self) -> str:
        have = [str(words(f"doctor.{rung}.title")) for rung in self.rungs]
        lack = [str(words(f"doctor.{rung}.title")) for rung in LADDER if rung not in self.rungs]
        return say("doctor.ladder", have=", ".join(have) or "-", lack=", ".join(lack) or "-")

    __repr__ = __str__


def available(host: Host | None = None) -> Available:
    """The rungs that are there; each is looked at once, and nothing is raised."""
    found = look(host)
    return Available(tuple(rung for rung in LADDER if found[rung].present))
