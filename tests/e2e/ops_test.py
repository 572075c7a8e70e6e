#!/usr/bin/env python3
"""Operating a hub that runs: reload, pausing feeds, dead letters that are replayed or resolved, watching."""
import signal
import socket

from harness import *
from attacks import *
from tls_test import Authority


def log_text(hub):
    with open(hub.log_path, encoding="utf-8", errors="replace") as f:
        return f.read()


def sighup(hub, expected):
    """Reloads; waits until the log says EXPECTED once more."""
    before = log_text(hub).count(expected)
    hub.process.send_signal(signal.SIGHUP)
    wait_for(lambda: log_text(hub).count(expected) > before, f"the log does not say {expected!r}: {hub.log_tail()}", 20)


RELOADED = "the configuration was read anew"
REFUSED = "the last good configuration stays in force"


def server_certificate(hub):
    sender = hub.connect()
    try:
        return sender.socket.getpeercert(binary_form=True)
    finally:
        sender.close()


def a_reload_takes_new_certificates_and_drops_no_connection():
    hub = Hub()
    try:
        made = os.path.join(hub.base, "made")
        os.mkdir(made)
        authority = Authority(made, "fresh")
        authority.issue("hub", "localhost", use="server")
        certs = os.path.join(hub.dir, "certs")
        with open(authority.path("fresh.pem"), "rb") as f, open(os.path.join(certs, "ca.pem"), "ab") as ca:
            ca.write(f.read())
        hub.start()
        open_before = hub.connect()
        check(ack_code(open_before.exchange(adt("BEFORE")))[0] == "AA", "no answer before")
        old = server_certificate(hub)
        for name in ("hub.pem", "hub.key"):
            shutil.copy(os.path.join(made, name), os.path.join(certs, name))
        sighup(hub, RELOADED)
        check(ack_code(open_before.exchange(adt("AFTER")))[0] == "AA", "the open connection suffered")
        check(server_certificate(hub) != old, "the old certificate is still shown")
        accepted(hub, "NEW")
        with open(os.path.join(certs, "hub.key"), "w", encoding="ascii") as f:
            f.write("not a key\n")
        sighup(hub, REFUSED)
        accepted(hub, "STILL")
        check(ack_code(open_before.exchange(adt("LAST")))[0] == "AA", "the open connection suffered")
        open_before.close()
        check(len(entries(hub, "config-loaded")) == 2, "one start and one reload")
        check(len(entries(hub, "policy-loaded")) == 3, "two policies at the start, one at the reload")
    finally:
        hub.close()


def names_that_may_connect_change_with_a_reload():
    hub = Hub().start()
    try:
        accepted(hub, "BEFORE")
        hub.edit("CN=sender", "CN=somebody")
        sighup(hub, RELOADED)
        try:
            sender = hub.connect()
            sender.exchange(adt("EVIL"))
            raise Failed("a name that is not allowed any more got in")
        except OSError:
            pass
        hub.edit("CN=somebody", "CN=sender")
        sighup(hub, RELOADED)
        accepted(hub, "AGAIN")
    finally:
        hub.close()


def a_name_taken_off_the_list_is_closed_behind_its_answers():
    hub = Hub()
    try:
        made = os.path.join(hub.base, "made")
        os.mkdir(made)
        authority = Authority(made, "fresh")
        authority.issue("other", "other")
        with open(authority.path("fresh.pem"), "rb") as f, open(os.path.join(hub.dir, "certs", "ca.pem"), "ab") as ca:
            ca.write(f.read())
        hub.edit('"CN=sender"', '"CN=sender", "CN=other"')
        hub.start()
        context = hub.context(None)
        context.load_cert_chain(authority.path("other.pem"), authority.path("other.key"))
        other, sender = Sender(hub.port, context, 20), hub.connect()
        check(ack_code(other.exchange(adt("O1")))[0] == "AA" and ack_code(sender.exchange(adt("S1")))[0] == "AA", "before")
        for i in range(40):
            other.send(adt(f"P{i}", str(72000 + i)))
        hub.edit(', "CN=other"', "")
        sighup(hub, RELOADED)
        answers = []
        try:
            while True:
                answers.append(ack_code(other.receive()))
        except OSError:
            pass
        check(answers == [("AA", f"P{i}") for i in range(len(answers))], f"{answers}")
        events = hub.json("status")["events"]
        check(events == 2 + len(answers), f"{events} events and {len(answers) + 2} answers")
        check(ack_code(sender.exchange(adt("S2")))[0] == "AA", "the other name's connection suffered")
        try:
            Sender(hub.port, context, 5).exchange(adt("O2"))
            raise Failed("a name off the list gets in")
        except OSError:
            pass
        wait_for(lambda: any("any more" in e["reason"] for e in entries(hub, "login-refused")), "the closed connection is not audited")
        sender.close()
    finally:
        hub.close()


