/*
 * A virtual machine monitor for experiments: it reads a plan from standard input, runs tiny guests in KVM as the plan
 * says, and prints what KVM's own tracepoints and statistics counted meanwhile.
 *
 * It runs inside a guest that QEMU emulates, where KVM is Linux's own on an emulated AMD processor (SVM). What counts
 * there counts everywhere; how long it takes there means nothing, so no time is told.
 *
 * Plan, one step a line; numbers as in C:
 *   experiment NAME                a fresh VM, without memory
 *   memory BYTES small|huge        guest memory from address 0, given and touched by us: no fault of ours is counted
 *   disable-exits MASK             KVM_CAP_X86_DISABLE_EXITS
 *   halt-poll NS                   KVM_CAP_HALT_POLL: the longest that KVM polls before it lets a halted vCPU sleep
 *   irqchip                        interrupt controllers in the kernel, and an x2APIC for the vCPU
 *   ioeventfd pio|mmio ADDRESS BYTES
 *   store ADDRESS HEX              bytes of the guest, after memory
 *   vcpu real|flat                 the vCPU: 16 bits, or 32 bits with flat segments and without paging
 *   log on|off                     dirty logging
 *   read-log PHASE                 KVM_GET_DIRTY_LOG: tells the dirty pages, and protects them again
 *   run PHASE REGISTER=VALUE...    from ENTRY, until the guest halts (no irqchip) or writes to port END
 *   program PHASE PATH ARGUMENT... another monitor in our place, which ends with status DONE: counted is what its guest
 *                                  causes between two writes to port MARK, and who carries frames from tap devices
 *
 * Answers, one a line, each after the word "virtlab:kvm":
 *   count EXPERIMENT PHASE KEY NUMBER
 *   list EXPERIMENT PHASE KEY NUMBER...
 *   end EXPERIMENT LINES           all of it was told, in so many lines
 *   failed EXPERIMENT TEXT         the last line; exit status 1
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACING "/sys/kernel/tracing/"
#define ENTRY   0x1000          /* where a guest starts */
#define END     0xf4            /* the port that ends a run, as QEMU's isa-debug-exit */
#define DONE    1               /* QEMU's exit status after a 0 written there */
#define MARK    "0x80"          /* the port at which the guest of a program begins and ends what counts */
#define TSS     0x7ffbd000      /* three pages that VMX needs below 4 GiB and outside of memory */
#define X2APIC_ENABLE (1u << 10) /* in IA32_APIC_BASE */
#define KEYS    64
#define NAME    64
#define HALTS   256
#define WORDS   64

static struct {
    char experiment[NAME];
    int kvm, vm, vcpu, event;
    bool irqchip;
    struct kvm_run *run;
    size_t run_bytes;
    struct kvm_userspace_memory_region slot;
    int lines;
} m = { .kvm = -1, .vm = -1, .vcpu = -1, .event = -1 };

/* What one run caused: events by key. */
static struct {
    char key[NAME];
    uint64_t count;
} counted[KEYS];
static int keys;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("\nvirtlab:kvm failed %s ", m.experiment[0] ? m.experiment : "-");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    exit(1);
}

/* An ioctl that must succeed. */
static int must(int fd, unsigned long request, void *arg, const char *name)
{
    int result = ioctl(fd, request, arg);

    if (result < 0) {
        fail("%s: %s", name, strerror(errno));
    }
    return result;
}
#define MUST(fd, request, arg) must(fd, request, (void *)(uintptr_t)(arg), #request)

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void tell(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("virtlab:kvm ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    m.lines++;
}

static void count(const char *scope, const char *name, uint64_t add)
{
    char key[NAME];
    int i;

    if (snprintf(key, sizeof(key), "%s%s", scope, name) >= NAME) {
        fail("a key is too long: %s%s", scope, name);
    }
    for (i = 0; i < keys && strcmp(counted[i].key, key); i++) {
    }
    if (i == keys) {
        if (keys == KEYS) {
            fail("more than %d keys", KEYS);
        }
        strcpy(counted[keys].key, key);
        counted[keys++].count = 0;
    }
    counted[i].count += add;
}

static void tell_counted(const char *phase)
{
    for (int i = 0; i < keys; i++) {
        tell("count %s %s %s %llu", m.experiment, phase, counted[i].key, (unsigned long long)counted[i].count);
    }
    fflush(stdout);
}

/* --- the kernel's tracepoints -------------------------------------------------------------------------------- */

static void trace_write(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY | O_TRUNC);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        fail("%s: %s", file, strerror(errno));
    }
    close(fd);
}

