package chartline.census;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Second step, by chart: where the person is now, told to the places that it changes something for. Changed charts are
 * worked out a few times a second, not record by record: a chart read from the beginning would cost its square.
 *
 * Store: "chart/subject/id" -> item, "chart" -> places told (token to since), "!chart" -> changed since.
 */
final class Charts implements Processor<String, byte[], String, byte[]> {
    static final String STORE = "charts";
    private static final Duration EVERY = Duration.ofMillis(200);
    private static final byte[] MARK = {1};
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> store;

    /** What a place learns: the chart is there since then; null: no longer. */
    record Presence(String chart, String since) {
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
        this.context = context;
        store = context.getStateStore(STORE);
        context.schedule(EVERY, PunctuationType.WALL_CLOCK_TIME, this::settle);
    }

    @Override
    public void process(Record<String, byte[]> record) {
        Subjects.Change change = Json.read(record.value(), Subjects.Change.class);
        store.put(record.key() + "/" + change.key(), change.item() == null ? null : Json.write(change.item()));
        store.put("!" + record.key(), MARK);
    }

    private void settle(long now) {
        List<String> changed = new ArrayList<>();
        try (var marks = store.range("!", "\"")) { // '"' follows '!'
            marks.forEachRemaining(mark -> changed.add(mark.key.substring(1)));
        }
        for (String chart : changed) {
            place(chart, now);
            store.delete("!" + chart);
        }
    }

    private void place(String chart, long now) {
        List<Item> items = new ArrayList<>();
        try (var all = store.range(chart + "/", chart + "0")) {
            all.forEachRemaining(entry -> items.add(Json.read(entry.value, Item.class)));
        }
        Map<String, String> places = Places.now(items);
        Map<String, String> told = new HashMap<>();
        byte[] before = store.get(chart);
        if (before != null) {
            JsonNode node = Json.record(before);
            node.fields().forEachRemaining(field -> told.put(field.getKey(), field.getValue().asText()));
        }
        for (String place : told.keySet()) {
            if (!places.containsKey(place)) {
                tell(place, new Presence(chart, null), now);
            }
        }
        places.forEach((place, since) -> {
            if (!since.equals(told.get(place))) {
                tell(place, new Presence(chart, since), now);
            }
        });
        store.put(chart, places.isEmpty() ? null : Json.write(places));
    }

    private void tell(String place, Presence presence, long now) {
        context.forward(new Record<>(place, Json.write(presence), now));
    }
}
