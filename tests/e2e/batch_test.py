#!/usr/bin/env python3
"""Batches (FHS, BHS, BTS, FTS): every message has its own fate, the answer is a batch of acknowledgements, and a batch
that is sent again, whole or after a kill, loses and doubles nothing."""
from harness import *
from attacks import *
from messages import Hospital

MANY = int(os.environ.get("CHARTLINE_BATCH", "1000"))


def wrap(messages, batch="B1", file=None, count=None, batches=None):
    """The messages in BHS and BTS, with FILE in FHS and FTS too. COUNT and BATCHES None: as it is; "": left out."""
    lines = [f"FHS|^~\\&|EHR|NORTH|HUB|NORTH|20260311090000||nightly||{file}".encode()] if file else []
    lines.append(f"BHS|^~\\&|EHR|NORTH|HUB|NORTH|20260311090000||ADT||{batch}".encode())
    text = CR.join(lines) + CR + b"".join(messages)
    text += b"BTS|" + str(len(messages) if count is None else count).encode() + CR
    if file:
        text += b"FTS|" + str(1 if batches is None else batches).encode() + CR
    return text


def lines(answer, name=None):
    found = [l.split("|") for l in answer.decode("latin-1").split("\r") if l]
    return [l for l in found if name is None or l[0] == name]


def codes(answer):
    return [(l[1], l[2]) for l in lines(answer, "MSA")]


def shape(answer):
    return [l[0] for l in lines(answer) if l[0] not in ("MSA", "ERR")]


def every_message_of_a_batch_has_its_own_fate():
    hub = Hub().start()
    try:
        sender = hub.connect()
        good = [adt("M1"), adt("M2", "70002"), adt("M3", "70003")]
        answer = sender.exchange(wrap(good, "B7", "F3"))
        check(codes(answer) == [("AA", "M1"), ("AA", "M2"), ("AA", "M3")], f"{answer}")
        check(shape(answer) == ["FHS", "BHS", "MSH", "MSH", "MSH", "BTS", "FTS"], f"{answer}")
        head, tail = lines(answer, "BHS")[0], lines(answer, "BTS")[0]
        check(head[2:6] == ["HUB", "NORTH", "EHR", "NORTH"] and head[11] == "B7", f"{head}")
        check(tail[1] == "3" and lines(answer, "FTS")[0][1] == "1" and lines(answer, "FHS")[0][11] == "F3", f"{answer}")
        mixed = [adt("M4", "70004"), b"MSH|^~\\&|EHR|NORTH|||||QQ|\rPID|1\r", adt("M5", "70005", processing="T"), adt("M6", "70006")]
        answer = sender.exchange(wrap(mixed, "B8"))
        check(codes(answer) == [("AA", "M4"), ("AR", ""), ("AR", "M5"), ("AA", "M6")], f"{answer}")
        check([l[3].split("^")[0] for l in lines(answer, "ERR")] == ["200", "202"], f"{answer}")
        check(answer.count(b"MSA") == 4 and lines(answer, "BTS")[0][1] == "4", f"{answer}")
        check(ack_code(sender.exchange(adt("ALONE")))[0] == "AA", "a message alone after it")
        status = hub.caught_up()
        check(status["events"] == 6 and status["deadletters"] == 2, f"{status}")
        check(status["feeds"][0]["batches"] == 2 and status["feeds"][0]["batches_faulty"] == 0, f"{status['feeds']}")
        check(len(hub.json("message", "find", "--control-id", "M2")) == 1, "a message of a batch is not found by its control id")
        sender.close()
        hub.stop()
        hub.cli("audit", "verify", "--events")
        no_name_in(hub)
    finally:
        hub.close()


