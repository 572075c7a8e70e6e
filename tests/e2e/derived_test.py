#!/usr/bin/env python3
"""What is derived from the event log (index, timeline, audit tiles) on a bad disk: whole, or made again from the log.

A disk that fails to write or to sync there, and a power cut inside RocksDB's own files: torn, cut off or missing tails
of its write-ahead log, tables, manifest and pointers. Nothing acknowledged is lost, nothing twice, and the content is that
of a hub to which nothing happened.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *  # noqa: E402,F403
from attacks import *  # noqa: E402,F403
from disk_test import all_there, send_until_silent  # noqa: E402

SEED = int(os.environ.get("CHARTLINE_SEED", "20261123"))


def content(hub):
    hub.caught_up()
    return hub.cli("timeline", "--digest", "content", *hub.as_role("clinician")).strip()


def alive(hub):
    return hub.process.poll() is None


def a_broken_disk_under_a_derived_store_loses_nothing():
    whole = Hub().start()
    try:
        send_until_silent(whole, "A", 30)
        send_until_silent(whole, "B", 30)
        expected = content(whole)
        whole.stop()
    finally:
        whole.close()
    for where in ("/data/index", "/data/timeline", "/data/audit"):
        for failing in ("CHARTLINE_FAIL_SYNC", "CHARTLINE_FAIL_WRITE"):
            hub = Hub()
            name = f"{where}, {failing[10:].lower().replace('_', ' ')}"
            try:
                trigger = os.path.join(hub.base, "fail")
                env = {"LD_PRELOAD": shim(hub.base, "failing_disk"), failing: trigger, "CHARTLINE_FAIL_WHERE": where}
                hub.start(env=env)
                before = send_until_silent(hub, "A", 30)
                check(len(before) == 30, f"{name}: before the failure")
                open(trigger, "w", encoding="ascii").close()
                during = send_until_silent(hub, "B", 30, timeout=1.5)
                hub.process.send_signal(signal.SIGTERM)  # what was not written until now is at the stop
                try:
                    code = hub.process.wait(60)
                except subprocess.TimeoutExpired:
                    raise Failed(f"{name}: it does not stop\n{hub.log_tail()}") from None
                check(code in (0, 1), f"{name}: exit {code}\n{hub.log_tail()}")
                said = hub.log_tail()
                check(code == 0 or "fatal" in said or "error" in said, f"{name}: it says nothing: {said}")
                check(NAME not in said, f"{name}: a patient's name in the log")
                hub.kill()
                os.remove(trigger)
                hub.start(env=env)
                all_there(hub, before[-1:] + during[-1:])
                again = send_until_silent(hub, "A", 30) + send_until_silent(hub, "B", 30)
                check(len(again) == 60, f"{name}: the resend: {len(again)}")
                status = hub.caught_up()
                check(status["events"] == 60, f"{name}: {status['events']} events for 60 messages")
                check(content(hub) == expected, f"{name}: another content")
                hub.stop()
                hub.cli("audit", "verify", "--events")
                print(f"     {name}: {len(during)} answered meanwhile, exit {code}", flush=True)
            finally:
                hub.close()


def store_files(data):
    """The files of both stores that hold something: (kind, path)."""
    for store in ("index", "timeline"):
        for root, _, names in os.walk(os.path.join(data, store)):
            for name in sorted(names):
                path = os.path.join(root, name)
                kind = "wal" if name.endswith(".log") else "table" if name.endswith(".sst") else name.split("-")[0].lower()
                if os.path.getsize(path) > 0 and kind in ("wal", "table", "manifest", "current"):
                    yield f"{store} {kind}", path


def harms(size):
    """What a power cut may leave of a file."""
    yield "gone", None
    yield "empty", 0
    yield "half", size // 2
    yield "one byte short", size - 1
    yield "torn tail", -1
    yield "torn append", -2


def harm(path, keep, chance):
    size = os.path.getsize(path)
    if keep is None:
        os.remove(path)
    elif keep >= 0:
        os.truncate(path, keep)
    elif keep == -2:  # what was being added reached the disk in part
        with open(path, "ab") as f:
            f.write(chance.randbytes(1000))
    else:  # the length reached the disk, the last block did not
        with open(path, "r+b") as f:
            f.seek(max(0, size - min(size, 4096) // 2))
            f.write(chance.randbytes(min(size, 4096) // 2))


def a_power_cut_inside_the_stores_files_is_healed():
    chance = random.Random(SEED)
    hub = Hub()
    try:
        hub.start()
        before = send_until_silent(hub, "A", 40)
        hub.caught_up()
        hub.stop()  # what is in memory goes into tables
        hub.start()
        before += send_until_silent(hub, "B", 40)
        expected = content(hub)
        hub.kill()
        data, kept = os.path.join(hub.dir, "data"), os.path.join(hub.base, "kept")
        os.rename(data, kept)
        os.remove(os.path.join(kept, "control.sock"))
        last = {}
        for kind, path in store_files(kept):
            last[kind] = os.path.relpath(path, kept)  # the newest of its kind
        check({"index wal", "index table", "index manifest", "index current", "timeline table", "timeline manifest"} <= set(last), f"{sorted(last)}")
        for kind, path in last.items():
            for name, keep in harms(os.path.getsize(os.path.join(kept, path))):
                if kind.endswith("manifest") and keep is not None and keep > 0:
                    continue  # synced before the pointer names it: a power cut cuts off only what is not in force yet
                shutil.rmtree(data, ignore_errors=True)
                shutil.copytree(kept, data)
                harm(os.path.join(data, path), keep, chance)
                starts = 0
                while True:  # a store found damaged while it runs ends the hub, and is made again at the next start
                    starts += 1
                    check(starts <= 3, f"{kind} {name}: not healed in {starts - 1} starts\n{hub.log_tail()}")
                    try:
                        hub.start()
                        all_there(hub, before[-2:])
                        check(content(hub) == expected, f"{kind} {name}: another content")
                        check(len(send_until_silent(hub, "A", 40) + send_until_silent(hub, "B", 40)) == 80, f"{kind} {name}: the resend")
                        check(hub.json("status")["events"] == 80, f"{kind} {name}: {hub.json('status')['events']} events for 80 messages")
                        hub.stop()
                        break
                    except (Failed, OSError):
                        if hub.process is not None and alive(hub):
                            raise
                        check("fatal" in hub.log_tail() or "error" in hub.log_tail(), f"{kind} {name}: it ended without a word\n{hub.log_tail()}")
                        hub.kill()
                hub.cli("audit", "verify", "--events")
                print(f"     {kind} {name}: {starts} start{'s' if starts > 1 else ''}", flush=True)
    finally:
        hub.close()


if __name__ == "__main__":
    main([a_broken_disk_under_a_derived_store_loses_nothing, a_power_cut_inside_the_stores_files_is_healed])
