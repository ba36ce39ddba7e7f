/* The yardstick: the loop of virtlab/cpu/schedule_kernel.py in plain C, same policies, same integers. */
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

enum { SPEED = 1 << 16, BUCKETS = 64 * 40 };
static const int64_t NEVER = (int64_t)1 << 62;

typedef int64_t i64;

typedef struct { /* of a thread, as the rows of THREAD, and its work srate */
    i64 low, high, near_low, near_high, home, rate, weight, near_speed, far_speed;
    i64 on, vrt, deadline, lag, left, cold, rest, size, turn, ready, since, fresh;
    i64 run, steal, idle, work, overhead, far, longest;
    double work_mean, sleep_mean;
} thread;

typedef struct { /* of a pCPU */
    i64 node, node_low, node_high, running, dated, begun, waiting, load, base, far, speed, vcpu, emulator, idle;
} pcpu;

INLINE void set_time(i64 *tree, i64 leaf, i64 t)
{
    tree[leaf] = t;
    for (i64 k = leaf >> 1; k >= 1; k >>= 1) {
        i64 a = tree[2 * k], b = tree[2 * k + 1], first = a <= b ? a : b;
        if (tree[k] == first)
            break;
        tree[k] = first;
    }
}

INLINE void count(i64 *waits, i64 kind, i64 ns)
{
    i64 shift = ns < 128 ? 0 : 57 - __builtin_clzll((uint64_t)ns);
    waits[kind * BUCKETS + 64 * shift + (ns >> shift)]++;
}

INLINE void spend(thread *s, pcpu *q, i64 d, int vcpu)
{
    s->run += d;
    if (vcpu)
        q->vcpu += d;
    else
        q->emulator += d;
    if (q->far)
        s->far += d;
    s->vrt += d * s->rate;
    s->left -= d;
    i64 x = s->cold;
    if (x > 0) {
        if (x > d)
            x = d;
        s->cold -= x;
        s->overhead += x;
        d -= x;
    }
    s->rest -= d * q->speed;
}

INLINE int before(const thread *s, i64 q, i64 v)
{
    return s[q].ready < s[v].ready || (s[q].ready == s[v].ready && q < v);
}

INLINE i64 quietest(const thread *s, i64 c, i64 fewest, const pcpu *pcpus)
{
    for (i64 j = s->near_low; j < s->near_high; j++)
        if (pcpus[j].load < fewest) {
            fewest = pcpus[j].load;
            c = j;
            if (fewest == 0)
                return c;
        }
    for (i64 j = s->low; j < s->high; j++)
        if (pcpus[j].load < fewest) {
            fewest = pcpus[j].load;
            c = j;
            if (fewest == 0)
                return c;
        }
    return c;
}

INLINE i64 mean_time(const thread *s, i64 u, i64 weights, const i64 *queue, i64 n)
{
    i64 x = s[u].vrt, total = 0;
    for (i64 k = 0; k < n; k++) {
        const thread *q = &s[queue[k]];
        total += q->weight * (q->vrt - x);
        weights += q->weight;
    }
    return x + total / weights - (total % weights < 0); /* rounded down */
}

INLINE i64 pick_eevdf(const thread *s, i64 mean, const i64 *queue, i64 n)
{
    i64 b = -1;
    for (i64 k = 0; k < n; k++) {
        i64 q = queue[k];
        if (s[q].vrt <= mean && (b < 0 || s[q].deadline < s[queue[b]].deadline ||
                                 (s[q].deadline == s[queue[b]].deadline && before(s, q, queue[b]))))
            b = k;
    }
    return b;
}

INLINE i64 longest_waiting(i64 c, i64 from, i64 end, i64 n, const pcpu *pcpus, const i64 *queue, const thread *s)
{
    i64 b = -1;
    for (i64 j = from; j < end; j++)
        for (i64 k = j * n; k < j * n + pcpus[j].waiting; k++) {
            i64 q = queue[k];
            if (s[q].low <= c && c < s[q].high && (b < 0 || before(s, q, queue[b])))
                b = k;
        }
    return b;
}

INLINE void move(thread *s, i64 from, i64 to, pcpu *pcpus, i64 migration)
{
    s->vrt += pcpus[to].base - pcpus[from].base;
    s->cold += migration;
    s->on = to;
}

INLINE void waited(thread *s, i64 x)
{
    s->steal += x;
    if (x > s->longest)
        s->longest = x;
}

INLINE int roams(const thread *s) { return s->low + 1 < s->high; }

