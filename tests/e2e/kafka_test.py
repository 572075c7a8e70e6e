"""The hub and real brokers: from MLLP to the topics over mTLS and SCRAM, refused logins, rights, brokers that go away."""
import tempfile

from harness import *
from kafka_harness import *
from messages import Hospital

LOCAL = "bus:       {local: {}}\n"
TOPICS = ("events", "identity", "keys", "deadletter", "audit", "timeline", "alerts")


def encode(segments):
    return "\r".join(segments).encode() + b"\r"


def kafka_hub(cluster, **options):
    hub = Hub()
    hub.edit(LOCAL, cluster.yaml(**options))
    return hub


def until(condition, what, timeout=30):
    limit = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < limit, f"{what}, even after {timeout} s")
        time.sleep(0.1)


def forwarded(hub, timeout=60):
    """Waits until the brokers have everything stored; the status then."""
    def done():
        status = hub.json("status")
        return status if status["bus"]["lag"] == 0 else None
    return until(done, "the forwarder does not catch up", timeout)


def event_ids(cluster, prefix="chartline."):
    """Ids in the order of the topic, per subject."""
    order = {}
    for _, _, key, _, headers in cluster.dump(prefix + "events"):
        order.setdefault(key.decode(), []).append(headers["chartline-id"].decode())
    return order


def first_copies(ids):
    seen = []
    for one in ids:
        if one not in seen:
            seen.append(one)
    return seen


def everything_from_mllp_to_the_topics(version="4"):
    cluster = Cluster(version=version)
    hub = None
    try:
        cluster.allow_roles()
        hub = kafka_hub(cluster)
        hub.start()
        hospital = Hospital(31, 6)
        sent = [hospital.adt("A01", n) for n in range(6)] + [hospital.oru(n) for n in range(6)] + [hospital.merge(1, 2)]
        check(all(ack_code(a)[0] == "AA" for a in send_all(hub, [encode(m) for m in sent])), "a message is not accepted")
        bad = encode(hospital.merge(3, 3))
        answer = send_all(hub, [bad])[0]
        check(ack_code(answer)[0] in ("AE", "AR"), f"a wrong message is answered {answer}")
        status = forwarded(hub)
        check(status["bus"]["state"] == "ok" and status["bus"].get("brokers_up") != 0, f"the bus: {status['bus']}")
        until(lambda: hub.json("status")["bus"].get("brokers_up") == 1, f"the brokers are not counted: {status['bus']}")
        topics = {name: cluster.dump("chartline." + name) for name in TOPICS}
        events = topics["events"]
        check(len(events) == len(sent) == status["events"], f"{len(events)} events for {len(sent)} messages")
        for partition, _, key, value, headers in events:
            event = json.loads(value)
            check(key.decode() == event["subject"] and headers["chartline-id"].decode() == event["id"], "key or id")
            check(headers["content-type"] == b"application/cloudevents+json", "the content type")
            stored = hub.json("message", "show", event["id"])
            check(event["id"] in json.dumps(stored), "the event is none of the hub's")
        facts = topics["identity"]
        check(any(json.loads(value)["kind"] == "merge" for _, _, _, value, _ in facts), "the merge is no identity fact")
        check(all(key.decode() == "{event}/{n}".format(**json.loads(value)) for _, _, key, value, _ in facts), "keys of facts")
        used = {part.split("@")[1].split(":")[0] for _, _, _, value, _ in events for part in json.loads(value)["seal"].split(";") if "@" in part}
        known = {json.loads(value)["id"] for _, _, _, value, _ in topics["keys"]}
        check(used <= known, "an event whose class key is not on the bus")
        check(len(topics["deadletter"]) == 1, "one dead letter")
        until(lambda: cluster.dump("chartline.audit")[-1][3].decode() ==
              open(os.path.join(hub.dir, "data", "audit", "checkpoint"), encoding="utf-8").read(), "the newest checkpoint is not there")
        everything = b"".join(part for records in topics.values() for r in records for part in (r[2] or b"", r[3] or b"", *r[4].values()))
        everything += cluster.stored_bytes()
        for marker in (b"ABARA", b"BERGSTROM", b"Elm Street", b"3100003", b"555-"):
            check(marker not in everything, f"{marker} in the clear")
        hub.stop()
        hub.start()
        forwarded(hub)
        check(cluster.count("chartline.events") == len(sent), "a restart sends events again")
    finally:
        if hub is not None:
            hub.close()
        cluster.close()


