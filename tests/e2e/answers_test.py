#!/usr/bin/env python3
"""What senders hear: acknowledgement modes, one bad message in a queue, and `send` that knows what to wait for."""
from harness import *

STAMP = "20240301120000-0500"
AUTHORITY = "urn:chartline:ns:GENHOSP:GENHOSP"


def adt(control, accept="", application="", kind="ADT^A01^ADT_A01", mrn="77001", extra=()):
    head = f"MSH|^~\\&|EHR|GENHOSP|HUB|GENHOSP|{STAMP}||{kind}|{control}|P|2.5.1|||{accept}|{application}"
    pid = f"PID|1||{mrn}^^^GENHOSP^MR||ESPERANZA^Oona||19700101|F"
    return "\r".join([head, f"EVN||{STAMP}", pid, "PV1|1|I|ICU^1^A", *extra, ""]).encode()


def unmappable(control, accept="", application=""):
    """Parses, and is refused by the mapping: a patient merged with itself."""
    return adt(control, accept, application, "ADT^A40^ADT_A39", extra=["MRG|77001^^^GENHOSP^MR"])


def heard(sender, message, last):
    """The codes of the answers to MESSAGE: what comes before the answer to the message LAST sent behind it."""
    sender.send(message)
    sender.send(adt(last))
    codes = []
    while True:
        code, control = ack_code(sender.receive())
        if control == last:
            return codes
        check(control == control_id(message), f"an answer to {control}")
        codes.append(code)


def due(condition, good):
    return condition == "AL" or (condition == "ER" and not good) or (condition == "SU" and good)


def every_wish_and_outcome_is_answered_as_asked():
    hub = Hub()
    try:
        hub.start()
        sender = hub.connect()
        n = 0
        for accept in ("AL", "NE", "ER", "SU"):
            for application in ("AL", "NE", "ER", "SU"):
                for good in (True, False):
                    n += 1
                    make = adt if good else unmappable
                    expected = [c for c, wanted in (("CA" if good else "CE", due(accept, good)), ("AA" if good else "AE", due(application, good))) if wanted]
                    for again in range(2):
                        got = heard(sender, make(f"M{n}", accept, application), f"L{n}-{again}")
                        check(got == expected, f"MSH-15 {accept}, MSH-16 {application}, good {good}, time {again}: {got}, not {expected}")
        check(ack_code(sender.exchange(b"no message at all\r")) == ("AE", ""), "a frame that is not HL7")
        sender.close()
    finally:
        hub.close()


def answers_to_the_same_message_are_the_same_bytes():
    hub = Hub()
    try:
        hub.start()
        sender = hub.connect()
        answers = []
        for _ in range(2):
            sender.send(adt("SAME", "AL", "AL"))
            answers.append((sender.receive(), sender.receive()))
        check(answers[0] == answers[1], f"{answers}")
        check(answers[0][0].split(b"|")[9] != answers[0][1].split(b"|")[9], "both answers have one id")
        hub.stop()
        hub.start()
        sender = hub.connect()
        sender.send(adt("SAME", "AL", "AL"))
        check((sender.receive(), sender.receive()) == answers[0], "another answer after a restart")
        sender.close()
    finally:
        hub.close()


def modes_of_the_feed_overrule_the_header():
    for mode, wishes, good, bad in (("original", ("AL", "NE"), ["AA"], ["AE"]), ("aa", ("AL", "AL"), ["AA"], ["AE"]),
                                    ("enhanced", ("", ""), ["CA"], ["CE"])):
        hub = Hub()
        try:
            hub.edit("mode: auto", f"mode: {mode}")
            hub.start()
            sender = hub.connect()
            sender.send(adt("G1", *wishes))
            sender.send(unmappable("B1", *wishes))
            codes = [ack_code(sender.receive()) for _ in range(2)]
            check(codes == [(good[0], "G1"), (bad[0], "B1")], f"{mode}: {codes}")
            sender.close()
        finally:
            hub.close()


