"""The sealed format, from docs/FORMATS.md ("Sealed events, keys, dead letters") and libsodium alone.

A value is opened with two halves: the key of its data class, which a key record holds in a box for each role, and the
patient's secret, which the hub's key service gives after it has logged who asked. Every failure to verify is `Refused`;
whatever this reader has no key for stays as it is.
"""
import base64
import hashlib
import hmac
import json
import re

from nacl import bindings, exceptions

SUITES = {"xc20p": 1, "aes256gcm": 2}
CLASSES = ["clear", "identity", "contact", "financial", "clinical", "sensitive", "raw"]
SEALED = "urn:chartline:sealed"


class Refused(Exception):
    """Something was changed, or is not what it says it is. Show nothing of it."""


# --- JSON in canonical form ---

class Number:
    """A number as it was written: 1.50 stays 1.50, in the authenticated text and in what is shown."""

    def __init__(self, text):
        self.text = text

    def __eq__(self, other):
        return isinstance(other, Number) and self.text == other.text

    def __int__(self):
        return int(self.text)

    __hash__ = None


def read_json(text):
    return json.loads(text, parse_float=Number, parse_int=Number)


def canonical(node):
    if isinstance(node, dict):
        return "{" + ",".join(f"{canonical(k)}:{canonical(node[k])}" for k in sorted(node)) + "}"
    if isinstance(node, list):
        return "[" + ",".join(map(canonical, node)) + "]"
    return node.text if isinstance(node, Number) else json.dumps(node, ensure_ascii=False)


# --- keys ---

def read_role_key(path):
    """The role's X25519 secret key and its public half."""
    with open(path, encoding="ascii") as f:
        header, body = f.read().split("\n")[:2]
    secret = base64.b64decode(body)
    if not header.startswith("chartline-role-secret-1 ") or len(secret) != 32:
        raise Refused(f"{path} is no role's secret key")
    return bindings.crypto_scalarmult_base(secret), secret


def open_box(role_key, box):
    try:
        return bindings.crypto_box_seal_open(base64.b64decode(box), *role_key)
    except (exceptions.CryptoError, ValueError):
        raise Refused("a box that this role's key does not open") from None


def verify_record(record, signers):
    """A key record, as one of the hubs SIGNERS (Ed25519 public keys, base64) signed it."""
    signed = {name: value for name, value in record.items() if name != "signature"}
    text = b"chartline key record 1\n" + canonical(signed).encode()
    if record.get("signer") not in signers:
        raise Refused("a key record of a hub that is not trusted here")
    try:
        bindings.crypto_sign_open(base64.b64decode(record["signature"]) + text, base64.b64decode(record["signer"]))
    except (exceptions.CryptoError, ValueError, KeyError):
        raise Refused("a key record whose signature does not verify") from None


class Keys:
    """What a role holds: class keys from key records, patients' secrets from the key service."""

    def __init__(self, role_key, signers):
        self.role_key, self.signers = role_key, signers
        self.known = set()  # ids of all class keys there are, for this role or not
        self.classes = {}   # key id -> (class, K)
        self.secrets = {}   # secret id -> P
        self.shredded = {}  # secret id -> subject, of secrets that are gone for good

    def add_record(self, record):
        """One key record; records of kinds that are not known here are passed over."""
        if record.get("kind") not in ("class-key", "shredded"):
            return
        verify_record(record, self.signers)
        if record["kind"] == "shredded":
            self.shredded[record["id"]] = record["subject"]
            self.secrets.pop(record["id"], None)
            return
        self.known.add(record["id"])
        for grant in record["sealed"]:
            if base64.b64decode(grant["public"]) == self.role_key[0] and record["id"] not in self.classes:
                self.classes[record["id"]] = (record["class"], open_box(self.role_key, grant["box"]))


# --- seal and fields ---

class Seal:
    def __init__(self, text):
        version, suite, salt, self.secret_id, *classes = text.split(";")
        if version != "1" or suite not in SUITES:
            raise Refused("a seal of a version that this program does not know")
        self.suite, self.salt = SUITES[suite], unbase64url(salt)
        self.classes = {}  # class -> (key id, commitment)
        for part in classes:
            name, key_id, commitment = re.fullmatch(r"([a-z]+)@([0-9a-f]{16}):([\w-]{43})", part).groups()
            self.classes[name] = (key_id, unbase64url(commitment))


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def blake2b(data, key=b""):
    return hashlib.blake2b(data, key=key, digest_size=32).digest()


def lp(*parts):
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