def new_keys_are_there_before_what_they_seal():
    cluster = Cluster()
    hub = kafka_hub(cluster)
    try:
        cluster.allow_roles()
        hub.start()
        hospital = Hospital(36, 3)
        for n in range(3):
            send_all(hub, [encode(hospital.oru(n))])
            hub.cli("keys", "rotate", "clinical")
        send_all(hub, [encode(hospital.oru(1))])
        hub.caught_up()
        hub.cli("keys", "shred", hub.json("timeline", "--list")[0]["tokens"][0], "--yes")
        forwarded(hub)
        records = [json.loads(value) for _, _, _, value, _ in cluster.dump("chartline.keys")]
        exported = [json.loads(line) for line in hub.cli("keys", "export").splitlines() if line]
        check({r["signature"] for r in exported} <= {r["signature"] for r in records}, "a record of the key store is not on the bus")
        check(any(r["kind"] == "shredded" for r in records), "readers do not learn that a secret is gone")
        known = {r["id"] for r in records if r["kind"] == "class-key"}
        used = {part.split("@")[1].split(":")[0] for _, _, _, value, _ in cluster.dump("chartline.events")
                for part in json.loads(value)["seal"].split(";") if "@" in part}
        check(used <= known and len(known) >= 9, f"keys used {used}, known {known}")
    finally:
        hub.close()
        cluster.close()


def everything_with_an_older_broker():
    everything_from_mllp_to_the_topics("3")


def refused_logins_name_the_cause():
    cluster = Cluster()
    try:
        cluster.allow_roles()
        cases = [({"password": "not-it"}, "does not take the user name or password"),
                 ({"ca": "stranger-ca.pem"}, "not from an authority in bus.kafka.tls.ca"),
                 ({"certificate": None}, "client certificate"),
                 ({"certificate": "stranger"}, "client certificate"),
                 ({"certificate": "expired"}, "expired"),
                 ({"mechanism": "OAUTHBEARER", "extra": ""}, "token service")]
        for options, words in cases:
            hub = kafka_hub(cluster, **options)
            try:
                out = hub.cli("check", "--connect", expect=2)
                check(words in out and "hub-secret" not in out and "not-it" not in out, f"{options}: check says\n{out}")
                _, err = run("run", cwd=hub.dir, expect=None, timeout=60)
                check(words in err, f"{options}: run says\n{err}")
            finally:
                hub.close()
        hub = kafka_hub(cluster)
        hub.edit("localhost:", "127.0.0.2:")
        out = hub.cli("check", "--connect", expect=2)
        check("another address" in out or "another name" in out or "nothing listens" in out, f"a broker under a wrong name:\n{out}")
        hub.close()
        hub = kafka_hub(cluster)
        hub.edit("mechanism: SCRAM-SHA-512", "mechanism: PLAIN")
        check("fine" in hub.cli("check", "--connect", expect=None) or "the topic is not there" in hub.cli("check", "--connect", expect=2),
              "PLAIN over TLS")
        hub.close()
    finally:
        cluster.close()


def check_connect_says_what_is_wrong_with_topics_and_rights():
    cluster = Cluster(users={"hub": "hub-secret", "poor": "poor-secret"})
    hub = kafka_hub(cluster)
    try:
        cluster.allow_roles(create=False)
        out = hub.cli("check", "--connect", expect=2)
        check(out.count("the topic is not there") == len(TOPICS), f"absent topics:\n{out}")
        _, err = run("run", cwd=hub.dir, expect=2, timeout=60)
        check("may not make it" in err, f"run without the right to make topics:\n{err}")
        for name in TOPICS:
            compact = name in ("identity", "keys", "timeline")
            cluster.admin("create", "chartline." + name, 4 if name in ("events", "identity", "timeline") else 1, 1,
                          "cleanup.policy=" + ("compact" if compact else "delete"), "max.message.bytes=40000000", "retention.ms=-1")
        out = hub.cli("check", "--connect", expect=0)
        check("topics and rights are as they must be" in out and "librdkafka" in out, f"all is well:\n{out}")
        cluster.admin("set", "chartline.events", "max.message.bytes=1000000")
        cluster.admin("set", "chartline.identity", "cleanup.policy=delete")
        cluster.admin("set", "chartline.deadletter", "retention.ms=1000")
        out = hub.cli("check", "--connect", expect=2)
        for words in ("large messages would not fit", "must be compacted", "removed earlier than configured"):
            check(words in out, f"no word of {words!r}:\n{out}")
        hub.edit("partitions: 4", "partitions: 8")
        check("another number of partitions" in hub.cli("check", "--connect", expect=2), "partitions")
        hub.edit("partitions: 8", "partitions: 4")
        cluster.allow("poor", "topic", "chartline.", "DESCRIBE", "DESCRIBE_CONFIGS")
        poor = kafka_hub(cluster, user="poor")
        out = poor.cli("check", "--connect", expect=2)
        check("may not write to the topic" in out and "may not read the topic" in out, f"rights:\n{out}")
        poor.close()
    finally:
        hub.close()
        cluster.close()


