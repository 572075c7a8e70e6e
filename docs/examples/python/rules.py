"""From entry records to a chart: all the rules of docs/TIMELINE.md, "From versions to what is shown", by their numbers.

The reference is `chartline timeline --json`; tests/e2e/examples_test.py compares the two, entry by entry.
"""
import datetime
import re

from folding import fold_fact, set_flag
from sealed import Number, canonical, read_json

KIND_OF_TYPE = {
    "Patient": "patient", "Encounter": "encounter", "Observation": "observation", "DiagnosticReport": "report", "ServiceRequest": "order",
    "MedicationRequest": "medication-request", "MedicationDispense": "medication-dispense",
    "MedicationAdministration": "medication-administration", "AllergyIntolerance": "allergy", "Condition": "condition",
    "Procedure": "procedure", "Immunization": "immunization", "DocumentReference": "document", "Appointment": "appointment",
    "Coverage": "coverage", "RelatedPerson": "related-person"}
NEVER, ALWAYS = float("-inf"), float("inf")
MOMENT = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?)?)?)?(Z|[+-]\d\d:\d\d)?")
EPOCH = datetime.datetime(1, 1, 1)


def moment(text):
    """Microseconds of the start of what a FHIR date or time names, in UTC; None when it is none. (datetime knows no times
    without seconds, and a float has too few digits.)"""
    found = MOMENT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        whole = datetime.datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), min(int(second or 0), 59))
    except ValueError:
        return None
    us = (whole - EPOCH) // datetime.timedelta(microseconds=1) + int(((fraction or "") + "000000")[:6])
    if zone and zone != "Z":
        us -= (1 if zone[0] == "+" else -1) * (int(zone[1:3]) * 60 + int(zone[4:6])) * 60_000_000
    return us


def extension(resource, url):
    return next((e for e in resource.get("extension", []) if e.get("url") == url), None)


def first(node):
    return node[0] if isinstance(node, list) and node else {}


def codings(node):
    return node.get("coding", []) if isinstance(node, dict) else []


def coded(resource, element):
    return first(codings(resource.get(element))).get("code")


def split_reference(text):
    parts = text.split("/") if isinstance(text, str) else []
    return parts if len(parts) == 2 and all(parts) else None


class Version:
    """One entry record, opened, with what its place among the others depends on."""

    def __init__(self, record, resource, shredded, retired):
        self.record, self.resource = record, resource
        self.id, self.event, self.subject, self.source = record["id"], record["event"], record["subject"], record["source"]
        self.trigger, self.recorded = record["trigger"], record["recorded"]
        self.ordinal = int(record.get("ordinal", Number("0")))
        self.revision = int(record.get("revision", Number("0")))
        self.origin = record["origin"] if self.revision else self.event
        self.retired, self.shredded = self.subject in retired, shredded
        self.replaced_by = self.fact = self.snapshot = None
        self.emptied = self.needed = False
        self.read_words()
        self.read_times()

    def read_words(self):
        stated = extension(self.resource, "urn:chartline:entry")
        self.support = stated is None
        words = [word.split("=", 1) for word in stated["valueString"].split(" ")] if stated else []
        self.facts = [value for name, value in words if name == "fact"]
        words = self.words = dict(words)
        self.kind = words.get("kind") or KIND_OF_TYPE.get(self.resource["resourceType"])
        self.mode, self.act = words.get("mode", "replace"), words.get("act")
        self.status_class = int(words.get("class", "1"))
        self.list, self.marks = words.get("list"), words.get("list-marks") == "true"
        self.encounter, self.location = words.get("encounter"), words.get("location")
        rest = [e for e in self.resource.get("extension", []) if e.get("url") != "urn:chartline:entry"]
        self.resource.pop("extension", None)
        if rest:
            self.resource["extension"] = rest

    def read_times(self):
        self.recorded_us = moment(self.recorded)
        for text in (self.words.get("effective"), self.time_inside(), self.record.get("effective")):
            self.effective, self.effective_us = text, moment(text)
            if self.effective_us is not None:
                break
        else:
            self.effective_us = NEVER
        self.message_us = moment(self.record.get("messagetime")) or self.recorded_us
        stored = moment(self.record.get("originrecorded")) if self.revision else self.recorded_us
        version = moment(self.words.get("version")) or self.message_us
        self.order_us = min(version, stored)
        self.listed_us = min(moment(self.words.get("list-version")) or version, stored)

    def time_inside(self):
        """Of a sensitive resource only its opened content says when it happened."""
        names = ("effectiveDateTime", "performedDateTime", "occurrenceDateTime", "onsetDateTime", "recordedDate", "authoredOn",
                 "whenHandedOver", "date")
        periods = ("period", "effectivePeriod", "performedPeriod")
        texts = [self.resource.get(n) for n in names]
        texts += [self.resource[n].get("start") for n in periods if isinstance(self.resource.get(n), dict)]
        return next((t for t in texts if moment(t) is not None), None)

    def order(self):
        """Rule 3; of patients those of retired identifiers first (rule 5)."""
        rank = not self.retired if self.kind == "patient" else False
        return (rank, self.status_class, self.order_us, self.message_us, self.act is not None, self.origin, self.event, self.ordinal, self.id)

    def withdraws(self):
        return (self.act == "withdraw" or self.resource.get("status") == "entered-in-error"
                or any(c.get("code") == "entered-in-error" for c in codings(self.resource.get("verificationStatus"))))

    def after(self, *events):
        return self.trigger.endswith(events)

    def same_encounter(self, other):
        return self.encounter is not None and self.encounter == other.encounter


