#!/usr/bin/env python3
"""Everything has a limit: what passes one is refused clearly, memory stays flat, and a healthy sender works on."""
import socket

from harness import *
from attacks import *

FRAME = 64 * 1024


def sized(control, size):
    """A good message of exactly SIZE bytes."""
    base = adt(control, extra="NTE|1||\r")
    line = "x" * (size - len(base))
    return adt(control, extra=f"NTE|1||{line}\r")


def closed_by_hub(sender, seconds=15):
    """Reads until the hub closes; what came before."""
    sender.socket.settimeout(seconds)
    got = b""
    while True:
        try:
            data = sender.socket.recv(65536)
        except TimeoutError:
            raise Failed("the hub does not close the connection")
        except OSError:
            return got
        if not data:
            return got
        got += data


def the_largest_message_is_taken_and_one_byte_more_is_not():
    hub = Hub()
    try:
        hub.edit("message_bytes: 16MiB", "message_bytes: 64KiB")
        hub.start()
        sender = hub.connect()
        check(answer(sender.exchange(sized("FULL", FRAME)))[:2] == ("AA", "FULL"), "a message of exactly the limit")
        for size in (FRAME + 1, FRAME + 2, FRAME * 3, FRAME * 20):
            got = answer(sender.exchange(sized("OVER", size)))
            check(got[:2] == ("AE", "OVER") and got[3] == "104", f"{size} bytes: {got}")
        check(answer(sender.exchange(sized("AGAIN", FRAME)))[:2] == ("AA", "AGAIN"), "the connection after a message too large")
        sender.close()
        letters = hub.json("deadletter", "list")
        check(letters and all(l["reason"]["code"] == "too_large" for l in letters), f"letters: {letters}")
        check(hub.json("status")["events"] == 2, "events")
        no_name_in(hub)
    finally:
        hub.close()


def a_message_without_end_does_not_fill_the_memory():
    hub = Hub()
    try:
        hub.edit("message_bytes: 16MiB", "message_bytes: 1MiB")
        hub.start()
        accepted(hub, "WARM")
        before = memory_kib(hub)
        sender = hub.connect()
        sender.socket.sendall(VT + adt("ENDLESS") + b"NTE|1||")
        block = b"y" * (1024 * 1024)
        got = b""
        most = before
        for i in range(100):
            try:
                sender.socket.sendall(block)
            except OSError:
                break
            most = max(most, memory_kib(hub))
        accepted(hub, "BESIDE")
        try:
            sender.socket.sendall(FS + CR)
            got = sender.receive()
        except OSError:
            pass
        check(got == b"" or answer(got)[:2] == ("AE", "ENDLESS"), f"answered {got[:80]!r}")
        check(most - before < 24 * 1024, f"memory grew by {(most - before) // 1024} MiB")
        print(f"     100 MiB without an end: memory grew by {(most - before) // 1024} MiB", flush=True)
        sender.close()
    finally:
        hub.close()


def connections_past_the_limit_are_closed_and_the_others_work():
    hub = Hub()
    try:
        hub.edit("connections: 2000", "connections: 10")
        hub.start()
        first = hub.connect()
        others = []
        for i in range(30):
            try:
                others.append(hub.connect(timeout=5))
            except OSError:
                pass
        check(ack_code(first.exchange(adt("FIRST")))[0] == "AA", "the first connection suffers")
        good = 0
        for s in others:
            try:
                good += ack_code(s.exchange(adt("MANY")))[0] == "AA"
            except OSError:
                pass
        check(good == 9, f"{good} of 30 more connections work with a limit of 10")
        for s in others:
            s.close()
        wait_for(lambda: hub.json("status")["connections"] == 1, "closed connections are still counted")
        accepted(hub, "AFTER")
        first.close()
    finally:
        hub.close()


def slow_senders_do_not_hold_up_a_healthy_one():
    hub = Hub()
    try:
        hub.edit("idle: 10m", "idle: 30s, frame: 6s")
        hub.start()
        slow = [hub.connect() for _ in range(300)]
        message = VT + adt("SLOW")
        stop = threading.Event()

        def drip():
            at = 0
            while not stop.is_set() and at < len(message):
                for s in slow:
                    try:
                        s.socket.sendall(message[at:at + 1])
                    except OSError:
                        pass
                at += 1
                stop.wait(1)
        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        healthy = hub.connect()
        begin, count, worst = time.monotonic(), 0, 0.0
        while time.monotonic() - begin < 5:
            sent = time.monotonic()
            check(ack_code(healthy.exchange(adt(f"HEALTHY{count}")))[0] == "AA", "the healthy sender is refused")
            worst = max(worst, time.monotonic() - sent)
            count += 1
        check(count > 50 and worst < 3, f"{count} messages in 5 s, the slowest {worst:.1f} s")
        print(f"     {count} messages beside 300 slow connections, the slowest took {worst * 1000:.0f} ms", flush=True)
        wait_for(lambda: hub.json("status")["connections"] <= 1, "slow frames are not ended by limits.frame", 15)
        check(hub.json("status")["feeds"][0]["frames_refused"] == 300, f"counted: {hub.json('status')['feeds'][0]}")
        stop.set()
        thread.join()
        check(ack_code(healthy.exchange(adt("STILL")))[0] == "AA", "the healthy sender after it")
        for s in slow:
            s.close()
        healthy.close()
    finally:
        hub.close()


