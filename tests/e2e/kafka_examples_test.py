#!/usr/bin/env python3
"""The programs of docs/examples read charts from real Kafka as an application does: over TLS with a certificate and SCRAM, as a
user that may only read, with a role's key and the hub's key service. What they show is what `chartline timeline` shows.

Needs Java, Maven and openssl for the brokers, and confluent-kafka and PyNaCl, which are fetched once into build/examples-python.
"""
import concurrent.futures
import fcntl
import hashlib
import os
import re
import shlex
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kafka_harness import BUILD, Cluster, needed, skip  # noqa: E402
from harness import *  # noqa: E402,F403

EXAMPLES = os.path.join(ROOT, "docs", "examples")
C_PROGRAM = os.environ.get("CHARTLINE_EXAMPLE_C", os.path.join(os.path.dirname(PROGRAM), "examples", "chart"))
JAVA = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{os.path.join(BUILD, 'examples-java', 'classes')}:{os.path.join(BUILD, 'examples-java', 'lib', '*')}",
        "chartline.example.ChartReader"]
VENV = os.path.join(BUILD, "examples-python")
PYTHON = os.path.join(VENV, "bin", "python")


def python_needed():
    """Goes on in a Python that has what the example asks for; made the first time."""
    requirements = os.path.join(EXAMPLES, "python", "requirements.txt")
    with open(requirements, "rb") as f:
        wanted = hashlib.sha256(f.read()).hexdigest()
    mark = os.path.join(VENV, "made-of")
    os.makedirs(BUILD, exist_ok=True)
    with open(os.path.join(BUILD, "examples-python.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(mark) or open(mark, encoding="ascii").read() != wanted:
            for command in ([sys.executable, "-m", "venv", "--clear", VENV], [PYTHON, "-m", "pip", "install", "-q", "-r", requirements]):
                if subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode != 0:
                    skip("no confluent-kafka and PyNaCl; install python3-venv and let pip reach a package index once")
            with open(mark, "w", encoding="ascii") as f:
                f.write(wanted)
    if os.path.abspath(sys.prefix) != os.path.abspath(VENV):
        os.execv(PYTHON, [PYTHON, *sys.argv])


def java_needed():
    """Builds the Java example where its sources changed; it then says how it is used."""
    tool = [os.path.join(ROOT, "scripts", "java-tool"), os.path.join(EXAMPLES, "java"), os.path.join(BUILD, "examples-java"), "chartline.example.ChartReader"]
    done = subprocess.run(tool, stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
    if done.returncode == 77:
        skip(done.stderr.decode("utf-8", "replace").strip().removeprefix("SKIP: "))
    check(done.returncode == 64, f"the Java example does not build: {done.stderr.decode('utf-8', 'replace')[-2000:]}")


if __name__ == "__main__":
    needed()
    python_needed()
    java_needed()
    sys.path.insert(0, os.path.join(EXAMPLES, "python"))
    sys.dont_write_bytecode = True
    from confluent_kafka import Producer
    import chart as example
    import lists_test
    from chart_test import adt, beds, oru, pv1, stay
    from hub import Hub as KeyService
    from messages import Hospital
    from remap_test import OVERLAY, reload, remap, with_overlay
    from sealed import canonical, read_json, read_role_key
    from topics import murmur2

def wait_for(condition, what, timeout=60):
    limit = time.monotonic() + timeout
    while not condition():
        check(time.monotonic() < limit, what)
        time.sleep(0.1)


LOCAL = "bus:       {local: {}}\n"
ROLES = ("clinician", "frontdesk", "auditor")


class Stage:
    """One broker, one hub with everything told to it, and what an application was given: a certificate, a user that may only
    read, a role's key."""

    def __init__(self):
        self.cluster = Cluster(users={"hub": "hub-secret", "app": "app-secret", "nobody": "nobody-secret"})
        self.hub = None
        try:
            self.cluster.certificates.issue("app", "app")
            self.cluster.certificates.keystore("app")
            self.cluster.allow_roles()
            for topic in ("timeline", "keys"):  # docs/OPERATIONS.md, Rights: readers need READ on those two
                self.cluster.allow("app", "topic", "chartline." + topic, "READ", prefixed=False)
            self.hub = Hub()
            self.hub.edit(LOCAL, self.cluster.yaml())
            self.hub.start()
            self.producer = Producer({"bootstrap.servers": f"127.0.0.1:{self.cluster.nodes[0].internal}"})
            self.tell_everything()
        except BaseException:
            self.close()
            raise

    def tell_everything(self):
        """In two parts with another suite and other class keys in the second, and in the end much of it mapped anew."""
        messages = everything()
        self.tell(messages[::2])
        self.hub.stop()
        path = os.path.join(self.hub.dir, "policies", "protect", "default.yaml")
        with open(path, encoding="utf-8") as f:
            policy = f.read()
        check("suite: xc20p" in policy, "the policy names no suite")
        with open(path, "w", encoding="utf-8") as f:
            f.write(policy.replace("suite: xc20p", "suite: aes256gcm"))
        self.hub.start()
        self.hub.cli("keys", "rotate")
        self.tell(messages[1::2])
        with_overlay(self.hub, OVERLAY)
        reload(self.hub)
        check(remap(self.hub)["changed"] > 20, "hardly a message was mapped anew")
        self.filled()

    def tell(self, messages):
        codes = {ack_code(a)[0] for a in send_all(self.hub, messages)}
        check(codes <= {"AA", "CA"}, f"a message was answered {codes}")
        self.filled()

    def filled(self):
        """Waits until the topic has everything that was told."""
        def done():
            status = self.hub.json("status")
            line = status["timeline"]
            return status["bus"]["lag"] == 0 and line["lag"] == 0 and line["owned"] == line["ready"] == 4
        wait_for(done, "the timeline does not catch up")
        self.references = {}

    def copy(self, prefix, key_record=lambda value: value, record=lambda value: value):
        """The two topics under another prefix, behind the 5 bytes of a schema registry, with records changed or left out (None)."""
        for topic, partitions, change in (("timeline", 4, record), ("keys", 1, key_record)):
            self.cluster.admin("create", prefix + topic, partitions, 1)
            self.cluster.allow("app", "topic", prefix + topic, "READ", prefixed=False)
            for partition, _, key, value, _ in self.cluster.dump("chartline." + topic):
                value = change(value) if value is not None else None
                if value is not None:
                    self.producer.produce(prefix + topic, key=key, value=b"\0\0\0\0\7" + value, partition=partition)
        self.producer.flush(30)

    def role_key(self, role):
        return os.path.join(self.hub.dir, "keys", "roles", f"{role}.key")

    def service(self, role):
        return KeyService(os.path.join(self.hub.dir, "data", "control.sock"), role, read_role_key(self.role_key(role)), "test")

    def settings(self, user, language):
        """A settings file with the names of the language's own Kafka client."""
        certificates = self.cluster.certificates
        common = {"bootstrap.servers": ",".join(self.cluster.bootstrap()), "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512"}
        name, secret = user, self.cluster.users[user]
        if language == "java":
            own = {"sasl.jaas.config": f'org.apache.kafka.common.security.scram.ScramLoginModule required username="{name}" password="{secret}";',
                   "ssl.truststore.type": "PEM", "ssl.truststore.location": certificates.path("ca.pem"),
                   "ssl.keystore.type": "PEM", "ssl.keystore.location": certificates.path("app.store"), "fetch.max.wait.ms": 50}
        else:
            own = {"sasl.username": name, "sasl.password": secret, "ssl.ca.location": certificates.path("ca.pem"),
                   "ssl.certificate.location": certificates.path("app.pem"), "ssl.key.location": certificates.path("app.key"), "fetch.wait.max.ms": 50}
        path = os.path.join(self.cluster.folder, f"{user}.{'java' if language == 'java' else 'kafka'}.conf")
        if not os.path.exists(path):
            with open(path, "w", encoding="utf-8") as f:
                f.writelines(f"{k}={v}\n" for k, v in {**common, **own}.items())
        return path

    def words(self, role, patient, *more, key=None, user="app", language="python"):
        return ["--kafka", self.settings(user, language), "--socket", os.path.join(self.hub.dir, "data", "control.sock"),
                "--role", role, "--key", key or self.role_key(role), *more, patient]

    def reference(self, role, patient):
        """What the command shows; asked once, until something is told."""
        if (role, patient) not in self.references:
            self.references[role, patient] = read_json(self.hub.cli("timeline", patient, "--json", *self.hub.as_role(role)))
        return self.references[role, patient]

    def charts(self):
        return [c["chart"] for c in self.hub.json("timeline", "--list")]

    def close(self):
        if self.hub is not None:
            self.hub.close()
        self.cluster.close()


def everything():
    """Stays, stories about lists, updates and deletions, the demo's patients, random traffic with merges: in disorder."""
    messages = Hospital(7, 8).messages(60)
    for n, patient in enumerate(["700123", "700124"]):
        told = stay(patient)
        random.Random(n).shuffle(told) if n else None
        messages += told + [oru(21, "20260301200000", patient, "P", "9.9")]  # preliminary, after what was corrected
    messages += stories() + beds("840", "850")[::-1]
    for folder in ("demo", "map"):
        names = sorted(n for n in os.listdir(os.path.join(ROOT, "tests", "data", folder)) if n.endswith(".hl7"))
        random.Random(3).shuffle(names)
        for name in names:
            with open(os.path.join(ROOT, "tests", "data", folder, name), "rb") as f:
                messages.append(f.read())
    return messages


def stories():
    """The messages of every story of lists_test, each of a patient of its own."""
    messages = []

    def told(story, _judge, turns=4):
        teller = lists_test.Story(f"S{len(messages)}")
        story(teller)
        messages.extend(random.Random(turns + len(messages)).sample(teller.messages, len(teller.messages)))

    real, lists_test.told = lists_test.told, told
    for test in lists_test.TESTS:
        test()
    lists_test.told = real
    return messages


stage = None


def on_stage(test):
    def run_test():
        global stage
        stage = stage or Stage()
        test()
    run_test.__name__ = test.__name__
    return run_test


def same(reference, shown, what):
    """Entry by entry, then the whole."""
    wanted, got = ({e["id"]: canonical(e) for e in a["entries"]} for a in (reference, shown))
    for entry in wanted:
        check(entry in got, f"{what}: an entry is missing: {wanted[entry][:300]}")
        check(got[entry] == wanted[entry], f"{what}: an entry differs\n{wanted[entry][:2000]}\n{got[entry][:2000]}")
    check(set(got) == set(wanted), f"{what}: entries that the hub does not show: {sorted(set(got) - set(wanted))}")
    check(canonical(shown) == canonical(reference), f"{what}: another order, or other supporting resources")


def python_reader(*words):
    """The Python example inside this process, for many charts one after the other."""
    before, sys.argv = sys.argv, ["chart.py", *words]
    try:
        return example.Reader(example.arguments())
    finally:
        sys.argv = before


class Program:
    """One of the examples, as it is started."""

    def __init__(self, language):
        self.language = language
        self.command = {"python": [PYTHON, os.path.join(EXAMPLES, "python", "chart.py")], "c": [C_PROGRAM], "java": JAVA}[language]

    def __call__(self, role, patient, *more, expect=0, **options):
        done = subprocess.run([*self.command, *stage.words(role, patient, *more, language=self.language, **options)], capture_output=True, timeout=120)
        err = done.stderr.decode("utf-8", "replace")
        check(done.returncode == expect, f"{self.language}: exit {done.returncode}, not {expect}\n{err[-1500:]}")
        return read_json(done.stdout) if expect == 0 else err

    def start(self, role, patient, *more, **options):
        return Follower(self, [*self.command, *stage.words(role, patient, *more, language=self.language, **options)])


class Follower:
    """A started example whose lines are read as they come."""

    def __init__(self, program, words):
        self.language = program.language
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines, self.more = [], threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            with self.more:
                self.lines.append(read_json(line))
                self.more.notify_all()
        with self.more:
            self.lines.append(None)
            self.more.notify_all()

    def until(self, condition, what, timeout=60):
        """The state after the lines so far, once CONDITION holds for it: the chart, its entries by id."""
        with self.more:
            def holds():
                return any(self.lines) and condition(*self.state())
            if not (self.more.wait_for(lambda: holds() or self.lines[-1:] == [None], timeout) and holds()):
                self.process.kill()
                raise Failed(f"{self.language}: {what}; shown: {[(e['kind'], e['status']) for e in self.state()[1].values()]}\n{self.process.stderr.read().decode()[-1500:]}")
            return self.state()

    def state(self):
        entries = {}
        for line in (line for line in self.lines if line is not None):
            entries.update({e["id"]: e for e in line["entries"]})
            for gone in line.get("gone", []):
                entries.pop(gone, None)
        return next(line["chart"] for line in reversed(self.lines) if line is not None), entries

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


def unled(node):
    """Without what rules 8 and 10 put there: where references lead, and results of reports."""
    if isinstance(node, dict):
        return {name: (value.split("/")[0] if name in ("reference", "url") and isinstance(value, str) else unled(value))
                for name, value in node.items() if name != "result"}
    return [unled(item) for item in node] if isinstance(node, list) else node


def agrees(reference, shown, what):
    """What rules 0 to 4 decide: every entry that the hub shows is there, and of kinds that no other rule touches no further one."""
    got = {e["id"]: e for e in shown["entries"]}
    for entry in reference["entries"]:
        check(entry["id"] in got, f"{what}: an entry is missing: {canonical(entry)[:300]}")
        found = got.pop(entry["id"])
        for name in ("kind", "effective", "recorded", "supersedes", "shredded", "revision"):
            check(found.get(name) == entry.get(name), f"{what}: {name} of a {entry['kind']}: {found.get(name)}, not {entry.get(name)}")
        if entry["kind"] not in JUDGED:
            check(found["status"] == entry["status"], f"{what}: status {found['status']}, not {entry['status']}")
            mine, wanted = canonical(unled(found["resource"])), canonical(unled(entry["resource"]))
            check(mine == wanted, f"{what}: a {entry['kind']} differs\n{wanted[:1500]}\n{mine[:1500]}")
    further = {e["kind"] for e in got.values()}
    check(further <= JUDGED, f"{what}: entries that the hub does not show: {further}")
    check(shown["chart"] == reference["chart"], f"{what}: the chart's id")


# Rules 5 to 9 decide on these: folded, listed, placed.
JUDGED = {"patient", "encounter", "location", "allergy", "condition", "procedure", "coverage", "related-person"}
LANGUAGES = ("python", "c", "java")


@on_stage
def python_shows_every_chart_as_the_timeline_command_does():
    charts, entries = stage.charts(), 0
    asked = [(role, chart) for role in ROLES for chart in (charts if role != "auditor" else charts[:3])]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:  # the command waits for the brokers each time
        references = dict(zip(asked, pool.map(lambda a: stage.reference(*a), asked)))
    for role in ROLES:
        reader = python_reader(*stage.words(role, charts[0]))
        for chart in (c for r, c in asked if r == role):
            shown = reader.open(chart)
            same(references[role, chart], shown, f"{role}, {chart}")
            entries += len(shown["entries"])
        reader.close()
    print(f"{len(charts)} charts, {len(ROLES)} roles, {entries} entries")
    check(entries > 500, "hardly any entries were compared")


@on_stage
def c_and_java_show_what_their_rules_say():
    charts = sorted(stage.hub.json("timeline", "--list"), key=lambda c: (-len(c["tokens"]), -c["entries"]))
    for language, roles, some in (("c", ["clinician"], charts), ("c", ["frontdesk"], charts[:4]), ("java", ["clinician", "frontdesk"], charts[:2])):
        for chart in (c["chart"] for c in some if language in LANGUAGES):
            for role in roles:
                agrees(stage.reference(role, chart), Program(language)(role, chart), f"{language}, {role}, {chart}")


@on_stage
def a_patient_is_found_by_number_and_every_opening_leaves_an_entry():
    patient = f"{GENHOSP}|{Hospital(7).mrn(3)}"
    for language in LANGUAGES:
        shown = Program(language)("clinician", patient, "--purpose", f"ward round, {language}")
        check(shown["chart"] == stage.reference("clinician", patient)["chart"], "another chart")
        entries = [e["entry"] for e in stage.hub.json("audit", "show", "--count", "1000000")]
        mine = [e for e in entries if e.get("purpose") == f"ward round, {language}" and e.get("role") == "clinician"]
        tokens = next(c["tokens"] for c in stage.hub.json("timeline", "--list") if c["chart"] == shown["chart"])
        opened = [e for e in mine if e["op"] == "key.secrets"]
        check(opened and set(tokens) <= {t for e in opened for t in e["tokens"]}, f"{language}: an opening without an entry: {mine}")
        check(all("clinical" in e["classes"] for e in opened), "the entry does not say what was opened")
    stage.hub.cli("audit", "verify")


@on_stage
def who_may_not_is_refused():
    chart = stage.charts()[0]
    for language in LANGUAGES:
        refused = stage.hub.cli("audit", "show", "--count", "1000000").count("login-refused")
        err = Program(language)("clinician", chart, key=stage.role_key("frontdesk"), expect=1)
        check("does not open" in err, f"{language}, another role's key: {err}")
        err = Program(language)("clinician", chart, user="nobody", expect=1)
        check("uthoriz" in err, f"{language}, a user without rights: {err}")
        check(refused == stage.hub.cli("audit", "show", "--count", "1000000").count("login-refused"), "no proof was tried")


NORTHGATE, GENHOSP = "urn:chartline:ns:NORTHGATE:NORTHGATE", "urn:chartline:ns:GENHOSP:GENHOSP"


@on_stage
def followers_see_what_comes_and_charts_that_are_joined():
    kept, gone = "990071", "990072"
    stage.tell([adt("A01", n, "20260301090500", patient, pv1=pv1("4WEST", f"V{patient}")) for n, patient in ((1, kept), (2, gone))])
    followers = [Program(language).start("clinician", f"{NORTHGATE}|{kept}", "--follow") for language in LANGUAGES]

    def results(entries):
        return [e["status"] for e in entries.values() if e["kind"] == "observation"]

    try:
        for f in followers:
            f.until(lambda _, entries: entries, "no chart at first")
        stage.tell([oru(3, "20260301110000", kept, "P", "5.1")])
        for f in followers:
            f.until(lambda _, entries: results(entries) == ["preliminary"], "the result does not come")
        stage.tell([oru(4, "20260301140000", kept, "F", "5.2"), oru(5, "20260301110000", gone, "F", "4.0")])
        for f in followers:
            f.until(lambda _, entries: results(entries) == ["final"], "the final result does not take the place of the preliminary one")
        stage.tell([adt("A40", 6, "20260302090000", kept, f"MRG|{gone}^^^NORTHGATE^MR")])
        for f in followers:
            f.until(lambda _, entries: len(results(entries)) == 2, "the chart that was joined does not come")
        reference = stage.reference("clinician", f"{NORTHGATE}|{kept}")
        for f in followers:
            ids = {e["id"] for e in reference["entries"]}
            chart, entries = f.until(lambda chart, entries: chart == reference["chart"] and ids <= set(entries), "the joined chart is not whole")
            agrees(reference, {"chart": chart, "entries": list(entries.values())}, f.language)
    finally:
        for f in followers:
            f.stop()


def largest():
    return max(stage.hub.json("timeline", "--list"), key=lambda c: c["entries"])["chart"]


@on_stage
def registry_prefixes_are_read_and_aborted_records_are_not():
    stage.copy("prefixed.")
    chart = largest()
    sneaky = Producer({"bootstrap.servers": f"127.0.0.1:{stage.cluster.nodes[0].internal}", "transactional.id": "stalled"})
    sneaky.init_transactions(30)
    sneaky.begin_transaction()
    sneaky.produce("prefixed.timeline", key=chart.encode(), value=json.dumps({"token": chart, "chart": "forged", "tokens": [chart]}).encode(),
                   partition=(murmur2(chart.encode()) & 0x7FFFFFFF) % 4)
    sneaky.flush(30)
    sneaky.abort_transaction(30)
    for language in LANGUAGES:
        agrees(stage.reference("clinician", chart), Program(language)("clinician", chart, "--prefix", "prefixed."), language)


@on_stage
def what_was_changed_is_refused():
    chart, changed = largest(), []
    target = next(e["id"] for e in stage.reference("clinician", chart)["entries"] if e["kind"] == "observation" and e["status"] == "final")

    def change(value):
        if json.loads(value).get("id") != target:
            return value
        changed.append(value)
        return value.replace(b'"status":"final"', b'"status":"amended"')

    stage.copy("changed.", record=change)
    check(changed, "no record was changed")
    stage.copy("forged.", key_record=lambda value: value.replace(b'"class":"clinical"', b'"class":"identity"'))
    for language in LANGUAGES:
        err = Program(language)("clinician", chart, "--prefix", "changed.", expect=1)
        check("was changed" in err, f"{language}, a status beside its ciphertext: {err}")
        err = Program(language)("clinician", chart, "--prefix", "forged.", expect=1)
        check("does not verify" in err, f"{language}, a key record: {err}")


@on_stage
def an_absent_key_is_waited_for():
    chart = f"{GENHOSP}|{Hospital(7).mrn(3)}"
    used = stage.service("clinician")
    seals = [line["record"]["seal"] for line in used.ask(op="timeline.chart", patient=chart)[1:] if "seal" in line["record"]]
    used.close()
    absent = next(part.split("@")[1].split(":")[0] for part in seals[0].split(";") if part.startswith("clinical@"))
    held = []

    def hold(value):
        if json.loads(value)["id"] == absent:
            held.append(value)
            return None
        return value

    stage.copy("late.", key_record=hold)
    check(held, "no key record was held back")
    for language in LANGUAGES:
        done = subprocess.run([*Program(language).command, *stage.words("clinician", chart, "--prefix", "late.", "--wait", "0", language=language)], capture_output=True)
        check(done.returncode == 0 and absent in done.stderr.decode(), f"{language}: {done.stderr.decode()}")
        check('"masked"' in done.stdout.decode(), f"{language}: nothing is masked without the key")
    waiting = [Program(language).start("clinician", chart, "--prefix", "late.", "--purpose", f"late {language}") for language in LANGUAGES]
    try:
        for f in waiting:  # all key records are read by then
            wait_for(lambda: f"late {f.language}" in stage.hub.cli("audit", "show", "--count", "1000000"), "the program does not come so far")
        check(not any(f.lines for f in waiting), "a chart is shown without the key that is on its way")
        for value in held:
            stage.producer.produce("late.keys", key=absent.encode(), value=value, partition=0)
        stage.producer.flush(30)
        for f in waiting:
            shown, entries = f.until(lambda chart, entries: True, "the chart does not come with the key")
            agrees(stage.reference("clinician", chart), {"chart": shown, "entries": list(entries.values())}, f.language)
    finally:
        for f in waiting:
            f.stop()


def shown_commands():
    """The lines of docs/TIMELINE.md, "The programs"."""
    with open(os.path.join(ROOT, "docs", "TIMELINE.md"), encoding="utf-8") as f:
        section = f.read().split("### The programs\n")[1].split("\n## ")[0]
    return [line for block in re.findall(r"^```\n(.*?)^```", section, re.M | re.S) for line in block.splitlines()]


def page_folder():
    """A folder in which the page's lines can be typed as they stand."""
    folder = os.path.join(stage.cluster.folder, "page")
    shutil.copytree(EXAMPLES, os.path.join(folder, "docs", "examples"), ignore=shutil.ignore_patterns("__pycache__"))
    os.makedirs(os.path.join(folder, "build"))
    for name, target in (("scripts", os.path.join(ROOT, "scripts")), ("venv", VENV), ("data", os.path.join(stage.hub.dir, "data")),
                         ("build/chart", os.path.join(BUILD, "examples-java")), ("clinician.key", stage.role_key("clinician")),
                         ("kafka.conf", stage.settings("app", "c")), ("kafka-java.conf", stage.settings("app", "java"))):
        os.symlink(target, os.path.join(folder, name))
    prefix = subprocess.run([os.path.join(ROOT, "scripts", "bootstrap"), "--prefix"], capture_output=True, text=True, check=True).stdout.strip()
    return folder, {**os.environ, "PKG_CONFIG_PATH": os.path.join(prefix, "lib", "pkgconfig")}


@on_stage
def the_page_can_be_typed_as_it_stands():
    chart = stage.charts()[0]
    folder, env = page_folder()
    lines = shown_commands()
    check(sum("PATIENT" in line for line in lines) >= 6, f"hardly a command was found: {lines}")
    for line in lines:
        if line == "python3 -m venv venv":
            continue  # done once, by python_needed
        words = [chart if word == "PATIENT" else word for word in shlex.split(line)]
        if "--follow" in words:
            process = subprocess.Popen(words, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            shown = process.stdout.readline()
            process.kill()
            process.wait()
            process.stdout.close()
        else:
            done = subprocess.run(words, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
            check(done.returncode == 0, f"{line}: {done.stderr.decode('utf-8', 'replace')[-1500:]}")
            shown = done.stdout
        if "PATIENT" in line:
            check(read_json(shown)["chart"] == chart and len(read_json(shown)["entries"]) > 0, f"{line}: {shown[:300]}")


@on_stage
def what_was_shredded_is_said_and_stays_masked():
    patient = f"{NORTHGATE}|700124"
    before = stage.reference("clinician", patient)
    stage.hub.cli("keys", "shred", patient, "--yes")
    stage.references = {}
    reference = stage.reference("clinician", patient)
    check(any(e.get("shredded") for e in reference["entries"]), "the hub does not say that it was shredded")
    wait_for(lambda: any(json.loads(value)["kind"] == "shredded" for _, _, _, value, _ in stage.cluster.dump("chartline.keys")), "no record of it comes")
    for language in LANGUAGES:
        shown = Program(language)("clinician", patient)
        agrees(reference, shown, language)
        check("Okafor" in canonical(before) and "Okafor" not in canonical(shown), f"{language}: a name")
        if language == "python":
            same(reference, shown, "shredded")


if __name__ == "__main__":
    LANGUAGES = tuple(os.environ.get("CHARTLINE_LANGUAGES", ",".join(LANGUAGES)).split(","))
    try:
        main([python_shows_every_chart_as_the_timeline_command_does, c_and_java_show_what_their_rules_say,
              a_patient_is_found_by_number_and_every_opening_leaves_an_entry, who_may_not_is_refused,
              followers_see_what_comes_and_charts_that_are_joined, registry_prefixes_are_read_and_aborted_records_are_not,
              what_was_changed_is_refused, an_absent_key_is_waited_for, the_page_can_be_typed_as_it_stands, what_was_shredded_is_said_and_stays_masked])
    finally:
        if stage is not None:
            stage.close()
