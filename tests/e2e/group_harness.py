"""A hub that takes messages and forwards them, and processes that keep the timeline together, each in a folder of its own."""
import shutil

from harness import *
from kafka_harness import *
from kafka_test import LOCAL, encode, until

ROLE = "timeline"


class Instance(Hub):
    """A process with the role timeline: no feeds, its own data directory. KEYS: the hub whose keys it is given a copy of, so that it may
    open content and trusts what that hub signed; else it trusts the keys in TRUST."""

    def __init__(self, cluster, name, user="timeline", keys=None, trust=(), session="6s", facts="30s", partitions=4, extra=""):
        super().__init__()
        self.name, self.stranger = name, keys is None
        with open(os.path.join(self.dir, "hub.yaml"), encoding="utf-8") as f:
            policy = next(line for line in f if line.startswith("policy:"))
        more = f"    instance: {name}\n    timeline: {{session: {session}, facts: {facts}}}\n"
        if trust:
            more += "    trust: [" + ", ".join(f'"{key}"' for key in trust) + "]\n"
        bus = cluster.yaml(user=user, certificate=user, partitions=partitions, extra=more + extra)
        with open(os.path.join(self.dir, "hub.yaml"), "w", encoding="utf-8") as f:
            f.write(f"hub: {{name: {name}, data_dir: data, root_key: {{file: keys/root.key}}}}\nfeeds: []\n{bus}{policy}")
        if keys is not None:
            self.take_keys(keys)

    def take_keys(self, hub):
        shutil.rmtree(os.path.join(self.dir, "keys"))
        shutil.copytree(os.path.join(hub.dir, "keys"), os.path.join(self.dir, "keys"))

    def keep_only_the_timeline(self):
        data = os.path.join(self.dir, "data")
        for name in set(os.listdir(data)) - {"timeline"}:
            path = os.path.join(data, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.remove(path)

    def start(self, **options):
        return super().start(roles=ROLE, **options)

    def timeline(self):
        return self.json("status")["timeline"]

    def digest(self, what="state", patience=60):
        """A process that is behind the events after ten seconds says so (busy): asked again for PATIENCE seconds."""
        limit = time.monotonic() + patience
        while True:
            out, err = run("timeline", "--digest", what, cwd=self.dir, expect=None)
            if out.strip():
                return int(out.strip(), 16)
            busy = "is behind the events on the bus" in err or "moved from process to process" in err
            check(busy and time.monotonic() < limit, f"no digest: {err}\n{self.timeline()}")


class Site:
    """Brokers, and a hub of which the timeline is elsewhere. CLUSTER: brokers that others use, too, with another PREFIX. EXTRA: lines of
    `bus.kafka` for the hub."""

    def __init__(self, brokers=1, version="4", partitions=4, proxied=False, cluster=None, prefix="chartline.", extra=""):
        self.cluster = cluster or Cluster(brokers=brokers, version=version, proxied=proxied)
        self.shared, self.prefix, self.partitions = cluster is not None, prefix, partitions
        self.hub, self.instances = None, []
        try:
            self.cluster.allow_roles("hub", roles=("forward",), prefix=prefix)
            self.cluster.allow_roles("timeline", roles=("timeline",), prefix=prefix)
            self.hub = Hub()
            self.hub.edit(LOCAL, self.cluster.yaml(partitions=partitions, extra=self.named() + extra))
        except BaseException:
            self.close()
            raise

    def named(self):
        return f'    prefix: "{self.prefix}"\n' if self.prefix != "chartline." else ""

    def topic(self, name):
        return self.prefix + name

    def start_hub(self):
        self.hub.start(roles="ingest,forward")

    def add(self, name, **options):
        one = Instance(self.cluster, name, keys=options.pop("keys", self.hub), partitions=self.partitions,
                       extra=self.named() + options.pop("extra", ""), **options)
        self.instances.append(one)
        return one

    def send(self, messages, window=32):
        for answer in send_all(self.hub, messages, window=window):
            check(ack_code(answer)[0] == "AA", f"a message is not accepted: {answer}")

    def begin(self, messages):
        """The hub and a process that has these messages: the process."""
        self.start_hub()
        one = self.add("one").start()
        self.send(messages)
        self.settled()
        return one

    def forwarded(self, timeout=60):
        def done():
            status = self.hub.json("status")
            return status if status["bus"]["lag"] == 0 else None
        return until(done, "the forwarder does not catch up", timeout)

    def running(self):
        return [i for i in self.instances if i.process is not None]

    def outputs(self):
        """What the topic `timeline` says: the last value of each key (what is done again is the same), and in which partition."""
        last = {}
        for partition, _, key, value, _ in sorted(self.cluster.dump(self.topic("timeline")), key=lambda r: (r[0], r[1])):
            last[key] = (partition, value)
        return last

    def settled(self, timeout=90, least=0):
        """Until the running instances have all partitions among them, each at least so many, and nothing is left to apply."""
        self.forwarded(timeout)

        def done():
            parts = [i.timeline() for i in self.running()]
            whole = sum(t["owned"] for t in parts) == self.partitions and all(t["owned"] == t["ready"] >= least for t in parts)
            return parts if whole and all(t["lag"] == 0 for t in parts) else None
        try:
            return until(done, "the instances do not settle", timeout)
        except Failed as failed:
            raise Failed(f"{failed}: {[i.timeline() for i in self.running()]}\n{self.running()[0].log_tail() if self.running() else ''}") from None

    def state(self):
        """Of all instances together."""
        return self.total("state")

    def total(self, what):
        """The digests added up; summed anew when partitions moved meanwhile."""
        for _ in range(10):
            before = self.places()
            total = sum(i.digest(what) for i in self.running()) % 2**256
            if self.places() == before:
                return total
        raise Failed(f"the partitions do not come to rest: {before}")

    def places(self):
        """Who has what, and how often that changed."""
        def of(t):
            return t["rebalances"], sorted(p["partition"] for p in t["partitions"])
        return [of(i.timeline()) for i in self.running()]

    def content(self):
        """Of all instances together, each with the keys of all patients that there are by now."""
        running = self.running()
        for one in running:
            one.stop()
            one.take_keys(self.hub)
            if one.stranger:  # what it wrote under keys of its own it could not go on with
                one.keep_only_the_timeline()
            one.start()  # within its session: the same partitions
        self.settled()
        check(self.across(), "no chart has parts with more than one process: nothing is tried")
        return self.total("content")

    def reach(self):
        """Of each chart the partitions in which patients of it are known."""
        charts = {}
        for key, (partition, value) in self.outputs().items():
            if b"/" not in key and value is not None:
                record = json.loads(value)
                if record["entries"].get("patient", 0) > 0:
                    charts.setdefault(tuple(record["tokens"]), set()).add(partition)
        return charts.values()

    def across(self):
        """Whether a chart has parts with more than one process."""
        owner = {p["partition"]: one.name for one in self.running() for p in one.timeline()["partitions"]}
        return any(len({owner.get(p) for p in partitions}) > 1 for partitions in self.reach())

    def merge_across(self, hospital):
        """Patients are merged, until a chart has parts in more partitions than one process has of a fair share, wherever they move."""
        first = n = hospital.patients
        self.send([encode(hospital.adt("A01", first))])
        self.settled()
        while not any(len(partitions) > self.partitions // 2 for partitions in self.reach()):
            n += 1
            self.send([encode(lines) for lines in (hospital.adt("A01", n), hospital.merge(first, n))])
            self.settled()

    def undisturbed(self):
        """What one process makes of the same events: the hub itself, from its own log. (state, content)"""
        self.hub.stop()
        path = os.path.join(self.hub.dir, "hub.yaml")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        start = text.index("bus:\n")
        end = text.index("policy:")
        with open(path, "w", encoding="utf-8") as f:
            f.write((text[:start] + LOCAL + text[end:]).replace("wait: broker", "wait: stored"))
        self.hub.start()
        self.hub.caught_up()
        digests = [int(self.hub.cli("timeline", "--digest", what).strip(), 16) for what in ("state", "content")]
        self.hub.stop()
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return digests

    def close(self):
        for one in self.instances:
            if one.process is not None:
                one.process.send_signal(signal.SIGCONT)
            one.close()
        if self.hub is not None:
            self.hub.close()
        if not self.shared:
            self.cluster.close()
