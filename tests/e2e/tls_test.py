#!/usr/bin/env python3
"""Who may connect: every sender without the right certificate is refused and audited, and the hub goes on."""
import socket
import ssl
import warnings

from harness import *
from attacks import *

EXTENSIONS = "[client]\nbasicConstraints=critical,CA:false\nextendedKeyUsage=clientAuth\n[server]\nextendedKeyUsage=serverAuth\n[authority]\nbasicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\n"


def openssl(folder, *args):
    done = subprocess.run(["openssl", *args], cwd=folder, capture_output=True)
    check(done.returncode == 0, f"openssl {args[0]}: {done.stderr.decode()[-500:]}")


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        with open(os.path.join(folder, "ext.cnf"), "w", encoding="ascii") as f:
            f.write(EXTENSIONS)
        with open(os.path.join(folder, f"{name}.cnf"), "w", encoding="ascii") as f:
            f.write(f"[ca]\ndefault_ca=x\n[x]\ndatabase={name}.db\nserial={name}.serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n")
        open(os.path.join(folder, f"{name}.db"), "w", encoding="ascii").close()
        with open(os.path.join(folder, f"{name}.serial"), "w", encoding="ascii") as f:
            f.write("1000\n")
        openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
                "-days", "30", "-subj", f"/CN={name}")

    def issue(self, name, common_name, begin="20200101000000Z", end="20400101000000Z", use="client"):
        openssl(self.folder, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={common_name}")
        openssl(self.folder, "ca", "-batch", "-notext", "-config", f"{self.name}.cnf", "-cert", f"{self.name}.pem", "-keyfile", f"{self.name}.key", "-in", f"{name}.csr",
                "-out", f"{name}.pem", "-startdate", begin, "-enddate", end, "-extfile", "ext.cnf", "-extensions", use)

    def path(self, name):
        return os.path.join(self.folder, name)


def self_signed(folder, name):
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "30", "-subj", "/CN=sender")


def refused(hub, context, message):
    """Connects, sends, and sees no acknowledgement; returns what came instead."""
    got = b""
    try:
        sender = Sender(hub.port, context, 5)
    except OSError:
        return got
    try:
        sender.send(message)
        while True:
            data = sender.socket.recv(4096)
            if not data:
                break
            got += data
    except OSError:
        pass
    finally:
        sender.close()
    check(b"MSA" not in got, "a sender without the right certificate got an answer")
    return got


def with_cert(hub, folder, name):
    context = hub.context(None)
    context.load_cert_chain(os.path.join(folder, f"{name}.pem"), os.path.join(folder, f"{name}.key"))
    return context


def every_wrong_certificate_is_refused_and_audited():
    hub = Hub()
    try:
        certs = os.path.join(hub.base, "made")
        os.mkdir(certs)
        known, stranger = Authority(certs, "known"), Authority(certs, "stranger")
        with open(known.path("known.pem"), "rb") as f, open(os.path.join(hub.dir, "certs", "ca.pem"), "ab") as ca:
            ca.write(f.read())
        known.issue("good", "sender")
        known.issue("other", "someone-else")
        known.issue("expired", "sender", end="20210101000000Z")
        known.issue("early", "sender", begin="20390101000000Z")
        known.issue("server", "sender", use="server")
        stranger.issue("stranger-sender", "sender")
        self_signed(certs, "selfmade")
        hub.start()
        good = Sender(hub.port, with_cert(hub, certs, "good"), 10)
        check(ack_code(good.exchange(adt("GOOD1")))[0] == "AA", "the good certificate is refused")
        cases = [(None, "no client certificate"), ("stranger-sender", "unknown authority"), ("expired", "expired"), ("early", "not yet valid"),
                 ("selfmade", "unknown authority"), ("other", "not allowed"), ("server", "not for clients")]
        for name, reason in cases:
            refused(hub, hub.context(None) if name is None else with_cert(hub, certs, name), adt("EVIL"))
            wait_for(lambda: any(reason in e["reason"] for e in entries(hub, "login-refused")), f"{name}: no entry about {reason!r}", 5)
        check(ack_code(good.exchange(adt("GOOD2")))[0] == "AA", "the good connection suffered")
        good.close()
        status = hub.json("status")
        check(status["events"] == 2 and status["deadletters"] == 0, f"something came in: {status}")
        check(status["feeds"][0]["logins_refused"] == len(cases), f"counted: {status['feeds'][0]}")
        for e in entries(hub, "login-refused"):
            check(e["source"] == "127.0.0.1" and e["feed"] == "mllp" and e["count"] >= 1, f"entry: {e}")
        hub.cli("audit", "verify")
        no_name_in(hub)
    finally:
        hub.close()


