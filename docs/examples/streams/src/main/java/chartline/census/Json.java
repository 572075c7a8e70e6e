package chartline.census;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;

/** Values of topics and stores. */
final class Json {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    /** A schema registry's prefix: a zero and the schema's id. */
    private static final int PREFIX = 5;

    private Json() {
    }

    /** A record of the timeline; null where it is none. */
    static JsonNode record(byte[] value) {
        try {
            int from = value.length > PREFIX && value[0] == 0 ? PREFIX : 0;
            JsonNode node = MAPPER.readTree(value, from, value.length - from);
            return node != null && node.isObject() ? node : null;
        } catch (IOException e) {
            return null;
        }
    }

    static byte[] write(Object value) {
        try {
            return MAPPER.writeValueAsBytes(value);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static <T> T read(byte[] value, Class<T> type) {
        try {
            return MAPPER.readValue(value, type);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
