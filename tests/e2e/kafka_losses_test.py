"""What takes something away from hubs and timelines on a real broker: its disk, the brokers for a long time, the end of a topic, its beginning,
a partition in the middle of a transaction. One broker for all of it; each test has topics of its own."""
import struct
from base64 import b64encode

from attacks import memory_kib, disk_bytes, shim
from group_harness import *
from messages import Hospital

brokers = None


def cluster():
    """The one of all tests."""
    global brokers
    if brokers is None:
        brokers = Cluster(proxied=True, settings={"log.retention.check.interval.ms": 500})
    return brokers


def site(prefix, **options):
    return Site(cluster=cluster(), prefix=prefix, partitions=2, **options)


def as_one(place, state, what):
    check(state == place.undisturbed()[0], f"{what}: not what one undisturbed process makes of it")


def documents(seed, count):
    """Results with a scanned document of 2 MiB each, of one patient: more than a store keeps in memory."""
    data = random.Random(seed)
    hospital = Hospital(seed, 1)
    for _ in range(count):
        lines = hospital.oru(0)[:-3]
        lines.append(f"OBX|1|ED|PDF^Display format in PDF^AUSPDI||^AP^PDF^Base64^{b64encode(data.randbytes(3 << 19)).decode()}||||||F")
        yield encode(lines)


def a_full_disk_of_a_timeline_process_is_said_and_waited_for():
    place = site("full.")
    try:
        place.start_hub()
        one = place.add("one")
        full = os.path.join(one.base, "full")
        env = {"LD_PRELOAD": shim(one.base, "failing_disk"), "CHARTLINE_FULL": full, "CHARTLINE_FAIL_WHERE": "/data/timeline/"}
        one.start(env=env)
        hospital = Hospital(81, 6)
        place.send(hospital.messages(20))
        place.settled()
        open(full, "w", encoding="ascii").close()
        place.send(list(documents(86, 26)) + hospital.messages(20) + [encode(hospital.merge(1, 2))])
        place.forwarded()
        stood = until(lambda: (lambda t: t if t["state"] == "waiting" else None)(one.timeline()), "nobody says that the disk is full")
        check("no space left for the store" in stood["trouble"] and stood["ready"] < stood["owned"], f"what it says: {stood}")
        time.sleep(2)  # several tries
        check(one.process.poll() is None and one.timeline()["state"] == "waiting", f"it goes on without its disk, or ended: {one.log_tail()}")
        os.remove(full)
        place.settled()
        check(one.timeline()["state"] == "ok" and "trouble" not in one.timeline(), f"{one.timeline()}")
        first = place.state()
        open(full, "w", encoding="ascii").close()  # once more, and it is killed then
        place.send(hospital.messages(20))
        place.forwarded()
        one.kill()
        out, err = run("run", "--role", "timeline", cwd=one.dir, expect=1, env={**os.environ, **env})
        check("no space left for the store" in err and "ready" not in out, f"a start without room: {err}")
        os.remove(full)
        one.start(env=env)
        place.settled()
        state = place.state()
        check(state != first, "nothing came after the kill")
        as_one(place, state, "full twice")
    finally:
        place.close()


