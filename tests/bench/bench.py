#!/usr/bin/env python3
"""The project's benchmarks, peers beside them in the same run: compare the ratios, not the seconds.

usage: bench.py [--seconds N] [--json FILE] [--only map,ingest,start,memory,kafka]

kafka is kafka-ingest, kafka-latency and kafka-timeline (bench_kafka.py); each can be named alone.
"""
import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from bench_kafka import KAFKA, bench_kafka
from load import HERE, PROGRAM, SHARED, Load, latency, output, peer

FLOOR = {"map": 8000, "ingest": 8000}
GOAL = {"map": 20000, "ingest": 15000}


def bench_map(folder, seconds):
    files = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".hl7"))
    ours = json.loads(output(PROGRAM, "bench", "--seconds", str(max(1, round(seconds))), *files))["results"][0]
    rows = [dict(ours, floor=FLOOR["map"], goal=GOAL["map"])]
    for name in ("hl7-parser", "hapi", "linuxforhealth"):
        other = peer(name, folder, seconds)
        if other is not None:
            rows.append({"name": name, "per_second": other["per_second"], "failed": other["failed"],
                         "ratio": round(ours["per_second"] / max(1, other["per_second"]), 2)})
    return rows


def bench_ingest(folder, seconds, name):
    load = Load(folder)
    try:
        rate = load.send(5, "--now")["per_second"]  # each run's messages are new: a repeat costs hardly anything
        before = load.cpu()
        total = load.send(max(5, int(rate * seconds / len(load.files))), "--now")
        lag = load.hub.json("status")
        behind = time.monotonic()
        status = load.hub.caught_up(600)
        behind = time.monotonic() - behind
        goal = name == "ingest"
        rows = [latency({"name": name, "per_second": round(total["per_second"]), "floor": FLOOR["ingest"] * goal, "goal": GOAL["ingest"] * goal,
                         "lag_at_end": lag["events"] - lag["applied"], "catch_up_s": round(behind, 2), "cpu_us_a_message": round((load.cpu() - before) / total["sent"] * 1e6),
                         "log_bytes_a_message": round(status["log_bytes"] / max(1, status["events"]))}, total)]
        half = max(10, int(total["per_second"] / 2))
        slow = load.send(max(1, int(half * seconds / len(load.files))), "--rate", str(half), "--now")
        rows.append(latency({"name": name + "-half-load", "per_second": round(slow["per_second"]), "goal_p99_ms": 10 * goal}, slow))
        load.hub.stop()
        return rows
    finally:
        load.hub.close()


def bench_start(folder):
    """From the start of the process to `ready`: an empty hub, and one that was killed with 10,000 messages."""
    load = Load(folder)
    try:
        hub, rows = load.hub, []
        load.send(max(1, 10000 // len(load.files)))
        hub.caught_up(600)
        hub.kill()
        for name in ("start-after-kill", "start"):
            begin = time.monotonic()
            hub.start()
            rows.append({"name": name, "ms": round((time.monotonic() - begin) * 1000)})
            hub.stop()
        return rows
    finally:
        load.hub.close()


def bench_memory(folder):
    """Resident memory with 1,000 idle connections over mTLS, and what a large message in flight adds to it."""
    load = Load(folder)
    held = []
    try:
        load.send(5)
        held = [load.hub.connect() for _ in range(1000)]
        rows = [{"name": "memory-1000-connections", "mib": round(load.memory() / 2**20), "goal_mib": 150}]
        for one in held:
            one.close()
        held, size = [], 8 * 2**20
        large = large_message(size)
        before = load.memory()
        with open(f"/proc/{load.hub.process.pid}/clear_refs", "w", encoding="ascii") as refs:
            refs.write("5")  # VmHWM counts anew
        sender = load.hub.connect(timeout=120)
        sender.send(large)
        sender.receive()
        sender.close()
        rows.append({"name": "memory-8MiB-message", "times_its_size": round((load.memory("VmHWM") - before) / len(large), 2), "goal_times": 3})
        load.hub.stop()
        return rows
    finally:
        for one in held:
            one.close()
        load.hub.close()


def large_message(size):
    text = base64.b64encode(os.urandom(size * 3 // 4)).decode()
    return ("MSH|^~\\&|SCAN|GENHOSP|HUB|GENHOSP|20260301120000+0000||ORU^R01^ORU_R01|LARGE1|P|2.5.1\rPID|1||L1^^^GENHOSP^MR||Hazel^Birch\r"
            "OBR|1||D1^SCAN|11488-4^Consult note^LN|||20260301120000|||||||||||||||20260301120000||OTH|F\r"
            f"OBX|1|ED|11488-4^Consult note^LN||SCAN^AP^PDF^Base64^{text}||||||F\r").encode()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended by `finally`
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json")
    parser.add_argument("--only", default="map,ingest,start,memory,kafka")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="chartline-bench-") as folder:
        four, one = os.path.join(folder, "4k"), os.path.join(folder, "1k")
        subprocess.run([sys.executable, os.path.join(HERE, "messages.py"), four, "200"], check=True)
        subprocess.run([sys.executable, os.path.join(HERE, "messages.py"), one, "200", "1000"], check=True)
        only = options.only.split(",")
        if "map" in only:
            rows += bench_map(four, options.seconds)
            corpus = os.path.join(SHARED, "corpus", "hl7v2")
            if os.path.isdir(corpus):
                rows += [dict(row, name=row["name"] + "-corpus") for row in bench_map(corpus, options.seconds)]
            else:
                print("SKIP: map-corpus: no messages at ../shared/corpus/hl7v2")
        if "ingest" in only:
            rows += bench_ingest(one, options.seconds, "ingest")
            rows += bench_ingest(four, options.seconds, "ingest-4k")
        if "start" in only:
            rows += bench_start(one)
        if "memory" in only:
            rows += bench_memory(one)
        kafka = [name for name in KAFKA if "kafka" in only or name in only]
        if kafka:
            rows += bench_kafka(one, options.seconds, kafka)
    show(rows)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as f:
            json.dump({"results": rows}, f, indent=1)


def show(rows):
    for row in rows:
        rate = f"{row['per_second']:>9.0f} msg/s" if "per_second" in row else " " * 15
        rest = "  ".join(f"{k} {v}" for k, v in row.items() if k not in ("name", "per_second", "messages", "seconds") and v != 0 or k == "lag_at_end")
        print(f"{row['name']:<24} {rate}   {rest}")
    missed = [r["name"] for r in rows if r.get("floor") and r.get("per_cpu_second", r["per_second"]) < r["floor"]]
    if missed:
        print(f"below the floor: {', '.join(missed)}")


if __name__ == "__main__":
    main()
