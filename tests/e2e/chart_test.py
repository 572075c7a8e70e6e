#!/usr/bin/env python3
"""What a clinician reads after the messages of a stay, in whatever order they came: status, place, results, lists."""
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *  # noqa: E402,F403

AUTHORITY = "urn:chartline:ns:NORTHGATE:NORTHGATE"


def adt(trigger, number, at, patient, *more, pv1="", occurred=None):
    return "\r".join([f"MSH|^~\\&|WARD|NORTHGATE|HUB|X|{at}+0000||ADT^{trigger}|{patient}-{number}|P|2.5.1", f"EVN|{trigger}|{at}||||{occurred or at}",
                      f"PID|1||{patient}^^^NORTHGATE^MR||Okafor^Adaeze||19780423|F", *([pv1] if pv1 else []), *more]).encode() + b"\r"


def pv1(ward, visit, out=""):
    return f"PV1|1|I|{ward}||||||||||||||||{visit}^^^NORTHGATE^VN" + "|" * 25 + f"20260301090000|{out}"


def oru(number, at, patient, status, value, obx11=None, obx14="20260301100000"):
    return "\r".join([f"MSH|^~\\&|LAB|NORTHGATE|HUB|X|{at}+0000||ORU^R01|{patient}-{number}|P|2.5.1", f"PID|1||{patient}^^^NORTHGATE^MR||Okafor^Adaeze",
                      f"OBR|1|P1{patient}^WARD|F1{patient}^LAB|24323-8^Panel^LN|||20260301100000|||||||||||||||{at}||CH|{status}",
                      f"OBX|1|NM|2823-3^Potassium^LN||{value}|mmol/L|||||{obx11 or status}|||{obx14}"]).encode() + b"\r"


def vital(number, at, patient, when, value):
    return "\r".join([f"MSH|^~\\&|MON|NORTHGATE|HUB|X|{at}+0000||ORU^R01|{patient}-{number}|P|2.5.1", f"PID|1||{patient}^^^NORTHGATE^MR||Okafor^Adaeze",
                      "OBR|1||M7^MON|85353-1^Vital signs^LN|||20260301100000", f"OBX|1|NM|8867-4^Heart rate^LN||{value}|/min|||||F|||{when}"]).encode() + b"\r"


def stay(patient):
    """A stay as it was sent, and what is to be read of it."""
    visit = f"V{patient}"
    return [
        adt("A01", 1, "20260301090500", patient, "AL1|1|DA|7980^Penicillin^RXNORM|SV|Hives", "AL1|2|FA|^Peanut", "DG1|1||I20.9^Angina^I10|||A",
            "IN1|1|GOLD|C1^^^REGION^NII|Mutual|" + "|" * 30 + "|POL1", pv1=pv1("4WEST^412^B", visit), occurred="20260301090000"),
        adt("A02", 2, "20260302120500", patient, pv1=pv1("6EAST^601^A", visit), occurred="20260302120000"),
        adt("A02", 3, "20260302150500", patient, pv1=pv1("ICU^1", visit), occurred="20260302150000"),
        adt("A12", 4, "20260302151000", patient, pv1=pv1("6EAST^601^A", visit), occurred="20260302151000"),
        adt("A08", 5, "20260302160000", patient, "DG1|1||I21.4^Infarction^I10|||A", pv1=pv1("6EAST^601^A", visit)),
        adt("A08", 6, "20260302170000", patient, 'AL1|1||""', pv1=pv1("6EAST^601^A", visit)),
        adt("A08", 7, "20260302180000", patient, "AL1|1|DA|1191^Aspirin^RXNORM", pv1=pv1("6EAST^601^A", visit)),
        adt("A03", 8, "20260305100500", patient, pv1=pv1("6EAST^601^A", visit, "20260305100000"), occurred="20260305100000"),
        adt("A13", 9, "20260305110000", patient, pv1=pv1("6EAST^601^A", visit)),
        oru(10, "20260301110000", patient, "P", "5.1"),
        oru(11, "20260301140000", patient, "F", "5.2"),
        oru(12, "20260301180000", patient, "C", "5.3", obx14="20260301100500"),
        vital(13, "20260301100100", patient, "20260301100100", "72"),
        vital(14, "20260301100200", patient, "20260301100200", "75"),
    ]


def entries(hub, patient):
    return hub.json("timeline", f"{AUTHORITY}|{patient}", *hub.as_role("clinician"))["entries"]


def of_kind(all_entries, kind):
    return [e["resource"] for e in all_entries if e["kind"] == kind]


