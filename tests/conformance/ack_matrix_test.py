#!/usr/bin/env python3
"""MSH-15 x MSH-16 x what becomes of a message x the feed's mode, as HAPI HL7v2's client hears it (HL7 v2.5.1 section
2.9.2 and 2.9.3, table 0155): every answer that is due, in order, none that is not, and each one readable for HAPI.

Needs Java and Maven; says SKIP without.
"""
import base64
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import *  # noqa: E402,F403

CLIENT = os.path.join(ROOT, "tests", "conformance", "hapi_client")
WISHES = ("", "AL", "NE", "ER", "SU")
STAMP = "20240301120000-0500"
PASSWORD = "chartline"


def message(control, accept, application, kind="ADT^A01^ADT_A01", version="2.5.1", processing="P", extra=()):
    head = f"MSH|^~\\&|EHR|GENHOSP|HUB|GENHOSP|{STAMP}||{kind}|{control}|{processing}|{version}|||{accept}|{application}"
    pid = "PID|1||88001^^^GENHOSP^MR||ESPERANZA^Oona||19700101|F"
    return "\r".join([head, f"EVN||{STAMP}", pid, "PV1|1|I|ICU^1^A", *extra, ""]).encode()


def merged_with_itself(*args):
    return message(*args, kind="ADT^A40^ADT_A39", extra=["MRG|88001^^^GENHOSP^MR"])


# outcome: (a message of it, the second letter of its codes, ERR-3 of table 0357)
OUTCOMES = {
    "accepted": (message, "A", None),
    "content fault": (merged_with_itself, "E", "204"),
    "unsupported version": (lambda *args: message(*args, version="9.9"), "R", "203"),
    "unsupported event": (lambda *args: message(*args, kind="ADT^A35^ADT_A30", extra=["MRG|88002^^^GENHOSP^MR"]), "R", "201"),
    "unsupported processing id": (lambda *args: message(*args, processing="T"), "R", "202"),
}


def due(wish, good):
    return wish == "AL" or (wish == "ER" and not good) or (wish == "SU" and good)


def expected(mode, accept, application, letter):
    """The codes of the answers, in order."""
    good = letter == "A"
    if mode == "original" or (mode != "enhanced" and accept == application == ""):
        return ["A" + letter]
    if mode == "enhanced" and accept == application == "":
        accept = "AL"
    if mode == "aa":
        accept, application = "NE", application or "AL"
    return ["C" + letter] * due(accept, good) + ["A" + letter] * due(application, good)


