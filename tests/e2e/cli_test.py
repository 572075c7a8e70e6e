#!/usr/bin/env python3
"""The command line as its users meet it: exit codes, what is printed, what is refused."""
import datetime
import signal
import socket
import stat
import tempfile

from harness import *

DEMO = os.path.join(ROOT, "tests", "data", "demo")
PATIENT = "urn:oid:2.16.840.1.113883.19.4711|HG0012345"
AUTHORITIES = ('authorities:\n  - {name: HARBOR, system: "urn:oid:2.16.840.1.113883.19.4711", primary: true}\n'
               '  - {name: SELWYNLAB, system: "urn:oid:2.16.840.1.113883.19.4712"}\n')


def demo(name):
    return os.path.join(DEMO, name)


def harbor():
    """A hub with the demo's authorities."""
    hub = Hub()
    hub.edit("# authorities:", AUTHORITIES + "# authorities:")
    hub.edit("    # identity:", "    identity:  {default_authority: HARBOR, trust_links: [HARBOR, SELWYNLAB]}\n    # identity:")
    return hub


def send(hub, *args, expect=0):
    return hub.cli("send", f"mllps://127.0.0.1:{hub.port}", "--cert", "certs/sender.pem", "--key", "certs/sender.key", "--ca", "certs/ca.pem",
                   *args, expect=expect)


def write(hub, name, data):
    path = os.path.join(hub.dir, name)
    with open(path, "wb") as f:
        f.write(data)
    return path


def adt(control, family="Marker", extra=b""):
    return (f"MSH|^~\\&|EHR|HARBOR|HUB|X|20260311081700+1300||ADT^A04^ADT_A01|{control}|P|2.5.1\rEVN|A04|20260311081600+1300\r"
            f"PID|1||77001^^^HARBOR^MR||{family}^Test||19700101|F\rPV1|1|O|CLINIC||||||||||||||||V77001^^^HARBOR^VN\r").encode() + extra


# --- without a hub ---

def usage_mistakes_end_with_2():
    for args in ([], ["nonsense"], ["audit"], ["map"], ["map", "--nonsense", "x"], ["send"], ["send", "ftp://x", "y"], ["timeline", "-c"],
                 ["send", "mllp://127.0.0.1:1", "x", "--rate", "fast"], ["init"]):
        run(*args, expect=2)
    check("Usage" in run("--help")[0] and "Options" in run("map", "--help")[0], "help prints nothing")
    check(run("--version")[0].startswith("chartline "), "no version")
    out, err = run("status", "-c", "/nonexistent/hub.yaml", expect=2)
    check(out == "" and "init" in err, "a missing configuration names no mend")


def init_makes_a_directory_that_runs_as_it_is():
    base = tempfile.mkdtemp(prefix="chartline-cli-")
    try:
        hub = os.path.join(base, "genhosp")
        out, _ = run("init", hub)
        check(out == "", "something extra in a pipe")
        for name in ("hub.yaml", "policies/protect/default.yaml", "policies/access/roles.yaml", "keys/root.key", "certs/ca.pem", "certs/hub.pem",
                     "certs/hub.key", "certs/sender.pem", "certs/sender.key", "certs/client.pem", "certs/client.key"):
            check(os.path.isfile(os.path.join(hub, name)), f"{name} is missing")
        for role in ("clinician", "frontdesk", "auditor", "insights"):
            for ending in ("pub", "key"):
                check(os.path.isfile(os.path.join(hub, "keys", "roles", f"{role}.{ending}")), f"{role}.{ending} is missing")
        for name in ("keys/root.key", "certs/hub.key", "certs/sender.key", "keys/roles/clinician.key"):
            check(stat.S_IMODE(os.stat(os.path.join(hub, name)).st_mode) == 0o600, f"{name} is not 0600")
        out, _ = run("check", cwd=hub)
        check("no errors" in out and "test certificate" in out and "private key" in out, "check does not remind")
        text = open(os.path.join(hub, "hub.yaml"), encoding="utf-8").read()
        check("name: genhosp" in text, "the hub is not named after its folder")
        run("init", hub, expect=2)
        check(open(os.path.join(hub, "hub.yaml"), encoding="utf-8").read() == text, "init changed what was there")
    finally:
        shutil.rmtree(base)


