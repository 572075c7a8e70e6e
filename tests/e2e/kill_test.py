#!/usr/bin/env python3
"""kill -9 under load: nothing acknowledged is missing, nothing is there twice (guarantees 1 and 2).

The hub dies twice at each named place of src/base/crash.def, which the program itself lists, and for the rest at
random. CHARTLINE_KILLS says how often in all (default: the named ones and RANDOM_KILLS more; where CI is set, 200).
The seed is printed, so that a failing run can be repeated.
"""
from harness import *
from messages import Hospital

SEED = int(os.environ.get("CHARTLINE_SEED", random.randrange(10 ** 6)))
RANDOM_KILLS = 50
SENDERS = 4
WINDOW = 8
PASSED_S = 60  # a place that traffic does not pass in this time is never passed


def crash_points():
    """[(name, what makes a hub pass it)], as src/base/crash.def says."""
    out, _ = run("version", env={**os.environ, "CHARTLINE_CRASH_AT": "list"})
    return [tuple(line.split("\t")) for line in out.splitlines()[1:]]


class Stream(threading.Thread):
    """One sender of one hospital. Sends as much as it is granted, in order, each message until it is answered, over
    as many connections as it takes. Every 25th message is one that is refused."""

    def __init__(self, hub, seed):
        super().__init__(daemon=True)
        self.hub, self.hospital = hub, Hospital(seed)
        self.messages, self.answered, self.granted = [], 0, 0
        self.stopping, self.failure = False, None

    def make(self):
        message = self.hospital.message()
        if len(self.messages) % 25 == 24:
            message = message.replace(b"|P|2.5.1\r", b"|P|9.9\r", 1)
        self.messages.append(message)

    def exchange(self, sender):
        sent = self.answered
        while self.answered < self.granted:
            while sent < self.granted and sent - self.answered < WINDOW:
                if sent == len(self.messages):
                    self.make()
                sender.send(self.messages[sent])
                sent += 1
            check_answer(self.messages[self.answered], sender.receive())
            self.answered += 1
        time.sleep(0.005)

    def run(self):
        while self.failure is None and not (self.stopping and self.answered == self.granted):
            sender = None
            try:
                sender = self.hub.connect(timeout=5)
                while not (self.stopping and self.answered == self.granted):
                    self.exchange(sender)
            except (OSError, ConnectionError):
                time.sleep(0.02)
            except Failed as e:
                self.failure = e
            finally:
                if sender is not None:
                    sender.close()


def refused(message):
    return b"|P|9.9\r" in message


def check_answer(message, answer):
    code, control = ack_code(answer)
    expected = "AR" if refused(message) else "AA"
    check((code, control) == (expected, control_id(message)), f"answer {code} {control} to {control_id(message)}")


