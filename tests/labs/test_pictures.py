"""Every lab over its whole parameter space: no exception, laws hold, picture and sentence agree, labels can be read."""
import itertools
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.text import Text

from tests.figures.reading import moving_texts, outside, overlapping, still_texts
from tests.labs.conftest import alt, in_light, other, read_out
from tests.strategies import settings_of
from virtlab import cpu, labs, memory
from virtlab.cloud import WORKLOADS, overhead
from virtlab.cloud.slim import figure
from virtlab.cloud.slim import value as figure_of
from virtlab.core.jit import have_numba
from virtlab.core.units import number, show
from virtlab.core.words import words
from virtlab.cpu import NEIGHBOUR_REMEDIES
from virtlab.figures.after_io import REASONS
from virtlab.figures.dirty_log import EXITS, SHARES, SPLITS
from virtlab.figures.huge_pages import PARTS as HUGE_PARTS
from virtlab.figures.huge_pages import ROWS as HUGE_ROWS
from virtlab.figures.journey import MOST_STEPS
from virtlab.figures.load import BARS, EDGES_NS
from virtlab.figures.migration import DOWN_S, TOTAL_S, nice, timeline
from virtlab.figures.mix import LEAST, PARTS
from virtlab.figures.neighbour import CAUSES as NEIGHBOUR_CAUSES
from virtlab.figures.neighbour import QUANTILES
from virtlab.figures.schedule import ROWS as SCHEDULE_ROWS
from virtlab.figures.side_by_side import COLOURS as SIDE_COLOURS
from virtlab.figures.side_by_side import MOST as SIDE_MOST
from virtlab.figures.style import LOOKS
from virtlab.figures.tax import KINDS
from virtlab.figures.thin import COLUMNS
from virtlab.figures.thin import ROWS as THIN_ROWS
from virtlab.figures.walk_map import shade as walk_map_shade
from virtlab.memory.pages import smaller
from virtlab.memory.reach import miss_share
from virtlab.offload import SCHEDULERS

borrowed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture],
                    max_examples=60 if have_numba() else 15)  # fmt: skip
near = pytest.approx


def move(lab, setting):
    lab.set(**setting.model_dump())
    return lab.result, lab._picture, lab.describe()


def same_words(lab):
    """What holds in every lab for every setting."""
    sentence = lab.describe()
    assert lab.error is None
    assert sentence.endswith(".") and len(sentence) > 40
    for sign in ("nan", "inf ", "None", "{", "}", "  "):
        assert sign not in sentence, sentence
    assert alt(lab) == read_out(lab, "status") == sentence
    for text, _ in moving_texts(lab._picture):
        assert "nan" not in text and "None" not in text, text


# ------------------------------------------------- one check a lab: laws, and what the picture shows

CHECKS = {}


def check_of(name):
    def add(check):
        CHECKS[name] = check
        return check

    return add


@check_of("LadderLab")
def ladder(lab, setting):
    result, picture, sentence = move(lab, setting)
    limit = None
    for rung in result.rungs:
        total, shown = sum(rung.cpu_ns.values()), [b for (p, _), b in picture._bars.items() if p == rung.id]
        assert all(ns >= 0 for ns in rung.cpu_ns.values())
        width = sum(bar.get_width() for bar in shown if bar.get_visible())
        limit = limit or total / width
        assert width == near(total / limit), f"{rung.id}: bars and bill disagree"
        assert width <= 1, f"{rung.id}: the bar leaves its axes"
        for (path, place), bar in picture._bars.items():
            if path == rung.id and bar.get_visible():
                assert bar.get_width() * limit == near(rung.cpu_ns[place])
        assert show(total, "ns", 2) in picture._totals[rung.id].get_text()
        assert picture._alone[rung.id].get_xdata()[0] * 1e3 == near(rung.alone_ns)
        assert [us * 1e3 for us in picture._asleep[rung.id].get_xdata()] == near([rung.alone_ns, rung.asleep_ns])
        assert 0 < rung.alone_ns <= rung.asleep_ns * (1 + 1e-12), f"{rung.id}: sleep makes nothing faster"
        for (path, key), cell in picture._cells.items():
            if path == rung.id:
                assert cell.get_text() == number(rung.counts[key], 2)
    assert picture._scale[-1].get_text() == show(limit, "ns", 2)
    by = {rung.id: rung for rung in result.rungs}
    for path in ("vhost-net", "card"):
        host = sum(ns for place, ns in by[path].cpu_ns.items() if place != "guest")
        assert show(host, "ns") in sentence


@check_of("JourneyLab")
def journey(lab, setting):
    result, picture, sentence = move(lab, setting)
    hops = result.hops
    assert 0 < len(hops) <= MOST_STEPS, "steps beyond the last row would be left out"
    assert result.total_ns == near(sum(h.ns for h in hops if not h.aside))
    places = picture._dots.get_offsets()
    assert len(places) == len(hops)
    for i, hop in enumerate(hops):
        assert places[i][0] == picture._lane[hop.place], f"{hop.key} is drawn in the wrong lane"
        assert picture._names[i].get_text() == words(f"step.{hop.key}")
        assert picture._times[i].get_text().startswith(show(hop.ns, "ns", 2))
        assert ("÷" in picture._times[i].get_text()) == (hop.shared_by != 1)
    assert all(not text.get_text() for text in picture._names[len(hops) :])
    assert list(picture._line.get_xdata()) == [picture._lane[h.place] for h in hops if not h.aside]
    assert show(result.total_ns, "ns") in sentence
    assert words(f"path.{result.path}.title") in sentence


