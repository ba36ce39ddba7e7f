"""Real devices of a real QEMU, driven from Python."""