def wrong_counts_are_told_and_the_messages_stay():
    hub = Hub().start()
    try:
        sender = hub.connect()
        answer = sender.exchange(wrap([adt("C1"), adt("C2", "70002")], "B1", count=3))
        check(codes(answer) == [("AA", "C1"), ("AA", "C2"), ("AE", "B1")], f"{answer}")
        err = lines(answer, "ERR")[0]
        check(err[2].startswith("BTS^1^1") and err[3].startswith("100") and "(2)" in err[7], f"{err}")
        check(lines(answer, "BHS")[0][9].startswith("the batch does not hold"), f"{answer}")
        answer = sender.exchange(wrap([adt("C3", "70003")], "B2", "F2", batches=4))
        check(codes(answer) == [("AA", "C3"), ("AE", "F2")] and lines(answer, "ERR")[0][2].startswith("FTS^1^1"), f"{answer}")
        answer = sender.exchange(wrap([adt("C4", "70004")], "B3", count="many"))
        check(codes(answer) == [("AA", "C4"), ("AE", "B3")] and lines(answer, "ERR")[0][3].startswith("102"), f"{answer}")
        answer = sender.exchange(wrap([adt("C5", "70005")], "B4", count=""))
        check(codes(answer) == [("AA", "C5")], f"no count is no error: {answer}")
        status = hub.json("status")
        check(status["events"] == 5 and status["deadletters"] == 0 and status["feeds"][0]["batches_faulty"] == 3, f"{status}")
        check("as BTS-1 says" in hub.log_tail(), "the log says nothing of the count")
        sender.close()
    finally:
        hub.close()


def broken_envelopes_do_not_take_messages_with_them():
    bhs, one, two = b"BHS|^~\\&|EHR|NORTH|HUB|NORTH|||||%s\r", adt("%s"), adt("%s", "70002")
    n = 0

    def message(mrn="70001"):
        nonlocal n
        n += 1
        return adt(f"E{n}", mrn)

    hub = Hub().start()
    try:
        sender = hub.connect()
        cases = [
            ("only BHS", bhs % b"B1" + message() + message("70002"), "AA AA", ["BHS", "MSH", "MSH", "BTS"]),
            ("BHS without anything", b"BHS|^~\\&\r" + message(), "AA", ["BHS", "MSH", "BTS"]),
            ("several BHS", bhs % b"B2" + message() + b"BTS|1\r" + bhs % b"B3" + message("70002") + b"BTS|1\r", "AA AA", ["BHS", "MSH", "BTS", "BHS", "MSH", "BTS"]),
            ("BHS inside a batch", bhs % b"B4" + message() + bhs % b"B5" + message("70002") + b"BTS|1\r", "AA AA", ["BHS", "MSH", "BTS", "BHS", "MSH", "BTS"]),
            ("a broken BHS", b"BHS\r" + message() + b"BTS|1\r", "AA AE", ["BHS", "MSH", "MSH", "BTS"]),
            ("a broken BHS-2", b"BHS|aaa|\r" + message() + b"BTS|1\r", "AA AE", ["BHS", "MSH", "MSH", "BTS"]),
            ("FHS without BHS", b"FHS|^~\\&|EHR|NORTH\r" + message() + b"FTS|1\r", "AA", ["FHS", "BHS", "MSH", "BTS", "FTS"]),
            ("FHS inside FHS", b"FHS|^~\\&|||||||||F1\rFHS|^~\\&|||||||||F2\r" + message() + b"FTS|1\r", "AE AA", ["FHS", "BHS", "MSH", "BTS", "FTS", "FHS", "BHS", "MSH", "BTS", "FTS"]),
            ("segments before the first message", bhs % b"B6" + b"PID|1||1^^^NORTH^MR\r" + message() + b"BTS|2\r", "AE AA", ["BHS", "MSH", "MSH", "BTS"]),
            ("a broken MSH between two", bhs % b"B7" + message() + b"MSH\rPID|1||666^^^NORTH^MR\r" + message("70002") + b"BTS|3\r", "AA AE AA", ["BHS", "MSH", "MSH", "MSH", "BTS"]),
            ("an empty batch", bhs % b"B8" + b"BTS|0\r", "", ["BHS", "BTS"]),
            ("an empty batch with a count", bhs % b"B9" + b"BTS|2\r", "AE", ["BHS", "MSH", "BTS"]),
            ("FHS alone", b"FHS|^~\\&\rFTS|0\r", "", ["FHS", "FTS"]),
            ("a message behind FTS", b"FHS|^~\\&\r" + bhs % b"B10" + message() + b"BTS|1\rFTS|1\r" + message("70002"), "AA AA", ["FHS", "BHS", "MSH", "BTS", "FTS", "BHS", "MSH", "BTS"]),
            ("LF for CR, blank lines and a byte order mark", b"\xef\xbb\xbf" + (bhs % b"B11" + message() + b"\r\rBTS|1\r").replace(b"\r", b"\n"), "AA", ["BHS", "MSH", "BTS"]),
            ("other separators", (bhs % b"B12" + message() + b"BTS|1\r").replace(b"|", b"!"), "AA", ["BHS", "MSH", "BTS"]),
            ("the final CR is missing", (bhs % b"B13" + message() + b"BTS|1\r")[:-1], "AA", ["BHS", "MSH", "BTS"]),
        ]
        wrong = []
        events = 0
        for what, text, expected, form in cases:
            answer = sender.exchange(text).replace(b"!", b"|")
            events += text.count(b"PV1")
            got = " ".join(c for c, _ in codes(answer)), shape(answer)
            if got != (expected, form):
                wrong.append(f"{what}: {got}\n    {answer}")
        check(not wrong, "\n  ".join(["wrong answers:"] + wrong))
        check(hub.json("status")["events"] == events, f"{hub.json('status')['events']} events, not {events}")
        check(hub.json("patient", "find", "urn:chartline:ns:NORTH:NORTH|666", expect=None) == [], "a broken message's segments became another's")
        sender.socket.sendall(VT + bhs % b"B20" + message() + adt("CUT")[:-40] + VT + bhs % b"B20" + message("70002") + FS + CR)
        answer = sender.receive()
        check([c for c, _ in codes(answer)] == ["AA", "AE", "AA"], f"a batch begun anew in its frame: {answer}")
        for several in (message() + message("70002"), message() + b"BHS|^~\\&\r" + message("70002")):
            check(ack_code(sender.exchange(several))[0] == "AE", f"several messages without a batch: {several}")
        sender.close()
    finally:
        hub.close()


