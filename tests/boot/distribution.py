#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A whole Debian for arm64 on a virtio disk: systemd, apt over user networking, GRUB, reboots, load; and Debian's
installer. By hand: ./dev test distribution.

usage: distribution.py EMULATOR [whole[=SECONDS]|installer|reboots[=N]|login|apt|grub|stress[=SECONDS]...]
"""

import functools
import http.server
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from console import Console, Failure, Shell

TREE = pathlib.Path(__file__).resolve().parents[2]
PAYLOAD = TREE / "build" / "payload" / "arm64-distribution"
INSTALLER = TREE / "build" / "payload" / "arm64-installer" / "usr/lib/debian-installer/images"
FIRMWARE = pathlib.Path("/usr/share/qemu-efi-aarch64/QEMU_EFI.fd")
TIMEOUT = int(os.environ.get("LYREBIRD_BOOT_TIMEOUT", "1800"))  # for one boot, on a busy machine
PARTITION = 65 << 20  # where the root begins, as tools/dev/payload/distribution lays it out
BAD = ("Kernel panic", "Oops", "Call trace", "BUG:", "I/O error", "EXT4-fs error", "detected stall", "clocksource: timekeeping watchdog",
       "self-detected stall")


class Machine:
    """A Debian on a disk of its own."""

    def __init__(self, emulator: str, work: pathlib.Path):
        self.emulator, self.work, self.disk = emulator, work, work / "disk.img"

    def fresh_disk(self):
        subprocess.run(["cp", "--sparse=always", str(PAYLOAD / "disk.img"), str(self.disk)], check=True)

    def start(self, *options: str, firmware: bool = False, seconds: float = TIMEOUT, append: str = "") -> Console:
        kernel = (["-bios", str(FIRMWARE)] if firmware else
                  ["-kernel", str(PAYLOAD / "vmlinuz"), "-initrd", str(PAYLOAD / "initrd.img"), "-append",
                   f"root=/dev/vda2 console=ttyAMA0 {append}".strip()])
        return Console([self.emulator, "-M", "virt", "-m", "1024", "-nographic", *kernel, "-drive",
                        f"file={self.disk},format=raw,if=none,id=disk", "-device", "virtio-blk-pci,drive=disk", "-netdev",
                        "user,id=net", "-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci", *options],
                       seconds)

    def check(self):
        """Of the root's file system, which has been unmounted."""
        done = subprocess.run(["e2fsck", "-f", "-n", f"{self.disk}?offset={PARTITION}"], capture_output=True, text=True)
        if done.returncode or "journal recovery" in done.stderr:
            raise Failure(f"fsck of the disk: {done.stdout}{done.stderr}")


def sound(console: Console):
    for bad in BAD:
        if bad in console.text:
            console.fail(f"it said \"{bad}\"")


def off(machine: Machine, console: Console):
    """In an orderly way; nothing was said that should worry, and the file system is clean."""
    console.type("poweroff\r")
    console.ended()
    sound(console)
    machine.check()


def check_running(console: Console, shell: Shell):
    state = shell("systemctl is-system-running --wait || systemctl --failed --no-pager")
    if not state.startswith("running"):
        console.fail(f"the system is {state}")
    if "10.0.2.15" not in shell("ip -4 -br address; cat /etc/debian_version"):
        console.fail("no address")


