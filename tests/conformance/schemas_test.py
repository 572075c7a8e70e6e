#!/usr/bin/env python3
"""The JSON Schemas of events and timeline records against what the program really makes, asked twice: of the program's own
check and of the reference implementation for Python (jsonschema). What is right passes both, what was changed so that
it is wrong passes neither, and of what was changed at random both say the same."""
import copy
import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
from harness import *
from messages import Hospital
from python_packages import python_packages

TOOL = os.environ.get("RECORDS_TOOL", os.path.join(ROOT, "build", "tests", "records_tool"))
SCHEMAS = {kind: os.path.join(ROOT, "schemas", kind, "2026-11.json") for kind in ("event", "timeline")}
REMAP = """segments:
  OBX:
    resources:
      observation:
        rules:
          - {id: zz-note, from: OBX-6.1, to: "note[].text"}
"""
STORED = {}

if __name__ == "__main__":
    python_packages(os.path.join(ROOT, "tests", "kafka", "registry", "requirements.txt"), "registry-python")
    import jsonschema


def encode(segments):
    return segments if isinstance(segments, bytes) else "\r".join(segments).encode() + b"\r"


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def program(kind, texts):
    """The program's verdict on each text."""
    done = subprocess.run([TOOL, "check", SCHEMAS[kind]], input="".join(t + "\n" for t in texts).encode(), capture_output=True)
    check(done.returncode == 0, done.stderr.decode())
    verdicts = done.stdout.decode().splitlines()
    check(len(verdicts) == len(texts), "a verdict for each")
    return verdicts


def matches(validator, pattern, text, _):
    """`$` is the end of the text (ECMA 262); Python's also stands before a line feed that ends it."""
    if validator.is_type(text, "string") and not re.search(re.sub(r"\$$", r"\\Z", pattern), text):
        yield jsonschema.ValidationError("does not match")


def reference(kind):
    with open(SCHEMAS[kind], encoding="utf-8") as f:
        schema = json.load(f)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.validators.extend(jsonschema.Draft7Validator, {"pattern": matches})(schema)


def stored():
    """Texts of all kinds that a hub has stored: {kind: [text]}."""
    if STORED:
        return STORED
    hub = Hub()
    try:
        hub.start()
        hospital = Hospital(77, 6)
        sent = [hospital.adt(e, n) for n in range(6) for e in ("A01", "A08", "A02", "A03")]
        sent += [hospital.oru(n) for n in range(6)] + [hospital.merge(1, 2), hospital.merge(3, 4)]
        sent += hospital.messages(40)
        send_all(hub, [encode(m) for m in sent])
        for name in sorted(os.listdir(os.path.join(ROOT, "tests", "data", "demo"))):
            if name.endswith(".hl7"):
                with open(os.path.join(ROOT, "tests", "data", "demo", name), "rb") as f:
                    send_all(hub, [f.read().replace(b"\n", b"\r")])
        large = hospital.oru(1)
        large.append("OBX|99|ED|PDF^Report^L||^application^pdf^Base64^" + "QUJD" * 30000 + "||||||F")
        send_all(hub, [encode(large)])
        os.makedirs(os.path.join(hub.dir, "schemas", "site"), exist_ok=True)
        with open(os.path.join(hub.dir, "schemas", "site", "site.yaml"), "w", encoding="utf-8") as f:
            f.write(REMAP)
        hub.edit("timezone: UTC, processing: [P]", "timezone: UTC, processing: [P], mapping: [schemas/site/site.yaml]")
        hub.caught_up()
        hub.stop()
        hub.start()
        hub.cli("feed", "remap", "mllp", "--since", "2020-01-01")
        hub.caught_up()
        hub.stop()
        done = subprocess.run([TOOL, "dump", os.path.join(hub.dir, "data")], capture_output=True)
        check(done.returncode == 0, done.stderr.decode())
        for line in done.stdout.decode().split("\n")[:-1]:
            kind, text = line.split(" ", 1)
            STORED.setdefault(kind, []).append(text)
    finally:
        hub.close()
    return STORED


def groups():
    """Some of each kind of record: {name: (schema, [object])}."""
    found = {}
    for text in stored()["event"]:
        event = json.loads(text)
        found.setdefault("a revision's event" if "revision" in event else "an event", ("event", []))[1].append(event)
    for text in stored()["timeline"]:
        record = json.loads(text)
        name = "a token record" if "chart" in record else "a revision record" if record["kind"] == "revision" else "an entry"
        found.setdefault(name, ("timeline", []))[1].append(record)
    found["an event without entries"] = ("timeline", [{"event": e["id"], "kind": "event", "recorded": e["recordedtime"], "sha256": "0" * 64,
                                                       "subject": e["subject"]} for e in found["an event"][1][:3]])
    check(len(found) == 6, f"kinds of records: {sorted(found)}")
    return found


