"""What the tests that attack a hub share: messages with a name to look for, authorities that make bad certificates,
libraries that make system calls fail, and the hub's own counts."""
import signal
import tempfile

from harness import *

NAME = "Quexwright"  # the family name of every patient here: it must never show in the clear
ADT = ("MSH|^~\\&|EHR|NORTH|HUB|NORTH|20260311081700+0000||{kind}|{control}|{processing}|{version}\rEVN|A04|20260311081600+0000\r"
       "PID|1||{mrn}^^^NORTH^MR||" + NAME + "^Ada||19700101|F\rPV1|1|O|CLINIC||||||||||||||||V{mrn}^^^NORTH^VN\r")


def adt(control, mrn="70001", kind="ADT^A04^ADT_A01", processing="P", version="2.5.1", extra=""):
    return (ADT.format(control=control, mrn=mrn, kind=kind, processing=processing, version=version) + extra).encode()


def segment(ack, name):
    """The fields of the first segment NAME; [] without one."""
    for line in ack.decode("latin-1").split("\r"):
        if line.startswith(name + "|"):
            return line.split("|")
    return []


def answer(ack):
    """(code, control id, ERR-2, code of ERR-3)"""
    err = segment(ack, "ERR") + [""] * 5
    return (*ack_code(ack), err[2], err[3].split("^")[0])


def accepted(hub, control, **fields):
    """A healthy sender's message; fails when it is not accepted."""
    sender = hub.connect()
    try:
        code = ack_code(sender.exchange(adt(control, **fields)))
        check(code == ("AA", control), f"a good message is answered {code}")
    finally:
        sender.close()


def entries(hub, kind=None, count=100000):
    found = [e["entry"] for e in hub.json("audit", "show", "--count", str(count))]
    return [e for e in found if kind is None or e["kind"] == kind]


def wait_for(what, text, seconds=10):
    """Waits until WHAT() is true; returns its value."""
    limit = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        check(time.monotonic() < limit, text)
        time.sleep(0.05)


def no_name_in(hub, needles=(NAME.encode(),)):
    """Neither the data directory nor the hub's own log holds the patient's name."""
    paths = [hub.log_path]
    for base, _, names in os.walk(os.path.join(hub.dir, "data")):
        paths += [os.path.join(base, n) for n in names if os.path.isfile(os.path.join(base, n))]
    for path in paths:
        with open(path, "rb") as f:
            data = f.read()
        for needle in needles:
            check(needle not in data, f"{needle!r} stands in {os.path.relpath(path, hub.base)}")


def memory_kib(hub, what="VmRSS"):
    with open(f"/proc/{hub.process.pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith(what + ":"):
                return int(line.split()[1])
    raise Failed("the hub is gone")


def disk_bytes(hub, folder="data"):
    total = 0
    for base, _, names in os.walk(os.path.join(hub.dir, folder)):
        for name in names:
            try:
                total += os.stat(os.path.join(base, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def ends(hub, seconds=20):
    """The exit code of a hub that ends by itself."""
    code = hub.process.wait(seconds)
    hub.process.stdout.close()
    hub.process = None
    return code


def does_not_start(hub, code, *words, env=None):
    """`run` ends with CODE, is never ready, and says WORDS."""
    out, err = run("run", cwd=hub.dir, expect=code, timeout=30, env={**os.environ, **(env or {})})
    check("ready" not in out, "the hub became ready")
    for word in words:
        check(word in err, f"nothing of {word!r} in: {err}")
    return err


def shim(folder, name):
    """Compiles tests/e2e/NAME.c into a library for LD_PRELOAD; skips without a compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        skip("no C compiler (cc, package gcc)")
    out = os.path.join(folder, name + ".so")
    done = subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", out, os.path.join(ROOT, "tests", "e2e", name + ".c"), "-ldl"], capture_output=True)
    check(done.returncode == 0, f"the shim does not build: {done.stderr.decode()}")
    return out


__all__ = ["NAME", "adt", "segment", "answer", "accepted", "entries", "wait_for", "no_name_in", "memory_kib", "disk_bytes", "ends", "does_not_start", "shim",
           "signal", "tempfile"]
