"""vhost-user: both ends of the protocol by which a process serves the virtqueues of a real QEMU, or of none."""
