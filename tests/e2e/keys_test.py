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


def class_keys(hub, name):
    """Keys of a class, oldest first."""
    return sorted((k for k in hub.json("keys", "list") if k.get("class") == name), key=lambda k: k["epoch"])


def rotation_under_load_loses_nothing_and_old_events_stay_readable():
    hub = Hub().start()
    try:
        town = Hospital(11, patients=3)
        messages = town.messages(120)
        done, rotated = threading.Event(), threading.Semaphore(0)

        def rotate():
            while not done.is_set():
                hub.cli("keys", "rotate")
                hub.cli("keys", "rotate", "clinical")
                rotated.release()
        thread = threading.Thread(target=rotate)
        thread.start()
        try:
            acks = []
            for first in range(0, len(messages), 30):  # however fast they are taken, some come before a rotation and some after it
                acks += send_all(hub, messages[first:first + 30])
                check(rotated.acquire(timeout=30), "no rotation ends")
        finally:
            done.set()
            thread.join()
        check(all(ack_code(a)[0] == "AA" for a in acks), "a message was refused while keys were rotated")
        hub.caught_up()
        keys = class_keys(hub, "clinical")
        check(len(keys) >= 3 and [k["state"] for k in keys] == ["ended"] * (len(keys) - 1) + ["active"], f"epochs: {keys}")
        check(all(k["roles"] == ["clinician", "insights"] for k in keys), f"roles: {keys}")
        check(sum(k["fields"] > 0 for k in keys) >= 2, "no two epochs were in use")
        hub.stop()
        for chart in hub.json("timeline", "--list"):
            check("masked" not in hub.cli("timeline", chart["chart"], "--json", *CLINICIAN), "an event cannot be opened")
        rotated = entries(hub, "key-rotated")
        check(all(e["who"].startswith("uid ") and e["cause"] == "operator" for e in rotated), f"{rotated}")
        created = {e["key"] for e in entries(hub, "key-created")}
        check({e["key"] for e in rotated} <= created and len(created) == len(hub.json("keys", "list")), "key-created is missing for a key")
        hub.cli("audit", "verify", "--events")
        hub.cli("keys", "rotate", "nothing", expect=2)
    finally:
        hub.close()


def an_epoch_ends_by_itself_after_so_many_fields():
    hub = Hub()
    try:
        hub.edit("bus:       {local: {}}", "bus:       {local: {}}\nkeys:      {rotate: {fields: 20, on: [2020-01-01]}}")
        hub.start()
        messages = Hospital(12, patients=2).messages(40)
        check(all(ack_code(a)[0] == "AA" for a in send_all(hub, messages)), "a message was refused")
        hub.caught_up()
        keys = class_keys(hub, "clinical")
        check(len(keys) > 3, f"epochs: {keys}")
        check(all(e["cause"] == "fields" for e in entries(hub, "key-rotated")), "another cause")
        text = "".join(hub.cli("timeline", c["chart"], "--json", *CLINICIAN) for c in hub.json("timeline", "--list"))
        check("masked" not in text, "an event cannot be opened")
        hub.edit("on: [2020-01-01]", "on: [soon]")
        check("not a date" in hub.cli("check", expect=2), "check takes anything as a date")
    finally:
        hub.close()


