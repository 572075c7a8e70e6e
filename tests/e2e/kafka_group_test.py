"""The timeline as a consumer group on real brokers: processes share partitions, come, go, are killed and wake up too late, and together they
hold exactly what one process makes of the same events."""
from base64 import b64encode

from group_harness import *
from kill_test import crash_points
from messages import Hospital

PARTITIONS = 4


def one_process_keeps_all_of_it(version="4"):
    site = Site(version=version)
    try:
        hospital = Hospital(61, 8)
        one = site.begin(hospital.messages(120) + [encode(hospital.merge(1, 2))])
        state = site.state()
        one.stop()
        one.take_keys(site.hub)  # patients' secrets too
        one.start()
        site.settled()
        check(site.state() == state, "a restart changes the state")
        content = one.digest("content")
        records = site.cluster.dump("chartline.timeline")
        check(any(b"/" not in key for _, _, key, _, _ in records) and any(b"/" in key for _, _, key, _, _ in records), "token records and entries")
        everything = site.cluster.stored_bytes() + b"".join(part for r in records for part in (r[2] or b"", r[3] or b"", *r[4].values()))
        for marker in (b"ABARA", b"BERGSTROM", b"Elm Street", b"6100003", b"555-"):
            check(marker not in everything, f"{marker} in the clear")
        expected = site.undisturbed()
        check(state == expected[0], "the state is not that of one undisturbed process")
        check(content == expected[1], "the content is not that of one undisturbed process")
    finally:
        site.close()


def with_an_older_broker_too():
    one_process_keeps_all_of_it("3")


def two_share_it_a_third_comes_and_goes_and_one_is_killed():
    site = Site()
    try:
        site.start_hub()
        signer = site.hub.cli("keys", "signer").strip()
        first = site.add("first").start()
        second = site.add("second", keys=None, trust=[signer]).start()  # with keys of its own
        hospital = Hospital(62, 12)
        site.send(hospital.messages(60))
        parts = site.settled(least=2)
        check(all(t["owned"] == 2 for t in parts), f"the partitions are not shared: {parts}")
        third = site.add("third").start()
        site.send(hospital.messages(60) + [encode(hospital.merge(3, 4))])
        site.settled(least=1)
        second.kill()
        site.send(hospital.messages(30))
        second.start()  # within its session: the same partitions
        site.settled()
        third.kill()  # for longer than its session: the others take over
        site.send(hospital.messages(30))
        site.merge_across(hospital)
        parts = site.settled()
        state = site.state()
        check(all(t["untrusted"] == 0 and t["unknown_facts"] == 0 and t["unreadable"] == 0 for t in parts), f"{parts}")
        out, err = run("timeline", "--digest", "content", cwd=second.dir, expect=1)
        check(not out.strip() and "lacks keys" in err, f"a process without the patients' keys gives a digest of something: {out}{err}")
        content = site.content()
        site.cluster.nodes[0].pause()
        out, err = run("timeline", "--digest", "content", cwd=first.dir, expect=None)
        site.cluster.nodes[0].resume()
        check(not out.strip() and "try again" in err, f"brokers are away, and a sum is said: {out}{err}")
        expected = site.undisturbed()
        check(state == expected[0], "the states of the processes do not add up to that of one")
        check(content == expected[1], "the contents of the processes do not add up to that of one")
    finally:
        site.close()


def who_asks_waits_no_longer_than_for_what_is_there():
    """Right after a start, and where charts change in partitions that no event comes to: a process that has everything must not say that it is behind."""
    site = Site()
    try:
        hospital = Hospital(71, 6)
        one = site.begin(hospital.messages(30))
        state = site.state()
        one.stop()
        one.start()
        check(one.digest(patience=0) == state, "asked while partitions are being opened")
        one.stop()
        shutil.rmtree(os.path.join(one.dir, "data", "timeline"))  # where to go on is known to the group alone
        one.start()
        site.settled()
        for survivor, retired in ((1, 2), (3, 4), (5, 0)):
            site.send([encode(hospital.merge(survivor, retired))])
            site.forwarded()
            one.digest(patience=0)
        parts = site.settled()[0]["partitions"]
        check(all(p["state"] == "ready" and "position" in p for p in parts), f"a place that is not known any more: {parts}")
        check(site.state() == site.undisturbed()[0], "not what one process makes of it")
    finally:
        site.close()


def a_process_that_wakes_up_too_late_writes_nothing():
    site = Site()
    try:
        site.start_hub()
        sleeper = site.add("sleeper").start()
        hospital = Hospital(63, 6)
        site.send(hospital.messages(40))
        site.settled()
        heir = site.add("heir").start()
        site.settled(least=1)
        sleeper.process.send_signal(signal.SIGSTOP)
        site.send(hospital.messages(40))
        until(lambda: heir.timeline()["owned"] == PARTITIONS and heir.timeline()["ready"] == PARTITIONS, "nobody takes over", 90)
        until(lambda: heir.timeline()["lag"] == 0, "the heir does not catch up", 60)
        before = site.outputs()
        state = heir.digest()
        sleeper.process.send_signal(signal.SIGCONT)
        time.sleep(3)
        site.settled()
        sleeper.stop()
        site.settled()
        check(heir.digest() == state, "the one that slept changed something")
        check(site.outputs() == before, "the one that slept wrote to the topic")
        check(state == site.undisturbed()[0], "not what one process makes of it")
    finally:
        site.close()


