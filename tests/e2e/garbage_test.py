#!/usr/bin/env python3
"""The worst sender: what is no message, or half of one, is answered exactly, kept sealed, and disturbs nobody else."""
import base64

from harness import *
from attacks import *

REPEATS = int(os.environ.get("CHARTLINE_REPEATS", "5000"))
MERGE = "MRG|{mrn}^^^NORTH^MR\r"


def merge(control, survivor, retired):
    head = adt(control, survivor, kind="ADT^A40^ADT_A39").split(b"PV1")[0]
    return head + MERGE.format(mrn=retired).encode()


def cases():
    """(what, message, code, control id, ERR-2, code of ERR-3); None: any."""
    good = adt("X")
    return [
        ("no HL7", b"Quexwright Ada 1970-01-01 positive", "AE", "", None, "100"),
        ("empty", b"", "AE", "", None, "100"),
        ("only CR", b"\r\r\r", "AE", "", None, "100"),
        ("MSH alone", b"MSH", "AE", "", None, "100"),
        ("MSH and separators", b"MSH|^~\\&", "AE", "", None, None),
        ("MSH only, no type", b"MSH|^~\\&|EHR|NORTH|HUB|NORTH|20260311081700+0000||||P|2.5.1\r", "AE", "", "MSH^1^9^1", "101"),
        ("MSH segment only", b"MSH|^~\\&|EHR|NORTH|HUB|NORTH|20260311081700+0000||ADT^A04^ADT_A01|ONLY|P|2.5.1\r", "AE", "ONLY", None, None),
        ("another segment first", good.split(b"\r", 1)[1], "AE", "", None, "100"),
        ("two patients where one has room", adt("TWOPID") + adt("X", "70002").split(b"\r", 2)[2], "AE", "TWOPID", "PID^2", "100"),
        ("a message begun anew in its frame", adt("CUTOFF")[:-60] + VT + adt("ANEW", "70002"), "AE", "CUTOFF", None, "100"),
        ("all NUL", b"\0" * 500, "AE", "", None, "100"),
        ("binary", bytes(b for b in range(256) if b not in (0x0b, 0x1c)) * 20, "AE", "", None, "100"),
        ("8-bit bytes in ASCII", adt("ASCII").replace(b"|2.5.1\r", b"|2.5.1||||||ASCII\r").replace(NAME.encode(), NAME.encode() + b"\xe9\xff"), "AE", "ASCII", None, "102"),
        ("broken UTF-8", adt("UTF8").replace(NAME.encode(), NAME.encode() + b"\xc3("), "AE", "UTF8", None, "102"),
        ("unknown charset", adt("CHARSET").replace(b"|2.5.1\r", b"|2.5.1||||||KLINGON\r"), "AE", "CHARSET", "MSH^1^18^1", "103"),
        ("a merge that no table knows", merge("MERGE", "70001", "70002").replace(b"A40", b"A35"), "AR", "MERGE", "MSH^1^9^1^2", "201"),
        ("type is no type", adt("NOTYPE", kind="Quexwright"), "AR", "NOTYPE", "MSH^1^9^1^1", "200"),
        ("version 9.9", adt("VERSION", version="9.9"), "AR", "VERSION", "MSH^1^12^1", "203"),
        ("processing T", adt("PROCESSING", processing="T"), "AR", "PROCESSING", "MSH^1^11^1", "202"),
        ("no MSH-10", adt(""), "AE", "", "MSH^1^10^1", "101"),
        ("a control character in the identifier", adt("TOKEN", mrn="7\x01"), "AE", "TOKEN", None, "102"),
        ("merged with itself", merge("SELF", "70001", "70001"), "AE", "SELF", "MRG^1^1^1", "204"),
    ]


