"""Reading Kafka topics as an application does: no consumer group, committed records only, only the partitions it needs."""
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, OFFSET_BEGINNING, TopicPartition

from sealed import Refused, read_json


def murmur2(data):
    """The hash by which Java clients choose a partition (seed 9747b28c)."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def read_value(value):
    """JSON, behind the 5 bytes of a schema registry where one is used."""
    return read_json(value[5:] if value[:1] == b"\0" else value)


def read_settings(path):
    """name=value a line, with the client library's own names."""
    with open(path, encoding="utf-8") as f:
        return dict(line.strip().split("=", 1) for line in f if line.strip() and not line.startswith("#"))


class Topic:
    """A topic of which some partitions are read from their beginning on."""

    def __init__(self, settings, name):
        self.name, self.ended = name, set()
        self.consumer = Consumer({
            **settings,
            "group.id": "unused",               # the library wants one; without subscribe() and commits nobody joins it
            "isolation.level": "read_committed",  # what a stalled process wrote and could not commit is none
            "enable.auto.commit": False,
            "enable.partition.eof": True})
        about = self.consumer.list_topics(name, timeout=30).topics[name]
        if about.error is not None:
            raise Refused(f"topic {name}: {about.error.str()}")
        self.partitions = len(about.partitions)

    def read(self, partitions, take):
        """Gives every record of PARTITIONS, from the first to the last there is now, to TAKE(key, value)."""
        self.consumer.assign([TopicPartition(self.name, p, OFFSET_BEGINNING) for p in partitions])
        self.ended = set()
        while self.ended < set(partitions):
            self.poll(take, 1)

    def poll(self, take, seconds):
        """The next record, if one comes within SECONDS. True: there was one."""
        message = self.consumer.poll(seconds)
        if message is None:
            return False
        if message.error() is not None:
            if message.error().code() == KafkaError._PARTITION_EOF:
                self.ended.add(message.partition())
            elif message.error().code() != KafkaError.GROUP_AUTHORIZATION_FAILED:  # no right to a group, and no need of one
                raise KafkaException(message.error())
            return False
        self.ended.discard(message.partition())
        take(message.key().decode(), message.value())
        return True

    def close(self):
        self.consumer.close()


class Timeline(Topic):
    """`chartline.timeline`: the token records and entry records of one chart."""

    def __init__(self, settings, prefix):
        super().__init__(settings, prefix + "timeline")
        self.tokens, self.records = set(), {}

    def load(self, tokens):
        """Reads all that is there of TOKENS and of whatever tokens their records name besides."""
        self.tokens = set(tokens)
        while True:
            self.records = {}
            self.read(sorted({(murmur2(t.encode()) & 0x7FFFFFFF) % self.partitions for t in self.tokens}), self.take)
            named = self.named()
            if named <= self.tokens:
                return
            self.tokens |= named

    def take(self, key, value):
        if key.split("/")[0] not in self.tokens:
            return
        if value is None:  # a tombstone
            self.records.pop(key, None)
        else:
            self.records[key] = read_value(value)

    def named(self):
        return {t for key, record in self.records.items() if "/" not in key for t in record["tokens"]}

    def news(self, seconds):
        """Waits for news of the chart. True: its records are others now."""
        before, limit = dict(self.records), time.monotonic() + seconds
        while self.poll(self.take, max(0, limit - time.monotonic())) or (self.records == before and time.monotonic() < limit):
            pass
        if self.named() - self.tokens:  # the chart was joined with another one
            self.load(self.tokens | self.named())
        return self.records != before

    def chart(self, token):
        """The chart that TOKEN belongs to now: its token record, and the records of all its tokens."""
        head = self.records.get(token)
        if head is None:
            return None, []
        return head, [r for key, r in self.records.items() if "/" in key and key.split("/")[0] in head["tokens"]]


class KeyRecords(Topic):
    """`chartline.keys`: one partition, small, read whole."""

    def __init__(self, settings, prefix, keys):
        super().__init__(settings, prefix + "keys")
        self.keys = keys
        self.read([0], self.take)

    def take(self, _, value):
        if value is not None:
            self.keys.add_record(read_value(value))

    def wait(self, key_ids, seconds):
        """Waits for class keys that are not there yet; those that did not come. Absent is never the same as shredded."""
        limit = time.monotonic() + seconds
        while self.poll(self.take, 0) or (not key_ids <= self.keys.known and time.monotonic() < limit):
            self.poll(self.take, 0.1)
        return key_ids - self.keys.known
