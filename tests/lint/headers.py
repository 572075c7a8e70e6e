#!/usr/bin/env python3
"""Every header compiles alone and opens with its contract."""
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor


def flags():
    """Where librdkafka's header lies: the one header of a library that a header of the hub's includes."""
    deps = subprocess.run(["scripts/bootstrap", "--prefix"], text=True, capture_output=True, check=True).stdout.strip()
    return ["-isystem", f"{deps}/include"]


FLAGS = flags()


def check(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if not text.startswith("/*"):
        return f"{path}: a header opens with a paragraph that says what the module is for"
    if "#pragma once" not in text:
        return f"{path}: no #pragma once"
    run = subprocess.run(["gcc", "-std=c11", "-D_GNU_SOURCE", "-I.", *FLAGS, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c", "-"],
                         input=f'#include "{path}"\n', text=True, capture_output=True)
    return None if run.returncode == 0 else f"{path}: does not compile alone\n{run.stderr}"


def main():
    headers = [f"{folder}/{name}" for top in ("src", "adapters") for folder, _, names in os.walk(top)
               for name in sorted(names) if name.endswith(".h")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        bad = [line for line in pool.map(check, headers) if line]
    for line in bad:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