def a_broker_that_is_away_costs_no_message_and_no_order():
    cluster = Cluster()
    hub = kafka_hub(cluster)
    try:
        cluster.allow_roles()
        hub.start()
        hospital = Hospital(32, 3)
        send_all(hub, [encode(hospital.adt("A01", n)) for n in range(3)])
        forwarded(hub)
        cluster.nodes[0].kill()
        accepted = send_all(hub, [encode(hospital.oru(n % 3)) for n in range(60)])
        check(all(ack_code(a)[0] == "AA" for a in accepted), "messages are not taken while the broker is away")
        status = until(lambda: (lambda s: s if s["bus"]["state"] == "waiting" else None)(hub.json("status")), "the status does not say so")
        check(status["bus"]["lag"] >= 60 and status["bus"].get("trouble"), f"the bus: {status['bus']}")
        hub.stop()
        hub.start()  # one that has worked before starts without brokers
        send_all(hub, [encode(hospital.oru(n % 3)) for n in range(6)])
        cluster.nodes[0].start()
        cluster.wait(1)
        forwarded(hub, 90)
        cluster.nodes[0].pause()  # connected, and without an answer to anything
        send_all(hub, [encode(hospital.oru(n % 3)) for n in range(6)])
        time.sleep(3)  # commits and questions are under way
        hub.stop()
        cluster.nodes[0].resume()
        hub.start()
        forwarded(hub, 90)
        stored = {e for ids in event_ids(cluster).values() for e in ids}
        check(len(stored) == 75, f"{len(stored)} of 75 events arrived")
        for subject, ids in event_ids(cluster).items():
            order = first_copies(ids)
            times = {json.loads(v)["id"]: json.loads(v)["recordedtime"] for _, _, k, v, _ in cluster.dump("chartline.events") if k.decode() == subject}
            check([times[i] for i in order] == sorted(times.values()), f"{subject}: out of order")
    finally:
        hub.close()
        cluster.close()


def a_topic_that_is_gone_is_said_and_can_be_filled_again():
    cluster = Cluster()
    hub = kafka_hub(cluster)
    try:
        cluster.allow_roles()
        hub.start()
        hospital = Hospital(35, 3)
        send_all(hub, [encode(hospital.adt("A01", n)) for n in range(3)])
        forwarded(hub)
        cluster.admin("delete", "chartline.events")
        check(ack_code(send_all(hub, [encode(hospital.oru(1))])[0])[0] == "AA", "messages are taken all the same")
        until(lambda: all(w in hub.json("status")["bus"].get("trouble", "") for w in ("chartline.events", "the topic is not there")),
              "the status does not say so", 60)
        check(hub.json("status")["bus"]["state"] == "refused", "it is waited for")
        check(["chartline.events"] not in cluster.admin("topics"), "the topic was made anew in silence")
        hub.stop()
        os.remove(os.path.join(hub.dir, "data", "forward", "position"))
        hub.start()
        status = forwarded(hub)
        check(len({h["chartline-id"] for *_, h in cluster.dump("chartline.events")}) == status["events"] == 4, "not everything came again")
    finally:
        hub.close()
        cluster.close()


def ack_broker_waits_for_the_brokers():
    cluster = Cluster()
    hub = kafka_hub(cluster)
    try:
        cluster.allow_roles()
        hub.edit("{wait: stored, mode: auto", "{wait: broker, mode: auto")
        hub.start()
        hospital = Hospital(33, 3)
        first = encode(hospital.adt("A01", 1))
        check(ack_code(send_all(hub, [first])[0])[0] == "AA", "the first message")
        check(cluster.count("chartline.events") == 1, "answered before the broker had it")
        cluster.nodes[0].pause()
        late = encode(hospital.oru(1))
        sender = hub.connect(timeout=3)
        sender.send(late)
        try:
            sender.receive()
            raise Failed("an answer while the broker does nothing")
        except TimeoutError:
            pass
        check(hub.json("status")["bus"]["holding"] == 1, "nobody waits")
        again = hub.connect(timeout=60)
        again.send(late)  # the sender lost patience; the repeat waits for the same record
        cluster.nodes[0].resume()
        check(ack_code(again.receive())[0] == "AA", "the repeat")
        check(cluster.count("chartline.events") == 2, "two events in all")
        check(hub.json("status")["duplicates"] == 1, "the repeat is a duplicate")
        check(ack_code(send_all(hub, [first])[0])[0] == "AA", "a repeat of what the brokers have")
    finally:
        hub.close()
        cluster.close()