def a_connection_sends_as_its_own_applications_only():
    def from_(control, application, facility="NORTH"):
        return adt(control).replace(b"|EHR|NORTH|", f"|{application}|{facility}|".encode(), 1)

    hub = Hub()
    try:
        hub.edit("processing: [P]", 'processing: [P], senders: [{name: "CN=nobody", applications: [EHR]}]')
        check("no connection has this name" in hub.cli("check", expect=2), "a name that no connection has")
        hub.edit('{name: "CN=nobody", applications: [EHR]}', '{name: "CN=sender"}')
        check("bound to nothing" in hub.cli("check", expect=2), "an empty binding")
        hub.edit('{name: "CN=sender"}', '{name: "CN=sender", applications: [EHR, PACS], facilities: [NORTH]}, {name: "CN=sender", applications: [ANY], facilities: [SOUTH]}')
        hub.start()
        sender = hub.connect()
        for message, expected in ((from_("B1", "EHR"), ("AA", "B1", "", "")), (from_("B2", "PACS^1.2^ISO"), ("AA", "B2", "", "")), (from_("B3", "ANY", "SOUTH"), ("AA", "B3", "", "")),
                                  (from_("B4", "LAB"), ("AR", "B4", "MSH^1^3^1", "207")), (from_("B5", "EHR", "WEST"), ("AR", "B5", "MSH^1^4^1", "207")),
                                  (from_("B6", ""), ("AR", "B6", "MSH^1^3^1", "207"))):
            check(answer(sender.exchange(message)) == expected, f"{answer(sender.exchange(message))}, not {expected}")
        batch = sender.exchange(b"BHS|^~\\&|EHR|NORTH\r" + from_("B7", "EHR") + from_("B8", "LAB") + b"BTS|2\r")
        check([l.split(b"|")[1] for l in batch.split(CR) if l.startswith(b"MSA")] == [b"AA", b"AR"], f"in a batch: {batch}")
        found = entries(hub, "message-rejected")
        check({(e["code"], e["at"]) for e in found} == {("denied", "MSH-3"), ("denied", "MSH-4")}, f"{found}")
        check(hub.json("status")["deadletters"] == 4, "refused messages are kept")
        hub.edit("applications: [EHR, PACS], ", "")
        sighup(hub, RELOADED)
        check(ack_code(sender.exchange(from_("B4", "LAB")))[0] == "AA", "after the binding was widened")
        sender.close()
    finally:
        hub.close()


def a_bad_configuration_is_refused_as_a_whole():
    hub = Hub().start()
    try:
        first = [e["sha256"] for e in entries(hub, "config-loaded")]
        hub.edit("CN=sender", "CN=somebody")
        hub.edit("hub:", "nonsense: 1\nhub:")
        sighup(hub, REFUSED)
        check("nonsense" in hub.log_tail() and "hub.yaml:" in hub.log_tail(), f"the log names no problem: {hub.log_tail()}")
        accepted(hub, "LASTGOOD")
        hub.edit("nonsense: 1\n", "")
        check([e["sha256"] for e in entries(hub, "config-loaded")] == first, "a refused configuration is audited as loaded")
        hub.edit("CN=somebody", "CN=sender")
        policy = os.path.join(hub.dir, "policies", "protect", "default.yaml")
        with open(policy, encoding="utf-8") as f:
            good = f.read()
        with open(policy, "w", encoding="utf-8") as f:
            f.write("rubbish: [\n")
        sighup(hub, REFUSED)
        accepted(hub, "LASTPOLICY")
        with open(policy, "w", encoding="utf-8") as f:
            f.write(good + "\n# changed\n")
        sighup(hub, RELOADED)
        accepted(hub, "NEWPOLICY")
        hashes = [e["sha256"] for e in entries(hub, "policy-loaded") if e.get("what") == "protect"]
        check(len(hashes) == 2 and hashes[0] != hashes[1], f"the policy's hashes: {hashes}")
        hub.caught_up()
        hub.stop()
        hub.cli("audit", "verify")
    finally:
        hub.close()


