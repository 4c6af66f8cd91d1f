#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed of a fixed set of programs beside both peers, in turn in one run.

In each round every program runs once in every way, one after the other; a figure is the median
over the rounds of the ratios within a round, so it hardly depends on the machine or on what else
it does. Ratios are the faster peer's time / ours. Output has to be the same in all ways.
"""

import argparse
import json
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict

import guests
import measure
import programs
import report
from measure import Failed, Runner, Taken, Way

TREE = programs.TREE
NATIVE = Way("native")
# Below this the clock's own steps show; CPU time is then not compared.
LEAST_CPU = 0.004


def ways(options, cache: str) -> tuple[list[Way], list[Way], list[Way]]:
    """(ours cold, ours warm if it can, the peers)"""
    words = shlex.split(options.emulator)
    cold_variables = (("LYREBIRD_CACHE", "off"),)
    ours = [Way("cold", words[0], tuple(words[1:]), cold_variables, starts_others=True)]
    helptext = subprocess.run([words[0], "-help"], capture_output=True, text=True).stdout
    warm = []
    if "LYREBIRD_CACHE]" in helptext:
        warm.append(Way("warm", words[0], tuple(words[1:]), (("LYREBIRD_CACHE", cache),), starts_others=True))
    peers = []
    for path in shlex.split(options.peers):
        found = shutil.which(path)
        if not found:
            raise SystemExit(f"bench: no peer at {path}")
        said = subprocess.run([found, "--version"], capture_output=True, text=True).stdout.split()
        peers.append(Way("QEMU " + next((w for w in said if w[0].isdigit()), found), os.path.realpath(found)))
    return ours, warm, peers


def median_ratio(rounds: list[dict[str, Taken]], over: str, under: str, what: str) -> float | None:
    pairs = [(getattr(r[over], what), getattr(r[under], what)) for r in rounds if over in r and under in r]
    if what == "cpu" and any(min(p) < LEAST_CPU for p in pairs):
        return None
    return statistics.median(a / b for a, b in pairs) if pairs else None


def judge(p: programs.Program, rounds: list[dict[str, Taken]], peers: list[Way], guest: guests.Guest) -> report.Row:
    row = report.Row(p.name, p.group)
    outputs = {way: {r[way].output for r in rounds if way in r} for way in rounds[0]}
    # The same binary on the machine itself knows best; else the peers have to agree with us.
    known = NATIVE.name if guest.runs_here and NATIVE.name in outputs else peers[0].name
    different = [way for way, o in outputs.items() if o != outputs[known] or len(o) != 1]
    wrong_peers = [way for way in different if way in {peer.name for peer in peers}]
    if different and (different != wrong_peers or not guest.runs_here):
        row.broken = f"the output of {', '.join(different)} is not that of {known}"
        return row
    row.wrong = ", ".join(wrong_peers)
    for way in rounds[0]:
        row.seconds[way] = statistics.median(r[way].wall for r in rounds)
        row.seconds[way + ", CPU"] = statistics.median(r[way].cpu for r in rounds)

    def fastest(under: str, what: str) -> float | None:
        """Beside the peer that was the faster, not beside each round's luckier one."""
        ratios = [x for peer in peers if (x := median_ratio(rounds, peer.name, under, what))]
        return min(ratios) if ratios else None

    row.cold, row.cold_cpu = fastest("cold", "wall"), fastest("cold", "cpu")
    row.warm, row.warm_cpu = fastest("warm", "wall"), fastest("warm", "cpu")
    row.native = median_ratio(rounds, "cold", "native", "wall")
    known = [peer.name for peer in peers if peer.name in rounds[0]]
    row.peer = min(known, key=lambda n: row.seconds[n]) if known else ""
    return row


def bench(p: programs.Program, runner: Runner, all_ways: list[Way], peers: list[Way], options) -> report.Row:
    if p.kernel:
        programs.build(p, runner.guest)
    rounds = []
    count = options.rounds or (1 if options.quick else p.rounds)
    try:
        for way in all_ways:
            if way.name == "warm":
                runner.run(p, way, options.quick)  # fills the cache
        for n in range(count):
            turn = {}
            # So that none always goes first.
            for way in all_ways[n % len(all_ways):] + all_ways[:n % len(all_ways)]:
                taken = runner.run(p, way, options.quick)
                if taken:
                    turn[way.name] = taken
            rounds.append(turn)
    except Failed as error:
        return report.Row(p.name, p.group, broken=f"{way.name}: {error}")
    row = judge(p, rounds, peers, runner.guest)
    options.raw[p.name] = [{way: asdict(t) for way, t in turn.items()} for turn in rounds]
    return row


def memory_ratio(raw: dict, peers: list[Way]) -> float | None:
    rounds = raw.get("python3 -c pass")
    if not rounds:
        return None
    def least(way: str) -> float:
        return statistics.median(r[way]["resident"] for r in rounds)
    return least("cold") / min(least(p.name) for p in peers)


