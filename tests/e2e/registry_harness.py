"""A real schema registry (Apicurio, Confluent's API) on loopback, and a front before it that asks for a certificate, a user
and a password or a token, as sites have it; Apicurio has none of these in this mode.

Fetched once by Maven; without it `registry_needed()` skips, and in CI fails.
"""
import base64
import fcntl
import glob
import http.client
import http.server
import json
import os
import shutil
import ssl
import subprocess
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request

from harness import ROOT, Failed, check, free_port, skip_all

FOLDER = os.path.join(ROOT, "build", "registry")
PATH = "/apis/ccompat/v7"


def registry_needed():
    """Ends the test program with SKIP where the registry cannot run."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        skip_all("no Java or no Maven for the schema registry; install default-jdk-headless and maven")
    os.makedirs(FOLDER, exist_ok=True)
    with open(FOLDER + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if jar() is None:
            project = os.path.join(ROOT, "tests", "kafka", "registry", "pom.xml")
            done = subprocess.run(["mvn", "-q", "-B", "-f", project, "dependency:copy", f"-DoutputDirectory={FOLDER}"],
                                  stdin=subprocess.DEVNULL, capture_output=True)
            archives = glob.glob(os.path.join(FOLDER, "*.tar.gz"))
            if done.returncode != 0 or not archives:
                skip_all("Maven cannot fetch the schema registry (io.apicurio:apicurio-registry-app)")
            with tarfile.open(archives[0]) as archive:
                archive.extractall(os.path.join(FOLDER, "app.part"))
            os.rename(os.path.join(FOLDER, "app.part"), os.path.join(FOLDER, "app"))
            os.unlink(archives[0])


def jar():
    found = glob.glob(os.path.join(FOLDER, "app", "*-runner.jar"))
    return found[0] if found else None


class Registry:
    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{PATH}"
        self.folder = tempfile.mkdtemp(prefix="chartline-registry-")
        self.out = os.path.join(self.folder, "out")
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen(["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", jar()],
                                            env={**os.environ, "QUARKUS_HTTP_HOST": "127.0.0.1", "QUARKUS_HTTP_PORT": str(self.port)},
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder)

    def wait(self, timeout=300):
        """Until it answers. It starts slowly on a machine that is busy."""
        limit = time.monotonic() + timeout
        while True:
            try:
                return self.ask("GET", "/subjects")
            except (OSError, http.client.HTTPException):
                pass
            if self.process.poll() is not None or time.monotonic() > limit:
                with open(self.out, encoding="utf-8", errors="replace") as f:
                    raise Failed("the schema registry does not come up\n" + f.read()[-2000:])
            time.sleep(0.2)

    def ask(self, method, path, body=None, fine=True):
        """The answer; FINE False: (status, answer)."""
        request = urllib.request.Request(self.url + path, method=method, data=json.dumps(body).encode() if body is not None else None,
                                         headers={"content-type": "application/vnd.schemaregistry.v1+json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as e:
            status, text = e.code, e.read()
        value = json.loads(text) if text else None
        if not fine:
            return status, value
        if status != 200:
            raise http.client.HTTPException(f"{method} {path}: {status} {value}")
        return value

    def everything(self):
        """All that it holds, as text."""
        parts = []
        for subject in self.ask("GET", "/subjects"):
            for version in self.ask("GET", f"/subjects/{subject}/versions"):
                parts.append(json.dumps(self.ask("GET", f"/subjects/{subject}/versions/{version}")))
        return "\n".join(parts)

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Front:
    """TLS and a login before REGISTRY. Remembers what was asked of it."""

    def __init__(self, registry, certificate, key, client_ca=None, login=("hub", "registry-secret"), token=None):
        self.registry, self.asked = registry, []
        self.expected = "Bearer " + token if token else "Basic " + base64.b64encode(":".join(login).encode()).decode()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        if client_ca is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)
        self.port = free_port()
        self.url = f"https://localhost:{self.port}{PATH}"
        self.server = None
        self.open()

    def open(self):
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def setup(self):
                self.request.settimeout(20)
                self.request.do_handshake()
                super().setup()

            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                front.asked.append((self.command, self.path, body))
                if self.headers.get("authorization") != front.expected:
                    return self.reply(401, "application/json", b'{"error_code":401,"message":"Unauthorized"}')
                onward = http.client.HTTPConnection("127.0.0.1", front.registry.port, timeout=60)
                onward.request(self.command, self.path, body, {n: v for n, v in self.headers.items() if n.lower() in ("accept", "content-type")})
                got = onward.getresponse()
                self.reply(got.status, got.getheader("content-type") or "application/json", got.read())
                onward.close()

            def reply(self, status, kind, body):
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):  # refused handshakes are what some tests are about
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def shut(self):
        """Away, until it is opened again."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def close(self):
        self.shut()


__all__ = ["Registry", "Front", "registry_needed"]
