/*
 * The smallest driver of a virtio-net device: firmware of 64 KiB for QEMU's machine "microvm", without interrupts. It
 * makes FRAMES frames available and kicks the device after each BATCH of them, writes to port MARK before the first
 * and after the last one, waits until the device has used them all, and ends QEMU through isa-debug-exit (status 1:
 * success).
 *
 * It kicks whether the device wants it or not, so that the number of kicks is its own and nobody's speed has a part in
 * it. Virtio 1.2: 4.2 (MMIO), 2.7 (split ring), 5.1 (network device).
 */
#include <stdint.h>

#define FRAMES  100
#define SIZE    256              /* of the ring: all frames fit at once */
#define BATCH   (*(volatile uint32_t *)0x9000) /* QEMU's device "loader" puts it there */
#define MARK    0x80
#define END     0xf4
#define WINDOWS 0xfeb00000u      /* where microvm has its virtio-mmio devices: 8, each 0x200 long */
#define VIRTIO_NET 1

/* From the reset vector (16 bits, 16 bytes below 4 GiB) to C: flat segments of 4 GiB, no paging, a stack. */
asm(".section .reset, \"ax\"\n"
    ".code16\n"
    "    jmp real\n"
    "    .org 16, 0x90\n"
    ".text\n"
    "real:\n"
    "    cli\n"
    "    addr32 lgdtl %cs:(gdtr - 0xffff0000)\n"
    "    movl %cr0, %eax\n"
    "    orb $1, %al\n"
    "    movl %eax, %cr0\n"
    "    ljmpl $8, $flat\n"
    ".code32\n"
    "flat:\n"
    "    movw $16, %ax\n"
    "    movw %ax, %ds\n"
    "    movw %ax, %es\n"
    "    movw %ax, %ss\n"
    "    movl $0x80000, %esp\n"
    "    call drive\n"
    "    .balign 8\n"
    "gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff\n"
    "gdtr: .word 23\n"
    "    .long gdt\n");

static volatile struct {
    uint64_t address;
    uint32_t bytes;
    uint16_t flags, next;
} *const descriptors = (void *)0x10000;

static volatile struct {
    uint16_t flags, index, ring[SIZE];
} *const avail = (void *)0x12000;

static volatile struct {
    uint16_t flags, index;
    struct {
        uint32_t id, bytes;
    } ring[SIZE];
} *const used = (void *)0x13000;

/* struct virtio_net_hdr, all zero, and an Ethernet frame to everybody, of a type for experiments. */
static volatile uint8_t *const frame = (void *)0x20000;
#define HEADER_BYTES 12
#define FRAME_BYTES  60

static void outb(uint16_t port, uint8_t value)
{
    asm volatile("outb %0, %1" : : "a"(value), "d"(port) : "memory");
}

static uint32_t get(uint32_t device, uint32_t offset)
{
    return *(volatile uint32_t *)(device + offset);
}

static void set(uint32_t device, uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)(device + offset) = value;
}

__attribute__((noreturn)) static void end(uint8_t status)
{
    for (;;) {
        outb(END, status); /* QEMU exits with 2 * status + 1 */
    }
}

__attribute__((noreturn, used)) void drive(void)
{
    uint32_t device = WINDOWS, batch = BATCH;

    if (batch == 0 || FRAMES % batch) {
        end(2);
    }
    while (get(device, 0x008) != VIRTIO_NET) { /* DeviceID */
        device += 0x200;
        if (device == WINDOWS + 8 * 0x200) {
            end(1);
        }
    }
    set(device, 0x070, 0);      /* Status: reset, */
    set(device, 0x070, 1 | 2);  /* ACKNOWLEDGE and DRIVER */
    set(device, 0x024, 0);      /* DriverFeaturesSel: bits 0 to 31 */
    set(device, 0x020, 0);      /* DriverFeatures */
    set(device, 0x024, 1);      /* bits 32 to 63: */
    set(device, 0x020, 1);      /* VERSION_1 alone */
    set(device, 0x070, 1 | 2 | 8); /* FEATURES_OK */

    set(device, 0x030, 1);      /* QueueSel: transmitq1 */
    set(device, 0x038, SIZE);   /* QueueNum */
    set(device, 0x080, (uint32_t)descriptors);
    set(device, 0x090, (uint32_t)avail);
    set(device, 0x0a0, (uint32_t)used);
    set(device, 0x044, 1);      /* QueueReady */

    for (int i = 0; i < 6; i++) {
        frame[HEADER_BYTES + i] = 0xff;
    }
    frame[HEADER_BYTES + 6] = 0x02; /* from a locally administered address */
    frame[HEADER_BYTES + 12] = 0x88;
    frame[HEADER_BYTES + 13] = 0xb5;
    for (int i = 0; i < SIZE; i++) {
        descriptors[i].address = (uint32_t)frame;
        descriptors[i].bytes = HEADER_BYTES + FRAME_BYTES;
        avail->ring[i] = i;
    }
    avail->flags = 1;           /* NO_INTERRUPT */
    set(device, 0x070, 1 | 2 | 8 | 4); /* DRIVER_OK */

    outb(MARK, 0);
    for (uint32_t i = 1; i <= FRAMES; i++) {
        avail->index++;
        if (i % batch == 0) {
            __sync_synchronize();
            set(device, 0x050, 1); /* QueueNotify */
        }
    }
    outb(MARK, 1);
    while (used->index != FRAMES) {
        asm volatile("pause");
    }
    end(0);
}
