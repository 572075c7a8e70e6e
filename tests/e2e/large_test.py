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


if __name__ == "__main__":
    main([a_document_of_10_mb_stands_once_and_comes_back_byte_for_byte])
