package chartline.peer;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * What a timeline is at the least, in Kafka Streams: for each event one entry and the patient's record (number of entries, the
 * latest one) go into RocksDB, and through the changelog to the brokers. No identity, no revisions, no fencing, at least once.
 *
 * <p>Usage: Timeline PROPERTIES TOPIC COUNT. Processes COUNT events from the topic's beginning, measures from a third of
 * them on (the virtual machine is warm by then), ends. A line of JSON: {"peer","events" measured,"entries" kept,
 * "seconds","per_second"}.
 */
public final class Timeline {
    private final long count;
    private final AtomicLong seen = new AtomicLong();
    private final AtomicLong kept = new AtomicLong();
    private final CountDownLatch done = new CountDownLatch(1);
    private volatile long from;
    private volatile long to;

    private Timeline(long count) {
        this.count = count;
    }

    private void processed() {
        long number = seen.incrementAndGet();
        if (number == count / 3) {
            from = System.nanoTime();
        } else if (number == count) {
            to = System.nanoTime();
            done.countDown();
        }
    }

    private final class Keeper implements Processor<String, byte[], Void, Void> {
        private KeyValueStore<String, byte[]> entries;
        private KeyValueStore<String, byte[]> patients;

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            entries = context.getStateStore("entries");
            patients = context.getStateStore("patients");
        }

        @Override
        public void process(Record<String, byte[]> record) {
            Event event = Event.read(record.value());
            if (event.entry() != null) {
                String key = record.key() + "/" + event.id();
                if (entries.get(key) == null) { // events come more than once
                    entries.put(key, event.entry());
                    kept.incrementAndGet();
                    patients.put(record.key(), patient(patients.get(record.key()), event));
                }
            }
            processed();
        }

        private static byte[] patient(byte[] before, Event event) {
            long number = before == null ? 0 : ByteBuffer.wrap(before).getLong();
            byte[] latest = event.id().getBytes(StandardCharsets.US_ASCII);
            return ByteBuffer.allocate(Long.BYTES + latest.length).putLong(number + 1).put(latest).array();
        }
    }

    private Topology topology(String topic) {
        Topology topology = new Topology();
        topology.addSource("events", Serdes.String().deserializer(), Serdes.ByteArray().deserializer(), topic);
        topology.addProcessor("timeline", Keeper::new, "events");
        for (String name : new String[] {"entries", "patients"}) {
            topology.addStateStore(Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), Serdes.String(), Serdes.ByteArray()), "timeline");
        }
        return topology;
    }

    /** Prints one line of JSON. */
    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        try (var in = Files.newBufferedReader(Path.of(args[0]))) {
            settings.load(in);
        }
        settings.put("auto.offset.reset", "earliest");
        settings.put("num.stream.threads", Integer.toString(Runtime.getRuntime().availableProcessors()));
        Timeline timeline = new Timeline(Long.parseLong(args[2]));
        KafkaStreams streams = new KafkaStreams(timeline.topology(args[1]), settings);
        streams.start();
        timeline.done.await();
        double seconds = (timeline.to - timeline.from) / 1e9;
        long measured = timeline.count - timeline.count / 3;
        System.out.printf(Locale.ROOT, "{\"peer\":\"kafka-streams\",\"events\":%d,\"entries\":%d,\"seconds\":%.3f,\"per_second\":%.1f}%n",
            measured, timeline.kept.get(), seconds, measured / seconds);
        System.out.flush();
        streams.close(Duration.ofSeconds(5));
        Runtime.getRuntime().halt(0);
    }
}
