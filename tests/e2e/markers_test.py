#!/usr/bin/env python3
"""Nothing in the clear (guarantee 4): a marker in every field of 1,000 messages is nowhere on disk, and all of them come back
for the right role."""
import base64
import re

from harness import *

COUNT = int(os.environ.get("CHARTLINE_MARKERS", "1000"))
PREFIX = "Qx7Zk"
CLINICAL = "Qx7ZkC"
OTHER = "Qx7ZkN"


class Marks:
    def __init__(self):
        self.clinical, self.other, self.n = set(), set(), 0

    def mark(self, clinical):
        self.n += 1
        text = f"{CLINICAL if clinical else OTHER}{self.n:06d}e"
        (self.clinical if clinical else self.other).add(text)
        return text


def segment(marks, name, count, clinical, fixed):
    fields = [name]
    for i in range(1, count + 1):
        fields.append(fixed[i] if i in fixed else marks.mark(clinical))
    return "|".join(fields)


def message(marks, n):
    now = f"202404{1 + n % 28:02d}{n % 24:02d}{n % 60:02d}00-0500"
    o, c = (lambda: marks.mark(False)), (lambda: marks.mark(True))
    person = lambda: f"{o()}^{o()}^{o()}"
    pid = segment(marks, "PID", 30, False, {1: "1", 3: f"{o()}^^^GENHOSP^MR", 5: person(), 7: "19700101", 8: "F", 11: f"{o()}^{o()}^{o()}^{o()}^{o()}",
                                           24: "N", 25: "1", 29: "", 30: "N"})
    if n % 2 == 0:
        head = f"MSH|^~\\&|{o()}|{o()}|{o()}|{o()}|{now}||ADT^A01^ADT_A01|{o()}|P|2.5.1"
        pv1 = segment(marks, "PV1", 44, False, {1: "1", 2: "I", 3: f"{o()}^{o()}^{o()}", 7: person(), 8: person(), 9: person(), 17: person(),
                                                19: f"{o()}^^^GENHOSP", 25: "", 26: "", 27: "", 29: "", 30: "", 34: "", 35: "", 44: now})
        al1 = f"AL1|1|DA|{c()}^{c()}^{c()}|SV|{c()}"
        dg1 = f"DG1|1||{c()}^{c()}^{c()}|{c()}|{now}|A"
        nk1 = f"NK1|1|{person()}|{o()}^{o()}|{o()}|{o()}"
        in1 = f"IN1|1|{o()}^{o()}|{o()}|{o()}"
        lines = [head, f"EVN|A01|{now}", pid, nk1, pv1, al1, dg1, in1]
    else:
        head = f"MSH|^~\\&|{o()}|{o()}|{o()}|{o()}|{now}||ORU^R01^ORU_R01|{o()}|P|2.5.1"
        orc = f"ORC|RE|{o()}^{o()}|{o()}^{o()}"
        obr = f"OBR|1|{o()}^{o()}|{o()}^{o()}|{c()}^{c()}^{c()}|||{now}|||||||||{person()}||||||{now}|||F"
        lines = [head, pid, orc, obr, f"OBX|1|ST|{c()}^{c()}^{c()}|{c()}|{c()}|{c()}|{c()}|A|||F|||{now}", f"NTE|1|L|{c()}",
                 f"OBX|2|CWE|{c()}^{c()}^{c()}||{c()}^{c()}^{c()}|||||||F|||{now}", f"ZXX|{o()}|{c()}"]
    return ("\r".join(lines) + "\r").encode()


def forms(text):
    """The byte strings that give TEXT away in the encodings people meet."""
    raw = text.encode()
    found = {raw: "utf-8", text.encode("utf-16-le"): "utf-16", text.encode("utf-16-be"): "utf-16",
             raw.hex().encode(): "hex", raw.hex().upper().encode(): "hex"}
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw)
        start = (shift * 8 + 5) // 6
        end = (shift + len(raw)) * 8 // 6
        found[coded[start:end]] = "base64"
    return found


def search(folder, needles):
    hits = []
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                data = f.read()
            hits += [f"{os.path.relpath(path, folder)} ({how})" for needle, how in needles.items() if needle in data]
            hits += [f"name {name}" for needle in needles if needle in name.encode()]
    return hits


def seen(text):
    """The markers in TEXT, those in the original message (a Binary's base64) included."""
    found = set(re.findall(r"Qx7Zk[CN]\d{6}e", text))
    for data in re.findall(r'"data": ?"([A-Za-z0-9+/=]+)"', text):
        found |= set(re.findall(r"Qx7Zk[CN]\d{6}e", base64.b64decode(data).decode("utf-8", "replace")))
    return found


def markers_are_nowhere_and_come_back_by_role():
    hub = Hub().start()
    try:
        marks = Marks()
        messages = [message(marks, n) for n in range(COUNT)]
        garbage = [b"MSH|^~\\&|" + marks.mark(False).encode() + b"|no type\rPID|1||" + marks.mark(False).encode(),
                   marks.mark(False).encode()]
        acks = send_all(hub, messages)
        refused = [a for a in acks if ack_code(a)[0] != "AA"]
        check(not refused, f"refused: {refused[:1]}")
        for g in garbage:
            check(ack_code(hub.connect().exchange(g))[0] in ("AE", "AR"), "garbage was accepted")
        hub.caught_up()
        needles = forms(PREFIX)
        check(search(os.path.join(hub.dir, "data"), needles) == [], f"in the data directory: {search(os.path.join(hub.dir, 'data'), needles)[:5]}")
        charts = hub.json("timeline", "--list")
        clinician, frontdesk, sealed = set(), set(), set()
        for chart in charts:
            for role, into in (("clinician", clinician), ("frontdesk", frontdesk)):
                into |= seen(hub.cli("timeline", chart["chart"], "--json", "--versions", *hub.as_role(role)))
            sealed |= seen(hub.cli("timeline", chart["chart"], "--json", "--versions"))
        found = hub.json("message", "find", "--feed", "mllp")
        for row in found:
            clinician |= seen(hub.cli("message", "show", row["id"], "--json", *hub.as_role("clinician")))
        check(sealed == set(), f"without a role one sees {len(sealed)} markers")
        check(not frontdesk & marks.clinical, f"the front desk sees {len(frontdesk & marks.clinical)} clinical markers")
        check(frontdesk, "the front desk sees nothing at all")
        expected = set().union(*(seen(m.decode()) for m in messages))
        check(expected <= clinician, f"{len(expected - clinician)} of {len(expected)} markers did not come back")
        hub.stop()
        check(search(os.path.join(hub.dir, "data"), needles) == [], "in the data directory after the stop")
        check(search(hub.base, forms(PREFIX)) == [], f"in the hub's folders or log: {search(hub.base, needles)[:5]}")
    finally:
        hub.close()


if __name__ == "__main__":
    main([markers_are_nowhere_and_come_back_by_role])