def check_says_every_problem_at_once():
    hub = Hub()
    try:
        hub.edit("idle: 10m", "idle: 10, conections: 5")
        hub.edit("timezone: UTC, ", "")
        hub.edit("bus:       {local: {}}", "bus:       {kafka: {insecure: true}}")
        out = hub.cli("check", expect=2)
        for words in ("limits.idle", "conections", "connections", "timezone", "bus.kafka.brokers", "4 errors"):
            check(words in out, f"check does not say {words}:\n{out}")
        problems = hub.json("check", expect=2)
        check(all(p["line"] > 0 and p["mend"] for p in problems if p["severity"] == "error"), "an error without line or mend")
    finally:
        hub.close()


def check_sees_keys_and_certificates_that_do_not_fit():
    hub = Hub()
    try:
        shutil.copy(os.path.join(hub.dir, "certs", "sender.key"), os.path.join(hub.dir, "certs", "hub.key"))
        check("key" in hub.cli("check", expect=2), "a key of another certificate")
        os.chmod(os.path.join(hub.dir, "keys", "root.key"), 0o644)
        check("chmod 600" in hub.cli("check", expect=2), "a root key that others may read")
        os.remove(os.path.join(hub.dir, "keys", "roles", "clinician.pub"))
        check("clinician" in hub.cli("check", expect=2), "a role without key")
    finally:
        hub.close()


def map_gives_bundles_and_errors_by_line():
    base = tempfile.mkdtemp(prefix="chartline-cli-")
    try:
        def file(name, data):
            with open(os.path.join(base, name), "wb") as f:
                f.write(data)
            return name
        two = file("two.hl7", adt("1") + b"\r" + adt("2"))
        framed = file("framed.hl7", VT + adt("3") + FS + CR)
        batch = file("batch.hl7", b"FHS|^~\\&|\rBHS|^~\\&|\r" + adt("4") + b"BTS|1\rFTS|1\r")
        broken = file("broken.hl7", b"PID|1\r")
        empty = file("empty.hl7", b"")
        out, _ = run("map", "--ndjson", two, framed, batch, broken, empty, "missing.hl7", cwd=base, expect=1)
        lines = [json.loads(line) for line in out.splitlines()]
        check([(x["file"], x["message"], x["status"]) for x in lines] ==
              [(two, 1, "ok"), (two, 2, "ok"), (framed, 1, "ok"), (batch, 1, "ok"), (broken, 1, "error"), (empty, 0, "error"),
               ("missing.hl7", 0, "error")], f"lines: {lines}")
        for line in lines:
            check(set(line) == ({"file", "message", "status", "bundles"} | ({"error"} if line["status"] == "error" else set())), f"members: {set(line)}")
            if line["status"] == "ok":
                check(len(line["bundles"]) == 1 and line["bundles"][0]["resourceType"] == "Bundle", "no Bundle")
                types = [e["resource"]["resourceType"] for e in line["bundles"][0]["entry"]]
                check("Patient" in types and "Encounter" in types and "Binary" not in types, f"resources: {types}")
            else:
                check(set(line["error"]) == {"code", "text", "at"} and line["bundles"] == [], "error members")
        check(out == run("map", "--ndjson", two, framed, batch, broken, empty, "missing.hl7", cwd=base, expect=1)[0], "two runs differ")
        out, _ = run("map", "--ndjson", "-", stdin=adt("5"))
        check(json.loads(out)["status"] == "ok", "standard input")
        check("Binary" in run("map", "--raw", two, cwd=base)[0], "--raw adds no Binary")
        check(json.loads(run("map", framed, cwd=base)[0])["resourceType"] == "Bundle", "a Bundle for people")
        _, err = run("map", broken, cwd=base, expect=1)
        check("broken.hl7" in err, "the error names no file")
    finally:
        shutil.rmtree(base)


def map_explains_and_lists_what_it_does_not_map():
    message = adt("6", extra=b"ZZZ|unmapped-value\r")
    line = json.loads(run("map", "--ndjson", "--explain", "--coverage", "-", stdin=message)[0])
    check(any(e["element"].startswith("Patient.name") and e["from"].startswith("PID") for e in line["explain"]), "no explanation of the name")
    check(any(u["at"].startswith("ZZZ") for u in line["coverage"]["unmapped"]), "the unknown segment is not listed")
    check("unmapped-value" not in json.dumps(line["coverage"]), "a value without being asked")
    line = json.loads(run("map", "--ndjson", "--coverage", "--values", "-", stdin=message)[0])
    check("unmapped-value" in json.dumps(line["coverage"]), "no value although asked")
    check("ZZZ" in run("map", "--coverage", "-", stdin=message)[0], "coverage for people")


