#!/usr/bin/env python3
"""What was stored is mapped anew: the chart is then the one that the new mapping would have made from the start."""
from harness import *
from messages import Hospital

OVERLAY = """segments:
  PID:
    resources:
      patient:
        rules:
          - {id: zz-card, from: PID-23, to: "extension(urn:test:birth-place).valueString"}
          - {id: pid-8-gender, from: PID-8.1, to: gender, type: code, codes: TestSex}
codes:
  TestSex: {system: "http://hl7.org/fhir/administrative-gender", unmapped: {code: unknown}, map: {F: other, M: male}}
"""
BROKEN_UNITS = """segments:
  OBX:
    resources:
      observation:
        rules:
          - {id: zz-note, from: OBX-6.1, to: "note[].text"}
"""


def with_overlay(hub, text, name="site"):
    """The overlay in the feed; a running hub takes it with SIGHUP."""
    os.makedirs(os.path.join(hub.dir, "schemas", "site"), exist_ok=True)
    path = os.path.join(hub.dir, "schemas", "site", f"{name}.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    with open(os.path.join(hub.dir, "hub.yaml"), encoding="utf-8") as f:
        configured = f"mapping: [schemas/site/{name}.yaml]" in f.read()
    if not configured:
        hub.edit("timezone: UTC, processing: [P]", f"timezone: UTC, processing: [P], mapping: [schemas/site/{name}.yaml]")


def reload(hub):
    size = os.path.getsize(hub.log_path)
    hub.process.send_signal(1)
    limit = time.monotonic() + 20
    while True:
        with open(hub.log_path, encoding="utf-8", errors="replace") as f:
            f.seek(size)
            text = f.read()
        if "the configuration was read anew" in text:
            return
        check("not reloaded" not in text and time.monotonic() < limit, f"no reload: {text[-500:]}")
        time.sleep(0.05)


def remap(hub, *args, expect=0):
    return json.loads(hub.cli("feed", "remap", "mllp", "--since", "1h", "--json", *args, expect=expect))


def digest(hub, what="content"):
    hub.caught_up()
    return hub.cli("timeline", "--digest", what).strip()


def entries(hub, kind):
    lines = [e["entry"] for e in hub.json("audit", "show", "--from", "0", "--count", "1000000")]
    return [e for e in lines if e["kind"] == kind]


def chart(hub, patient, *args):
    return json.loads(hub.cli("timeline", patient, "--json", *args, *hub.as_role("clinician")))


def patient_of(hub):
    return hub.json("timeline", "--list")[0]["chart"]


def the_chart_becomes_what_the_new_mapping_would_have_made():
    messages = Hospital(31, patients=6).messages(120)
    hub, fresh = Hub(), Hub()
    try:
        hub.start()
        send_all(hub, messages)
        before = digest(hub)
        with_overlay(hub, OVERLAY)
        reload(hub)
        done = remap(hub)
        check(done["messages"] == 120 and done["changed"] > 0 and done["failed"] == 0 and done["rules"].startswith("hl7v2@"), f"{done}")
        check(done["changed"] + done["unchanged"] == 120, f"{done}")
        after = digest(hub)
        check(before != after, "nothing changed")
        with_overlay(fresh, OVERLAY)
        fresh.start()
        send_all(fresh, messages)
        check(after == digest(fresh), "a fresh hub with the new mapping has another chart")
        check({len(c["tokens"]) for c in hub.json("timeline", "--list")} == {len(c["tokens"]) for c in fresh.json("timeline", "--list")}
              and sorted(c["entries"] for c in hub.json("timeline", "--list")) == sorted(c["entries"] for c in fresh.json("timeline", "--list")),
              "other charts")
        again = remap(hub)
        check(again["changed"] == 0 and again["unchanged"] == 120, f"a second time: {again}")
        check(after == digest(hub), "the second time changed something")
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()
        fresh.close()


def a_resend_is_a_duplicate_of_the_original():
    messages = Hospital(32, patients=3).messages(20)
    hub = Hub().start()
    try:
        first = send_all(hub, messages)
        with_overlay(hub, OVERLAY)
        reload(hub)
        check(remap(hub)["changed"] > 0, "nothing changed")
        state = digest(hub, "state")
        check(send_all(hub, messages) == first, "the same bytes get another answer")
        status = hub.caught_up()
        check(status["messages"] == 20 and status["duplicates"] == 20, f"{status}")
        check(state == digest(hub, "state"), "a resend changed the timeline")
    finally:
        hub.close()


def history_stays_and_the_past_is_as_it_was_known():
    hub = Hub().start()
    try:
        sent = Hospital(33, patients=1)
        send_all(hub, ["\r".join(sent.adt("A01", 0)).encode() + b"\r"])
        hub.caught_up()
        patient = patient_of(hub)
        old = chart(hub, patient)
        known = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
        time.sleep(2.1)
        with_overlay(hub, OVERLAY)
        reload(hub)
        check(remap(hub)["changed"] == 1, "not changed")
        hub.caught_up()
        new = chart(hub, patient)
        gender = lambda c: [e["resource"]["gender"] for e in c["entries"] if e["kind"] == "patient"]
        check(gender(old) == ["female"] and gender(new) == ["other"], f"{gender(old)} {gender(new)}")
        check(len(old["entries"]) == len(new["entries"]), "other entries")
        versions = [e for e in chart(hub, patient, "--versions")["entries"] if e["kind"] == "patient"]
        check(len(versions) == 2, f"{len(versions)} versions")
        check([e.get("revision") for e in versions] == [None, 1] and ["replaced_by" in e for e in versions] == [True, False],
              f"{[(e.get('revision'), e.get('replaced_by')) for e in versions]}")
        check(gender(chart(hub, patient, "--known-at", known)) == ["female"], "what was known then is not shown")
        entry = entries(hub, "message-revised")
        check(len(entry) == 1 and entry[0]["revision"] == 1 and entry[0]["rules"].startswith("hl7v2@") and entry[0]["who"].startswith("uid "),
              f"{entry}")
        ends = [e for e in entries(hub, "feed-remapped") if e["state"] == "done"]
        check(len(ends) == 1 and ends[0]["changed"] == 1 and ends[0]["feed"] == "mllp", f"{ends}")
        reads = [e for e in entries(hub, "read") if e["op"] == "feed.remap"]
        check(len(reads) == 1 and reads[0]["tokens"], f"{reads}")
    finally:
        hub.close()


def a_mapping_may_be_tried_before_it_is_in_force():
    hub = Hub().start()
    try:
        send_all(hub, Hospital(34, patients=4).messages(40))
        before = digest(hub, "state")
        with_overlay(hub, OVERLAY)
        out = hub.cli("feed", "diff", "mllp", "--since", "1h")
        check("Patient.gender" in out and "would change" in out, out)
        check("female" not in out and "other" not in out, "a value is shown")
        tried = json.loads(hub.cli("feed", "diff", "mllp", "--since", "1h", "--json"))
        rows = {r["path"]: r for r in tried["differences"]}
        check(rows["Patient.gender"]["changed"] > 0 and set(rows) == {"Patient.gender"}, f"{rows}")
        asked = ("feed", "diff", "mllp", "--since", "1h", "--values")
        check("--role" in run(*asked, cwd=hub.dir, expect=1)[1], "values without a role")
        check("raw" in run(*asked, *hub.as_role("frontdesk"), cwd=hub.dir, expect=1)[1], "values for a role without the original")
        out = hub.cli(*asked, *hub.as_role("clinician"))
        check("female" in out and "other" in out and "would change" in out, out)
        shown = json.loads(hub.cli(*asked, "--json", *hub.as_role("clinician")))
        check(all(v["path"] == "Patient.gender" and v["before"] in ("female", "male") and v["after"] == "other" for v in shown["values"]), f"{shown['values'][:3]}")
        check(len(shown["values"]) == rows["Patient.gender"]["changed"] and shown["differences"] == tried["differences"], f"{len(shown['values'])}")
        reads = [e for e in entries(hub, "read") if e["op"] == "feed.diff" and e.get("role") == "clinician"]
        check(reads and all(e["tokens"] for e in reads), "the read is not audited under the role")
        dry = remap(hub, "--dry-run")
        check(dry["changed"] == 0 and dry["differences"] == [], f"the rules in force changed something: {dry}")
        reload(hub)
        dry = remap(hub, "--dry-run")
        check(dry["changed"] == tried["changed"], f"{dry}")
        check(before == digest(hub, "state"), "trying changed something")
        check(entries(hub, "message-revised") == [], "trying stored something")
    finally:
        hub.close()


def a_patient_may_turn_out_to_be_another_and_back():
    message = (b"MSH|^~\\&|EHR|GENHOSP|HUB|GENHOSP|20240301100000||ADT^A01^ADT_A01|W1|P|2.5.1\rEVN|A01|20240301100000\r"
               b"PID|1||4711^^^GENHOSP^MR||ABARA^INES||19800101|F\rPV1|1|I|4EAST^1^A||||||||||||||||V1\r")
    hub = Hub().start()
    try:
        send_all(hub, [message])
        hub.caught_up()
        wrong = patient_of(hub)
        hub.edit("# authorities: [{name: GENHOSP, system: \"urn:oid:1.2.3.4\", aliases: [GH], primary: true}]",
                 "authorities: [{name: GENHOSP, system: \"urn:oid:1.2.3.4\", aliases: [GH], primary: true}]")
        hub.stop()
        hub.start()
        check(remap(hub)["changed"] == 1, "not changed")
        hub.caught_up()
        charts = hub.json("timeline", "--list")
        check(len(charts) == 1 and charts[0]["chart"] != wrong, f"{charts}")
        check(len(chart(hub, "urn:oid:1.2.3.4|4711")["entries"]) == 3, "the right chart lacks entries")
        check(chart(hub, wrong)["entries"] == [], "the wrong chart still shows what was taken back")
        check(len(chart(hub, wrong, "--versions")["entries"]) == 3, "history is gone")
        hub.edit("authorities: [{name: GENHOSP,", "authorities: [{name: OTHER,")
        hub.edit("aliases: [GH], primary: true}]", "primary: true}]")
        hub.stop()
        hub.start()
        check(remap(hub)["changed"] == 1, "not changed back")
        hub.caught_up()
        charts = hub.json("timeline", "--list")
        check(len(charts) == 1 and charts[0]["chart"] == wrong and charts[0]["entries"] == 3, f"{charts}")
        shown = hub.json("message", "find", "--since", "1h")
        check(len(shown) == 1 and shown[0]["revision"] == 2, f"{shown}")
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def dead_letters_are_taken_in_with_the_rest():
    bad = (b"MSH|^~\\&|EHR|GENHOSP|HUB|GENHOSP|20240301100000||ADT^A01^ADT_A01|T1|T|2.5.1\rEVN|A01|20240301100000\r"
           b"PID|1||4712^^^GENHOSP^MR||ABARA^INES||19800101|F\r")
    hub = Hub().start()
    try:
        acks = send_all(hub, [bad] + Hospital(35, patients=2).messages(5))
        check(ack_code(acks[0])[0] == "AR", f"{acks[0]}")
        hub.edit("processing: [P]", "processing: [P, T]")
        reload(hub)
        dry = remap(hub, "--dry-run")
        check(dry["deadletters"] == {"accepted": 1, "rejected": 0}, f"{dry}")
        check(hub.json("status")["deadletters"] == 1, "trying took it in")
        done = remap(hub)
        check(done["deadletters"] == {"accepted": 1, "rejected": 0} and done["changed"] == 0, f"{done}")
        status = hub.caught_up()
        check(status["deadletters"] == 0 and status["messages"] == 6, f"{status}")
        check(ack_code(send_all(hub, [bad])[0])[0] == "AA", "a resend is not a duplicate")
    finally:
        hub.close()


def what_fails_is_named_and_stays_as_it_was():
    hub = Hub().start()
    try:
        training = Hospital(36, patients=2).messages(3)
        hub.edit("processing: [P]", "processing: [P, T]")
        reload(hub)
        send_all(hub, [training[0].replace(b"|P|2.5.1", b"|T|2.5.1"), training[1]])
        before = digest(hub)
        hub.edit("processing: [P, T]", "processing: [P]")
        reload(hub)
        out = hub.cli("feed", "remap", "mllp", "--since", "1h", expect=1)
        check("MSH-11" in out and "1 failed" in out, out)
        done = remap(hub, expect=1)
        check(done["failed"] == 1 and done["unchanged"] == 1 and len(done["failures"]) == 1, f"{done}")
        failure = done["failures"][0]
        check(failure["at"] == "MSH-11" and len(failure["id"]) == 32 and failure["text"], f"{failure}")
        check(before == digest(hub), "a failure changed something")
    finally:
        hub.close()


def killed_in_the_middle_it_goes_on():
    messages = Hospital(37, patients=5).messages(150)
    hub, fresh = Hub(), Hub()
    try:
        hub.edit("idle: 10m}", "idle: 10m, remap_rate: 60}")
        hub.start()
        send_all(hub, messages)
        with_overlay(hub, OVERLAY)
        reload(hub)
        for _ in range(3):
            before = hub.json("status")["revised"]
            asking = subprocess.Popen([PROGRAM, "feed", "remap", "mllp", "--since", "1h"], cwd=hub.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while hub.json("status")["revised"] == before:
                check(asking.poll() is None, "done before it could be killed")
            hub.kill()
            check(asking.wait(20) != 0, "killed, and said to be done")
            hub.start()
        done = remap(hub)
        revised = entries(hub, "message-revised")
        check(done["failed"] == 0 and len(revised) > done["changed"] > 0, f"{done}, {len(revised)} revisions in all")
        check({e["revision"] for e in revised} == {1} and len({e["message"] for e in revised}) == len(revised), "a message was revised twice")
        with_overlay(fresh, OVERLAY)
        fresh.start()
        send_all(fresh, messages)
        check(digest(hub) == digest(fresh), "not what the new mapping makes")
        hub.stop()
        state = hub.cli("timeline", "--digest", "state")
        shutil.rmtree(os.path.join(hub.dir, "data", "timeline"))
        shutil.rmtree(os.path.join(hub.dir, "data", "index"))
        check(state == hub.cli("timeline", "--digest", "state"), "rebuilt it is another one")
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()
        fresh.close()


def live_traffic_comes_first():
    hospital = Hospital(38, patients=5)
    hub = Hub()
    try:
        hub.edit("idle: 10m}", "idle: 10m, remap_rate: 50}")
        hub.start()
        send_all(hub, hospital.messages(150))
        with_overlay(hub, BROKEN_UNITS)
        reload(hub)
        begin = time.monotonic()
        asking = subprocess.Popen([PROGRAM, "feed", "remap", "mllp", "--since", "1h", "--json"], cwd=hub.dir, stdout=subprocess.PIPE)
        while not entries(hub, "feed-remapped"):
            check(asking.poll() is None, "it has not begun")
        busy = hub.cli("feed", "remap", "mllp", "--since", "1h", expect=1)
        check(busy == "", f"two at once: {busy}")
        acks = send_all(hub, hospital.messages(100))
        check(all(ack_code(a)[0] == "AA" for a in acks), "a live message was not taken")
        done = json.loads(asking.communicate(timeout=120)[0])
        check(time.monotonic() - begin > 2.0, "150 messages in less than their rate allows")
        check(asking.returncode == 0 and done["messages"] == 150 and done["changed"] > 0, f"{done}")
    finally:
        hub.close()


def several_patients_in_one_message_stay_one_message():
    lines = [b"MSH|^~\\&|LAB|GENHOSP|HUB|GENHOSP|20240301100000||ORU^R01^ORU_R01|S1|P|2.5.1"]
    for n in range(3):
        lines += [b"PID|1||60%d^^^GENHOSP^MR||FALKNER^OONA||19700101|F" % n, b"OBR|1|P%d|F%d|58410-2^CBC^LN|||20240301090000|||||||||||||||20240301093000|||F" % (n, n),
                  b"OBX|1|NM|718-7^Hemoglobin^LN||1%d.5|g/dL|||||F|||20240301090000" % n]
    hub = Hub().start()
    try:
        send_all(hub, [b"\r".join(lines) + b"\r"])
        with_overlay(hub, BROKEN_UNITS)
        reload(hub)
        done = remap(hub)
        check(done["messages"] == 1 and done["changed"] == 1, f"{done}")
        hub.caught_up()
        check(len(hub.json("timeline", "--list")) == 3, "not three charts")
        for c in hub.json("timeline", "--list"):
            notes = [e["resource"].get("note") for e in chart(hub, c["chart"])["entries"] if e["kind"] == "observation"]
            check(notes == [[{"text": "g/dL"}]], f"{notes}")
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def a_large_value_stays_as_it_was_sent():
    import base64
    document = base64.b64encode(bytes(range(256)) * 800)
    message = (b"MSH|^~\\&|LAB|GENHOSP|HUB|GENHOSP|20240301100000||ORU^R01^ORU_R01|L1|P|2.5.1\rPID|1||77^^^GENHOSP^MR||FALKNER^OONA||19700101|F\r"
               b"OBR|1|P1|F1|58410-2^CBC^LN|||20240301090000|||||||||||||||20240301093000|||F\r"
               b"OBX|1|ED|18842-5^Summary^LN||APP^application^pdf^Base64^" + document + b"|g/dL|||||F|||20240301090000\r")
    hub = Hub().start()
    try:
        send_all(hub, [message])
        done = remap(hub)
        check(done["unchanged"] == 1 and done["changed"] == 0, f"{done}")
        with_overlay(hub, BROKEN_UNITS)
        reload(hub)
        done = remap(hub)
        check(done["changed"] == 1, f"{done}")
        hub.caught_up()
        text = json.dumps(chart(hub, patient_of(hub)))
        check(document.decode() in text, "the document is not there")
    finally:
        hub.close()


def nothing_of_a_patient_is_in_what_is_written():
    hub = Hub().start()
    try:
        sent = Hospital(39, patients=3)
        send_all(hub, sent.messages(30))
        with_overlay(hub, OVERLAY)
        reload(hub)
        out = hub.cli("feed", "diff", "mllp", "--since", "1h") + hub.cli("feed", "remap", "mllp", "--since", "1h")
        hub.caught_up()
        hub.stop()
        markers = [b"ABARA", b"BERGSTROM", b"Elm Street", b"Springfield", b"(217)555"]
        check(not any(m.decode() in out for m in markers), "a value in the output")
        for folder, _, names in os.walk(os.path.join(hub.dir, "data")):
            for name in names:
                with open(os.path.join(folder, name), "rb") as f:
                    data = f.read()
                check(not any(m in data for m in markers), f"a value in {name}")
        with open(hub.log_path, "rb") as f:
            check(not any(m in f.read() for m in markers), "a value in the log")
    finally:
        hub.close()


if __name__ == "__main__":
    main([the_chart_becomes_what_the_new_mapping_would_have_made, a_resend_is_a_duplicate_of_the_original,
          history_stays_and_the_past_is_as_it_was_known, a_mapping_may_be_tried_before_it_is_in_force,
          a_patient_may_turn_out_to_be_another_and_back, dead_letters_are_taken_in_with_the_rest,
          what_fails_is_named_and_stays_as_it_was, killed_in_the_middle_it_goes_on, live_traffic_comes_first,
          several_patients_in_one_message_stay_one_message, a_large_value_stays_as_it_was_sent,
          nothing_of_a_patient_is_in_what_is_written])
