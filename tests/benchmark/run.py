# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""Measure the collection against its peers and against a C program that makes only the necessary system calls.

Everything is measured in one run, the contenders taking turns: read the ratios, not the times.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".work" / "collections"))

from ansible_collections.hostcare.remediation.tests.benchmark import (
    descriptors,
    fleet,
    listing,
    purge,
    semaphores,
    survey,
)
from ansible_collections.hostcare.remediation.tests.benchmark.contenders import (
    FIGHTERS,
    LIMIT,
    OURS,
    SCENARIOS,
    Contender,
    Scenario,
)
from ansible_collections.hostcare.remediation.tests.benchmark.contest import Try, fight

HOPELESS = 3  # tries after which a peer that has lost them all is left out
PARTS = ("storms", "listing", "slots", "semaphores", "survey", "purge", "descriptors", "fleet")
BY_WISH = ("fleet",)  # it takes a quarter of an hour for itself


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    if os.geteuid() != 0:
        print("bombs need namespaces and cgroups of their own: run this as root")
        return 1
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
    if os.getloadavg()[0] > 1:
        print("others are at work on this machine: these figures are not for the record", flush=True)
    record: dict[str, Any] = {}
    spotless = True
    if "storms" in options.part:
        tries = list(_storms(options))
        record["storms"] = [one._asdict() for one in tries]
        _print_storms(tries)
        spotless = _verdict(tries)
    if "listing" in options.part:
        record["listing"] = listing.measure(options.processes, min(options.tries, 5))
        _print_listing(record["listing"], options.processes)
    if "semaphores" in options.part:
        record["semaphores"] = semaphores.measure(tuple(options.arrays), min(options.tries, 5))
        print("", *semaphores.lines(record["semaphores"]), sep="\n")
    if "descriptors" in options.part:
        crowd = (options.holders, options.descriptors)
        record["descriptors"] = descriptors.measure(*crowd, min(options.tries, 5))
        print("", *descriptors.lines(record["descriptors"], *crowd), sep="\n")
        spotless = descriptors.keeps_to_limits(record["descriptors"]) and spotless
    if "survey" in options.part:
        load = (options.processes, options.surveyed_arrays, options.queue_files)
        record["survey"] = survey.measure(*load, min(options.tries, 5))
        print("", *survey.lines(record["survey"], *load), sep="\n")
        spotless = survey.is_in_budget(record["survey"]) and spotless
    if "slots" in options.part:
        record["slots"] = _slots()
    if "purge" in options.part:
        tries = min(options.tries, 5)
        record["purge"] = purge.measure(
            options.mails, tries, options.only, options.filesystems, lambda line: print(line, flush=True)
        )
        print(purge.table(record["purge"]))
        spotless = purge.is_bounded(record["purge"]) and spotless
    if "fleet" in options.part:
        record["fleet"] = fleet.measure(options.hosts, min(options.tries, 3), lambda line: print(line, flush=True))
        print("", *fleet.lines(record["fleet"]), sep="\n")
        spotless = fleet.is_linear(record["fleet"]) and spotless
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(record, indent=1))
    return 0 if spotless else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=5, help="of ours and of the C program in each scenario")
    parser.add_argument("--peer-tries", type=int, default=25, help="of the peers and of our other methods, at the most")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=[one for one in PARTS if one not in BY_WISH])
    parser.add_argument("--only", default="", help="contenders whose label contains this; the C program stays in")
    parser.add_argument("--scenario", nargs="+", choices=[one.name for one in SCENARIOS], default=[])
    parser.add_argument("--slots", type=int, default=2000, help="size of the process table in the storms")
    parser.add_argument("--filesystems", nargs="+", choices=purge.KINDS, default=list(purge.KINDS), help="to purge on")
    parser.add_argument("--mails", type=int, nargs="+", default=[10000, 100000], help="to purge; 1000000 takes an hour")
    parser.add_argument("--processes", type=int, default=10000, help="to list")
    parser.add_argument("--arrays", type=int, nargs="+", default=[10000, 32000], help="to remove")
    parser.add_argument("--holders", type=int, default=1000, help="processes that hold descriptors")
    parser.add_argument("--descriptors", type=int, default=100, help="that each of them holds")
    parser.add_argument("--surveyed-arrays", type=int, default=32000, help="on the host that is surveyed")
    parser.add_argument("--queue-files", type=int, default=1000000, help="in its mail queue")
    parser.add_argument("--hosts", type=int, nargs="+", default=list(fleet.COUNTS), help="of the fleet, a run for each")
    parser.add_argument("--timeout", type=float, default=10, help="seconds for one try")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=ROOT / ".work" / "benchmark.json")
    return parser.parse_args(arguments)


# --- storms ---


