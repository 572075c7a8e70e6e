package chartline.example;

import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** From versions to what is shown: rules 0 and 2 to 4 of docs/TIMELINE.md, "From versions to what is shown". */
final class Rules {
    private static final Pattern MOMENT = Pattern.compile(
        "(\\d{4})(?:-(\\d\\d)(?:-(\\d\\d)(?:T(\\d\\d)(?::(\\d\\d)(?::(\\d\\d)(?:\\.(\\d+))?)?)?)?)?)?(Z|[+-]\\d\\d:\\d\\d)?");

    private Rules() {}

    /** Microseconds of the start of what a FHIR date or time names, in UTC; null when it names none. */
    static Long moment(String text) {
        Matcher found = text == null ? null : MOMENT.matcher(text);
        if (found == null || !found.matches()) {
            return null;
        }
        int[] part = {0, 1, 1, 0, 0, 0};
        for (int i = 0; i < part.length; i++) {
            part[i] = found.group(i + 1) != null ? Integer.parseInt(found.group(i + 1)) : part[i];
        }
        String fraction = ((found.group(7) != null ? found.group(7) : "") + "000000").substring(0, 6), zone = found.group(8);
        LocalDateTime local = LocalDateTime.of(part[0], part[1], part[2], part[3], part[4], Math.min(part[5], 59));
        ZoneOffset offset = zone == null ? ZoneOffset.UTC : ZoneOffset.of(zone);
        return ChronoUnit.SECONDS.between(LocalDateTime.of(1, 1, 1, 0, 0).atOffset(ZoneOffset.UTC), local.atOffset(offset)) * 1_000_000L
            + Long.parseLong(fraction);
    }

    /** An entry record, opened, with what its place among the others depends on. */
    static final class Version {
        final Map<String, Object> record;
        final Map<String, Object> resource;
        final Map<String, String> words = new HashMap<>();
        final List<String> facts = new ArrayList<>();
        final boolean entry; // else something that entries refer to
        final String id;
        final String event;
        final String origin;
        final String kind;
        final String mode;
        final String act;
        final boolean retired;
        String effective;
        long effectiveUs;
        long recordedUs;
        long messageUs;
        long orderUs;

        Version(Map<String, Object> record, Map<String, Object> opened, List<Object> retired) {
            this.record = record;
            resource = opened;
            id = Json.text(record, "id");
            event = Json.text(record, "event");
            origin = revision() != 0 ? Json.text(record, "origin") : event;
            entry = readWords();
            kind = words.getOrDefault("kind", Json.text(record, "kind"));
            mode = words.getOrDefault("mode", "replace");
            act = words.get("act");
            this.retired = retired.contains(Json.text(record, "subject"));
            readTimes();
        }

        int revision() {
            return Json.number(record, "revision");
        }

        /** The words of urn:chartline:entry; the extension leaves the opened resource. */
        private boolean readWords() {
            List<Object> extensions = Json.list(resource.get("extension"));
            for (Object extension : extensions) {
                if (!"urn:chartline:entry".equals(Json.text(extension, "url"))) {
                    continue;
                }
                for (String word : Json.text(extension, "valueString").split(" ")) {
                    String[] both = word.split("=", 2);
                    if (both[0].equals("fact")) {
                        facts.add(both[1]);
                    }
                    words.put(both[0], both[both.length - 1]);
                }
                extensions.remove(extension);
                if (extensions.isEmpty()) {
                    resource.remove("extension");
                }
                return true;
            }
            return false;
        }

        private void readTimes() {
            recordedUs = moment(Json.text(record, "recorded"));
            effectiveUs = Long.MIN_VALUE;
            for (String text : new String[] {words.get("effective"), timeInside(), Json.text(record, "effective")}) {
                effective = text;
                if (moment(text) != null) {
                    effectiveUs = moment(text);
                    break;
                }
            }
            messageUs = Objects.requireNonNullElse(moment(Json.text(record, "messagetime")), recordedUs);
            long version = Objects.requireNonNullElse(moment(words.get("version")), messageUs);
            long stored = revision() != 0 ? Objects.requireNonNullElse(moment(Json.text(record, "originrecorded")), recordedUs) : recordedUs;
            orderUs = Math.min(version, stored);
        }

        /** Of a sensitive resource only its opened content says when it happened. */
        private String timeInside() {
            for (String name : List.of("effectiveDateTime", "performedDateTime", "occurrenceDateTime", "onsetDateTime", "recordedDate",
                "authoredOn", "whenHandedOver", "date")) {
                if (moment(Json.text(resource, name)) != null) {
                    return Json.text(resource, name);
                }
            }
            for (String name : List.of("period", "effectivePeriod", "performedPeriod")) {
                if (moment(Json.text(resource, name, "start")) != null) {
                    return Json.text(resource, name, "start");
                }
            }
            return null;
        }

