#!/usr/bin/env python3
"""Opens a sealed event with nothing but docs/FORMATS.md, libsodium and, for suite 2, libcrypto: the proof that the page is enough.

usage: open_event.py EVENT.json KEYS.jsonl SIGNER ROLE.key SECRET
  EVENT.json   a CloudEvent as the event log or the bus has it
  KEYS.jsonl   key records, one a line
  SIGNER       the hub's Ed25519 public key, base64
  ROLE.key     the role's secret key file
  SECRET       the patient's secret, 64 hex digits, as the key service gives it
Prints the opened event in canonical form. Exit code 1: something does not verify; 77: libsodium or libcrypto is missing.
"""
import base64
import ctypes
import ctypes.util
import hashlib
import hmac
import json
import re
import sys

SUITES = {"xc20p": 1, "aes256gcm": 2}
CLASSES = ["clear", "identity", "contact", "financial", "clinical", "sensitive", "raw"]
SEALED = "urn:chartline:sealed"


class Masked(Exception):
    """The original refers to a Binary that the role cannot open."""


class Refused(Exception):
    pass


def load_sodium():
    name = ctypes.util.find_library("sodium") or "libsodium.so.23"
    try:
        lib = ctypes.CDLL(name)
    except OSError:
        print("SKIP: libsodium is not installed (Debian: apt install libsodium23)", file=sys.stderr)
        sys.exit(77)
    if lib.sodium_init() < 0:
        raise Refused("libsodium does not start")
    return lib


sodium = load_sodium()


def aead_open(key, nonce, aad, sealed):
    out = ctypes.create_string_buffer(max(len(sealed) - 16, 1))
    rc = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
        out, None, None, sealed, ctypes.c_ulonglong(len(sealed)), aad, ctypes.c_ulonglong(len(aad)), nonce, key)
    if rc != 0:
        raise Refused("a ciphertext, or what stands clear beside it, was changed")
    return out.raw[:len(sealed) - 16]


def load_crypto():
    name = ctypes.util.find_library("crypto") or "libcrypto.so.3"
    try:
        lib = ctypes.CDLL(name)
    except OSError:
        print("SKIP: libcrypto is not installed (Debian: apt install libssl3)", file=sys.stderr)
        sys.exit(77)
    lib.EVP_CIPHER_CTX_new.restype = lib.EVP_aes_256_gcm.restype = ctypes.c_void_p
    return lib


def gcm_open(key, nonce, aad, sealed):
    """AES-256-GCM with a nonce of 12 bytes, the tag behind the ciphertext."""
    lib, got = load_crypto(), ctypes.c_int()
    context = ctypes.c_void_p(lib.EVP_CIPHER_CTX_new())
    body, tag = sealed[:-16], sealed[-16:]
    out = ctypes.create_string_buffer(max(len(body), 1))
    good = (lib.EVP_DecryptInit_ex(context, ctypes.c_void_p(lib.EVP_aes_256_gcm()), None, key, nonce) == 1
            and lib.EVP_DecryptUpdate(context, None, ctypes.byref(got), aad, len(aad)) == 1
            and lib.EVP_DecryptUpdate(context, out, ctypes.byref(got), body, len(body)) == 1
            and lib.EVP_CIPHER_CTX_ctrl(context, 0x11, 16, tag) == 1  # EVP_CTRL_AEAD_SET_TAG
            and lib.EVP_DecryptFinal_ex(context, out, ctypes.byref(ctypes.c_int())) == 1)
    lib.EVP_CIPHER_CTX_free(context)
    if not good:
        raise Refused("a ciphertext, or what stands clear beside it, was changed")
    return out.raw[:len(body)]


def hkdf(key, salt):
    """HKDF-SHA256 (RFC 5869) without info, one block."""
    return hmac.new(hmac.new(salt, key, "sha256").digest(), b"\x01", "sha256").digest()


def box_open(secret, box):
    public = ctypes.create_string_buffer(32)
    sodium.crypto_scalarmult_base(public, secret)
    out = ctypes.create_string_buffer(len(box) - 48)
    if sodium.crypto_box_seal_open(out, box, ctypes.c_ulonglong(len(box)), public, secret) != 0:
        raise Refused("a class key that its role cannot open")
    return out.raw


def verify(public, message, signature):
    if sodium.crypto_sign_verify_detached(signature, message, ctypes.c_ulonglong(len(message)), public) != 0:
        raise Refused("a key record whose signature does not verify")


def public_of(secret):
    out = ctypes.create_string_buffer(32)
    sodium.crypto_scalarmult_base(out, secret)
    return out.raw