def what_needs_a_restart_is_said_and_keeps_its_value():
    hub = Hub().start()
    try:
        port = free_port()
        hub.edit(f"127.0.0.1:{hub.port}", f"127.0.0.1:{port}")
        sighup(hub, "needs a restart")
        check("listen" in hub.log_tail(), f"the log does not say what: {hub.log_tail()}")
        wait_for(lambda: log_text(hub).count(RELOADED) == 1, "not reloaded")
        accepted(hub, "OLDPORT")
        hub.edit(f"127.0.0.1:{port}", f"127.0.0.1:{hub.port}")
        sighup(hub, RELOADED)
        check(log_text(hub).count("needs a restart") == 1, "said again")
    finally:
        hub.close()


def reloads_under_load_lose_nothing():
    hub = Hub().start()
    try:
        messages = [adt(f"L{i}") for i in range(400)]
        done = []
        thread = threading.Thread(target=lambda: done.extend(send_all(hub, messages)))
        thread.start()
        for _ in range(5):
            sighup(hub, RELOADED)
        thread.join()
        check([ack_code(a)[0] for a in done] == ["AA"] * len(messages), "a message got another answer")
        check(hub.caught_up()["events"] == len(messages), "events are missing")
    finally:
        hub.close()


def closed(hub):
    """True when nobody listens on the feed's port."""
    try:
        socket.create_connection(("127.0.0.1", hub.port), timeout=2).close()
        return False
    except ConnectionRefusedError:
        return True


def feed_state(hub):
    return hub.json("status")["feeds"][0]["state"]


def a_paused_feed_answers_what_it_took_and_stays_paused_over_restarts():
    hub = Hub().start()
    try:
        sender = hub.connect()
        check(ack_code(sender.exchange(adt("BEFORE")))[0] == "AA", "no answer before")
        check(hub.json("feed", "pause", "mllp") == {"name": "mllp", "state": "paused"}, "the answer")
        check(closed(hub), "a paused feed listens")
        check(feed_state(hub) == "paused" and hub.json("status")["connections"] == 0, "the status of a paused feed")
        try:
            sender.exchange(adt("DURING"))
            raise Failed("a paused feed answers")
        except OSError:
            pass
        check(hub.cli("feed", "pause", "mllp").strip() == "mllp: paused", "pausing twice")
        sighup(hub, RELOADED)
        check(closed(hub), "a reload opened a paused feed")
        begin = time.monotonic()
        hub.stop()
        check(time.monotonic() - begin < 4, "a paused feed holds up the stop") # the peer keeps its end open
        hub.start()
        check(closed(hub) and feed_state(hub) == "paused", "a restart opened a paused feed")
        hub.kill()
        check(feed_state(hub) == "paused", "a kill forgot the pause")
        shutil.rmtree(os.path.join(hub.dir, "data", "index"))
        hub.start()
        check(closed(hub), "the log alone does not know of the pause")
        hub.cli("feed", "resume", "mllp")
        check(feed_state(hub) == "listening", "the status of a resumed feed")
        accepted(hub, "AFTER")
        hub.stop()
        hub.cli("feed", "pause", "mllp")
        check(feed_state(hub) == "paused", "pausing without a hub")
        hub.cli("feed", "resume", "mllp")
        check(feed_state(hub) == "stopped", "resuming without a hub")
        kinds = [e["kind"] for e in entries(hub) if e["kind"].startswith("feed-")]
        check(kinds == ["feed-paused", "feed-resumed"] * 2, f"audited: {kinds}")
        check(all(e["feed"] == "mllp" and e["who"].startswith("uid ") for e in entries(hub) if e["kind"].startswith("feed-")), "who and what")
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def a_feed_that_cannot_listen_stays_paused():
    hub = Hub().start()
    try:
        _, err = run("feed", "pause", "nosuch", cwd=hub.dir, expect=1)
        check("no such feed" in err, f"an unknown feed: {err}")
        hub.cli("feed", "pause", "mllp")
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", hub.port))
            taken.listen()
            _, err = run("feed", "resume", "mllp", cwd=hub.dir, expect=1)
            check("listens on this address" in err, f"the reason: {err}")
            check(feed_state(hub) == "paused", "it counts as resumed")
        hub.cli("feed", "resume", "mllp")
        accepted(hub, "AFTER")
    finally:
        hub.close()