# --- with a hub ---

def send_shows_answers_and_figures():
    hub = harbor().start()
    try:
        out = send(hub, demo("ehr-1-registration.hl7"), demo("lab-2-final.hl7"))
        check([line.split("\t")[:2] for line in out.splitlines()] == [["EHR0001", "AA"], ["LAB1002", "AA"]], f"answers: {out}")
        bad = write(hub, "bad.hl7", adt("BAD1").replace(b"|P|", b"|T|"))
        out = send(hub, bad, expect=1)
        check(out.startswith("BAD1\tAR\t") and "202" in out, f"refusal: {out}")
        summary = json.loads(send(hub, demo("ehr-2-admission.hl7"), "--repeat", "200", "--connections", "4", "--vary", "--json"))
        check(summary["accepted"] == 200 and summary["missing"] == 0 and summary["latency_ms"]["p99"] >= summary["latency_ms"]["p50"] > 0,
              f"summary: {summary}")
        check(hub.caught_up()["events"] == 202, "--vary did not make messages of their own")
        once = json.loads(send(hub, demo("ehr-2-admission.hl7"), "--json"))
        check([a["code"] for a in once["answers"]] == ["AA"], f"answers: {once}")
        out = send(hub, demo("ehr-2-admission.hl7"), "--repeat", "50", "--pipeline", "8", "--rate", "1000")
        check("50 accepted" in out, f"summary: {out}")
        check(hub.json("status")["events"] == 203, "a repeat had an effect")
        run("send", f"mllps://127.0.0.1:{hub.port}", "--ca", "certs/ca.pem", demo("ehr-1-registration.hl7"), cwd=hub.dir, expect=1)
        run("send", f"mllp://127.0.0.1:{free_port()}", demo("ehr-1-registration.hl7"), cwd=hub.dir, expect=1)
    finally:
        hub.close()


def send_now_writes_the_moment_of_sending():
    listener = socket.create_server(("127.0.0.1", 0))
    frames, begin = [], datetime.datetime.now(datetime.timezone.utc)

    def serve():
        connection, _ = listener.accept()
        with connection:
            pending = b""
            while data := connection.recv(65536):
                pending += data
                while FS + CR in pending:
                    frame, pending = pending.split(FS + CR, 1)
                    frames.append(frame.lstrip(VT))
                    ack = b"MSH|^~\\&|||||||ACK|1|P|2.5.1\rMSA|AA|" + control_id(frames[-1]).encode() + CR
                    connection.sendall(VT + ack + FS + CR)

    threading.Thread(target=serve, daemon=True).start()
    with open(demo("ehr-2-admission.hl7"), "rb") as f:
        original = f.read().replace(b"\n", CR)
    begin = datetime.datetime.now(datetime.timezone.utc)
    run("send", f"mllp://127.0.0.1:{listener.getsockname()[1]}", demo("ehr-2-admission.hl7"), "--now", "--vary", "--repeat", "3", "--rate", "50")
    end = datetime.datetime.now(datetime.timezone.utc)
    listener.close()
    times = []
    for n, frame in enumerate(frames):
        fields = frame.split(CR)[0].split(b"|")
        check(fields[9] == b"EHR0002-%d" % (n + 1), f"control id {fields[9]}")
        times.append(datetime.datetime.strptime(fields[6].decode(), "%Y%m%d%H%M%S.%f%z"))
        fields[6], fields[9] = b"20260311081700+1300", b"EHR0002"
        check(b"|".join(fields) + CR + frame.split(CR, 1)[1] == original, "more than MSH-7 and MSH-10 was changed")
    check(len(times) == 3 and begin - datetime.timedelta(milliseconds=1) <= times[0] and times[2] <= end, f"{begin} {times} {end}")
    steps = [(b - a).total_seconds() for a, b in zip(times, times[1:])]
    check(all(abs(step - 0.02) < 0.0005 for step in steps), f"not the moments they were due: {steps}")


