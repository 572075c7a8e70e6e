#!/usr/bin/env python3
"""What absent, empty and deleted mean, sentence by sentence, as a chart shows it: fields of patients and visits, lists and
what empties them, action codes. Every story is told to one hub several times, each time of another patient and in another
order; the chart must always read the same."""
from harness import *

SYSTEM = "urn:chartline:ns:WEST:WEST"


def segment(name, **fields):
    """segment("PID", _3="1^^^WEST^MR"): fields by number, the rest empty."""
    numbered = {int(k[1:]): v for k, v in fields.items()}
    return name + "|" + "|".join(numbered.get(i, "") for i in range(1, max(numbered) + 1))


class Story:
    def __init__(self, patient):
        self.patient, self.messages = patient, []

    def tell(self, minute, trigger, *segments, pid=None, visit="V1", pv1=None, source="EHR"):
        """A message of the MINUTEth minute."""
        at = f"2026030108{minute:02}00+0000"
        number = f"{self.patient}^^^WEST^MR"
        head = f"MSH|^~\\&|{source}|WEST|HUB|WEST|{at}||ADT^{trigger}^ADT_A01|{self.patient}-{minute}-{source}|P|2.5.1"
        lines = [head, f"EVN|{trigger}|{at}", segment("PID", _1="1", _3=number, **({"_5": "Reed^Ida"} | (pid or {})))]
        lines += [s for s in segments if s.startswith("NK1")]
        if visit:
            lines.append(segment("PV1", _1="1", _2="I", _19=f"{self.patient}-{visit}^^^WEST^VN", **(pv1 or {})))
        lines += [s for s in segments if not s.startswith("NK1")]
        self.messages.append("".join(line + "\r" for line in lines).encode())


def entries(hub, patient, *more):
    read = hub.json("timeline", f"{SYSTEM}|{patient}", *hub.as_role("clinician"), *more)
    return read["entries"]


def told(story, judge, turns=4):
    """Tells the story of several patients, in its own order, backwards, and in others."""
    hub = Hub().start()
    try:
        for turn in range(turns):
            patient = f"P{turn}"
            teller = Story(patient)
            story(teller)
            messages = list(teller.messages)
            if turn == 1:
                messages.reverse()
            elif turn > 1:
                random.Random(turn).shuffle(messages)
            codes = {ack_code(a)[0] for a in send_all(hub, messages, window=1)}
            check(codes == {"AA"}, f"answered {codes}")
            hub.caught_up()
            judge(hub, patient)
    finally:
        hub.close()


def kinds(found, kind):
    return [e for e in found if e["kind"] == kind]


def codes(found, kind):
    """{code: status} of what is shown of a kind."""
    out = {}
    for e in kinds(found, kind):
        code = e["resource"].get("code", {}).get("coding", [{}])[0].get("code") or e["resource"].get("identifier", [{}])[0].get("value")
        check(code not in out, f"{code} is shown twice")
        out[code] = e["status"]
    return out


def same(found, wanted, what):
    check(found == wanted, f"{what}: {found}, not {wanted}")


# --- patient and visit ---

def a_patient_is_folded_field_by_field():
    def story(s):
        s.tell(1, "A01", pid={"_7": "19700101", "_8": "F", "_11": "1 Old St^^Town", "_13": "555-1", "_14": "555-2", "_16": "S", "_17": "CAT",
                              "_19": "123-45-6789", "_6": "Maid^Mo"})
        s.tell(2, "A08", pid={"_5": "Reed^Ida~Rush^Ida^^^^^M", "_16": "M"})  # name and marital status anew, the rest absent
        s.tell(3, "A08", pid={"_11": '""', "_13": '""', "_17": '""', "_6": '""'})
        s.tell(4, "A08", pid={"_14": "555-3"})

    def judge(hub, patient):
        person = kinds(entries(hub, patient), "patient")[0]["resource"]
        same(person["birthDate"], "1970-01-01", "absent is unchanged")
        same(person["gender"], "female", "absent is unchanged")
        same([n["family"] for n in person["name"]], ["Reed"], "a valued field replaces all its repetitions")
        same(person["maritalStatus"]["coding"][0]["code"], "M", "a valued field replaces")
        same("address" in person, False, 'a field of "" deletes')
        same([t["value"] for t in person["telecom"]], ["555-3"], 'PID-13 "" deletes the home number, PID-14 replaces the other')
        urls = [e["url"] for e in person.get("extension", [])]
        same([u for u in urls if "religion" in u or "Maiden" in u or "deleted" in u], [], 'PID-17 and PID-6 "" delete their extensions')
        same(sorted(i["value"] for i in person["identifier"]), sorted(["123-45-6789", patient]), "PID-3 alone leaves PID-19")
        versions = kinds(entries(hub, patient, "--versions"), "patient")
        same(len(versions), 4, "every version is there")
        same(any("deleted" in e.get("url", "") for v in versions for e in v["resource"].get("extension", [])), True, "a version says what it deletes")
    told(story, judge)