def every_kind_of_garbage_is_answered_kept_and_listed():
    hub = Hub().start()
    try:
        beside, sender = hub.connect(), hub.connect()
        wrong, sent = [], {}
        for what, message, code, control, where, err in cases():
            try:
                ack = sender.exchange(message)
            except ConnectionError:
                wrong.append(f"{what}: closed")
                sender = hub.connect()
                continue
            got = answer(ack)
            sent[what] = (message, got)
            expected = (code, control, got[2] if where is None else where, got[3] if err is None else err)
            if got != expected:
                wrong.append(f"{what}: answered {got}, not {expected}")
            if NAME.encode() in ack:
                wrong.append(f"{what}: a name in the answer")
            if err is None and got[3] in ("", "0"):
                wrong.append(f"{what}: no ERR-3 in {ack!r}")
            check(ack_code(beside.exchange(adt(f"B{len(sent)}")))[0] == "AA", f"after {what} the other connection suffers")
        check(not wrong, "\n  ".join(["wrong answers:"] + wrong))
        letters = hub.json("deadletter", "list")
        check(len(letters) == len(sent), f"{len(letters)} dead letters for {len(sent)} refusals")
        originals = set()
        for letter in letters:
            check(letter["count"] == 1 and letter["reason"]["code"], f"letter: {letter}")
            sealed = hub.json("deadletter", "show", letter["id"])
            check(NAME not in json.dumps(sealed), "a name in a sealed dead letter")
            opened = hub.json("deadletter", "show", letter["id"], *hub.as_role("clinician"))
            if "originalBase64" in opened:
                originals.add(base64.b64decode(opened["originalBase64"]))
            elif "original" in opened:
                originals.add(opened["original"].encode())
            else:
                originals.add(b"")
        missing = [what for what, (message, _) in sent.items() if message not in originals]
        check(not missing, f"originals that did not come back: {missing}")
        refusals = entries(hub, "message-rejected") + entries(hub, "dead-lettered")
        check(len(refusals) >= len(sent), f"{len(refusals)} audit entries for {len(sent)} refusals: {sorted({e['kind'] for e in entries(hub)})}")
        check(NAME not in json.dumps(entries(hub)), "a name in the audit log")
        status = hub.json("status")
        check(status["rejected"] == len(sent) and status["deadletters"] == len(sent), f"status: {status}")
        sender.close()
        beside.close()
        hub.stop()
        hub.cli("audit", "verify", "--events")
        no_name_in(hub)
    finally:
        hub.close()


def strange_control_ids_come_back_as_they_are():
    hub = Hub().start()
    try:
        sender = hub.connect()
        for control in ("A B", "\\F\\\\T\\", "a" * 199, "0", "%s%n%x", "'; DROP TABLE", "ID^2", "ID~2", "\xe9\xfc", "<x>&amp;", "-", "A\\.br\\B"):
            message = adt("@").replace(b"|@|", b"|" + control.encode() + b"|")
            ack = sender.exchange(message)
            code, echoed = ack_code(ack)
            check((code, echoed) == ("AA", control) or (code == "AA" and "\xe9" in control), f"{control!r} came back as {code} {echoed!r}")
        huge = adt("H" * 5000)
        code, echoed = ack_code(sender.exchange(huge))
        check(code in ("AA", "AE") and "H" * 199 in echoed, f"a long id is answered {code} {echoed[:20]!r}")
        code, echoed = ack_code(sender.exchange(adt("\"\"")))
        check(code in ("AA", "AE"), f"an id of \"\" is answered {code}")
        check(ack_code(sender.exchange(adt("LAST")))[0] == "AA", "after strange ids")
        found = hub.json("message", "find", "--control-id", "%s%n%x")
        check(len(found) == 1, f"found: {found}")
        sender.close()
    finally:
        hub.close()


def frames_come_in_any_pieces():
    hub = Hub().start()
    try:
        sender = hub.connect()
        for byte in VT + adt("BYTES") + FS + CR:  # byte by byte
            sender.socket.sendall(bytes([byte]))
        check(ack_code(sender.receive()) == ("AA", "BYTES"), "byte by byte")
        sender.socket.sendall(VT + adt("TWO1") + FS + CR + VT + adt("TWO2") + FS + CR)
        check([ack_code(sender.receive())[1] for _ in range(2)] == ["TWO1", "TWO2"], "two frames in one write")
        sender.socket.sendall(b"noise \r\n before" + VT + adt("NOISE") + FS + CR)
        check(ack_code(sender.receive()) == ("AA", "NOISE"), "bytes before VT")
        sender.socket.sendall(b"\r\n\r\n" + VT + adt("BLANK") + FS + CR + b"\r\n")
        check(ack_code(sender.receive()) == ("AA", "BLANK"), "line ends between frames")
        sender.socket.sendall(VT + adt("HALF", "70007")[:-60] + VT + adt("WHOLE") + FS + CR)
        check(ack_code(sender.receive()) == ("AE", "HALF"), "a frame that was cut off and begun anew")
        check(ack_code(sender.exchange(adt("WHOLE"))) == ("AA", "WHOLE"), "the message sent again")
        check(hub.json("patient", "find", "urn:chartline:ns:NORTH:NORTH|70007", expect=None) == [], "half a message became a patient")
        sender.close()
        before = hub.json("status")["events"]
        for cut in (1, 2, 9, 60, 200):  # a frame that never ends
            half = hub.connect()
            half.socket.sendall((VT + adt(f"CUT{cut}") + FS)[:cut])
            half.close()
        half = hub.connect()
        half.socket.sendall(VT + adt("NOEND"))
        half.close()
        accepted(hub, "HEALTHY")
        status = hub.json("status")
        check(status["events"] == before + 1, f"half a message became an event: {status}")
        check(hub.json("message", "find", "--control-id", "NOEND") == [], "a message without end is stored")
        noend = hub.connect()  # FS without CR: whole, the peer only ends there
        noend.socket.sendall(VT + adt("FSONLY") + FS)
        check(ack_code(noend.receive()) == ("AA", "FSONLY"), "FS alone")
        noend.close()
        no_name_in(hub)
    finally:
        hub.close()