@check_of("LoadLab")
def load(lab, setting):
    result, picture, sentence = move(lab, setting)
    assert ((result.slower >= -1e-12) & (result.slower <= 1)).all()
    assert (np.diff(result.slower) <= 1e-12).all(), "the share of slower packets cannot grow with the time"
    quantiles = [result.quantiles_ns[key] for key in ("p50", "p99", "p999")]
    assert 0 < quantiles[0] <= quantiles[1] <= quantiles[2]
    for share, ns in zip((0.5, 0.01, 0.001), quantiles, strict=True):
        edge = np.searchsorted(EDGES_NS, ns)
        if 0 < edge < len(EDGES_NS):
            assert result.slower[edge] <= share + 1e-9, "curve and quantile disagree"
    assert 0 <= result.dropped_share <= 1
    assert 0 < result.delivered_packets_per_s <= result.capacity_packets_per_s * 100
    x, y = picture._curve.get_data()
    assert list(y) == near(list(result.slower[result.slower > 0]))
    assert list(x * 1e3) == near(list(EDGES_NS[result.slower > 0]))
    assert list(picture._marks.get_xdata()) == near([ns / 1e3 for ns in quantiles])
    for key in BARS:
        assert picture._bars[key].get_width() == near(min(result.busy[key], 1.2))
    for key in ("front", "worker", "consumer"):
        assert -1e-9 <= result.busy[key] <= 1 + 1e-9, f"{key} is busy for more than all of its time"
    for ns in quantiles:
        assert show(ns, "ns", 2) in sentence
    assert show(result.delivered_packets_per_s, "packets/s", 2) in sentence


@check_of("MixLab")
def mix(lab, setting):
    result, picture, sentence = move(lab, setting)
    shares = setting.mix().shares
    assert sum(shares.values()) == near(1)
    assert result.low - 1e-9 <= result.loss <= result.high + 1e-9
    assert result.loss < 1, "nothing loses all"
    assert sum(result.parts.values()) == near(result.loss)
    assert list(picture._line.get_xdata()) == near([result.loss] * 2)
    assert picture._span.get_x() == near(result.low)
    assert picture._span.get_width() == near(max(result.high - result.low, 0))
    for part in PARTS:
        assert picture._stack[part].get_height() == near(result.parts[part])
    for row, place in zip(result.rows, picture._points.get_offsets(), strict=True):
        assert place[0] == near(max(row.loss, LEAST))
        assert show(row.loss, "%") in picture._values[row.key].get_text()
    assert show(result.loss, "%") in sentence
    assert show(result.low, "%") in sentence and show(result.high, "%") in sentence


@check_of("FleetLab")
def fleet(lab, setting):
    result, picture, sentence = move(lab, setting)
    assert result.lost_cores == near(setting.servers * setting.cores * setting.loss)
    assert result.usd_per_year == near(result.lost_cores * setting.core_year_usd)
    for point, x, y in zip(picture._points, (result.servers, result.core_year_usd),
                           (result.lost_cores, result.usd_per_year), strict=True):  # fmt: skip
        low, high = point.axes.get_ylim()
        assert point.get_xdata()[0] == near(x)
        assert point.get_ydata()[0] == near(min(max(y, low), high))
    assert picture._notes[0].get_text().strip() == show(result.lost_cores, "cores")
    assert picture._notes[1].get_text().strip() == show(result.usd_per_year, "USD")
    if result.lost_cores:
        assert show(result.lost_cores, "cores") in sentence
        slopes = max(result.lost_per_server, 1e-9), max(result.lost_cores, 1e-3)  # a logarithmic axis has no zero
        for line, slope in zip(picture._lines, slopes, strict=True):
            assert list(line.get_ydata() / line.get_xdata()) == near([slope] * 2)


@check_of("TcoLab")
def tco(lab, setting):
    result, picture, sentence = move(lab, setting)
    assert result.law()[0] == near(result.law()[1], abs=1e-6)
    bars, shown = picture._bars, {"gain": result.gain_usd, "card": result.card_usd, "power": result.power_usd,
                                  "net": result.net_usd}  # fmt: skip
    widths = {key: bar.get_width() for key, bar in bars.items()}
    whole = max(map(abs, shown.values()))
    assert all(widths[key] * whole == near(abs(shown[key]) * max(widths.values()), abs=1e-6) for key in shown)
    assert all(-1e-9 <= bar.get_x() <= bar.get_x() + bar.get_width() <= 1 + 1e-9 for bar in bars.values())
    assert picture._figures["net"].get_text() == show(result.net_usd, "USD")
    at = np.interp(setting.card_usd, picture._prices, picture._line.get_ydata())
    assert np.sign(at) == np.sign(result.net_usd) or abs(result.net_usd) < 0.02 * whole
    assert result.limit() in picture._limit.get_text() and result.limit() in sentence
    assert show(result.fleet_usd, "USD") in sentence and show(result.gain_usd, "USD") in sentence


@check_of("MigrationLab")
def migration(lab, setting):
    result, picture, sentence = move(lab, setting)
    m = result.migration
    assert m.law()[0] == near(m.law()[1]) and m.time_law()[0] == near(m.time_law()[1])
    line = timeline(m)
    memory = setting.memory_bytes
    assert line.send_bytes.max() <= memory * (1 + 1e-9) and line.end_s >= m.total_s * (1 - 1e-9)
    peaks = line.send_bytes[1::2][: len(m.rounds)]
    assert list(peaks) == near([r.sent_bytes for r in m.rounds]), "the teeth are the rounds"
    assert len(line.dirty_s) == len(line.dirty_bytes)
    assert np.nanmax(line.dirty_bytes, initial=0) <= memory * (1 + 1e-9)
    corners, span = picture._send.get_xy(), nice(max(line.end_s, 1e-9))
    assert corners[: len(line.send_s), 1] * memory == near(line.send_bytes)
    assert corners[:, 0].max() <= 1 + 1e-9 and corners[: len(line.send_s), 0] * span == near(line.send_s)
    for stop in picture._stop:
        assert stop.get_visible() == m.converged
        assert not m.converged or stop.get_xdata()[0] * span == near(m.total_s)
    assert picture._ever.get_text().startswith("…") != m.converged
    assert (picture._dots[1].get_visible() and np.isfinite(m.total_s)) == m.converged, "never is no time"
    assert ((result.down_s * 1e3 <= setting.downtime_ms * (1 + 1e-9)) | np.isinf(result.total_s)
            | (setting.device == "vf-v2")).all()  # to restore a VF comes on top of what is allowed  # fmt: skip
    for drawn, values, (low, high) in zip(picture._lines, (result.down_s, result.total_s), (DOWN_S, TOTAL_S),
                                          strict=True):  # fmt: skip
        some = np.isfinite(values)
        assert drawn.get_ydata()[some] == near(np.clip(values[some], low, high))
        assert np.isnan(drawn.get_ydata()[~some]).all()
    assert show(m.downtime_s, "s") in sentence and show(m.downtime_s, "s") in picture._notes[1].get_text()
    assert number(result.ratio) in sentence


