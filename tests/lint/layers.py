#!/usr/bin/env python3
"""Reads every include against the table of allowed edges (DESIGN section 9). Folders hold only if a check holds them."""
import os
import re
import sys

LAYERS = {
    "src/base": 0,
    "src/codec": 1, "src/crypto": 1, "src/store": 1, "src/net": 1, "src/bus": 1,
    "src/config": 2, "src/event": 2, "src/schema": 2, "src/policy": 2,
    "src/protect": 3, "src/log": 3, "src/audit": 3, "src/identity": 3, "src/timeline": 3, "src/query": 3,
    "src/pipeline": 4,
    "src/cli": 5,
}
# Edges inside a layer, beside a folder's own; each says what stands on what.
SIDEWAYS = {
    ("src/event", "src/config"), ("src/schema", "src/config"), ("src/policy", "src/config"), ("src/schema", "src/event"),
    ("src/crypto", "src/codec"), ("src/bus", "src/codec"), ("src/bus", "src/net"), ("src/net", "src/crypto"),
    ("src/audit", "src/log"), ("src/timeline", "src/identity"), ("src/query", "src/protect"),
    ("src/query", "src/timeline"), ("src/query", "src/identity"),
}
ADAPTER_MAY = {"src/base", "src/codec", "src/net", "src/config", "src/event", "src/schema"}
ADAPTER_FILES = {"src/pipeline/adapter.h"}
# One third-party library, one owner module.
OWNERS = {
    "yyjson.h": {"src/codec/json_yyjson.c"},
    "yaml.h": {"src/codec/yaml_libyaml.c"},
    "iconv.h": {"src/codec/charset_iconv.c"},
    "sodium.h": {"src/crypto/crypto_sodium.c"},
    "rocksdb/": {"src/store/kv_rocksdb.c"},
    "event2/": {"src/net/net_libevent.c", "src/net/conn_libevent.c"},
    "openssl/": {"src/net/tls_openssl.c", "src/net/cert_openssl.c", "src/crypto/x509_openssl.c", "src/crypto/crypto_openssl.c"},
    "librdkafka/": {"src/bus/kafka.h"},
    "libxml/": {"src/codec/xml_libxml2.c"},
    "curl/": {"src/net/http_curl.c"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)


def room(path):
    parts = path.split("/")
    return "/".join(parts[:3]) if parts[0] == "adapters" else "/".join(parts[:2])


def edge_allowed(source, target):
    here, there = room(source), room(target)
    if here == there:
        return True
    if here.startswith("adapters/"):
        # a transport and a format know nothing of each other
        return there in ADAPTER_MAY or target in ADAPTER_FILES
    if there.startswith("adapters/"):
        return here == "src/cli"
    if here not in LAYERS or there not in LAYERS:
        return False
    return LAYERS[there] < LAYERS[here] or (here, there) in SIDEWAYS


def main():
    bad = []
    for top in ("src", "adapters"):
        for folder, _, names in os.walk(top):
            for name in sorted(names):
                path = f"{folder}/{name}"
                if not name.endswith((".c", ".h")):
                    continue
                with open(path, encoding="utf-8") as f:
                    text = f.read()
                for kind, target in INCLUDE.findall(text):
                    if kind == '"':
                        if target.endswith(".def"):
                            continue
                        if not os.path.exists(target):
                            bad.append(f"{path}: include \"{target}\" is not rooted at the repository")
                        elif not edge_allowed(path, target):
                            bad.append(f"{path}: {room(path)} must not include {target}")
                        continue
                    for prefix, owners in OWNERS.items():
                        if (target == prefix or (prefix.endswith("/") and target.startswith(prefix))) and path not in owners:
                            bad.append(f"{path}: <{target}> belongs to {', '.join(sorted(owners))}")
    for line in bad:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