static void trace_on(const char *event)
{
    char file[256];

    snprintf(file, sizeof(file), TRACING "events/%s/enable", event);
    trace_write(file, "1");
}

static void trace_start(void)
{
    keys = 0;
    trace_write(TRACING "trace", ""); /* opening it to write clears it */
    trace_write(TRACING "tracing_on", "1");
}

static void trace_stop(void)
{
    trace_write(TRACING "tracing_on", "0");
}

/* The word after `before` in a line of the trace; false if there is none. */
static bool word_after(const char *line, const char *before, char word[NAME])
{
    const char *at = strstr(line, before);
    size_t n;

    if (!at) {
        return false;
    }
    at += strlen(before);
    n = strcspn(at, " \n");
    if (n == 0 || n >= NAME) {
        fail("a line of the trace: %s", line);
    }
    memcpy(word, at, n);
    word[n] = 0;
    return true;
}

/*
 * Reads the trace of one run: exits and returns by reason, and for each time that the halted vCPU had to wait, whether
 * polling was enough ("polled") and how long KVM will poll the next time ("halt_poll_ns"). If `marked`, only what comes
 * between two writes to port MARK counts, and neither of these. For each of them KVM traces kvm_exit, kvm_pio, and
 * kvm_userspace_exit.
 */
static void trace_read(const char *phase, bool marked)
{
    static char line[4096];
    uint64_t interval = 0, after[HALTS], polled[HALTS];
    unsigned long held, written;
    char word[NAME], reason[NAME] = "";
    int halts = 0, marks = 0;
    bool returning = false;
    FILE *trace = fopen(TRACING "trace", "r");

    if (!trace) {
        fail("the trace: %s", strerror(errno));
    }
    while (fgets(line, sizeof(line), trace)) {
        if (line[0] == '#') {
            if (sscanf(line, "# entries-in-buffer/entries-written: %lu/%lu", &held, &written) == 2 && held != written) {
                fail("the trace lost %lu of %lu events", written - held, written);
            }
        } else if (marked && strstr(line, " kvm_pio: pio_write at " MARK " ")) {
            marks++;
            returning = marks == 1; /* from the first mark: not counted */
            if (marks == 2) {
                count("exits.", reason, -1); /* of the second mark: taken back */
            }
        } else if (strstr(line, " netif_receive_skb: dev=tap") && sscanf(line, " %31[^-]", word) == 1) {
            count("frames.", word, 1); /* a tap receives in the context of who wrote the frame: its name stands first */
        } else if (marked && marks != 1) {
            continue;
        } else if (strstr(line, " kvm_exit: ")) {
            if (word_after(line, " reason ", reason)) {
                count("exits.", reason, 1);
            }
        } else if (strstr(line, " kvm_userspace_exit: ")) {
            if (returning) {
                returning = false;
            } else if (word_after(line, " reason KVM_EXIT_", word)) {
                count("userspace.", word, 1);
            } else {
                count("userspace.", "other", 1);
            }
        } else if (word_after(line, ": halt_poll_ns ", word)) {
            interval = strtoull(word, NULL, 10);
        } else if (strstr(line, " kvm_vcpu_wakeup: ") && halts < HALTS) {
            /* KVM sets the next interval before it traces the wake-up. */
            polled[halts] = strstr(line, ": poll time ") != NULL;
            after[halts++] = interval;
        }
    }
    if (fclose(trace)) {
        fail("the trace: %s", strerror(errno));
    }
    if (marked && marks != 2) {
        fail("%s: %d marks instead of 2", phase, marks);
    }
    for (int list = 0; list < 2 && halts; list++) {
        printf("virtlab:kvm list %s %s %s", m.experiment, phase, list ? "halt_poll_ns" : "polled");
        for (int i = 0; i < halts; i++) {
            printf(" %llu", (unsigned long long)(list ? after[i] : polled[i]));
        }
        printf("\n");
        m.lines++;
    }
}

/* --- KVM's own statistics of the vCPU ------------------------------------------------------------------------ */