        boolean withdraws() {
            return "withdraw".equals(act) || "entered-in-error".equals(resource.get("status"))
                || Json.list(Json.object(resource.get("verificationStatus")).get("coding")).stream()
                    .anyMatch(coding -> "entered-in-error".equals(Json.text(coding, "code")))
                || (kind.equals("location") && ("cancel-transfer".equals(act) || "cancel-admission".equals(act)));
        }

        /** States the whole fact; others only fill in, or change the status. */
        boolean whole() {
            return !mode.equals("status") && !mode.equals("fill");
        }

        String status() {
            return switch (kind) {
                case "location" -> Json.text(resource, "location", 0, "status");
                case "allergy", "condition" -> Json.text(resource, "clinicalStatus", "coding", 0, "code");
                case "patient", "related-person" -> Boolean.FALSE.equals(resource.get("active")) ? "inactive" : "active";
                default -> Json.text(resource, "status");
            };
        }
    }

    /** Rule 3. A cancel comes after what it cancels; of patients retired identifiers come first. */
    private static final Comparator<Version> ORDER = Comparator
        .comparing((Version v) -> v.kind.equals("patient") && !v.retired)
        .thenComparing(v -> v.words.getOrDefault("class", "1"))
        .thenComparing(v -> v.orderUs).thenComparing(v -> v.messageUs)
        .thenComparing(v -> v.act != null)
        .thenComparing(v -> v.origin).thenComparing(v -> v.event)
        .thenComparing(v -> Json.number(v.record, "ordinal")).thenComparing(v -> v.id);

    /** Rule 0: ids of events that a revision took the place of. */
    static Set<String> replaced(Collection<Map<String, Object>> records) {
        Set<String> events = new HashSet<>();
        records.stream().filter(record -> "revision".equals(record.get("kind")))
            .forEach(record -> Json.list(record.get("supersedes")).forEach(event -> events.add((String) event)));
        return events;
    }

    /** Rule 2. Two versions are one fact when they share a token, or a third one joins them. */
    private static Collection<List<Version>> facts(List<Version> versions) {
        Map<String, List<Version>> named = new HashMap<>(); // every name of a fact leads to its list
        Set<List<Version>> facts = java.util.Collections.newSetFromMap(new java.util.IdentityHashMap<>());
        for (Version v : versions) {
            List<Version> fact = new ArrayList<>(List.of(v));
            List<String> names = new ArrayList<>(v.kind.equals("patient") ? List.of("patient") : v.facts); // a chart has one patient
            names.replaceAll(name -> v.kind + " " + name + (v.kind.equals("allergy") ? " " + v.record.get("source") : ""));
            for (String name : names) {
                List<Version> other = named.get(name);
                if (other != null && other != fact) {
                    List<Version> joined = fact;
                    other.addAll(joined);
                    facts.remove(joined);
                    named.replaceAll((n, list) -> list == joined ? other : list);
                    fact = other;
                }
                named.put(name, fact);
            }
            facts.add(fact);
        }
        return facts;
    }

    /** The newest that states the whole fact; when there is none, the newest. */
    private static Version newest(List<Version> sorted) {
        return sorted.stream().filter(Version::whole).reduce((a, b) -> b).orElse(sorted.isEmpty() ? null : sorted.get(sorted.size() - 1));
    }

    /** What is shown, by time: entries as `chartline timeline --json` has them. RECORDS: of all tokens of the chart. */
    static List<Map<String, Object>> apply(Collection<Map<String, Object>> records, List<Object> retired, Keys keys) {
        Set<String> replaced = replaced(records);
        List<Version> versions = records.stream()
            .filter(record -> record.containsKey("resource") && !replaced.contains(record.get("event")))
            .map(record -> new Version(record, new Opener(record, keys).open(), retired)).filter(version -> version.entry).toList();
        Map<Version, Version> shown = new HashMap<>(); // the version that stands, and the one before it
        for (List<Version> fact : facts(versions)) {
            fact.sort(ORDER);
            Version current = newest(fact), last = fact.get(fact.size() - 1);
            if (current.withdraws()) { // rule 4
                continue;
            }
            if (last != current && last.mode.equals("status") && last.resource.get("status") != null) {
                current.resource.put("status", last.resource.get("status"));
            }
            shown.put(current, newest(fact.subList(0, fact.indexOf(current))));
        }
        return shown.keySet().stream()
            .sorted(Comparator.comparing((Version v) -> v.effectiveUs).thenComparing(v -> v.recordedUs).thenComparing(v -> v.id))
            .map(version -> entry(version, shown.get(version), keys)).toList();
    }

    private static Map<String, Object> entry(Version version, Version before, Keys keys) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("id", version.id);
        entry.put("kind", version.kind);
        entry.put("effective", version.effective);
        entry.put("recorded", version.record.get("recorded"));
        entry.put("status", version.status());
        entry.put("supersedes", before != null ? before.id : null);
        if (version.revision() != 0) {
            entry.put("revision", version.record.get("revision"));
        }
        if (keys.shredded.contains(new Opener.Seal(Json.text(version.record, "seal")).secretId)) {
            entry.put("shredded", true);
        }
        entry.put("resource", version.resource);
        return entry;
    }
}
