"""The third witness: what this computer can show. No model imports it."""

from virtlab.machine.measured import Facts, Measured, Quantity, recorded
from virtlab.machine.presence import Found, Host, Presence, look
from virtlab.machine.probes import measure

__all__ = ["Facts", "Found", "Host", "Measured", "Presence", "Quantity", "look", "measure", "recorded"]