def code(resource):
    return (resource.get("code", {}).get("coding") or [{}])[0].get("code") or resource.get("code", {}).get("text")


def judge(read):
    encounters = of_kind(read, "encounter")
    check(len(encounters) == 1, f"{len(encounters)} encounters of one visit")
    check(encounters[0]["status"] == "in-progress", f"after A13: {encounters[0]['status']}")
    check("end" not in encounters[0].get("period", {}), "the discharge that A13 took back has an end")
    results = [o for o in of_kind(read, "observation") if code(o) == "2823-3"]
    check(len(results) == 1, f"{len(results)} results of one test")
    check(results[0]["status"] == "corrected" and str(results[0]["valueQuantity"]["value"]) == "5.3", f"{results[0]['status']} {results[0]['valueQuantity']}")
    pulses = sorted(str(o["valueQuantity"]["value"]) for o in of_kind(read, "observation") if code(o) == "8867-4")
    check(pulses == ["72", "75"], f"pulses {pulses}")
    check(len(of_kind(read, "report")) == 2, "the laboratory's report and the monitor's")
    check([code(c) for c in of_kind(read, "condition")] == ["I21.4"], f"diagnoses {[code(c) for c in of_kind(read, 'condition')]}")
    check([code(a) for a in of_kind(read, "allergy")] == ["1191"], f"allergies {[code(a) for a in of_kind(read, 'allergy')]}")
    check(len(of_kind(read, "coverage")) == 1, "the insurance")
    check(all("ICU" not in json.dumps(r) for r in of_kind(read, "encounter")), "the cancelled transfer's place")


def a_stay_reads_the_same_in_any_order():
    hub = Hub()
    try:
        hub.start()
        shuffle = random.Random(20261123)
        patients = ["700123", "700124", "700125", "700126"]
        for i, patient in enumerate(patients):
            messages = stay(patient)
            if i:
                shuffle.shuffle(messages)
            for ack in send_all(hub, messages):
                check(ack_code(ack)[0] in ("AA", "CA"), ack.decode())
        hub.caught_up()
        for patient in patients:
            judge(entries(hub, patient))
        hub.stop()
    finally:
        hub.close()


def a_chart_that_lacks_a_stored_message_is_not_shown():
    hub = Hub().start(roles="ingest")  # stores and acknowledges; nobody applies
    try:
        first = adt("A01", 1, "20260301090500", "900", pv1=pv1("4WEST", "V900"))
        check(ack_code(send_all(hub, [first])[0])[0] in ("AA", "CA"), "not accepted")
        read = ("timeline", f"{AUTHORITY}|900", *hub.as_role("clinician"))
        out, err = run(*read, cwd=hub.dir, expect=None)
        check("behind" in err and "try again" in err, f"{out}{err}")
        check("Okafor" not in out, "a chart was shown")
        hub.stop()
        hub.start()
        hub.caught_up()
        check("Okafor" in hub.cli(*read), "no chart once everything was applied")
        hub.stop()
    finally:
        hub.close()


def pid(patient):
    return f"PID|2||{patient}^^^NORTHGATE^MR||Ojo^Tunde||19800101|M"


def charts_of(hub, *patients):
    rows = {p: hub.json("timeline", f"{AUTHORITY}|{p}", *hub.as_role("clinician"))["chart"] for p in patients}
    return len(set(rows.values()))


def links_their_end_and_joined_visits_hold_in_any_order():
    def story(a, b):
        mrg = f"MRG|{a}^^^NORTHGATE^MR||||W{a}^^^NORTHGATE^VN"
        return [
            adt("A01", 1, "20260301090000", a, pv1=pv1("4WEST", f"V{a}")),
            adt("A08", 2, "20260301100000", a, pv1=pv1("4WEST", f"W{a}")),     # the same visit under another number
            adt("A42", 3, "20260301110000", a, mrg, pv1=pv1("4WEST", f"V{a}")),
            adt("A01", 4, "20260301120000", a, pv1=pv1("6EAST", f"X{a}")),
            adt("A23", 5, "20260301130000", a, pv1=pv1("6EAST", f"X{a}")),     # a visit that never was
            adt("A01", 6, "20260301140000", b, pv1=pv1("ICU", f"V{b}")),
            adt("A24", 7, "20260301150000", a, pid(b)),
        ]
    hub = Hub()
    try:
        hub.start()
        for i, (a, b) in enumerate([("810", "820"), ("811", "821")]):
            messages = story(a, b)
            for ack in send_all(hub, messages[::-1] if i else messages):
                check(ack_code(ack)[0] == "AA", ack.decode())
            hub.caught_up()
            check(charts_of(hub, a, b) == 1, "two patients that are linked have two charts")
            read = entries(hub, a)
            visits = [v for v in of_kind(read, "encounter") if "ICU" not in json.dumps(v)]
            check(len(visits) == 1, f"{len(visits)} visits: {visits}")
            check({x["value"] for x in visits[0]["identifier"]} >= {f"V{a}"}, f"{visits[0]['identifier']}")
            check(ack_code(send_all(hub, [adt("A37", 8, "20260301160000", a, pid(b))])[0])[0] == "AA", "A37")
            hub.caught_up()
            check(charts_of(hub, a, b) == 2, "two patients that are held apart have one chart")
        refused = send_all(hub, [adt("A24", 9, "20260301170000", "830"), adt("A41", 10, "20260301170000", "830", "MRG|1^^^NORTHGATE^MR||2")])
        check([ack_code(a)[0] for a in refused] == ["AE", "AR"], f"{refused}")
        hub.stop()
    finally:
        hub.close()


