#!/usr/bin/env python3
"""The event log gives up its oldest records once a verified snapshot covers them: charts, duplicates, open dead letters and
the audit log are as before, a lost store is rebuilt from the snapshot, and what is gone is said."""
from harness import *
from attacks import *

SEGMENTS = ("{message_bytes: 16MiB,", "{message_bytes: 16MiB, segment_bytes: 1MiB,")


def messages(prefix, count):
    return [adt(f"{prefix}{i}", mrn=str(71000 + i % 50)) for i in range(count)]


def sent(hub, prefix, count):
    acks = send_all(hub, messages(prefix, count))
    check(all(ack_code(a)[0] == "AA" for a in acks), "a good message was refused")


def digests(hub):
    hub.caught_up()
    return [hub.cli("timeline", "--digest", what) for what in ("state", "content")]


def path(hub, *parts):
    return os.path.join(hub.dir, "data", *parts)


def segments(hub):
    return sorted(int(n[:20]) for n in os.listdir(path(hub, "log")) if n.endswith(".seg"))


def started(edit=None):
    hub = Hub()
    hub.edit(*SEGMENTS)
    if edit:
        with open(os.path.join(hub.dir, "hub.yaml"), "a", encoding="utf-8") as f:
            f.write(edit)
    return hub.start()


def retired_hub(count=600):
    """A hub that took COUNT messages, two that it refused, as many again, and retired what it could."""
    hub = started()
    sent(hub, "M", count)
    check([ack_code(a)[0] for a in send_all(hub, [adt("BAD1", version="9.9"), adt("BAD2", version="9.9")])] == ["AR", "AR"], "bad ones")
    sent(hub, "N", count)
    before = digests(hub)
    report = hub.json("log", "retain", "--keep", "0s")
    check(report["before"] > report["from"] and report["messages"] > count, f"nothing was retired: {report}")
    check(report["carried"] == 2, f"open dead letters: {report}")
    return hub, before, report


def what_was_retired_is_said_and_all_else_stays():
    hub, before, report = retired_hub()
    try:
        check(segments(hub) == [report["before"]], f"segments: {segments(hub)}")
        check(digests(hub) == before, "the timeline changed")
        old, = hub.json("message", "find", "--control-id", "M0")
        check(old["answer"] == "AA" and old["retired"]["rule"].startswith("keep="), f"found: {old}")
        check("removed from the event log at 20" in hub.cli("message", "show", old["id"]), "message show does not say it")
        check(hub.json("message", "show", old["id"])["message"]["retired"]["at"] == old["retired"]["at"], "the time it went")
        check("retired" not in hub.json("message", "find", "--control-id", "N599")[0], "the newest is said to be retired")
        letters = hub.json("deadletter", "list")
        check([(l["state"], l["reason"]["code"]) for l in letters] == [("open", "unsupported_version")] * 2, f"letters: {letters}")
        check(b"BAD1" in hub.cli("deadletter", "show", letters[0]["id"], *hub.as_role("clinician")).encode() or
              b"BAD1" in hub.cli("deadletter", "show", letters[1]["id"], *hub.as_role("clinician")).encode(), "the original is not there")
        resolved = letters[0]["id"]
        hub.cli("deadletter", "resolve", resolved, "--reason", "test")
        sent(hub, "R", 100)
        hub.json("log", "retain", "--keep", "0s")
        gone, = [l for l in hub.json("deadletter", "list") if l["id"] == resolved]
        check((gone["state"], "retired" in gone) == ("resolved", True), f"a resolved letter whose record went: {gone}")
        _, err = run("deadletter", "show", resolved, cwd=hub.dir, expect=1)
        check("removed from the event log" in err, f"deadletter show: {err}")
        found = hub.json("message", "find", "--feed", "mllp", "--since", "2020-01-01T00:00:00Z")
        check(len([m for m in found if m["state"] == "rejected"]) == 1, "a carried letter is found once")
        entry = entries(hub, "log-retired")[0]
        check((entry["from"], entry["before"], entry["messages"]) == (1, report["before"], report["messages"]), f"audited: {entry}")
        check([ack_code(a)[0] for a in send_all(hub, messages("M", 20))] == ["AA"] * 20, "the resend")
        check(hub.caught_up()["events"] == 1300, "a resend of a retired message had an effect")
        hub.cli("audit", "verify")
        hub.stop()
        check("retired before record" in hub.cli("audit", "verify", "--events"), "verify does not say what it did not compare")
        no_name_in(hub)
    finally:
        hub.close()


