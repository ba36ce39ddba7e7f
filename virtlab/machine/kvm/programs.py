"""What the guests run: machine code as data, each instruction beside its assembler."""

from __future__ import annotations

from dataclasses import dataclass

PORT, END_PORT, _PIC_MASK = 0x3F8, 0x99, 0x21
IRQ, HANDLER, COUNTER = 5, 0x2000, 0x500  # the line, its handler's address, and where the handler counts
VECTOR_AT = 4 * (0x20 + IRQ)  # of the handler, in the table of real mode


@dataclass(frozen=True, repr=False)
class Program:
    """Machine code that starts in ``mode``. Prints as its listing."""

    mode: str
    lines: tuple[tuple[str, str], ...]

    @property
    def code(self) -> bytes:
        return bytes.fromhex("".join(code for code, _ in self.lines))

    def __str__(self) -> str:
        width = max(len(code) for code, _ in self.lines)
        return "\n".join(f"{code:{width}}  {text}" for code, text in self.lines)

    __repr__ = __str__


def _repeated(*body: tuple[str, str], mode: str = "user") -> Program:
    """``body`` rcx times in 64-bit code, and at the end one write to a port that nobody in the kernel takes."""
    size = len(bytes.fromhex("".join(code for code, _ in body)))
    first, *rest = body
    return Program(mode, (
        (first[0], f"again: {first[1]}"),
        *((code, f"       {text}") for code, text in rest),
        ("48 ff c9", "       dec rcx"),
        (f"75 {256 - size - 5:02x}", "       jnz again"),
        (f"e6 {END_PORT:02x}", f"       out {END_PORT:#x}, al       ; the end"),
    ))  # fmt: skip


#: By name. Registers at the start: rcx = how often, rdx = the port, rdi = the address of the device, the rest 0.
PROGRAMS = {
    "out": _repeated(("ee", "out dx, al         ; one byte to a port")),
    "in": _repeated(("ec", "in al, dx          ; one byte from a port")),
    "store": _repeated(("89 07", "mov [rdi], eax     ; four bytes to device memory")),
    "load": _repeated(("8b 07", "mov eax, [rdi]     ; four bytes from device memory")),
    "pic": _repeated((f"e4 {_PIC_MASK:02x}", f"in al, {_PIC_MASK:#x}        ; the mask of KVM's interrupt controller")),
    "cpuid": _repeated(
        ("51", "push rcx           ; cpuid overwrites it"), ("31 c0", "xor eax, eax"), ("0f a2", "cpuid"),
        ("59", "pop rcx"),
    ),
    "loop": _repeated(("90", "nop")),
    "loop_ring0": _repeated(("90", "nop"), mode="long"),
    "hlt": Program("real", (("f4", "again: hlt"), ("eb fd", "       jmp again"))),
    "irq": Program("real", (
        ("b0 11 e6 20 e6 a0", "mov al, 0x11; out 0x20, al; out 0xa0, al       ; both PICs: begin"),
        ("b0 20 e6 21 b0 28 e6 a1", "mov al, 0x20; out 0x21, al; mov al, 0x28; out 0xa1, al  ; vectors"),
        ("b0 04 e6 21 b0 02 e6 a1", "mov al, 4; out 0x21, al; mov al, 2; out 0xa1, al  ; the cascade"),
        ("b0 01 e6 21 e6 a1", "mov al, 1; out 0x21, al; out 0xa1, al          ; 8086 mode"),
        ("b0 df e6 21 b0 ff e6 a1", "mov al, 0xdf; out 0x21, al; mov al, 0xff; out 0xa1, al  ; only IRQ 5"),
        (f"e6 {END_PORT:02x}", f"out {END_PORT:#x}, al                                  ; ready"),
        ("fb", "sleep: sti"),
        ("f4", "       hlt"),
        ("eb fc", "       jmp sleep"),
    )),
    "irq_handler": Program("real", (
        ("ff 06 00 05", "inc word [0x500]"),
        ("b0 20 e6 20", "mov al, 0x20; out 0x20, al  ; end of interrupt"),
        (f"e6 {END_PORT:02x}", f"out {END_PORT:#x}, al               ; tell it"),
        ("cf", "iret"),
    )),
}  # fmt: skip
