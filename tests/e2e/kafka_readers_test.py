#!/usr/bin/env python3
"""Programs of others on chartline.timeline: a Kafka Connect worker with a sink, and the ward census, which has no key.

Their settings are those of docs/examples, with only a site's own values replaced.
"""
import base64
import re

from chart_test import beds
from ecosystem import *
from messages import Hospital
from registry_harness import Registry, registry_needed
from remap_test import reload, remap, with_overlay

OPTIONS = "-Xmx300m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
DISCHARGED = """segments:
  PV1:
    resources:
      encounter:
        rules:
          - {id: pv1-status-in-progress, to: status, value: finished, when: "trigger in (A02, A12)"}
"""


def encode(segments):
    return "\r".join(segments).encode() + b"\r"


class Census:
    """The example as its README says to run it, with settings that suit one small broker."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.process = None
        # one small broker, and a test in a hurry
        self.file = as_a_site(cluster, "streams/census.properties", "census", **{
            "state.dir": os.path.join(cluster.folder, "census-state"), "replication.factor": 1})
        self.log = os.path.join(cluster.folder, "census.log")

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*shown_command("scripts/java-tool docs/examples/streams")[:-1], self.file], cwd=ROOT,
                                            env={**os.environ, "JAVA_OPTS": OPTIONS}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def end(self, kind=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(kind)
            self.process.wait(60)
            self.process = None

    def result(self):
        """Location token to charts, as the topic says now."""
        table = {}
        for _, _, key, value, _ in self.cluster.dump("ward-census"):
            table[key.decode()] = json.loads(value) if value else None
        for location, ward in table.items():
            check(ward is None or ward["count"] == len(ward["charts"]) and ward["location"] == location, f"a wrong value: {ward}")
        return {location: {c["chart"] for c in ward["charts"]} for location, ward in table.items() if ward}

    def comes_to(self, expected, what):
        def equal():
            check(self.process.poll() is None, "the census ended:\n" + self.read())
            return self.result() == expected
        try:
            until(equal, what, 90)
        except Failed as e:
            raise Failed(f"{e}\nexpected {expected}\nfound    {self.result()}\n{self.read()}") from None

    def read(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()[-2000:]


def at(hospital, event, n, ward):
    lines = hospital.adt(event, n)
    return encode([hospital.pv1(n, ward) if line.startswith("PV1") else line for line in lines])


def a_ward_census_needs_no_key():
    cluster = Cluster(users={"hub": "hub-secret", "census": "census-secret"})
    hub, census = None, None
    rng = random.Random(71)
    try:
        cluster.allow_roles()
        cluster.admin("create", "ward-census", 2, 1, "cleanup.policy=compact")
        allow_as_shown(cluster, "census")
        hub = kafka_hub(cluster)
        hub.start()
        hospital = Hospital(71, 12)
        messages = hospital.messages(60) + [encode(hospital.adt(event, n)) for n in range(12) for event in rng.sample(["A01", "A02", "A08", "A11", "A12", "A13", "A03"], 4)]
        taken_back = [at(hospital, event, n, ward) for n in (20, 21, 22) for event, ward in (("A01", "4EAST"), ("A02", "ICU"), ("A12", "4EAST"))]
        said_again = beds("840", "850")
        messages += taken_back + said_again
        late = [m for m in messages if rng.random() < 0.3 and m not in taken_back + said_again] + taken_back[2::3] + said_again[2::3]
        send_all(hub, [m for m in messages if m not in late])
        settled(hub)
        census = Census(cluster)
        census.start()
        expected = census_of(hub)
        check(len(expected) >= 3 and sum(map(len, expected.values())) >= 3, f"too little to count: {expected}")
        census.comes_to(expected, "the census is another one")
        census.end(signal.SIGKILL)
        rng.shuffle(late)
        send_all(hub, late)
        settled(hub)
        before, expected = expected, census_of(hub)
        check(before != expected, "late messages change nothing")
        census.start()
        census.comes_to(expected, "late messages are not counted")
        send_all(hub, [encode(hospital.merge(1, 2)), encode(hospital.merge(5, 7)), encode(hospital.adt("A23", 3)), encode(hospital.adt("A13", 4))])
        settled(hub)
        before, expected = expected, census_of(hub)
        check(before != expected, "merged and withdrawn records change nothing")
        census.comes_to(expected, "merged and withdrawn records are counted wrongly")
        with_overlay(hub, DISCHARGED)
        reload(hub)
        check(remap(hub)["changed"] > 0, "nothing was mapped anew")
        settled(hub)
        before, expected = expected, census_of(hub)
        check(before != expected, "revisions change nothing")
        census.comes_to(expected, "revisions are counted wrongly")
    finally:
        if census is not None:
            census.end(signal.SIGKILL)
        if hub is not None:
            hub.close()
        cluster.close()


class Worker:
    """Kafka Connect with the worker's and the connectors' settings that docs/examples/connect shows."""

    def __init__(self, cluster, lines, **more):
        self.cluster, self.process = cluster, None
        self.log = os.path.join(cluster.folder, "connect.log")
        self.lines = os.path.join(cluster.folder, lines)
        self.worker = as_a_site(cluster, "connect/worker.properties", "connect", **{
            "offset.storage.file.filename": os.path.join(cluster.folder, "connect-offsets"), "offset.flush.interval.ms": 1000,
            "listeners": f"http://127.0.0.1:{free_port()}", **more})
        self.sinks = [as_a_site(cluster, "connect/sink.properties", "connect", file=self.lines)]

    def ask_registry(self, url):
        """The converter that docs/examples/connect/registry.properties shows."""
        kept = {key: value for key, value in properties(self.worker).items() if not key.startswith("value.converter")}
        shown = properties(os.path.join(ROOT, "docs", "examples", "connect", "registry.properties"))
        check("https://registry:8443" in shown["value.converter.apicurio.registry.url"], "another registry is shown")
        shown["value.converter.apicurio.registry.url"] = shown["value.converter.apicurio.registry.url"].replace("https://registry:8443", url)
        write(self.worker, "".join(f"{key}={value}\n" for key, value in (kept | shown).items()))

    def also(self, name, lines):
        """The same sink again, without transforms: what a sink that deletes by key is given."""
        shown = properties(self.sinks[0])
        kept = {key: value for key, value in shown.items() if key.split(".")[0] not in ("transforms", "predicates")}
        kept.update({"name": name, "file": os.path.join(self.cluster.folder, lines)})
        self.sinks.append(write(os.path.join(self.cluster.folder, name), "".join(f"{k}={v}\n" for k, v in kept.items())))
        return kept["file"]

    def start(self):
        command = shown_command("connect-standalone.sh")  # of Kafka: the class that the tests' worker runs
        check([os.path.basename(a) for a in command[1:]] == ["worker.properties", "sink.properties"], f"TIMELINE.md shows {command}")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(["java", *OPTIONS.split(), "-cp", CONNECT_PATH, "chartline.kafka.Worker", self.worker, *self.sinks],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def end(self, kind=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(kind)
            self.process.wait(60)
            self.process = None

    def read(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()[-3000:]

    def written(self, path=None):
        try:
            with open(path or self.lines, encoding="utf-8") as f:
                return f.read().split("\n")[:-1]
        except FileNotFoundError:
            return []

    def records(self):
        """(partition, offset) of each line, and the line without them."""
        out = []
        for line in self.written():
            place = {name: int(re.search(rf"[{{ ]kafka_{name}=(\d+)[,}}]", line)[1]) for name in ("partition", "offset")}
            out.append(((place["partition"], place["offset"]), line))
        return out

    def reaches(self, count, path=None):
        def there():
            check(self.process.poll() is None, "the worker ended:\n" + self.read())
            return len(self.written(path)) >= count
        try:
            until(there, f"the sink has not written {count} lines", 90)
        except Failed as e:
            raise Failed(f"{e}: {len(self.written(path))}\n{self.read()}") from None


def java_text(text, at, value):
    """Where in TEXT the way Java prints VALUE ends, if it stands at AT; members of objects in any order. None: it does not."""
    if isinstance(value, dict):
        left = dict(value)
        at = at + 1 if text.startswith("{", at) else None
        while at is not None and left:
            name = text[at:text.find("=", at)]
            if name not in left:
                return None
            at = java_text(text, at + len(name) + 1, left.pop(name))
            at = at + 2 if at is not None and left and text.startswith(", ", at) else None if left else at
        return at + 1 if at is not None and text.startswith("}", at) else None
    if isinstance(value, list):
        at = at + 1 if text.startswith("[", at) else None
        for i, item in enumerate(value):
            at = None if at is None or (i and not text.startswith(", ", at)) else java_text(text, at + (2 if i else 0), item)
        return at + 1 if at is not None and text.startswith("]", at) else None
    shown = value if isinstance(value, str) else {None: "null", True: "true", False: "false"}[value] if not isinstance(value, int) or isinstance(value, bool) else str(value)
    return at + len(shown) if text.startswith(shown, at) else None


def same_as_the_topic(worker, cluster):
    """Every record that is no tombstone is in the sink just once, partition by partition in its order, and says what the topic says."""
    topic = {(p, o): json.loads(v[5:] if v[0] == 0 else v) for p, o, _, v, _ in cluster.dump(TOPIC) if v is not None}
    lines = worker.records()
    places = [place for place, _ in lines]
    check(len(set(places)) == len(places), "a record was written twice")
    check(set(places) == set(topic), f"{len(set(topic) - set(places))} records are missing, {len(set(places) - set(topic))} are none of the topic's")
    for partition in range(PARTITIONS):
        mine = [o for p, o in places if p == partition]
        check(mine == sorted(mine), "out of order")
    for (partition, offset), line in lines:
        expected = {**topic[partition, offset], "kafka_partition": partition, "kafka_offset": offset}
        check(java_text(line, 0, expected) == len(line), f"another record than on the topic:\n{line}\n{expected}")
    return len(lines)


def records_on(cluster, tombstones=False):
    return sum(1 for _, _, _, value, _ in cluster.dump(TOPIC) if tombstones or value is not None)


def bury(cluster):
    """A tombstone for some entry of the topic."""
    partition, _, key, _, _ = next(row for row in cluster.dump(TOPIC) if b"/" in row[2])
    cluster.admin("send", TOPIC, base64.b64encode(key).decode(), "-", partition)


def a_connect_sink_takes_every_record():
    cluster = Cluster(users={"hub": "hub-secret", "connect": "connect-secret"})
    hub, worker = None, None
    try:
        cluster.allow_roles()
        allow_as_shown(cluster, "connect")
        cluster.allow("connect", "group", "connect-timeline-everything", "READ", prefixed=False)  # the test's own second sink
        hub = kafka_hub(cluster)
        hub.start()
        hospital = Hospital(72, 6)
        send_all(hub, hospital.messages(20))
        settled(hub)
        worker = Worker(cluster, "timeline.txt")
        all_of_it = worker.also("timeline-everything", "everything.txt")
        worker.start()
        worker.reaches(records_on(cluster))
        first = same_as_the_topic(worker, cluster)
        bury(cluster)
        send_all(hub, hospital.messages(8))
        settled(hub)
        worker.reaches(records_on(cluster, tombstones=True), all_of_it)
        check(worker.written(all_of_it).count("null") == 1, "a sink that deletes by key is not told of the tombstone")
        worker.end()
        send_all(hub, hospital.messages(8))
        settled(hub)
        worker.start()
        worker.reaches(records_on(cluster))
        check(same_as_the_topic(worker, cluster) > first, "nothing came after the first start")
        check("GRUNWALD" not in "".join(worker.written()) and "sealed" in "".join(worker.written()), "the sink has a name in the clear")
        worker.end(signal.SIGKILL)
        send_all(hub, hospital.messages(8))
        settled(hub)
        worker.start()
        topic = {(p, o) for p, o, _, v, _ in cluster.dump(TOPIC) if v is not None}
        until(lambda: {place for place, _ in worker.records()} >= topic, "a worker that was killed does not go on", 90)
    finally:
        if worker is not None:
            worker.end(signal.SIGKILL)
        if hub is not None:
            hub.close()
        cluster.close()


def a_connect_sink_asks_the_schema_registry():
    cluster = Cluster(users={"hub": "hub-secret", "connect": "connect-secret"})
    hub, worker, registry = None, None, Registry()
    try:
        cluster.allow_roles()
        allow_as_shown(cluster, "connect")
        registry.wait()
        hub = kafka_hub(cluster, extra=f'    schema_registry: {{url: "{registry.url}"}}\n')
        hub.start()
        send_all(hub, Hospital(73, 4).messages(12))
        settled(hub)
        check(all(v[0] == 0 for _, _, _, v, _ in cluster.dump(TOPIC)), "a value without its schema's number")
        bury(cluster)
        worker = Worker(cluster, "registered.txt")
        worker.ask_registry(f"http://127.0.0.1:{registry.port}")
        worker.start()
        worker.reaches(records_on(cluster))
        check(same_as_the_topic(worker, cluster) > 20, "hardly any record")
    finally:
        if worker is not None:
            worker.end(signal.SIGKILL)
        if hub is not None:
            hub.close()
        registry.close()
        cluster.close()


if __name__ == "__main__":
    needed()
    registry_needed()
    CENSUS_PATH = java_tool("docs/examples/streams", "census", "chartline.census.Census")
    CONNECT_PATH = java_tool("tests/kafka/connect-4", "kafka-connect", "chartline.kafka.Worker")
    main([a_connect_sink_takes_every_record, a_connect_sink_asks_the_schema_registry, a_ward_census_needs_no_key])
