/* Requests of the command line and of local apps to a hub: JSON lines over <data_dir>/control.sock (0600), or
 * in process when no hub runs and the command takes the data lock itself. One dispatcher for both, so that a
 * command behaves the same and leaves the same audit entries either way. docs/FORMATS.md "control socket".
 *
 * A request is one JSON object in a line: {"op":"timeline.chart", ...}. The answer is any number of lines,
 * the last one {"done":true, ...} or {"error":{"code","what","mend","place"}}. What reads patients' data is
 * committed to the audit log before the first line of the answer leaves.
 *
 *   status                                        -> {"status":{...}} (DESIGN section 7)
 *   feed.pause {feed: name}                       -> {"feed":{"name","state":"paused"}} when its connections
 * are answered and closed; over restarts; audited
 *   feed.resume {feed: name}                      -> {"feed":{"name","state":"listening"}}; audited
 *   feed.remap {feed, since, until?, dry_run?}    -> {"progress":{..}}*, {"failed":{..}}*, {"difference":{..}}* (dry),
 {"remapped":{..}}; each read and change audited
 *   feed.diff {feed, since, until?, values? "true"} -> {"progress":{..}}*, {"failed":{..}}*, {"value":{..}}*, {"difference":{..}}*,
 {"compared":{..}}
 *   keys.records                                  -> {"key":<key record>}*, {"sign_public":b64,"vkey":...}
 *   keys.list                                     -> {"key":{"id","class","epoch","created","state","roles":[...],
 "fields","bytes"}}*, {"patients":n}
 *   keys.rotate {class?}                          -> {"key":{"class","id"}}*; audited, like all that changes keys, from
 the signed records it leaves
 *   keys.grant {role}, keys.revoke {role}         -> {"role":{"name","state","classes":[..]}}
 *   keys.tokens {patient}                         -> {"token":{"token","entries","secret"}}*
 *   keys.shred {patient, tokens:[..]}             -> {"shredded":{"token","outcome","id"}}*
 *   role.challenge {role}                         -> {"challenge":b64 sealed box of 32 random bytes to the
 role's public key}
 *   role.prove {answer: b64 of those 32 bytes}    -> {"role":...,"classes":[...]}; holds for this connection
 *   key.secrets {tokens:[..] and/or ids:[..], classes:[..], purpose}
 *                                                 -> {"secret":{"id","subject","secret":b64}}*,
 {"missing":{"subject"|"id","code"}}* (needs a proven role that has these classes; audited first)
 *   patient.find {system, value} or {token}       -> {"patient":{"token","chart","tokens":[..]}}
 *   timeline.list                                 -> {"chart":{"chart","tokens":[..],"entries":n,...}}*
 *   timeline.chart {patient: token | chart | "SYSTEM|VALUE"}
 *                                                 -> {"chart":{...}}, {"record":<entry record>}*
 *   timeline.follow {patient}                     -> as timeline.chart, then {"record":..} as they come,
 until the peer closes
 *   timeline.digest {what:"state"|"content"}      -> {"digest":hex}
 *   log.show                                      -> {"log":{"first","last","bytes","segments","retired":{...},
 "followers":[..],"snapshot":{...}?}}
 *   log.snapshot                                  -> {"snapshot":{...}} when it is taken and verified
 *   log.retain {keep_s?, max_bytes?}              -> {"retained":{...}}; without members by the configuration's rules; audited
 *   message.find {control_id|patient|feed|since}  ->
 {"message":{"id","feed","recorded","trigger","answer","events":[ids],"subjects":[..],"duplicates":n}}*
 *   message.show {id}                             -> {"message":{...}}, {"event":<CloudEvent as stored>}*,
 {"deadletter":<document>}?
 *   deadletter.list {feed?, state? "open"}        ->
 {"deadletter":{"id","feed","trigger","first","last","count","reason":{"code","text","mend","at"},"state"}}*
 *   deadletter.show {id}                          -> {"deadletter":<document as stored>}
 *   event.seal {bytes: b64 of a message or a FHIR Bundle, feed?}
 *                                                 -> {"event":<CloudEvent>}*; nothing is stored but a new patient's secret
 *   deadletter.replay {id} or {all: "true"}       ->
 {"replayed":{"id","feed","outcome":"accepted"|"duplicate"|"rejected","reason":{"code","text","mend","at"}?}}*,
 in order of recording; each read and audited before it is opened
 *   deadletter.resolve {id, reason}               -> {"deadletter":{"id","state":"resolved"}}; audited
 *   audit.show {from, count}                      -> {"entry":{"index":n,"entry":{...}}}* (itself audited as
 log-read)
 *   audit.checkpoint                              -> {"checkpoint":"<signed note text>"}
 */
#pragma once

#include "src/base/arena.h"
#include "src/base/result.h"
#include "src/codec/json.h"

enum { HUB_CONTROL_LINE_MAX = 1024 * 1024 * 1024 }; /* the longest line of an answer */

struct hub;         /* src/pipeline/hub.h */
struct hub_session; /* one per connection or per offline command: what was proven so far */

/* PEER: who asks, for the audit log: "uid 1000". NULL when memory is out. */
struct hub_session *hub_session_new(struct hub *hub, const char *peer);
void hub_session_free(struct hub_session *session);

/* Handles one request; LINE is called for each line of the answer (false = the peer is gone). The final done
 * or error line is sent too. While an operation waits, LINE is called with an empty span to ask whether the
 * peer is still there: nothing is sent then. Any thread but the committer's (waits for commits). */
void hub_session_handle(struct hub_session *session, struct hub_span request,
                        bool (*line)(void *ctx, struct hub_span json), void *ctx);