def messages_of_a_batch_ask_for_their_own_answers():
    def wish(message, accept, application):
        return message.replace(b"|P|2.5.1\r", f"|P|2.5.1|||{accept}|{application}\r".encode())

    hub = Hub().start()
    try:
        sender = hub.connect()
        batch = wrap([wish(adt("W1"), "AL", "AL"), wish(adt("W2", "70002"), "AL", "NE"), wish(adt("W3", "70003", processing="T"), "NE", "ER"), wish(adt("W4", "70004"), "NE", "ER")])
        sender.send(batch)
        accept, application = sender.receive(), sender.receive()
        check(codes(accept) == [("CA", "W1"), ("CA", "W2")] and lines(accept, "BTS")[0][1] == "2", f"{accept}")
        check(codes(application) == [("AA", "W1"), ("AR", "W3")], f"{application}")
        answer = sender.exchange(wrap([wish(adt("W5", "70005"), "NE", "ER")]))
        check(shape(answer) == ["BHS", "BTS"], f"nothing wrong is an empty batch: {answer}")
        answer = sender.exchange(wrap([wish(adt("W6", "70006"), "AL", "NE")], count=9))
        check(codes(answer) == [("CA", "W6"), ("CE", "B1")], f"{answer}")
        sender.send(wrap([wish(adt("W7", "70007"), "NE", "NE")], count=9))
        check(ack_code(sender.exchange(adt("LAST"))) == ("AA", "LAST"), "a batch that wants no answer got one")
        check(hub.json("status")["events"] == 7, "events")
        sender.close()
    finally:
        hub.close()