def pausing_under_load_loses_nothing():
    hub = Hub().start()
    try:
        answered = []
        stop = threading.Event()

        def send():
            n = 0
            while not stop.is_set():
                try:
                    sender = hub.connect(timeout=5)
                    while not stop.is_set():
                        control = f"P{n}"
                        if ack_code(sender.exchange(adt(control))) == ("AA", control):
                            answered.append(control)
                            n += 1
                except OSError:
                    time.sleep(0.01)

        thread = threading.Thread(target=send)
        thread.start()
        for _ in range(4):
            time.sleep(0.2)
            hub.cli("feed", "pause", "mllp")
            hub.cli("feed", "resume", "mllp")
        wanted = len(answered) + 10
        wait_for(lambda: len(answered) > wanted, "it does not go on")
        stop.set()
        thread.join()
        status = hub.caught_up()
        check(status["events"] in (len(answered), len(answered) + 1), f"{len(answered)} answered, {status['events']} stored")
    finally:
        hub.close()


def refused(hub, *messages):
    """Sends; every one must be refused."""
    sender = hub.connect()
    try:
        for message in messages:
            code = ack_code(sender.exchange(message))[0]
            check(code in ("AE", "AR"), f"answered {code}")
    finally:
        sender.close()


def letters(hub):
    return {e["id"]: e for e in hub.json("deadletter", "list")}


def take_training(hub):
    """From now on the feed takes MSH-11 T too."""
    hub.edit("processing: [P]", "processing: [P, T]")


def a_dead_letter_is_replayed_with_todays_rules_and_its_resend_is_a_duplicate():
    hub = Hub().start()
    try:
        training = adt("TRAIN", processing="T")
        refused(hub, training, training)
        ident = next(iter(letters(hub)))
        out, err = run("deadletter", "replay", ident, cwd=hub.dir, expect=1)
        check("rejected" in out and "MSH-11" in out, f"why it is refused again: {out}")
        check(letters(hub)[ident]["count"] == 2 and letters(hub)[ident]["state"] == "open", "a replay that fails counts as sent")
        take_training(hub)
        sighup(hub, RELOADED)
        replayed = hub.json("deadletter", "replay", ident)
        check([(r["id"], r["outcome"]) for r in replayed] == [(ident, "accepted")], f"replayed: {replayed}")
        sender = hub.connect()
        check(ack_code(sender.exchange(training)) == ("AA", "TRAIN"), "the resend")
        sender.close()
        status = hub.caught_up()
        check((status["events"], status["deadletters"], status["duplicates"]) == (1, 0, 1), f"counts: {status}")
        check(hub.json("deadletter", "replay", ident)[0]["outcome"] == "duplicate", "replaying twice")
        letter = letters(hub)[ident]
        check(letter["state"] == "resolved" and letter["reason"]["code"] == "unsupported_processing", f"the letter afterwards: {letter}")
        check("Quexwright" in hub.cli("deadletter", "show", ident, *hub.as_role("clinician")), "its original is still there")
        check(len(hub.json("timeline", "--list")) == 1, "one chart")
        outcomes = [e["outcome"] for e in entries(hub, "message-replayed") if e["message"] == ident and e["who"].startswith("uid ")]
        check(outcomes == ["rejected", "accepted", "duplicate"], f"audited: {outcomes}")
        reads = [e for e in entries(hub, "read") if e["op"] == "deadletter.replay"]
        check(len(reads) == 2 and all(e["tokens"] == [ident] and e["classes"] == "raw" for e in reads), f"reads: {reads}")
        run("deadletter", "replay", "nosuch", cwd=hub.dir, expect=1)
        run("deadletter", "replay", cwd=hub.dir, expect=2)
        hub.stop()
        hub.cli("audit", "verify", "--events")
        no_name_in(hub)
    finally:
        hub.close()