@check_of("DirtyLogLab")
def dirty_log(lab, setting):
    result, picture, sentence = move(lab, setting)
    log, o = result.log, result.log.options
    assert log.law()[0] == near(log.law()[1])
    assert (o.log, o.write_rate_per_s) == (setting.dirty_log, setting.write_rate_per_s)
    assert o.split == ("start" if (setting.dirty_log, setting.split) == ("ring", "clear") else setting.split)
    places = [(d.get_xdata()[0], d.get_ydata()[0]) for d in picture._dots]
    assert places[0] == near((o.write_rate_per_s, np.clip(log.exits_per_s, *EXITS)))
    assert places[1] == near((o.write_rate_per_s, np.clip(log.vcpu_share, *SHARES)))
    assert places[2] == near((o.clear_s, log.unique_pages / o.hot_pages), abs=1e-12)
    chosen = {"exits": result.exits_per_s[o.log], "share": result.vcpu_share[o.log], "dirty": result.dirty_share,
              "split": result.split_share[o.split]}  # fmt: skip
    limits = {"exits": EXITS, "share": SHARES, "dirty": (0, 1), "split": (0, 1)}
    for name, values in chosen.items():
        assert picture._chosen[name].get_ydata() == near(np.clip(values, *limits[name]))
    assert (np.diff(result.dirty_share) >= -1e-12).all() and result.dirty_share.max() <= 1 + 1e-9
    for split in SPLITS:
        assert (np.diff(result.split_share[split]) >= -1e-12).all(), "nothing becomes huge again while logging is on"
    if o.writes == "sweep" and o.log != "ring":
        assert (np.diff(result.exits_per_s[o.log]) >= -1e-9).all()
    assert number(log.exits_per_s) in sentence and show(log.vcpu_share, "%") in sentence
    assert (words("dirty_log.ring_splits") in sentence) == (o.split != setting.split)
    assert (words("dirty_log.impossible") in sentence) == (log.vcpu_share > 1)


@check_of("ReachLab")
def reach(lab, setting):
    result, picture, sentence = move(lab, setting)
    for pair, curve in result.curves.items():
        assert ((curve >= 0) & (curve <= 1)).all()
        x, y = picture._lines[pair].get_data()
        assert list(x) == list(result.sizes) and list(y) == list(curve)
        assert picture._values[pair].get_text() == show(result.shares[pair], "%")
        page = smaller(*setting.pages(pair))
        said = miss_share(setting.tlb(page), page, setting.pattern, setting.working_set_bytes, setting.zipf_exponent)
        assert result.shares[pair] == near(said, abs=0.12), f"{pair}: simulation and law disagree"
    for pair in ("guest", "host"):  # guard 6
        assert result.shares[pair] == result.shares["small"] and result.reach_bytes[pair] == result.reach_bytes["small"]
        assert list(result.curves[pair]) == list(result.curves["small"]), "one side alone reaches no further"
    assert result.reach_bytes["both"] > result.reach_bytes["small"]
    assert list(picture._mark.get_xdata()) == [setting.working_set_bytes] * 2
    assert list(picture._dots.get_ydata()) == [result.shares["small"], result.shares["both"]]
    assert show(result.shares["small"], "%") in sentence and show(result.reach_bytes["both"], "B") in sentence


@check_of("WalkLab")
def walk(lab, setting):
    result, picture, sentence = move(lab, setting)
    walk, at = result.walk, result.position
    assert walk.law()[0] == walk.law()[1] == walk.count
    assert at == min(setting.step, walk.count)
    made = {(r.column, r.row): r for r in walk.references}
    saved = {(r.column, r.row): r for r in walk.skipped}
    for place, cell in picture._cells.items():
        assert cell.get_visible() == (place in made or place in saved), place
        number, reason = picture._numbers[place].get_text(), picture._reasons[place].get_text()
        assert number == (str(made[place].number) if place in made else ""), place
        assert reason == (words(f"walk.saved.{saved[place].skipped_by}") if place in saved else ""), place
        if place in made:
            read = not setting.step or made[place].number <= at
            colour = picture.look.place["guest" if made[place].space == "guest" else "kvm"]
            assert to_hex(cell.get_facecolor()) == (colour if read else picture.look.paper), place
    frame = picture._frame
    assert frame.get_visible() == (at > 0)
    if at:
        current = walk.references[at - 1]
        cell = picture._cells[current.column, current.row]
        assert frame.get_x() < cell.get_x() < cell.get_x() + cell.get_width() < frame.get_x() + frame.get_width()
        assert frame.get_y() < cell.get_y() < cell.get_y() + cell.get_height() < frame.get_y() + frame.get_height()
        assert f"{current.address:#x}" in sentence and current.text in sentence
        assert picture._entry.get_text() == current.entry
    assert f"{walk.count} references ({walk.cold} cold)" in sentence
    assert sum(result.saved().values()) == walk.cold - walk.count
    assert lab._player.value == min(setting.step, lab._player.max), "the player does not follow"


