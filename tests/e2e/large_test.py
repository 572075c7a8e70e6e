#!/usr/bin/env python3
"""Large values: a scanned document in a result stands once in the event, opens for who may read it, and the original
message comes back byte for byte; memory stays within a few times what is under way."""
import base64

from harness import *
from attacks import *

ORU = ("MSH|^~\\&|LAB|NORTH|HUB|NORTH|20260311081700+0000||ORU^R01^ORU_R01|{control}|P|2.5.1||||||{charset}\r"
       "PID|1||{mrn}^^^NORTH^MR||" + NAME + "^Ada||19700101|F\r"
       "OBR|1|P1|{control}^LAB|11502-2^Report^LN|||20260311080000+0000|||||||||||||||20260311081000+0000|||F\r")
MB = 1024 * 1024


def oru(control, segments, mrn="70001", charset="UNICODE UTF-8", encoding="utf-8"):
    text = ORU.format(control=control, mrn=mrn, charset=charset) + "".join(s + "\r" for s in segments)
    return text.encode(encoding)


def document(size, seed=7):
    """Bytes like those of a scanned document: nothing repeats."""
    return b"%PDF-1.7\n" + random.Random(seed).randbytes(size - 9)


def ed(data, encoding="Base64", kind="AP^PDF"):
    return f"OBX|1|ED|PDF^Display format in PDF^AUSPDI||^{kind}^{encoding}^{data}||||||F"


def plain(data):
    return base64.b64encode(data).decode()


def message_id(hub, control):
    found = hub.json("message", "find", "--control-id", control)
    check(len(found) == 1, f"{control}: {len(found)} messages")
    return found[0]["id"]


def shown(hub, control, role="clinician"):
    return hub.json("message", "show", message_id(hub, control), *hub.as_role(role))["events"][0]


def resources(event, kind):
    return [e["resource"] for e in event["data"]["entry"] if e["resource"]["resourceType"] == kind]


def raw_of(event):
    return base64.b64decode(event["data"]["entry"][-1]["resource"]["data"])


def attachment_of(event, observation):
    """The attachment of an Observation and the Binary it leads to."""
    value = [e["valueAttachment"] for e in observation["extension"] if "valueAttachment" in e][0]
    binary = [b for b in resources(event, "Binary") if value["url"] == "Binary/" + b["id"]]
    check(len(binary) == 1, f"{value['url']} leads to {len(binary)} Binaries")
    return value, binary[0]


def sent(hub, control, segments, **fields):
    message = oru(control, segments, **fields)
    sender = hub.connect(timeout=60)
    code = ack_code(sender.exchange(message))
    sender.close()
    check(code == ("AA", control), f"{control}: {code}")
    return message


def stored_bytes(hub, control):
    """Of the event as the log has it."""
    event = hub.json("message", "show", message_id(hub, control))["events"][0]
    return len(json.dumps(event, separators=(",", ":")))


def check_document(hub, control, message, data, kind="application/pdf"):
    event = shown(hub, control)
    value, binary = attachment_of(event, resources(event, "Observation")[0])
    check(base64.b64decode(binary["data"]) == data, f"{control}: the document is another")
    check(binary["contentType"] == kind and value["contentType"].lower() == kind, f"{control}: {binary['contentType']}")
    check("data" not in value, f"{control}: the document stands in the observation too")
    file = resources(event, "DocumentReference")[0]["content"][0]["attachment"]
    check(file == value and len(resources(event, "Binary")) == 2, f"{control}: {file} and {value}")  # and the original
    check(raw_of(event) == message, f"{control}: the original is not what was sent")