def all_dead_letters_are_replayed_in_the_order_they_came():
    hub = Hub().start()
    try:
        refused(hub, *[adt(f"T{i:02}", mrn="70002", processing="T") for i in range(20)], adt("BAD", version="9.9"))
        refused(hub, b"MSH|^~\\&|EHR|NORTH|HUB|NORTH|20260311081700+0000||ADT^A04^ADT_A01|BIG|T|2.5.1\rNTE|1||" + b"x" * (17 << 20) + b"\r")
        take_training(hub)
        hub.stop()
        out, err = run("deadletter", "replay", "--all", "--json", cwd=hub.dir, expect=1)
        outcomes = json.loads(out)
        check([o["outcome"] for o in outcomes] == ["accepted"] * 20 + ["rejected"] * 2, f"outcomes: {outcomes}")
        check("only the beginning" in outcomes[21]["reason"]["text"], f"an oversize letter: {outcomes[21]}")
        hub.start()
        status = hub.caught_up()
        check((status["events"], status["deadletters"]) == (20, 2), f"counts: {status}")
        found = hub.json("message", "find", "--since", "2020-01-01T00:00:00Z")
        accepted_ids = [m["id"] for m in found if m["state"] == "accepted"]
        check(accepted_ids == [o["id"] for o in outcomes[:20]], "another order than they came in")
        hub.cli("audit", "verify", "--events")
        no_name_in(hub)
    finally:
        hub.close()


def a_resolved_dead_letter_is_off_the_list_and_its_reason_not_in_the_clear():
    hub = Hub().start()
    try:
        refused(hub, adt("A", processing="T"), adt("B", processing="T"))
        first, second = list(letters(hub))
        run("deadletter", "resolve", first, cwd=hub.dir, expect=2)
        check("--role" in run("deadletter", "show", first, cwd=hub.dir)[1], "nobody says how to open it")
        hub.cli("deadletter", "resolve", first, "--reason", "test")
        check([e["id"] for e in hub.json("deadletter", "list", "--open", "--feed", "mllp")] == [second], "the open ones")
        check(hub.json("deadletter", "list", "--feed", "other") == [], "those of another feed")
        hub.cli("deadletter", "resolve", second, "--reason", f"talked to {NAME} on the phone")
        hub.cli("deadletter", "resolve", second, "--reason", "again")
        run("deadletter", "resolve", "x" * 32, "--reason", "test", cwd=hub.dir, expect=1)
        check(hub.json("status")["deadletters"] == 0, "still counted as open")
        check({e["state"] for e in letters(hub).values()} == {"resolved"}, "the list")
        check(hub.json("deadletter", "replay", "--all") == [], "resolved ones are replayed")
        found = {e["message"]: e for e in entries(hub, "dead-letter-resolved")}
        check(len(found) == 2 and found[first]["reason"] == "test" and "reason_hash" not in found[first], f"audited: {found}")
        check(found[second]["reason"] == "other" and len(found[second]["reason_hash"]) == 32, f"audited: {found}")
        hub.kill()
        shutil.rmtree(os.path.join(hub.dir, "data", "index"))
        hub.start()
        check(hub.json("status")["deadletters"] == 0, "the log alone does not know")
        take_training(hub)
        sighup(hub, RELOADED)
        check(hub.json("deadletter", "replay", first)[0]["outcome"] == "accepted", "one resolved by mistake can be replayed")
        status = hub.json("status")
        check((status["events"], status["deadletters"]) == (1, 0), f"counts: {status}")
        hub.stop()
        hub.cli("audit", "verify", "--events")
        no_name_in(hub)
    finally:
        hub.close()


