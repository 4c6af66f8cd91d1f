#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed beside the peer, in turn: each pair runs one after the other, and what
counts is the median of the pairs' ratios. Absolute figures depend on the
machine and on what else it does; the ratios much less.
"""

import argparse
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

TREE = pathlib.Path(__file__).resolve().parents[1]
LOOP_UNIT = 1e6  # instructions for each unit of loop.S's argument


@dataclass
class Bench:
    name: str
    command: list[str]  # the program first, with -L when it needs the guest root
    pairs: int
    work: float = 1  # how much one run does, in `unit`
    unit: str = "s"  # "s": the figure is seconds; else work per second
    baseline: list[str] | None = None  # subtracted: the same program doing nothing


def built(source: str) -> str:
    """A static guest program from bench/guest."""
    out = TREE / "build" / "bench" / pathlib.Path(source).stem
    out.parent.mkdir(parents=True, exist_ok=True)
    code = TREE / "bench" / "guest" / source
    if not out.exists() or out.stat().st_mtime < code.stat().st_mtime:
        subprocess.run(["aarch64-linux-gnu-gcc", "-O2", "-static", "-nostdlib", str(code), "-o", str(out)], check=True)
    return str(out)


def benches(root: pathlib.Path) -> list[Bench]:
    loop = built("loop.S")
    data = TREE / "build" / "bench" / "data"
    if not data.exists():
        data.write_bytes(bytes(range(256)) * 16384)

    def guest(program: str, *args: str) -> list[str]:
        return ["-L", str(root), str(root / program), *args]

    return [
        Bench("integer loop", [loop, "300"], 5, 300 * LOOP_UNIT / 1e6, "Minsn/s", baseline=[loop, "0"]),
        Bench("/bin/true", guest("bin/true"), 20),
        Bench("python3 -c pass", guest("usr/bin/python3", "-S", "-c", "pass"), 5),
        Bench("openssl sha256, 4 MiB", guest("usr/bin/openssl", "dgst", "-sha256", str(data)), 3),
        Bench("perl, 300,000 rounds", guest("usr/bin/perl", "-e", "$s = ($s * 31 + $_) % 1000003 for 1..300000"), 3),
    ]


def seconds(emulator: list[str], command: list[str]) -> float:
    start = time.perf_counter()
    done = subprocess.run([*emulator, *command], stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
    took = time.perf_counter() - start
    if done.returncode != 0:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{shlex.join([*emulator, *command])}: exit status {done.returncode}: {last}")
    return took


def measure(bench: Bench, ours: list[str], peer: list[str]) -> tuple[float, float, float]:
    """(our figure, the peer's, the median over pairs of our time / its time)"""
    times, ratios = ([], []), []
    for n in range(bench.pairs):
        pair = [0.0, 0.0]
        for side in (0, 1) if n % 2 == 0 else (1, 0):  # so that neither always goes first
            emulator = (ours, peer)[side]
            pair[side] = seconds(emulator, bench.command)
            if bench.baseline:
                pair[side] = max(pair[side] - seconds(emulator, bench.baseline), 1e-6)
            times[side].append(pair[side])
        ratios.append(pair[0] / pair[1])
    medians = [statistics.median(t) for t in times]
    figures = medians if bench.unit == "s" else [bench.work / m for m in medians]
    return figures[0], figures[1], statistics.median(ratios)


def main() -> int:
    p = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    p.add_argument("names", nargs="*", help="only those whose name contains one of these")
    p.add_argument("--emulator", default=str(TREE / "build/release/lyrebird-aarch64"))
    p.add_argument("--peer", default="qemu-aarch64")
    p.add_argument("--root", default=str(TREE / "build/payload/arm64"))
    options = p.parse_args()
    ours, peer = shlex.split(options.emulator), shlex.split(options.peer)
    if not shutil.which(ours[0]):
        print(f"bench: {ours[0]} is not there; build it with ./dev build")
        return 1
    print(f"{'':24}{'lyrebird':>14}{'qemu':>14}   time / qemu's")
    status = 0
    for bench in benches(pathlib.Path(options.root)):
        if options.names and not any(n in bench.name for n in options.names):
            continue
        try:
            mine, its, ratio = measure(bench, ours, peer)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"{bench.name:24}{'failed':>14}   {error}")
            status = 1
            continue
        digits = 4 if bench.unit == "s" else 0
        print(f"{bench.name:24}{mine:14.{digits}f}{its:14.{digits}f}   {ratio:6.2f}   {bench.unit}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
