"""What stands behind /dev/kvm, on computers made of folders; and why there is nothing, in one sentence each."""
import errno
import platform
import sys
from contextlib import ExitStack
from dataclasses import replace

import pytest

from virtlab.core.words import words
from virtlab.machine import Host
from virtlab.machine.kvm import Kind, abi, kind, opening, programs
from virtlab.machine.kvm.guest import TinyGuest
from virtlab.machine.kvm.opening import open_kvm, sentence, unfit
from virtlab.machine.owning import MachineError

INTEL = {"proc/modules": "kvm_intel 1 0\nkvm 1 1\n", "proc/cpuinfo": "processor : 0\nflags\t: fpu vmx\n"}


def computer(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Host(system="Linux", environ={}, root=root, home=root)


@pytest.mark.parametrize(("module", "flag"), [("kvm_intel", "vmx"), ("kvm_amd", "svm")])
@pytest.mark.parametrize("emulated", [False, None])
def test_module_flag_and_code_that_runs_are_hardware(tmp_path, module, flag, emulated):
    host = computer(tmp_path, {"proc/modules": f"{module} 1 0\nkvm 1 1\n", "proc/cpuinfo": f"flags : {flag}\n"})
    found = kind(host, lambda device: emulated)
    assert (found.name, found.modules, found.nested) == ("hardware", (module,), False)
    assert module in found.text and flag in found.text


def test_a_module_that_only_sys_shows_is_found(tmp_path):
    host = computer(tmp_path, {"sys/module/kvm_amd/x": "", "proc/cpuinfo": "flags : svm\n"})
    assert kind(host, lambda device: False).name == "hardware"


@pytest.mark.parametrize("files", [
    {"proc/modules": "kvm_pvm 1 0\n", "proc/cpuinfo": "flags : hypervisor\n"},
    INTEL | {"proc/modules": "kvm 1 0\n"},
    INTEL | {"proc/cpuinfo": "flags : fpu\n"},
    {"proc/modules": "kvm_amd 1 0\n", "proc/cpuinfo": "flags : vmx\n"},
    {},
])  # fmt: skip
def test_in_doubt_it_is_software(tmp_path, files):
    found = kind(computer(tmp_path, files), lambda device: False)
    assert found.name == "software" and "not those of VT-x or SVM" in found.text


def test_code_that_is_emulated_is_software_whatever_the_module_says(tmp_path):
    assert kind(computer(tmp_path, INTEL), lambda device: True).name == "software"


def test_a_nested_kvm_says_so(tmp_path):
    host = computer(tmp_path, INTEL | {"proc/cpuinfo": "flags : vmx hypervisor\n"})
    found = kind(host, lambda device: False)
    assert found.nested and found.name == "hardware" and "nested" in str(found)


@pytest.mark.parametrize("error", [MachineError("It is not there."), OSError(5, "I/O"), ValueError("what")])
def test_no_error_is_raised_and_every_reason_is_said(tmp_path, error):
    def fail(device):
        raise error

    found = kind(computer(tmp_path, INTEL), fail)
    assert found.name == "none" and str(error) in found.text and found.text.startswith("No KVM: ")


def test_a_computer_without_the_device_says_so(tmp_path):
    found = kind(computer(tmp_path, INTEL))
    assert found.name == "none"
    if not unfit_here():
        assert f"There is no {tmp_path}/dev/kvm" in found.text


def test_a_file_that_is_no_kvm_says_so(tmp_path):
    found = kind(computer(tmp_path, INTEL | {"dev/kvm": ""}))
    assert found.name == "none" and (unfit_here() or "could not be used" in found.text)


def unfit_here():
    return unfit(sys.platform, platform.machine())


@pytest.mark.parametrize(("number", "said"), [
    (errno.ENOENT, "There is no /dev/kvm"), (errno.EACCES, "may not open it"), (errno.EPERM, "usermod -aG kvm"),
    (errno.ENODEV, "no KVM stands behind it"), (errno.ENXIO, "no KVM stands behind it"),
    (errno.EBUSY, "another hypervisor"), (errno.EIO, "(Input/output error)"),
])
def test_each_error_of_the_device_has_its_sentence(number, said):
    text = sentence(OSError(number, "Input/output error"))
    assert said in text and text.endswith(".")


@pytest.mark.parametrize(("system", "machine", "said"), [
    ("darwin", "arm64", "another system"), ("win32", "AMD64", "another system"), ("linux", "aarch64", "aarch64"),
    ("linux", "x86_64", ""), ("linux", "AMD64", ""),
])
def test_another_system_or_cpu_is_told(system, machine, said):
    assert said in unfit(system, machine) and bool(said) is bool(unfit(system, machine))


@pytest.fixture
def pretend(monkeypatch, tmp_path):
    """/dev/kvm as an empty file, with the answers that a test gives."""
    if sys.platform != "linux":
        pytest.skip("opens it as Linux does")
    (tmp_path / "kvm").write_text("")

    def with_answers(version=12, lacks=()):
        def ioctl(fd, request, argument=0):
            return version if request == abi.KVM_GET_API_VERSION else int(argument not in lacks)

        monkeypatch.setattr(abi, "ioctl", ioctl)
        monkeypatch.setattr(opening, "unfit", lambda system, machine: "")
        return tmp_path / "kvm"

    return with_answers


def test_another_api_version_is_told(pretend):
    with pytest.raises(MachineError, match="API version 11; 12 is"), ExitStack() as held:
        open_kvm(held, pretend(version=11))


def test_missing_capabilities_are_named(pretend):
    device = pretend(lacks=(abi.NEEDED["KVM_CAP_IOEVENTFD"],))
    with pytest.raises(MachineError, match="This KVM lacks KVM_CAP_IOEVENTFD"), ExitStack() as held:
        open_kvm(held, device)


def test_a_guest_on_such_a_device_is_one_sentence(pretend):
    with pytest.raises(MachineError, match="lacks"):
        TinyGuest(b"\xf4", device=pretend(lacks=(3,)))


@pytest.mark.machine
def test_a_guest_that_does_not_reach_its_hlt_is_told(monkeypatch):
    monkeypatch.setitem(programs.PROGRAMS, "hlt", replace(programs.PROGRAMS["hlt"], lines=(("eb fe", "loop"),)))
    monkeypatch.setattr("virtlab.machine.kvm.kinds._PATIENCE_SECONDS", 0.06)
    found = kind()
    assert found.name == "none" and "does not reach its HLT" in found.text


@pytest.mark.machine
def test_this_computer_is_of_one_kind(here):
    assert kind() == here and str(here) == here.text
    assert here.name == ("software" if "kvm_pvm" in here.modules else "hardware")


def test_every_sentence_of_a_kind_is_there():
    for nested in (False, True):
        for name in ("none", "software", "hardware"):
            assert Kind(name, "It is not there.", nested=nested).text.endswith(".")
    assert words("kvm.kind.unknown_modules") in Kind("software").text