def a_sender_that_never_reads_is_bounded():
    hub = Hub()
    try:
        hub.edit("idle: 10m", "idle: 3s, pending: 8")
        hub.start()
        accepted(hub, "WARM")
        before = memory_kib(hub)
        plain = socket.create_connection(("127.0.0.1", hub.port), timeout=10)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf = hub.context().wrap_socket(plain, server_hostname="localhost")
        deaf.settimeout(1)
        message = VT + adt("DEAF") + FS + CR
        sent = 0
        try:
            while sent < 60000:
                deaf.sendall(message * 100)
                sent += 100
        except OSError:
            pass
        grown = memory_kib(hub) - before
        check(grown < 32 * 1024, f"memory grew by {grown // 1024} MiB after {sent} unread answers")
        accepted(hub, "BESIDE")
        print(f"     stopped taking after about {sent} messages, memory grew by {grown // 1024} MiB", flush=True)
        wait_for(lambda: hub.json("status")["connections"] == 0, "a sender that never reads is kept for ever", 15)
        deaf.close()
        for _ in range(3):  # answers due and the connection gone
            gone = hub.connect()
            gone.socket.sendall(message * 50)
            gone.socket.close()
        accepted(hub, "AFTER")
    finally:
        hub.close()


def pending_messages_of_one_connection_are_answered_in_order():
    hub = Hub()
    try:
        hub.edit("idle: 10m", "idle: 10m, pending: 1")
        hub.start()
        sender = hub.connect()
        sender.socket.sendall(b"".join(VT + adt(f"P{i}") + FS + CR for i in range(200)))
        got = [ack_code(sender.receive()) for _ in range(200)]
        check(got == [("AA", f"P{i}") for i in range(200)], "out of order or lost with pending: 1")
        sender.socket.sendall(b"".join(VT + adt(f"H{i}") + FS + CR for i in range(20)))
        sender.close()
        wait_for(lambda: hub.json("status")["connections"] == 0, "a closed connection is counted")
    finally:
        hub.close()


def idle_connections_are_closed():
    hub = Hub()
    try:
        hub.edit("idle: 10m", "idle: 500ms")
        hub.start()
        sender = hub.connect()
        check(ack_code(sender.exchange(adt("ONE")))[0] == "AA", "before")
        begin = time.monotonic()
        check(closed_by_hub(sender) == b"" and time.monotonic() - begin > 0.3, "closed too soon, or with words")
        accepted(hub, "AFTER")
    finally:
        hub.close()


def segments_and_depth_have_limits():
    hub = Hub()
    try:
        hub.edit("idle: 10m", "idle: 10m, segments: 100, resources: 50, patients: 3")
        hub.start()
        sender = hub.connect()
        head = adt("SEGS").count(b"\r")
        fine = adt("SEGSOK", extra="NTE|1||x\r" * (100 - head))
        check(answer(sender.exchange(fine))[:2] == ("AA", "SEGSOK"), "100 segments")
        many = adt("SEGS", extra="NTE|1||x\r" * (101 - head))
        check(answer(sender.exchange(many))[0::3] == ("AE", "104"), "101 segments")
        many = adt("RES", extra="".join(f"AL1|{i}|DA|{i}^Thing{i}\r" for i in range(80)))
        check(answer(sender.exchange(many))[0::3] == ("AE", "104"), "too many resources")
        line = "ORC|RE|A{0}|B{0}\rOBR|1|A{0}|B{0}|1^T|||20260311081600\rOBX|1|NM|2^U||3\r"
        pids = "".join("PID|1||%d^^^NORTH^MR||%s^B\r" % (70100 + i, NAME) + line.format(i) for i in range(4))
        many = adt("PATIENTS", kind="ORU^R01^ORU_R01").split(b"EVN")[0] + pids.encode()
        check(answer(sender.exchange(many))[0::3] == ("AE", "104"), "too many patients")
        deep = adt("DEEP", extra="ZZZ" + "|" * 200000 + "^" * 200000 + "&" * 200000 + "~" * 200000 + "\r")
        check(answer(sender.exchange(deep))[0] in ("AA", "AE"), "a message of delimiters")
        check(answer(sender.exchange(adt("ESC", extra="NTE|1||" + "\\.br\\" * 100000 + "\\" * 100001 + "\r")))[0] in ("AA", "AE"), "a message of escapes")
        check(ack_code(sender.exchange(adt("LAST")))[0] == "AA", "after them")
        sender.close()
    finally:
        hub.close()


if __name__ == "__main__":
    main([the_largest_message_is_taken_and_one_byte_more_is_not, a_message_without_end_does_not_fill_the_memory,
          connections_past_the_limit_are_closed_and_the_others_work, slow_senders_do_not_hold_up_a_healthy_one, a_sender_that_never_reads_is_bounded,
          pending_messages_of_one_connection_are_answered_in_order, idle_connections_are_closed, segments_and_depth_have_limits])