def a_long_outage_costs_disk_and_no_memory_and_drains_in_order():
    place = site("away.", extra="    buffer: 1MiB\n")
    hub = place.hub
    many = 4000
    try:
        place.start_hub()
        hospital = Hospital(82, 8)
        place.send([encode(hospital.oru(n % 8)) for n in range(500)])
        place.forwarded()
        cluster().nodes[0].proxy.cut()
        sizes = []
        for _ in range(4):
            place.send([encode(hospital.oru(n % 8)) for n in range(many // 4)])
            sizes.append((memory_kib(hub), disk_bytes(hub, os.path.join("data", "log")) // 1024))
        bus = hub.json("status")["bus"]
        check(bus["lag"] >= many and bus["state"] == "waiting", f"the bus: {bus}")
        memory, disk = sizes[-1][0] - sizes[0][0], sizes[-1][1] - sizes[0][1]
        print(f"     {many * 3 // 4} messages while the brokers were away: {memory} KiB of memory, {disk} KiB of the event log", flush=True)
        check(disk > many, f"where are they? {sizes}")
        check(memory < disk // 3, f"memory grows with what waits (KiB of memory, of disk): {sizes}")
        cluster().nodes[0].proxy.mend()
        place.forwarded(90)
        order, seen = {}, set()
        for _, _, key, value, headers in cluster().dump(place.topic("events")):
            name = headers["chartline-id"]
            if name not in seen:
                order.setdefault(key, []).append(json.loads(value)["recordedtime"])
            seen.add(name)
        check(len(seen) == hub.json("status")["events"] == 500 + many, f"{len(seen)} events arrived")
        check(all(times == sorted(times) for times in order.values()), "out of order")
    finally:
        cluster().nodes[0].proxy.mend()
        place.close()


def batches(path):
    """(position, length, records) of each record batch of a log segment."""
    found = []
    with open(path, "rb") as f:
        data = f.read()
    at = 0
    while at + 61 <= len(data):
        length = struct.unpack_from(">i", data, at + 8)[0]
        if length <= 0:
            break
        found.append((at, 12 + length, struct.unpack_from(">i", data, at + 57)[0]))
        at += 12 + length
    return found


def lose_the_end(place, count, topic="events"):
    """The broker loses its power, and of each partition of TOPIC the last COUNT records or a few more, the last of them half: what a disk
    had not written yet, acknowledged or not. Returns how many."""
    node = cluster().nodes[0]
    node.kill()
    lost = 0
    for partition in range(place.partitions):
        path = os.path.join(node.folder, "log", f"{place.topic(topic)}-{partition}", "0" * 20 + ".log")
        gone, found = 0, batches(path)
        while found and gone < count:
            gone += found[-1][2]
            end = found.pop()
        if gone != 0:
            os.truncate(path, end[0] + end[1] // 2)
        lost += gone
    node.start()
    cluster().wait(1)
    return lost


def event_ids(place):
    return {h["chartline-id"] for *_, h in cluster().dump(place.topic("events"))}


def lose_events(place, count):
    """Which are not there any more. An event may lie there twice (what a producer that failed had sent already is sent again), so records are no measure."""
    before = event_ids(place)
    lose_the_end(place, count)
    return before - event_ids(place)


def results(hospital, rounds):
    return [encode(hospital.oru(n % hospital.patients)) for n in range(rounds * hospital.patients)]


def brokers_that_lost_the_end_of_the_events_take_nothing_from_the_timeline():
    place = site("cut.")
    try:
        place.start_hub()
        one = place.add("one").start()
        hospital = Hospital(83, 6)
        place.send(hospital.messages(30))
        place.send(results(hospital, 1), window=0)  # in batches of their own
        place.settled()
        until(lambda: sum(int(o) for *_, o in cluster().admin("groups", place.prefix + "timeline")) == cluster().count(place.topic("events")),
              "the group's offsets do not follow")  # else it reads from further back after a rebalance, and what was lost is of no account
        lost = lose_events(place, 2)
        check(len(lost) >= 2, "nothing was lost")
        place.send(results(hospital, 1), window=0)  # while the process runs
        place.forwarded()
        until(lambda: one.timeline()["truncations"] > 0, "nobody notices that the log ends earlier")
        place.settled()
        one.stop()
        lost |= lose_events(place, 2)
        place.send(results(hospital, 4))  # past what the stopped process had read
        place.forwarded()
        one.start()
        until(lambda: one.timeline()["truncations"] > 0, "nobody notices that other events lie where it had read")
        place.settled()
        state = place.state()
        there, events = event_ids(place), place.hub.json("status")["events"]
        check(len(there) == events - len(lost), f"{len(there)} of {events} events are there, {len(lost)} were lost")
        place.hub.stop()  # what is to be done, docs/OPERATIONS.md: the whole event log once more
        os.remove(os.path.join(place.hub.dir, "data", "forward", "position"))
        place.start_hub()
        place.settled()
        there = event_ids(place)
        check(len(there) == events, f"{len(there)} of {events} events came again")
        check(place.state() == state, "what came again changed something")
        as_one(place, state, f"{len(lost)} events lost")
    finally:
        place.close()


def a_timeline_topic_that_lost_its_end_gets_it_again():
    """What stores have and the topic lost is no application's to see, until it is written again: by the owner, who writes where the lost
    records lay, and by whoever comes next. A store of before does not go on at a place that holds another record."""
    place = site("out.")
    try:
        hospital = Hospital(87, 6)
        one = place.begin(hospital.messages(40) + [encode(hospital.merge(1, 2))])
        one.stop()
        one.start()  # what it writes next is the first of a producer: the brokers take it wherever the log ends (or it opens anew: half a minute)
        place.settled()
        before = set(place.outputs())
        check(lose_the_end(place, 8, "timeline") >= 8 and before - set(place.outputs()), "nothing was lost")
        place.send(hospital.messages(40))
        place.forwarded()
        until(lambda: one.timeline()["truncations"] > 0, "the owner does not notice that the log ended earlier", 90)
        place.settled()
        check(not before - set(place.outputs()), f"not written again: {before - set(place.outputs())}")
        one.stop()
        before = set(place.outputs())
        check(lose_the_end(place, 8, "timeline") >= 8 and before - set(place.outputs()), "nothing was lost")
        two = place.add("two").start()  # the brokers do not have what the group says is there: half a minute
        until(lambda: two.timeline()["truncations"] > 0, "who takes over does not notice", 90)
        place.send(hospital.messages(40))  # past what the stopped process had
        place.settled()
        check(not before - set(place.outputs()), f"not written again: {before - set(place.outputs())}")
        two.stop()
        one.start()
        place.settled()
        state = place.state()
        one.stop()
        shutil.rmtree(os.path.join(one.dir, "data", "timeline"))  # the topic alone
        one.start()
        place.settled()
        check(place.state() == state and one.timeline()["applied"] == 0, "the topic is not what the store was")
        as_one(place, state, "the end of the timeline lost twice")
    finally:
        place.close()


def events_deleted_before_they_were_read_are_counted_and_come_back():
    place = site("old.")
    events = place.topic("events")
    try:
        hospital = Hospital(84, 6)
        one = place.begin([encode(hospital.adt("A01", n)) for n in range(6)])
        state = place.state()
        one.stop()
        place.send([encode(hospital.oru(n % 6)) for n in range(18)])
        place.forwarded()
        read = {int(p): int(o) for _, p, o in cluster().admin("groups", place.prefix + "timeline")}
        cluster().admin("set", events, "retention.ms=1")
        until(lambda: cluster().count(events) == 0, "the broker deletes nothing", 60)
        cluster().admin("set", events, "retention.ms=-1")
        oldest = {int(p): int(o) for p, o in cluster().admin("oldest", events)}
        missing = {p: o - read.get(p, 0) for p, o in oldest.items() if o > read.get(p, 0)}
        check(sum(missing.values()) == 18, f"{missing}")
        one.start()
        stood = until(lambda: (lambda t: t if t["gap"] == 18 else None)(one.timeline()), "a hole is passed over, or counted wrong")
        check(stood["state"] == "gap" and {p["partition"]: p["gap"] for p in stood["partitions"] if p["state"] == "gap"} == missing, f"{stood}")
        check("deleted before they were read" in stood["trouble"] and "send its event log again" in stood["trouble"], f"{stood}")
        place.hub.stop()
        os.remove(os.path.join(place.hub.dir, "data", "forward", "position"))
        place.start_hub()
        place.forwarded()
        check(one.timeline()["gap"] == 18, "it goes on by itself")
        one.stop()
        for part, offset in oldest.items():
            until(lambda: not isinstance(cluster().admin("offset", place.prefix + "timeline", events, part, offset, fine=False), str),
                  "the group's offset cannot be set", 60)
        one.start()
        place.settled()
        check(place.state() != state, "what came again was not taken")
        as_one(place, place.state(), "a hole that was filled")
    finally:
        place.close()


def an_owner_that_stalls_inside_a_transaction_writes_nothing_more():
    place = site("stall.")
    outputs = place.topic("timeline")
    try:
        place.start_hub()
        sleeper = place.add("sleeper")
        hold = os.path.join(sleeper.base, "hold")
        sleeper.start(env={"CHARTLINE_CRASH_AT": "mid-outputs", "CHARTLINE_CRASH_HOLD": hold})
        hospital = Hospital(85, 6)
        place.send(hospital.messages(20))
        until(lambda: os.path.exists(hold), "no transaction is opened")
        place.forwarded()

        def stuck():  # the other partition gets on
            parts = [p["partition"] for p in sleeper.timeline()["partitions"] if p["lag"] != 0]
            return parts if len(parts) == 1 and cluster().admin("transaction", f"{place.prefix}timeline-{parts[0]}", fine=False) == [["Ongoing"]] else None
        part = until(stuck, "the brokers know of no open transaction")[0]

        def open_records():
            whole = {(r[0], r[1]) for r in cluster().dump(outputs)}
            return [r for r in cluster().dump(outputs, uncommitted=True) if r[0] == part and (r[0], r[1]) not in whole]
        torn = until(open_records, "nothing of the transaction is with the brokers")
        sleeper.process.send_signal(signal.SIGSTOP)
        heir = place.add("heir").start()
        until(lambda: (lambda t: t["owned"] == t["ready"] == place.partitions and t["lag"] == 0)(heir.timeline()), "nobody takes over", 60)
        state = heir.digest()
        before = place.outputs()
        os.remove(hold)
        sleeper.process.send_signal(signal.SIGCONT)
        until(lambda: "another process took over" in sleeper.log_tail() or "is given back" in sleeper.log_tail(), "it does not notice")
        place.settled(least=1)  # it is a member again, and has a partition
        place.send(hospital.messages(20))
        place.settled(least=1)
        check(all(i.timeline()["unreadable"] == 0 for i in place.running()), "rubbish on the topic")
        committed = {(r[0], r[1]) for r in cluster().dump(outputs)}
        check(not committed & {(r[0], r[1]) for r in torn}, "what was written before the stall counts after all")
        now = place.outputs()
        check(all(key in now for key in before), "an entry that the heir wrote is gone")
        check(state != place.state(), "nothing came afterwards")
        as_one(place, place.state(), "a stall inside a transaction")
    finally:
        place.close()


if __name__ == "__main__":
    needed()
    try:
        main([a_full_disk_of_a_timeline_process_is_said_and_waited_for, a_long_outage_costs_disk_and_no_memory_and_drains_in_order,
              brokers_that_lost_the_end_of_the_events_take_nothing_from_the_timeline, a_timeline_topic_that_lost_its_end_gets_it_again, events_deleted_before_they_were_read_are_counted_and_come_back,
              an_owner_that_stalls_inside_a_transaction_writes_nothing_more])
    finally:
        if brokers is not None:
            brokers.close()
