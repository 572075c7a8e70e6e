package chartline.census;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * First step, by subject as the topic is: brings each record to the chart that its subject belongs to now, and all of
 * them to another one when the token record says so.
 *
 * Store: "subject" -> chart id, "subject/id" -> item.
 */
final class Subjects implements Processor<String, byte[], String, byte[]> {
    static final String STORE = "subjects";
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> store;

    /** What a chart learns: the item under this key, null when it has left. */
    record Change(String key, Item item) {
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
        this.context = context;
        store = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<String, byte[]> record) {
        String key = record.key();
        if (key == null) {
            return;
        }
        JsonNode node = record.value() == null ? null : Json.record(record.value());
        if (key.indexOf('/') < 0) {
            token(record, node == null ? null : node.path("chart").asText());
        } else {
            entry(record, node == null ? null : Item.of(node));
        }
    }

    private void entry(Record<String, byte[]> record, Item item) {
        String key = record.key();
        if (item == null && store.get(key) == null) {
            return; // nothing the census is about
        }
        store.put(key, item == null ? null : Json.write(item));
        byte[] chart = store.get(key.substring(0, key.indexOf('/')));
        if (chart != null) {
            tell(record, Json.read(chart, String.class), key, item);
        }
    }

    private void token(Record<String, byte[]> record, String chart) {
        byte[] before = store.get(record.key());
        String old = before == null ? null : Json.read(before, String.class);
        if (chart == null ? old == null : chart.equals(old)) {
            return;
        }
        store.put(record.key(), chart == null ? null : Json.write(chart));
        List<KeyValue<String, byte[]>> items = new ArrayList<>();
        try (var all = store.range(record.key() + "/", record.key() + "0")) { // '0' follows '/'
            all.forEachRemaining(items::add);
        }
        for (KeyValue<String, byte[]> item : items) {
            if (old != null) {
                tell(record, old, item.key, null);
            }
            if (chart != null) {
                tell(record, chart, item.key, Json.read(item.value, Item.class));
            }
        }
    }

    private void tell(Record<String, byte[]> record, String chart, String key, Item item) {
        context.forward(record.withKey(chart).withValue(Json.write(new Change(key, item))));
    }
}
