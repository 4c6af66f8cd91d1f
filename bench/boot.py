#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time of a Debian arm64 kernel with a busybox initramfs from power-on to power-off, beside the peer.

All boot in turn, each round once: ours without kept translations (cold), with those of a run before (warm), and the
peer. Figures are medians over the rounds of the ratios within a round, and of the times. CPU time is what to look
at on a machine that does other things, too.

usage: bench/boot.py [--rounds N] [--smp N] [--cpu MODEL] [--work] [--no-kaslr] [--emulator PATH] [--peer PATH]
"""

import argparse
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

TREE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TREE / "tests" / "boot"))
from payload import Payload  # noqa: E402

# What a guest computes with --work: 8 MiB that do not compress, and 64 MiB.
WORK = """dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null
echo boot: work gzip
time gzip -c /tmp/data > /dev/null
echo boot: work sha256sum
dd if=/dev/zero bs=1M count=64 2>/dev/null | time sha256sum
echo boot: work done
"""


def work_times(console: str) -> dict[str, float]:
    """Of each work, the seconds it took in the guest, by busybox' `time`."""
    times, name = {}, ""
    for line in console.splitlines():
        if line.startswith("boot: work "):
            name = line.split()[2]
        elif name and line.startswith("real"):
            minutes, seconds = line.split()[1:]
            times[name] = 60 * float(minutes.rstrip("m")) + float(seconds.rstrip("s"))
    return times


def boot(program: str, payload: Payload, initrd: pathlib.Path, options, more=()) -> tuple[float, float, dict[str, float]]:
    """(wall, user and system) seconds, and those of the work."""
    command = [program, "-M", "virt", "-cpu", options.cpu, "-smp", str(options.smp), "-m", "512", "-nographic",
               "-no-reboot", "-nic", "none", "-kernel", str(payload.kernel), "-initrd", str(initrd),
               "-append", "console=ttyAMA0 quiet" + (" boot.script=script" if options.work else "") +
               (" nokaslr" if options.no_kaslr else ""), *more]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0 or "boot: done" not in done.stdout:
        sys.exit(f"{program} did not boot (status {done.returncode}):\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, work_times(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smp", type=int, default=1)
    parser.add_argument("--cpu", default="cortex-a57")
    parser.add_argument("--work", action="store_true", help="the guest also computes: gzip and sha256sum")
    parser.add_argument("--no-kaslr", action="store_true", help="the kernel lies at the same address each time")
    parser.add_argument("--emulator", default=str(TREE / "build/release/lyrebird-system-aarch64"))
    newer = TREE / "build/peer/backports/usr/bin/qemu-system-aarch64"  # tools/dev/payload/peer
    parser.add_argument("--peer", default=str(newer) if newer.exists() else "qemu-system-aarch64")
    options = parser.parse_args()
    payload = Payload("arm64")
    times = {"cold": [], "warm": [], "peer": []}
    with tempfile.TemporaryDirectory(prefix="lyrebird-boot-") as work:
        initrd = payload.initrd(pathlib.Path(work) / "initrd.gz", WORK if options.work else "")
        cache = pathlib.Path(work) / "cache"
        cache.mkdir(mode=0o700)
        ways = {"cold": (options.emulator, ("-cache", "off")), "warm": (options.emulator, ("-cache", str(cache))),
                "peer": (options.peer, ())}
        boot(ways["warm"][0], payload, initrd, options, ways["warm"][1])
        for number in range(options.rounds):
            for way, (program, more) in ways.items():
                times[way].append(boot(program, payload, initrd, options, more))
            print(f"round {number + 1}: " + ", ".join(
                f"{way} {all[-1][0]:.2f} s ({all[-1][1]:.2f} s of CPU)" for way, all in times.items()), flush=True)
    for index, what in enumerate(("wall", "CPU")):
        peer = statistics.median(p[index] for p in times["peer"])
        for way in ("cold", "warm"):
            ratio = statistics.median(o[index] / p[index] for o, p in zip(times[way], times["peer"]))
            own = statistics.median(o[index] for o in times[way])
            print(f"{what:<5} {way} {own:.2f} s, peer {peer:.2f} s, ours / peer {ratio:.2f}")
    for what in times["peer"][0][2]:
        ratios = sorted(p[2][what] / o[2][what] for o, p in zip(times["warm"], times["peer"]))
        own, peer = (statistics.median(one[2][what] for one in times[way]) for way in ("warm", "peer"))
        print(f"{what} in the guest {own:.2f} s, peer {peer:.2f} s, peer / ours {statistics.median(ratios):.2f} "
              f"({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
