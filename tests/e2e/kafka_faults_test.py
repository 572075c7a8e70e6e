"""Three brokers that are killed, paused, cut off and moved in turn, a hub and processes of the timeline killed with -9 among them, and such
processes that come and go: nothing acknowledged is lost, each event counts once, the first copies of a patient's events come in order,
and the timeline that the processes keep together is that of one undisturbed process. KAFKA_CYCLES=N for more than the usual cycles."""
from group_harness import *
from kafka_test import forwarded
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
                        message = encode(self.next_message(n))
                        self.sent += 1
                    code, control = ack_code(sender.exchange(message))
                    if code == "AA":
                        self.accepted.add(control)
                        message = None
                    time.sleep(0.01)
            except (OSError, IndexError):
                time.sleep(0.2)  # the hub is down: the same message again

    def next_message(self, n):
        if self.sent % 40 == 39:
            return self.hospital.merge(n, (n + 1) % PATIENTS)
        return self.hospital.oru(n) if self.sent % 3 else self.hospital.adt("A08", n)

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


class Members:
    """Three processes that share the timeline: two are always meant to run, the third comes and goes."""

    def __init__(self, site):
        self.all = [site.add(f"member-{n}") for n in range(3)]
        for one in self.all[:2]:
            one.start()
        self.turn = 0

    def disturb(self, kind):
        self.turn += 1
        one = self.all[self.turn % 2]
        if kind == "member":
            one.kill()
            time.sleep(0.3)
            one.start()
        elif kind == "sleep":  # longer than its session: its partitions go to others, and what it was about to write must not come
            one.process.send_signal(signal.SIGSTOP)
            time.sleep(9)
            one.process.send_signal(signal.SIGCONT)
        elif self.all[2].process is None:
            self.all[2].start()
        else:
            self.all[2].stop()


def disturb(cluster, hub, members, kind, node, long):
    if kind in ("member", "sleep", "third"):
        members.disturb(kind)
    elif kind == "kill":
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
        hub.start(roles="ingest,forward")


def nothing_is_lost_or_out_of_order_whatever_fails():
    site = Site(brokers=3, proxied=True)
    cluster, hub = site.cluster, site.hub
    loads = []
    try:
        hub.edit("{wait: stored, mode: auto", "{wait: broker, mode: auto")
        site.start_hub()
        members = Members(site)
        loads = [Load(hub, 41 + n) for n in range(SENDERS)]
        until(lambda: all(load.accepted for load in loads), "no message is taken", 60)
        kinds = ["kill", "member", "hub", "third", "pause", "sleep", "cut", "member", "lead", "third", "stop", "hub"]
        for cycle in range(CYCLES):
            kind = kinds[cycle % len(kinds)]
            before = answered(loads)
            disturb(cluster, hub, members, kind, cluster.nodes[cycle % 3], cycle < len(kinds))
            cluster.wait(3, 90)
            cluster.whole("chartline.events", 3, 90)
            until(lambda: answered(loads) > before + 20, f"nothing goes on after cycle {cycle} ({kind}): {hub.json('status')['bus']}", 90)
        for load in loads:
            load.stop()
        site.merge_across(Hospital(41 + SENDERS, PATIENTS))
        status = check_whole(cluster, hub)
        check(status["events"] >= answered(loads), f"{answered(loads)} answered, {status['events']} stored")
        parts = site.settled(timeout=180)
        state = site.state()
        check(all(t["unreadable"] == 0 and t["untrusted"] == 0 and t["unknown_facts"] == 0 and t["gap"] == 0 for t in parts), f"{parts}")
        print(f"     fenced {[t['fenced'] for t in parts]}, restores {[t['restores'] for t in parts]}, rebalances {[t['rebalances'] for t in parts]}")
        print(f"     {CYCLES} cycles, {answered(loads)} messages answered, {cluster.count('chartline.events')} records for {status['events']} events, "
              f"{status['bus']['retries']} retries, {status['bus']['rebuilds']} rebuilds in the last process")
        content = site.content()
        expected = site.undisturbed()
        check(state == expected[0], "the timeline is not that of one undisturbed process")
        check(content == expected[1], "the contents of the processes do not add up to that of one undisturbed process")
    finally:
        for load in loads:
            load.running = False
        site.close()


if __name__ == "__main__":
    needed()
    main([nothing_is_lost_or_out_of_order_whatever_fails])
