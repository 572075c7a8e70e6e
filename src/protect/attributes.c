/* Members of the CloudEvent that say what the message said of itself: the same for a sealed event and for one that is
 * only compared. */
#include "src/protect/seal_internal.h"

void hub_attribute_write(struct hub_buf *json, const char *name, struct hub_span text)
{
    hub_buf_append_str(json, ",\"");
    hub_buf_append_str(json, name);
    hub_buf_append_str(json, "\":");
    hub_json_write_string(json, text);
}

/* RFC 3339 with zone: as sent where it is that, else the start of what was sent, in UTC. */
static void write_time(struct hub_buf *json, const char *name, const struct hub_when *when)
{
    char text[HUB_TIME_TEXT_LEN + 1];
    int64_t us;
    if (when->text.len != 0 && hub_time_parse((const char *)when->text.ptr, when->text.len, &us) == 0) {
        hub_attribute_write(json, name, when->text);
        return;
    }
    hub_time_format(when->us, text);
    hub_attribute_write(json, name, hub_span_str(text));
}

void hub_attribute_times(const struct hub_event *event, const struct hub_decoded *message, int64_t received_us,
                         struct hub_buf *json)
{
    const struct hub_when received = {HUB_SPAN_NONE, received_us};
    if (event->time.text.len != 0 || event->time.us != 0) {
        write_time(json, "time", &event->time);
        hub_attribute_write(json, "timesource",
                            hub_span_str(event->time_source != NULL ? event->time_source : "received"));
    } else if (message->message_time.text.len != 0) {
        write_time(json, "time", &message->message_time);
        hub_attribute_write(json, "timesource", HUB_SPAN("MSH-7"));
    } else {
        write_time(json, "time", &received);
        hub_attribute_write(json, "timesource", HUB_SPAN("received"));
    }
}

void hub_attribute_message_time(const struct hub_decoded *message, struct hub_buf *json)
{
    if (message->message_time.text.len != 0)
        write_time(json, "messagetime", &message->message_time);
}

enum hub_result hub_attribute_identity(const struct hub_prepared *p, const struct hub_event *event, struct hub_buf *json)
{
    hub_buf_append_str(json, ",\"identity\":\"");
    HUB_TRY(hub_identity_write(p, event, json));
    hub_buf_append_byte(json, '"');
    return HUB_OK;
}

void hub_attribute_tokens(const struct hub_prepared *p, const struct hub_event *event, struct hub_buf *json)
{
    hub_buf_append_str(json, ",\"tokens\":\"");
    hub_tokens_write(p, event, json);
    hub_buf_append_byte(json, '"');
}