@check_of("WalkMapLab")
def walk_map(lab, setting):
    result, picture, sentence = move(lab, setting)
    caches = {name: getattr(setting, name) for name in lab.visible}
    for (g, gp, h, hp), box in picture._boxes.items():
        one = memory.walk(guest_levels=g, guest_page=gp, host_levels=h, host_page=hp, **caches)
        assert picture._numbers[g, gp, h, hp].get_text() == str(one.count) == str(one.law()[1])
        assert to_hex(box.get_facecolor()) == walk_map_shade(picture.look, one.count)
    for (g, gp), text in picture._native.items():
        bare = memory.walk(guest_levels=g, guest_page=gp, nested_paging=False, guest_cache=setting.guest_cache)
        assert text.get_text() == str(bare.count)
    marked = setting.guest_levels, setting.guest_page, setting.host_levels, setting.host_page
    assert result.marked == marked and sum(result.parts) == result.counts[marked]
    box, frame = picture._boxes[marked], picture._frame
    assert frame.get_x() < box.get_x() and frame.get_y() < box.get_y(), "another cell is marked"
    assert box.get_x() - frame.get_x() < 5 and box.get_y() - frame.get_y() < 5, "another cell is marked"
    assert [bar.get_width() for bar in picture._bars] == near([9 * part for part in result.parts])
    assert f"{result.counts[marked]} references" in sentence
    assert f"{min(result.counts.values())} to {max(result.counts.values())} references" in sentence


@check_of("WalkCostLab")
def walk_cost(lab, setting):
    result, picture, sentence = move(lab, setting)
    both = memory.slowdown(**setting.model_dump())
    for key, side in (("virtual", both.virtual), ("native", both.native)):
        bill = result.bill(key)
        assert len(bill.rows) < len(picture._y[key]), "a row would be left out"
        assert sum(row.cycles for row in bill.rows) == near(bill.cycles) == near(side.walk_cycles)
        assert sum(row.reads for row in bill.rows) == near(bill.reads, rel=1e-3)
        ends = 0.0
        for row, bars, found in zip(bill.rows, picture._bars[key][1:], picture._found[key], strict=False):
            assert sum(row.found_in) == near(1)
            assert sum(part.get_width() for part in found) == near(120)
            shown = [bar for bar in bars.values() if bar.get_visible()]
            assert sum(bar.get_width() for bar in shown) == near(row.cycles * picture.per_cycle)
            assert not shown or shown[0].get_x() == near(476 + ends), "each begins where the one above ends"
            ends += row.cycles * picture.per_cycle
        whole = [bar for bar in picture._bars[key][0].values() if bar.get_visible()]
        assert sum(bar.get_width() for bar in whole) == near(bill.cycles * picture.per_cycle, abs=1e-6)
        assert picture._diamonds[key].get_visible() == any(p.side == key for p in result.published)
    for published in result.published:
        assert picture._diamonds[published.side].get_xdata()[0] == near(476 + published.cycles * picture.per_cycle)
        assert number(published.cycles) in sentence
        assert published.note in picture._note.get_text()
    if result.virtual.cycles:
        assert number(result.virtual.cycles) in sentence and number(result.virtual.reads) in sentence


@check_of("MmuLab")
def mmu(lab, setting):
    result, picture, sentence = move(lab, setting)
    for technique in ("shadow", "nested"):
        cost = result.cost(technique)
        assert cost.law()[0] == near(cost.law()[1])
        end = 0.0
        for cause, share in cost.shares.items():
            bar = picture._bars[technique, cause]
            assert bar.get_visible() == (share > 0)
        for cause in picture._bars:
            if cause[0] == technique and (share := cost.shares[cause[1]]) > 0:
                first, last = (min(s / picture.limit, 1) * 160 for s in (end, end + share))
                assert picture._bars[cause].get_width() == near(last - first, abs=1e-9)
                end += share
        assert show(cost.total_share, "%") in picture._values[technique, "total"].get_text()
        assert cost.sentence() in sentence
    dots = dict(zip(("shadow", "nested"), picture._dots.get_ydata(), strict=True))
    at = result.break_even_per_s
    if 10 < at < 1e7:
        assert list(picture._break.get_xdata()) == near([at] * 2)
        assert show(at, "1/s") in sentence
    cheaper = result.shadow.total_share < result.nested.total_share
    if dots["shadow"] != near(dots["nested"]):
        assert (dots["shadow"] < dots["nested"]) == cheaper == (setting.page_table_updates_per_s < at)


@check_of("HugePageLab")
def huge_pages(lab, setting):
    result, picture, sentence = move(lab, setting)
    full = result.total_ns("4K.4K") / sum(picture._bars["4K.4K", part].get_width() for part in HUGE_PARTS)
    for row in HUGE_ROWS:
        parts = result.parts[row]
        assert all(ns >= 0 for ns in parts.values()) and 0 <= result.misses[row] <= 1
        for part, ns in parts.items():
            assert picture._bars[row, part].get_width() * full == near(ns, abs=1e-6)
        assert picture._bars[row, "host"].get_x() + picture._bars[row, "host"].get_width() <= 1 + 1e-9
        assert picture._numbers[row, "time"].get_text() == show(result.total_ns(row), "ns")
        assert picture._points[row].get_visible() == (row in result.published)
        assert row.startswith("bare") == (row not in result.ratio)
    for row in ("bare.4K", "bare.2M"):
        assert result.parts[row]["host"] == 0, "bare metal has no tables of a host"
    for one in ("4K.2M", "2M.4K"):  # guard 6: one side only shortens the walk
        assert result.misses[one] == result.misses["4K.4K"]
    for row, ratio in result.ratio.items():
        assert ratio == near(result.total_ns(row) / result.total_ns(f"bare.{row[:2]}"))
        assert ratio >= 1 - 1e-9, "nothing is faster in a guest"
    for row, point in result.published.items():
        assert picture._points[row].get_xdata()[0] * full == near(point.ns)
    assert show(result.total_ns("2M.2M"), "ns") in sentence and number(result.ratio["4K.4K"]) in sentence


