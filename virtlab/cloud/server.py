"""The server that a host is made of, and what its own work costs: policy, daemons, monitoring, snapshots, consoles."""

from __future__ import annotations

from typing import Literal

from virtlab import cpu, paths
from virtlab.core.parameter import Parameters, parameter, same
from virtlab.evidence import FACTS


class ServerOptions(Parameters):
    """A server with ``host_cores`` cores and as much memory for each as a VM has for each vCPU: a vCPU is a core here.

    ``host_wait_ns`` is how long a daemon of the host runs at once; a back end runs for one batch or request.

    The costs of policy and management are recalled figures; they stand until a model of each is asked.
    """

    host_cores: int = parameter(FACTS["fleet.cores"], ge=4, le=1024, log=True)
    path_costs: Literal["qemu-2012", "amd-2020-floor"] = parameter(FACTS["exit.m01.pio.ioeventfd"], default="qemu-2012",
                                                                   unit="1")  # fmt: skip
    fabric_rtt_ns: float = same(paths.StorageCosts, "fabric_rtt_ns")
    host_wait_ns: float = same(cpu.NeighbourOptions, "host_wait_ns")
    filter_ns: float = parameter(FACTS["whole.filter"], ge=0, le=10_000)
    flow_setup_ns: float = parameter(FACTS["whole.flow"], ge=0, le=1_000_000)
    agents_cores: float = parameter(FACTS["whole.agents"], ge=0, le=32)
    monitor_cores: float = parameter(FACTS["whole.monitor"], ge=0, le=1)
    snapshot_cores: float = parameter(FACTS["whole.snapshot"], ge=0, le=1)
    console_cores: float = parameter(FACTS["whole.console"], ge=0, le=1)