def what_is_lost_comes_back_from_the_topics():
    """A data directory that is gone comes back from `timeline` alone; a topic that is gone too, from the events."""
    site = Site()
    try:
        hospital = Hospital(64, 8)
        one = site.begin(hospital.messages(100) + [encode(hospital.merge(1, 2))])
        state = site.state()
        written = site.outputs()
        one.stop()
        shutil.rmtree(os.path.join(one.dir, "data", "timeline"))
        one.start()
        parts = site.settled()
        check(site.state() == state, "not the same from the topic alone")
        check(parts[0]["restores"] > 0 and parts[0]["restored"] > 0, f"nothing was restored: {parts}")
        check(parts[0]["applied"] == 0, f"{parts[0]['applied']} events were applied, the topic was to be enough")
        check(site.outputs() == written, "restoring changed the topic")
        one.stop()
        for name in os.listdir(os.path.join(one.dir, "data", "timeline")):  # damage in every store
            folder = os.path.join(one.dir, "data", "timeline", name)
            for file in os.listdir(folder):
                if file.startswith("MANIFEST") or file.endswith(".sst"):
                    with open(os.path.join(folder, file), "r+b") as f:
                        f.write(b"damage" * 100)
        one.start()
        parts = site.settled()
        check(site.state() == state and parts[0]["rebuilt"] > 0, f"damaged stores: {parts}")
        one.stop()
        shutil.rmtree(os.path.join(one.dir, "data", "timeline"))
        site.cluster.admin("delete", "chartline.timeline")
        until(lambda: ["chartline.timeline"] not in site.cluster.admin("topics"), "the topic stays")
        site.cluster.admin("create", "chartline.timeline", PARTITIONS, 1, "cleanup.policy=compact", "max.message.bytes=40000000")
        one.start()
        parts = site.settled()
        check(site.state() == state, "not the same from the events")
        check(parts[0]["applied"] == site.hub.json("status")["events"], f"not all events were applied anew: {parts}")
    finally:
        site.close()


def a_fact_that_no_trusted_hub_signed_does_not_count_and_is_said():
    site = Site()
    try:
        site.start_hub()
        stranger = site.add("stranger", keys=None, facts="1s").start()
        hospital = Hospital(65, 3)
        site.send([encode(hospital.adt("A01", 1)), encode(hospital.merge(1, 2))])
        until(lambda: stranger.timeline()["untrusted"] > 0, "nobody says so", 30)
        until(lambda: stranger.timeline()["unknown_facts"] > 0 and stranger.timeline()["lag"] == 0, "the event waits for ever", 30)
        said = stranger.cli("check", "--connect", "--role", "timeline")
        check("bus.kafka.trust" in said and "keys signer" in said and "rights are as they must be" in said, f"check says\n{said}")
    finally:
        site.close()


def a_hole_in_the_events_is_not_passed_over():
    site = Site()
    try:
        hospital = Hospital(68, 4)
        admissions = [encode(hospital.adt("A01", n)) for n in range(4)]
        one = site.begin(admissions)
        one.stop()
        site.send([encode(hospital.oru(n % 4)) for n in range(12)])
        site.forwarded()
        before = {int(p): int(o) for _, p, o in site.cluster.admin("groups", "chartline.timeline")}
        part = max({r[0] for r in site.cluster.dump("chartline.events")}, key=lambda p: before.get(p, -1))
        oldest = before[part] + 2
        site.cluster.admin("truncate", "chartline.events", part, oldest)
        one.start()
        stood = until(lambda: (lambda t: t if t["state"] == "gap" else None)(one.timeline()), "a hole is passed over", 60)
        check(stood["gap"] == 2 and [p["partition"] for p in stood["partitions"] if p["state"] == "gap"] == [part], f"{stood}")
        check("deleted before they were read" in stood["trouble"], f"{stood}")
        one.stop()
        until(lambda: not isinstance(site.cluster.admin("offset", "chartline.timeline", "chartline.events", part, oldest, fine=False), str),
              "the group's offset cannot be set", 60)
        one.start()
        until(lambda: (lambda t: t["lag"] == 0 and t["ready"] == PARTITIONS and t["gap"] == 0)(one.timeline()), "it does not go on", 60)
    finally:
        site.close()