def a_revoked_role_reads_nothing_until_it_is_granted_again():
    hub = Hub().start()
    try:
        town = Hospital(13, patients=1)
        first, later = town.messages(4), town.messages(4)
        frontdesk = hub.as_role("frontdesk")
        send_all(hub, first)
        hub.caught_up()
        chart = hub.json("timeline", "--list")[0]["chart"]
        check("ABARA" in hub.cli("timeline", chart, *frontdesk), "the role cannot read")
        check(hub.json("keys", "revoke", "frontdesk")["classes"] == ["identity", "contact", "financial"], "classes")
        hub.cli("keys", "revoke", "frontdesk", expect=1)
        hub.cli("keys", "revoke", "nobody", expect=1)
        check("revoked" in run("timeline", chart, *frontdesk, cwd=hub.dir, expect=1)[1], "a revoked role is let in")
        hub.kill()  # roles.yaml still allows it: a start must not give it back
        hub.start()
        send_all(hub, later)
        hub.caught_up()
        run("timeline", chart, *frontdesk, cwd=hub.dir, expect=1)
        active = [k for k in class_keys(hub, "identity") if k["state"] == "active"]
        check("frontdesk" not in active[0]["roles"], f"the new key is sealed to the revoked role: {active}")
        check("ABARA" in hub.cli("timeline", chart, *CLINICIAN), "another role suffered")
        hub.cli("keys", "grant", "frontdesk")
        text = hub.cli("timeline", chart, "--json", "--versions", *frontdesk)
        names = [e["resource"].get("name") for e in json.loads(text)["entries"] if e["kind"] == "patient"]
        check(len(names) >= 2 and all(names), f"what was sealed meanwhile stays closed: {names}")
        check([e["role"] for e in entries(hub, "key-revoked")] == ["frontdesk"], "key-revoked")
        check(any(e.get("role") == "frontdesk" for e in entries(hub, "key-granted")), "key-granted")
    finally:
        hub.close()


def a_role_that_is_added_gets_its_keys_without_a_restart():
    hub = Hub().start()
    try:
        send_all(hub, Hospital(14, patients=1).messages(3))
        hub.caught_up()
        chart = hub.json("timeline", "--list")[0]["chart"]
        hub.cli("keys", "grant", "registrar", expect=1)
        roles = read_file(hub, "policies/access/roles.yaml")
        write_file(hub, "policies/access/roles.yaml", roles + "  registrar:\n    classes: [identity]\n")
        hub.cli("keys", "grant", "registrar", expect=1)  # it has no key pair
        hub.cli("keys", "grant", "registrar", "--create")
        check("ABARA" in hub.cli("timeline", chart, *hub.as_role("registrar")), "the new role cannot read")
    finally:
        hub.close()


def a_reload_takes_the_access_policy_as_a_start_does():
    hub = Hub().start()

    def reload(text, said):
        write_file(hub, "policies/access/roles.yaml", text)
        before = hub.log_tail().count(said)
        hub.process.send_signal(signal.SIGHUP)
        wait_for(lambda: hub.log_tail().count(said) > before, f"the log does not say {said!r}: {hub.log_tail()}", 20)

    def active(name):
        return [k for k in class_keys(hub, name) if k["state"] == "active"][0]

    try:
        send_all(hub, Hospital(16, patients=1).messages(3))
        hub.caught_up()
        chart = hub.json("timeline", "--list")[0]["chart"]
        roles = read_file(hub, "policies/access/roles.yaml")
        narrow = roles.replace("frontdesk:\n    classes: [identity, contact, financial]", "frontdesk:\n    classes: [identity, financial]")
        narrow = narrow.replace("insights:\n    classes: [clinical]", "insights:\n    classes: [clinical, identity]")
        check(narrow != roles, "roles.yaml reads otherwise")
        old = active("contact")["id"]
        check("ABARA" not in hub.cli("timeline", chart, *hub.as_role("insights")), "insights sees a name")
        reload(narrow, "the configuration was read anew")
        check("ABARA" in hub.cli("timeline", chart, *hub.as_role("insights")), "the role that got a class has no keys of it")
        check(active("contact")["id"] != old and "frontdesk" not in active("contact")["roles"], f"the epoch goes on: {active('contact')}")
        check("frontdesk" in active("identity")["roles"] and "insights" in active("identity")["roles"], f"{active('identity')}")
        again = active("contact")["id"]
        reload(narrow, "the configuration was read anew")
        check(active("contact")["id"] == again, "the same policy made a new epoch")
        reload(narrow + "  registrar:\n    classes: [identity]\n", "not reloaded")  # it has no key pair
        check("registrar" in hub.log_tail(), f"it does not say whose: {hub.log_tail()}")
        reload(narrow.replace("[identity, financial]", "[identity, money]"), "not reloaded")
        write_file(hub, "policies/access/roles.yaml", narrow)
        run("timeline", chart, "--role", "registrar", "--key", "keys/roles/clinician.key", cwd=hub.dir, expect=1)
        check("ABARA" in hub.cli("timeline", chart, *hub.as_role("frontdesk")), "the last good policy is not in force")
        hub.cli("keys", "revoke", "frontdesk")
        reload(roles, "the configuration was read anew")  # a reload gives nothing back that was revoked
        check("revoked" in run("timeline", chart, *hub.as_role("frontdesk"), cwd=hub.dir, expect=1)[1], "a revoked role is let in")
        check({e.get("who") for e in entries(hub, "key-granted")} >= {"reload"}, f"by whom: {entries(hub, 'key-granted')}")
        hub.stop()
    finally:
        hub.close()


