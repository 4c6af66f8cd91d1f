# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel and busybox as tools/dev/payload/fetch unpacks them, and initramfs files made of them."""

import pathlib
import sys

import initramfs

TREE = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77


class Payload:
    def __init__(self, arch: str):
        self.root = TREE / "build" / "payload" / f"{arch}-system"
        kernels = sorted(self.root.glob("boot/vmlinuz-*"))
        busybox = self.root / "bin" / "busybox"
        if not kernels or not busybox.exists():
            print(f"skipped: no kernel and busybox in {self.root}; run tools/dev/payload/fetch {arch}-system")
            sys.exit(SKIPPED)
        self.kernel = kernels[-1]
        self.busybox = busybox.read_bytes()

    def initrd(self, path: pathlib.Path, script: str = "", programs: list[pathlib.Path] = []) -> pathlib.Path:
        """One whose init runs `script`, too (boot.script=script on the command line), which finds `programs` in /."""
        files = {"script": script.encode()} if script else {}
        files |= {program.name: program.read_bytes() for program in programs}
        initramfs.write(path, initramfs.make(self.busybox, (HERE / "init.sh").read_bytes(), files))
        return path
