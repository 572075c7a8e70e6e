"""The hub's key service, over its control socket (docs/FORMATS.md, "The control socket")."""
import base64
import json
import os
import socket

from sealed import Refused, open_box


class Hub:
    """A connection on which the role is proven. It belongs to one thread."""

    def __init__(self, path, role, role_key, purpose):
        self.purpose = purpose
        self.socket = socket.socket(socket.AF_UNIX)
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_PATH | os.O_DIRECTORY)
        try:  # so that a long path fits into a socket address
            self.socket.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
        finally:
            os.close(folder)
        self.lines = self.socket.makefile("rb")
        challenge = self.ask(op="role.challenge", role=role)[0]["challenge"]
        answer = base64.b64encode(open_box(role_key, challenge)).decode()
        self.classes = self.ask(op="role.prove", answer=answer)[0]["classes"]  # what the role may open now

    def ask(self, **request):
        """Sends one request; the lines of its answer without the last one."""
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        answer = []
        for line in self.lines:
            if line.startswith(b'{"error":{'):
                error = json.loads(line)["error"]
                raise Refused(f"the hub refuses {request['op']}: {error['what']} ({error['code']})")
            if line.startswith(b'{"done":true'):
                return answer
            answer.append(json.loads(line))
        raise Refused("the hub closed the connection")

    def signer(self):
        """The public key that the hub signs its key records with, base64."""
        return next(line["sign_public"] for line in self.ask(op="keys.records") if "sign_public" in line)

    def tokens(self, patient):
        """Tokens of the chart of PATIENT, one to keep first: of SYSTEM|VALUE the hub says them, audited; a token is one already."""
        if "|" not in patient:
            return [patient]
        system, _, value = patient.rpartition("|")
        found = self.ask(op="patient.find", system=system, value=value, purpose=self.purpose)
        if not found:
            raise Refused("no such patient")
        return [found[0]["patient"]["token"], *found[0]["patient"]["tokens"]]

    def secrets(self, tokens, ids):
        """Secrets of patients: (secret id -> P, ids that are shredded). The hub logs it before it answers."""
        given, shredded = {}, set()
        if not self.classes:
            return given, shredded  # nothing could be opened with them
        for line in self.ask(op="key.secrets", tokens=sorted(tokens), ids=sorted(ids), classes=self.classes, purpose=self.purpose):
            if "secret" in line:
                given[line["secret"]["id"]] = base64.b64decode(line["secret"]["secret"])
            elif line["missing"]["code"] == "shredded" and "id" in line["missing"]:
                shredded.add(line["missing"]["id"])
        return given, shredded

    def close(self):
        self.lines.close()
        self.socket.close()