class Fact:
    def __init__(self, versions):
        self.versions = sorted(versions, key=Version.order)
        self.kind = versions[0].kind
        self.current = self.newest(self.versions)
        self.superseded = self.newest(self.versions[:self.versions.index(self.current)])
        if self.current.withdraws() or (self.kind == "location" and self.current.act in ("cancel-transfer", "cancel-admission")):
            self.current = None  # rule 4
        self.taken = self.resource = None

    @staticmethod
    def newest(versions):
        """The newest that states the whole fact; when there is none, the newest."""
        whole = [v for v in versions if v.mode not in ("status", "fill")]
        return (whole or versions or [None])[-1]


class Chart:
    """All of it. CHART: {"chart", "retired"?}; OPEN gives an entry record's opened resource and whether its secret is shredded."""

    def __init__(self, chart, records, open_record, at=ALWAYS, known_at=ALWAYS, all_versions=False):
        self.chart, self.at, self.all_versions = chart["chart"], at, all_versions
        self.replaced = self.revisions([r for r in records if r.get("kind") == "revision"], known_at)
        self.versions = []
        for record in sorted((r for r in records if "resource" in r), key=lambda r: r["id"]):
            if moment(record["recorded"]) > known_at or (record["event"] in self.replaced and not all_versions):
                continue
            version = Version(record, *open_record(record), chart.get("retired", []))
            version.replaced_by = self.replaced.get(version.event)
            self.versions.append(version)
        self.by_id = {v.id: v for v in self.versions}
        self.facts = self.group()
        self.lists()
        self.join_visits()
        self.take_back()
        self.judge_updates()
        for fact in self.standing():
            self.show(fact)
        for fact in [f for f in self.facts if f.kind == "encounter"]:
            if fact.current is None:  # where the patient was in a visit that never was
                for place in self.places(fact.versions[0]):
                    place.current = None
            else:
                self.encounter_places(fact)
        self.hide_none_known()
        for fact in self.standing("report"):
            self.unite_results(fact)

    def standing(self, kind=None):
        return [f for f in self.facts if f.current is not None and kind in (None, f.kind)]

    @staticmethod
    def revisions(records, known_at):
        """Rule 0: event -> the event of a revision that took its place."""
        pairs = [(old, r["event"]) for r in records if moment(r["recorded"]) <= known_at for old in r["supersedes"]]
        return dict(sorted(pairs, reverse=True))

    def group(self):
        """Rule 2. Two versions are one fact when they share a token, or a third one joins them."""
        parent, named = {}, {}

        def root(x):
            while parent[x] != x:
                x = parent[x]
            return x

        for v in self.versions:
            if v.support or v.replaced_by or (v.effective_us > self.at and v.act is None):
                continue
            parent[v.id] = v.id
            for fact in v.facts if v.kind != "patient" else ["patient"]:
                key = (v.kind, fact, v.source if v.kind == "allergy" else None)
                parent[root(v.id)] = root(named.setdefault(key, v.id))
        groups = {}
        for v in self.versions:
            if v.id in parent:
                groups.setdefault(root(v.id), []).append(v)
        facts = [Fact(versions) for versions in groups.values()]
        for fact in facts:
            for v in fact.versions:
                v.fact = fact
        return facts

    def lists(self):
        """Rule 6: the newest version of each list and source, and whether a later message took back all that it had."""
        by_list = {}
        for v in self.versions:
            if v.fact and v.list:
                by_list.setdefault((v.list, v.source), []).append(v)
        for versions in by_list.values():
            versions.sort(key=lambda v: (v.listed_us, v.message_us, v.event, v.order()))
            takers = set()
            for v in reversed(versions):
                v.snapshot, v.emptied = versions[-1], bool(takers - {v.event})
                takers |= {v.event} if v.withdraws() else set()

    # --- places (rule 7) ---

    def join_visits(self):
        """A42 and A50 make two visit numbers one: the places of each are places of the one visit."""
        names = {}
        for numbers in ([v.encounter for v in f.versions if v.encounter] for f in self.facts if f.kind == "encounter"):
            names.update(dict.fromkeys(numbers, numbers[0] if numbers else None))
        for v in self.versions:
            v.encounter = names.get(v.encounter, v.encounter)

    @staticmethod
    def cancellable(fact, cancel):
        """What a cancel finds of a place: its newest version before the cancel, unless that was taken back already."""
        before = [v for v in fact.versions if v.order() < cancel.order()]
        v = before[-1] if before and before[-1].same_encounter(cancel) else None
        if v is None or v.withdraws() or v.act in ("cancel-transfer", "cancel-admission"):
            return None
        return None if fact.taken is not None and v.order() < fact.taken.order() else v

    def take_back(self):
        cancels = sorted((v for v in self.versions if v.fact is not None and v.kind == "location" and v.act in ("cancel-transfer", "cancel-admission")),
                         key=Version.order)
        for cancel in cancels:
            found = [(v, f) for f in self.facts if f.kind == "location" for v in [self.cancellable(f, cancel)] if v is not None]
            if cancel.act == "cancel-admission":
                taken = [f for v, f in found if v.after("A01", "A04", "A05", "A14") and v.effective_us <= cancel.order_us]
            else:
                moves = [(v, f) for v, f in found if v.after("A02")]
                just = [f for v, f in moves if v.effective_us == cancel.effective_us]
                before = sorted(((v, f) for v, f in moves if v.effective_us <= cancel.order_us),
                                key=lambda item: (item[0].effective_us, item[0].order()))
                taken = just[:1] or [f for v, f in before[-1:]]
            for fact in taken:
                fact.taken = cancel
        for fact in self.facts:
            if fact.taken is not None and fact.current is not None and fact.current.order() < fact.taken.order():
                fact.current = None  # what was said again after the cancel stands

    def places(self, encounter=None):
        found = [f for f in self.standing("location") if encounter is None or f.current.same_encounter(encounter)]
        return sorted(found, key=lambda f: (f.current.encounter or "", f.current.effective_us, f.current.order()))

    def same_place(self, a, b):
        def place(version):
            reference = split_reference(first(version.resource.get("location")).get("location", {}).get("reference"))
            return self.by_id.get(reference[1]) if reference else None
        x, y = place(a), place(b)
        return a.location == b.location and (
            x is None or y is None or all(x.resource.get(e) == y.resource.get(e) for e in ("name", "identifier", "alias", "physicalType")))

    def judge_updates(self):
        before = None
        for fact in self.places():
            v = fact.current
            update = v.trigger.startswith("ADT^") and not v.after("A01", "A04", "A05", "A14", "A02", "A09", "A10", "A17")
            if update and before is not None and before.same_encounter(v):
                if self.same_place(before, v):
                    fact.current = None
                    continue
                set_flag(v.resource, "urn:chartline:unannounced-move")
            before = v

    def encounter_places(self, encounter):
        if not any(f.kind == "location" and f.versions[0].same_encounter(encounter.current) for f in self.facts):
            return
        facts, shown = self.places(encounter.current), encounter.resource
        status, places = shown.get("status"), []
        for i, fact in enumerate(facts):
            place = copy(first(fact.current.resource.get("location")))
            if not place:
                continue
            now = i + 1 == len(facts) and status not in ("finished", "cancelled")
            place["status"] = ("planned" if status == "planned" else "active") if now else "completed"
            period = place.setdefault("period", {"start": fact.current.effective})
            if i + 1 < len(facts):
                period.setdefault("end", facts[i + 1].current.effective)
            places.append(place)
        places += [p for p in shown.get("location", []) if p.get("status") in ("planned", "reserved")]
        shown.pop("location", None)
        if places:
            shown["location"] = places

    # --- what is shown of each fact ---

    def show(self, fact):
        if any(v.mode in ("fold", "fill") for v in fact.versions):  # rule 5
            fact.resource = fold_fact(fact)
            if fact.resource.get("status") == "entered-in-error":
                fact.current = None
            return
        fact.resource, last = copy(fact.current.resource), fact.versions[-1]
        if last is not fact.current and last.mode == "status" and last.resource.get("status"):
            fact.resource["status"] = last.resource["status"]
        self.drop_unlisted(fact)

    def drop_unlisted(self, fact):
        v = fact.current
        if v.marks and v.emptied:
            fact.current = None
        elif v.snapshot is None or v.snapshot.event == v.event:
            return
        elif v.marks:
            set_flag(fact.resource, "urn:chartline:not-in-last-list")
        elif fact.kind == "coverage":
            fact.resource["status"] = "cancelled"
        elif fact.kind == "related-person":
            fact.resource["active"] = False
        else:
            fact.current = None

    def hide_none_known(self):
        """Rule 9."""
        allergies = self.standing("allergy")
        if any(not none_known(f.resource) and "code" in f.resource and coded(f.resource, "clinicalStatus") == "active"
               and coded(f.resource, "verificationStatus") != "refuted" for f in allergies):
            for fact in allergies:
                if none_known(fact.resource):
                    fact.current = None

    def unite_results(self, report):
        """Rule 8."""
        results, facts, texts = [], [], []
        for item in (item for v in report.versions for item in v.resource.get("result", [])):
            text, reference = item.get("reference"), split_reference(item.get("reference"))
            version = self.by_id.get(reference[1]) if reference else None
            if version is not None and version.fact is not None:
                if version.fact.current is None or version.fact in facts:
                    continue
                facts.append(version.fact)
                text = f"{reference[0]}/{version.fact.current.id}"
            elif text in texts:
                continue
            texts.append(text)
            results.append({**item, "reference": text} if text else dict(item))
        report.resource.pop("result", None)
        if results:
            report.resource["result"] = results

    # --- the answer ---

    def follow(self, node, depth=0):
        """Rule 10, and which supporting resources the entries lead to."""
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            if isinstance(value, (dict, list)):
                self.follow(value, depth)
            reference = split_reference(value) if name in ("reference", "url") else None
            version = self.by_id.get(reference[1]) if reference else None
            if version is None:
                continue
            if version.support:
                if not version.needed and depth < 32:
                    version.needed = True
                    self.follow(version.resource, depth + 1)
            elif not self.all_versions and version.fact and version.fact.current:
                node[name] = f"{reference[0]}/{version.fact.current.id}"

    def shown(self):
        """(version, the version before it, resource) of what is to be shown."""
        if not self.all_versions:
            return [(f.current, f.superseded, f.resource) for f in self.standing()]
        rows = [(v, fact.versions[i - 1] if i else None, v.resource) for fact in self.facts for i, v in enumerate(fact.versions)]
        return rows + [(v, None, v.resource) for v in self.versions if v.replaced_by and not v.support and v.effective_us <= self.at]

    def answer(self):
        """As `chartline timeline --json` prints it."""
        entries = []
        for version, before, resource in sorted(self.shown(), key=lambda s: (s[0].effective_us, s[0].recorded_us, s[0].id)):
            self.follow(resource)
            entry = {"effective": version.effective or None, "id": version.id, "kind": version.kind, "recorded": version.recorded,
                     "resource": resource, "status": status_of(version.kind, resource), "supersedes": before.id if before else None}
            if version.replaced_by:
                entry["replaced_by"] = version.replaced_by
            if version.revision:
                entry["revision"] = Number(str(version.revision))
            if version.shredded:
                entry["shredded"] = True
            entries.append(entry)
        support = [v.resource for v in self.versions if v.needed]
        return {"chart": self.chart, "entries": entries, **({"support": support} if support else {})}


def copy(node):
    return read_json(canonical(node))


def status_of(kind, resource):
    if coded(resource, "verificationStatus") == "entered-in-error":
        return "entered-in-error"
    if kind == "location":
        return first(resource.get("location")).get("status")
    if kind in ("allergy", "condition"):
        return coded(resource, "clinicalStatus")
    if kind in ("patient", "related-person"):
        return "inactive" if resource.get("active") is False else "active"
    return resource.get("status")


def none_known(resource):
    codes = {"716186003", "409137002", "429625007", "428607008", "1003774007", "428197003", "nka", "nkda", "noknown"}
    texts = {"no known allergy", "no known allergies", "no known drug allergy", "no known drug allergies", "nka", "nkda"}
    code = resource.get("code", {})
    return (any(c.get("code", "").lower() in codes or c.get("display", "").lower() in texts for c in codings(code))
            or code.get("text", "").strip().lower() in texts)