def a_person_deleted_and_added_again_is_active():
    def story(s):
        s.tell(1, "A28", pid={"_32": "AL"})
        s.tell(2, "A29")
        s.tell(3, "A28")

    def judge(hub, patient):
        person = kinds(entries(hub, patient), "patient")[0]
        same(person["status"], "active", "the later A28 counts, whenever it came")
        reliability = [e for e in person["resource"]["extension"] if e["url"].endswith("/identity-reliability")]
        same([e["valueCodeableConcept"]["coding"][0]["code"] for e in reliability], ["AL"], "that the name is an alias is shown, until it is said otherwise")
        same([e["status"] for e in kinds(entries(hub, patient, "--versions"), "patient")], ["active", "inactive", "active"], "what each message said")
    told(story, judge)


def a_visit_is_folded_field_by_field():
    def story(s):
        s.tell(1, "A01", pv1={"_3": "W1^1", "_7": "11^Doc^A", "_8": "12^Ref^B", "_14": "7", "_36": "01", "_44": "202603010700+0000", "_45": "202603010900+0000"})
        s.tell(2, "A08", pv1={"_8": '""', "_36": '""', "_45": '""'})
        s.tell(3, "A08", pv1={"_10": "CAR"})

    def judge(hub, patient):
        visit = kinds(entries(hub, patient), "encounter")[0]["resource"]
        same(visit["status"], "in-progress", "an update leaves the status")
        same(visit["period"], {"start": "2026-03-01T07:00:00+00:00"}, 'PV1-45 "" deletes the end, not the start')
        same([p["type"][0]["coding"][0]["code"] for p in visit["participant"]], ["ATND"], 'PV1-8 "" deletes the referrer alone')
        same(sorted(visit["hospitalization"]), ["admitSource"], 'PV1-36 "" deletes the disposition alone')
        same(visit["serviceType"]["coding"][0]["code"], "CAR", "a valued field is added")
    told(story, judge)


def deletions_are_sealed_like_what_they_delete():
    hub = Hub().start()
    try:
        s = Story("SEAL")
        s.tell(1, "A08", pid={"_11": '""', "_13": '""', "_7": '""'}, pv1={"_45": '""'})
        check(ack_code(send_all(hub, s.messages)[0])[0] == "AA", "not accepted")
        found = hub.json("message", "find", "--control-id", "SEAL-1-EHR")[0]["id"]
        event = hub.json("message", "show", found)["events"][0]
        clear = [e["valueString"] for r in event["data"]["entry"] for e in r["resource"].get("extension", []) if e["url"] == "urn:chartline:deleted"]
        same(clear, ["period.end"], "what stands clear of deletions")  # as clear as the period
        opened = hub.json("message", "show", found, *hub.as_role("frontdesk"))["events"][0]
        shown = {e["valueString"] for r in opened["data"]["entry"] for e in r["resource"].get("extension", []) if e["url"] == "urn:chartline:deleted"}
        same(shown, {"period.end", "birthDate", "telecom(other)", "address"}, "what the front desk sees deleted")
    finally:
        hub.close()


