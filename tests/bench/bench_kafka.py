"""Rows with Kafka: a real broker on loopback, SASL_SSL with client certificates and SCRAM-SHA-512, rights enforced.

kafka-ingest    from mTLS socket to an answer that waits for the brokers; Camel's `mllp` to `kafka` beside it
kafka-latency   from the frame to the entry records of the timeline topic, 2,000 messages a second
kafka-timeline  events of one entry applied by the consumer group; a Kafka Streams timeline beside it

Whatever cannot run here is said on standard error, the other rows go on. Nothing that was started stays.
"""
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time

from load import HERE, PROGRAM, Failed, Load, cpu, json, latency, missing, output, peer
from kafka_harness import OPTIONS, Cluster, needed
from harness import free_port
from messages import patient, stamp

KAFKA = ("kafka-ingest", "kafka-latency", "kafka-timeline")
GOAL_TIMES = {"kafka-ingest": 2, "kafka-timeline": 3}
GOAL_P99_MS = 100
RATE = 2000
PARTITIONS = 4
PATIENTS = 10000
EVENTS_A_SECOND, SEVERAL_A_SECOND = 20000, 4000  # so many are there for the group to read, for each second of measuring
# The tests' brokers start fast; this one is to be fast: the whole compiler, memory and Kafka's own collector.
BROKER = ["-Xmx1g", "-Xms1g", "-XX:TieredStopAtLevel=4", "-XX:-UseSerialGC", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"]
LOCAL = "bus:       {local: {}}\n"
STORED, BROKERS = "{wait: stored, mode: auto", "{wait: broker, mode: auto"
WARM_ROUNDS, WARM_SECONDS = 50, 15  # of all files
WARM_UP_SECONDS = 45  # of latency, at most
PLAIN_TOPIC = "plain"


def bench_kafka(folder, seconds, names):
    try:
        needed()
    except SystemExit:  # it has said why
        return []
    rows = []
    cluster = Cluster(options=BROKER, users={"hub": "hub-secret", "reader": "reader-secret", "streams": "streams-secret"})
    try:
        for name in names:
            try:
                rows += {"kafka-ingest": ingest, "kafka-latency": timeline_latency, "kafka-timeline": apply}[name](cluster, folder, seconds)
            except Failed as e:
                missing(name, str(e).replace("\n", " "))
    finally:
        cluster.close()
    return rows


def bus(cluster, prefix, *more):
    """Edits of hub.yaml for topics of their own."""
    cluster.allow_roles(prefix=prefix)
    return [(LOCAL, cluster.yaml(partitions=PARTITIONS, extra=f'    prefix: "{prefix}"\n')), *more]


@contextlib.contextmanager
def loaded(*args, **options):
    load = Load(*args, **options)
    try:
        yield load
        load.hub.stop()
    finally:
        load.hub.close()


@contextlib.contextmanager
def java(*command):
    """A process that says "ready", ended at the end, come what may."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            line = process.stdout.readline()  # Maven may have to fetch a lot first
            if line.strip() != "ready":
                process.stdin.close()
                process.wait(30)
                log.seek(0)
                raise Failed(log.read()[-1000:] or f"{command[0]} does not start")
            yield process
        finally:
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


# --- into Kafka ---

def broker_cpu(cluster):
    return cpu(cluster.nodes[0].process.pid)


def ingest(cluster, folder, seconds):
    """Both are warm, virtual machines and broker too, before they are measured."""
    rows = []
    with loaded(folder, bus(cluster, "ingest.", (STORED, BROKERS)), "ingest,forward") as load:
        rate = warm(lambda repeat: load.send(repeat, "--now"))
        own, brokers = load.cpu(), broker_cpu(cluster)
        ours = load.send(rounds(rate, seconds, load.files), "--now")
        rows.append(latency({"name": "kafka-ingest", "per_second": round(ours["per_second"]), "cpu_us_a_message": micros(load.cpu() - own, ours),
                             "brokers_us_a_message": micros(broker_cpu(cluster) - brokers, ours)}, ours))
        files = load.files
    try:
        camel = pass_through(cluster, files, seconds)
    except Failed as e:
        missing("camel", str(e))
        return rows
    rows[0].update(goal_ratio=GOAL_TIMES["kafka-ingest"])
    return rows + [dict(camel, ratio=round(ours["per_second"] / max(1, camel["per_second"]), 2))]


def warm(send):
    """Sends until it gets no faster by a tenth (virtual machines do for long), at most for a while; the rate then. What SEND sends must
    be new each time (`--now`): a hub answers a repeat without doing anything."""
    rate, limit = 0, time.monotonic() + WARM_SECONDS
    while True:
        before, rate = rate, send(WARM_ROUNDS)["per_second"]
        if rate < before * 1.1 or time.monotonic() > limit:
            return max(rate, before)


def rounds(rate, seconds, files):
    return max(5, int(rate * seconds / len(files)))


def micros(seconds, result):
    return round(seconds / max(1, result["sent"]) * 1e6)


def pass_through(cluster, files, seconds):
    """Camel: plain TCP, the brokers' plaintext listener, as much of a durable answer as acks=all is."""
    cluster.admin("create", PLAIN_TOPIC, PARTITIONS, 1)
    port = free_port()
    command = (os.path.join(HERE, "peers", "camel", "run"), str(port), f"127.0.0.1:{cluster.nodes[0].internal}", PLAIN_TOPIC)

    def send(repeat):
        return json.loads(output(PROGRAM, "send", f"mllp://127.0.0.1:{port}", *files, "--connections", "32", "--repeat", str(repeat), "--vary", "--now", "--json"))

    with java(*command) as process:
        rate = warm(send)
        own, brokers = cpu(process.pid), broker_cpu(cluster)
        result = send(rounds(rate, seconds, files))
        return latency({"name": "camel-mllp-kafka", "per_second": round(result["per_second"]), "cpu_us_a_message": micros(cpu(process.pid) - own, result),
                        "brokers_us_a_message": micros(broker_cpu(cluster) - brokers, result)}, result)


# --- to the timeline topic ---

def settings(cluster, user, **more):
    """A file of settings for a Java client that logs in as USER with the timeline's certificate."""
    path = os.path.join(cluster.folder, f"{user}.properties")
    lines = {
        "bootstrap.servers": ",".join(cluster.bootstrap()),
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": f'org.apache.kafka.common.security.scram.ScramLoginModule required username="{user}" password="{cluster.users[user]}";',
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": cluster.certificates.keystore("timeline"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": cluster.certificates.path("ca.pem"),
        **more,
    }
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(f"{name}={value}\n" for name, value in lines.items())
    return path


def warm_up(cluster, load, count):
    """Until the broker, which costs ten times the time when it is cold, needs no less for a message by a tenth."""
    cost, limit = None, time.monotonic() + WARM_UP_SECONDS
    while True:
        before, begin = cost, broker_cpu(cluster)
        load.send(count, "--rate", str(RATE), "--now")
        load.hub.caught_up(600)
        cost = broker_cpu(cluster) - begin
        if (before is not None and cost > before * 0.9) or time.monotonic() > limit:
            return


def timeline_latency(cluster, folder, seconds):
    """One process with all roles, and a reader of its topic. Each message carries the time at which it was due (MSH-7), its
    entries carry it on: nothing has to be matched."""
    topic = "latency.timeline"
    cluster.allow("reader", "topic", topic, "READ", "DESCRIBE", prefixed=False)
    with loaded(folder, bus(cluster, "latency.")) as load:
        load.send(1)
        count = rounds(RATE, 2 * seconds, load.files)
        reader = ("java", *OPTIONS[:1], "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", cluster.classpath, "chartline.kafka.Latency",
                  settings(cluster, "reader"), topic, str(count * len(load.files)), "10")
        with java(*reader) as process:  # it warms up with the hub
            warm_up(cluster, load, count)
            process.stdin.write("begin\n")
            process.stdin.flush()
            process.stdout.readline()
            own, brokers = load.cpu(), broker_cpu(cluster)
            sent = load.send(count, "--rate", str(RATE), "--now")
            seen = json.loads(process.stdout.readline() or "{}")
            used = load.cpu() - own, broker_cpu(cluster) - brokers
    if "messages" not in seen:
        raise Failed("the reader of the timeline topic ended")
    return [{"name": "kafka-latency", "per_second": round(sent["per_second"]), "p50_ms": seen["p50_ms"], "p99_ms": seen["p99_ms"], "max_ms": seen["max_ms"],
             "cpu_us_a_message": micros(used[0], sent), "brokers_us_a_message": micros(used[1], sent), "goal_p99_ms": GOAL_P99_MS, "missing": sent["sent"] - seen["messages"], "records": seen["records"]}]


# --- the group ---

def one_entry_messages(folder):
    """Messages that make one entry each: who the patient is, and nothing else. Many in one file."""
    rng = random.Random(20240102)
    with open(os.path.join(folder, "one.hl7"), "w", encoding="utf-8") as f:
        for n in range(PATIENTS):
            f.write("\r".join([f"MSH|^~\\&|EHR|GENHOSP|HUB|GENHOSP|{stamp(rng)}||ADT^A31^ADT_A05|O{n:06d}|P|2.5.1", f"EVN|A31|{stamp(rng)}",
                               patient(rng, n), "PV1|1|N"]) + "\r\n")


def apply(cluster, folder, seconds):
    """The group, then the peer, over the same events; of both the last two thirds are measured, when they are warm. Then the group
    over messages as they come, which have several entries each."""
    repeat = max(1, round(EVENTS_A_SECOND * seconds / PATIENTS))
    with tempfile.TemporaryDirectory(prefix="chartline-bench-") as one:
        one_entry_messages(one)
        ours = group(cluster, one, "one.", *fill(cluster, one, "one.", repeat))
    theirs = streams(cluster, "one.", ours["events"])
    rows = [ours] if theirs is None else [dict(ours, goal_ratio=GOAL_TIMES["kafka-timeline"]),
                                          dict(theirs, ratio=round(ours["per_second"] / max(1, theirs["per_second"]), 2))]
    several = group(cluster, folder, "several.", *fill(cluster, folder, "several.", rounds(SEVERAL_A_SECOND, seconds, os.listdir(folder))))
    return rows + [dict(several, name="kafka-timeline-1k")]


def fill(cluster, folder, prefix, repeat):
    """Events on the topic, from a hub of their own: how many, and the hub's public signing key."""
    with loaded(folder, bus(cluster, prefix), "ingest,forward") as load:
        load.send(repeat, connections=64)
        forwarded(load.hub)
        return load.hub.json("status")["events"], load.hub.cli("keys", "signer").strip()


def forwarded(hub):
    limit = time.monotonic() + 300
    while hub.json("status")["bus"]["lag"] > 0:
        if time.monotonic() > limit:
            raise Failed("the brokers do not get the events")
        time.sleep(0.1)


def streams(cluster, prefix, count):
    name = prefix + "streams"
    cluster.allow("streams", "topic", prefix, "READ", "WRITE", "CREATE", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS")
    cluster.allow("streams", "group", prefix, "READ", "DESCRIBE")
    with tempfile.TemporaryDirectory(prefix="chartline-bench-") as state:
        file = settings(cluster, "streams", **{"application.id": name, "state.dir": state, "replication.factor": 1})
        result = peer("streams", file, prefix + "events", count)
    if result is None:
        return None
    if result["entries"] != count:
        raise Failed(f"the peer kept {result['entries']} entries of {count} events")
    return {"name": "streams-timeline", "per_second": round(result["per_second"])}


def group(cluster, folder, prefix, count, signer):
    """One process of the group from the topic's beginning to its end. What it says it has applied is in the topic `timeline`
    or about to be: the end is when nothing is left."""
    edits = bus(cluster, prefix, ("    prefix:", f'    trust: ["{signer}"]\n    prefix:'))
    marks = []
    with loaded(folder, edits, "timeline") as load:
        limit = time.monotonic() + 300
        while not marks or marks[-1][1] < count:
            status = load.hub.json("status")["timeline"]
            if time.monotonic() > limit or status.get("trouble"):
                raise Failed(f"the group does not get to the end: {status}")
            if status["applied"] >= count / 3:
                marks.append((time.monotonic(), status["applied"], load.cpu(), broker_cpu(cluster)))
            time.sleep(0.05)
        entries = sum(chart["entries"] for chart in load.hub.json("timeline", "--list"))
    begin, end = marks[0], marks[-1]
    measured = end[1] - begin[1]
    if measured < count / 3:
        raise Failed("too few events for a measure; use more --seconds")
    rate = measured / (end[0] - begin[0])
    return {"name": "kafka-timeline", "per_second": round(rate), "entries_per_second": round(rate * entries / count), "events": count,
            "cpu_us_an_event": round((end[2] - begin[2]) / measured * 1e6), "brokers_us_an_event": round((end[3] - begin[3]) / measured * 1e6)}


__all__ = ["KAFKA", "bench_kafka"]
