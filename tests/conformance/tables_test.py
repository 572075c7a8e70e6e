#!/usr/bin/env python3
"""The mapping tables beside the official HL7 v2-to-FHIR segment tables, row by row.

A row (a field and the element it becomes) is fulfilled when a rule that reads the field writes that element, fulfilled
otherwise when docs/MAPPING-OVERRIDES.md says what stands for it, else missing. Prints the counts of each segment; fails
when a row that tests/conformance/tables_baseline.json knows as fulfilled is so no longer, or when an override names no
row. usage: tables_test.py [--missing] [--write-baseline]
"""
import csv
import glob
import json
import os
import re
import sys

try:
    import yaml
except ImportError:
    print("SKIP: python3-yaml is not there (apt install python3-yaml)")
    sys.exit(1 if os.environ.get("CI") else 77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.environ.get("CHARTLINE_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
OFFICIAL = os.path.join(SHARED, "v2-to-fhir", "mappings", "segments")
TABLES = os.path.join(ROOT, "schemas", "hl7v2")
BASELINE = os.path.join(ROOT, "tests", "conformance", "tables_baseline.json")
OVERRIDES = os.path.join(ROOT, "docs", "MAPPING-OVERRIDES.md")
SEGMENTS = "MSH EVN PID PD1 NK1 PV1 PV2 AL1 IAM DG1 PR1 IN1 MRG ORC OBR OBX NTE SPM RXA RXR RXO TQ1 TXA SCH AIS AIG AIL AIP".split()


def plain(attribute):
    """Element path without indices, references and assignments: location[1].location(Location) is location.location."""
    text = re.sub(r"=.*", "", attribute.strip().lstrip("$"))
    depth, out = 0, ""
    for c in text:
        depth += c == "("
        if depth == 0:
            out += c
        depth -= c == ")" and depth > 0
    return re.sub(r"\[[^\]]*\]", "", out).strip().strip(".").replace("..", ".")


def official_rows():
    for segment in SEGMENTS:
        for path in sorted(glob.glob(os.path.join(glob.escape(OFFICIAL), f"*_ {segment}[[]*"))):
            name = re.search(r"_ (\w+\[[^\]]+\])", os.path.basename(path)).group(1)
            with open(path, encoding="utf-8-sig", newline="") as f:
                rows = list(csv.reader(f))[2:]
            for row in rows:
                row += [""] * (20 - len(row))
                field, attribute, assigned = row[1].strip(), row[9].strip(), row[16].strip()
                if attribute and re.match(rf"{segment}(-\d+)?$", field or segment):
                    yield segment, name, field or segment, attribute, assigned


def leaves(prefix, value):
    if isinstance(value, dict):
        for k, v in value.items():
            yield from leaves(f"{prefix}.{k}" if prefix else k, v)
    elif isinstance(value, list):
        for v in value:
            yield from leaves(prefix, v)
    else:
        yield prefix


def element(to):
    """Our element path in the official form; extension urls are kept apart."""
    urls = re.findall(r"xtension\(([^)]*)\)", to)
    text = re.sub(r"xtension\([^)]*\)", "xtension", to)
    return re.sub(r"\[[^\]]*\]", "", text).replace("_", "").strip("."), urls


def rules_of(rules, prefix, fields, segment, out):
    """(fields read, element, extension urls, constant) of every rule, with what surrounds it."""
    for rule in rules or []:
        reads = rule.get("from", [])
        reads = [reads] if isinstance(reads, (str, int, float)) else list(reads)
        texts = [str(r) for r in reads] + [str(rule.get("format", "")), str(rule.get("when", ""))]
        named = set()
        for text in texts:
            named |= {f"{segment}-{n}" for n in re.findall(rf"\b{segment}-(\d+)", text)}
            named |= set(re.findall(r"\b[A-Z][A-Z0-9]{2}-\d+", text))
        # a rule that reads a field is told by it; a constant by what surrounds it and its condition
        mine = named or fields
        here = fields | named
        to = rule.get("to")
        path = prefix if to in (None, ".") else f"{prefix}.{to}" if prefix else str(to)
        if "ref" in rule or "value" in rule or "type" in rule or "format" in rule or "codes" in rule or not ("rules" in rule or "cases" in rule):
            for leaf in leaves("", rule["value"]) if isinstance(rule.get("value"), (dict, list)) else [""]:
                out.append((here if reads == ["."] or not named else mine | here, *element(f"{path}.{leaf}" if leaf else path), "value" in rule))
        if "otherwise" in rule:
            rules_of([rule["otherwise"]], prefix, here, segment, out)
        for case in (rule.get("cases") or {}).values():
            rules_of(case if isinstance(case, list) else [case], path, here, segment, out)
        rules_of(rule.get("rules"), path, here, segment, out)


def our_elements():
    """{segment: {resource type: [(fields, element, urls, constant)]}}"""
    tables, kinds = {}, {}
    for segment in sorted(os.listdir(os.path.join(TABLES, "segments"))):
        with open(os.path.join(TABLES, "segments", segment), encoding="utf-8") as f:
            table = yaml.safe_load(f)
        tables[table["segment"]] = table
        for name, resource in table["resources"].items() if "resources" in table else ():
            if "resource" in resource:
                kinds[name] = resource["resource"]
    out = {}
    for segment, table in tables.items():
        made = out.setdefault(segment, {})
        for name, resource in (table.get("resources") or {}).items():
            types = [resource["resource"]] if "resource" in resource else [kinds[n] for n in resource["extends"]]
            found = []
            rules_of(resource.get("rules"), "", set(), segment, found)
            for kind in types:
                made.setdefault(kind, []).extend(found)
    # a field may also be read by another segment's table (ORC-28 by OBX)
    for segment in list(out):
        for kind, found in list(out[segment].items()):
            for item in found:
                for other in {f.split("-")[0] for f in item[0]} - {segment}:
                    out.setdefault(other, {}).setdefault(kind, []).append(item)
    return out


def fits(wanted, have):
    a, b = wanted.lower().split("."), have.lower().split(".")
    return a[: len(b)] == b or b[: len(a)] == a


def fulfilled(row, ours):
    segment, name, field, attribute, assigned = row
    kind = re.search(r"\[(\w+)", name).group(1)
    wanted = plain(attribute)
    for fields, have, urls, constant in ours.get(segment, {}).get(kind, []):
        if field != segment and field not in fields:
            continue
        if "xtension" in wanted:
            url = assigned.strip('" ')
            if url.startswith("http"):
                if any(u.split("/")[-1].lower() == url.replace("\\", "").split("/")[-1].split(".html")[0].lower() for u in urls):
                    return True
            elif urls and "xtension" in have:
                return True
        elif wanted and fits(wanted, have):
            return True
    return False


def overrides():
    """Rows of the last table of the document: | map | field | element | here |, * for any."""
    with open(OVERRIDES, encoding="utf-8") as f:
        for line in f:
            cells = [c.strip().strip("`") for c in line.strip().strip("|").split("|")]
            if len(cells) == 4 and re.match(r"\w{3}\[[\w-]+\]$", cells[0]):
                yield tuple(cells)


def main():
    if not os.path.isdir(OFFICIAL):
        print("SKIP: the official tables are not there (../shared/v2-to-fhir/mappings)")
        return 77
    ours, known = our_elements(), list(overrides())
    used, counts, state, missing = set(), {}, {}, []
    for row in official_rows():
        segment, name, field, attribute, _ = row
        key = f"{name} {field} {plain(attribute)}"
        otherwise = [o for o in known if o[0] == name and o[1] in ("*", field) and (o[2] == "*" or fits(o[2], plain(attribute)))]
        used |= set(otherwise)
        what = "fulfilled" if fulfilled(row, ours) else "otherwise" if otherwise else "missing"
        counts.setdefault(segment, {"fulfilled": 0, "otherwise": 0, "missing": 0})[what] += 1
        if state.get(key) != "fulfilled":
            state[key] = what
        if what == "missing":
            missing.append(f"{name} | {field} | {attribute}")
    print(f"{'':5}{'fulfilled':>10}{'otherwise':>10}{'missing':>10}")
    total = {"fulfilled": 0, "otherwise": 0, "missing": 0}
    for segment in SEGMENTS:
        c = counts.get(segment, {"fulfilled": 0, "otherwise": 0, "missing": 0})
        print(f"{segment:5}{c['fulfilled']:10}{c['otherwise']:10}{c['missing']:10}")
        for k in total:
            total[k] += c[k]
    print(f"{'all':5}{total['fulfilled']:10}{total['otherwise']:10}{total['missing']:10}")
    if "--missing" in sys.argv:
        print("\n".join(missing))
    good = sorted(k for k, v in state.items() if v != "missing")
    if "--write-baseline" in sys.argv:
        with open(BASELINE, "w", encoding="utf-8") as f:
            json.dump({"counts": {s: counts.get(s, {}) for s in SEGMENTS}, "fulfilled": good}, f, indent=1)
            f.write("\n")
        return 0
    with open(BASELINE, encoding="utf-8") as f:
        lost = sorted(set(json.load(f)["fulfilled"]) - set(good))
    stale = [o for o in known if o not in used]
    for text in lost:
        print(f"lost: {text}")
    for o in stale:
        print(f"no such row: {' | '.join(o[:3])}")
    return 1 if lost or stale else 0


if __name__ == "__main__":
    sys.exit(main())
