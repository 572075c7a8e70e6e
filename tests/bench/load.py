"""What the benchmarks share: running the program and its peers, a hub under load."""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "e2e"))  # behind this folder, which has a messages.py of its own
from harness import Failed, Hub, PROGRAM, ROOT, SHARED  # noqa: E402


def output(*args, **kwargs):
    done = subprocess.run(args, capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(map(str, args))} failed\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
    return done.stdout.strip().split("\n")[-1]


def missing(name, text):
    """Says why a row is not there: the reason is the last line of what it wrote."""
    lines = [line for line in text.strip().split("\n") if line]
    print(f"SKIP: {name}: {lines[-1].removeprefix('SKIP: ') if lines else 'it failed'}", file=sys.stderr)


def peer(name, *args):
    """Its line of JSON; None, with the reason said, where it cannot run."""
    done = subprocess.run([os.path.join(HERE, "peers", name, "run"), *map(str, args)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        missing(name, done.stderr)
        return None
    return json.loads(done.stdout.strip().split("\n")[-1])


def cpu(pid):
    """Seconds of processor time a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        ticks = stat.read().rsplit(")", 1)[1].split()
    return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")


class Load:
    """A hub and senders over mTLS. EDIT: what to change in its hub.yaml, old text to new; ROLES as in `run --role`."""

    def __init__(self, folder, edit=(), roles=None):
        self.files = sorted(os.path.join(folder, name) for name in os.listdir(folder))
        self.hub = Hub()
        try:
            for old, new in edit:
                self.hub.edit(old, new)
            self.hub.start(roles=roles)
        except BaseException:
            self.hub.close()
            raise

    def send(self, repeat, *more, connections=32):
        certs = os.path.join(self.hub.dir, "certs")
        return json.loads(output(PROGRAM, "send", f"mllps://127.0.0.1:{self.hub.port}", *self.files, "--connections", str(connections),
                                 "--repeat", str(repeat), "--vary", "--json", "--cert", f"{certs}/sender.pem", "--key",
                                 f"{certs}/sender.key", "--ca", f"{certs}/ca.pem", *more))

    def cpu(self):
        return cpu(self.hub.process.pid)

    def memory(self, what="VmRSS"):
        with open(f"/proc/{self.hub.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(what + ":"))


def latency(row, result):
    return dict(row, p50_ms=result["latency_ms"]["p50"], p99_ms=result["latency_ms"]["p99"], failed=result["rejected"] + result["missing"])
