#!/usr/bin/env python3
"""The same messages from several senders in 50 interleavings, some twice: one content digest (guarantee 3)."""
from harness import *
from messages import Hospital

RUNS = int(os.environ.get("CHARTLINE_ORDERS", "50"))


def interleave(rng, streams):
    """A random merge that keeps each sender's own order."""
    left = [list(s) for s in streams]
    out = []
    while any(left):
        i = rng.choice([k for k, s in enumerate(left) if s])
        out.append(left[i].pop(0))
        if rng.random() < 0.1:
            out.append(rng.choice(out))
    return out


def every_interleaving_gives_one_content_digest():
    streams = []
    for i in range(4):  # four senders about the same ten patients
        hospital = Hospital(7)
        hospital.random = random.Random(500 + i)
        hospital.count = 1000 * i
        hospital.order = 1000 * (i + 1)
        hospital.minute = 37 * i
        streams.append(hospital.messages(25))
    digests = set()
    base = Hub()
    try:
        clean = os.path.join(base.base, "clean")
        shutil.copytree(base.dir, clean)
        for n in range(RUNS):
            shutil.rmtree(os.path.join(base.dir, "data"), ignore_errors=True)
            base.start()
            order = interleave(random.Random(n), streams)
            acks = send_all(base, order)
            check(all(ack_code(a)[0] == "AA" for a in acks), f"refused: {[a for a in acks if ack_code(a)[0] != 'AA'][:1]}")
            base.caught_up()
            digests.add(base.cli("timeline", "--digest", "content").strip())
            base.stop()
            check(len(digests) == 1, f"interleaving {n} gave another digest")
    finally:
        base.close()


if __name__ == "__main__":
    main([every_interleaving_gives_one_content_digest])
