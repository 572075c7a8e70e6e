#!/usr/bin/env python3
"""The event log as a reader sees it that has docs/FORMATS.md alone (read_log.py), and what the hub says of the same log."""
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import *  # noqa: E402,F403
from attacks import *  # noqa: E402,F403
from read_log import AUDIT, CARRIED, EVENT, KEY, LETTER, MESSAGE, REJECTED, REPEATED, REVISED, Damaged, Log  # noqa: E402
from verify_audit import Verifier  # noqa: E402


def folder(hub):
    return os.path.join(hub.dir, "data", "log")


def tail_of(hub):
    return os.path.join(folder(hub), max(n for n in os.listdir(folder(hub)) if n.endswith(".seg")))


def change(path, at, data):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)


def busy():
    """A running hub with a log of several segments and all that commands and messages leave in it."""
    hub = Hub()
    hub.edit("message_bytes: 16MiB", "message_bytes: 256KiB, segment_bytes: 1MiB")
    hub.start()
    sender = hub.connect()
    for _ in range(3):
        check(ack_code(sender.exchange(adt("BAD", processing="T")))[0] == "AR", "a refused message")
    note = "NTE|1||" + "n" * 150000 + "\r"
    for n in range(12):
        check(ack_code(sender.exchange(adt(f"M{n}", mrn=str(70001 + n % 3), extra=note)))[0] == "AA", "a message")
    check(ack_code(sender.exchange(adt("M0", mrn="70001", extra=note)))[0] == "AA", "a repeat")
    merge = adt("MERGE", kind="ADT^A40^ADT_A39").split(b"PV1")[0] + b"MRG|70002^^^NORTH^MR\r"
    check(ack_code(sender.exchange(merge))[0] == "AA", "a merge")
    sender.close()
    hub.cli("keys", "rotate", "clinical")
    hub.cli("feed", "pause", "mllp")
    hub.cli("feed", "resume", "mllp")
    hub.caught_up()
    return hub


def proven_entries(hub):
    """The audit log's, from its tree, by a verifier of its own."""
    verifier = Verifier(os.path.join(hub.dir, "data", "audit"))
    found = verifier.run(None, None)
    check(verifier.findings == [], f"{verifier.findings}")
    return found


def everything_the_hub_counts_and_shows_stands_in_its_log():
    hub = busy()
    try:
        hub.stop()
        log = Log(folder(hub))
        check(log.clean and log.tail is None and len([n for n in os.listdir(folder(hub)) if n.endswith(".seg")]) > 1, "a clean stop, segments")
        of = lambda *kinds: [r for r in log.records if r.kind in kinds]
        check(proven_entries(hub) == log.audit_entries(), "the audit log's entries are not those of the event log")
        events = {json.loads(e)["id"]: (r, json.loads(e)) for r in of(MESSAGE, REVISED) for e in r.of(EVENT)}
        check(len(of(REJECTED)) == 1 and len(of(REPEATED)) == 2 and of(REPEATED)[-1].dedup[2:] == ("AR", 2) and len(of(KEY)) >= 7, "records")
        check([r.dedup[0] for r in of(REJECTED)] == [json.loads(r.of(LETTER)[0])["id"] for r in of(REJECTED)], "a letter's id")
        check(all(a.recorded < b.recorded for a, b in zip(log.records, log.records[1:])), "recorded times do not increase")
        for r in of(MESSAGE):
            named = [h for e in r.of(AUDIT) for h in json.loads(e).get("events", [])]
            check(named == [hashlib.sha256(e).hexdigest() for e in r.of(EVENT)], f"record {r.number} names {named}")
        shown = hub.json("message", "find", "--feed", "mllp")
        accepted = {m["id"] for m in shown if m["state"] == "accepted"}
        check(accepted == {r.dedup[0] for r in of(MESSAGE)} and {e for m in shown for e in m.get("events", [])} == set(events), "messages")
        status = hub.json("status")  # looking has added its own records
        check((status["messages"], status["events"], status["rejected"]) == (len(of(MESSAGE)), len(events), 3), f"{status}")
    finally:
        hub.close()


def a_torn_tail_is_told_from_damage_as_the_hub_tells_them():
    hub = busy()
    try:
        hub.kill()
        whole = Log(folder(hub))
        check(not whole.clean, "a killed hub leaves no marker")
        size = os.path.getsize(tail_of(hub))
        with open(tail_of(hub), "rb") as f:
            data = f.read()
        with open(tail_of(hub), "ab") as f:
            f.write(data[72:72 + 60])  # a record's beginning
        torn = Log(folder(hub))
        check(torn.tail == (os.path.basename(tail_of(hub)), size, 60) and len(torn.records) == len(whole.records), f"{torn.tail}")
        at = 72 + 40 + 8  # inside the first record of the tail, which those behind it know as durable
        for name in (tail_of(hub), os.path.join(folder(hub), min(os.listdir(folder(hub))))):
            with open(name, "rb") as f:
                kept = f.read()
            change(name, at, bytes([kept[at] ^ 1]))
            try:
                Log(folder(hub))
                raise Failed(f"{name} is read as if it were whole")
            except Damaged as e:
                check((e.file, e.offset) == (os.path.basename(name), 72), f"{e}")
            said = "".join(run("audit", "verify", "--events", cwd=hub.dir, expect=1))
            check(f"{os.path.basename(name)}: offset 72" in said, f"the hub sees no damage there: {said}")
            change(name, at, kept[at:at + 1])
        hub.start()
        hub.stop()
        check(len(Log(folder(hub)).records) > len(whole.records), "what was torn off was more than the tail")
    finally:
        hub.close()


def a_log_whose_start_was_retired_is_read_from_there():
    hub = busy()
    try:
        hub.cli("log", "retain", "--keep", "0s")
        shown = hub.json("log", "show")
        hub.stop()
        log = Log(folder(hub))
        check(log.start["first"] == shown["first"] > 1 and log.records[0].number == shown["first"], f"{log.start} {shown}")
        check(log.start["records"] == shown["retired"]["records"] == shown["first"] - 1, f"{log.start} {shown}")
        check(len([r for r in log.records if r.kind == CARRIED]) == 1, "the open letter was not carried over")
        check(proven_entries(hub)[log.start["entries"]:] == log.audit_entries(), "the audit log's entries are not those of the event log")
    finally:
        hub.close()


if __name__ == "__main__":
    main([everything_the_hub_counts_and_shows_stands_in_its_log, a_torn_tail_is_told_from_damage_as_the_hub_tells_them,
          a_log_whose_start_was_retired_is_read_from_there])
