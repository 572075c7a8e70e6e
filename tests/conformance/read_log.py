#!/usr/bin/env python3
"""A second reader of the event log, written from docs/FORMATS.md alone. Python 3 and nothing else is needed.

read_log.py FOLDER

Prints a line of JSON for each record. Exit code 0: the log is whole (a torn tail may follow it), 1: it is damaged, 2: usage.
"""
import hashlib
import json
import os
import re
import struct
import sys

SEGMENT = struct.Struct(">8sII16sQQQQII")  # its header
RECORD = struct.Struct(">4sIQQQII")
MARKER = struct.Struct(">8sII16sQQQQI")
MESSAGE, REJECTED, REPEATED, NOTES, KEY, DECISION, CARRIED, REVISED = range(1, 9)
EVENT, AUDIT, DEDUP, LETTER, KEY_RECORD, STATE, EVENT_HASH = range(1, 8)


class Damaged(Exception):
    def __init__(self, what, file, offset=0):
        super().__init__(f"{file}: offset {offset}: {what}")
        self.file, self.offset = file, offset


def crc_table():
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        yield n


TABLE = list(crc_table())


def crc32c(*parts):
    value = 0xFFFFFFFF
    for part in parts:
        for byte in part:
            value = value >> 8 ^ TABLE[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF


class Record:
    """What stands at AT of a segment's bytes, if it is a whole and valid record of the log LOG_ID; else ValueError."""

    def __init__(self, data, at, log_id):
        head = data[at:at + RECORD.size]
        if len(head) < RECORD.size:
            raise ValueError("the end of the file")
        magic, length, self.number, self.synced, self.before, head_crc, body_crc = RECORD.unpack(head)
        if magic != b"\x89REC" or crc32c(log_id, head[:32]) != head_crc:
            raise ValueError("no head of a record")
        body = at + RECORD.size
        self.end = body + length + -(RECORD.size + length) % 8
        self.payload = data[body:body + length]
        if self.end > len(data) or any(data[body + length:self.end]) or crc32c(log_id, head[:36], self.payload) != body_crc:
            raise ValueError("not the payload that the head says")
        self.checksum = head_crc << 32 | body_crc

    def parse(self):
        version, self.kind, self.recorded, size = struct.unpack_from(">BBqH", self.payload)
        if version != 1:
            raise ValueError("a version of payloads that is not known")
        self.feed, at = self.payload[12:12 + size].decode(), 12 + size
        self.sections = []
        while at < len(self.payload):
            kind, size = struct.unpack_from(">BI", self.payload, at)
            self.sections.append((kind, self.payload[at + 5:at + 5 + size]))
            at += 5 + size
        if at != len(self.payload):
            raise ValueError("sections that pass the payload's end")
        hashes, events = self.of(EVENT_HASH), self.of(EVENT)
        if hashes != [hashlib.sha256(e).digest() for e in events]:
            raise ValueError("an event that is not of its hash")
        return self

    def of(self, kind):
        return [data for k, data in self.sections if k == kind]

    @property
    def dedup(self):
        """(message id, control token, answer, count)"""
        data, words = self.of(DEDUP)[0], []
        for _ in range(3):
            words.append(data[1:1 + data[0]].decode())
            data = data[1 + data[0]:]
        return *words, struct.unpack(">I", data)[0]


def state_file(path):
    """Title and lines (name, value) of a state file."""
    with open(path, "rb") as f:
        text, _, end = f.read().rpartition(b"sum ")
    if end != hashlib.sha256(text).hexdigest().encode() + b"\n":
        raise Damaged("a state file that is not of its sum", os.path.basename(path))
    title, *lines = text.decode().splitlines()
    return title, [line.split(" ", 1) for line in lines]


class Log:
    """records, first (number), tail (name, offset and length of what a stop left torn; None), clean."""

    def __init__(self, folder):
        self.folder, self.records, self.tail = folder, [], None
        self.start = self.read_start()
        names = sorted(n for n in os.listdir(folder) if re.fullmatch(r"\d{20}\.seg", n))
        names = [n for n in names if int(n[:20]) >= self.start["first"]]
        self.expected = (self.start["prev_first"], self.start["prev_bytes"], self.start["prev_chain"])
        self.next, self.chain, self.log_id = self.start["first"], self.start["prev_chain"], None
        for name in names:
            self.segment(name, name == names[-1])
        self.clean = self.marker(names)

    def read_start(self):
        path = os.path.join(self.folder, "retired")
        if not os.path.exists(path):
            return {"log": None, "first": 1, "prev_first": 0, "prev_bytes": 0, "prev_chain": 0, "entries": 0}
        title, lines = state_file(path)
        if title != "chartline log retired 1":
            raise Damaged("another title", "retired")
        start = {name: value if name == "log" else int(value) for name, value in lines if name != "run"}
        if [value for name, value in lines if name == "run"][-1].split(" ")[0] != str(start["first"]):
            raise Damaged("a last removal that ends elsewhere", "retired")
        return start

    def segment(self, name, is_tail):
        with open(os.path.join(self.folder, name), "rb") as f:
            data = f.read()
        if len(data) < SEGMENT.size or struct.unpack(">I", data[68:72])[0] != crc32c(data[:68]):
            raise Damaged("a segment's head", name)
        magic, version, size, log_id, first, *before, zero, _ = SEGMENT.unpack(data[:SEGMENT.size])
        self.log_id = self.log_id or log_id
        if (magic, version, size, zero, log_id) != (b"\x89CHLSEG\n", 1, SEGMENT.size, 0, self.log_id) or (self.start["log"] or log_id.hex()) != log_id.hex():
            raise Damaged("a segment's head", name)
        if first != int(name[:20]) or first != self.next or tuple(before) != self.expected:
            raise Damaged("a segment that does not follow the one before", name)
        at = SEGMENT.size
        while at < len(data):
            try:
                record = Record(data, at, log_id)
                if (record.number, record.before) != (self.next, self.chain) or record.synced >= record.number:
                    raise ValueError("not the record that is due")
            except ValueError as e:
                if not is_tail or self.was_durable(data, at):
                    raise Damaged(str(e), name, at) from e
                self.tail = (name, at, len(data) - at)
                break
            try:
                self.records.append(record.parse())
            except (ValueError, struct.error) as e:
                raise Damaged(str(e), name, at) from e
            self.next, self.chain, at = record.number + 1, record.checksum, record.end
        self.expected = (first, at, self.chain)

    def was_durable(self, data, at):
        """A later record says that the one at AT had reached the disk when it was written itself."""
        for later in range(at + 8, len(data), 8):
            if data[later:later + 4] == b"\x89REC":
                try:
                    record = Record(data, later, self.log_id)
                except ValueError:
                    continue
                if record.number > self.next and record.synced >= self.next:
                    return True
        return False

    def marker(self, names):
        """Whether the log was stopped cleanly; a marker that says another end than the log has is damage."""
        path = os.path.join(self.folder, "clean")
        if not os.path.exists(path):
            return False
        with open(path, "rb") as f:
            data = f.read()
        if len(data) != MARKER.size or struct.unpack(">I", data[64:])[0] != crc32c(data[:64]):
            return False
        _, _, _, log_id, last, *end, _ = MARKER.unpack(data)
        if (log_id, last) != (self.log_id, self.next - 1) or self.tail is not None or tuple(end) != self.expected:
            raise Damaged("another end than its clean stop says", names[-1], self.expected[1])
        return True

    def audit_entries(self):
        """What the audit log has from entry start["entries"] on."""
        return [entry for record in self.records for entry in record.of(AUDIT)]


def main():
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        log = Log(sys.argv[1])
    except Damaged as e:
        print(f"damaged: {e}")
        return 1
    for record in log.records:
        events = [json.loads(e)["id"] for e in record.of(EVENT)]
        entries = [json.loads(e)["kind"] for e in record.of(AUDIT)]
        print(json.dumps({"record": record.number, "kind": record.kind, "recorded": record.recorded, "feed": record.feed, "events": events, "entries": entries}))
    if log.tail is not None:
        print("torn: {} from offset {} on, {} bytes".format(*log.tail), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
