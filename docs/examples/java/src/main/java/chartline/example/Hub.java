package chartline.example;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.BufferedInputStream;
import java.io.InputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.List;
import java.util.Map;

/** The hub's key service, over its control socket (docs/FORMATS.md, "The control socket"). The role is proven on opening. */
final class Hub implements AutoCloseable {
    private final SocketChannel socket = SocketChannel.open(StandardProtocolFamily.UNIX);
    private final InputStream in;
    private final String purpose;
    private final List<Object> classes; // what the role may open now

    Hub(String path, String role, Keys keys, String purpose) throws IOException {
        this.purpose = purpose;
        socket.connect(UnixDomainSocketAddress.of(path));
        in = new BufferedInputStream(Channels.newInputStream(socket));
        String challenge = Json.text(ask(Map.of("op", "role.challenge", "role", role)).get(0), "challenge");
        classes = Json.list(ask(Map.of("op", "role.prove", "answer", Base64.getEncoder().encodeToString(keys.openBox(challenge)))).get(0).get("classes"));
    }

    /** Sends one request; the lines of its answer without the last one. */
    private List<Map<String, Object>> ask(Map<String, Object> request) throws IOException {
        ByteBuffer line = ByteBuffer.wrap(Keys.join(Json.canonical(request), new byte[] {'\n'}));
        while (line.hasRemaining()) {
            socket.write(line);
        }
        List<Map<String, Object>> answer = new ArrayList<>();
        while (true) {
            Map<String, Object> next = Json.read(readLine());
            if (next.get("error") != null) {
                throw new Refused("the hub: " + Json.text(next, "error", "what") + " (" + Json.text(next, "error", "code") + ")");
            }
            if (Boolean.TRUE.equals(next.get("done"))) {
                return answer;
            }
            answer.add(next);
        }
    }

    private byte[] readLine() throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int c = in.read(); c != '\n'; c = in.read()) {
            if (c < 0) {
                throw new Refused("the hub closed the connection");
            }
            line.write(c);
        }
        return line.toByteArray();
    }

    /** The public key that the hub signs its key records with. */
    String signer() throws IOException {
        return ask(Map.of("op", "keys.records")).stream().map(line -> Json.text(line, "sign_public")).filter(key -> key != null).findFirst()
            .orElseThrow(() -> new Refused("the hub does not name its signing key"));
    }

    /** Tokens of the chart of PATIENT, its own first: of SYSTEM|VALUE the hub says them, audited; a token is one already. */
    List<String> tokens(String patient) throws IOException {
        int bar = patient.lastIndexOf('|');
        if (bar < 0) {
            return List.of(patient);
        }
        List<Map<String, Object>> found = ask(Map.of("op", "patient.find", "system", patient.substring(0, bar),
            "value", patient.substring(bar + 1), "purpose", purpose));
        if (found.isEmpty()) {
            throw new Refused("no such patient");
        }
        Map<String, Object> chart = Json.object(found.get(0).get("patient"));
        List<String> tokens = new ArrayList<>(List.of(Json.text(chart, "token")));
        Json.list(chart.get("tokens")).forEach(token -> tokens.add((String) token));
        return tokens;
    }

    /** Takes the secrets with these ids of these tokens into KEYS. The hub logs it before it answers. */
    void secrets(Keys keys, Collection<String> tokens, Collection<String> ids) throws IOException {
        if (classes.isEmpty() || ids.isEmpty()) {
            return; // nothing could be opened with them
        }
        for (Map<String, Object> line : ask(Map.of("op", "key.secrets", "purpose", purpose, "classes", classes,
            "tokens", new ArrayList<>(tokens), "ids", new ArrayList<>(ids)))) {
            if (line.get("secret") != null) {
                keys.secrets.put(Json.text(line, "secret", "id"), Base64.getDecoder().decode(Json.text(line, "secret", "secret")));
            } else if ("shredded".equals(Json.text(line, "missing", "code")) && Json.text(line, "missing", "id") != null) {
                keys.shredded.add(Json.text(line, "missing", "id"));
            }
        }
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