def everything_stored_is_as_the_schemas_say():
    for kind in ("event", "timeline"):
        texts = stored()[kind]
        check(len(texts) > 100, f"{len(texts)} of {kind}")
        for text, verdict in zip(texts, program(kind, texts)):
            check(verdict == "ok", f"the program says {verdict}")
        validator = reference(kind)
        for text in texts:
            check(canonical(json.loads(text)) == text, "not in canonical form")
            for error in validator.iter_errors(json.loads(text)):
                raise Failed(f"{'/'.join(str(p) for p in error.path)}: {error.validator}")
    for name, (kind, records) in groups().items():
        check(set(program(kind, [canonical(r) for r in records])) == {"ok"}, name)


def wrong_on_purpose(name, record):
    """(what was done, the wrong record)"""
    for member in record:
        if name == "an entry" and member in ("test", "origin", "originrecorded", "revision"):
            continue
        if name.endswith("event") and member in ("mapping", "messagetime", "origin", "originrecorded", "revision", "supersedes"):
            continue
        if name == "a token record" and member not in ("chart", "entries", "latest", "survivor", "token", "tokens"):
            continue
        wrong = dict(record)
        del wrong[member]
        yield f"without {member}", wrong
    for member in record:
        yield f"{member} a number", {**record, member: 17.5}
        yield f"{member} null", {**record, member: None}
        if isinstance(record[member], str) and member != "trigger":
            yield f"{member} with a name in it", {**record, member: record[member] + " Smith^John"}
    yield "a member more", {**record, "name": "Smith"}
    yield "a member more in front", {**record, "a": 1}
    if "resource" in record:
        yield "a resource of no type", {**record, "resource": {"id": record["id"]}}
        yield "a line feed behind the type", {**record, "resource": {**record["resource"], "resourceType": record["resource"]["resourceType"] + "\n"}}
    if "data" in record and record["data"].get("entry"):
        for what, change in (("an entry of another form", {"resource": {"resourceType": "Patient"}}), ("a clear entry", {"note": "Smith"})):
            wrong = copy.deepcopy(record)
            wrong["data"]["entry"][0].update(change)
            yield what, wrong
        yield "a Bundle with a member more", {**record, "data": {**record["data"], "identifier": {"value": "1"}}}
    if "seal" in record:
        yield "a clear seal", {**record, "seal": "1;none;;"}


def what_was_changed_on_purpose_passes_neither():
    count = 0
    for name, (kind, records) in groups().items():
        validator = reference(kind)
        wrongs = [pair for record in records[:3] for pair in wrong_on_purpose(name, record)]
        if kind == "event":  # the policy's name is free text
            wrongs = [(what, wrong) for what, wrong in wrongs if what != "policy with a name in it"]
        verdicts = program(kind, [canonical(wrong) for _, wrong in wrongs])
        for (what, wrong), verdict in zip(wrongs, verdicts):
            check(verdict != "ok", f"{name} {what}: the program takes it")
            check("Smith" not in verdict, f"{name} {what}: the verdict shows the value")
            check(not validator.is_valid(wrong), f"{name} {what}: jsonschema takes it")
            count += 1
    check(count > 200, f"{count} changes")


def mutate(rng, value):
    """A copy with one change somewhere."""
    value = copy.deepcopy(value)
    places = []

    def walk(node):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])
    walk(value)
    node, key = rng.choice(places)
    what = rng.randrange(6)
    if what == 0 and isinstance(node, dict):
        del node[key]
    elif what == 1 and isinstance(node, dict):
        node[rng.choice(["extra", "é\"\\", "id", "kind", "fact", "resource", ""])] = rng.choice([1, "x", [], {}])
    elif what == 2 and isinstance(node[key], str) and node[key]:
        at = rng.randrange(len(node[key]))
        node[key] = node[key][:at] + rng.choice(["", "A", "0", "\n", "é", "\"", "\\", "\u0001", " "]) + node[key][at + 1:]
    elif what == 3 and isinstance(node[key], str):
        node[key] = rng.choice(["", node[key] + node[key], node[key][:-1], node[key] + ";"])
    elif what == 4:
        node[key] = rng.choice([None, True, 0, -1, 1, 10 ** 12, 1.5, "text", [], {}, [1], {"a": []}])
    else:
        other, there = rng.choice(places)
        node[key] = copy.deepcopy(other[there])
    return value


def of_random_changes_both_say_the_same():
    rng = random.Random(int(os.environ.get("CHARTLINE_SEED", "20261123")))
    taken = refused = 0
    for name, (kind, records) in groups().items():
        validator = reference(kind)
        small = [r for r in records if len(canonical(r)) < 20000][:20]
        changed = [mutate(rng, rng.choice(small)) for _ in range(250)]
        for wrong, verdict in zip(changed, program(kind, [canonical(w) for w in changed])):
            good = validator.is_valid(wrong)
            taken += good
            refused += not good
            check(good == (verdict == "ok"), f"{name}: jsonschema says {good}, the program {verdict}: {canonical(wrong)[:3000]}")
    check(taken > 50 and refused > 500, f"{taken} taken, {refused} refused: the changes say little")


if __name__ == "__main__":
    main([everything_stored_is_as_the_schemas_say, what_was_changed_on_purpose_passes_neither, of_random_changes_both_say_the_same])