def watching_prints_a_line_for_each_change_and_ends_with_its_reader():
    hub = Hub().start()
    try:
        watcher = subprocess.Popen([PROGRAM, "status", "--watch"], cwd=hub.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        first = watcher.stdout.readline().decode()
        check("state=running" in first and "events=0" in first and "mllp.state=listening" in first, f"the first line: {first}")
        check("\x1b" not in first, "terminal controls in a pipe")
        accepted(hub, "ONE")
        seen = watcher.stdout.readline().decode()
        while "applied=1" not in seen:
            seen += watcher.stdout.readline().decode()
        check("events=1" in seen and "mllp.accepted=1" in seen and "name=" not in seen, f"after a message: {seen}")
        hub.cli("feed", "pause", "mllp")
        seen = watcher.stdout.readline().decode()
        while "mllp.state=paused" not in seen:
            seen += watcher.stdout.readline().decode()
        check("events=" not in seen, f"what did not change is printed: {seen}")
        watcher.stdout.close()
        check(watcher.wait(10) == 0, "a reader that left is an error")
        watcher.stderr.close()
        lines = subprocess.Popen([PROGRAM, "status", "--watch", "--json"], cwd=hub.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        check(json.loads(lines.stdout.readline())["feeds"][0]["state"] == "paused", "JSON lines")
        hub.stop()
        check(lines.wait(10) == 1, "a hub that ended is none")
        lines.stdout.close()
        lines.stderr.close()
        _, err = run("status", "--watch", cwd=hub.dir, expect=1)
        check("no hub runs" in err, f"without a hub: {err}")
    finally:
        hub.close()


def watching_redraws_on_a_terminal():
    hub = Hub().start()
    try:
        main_end, its_end = os.openpty()
        watcher = subprocess.Popen([PROGRAM, "status", "--watch"], cwd=hub.dir, stdout=its_end, stderr=subprocess.DEVNULL)
        os.close(its_end)
        text = b""
        while b"listening" not in text:
            text += os.read(main_end, 4096)
        check(text.startswith(b"\x1b[H\x1b[J"), f"the screen is not cleared: {text[:40]}")
        watcher.terminate()
        watcher.wait(10)
        os.close(main_end)
    finally:
        hub.close()


def without_space_nothing_is_answered_and_reads_go_on():
    hub = Hub()
    try:
        hub.start()
        accepted(hub, "BEFORE")
        hub.caught_up()
        check(hub.json("status")["space"] == "ok", "the status with space")
        hub.stop()
        hub.edit("idle: 10m", "idle: 10m, reserve_bytes: 1TiB")
        hub.start()
        for control in ("FULL1", "FULL2"):
            sender = hub.connect()
            try:
                got = sender.exchange(adt(control))
                raise Failed(f"answered: {got}")
            except OSError:
                pass
            sender.close()
        check(hub.json("status")["space"] == "full", "the status without space")
        before = len(entries(hub, "read"))
        check(len(hub.json("timeline", "--list")) == 1, "reads do not go on")
        check(len(entries(hub, "read")) == before + 1, "a read without space is not audited")
        hub.stop()
        hub.edit(", reserve_bytes: 1TiB", "")
        hub.start()
        accepted(hub, "FULL1")
        check(hub.caught_up()["events"] == 2 and hub.json("status")["space"] == "ok", "it does not go on")
    finally:
        hub.close()


def the_heap_asks_for_large_pages_where_the_system_gives_them_on_request():
    given = "glibc.malloc.arena_max=8"
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as f:
            asked = "[madvise]" in f.read()
    except OSError:
        asked = False
    hub = Hub()
    try:
        hub.start({"GLIBC_TUNABLES": given})
        accepted(hub, "PAGES")
        with open(f"/proc/{hub.process.pid}/environ", "rb") as f:
            told = f.read().replace(b"\0", b":").decode(errors="replace")  # glibc cuts the list when it has read it
        check(("GLIBC_TUNABLES=glibc.malloc.hugetlb=1:" if asked else "GLIBC_TUNABLES=") + given in told, "the heap is not told, or not what the operator said")
        with open(f"/proc/{hub.process.pid}/comm", encoding="ascii") as f:
            check(f.read().strip() == os.path.basename(os.path.realpath(PROGRAM))[:15], "the process has another name")
        hub.stop()
        hub.start({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"})
        with open(f"/proc/{hub.process.pid}/environ", "rb") as f:
            check(b"GLIBC_TUNABLES=glibc.malloc.hugetlb=0\0" in f.read() + b"\0", "what the operator chose does not stand")
        accepted(hub, "CHOSEN")
        hub.stop()
    finally:
        hub.close()


if __name__ == "__main__":
    if shutil.which("openssl") is None:
        skip_all("no openssl program (package openssl)")
    main([a_reload_takes_new_certificates_and_drops_no_connection, names_that_may_connect_change_with_a_reload, a_name_taken_off_the_list_is_closed_behind_its_answers,
          a_connection_sends_as_its_own_applications_only,
          a_bad_configuration_is_refused_as_a_whole, what_needs_a_restart_is_said_and_keeps_its_value,
          reloads_under_load_lose_nothing, a_paused_feed_answers_what_it_took_and_stays_paused_over_restarts,
          a_feed_that_cannot_listen_stays_paused, pausing_under_load_loses_nothing,
          a_dead_letter_is_replayed_with_todays_rules_and_its_resend_is_a_duplicate,
          all_dead_letters_are_replayed_in_the_order_they_came,
          a_resolved_dead_letter_is_off_the_list_and_its_reason_not_in_the_clear,
          watching_prints_a_line_for_each_change_and_ends_with_its_reader, watching_redraws_on_a_terminal,
          without_space_nothing_is_answered_and_reads_go_on,
          the_heap_asks_for_large_pages_where_the_system_gives_them_on_request])