def options_from(argv):
    p = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    p.add_argument("--only", action="append", default=[], metavar="TEXT", help="only what has TEXT in its name or group")
    p.add_argument("names", nargs="*", help="the same as --only")
    p.add_argument("--quick", action="store_true", help="one round with less to do: to see whether it works")
    p.add_argument("--rounds", type=int, default=0, metavar="N", help="instead of each program's own number")
    p.add_argument("--minutes", type=float, default=0, metavar="N", help="stop after so long, with what is measured")
    p.add_argument("--list", action="store_true", help="only name the programs")
    p.add_argument("--readme", action="store_true", help="put table and plot into README.md and docs/speed.svg")
    p.add_argument("--guest", default="aarch64", choices=guests.GUESTS, help="whose programs (aarch64)")
    p.add_argument("--emulator", help="instead of build/release/lyrebird-GUEST; options may follow it")
    p.add_argument("--peers", help="instead of qemu-GUEST and the newer one in build/peer")
    p.add_argument("--root", help="instead of build/payload's")
    p.add_argument("--native-root", help="where this machine's own programs are")
    options = p.parse_args(argv)
    options.only += options.names
    options.guest = guests.GUESTS[options.guest]
    for name in ("emulator", "peers", "root", "native_root"):
        if getattr(options, name) is None:
            setattr(options, name, str(getattr(options.guest, name)))
    options.raw = {}
    return options


def finish(rows: list[report.Row], peers: list[Way], options) -> int:
    mean, memory = report.mean_row(rows), memory_ratio(options.raw, peers)
    print(report.line(mean))
    if memory is not None:
        print(f"resident memory of python3 -c pass: {memory:.2f} times the smaller peer's")
    slower = [r.name for r in rows if r.cold and r.cold < 1]
    if slower:
        print("slower than the peer: " + ", ".join(slower))
    title = f"{options.guest.name} programs: times as fast as the faster of {' and '.join(p.name for p in peers)}"
    suffix = "" if options.guest.name == "aarch64" else f"-{options.guest.name}"
    out = programs.BUILD / f"result{suffix}.json"
    out.write_text(json.dumps({"date": report.today(), "rows": [asdict(r) for r in rows], "memory": memory,
                               "rounds": options.raw}, indent=1))
    picture = programs.BUILD / f"speed{suffix}.svg"
    picture.write_text(report.plot(rows, title))
    print(f"{out.relative_to(TREE)} has all figures, {picture.relative_to(TREE)} the plot")
    count = sum(p.suits(options.guest.name) for p in programs.PROGRAMS)
    if options.readme:
        about = (f"Measured on {report.today()} on a shared {os.cpu_count()}-core x86-64 virtual machine, in turn: {title},\n"
                 "in wall time and in CPU time of all threads; the median of the rounds"
                 + (", here one round with less to do (`--quick`)" if options.quick else "")
                 + (f"; the first {len(rows)} of {count} programs." if len(rows) < count else "."))
        report.into_readme(TREE / "README.md", "bench" + suffix, f"![speed beside QEMU](docs/speed{suffix}.svg)\n\n"
                           + report.markdown(rows, memory, about))
        (TREE / "docs" / f"speed{suffix}.svg").write_text(report.plot(rows, title))
    return 1 if any(r.broken for r in rows) else 0


def main() -> int:
    options = options_from(sys.argv[1:])
    chosen = [p for p in programs.PROGRAMS if p.suits(options.guest.name)
              and (not options.only or any(t in p.name or t in p.group for t in options.only))]
    if options.list:
        print("\n".join(f"{p.group:16} {p.name:26} {p.run}" for p in chosen))
        return 0
    if not shutil.which(shlex.split(options.emulator)[0]):
        print(f"bench: {options.emulator} is not there; build it with ./dev build")
        return 1
    measure.sandbox.enter()
    programs.BUILD.mkdir(parents=True, exist_ok=True)
    cache = tempfile.mkdtemp(prefix="lyrebird-bench-cache.")
    ours, warm, peers = ways(options, cache)
    native_root = pathlib.Path(options.native_root)
    runner = Runner(options.guest, pathlib.Path(options.root), native_root if native_root.is_dir() else None, peers)
    rows, started = [], time.monotonic()
    try:
        print(report.head())
        for p in chosen:
            if options.minutes and time.monotonic() - started > 60 * options.minutes:
                print(f"out of time: {len(chosen) - len(rows)} programs not measured")
                break
            rows.append(bench(p, runner, [*ours, *peers, *warm, NATIVE], peers, options))
            print(report.line(rows[-1]), flush=True)
    finally:
        runner.close()
        shutil.rmtree(cache, ignore_errors=True)
    return finish(rows, peers, options) if rows else 1


if __name__ == "__main__":
    sys.exit(main())
