# SPDX-License-Identifier: Apache-2.0
"""A machine whose serial console is driven from here: what is waited for, what is typed."""

import os
import selectors
import subprocess
import time


class Failure(Exception):
    pass


class Console:
    """Starts `command`; with -nographic its console and monitor are its standard input and output. What it says is
    also appended to the file LYREBIRD_BOOT_LOG, if there is one."""

    def __init__(self, command: list[str], seconds: float):
        self.command, self.text, self.seen = command, "", 0
        self.end = time.monotonic() + seconds
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()  # nothing if it has ended
        self.process.wait()
        self.selector.close()

    def fail(self, why: str):
        raise Failure(f"{' '.join(self.command)}\n{why}; its last words:\n{self.text[-3000:]}")

    def _read(self) -> bool:
        """More text, if there is some; false at its end."""
        if time.monotonic() > self.end:
            self.fail("time is up")
        if not self.selector.select(1):
            return True
        piece = os.read(self.process.stdout.fileno(), 65536)
        if log := os.environ.get("LYREBIRD_BOOT_LOG"):
            with open(log, "ab") as file:
                file.write(piece)
        self.text += piece.decode(errors="replace").replace("\r", "")
        return bool(piece)

    def expect(self, *words: str) -> str:
        """Waits until one of these comes after what was seen so far, and returns the text up to it."""
        while True:
            places = [(place, word) for word in words if (place := self.text.find(word, self.seen)) >= 0]
            if places:
                place, word = min(places)
                passed, self.seen = self.text[self.seen:place], place + len(word)
                return passed
            if not self._read():
                self.fail(f"ended without {' or '.join(words)}")

    def type(self, text: str):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def ended(self, status: int = 0):
        while self._read():
            pass
        if self.process.wait() != status:
            self.fail(f"exit status {self.process.returncode}, not {status}")


class Shell:
    """A shell on a console; each command's end is known by its prompt and status."""

    def __init__(self, console: Console):
        self.console, self.count = console, 0

    def login(self, password: str):
        self.console.expect("login: ")
        self.console.type("root\r")
        self.console.expect("Password: ")
        self.console.type(password + "\r")
        self.console.expect("# ")
        # No prompt, no echo: what comes is what programs say.
        self.console.type("stty -echo; PS1=; PS2=; TERM=dumb; bind 'set enable-bracketed-paste off'; echo sh''ell\r")
        self.console.expect("shell\n")

    def __call__(self, command: str, status: int = 0) -> str:
        """What it says, if it ends with that status."""
        self.count += 1
        # On one line and with no input of its own: apt takes what has been typed for dpkg's.
        self.console.type(f"({command}) < /dev/null; echo \"<{self.count} $?>\"\r")
        text = self.console.expect(f"<{self.count} ")
        got = self.console.expect(">")
        if int(got) != status:
            self.console.fail(f"\"{command}\" ended with {got}")
        return text.lstrip("\n")  # bash ends the line that it did not echo
