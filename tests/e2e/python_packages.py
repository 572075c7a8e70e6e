"""Python packages that a test needs, in a folder of the build, made once."""
import fcntl
import hashlib
import os
import subprocess
import sys

from harness import ROOT, skip_all


def python_packages(requirements, name):
    """Goes on in a Python that has what the file REQUIREMENTS asks for; SKIP where it cannot be had."""
    folder = os.path.join(ROOT, "build", name)
    python = os.path.join(folder, "bin", "python3")
    mark = os.path.join(folder, "made-of")
    with open(requirements, "rb") as f:
        wanted = hashlib.sha256(f.read()).hexdigest()
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with open(folder + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(mark) or open(mark, encoding="ascii").read() != wanted:
            for command in ([sys.executable, "-m", "venv", "--clear", folder], [python, "-m", "pip", "install", "-q", "-r", requirements]):
                done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
                if done.returncode != 0:
                    skip_all(f"no Python packages of {os.path.relpath(requirements, ROOT)}; install python3-venv and let pip fetch them once")
            with open(mark, "w", encoding="ascii") as f:
                f.write(wanted)
    if os.path.abspath(sys.prefix) != os.path.abspath(folder):
        os.execv(python, [python, *sys.argv])


__all__ = ["python_packages"]
