package chartline.census;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Who is where now, by location token: reads chartline.timeline and keeps a table of places on a topic, without any key.
 * Argument: a properties file of Kafka Streams, with census.source and census.result (topics) beside its own settings.
 */
public final class Census {
    private static final Serde<String> TEXT = Serdes.String();
    private static final Serde<byte[]> BYTES = Serdes.ByteArray();

    private Census() {
    }

    private static StoreBuilder<?> store(String name) {
        return Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), TEXT, BYTES);
    }

    static Topology topology(String source, String result) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(store(Subjects.STORE)).addStateStore(store(Charts.STORE)).addStateStore(store(Wards.STORE));
        var wards = builder.stream(source, Consumed.with(TEXT, BYTES))
            .process(Subjects::new, Subjects.STORE)
            .repartition(Repartitioned.with(TEXT, BYTES).withName("by-chart"))
            .process(Charts::new, Charts.STORE)
            .repartition(Repartitioned.with(TEXT, BYTES).withName("by-location"))
            .process(Wards::new, Wards.STORE);
        wards.peek(Census::print).to(result, Produced.with(TEXT, BYTES));
        return builder.build();
    }

    private static void print(String location, byte[] value) {
        JsonNode ward = value == null ? null : Json.record(value);
        System.out.println(Instant.now().truncatedTo(ChronoUnit.SECONDS) + " " + location + " " + (ward == null ? 0 : ward.path("count").asInt()));
    }

    private static Properties settings(Path file) throws java.io.IOException {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "ward-census");
        // the timeline's outputs are transactions; and a place must not miss what the chart's state says it was told
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.consumerPrefix("isolation.level"), "read_committed");
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        try (Reader in = Files.newBufferedReader(file)) {
            settings.load(in);
        }
        return settings;
    }

    public static void main(String[] args) throws Exception {
        Properties settings = settings(Path.of(args[0]));
        Topology topology = topology(settings.getProperty("census.source", "chartline.timeline"), settings.getProperty("census.result", "ward-census"));
        CountDownLatch end = new CountDownLatch(1);
        boolean[] failed = {false};
        try (KafkaStreams streams = new KafkaStreams(topology, settings)) {
            streams.setUncaughtExceptionHandler(problem -> {
                Throwable cause = problem.getCause() == null ? problem : problem.getCause();
                System.err.println("census: ended: " + cause.getMessage());
                failed[0] = true;
                end.countDown();
                return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                end.countDown();
                streams.close(Duration.ofSeconds(20));
            }));
            streams.start();
            System.err.println("census: started");
            end.await();
        }
        System.exit(failed[0] ? 1 : 0);
    }
}
