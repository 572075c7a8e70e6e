package chartline.example;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** JSON as maps, lists, strings, booleans, null and numbers as they were written; and its canonical form. */
final class Json {
    /** 1.50 stays 1.50, in the authenticated text and in what is shown. */
    record Number(String text) {}

    private static final JsonFactory FACTORY = new JsonFactory();

    private Json() {}

    /** A record of a topic: behind the 5 bytes of a schema registry, if they are there. */
    static Map<String, Object> read(byte[] bytes) {
        int prefix = bytes.length > 5 && bytes[0] == 0 ? 5 : 0;
        return object(parse(Arrays.copyOfRange(bytes, prefix, bytes.length)));
    }

    static Object parse(byte[] bytes) {
        try (JsonParser parser = FACTORY.createParser(bytes)) {
            parser.nextToken();
            return value(parser);
        } catch (IOException e) {
            throw new Refused("a text that is no JSON");
        }
    }

    private static Object value(JsonParser parser) throws IOException {
        return switch (parser.currentToken()) {
            case START_OBJECT -> {
                Map<String, Object> object = new LinkedHashMap<>();
                while (parser.nextToken() != JsonToken.END_OBJECT) {
                    String name = parser.currentName();
                    parser.nextToken();
                    object.put(name, value(parser));
                }
                yield object;
            }
            case START_ARRAY -> {
                List<Object> list = new ArrayList<>();
                while (parser.nextToken() != JsonToken.END_ARRAY) {
                    list.add(value(parser));
                }
                yield list;
            }
            case VALUE_STRING -> parser.getText();
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> new Number(parser.getText());
            case VALUE_TRUE -> Boolean.TRUE;
            case VALUE_FALSE -> Boolean.FALSE;
            default -> null;
        };
    }

    // --- looking into it ---

    @SuppressWarnings("unchecked")
    static Map<String, Object> object(Object node) {
        return node instanceof Map ? (Map<String, Object>) node : Map.of();
    }

    @SuppressWarnings("unchecked")
    static List<Object> list(Object node) {
        return node instanceof List ? (List<Object>) node : List.of();
    }

    /** The text at a way of names and indexes, such as text(resource, "location", 0, "status"); null when there is none. */
    static String text(Object node, Object... way) {
        for (Object step : way) {
            if (step instanceof Integer index) {
                node = index < list(node).size() ? list(node).get(index) : null;
            } else {
                node = object(node).get((String) step);
            }
        }
        return node instanceof String text ? text : null;
    }

    static int number(Map<String, Object> object, String name) {
        return object.get(name) instanceof Number number ? Integer.parseInt(number.text()) : 0;
    }

    static Object copy(Object node) {
        if (node instanceof Map) {
            Map<String, Object> copy = new LinkedHashMap<>();
            object(node).forEach((name, value) -> copy.put(name, copy(value)));
            return copy;
        }
        return node instanceof List ? new ArrayList<>(list(node).stream().map(Json::copy).toList()) : node;
    }

    // --- canonical form ---

    static byte[] canonical(Object node) {
        return write(node).getBytes(StandardCharsets.UTF_8);
    }

    static String write(Object node) {
        StringBuilder out = new StringBuilder();
        write(node, out);
        return out.toString();
    }

    private static void write(Object node, StringBuilder out) {
        if (node instanceof Map) {
            String before = "{";
            for (var member : object(node).entrySet().stream().sorted((a, b) -> compare(a.getKey(), b.getKey())).toList()) {
                out.append(before);
                write(member.getKey(), out);
                write(member.getValue(), out.append(':'));
                before = ",";
            }
            out.append(object(node).isEmpty() ? "{}" : "}");
        } else if (node instanceof List) {
            out.append('[');
            for (int i = 0; i < list(node).size(); i++) {
                write(list(node).get(i), i == 0 ? out : out.append(','));
            }
            out.append(']');
        } else if (node instanceof String text) {
            string(text, out);
        } else {
            out.append(node instanceof Number number ? number.text() : String.valueOf(node));
        }
    }

    private static int compare(String a, String b) {
        return Arrays.compareUnsigned(a.getBytes(StandardCharsets.UTF_8), b.getBytes(StandardCharsets.UTF_8));
    }

    private static void string(String text, StringBuilder out) {
        String from = "\"\\\b\t\n\f\r", to = "\"\\btnfr";
        out.append('"');
        for (char c : text.toCharArray()) {
            if (from.indexOf(c) >= 0) {
                out.append('\\').append(to.charAt(from.indexOf(c)));
            } else if (c < 0x20) {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }
}
