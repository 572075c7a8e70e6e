package chartline.kafka;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads the timeline topic from its end on, committed records only, as an application does, and tells how long messages took
 * to it: from `messagetime` (MSH-7, which `send --now` makes the moment of sending) to the moment the last entry record of
 * their event can be read: both are this machine's clock.
 *
 * <p>Usage: Latency PROPERTIES TOPIC COUNT SECONDS. Prints "ready"; what comes before a line on standard input only warms it up. Ends
 * when COUNT messages sent after that line (answered with "begun") were seen, or none came for SECONDS; a line of JSON:
 * {"messages","records","p50_ms","p99_ms","max_ms"}.
 */
public final class Latency {
    private static final byte[] EVENT = "\"event\":\"".getBytes(StandardCharsets.UTF_8);
    private static final byte[] MESSAGE_TIME = "\"messagetime\":\"".getBytes(StandardCharsets.UTF_8);

    private static final long FIRST_NS = 30_000_000_000L; // the first may take longer

    private final Map<String, Long> worst = new HashMap<>(); // event id to microseconds
    private volatile long begin = Long.MAX_VALUE;
    private long records;

    private Latency() {}

    private static long micros(Instant time) {
        return time.getEpochSecond() * 1_000_000 + time.getNano() / 1000;
    }

    /** The text of a member whose value is a string without escapes; null where there is none. */
    private static String member(byte[] json, byte[] name) {
        for (int at = 0; at + name.length < json.length; at++) {
            if (json[at] == '"' && Arrays.equals(json, at, at + name.length, name, 0, name.length)) {
                int from = at + name.length;
                int to = from;
                while (to < json.length && json[to] != '"') {
                    to++;
                }
                return new String(json, from, to - from, StandardCharsets.UTF_8);
            }
        }
        return null;
    }

    private void take(byte[] value, long now) {
        records += begin != Long.MAX_VALUE ? 1 : 0;
        String time = value == null ? null : member(value, MESSAGE_TIME);
        String event = time == null ? null : member(value, EVENT);
        if (event == null) {
            return; // a token's record, a tombstone
        }
        long sent = micros(Instant.parse(time));
        if (sent >= begin) { // else of the warm-up
            worst.merge(event, now - sent, Math::max);
        }
    }

    private void read(KafkaConsumer<byte[], byte[]> consumer, int count, int seconds) {
        long last = 0;
        while (worst.size() < count && (last == 0 || System.nanoTime() - last < seconds * 1_000_000_000L)) {
            var batch = consumer.poll(Duration.ofMillis(100));
            long now = micros(Instant.now());
            for (ConsumerRecord<byte[], byte[]> record : batch) {
                take(record.value(), now);
            }
            if (last == 0 && begin != Long.MAX_VALUE) {
                last = System.nanoTime() + FIRST_NS;
            }
            if (!batch.isEmpty() && !worst.isEmpty()) {
                last = System.nanoTime();
            }
        }
        // what is still missing of the last messages' entries
        long now = micros(Instant.now());
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
            take(record.value(), Math.max(now, micros(Instant.now())));
        }
    }

    private static double at(long[] sorted, double part) {
        return sorted.length == 0 ? 0 : sorted[(int) Math.round(part * (sorted.length - 1))] / 1000.0;
    }

    /** The line that says that it counts from now on. */
    private void waitForBegin() {
        try {
            if (System.in.read() >= 0) {
                begin = micros(Instant.now());
                System.out.println("begun");
                System.out.flush();
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Prints "ready", then a line of JSON. */
    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        try (var in = Files.newBufferedReader(Path.of(args[0]))) {
            settings.load(in);
        }
        settings.put("isolation.level", "read_committed");
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        Latency latency = new Latency();
        try (var consumer = new KafkaConsumer<byte[], byte[]>(settings)) {
            var partitions = consumer.partitionsFor(args[1]).stream().map(p -> new TopicPartition(p.topic(), p.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToEnd(partitions);
            partitions.forEach(consumer::position);
            System.out.println("ready");
            System.out.flush();
            Thread waiting = new Thread(latency::waitForBegin);
            waiting.setDaemon(true);
            waiting.start();
            latency.read(consumer, Integer.parseInt(args[2]), Integer.parseInt(args[3]));
        }
        long[] sorted = latency.worst.values().stream().mapToLong(Long::longValue).sorted().toArray();
        System.out.printf(Locale.ROOT, "{\"messages\":%d,\"records\":%d,\"p50_ms\":%.1f,\"p99_ms\":%.1f,\"max_ms\":%.1f}%n",
            sorted.length, latency.records, at(sorted, 0.5), at(sorted, 0.99), at(sorted, 1));
        System.exit(0);
    }
}
