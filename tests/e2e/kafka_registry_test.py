#!/usr/bin/env python3
"""The hub, real brokers and a real schema registry: what is registered, what is refused and why, a registry that is away, and a
reader of another make."""
import shutil

from harness import *
from kafka_harness import Cluster, needed
from messages import Hospital
from python_packages import python_packages
from registry_harness import *

LOCAL = "bus:       {local: {}}\n"
EVENTS = os.path.join("event", "2026-11.json")

if __name__ == "__main__":
    needed()
    registry_needed()
    python_packages(os.path.join(ROOT, "tests", "kafka", "registry", "requirements.txt"), "registry-python")
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.json_schema import JSONDeserializer
    from confluent_kafka.serialization import MessageField, SerializationContext


class Stage:
    """One cluster and one registry for all tests; each has topics of its own."""
    cluster = registry = None
    count = 0

    @classmethod
    def up(cls):
        if cls.cluster is None:
            cls.registry = Registry()
            cls.cluster = Cluster()
            cls.registry.wait()
        cls.count += 1
        prefix = f"r{cls.count}."
        cls.cluster.allow_roles(prefix=prefix)
        return cls.cluster, cls.registry, prefix

    @classmethod
    def down(cls):
        for one in (cls.cluster, cls.registry):
            if one is not None:
                one.close()


def secret(cluster, text):
    path = os.path.join(cluster.folder, f"registry-{len(os.listdir(cluster.folder))}.secret")
    with open(path, "w", encoding="utf-8", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
        f.write(text)
    return path


def front_of(cluster, registry, **options):
    certs = cluster.certificates
    return Front(registry, certs.path("broker.pem"), certs.path("broker.key"), **options)


def behind(cluster, front, password="registry-secret", ca="ca.pem", certificate=None, more=""):
    certs = cluster.certificates
    tls = f'ca: "{certs.path(ca)}"'
    if certificate:
        tls += f', cert: "{certs.path(certificate + ".pem")}", key: "{certs.path(certificate + ".key")}"'
    return f'url: "{front.url}", tls: {{{tls}}}, username: hub, password: {{file: "{secret(cluster, password)}"}}{more}'


def hub_with(cluster, prefix, settings, schemas=None):
    """Names without certificates and logins where SETTINGS say so."""
    hub = Hub()
    hub.edit(LOCAL, cluster.yaml(extra=f'    prefix: "{prefix}"\n    schema_registry: {{{settings}}}\n'))
    if schemas is not None:
        use_schemas(hub, schemas)
    return hub


def use_schemas(hub, folder):
    path = os.path.join(hub.dir, "hub.yaml")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    check("schema_dir" not in text, "the schemas' folder is named twice")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("hub: {", f'hub: {{schema_dir: "{folder}", ', 1))


def encode(segments):
    return "\r".join(segments).encode() + b"\r"


def send(hub, seed, count=4):
    hospital = Hospital(seed, 3)
    sent = [hospital.adt("A01", n % 3) for n in range(count)]
    check(all(ack_code(a)[0] == "AA" for a in send_all(hub, [encode(m) for m in sent])), "a message is not accepted")
    return count


def until(condition, what, timeout=60):
    limit = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < limit, f"{what}, even after {timeout} s")
        time.sleep(0.1)


def forwarded(hub):
    return until(lambda: (lambda s: s if s["bus"]["lag"] == 0 else None)(hub.json("status")), "the forwarder does not catch up")


def refused(hub, *words):
    """check --connect and run both say each of WORDS; what run said."""
    out = hub.cli("check", "--connect", expect=2)
    check(all(word in out for word in words), f"check says\n{out}\nand not {words}")
    try:
        _, err = run("run", cwd=hub.dir, expect=None, timeout=40)
    except subprocess.TimeoutExpired as e:
        raise Failed(f"{words}: the hub starts all the same\n{(e.stderr or b'').decode()}") from None
    for word in words:
        check(word in out, f"check says\n{out}\nand not {word}")
        check(word in err, f"run says\n{err}\nand not {word}")
    check("registry-secret" not in out + err and "not-it" not in out + err, "a secret is shown")
    return err


def digest_of(hub, partitions=4):
    """Of the state, once this process has all partitions and nothing is left to apply."""
    def whole():
        status = hub.json("status")["timeline"]
        if not status["owned"] == status["ready"] == partitions or status["lag"] + status["identity_lag"] != 0:
            return None
        text = hub.cli("timeline", "--digest", expect=None).strip()
        return text if len(text) == 64 else None
    return until(whole, "the timeline does not catch up")


