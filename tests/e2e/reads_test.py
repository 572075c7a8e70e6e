#!/usr/bin/env python3
"""Who looks leaves an entry before anything is shown, sees what the role may see, and cannot disturb the hub by asking."""
import base64
import socket
import stat

from harness import *
from attacks import *

PATIENT = "urn:chartline:ns:NORTH:NORTH|70001"


def started():
    hub = Hub().start()
    sender = hub.connect()
    check(ack_code(sender.exchange(adt("GOOD", extra="AL1|1|DA|1^Quexallergen^L\r")))[0] == "AA", "a good message")
    check(ack_code(sender.exchange(adt("BAD", processing="T")))[0] == "AR", "a refused message")
    sender.close()
    hub.caught_up()
    return hub


def control(hub, timeout=20):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(timeout)
    s.connect(os.path.join(hub.dir, "data", "control.sock"))
    return s


def ask(s, request):
    """The lines of the answer."""
    s.sendall(request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n")
    return read_answer(s)


def read_answer(s):
    data, lines = b"", []
    while True:
        while b"\n" in data:
            line, data = data.split(b"\n", 1)
            lines.append(json.loads(line))
            if "done" in lines[-1] or "error" in lines[-1]:
                return lines
        got = s.recv(65536)
        if not got:
            return lines
        data += got


def reads(hub):
    return [e for e in entries(hub) if e["kind"] == "read"]


def commands(hub):
    message = hub.json("message", "find", "--control-id", "GOOD")[0]["id"]
    letter = hub.json("deadletter", "list")[0]["id"]
    return {"timeline": ["timeline", PATIENT], "list": ["timeline", "--list"], "digest": ["timeline", "--digest", "content"], "patient": ["patient", "find", PATIENT],
            "find": ["message", "find", "--patient", PATIENT], "message": ["message", "show", message], "deadletter": ["deadletter", "show", letter]}


def every_read_leaves_its_entry_with_a_hub_and_without():
    hub = started()
    try:
        asked = commands(hub)
        for offline in (False, True):
            if offline:
                hub.stop()
            for name, args in asked.items():
                for role in ([], hub.as_role("clinician")):
                    if role and name not in ("timeline", "message", "deadletter"):
                        continue
                    before = len(reads(hub))
                    hub.cli(*args, *role)
                    new = reads(hub)[before:]
                    check(new, f"{name}{' offline' if offline else ''} left no entry")
                    check(all(e.get("who") == f"uid {os.getuid()}" for e in new), f"who: {new}")
                    if role:
                        check(any(e.get("role") == "clinician" and e.get("classes") and e.get("purpose") == "TREAT" for e in new), f"{name}: {new}")
            before = len(reads(hub))
            hub.cli("timeline", PATIENT, "--purpose", "HPAYMT", *hub.as_role("frontdesk"))
            check(any(e.get("purpose") == "HPAYMT" and e.get("role") == "frontdesk" for e in reads(hub)[before:]), "the purpose is not in the entry")
            check(NAME not in json.dumps(entries(hub)) and "70001" not in json.dumps(entries(hub)), "an identifier in the audit log")
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def the_entry_is_on_disk_before_the_answer_leaves():
    hub = started()
    try:
        chart = hub.json("patient", "find", PATIENT)[0]["token"]
        for i in range(5):
            before = len(reads(hub))
            s = control(hub)
            s.sendall(json.dumps({"op": "timeline.chart", "patient": chart}).encode() + b"\n")
            got = s.recv(1)  # the first byte of the answer
            hub.kill()
            s.close()
            check(got == b"{", "no answer")
            hub.start()
            check(len(reads(hub)) == before + 1, "an answer left without its entry")
        hub.stop()
        hub.cli("audit", "verify", "--events")
    finally:
        hub.close()


def roles_see_what_is_theirs():
    hub = started()
    try:
        asked = commands(hub)
        for offline in (False, True):
            if offline:
                hub.stop()
            shown = {(name, role): hub.cli(*asked[name], "--json", *(hub.as_role(role) if role else []))
                     for name in ("timeline", "message", "deadletter") for role in (None, "clinician", "frontdesk", "auditor", "insights")}
            for (name, role), text in shown.items():
                original = base64.b64encode(b"PID|1||70001").decode()[4:12]
                allowed = {"clinician": (True, True), "frontdesk": (name != "deadletter", False), "insights": (False, name != "deadletter")}.get(role, (False, False))
                found = (NAME in text, "Quexallergen" in text)
                if name == "deadletter":
                    check((NAME in text) == (role == "clinician"), f"{role} sees a dead letter: {NAME in text}")
                else:
                    check(found == allowed, f"{name} as {role}{' offline' if offline else ''}: name and allergy {found}, not {allowed}")
                if role != "clinician":
                    check(original not in text, f"{role} sees the original of {name}")
            for args in (asked["timeline"], asked["message"], asked["deadletter"]):
                out, err = run(*args, "--role", "clinician", "--key", "keys/roles/frontdesk.key", cwd=hub.dir, expect=1)
                check(out == "" and "key is not the one of this role" in err, f"a wrong key: {out} {err}")
                run(*args, "--role", "nobody", "--key", "keys/roles/frontdesk.key", cwd=hub.dir, expect=1)
                run(*args, "--role", "clinician", "--key", "keys/roles/missing.key", cwd=hub.dir, expect=None)
                run(*args, "--role", "clinician", "--key", "hub.yaml", cwd=hub.dir, expect=None)
        hub.cli("audit", "verify")
    finally:
        hub.close()


def secrets_need_a_proven_role():
    hub = started()
    try:
        token = hub.json("patient", "find", PATIENT)[0]["token"]
        s = control(hub)
        want = {"op": "key.secrets", "tokens": [token], "classes": ["clinical"], "purpose": "TREAT"}
        check("secret" not in ask(s, want)[0], "a secret without a role")
        check("challenge" in ask(s, {"op": "role.challenge", "role": "clinician"})[0], "no challenge")
        check("error" in ask(s, {"op": "role.prove", "answer": base64.b64encode(bytes(32)).decode()})[-1], "a guess proves the role")
        check("secret" not in ask(s, want)[0], "a secret after a wrong proof")
        check("error" in ask(s, {"op": "role.prove", "answer": ""})[-1], "an empty proof")
        check("error" in ask(s, {"op": "role.challenge", "role": "clinician\u0000x"})[-1], "a name with NUL")
        s.close()
    finally:
        hub.close()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def answers_have_their_members_in_order_and_reasons_no_empty_ones():
    hub = started()
    s = control(hub)
    try:
        letter = hub.json("deadletter", "list")[0]
        for request in ({"op": "status"}, {"op": "keys.list"}, {"op": "log.show"}, {"op": "deadletter.list"}, {"op": "timeline.list"}, {"op": "audit.show"},
                        {"op": "message.find", "feed": "mllp"}, {"op": "deadletter.replay", "id": letter["id"]}, {"op": "nothing"}):
            s.sendall(json.dumps(request).encode() + b"\n")
            with s.makefile("rb") as lines:
                for line in lines:
                    answer = json.loads(line)
                    check(canonical(answer) + b"\n" == line, f"{request}: {line}")
                    if "replayed" in answer:
                        check(answer["replayed"]["reason"] == letter["reason"], f"{answer} is not refused as {letter} was")
                    if "done" in answer or "error" in answer:
                        break
    finally:
        s.close()
        hub.close()


def garbage_on_the_control_socket_disturbs_nobody():
    hub = started()
    try:
        path = os.path.join(hub.dir, "data", "control.sock")
        check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "the socket's mode")
        check(stat.S_IMODE(os.stat(os.path.join(hub.dir, "data")).st_mode) & 0o077 == 0, f"the data directory's mode: {oct(os.stat(os.path.join(hub.dir, 'data')).st_mode)}")
        s = control(hub)
        for line in (b"\n", b"{}\n", b"nonsense\n", b"[]\n", b'{"op":1}\n', b'{"op":"nothing"}\n', b'{"op":"status"\n', b"\xff\xfe\0\n", b'{"op":"status","op":"status"}\n',
                     b"[" * 100000 + b"\n", b'{"op":"message.show","id":"' + b"x" * 100000 + b'"}\n', b'{"op":"message.show","id":7}\n', b'{"op":"audit.show","from":-1}\n',
                     b'{"op":"audit.show","count":99999999999999999999}\n', b'{"op":"timeline.chart"}\n', b'{"op":"timeline.chart","patient":"../../etc/passwd"}\n',
                     b'{"op":"timeline.digest","what":"everything"}\n', b'{"op":"key.secrets","tokens":"x"}\n', b'{"op":"message.find","since":"yesterday"}\n',
                     b'{"op":"message.find","control_id":"' + b"\\u0000" * 50 + b'"}\n'):
            try:
                last = ask(s, line)[-1]
            except (OSError, IndexError):
                raise Failed(f"no answer to {line[:40]!r}")
            check("error" in last or line == b'{"op":"status","op":"status"}\n' or b"control_id" in line, f"{line[:40]!r} is answered {str(last)[:80]}")
        check("status" in ask(s, {"op": "status"})[0], "the same connection afterwards")
        s.close()
        s = control(hub)  # a line without end
        for _ in range(40):
            s.sendall(b"z" * 1024 * 1024)
        check(read_answer(s)[-1]["error"]["code"] == "too_large", "a request past the limit")
        s.close()
        noise = control(hub)
        noise.sendall(os.urandom(50000))
        noise.close()
        idle = [control(hub) for _ in range(31)]
        check(hub.json("status")["state"] == "running", "status beside idle clients")
        for c in idle:
            c.close()
        accepted(hub, "AFTER")
        check(memory_kib(hub) < 400 * 1024, "memory")
        no_name_in(hub)
    finally:
        hub.close()


