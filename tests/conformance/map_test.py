#!/usr/bin/env python3
"""`chartline map` over whole messages: references that resolve, ids that are unique, values that stay where they belong."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import *  # noqa: E402,F403

FOLDERS = [os.path.join(ROOT, "tests", "data", "map"), os.path.join(os.environ.get("CHARTLINE_SHARED", SHARED), "corpus", "hl7v2")]


def files():
    for folder in FOLDERS:
        if not os.path.isdir(folder):
            print(f"SKIP: {os.path.basename(os.path.dirname(folder))}/{os.path.basename(folder)} is not there")
            continue
        yield [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".hl7")]


def mapped(paths, *options):
    out, _ = run("map", "--ndjson", *options, *paths, expect=None)
    rows = [json.loads(line) for line in out.splitlines()]
    check(len(rows) >= len(paths), "a line for each message")
    return rows


def references(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "reference" and isinstance(value, str):
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def every_message_maps_and_its_references_resolve():
    bundles = 0
    for paths in files():
        for row in mapped(paths):
            check(row["status"] == "ok", f"{row['file']}: {row.get('error')}")
            check(row["bundles"], f"{row['file']}: no bundle")
            for bundle in row["bundles"]:
                bundles += 1
                ids = [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in bundle["entry"]]
                check(len(ids) == len(set(ids)), f"{row['file']}: an id twice")
                urls = [e["fullUrl"] for e in bundle["entry"]]
                check(len(urls) == len(set(urls)), f"{row['file']}: a fullUrl twice")
                for reference in references(bundle):
                    check(reference in ids or reference in urls, f"{row['file']}: {reference} leads nowhere")
    check(bundles >= 30, "too few to tell")


def two_runs_agree():
    for paths in files():
        check(mapped(paths) == mapped(paths), "two runs differ")


def what_is_not_mapped_is_listed():
    for paths in files():
        for row in mapped(paths, "--coverage"):
            cover = row["coverage"]
            check(cover["mapped"] + len(cover["unmapped"]) == cover["values"], f"{row['file']}: {cover['mapped']} of {cover['values']}")



def patient(mark):
    """Segments in which each field says whose it is."""
    order = lambda n: [f"ORC|RE|{mark}P{n}|{mark}F{n}", f"OBR|{n}|{mark}P{n}|{mark}F{n}|{mark}C{n}^{mark}order{n}|||2026030110{n}0",
                       f"OBX|1|ST|{mark}T{n}^{mark}test{n}||{mark}value{n}||||||F", f"NTE|1||{mark}note{n}"]
    return [f"PID|1||{mark}1^^^{mark}AUTH^MR||{mark}family^{mark}given", f"NK1|1|{mark}kin^{mark}kingiven|SPO", f"PV1|1|I|{mark}ward^{mark}room||||{mark}D^{mark}doctor||||||||||||{mark}V",
            *order(1), *order(2), f"SPM|1|{mark}S^{mark}SF||BLD^{mark}blood"]


def nothing_of_one_patient_is_in_the_event_of_another():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "two.hl7")
        segments = ["MSH|^~\\&|LAB|NORTH|HUB|CENTRAL|20260301120000||ORU^R01|X1|P|2.5.1", *patient("AAA"), *patient("BBB")]
        with open(path, "w", encoding="ascii", newline="") as f:
            f.write("\r".join(segments) + "\r")
        row = mapped([path])[0]
        check(len(row["bundles"]) == 2, "an event for each patient")
        for own, other, bundle in (("AAA", "BBB", row["bundles"][0]), ("BBB", "AAA", row["bundles"][1])):
            text = json.dumps(bundle)
            check(own in text and other not in text, f"{other} in the event of {own}")


def nothing_of_one_order_is_in_another():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "orders.hl7")
        with open(path, "w", encoding="ascii", newline="") as f:
            f.write("\r".join(["MSH|^~\\&|LAB|NORTH|HUB|CENTRAL|20260301120000||ORU^R01|X2|P|2.5.1", *patient("AAA")]) + "\r")
        entries = [e["resource"] for e in mapped([path])[0]["bundles"][0]["entry"]]
        for kind in ("ServiceRequest", "DiagnosticReport", "Observation"):
            found = [json.dumps(r) for r in entries if r["resourceType"] == kind]
            check(len(found) == 2, f"two of {kind}")
            for own, other, text in (("1", "2", found[0]), ("2", "1", found[1])):
                for what in ("F", "order", "test", "value", "note"):
                    check(f"AAA{what}{other}" not in text, f"{what}{other} in {kind} {own}")
        # the specimen belongs to the second order only
        observations = [r for r in entries if r["resourceType"] == "Observation"]
        check("specimen" not in observations[0] and "specimen" in observations[1], "the specimen of another order")


if __name__ == "__main__":
    main([every_message_maps_and_its_references_resolve, two_runs_agree, what_is_not_mapped_is_listed,
          nothing_of_one_patient_is_in_the_event_of_another, nothing_of_one_order_is_in_another])