def old_tls_and_plain_text_are_refused():
    hub = Hub().start()
    try:
        old = hub.context()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        refused(hub, old, adt("OLD"))
        got = b""
        for plain in (VT + adt("PLAIN") + FS + CR, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 300, os.urandom(3000)):
            s = socket.create_connection(("127.0.0.1", hub.port), timeout=5)
            try:
                s.sendall(plain)
                while True:
                    data = s.recv(4096)
                    if not data:
                        break
                    got += data
            except OSError:
                pass
            s.close()
        check(b"MSA" not in got and b"MSH" not in got, "plain text got an answer")
        wait_for(lambda: sum(e["count"] for e in entries(hub, "login-refused")) >= 5, "not all are audited")
        reasons = {e["reason"] for e in entries(hub, "login-refused")}
        check("no common TLS version" in reasons and "not TLS" in reasons, f"reasons: {reasons}")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = hub.context()
            context.minimum_version = context.maximum_version = version
            sender = Sender(hub.port, context, 5)
            check(ack_code(sender.exchange(adt(f"V{int(version)}")))[0] == "AA", f"{version} is refused")
            sender.close()
        no_name_in(hub)
    finally:
        hub.close()


def a_flood_of_refused_logins_is_counted_in_few_entries():
    hub = Hub().start()
    try:
        for _ in range(300):
            s = socket.create_connection(("127.0.0.1", hub.port), timeout=5)
            s.sendall(b"not TLS at all\r\n")
            try:
                s.recv(100)
            except OSError:
                pass
            s.close()
        wait_for(lambda: sum(e["count"] for e in entries(hub, "login-refused")) >= 300, "not all are counted")
        found = entries(hub, "login-refused")
        check(sum(e["count"] for e in found) == 300, f"counted {sum(e['count'] for e in found)}")
        check(len(found) <= 30, f"{len(found)} entries for one source")
        accepted(hub, "AFTER")
        hub.stop()
        hub.cli("audit", "verify")
    finally:
        hub.close()


def a_refused_login_outlives_a_kill_in_the_same_second():
    hub = Hub()
    try:
        for times in (1, 2, 3):
            hub.start()
            refused(hub, hub.context(None), adt("EVIL"))
            time.sleep(0.2)
            hub.kill()
            hub.start()
            found = entries(hub, "login-refused")
            check(sum(e["count"] for e in found) == times, f"after {times} kills the log has {found}")
            hub.kill()
    finally:
        hub.close()


def unfinished_handshakes_are_closed():
    hub = Hub()
    try:
        hub.edit("idle: 10m", "idle: 1s, frame: 1s")
        hub.start()
        idle = [socket.create_connection(("127.0.0.1", hub.port), timeout=10) for _ in range(50)]
        idle[0].sendall(b"\x16\x03\x01")
        accepted(hub, "BESIDE")
        for s in idle:
            try:
                check(s.recv(10) == b"", "the hub spoke first")
            except ConnectionResetError:
                pass
            s.close()
        wait_for(lambda: hub.json("status")["connections"] == 0, "connections are still counted")
    finally:
        hub.close()


def a_plain_listener_outside_loopback_is_refused():
    hub = Hub()
    try:
        with open(os.path.join(hub.dir, "hub.yaml"), encoding="utf-8") as f:
            line = next(l for l in f if "transport:" in l)
        plain = f'    transport: {{mllp: {{listen: "0.0.0.0:{hub.port}"}}}}\n'
        hub.edit(line, plain)
        out = hub.cli("check", expect=2)
        check("outside loopback" in out and "hub.yaml:" in out, f"check: {out}")
        does_not_start(hub, 2, "outside loopback")
        for address in ("[::]", "0.0.0.0"):
            hub.edit(plain, plain.replace("0.0.0.0", address))
            plain = plain.replace("0.0.0.0", address)
            hub.cli("check", expect=2)
        hub.edit(plain, f'    transport: {{mllp: {{listen: "127.0.0.1:{hub.port}"}}}}\n')
        hub.start()
        sender = Sender(hub.port, None, 5)
        check(ack_code(sender.exchange(adt("LOOP")))[0] == "AA", "plain on loopback")
        sender.close()
        hub.stop()
        hub.edit(f'"127.0.0.1:{hub.port}"', f'"0.0.0.0:{hub.port}", insecure: true')
        check("insecure" in hub.cli("check"), "check says nothing of insecure")
        hub.start()
        hub.stop()
        check("without TLS" in hub.log_tail() or "insecure" in hub.log_tail(), f"the log says nothing of insecure: {hub.log_tail()}")
    finally:
        hub.close()


if __name__ == "__main__":
    if shutil.which("openssl") is None:
        skip_all("no openssl program (package openssl)")
    main([every_wrong_certificate_is_refused_and_audited, old_tls_and_plain_text_are_refused, a_flood_of_refused_logins_is_counted_in_few_entries,
          a_refused_login_outlives_a_kill_in_the_same_second, unfinished_handshakes_are_closed, a_plain_listener_outside_loopback_is_refused])
