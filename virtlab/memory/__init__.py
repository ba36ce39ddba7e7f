"""Memory virtualization: the two-dimensional walk, TLBs and huge pages, dirty pages and moving a VM."""
