#!/usr/bin/env python3
"""Every limit of a message, at it, one past it and far past it: the answer with its code and place, the audit entries, the
dead letter with the whole original; and that the sender's next message is taken."""
from harness import *
from attacks import *


class Bounds:
    """A hub with LIMITS, and what is told to it: each message is answered as expected."""

    def __init__(self, limits):
        self.hub = Hub()
        self.hub.edit("message_bytes: 16MiB", "message_bytes: 4MiB")
        self.hub.edit("idle: 10m", "idle: 10m, " + limits)
        self.hub.start()
        self.sender = self.hub.connect(timeout=60)
        self.refused = {}

    def taken(self, message):
        got = answer(self.sender.exchange(message))
        check(got[0] == "AA", f"at the limit: {got}")

    def not_taken(self, message, place, code="too_many"):
        ack = self.sender.exchange(message)
        got = answer(ack)
        check((got[0], got[3]) == ("AE", "104"), f"past the limit: {got}")
        check(got[1] == control_id(message), f"the answer is to {got[1]}")
        location = segment(ack, "ERR")[2].replace("^", "-") if segment(ack, "ERR") else ""
        check(location.startswith(place.split("[")[0].split("-")[0]), f"the answer's place is {location!r}, not {place}")
        self.refused[control_id(message)] = (message, place, code)

    def over(self, status="limits"):
        hub = self.hub
        self.taken(adt("NEXT"))
        letters = hub.json("deadletter", "list")
        check(len(letters) == len(self.refused), f"{len(letters)} letters of {len(self.refused)} refused messages")
        originals = {}
        for letter in letters:
            shown = hub.json("deadletter", "show", letter["id"], *hub.as_role("clinician"))
            originals[shown["original"].encode("latin-1")] = letter
        for message, place, code in self.refused.values():
            check(message in originals, "the original is not kept whole")
            reason = originals[message]["reason"]
            check(reason["code"] == code and reason.get("at", "") == place, f"the letter says {reason}, not {code} at {place}")
            for kind in ("message-rejected", "message-dead-lettered"):
                found = [e for e in entries(hub, kind) if e["message"] == originals[message]["id"]]
                check(len(found) == 1 and found[0]["code"] == code and found[0].get("at", "") == place, f"{kind}: {found}")
        no_name_in(hub)
        self.sender.close()
        hub.close()


def with_bounds(limits, what):
    bounds = Bounds(limits)
    try:
        what(bounds)
        bounds.over()
    finally:
        bounds.hub.close()


def segments():
    def story(b):
        head = adt("X").count(b"\r")
        b.taken(adt("AT", extra="NTE|1||x\r" * (100 - head)))
        b.not_taken(adt("PAST", extra="NTE|1||x\r" * (101 - head)), "NTE")
        b.not_taken(adt("FAR", extra="NTE|1||x\r" * 20000), "NTE")
    with_bounds("segments: 100", story)


def repetitions():
    def story(b):
        def names(control, count):
            return adt(control).replace(NAME.encode() + b"^Ada", b"~".join([NAME.encode() + b"^Ada"] * count))
        b.taken(names("AT", 50))
        b.not_taken(names("PAST", 51), "PID[1]-5")
        b.not_taken(names("FAR", 200000), "PID[1]-5")
    with_bounds("repetitions: 50", story)


def resources():
    def allergies(control, count):  # two facilities that differ: equal resources become one after they were counted
        message = adt(control, extra="".join(f"AL1|{i}|DA|{i}^Thing{i}^L\r" for i in range(count)))
        fields = message.split(b"|")
        fields[5] = b"ELSEWHERE"
        return b"|".join(fields)

    def story(b):
        path = os.path.join(b.hub.base, "m.hl7")
        with open(path, "wb") as f:
            f.write(allergies("MAP", 1))
        others = len(json.loads(run("map", path, "--ndjson")[0])["bundles"][0]["entry"]) - 1
        b.taken(allergies("AT", 40 - others))
        b.not_taken(allergies("PAST", 41 - others), f"AL1[{41 - others}]")
        b.not_taken(allergies("FAR", 30000), f"AL1[{41 - others}]")
    with_bounds("resources: 40", story)


def patients():
    def results(control, count):
        head = adt(control, kind="ORU^R01^ORU_R01").split(b"EVN")[0].decode()
        return (head + "".join(f"PID|1||7{i:04}^^^NORTH^MR||{NAME}^B\rOBR|1|A{i}|B{i}|1^T|||20260311081600\rOBX|1|NM|2^U||3||||||F\r" for i in range(count))).encode()

    def story(b):
        b.taken(results("AT", 3))
        b.not_taken(results("PAST", 4), "PID[4]")
        b.not_taken(results("FAR", 3000), "PID[4]")
    with_bounds("patients: 3", story)


def memory_of_one_message():
    """One that takes more than limits.message_bytes allows for is refused, not left with its sender for ever."""
    def story(b):
        names = "A~" * 9000
        b.not_taken(adt("GREEDY", extra="".join(f"NK1|{i}|{names}\r" for i in range(150))), "", "too_large")
    with_bounds("repetitions: 10000", story)


def bytes_of_all_messages_under_way():
    hub = Hub()
    try:
        hub.edit("message_bytes: 16MiB", "message_bytes: 1MiB")
        hub.edit("idle: 10m", "idle: 10m, in_flight_bytes: 1MiB")
        hub.start()
        accepted(hub, "WARM")
        small = [adt(f"S{i}", extra="NTE|1||" + "x" * 300000 + "\r") for i in range(12)]
        huge = adt("HUGE", extra="NTE|1||" + "y" * 1000000 + "\r")  # with what is made of it past the limit: taken when nothing else is under way
        senders = [hub.connect(timeout=60) for _ in range(13)]
        answers, most, over = [], 0, threading.Event()

        def exchange(s, m):
            answers.append(ack_code(s.exchange(m)))

        def watch():
            nonlocal most
            while not over.is_set():
                most = max(most, hub.json("status")["in_flight_bytes"])
        threads = [threading.Thread(target=exchange, args=(s, m)) for s, m in zip(senders, small + [huge])]
        watcher = threading.Thread(target=watch)
        watcher.start()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        over.set()
        watcher.join()
        check(sorted(answers) == sorted([("AA", f"S{i}") for i in range(12)] + [("AA", "HUGE")]), f"answered {answers}")
        check(most <= max(1024 * 1024, 2 * len(huge)), f"{most} bytes were under way")
        check(hub.json("status")["in_flight_bytes"] == 0, "bytes are counted of messages that are answered")
        check(not hub.json("deadletter", "list"), "a message that had to wait was refused")
        for s in senders:
            s.close()
    finally:
        hub.close()


def messages_waiting_for_the_committer():
    hub = Hub()
    try:
        hub.edit("idle: 10m", "idle: 10m, queue: 1, workers: 2")
        hub.start()
        answers = send_all(hub, [adt(f"Q{i}") for i in range(300)], window=60)
        check([ack_code(a) for a in answers] == [("AA", f"Q{i}") for i in range(300)], "lost or out of order with a queue of one")
        check(hub.json("status")["messages"] == 300, "messages")
    finally:
        hub.close()


if __name__ == "__main__":
    main([segments, repetitions, resources, patients, memory_of_one_message, bytes_of_all_messages_under_way, messages_waiting_for_the_committer])
