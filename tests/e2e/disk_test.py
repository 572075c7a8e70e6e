#!/usr/bin/env python3
"""The disk fails, fills up, is rolled back, or holds something else: no false ACK, nothing acknowledged lost, clear words."""
from harness import *
from attacks import *


def send_until_silent(hub, prefix, count=2000, timeout=3):
    """Sends one message after the other until no answer comes; the control ids that were acknowledged."""
    acked = []
    try:
        sender = hub.connect(timeout=timeout)
        for i in range(count):
            code, control = ack_code(sender.exchange(adt(f"{prefix}{i}", mrn=str(71000 + i % 50))))
            check(code == "AA", f"answered {code}")
            acked.append(control)
    except OSError:
        pass
    else:
        sender.close()
    return acked


def all_there(hub, controls):
    for control in controls:
        found = hub.json("message", "find", "--control-id", control)
        check(len(found) == 1 and found[0]["answer"] == "AA", f"{control} was acknowledged and is not there")


def a_failed_fsync_ends_the_hub_and_loses_nothing():
    for where in ("/data/log", ""):
        hub = Hub()
        try:
            library = shim(hub.base, "failing_disk")
            trigger = os.path.join(hub.base, "fail")
            env = {"LD_PRELOAD": library, "CHARTLINE_FAIL_SYNC": trigger, **({"CHARTLINE_FAIL_WHERE": where} if where else {})}
            hub.start(env=env)
            before = send_until_silent(hub, "OK", 50)
            check(len(before) == 50, "before the failure")
            open(trigger, "w", encoding="ascii").close()
            check(send_until_silent(hub, "BAD", 50) == [], "an ACK after a failed fsync")
            code = ends(hub)
            check(code == 1, f"exit {code}")
            check("fatal" in hub.log_tail() and NAME not in hub.log_tail(), f"what it says: {hub.log_tail()}")
            os.remove(trigger)
            hub.start()
            all_there(hub, before[-3:])
            again = send_until_silent(hub, "OK", 50) + send_until_silent(hub, "BAD", 50)
            check(len(again) == 100, "the resend")
            status = hub.caught_up()
            check(status["events"] == 100, f"{status['events']} events for 100 messages")
            hub.stop()
            hub.cli("audit", "verify", "--events")
        finally:
            hub.close()


def a_full_quota_stops_acknowledgements_until_there_is_room():
    hub = Hub()
    try:
        hub.start()
        used = disk_bytes(hub)  # the stores reserve room for what they are about to write
        hub.stop()
        hub.edit("idle: 10m", f"idle: 10m, data_bytes: {used + 3 * 1024 * 1024}")
        hub.start()
        acked = []
        for batch in range(20):
            got = send_until_silent(hub, f"Q{batch}-", 1000, timeout=2)
            acked += got
            if len(got) < 1000:
                break
        check(batch < 19 and acked, f"{len(acked)} messages went into a quota of 3 MiB")
        check(hub.process.poll() is None, "the hub ended")
        check(hub.json("status")["events"] == len(acked), "an event without an ACK, or the other way round")
        hub.json("timeline", "--list")  # reading (and its audit entry) still works
        hub.stop()
        hub.edit(f"data_bytes: {used + 3 * 1024 * 1024}", "data_bytes: 0")
        hub.start()
        accepted(hub, "ROOM")
        all_there(hub, acked[-2:])
        hub.stop()
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def a_full_file_system_loses_nothing_and_the_hub_goes_on(reserve="1MiB"):
    hub = Hub()
    data = os.path.join(hub.dir, "data")
    os.makedirs(data, exist_ok=True)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m,mode=700", "none", data], capture_output=True).returncode != 0:
        hub.close()
        skip("mounting a small tmpfs needs root", apart=True)
    try:
        hub.edit("idle: 10m", f"idle: 10m, reserve_bytes: {reserve}, segment_bytes: 1MiB")
        hub.start()
        acked = send_until_silent(hub, "A", 100)
        check(len(acked) == 100, "before it is full")
        filler = os.path.join(data, "filler")
        with open(filler, "wb", buffering=0) as f:
            try:
                while True:
                    check(f.write(b"\0" * 65536) != 0, "nothing was written")
            except OSError:
                pass
        more = send_until_silent(hub, "B", 3000)
        check(len(more) < 3000, "acknowledged on a full disk")
        ended = hub.process.poll() is not None
        if ended:
            check(ends(hub) == 1, "an odd exit code")
        os.remove(filler)
        if ended:
            hub.start()
        wait_for(lambda: len(send_until_silent(hub, "C", 1)) == 1, "the hub does not go on when there is room again", 20)
        again = send_until_silent(hub, "A", 100) + send_until_silent(hub, "B", len(more) + 20)
        check(len(again) == 100 + len(more) + 20, "the resend")
        status = hub.caught_up()
        check(status["events"] == 100 + len(more) + 20 + 1 and status["timeline"] == "ok", f"status: {status}")
        all_there(hub, acked[-1:] + more[-1:])
        hub.stop()
        hub.cli("audit", "verify", "--events")
        no_name_in(hub)
        print(f"     reserve {reserve}: {len(more)} more were acknowledged{', then the hub ended' if ended else ''}", flush=True)
    finally:
        hub.kill()
        subprocess.run(["umount", "-l", data], check=False)
        hub.close()