def keyed(key, data):
    return hashlib.blake2b(data, key=key, digest_size=32).digest()


class Number(float):
    """A JSON number that keeps its text."""

    def __new__(cls, text):
        self = float.__new__(cls, float(text))
        self.text = text
        return self


def read_json(text):
    return json.loads(text, parse_float=Number, parse_int=Number)


def string(text):
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
    return '"' + "".join(short.get(c) or ("\\u%04x" % ord(c) if ord(c) < 0x20 else c) for c in text) + '"'


def canonical(node):
    if isinstance(node, dict):
        members = sorted(node.items(), key=lambda kv: kv[0].encode())
        return "{" + ",".join(string(k) + ":" + canonical(v) for k, v in members) + "}"
    if isinstance(node, list):
        return "[" + ",".join(map(canonical, node)) + "]"
    if isinstance(node, Number):
        return node.text
    if isinstance(node, str):
        return string(node)
    return {None: "null", True: "true", False: "false"}[node]


def class_keys(lines, signer, role_secret):
    """Key id -> (class, key), of the records sealed to the role."""
    mine, found = public_of(role_secret), {}
    for line in lines:
        record = read_json(line)
        signature = base64.b64decode(record.pop("signature"))
        if base64.b64decode(record["signer"]) != signer:
            raise Refused("a key record of another hub")
        verify(signer, b"chartline key record 1\n" + canonical(record).encode(), signature)
        for grant in record.get("sealed", []):
            if base64.b64decode(grant["public"]) == mine:
                found[record["id"]] = (record["class"], box_open(role_secret, base64.b64decode(grant["box"])))
    return found


def parse_seal(text):
    version, suite, salt, secret_id, *rest = text.split(";")
    if version != "1" or suite not in SUITES:
        raise Refused("a seal of another version")
    classes = {}
    for part in rest:
        name, key_id, commitment = re.fullmatch(r"([a-z]+)@([0-9a-f]{16}):([A-Za-z0-9_-]{43})", part).groups()
        classes[name] = (key_id, base64.urlsafe_b64decode(commitment + "="))
    return SUITES[suite], base64.urlsafe_b64decode(salt + "=="), classes


def prefixed(parts):
    return b"".join(len(p).to_bytes(8, "little") + p for p in parts)


class Opener:
    def __init__(self, event, keys, secret):
        self.event_id, self.subject = event["id"].encode(), event["subject"].encode()
        self.suite, self.salt, self.classes = parse_seal(event["seal"])
        self.keys, self.secret = keys, secret
        self.binaries = []  # by ordinal: `data` of an opened Binary, else None

    def field(self, sealed, resource_id, remainder):
        """Content of one sealed field, None when the role has no key for its class."""
        suite, class_byte, ordinal = sealed[0], sealed[1], sealed[2:6]
        if suite != self.suite or not 1 <= class_byte <= 6:
            raise Refused("not a sealed field")
        name = CLASSES[class_byte]
        if name not in self.classes:
            raise Refused("a class that the seal does not list")
        key_id, commitment = self.classes[name]
        if key_id not in self.keys:
            return None
        field_key = keyed(self.keys[key_id][1], b"chartline field 1" + self.secret)
        if keyed(field_key, b"chartline commit 1" + self.salt) != commitment:
            raise Refused("the key is not the one the seal commits to")
        rest = hashlib.blake2b(canonical(remainder).encode(), digest_size=32).digest()
        aad = prefixed([bytes([suite]), self.event_id, self.subject, bytes([class_byte]), key_id.encode(), resource_id.encode(), rest])
        if suite == 1:
            plain = aead_open(field_key, self.salt + bytes(4) + ordinal, aad, sealed[6:])
        else:
            plain = gcm_open(hkdf(field_key, self.salt), bytes(8) + ordinal, aad, sealed[6:])
        content = plain.rstrip(b"\0")
        if not content.endswith(b"\x80"):
            raise Refused("padding")
        return content[:-1]

    def resource(self, resource):
        if resource["resourceType"] == "Binary":
            return self.binary(resource)
        every = resource.get("extension", [])
        sealed = [e for e in every if e.get("url") == SEALED]
        clear = [e for e in every if e.get("url") != SEALED]
        rest = {k: v for k, v in resource.items() if k != "extension"}
        if clear:
            rest["extension"] = clear
        items, left = [], []
        remainder = read_json(canonical(rest))
        for e in sealed:
            content = self.field(base64.b64decode(e["valueBase64Binary"]), resource["id"], remainder)
            if content is None:
                left.append(e)
            else:
                items += read_json(content.decode())
        put(rest, items)
        if left:
            rest.setdefault("extension", []).extend(left)
        return rest

    def entry(self, resource):
        opened = self.resource(resource)
        is_open = resource["resourceType"] == "Binary" and opened is not resource
        self.binaries.append(opened.get("data") if is_open else None)
        return opened

    def source(self, ordinal, form):
        if ordinal >= len(self.binaries):
            raise Refused("a program that refers to no Binary")
        data = self.binaries[ordinal]
        if data is None:
            raise Masked()
        return data.encode() if form == 1 else base64.b64decode(data)

    def binary(self, resource):
        rest = {k: v for k, v in resource.items() if k != "data"}
        if "data" not in resource:
            return rest
        content = self.field(base64.b64decode(resource["data"]), resource["id"], rest)
        if content is None:
            return resource
        kind, body = content[:1], content[1:]
        if kind == b"T":
            rest["data"] = body.decode()
            return rest
        positions = b""
        if kind == b"P":
            length = int.from_bytes(body[:2], "little")
            positions, body = body[2:2 + length], body[2 + length:]
        elif kind == b"R":
            try:
                positions, body = restore(body, self.source)
            except Masked:
                return resource
        elif kind != b"B":
            raise Refused("a Binary of unknown content")
        if positions:
            rest["contentType"] += ';positions="%s"' % positions.decode()
        rest["data"] = base64.b64encode(body).decode()
        return rest