def files_holding(folder, needle):
    found = []
    for base, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(base, name), "rb") as f:
                if needle in f.read():
                    found.append(name)
    return found


def a_shredded_patient_is_unreadable_everywhere_and_everybody_else_is_not():
    hub = Hub().start()
    try:
        messages = Hospital(15, patients=3).messages(60)
        send_all(hub, messages)
        hub.caught_up()
        charts = sorted(hub.json("timeline", "--list"), key=lambda c: len(c["tokens"]))
        victim, other = charts[-1], charts[0]
        other_before = hub.cli("timeline", other["chart"], "--json", *CLINICIAN)
        state = hub.cli("timeline", "--digest", "state")
        content = hub.cli("timeline", "--digest", "content")
        out = run("keys", "shred", victim["chart"], cwd=hub.dir, expect=2, stdin=b"")
        check(all(t in out[0] for t in victim["tokens"]) and "--yes" in out[1], f"tokens are not listed: {out}")
        hub.cli("keys", "shred", victim["chart"], "--token", other["tokens"][0], expect=2)
        check("shredded" not in hub.cli("timeline", victim["chart"], *CLINICIAN), "shredded without being asked")
        backup = os.path.join(hub.base, "backup")
        hub.stop()
        shutil.copytree(os.path.join(hub.dir, "data"), backup)
        hub.start()
        done = hub.json("keys", "shred", victim["chart"], "--yes")
        check({d["token"] for d in done} == set(victim["tokens"]) and any(d["outcome"] == "shredded" for d in done), f"{done}")
        for again in range(2):
            text = hub.cli("timeline", victim["chart"], "--json", *CLINICIAN)
            view = json.loads(text)
            check(view["entries"] and all(e.get("shredded") is True for e in view["entries"]), "the state is not shown")
            check("ABARA" not in text and "BERGSTROM" not in text and "Hemoglobin" not in text, "the past is readable")
            check("shredded" in hub.cli("timeline", victim["chart"], *CLINICIAN), "the table does not say it")
            check(hub.cli("timeline", other["chart"], "--json", *CLINICIAN) == other_before, "another patient suffered")
            check(hub.cli("timeline", "--digest", "state") == state, "the state digest changed")
            hub.cli("audit", "verify", "--events")
            shredded = [t for e in entries(hub, "key-shredded") for t in e["tokens"]]
            check(sorted(shredded) == sorted(d["token"] for d in done if d["outcome"] == "shredded"), f"audit: {shredded}")
            if again == 0:
                content_after = hub.cli("timeline", "--digest", "content")
                check(content_after != content, "the content digest cannot have stayed")
                hub.kill()
                hub.start()
        check(hub.cli("timeline", "--digest", "content") == content_after, "the content digest is not stable")
        records = [json.loads(line) for line in hub.cli("keys", "export").splitlines()]
        check({r["subject"] for r in records if r["kind"] == "shredded"} == set(shredded), "no signed record")
        hub.stop()
        shutil.rmtree(os.path.join(hub.dir, "data"))  # an old backup of the data, with the key store of today
        shutil.copytree(backup, os.path.join(hub.dir, "data"))
        text = hub.cli("timeline", victim["chart"], "--json", *CLINICIAN)
        check("ABARA" not in text and "BERGSTROM" not in text and "Hemoglobin" not in text, "a backup brought the past back")
    finally:
        hub.close()