def a_full_file_system_without_reserve_loses_nothing():
    a_full_file_system_loses_nothing_and_the_hub_goes_on("0")


def a_disk_that_fills_up_in_the_middle_of_a_write_loses_nothing():
    for where in ("/data/log", "/data/index", "/data/timeline", "/data/audit", "/data/"):
        hub = Hub()
        try:
            library = shim(hub.base, "failing_disk")
            full = os.path.join(hub.base, "full")
            env = {"LD_PRELOAD": library, "CHARTLINE_FULL": full, "CHARTLINE_FAIL_WHERE": where}
            hub.start(env=env)
            before = send_until_silent(hub, "A", 30)
            open(full, "w", encoding="ascii").close()
            during = send_until_silent(hub, "B", 30, timeout=1.5)
            check(not during or "log" not in where, "acknowledged without room in the event log")
            time.sleep(0.3)
            os.remove(full)
            ended = hub.process.poll() is not None
            if ended:
                check(ends(hub) == 1 and "fatal" in hub.log_tail(), f"how it ended: {hub.log_tail()}")
                hub.start(env=env)
            check(not ended, f"{where}: the hub ended where it could have waited: {hub.log_tail()}")
            try:
                wait_for(lambda: len(send_until_silent(hub, "C", 1, timeout=3)) == 1, f"{where}: no answer when there is room again", 10)
            except Failed:
                check(hub.process.poll() is not None, f"{where}: the hub neither goes on nor ends")
                check(ends(hub) == 1, "an odd exit code")
                ended = True
                hub.start(env=env)
            again = send_until_silent(hub, "A", 30) + send_until_silent(hub, "B", 30) + send_until_silent(hub, "C", 1)
            check(len(again) == 61 and len(before) == 30, f"{where}: the resend: {len(again)}")
            all_there(hub, before[-1:] + during[-1:])
            status = hub.json("status")
            check(status["events"] == 61, f"{where}: {status['events']} events for 61 messages")
            hub.caught_up(20)
            wait_for(lambda: hub.json("status")["timeline"] == "ok", f"{where}: the timeline does not go on by itself", 20)
            hub.stop()
            hub.cli("audit", "verify", "--events")
            print(f"     {where}: {len(during)} answered while full{', the hub ended' if ended else ''}", flush=True)
        finally:
            hub.close()


def an_older_copy_of_the_data_is_noticed():
    hub = Hub().start()
    try:
        send_until_silent(hub, "OLD", 30)
        hub.stop()
        data, old = os.path.join(hub.dir, "data"), os.path.join(hub.base, "old")
        shutil.copytree(data, old)
        vkey, since = os.path.join(hub.base, "vkey"), os.path.join(hub.base, "since")
        hub.start()
        send_until_silent(hub, "NEW", 30)
        hub.stop()
        shutil.copy(os.path.join(data, "audit", "vkey"), vkey)
        shutil.copy(os.path.join(data, "audit", "checkpoint"), since)
        newest = os.path.join(hub.base, "newest")
        os.rename(data, newest)
        # the log alone
        shutil.copytree(newest, data)
        shutil.rmtree(os.path.join(data, "log"))
        shutil.copytree(os.path.join(old, "log"), os.path.join(data, "log"))
        does_not_start(hub, 1, "event log ends before")
        # everything: only what was remembered outside can tell
        shutil.rmtree(data)
        shutil.copytree(old, data)
        out = hub.cli("audit", "verify", "--vkey", vkey, "--since", since, expect=1)
        check("FAIL" in out, f"verify: {out}")
        # the derived stores lost: rebuilt
        shutil.rmtree(data)
        shutil.copytree(newest, data)
        digest = hub.cli("timeline", "--digest").strip()
        for name in os.listdir(data):
            if name not in ("log", "audit", "lock"):
                shutil.rmtree(os.path.join(data, name))
        check(hub.cli("timeline", "--digest").strip() == digest, "the rebuilt timeline is another one")
        check(hub.json("status")["events"] == 60, "events after the rebuild")
        hub.start()
        check(ack_code(hub.connect().exchange(adt("NEW7", mrn="71007"))) == ("AA", "NEW7"), "the resend after the rebuild")
        check(hub.json("status")["events"] == 60, "a repeat became an event after the rebuild")
        # the audit tree lost as well: rebuilt from the log, the same
        hub.stop()
        shutil.rmtree(os.path.join(data, "audit"))
        hub.start()
        hub.stop()
        hub.cli("audit", "verify", "--vkey", vkey, "--since", since, "--events")
    finally:
        hub.close()