def beds(a, b):
    """An admission and a transfer taken back and said again, two beds swapped, a visit that never was, and another visit number."""
    visit, renamed = f"V{a}", f"MRG|{a}^^^NORTHGATE^MR||||V{a}^^^NORTHGATE^VN"
    return [
        adt("A01", 1, "20260301090000", a, pv1=pv1("4WEST", visit)),
        adt("A11", 2, "20260301093000", a, pv1=pv1("4WEST", visit)),
        adt("A01", 3, "20260301100000", a, pv1=pv1("ICU", visit)),
        adt("A02", 4, "20260301110000", a, pv1=pv1("6EAST", visit)),
        adt("A12", 5, "20260301113000", a, pv1=pv1("ICU", visit), occurred="20260301110000"),
        adt("A02", 6, "20260301120000", a, pv1=pv1("7WEST", visit), occurred="20260301110000"),
        adt("A01", 7, "20260301120000", b, pv1=pv1("8EAST", f"V{b}")),
        adt("A17", 8, "20260301130000", a, pid(b), pv1("7WEST", f"V{b}"), pv1=pv1("8EAST", visit)),
        adt("A01", 9, "20260301140000", a, pv1=pv1("GHOST", f"W{a}")),
        adt("A23", 10, "20260301150000", a, pv1=pv1("GHOST", f"W{a}")),
        adt("A50", 11, "20260301160000", a, renamed, pv1=pv1("8EAST", f"N{a}")),
        adt("A02", 12, "20260301170000", a, pv1=pv1("9SOUTH", f"N{a}")),
    ]


def where(visit):
    return [(place["location"]["display"], place["status"]) for place in visit["location"]]


def places_hold_in_any_order():
    hub = Hub().start()
    try:
        for i, (a, b) in enumerate([("840", "850"), ("841", "851"), ("842", "852")]):
            messages = beds(a, b)
            check(all(ack_code(ack)[0] == "AA" for ack in send_all(hub, messages[::-1] if i == 1 else random.Random(i).sample(messages, len(messages)))), "not accepted")
            hub.caught_up()
            read = entries(hub, a)
            visits, patients = of_kind(read, "encounter"), of_kind(read, "patient")
            check(len(visits) == 1, f"{len(visits)} visits: {visits}")
            check(where(visits[0]) == [("ICU", "completed"), ("7WEST", "completed"), ("8EAST", "completed"), ("9SOUTH", "active")], f"{where(visits[0])}")
            check(visits[0]["status"] == "in-progress", visits[0]["status"])
            places = [where(v)[0][0] for v in of_kind(read, "location")]
            check(sorted(places) == ["7WEST", "8EAST", "9SOUTH", "ICU"], f"{places}")
            check("unannounced-move" not in json.dumps(of_kind(read, "location")), "the swap is said to be unannounced")
            check([x.get("use") for x in patients[0]["identifier"]] == [None], f"{patients[0]['identifier']}")
            swapped = of_kind(entries(hub, b), "encounter")[0]
            check(where(swapped) == [("8EAST", "completed"), ("7WEST", "active")], f"{where(swapped)}")
        hub.stop()
    finally:
        hub.close()


def message(kind, number, at, patient, *segments):
    own = f"PID|1||{patient}^^^NORTHGATE^MR||Okafor^Adaeze"
    return "\r".join([f"MSH|^~\\&|DEPT|NORTHGATE|HUB|X|{at}+0000||{kind}|{patient}-{number}|P|2.5.1", *[own if s == "PID" else s for s in segments]]).encode() + b"\r"