static uint64_t *stats_read(int fd, const struct kvm_stats_header *header, size_t bytes)
{
    uint64_t *data = calloc(1, bytes);

    if (!data || pread(fd, data, bytes, header->data_offset) != (ssize_t)bytes) {
        fail("statistics: %s", strerror(errno));
    }
    return data;
}

/* Before a run: sets *before. After it: counts by how much each counter of events rose; times are left out. */
static void stats(uint64_t **before)
{
    struct kvm_stats_header header;
    size_t entry, bytes = 0;
    uint64_t *now;
    char *all;
    int fd = ioctl(m.vcpu, KVM_GET_STATS_FD, 0);

    if (fd < 0) {
        return; /* Linux before 5.14 */
    }
    if (read(fd, &header, sizeof(header)) != sizeof(header)) {
        fail("statistics: %s", strerror(errno));
    }
    entry = sizeof(struct kvm_stats_desc) + header.name_size;
    all = calloc(header.num_desc, entry);
    if (!all || pread(fd, all, header.num_desc * entry, header.desc_offset) != (ssize_t)(header.num_desc * entry)) {
        fail("statistics: %s", strerror(errno));
    }
    for (uint32_t i = 0; i < header.num_desc; i++) {
        struct kvm_stats_desc *desc = (void *)(all + i * entry);
        if (desc->offset + 8u * desc->size > bytes) {
            bytes = desc->offset + 8u * desc->size;
        }
    }
    now = stats_read(fd, &header, bytes);
    for (uint32_t i = 0; *before && i < header.num_desc; i++) {
        struct kvm_stats_desc *desc = (void *)(all + i * entry);
        uint64_t rise = now[desc->offset / 8] - (*before)[desc->offset / 8];
        bool events = (desc->flags & KVM_STATS_TYPE_MASK) == KVM_STATS_TYPE_CUMULATIVE &&
                      (desc->flags & KVM_STATS_UNIT_MASK) == KVM_STATS_UNIT_NONE && desc->size == 1;
        if (events && (rise || (m.irqchip && !strncmp(desc->name, "halt_", 5)))) {
            count("kvm.", desc->name, rise);
        }
    }
    free(all);
    free(*before);
    *before = now;
    close(fd);
}

/* --- the steps of a plan -------------------------------------------------------------------------------------- */

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value;

    errno = 0;
    value = text ? strtoull(text, &end, 0) : 0;
    if (!text || !*text || *end || errno) {
        fail("not a number: %s", text ? text : "nothing");
    }
    return value;
}

static char *next(void)
{
    return strtok(NULL, " \n");
}

/* The next word of the step, which must be there. */
static char *need(void)
{
    char *word = next();

    if (!word) {
        fail("a step is too short");
    }
    return word;
}

static void finish(void)
{
    if (m.vm < 0) {
        return;
    }
    tell("end %s %d", m.experiment, m.lines);
    fflush(stdout);
    if (m.run) {
        munmap(m.run, m.run_bytes);
    }
    if (m.event >= 0) {
        close(m.event);
    }
    if (m.vcpu >= 0) {
        close(m.vcpu);
    }
    close(m.vm);
    if (m.slot.userspace_addr) {
        munmap((void *)(uintptr_t)m.slot.userspace_addr, m.slot.memory_size);
    }
    m.vm = m.vcpu = m.event = -1;
    m.run = NULL;
}

static void experiment(void)
{
    finish();
    m.lines = 0;
    m.irqchip = false;
    memset(&m.slot, 0, sizeof(m.slot));
    snprintf(m.experiment, sizeof(m.experiment), "%s", need());
    m.vm = MUST(m.kvm, KVM_CREATE_VM, 0);
    MUST(m.vm, KVM_SET_TSS_ADDR, TSS);
}

static void memory(void)
{
    uint64_t bytes = number(need());
    bool huge = !strcmp(need(), "huge");
    void *ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | (huge ? MAP_HUGETLB : 0), -1, 0);

    if (ram == MAP_FAILED) {
        fail("%llu bytes of memory: %s", (unsigned long long)bytes, strerror(errno));
    }
    if (!huge && madvise(ram, bytes, MADV_NOHUGEPAGE) && errno != EINVAL) { /* EINVAL: a kernel without them */
        fail("madvise: %s", strerror(errno));
    }
    memset(ram, 1, bytes);
    m.slot = (struct kvm_userspace_memory_region){ .memory_size = bytes, .userspace_addr = (uintptr_t)ram };
    MUST(m.vm, KVM_SET_USER_MEMORY_REGION, &m.slot);
}

