#include "src/audit/entry.h"

#include <stdio.h>

#include "src/base/clock.h"
#include "src/codec/encode.h"
#include "src/codec/json.h"
#include "src/crypto/crypto.h"

enum { LIST_BYTES_MAX = HUB_AUDIT_ENTRY_MAX - 12000 }; /* the rest holds every other member, escaped */

static const char *const kind_names[HUB_AUDIT_KIND_COUNT] = {
    [HUB_AUDIT_ACCEPTED] = "message-accepted",
    [HUB_AUDIT_REJECTED] = "message-rejected",
    [HUB_AUDIT_DEAD_LETTERED] = "message-dead-lettered",
    [HUB_AUDIT_REPLAYED] = "message-replayed",
    [HUB_AUDIT_READ] = "read",
    [HUB_AUDIT_KEY_CREATED] = "key-created",
    [HUB_AUDIT_KEY_ROTATED] = "key-rotated",
    [HUB_AUDIT_KEY_GRANTED] = "key-granted",
    [HUB_AUDIT_KEY_REVOKED] = "key-revoked",
    [HUB_AUDIT_KEY_SHREDDED] = "key-shredded",
    [HUB_AUDIT_POLICY_LOADED] = "policy-loaded",
    [HUB_AUDIT_CONFIG_LOADED] = "config-loaded",
    [HUB_AUDIT_LOGIN_REFUSED] = "login-refused",
    [HUB_AUDIT_BREAK_GLASS] = "break-glass",
    [HUB_AUDIT_LOG_STARTED] = "log-started",
    [HUB_AUDIT_LOG_STOPPED] = "log-stopped",
    [HUB_AUDIT_LOG_READ] = "log-read",
    [HUB_AUDIT_FEED_PAUSED] = "feed-paused",
    [HUB_AUDIT_FEED_RESUMED] = "feed-resumed",
    [HUB_AUDIT_LETTER_RESOLVED] = "dead-letter-resolved",
    [HUB_AUDIT_LOG_RETIRED] = "log-retired",

    [HUB_AUDIT_REVISED] = "message-revised",
    [HUB_AUDIT_FEED_REMAPPED] = "feed-remapped",
};

const char *hub_audit_kind_name(enum hub_audit_kind kind)
{
    HUB_ASSERT((unsigned)kind < HUB_AUDIT_KIND_COUNT);
    return kind_names[kind];
}

void hub_audit_begin(struct hub_audit_builder *builder, enum hub_audit_kind kind, int64_t time_us)
{
    HUB_ASSERT((unsigned)kind < HUB_AUDIT_KIND_COUNT);
    builder->kind = kind;
    builder->time_us = time_us;
    builder->count = 0;
    builder->list = NULL;
    builder->list_count = 0;
    builder->list_name = NULL;
}

static bool name_valid(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > 32 || strcmp(name, "kind") == 0 || strcmp(name, "time") == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool letter = name[i] >= 'a' && name[i] <= 'z';
        bool digit = name[i] >= '0' && name[i] <= '9';
        if (!letter && !digit && name[i] != '_')
            return false;
    }
    return true;
}

/* The member NAME, a new one if it is not there yet. */
static struct hub_audit_member *member(struct hub_audit_builder *builder, const char *name)
{
    HUB_ASSERT(name_valid(name));
    for (size_t i = 0; i < builder->count; i++) {
        if (strcmp(builder->members[i].name, name) == 0)
            return &builder->members[i];
    }
    HUB_ASSERT(builder->count < HUB_AUDIT_MEMBERS_MAX);
    struct hub_audit_member *added = &builder->members[builder->count++];
    added->name = name;
    return added;
}

/* VALUE as text that can stand in JSON: cut at a character, no control characters, UTF-8. */
static size_t clean(struct hub_span value, char out[HUB_AUDIT_TEXT_MAX + 1])
{
    size_t len = value.len;
    if (len > HUB_AUDIT_TEXT_MAX) {
        len = HUB_AUDIT_TEXT_MAX;
        while (len > 0 && (value.ptr[len] & 0xC0) == 0x80) /* not inside a UTF-8 sequence */
            len--;
    }
    bool utf8 = hub_utf8_valid(hub_span_of(value.ptr, len));
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = value.ptr[i];
        bool keep = byte >= 0x20 && byte != 0x7F && (utf8 || byte < 0x80);
        out[i] = keep ? (char)byte : '?';
    }
    out[len] = '\0';
    return len;
}

void hub_audit_span(struct hub_audit_builder *builder, const char *name, struct hub_span value)
{
    if (value.len == 0)
        return;
    struct hub_audit_member *to = member(builder, name);
    (void)clean(value, to->text);
    to->number = false;
}

void hub_audit_text(struct hub_audit_builder *builder, const char *name, const char *value)
{
    hub_audit_span(builder, name, hub_span_str(value));
}

void hub_audit_number(struct hub_audit_builder *builder, const char *name, int64_t value)
{
    struct hub_audit_member *to = member(builder, name);
    (void)snprintf(to->text, sizeof to->text, "%lld", (long long)value);
    to->number = true;
}

void hub_audit_list(struct hub_audit_builder *builder, const char *name, const struct hub_span *items, size_t count)
{
    HUB_ASSERT(name_valid(name) && builder->list_name == NULL);
    builder->list_name = name;
    builder->list = items;
    builder->list_count = count;
}

