#!/usr/bin/env python3
"""A patient's chart from Kafka, opened with a role's key: confluent-kafka and PyNaCl, nothing of chartline.

    chart.py --kafka kafka.conf --socket data/control.sock --role clinician --key clinician.key PATIENT

PATIENT is a patient token or SYSTEM|VALUE. Prints what `chartline timeline PATIENT --json` prints for the same role; that
command is the reference. With --follow it goes on: a line of JSON for each change, with the entries that are new or
changed and the ids of those that are gone.

Written from docs/FORMATS.md and docs/TIMELINE.md, as an independent reader: sealed.py opens, rules.py applies ALL rules of
docs/TIMELINE.md (0 to 10), hub.py speaks to the key service, topics.py reads Kafka.
"""
import argparse
import sys

from confluent_kafka import KafkaException

from hub import Hub
from rules import ALWAYS, Chart, moment
from sealed import Keys, Opener, Refused, Seal, canonical, read_role_key
from topics import KeyRecords, Timeline, read_settings


class Reader:
    """An application's connections, the keys of its role, and the chart that is open."""

    def __init__(self, options):
        self.options = options
        role_key = read_role_key(options.key)
        self.hub = Hub(options.socket, options.role, role_key, options.purpose)
        self.keys = Keys(role_key, options.signer or [self.hub.signer()])
        settings = read_settings(options.kafka)
        self.key_records = KeyRecords(settings, options.prefix, self.keys)
        self.timeline = Timeline(settings, options.prefix)
        self.token = None

    def open(self, patient):
        """Reads the chart of PATIENT as the topic has it now."""
        tokens = self.hub.tokens(patient)
        self.token = tokens[0]  # what an application keeps: chart ids change, tokens do not
        self.timeline.load(tokens)
        return self.answer()

    def fetch_keys(self, tokens, records):
        """All that opening RECORDS needs and this role may have."""
        seals = [Seal(r["seal"]) for r in records if "seal" in r]
        absent = self.key_records.wait({key_id for s in seals for key_id, _ in s.classes.values()}, self.options.wait)
        for key_id in sorted(absent):
            print(f"key {key_id} has not come yet; what it seals stays masked", file=sys.stderr)
        needed = {s.secret_id for s in seals} - set(self.keys.secrets) - set(self.keys.shredded)
        if needed:
            given, shredded = self.hub.secrets(tokens, needed)
            self.keys.secrets.update(given)
            self.keys.shredded.update({secret_id: "" for secret_id in shredded})

    def open_record(self, record):
        """The resource as far as the keys go, and whether the rest is gone for good."""
        opener = Opener(record, self.keys)
        return opener.resource(record["resource"]), opener.seal.secret_id in self.keys.shredded

    def answer(self):
        """The chart as this role sees it; None when the topic has no such token (yet)."""
        head, records = self.timeline.chart(self.token)
        if head is None:
            return None
        self.fetch_keys(head["tokens"], records)
        options = self.options
        return Chart(head, records, self.open_record, options.at, options.known_at, options.versions).answer()

    def follow(self, shown):
        """Goes on for ever: yields what is new, changed or gone."""
        while True:
            if not self.timeline.news(self.options.pause):
                continue
            answer = self.answer()
            if answer is None:
                continue
            before, now = ({e["id"]: e for e in (a or {"entries": []})["entries"]} for a in (shown, answer))
            changed = [e for i, e in now.items() if before.get(i) != e]
            gone = sorted(set(before) - set(now))
            if changed or gone:
                yield {"chart": answer["chart"], "entries": changed, "gone": gone}
            shown = answer

    def close(self):
        for part in (self.hub, self.key_records, self.timeline):
            part.close()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kafka", required=True, metavar="FILE", help="settings of librdkafka, name=value a line")
    parser.add_argument("--socket", required=True, metavar="PATH", help="the hub's control socket: its key service")
    parser.add_argument("--role", required=True)
    parser.add_argument("--key", required=True, metavar="FILE", help="the role's secret key file")
    parser.add_argument("--purpose", default="treatment", help="why: it stands in the audit log")
    parser.add_argument("--prefix", default="chartline.", help="of the topics' names")
    parser.add_argument("--signer", action="append", help="public key of a hub whose key records are trusted (default: that of --socket)")
    parser.add_argument("--follow", action="store_true")
    parser.add_argument("--versions", action="store_true", help="all versions, not only the current ones")
    parser.add_argument("--at", type=moment, default=ALWAYS, metavar="TIME", help="leave out what happened later")
    parser.add_argument("--known-at", type=moment, default=ALWAYS, metavar="TIME", help="only what was stored by then")
    parser.add_argument("--wait", type=float, default=30, metavar="SECONDS", help="for a class key that has not come yet")
    parser.add_argument("--pause", type=float, default=1, metavar="SECONDS", help="between two looks with --follow")
    parser.add_argument("patient")
    return parser.parse_args()


def main():
    options = arguments()
    reader = Reader(options)
    answer = reader.open(options.patient)
    if answer is None and not options.follow:
        raise Refused("the topic has nothing of this patient")
    if answer is not None:
        print(canonical(answer), flush=True)
    if options.follow:
        for news in reader.follow(answer):
            print(canonical(news), flush=True)


if __name__ == "__main__":
    try:
        main()
    except (Refused, KafkaException, OSError) as reason:
        print(f"refused: {reason}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        pass
