# SPDX-License-Identifier: Apache-2.0
"""Disk images with a GUID partition table and an EFI system partition (UEFI 2.10, chapter 5), without root."""

import pathlib
import struct
import subprocess
import uuid
import zlib

SECTOR = 512
FIRST = 2048  # sectors; partitions begin at multiples of 1 MiB
SYSTEM = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"


def _entry(kind: str, number: int, first: int, last: int, name: str) -> bytes:
    unique = uuid.UUID(int=0x4C797265_6269_4264_8000_000000000000 + number)  # the same each time
    return (uuid.UUID(kind).bytes_le + unique.bytes_le + struct.pack("<QQQ", first, last, 0)
            + name.encode("utf-16-le").ljust(72, b"\0"))


def _header(here: int, other: int, entries_at: int, sectors: int, entries: bytes) -> bytes:
    def pack(crc: int) -> bytes:
        return (b"EFI PART" + struct.pack("<IIIIQQQQ", 0x10000, 92, crc, 0, here, other, 34, sectors - 34)
                + uuid.UUID(int=0x4C797265_6269_4264_8000_0000000000FF).bytes_le
                + struct.pack("<QIII", entries_at, 128, 128, zlib.crc32(entries)))
    return pack(zlib.crc32(pack(0))).ljust(SECTOR, b"\0")


def write_table(disk: pathlib.Path, partitions: list[tuple[str, str, int]]) -> list[int]:
    """Makes the disk, empty; `partitions`: (kind, name, bytes). Returns where each begins, in bytes."""
    starts, entries, at = [], b"", FIRST
    for number, (kind, name, size) in enumerate(partitions, 1):
        sectors = (size + (1 << 20) - 1 >> 20) * 2048
        entries += _entry(kind, number, at, at + sectors - 1, name)
        starts.append(at * SECTOR)
        at += sectors
    entries = entries.ljust(128 * 128, b"\0")
    sectors = at + FIRST
    protective = (bytes(446) + struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, sectors - 1)
                  + bytes(48) + b"\x55\xaa")
    with disk.open("wb") as file:
        file.truncate(sectors * SECTOR)
        file.write(protective + _header(1, sectors - 1, 2, sectors, entries) + entries)
        file.seek((sectors - 33) * SECTOR)
        file.write(entries + _header(sectors - 1, 1, sectors - 33, sectors, entries))
    return starts


def write_fat(disk: pathlib.Path, start: int, size: int, files: dict[str, pathlib.Path | bytes]):
    """A FAT32 file system with these files at `start` bytes of the disk; needs Debian's mtools."""
    image = f"{disk}@@{start}"
    subprocess.run(["mformat", "-i", image, "-F", "-c", "1", "-T", str(size // SECTOR), "-h", "64", "-s", "32", "::"], check=True)
    folders = {str(parent) for name in files for parent in pathlib.PurePosixPath(name).parents if str(parent) != "."}
    for folder in sorted(folders):
        subprocess.run(["mmd", "-i", image, f"::{folder}"], check=True)
    for name, content in files.items():
        source, data = ("-", content) if isinstance(content, bytes) else (str(content), None)
        subprocess.run(["mcopy", "-i", image, source, f"::{name}"], input=data, check=True)
