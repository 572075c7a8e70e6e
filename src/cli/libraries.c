#include "src/cli/libraries.h"

#include <stdlib.h>

#include "src/bus/bus.h"
#include "src/codec/json.h"
#include "src/codec/yaml.h"
#include "src/crypto/crypto.h"
#include "src/net/http.h"
#include "src/net/net.h"
#include "src/store/kv.h"

/* A library that joins the program brings its row. Upstream's numbers: a distribution that mends an old version in
 * place is told apart by nobody, and chartline is built for those that carry newer ones. */
const struct hub_cli_library hub_cli_libraries[] = {
    {"OpenSSL",
     hub_openssl_version,
     {{"0", "3.0.0", "older than chartline works with"},
      {"3.0.0", "3.0.8", "memory errors in the check of certificates (CVE-2022-3602, CVE-2023-0286)"}}},
    {"libsodium", hub_sodium_version, {{"0", "1.0.18", "older than chartline works with"}}},
    {"RocksDB", hub_rocksdb_version, {{"0", "7.8.0", "older than chartline works with"}}},
    {"libevent", hub_libevent_version, {{"0", "2.1.8", "memory errors in the parsing of addresses (CVE-2016-10196)"}}},
    {"yyjson", hub_yyjson_version, {{"0", "0.9.0", "a memory error (CVE-2024-25713)"}, {"0.9.0", "0.10.0", "older than chartline works with"}}},
    {"libyaml", hub_libyaml_version, {{"0", "0.1.7", "a memory error in the parsing of tags (CVE-2014-2525)"}}},
    {"librdkafka", hub_bus_library, {{"0", "2.8.0", "no login to Kafka 4 with SCRAM, no chains of client certificates (#4895, #4894)"}}},
    {"libcurl", hub_curl_version, {{"0", "7.85.0", "older than chartline works with"}}},
    {NULL, NULL, {{NULL, NULL, NULL}}},
};

bool hub_cli_version_before(const char *a, const char *b)
{
    for (;;) {
        char *a_end = NULL;
        char *b_end = NULL;
        unsigned long x = strtoul(a, &a_end, 10);
        unsigned long y = strtoul(b, &b_end, 10);
        if (x != y)
            return x < y;
        a = *a_end == '.' ? a_end + 1 : "";
        b = *b_end == '.' ? b_end + 1 : "";
        if (*a == '\0' && *b == '\0')
            return false;
    }
}

const char *hub_cli_library_bad(const struct hub_cli_library *library, const char *version)
{
    for (size_t i = 0; i < sizeof library->bad / sizeof library->bad[0] && library->bad[i].why != NULL; i++) {
        const struct hub_cli_library_range *range = &library->bad[i];
        if (!hub_cli_version_before(version, range->from) && hub_cli_version_before(version, range->before))
            return range->why;
    }
    return NULL;
}