def one_bad_message_does_not_block_a_queue_that_wants_it_so():
    hub = Hub()
    try:
        hub.edit("on_error: reject", "on_error: accept")
        hub.start()
        sender = hub.connect()
        code, control = ack_code(sender.exchange(unmappable("B1")))
        check((code, control) == ("AA", "B1"), f"what parses and does not map: {code}")
        check(ack_code(sender.exchange(unmappable("B1")))[0] == "AA", "its repeat")
        check(heard(sender, unmappable("B2", "AL", "AL"), "L2") == ["CA", "AA"], "in enhanced mode")
        check(ack_code(sender.exchange(adt("V1").replace(b"|2.5.1", b"|3.0"))) == ("AA", "V1"), "a version of another world")
        for bad in (b"no message at all\r", adt("C1").replace(b"|2.5.1", b"|2.5.1||||||NONE SUCH"), adt("")):
            code, _ = ack_code(sender.exchange(bad))
            check(code == "AE", f"{bad[:60]}: {code}")
        sender.close()
        letters = hub.json("deadletter", "list")
        check(len(letters) == 6, f"{len(letters)} dead letters")
        hub.stop()
        hub.cli("audit", "verify")
    finally:
        hub.close()


def send_waits_for_what_is_due():
    hub = Hub()
    try:
        hub.start()
        path = os.path.join(hub.base, "messages.hl7")
        wishes = [(a, b) for a in ("AL", "NE", "ER", "SU") for b in ("AL", "NE", "ER", "SU")] + [("", ""), ("AL", ""), ("", "AL")]
        with open(path, "wb") as f:
            for n, (a, b) in enumerate(wishes):
                f.write(adt(f"S{n}", a, b))
        tls = ["--cert", "certs/sender.pem", "--key", "certs/sender.key", "--ca", "certs/ca.pem"]
        url = f"mllps://127.0.0.1:{hub.port}"
        summary = hub.json("send", url, path, *tls)
        codes = [a["code"] for a in summary["answers"]]
        apply = lambda b: b in ("AL", "SU")
        expected = ["AA" if a == b == "" or apply(b) else "CA" if a in ("AL", "SU") else "" for a, b in wishes]
        check(codes == expected, f"{codes}, not {expected}")
        check(summary["accepted"] == len(wishes) and summary["missing"] == summary["unexpected"] == 0, f"{summary}")
        with open(path, "wb") as f:
            f.write(unmappable("R1", "AL", "AL") + unmappable("R2", "ER", "NE") + unmappable("R3", "AL", "ER"))
        summary = hub.json("send", url, path, *tls, expect=1)
        check([a["code"] for a in summary["answers"]] == ["CE"] * 3 and summary["rejected"] == 3, f"{summary}")
        check(summary["unexpected"] == 0, f"the application acknowledgement behind CE: {summary}")
        with open(path, "wb") as f:
            f.write(adt("NE1", "NE", "NE"))
        hub.cli("send", url, path, *tls)
        limit = time.monotonic() + 20
        while not hub.json("message", "find", "--control-id", "NE1"):
            check(time.monotonic() < limit, "a message without any answer did not arrive")
            time.sleep(0.1)
    finally:
        hub.close()


