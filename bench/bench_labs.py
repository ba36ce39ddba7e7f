"""One move of a control until the kernel is idle again, for every lab, against `interact` with a new pyplot figure.

A real ipykernel is driven by the comm messages that a front end sends. Both ways show the same artists of the same
settings, in turns, so that a slow moment of the machine hits both.
"""

from __future__ import annotations

import ast
import json
import statistics
import time
from typing import Any, NamedTuple

from harness import Row, row
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from virtlab import labs

UPDATES = 40  # moves of each lab; the usual way makes every fourth of them
MEDIAN_MS, P95_MS = 50.0, 100.0

OURS = """
import json
from IPython.display import display
from virtlab import labs
lab = labs.{name}()
display(lab)
controls = []
for key in lab.visible or lab._specs:
    widget = lab._controls[key].inputs[-1]  # the slider, or what stands alone
    if hasattr(widget, "options"):
        places = [dict(index=i) for i in range(len(widget.options))]
    elif hasattr(widget, "max"):
        places = [dict(value=widget.min + (widget.max - widget.min) * i // 40 if isinstance(widget.value, int)
                       else round(widget.min + (widget.max - widget.min) * i / 40, 9)) for i in range(41)]
    else:
        places = [dict(value=True), dict(value=False)]
    controls.append((widget.model_id, places))
plan = json.dumps(controls)
"""

USUAL = """
%matplotlib inline
import matplotlib.pyplot as plt
from ipywidgets import IntSlider, interact
def draw(k):
    setting = settings[k]
    picture = type(lab._picture).__new__(type(lab._picture))
    picture.look = lab._picture.look
    width, height = picture.size_px
    picture.figure = plt.figure(figsize=(width / 100, height / 100), dpi=100)
    picture.build()
    picture.show(lab.solve(setting))
    print(lab.sentence(setting, lab.result))
    plt.show()
settings = [lab.setting] * {count}
slider = IntSlider(0, 0, {count} - 1)
interact(draw, k=slider)
"""


class Times(NamedTuple):
    """Milliseconds from the message to the idle kernel, and the bytes that came back, one each a move."""

    ms: list[float]
    size: list[int]


class Kernel:
    """A kernel of its own, spoken to as a front end does."""

    def __enter__(self) -> Kernel:
        self.client: BlockingKernelClient
        self.manager, self.client = start_new_kernel(kernel_name="python3")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code: str, value: str = "None") -> Any:
        """Runs a cell; gives the Python value of an expression, as JSON can carry it. Raises what the cell raised."""
        errors: list[str] = []

        def listen(message: dict[str, Any]) -> None:
            if message["msg_type"] == "error":
                errors.append("\n".join(message["content"]["traceback"]))

        wanted = {"value": f"__import__('json').dumps({value})"}
        reply = self.client.execute_interactive(code, output_hook=listen, user_expressions=wanted, timeout=300)
        if errors:
            raise RuntimeError(errors[0])
        text = reply["content"]["user_expressions"]["value"]["data"]["text/plain"]
        return json.loads(ast.literal_eval(text))

    def move(self, model: str, state: dict[str, Any], times: Times) -> None:
        """Sends one change of a widget, and waits until the kernel is idle again."""
        session, iopub = self.client.session, self.client.iopub_channel.socket
        data = {"method": "update", "state": state, "buffer_paths": []}
        message = session.msg("comm_msg", {"comm_id": model, "data": data})
        size, start = 0, time.perf_counter()
        self.client.shell_channel.send(message)
        while True:
            if not iopub.poll(60_000):
                raise TimeoutError(f"no answer to {state}")
            frames = iopub.recv_multipart()
            at = frames.index(b"<IDS|MSG>")
            header, parent = json.loads(frames[at + 2]), json.loads(frames[at + 3])
            if parent.get("msg_id") != message["header"]["msg_id"]:
                continue
            size += sum(map(len, frames))
            if header["msg_type"] == "status" and json.loads(frames[at + 5])["execution_state"] == "idle":
                break
        times.ms.append((time.perf_counter() - start) * 1e3)
        times.size.append(size)


def measure(kernel: Kernel, name: str) -> tuple[Times, Times]:
    """Moves every visible control of a lab in turn, and every fourth time draws the same setting the usual way."""
    controls = json.loads(kernel.run(OURS.format(name=name), "plan"))
    kernel.run(USUAL.format(count=UPDATES + 1))
    slider = kernel.run("pass", "slider.model_id")
    ours, usual, position = Times([], []), Times([], []), [0] * len(controls)
    for k in range(-4, UPDATES):  # the first four warm up
        which = k % len(controls)
        model, places = controls[which]
        position[which] = (position[which] + 17) % len(places)  # up and down, and never twice the same
        kernel.move(model, places[position[which]], ours)
        if k % 4 == 0:
            kernel.run(f"settings[{k + 5}] = lab.setting") if k + 5 <= UPDATES else None
            kernel.move(slider, {"value": min(k + 5, UPDATES)}, usual)
    drawn, error = kernel.run("plt.close('all'); lab.close()", "[lab.redraws, repr(lab.error)]")
    if error != "None" or drawn <= len(ours.ms) - len(controls):  # the first move may be none
        raise RuntimeError(f"{name}: {drawn - 1} of {len(ours.ms)} moves drew the picture; error {error}")
    return Times(ours.ms[4:], ours.size[4:]), Times(usual.ms[1:], usual.size[1:])


def main() -> list[Row]:
    """Median and 95th percentile of every lab in the kernel, and how many times faster it is than the usual way."""
    rows: list[Row] = []
    with Kernel() as kernel:
        for name in labs.__all__:
            ours, usual = measure(kernel, name)
            median, p95 = statistics.median(ours.ms), statistics.quantiles(ours.ms, n=20)[-1]
            slow = statistics.median(usual.ms)
            # Each of the slow ones is compared with the four that were made around it.
            fours = [statistics.median(ours.ms[i : i + 4]) for i in range(0, len(ours.ms), 4)]
            faster = statistics.median(one / four for one, four in zip(usual.ms, fours, strict=True))
            size, slow_size = (statistics.median(t.size) / 1e3 for t in (ours, usual))
            print(f"  {name:12s} median {median:6.1f} ms, p95 {p95:6.1f} ms, {size:4.0f} kB; ", end="")
            print(f"usual way {slow:6.1f} ms, {slow_size:4.0f} kB: {faster:.1f} x", flush=True)
            rows += [
                row(f"{name}, {MEDIAN_MS:.0f} ms / median of an update", MEDIAN_MS / median, 1, 1),
                row(f"{name}, {P95_MS:.0f} ms / p95 of an update", P95_MS / p95, 1, 1),
                row(f"{name}, update / interact + pyplot", faster, 10, 15),
            ]
    return rows
