"""Real Kafka brokers for tests: one or three KRaft nodes on loopback, started in seconds.

Clients log in at a SASL_SSL listener that asks for a certificate too (mTLS and SCRAM, PLAIN or OAUTHBEARER); brokers
and the administrator use a plaintext listener on loopback that nobody else is told of. Rights are enforced. The
administrator (Java, tests/kafka/broker-4) makes users, rights and topics, and reads topics independently of the
program under test.

Java and Maven's central repository are needed once; without them `needed()` skips, and in CI fails.
"""
import base64
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from harness import ROOT, Failed, check, free_port

TOOL = os.path.join(ROOT, "scripts", "java-tool")
BUILD = os.path.join(ROOT, "build")
OPTIONS = ["-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]


def skip(reason):
    if os.environ.get("CI"):
        print(f"FAIL: {reason}; continuous integration must have it")
        sys.exit(1)
    print(f"SKIP: {reason}")
    sys.exit(77)


def fetch(version):
    """The class path of Kafka VERSION (4 or 3); builds and fetches it the first time."""
    paths = []
    for name, main in (("4", "chartline.kafka.Client"), ("3", "chartline.kafka.Version")):
        if name == "3" and version != "3":
            continue
        target = os.path.join(BUILD, f"kafka-{name}")
        arguments = ["/dev/null"] if name == "4" else []
        done = subprocess.run([TOOL, os.path.join(ROOT, "tests", "kafka", f"broker-{name}"), target, main, *arguments],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
        if done.returncode == 77 or not os.path.isdir(os.path.join(target, "lib")):
            skip(done.stderr.decode("utf-8", "replace").strip().removeprefix("SKIP: ") or "no Java")
        paths = [os.path.join(BUILD, "kafka-4", "classes"), os.path.join(target, "lib", "*")]
    return ":".join(paths)


def needed():
    """Ends the test program with SKIP where Kafka cannot run."""
    if shutil.which("java") is None or shutil.which("openssl") is None:
        skip("no Java or no openssl for Kafka; install default-jdk-headless, maven and openssl")
    return fetch("4")


def openssl(*arguments, cwd):
    done = subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True)
    check(done.returncode == 0, f"openssl {arguments[0]}: {done.stderr.decode()}")


class Certificates:
    """An authority, an intermediate one, brokers, and clients good and bad."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder)
        self.authority("ca", "Kafka Test Authority")
        self.authority("stranger-ca", "Some Other Authority")
        self.issue("intermediate", "Kafka Test Intermediate", extension="basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign")
        self.issue("broker", "localhost", extension="subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.issue("hub", "hub", by="intermediate")
        self.chain("hub", "intermediate")
        self.issue("timeline", "timeline")
        self.issue("stranger", "hub", by="stranger-ca")
        self.issue("expired", "hub", until="20210101000000Z")

    def path(self, name):
        return os.path.join(self.folder, name)

    def authority(self, name, subject):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={subject}",
                "-keyout", f"{name}.key", "-out", f"{name}.pem", cwd=self.folder)

    def issue(self, name, subject, by="ca", extension="", until=None):
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={subject}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr", cwd=self.folder)
        with open(self.path("ca.cnf"), "w", encoding="utf-8") as f:
            f.write(f"[ca]\ndefault_ca=c\n[c]\ndatabase={name}.index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n"
                    f"copy_extensions=none\nunique_subject=no\n[p]\ncommonName=supplied\n[e]\n{extension}\n")
        open(self.path(f"{name}.index"), "w", encoding="utf-8").close()
        dates = ["-startdate", "20200101000000Z", "-enddate", until] if until else ["-days", "30"]
        openssl("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", f"{by}.pem", "-keyfile", f"{by}.key", "-in", f"{name}.csr",
                "-out", f"{name}.pem", "-extensions", "e", *dates, cwd=self.folder)
        os.chmod(self.path(f"{name}.key"), 0o600)

    def chain(self, name, above):
        with open(self.path(f"{above}.pem"), encoding="utf-8") as f, open(self.path(f"{name}.pem"), "a", encoding="utf-8") as out:
            out.write(f.read())

    def keystore(self, name):
        """Key (PKCS#8) and certificate in one file, as Kafka's PEM stores want it."""
        openssl("pkcs8", "-topk8", "-nocrypt", "-in", f"{name}.key", "-out", f"{name}.p8", cwd=self.folder)
        with open(self.path(f"{name}.store"), "w", encoding="utf-8") as out:
            for part in (f"{name}.p8", f"{name}.pem"):
                with open(self.path(part), encoding="utf-8") as f:
                    out.write(f.read())
        return self.path(f"{name}.store")


class TokenService:
    """OAuth 2.0 client credentials on loopback: CLIENT with SECRET gets a token that the brokers know by its key."""

    def __init__(self, folder, client, secret):
        self.folder, self.client, self.asked = folder, client, 0
        os.makedirs(folder)
        openssl("genrsa", "-out", "token.key", "2048", cwd=folder)
        modulus = subprocess.run(["openssl", "rsa", "-in", "token.key", "-noout", "-modulus"], cwd=folder, capture_output=True, check=True)
        n = bytes.fromhex(modulus.stdout.decode().strip().split("=")[1])
        self.keys = os.path.join(folder, "jwks.json")
        with open(self.keys, "w", encoding="utf-8") as f:
            json.dump({"keys": [{"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig", "n": self.encode(n), "e": "AQAB"}]}, f)
        expected = "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                good = self.headers.get("authorization") == expected
                body = service.token() if good else {"error": "invalid_client"}
                service.asked += 1
                self.send_response(200 if good else 401)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def encode(data):
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    def token(self):
        now = int(time.time())
        parts = [{"alg": "RS256", "kid": "1", "typ": "JWT"}, {"sub": self.client, "iat": now, "exp": now + 300, "scope": "kafka"}]
        text = ".".join(self.encode(json.dumps(p).encode()) for p in parts)
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", "token.key"], cwd=self.folder, input=text.encode(),
                                   capture_output=True, check=True).stdout
        return {"access_token": f"{text}.{self.encode(signature)}", "token_type": "bearer", "expires_in": 300}

    def settings(self):
        prefix = "listener.name.client.oauthbearer.sasl."
        return {"sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN,OAUTHBEARER",
                prefix + "jaas.config": "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;",
                prefix + "server.callback.handler.class": "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler",
                prefix + "oauthbearer.jwks.endpoint.url": f"file://{self.keys}"}

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Proxy:
    """Passes connections on to a broker, and can cut them: the network between the clients and one broker."""

    def __init__(self, port, target):
        self.target = target
        self.open = True
        self.lock = threading.Lock()
        self.sockets = set()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                if not self.open:
                    raise OSError
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            with self.lock:
                self.sockets |= {client, server}
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self.copy, args=(a, b), daemon=True).start()

    def copy(self, a, b):
        try:
            while True:
                data = a.recv(262144)
                if not data:
                    break
                b.sendall(data)
        except OSError:
            pass
        with self.lock:
            self.sockets -= {a, b}
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def cut(self):
        self.open = False
        with self.lock:
            for s in self.sockets:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def mend(self):
        self.open = True

    def close(self):
        self.cut()
        self.listener.close()