def timeline_shows_each_role_what_is_its_own():
    hub = harbor().start()
    try:
        send(hub, *[demo(n) for n in sorted(os.listdir(DEMO))])
        hub.caught_up()
        charts = hub.json("timeline", "--list")
        found = hub.json("patient", "find", PATIENT)
        chart = [c for c in charts if c["chart"] == found[0]["chart"]]
        check(len(chart) == 1 and len(chart[0]["tokens"]) >= 2, f"the merge did not join: {charts}")
        clinician = hub.json("timeline", PATIENT, *hub.as_role("clinician"))
        text = json.dumps(clinician)
        check(set(clinician["entries"][0]) == {"id", "kind", "effective", "recorded", "status", "supersedes", "resource"},
              f"members: {sorted(clinician['entries'][0])}")
        check("Lindqvist" in text and "Potassium" in text and "4.2" in text and "6.1" not in text, "the clinician's chart")
        check("6.1" in json.dumps(hub.json("timeline", PATIENT, "--versions", *hub.as_role("clinician"))), "the preliminary value is lost")
        desk = json.dumps(hub.json("timeline", PATIENT, *hub.as_role("frontdesk")))
        check("Lindqvist" in desk and "Potassium" not in desk and "Aspirin" not in desk, "the front desk's chart")
        sealed = json.dumps(hub.json("timeline", PATIENT))
        check("Lindqvist" not in sealed and "Potassium" not in sealed, "a chart without role is open")
        kinds = {e["kind"] for e in hub.json("timeline", PATIENT, "--kind", "observation", *hub.as_role("clinician"))["entries"]}
        check(kinds == {"observation"}, f"--kind: {kinds}")
        early = hub.json("timeline", PATIENT, "--at", "2019-12-31", *hub.as_role("clinician"))
        check("Potassium" not in json.dumps(early) and "Penicillin" in json.dumps(early), "--at")
        check(hub.json("timeline", PATIENT, "--known-at", "2019-12-31")["entries"] == [], "--known-at")
        table = hub.cli("timeline", PATIENT, *hub.as_role("clinician"))
        check("Potassium 4.2 mmol/L" in table and "observation" in table, f"table:\n{table}")
        by_token = hub.json("timeline", found[0]["token"], *hub.as_role("clinician"))
        check(by_token["chart"] == clinician["chart"], "by token")
        hub.cli("timeline", "urn:oid:2.16.840.1.113883.19.4711|NOBODY", expect=1)
        hub.cli("patient", "find", "urn:oid:2.16.840.1.113883.19.4711|NOBODY", expect=1)
        hub.cli("timeline", PATIENT, "--role", "clinician", "--key", "keys/roles/frontdesk.key", expect=1)
        hub.cli("timeline", PATIENT, "--role", "clinician", expect=2)
        digest = hub.cli("timeline", "--digest").strip()
        check(len(digest) == 64 and digest == hub.cli("timeline", "--digest", "state").strip(), "state digest")
        content = hub.cli("timeline", "--digest", "content").strip()
        check(len(content) == 64 and content != digest, "content digest")
        hub.stop()
        check(hub.cli("timeline", "--digest", "content").strip() == content, "the digest changed with the stop")
        check(json.dumps(hub.json("timeline", PATIENT, *hub.as_role("clinician"))) == text, "offline the chart is another one")
    finally:
        hub.close()