def a_batch_sent_again_gets_the_same_answer():
    hub = Hub().start()
    try:
        batch = wrap([adt("S1"), adt("S2", "70002"), adt("S1")], "B1", "F1", count=5)
        sender = hub.connect()
        first = sender.exchange(batch)
        check([c for c, _ in codes(first)] == ["AA", "AA", "AA", "AE"], f"{first}")
        check(sender.exchange(batch) == first, "another answer to the same batch")
        check(ack_code(sender.exchange(adt("S2", "70002")))[0] == "AA", "a message of it alone")
        hub.stop()
        hub.start()
        sender = hub.connect()
        check(sender.exchange(batch) == first, "another answer after a restart")
        status = hub.json("status")
        check(status["events"] == 2, f"{status}")
        sender.close()
    finally:
        hub.close()


def patients(count, prefix="P"):
    return [adt(f"{prefix}{i}", str(100000 + i)) for i in range(count)]


def a_large_batch_does_not_hold_up_others():
    hub = Hub()
    try:
        hub.edit("idle: 10m", "idle: 10m, queue: 64")
        hub.start()
        messages = patients(MANY)
        answers = []
        big = hub.connect(timeout=120)
        thread = threading.Thread(target=lambda: answers.append(big.exchange(wrap(messages))), daemon=True)
        beside = hub.connect()
        thread.start()
        between = 0
        while thread.is_alive():
            check(ack_code(beside.exchange(adt(f"BESIDE{between}")))[0] == "AA", "the sender beside it is refused")
            between += 1
        thread.join()
        check(answers and [c for c, _ in codes(answers[0])] == ["AA"] * MANY, "not every message is accepted")
        check([i for _, i in codes(answers[0])] == [control_id(m) for m in messages], "the answers are not in order")
        check(between >= 3, f"only {between} messages of another sender went through beside the batch")
        status = hub.caught_up()
        check(status["events"] == MANY + between and len(hub.json("timeline", "--list")) == MANY + 1, f"{status}")
        print(f"     {MANY} messages in one frame of {len(wrap(messages)) // 1024} KiB; {between} of another sender went through meanwhile", flush=True)
        big.close()
        beside.close()
    finally:
        hub.close()


def a_batch_past_the_limit_is_refused_whole():
    hub = Hub()
    try:
        hub.edit("idle: 10m", "idle: 10m, batch_messages: 5")
        hub.start()
        sender = hub.connect()
        check([c for c, _ in codes(sender.exchange(wrap(patients(5))))] == ["AA"] * 5, "as many as the limit")
        answer = sender.exchange(wrap(patients(6, "Q"), "B6"))
        check(codes(answer) == [("AE", "B6")] and lines(answer, "ERR")[0][3].startswith("104"), f"{answer}")
        status = hub.json("status")
        check(status["events"] == 5 and status["deadletters"] == 1, f"{status}")
        out = hub.json("deadletter", "replay", "--all", expect=1)
        check(out[0]["outcome"] == "rejected", f"{out}")
        sender.close()
    finally:
        hub.close()


def a_kill_in_the_middle_loses_and_doubles_nothing():
    rng = random.Random(int(os.environ.get("CHARTLINE_SEED", "7")))
    messages = Hospital(50, patients=40).messages(MANY)
    batch = wrap(messages, "NIGHT", "FILE")
    hub, calm = Hub().start(), Hub().start()
    try:
        stored = []
        for _ in range(8):
            sender = hub.connect(timeout=60)
            sender.send(batch)
            time.sleep(rng.uniform(0.02, 0.25))
            hub.kill()
            hub.start()
            stored.append(hub.json("status")["events"])
        check(stored == sorted(stored), f"stored messages went away: {stored}")
        answer = hub.connect(timeout=120).exchange(batch)
        check([i for _, i in codes(answer)] == [control_id(m) for m in messages], "the answers are not those of the messages")
        check({c for c, _ in codes(answer)} == {"AA"}, f"{set(codes(answer))}")
        check(hub.caught_up()["events"] == MANY, "not one event for each message")
        check(all(ack_code(a)[0] == "AA" for a in send_all(calm, messages)), "the undisturbed hub refused a message")
        calm.caught_up()
        digests = [h.cli("timeline", "--digest", "content").strip() for h in (hub, calm)]
        check(digests[0] == digests[1], "the content differs from that of messages sent alone")
        hub.stop()
        hub.cli("audit", "verify", "--events")
        print(f"     stored after each kill: {stored}", flush=True)
    finally:
        hub.close()
        calm.close()