def departments(patient):
    """Vaccination, prescription, appointment, document and problem, each with a later word on it."""
    txa = "TXA|1|DS^Summary^L|TX|20260301||||{}||||{}^TR|{}||||AU||AV"
    obx = "OBX|1|TX|11490-0^Summary^LN||{}||||||F"
    return [
        message("VXU^V04", 1, "20260301100000", patient, "PID", "ORC|RE||F1^REG", "RXA|0|1|20260301||140^Influenza^CVX|0.5|mL|||||||||||||CP|A"),
        message("VXU^V04", 2, "20260302100000", patient, "PID", "ORC|RE||F1^REG", "RXA|0|1|20260301||140^Influenza^CVX|0.5|mL|||||||||||||CP|D|20260302"),
        message("VXU^V04", 3, "20260301110000", patient, "PID", "ORC|RE||F2^REG", "RXA|0|1|20260301||08^Hepatitis B^CVX|1|mL|||||||||||||CP|A"),
        message("RDE^O11", 4, "20260301120000", patient, "PID", "ORC|NW|P1^EHR||||||20260301120000", "RXE||1^Amlodipine^L|5||mg"),
        message("RDE^O11", 5, "20260302120000", patient, "PID", "ORC|XO|P1^EHR|F1^PH||||||20260302120000", "RXE||1^Amlodipine^L|10||mg"),
        message("RDE^O11", 6, "20260303120000", patient, "PID", "ORC|DC||F1^PH||||||20260303120000", "RXE||1^Amlodipine^L|10||mg"),
        message("SIU^S12", 7, "20260301130000", patient, "SCH|A1^EHR|B1^CEN", "TQ1|1||||||20260310093000|20260310100000", "PID"),
        message("SIU^S15", 8, "20260302130000", patient, "SCH||B1^CEN", "TQ1|1||||||20260310093000|20260310100000", "PID"),
        message("MDM^T02", 9, "20260301140000", patient, "EVN||20260301140000", "PID", txa.format("20260301140000", "D1", ""), obx.format("first")),
        message("MDM^T08", 10, "20260302140000", patient, "EVN||20260302140000", "PID", txa.format("20260302140000", "D1", ""), obx.format("second")),
        message("MDM^T10", 11, "20260303140000", patient, "EVN||20260303140000", "PID", txa.format("20260303140000", "D2", "D1^TR"), obx.format("third")),
        message("PPR^PC1", 12, "20260301150000", patient, "PID", "PRB|AD|20260301150000|I10^Hypertension^I10C|PB1^EHR|||20250101"),
        message("PPR^PC2", 13, "20260302150000", patient, "PID", "PRB|UP|20260302150000|I10^Hypertension^I10C|PB1^EHR|||20250101||20260302"),
    ]


def what_departments_say_reads_the_same_in_any_order():
    hub = Hub()
    try:
        hub.start()
        shuffle = random.Random(20261124)
        for i, patient in enumerate(["901", "902", "903"]):
            messages = departments(patient)
            if i:
                shuffle.shuffle(messages)
            for ack in send_all(hub, messages):
                check(ack_code(ack)[0] == "AA", ack.decode())
        hub.caught_up()
        for patient in ("901", "902", "903"):
            read = entries(hub, patient)
            vaccines = of_kind(read, "immunization")
            check([v["vaccineCode"]["coding"][0]["code"] for v in vaccines] == ["08"], f"vaccinations: {vaccines}")
            drugs = of_kind(read, "medication-request")
            check(len(drugs) == 1 and drugs[0]["status"] == "stopped", f"prescriptions: {drugs}")
            check("10" in json.dumps(drugs[0]["dosageInstruction"]), "the changed dose")
            check([a["status"] for a in of_kind(read, "appointment")] == ["cancelled"], "the appointment")
            documents = {d["masterIdentifier"]["value"]: d["status"] for d in of_kind(read, "document")}
            check(documents == {"D1": "superseded", "D2": "current"}, f"documents: {documents}")
            problems = of_kind(read, "condition")
            check(len(problems) == 1 and problems[0]["abatementDateTime"] == "2026-03-02", f"problems: {problems}")
        hub.stop()
    finally:
        hub.close()


def scan(number, at, patient, order, value, status):
    return message("ORU^R01", number, at, patient, "PID", f"OBR|1||{order}^LAB|24^Scan^L|||20260301100000|||||||||||||||{at}||CT|F",
                   f"OBX|1|ED|9^Letter^L||{value}||||||{status}")