def check_timeline(cluster, registry, prefix, hub, reader):
    """The timeline's topic likewise; and a store that is gone is put back from it."""
    from jsonschema import Draft7Validator
    digest = digest_of(hub)
    topic = prefix + "timeline"
    version = registry.ask("GET", f"/subjects/{topic}-value/versions/latest")
    validator = Draft7Validator(json.loads(version["schema"]))
    records = cluster.dump(topic)
    kinds = set()
    for _, _, _, value, headers in records:
        if value is not None:
            check(value[0] == 0 and int.from_bytes(value[1:5], "big") == version["id"] and "content-type" not in headers, "no prefix, or another id")
            record = reader(value, SerializationContext(topic, MessageField.VALUE))
            check(validator.is_valid(record), "not as the schema says")
            kinds.add(record.get("kind", "token"))
    check({"patient", "encounter", "token"} <= kinds, f"kinds of records: {kinds}")
    hub.stop()
    shutil.rmtree(os.path.join(hub.dir, "data", "timeline"))
    hub.start()
    again = digest_of(hub)
    check(again == digest, f"the state that comes back from the topic is another one: {again}, not {digest}")
    check(cluster.count(topic) >= len(records), "records of the topic are gone")


def values_carry_the_id_of_their_schema_and_another_reader_reads_them():
    cluster, registry, prefix = Stage.up()
    front = front_of(cluster, registry, client_ca=cluster.certificates.path("ca.pem"))
    hub = hub_with(cluster, prefix, behind(cluster, front, certificate="timeline"))
    try:
        out = hub.cli("check", "--connect", expect=None)
        check("the first start puts it there" in out and front.url not in registry.everything(), f"check says\n{out}")
        check(f"{prefix}events-value" not in registry.ask("GET", "/subjects"), "check has registered something")
        hub.start()
        count = send(hub, 51)
        status = forwarded(hub)
        check(status["bus"]["held"] == 0, f"an event is held back: {status['bus']}")
        subject = prefix + "events-value"
        version = registry.ask("GET", f"/subjects/{subject}/versions/latest")
        check(version["version"] == 1, f"{version['version']} versions")
        check(registry.ask("GET", f"/config/{subject}")["compatibilityLevel"] == "BACKWARD_TRANSITIVE", "the mode")
        with open(os.path.join(ROOT, "schemas", EVENTS), encoding="utf-8") as f:
            check(json.loads(version["schema"]) == json.load(f), "another schema is registered")
        client = SchemaRegistryClient({"url": registry.url})
        reader = JSONDeserializer(None, schema_registry_client=client)
        records = cluster.dump(prefix + "events")
        check(len(records) == count, f"{len(records)} events")
        for _, _, key, value, headers in records:
            check(value[0] == 0 and int.from_bytes(value[1:5], "big") == version["id"], "no prefix, or another id")
            check("content-type" not in headers and b"chartline-id" not in headers, "headers")
            event = reader(value, SerializationContext(prefix + "events", MessageField.VALUE))
            check(event["subject"] == key.decode() and event["id"] == headers["chartline-id"].decode(), "another event")
        try:
            wrong = records[0][3][:-1] + b',"name":"Smith"}'
            reader(wrong, SerializationContext(prefix + "events", MessageField.VALUE))
            raise Failed("the reader checks nothing")
        except Exception as e:  # whichever the library has for it
            check("additional" in str(e).lower(), f"the reader says {e}")
        check(all(value[0] == ord("{") for _, _, _, value, _ in cluster.dump(prefix + "identity")), "identity facts have a prefix")
        check_timeline(cluster, registry, prefix, hub, reader)
        asked = len(front.asked)
        hub.stop()
        hub.start()
        send(hub, 52)
        forwarded(hub)
        check(registry.ask("GET", f"/subjects/{subject}/versions") == [1], "the same schema again is another version")
        check({int.from_bytes(r[3][1:5], "big") for r in cluster.dump(prefix + "events")} == {version["id"]}, "the same schema has two ids")
        check(not any(method == "POST" and path.endswith("/versions") for method, path, _ in front.asked[asked:]), "registered anew")
        out = hub.cli("check", "--connect", expect=0)
        check(f"version 1, id {version['id']}, compatibility BACKWARD_TRANSITIVE" in out, f"check says\n{out}")
        everything = registry.everything().encode() + b"".join(body for _, _, body in front.asked)
        for marker in (b"ABARA", b"BERGSTROM", b"Elm Street", b"5100", b"555-", b"GENHOSP"):
            check(marker not in everything, f"{marker} is in the registry")
    finally:
        hub.close()
        front.close()