class Program:
    def __init__(self, content):
        self.content, self.at = content, 0

    def take(self, count):
        if count > len(self.content) - self.at:
            raise Refused("a program that breaks off")
        self.at += count
        return self.content[self.at - count:self.at]

    def le32(self):
        return int.from_bytes(self.take(4), "little")

    def number(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value


def restore(content, source):
    """Positions and bytes of an original message that refers to Binaries."""
    program, out, text, at = Program(content), bytearray(), b"", 0
    positions, length = program.take(program.le32()), program.le32()
    sources = [(program.le32(), program.take(1)[0]) for _ in range(program.le32())]

    def copy(count):
        nonlocal at
        if count > len(text) - at:
            raise Refused("a program that leaves its source")
        out.extend(text[at:at + count])
        at += count

    while program.at < len(content):
        op, number = program.take(1)[0], program.number()
        if op == 1 and number < len(sources):
            text, at = source(*sources[number]), program.number()
        elif op == 2:
            out += program.take(number)
        elif op == 3:
            copy(number)
        elif op == 4:
            count, between = program.number(), program.take(program.number())
            for _ in range(number):
                copy(count)
                out += between
        elif op == 5:
            at += number
        else:
            raise Refused("a program of unknown operations")
    if len(out) != length:
        raise Refused("a program that gives another length")
    return positions, bytes(out)


def tokens_of(path):
    return [t.replace("~1", "/").replace("~0", "~") for t in path.split("/")[1:]]


def parent_of(root, tokens, last_is_list):
    at = root
    for i, token in enumerate(tokens):
        if isinstance(at, list):
            at = at[int(token)]
        else:
            at = at.setdefault(token, [] if last_is_list and i == len(tokens) - 1 else {})
    return at


def put(root, items):
    inserts = []
    for item in items:
        tokens = tokens_of(item[0])
        if len(item) == 2 and tokens[-1].isdigit():
            inserts.append((-len(tokens), int(tokens[-1]), len(inserts), tokens, item[1]))
            continue
        parent = parent_of(root, tokens[:-1], False)
        if len(item) == 2:
            parent[tokens[-1]] = item[1]
        elif isinstance(parent, list):
            del parent[int(tokens[-1])]
        else:
            del parent[tokens[-1]]
    for _, index, _, tokens, value in sorted(inserts, key=lambda i: i[:3]):
        parent_of(root, tokens[:-1], True).insert(index, value)


def read_role_key(path):
    with open(path, encoding="ascii") as f:
        header, body = f.read().split("\n")[:2]
    if not header.startswith("chartline-role-secret-1 "):
        raise Refused("not a role's secret key")
    return base64.b64decode(body)


def main(event_path, keys_path, signer, role_path, secret):
    with open(event_path, encoding="utf-8") as f:
        event = read_json(f.read())
    with open(keys_path, encoding="utf-8") as f:
        keys = class_keys(f.read().splitlines(), base64.b64decode(signer), read_role_key(role_path))
    opener = Opener(event, keys, bytes.fromhex(secret))
    for entry in event["data"]["entry"]:
        entry["resource"] = opener.entry(entry["resource"])
    sys.stdout.write(canonical(event))


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except Refused as reason:
        print("refused:", reason, file=sys.stderr)
        sys.exit(1)