def a_content_digest_without_all_the_keys_is_refused():
    """Not given as a digest of less: nobody could tell. What was shredded is no content, wherever it is asked."""
    hub = Hub().start()
    keys = os.path.join(hub.dir, "keys")

    def keep(name):
        hub.stop()
        shutil.copytree(keys, os.path.join(hub.base, name))
        hub.start()

    def put_back(name):
        hub.stop()
        shutil.rmtree(keys)
        shutil.copytree(os.path.join(hub.base, name), keys)
        hub.start()

    def refused(*words):
        out, err = run("timeline", "--digest", "content", cwd=hub.dir, expect=1)
        check(not out.strip() and all(word in err for word in (*words, "lacks keys", "copy")), f"what lacks and the mend are not said: {out}{err}")
    try:
        keep("empty")
        for control, patient in (("ONE", "900"), ("TWO", "901")):
            check(ack_code(send_all(hub, [adt(control, patient)])[0])[0] == "AA", "refused")
        keep("secrets")
        hub.cli("keys", "rotate", "identity")
        check(ack_code(send_all(hub, [adt("THREE", "901", kind="ADT^A08^ADT_A01")])[0])[0] == "AA", "refused")
        hub.caught_up()
        state, content = (hub.cli("timeline", "--digest", what) for what in ("state", "content"))
        keep("all")
        put_back("empty")
        refused("secret ", "2 charts")
        check(hub.cli("timeline", "--digest", "state") == state, "that of the state needs no key")
        put_back("secrets")
        refused("class key ", "1 charts")
        put_back("all")
        check(hub.cli("timeline", "--digest", "content") == content, "all keys are back")
        hub.cli("keys", "shred", hub.json("timeline", "--list")[0]["chart"], "--yes")
        check(hub.cli("timeline", "--digest", "content") != content, "what was shredded counts as if it were there")
    finally:
        hub.close()


def what_comes_after_a_shred_is_readable_and_what_was_is_not():
    hub = Hub().start()
    try:
        check(ack_code(send_all(hub, [adt("ONE", "900")])[0])[0] == "AA", "refused")
        hub.caught_up()
        chart = hub.json("timeline", "--list")[0]["chart"]
        hub.cli("keys", "shred", chart, "--yes")
        check(ack_code(send_all(hub, [adt("ONE", "900")])[0])[0] == "AA", "a resend of the past is not acknowledged")
        check(hub.caught_up()["events"] == 1, "a resend of the past made a new event")
        check(ack_code(send_all(hub, [adt("TWO", "900", kind="ADT^A08^ADT_A01")])[0])[0] == "AA", "refused")
        hub.caught_up()
        view = hub.json("timeline", chart, "--versions", *CLINICIAN)
        states = sorted({(e.get("shredded", False), "name" in e["resource"]) for e in view["entries"] if e["kind"] == "patient"})
        check(states == [(False, True), (True, False)], f"{states}")
        again = hub.json("keys", "shred", chart, "--yes")
        check(again[0]["outcome"] == "shredded", f"{again}")
        check(hub.json("keys", "shred", chart, "--yes")[0]["outcome"] == "shredded-before", "it is not said")
        check(all(e.get("shredded") for e in hub.json("timeline", chart, "--versions", *CLINICIAN)["entries"]), "not all")
        check(len(entries(hub, "key-shredded")) == 2, "audit")
    finally:
        hub.close()


def a_shred_that_is_killed_is_finished_and_audited():
    for point in ("mid-shred", "after-shred"):
        hub = Hub()
        try:
            hub.start()
            send_all(hub, [adt("ONE", "901")])
            hub.caught_up()
            chart = hub.json("timeline", "--list")[0]["chart"]
            hub.kill()
            hub.start({"CHARTLINE_CRASH_AT": point})
            hub.cli("keys", "shred", chart, "--yes", expect=None)
            check(hub.process.wait(20) == -9, f"{point} was not passed")
            hub.process.stdout.close()
            hub.process = None
            hub.start()
            view = hub.json("timeline", chart, *CLINICIAN)
            check(view["entries"] and all(e.get("shredded") for e in view["entries"]), f"{point}: half shredded")
            check(len(entries(hub, "key-shredded")) == 1, f"{point}: not audited")
            hub.cli("audit", "verify", "--events")
        finally:
            hub.close()