class Node:
    def __init__(self, cluster, number, version):
        self.cluster, self.number, self.version = cluster, number, version
        self.folder = os.path.join(cluster.folder, f"node-{number}")
        os.makedirs(self.folder)
        self.controller, self.internal, self.port = free_port(), free_port(), free_port()
        self.proxy = Proxy(free_port(), self.port) if cluster.proxied else None
        self.advertised = self.proxy.listener.getsockname()[1] if self.proxy else self.port
        self.process = None

    def write(self):
        cluster = self.cluster
        copies = min(3, len(cluster.nodes))
        voters = ",".join(f"{n.number}@127.0.0.1:{n.controller}" for n in cluster.nodes)
        plain = "".join(f'user_{name}="{password}" ' for name, password in cluster.users.items())
        lines = {
            "node.id": self.number,
            "process.roles": "broker,controller",
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listeners": f"CONTROLLER://127.0.0.1:{self.controller},INTERNAL://127.0.0.1:{self.internal},CLIENT://127.0.0.1:{self.port}",
            "advertised.listeners": f"INTERNAL://127.0.0.1:{self.internal},CLIENT://localhost:{self.advertised}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,CLIENT:SASL_SSL",
            "inter.broker.listener.name": "INTERNAL",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
            "listener.name.client.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "listener.name.client.scram-sha-256.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "listener.name.client.plain.sasl.jaas.config": f"org.apache.kafka.common.security.plain.PlainLoginModule required {plain};",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": cluster.keystore,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": cluster.certificates.path("ca.pem"),
            # with SASL only the prefixed name counts (KIP-684)
            "listener.name.client.ssl.client.auth": "required",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "log.dirs": os.path.join(self.folder, "log"),
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": min(2, copies),
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": min(2, copies),
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            "auto.create.topics.enable": "false",
            "num.network.threads": 2,
            "num.io.threads": 4,
            "broker.session.timeout.ms": 6000,
            "replica.lag.time.max.ms": 10000,
            "controlled.shutdown.enable": "true",
        }
        lines.update(cluster.settings)
        if self.version == "3":
            for name in [n for n in lines if n.startswith("share.")]:
                del lines[name]
        with open(os.path.join(self.folder, "server.properties"), "w", encoding="utf-8") as f:
            f.writelines(f"{name}={value}\n" for name, value in lines.items())

    def start(self):
        scram = [f"--add-scram={mechanism}=[name={name},password={password}]" for name, password in self.cluster.users.items()
                 for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256")]
        out = open(os.path.join(self.folder, "out"), "ab")
        self.process = subprocess.Popen(["java", *OPTIONS, *self.cluster.options, "-cp", self.cluster.classpath, "chartline.kafka.Broker",
                                         os.path.join(self.folder, "server.properties"), *scram],
                                        stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=self.folder)
        out.close()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def log(self):
        with open(os.path.join(self.folder, "out"), encoding="utf-8", errors="replace") as f:
            return f.read()[-3000:]


class Cluster:
    """Brokers, with users that log in and what they may do. USERS: name to password."""

    def __init__(self, brokers=1, version="4", users=None, proxied=False, settings=None, options=()):
        self.classpath = fetch(version)
        self.folder = tempfile.mkdtemp(prefix="chartline-kafka-")
        self.users = users or {"hub": "hub-secret", "timeline": "timeline-secret"}
        self.proxied, self.settings, self.options = proxied, settings or {}, options
        self.certificates = Certificates(os.path.join(self.folder, "certs"))
        self.keystore = self.certificates.keystore("broker")
        self.nodes = []
        for number in range(1, brokers + 1):
            self.nodes.append(Node(self, number, version))
        self.admin_process = None
        try:
            for node in self.nodes:
                node.write()
                node.start()
            self.admin_start()
            self.wait(brokers)
        except BaseException:
            self.close()
            raise

    def admin_start(self):
        path = os.path.join(self.folder, "admin.properties")
        with open(path, "w", encoding="utf-8") as f:
            f.write("bootstrap.servers=" + ",".join(f"127.0.0.1:{n.internal}" for n in self.nodes) + "\n")
            f.write("request.timeout.ms=15000\ndefault.api.timeout.ms=30000\n")
        log = open(os.path.join(self.folder, "admin.log"), "ab")
        classpath = f"{os.path.join(BUILD, 'kafka-4', 'classes')}:{os.path.join(BUILD, 'kafka-4', 'lib', '*')}"
        self.admin_process = subprocess.Popen(["java", *OPTIONS, "-cp", classpath, "chartline.kafka.Client", path],
                                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8")
        log.close()

    def admin(self, *words, fine=True):
        """Runs one command; its answer as a list of lists of words. FINE False: the error instead of a failure."""
        self.admin_process.stdin.write("\t".join(str(w) for w in words) + "\n")
        self.admin_process.stdin.flush()
        rows = []
        while True:
            line = self.admin_process.stdout.readline()
            if not line:
                raise Failed("the administrator's client ended: " + self.read("admin.log"))
            line = line.rstrip("\n")
            if line.startswith(">"):
                rows.append(line[1:].split("\t"))
            elif line == "ok":
                return rows
            elif line.startswith("error "):
                if fine:
                    raise Failed(f"{words[0]}: {line}")
                return line

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as f:
            return f.read()[-3000:]

    def wait(self, brokers, timeout=60):
        """Until so many brokers are up and a topic could be made."""
        limit = time.monotonic() + timeout
        while True:
            for node in self.nodes:
                if node.process is not None and node.process.poll() is not None:
                    raise Failed(f"node {node.number} ended\n{node.log()}")
            answer = self.admin("brokers", fine=False)
            if not isinstance(answer, str) and int(answer[0][0]) >= brokers:
                return
            check(time.monotonic() < limit, f"the brokers do not come up: {answer}\n{self.nodes[0].log()}")
            time.sleep(0.2)

    def whole(self, topic, copies, timeout=60):
        """Until every partition of TOPIC has a leader and COPIES replicas in sync."""
        limit = time.monotonic() + timeout
        while True:
            rows = self.admin("leaders", topic, fine=False)
            if not isinstance(rows, str) and all(int(r[1]) >= 0 and int(r[2]) >= copies for r in rows):
                return
            check(time.monotonic() < limit, f"{topic} is not whole: {rows}")
            time.sleep(0.2)

    def bootstrap(self):
        return [f"localhost:{n.advertised}" for n in self.nodes]

    def allow(self, user, kind, name, *operations, prefixed=True):
        self.admin("allow", f"User:{user}", kind, name, "prefixed" if prefixed else "literal", *operations)

    def allow_roles(self, user="hub", roles=("forward", "timeline", "api"), create=True, prefix="chartline."):
        """What docs/OPERATIONS.md grants for these roles."""
        see = ["DESCRIBE", "DESCRIBE_CONFIGS"]
        if "forward" in roles:
            for topic in ("events", "identity", "keys", "deadletter", "audit"):
                self.allow(user, "topic", prefix + topic, "WRITE", *see, prefixed=False)
        if "timeline" in roles:
            for topic, operations in (("events", ["READ"]), ("identity", ["READ"]), ("timeline", ["READ", "WRITE"]), ("alerts", ["WRITE"])):
                self.allow(user, "topic", prefix + topic, *operations, *see, prefixed=False)
            self.allow(user, "group", prefix, "READ")
            self.allow(user, "transactional", prefix, "WRITE", "DESCRIBE")
        if "api" in roles:
            self.allow(user, "topic", prefix + "keys", "READ", *see, prefixed=False)
        if create:
            self.allow(user, "topic", prefix, "CREATE")

    def dump(self, topic, uncommitted=False):
        """Every record: (partition, offset, key, value or None, headers). UNCOMMITTED: also of transactions that are open or came to nothing."""
        def decode(text):
            return None if text == "-" else base64.b64decode(text)
        records = []
        for row in self.admin("dump-all" if uncommitted else "dump", topic):
            headers = {name: decode(value) for name, value in (word.split("=", 1) for word in row[4:])}
            records.append((int(row[0]), int(row[1]), decode(row[2]), decode(row[3]), headers))
        return records

    def stored_bytes(self):
        """Everything that lies in the brokers' log folders."""
        parts = []
        for node in self.nodes:
            for folder, _, names in os.walk(os.path.join(node.folder, "log")):
                for name in (n for n in names if n.endswith(".log")):
                    with open(os.path.join(folder, name), "rb") as f:
                        parts.append(f.read())
        return b"".join(parts)

    def count(self, topic):
        return int(self.admin("count", topic)[0][0])

    def yaml(self, user="hub", password=None, certificate="hub", ca="ca.pem", extra="", mechanism="SCRAM-SHA-512", partitions=4):
        """A `bus:` section for hub.yaml. The password goes to a file beside the certificates."""
        secret = os.path.join(self.folder, f"{user}-{len(os.listdir(self.folder))}.password")
        with open(secret, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(password if password is not None else self.users[user])
        copies = min(3, len(self.nodes))
        tls = f'ca: "{self.certificates.path(ca)}"'
        if certificate is not None:
            tls += f', cert: "{self.certificates.path(certificate + ".pem")}", key: "{self.certificates.path(certificate + ".key")}"'
        brokers = ", ".join(f'"{b}"' for b in self.bootstrap())
        return (f"bus:\n  kafka:\n    brokers: [{brokers}]\n    tls: {{{tls}}}\n"
                f"    sasl: {{mechanism: {mechanism}, username: {user}, password: {{file: \"{secret}\"}}}}\n"
                f"    topics: {{partitions: {partitions}, replicas: {copies}, min_insync: {min(2, copies)}}}\n{extra}")

    def close(self):
        for node in self.nodes:
            if node.process is not None:
                node.process.send_signal(signal.SIGCONT)
            node.kill()
            if node.proxy is not None:
                node.proxy.close()
        if self.admin_process is not None:
            self.admin_process.stdin.close()
            self.admin_process.kill()
            self.admin_process.wait()
            self.admin_process.stdout.close()
        if os.environ.get("CHARTLINE_KEEP"):
            print("kept:", self.folder)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


__all__ = ["Cluster", "Certificates", "Proxy", "TokenService", "needed", "skip"]