def stores_that_are_lost_or_damaged_come_back_from_the_snapshot():
    hub, before, _ = retired_hub()
    try:
        sent(hub, "T", 100)
        before = digests(hub)
        for lost in (["index"], ["timeline"], ["index", "timeline"]):
            hub.stop()
            for name in lost:
                shutil.rmtree(path(hub, name))
            hub.start()
            check(digests(hub) == before, f"without {lost} the timeline is another one")
            check([ack_code(a)[0] for a in send_all(hub, messages("M", 5) + messages("T", 5))] == ["AA"] * 10, "the resend")
            status = hub.caught_up()
            check((status["events"], status["deadletters"]) == (1300, 2), f"without {lost}: {status}")
        hub.kill()
        for name in ("index", "timeline"):
            for table in [n for n in os.listdir(path(hub, name)) if n.endswith(".sst")]:
                os.remove(path(hub, name, table))
        hub.start()
        check(digests(hub) == before, "damaged stores were not put back")
        check(hub.log_tail().count("put back") >= 2, "it is not said")
        hub.stop()
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def without_a_snapshot_a_lost_store_is_refused():
    hub, _, _ = retired_hub()
    try:
        hub.stop()
        os.rename(path(hub, "snapshots"), path(hub, "away"))
        for name in ("index", "timeline"):
            os.rename(path(hub, name), path(hub, name + ".away"))
            _, err = run("status", cwd=hub.dir, expect=1)
            check("snapshot" in err and "restore" in err, f"{name}: {err}")
            shutil.rmtree(path(hub, name), ignore_errors=True)
            os.rename(path(hub, name + ".away"), path(hub, name))
        os.rename(path(hub, "away"), path(hub, "snapshots"))
        hub.start()
        hub.stop()
    finally:
        hub.close()