/* As the kernel, without a trace. `srate` has room for the structs. */
void schedule(const i64 *setting, i64 *records, i64 *records_p, const double *means, const double *work_units,
              const double *sleep_units, i64 *tree, i64 leaves, i64 *queues, i64 *waits, i64 *counters, void *srate)
{
    const i64 p = setting[0], vcpus = setting[1], n = setting[2], bursts = setting[3], wall = setting[4];
    const i64 slice = setting[5], credit = setting[6], granularity = setting[7], eevdf = setting[8];
    const i64 switch_ns = setting[9], migration = setting[10];
    pcpu *pcpus = srate;
    thread *threads = (thread *)(pcpus + p);
    i64 events = 0, switches = 0, migrations = 0, preemptions = 0, roaming = 0, idle = p;
    for (i64 c = 0; c < p; c++) {
        const i64 *r = records_p + 16 * c;
        pcpus[c] = (pcpu){.node = r[0], .node_low = r[1], .node_high = r[2], .running = -1};
    }
    for (i64 v = 0; v < n; v++) {
        const i64 *r = records + 32 * v;
        threads[v] = (thread){.low = r[0], .high = r[1], .near_low = r[2], .near_high = r[3], .home = r[4],
                              .rate = r[5], .weight = r[6], .near_speed = r[7], .far_speed = r[8], .on = r[9],
                              .work_mean = means[v], .sleep_mean = means[n + v]};
        if (threads[v].sleep_mean < 0)
            set_time(tree, leaves + p + v, 0);
        else if (threads[v].work_mean > 0)
            set_time(tree, leaves + p + v, (i64)(sleep_units[v * bursts] * threads[v].sleep_mean));
    }
    for (;;) {
        i64 t = tree[1], k = 1, back = -1, other = -1, c, v;
        if (t >= wall)
            break;
        while (k < leaves) {
            k *= 2;
            if (tree[k] != t)
                k++;
        }
        i64 source = k - leaves;
        events++;
        if (source < p) {
            c = source;
            pcpu *here = &pcpus[c];
            v = here->running;
            thread *s = &threads[v];
            spend(s, here, t - here->dated, v < vcpus);
            here->dated = t;
            if (s->rest <= 0) {
                s->work += s->size;
                count(waits, v < vcpus ? 2 : 3, t - s->since);
                s->since = t;
                if (++s->turn == bursts)
                    s->turn = 0;
                set_time(tree, leaves + p + v, t + (i64)(sleep_units[v * bursts + s->turn] * s->sleep_mean));
                if (--here->load == 0) {
                    s->lag = 0;
                    if (eevdf || here->base < s->vrt)
                        here->base = s->vrt;
                } else if (eevdf) {
                    i64 lag = mean_time(threads, v, s->weight, queues + c * n, here->waiting) - s->vrt;
                    s->lag = lag < 2 * slice * s->rate ? lag : 2 * slice * s->rate;
                }
            } else {
                s->left = slice;
                s->deadline = s->vrt + slice * s->rate;
                if (here->waiting == 0) {
                    i64 x = s->cold + (s->rest + here->speed - 1) / here->speed;
                    set_time(tree, leaves + c, t + (x < slice ? x : slice));
                    continue;
                }
                back = v;
            }
        } else {
            v = source - p;
            thread *s = &threads[v];
            set_time(tree, leaves + source, NEVER);
            s->idle += t - s->since;
            s->size = wall + 1;
            if (s->sleep_mean >= 0) {
                s->size = (i64)(work_units[v * bursts + s->turn] * s->work_mean);
                if (s->size < 1)
                    s->size = 1;
            }
            s->rest = s->size * SPEED;
            s->ready = s->since = t;
            s->fresh = 1;
            c = s->on;
            if (pcpus[c].load > 0 && roams(s)) {
                i64 b = quietest(s, c, pcpus[c].load, pcpus);
                if (b != c) {
                    move(s, c, b, pcpus, migration);
                    migrations++;
                    c = b;
                }
            }
            pcpu *here = &pcpus[c];
            i64 u = here->running, *queue = queues + c * n, x = here->base;
            if (u >= 0) {
                spend(&threads[u], here, t - here->dated, u < vcpus);
                here->dated = t;
                if (eevdf) {
                    here->base = x = mean_time(threads, u, threads[u].weight, queue, here->waiting);
                    if (s->lag > 0) {
                        i64 weight = threads[u].weight;
                        for (k = 0; k < here->waiting; k++)
                            weight += threads[queue[k]].weight;
                        s->vrt = x -= s->lag * (weight + s->weight) / weight;
                    }
                } else {
                    x = threads[u].vrt;
                    for (k = 0; k < here->waiting; k++)
                        if (threads[queue[k]].vrt < x)
                            x = threads[queue[k]].vrt;
                    if (x < here->base)
                        x = here->base;
                    here->base = x;
                }
            }
            if (!eevdf)
                x -= credit;
            if (s->vrt < x)
                s->vrt = x;
            s->left = slice;
            s->deadline = s->vrt + slice * s->rate;
            queue[here->waiting++] = v;
            here->load++;
            roaming += roams(s);
            if (u >= 0) {
                if (eevdf) {
                    x = mean_time(threads, u, threads[u].weight, queue, here->waiting);
                    if (threads[u].vrt <= x || queue[pick_eevdf(threads, x, queue, here->waiting)] != v)
                        continue;
                } else if (threads[u].vrt - s->vrt <= granularity * s->rate) {
                    continue;
                }
                preemptions++;
                back = u;
            }
        }

        if (pcpus[c].running >= 0) {
            pcpus[c].running = -1;
        } else {
            idle--;
            pcpus[c].idle += t - pcpus[c].dated;
        }
        if (back >= 0) {
            thread *s = &threads[back];
            i64 b = c;
            if (idle > 0 && roams(s))
                b = quietest(s, c, 1, pcpus);
            if (b != c) {
                move(s, c, b, pcpus, migration);
                migrations++;
                pcpus[c].load--;
                pcpus[b].load++;
                idle--;
                pcpus[b].idle += t - pcpus[b].dated;
                other = b;
            }
            queues[b * n + pcpus[b].waiting++] = back;
            s->ready = t;
            roaming += roams(s);
            if (b != c)
                back = -1;
        }
        for (; c >= 0; c = other, other = -1) {
            pcpu *here = &pcpus[c];
            i64 *queue = queues + c * n;
            if (here->waiting == 0 && roaming > 0) {
                i64 b = longest_waiting(c, here->node_low, here->node_high, n, pcpus, queues, threads);
                if (b < 0)
                    b = longest_waiting(c, 0, p, n, pcpus, queues, threads);
                if (b >= 0) {
                    pcpu *there = &pcpus[b / n];
                    v = queues[b];
                    queues[b] = queues[b / n * n + --there->waiting];
                    there->load--;
                    queue[0] = v;
                    here->waiting = here->load = 1;
                    move(&threads[v], b / n, c, pcpus, migration);
                    migrations++;
                }
            }
            here->dated = t;
            if (here->waiting == 0) {
                set_time(tree, leaves + c, NEVER);
                idle++;
                continue;
            }
            i64 b = 0, x;
            if (eevdf) {
                x = mean_time(threads, queue[0], 0, queue, here->waiting);
                b = pick_eevdf(threads, x, queue, here->waiting);
            } else {
                for (k = 1; k < here->waiting; k++) {
                    i64 q = queue[k];
                    if (threads[q].vrt < threads[queue[b]].vrt ||
                        (threads[q].vrt == threads[queue[b]].vrt && before(threads, q, queue[b])))
                        b = k;
                }
                x = threads[queue[b]].vrt > here->base ? threads[queue[b]].vrt : here->base;
                threads[queue[b]].left = slice;
            }
            here->base = x;
            v = queue[b];
            queue[b] = queue[--here->waiting];
            thread *s = &threads[v];
            roaming -= roams(s);
            waited(s, t - s->ready);
            if (s->fresh) {
                s->fresh = 0;
                count(waits, v < vcpus ? 0 : 1, t - s->ready);
            }
            if (v != back) {
                s->cold += switch_ns;
                switches++;
            }
            here->running = v;
            here->begun = t;
            here->far = here->node != s->home;
            here->speed = here->far ? s->far_speed : s->near_speed;
            x = s->cold + (s->rest + here->speed - 1) / here->speed;
            set_time(tree, leaves + c, t + (x < s->left ? x : s->left));
        }
    }
    for (i64 c = 0; c < p; c++) {
        pcpu *here = &pcpus[c];
        if (here->running < 0) {
            here->idle += wall - here->dated;
        } else {
            spend(&threads[here->running], here, wall - here->dated, here->running < vcpus);
            threads[here->running].ready = wall;
        }
        for (i64 k = 0; k < here->waiting; k++) {
            thread *s = &threads[queues[c * n + k]];
            waited(s, wall - s->ready);
            s->ready = wall;
        }
        const i64 out[] = {here->vcpu, here->emulator, here->idle};
        for (int k = 0; k < 3; k++)
            records_p[16 * c + 11 + k] = out[k];
    }
    for (i64 v = 0; v < n; v++) {
        thread *s = &threads[v];
        if (s->ready == wall)
            s->work += (s->size * SPEED - (s->rest > 0 ? s->rest : 0)) / SPEED;
        else
            s->idle += wall - s->since;
        const i64 out[] = {s->run, s->steal, s->idle, s->work, s->overhead, s->far, s->longest};
        for (int k = 0; k < 7; k++)
            records[32 * v + 21 + k] = out[k];
    }
    counters[0] = events;
    counters[1] = switches;
    counters[2] = migrations;
    counters[3] = preemptions;
}