def what_no_table_names_is_kept_and_control_characters_are_marked():
    hub = Hub().start()
    try:
        sender = hub.connect()
        odd = [adt("TRIGGER", kind="ADT^A99^ADT_A01"), adt("NOTRIGGER", kind="ADT"), adt("TYPE", kind="QQQ^Q99"),
               adt("CONTROLS", mrn="70009").replace(b"^Ada", b"^A\0d\x1ba")]
        for message in odd:
            check(ack_code(sender.exchange(message)) == ("AA", control_id(message)), f"{control_id(message)} is refused")
        sender.close()
        status = hub.caught_up()
        check(status["events"] == len(odd), f"status: {status}")
        for message in odd:
            found = hub.json("message", "find", "--control-id", control_id(message))
            check(len(found) == 1, f"{control_id(message)} is not found")
            shown = hub.json("message", "show", found[0]["id"], *hub.as_role("clinician"))
            raw = [e["resource"]["data"] for e in shown["events"][0]["data"]["entry"] if e["resource"]["resourceType"] == "Binary"]
            check(any(base64.b64decode(r) == message for r in raw), f"the original of {control_id(message)} did not come back")
        text = json.dumps(hub.json("timeline", "urn:chartline:ns:NORTH:NORTH|70009", *hub.as_role("clinician")))
        check("A\\ufffdd\\ufffda" in text and "\\u0000" not in text and "\\u001b" not in text, "control characters in FHIR")
    finally:
        hub.close()


def one_bad_message_for_ever_does_not_fill_the_disk():
    hub = Hub().start()
    try:
        bad = adt("AGAIN", processing="T", extra="NTE|1||" + "x" * 2000 + "\r")
        send_all(hub, [bad] * 20)
        time.sleep(1.2)
        before, begin = disk_bytes(hub), hub.json("status")
        acks = send_all(hub, [bad] * REPEATS)
        check({answer(a) for a in acks} == {("AR", "AGAIN", "MSH^1^11^1", "202")}, "an answer changed")
        letters = hub.json("deadletter", "list")
        check(len(letters) == 1 and letters[0]["count"] == REPEATS + 20, f"letters: {letters}")
        status = hub.json("status")
        check(status["deadletters"] == 1 and status["rejected"] == REPEATS + 20, f"status: {status}")
        each = (status["log_bytes"] - begin["log_bytes"]) / REPEATS
        check(each < 1000, f"each repeat of a {len(bad)} byte message takes {each:.0f} bytes of the event log")
        print(f"     {REPEATS} repeats: {each:.0f} bytes of log each, {(disk_bytes(hub) - before) // 1024} KiB on disk", flush=True)
        accepted(hub, "GOOD")
        hub.stop()
        check(hub.json("deadletter", "list")[0]["count"] == REPEATS + 20, "the count after a stop")
        hub.cli("audit", "verify")
    finally:
        hub.close()


def a_mended_message_resolves_its_dead_letter():
    hub = Hub()
    try:
        hub.start()
        send = hub.connect()
        check(ack_code(send.exchange(adt("MEND", processing="T")))[0] == "AR", "T on a feed of P")
        send.close()
        hub.stop()
        hub.edit("processing: [P]", "processing: [P, T]")
        hub.start()
        send = hub.connect()
        check(ack_code(send.exchange(adt("MEND", processing="T")))[0] == "AA", "judged anew")
        send.close()
        letters = hub.json("deadletter", "list")
        check(hub.json("status")["deadletters"] == 0 and all(l["state"] == "resolved" for l in letters), f"letters: {letters}")
    finally:
        hub.close()


if __name__ == "__main__":
    main([every_kind_of_garbage_is_answered_kept_and_listed, strange_control_ids_come_back_as_they_are, frames_come_in_any_pieces,
          what_no_table_names_is_kept_and_control_characters_are_marked,
          one_bad_message_for_ever_does_not_fill_the_disk, a_mended_message_resolves_its_dead_letter])
