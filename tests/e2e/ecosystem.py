"""What stands around the timeline topic in tests: settings and rights as the documentation shows them, and what a census must come to."""
import re
import socket

from harness import *
from kafka_harness import *

TOPIC = "chartline.timeline"
PARTITIONS = 4


def until(condition, what, timeout=60):
    limit = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < limit, f"{what}, even after {timeout} s")
        time.sleep(0.2)


def kafka_hub(cluster, extra=""):
    """A hub that does everything, its timeline through these brokers."""
    hub = Hub()
    hub.edit("bus:       {local: {}}\n", cluster.yaml(extra=extra))
    return hub


def settled(hub, timeout=90):
    """Waits until the topic has everything that the hub acknowledged: the brokers have it, and a read, which waits for what they have, is answered."""
    def done():
        status = hub.json("status")
        timeline = status["timeline"]
        return status["bus"]["lag"] == 0 and timeline["owned"] == timeline["ready"] == PARTITIONS
    until(done, "the timeline does not settle", timeout)
    request(hub, op="timeline.list")


def request(hub, **members):
    """One request to the hub's control socket; the lines of its answer."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.join(hub.dir, "data", "control.sock"))
        s.sendall(json.dumps(members).encode() + b"\n")
        lines = []
        for line in s.makefile():
            answer = json.loads(line)
            check("error" not in answer, f"{members}: {answer}")
            if "done" in answer:
                return lines
            lines.append(answer)
    raise Failed("the control socket ended in an answer")


def charts_of(hub):
    return [line["chart"]["chart"] for line in request(hub, op="timeline.list")]


def properties(path):
    with open(path, encoding="utf-8") as f:
        return dict(line.rstrip("\n").split("=", 1) for line in f if line.strip() and not line.startswith("#"))


def as_a_site(cluster, example, user, **settings):
    """The settings of a file in docs/examples with this cluster's brokers, certificates and password; they must be in it."""
    shown = properties(os.path.join(ROOT, "docs", "examples", example))
    certificates = cluster.certificates
    if not os.path.exists(certificates.path(f"{user}.store")):
        certificates.issue(user, user)
        certificates.keystore(user)
    secrets = os.path.join(cluster.folder, f"{user}.secrets")
    write(secrets, f"password={cluster.users[user]}\n")
    mine = {"bootstrap.servers": ",".join(cluster.bootstrap()), "ssl.truststore.location": certificates.path("ca.pem"),
            "ssl.keystore.location": certificates.path(f"{user}.store")}
    for name, value in shown.items():
        plain = name.removeprefix("consumer.")
        value = mine.get(plain, value)
        shown[name] = re.sub(r"\$\{file:[^:]*:", "${file:" + secrets + ":", value)
    check(set(settings) <= set(shown), f"{example} does not have {set(settings) - set(shown)}")
    shown.update({name: str(value) for name, value in settings.items()})
    text = "".join(f"{name}={value}\n" for name, value in shown.items())
    check("/etc/" not in text and "/var/" not in text and "kafka-1:" not in text, f"{example}: a site's value was left")
    return write(os.path.join(cluster.folder, f"{user}-{os.path.basename(example)}"), text)


def page():
    with open(os.path.join(ROOT, "docs", "TIMELINE.md"), encoding="utf-8") as f:
        return f.read()


def allow_as_shown(cluster, user):
    """The rights that docs/TIMELINE.md lists for this program, and no others."""
    rows = re.findall(rf"^\| `{user}` \| (topic|group|transactional id) `([^`]+)`( \(prefix\))? \| ([A-Z_, ]+) \|$", page(), re.M)
    check(rows, f"TIMELINE.md lists no rights for {user}")
    for kind, name, prefix, rights in rows:
        cluster.allow(user, kind.split()[0], name, *rights.strip().split(", "), prefixed=bool(prefix))


def shown_command(begin):
    """The words of the command in docs/TIMELINE.md that begins so."""
    found = [line.split() for line in page().splitlines() if line.startswith(begin)]
    check(len(found) == 1, f"TIMELINE.md shows {len(found)} commands {begin!r}")
    return found[0]


def write(path, text):
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as f:
        f.write(text)
    return path


def java_tool(project, name, main):
    """Builds a Maven project once; its class path."""
    target = os.path.join(ROOT, "build", name)
    done = subprocess.run([os.path.join(ROOT, "scripts", "java-tool"), os.path.join(ROOT, project), target, main],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
    if done.returncode == 77 or not os.path.isfile(os.path.join(target, "built")):
        skip(done.stderr.decode("utf-8", "replace").strip().removeprefix("SKIP: ") or "no Java")
    return f"{target}/classes:{target}/lib/*"


def words(resource):
    """The words of a resource's entry extension, the last of each name."""
    for extension in resource.get("extension", []):
        if extension["url"] == "urn:chartline:entry":
            return dict(word.split("=", 1) for word in extension["valueString"].split(" "))
    return {}


def place_of(resource):
    return resource["location"][0]["location"]["reference"] if resource.get("location") else None


def census_of(hub):
    """Location token to charts, from `chartline timeline --json` of every chart; tokens come from the records by their ids."""
    places, census, wards = {}, {}, {}
    for chart in charts_of(hub):
        for record in (line["record"] for line in request(hub, op="timeline.chart", patient=chart) if "record" in line):
            if record["kind"] == "location" and place_of(record["resource"]):
                places[place_of(record["resource"])] = words(record["resource"]).get("location")
    for chart in charts_of(hub):
        shown = json.loads(hub.cli("timeline", chart, "--json", "--kind", "encounter", *hub.as_role("clinician")))
        for entry in shown["entries"]:
            if entry["status"] in ("finished", "cancelled", "planned"):
                continue
            for place in entry["resource"].get("location", []):
                if place["status"] == "active":
                    census.setdefault(places[place["location"]["reference"]], set()).add(chart)
                    wards.setdefault(place["location"]["display"].split()[0], set()).add(chart)
    check(sorted(map(sorted, census.values())) == sorted(map(sorted, wards.values())), f"tokens tell other wards than names: {census} {wards}")
    return census
