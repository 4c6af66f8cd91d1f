#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The terminal is as it was after every way out of a machine, and options that are wrong are corrected.

usage: terminal.py EMULATOR        lyrebird-system-aarch64; no payload is needed
"""

import os
import pathlib
import pty
import select
import signal
import subprocess
import sys
import termios
import time
import unittest

EMULATOR = ""
# Nothing to start: the CPU runs into undefined instructions, which is as good as any guest here.
MACHINE = ["-M", "virt", "-nographic", "-S", "-nic", "none"]


class Terminal(unittest.TestCase):
    def setUp(self):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)

    def tearDown(self):
        os.close(self.master)
        os.close(self.slave)

    def start(self, *arguments: str) -> subprocess.Popen:
        process = subprocess.Popen([EMULATOR, *arguments], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                   start_new_session=True)
        end = time.monotonic() + 60
        while termios.tcgetattr(self.slave) == self.before and time.monotonic() < end and process.poll() is None:
            time.sleep(0.02)
        self.assertNotEqual(termios.tcgetattr(self.slave), self.before, "it never became raw")
        return process

    def read_until(self, text: bytes) -> bytes:
        seen, end = b"", time.monotonic() + 60
        while text not in seen and time.monotonic() < end:
            if select.select([self.master], [], [], 1)[0]:
                seen += os.read(self.master, 4096)
        self.assertIn(text, seen)
        return seen

    def wait_until_idle(self, process: subprocess.Popen):
        """A thread sanitizer delivers what is fatal at once, inside its own locks too: it has to be asleep."""
        os.write(self.master, b"\x01h")
        self.read_until(b"C-a C-a")
        end, asleep = time.monotonic() + 60, 0
        while asleep < 3 and time.monotonic() < end:
            state = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            asleep = asleep + 1 if state == "S" else 0
            time.sleep(0.02)
        self.assertEqual(asleep, 3, "it never slept")

    def assert_as_before(self):
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def test_the_quit_key(self):
        process = self.start(*MACHINE)
        os.write(self.master, b"\x01x")
        self.assertEqual(process.wait(60), 0)
        self.assert_as_before()

    def test_signals_that_end_it(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGABRT, signal.SIGSEGV):
            with self.subTest(number):
                process = self.start(*MACHINE)
                self.wait_until_idle(process)
                process.send_signal(number)
                process.wait(60)
                self.assert_as_before()

    def test_the_monitor_and_its_quit(self):
        process = self.start(*MACHINE)
        os.write(self.master, b"\x01h")
        self.read_until(b"C-a x")
        os.write(self.master, b"\x01cinfo status\r")
        self.read_until(b"VM status: paused")
        os.write(self.master, b"inof\r")
        self.read_until(b"no such command")
        os.write(self.master, b"info\r")
        self.read_until(b"info network")
        os.write(self.master, b"info qtree\r")
        self.read_until(b"pl031")
        os.write(self.master, b"cont\rinfo status\r")
        self.read_until(b"VM status: running")
        os.write(self.master, b"quit\r")
        self.assertEqual(process.wait(60), 0)
        self.assert_as_before()

    def test_control_c_belongs_to_the_guest(self):
        process = self.start(*MACHINE)
        os.write(self.master, b"\x03\x01x")
        self.assertEqual(process.wait(60), 0)


class Options(unittest.TestCase):
    def refused(self, *arguments: str) -> str:
        done = subprocess.run([EMULATOR, *arguments], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def test_what_is_wrong_is_named_with_what_is_like_it(self):
        self.assertIn("-nographc: no such option (did you mean nographic?)", self.refused("-nographc"))
        self.assertIn("-M vitr: no such machine (did you mean virt?)", self.refused("-M", "vitr"))
        self.assertIn("did you mean gic-version?", self.refused("-M", "virt,gicversion=3"))
        self.assertIn("did you mean cortex-a57?", self.refused("-M", "virt", "-cpu", "cortx-a57"))
        self.assertIn("-kernel: wants FILE after it", self.refused("-M", "virt", "-kernel"))
        self.assertIn("-m 5Q: is no size", self.refused("-M", "virt", "-m", "5Q"))
        self.assertIn("no machine: give one with -M", self.refused("-nographic"))
        self.assertIn("virt has 1 to", self.refused("-M", "virt", "-smp", "77"))
        self.assertIn("/nowhere: No such file", self.refused("-M", "virt", "-kernel", "/nowhere"))

    def test_help_names_every_option_once(self):
        text = subprocess.run([EMULATOR, "-help"], capture_output=True, text=True, check=True).stdout
        for option in ("-M, -machine", "-cpu", "-smp", "-m", "-kernel", "-initrd", "-append", "-drive", "-netdev",
                       "-serial", "-monitor", "-nographic", "-no-reboot", "-bios", "-accel", "-jit"):
            self.assertEqual(text.count(f"\n  {option} "), 1, option)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    EMULATOR = sys.argv.pop()
    unittest.main(verbosity=2)