def archive(folder: pathlib.Path):
    """A small archive: one package that needs another one."""
    for name, depends in (("lyrebird-hello", "Depends: lyrebird-words\n"), ("lyrebird-words", "")):
        tree = folder / name
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "usr/bin").mkdir(parents=True)
        (tree / "usr/share" / name).mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: Lyrebird "
                                             f"<lyrebird@localhost>\n{depends}Description: a test\n")
        (tree / "DEBIAN/postinst").write_text("#!/bin/sh\necho \"configured $(uname -m)\"\n")
        (tree / "DEBIAN/postinst").chmod(0o755)
        (tree / "usr/share" / name / "data").write_bytes(os.urandom(1 << 20))
        if depends:
            program = tree / "usr/bin/lyrebird-hello"
            program.write_text("#!/bin/sh\nsha256sum < /usr/share/lyrebird-words/data\n")
            program.chmod(0o755)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(tree), str(folder)], check=True, stdout=subprocess.DEVNULL)
    packages = subprocess.run(["dpkg-scanpackages", "-m", "."], cwd=folder, capture_output=True, check=True).stdout
    (folder / "Packages").write_bytes(packages)
    return subprocess.run(["sha256sum"], stdin=(folder / "lyrebird-words/usr/share/lyrebird-words/data").open("rb"),
                          capture_output=True, text=True, check=True).stdout


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def check_apt(machine: Machine, console: Console, shell: Shell):
    folder = machine.work / "archive"
    folder.mkdir()
    digest = archive(folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        shell("rm -f /etc/apt/sources.list.d/*")
        shell(f"echo 'deb [trusted=yes] http://10.0.2.2:{server.server_port}/ ./' > /etc/apt/sources.list")
        shell("/lib/systemd/systemd-networkd-wait-online")
        shell("apt-get update")
        text = shell("apt-get install -y lyrebird-hello")
        if text.count("configured aarch64") != 2:
            console.fail("the packages were not configured")
        if shell("lyrebird-hello").strip() != digest.strip():
            console.fail(f"not {digest}")
        shell("apt-get purge -y lyrebird-words && ! dpkg -s lyrebird-hello 2>/dev/null | grep 'ok installed'")
        server.shutdown()


# What a boot can do without: the cases with these are about something else.
MASKED = " ".join(f"systemd.mask={unit}" for unit in (
    "systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service systemd-logind.service "
    "dbus.service dbus.socket e2scrub_reap.service modprobe@drm.service modprobe@efi_pstore.service "
    "modprobe@configfs.service modprobe@fuse.service getty@tty1.service").split())


def reboots(machine: Machine, times: int = 20):
    """By turns: reboot in the guest, power off and start again, the monitor's system_reset under writes. After each orderly
    end the file system is clean; after each start what was synced is there."""
    machine.fresh_disk()
    done, hard = 0, 0
    while done < times:
        with machine.start(seconds=TIMEOUT * 5, append=MASKED) as console:
            while True:  # boots of one process
                shell = Shell(console)
                shell.login("lyrebird")
                count = shell("cat /root/boots 2>/dev/null || true").split()
                if len(count) != done:
                    console.fail(f"{len(count)} boots are on the disk, not {done}")
                shell(f"echo {done} >> /root/boots; sync")
                done += 1
                sound(console)
                print(f"  boot {done} ({time.strftime('%H:%M:%S')})", flush=True)
                if done == times or done % 4 == 0:
                    console.type("poweroff\r")
                    console.ended()
                    break
                if done % 4 == 2:
                    hard += 1
                    console.type("while true; do cp /bin/bash /root/copy; rm /root/copy; done &\r")
                    time.sleep(2)
                    console.type("\x01csystem_reset\r\x01c")
                else:
                    console.type("reboot\r")
        machine.check()
    print(f"  {done} boots, {hard} of the ends by reset", flush=True)


def check_stress(console: Console, shell: Shell, seconds: int):
    """No complaint, no stall, and the guest's clock goes as ours does."""
    console.end += 4 * seconds
    host = [time.monotonic()]
    before = float(shell("cut -d' ' -f1 /proc/uptime"))
    host.append(time.monotonic())
    text = shell("stress-ng --cpu 1 --vm 1 --vm-bytes 128M --fork 1 --futex 1 --switch 1 --matrix 1 --verify "
                 f"--metrics-brief --timeout {seconds}s")
    host.append(time.monotonic())
    after = float(shell("cut -d' ' -f1 /proc/uptime"))
    host.append(time.monotonic())
    print(text, flush=True)
    if "successful run completed" not in text or "fail:" in text:
        console.fail("stress-ng is not content")
    print(f"  {after - before:.2f} s in the guest, {host[2] - host[1]:.2f} to {host[3] - host[0]:.2f} s here", flush=True)
    if not host[2] - host[1] - 0.02 <= after - before <= host[3] - host[0] + 0.02:
        console.fail("the clock jumped")
    bad = shell("dmesg | grep -E 'detected stall|self-detected|lockup|clocksource.*(unstable|watchdog)|blocked for more' || true").strip()
    if bad:
        console.fail(f"the kernel said: {bad}")


def login(machine: Machine):
    """systemd to a login prompt, nothing failed, power off, clean file system."""
    machine.fresh_disk()
    with machine.start("-smp", "2") as console:
        shell = Shell(console)
        shell.login("lyrebird")
        check_running(console, shell)
        off(machine, console)


def apt(machine: Machine):
    """apt-get update, install and purge from an archive on the host, by user networking."""
    machine.fresh_disk()
    with machine.start() as console:
        shell = Shell(console)
        shell.login("lyrebird")
        check_apt(machine, console, shell)
        off(machine, console)


def grub(machine: Machine):
    """Firmware, GRUB from the EFI system partition, which loads kernel and initrd from ext4."""
    machine.fresh_disk()
    with machine.start(firmware=True) as console:
        console.expect("EFI stub: Booting Linux Kernel")
        shell = Shell(console)
        shell.login("lyrebird")
        shell("test -d /sys/firmware/efi")
        off(machine, console)


def stress(machine: Machine, seconds: int = 600):
    """Six stressors with checks on four CPUs; no stall, no jump of the clock."""
    machine.fresh_disk()
    with machine.start("-smp", "4", append=MASKED) as console:
        shell = Shell(console)
        shell.login("lyrebird")
        check_stress(console, shell, seconds)
        off(machine, console)


def whole(machine: Machine, seconds: int = 600):
    """The four cases above in one boot."""
    machine.fresh_disk()
    with machine.start("-smp", "4", firmware=True) as console:
        console.expect("EFI stub: Booting Linux Kernel")
        shell = Shell(console)
        shell.login("lyrebird")
        shell("test -d /sys/firmware/efi")
        check_running(console, shell)
        check_apt(machine, console, shell)
        check_stress(console, shell, seconds)
        off(machine, console)


def installer(machine: Machine):
    """The first screen of Debian's installer."""
    folder = next(INSTALLER.glob("*/arm64/text/debian-installer/arm64"), None)
    if not folder:
        raise Failure(f"no installer in {INSTALLER}; run tools/dev/payload/fetch arm64-installer")
    with Console([machine.emulator, "-M", "virt", "-m", "512", "-nographic", "-kernel", str(folder / "linux"), "-initrd",
                  str(folder / "initrd.gz"), "-append", "console=ttyAMA0"], TIMEOUT) as console:
        console.expect("Select a language")
        console.expect("English")
        console.type("\x01x")
        console.ended()
        sound(console)


CASES = {"whole": whole, "installer": installer, "reboots": reboots, "login": login, "apt": apt, "grub": grub,
         "stress": stress}


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    failed = 0
    for word in sys.argv[2:] or ["installer", "whole", "reboots"]:
        name, _, number = word.partition("=")
        if name != "installer" and not (PAYLOAD / "disk.img").exists():
            sys.exit(f"no Debian in {PAYLOAD}; run tools/dev/payload/distribution")
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="lyrebird-distribution-") as work:
            try:
                CASES[name](Machine(sys.argv[1], pathlib.Path(work)), *([int(number)] if number else []))
                print(f"ok      {word} ({time.monotonic() - start:.0f} s)", flush=True)
            except Failure as failure:
                print(f"FAILED  {word}: {failure}", flush=True)
                failed += 1
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
