"""A hub as its users meet it: the built program in a folder of its own, real TLS senders beside it.

Python 3 standard library only. Every test program that uses this prints `N passed, N failed` and ends with 1 on
a failure. A test that lacks something says SKIP; where CI is set that is a failure. Ends with 77 if nothing else ran. CHARTLINE names the program (default build/chartline).
"""
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("CHARTLINE", os.path.join(ROOT, "build", "chartline"))
SHARED = os.path.join(os.path.dirname(ROOT), "shared")
VT, FS, CR = b"\x0b", b"\x1c", b"\x0d"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Failed(Exception):
    pass


class Skipped(Exception):
    """A test lacks something. APART: no package brings it (../shared, rights on the machine), so CI may lack it too."""

    def __init__(self, reason, apart=False):
        super().__init__(reason)
        self.failed = bool(os.environ.get("CI")) and not apart


def skip(reason, apart=False):
    raise Skipped(reason, apart)


def skip_all(reason, apart=False):
    """Before any test: ends the program."""
    failed = Skipped(reason, apart).failed
    print(f"{'FAIL: skipped where CI is set' if failed else 'SKIP'}: {reason}", flush=True)
    print(f"0 passed, {int(failed)} failed", flush=True)
    sys.exit(1 if failed else 77)


def check(condition, text):
    if not condition:
        raise Failed(text)


def run(*args, cwd=None, expect=0, stdin=None, timeout=120, env=None):
    """Runs the program; returns (stdout, stderr). EXPECT None: any exit code."""
    done = subprocess.run([PROGRAM, *args], cwd=cwd, input=stdin, capture_output=True, timeout=timeout, env=env)
    out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    if expect is not None and done.returncode != expect:
        raise Failed(f"chartline {' '.join(args)}: exit {done.returncode}, not {expect}\n{out[-2000:]}\n{err[-2000:]}")
    return out, err


class Hub:
    def __init__(self, folder=None):
        self.base = folder or tempfile.mkdtemp(prefix="chartline-e2e-")
        self.dir = os.path.join(self.base, "hub")
        self.process = None
        self.log_path = os.path.join(self.base, "hub.log")
        run("init", self.dir)
        self.port = free_port()
        self.edit("127.0.0.1:6661", f"127.0.0.1:{self.port}")
        self.edit("127.0.0.1:8080", f"127.0.0.1:{free_port()}")

    def edit(self, old, new):
        path = os.path.join(self.dir, "hub.yaml")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        check(old in text, f"hub.yaml has no {old!r}")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace(old, new))

    def start(self, env=None, timeout=60, roles=None):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([PROGRAM, "run", *(["--role", roles] if roles else [])], cwd=self.dir, stdout=subprocess.PIPE, stderr=log,
                                        env={**os.environ, **(env or {})})
        log.close()
        limit = time.monotonic() + timeout
        line = b""
        while b"ready" not in line:
            line = self.process.stdout.readline()
            if not line or time.monotonic() > limit:
                raise Failed("the hub did not become ready\n" + self.log_tail())
        return self

    def log_tail(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()[-3000:]
        except FileNotFoundError:
            return ""

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def stop(self, timeout=60):
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        self.process.stdout.close()
        self.process = None
        check(code == 0, f"the hub stopped with exit {code}\n{self.log_tail()}")
        return code

    def cli(self, *args, expect=0, timeout=120):
        return run(*args, cwd=self.dir, expect=expect, timeout=timeout)[0]

    def json(self, *args, expect=0):
        return json.loads(self.cli(*args, "--json", expect=expect))

    def as_role(self, role):
        return ["--role", role, "--key", f"keys/roles/{role}.key"]

    def caught_up(self, timeout=60):
        """Waits until the timeline has applied everything stored."""
        limit = time.monotonic() + timeout
        while True:
            status = self.json("status")
            if status["applied"] >= status["events"]:
                return status
            check(time.monotonic() < limit, f"the timeline does not catch up: {status}")
            time.sleep(0.05)

    def context(self, cert="sender"):
        context = ssl.create_default_context(cafile=os.path.join(self.dir, "certs", "ca.pem"))
        context.check_hostname = False
        if cert is not None:
            context.load_cert_chain(os.path.join(self.dir, "certs", f"{cert}.pem"), os.path.join(self.dir, "certs", f"{cert}.key"))
        return context

    def connect(self, cert="sender", timeout=20):
        return Sender(self.port, self.context(cert), timeout)

    def close(self):
        self.kill()
        if os.environ.get("CHARTLINE_KEEP"):
            print("kept:", self.base)
        else:
            shutil.rmtree(self.base, ignore_errors=True)


class Sender:
    """An MLLP connection. A message is bytes without framing."""

    def __init__(self, port, context, timeout):
        plain = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket = context.wrap_socket(plain, server_hostname="localhost") if context else plain
        self.pending = b""

    def send(self, message):
        self.socket.sendall(VT + message + FS + CR)

    def receive(self):
        while True:
            end = self.pending.find(FS + CR)
            if end >= 0:
                frame, self.pending = self.pending[:end], self.pending[end + 2:]
                return frame.lstrip(VT)
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed by the hub")
            self.pending += data

    def exchange(self, message):
        self.send(message)
        return self.receive()

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass


def ack_code(ack):
    """(code, control id) of the MSA segment."""
    for segment in ack.split(CR):
        if segment.startswith(b"MSA"):
            fields = segment.split(segment[3:4])
            return fields[1].decode(), fields[2].decode() if len(fields) > 2 else ""
    return "", ""


def control_id(message):
    return message.split(CR, 1)[0].split(b"|")[9].decode()


def send_all(hub, messages, cert="sender", window=32):
    """Sends over one connection, pipelined; returns the ACKs in order."""
    sender = hub.connect(cert)
    acks = []
    try:
        for i, message in enumerate(messages):
            sender.send(message)
            if i - len(acks) >= window:
                acks.append(sender.receive())
        while len(acks) < len(messages):
            acks.append(sender.receive())
    finally:
        sender.close()
    return acks


def main(tests):
    """Runs the functions of TESTS (all, or those named on the command line); prints the counts."""
    names = sys.argv[1:]
    chosen = [t for t in tests if not names or t.__name__ in names]
    failed = skipped = 0
    for test in chosen:
        begin = time.monotonic()
        try:
            test()
            print(f"ok   {test.__name__} ({time.monotonic() - begin:.1f} s)", flush=True)
        except Skipped as e:
            failed += e.failed
            skipped += not e.failed
            print(f"{'FAIL: skipped where CI is set' if e.failed else 'SKIP'} {test.__name__}: {e}", flush=True)
        except Exception as e:  # a test program reports every failure and goes on
            failed += 1
            print(f"FAIL {test.__name__}: {e}", flush=True)
            if not isinstance(e, Failed):
                traceback.print_exc()
    print(f"{len(chosen) - failed - skipped} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    sys.exit(1 if failed or not chosen else 77 if skipped == len(chosen) else 0)


__all__ = ["Hub", "Sender", "Failed", "Skipped", "skip", "skip_all", "check", "run", "ack_code", "control_id", "send_all", "main", "free_port", "json", "os", "random",
           "shutil", "signal", "subprocess", "sys", "threading", "time", "ROOT", "SHARED", "PROGRAM", "CR", "VT", "FS"]
