#!/usr/bin/env python3
"""The project's benchmarks, peers beside them in the same run: compare the ratios, not the seconds.

usage: bench.py [--seconds N] [--json FILE] [--only map,ingest]
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import Hub, PROGRAM, ROOT, SHARED  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
FLOOR = {"map": 8000, "ingest": 8000}


def output(*args, **kwargs):
    done = subprocess.run(args, capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(map(str, args))} failed\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
    return done.stdout.strip().split("\n")[-1]


def bench_map(folder, seconds):
    ours = json.loads(output(os.path.join(ROOT, "build", "tests", "map_bench"), folder, str(seconds)))
    rows = [dict(ours, floor=FLOOR["map"])]
    peer = os.path.join(HERE, "peers", "hapi", "run")
    if os.path.exists(peer):
        hapi = json.loads(output(peer, folder, str(seconds)))
        rows.append({"name": "hapi-parse", "per_second": hapi["per_second"], "failed": hapi["failed"],
                     "ratio": round(ours["per_second"] / hapi["per_second"], 2)})
    return rows


def bench_ingest(folder, seconds):
    files = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    hub = Hub().start()
    try:
        def send(repeat):
            certs = os.path.join(hub.dir, "certs")
            return json.loads(output(PROGRAM, "send", f"mllps://127.0.0.1:{hub.port}", *files, "--connections", "32", "--repeat", str(repeat),
                                     "--vary", "--json", "--cert", f"{certs}/sender.pem", "--key", f"{certs}/sender.key", "--ca", f"{certs}/ca.pem"))
        warm = send(5)
        rate = warm["per_second"]
        total = send(max(5, int(rate * seconds / len(files))))
        lag = hub.json("status")
        status = hub.caught_up(600)
        row = {"name": "ingest", "per_second": round(total["per_second"]), "p50_ms": total["latency_ms"]["p50"], "p99_ms": total["latency_ms"]["p99"],
               "failed": total["rejected"] + total["missing"], "floor": FLOOR["ingest"], "lag_at_end": lag["events"] - lag["applied"],
               "log_bytes_a_message": round(status["log_bytes"] / max(1, status["events"]))}
        hub.stop()
        return [row]
    finally:
        hub.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json")
    parser.add_argument("--only", default="map,ingest")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="chartline-bench-") as folder:
        four, one = os.path.join(folder, "4k"), os.path.join(folder, "1k")
        subprocess.run([sys.executable, os.path.join(HERE, "messages.py"), four, "200"], check=True)
        subprocess.run([sys.executable, os.path.join(HERE, "messages.py"), one, "200", "1000"], check=True)
        if "map" in options.only:
            rows += bench_map(four, options.seconds)
            corpus = os.path.join(SHARED, "corpus", "hl7v2")
            if os.path.isdir(corpus):
                rows += [dict(row, name=row["name"] + "-corpus", floor=FLOOR["map"] if row["name"] == "map" else 0) for row in bench_map(corpus, options.seconds)]
            else:
                print("SKIP: map-corpus: no messages at ../shared/corpus/hl7v2")
        if "ingest" in options.only:
            rows += bench_ingest(one, options.seconds)
            rows += [dict(row, name="ingest-4k", floor=0) for row in bench_ingest(four, options.seconds)]
    for row in rows:
        rest = "  ".join(f"{k} {v}" for k, v in row.items() if k not in ("name", "per_second", "messages", "seconds"))
        print(f"{row['name']:<12} {row['per_second']:>9.0f} msg/s   {rest}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as f:
            json.dump({"results": rows}, f, indent=1)
    missed = [r["name"] for r in rows if "floor" in r and r.get("per_cpu_second", r["per_second"]) < r["floor"]]
    if missed:
        print(f"below the floor: {', '.join(missed)}")


if __name__ == "__main__":
    main()
