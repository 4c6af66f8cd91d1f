#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtio devices as Debian's arm64 kernel uses them: a disk, a network, a shared folder; a disk whose emulator is
killed.

usage: devices.py EMULATOR [pci|device|kill...]
"""

import hashlib
import http.server
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time

import initramfs
from payload import Payload

TIMEOUT = 300
MODULES = ("virtio_mmio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk failover net_failover virtio_net "
           "virtio-rng 9pnet 9pnet_virtio netfs fscache netfs 9p").split()
START = """#!/bin/busybox sh
/bin/busybox --install -s /bin 2>/dev/null
mkdir -p /proc /sys /dev /mnt; mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev
for m in %s; do insmod /tmp/$m.ko 2>/dev/null; done
""" % " ".join(MODULES)
ALL = START + """
head -c 14 /dev/vda; echo
dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null
dd if=/tmp/data of=/dev/vda bs=1M seek=4 conv=fsync 2>/dev/null
echo 3 > /proc/sys/vm/drop_caches
echo "disk $(dd if=/dev/vda bs=1M skip=4 count=4 2>/dev/null | cmp - /tmp/data && echo same)"
dd if=/dev/hwrng bs=16 count=1 2>/dev/null | wc -c
ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2
echo "http $(wget -q -O - http://10.0.2.2:%(port)d/ | md5sum)"
mount -t 9p -o trans=virtio,version=9p2000.L share /mnt
echo "share $(cat /mnt/host)"; echo guest > /mnt/guest
echo "end"; poweroff -f
"""
KILL = START + """
i=1
while true; do
  printf "%08d" $i | dd of=/dev/vda bs=512 seek=$i conv=notrunc,fsync 2>/dev/null && echo "FLUSHED $i"
  i=$((i+1))
done
"""


def initrd(payload: Payload, path: pathlib.Path, script: str) -> pathlib.Path:
    files = {f"tmp/{name}.ko": next(payload.root.glob(f"lib/modules/*/kernel/**/{name}.ko")).read_bytes()
             for name in MODULES}
    initramfs.write(path, initramfs.make(payload.busybox, script.encode(), files))
    return path


def command(emulator: str, payload: Payload, ramdisk: pathlib.Path, *options: str) -> list[str]:
    return [emulator, "-M", "virt", "-m", "256", "-nographic", "-no-reboot", "-kernel", str(payload.kernel), "-initrd",
            str(ramdisk), "-append", "console=ttyAMA0 quiet", *options]


def devices(emulator: str, payload: Payload, work: pathlib.Path, bus: str):
    page = random.randbytes(3_000_000)

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        disk, share = work / "disk", work / "share"
        disk.write_bytes(b"from the host\n" + bytes(16 << 20))
        share.mkdir()
        (share / "host").write_text("hello")
        ramdisk = initrd(payload, work / "initrd", ALL % {"port": server.server_port})
        text = subprocess.run(
            command(emulator, payload, ramdisk, "-drive", f"file={disk},format=raw,if=none,id=d", "-device",
                    f"virtio-blk-{bus},drive=d", "-netdev", "user,id=n", "-device", f"virtio-net-{bus},netdev=n",
                    "-device", f"virtio-rng-{bus}", "-fsdev", f"local,id=share,path={share},security_model=none",
                    "-device", f"virtio-9p-{bus},fsdev=share,mount_tag=share"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT).stdout.decode()
        server.shutdown()
    for line in ("from the host", "disk same", "\n16\r", f"http {hashlib.md5(page).hexdigest()}", "share hello", "end"):
        if line not in text:
            sys.exit(f"{bus}: no {line!r} in:\n{text}")
    if (share / "guest").read_text() != "guest\n":
        sys.exit(f"{bus}: what the guest wrote is not in the shared folder")


def kill(emulator: str, payload: Payload, work: pathlib.Path):
    """What the guest was told is flushed is in the file, whenever the emulator is killed."""
    ramdisk = initrd(payload, work / "initrd", KILL)
    for cache in ("writeback", "none", "writethrough"):
        disk, log = pathlib.Path.cwd() / f"kill-{cache}.img", work / "log"
        disk.write_bytes(bytes(16 << 20))
        try:
            with log.open("wb") as out:
                process = subprocess.Popen(
                    command(emulator, payload, ramdisk, "-nic", "none", "-drive", f"file={disk},format=raw,cache={cache}"),
                    stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            end = time.monotonic() + TIMEOUT
            while b"FLUSHED 3" not in log.read_bytes() and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(random.random())
            process.kill()
            process.wait()
            flushed = [int(n) for n in re.findall(r"FLUSHED (\d+)\r?\n", log.read_text(errors="replace"))]
            data = disk.read_bytes()
        finally:
            disk.unlink()
        lost = [n for n in flushed if data[512 * n:512 * n + 8] != b"%08d" % n]
        if lost or not flushed:
            sys.exit(f"cache={cache}: of {len(flushed)} flushed writes these are lost: {lost}\n{log.read_text()}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    arm64 = Payload("arm64")
    for case in sys.argv[2:] or ["pci", "device", "kill"]:
        with tempfile.TemporaryDirectory() as folder:
            if case == "kill":
                kill(sys.argv[1], arm64, pathlib.Path(folder))
            else:
                devices(sys.argv[1], arm64, pathlib.Path(folder), case)
        print(f"{case}: passed")
