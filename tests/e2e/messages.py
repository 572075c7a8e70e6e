"""Synthetic messages: a small hospital with admissions, transfers, allergies, laboratory results and merges.

Deterministic by seed; every time lies in the past, so that what a hub makes of them does not depend on when.
"""
import random

FAMILIES = ["ABARA", "BERGSTROM", "CALLOWAY", "DREXLER", "ESPERANZA", "FALKNER", "GRUNWALD", "HOLLOWAY"]
GIVEN = ["Ines", "Jonas", "Katya", "Lorne", "Maren", "Nadir", "Oona", "Pavel"]
TESTS = [("718-7", "Hemoglobin", "g/dL", "12.0-16.0"), ("2345-7", "Glucose", "mg/dL", "70-99"), ("2951-2", "Sodium", "mmol/L", "136-145")]
WARDS = ["4EAST", "5WEST", "ICU"]


def stamp(minute):
    day, rest = divmod(minute, 1440)
    return f"202403{1 + day % 28:02d}{rest // 60:02d}{rest % 60:02d}00-0500"


class Hospital:
    def __init__(self, seed, patients=10):
        self.random = random.Random(seed)
        self.seed = seed
        self.patients = patients
        self.count = 0
        self.minute = 0
        self.order = 1000

    def msh(self, kind, app="EHR"):
        self.count += 1
        self.minute += 1
        return f"MSH|^~\\&|{app}|GENHOSP|HUB|GENHOSP|{stamp(self.minute)}||{kind}|{self.seed}-{self.count:06d}|P|2.5.1"

    def pid(self, n):
        return (f"PID|1||{self.mrn(n)}^^^GENHOSP^MR||{FAMILIES[n % 8]}^{GIVEN[n // 8 % 8]}^Q{n}||19{50 + n % 50}0{1 + n % 9}15|"
                f"{'FM'[n % 2]}|||{n} Elm Street^^Springfield^IL^62701^USA||(217)555-{n:04d}")

    def mrn(self, n):
        return f"{self.seed}{n:05d}"

    def pv1(self, n, ward=None):
        ward = ward or self.random.choice(WARDS)
        return f"PV1|1|I|{ward}^{100 + n % 40}^A^GENHOSP||||1001^ATTENDER^AVA^^^DR|||MED||||||||V|V{self.seed}{n:05d}^^^GENHOSP^VN" + "|" * 25 + stamp(n)

    def adt(self, event, n):
        m = [self.msh(f"ADT^{event}^ADT_A01"), f"EVN|{event}|{stamp(self.minute)}", self.pid(n), self.pv1(n)]
        if event in ("A01", "A08") and self.random.random() < 0.5:
            m.append("AL1|1|DA|7980^Penicillin^RXNORM|SV|Hives|20200101")
        return m

    def oru(self, n):
        self.order += 1
        m = [self.msh("ORU^R01^ORU_R01", "LAB"), self.pid(n), f"ORC|RE|P{self.seed}{self.order}^EHR|F{self.seed}{self.order}^LAB",
             f"OBR|1|P{self.seed}{self.order}^EHR|F{self.seed}{self.order}^LAB|58410-2^CBC panel^LN|||{stamp(self.minute - 1)}|||||||||||||||"
             f"{stamp(self.minute)}|||{'P' if self.random.random() < 0.3 else 'F'}"]
        for i, (code, name, unit, low_high) in enumerate(TESTS, 1):
            value = f"{self.random.uniform(5, 150):.1f}"
            m.append(f"OBX|{i}|NM|{code}^{name}^LN||{value}|{unit}|{low_high}|N|||F|||{stamp(self.minute - 1)}")
        return m

    def merge(self, survivor, retired):
        return [self.msh("ADT^A40^ADT_A39"), f"EVN|A40|{stamp(self.minute)}", self.pid(survivor), f"MRG|{self.mrn(retired)}^^^GENHOSP^MR"]

    def message(self):
        n = self.random.randrange(self.patients)
        roll = self.random.random()
        if roll < 0.25:
            lines = self.adt("A01", n)
        elif roll < 0.40:
            lines = self.adt("A08", n)
        elif roll < 0.50:
            lines = self.adt("A02", n)
        elif roll < 0.55:
            lines = self.adt("A03", n)
        elif roll < 0.58 and self.patients > 3:
            lines = self.merge(n, (n + 1) % self.patients)
        else:
            lines = self.oru(n)
        return "\r".join(lines).encode() + b"\r"

    def messages(self, count):
        return [self.message() for _ in range(count)]
