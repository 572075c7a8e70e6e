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
        hub.stop()
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


if __name__ == "__main__":
    if shutil.which("openssl") is None:
        print("SKIP: no openssl program (package openssl)")
        sys.exit(0)
    main([a_reload_takes_new_certificates_and_drops_no_connection, names_that_may_connect_change_with_a_reload,
          a_bad_configuration_is_refused_as_a_whole, what_needs_a_restart_is_said_and_keeps_its_value,
          reloads_under_load_lose_nothing, a_paused_feed_answers_what_it_took_and_stays_paused_over_restarts,
          a_feed_that_cannot_listen_stays_paused, pausing_under_load_loses_nothing])
