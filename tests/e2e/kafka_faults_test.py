"""Three brokers that are killed, paused, cut off and moved in turn, and a hub killed with -9 among them: nothing acknowledged is lost,
each event counts once, and the first copies of a patient's events come in order. KAFKA_CYCLES=N for more than the usual cycles."""
from harness import *
from kafka_harness import *
from kafka_test import encode, forwarded, kafka_hub, until
from messages import Hospital

CYCLES = int(os.environ.get("KAFKA_CYCLES", "50" if os.environ.get("CI") else "10"))
PATIENTS, SENDERS = 6, 4


class Load:
    """A sender that goes on through everything; what was answered positively is in `accepted` (control ids)."""

    def __init__(self, hub, seed):
        self.hub, self.hospital = hub, Hospital(seed, PATIENTS)
        self.accepted, self.sent = set(), 0
        self.running = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        message = None
        while self.running:
            try:
                sender = self.hub.connect(timeout=15)
                while self.running:
                    if message is None:
                        n = self.sent % PATIENTS
                        message = encode(self.hospital.oru(n) if self.sent % 3 else self.hospital.adt("A08", n))
                        self.sent += 1
                    code, control = ack_code(sender.exchange(message))
                    if code == "AA":
                        self.accepted.add(control)
                        message = None
                    time.sleep(0.01)
            except (OSError, IndexError):
                time.sleep(0.2)  # the hub is down: the same message again

    def stop(self):
        self.running = False
        self.thread.join(60)


def answered(loads):
    return sum(len(load.accepted) for load in loads)


def recorded_order(cluster):
    """Per subject the recorded times of first copies in the order of the topic; and all event ids."""
    order, seen = {}, set()
    for _, _, key, value, headers in cluster.dump("chartline.events"):
        name = headers["chartline-id"]
        if name in seen:
            continue
        seen.add(name)
        order.setdefault(key, []).append(json.loads(value)["recordedtime"])
    return order, seen


def check_whole(cluster, hub):
    status = forwarded(hub, 120)
    order, seen = recorded_order(cluster)
    check(len(seen) == status["events"], f"{len(seen)} events on the bus, {status['events']} stored")
    for subject, times in order.items():
        check(times == sorted(times), f"the events of {subject} are out of order")
    return status


def disturb(cluster, hub, kind, node, long):
    if kind == "kill":
        node.kill()
        time.sleep(1.5)
        node.start()
    elif kind == "pause":
        node.pause()
        time.sleep(20 if long else 3)  # long: its leaders move, and the client must notice by itself
        node.resume()
    elif kind == "cut":
        node.proxy.cut()
        time.sleep(2)
        node.proxy.mend()
    elif kind == "lead":
        others = [n.number for n in cluster.nodes if n is not node]
        cluster.admin("lead", "chartline.events", random.randrange(4), f"{node.number},{others[0]},{others[1]}", fine=False)
    elif kind == "stop":
        node.stop()
        node.start()
    else:
        hub.kill()
        time.sleep(0.3)
        hub.start()


def nothing_is_lost_or_out_of_order_whatever_fails():
    cluster = Cluster(brokers=3, proxied=True)
    hub = kafka_hub(cluster)
    loads = []
    try:
        cluster.allow_roles()
        hub.edit("{wait: stored, mode: auto", "{wait: broker, mode: auto")
        hub.start()
        loads = [Load(hub, 41 + n) for n in range(SENDERS)]
        until(lambda: all(load.accepted for load in loads), "no message is taken", 60)
        kinds = ["kill", "hub", "pause", "cut", "lead", "stop", "hub"]
        for cycle in range(CYCLES):
            kind = kinds[cycle % len(kinds)]
            before = answered(loads)
            disturb(cluster, hub, kind, cluster.nodes[cycle % 3], cycle < len(kinds))
            cluster.wait(3, 90)
            cluster.whole("chartline.events", 3, 90)
            until(lambda: answered(loads) > before + 20, f"nothing goes on after cycle {cycle} ({kind}): {hub.json('status')['bus']}", 90)
        for load in loads:
            load.stop()
        status = check_whole(cluster, hub)
        check(status["events"] >= answered(loads), f"{answered(loads)} answered, {status['events']} stored")
        print(f"     {CYCLES} cycles, {answered(loads)} messages answered, {cluster.count('chartline.events')} records for {status['events']} events, "
              f"{status['bus']['retries']} retries, {status['bus']['rebuilds']} rebuilds in the last process")
    finally:
        for load in loads:
            load.running = False
        hub.close()
        cluster.close()


if __name__ == "__main__":
    needed()
    main([nothing_is_lost_or_out_of_order_whatever_fails])
