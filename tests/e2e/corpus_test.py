#!/usr/bin/env python3
"""Every message of the shared corpus gets an answer that a person agrees with; nothing crashes."""
from harness import *

FOLDER = os.path.join(SHARED, "corpus", "hl7v2")
# What a person would refuse: merges and moves of accounts that no table carries out (RULES, Reading messages).
REFUSED = {"ADT^A41": ("AR", b"201"), "ADT^A45": ("AR", b"201")}


def load():
    for name in sorted(os.listdir(FOLDER)):
        if name.endswith(".hl7"):
            with open(os.path.join(FOLDER, name), "rb") as f:
                yield name, f.read()


def header(message):
    line = message.lstrip(b"\xef\xbb\xbf").replace(b"\n", b"\r").split(b"\r", 1)[0]
    return [field.decode("utf-8", "replace") for field in line.split(line[3:4])]


def due(condition, positive):
    """Whether an acknowledgement is asked for (table 0155)."""
    return {"AL": True, "NE": False, "ER": not positive, "SU": positive}.get(condition, False)


def expected(fields, code):
    """The codes of the answers a person expects, by MSH-15 and MSH-16 (RULES, Answers)."""
    accept, application = (f.strip() for f in (fields + [""] * 16)[14:16])
    if not accept and not application:
        return [code]
    positive = code == "AA"
    return ([code.replace("A", "C", 1)] if due(accept, positive) else []) + ([code] if due(application, positive) else [])


def every_corpus_message_gets_the_right_answer():
    hub = Hub()
    try:
        hub.cli("check", expect=None)
        path = os.path.join(hub.dir, "hub.yaml")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        check("processing:" in text, "hub.yaml names no processing ids")
        import re
        text = re.sub(r"processing: *\[[^\]]*\]", "processing: [P, T, D]", text)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        hub.start()
        wrong = []
        accepted = sent = 0
        sender = hub.connect()
        for name, message in load():
            fields = header(message)
            kind = "^".join(fields[8].split("^")[:2])
            want, reason = REFUSED.get(kind, ("AA", b""))
            codes = expected(fields, want)
            sender.send(message)
            answers = [sender.receive() for _ in codes]
            got = [ack_code(a) for a in answers]
            sent += 1
            accepted += want == "AA"
            if got != [(c, fields[9]) for c in codes] or (answers and reason not in answers[-1]):
                wrong.append(f"{name} ({kind}): expected {codes}, got {answers!r}")
        check(not wrong, "\n".join(wrong))
        status = hub.caught_up()
        check(status["messages"] == accepted, f"{status['messages']} messages stored, {accepted} of {sent} accepted")
        check(hub.process.poll() is None, "the hub ended")
        for chart in hub.json("timeline", "--list"):
            hub.cli("timeline", chart["chart"], "--json", "--versions", *hub.as_role("clinician"))
        hub.stop()
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


if __name__ == "__main__":
    if not os.path.isdir(FOLDER):
        skip_all("no corpus at ../shared/corpus/hl7v2; put a folder of HL7 v2 messages there", apart=True)
    main([every_corpus_message_gets_the_right_answer])
