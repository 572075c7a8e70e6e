package chartline.kafka;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * An administrator and an independent reader, driven over standard input: a command a line, words separated by tabs.
 * The answer is lines of words separated by tabs, then a line "ok" or "error REASON".
 */
public final class Client {
    private final Properties settings = new Properties();
    private final Admin admin;
    private KafkaProducer<byte[], byte[]> producer;

    private Client(Path file) throws Exception {
        try (var in = Files.newBufferedReader(file)) {
            settings.load(in);
        }
        admin = Admin.create(settings);
    }

    public static void main(String[] args) throws Exception {
        Client client = new Client(Path.of(args[0]));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String result = "ok";
            try {
                client.run(line.split("\t", -1));
            } catch (Exception e) {
                Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
                result = "error " + cause.getClass().getSimpleName() + ": " + String.valueOf(cause.getMessage()).replace('\n', ' ');
            }
            System.out.println(result);
            System.out.flush();
        }
        System.exit(0);
    }

    private void run(String[] words) throws Exception {
        switch (words[0]) {
            case "brokers" -> print(Integer.toString(admin.describeCluster().nodes().get(20, TimeUnit.SECONDS).size()));
            case "user" -> admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(words[1],
                new ScramCredentialInfo(mechanism(words[2]), 4096), words[3]))).all().get();
            case "allow" -> allow(words);
            case "create" -> admin.createTopics(List.of(new NewTopic(words[1], Integer.parseInt(words[2]),
                Short.parseShort(words[3])).configs(pairs(words, 4)))).all().get();
            case "delete" -> admin.deleteTopics(List.of(words[1])).all().get();
            case "topics" -> admin.listTopics().names().get().stream().sorted().forEach(this::print);
            case "topic" -> topic(words[1]);
            case "set" -> set(words);
            case "leaders" -> leaders(words[1]);
            case "lead" -> lead(words[1], Integer.parseInt(words[2]), words[3]);
            case "truncate" -> admin.deleteRecords(Map.of(new TopicPartition(words[1], Integer.parseInt(words[2])),
                RecordsToDelete.beforeOffset(Long.parseLong(words[3])))).all().get();
            case "dump" -> dump(words[1], "read_committed");
            case "dump-all" -> dump(words[1], "read_uncommitted");
            case "transaction" -> print(admin.describeTransactions(List.of(words[1])).description(words[1]).get().state().toString());
            case "oldest" -> oldest(words[1]);
            case "count" -> count(words[1]);
            case "send" -> send(words);
            case "offset" -> admin.alterConsumerGroupOffsets(words[1], Map.of(new TopicPartition(words[2], Integer.parseInt(words[3])),
                new OffsetAndMetadata(Long.parseLong(words[4])))).all().get();
            case "groups" -> admin.listConsumerGroupOffsets(words[1]).partitionsToOffsetAndMetadata().get().forEach(
                (partition, offset) -> print(partition.topic() + "\t" + partition.partition() + "\t" + (offset == null ? -1 : offset.offset())));
            default -> throw new IllegalArgumentException("unknown command");
        }
    }

    private void print(String line) {
        System.out.println(">" + line);
    }

    private static ScramMechanism mechanism(String name) {
        return ScramMechanism.fromMechanismName(name);
    }

    private static Map<String, String> pairs(String[] words, int from) {
        Map<String, String> map = new HashMap<>();
        for (int i = from; i < words.length; i++) {
            map.put(words[i].substring(0, words[i].indexOf('=')), words[i].substring(words[i].indexOf('=') + 1));
        }
        return map;
    }

    /** allow PRINCIPAL topic|group|cluster|transactional NAME literal|prefixed OPERATION... */
    private void allow(String[] words) throws Exception {
        ResourceType type = switch (words[2]) {
            case "topic" -> ResourceType.TOPIC;
            case "group" -> ResourceType.GROUP;
            case "cluster" -> ResourceType.CLUSTER;
            default -> ResourceType.TRANSACTIONAL_ID;
        };
        List<AclBinding> bindings = new ArrayList<>();
        for (int i = 5; i < words.length; i++) {
            bindings.add(new AclBinding(new ResourcePattern(type, words[3], PatternType.fromString(words[4].toUpperCase())),
                new AccessControlEntry(words[1], "*", AclOperation.fromString(words[i]), AclPermissionType.ALLOW)));
        }
        admin.createAcls(bindings).all().get();
    }

    private void topic(String name) throws Exception {
        var description = admin.describeTopics(List.of(name)).allTopicNames().get().get(name);
        print("partitions\t" + description.partitions().size());
        print("replicas\t" + description.partitions().get(0).replicas().size());
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, name);
        admin.describeConfigs(List.of(resource)).all().get().get(resource).entries().forEach(
            entry -> print(entry.name() + "\t" + entry.value()));
    }

    private void set(String[] words) throws Exception {
        Collection<AlterConfigOp> ops = new ArrayList<>();
        pairs(words, 2).forEach((name, value) -> ops.add(new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET)));
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, words[1]), ops)).all().get();
    }

    private void leaders(String name) throws Exception {
        admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().forEach(partition ->
            print(partition.partition() + "\t" + (partition.leader() == null ? -1 : partition.leader().id()) + "\t" + partition.isr().size()));
    }

    /** Puts the replicas of a partition into this order and has the first one lead. */
    private void lead(String name, int partition, String replicas) throws Exception {
        TopicPartition target = new TopicPartition(name, partition);
        List<Integer> order = new ArrayList<>();
        for (String replica : replicas.split(",")) {
            order.add(Integer.parseInt(replica));
        }
        admin.alterPartitionReassignments(Map.of(target, Optional.of(new NewPartitionReassignment(order)))).all().get();
        admin.electLeaders(ElectionType.PREFERRED, java.util.Set.of(target)).partitions().get();
    }

    private KafkaConsumer<byte[], byte[]> consumer(String isolation) {
        Properties mine = new Properties();
        mine.putAll(settings);
        mine.put("key.deserializer", ByteArrayDeserializer.class.getName());
        mine.put("value.deserializer", ByteArrayDeserializer.class.getName());
        mine.put("isolation.level", isolation);
        return new KafkaConsumer<>(mine);
    }

    private static List<TopicPartition> partitions(KafkaConsumer<byte[], byte[]> consumer, String topic) {
        List<TopicPartition> list = new ArrayList<>();
        for (PartitionInfo info : consumer.partitionsFor(topic)) {
            list.add(new TopicPartition(topic, info.partition()));
        }
        return list;
    }

    /** The oldest offset of each partition. */
    private void oldest(String topic) {
        try (var consumer = consumer("read_committed")) {
            consumer.beginningOffsets(partitions(consumer, topic)).forEach((partition, offset) -> print(partition.partition() + "\t" + offset));
        }
    }

    private void count(String topic) {
        try (var consumer = consumer("read_committed")) {
            long sum = 0;
            var list = partitions(consumer, topic);
            var from = consumer.beginningOffsets(list);
            for (var entry : consumer.endOffsets(list).entrySet()) {
                sum += entry.getValue() - from.get(entry.getKey());
            }
            print(Long.toString(sum));
        }
    }

    private static String base64(byte[] bytes) {
        return bytes == null ? "-" : Base64.getEncoder().encodeToString(bytes);
    }

    /** Every record: partition, offset, key, value (base64, "-" for none), then name=value of each header. */
    private void dump(String topic, String isolation) {
        try (var consumer = consumer(isolation)) {
            var list = partitions(consumer, topic);
            consumer.assign(list);
            consumer.seekToBeginning(list);
            var end = consumer.endOffsets(list);
            while (list.stream().anyMatch(partition -> consumer.position(partition) < end.get(partition))) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    StringBuilder line = new StringBuilder();
                    line.append(record.partition()).append('\t').append(record.offset());
                    line.append('\t').append(base64(record.key())).append('\t').append(base64(record.value()));
                    for (Header header : record.headers()) {
                        line.append('\t').append(header.key()).append('=').append(base64(header.value()));
                    }
                    print(line.toString());
                }
            }
        }
    }

    /** send TOPIC KEY VALUE [PARTITION]: key and value in base64, "-" for no value. */
    private void send(String[] words) throws Exception {
        if (producer == null) {
            Properties mine = new Properties();
            mine.putAll(settings);
            mine.put("key.serializer", ByteArraySerializer.class.getName());
            mine.put("value.serializer", ByteArraySerializer.class.getName());
            mine.put("max.block.ms", "15000");
            producer = new KafkaProducer<>(mine);
        }
        Integer partition = words.length > 4 ? Integer.valueOf(words[4]) : null;
        byte[] value = words[3].equals("-") ? null : Base64.getDecoder().decode(words[3]);
        producer.send(new ProducerRecord<>(words[1], partition, Base64.getDecoder().decode(words[2]), value)).get();
    }
}
