#!/usr/bin/env python3
"""Every command that the documentation shows is run as it stands, in a hub prepared as the page supposes."""
import re
import shlex

from harness import *
from messages import Hospital

PAGES = ["README.md"] + sorted(f"docs/{n}" for n in os.listdir(os.path.join(ROOT, "docs")) if n.endswith(".md"))
# Shown and run elsewhere in this suite, or needing another program around it.
ELSEWHERE = {
    "make demo": "the demo has a test of its own", "make test": "this is it", "make": "the build that made the program",
    "make bench": "measured, not tested", "make docs": "compared by unit_describe_test",
}
RUN = re.compile(r"^(\$ )?(\.\./build/|build/|\./build/)?chartline (?P<rest>.*)$")
LIMIT_S = 30


def commands():
    for page in PAGES:
        with open(os.path.join(ROOT, page), encoding="utf-8") as f:
            blocks = re.findall(r"^```[a-z]*\n(.*?)^```", f.read(), re.M | re.S)
        for block in blocks:
            for line in block.replace("\\\n", " ").split("\n"):
                found = RUN.match(line.strip())
                if found and "..." not in found["rest"]:
                    yield page, found["rest"]


class Stage:
    """A folder with a running hub, its dead letter, sample files, and what an auditor remembered."""

    def __init__(self):
        self.hub = Hub()
        self.folder = self.hub.dir
        hospital = Hospital(9)
        text = "\r".join(hospital.adt("A01", 1)).replace("9-000001", "MSG00017") + "\r"
        for name in ("sample.hl7", "message.hl7", "../sample.hl7"):
            with open(os.path.join(self.folder, name), "w", encoding="utf-8", newline="") as f:
                f.write(text)
        os.makedirs(os.path.join(self.folder, "tests", "mllp"))
        shutil.copy(os.path.join(self.folder, "sample.hl7"), os.path.join(self.folder, "tests", "mllp", "admission.hl7"))
        self.hub.start()
        check(ack_code(send_all(self.hub, [text.encode()])[0])[0] == "AA", "the sample was refused")
        send_all(self.hub, [b"MSH|^~\\&|A|B|C|D|20240101||ADT^A01|BAD1|X|2.5\rPID|1\r"])
        self.hub.caught_up()
        self.message = self.hub.json("message", "find", "--control-id", "MSG00017")[0]["id"]
        self.letter = self.hub.json("deadletter", "list")[0]["id"]
        self.chart = self.hub.json("timeline", "--list")[0]["chart"]
        shutil.copy(os.path.join(self.folder, "keys", "roles", "clinician.key"), os.path.join(self.folder, "clinician.key"))
        shutil.copy(os.path.join(self.folder, "data", "audit", "vkey"), os.path.join(self.folder, "remembered.vkey"))
        with open(os.path.join(self.folder, "remembered.checkpoint"), "w", encoding="utf-8") as f:
            f.write(self.hub.cli("audit", "checkpoint"))

    def fill(self, words):
        letter = words[0] == "deadletter"
        feeds = {"adt-main": "mllp", "NAME": "mllp"}
        out = []
        for word in words:
            word = {"ID": self.letter if letter else self.message, "PATIENT": self.chart, "TOKEN": self.chart, "CHART": self.chart}.get(word, feeds.get(word, word))
            word = word.replace("127.0.0.1:6661", f"127.0.0.1:{self.hub.port}")
            if re.fullmatch(r"(urn:\S+|SYSTEM)\|\S+", word):
                word = f"urn:chartline:ns:GENHOSP:GENHOSP|{Hospital(9).mrn(1)}"
            out.append(word)
        return out


def run_line(stage, line):
    """Runs one shown line; returns what is wrong with it, or None."""
    code = line.split("  #")[0].split(" # ")[0].strip()
    background = code.endswith("&")
    words = shlex.split(code.rstrip("&").strip())
    target = None
    if ">" in words:
        target = words[words.index(">") + 1]
        words = words[:words.index(">")]
    if "&&" in words:
        words = words[:words.index("&&")]
    if words[:1] == ["run"]:
        return None if stage.hub.process.poll() is None else "no hub runs"
    if words[:1] == ["init"]:
        place = os.path.join(stage.hub.base, "made-" + str(time.monotonic_ns()))
        run("init", place)
        return None
    words = stage.fill(words)
    if any("*" in w for w in words):
        words = [w for w in words if "*" not in w] + ["sample.hl7"]
    follows = "--follow" in words or "--watch" in words
    try:
        done = subprocess.run([PROGRAM, *words], cwd=stage.folder, capture_output=True, timeout=3 if follows else LIMIT_S)
    except subprocess.TimeoutExpired:
        return None if follows or background else "does not end"
    if words[:2] == ["deadletter", "replay"] and done.returncode == 1 and b" rejected" in done.stdout:
        return None  # the stage's letter is refused for good reasons
    if done.returncode != 0:
        return f"exit {done.returncode}: {done.stderr.decode('utf-8', 'replace')[:300] or done.stdout.decode('utf-8', 'replace')[:300]}"
    if target:
        with open(os.path.join(stage.folder, target), "wb") as f:
            f.write(done.stdout)
    return None


def every_shown_command_runs():
    stage = Stage()
    wrong, count = [], 0
    try:
        for page, line in commands():
            count += 1
            problem = run_line(stage, line)
            if problem:
                wrong.append(f"{page}: chartline {line}\n    {problem}")
        print(f"{count} commands of {len(PAGES)} pages")
        check(count > 20, "hardly any command was found")
        check(not wrong, "\n" + "\n".join(wrong))
    finally:
        stage.hub.close()


if __name__ == "__main__":
    main([every_shown_command_runs])