def follow_shows_what_comes():
    hub = harbor().start()
    try:
        send(hub, demo("ehr-1-registration.hl7"))
        hub.caught_up()
        follower = subprocess.Popen([PROGRAM, "timeline", PATIENT, "--follow", "--json", *hub.as_role("clinician")], cwd=hub.dir,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            first = json.loads(follower.stdout.readline())
            check(first["kind"] in ("patient", "allergy", "related-person"), f"first: {first}")
            send(hub, demo("ehr-2-admission.hl7"), demo("mpi-1-merge.hl7"))
            seen = ""
            limit = time.monotonic() + 20
            while "Chest pain" not in seen:
                check(time.monotonic() < limit, "what came is not shown")
                seen += follower.stdout.readline().decode()
        finally:
            follower.kill()
            follower.communicate()
        hub.stop()
        check("no hub runs here" in run("timeline", PATIENT, "--follow", cwd=hub.dir, expect=1)[1], "followed nothing")
    finally:
        hub.close()


def messages_and_dead_letters_are_found_and_opened():
    hub = harbor().start()
    try:
        send(hub, demo("lab-2-final.hl7"))
        bad = write(hub, "bad.hl7", adt("BAD2", family="Secretname", extra=b"OBX|1|NM|\r").replace(b"|P|", b"|T|"))
        for _ in range(3):
            send(hub, bad, expect=1)
        hub.caught_up()
        found = hub.json("message", "find", "--control-id", "LAB1002")
        check(len(found) == 1 and found[0]["answer"] == "AA" and found[0]["trigger"] == "ORU^R01", f"found: {found}")
        check(hub.json("message", "find", "--control-id", "NONE") == [], "found what is not there")
        check(len(hub.json("message", "find", "--feed", "mllp")) >= 1, "by feed")
        check(len(hub.json("message", "find", "--patient", "urn:oid:2.16.840.1.113883.19.4711|HG0098765")) == 1, "by patient")
        stored = hub.json("message", "show", found[0]["id"])
        check("Potassium" not in json.dumps(stored) and stored["events"][0]["specversion"] == "1.0", "as stored")
        opened = hub.json("message", "show", found[0]["id"], *hub.as_role("clinician"))
        check("Potassium" in json.dumps(opened), "opened")
        letters = hub.json("deadletter", "list")
        check(len(letters) == 1 and letters[0]["count"] == 3 and letters[0]["reason"]["code"] == "unsupported_processing", f"letters: {letters}")
        check("Secretname" not in hub.cli("deadletter", "show", letters[0]["id"]), "a name in a sealed dead letter")
        check("Secretname" in hub.cli("deadletter", "show", letters[0]["id"], *hub.as_role("clinician")), "the original is not shown")
        status = hub.json("status")
        check(status["events"] == 1 and status["deadletters"] == 1 and status["rejected"] == 3, f"status: {status}")
        check([f["name"] for f in status["feeds"]] == ["mllp"], "feeds")
        hub.cli("message", "show", "nothing", expect=1)
        hub.cli("message", "find", expect=2)
    finally:
        hub.close()


def audit_log_proves_itself_and_who_looked():
    hub = harbor().start()
    try:
        send(hub, demo("ehr-1-registration.hl7"))
        hub.caught_up()
        vkey = os.path.join(hub.base, "vkey")
        shutil.copy(os.path.join(hub.dir, "data", "audit", "vkey"), vkey)
        checkpoint = os.path.join(hub.base, "checkpoint")
        with open(checkpoint, "w", encoding="utf-8") as f:
            f.write(hub.cli("audit", "checkpoint"))
        hub.json("timeline", PATIENT, *hub.as_role("clinician"))
        hub.json("timeline", PATIENT, *hub.as_role("frontdesk"))
        hub.stop()
        check("self-consistent only" in hub.cli("audit", "verify"), "trust from nowhere")
        out = hub.cli("audit", "verify", "--vkey", vkey, "--since", checkpoint, "--events")
        check("PASS" in out and "self-consistent only" not in out, f"verify: {out}")
        entries = hub.json("audit", "show", "--count", "1000")
        reads = [e["entry"] for e in entries if e["entry"]["kind"] == "read" and e["entry"].get("role")]
        check({r["role"] for r in reads} >= {"clinician", "frontdesk"}, f"reads: {reads}")
        check("message-accepted" in {e["entry"]["kind"] for e in entries}, "the message is not in the audit log")
        check("Lindqvist" not in json.dumps(entries), "a name in the audit log")
        tile = os.path.join(hub.dir, "data", "audit", "tile", "entries")
        for folder, _, names in os.walk(tile):
            for name in names:
                path = os.path.join(folder, name)
                os.chmod(path, 0o600)
                with open(path, "r+b") as f:
                    data = f.read()
                    f.seek(10)
                    f.write(bytes([data[10] ^ 1]))
        check("FAIL" in hub.cli("audit", "verify", "--vkey", vkey, "--since", checkpoint, expect=1), "a changed entry passes")
    finally:
        hub.close()


def verifying_notes_what_is_not_signed_yet_and_leaves_all_as_it_is():
    hub = harbor().start()
    try:
        send(hub, demo("ehr-1-registration.hl7"))
        hub.kill()
        folder = os.path.join(hub.dir, "data", "log")
        tail = os.path.join(folder, max(n for n in os.listdir(folder) if n.endswith(".seg")))
        with open(tail, "ab") as f:
            f.write(b"\x89REC, and no more of it")
        tile = os.path.join(hub.dir, "data", "audit", "tile", "1")
        os.makedirs(tile)
        with open(os.path.join(tile, "000"), "wb") as f:
            f.write(bytes(8192))
        size = os.path.getsize(tail)
        out, log = run("audit", "verify", "--events", cwd=hub.dir)
        check("\nnote tile/1/000 holds more than what is signed" in out and log == "", f"verify: {out} {log}")
        check(os.path.getsize(tail) == size, "verifying cut the event log")
        report = hub.json("audit", "verify")
        check(report["result"] == "PASS" and [n["text"][:10] for n in report["notes"]] == ["tile/1/000"], f"report: {report}")
    finally:
        hub.close()


def seal_and_open_by_hand():
    hub = harbor()
    try:
        sealed = hub.cli("seal", demo("lab-2-final.hl7"))
        event = json.loads(sealed)
        check(event["specversion"] == "1.0" and "Potassium" not in sealed and "Lindqvist" not in sealed, "not sealed")
        path = write(hub, "sealed.ndjson", sealed.encode())
        opened = hub.cli("open", path, *hub.as_role("clinician"))
        check("Potassium" in opened and "Lindqvist" in opened, "not opened")
        desk = hub.cli("open", path, *hub.as_role("frontdesk"))
        check("Lindqvist" in desk and "Potassium" not in desk, "the front desk's view")
        hub.cli("open", path, expect=2)
        tampered = write(hub, "tampered.ndjson", sealed.replace(event["subject"], event["subject"][:-1] + ("a" if event["subject"][-1] != "a" else "b")).encode())
        hub.cli("open", tampered, *hub.as_role("clinician"), expect=None)
        bundle = write(hub, "bundle.json", run("map", demo("ehr-1-registration.hl7"))[0].encode())
        sealed = hub.cli("seal", bundle)
        check("Lindqvist" not in sealed, "a Bundle is not sealed")
        path = write(hub, "sealed2.ndjson", sealed.encode())
        check("Lindqvist" in hub.cli("open", path, *hub.as_role("clinician")), "a Bundle is not opened")
    finally:
        hub.close()


def keys_are_listed_and_exported_without_secrets():
    hub = Hub().start()
    try:
        keys = hub.json("keys", "list")
        check({k["class"] for k in keys} == {"identity", "contact", "financial", "clinical", "sensitive", "raw"}, f"classes: {keys}")
        records = [json.loads(line) for line in hub.cli("keys", "export").splitlines()]
        check(len(records) >= 6, "records")
    finally:
        hub.close()


def stop_drains_and_reload_keeps_running():
    hub = harbor().start()
    try:
        hub.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        check(hub.process.poll() is None, "SIGHUP ended the hub")
        sender = hub.connect()
        check(ack_code(sender.exchange(adt("LAST")))[0] == "AA", "no answer after SIGHUP")
        hub.stop()
        sender.close()
        check(hub.json("status")["events"] == 1, "offline status")
    finally:
        hub.close()


def bench_measures_and_leaves_nothing():
    folder = tempfile.mkdtemp(prefix="chartline-e2e-")
    try:
        results = {row["name"]: row for row in json.loads(run("bench", "--seconds", "0", "--dir", folder)[0])["results"]}
        check(results["map"]["failed"] == 0 and results["map"]["messages"] >= 2, str(results))
        check(results["log"]["records"] > 0 and results["log"]["per_second"] > 0, str(results))
        check(os.listdir(folder) == [], "something was left behind")
        check("cannot be read" in run("bench", os.path.join(folder, "none"), expect=1)[1], "a missing file")
        check("--dir" in run("bench", "--seconds", "0", "--dir", os.path.join(folder, "none"), expect=2)[1], "a missing folder")
    finally:
        shutil.rmtree(folder)


def second_hub_on_one_directory_is_refused():
    hub = Hub().start()
    try:
        out, err = run("run", cwd=hub.dir, expect=1, timeout=30)
        check("ready" not in out and err != "", "two hubs on one directory")
    finally:
        hub.close()


if __name__ == "__main__":
    main([usage_mistakes_end_with_2, init_makes_a_directory_that_runs_as_it_is, check_says_every_problem_at_once,
          check_sees_keys_and_certificates_that_do_not_fit, map_gives_bundles_and_errors_by_line, map_explains_and_lists_what_it_does_not_map,
          send_shows_answers_and_figures, send_now_writes_the_moment_of_sending, timeline_shows_each_role_what_is_its_own, follow_shows_what_comes, messages_and_dead_letters_are_found_and_opened,
          audit_log_proves_itself_and_who_looked, verifying_notes_what_is_not_signed_yet_and_leaves_all_as_it_is,
          seal_and_open_by_hand, keys_are_listed_and_exported_without_secrets,
          stop_drains_and_reload_keeps_running, bench_measures_and_leaves_nothing, second_hub_on_one_directory_is_refused])
