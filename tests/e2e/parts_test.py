#!/usr/bin/env python3
"""Messages in parts (DSC, MSH-14, ADD): every part is durable before it is acknowledged, the last one makes one event
of all, and neither kills nor repeats nor reused pointers mix anything up."""
import base64

from harness import *
from attacks import *

MRN = "urn:chartline:ns:NORTH:NORTH|"


def head(control, before="", app="LAB", wishes=""):
    return f"MSH|^~\\&|{app}|NORTH|HUB|NORTH|20260311081700+0000||ORU^R01^ORU_R01|{control}|P|2.5.1||{before}{wishes}"


def obx(n, value="7.1"):
    return f"OBX|{n}|NM|{1000 + n}-1^Test {n}^LN||{value}|mmol/L|||||F"


def first(control, after, mrn="70001", app="LAB", lines=None):
    lines = lines or [obx(1)]
    return "\r".join([head(control, app=app), f"PID|1||{mrn}^^^NORTH^MR||{NAME}^Ada||19700101|F",
                      f"OBR|1|P{mrn}|F{mrn}|58410-2^CBC^LN|||20260311080000+0000", *lines, f"DSC|{after}|F", ""]).encode()


def more(control, before, after="", lines=(), app="LAB"):
    return "\r".join([head(control, before, app), *lines, *([f"DSC|{after}|F"] if after else []), ""]).encode()


def three(tag, mrn="70001", app="LAB", pointers=None):
    a, b = pointers or (f"{tag}-a", f"{tag}-b")
    return [first(f"{tag}1", a, mrn, app), more(f"{tag}2", a, b, [obx(2)], app), more(f"{tag}3", b, "", [obx(3), obx(4)], app)]


def observations(hub, mrn):
    chart = hub.json("timeline", MRN + mrn, *hub.as_role("clinician"))
    return sorted(e["resource"]["code"]["coding"][0]["code"] for e in chart["entries"] if e["kind"] == "observation")


ALL = ["1001-1", "1002-1", "1003-1", "1004-1"]


def the_last_part_makes_one_event_of_all():
    hub = Hub().start()
    try:
        sender = hub.connect()
        parts = three("J")
        for part in parts[:2]:
            check(answer(sender.exchange(part))[:2] == ("AA", control_id(part)), f"part {control_id(part)}")
        status = hub.json("status")
        check(status["events"] == 0 and status["deadletters"] == 2, f"parts are kept: {status}")
        letters = hub.json("deadletter", "list")
        check([l["reason"]["code"] for l in letters] == ["continued"] * 2, f"{letters}")
        check(answer(sender.exchange(parts[2]))[:2] == ("AA", "J3"), "the last part")
        status = hub.caught_up()
        check(status["events"] == 1 and status["deadletters"] == 0, f"{status}")
        check(status["feeds"][0]["parts"] == 2, f"{status['feeds']}")
        check(observations(hub, "70001") == ALL, f"{observations(hub, '70001')}")
        found = hub.json("message", "find", "--control-id", "J1")
        shown = hub.json("message", "show", found[0]["id"], *hub.as_role("clinician"))
        raw = [base64.b64decode(e["resource"]["data"]) for e in shown["events"][0]["data"]["entry"] if e["resource"]["resourceType"] == "Binary"]
        whole = parts[0].split(b"DSC")[0] + obx(2).encode() + CR + obx(3).encode() + CR + obx(4).encode() + CR
        check(raw == [whole], f"{raw}")
        for _ in range(2):  # all again: nothing new
            check([answer(sender.exchange(p))[0] for p in parts] == ["AA"] * 3, "the parts again")
        status = hub.json("status")
        check(status["events"] == 1 and status["deadletters"] == 0, f"after repeats: {status}")
        joined = [e for e in entries(hub, "dead-letter-resolved") if e["reason"] == "joined"]
        check(len(joined) == 2, f"{joined}")
        sender.close()
        hub.stop()
        report = hub.json("audit", "verify", "--events")
        check(report["result"] == "PASS" and report["notes"] == [], f"an entry out of its time: {report}")
        no_name_in(hub)
    finally:
        hub.close()


