#!/usr/bin/env python3
"""Bundles, plain and sealed, have no error under the FHIR R4 referee (guarantee 7)."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import *  # noqa: E402,F403
from large_test import document, ed, oru, plain  # noqa: E402

FOLDERS = [os.path.join(ROOT, "tests", "data", "demo"), os.path.join(ROOT, "tests", "data", "map"), os.path.join(SHARED, "corpus", "hl7v2")]
REFEREE = os.path.join(ROOT, "scripts", "referee")


def messages():
    for folder in FOLDERS:
        if not os.path.isdir(folder):
            print(f"SKIP: {os.path.basename(os.path.dirname(folder))}/{os.path.basename(folder)} is not there")
            continue
        for name in sorted(os.listdir(folder)):
            if name.endswith(".hl7"):
                yield os.path.join(folder, name)


def judge(bundles):
    check(bundles, "nothing to judge")
    done = subprocess.run([REFEREE, "-"], input="".join(json.dumps(b) + "\n" for _, b in bundles), capture_output=True, text=True, timeout=900)
    if done.returncode == 77:
        skip(done.stderr.strip().removeprefix("SKIP: "))
    if done.returncode != 0:
        names = "\n".join(f"{i}: {name}" for i, (name, _) in enumerate(bundles))
        raise Failed(f"the referee found errors\n{done.stdout[-6000:]}\n{done.stderr[-1000:]}\n{names[-3000:]}")
    print(f"{len(bundles)} bundles judged")


def mapped_bundles_are_valid_fhir():
    bundles = []
    for path in messages():
        out, _ = run("map", path, "--ndjson", expect=None)
        for line in out.splitlines():
            row = json.loads(line)
            bundles += [(os.path.basename(path), b) for b in row.get("bundles", [])]
    judge(bundles)


def sealed_bundles_are_valid_fhir():
    hub = Hub()
    try:
        bundles = []
        for path in messages():
            out = run("seal", path, cwd=hub.dir, expect=None)[0]
            bundles += [(os.path.basename(path), json.loads(line)["data"]) for line in out.splitlines() if line.startswith("{")]
        judge(bundles)
    finally:
        hub.close()


def large_values_are_valid_fhir():
    text = "lorem ipsum " * 6000
    hub = Hub()
    try:
        path = os.path.join(hub.base, "large.hl7")
        with open(path, "wb") as f:
            f.write(oru("LARGE", [ed(plain(document(60000))), f"OBX|2|FT|X^Y^L||{text}||||||F", f"NTE|1||{text}"]))
        bundle = json.loads(run("map", path, "--ndjson")[0])["bundles"][0]
        check(sum(e["resource"]["resourceType"] == "Binary" for e in bundle["entry"]) == 3, "not every large value is a Binary")
        judge([("plain", bundle)] + [("sealed", json.loads(line)["data"]) for line in run("seal", path, cwd=hub.dir)[0].splitlines()])
    finally:
        hub.close()


if __name__ == "__main__":
    main([mapped_bundles_are_valid_fhir, sealed_bundles_are_valid_fhir, large_values_are_valid_fhir])
