#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""virtio devices as Debian's arm64 kernel uses them: a disk, a network, a shared folder; a disk whose emulator is
killed; a screen; sockets between programs of the guest and of the host.

usage: devices.py EMULATOR [pci|device|kill|screen|vsock...]
"""

import hashlib
import http.server
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

import console
import initramfs
from payload import SKIPPED, Payload

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
VSOCK_MODULES = "vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport".split()
VSOCK = START + "for m in %s; do insmod /tmp/$m.ko; done; /tmp/vsock; poweroff -f\n" % " ".join(VSOCK_MODULES)
SCREEN_MODULES = "drm drm_kms_helper drm_shmem_helper virtio_dma_buf virtio-gpu".split()
# The console's 11th line, 16 rows of 160 characters, in reverse.
SCREEN = START + """
for m in %s; do insmod /tmp/$m.ko || echo "no module $m"; done
until [ -e /dev/fb0 ]; do sleep 0.1; done
cat /sys/class/graphics/fb0/virtual_size
printf "\\033[11;1H\\033[7m%%160s\\033[0m\\033[1;1H" "" >/dev/tty1
sleep 1; echo "drawn"; sleep 1000
""" % " ".join(SCREEN_MODULES)


def initrd(payload: Payload, path: pathlib.Path, script: str, more: list[str] = [], programs: dict[str, bytes] = {}) -> pathlib.Path:
    files = {f"tmp/{name}.ko": next(payload.root.glob(f"lib/modules/*/kernel/**/{name}.ko")).read_bytes()
             for name in [*MODULES, *more]}
    initramfs.write(path, initramfs.make(payload.busybox, script.encode(), files | programs))
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


def screen(emulator: str, payload: Payload, work: pathlib.Path):
    """What Debian's kernel draws is in the monitor's screendump."""
    ramdisk, picture = initrd(payload, work / "initrd", SCREEN, SCREEN_MODULES), work / "screen.ppm"
    line = command(emulator, payload, ramdisk, "-nic", "none", "-device", "virtio-gpu-pci,id=screen")
    with console.Console(line, TIMEOUT) as guest:
        guest.expect("1280,800")
        guest.expect("drawn")
        guest.type(f"\x01cscreendump {picture.with_suffix('.png')}\rscreendump {picture}\rscreendump x other\rquit\r")
        guest.expect("other: no such screen")
        guest.ended()
    head, data = b"P6\n1280 800\n255\n", picture.read_bytes()
    if not data.startswith(head) or len(data) != len(head) + 1280 * 800 * 3:
        sys.exit(f"not a picture of 1280 x 800: {data[:20]!r}, {len(data)} bytes")
    rows = [data[len(head) + 3840 * y:][:3840] for y in range(800)]
    grey = [y for y in range(800) if rows[y] == b"\xaa" * 3840]
    if grey != list(range(160, 176)):
        sys.exit(f"these rows are grey: {grey}")
    if not picture.with_suffix(".png").read_bytes().startswith(b"\x89PNG\r\n"):
        sys.exit("not a PNG file")


def receive_all(end: socket.socket) -> bytes:
    data = b""
    while piece := end.recv(65536):
        data += piece
    return data


def vsock(emulator: str, payload: Payload, work: pathlib.Path):
    """Programs of the host are at Unix sockets (net/vsock_host.h)."""
    program = pathlib.Path(os.environ.get("LYREBIRD_BOOT_PROGRAMS", "build/release/tests/boot"), "vsock")
    if not program.exists():
        print(f"skipped: no {program}; it needs aarch64-linux-gnu-gcc")
        sys.exit(SKIPPED)
    ramdisk = initrd(payload, work / "initrd", VSOCK, VSOCK_MODULES, {"tmp/vsock": program.read_bytes()})
    for device in ("virtio-vsock-pci", "virtio-vsock-device"):
        path = work / f"vsock-{device}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{path}_5000")
            listener.listen()

            def invert():
                with listener.accept()[0] as end:
                    end.sendall(bytes(byte ^ 0xFF for byte in receive_all(end)))

            threading.Thread(target=invert, daemon=True).start()
            process = subprocess.Popen(command(emulator, payload, ramdisk, "-nic", "none", "-device", f"{device},guest-cid=1234,path={path}"),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            watchdog = threading.Timer(TIMEOUT, process.kill)
            watchdog.start()
            text, data, echo = "", random.randbytes(300_000), b""
            for line in process.stdout:
                text += line.decode(errors="replace")
                if b"vsock: listening" not in line:
                    continue
                with socket.socket(socket.AF_UNIX) as end:
                    end.connect(str(path))
                    end.sendall(b"CONNECT 77\n")
                    refused = receive_all(end) == b""
                with socket.socket(socket.AF_UNIX) as end:
                    end.connect(str(path))
                    end.sendall(b"CONNECT 1234\n" + data[:1000])

                    def rest(end=end):
                        end.sendall(data[1000:])
                        end.shutdown(socket.SHUT_WR)

                    threading.Thread(target=rest, daemon=True).start()
                    accepted, _, echo = receive_all(end).partition(b"\n")
            status = process.wait()
            watchdog.cancel()
        wanted = ("vsock: cid 1234\r", "vsock: 1048576 bytes there and back, 0 wrong\r", "vsock: nobody: Connection reset by peer\r",
                  "vsock: served 300000\r")
        missing = [line for line in wanted if line not in text]
        if missing or status != 0 or not refused or not accepted.startswith(b"OK ") or echo != data:
            sys.exit(f"{device}: status {status}, no {missing}, {len(echo)} bytes back\n{text}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    arm64 = Payload("arm64")
    others = {"kill": kill, "screen": screen, "vsock": vsock}
    for case in sys.argv[2:] or ["pci", "device", *others]:
        with tempfile.TemporaryDirectory() as folder:
            if case in others:
                others[case](sys.argv[1], arm64, pathlib.Path(folder))
            else:
                devices(sys.argv[1], arm64, pathlib.Path(folder), case)
        print(f"{case}: passed")