def a_batch_is_finished_before_a_stop_and_given_up_without_its_sender():
    hub = Hub().start()
    try:
        messages = patients(MANY, "D")
        sender = hub.connect(timeout=60)
        sender.send(wrap(messages))
        wait_for(lambda: hub.json("status")["feeds"][0]["batches"] == 1, "the batch did not arrive")
        hub.stop()
        got = codes(sender.receive())
        check([c for c, _ in got] == ["AA"] * MANY, "a stop in the middle of a batch")
        hub.start()
        check(hub.json("status")["events"] == MANY, "events")
        messages = patients(MANY, "G")
        sender = hub.connect(timeout=60)
        sender.send(wrap(messages, "GONE"))
        wait_for(lambda: hub.json("status")["feeds"][0]["batches"] == 1, "the batch did not arrive")
        sender.close()
        wait_for(lambda: hub.json("status")["in_flight_bytes"] == 0 and hub.json("status")["connections"] == 0, "a batch without its sender is kept")
        check([c for c, _ in codes(hub.connect(timeout=60).exchange(wrap(messages, "GONE")))] == ["AA"] * MANY, "the batch again")
        status = hub.caught_up()
        check(status["events"] == 2 * MANY and status["in_flight_bytes"] == 0, f"{status}")
    finally:
        hub.close()


def a_batch_waits_for_space_and_goes_on():
    hub = Hub()
    try:
        hub.edit("idle: 10m", "idle: 10m, reserve_bytes: 1TiB")
        hub.start()
        sender = hub.connect(timeout=30)
        sender.send(wrap(patients(20)))
        time.sleep(1)
        check(hub.json("status")["events"] == 0 and hub.json("status")["space"] == "full", "stored without space")
        sender.close()
        hub.stop()
        hub.edit(", reserve_bytes: 1TiB", "")
        hub.start()
        check([c for c, _ in codes(hub.connect().exchange(wrap(patients(20))))] == ["AA"] * 20, "with space")
    finally:
        hub.close()


def commands_read_and_send_batches():
    hub = Hub().start()
    try:
        files = {"plain": wrap([adt("T1"), b"MSH|^~\\&|broken\r", adt("T2", "70002")], "B1", "F1"),
                 "framed": VT + wrap([adt("T3"), adt("T4", "70002")], "B2") + FS + CR + VT + adt("T5") + FS + CR,
                 "empty": wrap([], "B3")}
        paths = {}
        for name, text in files.items():
            paths[name] = os.path.join(hub.base, name + ".hl7")
            with open(paths[name], "wb") as f:
                f.write(text)
        for name, expected in (("plain", [(1, "ok"), (2, "error"), (3, "ok")]), ("framed", [(1, "ok"), (2, "ok"), (3, "ok")]), ("empty", [(0, "error")])):
            out, _ = run("map", "--ndjson", paths[name], expect=0 if name == "framed" else 1)
            got = [(l["message"], l["status"]) for l in map(json.loads, out.splitlines())]
            check(got == expected, f"map {name}: {got}")
        send = ["send", f"mllps://127.0.0.1:{hub.port}", "--cert", "certs/sender.pem", "--key", "certs/sender.key", "--ca", "certs/ca.pem"]
        out = hub.cli(*send, paths["plain"], expect=1)
        check([l.split("\t")[:2] for l in out.splitlines()] == [["T1", "AA"], ["", "AE"], ["T2", "AA"]], f"message by message: {out}")
        out = hub.cli(*send, "--batch", paths["plain"], expect=1)
        check([l.split("\t")[:2] for l in out.splitlines()] == [["T1", "AA"], ["", "AE"], ["T2", "AA"]], f"whole: {out}")
        total = hub.json(*send, "--batch", "--summary", paths["framed"], paths["empty"])
        check(total["accepted"] == 3 and total["sent"] == 3 and total["missing"] == 0 and total["unexpected"] == 0, f"{total}")
        hub.cli(*send, "--batch", "--vary", paths["plain"], expect=2)
        check(hub.json("status")["feeds"][0]["batches"] == 3, f"{hub.json('status')['feeds']}")
    finally:
        hub.close()


