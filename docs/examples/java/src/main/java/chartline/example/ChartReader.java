package chartline.example;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.common.KafkaException;

/**
 * A patient's chart from Kafka, opened with a role's key: kafka-clients and lazysodium, nothing of chartline.
 *
 * <pre>java chartline.example.ChartReader --kafka FILE --socket data/control.sock --role clinician --key clinician.key [--follow] PATIENT</pre>
 *
 * PATIENT is a patient token or SYSTEM|VALUE. Prints {"chart","entries"} in a line; with --follow it goes on, a line for each
 * change: the entries that are new or changed, and the ids of those that are gone.
 *
 * <p>Of the rules of docs/TIMELINE.md it applies 0 (revisions), 1 (chart), 2 (facts), 3 (order) and 4 (what stands). It does NOT
 * fold patients and encounters (5: the newest version is shown as it was sent), judge lists (6), places (7) and "no known
 * allergy" (9), unite reports' results (8) or lead references to current versions (10): {@code chartline timeline --json} is the
 * reference, and the Python example applies all of them.
 */
public final class ChartReader implements AutoCloseable {
    private static final int QUIET_MS = 200, POLL_MS = 1000;

    private final Map<String, String> options;
    private final Keys keys;
    private final Hub hub;
    private final Topic keyRecords;
    private final Topic timeline;
    private final Set<String> tokens = new LinkedHashSet<>(); // those that are read
    private final Map<String, Map<String, Object>> records = new HashMap<>(); // the newest value under each key
    private String token; // what an application keeps: chart ids change, tokens do not
    private Map<String, String> printed = new LinkedHashMap<>();

    private ChartReader(Map<String, String> options) throws IOException {
        this.options = options;
        Properties settings = new Properties();
        try (var in = Files.newBufferedReader(Path.of(options.get("kafka")))) {
            settings.load(in);
        }
        keys = new Keys(Path.of(options.get("key")));
        hub = new Hub(options.get("socket"), options.get("role"), keys, options.getOrDefault("purpose", "treatment"));
        keys.signers.add(options.containsKey("signer") ? options.get("signer") : hub.signer());
        String prefix = options.getOrDefault("prefix", "chartline.");
        keyRecords = new Topic(settings, prefix + "keys", (key, value) -> {
            if (value != null) {
                keys.add(Json.read(value));
            }
        });
        keyRecords.read(List.of("any")); // it has one partition
        timeline = new Topic(settings, prefix + "timeline", this::take);
    }

    private static String subject(String key) {
        return key.split("/")[0];
    }

    /** Upserts by key: the last value under a key counts, a tombstone takes it away. */
    private void take(String key, byte[] value) {
        if (!tokens.contains(subject(key))) {
            return;
        }
        if (value == null) {
            records.remove(key);
        } else {
            records.put(key, Json.read(value));
        }
    }

    // --- rule 1: the chart ---

    private boolean addNamedTokens() {
        List<String> named = new ArrayList<>();
        records.forEach((key, record) -> {
            if (!key.contains("/")) {
                Json.list(record.get("tokens")).forEach(name -> named.add((String) name));
            }
        });
        return tokens.addAll(named);
    }

    /** Reads the partitions of all tokens of the chart: only those, and again where a token record names more. */
    private void load() {
        do {
            timeline.read(tokens);
        } while (addNamedTokens());
    }

    private void open(String patient) throws IOException {
        List<String> found = hub.tokens(patient);
        token = found.get(0);
        tokens.addAll(found);
        load();
    }

    // --- keys ---

    /** All that opening these records needs and this role may have. */
    private void fetchKeys(List<Map<String, Object>> chart) throws IOException {
        Set<String> keyIds = new TreeSet<>(), secretIds = new TreeSet<>();
        for (Map<String, Object> record : chart) {
            if (record.get("seal") != null) {
                Opener.Seal seal = new Opener.Seal(Json.text(record, "seal"));
                keyIds.addAll(seal.keyIds.values());
                secretIds.add(seal.secretId);
            }
        }
        // A key that is not there yet comes; it is waited for. Absent never means shredded: a signed record says that.
        long limit = System.nanoTime() + Long.parseLong(options.getOrDefault("wait", "30")) * 1_000_000_000L;
        while (keyRecords.poll(0) || (!keys.known.containsAll(keyIds) && System.nanoTime() < limit)) {
            keyRecords.poll(100);
        }
        keyIds.removeAll(keys.known);
        keyIds.forEach(id -> System.err.println("key " + id + " has not come yet; what it seals stays masked"));
        secretIds.removeAll(keys.secrets.keySet());
        secretIds.removeAll(keys.shredded);
        hub.secrets(keys, tokens, secretIds);
    }

    // --- printing ---

    /** Prints what is new since the last time; FIRST: all of it. */
    private void show(boolean first) throws IOException {
        Map<String, Object> head = records.get(token);
        if (head == null) {
            if (!options.containsKey("follow")) {
                throw new Refused("the topic has nothing of this patient");
            }
            return;
        }
        List<Object> mine = Json.list(head.get("tokens"));
        List<Map<String, Object>> chart = new ArrayList<>();
        records.forEach((key, record) -> {
            if (key.contains("/") && mine.contains(subject(key))) {
                chart.add(record);
            }
        });
        fetchKeys(chart);
        Map<String, String> now = new LinkedHashMap<>();
        List<Object> changed = new ArrayList<>();
        for (Map<String, Object> entry : Rules.apply(chart, Json.list(head.get("retired")), keys)) {
            String id = (String) entry.get("id"), text = Json.write(entry);
            now.put(id, text);
            if (!text.equals(printed.get(id))) {
                changed.add(entry);
            }
        }
        List<Object> gone = new ArrayList<>(printed.keySet());
        gone.removeAll(now.keySet());
        Map<String, Object> line = new LinkedHashMap<>(Map.of("chart", head.get("chart"), "entries", changed));
        if (!first) {
            line.put("gone", gone);
        }
        if (first || !changed.isEmpty() || !gone.isEmpty()) {
            System.out.println(Json.write(line));
            System.out.flush();
        }
        printed = now;
    }

    private void follow() throws IOException {
        while (true) {
            if (!timeline.poll(POLL_MS)) {
                continue;
            }
            while (timeline.poll(QUIET_MS)) {
                continue; // until it is quiet
            }
            if (addNamedTokens()) { // the chart was joined with another one
                load();
            }
            show(false);
        }
    }

    @Override
    public void close() throws IOException {
        hub.close();
        keyRecords.close();
        timeline.close();
    }

    public static void main(String[] args) throws IOException {
        Map<String, String> options = new HashMap<>();
        for (int i = 0; i < args.length; i++) {
            if (args[i].equals("--follow")) {
                options.put("follow", "");
            } else if (args[i].startsWith("--") && i + 1 < args.length) {
                options.put(args[i].substring(2), args[++i]);
            } else {
                options.put("patient", args[i]);
            }
        }
        if (!options.keySet().containsAll(List.of("kafka", "socket", "role", "key", "patient"))) {
            System.err.println("usage: ChartReader --kafka FILE --socket PATH --role ROLE --key FILE [--follow] PATIENT");
            System.exit(64);
        }
        try (ChartReader reader = new ChartReader(options)) {
            reader.open(options.get("patient"));
            reader.show(true);
            if (options.containsKey("follow")) {
                reader.follow();
            }
        } catch (Refused | KafkaException | IOException reason) {
            System.err.println("refused: " + reason.getMessage());
            System.exit(1);
        }
    }
}