class Client:
    """HAPI in a Java process, told what to send."""

    def __init__(self, hub, way):
        stores = os.path.join(hub.base, "stores")
        if not os.path.isdir(stores):
            os.mkdir(stores)
            made(["openssl", "pkcs12", "-export", "-in", "certs/sender.pem", "-inkey", "certs/sender.key", "-out", f"{stores}/key.p12", "-passout", f"pass:{PASSWORD}"], hub)
            made(["keytool", "-importcert", "-noprompt", "-file", "certs/ca.pem", "-alias", "ca", "-storetype", "PKCS12", "-keystore", f"{stores}/trust.p12",
                  "-storepass", PASSWORD], hub)
        options = [f"-Djavax.net.ssl.{what}Store{part}" for what, name in (("key", "key"), ("trust", "trust"))
                   for part in (f"={stores}/{name}.p12", f"Password={PASSWORD}", "Type=PKCS12")]
        env = {**os.environ, "JAVA_OPTS": " ".join(["-Xmx256m", "-XX:+UseSerialGC", *options])}
        self.process = subprocess.Popen([os.path.join(ROOT, "scripts", "java-tool"), CLIENT, os.path.join(ROOT, "build", "hapi-client"), "chartline.client.HapiClient",
                                         way, "127.0.0.1", str(hub.port)], cwd=hub.base,  # where HAPI leaves its id_file
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True)

    def send(self, content, needed):
        if isinstance(needed, bytes):
            needed = base64.b64encode(needed).decode()
        self.process.stdin.write(base64.b64encode(content).decode() + "\t" + needed + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        check(line.endswith("\n"), "HAPI's client ended")
        return line.rstrip("\n").split("\t")

    def answers(self, content, fence):
        """All answers to CONTENT, in order."""
        lines = self.send(content, fence)
        for line in lines:
            check(not line.startswith("!"), f"HAPI: {line[1:]}")
        return [base64.b64decode(line) for line in lines if line]

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def made(command, hub):
    done = subprocess.run(command, cwd=hub.dir, capture_output=True, text=True)
    check(done.returncode == 0, f"{command[0]}: {done.stderr[-500:]}")


def error_code(answer):
    """ERR-3.1, None without ERR."""
    for segment in answer.split(CR):
        if segment.startswith(b"ERR"):
            return segment.split(b"|")[3].split(b"^")[0].decode()
    return None


def in_mode(mode):
    """Everything twice: a repeat, of what was accepted or refused, is answered as the first time."""
    hub = Hub()
    client = None
    try:
        hub.edit("mode: auto", f"mode: {mode}")
        hub.start()
        client = Client(hub, "transport")
        count = 0
        for outcome, (make, letter, err) in OUTCOMES.items():
            for accept in WISHES:
                for application in WISHES:
                    count += 1
                    content, before = make(f"M{count}", accept, application), None
                    for turn in range(2):
                        fence = message(f"F{count}-{turn}", "", "AL") if mode == "aa" else message(f"F{count}-{turn}", "", "")
                        answers = client.answers(content, fence)
                        where = f"{mode}: {outcome}, MSH-15 '{accept}', MSH-16 '{application}', turn {turn}"
                        codes = [ack_code(a) for a in answers]
                        check(codes == [(c, f"M{count}") for c in expected(mode, accept, application, letter)], f"{where}: {codes}")
                        check(all(error_code(a) == err for a in answers), f"{where}: {[error_code(a) for a in answers]}")
                        check(letter != "A" or before in (None, answers), f"{where}: a duplicate is answered with other bytes")
                        before = answers
        status = hub.caught_up()
        accepted = len(WISHES) ** 2
        check(status["events"] == accepted + 2 * count, f"{status['events']} events")
        check(status["duplicates"] == accepted, f"{status['duplicates']} duplicates")
    finally:
        if client is not None:
            client.close()
        hub.close()


def every_wish_and_outcome_in_mode_auto():
    in_mode("auto")


def every_wish_and_outcome_in_mode_original():
    in_mode("original")


def every_wish_and_outcome_in_mode_enhanced():
    in_mode("enhanced")


def every_wish_and_outcome_in_mode_aa():
    in_mode("aa")


def wait_for(codes, kind):
    return "20000" if any(c[0] == kind for c in codes) else "200"


def hapis_usual_client_gets_an_answer_that_is_due():
    """It knows one answer a message: of two that come together it may see either."""
    hub = Hub()
    client = None
    try:
        hub.start()
        client = Client(hub, "initiator")
        count = 0
        for outcome in ("accepted", "content fault", "unsupported processing id"):
            make, letter, _ = OUTCOMES[outcome]
            for accept in WISHES:
                for application in WISHES:
                    count += 1
                    codes = expected("auto", accept, application, letter)
                    got = client.send(make(f"I{count}", accept, application), "20000" if codes else "100")
                    check(len(got) == 1 and got[0] in (codes or ["none"]), f"{outcome}, MSH-15 '{accept}', MSH-16 '{application}': {got}")
    finally:
        if client is not None:
            client.close()
        hub.close()


def hapis_enhanced_mode_gets_both_answers():
    """What is refused by CR it sends again, for ever: only what it may give up."""
    hub = Hub()
    client = None
    try:
        hub.start()
        client = Client(hub, "processor")
        count = 0
        for outcome in ("accepted", "content fault"):
            make, letter, _ = OUTCOMES[outcome]
            for accept in ("AL", "NE", "ER", "SU"):
                for application in WISHES:
                    count += 1
                    codes = expected("auto", accept, application, letter)
                    got = client.send(make(f"P{count}", accept, application), wait_for(codes, "C") + "," + wait_for(codes, "A"))
                    answer = [c for c in codes if c[0] == "A"] or ["none"]
                    check(got == ["error" if "CE" in codes else "ok", answer[0]], f"{outcome}, MSH-15 '{accept}', MSH-16 '{application}': {got}")
    finally:
        if client is not None:
            client.close()
        hub.close()


def in_the_hubs_own_trouble_nobody_hears_anything_and_nothing_is_lost():
    """A hub without space: no answer whatever was asked for; with space again, the same messages get theirs."""
    hub = Hub()
    client = None
    try:
        hub.edit("{message_bytes: 16MiB,", "{message_bytes: 16MiB, data_bytes: 1B,")
        hub.start()
        wishes = [(a, b) for a in WISHES for b in WISHES]
        client = Client(hub, "initiator")
        for n, (a, b) in enumerate(wishes):
            got = client.send(message(f"T{n}", a, b), "100")
            check(got == ["none"], f"MSH-15 '{a}', MSH-16 '{b}': {got}")
        client.close()
        hub.stop()
        hub.edit("data_bytes: 1B,", "")
        hub.start()
        check(hub.caught_up()["events"] == 0, "something was stored without an answer")
        client = Client(hub, "transport")
        for n, (a, b) in enumerate(wishes):
            codes = [ack_code(x)[0] for x in client.answers(message(f"T{n}", a, b), message(f"TF{n}", "", ""))]
            check(codes == expected("auto", a, b, "A"), f"MSH-15 '{a}', MSH-16 '{b}': {codes}")
    finally:
        if client is not None:
            client.close()
        hub.close()


def java_or_skip():
    tool = [os.path.join(ROOT, "scripts", "java-tool"), CLIENT, os.path.join(ROOT, "build", "hapi-client"), "chartline.client.HapiClient", "none", "127.0.0.1", "1"]
    done = subprocess.run(tool, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode == 77:
        skip_all(done.stderr.strip().removeprefix("SKIP: "))


if __name__ == "__main__":
    java_or_skip()
    main([every_wish_and_outcome_in_mode_auto, every_wish_and_outcome_in_mode_original, every_wish_and_outcome_in_mode_enhanced, every_wish_and_outcome_in_mode_aa,
          hapis_usual_client_gets_an_answer_that_is_due, hapis_enhanced_mode_gets_both_answers,
          in_the_hubs_own_trouble_nobody_hears_anything_and_nothing_is_lost])