def a_scanned_result_is_a_document_that_is_corrected_and_withdrawn_with_it():
    hub = Hub().start()
    try:
        file = "^AP^PDF^Base64^{}".format
        for patient, order in (("906", 1), ("907", -1)):
            scans = [scan(1, "20260301110000", patient, "F1", file("Rmlyc3Q="), "P"), scan(2, "20260302110000", patient, "F1", file("U2Vjb25k"), "C"),
                     scan(3, "20260301110000", patient, "F2", file("V3Jvbmc="), "F"), scan(4, "20260302110000", patient, "F2", "", "D")]
            for ack in send_all(hub, scans[::order]):
                check(ack_code(ack)[0] == "AA", ack.decode())
            hub.caught_up()
            shown = {d["status"]: [c["attachment"].get("data") for c in d["content"]] for d in of_kind(entries(hub, patient), "document")}
            check(shown == {"current": ["U2Vjb25k"]}, f"{patient}: {shown}")
        hub.stop()
    finally:
        hub.close()


def doses_to_give_are_no_prescriptions_and_a_replaced_one_is_not_active():
    hub = Hub().start()
    try:
        mix = ["RXE||9^Infusion^L|500||mL", "RXC|B|1^Saline^L|1000|mL", "RXC|A|2^Potassium^L|20|meq"]
        give = "RXG|{}|||9^Infusion^L|250||mL"
        orders = [message("RDE^O11", 1, "20260301100000", "905", "PID", "ORC|NW|P1^EHR|F1^PH||||||20260301100000", *mix),
                  message("RGV^O15", 2, "20260301110000", "905", "PID", "ORC|RE|P1^EHR|F1^PH", *mix, give.format(1), "TQ1|1||||||20260301120000",
                          give.format(2), "TQ1|1||||||20260301180000"),
                  message("RGV^O15", 3, "20260302110000", "905", "PID", "ORC|RE|P1^EHR|F1^PH", give.format(1))]
        later = [message("RDE^O11", 4, "20260303100000", "905", "PID", "ORC|RP|P1^EHR|F1^PH||||||20260303100000", *mix,
                         "ORC|RO|P2^EHR|||||||20260303100000", "RXE||8^Tablet^L|1||tab"),
                 # an unsolicited replacement has the placer number of what it replaces
                 message("RDE^O11", 5, "20260304100000", "905", "PID", "ORC|RU|P2^EHR|F2^PH||||||20260304100000", "RXE||8^Tablet^L|1||tab",
                         "ORC|RO|P2^EHR|F3^PH||||||20260304100000", "RXE||7^Syrup^L|5||mL")]

        def shown(expected):
            hub.caught_up()
            read = entries(hub, "905")
            found = sorted((r["medicationCodeableConcept"]["text"], r["status"]) for r in of_kind(read, "medication-request"))
            check(found == expected and not of_kind(read, "medication-administration"), f"{found}")
            return {r["medicationCodeableConcept"]["text"]: r for r in of_kind(read, "medication-request")}

        check([ack_code(a)[0] for a in send_all(hub, orders)] == ["AA"] * 3, "refused")
        drug = shown([("Infusion", "active")])["Infusion"]
        check([n["text"] for n in drug["note"]] == ["recipe: base Saline 1000 mL", "recipe: additive Potassium 20 meq"], f"{drug['note']}")
        check("500" in json.dumps(drug["dosageInstruction"]) and "250" not in json.dumps(drug), "a dose to give changed the prescription")
        check(ack_code(send_all(hub, later[:1])[0])[0] == "AA", "RP, RO")
        drug = shown([("Infusion", "stopped"), ("Tablet", "active")])["Tablet"]
        check("reference" in drug["priorPrescription"], f"{drug}")
        check(ack_code(send_all(hub, later[1:])[0])[0] == "AA", "RU, RO")
        shown([("Infusion", "stopped"), ("Syrup", "active")])
        hub.stop()
    finally:
        hub.close()


if __name__ == "__main__":
    main([a_scanned_result_is_a_document_that_is_corrected_and_withdrawn_with_it, doses_to_give_are_no_prescriptions_and_a_replaced_one_is_not_active,
          what_departments_say_reads_the_same_in_any_order, links_their_end_and_joined_visits_hold_in_any_order, places_hold_in_any_order,
          a_chart_that_lacks_a_stored_message_is_not_shown, a_stay_reads_the_same_in_any_order])
