# SPDX-License-Identifier: Apache-2.0
"""What differs between the guests that `./dev bench` measures."""

import pathlib
from dataclasses import dataclass

import programs

PAYLOADS = programs.TREE / "build" / "payload"
BACKPORTS = programs.TREE / "build" / "peer" / "backports" / "usr" / "bin"


@dataclass(frozen=True)
class Guest:
    name: str  # as in lyrebird-NAME and qemu-NAME
    payload: str  # the guest root's name in build/payload
    triplet: str  # of its compiler's folder
    compiler: tuple[str, ...]  # makes guest programs of the kernels
    native_cc1: str = ""  # a compiler of this machine for the same target; empty: the root's own runs here
    runs_here: bool = False  # this machine runs the guest's programs itself
    # The machine has no second handler for its own programs: the peer cannot be given those that a guest starts.
    peers_start_others: bool = True

    @property
    def cc1(self) -> str:
        return f"/usr/lib/gcc/{self.triplet}/12/cc1"

    @property
    def root(self) -> pathlib.Path:
        return PAYLOADS / self.payload

    @property
    def native_root(self) -> pathlib.Path:
        return self.root if self.runs_here else PAYLOADS / "amd64"

    @property
    def emulator(self) -> str:
        return str(programs.TREE / "build/release" / f"lyrebird-{self.name}")

    @property
    def peers(self) -> str:
        return f"qemu-{self.name} {BACKPORTS}/qemu-{self.name}"


GUESTS = {
    g.name: g
    for g in (
        Guest("aarch64", "arm64", "aarch64-linux-gnu", ("aarch64-linux-gnu-gcc",),
              native_cc1="/usr/lib/gcc-cross/aarch64-linux-gnu/12/cc1"),
        Guest("x86_64", "amd64", "x86_64-linux-gnu", ("gcc",), runs_here=True, peers_start_others=False),
        Guest("i386", "i386", "i686-linux-gnu",
              ("gcc", "-m32", "-idirafter", "/usr/include/x86_64-linux-gnu"), runs_here=True),
    )
}
