#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes an initramfs of Debian's static busybox and an init script; needs no root.

usage: initramfs.py BUSYBOX INIT OUT [TREE-FILE=HOST-FILE]...
"""

import gzip
import pathlib
import stat
import sys


class Archive:
    """A cpio archive of the "newc" kind, as the kernel unpacks (driver-api/early-userspace/buffer-format)."""

    def __init__(self):
        self.data = bytearray()
        self.inode = 0

    def add(self, name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)):
        self.inode += 1
        path = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
        self.data += b"070701" + b"".join(b"%08X" % field for field in fields) + path
        self.align()
        self.data += content
        self.align()

    def align(self):
        self.data += bytes(-len(self.data) % 4)

    def finish(self) -> bytes:
        self.add("TRAILER!!!", 0)
        return bytes(self.data)


def make(busybox: bytes, init: bytes, files: dict[str, bytes] | None = None) -> bytes:
    archive = Archive()
    for folder in ("bin", "dev", "proc", "sys", "tmp"):
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("bin/busybox", stat.S_IFREG | 0o755, busybox)
    archive.add("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    archive.add("init", stat.S_IFREG | 0o755, init)
    for name, content in (files or {}).items():
        archive.add(name, stat.S_IFREG | 0o755, content)
    return archive.finish()


def write(path: pathlib.Path, archive: bytes):
    # Quickly: what is compressed here is unpacked by the guest, which is what is measured.
    path.write_bytes(gzip.compress(archive, compresslevel=6, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    extra = dict(one.split("=", 1) for one in sys.argv[4:])
    write(pathlib.Path(sys.argv[3]),
          make(pathlib.Path(sys.argv[1]).read_bytes(), pathlib.Path(sys.argv[2]).read_bytes(),
               {name: pathlib.Path(host).read_bytes() for name, host in extra.items()}))
