"""The exits of the first touch of a page, for a guest and for a guest in a guest: who leaves, why, and who handles it.

L0 is the host's KVM, L1 its guest, L2 a guest inside L1. L1's own tables are EPT12; what the hardware walks for L2 is
EPT02, into which L0 merges EPT12 and its own EPT01. So the walk keeps two dimensions, and the exits grow instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from virtlab.core.parameter import ParameterError
from virtlab.core.words import words


@dataclass(frozen=True)
class TouchExit:
    """One exit. ``function`` is where KVM handles it; ``always`` is False where it depends on what went before.

    ``evidence``: V where the code was read, R where it is recalled.
    """

    key: str
    reason: Literal["EPT_VIOLATION", "VMRESUME"]
    leaves: Literal["L1", "L2"]
    handler: Literal["L0", "L1"]
    function: str
    always: bool
    evidence: Literal["V", "R"]

    @property
    def text(self) -> str:
        """What happens, for a reader."""
        return str(words(f"walk.touch.{self.key}"))


_GUEST = (
    TouchExit("ept_violation", "EPT_VIOLATION", "L1", "L0", "mmu/mmu.c: kvm_tdp_mmu_page_fault", True, "V"),
)  # fmt: skip
_GUEST_IN_GUEST = (
    TouchExit("reflected", "EPT_VIOLATION", "L2", "L1", "vmx/nested.c: nested_ept_inject_page_fault", True, "V"),
    TouchExit("backing", "EPT_VIOLATION", "L1", "L0", "mmu/mmu.c: kvm_tdp_mmu_page_fault", True, "R"),
    TouchExit("protected", "EPT_VIOLATION", "L1", "L0", "mmu/mmu.c: mmu_try_to_unsync_pages", False, "R"),
    TouchExit("resume", "VMRESUME", "L1", "L0", "vmx/nested.c: nested_vmx_run", True, "V"),
    TouchExit("merged", "EPT_VIOLATION", "L2", "L0", "mmu/paging_tmpl.h: FNAME(page_fault), FNAME(fetch)", True, "V"),
)


def first_touch_exits(guest_depth: int = 1) -> tuple[TouchExit, ...]:
    """The exits in order when a page is touched that nobody has touched before, on Intel with EPT at both depths.

    ``guest_depth`` 1 is a guest, 2 a guest in a guest. Left out, so that the list is a floor: VMREAD and VMWRITE of L1,
    which exit too where the CPU has no shadow VMCS. Paths are below arch/x86/kvm of Linux. Raises ParameterError.
    """
    if guest_depth not in (1, 2):
        raise ParameterError(
            f"guest_depth must be 1 or 2; you gave {guest_depth!r}: the course goes as far as a guest in a guest."
        )
    return _GUEST if guest_depth == 1 else _GUEST_IN_GUEST
