"""The hardware that takes I/O off the CPU: moderated interrupts, PCIe and DMA, the IOMMU, and sliced cards."""

__all__: list[str] = []
