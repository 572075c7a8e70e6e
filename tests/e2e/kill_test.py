#!/usr/bin/env python3
"""kill -9 under load: nothing acknowledged is missing, nothing is there twice (guarantees 1 and 2).

CHARTLINE_KILLS sets how often (default 50). The seed is printed, so that a failing run can be repeated.
"""
from harness import *
from messages import Hospital

KILLS = int(os.environ.get("CHARTLINE_KILLS", "50"))
SEED = int(os.environ.get("CHARTLINE_SEED", random.randrange(10 ** 6)))
SENDERS = 4
PER_KILL = 100


def feed(hub, messages, acked, stop):
    """Sends MESSAGES in order until all are acknowledged, over as many connections as it takes."""
    at = 0
    while at < len(messages) and not stop.is_set():
        sender = None
        try:
            sender = hub.connect(timeout=5)
            sent = at
            while at < len(messages):
                while sent < len(messages) and sent - at < 8:
                    sender.send(messages[sent])
                    sent += 1
                code, control = ack_code(sender.receive())
                check(code == "AA" and control == control_id(messages[at]), f"unexpected answer {code} {control}")
                acked.add(control)
                at += 1
        except (OSError, ConnectionError):
            time.sleep(0.02)
        finally:
            if sender is not None:
                sender.close()


def content_digest(hub):
    return hub.cli("timeline", "--digest", "content").strip()


def killed_hub_loses_and_doubles_nothing():
    rng = random.Random(SEED)
    print(f"seed {SEED}, {KILLS} kills", flush=True)
    streams = [Hospital(100 + i).messages(KILLS * PER_KILL) for i in range(SENDERS)]
    hub = Hub().start()
    calm = Hub().start()
    try:
        acked, stop = set(), threading.Event()
        threads = [threading.Thread(target=feed, args=(hub, s, acked, stop), daemon=True) for s in streams]
        for t in threads:
            t.start()
        kills = 0
        while kills < KILLS and any(t.is_alive() for t in threads):
            time.sleep(rng.uniform(0.0, 0.12))
            hub.kill()
            hub.start()
            kills += 1
        for t in threads:
            t.join(120)
            check(not t.is_alive(), "a sender did not get all its acknowledgements")
        stop.set()
        everything = [m for s in streams for m in s]
        check(len(acked) == len(everything), f"{len(acked)} of {len(everything)} acknowledged")
        for s in streams:  # everything again: all positive, no second effect
            check(all(ack_code(a)[0] == "AA" for a in send_all(hub, s)), "a resend was not acknowledged")
        status = hub.caught_up()
        check(status["events"] == len(everything), f"{status['events']} events for {len(everything)} messages")
        hub.cli("audit", "verify")
        for s in streams:
            check(all(ack_code(a)[0] == "AA" for a in send_all(calm, s)), "the undisturbed hub refused a message")
        calm.caught_up()
        check(content_digest(hub) == content_digest(calm), "the content differs from that of an undisturbed run")
        hub.stop()
        hub.cli("audit", "verify", "--events")
        print(f"{kills} kills, {len(everything)} messages", flush=True)
    finally:
        hub.close()
        calm.close()


if __name__ == "__main__":
    main([killed_hub_loses_and_doubles_nothing])
