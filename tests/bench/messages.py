#!/usr/bin/env python3
"""Writes the benchmark's messages: synthetic, half admissions, half laboratory reports, of about SIZE bytes (default 4,000).

usage: messages.py FOLDER COUNT [SIZE]
"""
import os
import random
import sys

WORDS = "alder birch cedar elm fir hazel juniper larch maple oak pine rowan spruce willow yew".split()


def words(rng, n):
    return " ".join(rng.choice(WORDS) for _ in range(n))


def stamp(rng):
    return f"2024{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}{rng.randint(0, 23):02d}{rng.randint(0, 59):02d}{rng.randint(0, 59):02d}-0500"


def doctor(rng):
    """One of a hospital's doctors: a message names few of them, again and again."""
    rng = random.Random(rng.choice(range(40)))
    return f"{rng.randint(1000, 9999)}^{rng.choice(WORDS).upper()}^{rng.choice(WORDS).title()}^Q^^Dr.^MD^^GENHOSP&2.16.840.1.113883.19.5&ISO^L^^^NPI"


def patient(rng, n):
    return (f"PID|1||{100000 + n}^^^GENHOSP^MR~{n:09d}^^^USSSA^SS||{rng.choice(WORDS).upper()}^{rng.choice(WORDS).title()}^A^III^Mr.^^L||"
            f"19{rng.randint(30, 99)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}|{'MF'[n % 2]}||2106-3^White^HL70005|"
            f"{n} {words(rng, 1).title()} Street^Apt {n % 90}^Springfield^IL^62701^USA^H||(217)555-{n % 10000:04d}^PRN^PH|(217)556-{n % 10000:04d}^WPN^PH|"
            f"en^English^ISO639|M^Married^HL70002||AC{n}^^^GENHOSP^AN|{n:09d}")


def visit(rng, n):
    own = doctor(rng)
    return (f"PV1|1|I|4EAST^{n % 400:03d}^A^GENHOSP^^^MAIN^4|E|||{own}|{doctor(rng)}||MED||||7|||{own}|I|V{n}^^^GENHOSP^VN"
            + "|" * 25 + stamp(rng))


def short(rng, n, size):
    """A message of a busy interface: a registration update or a result of a few values."""
    if n % 2 == 0:
        lines = [f"MSH|^~\\&|EHR|GENHOSP|HUB|GENHOSP|{stamp(rng)}||ADT^A08^ADT_A01|B{n:06d}|P|2.5.1", f"EVN|A08|{stamp(rng)}", patient(rng, n),
                 visit(rng, n), f"AL1|1|DA|7980^{words(rng, 1)}^RXNORM|SV|{words(rng, 2)}"]
    else:
        lines = [f"MSH|^~\\&|LAB|GENHOSP|HUB|GENHOSP|{stamp(rng)}||ORU^R01^ORU_R01|B{n:06d}|P|2.5.1", patient(rng, n),
                 f"OBR|1|P{n}^EHR|F{n}^LAB|58410-2^CBC panel^LN|||{stamp(rng)}|||||||||||||||{stamp(rng)}||HM|F"]
    i = 0
    while n % 2 and sum(map(len, lines)) < size - 100:
        i += 1
        lines.append(f"OBX|{i}|NM|{700 + i}-{i % 10}^{words(rng, 2)}^LN||{rng.uniform(1, 200):.1f}|mg/dL|10.0-20.0|N|||F|||{stamp(rng)}")
    return lines


def admission(rng, n, doctor):
    lines = [f"MSH|^~\\&|EHR|GENHOSP|HUB|GENHOSP|{stamp(rng)}||ADT^A01^ADT_A01|B{n:06d}|P|2.5.1", f"EVN|A01|{stamp(rng)}|||{doctor}",
             patient(rng, n), "PD1|||GENHOSP CLINIC^^1|" + doctor]
    for i in range(1, 4):
        lines.append(f"NK1|{i}|{rng.choice(WORDS).upper()}^{rng.choice(WORDS).title()}|SPO^Spouse^HL70063|{n} Main Street^^Springfield^IL^62701^USA^H|"
                     f"(217)555-{i:04d}^PRN^PH|(217)555-{i + 5:04d}^WPN^PH|N^Next-of-Kin^HL70131")
    lines += [visit(rng, n), f"PV2|||{words(rng, 1)}^{words(rng, 6)}^99LOC"]
    for i in range(1, 5):
        lines.append(f"OBX|{i}|NM|{8000 + i}-{i}^{words(rng, 3)}^LN||{rng.uniform(1, 200):.1f}|mm[Hg]^millimetre of mercury^UCUM|90-140|N|||F|||{stamp(rng)}||{doctor}")
    for i in range(1, 5):
        lines.append(f"AL1|{i}|DA^Drug allergy^HL70127|{7000 + i}^{words(rng, 2)}^RXNORM|SV^Severe^HL70128|{words(rng, 3)}|20200101")
    for i in range(1, 5):
        lines.append(f"DG1|{i}|I10|I{i}0.{i}^{words(rng, 5)}^I10C|{words(rng, 5)}|{stamp(rng)}|W")
    lines.append(f"IN1|1|BAV^Blue Advantage^99INS|IC{n % 9}^^^PAYER^NIIP|{words(rng, 3).title()}|1 Market Street^^Springfield^IL^62701^USA|||GRP{n % 77}")
    while sum(map(len, lines)) < 3900:
        lines.append(f"NTE|1|L|{words(rng, 12)}")
    return lines


def report(rng, n, doctor):
    lines = [f"MSH|^~\\&|LAB|GENHOSP|HUB|GENHOSP|{stamp(rng)}||ORU^R01^ORU_R01|B{n:06d}|P|2.5.1", patient(rng, n), visit(rng, n),
             f"ORC|RE|P{n}^EHR|F{n}^LAB||CM||||{stamp(rng)}|||{doctor}",
             f"OBR|1|P{n}^EHR|F{n}^LAB|58410-2^CBC panel^LN|||{stamp(rng)}|||||||||{doctor}||||||{stamp(rng)}||HM|F"]
    i = 0
    while sum(map(len, lines)) < 3850:
        i += 1
        lines.append(f"OBX|{i}|NM|{700 + i}-{i % 10}^{words(rng, 3)}^LN^L{i}^{words(rng, 2)}^99LAB||{rng.uniform(1, 200):.2f}|mg/dL^milligram per decilitre^UCUM|"
                     f"10.0-20.0|{rng.choice(['N', 'H', 'L'])}|||F|||{stamp(rng)}||{doctor}")
    lines.append(f"SPM|1|S{n}&EHR^S{n}&LAB||BLD^Blood^HL70487|||||||||||||{stamp(rng)}|{stamp(rng)}")
    return lines


def main():
    folder, count = sys.argv[1], int(sys.argv[2])
    size = int(sys.argv[3]) if len(sys.argv) > 3 else 4000
    os.makedirs(folder, exist_ok=True)
    rng = random.Random(20240101)
    for n in range(count):
        if size < 2000:
            lines = short(rng, n, size)
        else:
            lines = admission(rng, n, doctor(rng)) if n % 2 == 0 else report(rng, n, doctor(rng))
        with open(os.path.join(folder, f"bench-{n:04d}.hl7"), "wb") as f:
            f.write(("\r".join(lines) + "\r").encode())


if __name__ == "__main__":
    main()