class Opener:
    """Opens the resources of one event as far as KEYS go."""

    def __init__(self, record, keys):
        self.event, self.subject = record["event"].encode(), record["subject"].encode()
        self.seal, self.keys = Seal(record["seal"]), keys

    def field_key(self, name):
        """F of a class, checked against the commitment before anything is decrypted; None without a key."""
        key_id, commitment = self.seal.classes[name]
        secret = self.keys.secrets.get(self.seal.secret_id)
        if key_id not in self.keys.classes or secret is None:
            return None
        class_name, class_key = self.keys.classes[key_id]
        key = blake2b(b"chartline field 1" + secret, class_key)
        if class_name != name or not hmac.compare_digest(blake2b(b"chartline commit 1" + self.seal.salt, key), commitment):
            raise Refused("a key that is not the one the seal commits to")
        return key

    def field(self, data, resource_id, remainder):
        """The content of one sealed field; None when there is no key for its class."""
        if len(data) < 6 + 16 or data[0] != self.seal.suite or not 1 <= data[1] <= 6:
            raise Refused("not a sealed field of this seal")
        name, ordinal = CLASSES[data[1]], data[2:6]
        if name not in self.seal.classes:
            raise Refused("a class that the seal does not list")
        key = self.field_key(name)
        if key is None:
            return None
        aad = lp(data[:1], self.event, self.subject, data[1:2], self.seal.classes[name][0].encode(), resource_id.encode(),
                 blake2b(canonical(remainder).encode()))
        try:
            if self.seal.suite == 1:
                plain = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(data[6:], aad, self.seal.salt + bytes(4) + ordinal, key)
            else:  # HKDF-SHA256, one block
                key = hmac.digest(hmac.digest(self.seal.salt, key, "sha256"), b"\x01", "sha256")
                plain = bindings.crypto_aead_aes256gcm_decrypt(data[6:], aad, bytes(8) + ordinal, key)
        except exceptions.CryptoError:
            raise Refused("a ciphertext, or what stands clear beside it, was changed") from None
        content = plain.rstrip(b"\0")
        if not content.endswith(b"\x80"):
            raise Refused("a field without its padding")
        return content[:-1]

    def resource(self, resource):
        """A copy of RESOURCE, opened; the rest of it is still masked."""
        if resource["resourceType"] == "Binary":
            return self.binary(resource)
        extensions = resource.get("extension", [])
        sealed = [e for e in extensions if e.get("url") == SEALED]
        opened = read_json(canonical(resource))  # a copy: the stored record stays as it is
        keep(opened, [e for e in extensions if e.get("url") != SEALED])
        remainder = read_json(canonical(opened))
        items, closed, seen = [], [], set()
        for extension in sealed:
            data = base64.b64decode(extension["valueBase64Binary"])
            if data[1] in seen:
                raise Refused("two fields of one class")
            seen.add(data[1])
            content = self.field(data, resource["id"], remainder)
            if content is None:
                closed.append(extension)
            else:
                items.append((data[1], read_json(content)))
        put_back(opened, [item for _, some in sorted(items, key=lambda i: i[0]) for item in some])
        if closed:
            opened["extension"] = opened.get("extension", []) + closed
        return opened

    def binary(self, resource):
        """A Binary is sealed as a whole: its data is the field."""
        opened = {name: value for name, value in resource.items() if name != "data"}
        content = self.field(base64.b64decode(resource["data"]), resource["id"], opened) if "data" in resource else None
        if content is None or content[:1] == b"R":  # R: an original message, which needs its whole event
            return dict(resource)
        kind, body = content[:1], content[1:]
        if kind == b"P":
            length = int.from_bytes(body[:2], "little")
            opened["contentType"] += f';positions="{body[2:2 + length].decode()}"'
            body = body[2 + length:]
        elif kind not in (b"B", b"T"):
            raise Refused("a Binary of a kind that this program does not know")
        opened["data"] = body.decode() if kind == b"T" else base64.b64encode(body).decode()
        return opened


def keep(resource, extensions):
    resource.pop("extension", None)
    if extensions:
        resource["extension"] = extensions


# --- putting opened items back ---

def tokens_of(path):
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def step(node, token, missing):
    """The member TOKEN of an object, made when it is not there, or the item of a list."""
    return node[int(token)] if isinstance(node, list) else node.setdefault(token, missing)


def put_back(resource, items):
    inserts = []
    for path, *value in items:
        *way, last = tokens_of(path)
        if value and last.isdigit():
            inserts.append((-len(way), int(last), way, value[0]))
            continue
        parent = resource
        for token in way:
            parent = step(parent, token, {})
        if value:
            parent[last] = value[0]
        else:
            del parent[int(last) if isinstance(parent, list) else last]
    for _, index, way, value in sorted(inserts, key=lambda i: i[:2]):
        parent = resource
        for token in way[:-1]:
            parent = step(parent, token, {})
        step(parent, way[-1], []).insert(index, value)
