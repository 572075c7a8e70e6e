#!/usr/bin/env python3
"""Framing in the wild: four kinds of senders get the same answers; what is no frame, or never ends, is refused, counted
and said; and nobody else suffers."""
import resource
import socket
import statistics

from harness import *
from attacks import *

SLOW = int(os.environ.get("CHARTLINE_SLOW", "1000"))
MANY = int(os.environ.get("CHARTLINE_CONNECTIONS", "2000"))
ENDLESS = int(os.environ.get("CHARTLINE_ENDLESS_MIB", "256"))
LF = b"\n"


def plain_hub(*edits):
    """A hub whose feed is plain TCP on loopback: the framing is what is tested, and handshakes of thousands take their time."""
    hub = Hub()
    with open(os.path.join(hub.dir, "hub.yaml"), encoding="utf-8") as f:
        line = next(l for l in f if "transport:" in l)
    hub.edit(line, f'    transport: {{mllp: {{listen: "127.0.0.1:{hub.port}"}}}}\n')
    for old, new in edits:
        hub.edit(old, new)
    return hub.start()


def connect(hub, timeout=20):
    return Sender(hub.port, None, timeout)


def files(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
    return min(count, hard) == count


def messages():
    bad = adt("BAD", processing="T")
    batch = b"BHS|^~\\&|EHR|NORTH|HUB|NORTH|||||B1\r" + adt("IN1", "70011") + b"no message\r" + adt("IN2", "70012") + b"BTS|2\r"
    return [adt("A1"), bad, adt("A2", "70002"), b"not HL7 at all", adt("A1"), batch, adt("FSIN", "70003").replace(b"^Ada", b"^A\x1cda"),
            adt("LONG", "70004", extra="NTE|1||" + "x" * 100000 + "\r"), b"", adt("A3", "70005")]


def strict(sender, sent):
    return [sender.exchange(m) for m in sent]


def tolerant(sender, sent):
    """Noise before, LF for the last CR or none at all, line ends between frames."""
    answers = []
    for i, m in enumerate(sent):
        sender.socket.sendall([b"", b"\r\n", b"junk ", b"\x00\xff"][i % 4] + VT + m + FS + [CR, LF, b"", CR + LF][i % 4])
        answers.append(sender.receive())
    return answers


def pipelining(sender, sent):
    sender.socket.sendall(b"".join(VT + m + FS + CR for m in sent))
    return [sender.receive() for _ in sent]


def byte_by_byte(sender, sent):
    sender.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    answers = []
    for m in sent:
        stream = VT + m + FS + CR
        step = 1 if len(stream) < 2000 else 97
        for at in range(0, len(stream), step):
            sender.socket.sendall(stream[at:at + step])
        answers.append(sender.receive())
    return answers


def without_times(answer):
    return [l for l in answer.split(CR) if l[:3] in (b"MSA", b"ERR", b"BTS")]


def four_kinds_of_senders_get_the_same_answers():
    for tls in (False, True):
        hub = Hub().start() if tls else plain_hub()
        try:
            expected = None
            for kind in (strict, tolerant, pipelining, byte_by_byte):
                sender = hub.connect() if tls else connect(hub)
                got = [without_times(a) for a in kind(sender, messages())]
                if expected is None:
                    expected = got
                    check([a[0].split(b"|")[1] for a in got] == [b"AA", b"AR", b"AA", b"AE", b"AA", b"AA", b"AA", b"AA", b"AE", b"AA"], f"{got}")
                check(got == expected, f"{kind.__name__}: {got}, not {expected}")
                sender.socket.shutdown(socket.SHUT_WR) if not tls else None  # half-open: what was sent is still answered
                sender.close()
            status = hub.json("status")
            check(status["events"] == 7, f"{status['events']} events of 4 times the same messages")
            feed = status["feeds"][0]
            noise = sum(len([b"", b"", b"junk ", b"\x00\xff"][i % 4]) for i in range(len(messages())))
            check(feed["noise_bytes"] == noise, f"noise: {feed['noise_bytes']}, not {noise}")
            check(hub.log_tail().count("bytes between frames are skipped") == 1, "noise is said once for a connection")
            check("junk" not in hub.log_tail(), "noise stands in the log")
            check(f"noise_bytes={noise}" in hub.cli("status"), f"status: {hub.cli('status')}")
            no_name_in(hub)
        finally:
            hub.close()


def a_peer_that_sends_no_more_still_gets_its_answers():
    hub = plain_hub()
    try:
        sender = connect(hub)
        sender.socket.sendall(b"".join(VT + adt(f"H{i}") + FS + CR for i in range(50)) + VT + adt("HALF")[:-50])
        sender.socket.shutdown(socket.SHUT_WR)
        check([ack_code(sender.receive()) for _ in range(50)] == [("AA", f"H{i}") for i in range(50)], "answers after a half-close")
        check(sender.socket.recv(100) == b"", "the connection stays open")
        check(hub.json("message", "find", "--control-id", "HALF") == [], "half a message is stored")
        sender.close()
    finally:
        hub.close()


def what_never_is_a_frame_is_closed_and_said():
    hub = plain_hub(("message_bytes: 16MiB", "message_bytes: 64KiB"))
    try:
        sender = connect(hub)
        sender.socket.sendall(adt("NOFRAME"))
        accepted_beside = connect(hub)
        check(ack_code(accepted_beside.exchange(adt("BESIDE")))[0] == "AA", "a healthy sender")
        wait_for(lambda: hub.json("status")["feeds"][0]["noise_bytes"] > 100, "bytes without a frame are not counted")
        try:
            for _ in range(10):
                sender.socket.sendall(b"x" * 10000)
            check(sender.socket.recv(100) == b"", "what is no frame gets an answer")
        except TimeoutError:
            raise Failed("bytes without a frame are read for ever") from None
        except OSError:
            pass
        check(hub.json("status")["feeds"][0]["frames_refused"] == 1, f"{hub.json('status')['feeds']}")
        check("more bytes without a frame" in hub.log_tail(), "the log says nothing of it")
        long = connect(hub)  # noise that is little between good frames is never too much
        for i in range(30):
            long.socket.sendall(b"y" * 4000 + VT + adt(f"N{i}") + FS + CR)
            check(ack_code(long.receive())[0] == "AA", "a frame behind noise")
        no_name_in(hub)
    finally:
        hub.close()


def a_frame_that_never_ends_is_refused_at_the_limit_and_memory_stays_flat():
    hub = plain_hub(("message_bytes: 16MiB", "message_bytes: 1MiB"))
    try:
        sender, beside = connect(hub, 60), connect(hub)
        check(ack_code(beside.exchange(adt("WARM")))[0] == "AA", "a message before")
        before = most = memory_kib(hub)
        sender.socket.sendall(VT + adt("ENDLESS") + b"NTE|1||")
        block = b"z" * (1024 * 1024)
        for i in range(ENDLESS):
            sender.socket.sendall(block)
            if i == 2:
                check(answer(sender.receive())[:2] == ("AE", "ENDLESS"), "no answer at the limit")
            if i % 16 == 0:
                most = max(most, memory_kib(hub))
                check(ack_code(beside.exchange(adt(f"BESIDE{i}")))[0] == "AA", "a healthy sender suffers")
        check(most - before < 24 * 1024, f"memory grew by {(most - before) // 1024} MiB")
        sender.socket.sendall(FS + CR)
        check(ack_code(sender.exchange(adt("AFTER"))) == ("AA", "AFTER"), "the connection after it")
        print(f"     {ENDLESS} MiB without an end: memory grew by {(most - before) // 1024} MiB", flush=True)
    finally:
        hub.close()


def segments_separated_by_text_are_read_or_refused_never_half():
    hub = plain_hub()
    try:
        sender = connect(hub)
        for n, mark in enumerate((b"\\r", b"\\n", b"\\r\\n", b"<13>", b"<CR>", b"\\x0d")):
            message = adt(f"MARK{n}", f"7100{n}").replace(CR, mark)
            code, control = ack_code(sender.exchange(message))
            check(control == f"MARK{n}", f"{mark}: answered to {control}")
            found = hub.json("patient", "find", f"urn:chartline:ns:NORTH:NORTH|7100{n}", expect=None)
            hub.caught_up()
            check((code == "AA") == bool(found), f"{mark}: {code} and the patient is {'there' if found else 'not there'}")
            check(b"Quexwright" not in sender.exchange(message), "the name comes back in the answer")
            check(code == "AA" or n > 2, f"{mark}: {code}")
        text = adt("TEXT", "71010", extra="NTE|1||C:\\run\\r\\PID|1 and so on\r")
        check(ack_code(sender.exchange(text)) == ("AA", "TEXT"), "such text in a message with its line ends")
        check(len(hub.json("status")["feeds"]) == 1, "status")
    finally:
        hub.close()


def many_at_once(hub, connect):
    try:
        before = memory_kib(hub)
        senders = [connect(hub, 60) for _ in range(MANY)]
        for i, s in enumerate(senders):
            s.send(adt(f"M{i}", str(80000 + i)))
        check(all(ack_code(s.receive()) == ("AA", f"M{i}") for i, s in enumerate(senders)), "not everyone is answered")
        for i, s in enumerate(senders):
            s.send(adt(f"M{i}", str(80000 + i)))
        check(all(ack_code(s.receive())[0] == "AA" for s in senders), "not everyone is answered again")
        status = hub.json("status")
        check(status["events"] == MANY and status["connections"] == MANY, f"{status['events']} events, {status['connections']} connections")
        print(f"     {MANY} connections: {(memory_kib(hub) - before) // 1024} MiB more", flush=True)
        try:
            connect(hub, 5).exchange(adt("MORE"))
            raise Failed("one connection past the limit is served")
        except OSError:
            pass
        for s in senders:
            s.close()
        wait_for(lambda: hub.json("status")["connections"] == 0, "connections are still counted", 20)
        check(ack_code(connect(hub).exchange(adt("AFTER")))[0] == "AA", "after them")
    finally:
        hub.close()


def needs_files():
    if not files(MANY + 200):
        skip(f"the limit of open files is below {MANY + 200} (ulimit -n)")


def two_thousand_connections_at_once():
    needs_files()
    many_at_once(plain_hub(("connections: 2000", f"connections: {MANY}")), connect)


def two_thousand_connections_over_tls_at_once():
    needs_files()
    hub = Hub()
    hub.edit("connections: 2000", f"connections: {MANY}")
    context = hub.context()
    many_at_once(hub.start(), lambda hub, timeout=60: Sender(hub.port, context, timeout))


def measure(hub, seconds, name):
    healthy = [connect(hub) for _ in range(2)]
    times = []
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        for s in healthy:
            sent = time.monotonic()
            check(ack_code(s.exchange(adt(f"{name}{len(times)}")))[0] == "AA", "a healthy sender is refused")
            times.append(time.monotonic() - sent)
    for s in healthy:
        s.close()
    return times


def a_thousand_slow_connections_do_not_stop_healthy_ones():
    if not files(SLOW + 200):
        skip(f"the limit of open files is below {SLOW + 200} (ulimit -n)")
    hub = plain_hub()
    try:
        alone = measure(hub, 2, "ALONE")
        slow = [connect(hub, 60) for _ in range(SLOW)]
        stream = VT + adt("SLOW")
        stop = threading.Event()

        def drip():
            at = 0
            while not stop.is_set():
                begin = time.monotonic()
                for s in slow:
                    s.socket.sendall(stream[at % len(stream):at % len(stream) + 1])
                at += 1
                stop.wait(max(0.0, 1 - (time.monotonic() - begin)))
        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        beside = measure(hub, 4, "BESIDE")
        stop.set()
        thread.join()
        p99 = [statistics.quantiles(t, n=100)[98] * 1000 for t in (alone, beside)]
        print(f"     beside {SLOW} slow connections {len(beside) // 4} messages/s, alone {len(alone) // 2}; p99 {p99[1]:.1f} ms, alone {p99[0]:.1f} ms: "
              f"ratio {p99[1] / p99[0]:.1f}", flush=True)
        check(len(beside) > 20, f"only {len(beside)} messages went through beside {SLOW} slow connections")
        check(hub.json("status")["connections"] >= SLOW, "slow connections were closed before their time")
    finally:
        hub.close()


if __name__ == "__main__":
    main([four_kinds_of_senders_get_the_same_answers, a_peer_that_sends_no_more_still_gets_its_answers, what_never_is_a_frame_is_closed_and_said,
          a_frame_that_never_ends_is_refused_at_the_limit_and_memory_stays_flat, segments_separated_by_text_are_read_or_refused_never_half,
          two_thousand_connections_at_once, two_thousand_connections_over_tls_at_once, a_thousand_slow_connections_do_not_stop_healthy_ones])