def rights_are_the_least_that_work():
    cluster = Cluster(users={"hub": "hub-secret", "timeline": "timeline-secret"})
    hub = None
    try:
        cluster.allow_roles("hub", roles=("forward",))
        hub = kafka_hub(cluster)
        hub.start(roles="ingest,forward")
        send_all(hub, [encode(Hospital(34, 2).adt("A01", 1))])
        forwarded(hub)
        check(cluster.count("chartline.events") == 1, "the forwarder's rights are not enough")
        reader = kafka_hub(cluster)
        out = reader.cli("check", "--connect", expect=2)
        for topic in ("timeline",):
            check(f"chartline.{topic}" in out, f"{topic} is not named")
        check("chartline.events: this user may not read the topic" in out, f"the producer may read events:\n{out}")
        check("chartline.identity: this user may not read the topic" in out, f"the producer may read facts:\n{out}")
        reader.close()
        cluster.allow_roles("timeline", roles=("timeline", "api"))
        writer = kafka_hub(cluster, user="timeline", certificate="timeline")
        out = writer.cli("check", "--connect", expect=2)
        for topic in ("events", "identity", "keys"):
            check(f"chartline.{topic}: this user may not write to the topic" in out, f"the timeline may write {topic}:\n{out}")
        check("chartline.timeline: this user" not in out, f"the timeline's own topic:\n{out}")
        writer.close()
    finally:
        if hub is not None:
            hub.close()
        cluster.close()


def every_mechanism_logs_in_and_is_refused_by_name():
    tokens = TokenService(tempfile.mkdtemp(prefix="chartline-tokens-") + "/t", "hub", "client-secret")
    cluster = Cluster(settings=tokens.settings(), options=[f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{tokens.keys}"])
    try:
        cluster.allow_roles()
        oauth = f"oauth: {{token_url: \"{tokens.url}\", client_id: hub}}, "
        for mechanism, secret, extra in (("SCRAM-SHA-256", None, ""), ("PLAIN", None, ""), ("OAUTHBEARER", "client-secret", oauth)):
            hub = kafka_hub(cluster, mechanism=mechanism, password=secret)
            hub.edit("username: hub, ", extra if extra else "username: hub, ")
            hub.start()
            check(ack_code(send_all(hub, [encode(Hospital(51).adt("A01", 1))])[0])[0] == "AA", mechanism)
            forwarded(hub)
            hub.close()
            hub = kafka_hub(cluster, mechanism=mechanism, password="not-it")
            hub.edit("username: hub, ", extra if extra else "username: hub, ")
            out = hub.cli("check", "--connect", expect=2)
            check("bus.kafka: " in out and ("user name or password" in out or "token service" in out), f"{mechanism}, wrong secret:\n{out}")
            check("client-secret" not in out and "not-it" not in out, "a secret is shown")
            hub.close()
        check(tokens.asked >= 2, "nobody asked for a token")
        check(len({h["chartline-id"] for *_, h in cluster.dump("chartline.events")}) == 3, "three hubs, three events")
    finally:
        cluster.close()
        tokens.close()


REAL_CASES = 7  # of bus_kafka_test, a topic each


def the_port_keeps_its_contracts_with_a_real_broker():
    program = os.path.join(os.path.dirname(PROGRAM), "tests", "integration_bus_kafka_test")
    if not os.path.exists(program):
        skip("no integration_bus_kafka_test beside the program; build the tests")
    cluster = Cluster()
    try:
        for n in range(REAL_CASES):
            cluster.admin("create", f"events-{n}", 4, 1)
        done = subprocess.run([program], env={**os.environ, "CHARTLINE_TEST_BROKER": f"127.0.0.1:{cluster.nodes[0].internal}"},
                              capture_output=True, timeout=200)
        check(done.returncode == 0 and b"%d test(s)" % REAL_CASES in done.stdout + done.stderr, (done.stdout + done.stderr).decode()[-3000:])
    finally:
        cluster.close()


if __name__ == "__main__":
    needed()
    main([everything_from_mllp_to_the_topics, new_keys_are_there_before_what_they_seal, everything_with_an_older_broker, refused_logins_name_the_cause,
          check_connect_says_what_is_wrong_with_topics_and_rights, a_broker_that_is_away_costs_no_message_and_no_order,
          a_topic_that_is_gone_is_said_and_can_be_filled_again, ack_broker_waits_for_the_brokers, the_port_keeps_its_contracts_with_a_real_broker, every_mechanism_logs_in_and_is_refused_by_name, rights_are_the_least_that_work])
