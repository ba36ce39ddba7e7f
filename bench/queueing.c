/* The yardstick: the loops of virtlab/paths/queueing.py and kernels.py in plain C, same model, same arithmetic. */
#include <math.h>
#include <stdint.h>

void tandem4(int64_t n, const double *a, const double *s, double *d)
{
    const double *s1 = s + n, *s2 = s + 2 * n, *s3 = s + 3 * n;
    double d0 = 0, d1 = 0, d2 = 0, d3 = 0;
    for (int64_t i = 0; i < n; i++) {
        d0 = (a[i] > d0 ? a[i] : d0) + s[i];
        d1 = (d0 > d1 ? d0 : d1) + s1[i];
        d2 = (d1 > d2 ? d1 : d2) + s2[i];
        d3 = (d2 > d3 ? d2 : d3) + s3[i];
        d[i] = d3;
    }
}

void path(int64_t n, const double *arrivals, const double *s1, const double *s2, const double *s3, const double *s4,
          int64_t nb, const double *burst_start, const double *burst_end, int64_t queue_limit, int64_t budget,
          double c_batch, double c_wake, int64_t worker_polls, int64_t ring, int64_t irq_frames, double irq_delay,
          double c_irq, double c_guest_wake, int64_t guest_polls, int64_t napi, int64_t *order, double *dep,
          double *counters)
{
    int64_t front = 0, accepted = 0, taken = 0, used = 0, visible = 0, started3 = 0, freed = 0, started4 = 0;
    int64_t dropped = 0, interrupts = 0, worker_wakeups = 0, guest_wakeups = 0, batches = 0, ring_stalls = 0;
    int64_t max_ring = 0, burst = 0, ended3 = 0;
    int asleep = !worker_polls, stalled = 0, softirq = 0;
    double t_front = arrivals[0] + s1[0], t_worker = INFINITY, t_timer = INFINITY, t_consumer = INFINITY;
    double front_busy = s1[0], worker_busy = 0, consumer_busy = 0, debt = 0, end = 0;
    for (;;) {
        double t = t_front;
        int source = 0;
        if (t_worker < t) { t = t_worker; source = 1; }
        if (t_timer < t) { t = t_timer; source = 2; }
        if (t_consumer < t) { t = t_consumer; source = 3; }
        if (t == INFINITY)
            break;
        end = t;
        switch (source) {
        case 0:
            if (accepted - taken < queue_limit) {
                order[accepted++] = front;
            } else {
                dep[front] = -1;
                dropped++;
            }
            if (++front < n) {
                t_front = (arrivals[front] > t ? arrivals[front] : t) + s1[front];
                front_busy += s1[front];
            } else {
                t_front = INFINITY;
            }
            break;
        case 1:
            t_worker = INFINITY;
            used = taken;
            if (used - freed > max_ring)
                max_ring = used - freed;
            if (guest_polls || (napi && (started3 < visible || (softirq && t_consumer < INFINITY))))
                visible = used;
            else if (used - visible >= irq_frames)
                t_timer = t;
            else if (t_timer == INFINITY)
                t_timer = t + irq_delay;
            if (taken == accepted)
                asleep = !worker_polls;
            break;
        case 2:
            t_timer = INFINITY;
            visible = used;
            interrupts++;
            debt += c_irq;
            if (t_consumer == INFINITY) {
                guest_wakeups++;
                debt += c_guest_wake;
            }
            break;
        default:
            t_consumer = INFINITY;
            if (softirq) {
                int64_t i = order[freed++];
                if (s4[i] == 0) {
                    dep[i] = t;
                    ended3++;
                }
            } else {
                dep[order[started4 - 1]] = t;
            }
        }
        if (t_worker == INFINITY && taken < accepted) {
            int64_t room = ring - (used - freed), first = taken;
            if (room > 0) {
                int64_t most = budget < room ? budget : room;
                double work = c_batch, begin = t;
                taken = first + most < accepted ? first + most : accepted;
                if (asleep) {
                    work += c_wake;
                    worker_wakeups++;
                    asleep = 0;
                }
                for (int64_t j = first; j < taken; j++)
                    work += s2[order[j]];
                batches++;
                worker_busy += work;
                stalled = 0;
                while (burst < nb && burst_end[burst] <= begin)
                    burst++;
                int64_t k = burst;
                if (k < nb && burst_start[k] <= begin)
                    begin = burst_end[k++];
                for (; k < nb && burst_start[k] < begin + work; k++)
                    begin += burst_end[k] - burst_start[k];
                t_worker = begin + work;
            } else if (!stalled) {
                stalled = 1;
                ring_stalls++;
            }
        }
        if (t_consumer == INFINITY) {
            double work;
            if (started3 < visible) {
                work = debt + s3[order[started3++]];
                softirq = 1;
            } else {
                while (started4 < freed && s4[order[started4]] == 0)
                    started4++;
                if (started4 == freed)
                    continue;
                work = debt + s4[order[started4++]];
                softirq = 0;
            }
            debt = 0;
            consumer_busy += work;
            t_consumer = t + work;
        }
    }
    double out[] = {2 * n + batches + interrupts + 2 * freed - ended3, dropped, interrupts, worker_wakeups, guest_wakeups,
                    batches, ring_stalls, max_ring, front_busy, worker_busy, consumer_busy, end};
    for (int k = 0; k < 12; k++)
        counters[k] = out[k];
}