def a_hub_without_its_keys_takes_nothing():
    hub = Hub().start()
    try:
        send_all(hub, [adt("ONE", "902")])
        hub.stop()
        root = os.path.join(hub.dir, "keys", "root.key")
        store = os.path.join(hub.dir, "keys", "store")
        os.rename(root, root + ".away")
        does_not_start(hub, 2, "root.key")
        with open(root, "w", encoding="ascii") as f:
            f.write("ab" * 32 + "\n")
        os.chmod(root, 0o600)
        does_not_start(hub, None, "not the one this key store was made with")
        os.rename(root + ".away", root)
        os.rename(store, store + ".away")
        does_not_start(hub, None, "key store is missing")
        os.rename(store + ".away", store)
        hub.start()
        check(ack_code(send_all(hub, [adt("TWO", "902")])[0])[0] == "AA", "refused")
    finally:
        hub.close()


def what_is_sensitive_shows_to_roles_with_sensitive_only():
    hub = Hub().start()
    try:
        message = (b"MSH|^~\\&|LAB|GENHOSP|HUB|GENHOSP|20240301120000||ORU^R01^ORU_R01|S1|P|2.5.1\rPID|1||555^^^GENHOSP^MR||DOE^JANE\r"
                   b"OBR|1||F77^LAB|LOCAL^Screening^L|||20240301110000||||||||||||||||||F\r"
                   b"OBX|1|ST|7917-8^HIV antibodies^LN||NONREACTIVEMARK||||||F\r"
                   b"OBR|2||F78^LAB|58410-2^CBC^LN|||20240301110000||||||||||||||||||F\r"
                   b"OBX|1|NM|718-7^Hemoglobin^LN||13.5|g/dL|||||F\r")
        admission = (b"MSH|^~\\&|EHR|GENHOSP|HUB|GENHOSP|20240302120000||ADT^A01^ADT_A01|S2|P|2.5.1\rEVN|A01|20240302120000\r"
                     b"PID|1||555^^^GENHOSP^MR||DOE^JANE\rPV1|1|I|4EAST^1^A|||||||MED|||||||||V9^^^GENHOSP^VN\r"
                     b"DG1|1||F1020^Alcohol dependence^I10C||20240302|A\rDG1|2||E11.9^Diabetes^I10C||20240302|A\r")
        for m in (message, admission):
            check(ack_code(send_all(hub, [m])[0])[0] == "AA", "refused")
        hub.caught_up()
        chart = hub.json("timeline", "--list")[0]["chart"]
        hidden, shown = ("NONREACTIVEMARK", "7917-8", "Alcohol", "F1020", "Screening"), ("718-7", "E11.9")
        whole = hub.cli("timeline", chart, "--json", "--versions", *CLINICIAN)
        check(all(w in whole for w in hidden + shown), "the clinician does not see all")
        part = hub.cli("timeline", chart, "--json", "--versions", *hub.as_role("insights"))
        check(all(w in part for w in shown), "what is not sensitive is hidden")
        for word in hidden:
            check(word not in part, f"{word} shows to a role without sensitive")
        lifted = [k for k in hub.json("keys", "list") if k.get("class") == "sensitive"]
        check(lifted[0]["fields"] >= 3, f"nothing was sealed as sensitive: {lifted}")
        no_name_in(hub, (b"NONREACTIVEMARK", b"7917-8", b"F1020"))
    finally:
        hub.close()


TESTS = [what_is_sensitive_shows_to_roles_with_sensitive_only,
         a_feed_seals_by_its_own_policy_and_one_timeline_opens_both_suites,
         a_feeds_policy_is_checked_and_a_bad_one_keeps_the_hub_from_starting,
         rotation_under_load_loses_nothing_and_old_events_stay_readable,
         an_epoch_ends_by_itself_after_so_many_fields,
         a_revoked_role_reads_nothing_until_it_is_granted_again,
         a_role_that_is_added_gets_its_keys_without_a_restart,
         a_reload_takes_the_access_policy_as_a_start_does,
         a_shredded_patient_is_unreadable_everywhere_and_everybody_else_is_not,
         a_content_digest_without_all_the_keys_is_refused,
         what_comes_after_a_shred_is_readable_and_what_was_is_not,
         a_shred_that_is_killed_is_finished_and_audited,
         a_hub_without_its_keys_takes_nothing]

if __name__ == "__main__":
    main(TESTS)
