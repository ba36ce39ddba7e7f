"""The third witness: what this computer can show. No model imports it."""

from virtlab.machine.presence import Found, Host, Presence, look

__all__ = ["Found", "Host", "Presence", "look"]
