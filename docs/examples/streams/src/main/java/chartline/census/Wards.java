package chartline.census;

import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Third step, by location token: how many are there, and which charts.
 *
 * Store: "location/chart" -> since, "location" -> count.
 */
final class Wards implements Processor<String, byte[], String, byte[]> {
    static final String STORE = "wards";
    /** The list of charts is cut there (visits that nobody ever ends pile up); the count is not. */
    static final int CHARTS_MAX = 500;
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> store;

    /** A value of the result; a place where nobody is has none. */
    record Ward(String location, int count, List<Charts.Presence> charts) {
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
        this.context = context;
        store = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<String, byte[]> record) {
        String location = record.key();
        Charts.Presence presence = Json.read(record.value(), Charts.Presence.class);
        String key = location + "/" + presence.chart();
        boolean was = store.get(key) != null;
        boolean is = presence.since() != null;
        store.put(key, is ? Json.write(presence.since()) : null);
        byte[] stored = store.get(location);
        int count = (stored == null ? 0 : Json.read(stored, Integer.class)) + (is ? 1 : 0) - (was ? 1 : 0);
        store.put(location, count == 0 ? null : Json.write(count));
        context.forward(record.withValue(count == 0 ? null : Json.write(new Ward(location, count, charts(location)))));
    }

    private List<Charts.Presence> charts(String location) {
        List<Charts.Presence> charts = new ArrayList<>();
        try (var all = store.range(location + "/", location + "0")) {
            while (all.hasNext() && charts.size() < CHARTS_MAX) {
                var entry = all.next();
                charts.add(new Charts.Presence(entry.key.substring(location.length() + 1), Json.read(entry.value, String.class)));
            }
        }
        return charts;
    }
}