static void enable(uint32_t cap, uint64_t arg)
{
    struct kvm_enable_cap enabled = { .cap = cap, .args = { arg } };

    MUST(m.vm, KVM_ENABLE_CAP, &enabled);
}

static void irqchip(void)
{
    MUST(m.vm, KVM_CREATE_IRQCHIP, 0);
    m.irqchip = true;
}

static void ioeventfd(void)
{
    struct kvm_ioeventfd wanted = { .flags = strcmp(need(), "pio") ? 0 : KVM_IOEVENTFD_FLAG_PIO };

    m.event = eventfd(0, EFD_NONBLOCK);
    if (m.event < 0) {
        fail("eventfd: %s", strerror(errno));
    }
    wanted.fd = m.event;
    wanted.addr = number(need());
    wanted.len = number(need());
    MUST(m.vm, KVM_IOEVENTFD, &wanted);
}

static void store(void)
{
    uint64_t at = number(need());
    const char *hex = need();
    size_t bytes = strlen(hex) / 2;

    if (strlen(hex) % 2 || at + bytes > m.slot.memory_size) {
        fail("%zu bytes do not fit at 0x%llx", bytes, (unsigned long long)at);
    }
    for (size_t i = 0; i < bytes; i++) {
        char digits[3] = { hex[2 * i], hex[2 * i + 1] }, *end;
        ((uint8_t *)(uintptr_t)m.slot.userspace_addr)[at + i] = strtoul(digits, &end, 16);
        if (*end) {
            fail("not hexadecimal: %s", digits);
        }
    }
}

static void vcpu(void)
{
    bool flat = !strcmp(need(), "flat");
    struct kvm_sregs sregs;

    m.vcpu = MUST(m.vm, KVM_CREATE_VCPU, 0);
    m.run_bytes = MUST(m.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    m.run = mmap(NULL, m.run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m.vcpu, 0);
    if (m.run == MAP_FAILED) {
        fail("kvm_run: %s", strerror(errno));
    }
    if (m.irqchip) { /* the guest may only have an x2APIC that CPUID shows */
        struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));
        if (!cpuid) {
            fail("no memory");
        }
        cpuid->nent = 256;
        MUST(m.kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
        MUST(m.vcpu, KVM_SET_CPUID2, cpuid);
        free(cpuid);
    }
    MUST(m.vcpu, KVM_GET_SREGS, &sregs);
    if (flat) {
        struct kvm_segment data = { .limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1,
                                    .g = 1 };
        sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.cs = data;
        sregs.cs.selector = 8;
        sregs.cs.type = 11;
        sregs.cr0 |= 1; /* protection enable */
    } else {
        sregs.cs.base = sregs.cs.selector = 0;
    }
    if (m.irqchip) {
        sregs.apic_base |= X2APIC_ENABLE;
    }
    MUST(m.vcpu, KVM_SET_SREGS, &sregs);
}

static void dirty_log(void)
{
    m.slot.flags = strcmp(need(), "on") ? 0 : KVM_MEM_LOG_DIRTY_PAGES;
    MUST(m.vm, KVM_SET_USER_MEMORY_REGION, &m.slot);
}

static void read_log(void)
{
    const char *phase = need();
    size_t bytes = m.slot.memory_size / 4096 / 8;
    uint64_t pages = 0;
    struct kvm_dirty_log log = { .dirty_bitmap = calloc(1, bytes) };

    if (!log.dirty_bitmap) {
        fail("no memory");
    }
    MUST(m.vm, KVM_GET_DIRTY_LOG, &log);
    for (size_t i = 0; i < bytes; i++) {
        pages += __builtin_popcount(((uint8_t *)log.dirty_bitmap)[i]);
    }
    free(log.dirty_bitmap);
    tell("count %s %s kvm.dirty_pages %llu", m.experiment, phase, (unsigned long long)pages);
}

/* Enters the guest until it is done; what its accesses carry does not matter here, only that they come. */
static void enter(void)
{
    for (;;) {
        MUST(m.vcpu, KVM_RUN, 0);
        switch (m.run->exit_reason) {
        case KVM_EXIT_IO:
            if (m.run->io.port == END) {
                return;
            }
            break;
        case KVM_EXIT_MMIO:
            break;
        case KVM_EXIT_HLT:
            return;
        default:
            fail("the guest ended with exit reason %u", m.run->exit_reason);
        }
    }
}