def a_document_of_10_mb_stands_once_and_comes_back_byte_for_byte():
    hub = Hub().start()
    try:
        data = document(10 * 1000 * 1000)
        message = sent(hub, "PDF10", [ed(plain(data))])
        check_document(hub, "PDF10", message, data)
        size = stored_bytes(hub, "PDF10")
        check(size < len(message) * 1.1, f"{size} bytes are stored of a message of {len(message)}")
        hub.caught_up()
        entries = hub.json("timeline", "urn:chartline:ns:NORTH:NORTH|70001", *hub.as_role("clinician"))
        check(any(r["resourceType"] == "Binary" and base64.b64decode(r["data"]) == data for r in entries["support"]),
              "the chart does not show the document")
        no_name_in(hub, (NAME.encode(), plain(data)[3000:3040].encode(), data[3000:3030]))
        hub.stop()
        hub.start()  # the log is read again from its beginning to the tail
        check_document(hub, "PDF10", message, data)
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def a_document_is_restored_however_its_sender_wrote_it():
    hub = Hub().start()
    try:
        data = document(300 * 1000 + 1)
        text = plain(data)
        lines = [text[i:i + 76] for i in range(0, len(text), 76)]
        ways = {"LINES": "\\.br\\".join(lines), "HEX2": "\\X0D0A\\".join(lines), "BLANKS": " ".join(lines) + " "}
        for control, way in ways.items():
            message = sent(hub, control, [ed(way)])
            check_document(hub, control, message, data)
            check(stored_bytes(hub, control) < len(message) * 1.1, f"{control}: stands twice")
        # another character set: the values are ASCII, the name is not
        latin = oru("LATIN", [ed(text), "NTE|1||Bl\u00e4sse \u00e9"], charset="8859/1", encoding="latin-1")
        sender = hub.connect()
        check(ack_code(sender.exchange(latin)) == ("AA", "LATIN"), "Latin 1")
        check_document(hub, "LATIN", latin, data)
        check(stored_bytes(hub, "LATIN") < len(latin) * 1.1, "LATIN: stands twice")
        # a text that is sent as it is, its delimiters escaped
        report = "<report>" + "".join(random.Random(5).choices("abcdefgh \n<>&", k=300000)) + "</report>"
        escaped = report.replace("&", "\\T\\").replace("\n", "\\X0A\\")
        message = sent(hub, "ASIS", [ed(escaped, "A", "TEXT^XML")])
        check_document(hub, "ASIS", message, report.encode(), "text/xml")
        # hex is not base64: it is kept as it came, and the document is there all the same
        hexed = oru("HEX", [ed(data.hex(), "Hex")])
        check(ack_code(sender.exchange(hexed)) == ("AA", "HEX"), "hex")
        check_document(hub, "HEX", hexed, data)
        sender.close()
    finally:
        hub.close()


def a_long_text_is_one_value_whether_in_one_field_or_in_lines():
    hub = Hub().start()
    try:
        rng = random.Random(3)
        words = [" ".join("".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 9))) for _ in range(12))
                 for _ in range(1500)]
        words[7] = ""
        whole = sent(hub, "FT", ["OBX|1|FT|11502-2^Report^LN||" + "\\.br\\".join(words) + "||||||F"])
        lines = sent(hub, "TX", [f"OBX|{i + 1}|TX|11502-2^Report^LN||{w}||||||F" for i, w in enumerate(words)])
        for control, message in (("FT", whole), ("TX", lines)):
            event = shown(hub, control)
            found = resources(event, "Observation")
            check(len(found) == 1 and "valueString" not in found[0], f"{control}: {len(found)} observations")
            value, binary = attachment_of(event, found[0])
            check(base64.b64decode(binary["data"]).decode() == "\n".join(words), f"{control}: the text is another")
            check(value["contentType"] == "text/plain;charset=utf-8", f"{control}: {value}")
            check(raw_of(event) == message, f"{control}: the original is not what was sent")
        check(stored_bytes(hub, "FT") < len(whole) * 1.7, "FT stands twice")  # base64 takes a third more
    finally:
        hub.close()


def who_lacks_a_class_sees_the_rest():
    hub = Hub()
    try:
        roles = os.path.join(hub.dir, "policies", "access", "roles.yaml")
        with open(roles, encoding="utf-8") as f:
            text = f.read()
        check("classes: [clinical]" in text, "roles.yaml has no role for clinical alone")
        with open(roles, "w", encoding="utf-8") as f:
            f.write(text.replace("classes: [clinical]", "classes: [clinical, identity]").replace(
                "classes: [identity, contact, financial]", "classes: [identity, contact, financial, raw]"))
        hub.start()
        data = document(200 * 1000)
        message = sent(hub, "ROLES", [ed(plain(data))])
        event = shown(hub, "ROLES", "insights")  # clinical, not raw
        _, binary = attachment_of(event, resources(event, "Observation")[0])
        check(base64.b64decode(binary["data"]) == data, "who may read results does not see the document")
        check(raw_of(event)[:1] == b"\x01", "who may not read originals sees one")
        event = shown(hub, "ROLES", "frontdesk")  # raw, not clinical: the document is in the original
        check(raw_of(event)[:1] == b"\x01", "an original without its document was shown")
        check(all(base64.b64decode(b["data"])[:2] == b"\x01\x04" for b in resources(event, "Binary")[:-1]), "the document is open, or not clinical")
        check(resources(event, "Patient")[0]["name"][0]["family"] == NAME, "the rest of the event stays sealed")
        check(raw_of(shown(hub, "ROLES")) == message, "the original is not what was sent")
    finally:
        hub.close()