def parts_come_pipelined_in_a_batch_and_in_enhanced_mode():
    hub = Hub().start()
    try:
        sender = hub.connect()
        for n in range(20):
            for part in three(f"P{n}-", str(71000 + n)):
                sender.send(part)
        codes = [ack_code(sender.receive()) for _ in range(60)]
        check(codes == [("AA", f"P{n}-{i}") for n in range(20) for i in (1, 2, 3)], f"{codes}")
        batch = b"BHS|^~\\&|LAB|NORTH|||||||B1\r" + b"".join(three("B", "72000")) + adt("BX", "72001") + b"BTS|4\r"
        ack = sender.exchange(batch)
        check([l.split(b"|")[1:3] for l in ack.split(CR) if l.startswith(b"MSA")] == [[b"AA", b"B1"], [b"AA", b"B2"], [b"AA", b"B3"], [b"AA", b"BX"]], f"{ack}")
        parts = [p.replace(b"|2.5.1||", b"|2.5.1||", 1) for p in three("E", "72002")]
        parts = [CR.join([p.split(CR)[0] + b"|AL|AL", *p.split(CR)[1:]]) for p in parts]
        for p in parts:
            sender.send(p)
            check([ack_code(sender.receive())[0] for _ in range(2)] == ["CA", "AA"], f"enhanced: {control_id(p)}")
        status = hub.caught_up()
        check(status["events"] == 23 and status["deadletters"] == 0, f"{status}")
        for mrn in ["71000", "71019", "72000", "72002"]:
            check(observations(hub, mrn) == ALL, f"{mrn}: {observations(hub, mrn)}")
        sender.close()
    finally:
        hub.close()


def a_segment_may_be_cut_between_parts():
    hub = Hub().start()
    try:
        sender = hub.connect()
        cut = [first("C1", "c", lines=[obx(1), "OBX|2|ST|1002-1^Test 2^LN||half a ", "ADD"]), more("C2", "c", "", ["ADD|sentence||||||F", obx(3)])]
        check([answer(sender.exchange(p))[0] for p in cut] == ["AA", "AA"], "a cut segment")
        whole = first("C3", "", "70002", lines=["OBX|1|ST|1001-1^Test 1^LN||one ", "ADD|two ", "ADD|three||||||F"]).replace(b"DSC||F\r", b"")
        check(answer(sender.exchange(whole))[0] == "AA", "ADD in one message")
        check(answer(sender.exchange(more("C4", "", "", ["ADD|x"])))[:3] == ("AE", "C4", "ADD^1"), "MSH is continued")
        hub.caught_up()
        for mrn, text in (("70001", "half a sentence"), ("70002", "one two three")):
            check(text in json.dumps(hub.json("timeline", MRN + mrn, *hub.as_role("clinician"))), f"{mrn}: {text}")
        sender.close()
    finally:
        hub.close()


def kills_between_parts_lose_nothing():
    rng = random.Random(5)
    hub = Hub().start()
    try:
        for n in range(4):
            for part in three(f"K{n}-", str(73000 + n)):
                while True:
                    sender = hub.connect()
                    try:
                        sender.send(part)
                        if rng.random() < 0.5:
                            time.sleep(rng.uniform(0, 0.01))
                            raise OSError
                        check(answer(sender.receive())[0] == "AA", "a part is refused")
                        break
                    except OSError:
                        hub.kill()
                        hub.start()
                    finally:
                        sender.close()
        status = hub.caught_up()
        check(status["events"] == 4 and status["deadletters"] == 0, f"{status}")
        check(all(observations(hub, str(73000 + n)) == ALL for n in range(4)), "a chart lacks a part")
        hub.stop()
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def a_missing_part_is_said_and_can_be_mended():
    hub = Hub().start()
    try:
        sender = hub.connect()
        parts = three("M")
        for early in (parts[2], parts[1]):
            check(answer(sender.exchange(early)) == ("AE", control_id(early), "MSH^1^14^1", "204"), f"{control_id(early)} before the first")
        check([answer(sender.exchange(p))[0] for p in parts[:2]] == ["AA", "AA"], "in order")
        check(hub.json("status")["deadletters"] == 3, "the first two, and the last that came too early")
        outcomes = [hub.json("deadletter", "replay", l["id"], expect=None)[0] for l in hub.json("deadletter", "list") if l["state"] == "open"]
        check([o["outcome"] for o in outcomes].count("accepted") == 1, f"{outcomes}")
        check({o["reason"]["code"] for o in outcomes if o["outcome"] == "rejected"} <= {"continued"}, f"{outcomes}")
        check(answer(sender.exchange(parts[2]))[0] == "AA", "the last part sent again")
        status = hub.caught_up()
        check(status["events"] == 1 and status["deadletters"] == 0, f"{status}")
        check(observations(hub, "70001") == ALL, "the chart")
        sender.close()
    finally:
        hub.close()


