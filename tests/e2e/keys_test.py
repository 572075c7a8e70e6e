#!/usr/bin/env python3
"""Keys as an operator meets them: suites, policies of feeds, epochs, roles, shredding."""
from harness import *
from attacks import *
from messages import Hospital

CLINICIAN = ["--role", "clinician", "--key", "keys/roles/clinician.key"]


def write_file(hub, name, text):
    path = os.path.join(hub.dir, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def read_file(hub, name):
    with open(os.path.join(hub.dir, name), encoding="utf-8") as f:
        return f.read()


def other_suite(hub, name, suite="aes256gcm"):
    """A copy of the default policy with another suite."""
    text = read_file(hub, "policies/protect/default.yaml")
    check("\nsuite: xc20p\n" in text, "the default policy names no suite")
    write_file(hub, f"policies/protect/{name}", text.replace("\nsuite: xc20p\n", f"\nsuite: {suite}\n"))


def second_feed(hub, policy):
    """A second MLLP feed with a policy of its own; returns its port."""
    port = free_port()
    text = read_file(hub, "hub.yaml")
    at = text.index("# Who assigns patient identifiers")
    feed = (f'  - name: second\n    id: f2\n    transport: {{mllp: {{listen: "127.0.0.1:{port}"}}}}\n'
            f"    format: {{hl7v2: {{timezone: UTC}}}}\n    policy: {policy}\n\n")
    write_file(hub, "hub.yaml", text[:at] + feed + text[at:])
    return port


def exchange(port, message):
    sender = Sender(port, None, 20)
    try:
        return ack_code(sender.exchange(message))[0]
    finally:
        sender.close()


def events_of(hub):
    """All stored events, as `message show` prints them."""
    found = []
    for message in hub.json("message", "find", "--since", "2000-01-01T00:00:00Z"):
        shown = hub.json("message", "show", message["id"])
        found += shown.get("events", [])
    return found


def a_feed_seals_by_its_own_policy_and_one_timeline_opens_both_suites():
    hub = Hub()
    try:
        other_suite(hub, "nist.yaml")
        port = second_feed(hub, "policies/protect/nist.yaml")
        hub.start()
        town = Hospital(7, patients=1)
        first, second = town.messages(6), town.messages(6)
        check(all(ack_code(a)[0] == "AA" for a in send_all(hub, first)), "the first feed refused a message")
        check(all(exchange(port, m) == "AA" for m in second), "the second feed refused a message")
        hub.caught_up()
        seals = [e["seal"].split(";")[1] for e in events_of(hub)]
        check(sorted(seals) == ["aes256gcm"] * 6 + ["xc20p"] * 6, f"suites: {seals}")
        chart = hub.json("timeline", "--list")[0]["chart"]
        text = hub.cli("timeline", chart, "--json", *CLINICIAN)
        check("ABARA" in text and "masked" not in text, "the timeline does not open both suites")
        loaded = entries(hub, "policy-loaded")
        check(len({e["sha256"] for e in loaded if e["what"] == "protect"}) == 2, f"policies loaded: {loaded}")
    finally:
        hub.close()


def a_feeds_policy_is_checked_and_a_bad_one_keeps_the_hub_from_starting():
    hub = Hub()
    try:
        write_file(hub, "policies/protect/bad.yaml", "policy: p/1\nsuite: rot13\nresources:\n  Patient: {name: secret, adress: contact}\n"
                   "  Observation: {status: clinical}\n")
        second_feed(hub, "policies/protect/bad.yaml")
        out = hub.cli("check", expect=2)
        for word in ("not a suite", "not a data class", "no such element", "needs in the clear"):
            check(word in out, f"check does not say {word!r}: {out}")
        run("run", cwd=hub.dir, expect=2)
    finally:
        hub.close()


if __name__ == "__main__":
    main([a_feed_seals_by_its_own_policy_and_one_timeline_opens_both_suites,
          a_feeds_policy_is_checked_and_a_bad_one_keeps_the_hub_from_starting])
