package chartline.example;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collection;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.utils.Utils;

/** A topic as an application reads it: no consumer group, committed records only, only the partitions it needs. */
final class Topic implements AutoCloseable {
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final String name;
    private final int partitions;
    private final BiConsumer<String, byte[]> take; // key, value (null: a tombstone)

    Topic(Properties settings, String name, BiConsumer<String, byte[]> take) {
        Properties own = new Properties();
        own.putAll(settings);
        own.put("isolation.level", "read_committed"); // what a stalled process wrote and could not commit is none
        own.put("enable.auto.commit", "false");
        own.put("allow.auto.create.topics", "false");
        this.name = name;
        this.take = take;
        consumer = new KafkaConsumer<>(own, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        partitions = consumer.partitionsFor(name).size();
    }

    /** Every record of the partitions where these subjects are, from the first to the last there is now. */
    void read(Collection<String> subjects) {
        Set<Integer> numbers = new TreeSet<>();
        subjects.forEach(subject -> numbers.add(Utils.toPositive(Utils.murmur2(subject.getBytes(StandardCharsets.US_ASCII))) % partitions));
        Set<TopicPartition> mine = numbers.stream().map(number -> new TopicPartition(name, number)).collect(Collectors.toSet());
        consumer.assign(mine);
        consumer.seekToBeginning(mine);
        var end = consumer.endOffsets(mine);
        while (mine.stream().anyMatch(partition -> consumer.position(partition) < end.get(partition))) {
            poll(1000);
        }
    }

    /** The next records, if some come within so many milliseconds. True: there were some. */
    boolean poll(long milliseconds) {
        var records = consumer.poll(Duration.ofMillis(milliseconds));
        for (ConsumerRecord<byte[], byte[]> record : records) {
            take.accept(new String(record.key(), StandardCharsets.UTF_8), record.value());
        }
        return !records.isEmpty();
    }

    @Override
    public void close() {
        consumer.close();
    }
}