def _storms(options: argparse.Namespace) -> Iterator[Try]:
    contenders = [one for one in FIGHTERS if options.only in one.label or one.label == LIMIT]
    scenarios = [one for one in SCENARIOS if not options.scenario or one.name in options.scenario]
    turns = random.Random(options.seed)
    outcomes: dict[tuple[str, str], list[bool]] = {}
    started = time.monotonic()
    for number in range(options.tries):
        for scenario in scenarios:
            for contender in turns.sample(contenders, len(contenders)):
                won = outcomes.setdefault((scenario.name, contender.label), [])
                if not _has_a_turn(contender, won, options.peer_tries):
                    continue
                one = _try(scenario, contender, options, options.seed + number)
                won.append(one.won)
                yield one
        print(f"try {number + 1} of {options.tries} done after {time.monotonic() - started:.0f} s", flush=True)


def _try(scenario: Scenario, contender: Contender, options: argparse.Namespace, seed: int) -> Try:
    one = fight(scenario, contender, options.slots, seed, options.timeout)
    if contender.ours and (not one.won or one.harmed):
        print(f"  {scenario.name}, {contender.label}, seed {seed}: {json.dumps(one._asdict())[:1500]}", flush=True)
    return one


def _has_a_turn(contender: Contender, won: Sequence[bool], peer_tries: int) -> bool:
    """``won`` are its tries so far."""
    if contender.label in (LIMIT, OURS):
        return True
    return len(won) < peer_tries and (any(won) or len(won) < HOPELESS)


def _print_storms(tries: Sequence[Try]) -> None:
    print(
        "\nwon: no rogue left at the end nor 250 ms later; ms: median from the word to go until the last slot is free;"
    )
    print(
        "x C: against the C scan in this run; harm: tries in which another user's process of the same name was harmed"
    )
    for scenario in dict.fromkeys(one.scenario for one in tries):
        own = [one for one in tries if one.scenario == scenario]
        limit = _median(one for one in own if one.contender == LIMIT)
        print(f"\n{scenario:<26}{'won':>9}{'ms':>8}{'worst':>8}{'x C':>7}{'cpu ms':>9}{'harm':>6}")
        for label in [one.label for one in FIGHTERS]:
            found = [one for one in own if one.contender == label]
            if found:
                print(_storm_line(label, found, limit))


def _storm_line(label: str, found: Sequence[Try], limit: float | None) -> str:
    won = f"{sum(one.won for one in found)}/{len(found)}"
    median = _median(found)
    cpu = statistics.median(one.cpu_ms for one in found)
    harm = sum(bool(one.harmed) for one in found)
    if median is None:
        times = f"{'never':>8}{'':>8}{'':>7}"
    else:
        worst = max(one.zero_ms for one in found if one.zero_ms is not None)
        ratio = f"{median / limit:.2f}" if limit else ""
        times = f"{median:>8.0f}{worst:>8.0f}{ratio:>7}"
    return f"{label:<26}{won:>9}{times}{cpu:>9.0f}{harm or '':>6}{_account(found)}"


def _account(found: Sequence[Try]) -> str:
    """By which method ours went about it, and in how many passes."""
    methods = sorted({str(one.said["method"]) for one in found if "method" in one.said})
    passes = [one.said[key] for one in found for key in ("passes", "rounds") if key in one.said]
    counts = f"{min(passes)} to {max(passes)} passes" if passes else ""
    return "".join(f"  {part}" for part in (", ".join(methods), counts) if part)


def _verdict(tries: Sequence[Try]) -> bool:
    """Ours must lose no try, harm nobody, and claim no proof that was none."""
    own = [one for one in tries if one.contender in {fighter.label for fighter in FIGHTERS if fighter.ours}]
    lost = sum(not one.won for one in own)
    harmed = sum(bool(one.harmed) for one in own)
    false = sum(bool(one.said.get("converged")) and one.left > 0 for one in own)
    print(f"\nours: {len(own)} tries, {lost} lost, {harmed} harmed an innocent, {false} claimed a proof that was none")
    return not lost + harmed + false


def _median(tries: Iterator[Try] | Sequence[Try]) -> float | None:
    times = [one.zero_ms for one in tries if one.zero_ms is not None]
    return statistics.median(times) if times else None


# --- the other parts ---


def _print_listing(rows: Sequence[dict[str, Any]], count: int) -> None:
    print(f"\n{f'list {count} by name and user':<34}{'cpu ms':>8}{'x C':>7}")
    for row in rows:
        print(f"{row['lister']:<34}{row['cpu_ms']:>8.0f}{row['x_c']:>7.2f}")


def _slots() -> list[dict[str, Any]]:
    """Slots a task needs on its target: measured by the code that the integration tests use."""
    name = "ansible_collections.hostcare.remediation.tests.support.slots"
    if importlib.util.find_spec(name) is None:
        return []
    slots = importlib.import_module(name)
    print()
    rows = slots.measure(lambda line: print(line, flush=True))
    return [row._asdict() for row in rows]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
