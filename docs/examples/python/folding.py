"""Patient and Encounter over their versions (docs/TIMELINE.md, rule 5)."""
from sealed import canonical, read_json

DELETED = "urn:chartline:deleted"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


def set_flag(resource, url):
    resource["extension"] = resource.get("extension", []) + [{"url": url, "valueBoolean": True}]


# --- elements that several fields of a message make: each has items of its own ---

def type_code(type_):
    coding = type_.get("coding") if isinstance(type_, dict) else None
    return coding[0].get("code", "") if coding else ""


def identifier_group(item):
    kind = type_code(item.get("type"))
    if item.get("use") == "old":
        return item.get("value", "")
    own = (kind == "SS" and item.get("system") == "http://hl7.org/fhir/sid/us-ssn") or kind == "VN" or (kind == "DL" and not item.get("system"))
    return kind if own else "other"


def reference_group(item):
    parts = item.get("reference", "").split("/")
    return parts[0] if len(parts) == 2 and all(parts) else ""


GROUPS = {
    ("Patient", "telecom"): lambda item: "work" if item.get("use") == "work" else "other",
    ("Patient", "identifier"): identifier_group,
    ("Patient", "generalPractitioner"): reference_group,
    ("Encounter", "identifier"): identifier_group,
    ("Encounter", "participant"): lambda item: type_code((item.get("type") or [{}])[0])}


def group_of(type_, element):
    return (lambda item: item.get("url", "")) if element == "extension" else GROUPS.get((type_, element))


def choice(name):
    """deceased[x] and multipleBirth[x] have one value each."""
    name = name.removeprefix("_")
    return next((c for c in ("deceased", "multipleBirth") if name.startswith(c) and name != c), None)


class Fold:
    def __init__(self):
        self.out, self.gone = {}, set()

    def add(self, version):
        resource = read_json(canonical(version.resource))
        for e in resource.get("extension", []):
            if e.get("url") == DELETED:
                self.delete(resource["resourceType"], e.get("valueString", ""))
        for name, value in resource.items():
            if name == "id" or says_nothing(resource, name, value):
                continue
            plain = name.removeprefix("_")
            sibling = plain if name.startswith("_") else "_" + plain
            if sibling not in resource:  # a primitive and its _sibling are one element
                self.out.pop(sibling, None)
            if not name.startswith("_") and choice(name):
                for other in [n for n in self.out if choice(n) == choice(name) and n != name]:
                    del self.out[other]
            self.replace(resource["resourceType"], name, value)
        if version.act == "cancel-discharge" and isinstance(self.out.get("period"), dict):
            self.out["period"].pop("end", None)
            if not self.out["period"]:
                del self.out["period"]

    def delete(self, type_, path):
        """`name`, `period.end`, `telecom(work)`; with or without the type before it."""
        path = path.removeprefix(type_ + ".")
        element = path.split(".")[0].split("(")[0]
        rest = path[len(element):]
        if not element or element in ("resourceType", "id"):
            return
        there = self.out.get(element)
        if not rest:
            self.out.pop(element, None)
            self.out.pop("_" + element, None)
            self.gone.add(element)
            return
        if rest.startswith("."):
            for item in there if isinstance(there, list) else [there]:
                if isinstance(item, dict):
                    item.pop(rest[1:], None)
        elif isinstance(there, list) and group_of(type_, element):
            there[:] = [item for item in there if group_of(type_, element)(item) != rest[1:-1]]
        if rest.startswith("("):
            self.gone.add(element + rest)
        if there in ([], {}):
            del self.out[element]

    def replace(self, type_, name, value):
        before = self.out.get(name)
        group = group_of(type_, name) if isinstance(value, list) else None
        alone = isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and set(value[0]) == {"district"}
        if (type_, name) == ("Patient", "address") and alone and isinstance(before, list) and before:
            before[0]["district"] = value[0]["district"]  # a county without an address
        elif group:
            groups = {group(item) for item in value}
            stay = [item for item in before or [] if group(item) not in groups]
            new = [item for item in value if name != "extension" or not group(item).startswith("urn:chartline:")]
            if stay + new:
                self.out[name] = stay + new
        elif type_ == "Encounter" and name in ("period", "hospitalization") and isinstance(before, dict):
            before.update(value)
        else:
            self.out[name] = value


def says_nothing(resource, name, value):
    if name == "status":
        return resource["resourceType"] == "Encounter" and value == "unknown"
    return value == {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}


def fill_rest(said, fill):
    """What fillers say stands only where no other version said or deleted anything: an element, or an item of a field of its own."""
    before = {name: list(value) if isinstance(value, list) else value for name, value in said.out.items()}
    for name, value in fill.items():
        plain = name.removeprefix("_")
        if plain in said.gone or (choice(name) and any(choice(n) == choice(name) for n in before)):
            continue
        group = group_of(fill["resourceType"], name) if isinstance(value, list) else None
        if group:
            groups = {group(item) for item in before.get(name, [])}
            new = [item for item in value if group(item) not in groups and "%s(%s)" % (name, group(item)) not in said.gone]
            if new:
                said.out[name] = said.out.get(name, []) + new
        elif plain not in before and "_" + plain not in before:
            said.out[name] = value


def fold_fact(fact):
    said, fill = Fold(), Fold()
    for version in fact.versions:
        if version.mode == "replace" and version.act is None:
            said = Fold()  # a whole resource, from FHIR
        if version.mode != "status":
            (fill if version.mode == "fill" else said).add(version)
    fill_rest(said, fill.out)
    for name in ("status", "class"):  # a valid resource needs them: what the newest version had
        if name in fact.current.resource:
            said.out.setdefault(name, fact.current.resource[name])
    said.out["id"] = fact.current.id
    return said.out
