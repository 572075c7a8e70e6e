#!/usr/bin/env python3
"""Operating a hub that runs: reload, pausing feeds, dead letters that are replayed or resolved, watching."""
import signal

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


if __name__ == "__main__":
    if shutil.which("openssl") is None:
        print("SKIP: no openssl program (package openssl)")
        sys.exit(0)
    main([a_reload_takes_new_certificates_and_drops_no_connection, names_that_may_connect_change_with_a_reload,
          a_bad_configuration_is_refused_as_a_whole, what_needs_a_restart_is_said_and_keeps_its_value,
          reloads_under_load_lose_nothing])
