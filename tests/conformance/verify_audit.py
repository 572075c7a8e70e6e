#!/usr/bin/env python3
"""A second verifier of the audit log, written from docs/FORMATS.md alone. Python 3 and nothing else is needed.

verify_audit.py FOLDER [--vkey TEXT|FILE] [--since FILE] [--entries]

Prints what is wrong, a line each; exit code 0: nothing, 1: something, 2: usage.
"""
import argparse
import base64
import hashlib
import json
import os
import re
import sys

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None

WIDTH = 256
DASH = "\u2014 ".encode()

# --- Ed25519 verification, RFC 8032 section 5.1 (slow, complete) ---

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P != 0:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P != 0:
        return None
    return P - x if (x & 1) != sign else x


def point(data):
    y = int.from_bytes(data, "little")
    sign = y >> 255
    y &= (1 << 255) - 1
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def add(a, b):
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    i, j, k, m = f - e, h - g, h + g, f + e
    return (i * j % P, k * m % P, j * k % P, i * m % P)


def multiply(scalar, base):
    out = (0, 1, 1, 0)
    while scalar > 0:
        if scalar & 1:
            out = add(out, base)
        base = add(base, base)
        scalar >>= 1
    return out


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def ed25519_python(public, signature, message):
    a, r = point(public), point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = multiply(s, BASE), add(r, multiply(k, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def ed25519(public, signature, message):
    if len(signature) != 64:
        return False
    if Ed25519PublicKey is None:
        return ed25519_python(public, signature, message)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        return True
    except InvalidSignature:
        return False


# --- texts ---


class Bad(Exception):
    pass


def unbase64(text):
    try:
        out = base64.b64decode(text, validate=True)
    except ValueError as e:
        raise Bad("not base64") from e
    if base64.b64encode(out) != text:
        raise Bad("not the one spelling of base64")
    return out


def name_good(name):
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return text != "" and "+" not in text and not any(c.isspace() or ord(c) < 0x20 or ord(c) == 0x7F for c in text)


class Key:
    def __init__(self, line):
        parts = line.split(b"+", 2)
        if len(parts) != 3 or not name_good(parts[0]) or not re.fullmatch(rb"[0-9a-f]{8}", parts[1]):
            raise Bad("not a verifier key")
        typed = unbase64(parts[2])
        if len(typed) != 33 or typed[0] != 1:
            raise Bad("not an Ed25519 key")
        self.name, self.id, self.public = parts[0], bytes.fromhex(parts[1].decode()), typed[1:]
        if hashlib.sha256(self.name + b"\n" + typed).digest()[:4] != self.id:
            raise Bad("the key's id is not its hash")


class Checkpoint:
    """A signed note that is a checkpoint; `signed` says whether by KEY."""

    def __init__(self, note, key):
        try:
            note.decode("utf-8")
        except UnicodeDecodeError as e:
            raise Bad("not UTF-8") from e
        at = note.rfind(b"\n\n")
        if at < 0 or len(note) > 65536 or any(b < 0x20 and b != 10 for b in note):
            raise Bad("not a note")
        text, lines = note[: at + 1], note[at + 2 :]
        if not lines.endswith(b"\n"):
            raise Bad("not a note")
        self.signed, refused = False, False
        lines = lines[:-1].split(b"\n")
        if len(lines) > 32:
            raise Bad("too many signatures")
        for line in lines:
            words = line[len(DASH) :].split(b" ")
            if not line.startswith(DASH) or len(words) != 2 or not name_good(words[0]):
                raise Bad("not a signature line")
            blob = unbase64(words[1])
            if len(blob) <= 4:
                raise Bad("not a signature line")
            if key is not None and words[0] == key.name and blob[:4] == key.id:
                good = ed25519(key.public, blob[4:], text)
                self.signed, refused = self.signed or good, refused or not good
        self.signed = self.signed and not refused
        head = text[:-1].split(b"\n")
        if len(head) < 3 or b"" in head or not name_good(head[0]) or not re.fullmatch(rb"0|[1-9][0-9]{0,18}", head[1]):
            raise Bad("not a checkpoint")
        self.origin, self.size, self.root = head[0], int(head[1]), unbase64(head[2])
        if len(self.root) != 32 or self.size >= 1 << 62:
            raise Bad("not a checkpoint")


# --- tree ---


def leaf(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def mth(hashes):
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(hashes[:k]) + mth(hashes[k:])).digest()


def tile_path(level, n, width):
    groups = []
    while True:
        groups.insert(0, f"{n % 1000:03d}")
        n //= 1000
        if n == 0:
            break
    name = "/".join(["x" + g for g in groups[:-1]] + groups[-1:])
    return f"tile/{level}/{name}" + (f".p/{width}" if width != WIDTH else "")


def bundle_entries(data):
    entries, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or size == 0 or at + 2 + size > len(data):
            return entries, False
        entries.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return entries, True


class Verifier:
    def __init__(self, folder):
        self.folder, self.findings = folder, []

    def find(self, text):
        self.findings.append(text)

    def read(self, name):
        try:
            with open(os.path.join(self.folder, name), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None

    def tile(self, level, n, width):
        """The file, the full one where a partial one is gone; and whether it must hold WIDTH items exactly."""
        data = self.read(tile_path(level, n, width))
        if data is None and width != WIDTH:
            return self.read(tile_path(level, n, WIDTH)), False
        return data, True

    def hashes(self, level, n, width):
        path = tile_path(level, n, width)
        data, exact = self.tile(level, n, width)
        if data is None:
            self.find(f"{path} is missing")
            return None
        if len(data) != 32 * (width if exact else WIDTH):
            self.find(f"{path} has a wrong length")
            return None
        return [data[32 * i : 32 * i + 32] for i in range(width)]

    def bundle(self, n, width):
        path = tile_path("entries", n, width)
        data, exact = self.tile("entries", n, width)
        if data is None:
            self.find(f"{path} is missing")
            return []
        entries, whole = bundle_entries(data)
        if len(entries) < width or (exact and (not whole or len(entries) != width)):
            self.find(f"{path}: wrong from entry {n * WIDTH + min(len(entries), width)} on")
        return entries[:width]

    def tree(self, checkpoint):
        """All entries, the leaves the level-0 tiles state, and every level against the one below."""
        entries, below = [], []
        for n in range((checkpoint.size + WIDTH - 1) // WIDTH):
            width = min(WIDTH, checkpoint.size - n * WIDTH)
            held = self.bundle(n, width)
            stated = self.hashes(0, n, width) or []
            for i in range(width):
                made = leaf(held[i]) if i < len(held) else None
                if i < len(stated) and made is not None and made != stated[i]:
                    self.find(f"entry {n * WIDTH + i} and its hash do not agree")
            entries += held
            below += [leaf(e) for e in held] if len(held) == width else stated
        leaves, level = below, 1
        while checkpoint.size >> (8 * level):
            count = checkpoint.size >> (8 * level)
            made = [mth(below[i * WIDTH : (i + 1) * WIDTH]) for i in range(count)]
            for n in range((count + WIDTH - 1) // WIDTH):
                stated = self.hashes(level, n, min(WIDTH, count - n * WIDTH)) or []
                for i, h in enumerate(stated):
                    if h != made[n * WIDTH + i]:
                        self.find(f"hash {i} of {tile_path(level, n, len(stated))} is not that of the tile below")
            below, level = made, level + 1
        if mth(leaves) != checkpoint.root:
            self.find("the entries do not give the signed root")
        return entries, leaves

    def superseded(self, size):
        for base, _, files in os.walk(os.path.join(self.folder, "tile")):
            for file in files:
                name = os.path.relpath(os.path.join(base, file), self.folder)
                match = re.fullmatch(r"tile/([0-7]|entries)/((?:x\d{3}/)*\d{3})(?:\.p/([1-9]\d{0,2}))?", name)
                if match is None:
                    if not name.endswith(".new"):
                        self.find(f"{name} does not belong to the log")
                    continue
                level, n = match[1], int(re.sub(r"[x/]", "", match[2]))
                width = int(match[3] or WIDTH)
                hashes = size if level == "entries" else size >> (8 * int(level))
                now = min(WIDTH, max(0, hashes - n * WIDTH))
                if width >= now:
                    continue
                old, new = self.read(name), self.tile(level, n, now)[0]
                if new is None or old is None:
                    continue
                want = new[: 32 * width]
                if level == "entries":
                    want = b"".join(len(e).to_bytes(2, "big") + e for e in bundle_entries(new)[0][:width])
                if old != want:
                    self.find(f"{name}, superseded, does not state what its successor does")

    def state(self, checkpoint):
        data = self.read("state")
        if data is None:
            return
        form = rb"chartline audit state 1\nsize (\d+)\nroot ([0-9a-f]{64})\nrecord \d+\npayload [0-9a-f]{64}\n"
        match = re.fullmatch(form + rb"sum ([0-9a-f]{64})\n", data)
        if match is None or hashlib.sha256(data[: data.rindex(b"sum ")]).hexdigest().encode() != match[3]:
            self.find("the file state is damaged")
        elif int(match[1]) > checkpoint.size:
            self.find("rolled back: the file state knows of more entries")
        elif int(match[1]) == checkpoint.size and bytes.fromhex(match[2].decode()) != checkpoint.root:
            self.find("the file state is not of this checkpoint")

    def keys(self, vkey):
        own, line = None, self.read("vkey")
        try:
            if line is None or not line.endswith(b"\n"):
                raise Bad("missing or cut")
            own = Key(line[:-1])
        except Bad as e:
            self.find(f"the file vkey: {e}")
        if vkey is None:
            return own
        key = Key(vkey)
        if own is not None and (own.name, own.public) != (key.name, key.public):
            self.find("the file vkey is not the remembered key")
        return key

    def checkpoint(self, note, key, what):
        try:
            out = Checkpoint(note, key)
        except Bad as e:
            self.find(f"{what}: {e}")
            return None
        if not out.signed or out.origin != key.name:
            self.find(f"{what} is not signed by the key")
        return out

    def run(self, vkey, since):
        key = self.keys(vkey)
        note = self.read("checkpoint")
        if note is None:
            self.find("the checkpoint is missing")
            return []
        checkpoint = self.checkpoint(note, key, "the checkpoint")
        if checkpoint is None:
            return []
        self.state(checkpoint)
        entries, leaves = self.tree(checkpoint)
        self.superseded(checkpoint.size)
        if since is not None:
            self.since(self.checkpoint(since, key, "the remembered checkpoint"), checkpoint, leaves)
        return entries

    def since(self, since, checkpoint, leaves):
        if since is None or not since.signed:
            return
        if since.size > checkpoint.size:
            self.find(f"rolled back: {checkpoint.size} entries, {since.size} were remembered")
        elif mth(leaves[: since.size]) != since.root:
            self.find(f"forked: the first {since.size} entries are not those that were remembered")


def self_test():
    """The pure Ed25519 against RFC 8032 7.1 test 2, and one changed bit."""
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    if not ed25519_python(public, signature, b"\x72") or ed25519_python(public, signature, b"\x73"):
        raise SystemExit("Ed25519 does not work here")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--vkey", help="the remembered key, its text or a file")
    parser.add_argument("--since", help="a remembered checkpoint")
    parser.add_argument("--entries", action="store_true", help="print the entries")
    args = parser.parse_args()
    self_test()
    vkey = args.vkey
    if vkey is not None:
        if os.path.exists(vkey):
            with open(vkey, "rb") as f:
                vkey = f.read().rstrip(b"\n")
        else:
            vkey = vkey.encode()
    since = None
    if args.since is not None:
        with open(args.since, "rb") as f:
            since = f.read()
    verifier = Verifier(args.folder)
    try:
        entries = verifier.run(vkey, since)
    except Bad as e:
        print(e, file=sys.stderr)
        return 2
    for entry in entries if args.entries else []:
        print(entry.decode())
    for index, entry in enumerate(entries):
        try:
            good = isinstance(json.loads(entry), dict)
        except ValueError:
            good = False
        if not good:
            verifier.find(f"entry {index} is no JSON object")
    for text in verifier.findings:
        print(text)
    print(f"{len(entries)} entries, {len(verifier.findings)} findings" + ("" if args.vkey else ", self-consistent only"))
    return 1 if verifier.findings else 0


if __name__ == "__main__":
    sys.exit(main())