def what_is_piped_is_sent_as_what_is_named():
    files = {"plain": wrap([adt("T1"), b"MSH|^~\\&|broken\r", adt("T2", "70002")], "B1", "F1"),
             "lines": wrap([adt("T3"), adt("T4", "70002")], "B2", "F2").replace(b"\r", b"\r\n"),
             "marked": b"\xef\xbb\xbf" + wrap([adt("T5"), adt("T6", "70002")], "B3"),
             "framed": VT + wrap([adt("T7"), adt("T8", "70002")], "B4") + FS + CR + VT + adt("T9") + FS + CR,
             "several": adt("T10") + b"\r\n\r\n" + adt("T11", "70002"),
             "large": wrap(patients(500, "L"), "B5"),  # more than a pipe holds
             "nothing": b"\r\n"}
    batches = {"plain": 1, "lines": 1, "marked": 1, "framed": 1, "several": 0, "large": 1, "nothing": 0}
    refused = {"plain": 1, "nothing": 1}
    hub = Hub().start()
    try:
        send = ["send", f"mllps://127.0.0.1:{hub.port}", "--cert", "certs/sender.pem", "--key", "certs/sender.key", "--ca", "certs/ca.pem"]

        def taken():
            return hub.json("status")["feeds"][0]["batches"]

        def members(out):
            return [{k: v for k, v in a.items() if k != "file"} for a in json.loads(out)["answers"]] if out else out

        for name, text in files.items():
            path = os.path.join(hub.base, name + ".hl7")
            with open(path, "wb") as f:
                f.write(text)
            for options, whole in ((["--json"], 0), (["--json", "--batch"], batches[name])):
                before = taken()
                named, _ = run(*send, *options, path, cwd=hub.dir, expect=refused.get(name, 0))
                between = taken()
                piped, err = run(*send, *options, "-", cwd=hub.dir, stdin=text, expect=refused.get(name, 0))
                check((between - before, taken() - between) == (whole, whole), f"{name} {options}: {before}, {between}, {taken()} batches")
                check(members(piped) == members(named), f"{name} {options}: piped {piped}\nnamed {named}")
                check(name != "nothing" or "no message" in err, f"an empty pipe: {err}")
        out, _ = run(*send, os.path.join(hub.base, "several.hl7"), "-", cwd=hub.dir, stdin=files["lines"])
        check([l.split("\t")[0] for l in out.splitlines()] == ["T10", "T11", "T3", "T4"], f"a file and a pipe: {out}")
        _, err = run(*send, "-", "-", cwd=hub.dir, stdin=files["lines"], expect=2)
        check("once" in err, f"standard input named twice: {err}")
        check("standard input" in run("send", "--help")[0], "help does not say it")
    finally:
        hub.close()


if __name__ == "__main__":
    main([every_message_of_a_batch_has_its_own_fate, wrong_counts_are_told_and_the_messages_stay, broken_envelopes_do_not_take_messages_with_them,
          messages_of_a_batch_ask_for_their_own_answers, a_batch_sent_again_gets_the_same_answer, a_large_batch_does_not_hold_up_others,
          a_batch_past_the_limit_is_refused_whole, a_batch_is_finished_before_a_stop_and_given_up_without_its_sender,
          a_batch_waits_for_space_and_goes_on, commands_read_and_send_batches, what_is_piped_is_sent_as_what_is_named,
          a_kill_in_the_middle_loses_and_doubles_nothing])