def two_hundred_readers_at_once_are_all_served():
    hub = started()
    try:
        failed = []

        def one(n):
            args = (["status", "--json"], ["timeline", PATIENT, "--json"], ["timeline", "--list", "--json"], ["message", "find", "--feed", "mllp", "--json"])[n % 4]
            done = subprocess.run([PROGRAM, *args], cwd=hub.dir, capture_output=True)
            if done.returncode != 0:
                failed.append(done.stderr.decode())
            else:
                json.loads(done.stdout)
        threads = [threading.Thread(target=one, args=(n,)) for n in range(200)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        check(not failed, f"{len(failed)} of 200 failed: {failed[:1]}")
        accepted(hub, "AFTER")
        hub.stop()
        hub.cli("audit", "verify")
    finally:
        hub.close()


def a_very_long_path_is_no_hindrance():
    base = tempfile.mkdtemp(prefix="chartline-e2e-")
    hub = Hub(base)
    try:
        deep = "/".join(["a" * 60] * 4)
        hub.edit("data_dir: data", f"data_dir: {deep}")
        hub.start()
        accepted(hub, "LONG")
        check(hub.json("status")["events"] == 1 and hub.json("status")["state"] == "running", "status through the socket")
        hub.stop()
        check(hub.json("status")["state"] == "offline", "offline")
    finally:
        hub.close()


def wrong_arguments_end_with_2_and_json_parses():
    hub = started()
    try:
        wrong = [["timeline"], ["timeline", "a", "b"], ["timeline", PATIENT, "--at", "yesterday"], ["timeline", PATIENT, "--role", "clinician"], ["timeline", PATIENT, "--kind", "nonsense"],
                 ["timeline", "--digest", "x", "--list"], ["message", "show"], ["message", "find"], ["message", "find", "--since", "soon"], ["deadletter", "show"], ["deadletter", "list", "x"],
                 ["audit", "show", "--count", "-1"], ["audit", "show", "--count", "many"], ["audit", "verify", "x"], ["keys", "list", "x"], ["keys"],
                 ["status", "x"], ["status", "--nonsense"], ["run", "x"], ["run", "--role", "nothing"], ["run", "--role", ""], ["check", "x"], ["patient", "find"], ["patient"], ["open"], ["seal"],
                 ["send", "mllp://127.0.0.1:1", "x", "--repeat", "-1"], ["send", "mllps://127.0.0.1", "hub.yaml"], ["map", "--format", "nothing", "hub.yaml"], ["init", "a", "b"],
                 ["status", "-c", "certs/ca.pem"], ["status", "-c", "certs"], ["status", "-c"]]
        bad = []
        for args in wrong:
            done = subprocess.run([PROGRAM, *args], cwd=hub.dir, capture_output=True, timeout=20, stdin=subprocess.DEVNULL)
            if done.returncode != 2 or done.stdout != b"" or not done.stderr:
                bad.append(f"{' '.join(args)}: exit {done.returncode}, {done.stdout[:60]!r}, {done.stderr[:100]!r}")
        check(not bad, "\n  ".join(["not a usage error:"] + bad))
        message = hub.json("message", "find", "--control-id", "GOOD")[0]["id"]
        for args in (["status"], ["timeline", "--list"], ["timeline", PATIENT], ["timeline", PATIENT, "--versions"], ["message", "find", "--feed", "mllp"], ["message", "show", message],
                     ["deadletter", "list"], ["audit", "show"], ["audit", "verify"], ["keys", "list"], ["patient", "find", PATIENT], ["check"]):
            done = subprocess.run([PROGRAM, *args, "--json"], cwd=hub.dir, capture_output=True, timeout=20)
            check(done.returncode == 0 and done.stderr == b"", f"{args}: exit {done.returncode} {done.stderr[:200]!r}")
            json.loads(done.stdout)
            plain = subprocess.run([PROGRAM, *args], cwd=hub.dir, capture_output=True, timeout=20)
            check(plain.returncode == 0 and plain.stderr == b"" and b"\x1b" not in plain.stdout and b"\r" not in plain.stdout, f"{args}: something extra in a pipe")
        full = subprocess.run(f"'{PROGRAM}' audit show --json > /dev/full", shell=True, cwd=hub.dir, capture_output=True)
        check(full.returncode == 1, f"output that cannot be written ends with {full.returncode}")
    finally:
        hub.close()


def a_stop_under_load_loses_nothing():
    hub = Hub()
    try:
        hub.edit("idle: 10m", "idle: 10m, drain: 5s")
        for round_ in range(3):
            hub.start()
            acked, stop = [set() for _ in range(4)], threading.Event()

            def load(n):
                try:
                    sender = hub.connect(timeout=10)
                    i = 0
                    while not stop.is_set():
                        for k in range(4):
                            sender.send(adt(f"L{round_}-{n}-{i + k}", mrn=str(72000 + n)))
                        for k in range(4):
                            code, control_ = ack_code(sender.receive())
                            if code == "AA":
                                acked[n].add(control_)
                        i += 4
                except OSError:
                    pass
            threads = [threading.Thread(target=load, args=(n,), daemon=True) for n in range(4)]
            for t in threads:
                t.start()
            time.sleep(0.8)
            hub.process.send_signal(signal.SIGHUP)
            time.sleep(0.1)
            check(hub.process.poll() is None, f"SIGHUP ended the hub: {hub.process.poll()} {hub.log_tail()}")
            begin = time.monotonic()
            hub.stop(timeout=20)
            check(time.monotonic() - begin < 8, f"the stop took {time.monotonic() - begin:.1f} s with drain: 5s")
            stop.set()
            for t in threads:
                t.join(15)
            everything = {c for a in acked for c in a}
            check(len(everything) > 20, "no load")
            status = hub.json("status")
            check(status["state"] == "offline" and status["events"] >= len(everything), f"{len(everything)} acknowledged, {status['events']} events")
            for c in list(everything)[:5]:
                check(len(hub.json("message", "find", "--control-id", c)) == 1, f"{c} is lost")
        hub.cli("audit", "verify", "--events")
        kinds = [e["kind"] for e in entries(hub)]
        check(kinds.count("log-started") == kinds.count("log-stopped") == 3, f"starts and stops: {kinds.count('log-started')} {kinds.count('log-stopped')}")
    finally:
        hub.close()


def hubs_started_twice_at_once_are_one():
    hub = Hub()
    try:
        for _ in range(3):
            both = [subprocess.Popen([PROGRAM, "run"], cwd=hub.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
            wait_for(lambda: any(p.poll() is not None for p in both), "two hubs run on one directory", 20)
            loser = next(p for p in both if p.poll() is not None)
            winner = both[1 - both.index(loser)]
            check(b"ready" in winner.stdout.readline(), "the other one does not run")
            check(loser.returncode == 1 and b"another process" in loser.stderr.read(), "the one that came late")
            accepted(hub, "ONE")
            winner.send_signal(signal.SIGTERM)
            check(winner.wait(20) == 0, "the stop")
            for p in both:
                p.stdout.close()
                p.stderr.close()
        check(hub.json("status")["events"] == 1, "events")
    finally:
        hub.close()


if __name__ == "__main__":
    main([every_read_leaves_its_entry_with_a_hub_and_without, the_entry_is_on_disk_before_the_answer_leaves, roles_see_what_is_theirs, secrets_need_a_proven_role,
          answers_have_their_members_in_order_and_reasons_no_empty_ones, garbage_on_the_control_socket_disturbs_nobody, two_hundred_readers_at_once_are_all_served, a_very_long_path_is_no_hindrance,
          wrong_arguments_end_with_2_and_json_parses, a_stop_under_load_loses_nothing, hubs_started_twice_at_once_are_one])