@check_of("ProgramsLab")
def programs(lab, setting):
    result, picture, sentence = move(lab, setting)
    for name, share in result.model.items():
        assert 0 <= share <= 1
        assert list(picture._marks[name].get_xdata()) == [share] * 2
        assert picture._values[name, "model"].get_text() == show(share, "%")
        assert f"{words(f'programs.name.{name}')} {show(share, '%')}" in sentence
        if setting == type(setting)(guest_page="4K", host_page="4K"):
            assert share == near(result.small[name], abs=2e-3), "the published share is what the intensity is from"
        if setting == type(setting)():
            assert share < 1.1 * result.huge[name], "the sentence says that the model is below"


@check_of("FootprintLab")
def footprint(lab, setting):
    result, picture, sentence = move(lab, setting)
    for key, page in (("small", "4K"), ("huge", setting.huge_page)):
        parts = result.parts[key]
        assert all(size >= 0 for size in parts.values())
        assert parts["bloat"] == 0 or page != "4K", "a small page has no room for bloat"
        for part, size in parts.items():
            written = picture._values[part, key].get_text()
            assert written == (show(size, "B") if size else words("footprint_lab.nothing"))
    for page, bytes in (("4K", 1 << 12), ("2M", 1 << 21), ("1G", 1 << 30)):
        assert result.exits[page] <= -(-setting.memory_bytes // bytes), "one exit a page at most"
        assert f"{result.exits[page]:,}" in picture._exits[page].get_text()
        assert picture._times[page].get_text() == show(result.touch_ns[page], "ns")
    assert result.exits["4K"] >= result.exits["2M"] >= result.exits["1G"]
    assert f"{result.exits['4K']:,} exits" in sentence and show(result.parts["huge"]["bloat"], "B") in sentence


@check_of("PagesLab")
def pages(lab, setting):
    result, picture, sentence = move(lab, setting)
    for key, by_cpu in result.model.items():
        ratios = sorted(by_cpu.values())
        assert all(0 < r < 1000 for r in ratios)
        assert list(picture._models[key].get_xdata()) == near([min(max(r, 0.4), 40) for r in ratios])
        assert number(ratios[0]) in picture._said[key].get_text() and number(ratios[-1]) in sentence
        value, low, high = result.machine[key]
        assert picture._points[key].get_xdata()[0] == near(value)
        assert list(picture._spreads[key].get_xdata()) == near([low, high])
        assert number(value) in picture._values[key].get_text() and number(value) in sentence


@check_of("CryptoLab")
def crypto(lab, setting):
    result, picture, sentence = move(lab, setting)
    now = result.now
    for key, text in picture._times.items():
        assert text.get_text() == show(now.by_place[key].latency_ns, "ns") and text.get_text() in sentence
    assert number(now.cores) in picture._cores.get_text() and f"{number(now.cores)} cores" in sentence
    assert now.by_place["card"].cores == 0 < now.by_place["card"].latency_ns


@check_of("ManageLab")
def manage(lab, setting):
    result, picture, sentence = move(lab, setting)
    now = result.now
    for measure, mark in picture._pays.items():
        at, wait = now.breaks_even[measure], getattr(now.places["host"], f"{measure}_wait_ns")
        assert show(wait, "ns") in picture._values[measure].get_text() and show(wait, "ns") in sentence
        assert not mark.get_visible() or mark.get_xdata()[0] == at <= now.reserved_share * (1 + 1e-9)
    for key, share in result.parts.items():
        assert picture._bars[key].get_width() == near(min(max(share, 0.002), 1.1))
        assert show(share, "%") in picture._names[key].get_text()


@check_of("ForecastLab")
def forecast(lab, setting):
    result, picture, sentence = move(lab, setting)
    assert result.law()[0] == near(result.law()[1])
    naive = result.outcomes["persistence"].cost_vcpus
    for name, outcome in result.outcomes.items():
        assert show(outcome.cost_vcpus) in picture._costs[name].get_text()
        width = sum(bar.get_width() for bar in picture._bars[name])
        assert width == near(min(2, outcome.cost_vcpus / naive) if naive else 0), f"{name}: bars and cost disagree"
        assert ("▸" in picture._names[name].get_text()) == (name == setting.predictor)
    shown = len(picture._demand.get_xdata())
    level = result.levels[setting.predictor][:shown]
    assert len(picture._late.get_xdata()) == (result.held_out[:shown] > level + 1e-6).sum()
    assert ("adds nothing" in sentence) == (result.chosen.verdict == "nothing" or not naive)
    assert show(naive) in sentence and "oracle 0" in sentence


@check_of("BalanceLab")
def balance(lab, setting):
    result, picture, sentence = move(lab, setting)
    for key, shares in (("queue", result.queue_shares), ("core", result.core_shares)):
        heights = [bar.get_height() if bar.get_visible() else 0 for bar in picture._bars[key]][: len(shares)]
        assert heights == near([share * sum(heights) for share in shares]), f"{key}: bars and loads disagree"
        assert picture._elephants[key].get_height() == near(result.elephant_share * sum(heights))
        assert sum(bar.get_visible() for bar in picture._bars[key]) == (shares > 0).sum()
    assert picture._through.get_width() == near(result.bound_packets_per_s / result.even_packets_per_s)
    assert picture._most.get_visible() == (result.elephant_share * setting.irq_cores >= 1 - 1e-9)
    assert show(result.bound_packets_per_s, "packets/s") in sentence


@check_of("SliceLab")
def slice_(lab, setting):
    result, picture, sentence = move(lab, setting)
    chosen, used = result.chosen, 0.0
    for bar, share, weight in zip(picture._bars, chosen.shares_gbit_per_s, setting.weights, strict=False):
        used += bar.get_height() * weight
        assert bar.get_height() * weight * sum(chosen.shares_gbit_per_s) == near(
            share * sum(b.get_height() * w for b, w in zip(picture._bars, setting.weights, strict=False)), abs=1e-9)
    assert used > 0 and sum(bar.get_visible() for bar in picture._bars) == setting.slice_vfs
    assert picture._water.get_visible() == (sum(setting.demands) > setting.link_gbit_per_s * (1 + 1e-9))
    if setting.slice_scheduler in ("drr", "sfq"):  # no vessel stands above the water, and those below it are full
        water = picture._water.get_ydata()[0] if picture._water.get_visible() else 1
        assert max(bar.get_height() for bar in picture._bars[: setting.slice_vfs]) <= water * (1 + 1e-9)
    ended = [text.get_visible() for text in picture._ends]
    assert ended == [result.each[s].starved for s in SCHEDULERS]
    assert ("without end" in sentence) == chosen.starved
    assert show(chosen.shares_gbit_per_s[0], "Gb/s") in sentence


@check_of("TaxLab")
def tax(lab, setting):
    result, picture, sentence = move(lab, setting)
    profile, cost = result.profile, setting.cost()
    end = picture._bars["io", "kvm"].get_x()
    for kind, line in zip(KINDS, profile.lines, strict=True):
        parts = result.parts_ns[kind]
        assert all(ns >= 0 for ns in parts.values()) and sum(parts.values()) == near(line.exit_ns)
        assert parts["qemu"] == 0 or line.route == "userspace", "only what user space handles goes there"
        width = sum(bar.get_width() for (k, _), bar in picture._bars.items() if k == kind)
        assert width * picture.limit == near(line.share * 250), "a bar and its share disagree"
        assert picture._bars[kind, "kvm"].get_x() == near(end), "each begins where the one above ends"
        end += width
    assert end <= picture._bars["io", "kvm"].get_x() + 250 * (1 + 1e-9)
    if setting.io_route == "userspace":  # guard 11: an ioeventfd leaves the exit, and saves the way to user space
        kernel = labs.tax._by_place(cost, "kernel", setting.access)
        assert kernel["kvm"] == near(result.parts_ns["io"]["kvm"]) and kernel["qemu"] == 0
    if setting.tagged_tlb and not setting.indirect_factor:
        assert all(parts["guest"] == 0 for parts in result.parts_ns.values()), "guard 8: no exit flushes a tagged TLB"
    if profile.share:
        assert result.rate_at(profile.share) == near(profile.exits_per_s)
        assert list(picture._mix.get_ydata()) == near([min(max(result.mean_ns, 100), 1e5)] * 2)
        assert show(profile.share, "%") in sentence and show(result.rate_at(0.01), "1/s") in sentence
        assert ("cannot be had" in sentence) == ("cannot be had" in picture._notes["total"].get_text())
        assert ("cannot be had" in sentence) == (profile.share > 1)
    returns = show(setting.io_per_s, "1/s") + " returns"
    assert (returns in sentence) == (setting.io_route == "userspace" and profile.share > 0)
    for key, (value, low, high) in result.published.items():
        assert low <= value <= high
        assert picture._diamonds[key].get_ydata()[0] == near(min(max(value, 100), 1e5))


@check_of("AfterIoLab")
def after_io(lab, setting):
    result, picture, sentence = move(lab, setting)
    residue = result.residue
    counted, events = residue.law()
    assert counted == near(events)
    assert sum(result.share_of(reason) or 0 for reason in REASONS) == near(residue.share)
    width = sum(picture._bars["total", place].get_width() for place in ("kvm", "guest"))
    assert width * picture.limit == near(residue.share * 190)
    works = labs.after_io.working(result.wanted, setting.apicv)
    assert works == residue.options.remedies, "what cannot work is not counted"
    for remedy in result.wanted:
        assert (remedy in works) != (remedy in result.idle), remedy
        assert ("Without effect: " in sentence) == (set(works) != set(result.wanted))
    for i, name in enumerate(picture._names[1:]):
        assert name.get_text().startswith("☑" if cpu.REMEDIES[i] in result.wanted else "☐")
    if setting.apicv:
        steps = cpu.remedy_steps(setting.options(())).steps
        assert [sum(step.values()) for step in result.steps] == near([step.share for step in steps])
    for i, lines in enumerate(picture._prices[1:], 1):
        price = " ".join(line.get_text() for line in lines)
        assert price.strip() and price.startswith("No effect") == (cpu.REMEDIES[i - 1] in result.idle)
    assert residue.sentence() in sentence


@check_of("NeighbourLab")
def neighbour(lab, setting):
    result, picture, sentence = move(lab, setting)
    none, chosen = result.rows["none"], result.chosen
    ticked = {r for r in NEIGHBOUR_REMEDIES if getattr(setting, r)}
    named = set(NEIGHBOUR_REMEDIES) if setting.remedy == "all" else {setting.remedy} - {"none"}
    assert set(chosen.options.remedies) == ticked | named
    assert none.options.remedies == ()
    for state, found in (("none", none), ("chosen", chosen)):
        if state == "chosen" and not chosen.options.remedies:
            assert not any(bar.get_visible() for (_, s), bar in picture._steps.items() if s == state)
            continue
        assert found.law()[0] == near(found.law()[1])
        assert found.product_law()[0] == near(found.product_law()[1])
        assert number(found.slowdown) in sentence or number(found.slowdown) == "1"
        whole = picture._steps["all", state]
        parts = [picture._steps[cause, state] for cause in NEIGHBOUR_CAUSES]
        if min(found.factors.values()) >= 1 - 1e-9:  # each begins where the one above ends, and they come to the whole
            assert sum(bar.get_width() for bar in parts) == near(whole.get_width(), abs=1e-9)
            for above, below in itertools.pairwise(parts):
                assert below.get_x() == near(above.get_x() + above.get_width(), abs=1e-9)
        full = picture._tails["p999", "alone"].get_width() / none.quiet.p999_ns
        for key in QUANTILES:
            ns = getattr(found.tail, f"{key}_ns")
            assert picture._tails[key, state].get_width() == near(min(ns * full, 1))
            assert ns == np.inf or picture._times[key, state].get_text() == show(ns, "ns")
        if found.tail.p99_ns < np.inf:
            assert show(found.tail.p99_ns, "ns") in sentence and show(found.tail.p999_ns, "ns") in sentence
    assert show(none.quiet.p99_ns, "ns") in sentence and number(chosen.options.vcpus_sold) in sentence
    full = picture._quiet.get_xdata()[0] / none.quiet.p99_ns
    for row, found in result.rows.items():
        assert picture._bars[row].get_width() == near(min(found.tail.p99_ns * full, 1))
        assert picture._cells[row, "sold"].get_text() == number(found.options.vcpus_sold)
        black = to_hex(picture._bars[row].get_facecolor()) == picture.look.ink
        assert black == (row != "none" and found.options.remedies == chosen.options.remedies)
    assert picture._bars["yours"].get_visible() == (result.row == "yours")


@check_of("ScheduleLab")
def schedule(lab, setting):
    result, picture, sentence = move(lab, setting)
    run = result.trace.schedule
    assert run.law()[0] == run.law()[1]
    assert result.trace.law()[0] == result.trace.law()[1]
    for bar, parts in result.shares.items():
        assert sum(parts.values()) == near(1), bar
        assert min(parts.values()) >= -1e-12, bar
        at = 0.0
        for part, share in parts.items():
            drawn = picture._parts[bar, part]
            assert (drawn.get_x(), drawn.get_width()) == near((at, share), abs=1e-9)
            at += share
    assert result.shares["worst"]["steal"] >= result.shares["mean"]["steal"] - 1e-12
    drawn = sum(len(threads.get_paths()) for threads in picture._threads.values())
    assert drawn == sum(i.pcpu < SCHEDULE_ROWS for i in result.trace.intervals)
    beyond = picture._lines["vcpus"].get_ydata()
    assert (np.diff(beyond) <= 1e-12).all(), "the share that waits longer cannot grow with the time"
    for key, ns in result.quantiles_ns.items():
        assert (picture._notes[key].get_text() == "") == (run.waits.count == 0)
        assert run.waits.count == 0 or show(ns, "ns", 2) in sentence
    assert show(run.steal_share, "%", 2) in sentence


@check_of("JitterLab")
def jitter(lab, setting):
    result, picture, sentence = move(lab, setting)
    assert list(picture._law.get_xdata()) == [setting.slice_ns] * 2
    assert picture._law.get_ydata()[1] * setting.slice_ns == near(0.5e9), "half of the time is lost in such gaps"
    assert f"gaps of {show(setting.slice_ns, 'ns')}" in sentence
    for key, span in result.rows.items():
        assert picture._points[key].get_xdata()[0] == near(span[0])
        assert all(line in sentence for line in result.texts[key])


@borrowed
@given(data=st.data())
def test_any_setting_holds_its_laws_and_says_what_it_shows(lab, cls, data):
    setting = data.draw(settings_of(cls.Setting))
    CHECKS.get(cls.__name__, move)(lab, setting)
    same_words(lab)


@borrowed
@given(data=st.data())
def test_the_code_of_any_setting_makes_it_again(lab, cls, undrawn, data):
    lab.set(**data.draw(settings_of(cls.Setting)).model_dump())
    start = eval(lab.as_python(), {cls.__name__: dict})
    assert cls.Setting(**start) == lab.setting


@settings(borrowed, max_examples=5)
@given(data=st.data())
def test_a_picture_does_not_depend_on_what_was_shown_before(lab, cls, data):
    for _ in range(3):
        lab.set(**data.draw(settings_of(cls.Setting)).model_dump())
    fresh = cls(**lab.setting.model_dump())
    try:
        assert lab.png == fresh.png, "a notebook would not give the same bytes twice"
    finally:
        fresh.close()


@settings(borrowed, max_examples=15)
@given(data=st.data())
def test_a_ghost_of_any_setting_can_stand_behind_any_other(lab, cls, data):
    lab._kept = None
    lab.set(**data.draw(settings_of(cls.Setting)).model_dump())
    lab.keep()
    lab.set(**data.draw(settings_of(cls.Setting)).model_dump())
    assert lab.error is None


@check_of("RemedyLab")
def remedies(lab, setting):
    result, picture, sentence = move(lab, setting)
    found = result.found
    assert sum(found.earned.values()) == near(found.total, abs=1e-9), "the shares do not add up"
    assert sum(bar.earned for bar in result.bars) == near(found.total, abs=1e-9), "the steps do not add up"
    names = [text.get_text() for text in picture._names]
    assert names[1 : 1 + len(result.rows)] == [words(f"whole.remedy.{row}") for row in result.rows]
    whole = [bar.get_width() for bar in picture._ends]
    for bar, drawn in zip(result.bars, picture._bars, strict=False):
        (shown,) = [b for b in drawn.values() if b.get_visible()]
        if result.losses[0]:
            assert shown.get_width() * result.losses[0] == near(abs(bar.earned) * whole[0], abs=1e-9)
    shares = [b.get_width() for row in picture._shares for b in row.values() if b.get_visible()]
    assert len(shares) == len(found.remedies)
    assert show(result.losses[1], "%") in sentence


@check_of("SideBySideLab")
def side_by_side(lab, setting):
    result, picture, sentence = move(lab, setting)
    for n, (found, placed) in enumerate(zip(result.overheads, result.placed, strict=True)):
        assert found.law()[0] == near(found.law()[1], abs=1e-9)
        assert show(found.loss, "%") in sentence
        for y, cell in enumerate(placed):
            seen = [place for place in SIDE_COLOURS if any(b.get_visible() for b in picture._cells[y, n, place])]
            assert seen == ([cell.place] if SIDE_COLOURS[cell.place] else [])
            assert f"[{cell.class_}]" in picture._texts[y, n].get_text()
        x, y = (float(np.ravel(part)[0]) for part in picture._points[n].get_data())
        assert (x, y) == near((min(found.host_tax, SIDE_MOST[0]), min(found.slowdown, SIDE_MOST[1])))


def test_another_workload_brings_its_own_shares_of_waiting():
    lab = labs.SideBySideLab(right_architecture="cipu")
    for name, work in WORKLOADS.items():
        lab.workload = name
        assert (lab.storage_share, lab.network_share) == (work.storage_share, work.network_share)
        for found, architecture in zip(lab.result.overheads, ("nitro", "cipu"), strict=True):
            assert found.loss == near(overhead(architecture, name).loss), "what the lab shows is what the model says"
    lab.set(workload="compute", storage_share=0.4)
    assert (lab.storage_share, lab.network_share) == (0.4, WORKLOADS["compute"].network_share)
    again = labs.SideBySideLab(**json.loads(lab.as_json())["setting"])
    assert again.setting == lab.setting, "a value that is another workload's default is kept"
    lab.close()
    again.close()


@check_of("ThinLab")
def thin(lab, setting):
    result, picture, sentence = move(lab, setting)
    first, last = result.slim.start, result.slim.end
    for duty, places in result.places().items():
        shown = {column for column in COLUMNS if picture._boxes[duty, column].get_visible()}
        assert shown == set(places) and 1 <= len(shown) <= 2, duty
    for key in THIN_ROWS:
        before, after = (figure_of(step, key) for step in (first, last))
        bars = picture._before[key], picture._after[key]
        assert [bar.get_visible() for bar in bars] == [before > 0, after > 0], key
        if before > 0 and after > 0 and min(before, after) > max(before, after) / 50:
            assert bars[1].get_width() / bars[0].get_width() == near(after / before), key
        assert picture._values[key].get_text() == f"{figure(first, key)} → {figure(last, key)}"
    assert words(f"thin.order.{last.surface.compare(first.surface)}") in sentence
    assert result.lost() in sentence


@check_of("DensityLab")
def density(lab, setting):
    result, picture, sentence = move(lab, setting)
    found = result.density
    assert found.law()[0] == found.law()[1]
    assert all(a <= b for a, b in zip(result.vms, result.without, strict=True)), "memory beside VMs makes no room"
    assert list(result.vms) == sorted(result.vms, reverse=True), "larger VMs are never more"
    at = min(max(found.vms, 0.55), 2e4 / 1.1)
    assert (picture._dot.get_xdata()[0], picture._dot.get_ydata()[0]) == (setting.memory_bytes, near(at))
    widths = [bar.get_width() for bar in picture._bars.values() if bar.get_visible()]
    assert sum(widths) <= 904 * (1 + 1e-9) + len(widths)
    assert number(found.vms, 6) in sentence and found.first.title in sentence


# ------------------------------------------------- labels

def extremes(cls):
    """Each parameter at its ends and choices, the others at their defaults; then all together at one end."""
    ends = {}
    for name, spec in cls.Setting.specs().items():
        ends[name] = spec.choices or ((False, True) if spec.kind == "bool" else (spec.low, spec.high))
        for value in ends[name]:
            yield {name: value}
    for k in (0, -1):
        yield {name: choices[k] for name, choices in ends.items()}


@pytest.fixture
def full_size(cls, monkeypatch, undrawn):
    monkeypatch.setattr(labs.base.Lab, "scale", 1.0)
    return cls()


def test_labels_lie_inside_the_picture_and_not_on_each_other(full_size):
    lab = full_size
    still = still_texts(lab._picture)
    assert not outside(lab._picture, still), "labels of the background stick out"
    for values in extremes(type(lab)):
        lab.set(**{name: spec.default for name, spec in lab.Setting.specs().items()} | values)
        moving = moving_texts(lab._picture)
        assert not outside(lab._picture, moving), f"{values}: sticks out, by pixels"
        assert not overlapping(still + moving), f"{values}: texts lie on each other"


def test_labels_lie_well_beside_a_ghost_too(full_size):
    lab = full_size
    still = still_texts(lab._picture)
    lab.keep()
    lab.set(**other(type(lab)))
    moving = moving_texts(lab._picture)
    assert not outside(lab._picture, moving)
    assert not overlapping(still + moving)


@pytest.mark.parametrize("theme", LOOKS)
def test_no_label_is_too_small_for_a_projector(cls, theme):
    """At 100 dpi, 11 points are 15 pixels."""
    lab = in_light(cls) if theme == "light" else cls(theme=theme)
    sizes = {text.get_fontsize() for text in lab._picture.figure.findobj(Text) if text.get_text()}
    assert min(sizes) >= 10, sizes


# ------------------------------------------------- predictions

def test_a_prediction_is_drawn_with_the_result(lab, cls):
    if not cls.prediction_id:
        pytest.skip("this lab is not predicted")
    from virtlab.lessons import book

    before = lab.png
    book.keep(cls.prediction_id, example(cls.prediction_id))
    try:
        lab.reset()
        assert lab.png != before, "the prediction is not in the picture"
        assert words("lab.no_prediction") not in lab._text.value
    finally:
        book.clear()
    lab.reset()
    assert lab.png == before
    assert words("lab.no_prediction") in lab._text.value


def example(id):
    from virtlab.lessons.items import find_prediction

    asked = find_prediction(id)
    return tuple(choice.key for choice in asked.choices) if asked.kind == "order" else 10
