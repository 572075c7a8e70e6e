package chartline.peer;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/** What the timeline takes from an event: its id, and the first resource that is a timeline entry, with what opens it. */
record Event(String id, byte[] entry) {
    private static final JsonFactory JSON = new JsonFactory();

    private static final class Reader {
        private final byte[] json;
        private final JsonParser parser;
        private String id = "";
        private String recorded = "";
        private String seal = "";
        private int from = -1;
        private int to = -1;

        Reader(byte[] json) throws IOException {
            this.json = json;
            parser = JSON.createParser(json);
        }

        /** Over one value; remembers where the first resource with the extension of timeline entries is. */
        private void value(boolean resource) throws IOException {
            int start = (int) parser.currentTokenLocation().getByteOffset();
            boolean marked = false;
            int depth = 0;
            JsonToken token = parser.currentToken();
            do {
                if (token.isStructStart()) {
                    depth++;
                } else if (token.isStructEnd()) {
                    depth--;
                } else if (token == JsonToken.FIELD_NAME && !resource && parser.currentName().equals("resource")) {
                    parser.nextToken();
                    value(true);
                } else if (token == JsonToken.VALUE_STRING && resource && from < 0) {
                    marked = marked || parser.getTextLength() == 19 && parser.getText().equals("urn:chartline:entry");
                }
                token = depth > 0 ? parser.nextToken() : null;
            } while (depth > 0);
            if (marked) {
                from = start;
                to = (int) parser.currentLocation().getByteOffset();
            }
        }

        Event read() throws IOException {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                parser.nextToken();
                switch (name) {
                    case "data" -> value(false);
                    case "id" -> id = parser.getText();
                    case "recordedtime" -> recorded = parser.getText();
                    case "seal" -> seal = parser.getText();
                    default -> parser.skipChildren();
                }
            }
            return new Event(id, from < 0 ? null : entry());
        }

        private byte[] entry() throws IOException {
            ByteArrayOutputStream out = new ByteArrayOutputStream(to - from + 512);
            out.write(("{\"event\":\"" + id + "\",\"recorded\":\"" + recorded + "\",\"seal\":\"" + seal + "\",\"resource\":").getBytes(StandardCharsets.UTF_8));
            out.write(json, from, to - from);
            out.write('}');
            return out.toByteArray();
        }
    }

    static Event read(byte[] json) {
        try {
            return new Reader(json).read();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