class Killing:
    def __init__(self, rng):
        self.rng = rng
        self.hub = Hub()
        self.hub.edit("{message_bytes: 16MiB,", "{message_bytes: 16MiB, segment_bytes: 1MiB,")
        self.streams = [Stream(self.hub, 100 + i) for i in range(SENDERS)]
        self.kills = 0

    def traffic(self, seconds, until=lambda: False):
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and not until():
            for stream in self.streams:
                if stream.failure is not None:
                    raise stream.failure
                if stream.granted - stream.answered < 2 * WINDOW:
                    stream.granted += self.rng.randrange(1, 4)
            time.sleep(0.01)

    def died(self):
        return self.hub.process.poll() is not None

    def reap(self, what):
        """The hub has killed itself, and not ended in another way."""
        try:
            code = self.hub.process.wait(PASSED_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"{what} was not passed")
        self.hub.process.stdout.close()
        self.hub.process = None
        check(code == -signal.SIGKILL, f"{what}: exit {code}\n{self.hub.log_tail()}")

    def start(self, env):
        """The start itself passes many places."""
        try:
            self.hub.start(env)
        except Failed:
            if self.hub.process.wait() != -signal.SIGKILL:
                raise

    def at(self, name, when, nth):
        what = f"{name}:{nth}"
        env = {"CHARTLINE_CRASH_AT": what}
        if when == "start":
            self.anywhere()  # the one before may have died behind its clean stop, and a start after that recovers nothing
        if when == "clean-start":
            self.hub.start()
            self.traffic(0.05)
            self.hub.stop()
        self.start(env)
        if when == "traffic":
            self.traffic(PASSED_S, self.died)
        elif when == "stop":
            self.traffic(0.1)
            self.hub.process.send_signal(signal.SIGTERM)
        elif when not in ("start", "clean-start"):
            limit = time.monotonic() + PASSED_S
            while not self.died() and time.monotonic() < limit:
                self.traffic(0.05, self.died)
                run(*when.split(), cwd=self.hub.dir, expect=None)
        self.reap(what)

    def anywhere(self):
        self.hub.start()
        self.traffic(self.rng.uniform(0.0, 0.3))
        self.hub.kill()

    def work(self, points, kills):
        """Every point twice, the second time not at the start; then anywhere. In random order."""
        again = {"traffic": 3}
        todo = [lambda p=p, n=n: self.at(p[0], p[1], n) for p in points for n in (1, again.get(p[1], 1))]
        todo += [self.anywhere] * (kills - len(todo))
        self.hub.start()
        for stream in self.streams:
            stream.start()
        self.traffic(0.5)
        self.hub.kill()
        self.rng.shuffle(todo)
        for step in todo:
            step()
            self.kills += 1
        self.hub.start()
        self.finish()

    def finish(self):
        for stream in self.streams:
            stream.stopping = True
        for stream in self.streams:
            stream.join(120)
            if stream.failure is not None:
                raise stream.failure
            check(not stream.is_alive(), "a sender did not get all its acknowledgements")

    def messages(self):
        return [stream.messages[:stream.answered] for stream in self.streams]


def resend(hub, streams):
    for messages in streams:
        for message, answer in zip(messages, send_all(hub, messages)):
            check_answer(message, answer)


def check_counts(hub, streams):
    status = hub.caught_up()
    everything = [m for messages in streams for m in messages]
    bad = sum(refused(m) for m in everything)
    check(status["events"] == len(everything) - bad, f"{status['events']} events for {len(everything) - bad} messages")
    check(status["deadletters"] == bad, f"{status['deadletters']} dead letters for {bad} refused messages")
    return len(everything)


def content_digest(hub):
    return hub.cli("timeline", "--digest", "content").strip()


def killed_hub_loses_and_doubles_nothing():
    points = [p for p in crash_points() if p[1] not in ("shred", "kafka")]  # keys_test.py (they change the content), kafka_group_test.py
    check(len(points) > 10, f"the program lists {len(points)} places")
    kills = max(int(os.environ.get("CHARTLINE_KILLS", "200" if os.environ.get("CI") else "0")), 2 * len(points) + RANDOM_KILLS)
    print(f"seed {SEED}, {kills} kills, two at each of {len(points)} named places", flush=True)
    killing = Killing(random.Random(SEED))
    hub, calm = killing.hub, Hub()
    try:
        killing.work(points, kills)
        streams = killing.messages()
        check_counts(hub, streams)
        resend(hub, streams)  # everything again: the same answers, no second effect
        count = check_counts(hub, streams)
        hub.cli("audit", "verify")
        calm.start()
        resend(calm, streams)
        check_counts(calm, streams)
        check(content_digest(hub) == content_digest(calm), "the content differs from that of an undisturbed run")
        hub.stop()
        hub.cli("audit", "verify", "--events")
        print(f"{killing.kills} kills, {count} messages", flush=True)
    finally:
        hub.close()
        calm.close()


def a_place_that_is_not_in_the_table_kills_nobody():
    hub = Hub()
    try:
        hub.start({"CHARTLINE_CRASH_AT": "nowhere"})
        message = Hospital(7).message()
        check_answer(message, send_all(hub, [message])[0])
        hub.stop()
    finally:
        hub.close()


if __name__ == "__main__":
    main([killed_hub_loses_and_doubles_nothing, a_place_that_is_not_in_the_table_kills_nobody])
