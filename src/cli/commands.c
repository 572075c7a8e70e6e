#include "src/cli/commands.h"

#define ROW(name_, operands_, summary_, symbol)                                                              \
    {                                                                                                        \
        name_, operands_, summary_, hub_cli_##symbol##_options, hub_cli_##symbol                             \
    }

const struct hub_cli_command hub_cli_commands[] = {
    ROW("init", "DIR", "Make a new hub directory that runs as it is", init),
    ROW("check", "", "Say every problem of configuration, policies, mappings, keys and certificates at once",
        check),
    ROW("run", "", "Run the hub; prints `ready` when all listeners are up", run),
    ROW("map", "FILE...", "Show the FHIR R4 Bundles of messages, without hub and keys", map),
    ROW("send", "URL FILE...",
        "Send messages (mllp://host:port, mllps://host:port) and show their answers; FILE - is standard input", send),
    ROW("seal", "FILE", "Seal a message or a FHIR Bundle by hand with the hub's keys", seal),
    ROW("open", "FILE", "Open sealed events by hand with a role's key", open),
    ROW("timeline", "PATIENT", "Show a patient's timeline, list the charts, or print a digest", timeline),
    ROW("patient find", "SYSTEM|VALUE", "Find the chart of an identifier or token", patient_find),
    ROW("message find", "", "Find what became of messages", message_find),
    ROW("message show", "ID", "Show a message: its answer and its events", message_show),
    ROW("audit verify", "", "Verify the audit log from its files alone", audit_verify),
    ROW("audit show", "", "Show audit entries", audit_show),
    ROW("audit checkpoint", "", "Print the signed checkpoint, to be remembered elsewhere", audit_checkpoint),
    ROW("log show", "", "Show what the event log holds, what was removed and who follows it", log_show),
    ROW("log snapshot", "", "Take and verify a snapshot of timeline and index", log_snapshot),
    ROW("log retain", "", "Remove the oldest records of the event log now", log_retain),
    ROW("feed pause", "NAME", "Stop taking messages of a feed, over restarts too", feed_pause),
    ROW("feed resume", "NAME", "Take messages of a paused feed again", feed_resume),
    ROW("feed remap", "NAME", "Map what is stored of a feed anew by the rules in force", feed_remap),
    ROW("feed diff", "NAME", "Show what the rules as their files are now would change of what is stored", feed_diff),
    ROW("feed test", "NAME [FOLDER]", "Compare what a folder of messages becomes with what is expected", feed_test),
    ROW("feed lint", "NAME", "Say what is wrong or probably not meant in a feed's mapping", feed_lint),
    ROW("keys list", "", "List the class keys", keys_list),
    ROW("keys rotate", "[CLASS]", "End the epoch of a data class, or of all", keys_rotate),
    ROW("keys grant", "ROLE", "Give a role the keys of its classes, by the access policy as it is now", keys_grant),
    ROW("keys revoke", "ROLE", "Give a role no further keys; new keys for all its classes", keys_revoke),
    ROW("keys shred", "PATIENT", "Make a patient's past unreadable for good", keys_shred),
    ROW("keys signer", "", "Print the public key that others know this hub's signatures by", keys_signer),
    ROW("keys export", "", "Print the key records for readers", keys_export),
    ROW("deadletter list", "", "List the messages that were refused", deadletter_list),
    ROW("deadletter show", "ID", "Show a refused message", deadletter_show),
    ROW("deadletter replay", "ID", "Process refused messages again with today's mapping", deadletter_replay),
    ROW("deadletter resolve", "ID", "Take a refused message off the list of open ones", deadletter_resolve),
    ROW("status", "", "Show counts and feeds", status),
    ROW("bench", "[FILE...]", "Measure this machine: messages mapped and sealed a second on one core, records made durable", bench),
    {NULL, NULL, NULL, NULL, NULL},
};
