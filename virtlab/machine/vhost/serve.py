"""A vhost-user disk in a process of its own. Run as a module.

Arguments: descriptors of connection and disk, polling in µs, 1 to show each request when it is done (or 0), and for how
many µs to work on each.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import sys

from virtlab.core.words import say
from virtlab.machine.owning import MachineError
from virtlab.machine.vhost.blk import BlkBackend
from virtlab.virtio import NO_FEATURES


def main(connection: int, disk: int, poll_us: float, call_each: bool, delay_us: float) -> int:
    """Serves the disk until the peer closes the connection; 1 when the peer broke the rules."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the starter, whose connection then ends
    with mmap.mmap(disk, os.fstat(disk).st_size) as mapping, memoryview(mapping) as view:
        try:
            with BlkBackend(
                socket.socket(fileno=connection), view, delay_us, without=NO_FEATURES, poll_us=poll_us,
                call_each=call_each,
            ) as back_end:  # fmt: skip
                back_end.run()
                back_end.disk.release()
        except MachineError as error:
            print(say("vhost.served", error=error), file=sys.stderr)
            os._exit(1)  # what is left of the mapping goes with the process
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "1", float(sys.argv[5])))