def what_is_no_adt_only_fills():
    def story(s):
        s.tell(1, "A01", pid={"_7": "19700101", "_8": '""'})
        at = "20260301080500+0000"
        s.messages.append((f"MSH|^~\\&|LAB|WEST|HUB|WEST|{at}||ORU^R01^ORU_R01|{s.patient}-L|P|2.5.1\rPID|1||{s.patient}^^^WEST^MR||Other^Name||19990909|M|||9 Lab St^^Town\r"
                           "OBR|1||F1^LAB|N^Sodium^L\rOBX|1|NM|N^Sodium^L||140||||||F\r").encode())

    def judge(hub, patient):
        person = kinds(entries(hub, patient), "patient")[0]["resource"]
        same(person["birthDate"], "1970-01-01", "an ADT's value stands")
        same(person["name"][0]["family"], "Reed", "an ADT's value stands")
        same("gender" in person, False, "what an ADT deleted is not filled")
        same(person["address"][0]["city"], "Town", "what no ADT said is filled")
    told(story, judge, 3)


# --- lists ---

def lists_speak_for_their_source():
    def story(s):
        s.tell(1, "A08", "NK1|1|Reed^Mo|MTH", "NK1|2|Reed^Pa|FTH", "AL1|1|DA|PEN^Penicillin^L", "AL1|2|FA|NUT^Nuts^L",
               "DG1|1||J18^Pneumonia^L||20260301|A", "DG1|2||I10^Tension^L||20260301|A", "DG1|3||E11^Diabetes^L||20260301|F",
               "PR1|1||APP^Appendectomy^L||20260301", "PR1|2||LAP^Laparoscopy^L||20260301",
               "IN1|1|GOLD|PAY1", "IN1|2|BLUE|PAY2")
        s.tell(2, "A08", "NK1|1|Foe^Jo|FND", "AL1|1|EA|POL^Pollen^L", "DG1|1||K35^Appendicitis^L||20260301|A", "PR1|1||XRA^X-ray^L||20260301",
               "IN1|1|RED|PAY3", source="DESK")  # another source: its own lists
        s.tell(3, "A08", "NK1|1|Reed^Mo|MTH", "AL1|1|FA|NUT^Nuts^L", "DG1|1||I10^Tension^L||20260301|A", "PR1|1||APP^Appendectomy^L||20260301",
               "IN1|1|GOLD|PAY1")
        s.tell(4, "A08")  # none leaves the lists

    def judge(hub, patient):
        found = entries(hub, patient)
        kin = sorted((e["resource"]["name"][0]["given"][0], e["status"]) for e in kinds(found, "related-person"))
        same(kin, [("Jo", "active"), ("Mo", "active"), ("Pa", "inactive")], "dropped kin is inactive")
        same(codes(found, "coverage"), {"GOLD": "active", "BLUE": "cancelled", "RED": "active"}, "dropped coverage is cancelled")
        same(codes(found, "condition"), {"I10": "active", "E11": "active", "K35": "active"}, "a list is of one type (DG1-6) and source")
        same(sorted(codes(found, "procedure")), ["APP", "XRA"], "procedures")
        allergies = {e["resource"]["code"]["coding"][0]["code"]: [x["url"] for x in e["resource"].get("extension", [])] for e in kinds(found, "allergy")}
        same(allergies, {"PEN": ["urn:chartline:not-in-last-list"], "NUT": [], "POL": []}, "an allergy is never withdrawn by absence")
    told(story, judge)


def an_empty_segment_empties_its_sources_list():
    def story(s):
        s.tell(1, "A08", "NK1|1|Reed^Mo|MTH", "AL1|1|DA|PEN^Penicillin^L", "DG1|1||J18^Pneumonia^L||20260301|A", "DG1|2||E11^Diabetes^L||20260301|F",
               "PR1|1||APP^Appendectomy^L||20260301", "IN1|1|GOLD|PAY1", pid={"_21": "M77^^^WEST^MR"})
        s.tell(2, "A08", "NK1|1|Foe^Jo|FND", "AL1|1|EA|POL^Pollen^L", "DG1|1||K35^Appendicitis^L||20260301|A", "PR1|1||XRA^X-ray^L||20260301",
               "IN1|1|RED|PAY3", source="DESK")
        s.tell(3, "A08", 'NK1|1|""', 'AL1|1||""', 'DG1|1||""', 'PR1|1||""', 'IN1|1|""', pid={"_21": '""'})
        s.tell(4, "A08", "DG1|1||I10^Tension^L||20260301|A")

    def judge(hub, patient):
        found = entries(hub, patient)
        kin = sorted((e["resource"].get("name", [{"given": ["mother"]}])[0]["given"][0], e["status"]) for e in kinds(found, "related-person"))
        same(kin, [("Jo", "active"), ("Mo", "inactive"), ("mother", "inactive")], "kin")
        same(codes(found, "coverage"), {"GOLD": "cancelled", "RED": "active"}, "coverage")
        same(codes(found, "condition"), {"I10": "active", "K35": "active"}, "diagnoses of every type")
        same(sorted(codes(found, "procedure")), ["XRA"], "procedures")
        same(sorted(codes(found, "allergy")), ["POL"], "allergies")
        person = kinds(found, "patient")[0]["resource"]
        same([c["name"]["family"] for c in person.get("contact", [])], [], "contacts of the patient")
    told(story, judge)


