"""The command line: virtlab lab, doctor, facts, claims, measure. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from virtlab import __version__
from virtlab.core.words import say, words

# No pop-up asks a class of forty about news, and nothing is looked up on the network.
QUIET = (
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)
FIRST = "00_start_here.ipynb"
DETAILED = 3  # so many facts are shown in full, more as a table


def notebooks_folder(*checkouts: Path) -> Path | None:
    """The folder notebooks/ of the first of these checkouts that has one with notebooks in it."""
    folders = (checkout / "notebooks" for checkout in checkouts)
    return next((folder for folder in folders if any(folder.glob("*.ipynb"))), None)


def _jupyterlab(arguments: list[str]) -> int:
    """Runs JupyterLab until it is stopped."""
    return int(importlib.import_module("jupyterlab.labapp").main(arguments) or 0)


def lab(
    arguments: Sequence[str],
    *,
    checkouts: Sequence[Path] | None = None,
    start: Callable[[list[str]], int] = _jupyterlab,
) -> int:
    """Starts JupyterLab on the notebooks, passing ``arguments`` on to it. Returns the exit code."""
    folder = notebooks_folder(*(checkouts or (Path.cwd(), Path(__file__).parents[1])))
    if folder is None:
        print(words("doctor.cli.no_notebooks"), file=sys.stderr)
        return 1
    command = [f"--ServerApp.root_dir={folder}", *QUIET]
    if (folder / FIRST).exists():
        command.append(f"--LabApp.default_url=/lab/tree/{FIRST}")
    try:
        return start([*command, *arguments])
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] != "jupyterlab":
            raise
        print(words("doctor.cli.no_jupyterlab"), file=sys.stderr)
        return 1


def doctor(everywhere: bool) -> int:
    """Prints what this computer has, and how to get the rest."""
    from virtlab.machine import look

    print(look().text(everywhere))
    return 0


def facts(text: str) -> int:
    """Prints the facts that contain ``text``: a few in full, many as a table."""
    from virtlab.evidence import FACTS, find

    table = find(text)
    if not table.rows:
        print(say("doctor.cli.no_facts", text=text), file=sys.stderr)
        return 1
    if len(table.rows) > DETAILED:
        print(table)
        return 0
    print("\n\n".join(f"{row[0]}\n  {FACTS[row[0]]}\n  {FACTS[row[0]].source.address}" for row in table.rows))
    return 0


def claims(claim: str, as_json: bool) -> int:
    """Prints the ledger of all claims, or one with its verdict; as JSON if asked. Every verdict is computed now."""
    from virtlab.evidence import CLASSES
    from virtlab.lessons import ledger

    try:
        found = ledger([claim] if claim else [])
    except LookupError as error:
        print(error, file=sys.stderr)
        return 1
    if as_json:
        print(found.json())
    elif not claim:
        print(found)
    else:
        entry = found[claim]
        c = entry.claim
        print(f"{c.id}: {c.text}\n[{c.evidence}: {CLASSES[c.evidence]}] {c.note}")
        print(say("doctor.cli.notebooks", ids=", ".join(c.notebooks)) + f"\n\n{entry}")
    return 0


def measure(what: str | None) -> int:
    """Measures this computer and prints the result, and a recorded one below it where something is missing."""
    from virtlab.machine.probing import COUNTED, PROBES, RECORDINGS

    tables: list[object] = []
    for name in [what] if what else PROBES:
        if name in COUNTED:
            count, counts_kept = COUNTED[name]
            counted = count()
            tables += [counted] if counted.complete else [counted, counts_kept()]
        else:
            measured = PROBES[name]()
            complete = all(q.present for q in measured.quantities)
            tables += [measured] if complete else [measured, RECORDINGS[name]()]
    print("\n\n".join(map(str, tables)))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. Ctrl-C is 130; a reader that closes the pipe early is no error."""
    try:
        code = _run(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # else Python complains once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(argv: list[str]) -> int:
    with contextlib.suppress(AttributeError):  # a console of another code page shows ? rather than failing
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command != "lab":
        parser.error(say("doctor.cli.unknown", arguments=" ".join(rest)))
    if arguments.command == "lab":
        return lab([a for a in rest if a != "--"])
    if arguments.command == "doctor":
        return doctor(arguments.all)
    if arguments.command == "facts":
        return facts(arguments.text)
    if arguments.command == "claims":
        return claims(arguments.claim, arguments.json)
    if arguments.command == "measure":
        return measure(arguments.what)
    parser.print_help()
    return 0


def _parser() -> argparse.ArgumentParser:
    from virtlab.machine import COUNTED_NAMES, PROBE_NAMES

    text = words("doctor.cli")
    parser = argparse.ArgumentParser(prog="virtlab", description=text["about"])
    parser.add_argument("--version", action="version", version=f"virtlab {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("lab", help=text["lab"], description=text["lab"])
    checks = commands.add_parser("doctor", help=text["doctor"], description=text["doctor"])
    checks.add_argument("--all", action="store_true", help=text["all"])
    of_facts = commands.add_parser("facts", help=text["facts"], description=text["facts"])
    of_facts.add_argument("text", nargs="?", default="", help=text["facts_text"])
    of_claims = commands.add_parser("claims", help=text["claims"], description=text["claims"])
    of_claims.add_argument("claim", nargs="?", default="", metavar="id", help=text["claims_id"])
    of_claims.add_argument("--json", action="store_true", help=text["claims_json"])
    measures = commands.add_parser("measure", help=text["measure"], description=text["measure"])
    measures.add_argument("what", nargs="?", choices=(*PROBE_NAMES, *COUNTED_NAMES), help=text["measure_what"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