def what_is_missing_or_wrong_is_named_and_nothing_starts():
    hub = Hub().start()
    try:
        send_until_silent(hub, "A", 5)
        err = does_not_start(hub, 1, "another process", "data")
        check(err.count("\n") <= 3, f"many words: {err}")
        run("run", cwd=hub.dir, expect=1, timeout=30)
        accepted(hub, "STILL")
        hub.stop()
        root, store = os.path.join(hub.dir, "keys", "root.key"), os.path.join(hub.dir, "keys", "store")
        os.rename(root, root + ".away")
        does_not_start(hub, 2, "root.key")
        check("root" in hub.cli("check", expect=2), "check says nothing of the root key")
        with open(root, "w", encoding="ascii") as f:
            f.write("ab" * 32 + "\n")
        os.chmod(root, 0o600)
        err = does_not_start(hub, None, "root key")
        hub.cli("timeline", "--list", expect=None)
        os.rename(root + ".away", root)
        os.rename(store, store + ".away")
        does_not_start(hub, None, "key store")
        check(not os.path.exists(store) or not os.listdir(store), "a new key store beside old data")
        if os.path.exists(store):
            os.rmdir(store)
        os.rename(store + ".away", store)
        hub.start()
        check(hub.json("status")["events"] == 6, "after all is back")
        hub.stop()
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def a_changed_byte_of_the_log_is_refused_with_its_place():
    hub = Hub()
    try:
        hub.edit("idle: 10m", "idle: 10m, segment_bytes: 1MiB")
        hub.start()
        send_until_silent(hub, "A", 40)
        hub.stop()
        folder = os.path.join(hub.dir, "data", "log")
        path = max((os.path.join(folder, n) for n in os.listdir(folder)), key=os.path.getsize)
        with open(path, "rb") as f:
            good = f.read()
        used = len(good.rstrip(b"\0"))
        for at in (used // 4, used // 2, used * 3 // 4):
            with open(path, "r+b") as f:
                f.seek(at)
                f.write(bytes([good[at] ^ 0x20]))
            err = does_not_start(hub, 1, os.path.basename(path))
            check("damaged" in err and any(c.isdigit() for c in err.replace(os.path.basename(path), "")), f"no offset: {err}")
            out, err = run("status", cwd=hub.dir, expect=1)
            check(out == "" and "damaged" in err, f"status on a damaged log: {out} {err}")
            with open(path, "wb") as f:
                f.write(good)
        with open(path, "wb") as f:  # the end torn off: only what was acknowledged counts
            f.write(good[:used - 10])
        run("status", cwd=hub.dir, expect=None)
        with open(path, "wb") as f:
            f.write(good)
        hub.start()
        check(hub.json("status")["events"] == 40, "the mended log")
    finally:
        hub.close()


def a_read_only_data_directory_is_refused():
    hub = Hub().start()
    try:
        send_until_silent(hub, "A", 3)
        hub.stop()
        data = os.path.join(hub.dir, "data")
        if os.geteuid() != 0 or subprocess.run(["mount", "--bind", data, data], capture_output=True).returncode != 0:
            skip("a read-only mount needs root", apart=True)
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind", data], check=True)
            does_not_start(hub, 1, "data")
            run("timeline", "--list", cwd=hub.dir, expect=1)  # no entry, no data
        finally:
            subprocess.run(["umount", "-l", data], check=False)
        hub.start()
    finally:
        hub.close()


def a_clock_that_steps_back_does_not_turn_recorded_times():
    hub = Hub()
    try:
        library = shim(hub.base, "failing_disk")
        back = os.path.join(hub.base, "back")
        env = {"LD_PRELOAD": library, "CHARTLINE_CLOCK_BACK": back}
        hub.start(env=env)
        send_until_silent(hub, "A", 20)
        with open(back, "w", encoding="ascii") as f:
            f.write("7200\n")
        send_until_silent(hub, "B", 20)
        hub.kill()
        hub.start(env=env)
        send_until_silent(hub, "C", 20)
        rows = {r["control_id"] if "control_id" in r else r["id"]: r for r in hub.json("message", "find", "--feed", "mllp")}
        times = []
        for prefix in "ABC":
            for i in range(20):
                found = hub.json("message", "find", "--control-id", f"{prefix}{i}") if i in (0, 19) else []
                times += [f["recorded"] for f in found]
        check(len(rows) == 60 and len(times) == 6, f"{len(rows)} rows, {len(times)} times")
        check(all(a < b for a, b in zip(times, times[1:])), f"recorded times turn back: {times}")
        all_times = [r["recorded"] for r in rows.values()]
        check(len(set(all_times)) == 60, "equal recorded times")
        hub.stop()
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


if __name__ == "__main__":
    main([a_failed_fsync_ends_the_hub_and_loses_nothing, a_full_quota_stops_acknowledgements_until_there_is_room,
          a_full_file_system_loses_nothing_and_the_hub_goes_on, a_full_file_system_without_reserve_loses_nothing,
          a_disk_that_fills_up_in_the_middle_of_a_write_loses_nothing, an_older_copy_of_the_data_is_noticed,
          what_is_missing_or_wrong_is_named_and_nothing_starts, a_changed_byte_of_the_log_is_refused_with_its_place,
          a_read_only_data_directory_is_refused, a_clock_that_steps_back_does_not_turn_recorded_times])