def action_codes_win_over_lists():
    def diagnosis(n, code, action, number):
        return segment("DG1", _1=str(n), _3=f"{code}^Text^L", _6="W", _20=f"{number}^EHR", _21=action)

    def procedure(n, code, action, number):
        return segment("PR1", _1=str(n), _3=f"{code}^Text^L", _5="20260301", _19=f"{number}^EHR", _20=action)

    def allergy(n, code, action, number):
        return segment("IAM", _1=str(n), _2="DA", _3=f"{code}^Text^L", _6=action, _7=f"{number}^EHR")

    def story(s):
        s.tell(1, "A01", diagnosis(1, "J18", "A", "D1"), diagnosis(2, "I10", "A", "D2"), procedure(1, "APP", "A", "R1"), procedure(2, "LAP", "A", "R2"),
               allergy(1, "PEN", "A", "A1"), allergy(2, "NUT", "A", "A2"))
        s.tell(2, "A08", diagnosis(1, "E11", "A", "D3"), procedure(1, "XRA", "A", "R3"), allergy(1, "POL", "A", "A3"))  # adding drops none
        s.tell(3, "A08", diagnosis(1, "J18", "D", "D1"), procedure(1, "LAP", "D", "R2"), allergy(1, "NUT", "D", "A2"))

    def judge(hub, patient):
        found = entries(hub, patient)
        same(sorted(codes(found, "condition")), ["E11", "I10"], "diagnoses")
        same(sorted(codes(found, "procedure")), ["APP", "XRA"], "procedures")
        same(sorted(codes(found, "allergy")), ["PEN", "POL"], "allergies")
        check(not any("not-in-last-list" in x["url"] for e in kinds(found, "allergy") for x in e["resource"].get("extension", [])), "an action is no list")
    told(story, judge)


def a_list_is_as_new_as_the_message_it_stands_in():
    def story(s):
        s.tell(1, "A08", segment("DG1", _1="1", _3="J18^Pneumonia^L", _6="W", _19="20260301075900+0000"), segment("DG1", _1="2", _3="I10^Tension^L", _6="W", _19="20260201+0000"))
        s.tell(2, "A08", segment("DG1", _1="1", _3="I10^Tension^L", _6="W", _19="20260201+0000"))  # the other one is gone, though it was made later

    def judge(hub, patient):
        same(sorted(codes(entries(hub, patient), "condition")), ["I10"], "diagnoses")
    told(story, judge, 2)


def no_known_allergy_hides_behind_an_active_one():
    def story(s):
        s.tell(1, "A08", "AL1|1|DA|716186003^No known allergy^SCT")
        s.tell(2, "A08", "AL1|1|DA|PEN^Penicillin^L", source="DESK")

    def judge(hub, patient):
        same(sorted(codes(entries(hub, patient), "allergy")), ["PEN"], "while one is active")
        send_all(hub, [after(patient)])
        hub.caught_up()
        same(sorted(codes(entries(hub, patient), "allergy")), ["716186003"], "after it was withdrawn")

    def after(patient):
        s = Story(patient)
        s.tell(3, "A08", 'AL1|1||""', source="DESK")
        return s.messages[0]
    told(story, judge, 2)


TESTS = [a_person_deleted_and_added_again_is_active, a_patient_is_folded_field_by_field, a_visit_is_folded_field_by_field, deletions_are_sealed_like_what_they_delete, what_is_no_adt_only_fills,
         lists_speak_for_their_source, an_empty_segment_empties_its_sources_list, action_codes_win_over_lists,
         a_list_is_as_new_as_the_message_it_stands_in, no_known_allergy_hides_behind_an_active_one]

if __name__ == "__main__":
    main(TESTS)