static void write_text(struct hub_buf *out, struct hub_span value)
{
    char text[HUB_AUDIT_TEXT_MAX + 1];
    size_t len = clean(value, text);
    hub_json_write_string(out, hub_span_of(text, len));
}

/* Bytes of VALUE between its quotes: after clean() only these two characters are escaped. */
static size_t escaped_len(struct hub_span value)
{
    size_t len = value.len < HUB_AUDIT_TEXT_MAX ? value.len : HUB_AUDIT_TEXT_MAX;
    size_t escaped = len;
    for (size_t i = 0; i < len; i++)
        escaped += value.ptr[i] == '"' || value.ptr[i] == '\\';
    return escaped;
}

static bool list_fits(const struct hub_audit_builder *builder)
{
    size_t bytes = 0;
    for (size_t i = 0; i < builder->list_count && bytes <= LIST_BYTES_MAX; i++)
        bytes += escaped_len(builder->list[i]) + sizeof "\"\"," - 1;
    return bytes <= LIST_BYTES_MAX;
}

static void write_list_digest(struct hub_buf *out, const struct hub_audit_builder *builder)
{
    struct hub_sha256 state;
    uint8_t hash[HUB_HASH_LEN];
    hub_sha256_init(&state);
    for (size_t i = 0; i < builder->list_count; i++) {
        hub_sha256_update(&state, builder->list[i]);
        hub_sha256_update(&state, HUB_SPAN("\n"));
    }
    hub_sha256_final(&state, hash);
    hub_buf_append_str(out, "{\"count\":");
    hub_buf_append_u64(out, builder->list_count);
    hub_buf_append_str(out, ",\"sha256\":\"");
    hub_encode_append(HUB_HEX, hub_span_of(hash, sizeof hash), out);
    hub_buf_append_str(out, "\"}");
}

static void write_list(struct hub_buf *out, const struct hub_audit_builder *builder)
{
    if (!list_fits(builder)) {
        write_list_digest(out, builder);
        return;
    }
    hub_buf_append_byte(out, '[');
    for (size_t i = 0; i < builder->list_count; i++) {
        if (i != 0)
            hub_buf_append_byte(out, ',');
        write_text(out, builder->list[i]);
    }
    hub_buf_append_byte(out, ']');
}

struct slot {
    const char *name;
    const struct hub_audit_member *member; /* NULL: kind, time or the list */
};

/* RFC 8785 3.2.3: members in the order of their names; ASCII names, so bytewise. */
static size_t sorted_slots(const struct hub_audit_builder *builder, struct slot slots[HUB_AUDIT_MEMBERS_MAX + 3])
{
    size_t count = 0;
    slots[count++] = (struct slot){"kind", NULL};
    slots[count++] = (struct slot){"time", NULL};
    if (builder->list_name != NULL)
        slots[count++] = (struct slot){builder->list_name, NULL};
    for (size_t i = 0; i < builder->count; i++)
        slots[count++] = (struct slot){builder->members[i].name, &builder->members[i]};
    for (size_t i = 1; i < count; i++) {
        struct slot moved = slots[i];
        size_t at = i;
        for (; at > 0 && strcmp(slots[at - 1].name, moved.name) > 0; at--)
            slots[at] = slots[at - 1];
        slots[at] = moved;
    }
    return count;
}

static void write_value(struct hub_buf *out, const struct hub_audit_builder *builder, const struct slot *slot)
{
    if (slot->member != NULL && slot->member->number) {
        hub_buf_append_str(out, slot->member->text);
    } else if (slot->member != NULL) {
        hub_json_write_string(out, hub_span_str(slot->member->text));
    } else if (slot->name == builder->list_name) {
        write_list(out, builder);
    } else if (strcmp(slot->name, "kind") == 0) {
        hub_json_write_string(out, hub_span_str(kind_names[builder->kind]));
    } else {
        char time[HUB_TIME_TEXT_LEN + 1];
        hub_time_format(builder->time_us, time);
        hub_json_write_string(out, hub_span_str(time));
    }
}

void hub_audit_end(struct hub_audit_builder *builder, struct hub_buf *out)
{
    struct slot slots[HUB_AUDIT_MEMBERS_MAX + 3];
    size_t count = sorted_slots(builder, slots);
    size_t start = out->len;
    for (size_t i = 0; i < count; i++) {
        hub_buf_append_byte(out, i == 0 ? '{' : ',');
        hub_json_write_string(out, hub_span_str(slots[i].name));
        hub_buf_append_byte(out, ':');
        write_value(out, builder, &slots[i]);
    }
    hub_buf_append_byte(out, '}');
    HUB_ASSERT(out->failed != HUB_OK || out->len - start <= HUB_AUDIT_ENTRY_MAX);
}

void hub_audit_add(struct hub_audit_builder *builder, struct hub_buf *out)
{
    struct hub_buf entry;
    hub_buf_init(&entry, HUB_AUDIT_ENTRY_MAX, false);
    hub_audit_end(builder, &entry);
    hub_buf_append_be32(out, (uint32_t)entry.len);
    hub_buf_append_span(out, hub_buf_view(&entry));
    if (hub_buf_result(&entry) != HUB_OK)
        out->failed = hub_buf_result(&entry);
    hub_buf_deinit(&entry);
}
