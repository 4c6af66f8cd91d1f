#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A guest that only sleeps: what it costs the host, and how far its clock walks from the host's.

usage: clock.py EMULATOR [SECONDS]      EMULATOR is lyrebird-system-aarch64; 60 seconds unless told
"""

import os
import pathlib
import sys
import tempfile
import time

from console import Console, Failure
from payload import Payload

DRIFT = 0.050  # seconds, however long it runs
BUSY = 0.02  # of a core
PERIOD = 5
SETTLE = 2  # readings: a kernel that has just started is not idle
# A reading is late by what the guest needs to say it: only the promptest of some tells.
READINGS = 3

SCRIPT = f"""
while :; do
  adjtimex | awk '/tv_sec/ {{s = $2}} /tv_usec/ {{u = $2}} END {{printf "boot: clock %d.%06d;\\n", s, u}}'
  sleep {PERIOD}
done
"""


def reading(console: Console) -> float:
    """How far the guest's clock is behind the host's, in seconds, and what the console took."""
    console.expect("boot: clock ")
    guest = float(console.expect(";"))
    return time.time() - guest


def used(pid: int) -> float:
    """Processor time of a process so far, in seconds."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(emulator: str, seconds: float, payload: Payload, work: pathlib.Path):
    initrd = payload.initrd(work / "initrd.gz", SCRIPT)
    command = [emulator, "-M", "virt", "-m", "512", "-nographic", "-nic", "none", "-kernel", str(payload.kernel),
               "-initrd", str(initrd), "-append", "console=ttyAMA0 boot.script=script"]
    with Console(command, seconds + 600) as console:
        for _ in range(SETTLE):
            reading(console)
        begin, cpu = time.monotonic(), used(console.process.pid)
        first = min(reading(console) for _ in range(READINGS))
        while time.monotonic() - begin < seconds - READINGS * PERIOD:
            reading(console)
        last = min(reading(console) for _ in range(READINGS))
        took = time.monotonic() - begin
        busy = (used(console.process.pid) - cpu) / took
    print(f"{took:.0f} s: the clock walked {(last - first) * 1000:+.2f} ms, {busy:.2%} of a core")
    if abs(last - first) > DRIFT:
        raise Failure(f"the guest's clock walked by more than {DRIFT * 1000:.0f} ms")
    if busy > BUSY:
        raise Failure(f"an idle guest takes more than {BUSY:.0%} of a core")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="lyrebird-clock-") as work:
        try:
            measure(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60, Payload("arm64"), pathlib.Path(work))
        except Failure as failure:
            sys.exit(f"FAILED  {failure}")


if __name__ == "__main__":
    main()