def text_of_every_kind_arrives_as_it_was_meant():
    hub = Hub()
    try:
        hub.start()
        sender = hub.connect()
        kinds = [("8859/1", "latin-1", "José"), ("8859/2", "iso8859-2", "Łukasz"), ("8859/15", "iso8859-15", "Œuvre"), ("8859/7", "iso8859-7", "Γιώργος"),
                 ("UNICODE UTF-8", "utf-8", "山田"), ("UNICODE UTF-16", "utf-16", "山田太郎"), ("UNICODE UTF-16", "utf-16-be", "Oona"),
                 ("UNICODE UTF-32", "utf-32", "Zoë"), ("~ISO IR87", "iso2022_jp", "山田"), ("GB 18030-2000", "gb18030", "张三"),
                 ("KS X 1001", "euc_kr", "김철수"), ("BIG-5", "big5", "許功蓋")]
        for n, (name, codec, text) in enumerate(kinds):
            message = adt(f"C{n}", "AL", "AL", mrn=f"880{n:02d}").decode().replace("|2.5.1|||AL|AL", f"|2.5.1|||AL|AL||{name}").replace("ESPERANZA", text)
            sender.send(message.encode(codec))
            for expected in ("CA", "AA"):
                answer = sender.receive().decode(codec if codec.startswith("utf") else "latin-1").lstrip("\ufeff")
                check(f"MSA|{expected}|C{n}" in answer and f"||{name}" in answer, f"{name} ({codec}): {answer}")
        sender.send(adt("BAD").replace(b"|2.5.1|||", b"|2.5.1||||||BIG-5").replace(b"ESPERANZA", b"\xff\xff"))
        answer = sender.receive()
        check(ack_code(answer) == ("AE", "BAD") and b"PID^1^5" in answer, f"{answer}")
        sender.close()
        hub.caught_up()
        role = hub.as_role("clinician")
        for n, (name, _, text) in enumerate(kinds):
            shown = json.dumps(hub.json("timeline", f"{AUTHORITY}|880{n:02d}", *role), ensure_ascii=False)
            check(f'"{text}"' in shown, f"{name}: {text} is not in the timeline")
    finally:
        hub.close()


def a_feed_can_say_better_than_msh_18():
    hub = Hub()
    try:
        hub.edit("{hl7v2: {", "{hl7v2: {charset: 8859/2, charset_override: true, ")
        hub.start()
        sender = hub.connect()
        message = adt("O1").decode().replace("|2.5.1|||", "|2.5.1||||||8859/1").replace("ESPERANZA", "Łukasz")
        check(ack_code(sender.exchange(message.encode("iso8859-2")))[0] == "AA", "the answer")
        sender.close()
        hub.caught_up()
        shown = json.dumps(hub.json("timeline", f"{AUTHORITY}|77001", *hub.as_role("clinician")), ensure_ascii=False)
        check("Łukasz" in shown, shown[:500])
    finally:
        hub.close()


def gaps_in_a_senders_count_are_counted():
    hub = Hub()
    try:
        hub.start()
        sender = hub.connect()
        for n, number in enumerate([1, 2, 2, 5, 6, 6, 5, 7, 9, "", 0, -1, "x", 10, 1, 2]):
            message = adt(f"N{n}").replace(b"|2.5.1|", f"|2.5.1|{number}".encode(), 1)
            check(ack_code(sender.exchange(message))[0] == "AA", f"number {number}")
        sender.close()
        feed = hub.json("status")["feeds"][0]
        check(feed["sequence_gaps"] == 2, f"{feed}")
    finally:
        hub.close()


def messages_that_contradict_the_feeds_zone_are_counted():
    hub = Hub()
    try:
        hub.edit("timezone: UTC", "timezone: America/New_York")
        hub.start()
        sender = hub.connect()
        for n, (offset, other) in enumerate([(b"", False), (b"-0500", False), (b"-0400", True), (b"+0100", True)]):  # in January
            parts = adt(f"Z{n}").split(b"|")
            parts[6] = b"20260115080000" + offset
            check(ack_code(sender.exchange(b"|".join(parts)))[0] == "AA", f"offset {offset}")
        sender.close()
        feed = hub.json("status")["feeds"][0]
        check(feed["zone_overruled"] == 2, f"{feed}")
        check("zone_overruled=2" in hub.cli("status"), "status says nothing of it")
    finally:
        hub.close()


main([every_wish_and_outcome_is_answered_as_asked, answers_to_the_same_message_are_the_same_bytes, modes_of_the_feed_overrule_the_header,
      one_bad_message_does_not_block_a_queue_that_wants_it_so, send_waits_for_what_is_due,
      text_of_every_kind_arrives_as_it_was_meant, a_feed_can_say_better_than_msh_18, gaps_in_a_senders_count_are_counted,
      messages_that_contradict_the_feeds_zone_are_counted])