def changed_schemas(folder, change):
    """A copy of schemas/ in FOLDER in which CHANGE was done to the event's."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(ROOT, "schemas"), folder)
    path = os.path.join(folder, EVENTS)
    with open(path, encoding="utf-8") as f:
        schema = json.load(f)
    change(schema)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(schema, f)


def a_fitting_change_is_a_version_more_and_another_one_stops_the_start():
    cluster, registry, prefix = Stage.up()
    hub = hub_with(cluster, prefix, f'url: "{registry.url}"')
    subject = prefix + "events-value"
    schemas = os.path.join(hub.base, "schemas")
    try:
        hub.start()
        send(hub, 53)
        forwarded(hub)
        hub.stop()
        changed_schemas(schemas, lambda s: s["properties"].update(note={"type": "string"}))
        use_schemas(hub, schemas)
        out = hub.cli("check", "--connect", expect=0)
        check("the first start puts it there" in out, f"check says\n{out}")
        hub.start()
        send(hub, 54)
        forwarded(hub)
        hub.stop()
        check(registry.ask("GET", f"/subjects/{subject}/versions") == [1, 2], "no version more")
        ids = [registry.ask("GET", f"/subjects/{subject}/versions/{v}")["id"] for v in (1, 2)]
        check({int.from_bytes(r[3][1:5], "big") for r in cluster.dump(prefix + "events")} == set(ids), "values name both versions")
        changed_schemas(schemas, lambda s: s["required"].append("mapping"))
        err = refused(hub, "it does not fit those before it", "compare the subject's versions")
        line = [one for one in err.splitlines() if "it does not fit" in one and "REQUIRED_PROPERTIES_MEMBER_ADDED" in one]
        check(len(line) == 1 and subject in line[0], f"no line with the registry's own reason:\n{err}")
        check(registry.ask("GET", f"/subjects/{subject}/versions") == [1, 2], "it is registered all the same")
        changed_schemas(schemas, lambda s: s["properties"]["id"].update(format="uuid"))
        refused(hub, "a reference that does not stand alone")
        changed_schemas(schemas, lambda s: s["properties"]["policy"].update(format="uuid"))
        refused(hub, "a keyword of the schema that this program does not check")
        changed_schemas(schemas, lambda s: s["properties"].update(note={"type": "string"}))
        hub.start()
        send(hub, 55)
        forwarded(hub)
    finally:
        hub.close()


def a_registry_that_is_away_costs_nobody_a_message():
    cluster, registry, prefix = Stage.up()
    front = front_of(cluster, registry)
    front.shut()
    hub = hub_with(cluster, prefix, behind(cluster, front, more=", timeout: 2s"))
    try:
        out = hub.cli("check", "--connect", expect=2)
        check("the server is not reached" in out, f"check says\n{out}")
        hub.start()
        count = send(hub, 56)
        waiting = until(lambda: (lambda s: s if "trouble" in s["bus"] else None)(hub.json("status")), "status tells nothing")
        check(waiting["bus"]["state"] == "waiting" and "not reached" in waiting["bus"]["trouble"], f"{waiting['bus']}")
        front.open()
        forwarded(hub)
        first = cluster.dump(prefix + "events")
        check(len(first) == count and all(value[0] == 0 for _, _, _, value, _ in first), "values without a prefix left")
        hub.stop()
        front.shut()
        hub.start()
        count += send(hub, 57)
        forwarded(hub)
        check("the schema's id of before is used" in hub.log_tail(), "the log does not say so")
        check(len({value[:5] for _, _, _, value, _ in cluster.dump(prefix + "events")}) == 1, "another id")
        check(cluster.count(prefix + "events") == count, "events")
        hub.stop()
        shutil.rmtree(os.path.join(hub.dir, "data", "registry"))  # as if it had never asked
        hub.start()
        send(hub, 58)
        until(lambda: "not reached" in hub.json("status")["bus"].get("trouble", ""), "it sends without an id")
        check(cluster.count(prefix + "events") == count, "something left without an id")
    finally:
        hub.close()
        front.close()


def refused_logins_name_the_cause():
    cluster, registry, prefix = Stage.up()
    certs = cluster.certificates
    front = front_of(cluster, registry)
    strict = front_of(cluster, registry, client_ca=certs.path("ca.pem"))
    elsewhere = Front(registry, certs.path("hub.pem"), certs.path("hub.key"))  # a certificate for no host's name
    cases = [(behind(cluster, front, password="not-it"), "does not take the login"),
             (behind(cluster, front, ca="stranger-ca.pem"), "not from an authority in tls.ca"),
             (behind(cluster, elsewhere, ca="intermediate.pem"), "certificate is"),
             (behind(cluster, front).replace("https://", "http://"), "ends the connection"),
             (behind(cluster, strict, certificate="expired"), "expired"),
             (behind(cluster, front).replace("/apis/ccompat/v7", "/no/such/path"), "no schema registry answers"),
             (behind(cluster, front).replace("/apis/ccompat/v7", "/no/such/path").replace('username: hub, ', ''), "go together")]
    hub = None
    try:
        for settings, words in cases:
            hub = hub_with(cluster, prefix, settings)
            if words == "ends the connection":  # plain HTTP to a TLS port: like a registry that is away
                out = hub.cli("check", "--connect", expect=2)
                check(words in out, f"check says\n{out}")
            else:
                refused(hub, words)
            hub.close()
        hub = hub_with(cluster, prefix, behind(cluster, strict))
        out = hub.cli("check", "--connect", expect=2)
        check("if it asks for a client certificate" in out, f"without a client certificate check says\n{out}")
        hub.close()
        # one that has worked before is not stopped by a login that is refused now
        hub = hub_with(cluster, prefix, behind(cluster, front))
        hub.start()
        send(hub, 59)
        forwarded(hub)
        hub.stop()
        front.expected = "Basic changed"
        hub.start()
        send(hub, 60)
        forwarded(hub)
        check("does not take the login" in hub.log_tail(), "the log does not say so")
    finally:
        if hub is not None:
            hub.close()
        for one in (front, strict, elsewhere):
            one.close()


def schemas_may_be_put_there_by_others():
    cluster, registry, prefix = Stage.up()
    front = front_of(cluster, registry, token="a-token")
    subject = prefix + "events-value"
    token = secret(cluster, "a-token\n")
    hub = hub_with(cluster, prefix, f'url: "{front.url}", tls: {{ca: "{cluster.certificates.path("ca.pem")}"}}, token: {{file: "{token}"}}, '
                                    "register: false, compatibility: registry")
    try:
        refused(hub, "the schema is not in the registry", "register it there")
        for kind, topic in (("event", "events"), ("timeline", "timeline")):
            with open(os.path.join(ROOT, "schemas", kind, "2026-11.json"), encoding="utf-8") as f:
                schema = json.dumps(json.load(f), sort_keys=True, separators=(",", ":"))
            registry.ask("POST", f"/subjects/{prefix}{topic}-value/versions", {"schemaType": "JSON", "schema": schema})
        mode = registry.ask("GET", f"/config/{subject}", fine=False)
        hub.start()
        send(hub, 61)
        forwarded(hub)
        check(registry.ask("GET", f"/config/{subject}", fine=False) == mode, "the mode was changed")
        check(not any(method == "PUT" or path.endswith("/versions") for method, path, _ in front.asked), "something was put there")
    finally:
        hub.close()
        front.close()


def a_registry_in_plain_text_is_refused_outside_loopback():
    hub = Hub()
    try:
        kafka = 'bus:\n  kafka:\n    brokers: ["localhost:1"]\n    tls: {}\n    schema_registry: {%s}\n'
        hub.edit(LOCAL, kafka % 'url: "http://registry.example:8081"')
        check("plain text" in hub.cli("check", expect=2), "plain text is taken")
        hub.edit('url: "http://registry.example:8081"', 'url: "http://registry.example:8081", insecure: true')
        out = hub.cli("check", expect=None)
        check("warning" in out and "schema registry in plain text" in out and "error" not in out.replace("0 errors", "").replace("no errors", ""), f"check says\n{out}")
    finally:
        hub.close()


if __name__ == "__main__":
    try:
        main([values_carry_the_id_of_their_schema_and_another_reader_reads_them,
              a_fitting_change_is_a_version_more_and_another_one_stops_the_start,
              a_registry_that_is_away_costs_nobody_a_message,
              refused_logins_name_the_cause,
              schemas_may_be_put_there_by_others,
              a_registry_in_plain_text_is_refused_outside_loopback])
    finally:
        Stage.down()