static void run(void)
{
    char *phase = need(), *word;
    struct kvm_regs regs = { .rip = ENTRY, .rflags = 2 };
    uint64_t *before = NULL, signals = 0;

    while ((word = next())) {
        char *value = strchr(word, '=');
        struct { const char *name; __u64 *at; } all[] = {
            { "rbx", &regs.rbx }, { "rcx", &regs.rcx }, { "rdx", &regs.rdx }, { "rsi", &regs.rsi },
            { "rdi", &regs.rdi }, { "rbp", &regs.rbp }, { "rsp", &regs.rsp },
        };
        size_t i, n = sizeof(all) / sizeof(all[0]);
        if (!value) {
            fail("not a register: %s", word);
        }
        *value++ = 0;
        for (i = 0; i < n && strcmp(all[i].name, word); i++) {
        }
        if (i == n) {
            fail("not a register: %s", word);
        }
        *all[i].at = number(value);
    }
    MUST(m.vcpu, KVM_SET_REGS, &regs);
    stats(&before);
    trace_start();
    enter();
    trace_stop();
    stats(&before);
    free(before);
    trace_read(phase, false);
    if (m.event >= 0) {
        if (read(m.event, &signals, sizeof(signals)) != sizeof(signals) && errno != EAGAIN) {
            fail("eventfd: %s", strerror(errno));
        }
        count("", "signals", signals);
    }
    tell_counted(phase);
}

static void program(void)
{
    char *phase = need(), *words[WORDS + 1];
    int n = 0, status;
    pid_t child;

    while (n < WORDS && (words[n] = next())) {
        n++;
    }
    if (n == 0 || n == WORDS) {
        fail("a program has 1 to %d words", WORDS - 1);
    }
    fflush(stdout);
    trace_start();
    child = fork();
    if (child == 0) {
        execv(words[0], words);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        fail("%s: %s", words[0], strerror(errno));
    }
    trace_stop();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != DONE) {
        fail("%s ended with wait status 0x%x", words[0], status);
    }
    trace_read(phase, true);
    tell_counted(phase);
}

static void step(const char *verb)
{
    if (!strcmp(verb, "experiment")) {
        experiment();
    } else if (m.vm < 0) {
        fail("no experiment before %s", verb);
    } else if (!strcmp(verb, "memory")) {
        memory();
    } else if (!strcmp(verb, "disable-exits")) {
        enable(KVM_CAP_X86_DISABLE_EXITS, number(need()));
    } else if (!strcmp(verb, "halt-poll")) {
        enable(KVM_CAP_HALT_POLL, number(need()));
    } else if (!strcmp(verb, "irqchip")) {
        irqchip();
    } else if (!strcmp(verb, "ioeventfd")) {
        ioeventfd();
    } else if (!strcmp(verb, "store")) {
        store();
    } else if (!strcmp(verb, "vcpu")) {
        vcpu();
    } else if (!strcmp(verb, "log")) {
        dirty_log();
    } else if (!strcmp(verb, "read-log")) {
        read_log();
    } else if (!strcmp(verb, "run")) {
        run();
    } else if (!strcmp(verb, "program")) {
        program();
    } else {
        fail("no such step: %s", verb);
    }
}

int main(void)
{
    static char line[8192];
    char *verb;

    m.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (m.kvm < 0) {
        fail("/dev/kvm: %s", strerror(errno));
    }
    if (ioctl(m.kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
        fail("/dev/kvm has another API version");
    }
    trace_stop();
    trace_on("kvm/kvm_exit");
    trace_on("kvm/kvm_userspace_exit");
    trace_on("kvm/kvm_halt_poll_ns");
    trace_on("kvm/kvm_vcpu_wakeup");
    trace_on("kvm/kvm_pio");
    trace_on("net/netif_receive_skb");
    while (fgets(line, sizeof(line), stdin)) {
        if (!strchr(line, '\n')) {
            fail("a step is longer than %zu bytes", sizeof(line) - 2);
        }
        verb = strtok(line, " \n");
        if (verb) {
            step(verb);
        }
    }
    finish();
    return 0;
}
