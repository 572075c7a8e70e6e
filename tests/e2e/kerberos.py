"""A real Kerberos realm on loopback: MIT's KDC as an ordinary process with configuration, database and keytabs in a folder."""
import tempfile

from harness import *
from kafka_harness import skip

REALM = "CHARTLINE.TEST"
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit")


def needed():
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        skip(f"no {', '.join(missing)}; install krb5-kdc, krb5-admin-server, krb5-user and libsasl2-modules-gssapi-mit")


class Kdc:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="chartline-kdc-")
        self.port = free_port()
        self.process = None
        self.write("krb5.conf", f"""[libdefaults]
  default_realm = {REALM}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
[realms]
  {REALM} = {{
    kdc = 127.0.0.1:{self.port}
  }}
[domain_realm]
  localhost = {REALM}
""")
        self.write("kdc.conf", f"""[kdcdefaults]
  kdc_listen = 127.0.0.1:{self.port}
  kdc_tcp_listen = 127.0.0.1:{self.port}
[realms]
  {REALM} = {{
    database_name = {self.path("principal")}
    key_stash_file = {self.path("stash")}
    acl_file = {self.path("acl")}
    max_life = 1h
  }}
[logging]
  kdc = FILE:{self.path("kdc.log")}
""")
        # the hub's ticket cache lies here too, or one of another test would do for a wrong keytab
        self.env = {"PATH": PATH, "KRB5_CONFIG": self.path("krb5.conf"), "KRB5_KDC_PROFILE": self.path("kdc.conf"), "KRB5CCNAME": self.path("tickets")}
        try:
            self.run("kdb5_util", "create", "-s", "-r", REALM, "-P", "only-a-test")
            self.start()
        except BaseException:
            self.close()
            raise

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)

    def run(self, *words):
        done = subprocess.run(words, env={**os.environ, **self.env}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        check(done.returncode == 0, f"{words[0]}: {(done.stdout + done.stderr).decode('utf-8', 'replace')}")

    def start(self):
        self.process = subprocess.Popen(["krb5kdc", "-n", "-r", REALM], env={**os.environ, **self.env}, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        limit = time.monotonic() + 30
        while True:
            try:
                socket_open(self.port)
                return
            except OSError:
                check(self.process.poll() is None and time.monotonic() < limit, "the KDC does not start")
                time.sleep(0.05)

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def principal(self, name):
        """Makes it; the path of a keytab with its key."""
        keytab = self.path(name.replace("/", "-") + ".keytab")
        self.run("kadmin.local", "-r", REALM, "-q", f"addprinc -randkey {name}@{REALM}")
        self.run("kadmin.local", "-r", REALM, "-q", f"ktadd -k {keytab} {name}@{REALM}")
        return keytab

    def forget_tickets(self):
        if os.path.exists(self.path("tickets")):
            os.remove(self.path("tickets"))

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def socket_open(port):
    import socket
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


__all__ = ["Kdc", "REALM", "needed"]