def what_cannot_be_read_is_counted_and_blocks_nobody():
    site = Site()
    try:
        hospital = Hospital(69, 4)
        one = site.begin([encode(hospital.adt("A01", n)) for n in range(4)])
        for partition in range(PARTITIONS):
            for topic in ("events", "identity"):
                site.cluster.admin("send", "chartline." + topic, b64encode(b"rubbish").decode(), b64encode(b"nothing of ours").decode(), partition)
        site.send([encode(hospital.oru(n)) for n in range(4)])
        until(lambda: one.timeline()["unreadable"] + one.timeline()["untrusted"] >= 2 * PARTITIONS, "nobody says so", 30)
        site.settled()
        check(len(one.json("timeline", "--list")) == 4 and "nothing of ours" not in one.log_tail(), "charts, or content in the log")
        check(site.state() == site.undisturbed()[0], "not what one process makes of it")
    finally:
        site.close()


def killed_at_every_place_nothing_is_lost_or_doubled():
    site = Site()
    try:
        site.start_hub()
        one = site.add("one")
        hospital = Hospital(70, 6)
        site.send(hospital.messages(20))
        places = [name for name, when in crash_points() if when == "kafka"]
        check(len(places) >= 6, f"places: {places}")
        for place in places:
            if "restore" in place:
                shutil.rmtree(os.path.join(one.dir, "data", "timeline"), ignore_errors=True)
            one.start(env={"CHARTLINE_CRASH_AT": place})
            site.send(hospital.messages(10))
            until(lambda: one.process.poll() is not None, f"{place} is not passed", 60)
            one.kill()
            one.start()
            site.settled()
            one.stop()
        one.start()
        site.settled()
        check(site.state() == site.undisturbed()[0], "not what one undisturbed process makes of it")
    finally:
        site.close()


def charts_are_read_where_they_are():
    site = Site()
    try:
        hospital = Hospital(66, 6)
        one = site.begin(hospital.messages(60))
        one.stop()
        one.take_keys(site.hub)
        one.start()
        site.settled()
        charts = one.json("timeline", "--list")
        tokens = {chart["tokens"][0] for chart in charts}
        check(len(charts) >= 4, f"{len(charts)} charts")
        token = sorted(tokens)[0]
        check(one.json("timeline", token, *one.as_role("clinician"))["entries"], "a chart without entries")
        check(one.json("patient", "find", token)[0]["chart"], "a patient is not found")
        other = site.add("other").start()
        site.settled(least=2)
        owner = {p["partition"]: i for i in (one, other) for p in i.timeline()["partitions"]}
        holder = {key.decode(): owner[partition] for key, (partition, _) in site.outputs().items() if b"/" not in key}
        for chart, i, form in [(c, i, form) for c in charts for i in (one, other) for form in ((), ("--json",))]:
            whole = all(holder[t] is i for t in chart["tokens"])
            out, err = run("timeline", chart["tokens"][0], *form, cwd=i.dir, expect=None)
            check(("chart" in out, "another process" in err) == (whole, not whole), f"{i.name} has {'all' if whole else 'not all'} of a chart: {out[:200]}{err}")
        _, err = run("timeline", token, cwd=site.hub.dir, expect=None)
        check("keeps no part of the timeline" in err, f"the hub without timeline: {err}")
    finally:
        site.close()


def a_hub_with_all_roles_goes_through_kafka_too():
    cluster = Cluster()
    hub = None
    try:
        cluster.allow_roles()
        hub = Hub()
        hub.edit(LOCAL, cluster.yaml())
        hub.start()
        hospital = Hospital(67, 4)
        for answer in send_all(hub, [encode(hospital.adt("A01", n % 4)) for n in range(40)]):
            check(ack_code(answer)[0] == "AA", answer)
        charts = hub.json("timeline", "--list")
        check(len(charts) == 4, f"{len(charts)} charts: {hub.json('status')}")
        check(hub.json("timeline", charts[0]["tokens"][0], *hub.as_role("clinician"))["entries"], "a chart without entries")
        status = hub.caught_up()
        check(status["timeline"]["state"] == "ok" and status["timeline"]["owned"] == 4 and status["applied"] == status["events"], f"{status}")
        check(cluster.count("chartline.timeline") > 0, "nothing on the topic")
        hub.stop()
        out = hub.cli("timeline", "--list", expect=1) + run("timeline", "--list", cwd=hub.dir, expect=1)[1]
        check("keeps no part of the timeline" in out, f"without a running hub: {out}")
    finally:
        if hub is not None:
            hub.close()
        cluster.close()


if __name__ == "__main__":
    needed()
    main([one_process_keeps_all_of_it, with_an_older_broker_too, two_share_it_a_third_comes_and_goes_and_one_is_killed,
          who_asks_waits_no_longer_than_for_what_is_there, a_process_that_wakes_up_too_late_writes_nothing, what_is_lost_comes_back_from_the_topics,
          a_fact_that_no_trusted_hub_signed_does_not_count_and_is_said, a_hole_in_the_events_is_not_passed_over,
          what_cannot_be_read_is_counted_and_blocks_nobody, killed_at_every_place_nothing_is_lost_or_doubled, charts_are_read_where_they_are, a_hub_with_all_roles_goes_through_kafka_too])
