package chartline.census;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What the census needs of one record of the timeline: a version of an encounter or of a location, or a revision. All
 * of it is clear; times are microseconds.
 */
public record Item(String id, String kind, String event, String origin, String act, String mode, int statusClass,
                   String status, long order, long message, long effective, String since, String trigger,
                   List<String> facts, String encounter, String location, long ordinal, List<String> supersedes) {

    private static final Pattern MOMENT = Pattern.compile(
        "(\\d{4})(?:-(\\d\\d)(?:-(\\d\\d)(?:T(\\d\\d):(\\d\\d):(\\d\\d)(?:\\.(\\d+))?(Z|[+-]\\d\\d:\\d\\d)?)?)?)?");

    /** Of a record that has no part in the census (another kind, a test message): null. */
    public static Item of(JsonNode record) {
        String kind = record.path("kind").asText();
        if (kind.equals("revision")) {
            return new Item("", kind, record.path("event").asText(), "", "", "", 1, "", 0, 0, 0, "", "", List.of(), "", "", 0,
                texts(record.path("supersedes")));
        }
        if (!kind.equals("encounter") && !kind.equals("location") || record.path("test").asBoolean()) {
            return null;
        }
        List<String> facts = new ArrayList<>();
        Map<String, String> words = words(record.path("resource"), facts);
        String effective = words.getOrDefault("effective", record.path("effective").asText());
        long recorded = moment(record.path("recorded").asText(), 0);
        long message = moment(record.path("messagetime").asText(), recorded);
        boolean revised = record.has("revision");
        long origin = revised ? moment(record.path("originrecorded").asText(), recorded) : recorded;
        return new Item(record.path("id").asText(), kind, record.path("event").asText(),
            record.path(revised ? "origin" : "event").asText(), words.getOrDefault("act", ""), words.getOrDefault("mode", "replace"),
            words.getOrDefault("class", "1").equals("0") ? 0 : 1, record.path("resource").path("status").asText(),
            Math.min(moment(words.getOrDefault("version", ""), message), origin), message, moment(effective, Long.MIN_VALUE),
            effective, record.path("trigger").asText(), facts, words.getOrDefault("encounter", ""),
            words.getOrDefault("location", ""), record.path("ordinal").asLong(Long.MAX_VALUE), List.of());
    }

    /** Every change is an ADT event; its name is the end of the trigger. */
    boolean triggered(String... events) {
        for (String event : events) {
            if (trigger.endsWith(event)) {
                return true;
            }
        }
        return false;
    }

    private static List<String> texts(JsonNode list) {
        List<String> out = new ArrayList<>();
        list.forEach(item -> out.add(item.asText()));
        return out;
    }

    /** The words of the extension urn:chartline:entry; FACTS takes the word that may come twice. */
    private static Map<String, String> words(JsonNode resource, List<String> facts) {
        Map<String, String> words = new HashMap<>();
        for (JsonNode extension : resource.path("extension")) {
            if (!extension.path("url").asText().equals("urn:chartline:entry")) {
                continue;
            }
            for (String word : extension.path("valueString").asText().split(" ")) {
                int equals = word.indexOf('=');
                if (equals > 0 && word.startsWith("fact=")) {
                    facts.add(word.substring(equals + 1));
                } else if (equals > 0) {
                    words.put(word.substring(0, equals), word.substring(equals + 1));
                }
            }
            break;
        }
        return words;
    }

    /** A FHIR date, dateTime or instant stands for its start, without an offset in UTC; ABSENT where it is none. */
    static long moment(String text, long absent) {
        Matcher m = MOMENT.matcher(text);
        if (!m.matches()) {
            return absent;
        }
        int[] parts = {1, 1, 1, 0, 0, 0};
        for (int i = 0; i < parts.length; i++) {
            parts[i] = m.group(i + 1) == null ? parts[i] : Integer.parseInt(m.group(i + 1));
        }
        String fraction = ((m.group(7) == null ? "" : m.group(7)) + "000000").substring(0, 6);
        String zone = m.group(8) == null ? "Z" : m.group(8);
        try { // a second 60 is the next minute
            long seconds = LocalDateTime.of(parts[0], parts[1], parts[2], parts[3], parts[4]).toEpochSecond(ZoneOffset.of(zone));
            return (seconds + parts[5]) * 1_000_000 + Long.parseLong(fraction);
        } catch (java.time.DateTimeException e) {
            return absent;
        }
    }
}
