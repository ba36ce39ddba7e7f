/* The yardstick: the loop of virtlab/memory/tlb_kernels.py in plain C, same model, same counts, LRU. Twice: once with
 * the default geometry known to the compiler, once with all of it given at run time. */
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

typedef struct {
    uint64_t mask, ways, first; /* sets - 1, ways, where its tags begin */
} part;

typedef struct {
    part l1, l2, guest[4], nested, host[4]; /* guest and host: levels 2 to 5 */
    int entry, frame, leaf, top, root;      /* address bits of a TLB entry and a host page; levels; root 0: native */
} setting;

INLINE int look(uint64_t *restrict tags, part p, uint64_t tag)
{
    uint64_t *set = tags + p.first + (tag & p.mask) * p.ways, before = set[0];
    if (before == tag)
        return 1;
    for (uint64_t k = 1; k < p.ways; k++) {
        uint64_t here = set[k];
        set[k] = before;
        if (here == tag) {
            set[0] = tag;
            return 1;
        }
        before = here;
    }
    set[0] = tag;
    return 0;
}

/* The level of the entry that was cached, deepest first, or one above the top. */
INLINE int begun(uint64_t *restrict tags, const part *parts, uint64_t address, int top)
{
    for (int level = 2; level <= 5; level++)
        if (parts[level - 2].ways && look(tags, parts[level - 2], address >> (12 + 9 * (level - 1))))
            return level;
    return top + 1;
}

INLINE void run(const uint64_t *trace, int64_t n, setting s, uint64_t *restrict tags, int64_t *restrict counts)
{
    uint64_t mask = ((uint64_t)1 << (12 + 9 * s.top)) - 1, pages = mask & ~(uint64_t)4095, last = mask;
    int64_t l1_hits = 0, l2_hits = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t address = trace[i], tag = address >> s.entry;
        if (tag == last) {
            l1_hits++;
            continue;
        }
        last = tag;
        if (look(tags, s.l1, tag)) {
            l1_hits++;
            continue;
        }
        if (s.l2.ways && look(tags, s.l2, tag)) {
            l2_hits++;
            continue;
        }
        int level = begun(tags, s.guest, address, s.top);
        counts[level]++;
        if (!s.root)
            continue;
        for (int target = level > s.top ? s.top : level - 2;; target--) {
            if (target < s.leaf)
                target = 0;
            uint64_t above = mask >> (9 * target);
            uint64_t physical = (mask - above) | ((address >> (9 * target)) & pages);
            if (!s.nested.ways || !look(tags, s.nested, physical >> s.frame))
                counts[8 + 8 * target + begun(tags, s.host, physical, s.root)]++;
            if (!target)
                break;
        }
    }
    counts[0] += l1_hits;
    counts[1] += l2_hits;
}

void walk(const uint64_t *trace, int64_t n, const setting *s, uint64_t *tags, int64_t *counts)
{
    run(trace, n, *s, tags, counts);
}

/* virtlab.memory.tlb.Tlb() with 4 KiB pages and four levels on both sides. */
static const setting fixed = {
    {15, 4, 0}, {127, 12, 64}, {{7, 4, 1600}, {0, 4, 1632}, {0, 2, 1636}, {0, 0, 1638}},
    {15, 4, 1638}, {{7, 4, 1702}, {0, 4, 1734}, {0, 2, 1738}, {0, 0, 1740}}, 12, 12, 1, 4, 4,
};

void walk_fixed(const uint64_t *trace, int64_t n, const setting *s, uint64_t *tags, int64_t *counts)
{
    (void)s;
    run(trace, n, fixed, tags, counts);
}