def pointers_that_are_used_again_mix_nothing_up():
    hub = Hub().start()
    try:
        sender = hub.connect()
        one, two, other = three("U", "74001", pointers=("1", "2")), three("V", "74002", pointers=("1", "2")), three("W", "74003", "PACS", ("1", "2"))
        for part in one + [other[0]] + two[:1] + [other[1]] + [one[2]] + two[1:2] + [one[2], one[1], one[0]] + two[2:] + other[2:] + one + two:
            check(answer(sender.exchange(part))[0] == "AA", f"{control_id(part)} is refused")
        status = hub.caught_up()
        check(status["events"] == 3 and status["deadletters"] == 0, f"{status}")
        check(all(observations(hub, mrn) == ALL for mrn in ("74001", "74002", "74003")), "parts were mixed up")
        sender.close()
    finally:
        hub.close()


def parts_have_limits_and_what_is_no_part_is_left_alone():
    hub = Hub()
    try:
        hub.edit("message_bytes: 16MiB", "message_bytes: 8KiB, parts: 3")
        hub.start()
        sender = hub.connect()
        chain = [first("L0", "l0")] + [more(f"L{i}", f"l{i - 1}", f"l{i}", [obx(i + 1)]) for i in range(1, 4)]
        check([answer(sender.exchange(p))[0] for p in chain] == ["AA"] * 4, "parts")
        check(answer(sender.exchange(more("L4", "l3")))[0::3] == ("AE", "104"), "one part more than the limit")
        big = [first("G0", "g0", lines=["NTE|1||" + "x" * 6000]), more("G1", "g0", "", ["NTE|2||" + "y" * 6000])]
        check(answer(sender.exchange(big[0]))[0] == "AA" and answer(sender.exchange(big[1]))[0::3] == ("AE", "104"), "together too large")
        wrong = [first("S0", "s0"), more("S1", "s0", "", [obx(2)]).replace(b"MSH|^~\\&", b"MSH|^#\\&")]
        check(answer(sender.exchange(wrong[0]))[0] == "AA" and answer(sender.exchange(wrong[1]))[:3] == ("AE", "S1", "MSH^1^2^1"), "other separators")
        query = b"MSH|^~\\&|LAB|NORTH|HUB|NORTH|20260311081700+0000||QBP^Q22^QBP_Q21|Q1|P|2.5.1\rQPD|IHE PDQ Query|1|@PID.3.1^1\rRCP|I|10^RD\rDSC|point|I\r"
        events = hub.json("status")["events"]
        check(answer(sender.exchange(query))[0] == "AA" and hub.json("status")["events"] == events + 1, "a query's own continuation")
        check(answer(sender.exchange(first("N1", "")))[0] == "AA" and hub.json("status")["events"] == events + 2, "DSC without a pointer")
        path = os.path.join(hub.base, "part.hl7")
        with open(path, "wb") as f:
            f.write(first("X1", "x"))
        out, _ = run("map", "--ndjson", path)
        check(json.loads(out)["status"] == "ok", f"map shows a part as it stands: {out}")
        sender.close()
    finally:
        hub.close()


if __name__ == "__main__":
    main([the_last_part_makes_one_event_of_all, parts_come_pipelined_in_a_batch_and_in_enhanced_mode, a_segment_may_be_cut_between_parts,
          kills_between_parts_lose_nothing, a_missing_part_is_said_and_can_be_mended, pointers_that_are_used_again_mix_nothing_up,
          parts_have_limits_and_what_is_no_part_is_left_alone])