def a_document_of_a_sensitive_result_is_sensitive():
    hub = Hub().start()
    try:
        data = document(100 * 1000)
        sent(hub, "HIV", ["OBX|1|ED|7917-8^HIV 1 Ab^LN||^AP^PDF^Base64^" + plain(data) + "||||||F"])
        stored = hub.json("message", "show", message_id(hub, "HIV"))["events"][0]
        classes = [base64.b64decode(b["data"])[1] for b in resources(stored, "Binary")]
        check(classes == [5, 6], f"the Binaries have the classes {classes}")
    finally:
        hub.close()


def ten_thousand_results_in_one_message():
    hub = Hub().start()
    try:
        message = sent(hub, "MANY", [f"OBX|{i}|NM|{i}^Analyte {i}^L||{i}.5|mmol/L|||||F" for i in range(1, 10001)])
        event = shown(hub, "MANY")
        check(len(resources(event, "Observation")) == 10000, "not every result is there")
        check(raw_of(event) == message, "the original is not what was sent")
        hub.caught_up(120)
        chart = hub.json("timeline", "urn:chartline:ns:NORTH:NORTH|70001", "--kind", "observation", *hub.as_role("clinician"))
        check(len(chart["entries"]) == 10000, f"{len(chart['entries'])} entries")
    finally:
        hub.close()


def memory_stays_within_a_few_times_what_is_under_way():
    with open(PROGRAM, "rb") as f:
        if b"__asan_init" in f.read():
            skip("a program built with the address sanitizer needs memory of its own", apart=True)
    hub = Hub().start()
    try:
        for i in range(5):
            accepted(hub, f"WARM{i}")
        hub.caught_up()
        data, count = plain(document(6 * 1000 * 1000)), 6
        messages = [oru(f"M{i}", [ed(data)], mrn=f"8{i}") for i in range(count)]
        before = memory_kib(hub)
        with open(f"/proc/{hub.process.pid}/clear_refs", "w", encoding="ascii") as f:
            f.write("5")  # the peak is counted from here (proc(5))
        senders = [hub.connect(timeout=120) for _ in messages]
        for s, m in zip(senders, messages):
            threading.Thread(target=s.send, args=(m,)).start()
        for i, s in enumerate(senders):
            check(ack_code(s.receive()) == ("AA", f"M{i}"), f"message {i}")
        grown = (memory_kib(hub, "VmHWM") - before) * 1024
        under_way = sum(map(len, messages))
        check(grown < 5 * under_way, f"{grown / under_way:.1f} times what was under way")
        print(f"     {count} messages of {len(messages[0]) // 1000000} MB at once: memory grew by {grown / under_way:.1f} times their size", flush=True)
        hub.caught_up(120)
        wait_for(lambda: (memory_kib(hub) - before) * 1024 < 4 * under_way, "the memory of large messages is kept", 20)
        for s in senders:
            s.close()
    finally:
        hub.close()


def a_refused_message_is_kept_whole_and_one_past_the_limit_as_far_as_it_was_read():
    hub = Hub()
    try:
        hub.edit("message_bytes: 16MiB", "message_bytes: 1MiB")
        hub.start()
        sender = hub.connect()
        body = plain(document(700 * 1000))
        wrong = oru("WRONG", [ed(body)]).replace(b"|2.5.1|", b"|3.9|")
        check(ack_code(sender.exchange(wrong))[0] == "AR", "a version that does not exist is accepted")
        over = oru("OVER", [ed(body + body)])
        check(answer(sender.exchange(over))[:2] == ("AE", "OVER"), "a message past limits.message_bytes is accepted")
        letters = hub.json("deadletter", "list")
        kept = {}
        for letter in letters:
            shown_letter = hub.json("deadletter", "show", letter["id"], *hub.as_role("clinician"))
            kept[letter["reason"]["code"]] = shown_letter["original"].encode()
        check(kept["unsupported_version"] == wrong, "a refused message is not kept whole")
        check(kept["too_large"] == over[:1024 * 1024], f"{len(kept['too_large'])} bytes are kept of one past the limit")
        sender.close()
    finally:
        hub.close()


if __name__ == "__main__":
    main([a_document_of_10_mb_stands_once_and_comes_back_byte_for_byte,
          a_document_is_restored_however_its_sender_wrote_it,
          a_long_text_is_one_value_whether_in_one_field_or_in_lines,
          who_lacks_a_class_sees_the_rest,
          a_document_of_a_sensitive_result_is_sensitive,
          ten_thousand_results_in_one_message,
          memory_stays_within_a_few_times_what_is_under_way,
          a_refused_message_is_kept_whole_and_one_past_the_limit_as_far_as_it_was_read])
