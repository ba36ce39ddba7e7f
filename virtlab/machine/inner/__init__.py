"""A real KVM on a computer without KVM: Linux's own, inside a guest that QEMU emulates. Counts only, never times."""

from virtlab.machine.inner.experiments import EXPERIMENTS, RUNS, Experiment, Run
from virtlab.machine.inner.result import InnerKvm, Polling, recorded_inner_kvm
from virtlab.machine.inner.running import inner_kvm

__all__ = ["EXPERIMENTS", "RUNS", "Experiment", "InnerKvm", "Polling", "Run", "inner_kvm", "recorded_inner_kvm"]
