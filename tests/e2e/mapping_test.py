#!/usr/bin/env python3
"""A feed's mapping under its engineer's tests, and under the eyes of the linter."""
from harness import *
from messages import Hospital


def with_overlay(hub, text):
    os.makedirs(os.path.join(hub.dir, "schemas", "site"), exist_ok=True)
    with open(os.path.join(hub.dir, "schemas", "site", "site.yaml"), "w", encoding="utf-8") as f:
        f.write(text)
    with open(os.path.join(hub.dir, "hub.yaml"), encoding="utf-8") as f:
        if "mapping: [" in f.read():
            return
    hub.edit("timezone: UTC, processing: [P]", "timezone: UTC, processing: [P], mapping: [schemas/site/site.yaml]")


def with_tests(hub, folder="tests/mllp"):
    os.makedirs(os.path.join(hub.dir, folder), exist_ok=True)
    sent = Hospital(41)
    for name, lines in (("admission", [sent.adt("A01", 1), sent.adt("A08", 1)]), ("result", [sent.oru(2)])):
        with open(os.path.join(hub.dir, folder, f"{name}.hl7"), "w", encoding="utf-8", newline="") as f:
            f.write("\r".join("\r".join(m) + "\r" for m in lines))


def golden_tests_are_accepted_and_then_hold():
    hub = Hub()
    try:
        with_tests(hub)
        out = hub.cli("feed", "test", "mllp", expect=1)
        check("no expected result" in out, out)
        out = hub.cli("feed", "test", "mllp", "--update")
        check("admission.json: accepted" in out and "result.json: accepted" in out, out)
        check("3 messages in 2 files: 3 as expected, 0 not" in hub.cli("feed", "test", "mllp"), "not as accepted")
        check("accepted" not in hub.cli("feed", "test", "mllp", "--update"), "accepted without a change")
        with open(os.path.join(hub.dir, "tests/mllp/admission.json"), encoding="utf-8") as f:
            expected = json.load(f)
        check(len(expected) == 2 and expected[0]["status"] == "ok" and expected[0]["bundles"][0]["type"] == "collection", "not a result a message")
        hub.cli("feed", "test", "mllp", "tests/mllp")
        hub.cli("feed", "test", "mllp", "tests/none", expect=2)
        hub.cli("feed", "test", "nobody", expect=2)
    finally:
        hub.close()


def a_changed_mapping_fails_its_tests_by_element():
    hub = Hub()
    try:
        with_tests(hub)
        hub.cli("feed", "test", "mllp", "--update")
        with_overlay(hub, "segments: {PID: {resources: {patient: {rules: [{id: pid-8-gender, from: PID-8.1, to: gender, type: code, codes: Sex}]}}}}\n"
                          "codes: {Sex: {system: \"http://hl7.org/fhir/administrative-gender\", unmapped: omit, map: {M: other, F: female}}}\n")
        out = hub.cli("feed", "test", "mllp", expect=1)
        check('admission.hl7: message 1: Patient.gender: expected "male", got "other"' in out, out)
        check("result.hl7" not in out, f"a message without change: {out}")
        found = json.loads(hub.cli("feed", "test", "mllp", "--json", expect=1))
        check(found["failed"] == 2 and found["failures"][0]["path"] == "Patient.gender" and found["failures"][0]["expected"] == "male", f"{found}")
        hub.cli("feed", "test", "mllp", "--update")
        hub.cli("feed", "test", "mllp")
    finally:
        hub.close()


def a_message_that_is_refused_is_a_result_too():
    hub = Hub()
    try:
        with_tests(hub)
        path = os.path.join(hub.dir, "tests/mllp/training.hl7")
        with open(path, "w", encoding="utf-8", newline="") as f:
            f.write("\r".join(Hospital(42).adt("A01", 1)).replace("|P|2.5.1", "|T|2.5.1") + "\r")
        hub.cli("feed", "test", "mllp", "--update")
        with open(path[:-3] + "json", encoding="utf-8") as f:
            check(json.load(f)[0]["error"]["at"] == "MSH-11", "another reason")
        hub.edit("processing: [P]", "processing: [P, T]")
        out = hub.cli("feed", "test", "mllp", expect=1)
        check('training.hl7: message 1: status: expected "error", got "ok"' in out, out)
    finally:
        hub.close()


def the_linter_names_line_and_mend():
    hub = Hub()
    try:
        check("fine" in hub.cli("feed", "lint", "mllp"), "a feed without overlay is not fine")
        with_overlay(hub, """segments:
  PID:
    resources:
      patient:
        rules:
          - {id: zz-a, from: PID-45, to: "extension(urn:x).valueString"}
          - {id: zz-b, from: PID-23, to: language}
          - {id: zz-c, value: de, to: language}
codes:
  Unused: {system: "urn:x", map: {A: b}}
  AdministrativeSex: {map: {F: female}}
""")
        found = json.loads(hub.cli("feed", "lint", "mllp", "--json", expect=1))
        by_line = {(f["line"], f["what"].split(":")[0]): f for f in found}
        check(all(f["file"].endswith("site.yaml") and f["mend"] for f in found), f"{found}")
        for line, what in ((6, "a field that the segment does not have"), (7, "a rule that is never seen"), (10, "a code list that no rule uses"),
                           (10, "a code list that does not say what becomes of other codes"), (11, "a code that changes nothing")):
            check((line, what) in by_line, f"{line}: {what} not among {sorted(by_line)}")
        check(len(found) == 5, f"more than that: {sorted(by_line)}")
        with_overlay(hub, "segments: {PID: {resources: {patient: {rules: [{id: pid-8-gender, form: PID-8}]}}}}\n")
        out = hub.cli("feed", "lint", "mllp", expect=2)
        check("site.yaml:1" in out and "form" in out, out)
        hub.cli("feed", "lint", "nobody", expect=2)
    finally:
        hub.close()


if __name__ == "__main__":
    main([golden_tests_are_accepted_and_then_hold, a_changed_mapping_fails_its_tests_by_element, a_message_that_is_refused_is_a_result_too,
          the_linter_names_line_and_mend])