def a_damaged_snapshot_is_not_used():
    hub, _, _ = retired_hub()
    try:
        hub.stop()
        folder = path(hub, "snapshots", os.listdir(path(hub, "snapshots"))[0], "timeline")
        table = max((n for n in os.listdir(folder) if n.endswith(".sst")), key=lambda n: os.path.getsize(os.path.join(folder, n)))
        shutil.rmtree(path(hub, "timeline"))
        with open(os.path.join(folder, table), "r+b") as f:
            f.seek(os.path.getsize(os.path.join(folder, table)) // 3)
            f.write(b"\xff" * 64)
        _, err = run("status", cwd=hub.dir, expect=1)
        check("restore" in err, err)
    finally:
        hub.close()


def the_audit_log_outlives_its_quick_start_and_says_what_it_cannot_rebuild():
    hub, _, _ = retired_hub()
    try:
        hub.stop()
        os.remove(path(hub, "audit", "state"))
        hub.start()
        sent(hub, "S", 10)
        hub.stop()
        hub.cli("audit", "verify", "--events")
        os.rename(path(hub, "audit"), path(hub, "audit.away"))
        _, err = run("status", cwd=hub.dir, expect=1)
        check("audit folder" in err and "retired" in err, err)
        shutil.rmtree(path(hub, "audit"), ignore_errors=True)
        os.rename(path(hub, "audit.away"), path(hub, "audit"))
        # an operator who removes records by hand and forges the log's start is found out
        sent_by = segments(hub)
        hub.start()
        sent(hub, "U", 300)
        hub.stop()
        check(segments(hub) != sent_by, "no segment was added")
        os.remove(path(hub, "log", f"{segments(hub)[0]:020d}.seg"))
        _, err = run("status", cwd=hub.dir, expect=1)
        check("segments are missing" in err, err)
    finally:
        hub.close()


def segments_go_by_themselves_by_size():
    hub = started("log: {max_bytes: 3MiB, snapshot: 1s}\n")
    try:
        sent(hub, "M", 800)
        before = digests(hub)
        wait_for(lambda: hub.json("log", "show")["bytes"] <= 3 * 1024 * 1024, "the log stays too large", 40)
        shown = hub.json("log", "show")
        check(shown["first"] > 1 and shown["retired"]["last_rule"] == "max_bytes=3MiB", f"shown: {shown}")
        check(digests(hub) == before, "the timeline changed")
        hub.stop()
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def segments_go_by_themselves_by_age_and_the_rule_can_be_reloaded():
    hub = started()
    try:
        sent(hub, "M", 300)
        time.sleep(2.5)
        check(hub.json("log", "show")["first"] == 1, "something went without a rule")
        _, err = run("log", "retain", cwd=hub.dir, expect=None)
        check("kept" in err or "keeps" in err, f"retain without a rule: {err}")
        with open(os.path.join(hub.dir, "hub.yaml"), "a", encoding="utf-8") as f:
            f.write("log: {keep: 2s, snapshot: 1s}\n")
        hub.process.send_signal(signal.SIGHUP)
        wait_for(lambda: hub.json("log", "show")["retired"]["messages"] >= 300, "old records stay, the tail too", 40)
        hub.stop()
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def a_full_log_leaves_senders_waiting_until_there_is_room():
    hub = Hub()
    hub.edit(*SEGMENTS)
    hub.edit("segment_bytes: 1MiB,", "segment_bytes: 1MiB, log_bytes: 4MiB,")
    hub.start()
    try:
        sender = hub.connect(timeout=3)
        acked = 0
        try:
            for message in messages("Q", 2000):
                check(ack_code(sender.exchange(message))[0] == "AA", "refused")
                acked += 1
        except TimeoutError:
            pass
        check(100 < acked < 2000, f"{acked} messages went into a log of 4 MiB")
        status = hub.json("status")
        check(status["space"] == "full" and "log_bytes" in status["space_why"] and status["events"] == acked, f"status: {status}")
        time.sleep(0.5)
        check(hub.log_tail().count("no space") == 1, f"said more than once: {hub.log_tail()}")
        check(hub.json("timeline", "--list"), "reading does not go on")
        hub.json("log", "retain", "--keep", "0s")
        check(ack_code(sender.receive()) == ("AA", f"Q{acked}"), "the message that waited is not answered on its connection")
        check(ack_code(sender.exchange(adt("AFTER")))[0] == "AA", "it does not go on")
        sender.close()
        status = hub.caught_up()
        check(status["space"] == "ok" and "space_why" not in status and status["events"] == acked + 2, f"status: {status}")
        check(hub.log_tail().count("there is space again") == 1, hub.log_tail())
        hub.stop()
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def a_full_hub_stops_without_waiting_for_room():
    hub = Hub()
    hub.edit("{message_bytes: 16MiB,", "{message_bytes: 16MiB, log_bytes: 1,")
    hub.start()
    try:
        sender = hub.connect(timeout=1)
        sender.send(adt("NEVER"))
        wait_for(lambda: hub.json("status")["space"] == "full", "not full")
        begin = time.monotonic()
        hub.stop()
        check(time.monotonic() - begin < 8, "the stop waited for a message that cannot be stored")
    finally:
        hub.close()


def a_clock_far_ahead_removes_nothing_and_is_said():
    hub = Hub()
    hub.edit(*SEGMENTS)
    with open(os.path.join(hub.dir, "hub.yaml"), "a", encoding="utf-8") as f:
        f.write("log: {keep: 30d, snapshot: 1s}\n")
    try:
        library = shim(hub.base, "failing_disk")
        offset = os.path.join(hub.base, "offset")
        env = {"LD_PRELOAD": library, "CHARTLINE_CLOCK_BACK": offset}

        def set_clock(seconds_back):
            with open(offset + ".new", "w", encoding="ascii") as f:
                f.write(str(seconds_back))
            os.rename(offset + ".new", offset)

        set_clock(0)
        hub.start(env=env)
        sent(hub, "A", 400)
        set_clock(-10 * 365 * 86400)
        wait_for(lambda: hub.json("status")["clock"] == "ahead", "the jump is not seen", 20)
        sent(hub, "B", 100)
        check(hub.json("log", "retain")["before"] == 1, "records were removed by a clock that jumped")
        check(hub.log_tail().count("the clock was set forward") == 1, hub.log_tail())
        hub.stop()
        hub.start(env=env)  # a restart does not make it true
        check(hub.json("status")["clock"] == "ahead", "forgotten over a restart")
        check(hub.json("log", "retain")["before"] == 1, "records were removed after a restart")
        set_clock(0)
        wait_for(lambda: hub.json("status")["clock"] == "behind", "the step back is not seen", 20)
        sent(hub, "C", 100)
        recorded = [m["recorded"] for m in hub.json("message", "find", "--feed", "mllp")]
        check(len(recorded) == 600 and all(a < b for a, b in zip(recorded, recorded[1:])), "recorded times do not increase")
        check(hub.json("log", "retain")["before"] == 1, "records were removed")
        check(hub.log_tail().count("the clock was set back") == 1, hub.log_tail())
        hub.caught_up()
        hub.stop()
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def duplicates_of_retired_messages_are_known_for_as_long_as_is_configured():
    hub = started()
    try:
        sent(hub, "M", 300)
        check([ack_code(a)[0] for a in send_all(hub, [adt("BAD1", version="9.9")])] == ["AR"], "a bad one")
        sent(hub, "N", 300)
        before = digests(hub)
        hub.json("log", "retain", "--keep", "0s")
        sent(hub, "M", 50)
        check(hub.caught_up()["events"] == 600, "a duplicate had an effect")
        with open(os.path.join(hub.dir, "hub.yaml"), "a", encoding="utf-8") as f:
            f.write("log: {dedup: 1s}\n")
        hub.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "read anew" in hub.log_tail(), "not reloaded")
        time.sleep(2)
        hub.json("log", "retain", "--keep", "0s")
        check(hub.json("message", "find", "--control-id", "M200") == [], "what did not come again is still known")
        check(len(hub.json("deadletter", "list")) == 1, "an open dead letter is forgotten")
        sent(hub, "M", 300)  # stored once more: no second effect in the timeline
        check(hub.caught_up()["events"] == 900, "not all was forgotten, or more")
        check(hub.cli("timeline", "--digest", "content") == before[1], "a second effect")
        hub.stop()
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def a_snapshot_without_its_whole_manifest_is_none():
    hub, before, _ = retired_hub(300)
    try:
        hub.stop()
        folder = path(hub, "snapshots", [n for n in os.listdir(path(hub, "snapshots")) if n.isdigit()][0])
        manifest = os.path.join(folder, "manifest")
        with open(manifest, "rb") as f:
            whole = f.read()
        away = path(hub, "timeline.away")
        os.rename(path(hub, "timeline"), away)
        for cut in range(0, len(whole), 37):
            with open(manifest, "wb") as f:
                f.write(whole[:cut])
            _, err = run("status", cwd=hub.dir, expect=1)
            check("no snapshot is left" in err, f"cut to {cut}: {err}")
            shutil.rmtree(path(hub, "timeline"), ignore_errors=True)
        with open(manifest, "wb") as f:
            f.write(whole)
        hub.start()
        check(digests(hub) == before, "the whole one is not used")
        hub.stop()
        # what a crash left of another one goes, and does no harm
        half = path(hub, "snapshots", "0000000099")
        shutil.copytree(folder, half)
        os.remove(os.path.join(half, "manifest"))
        hub.start()
        check(not os.path.exists(half), "a part of a snapshot stays")
        hub.stop()
    finally:
        hub.close()


if __name__ == "__main__":
    main([what_was_retired_is_said_and_all_else_stays, stores_that_are_lost_or_damaged_come_back_from_the_snapshot,
          without_a_snapshot_a_lost_store_is_refused, a_damaged_snapshot_is_not_used,
          the_audit_log_outlives_its_quick_start_and_says_what_it_cannot_rebuild, segments_go_by_themselves_by_size,
          segments_go_by_themselves_by_age_and_the_rule_can_be_reloaded, a_full_log_leaves_senders_waiting_until_there_is_room,
          a_full_hub_stops_without_waiting_for_room, a_clock_far_ahead_removes_nothing_and_is_said,
          duplicates_of_retired_messages_are_known_for_as_long_as_is_configured,
          a_snapshot_without_its_whole_manifest_is_none])
