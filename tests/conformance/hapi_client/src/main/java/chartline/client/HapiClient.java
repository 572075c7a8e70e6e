package chartline.client;

import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HL7Exception;
import ca.uhn.hl7v2.HapiContext;
import ca.uhn.hl7v2.app.Connection;
import ca.uhn.hl7v2.app.Initiator;
import ca.uhn.hl7v2.app.TimeoutException;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.parser.CanonicalModelClassFactory;
import ca.uhn.hl7v2.parser.Parser;
import ca.uhn.hl7v2.parser.PipeParser;
import ca.uhn.hl7v2.preparser.PreParser;
import ca.uhn.hl7v2.protocol.Processor;
import ca.uhn.hl7v2.protocol.TransportException;
import ca.uhn.hl7v2.protocol.Transportable;
import ca.uhn.hl7v2.protocol.impl.MLLPTransport;
import ca.uhn.hl7v2.protocol.impl.NullSafeStorage;
import ca.uhn.hl7v2.protocol.impl.ProcessorContextImpl;
import ca.uhn.hl7v2.protocol.impl.ProcessorImpl;
import ca.uhn.hl7v2.protocol.impl.SocketStreamSource;
import ca.uhn.hl7v2.protocol.impl.TransportableImpl;
import ca.uhn.hl7v2.util.Terser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLSocketFactory;

/**
 * HAPI HL7v2 as a sender over mutual TLS. Reads lines from standard input: a message in base64, a tab, and what the
 * way of sending needs; answers each with a line.
 *
 * <ul>
 *   <li>transport: HAPI's MLLP transport. Needs a second message in base64 that is always answered; everything that
 *       comes before its answer belongs to the first. Prints the answers in base64, tab separated; each was read by
 *       HAPI's parser with its default validation ("!" and the reason when it was not).
 *   <li>initiator: HAPI's usual client, which knows one answer a message and connects again when it was left. Needs
 *       how many milliseconds to wait. Prints the code it got, or "none".
 *   <li>processor: HAPI's enhanced mode, which waits for an accept acknowledgement and then for the application's.
 *       Needs the milliseconds to wait for each, comma separated. Prints "ok" or "error", a tab, and the application
 *       acknowledgement's code or "none".
 * </ul>
 *
 * Usage: HapiClient transport|initiator|processor HOST PORT. Keys and trusted certificates come from the javax.net.ssl
 * properties.
 */
public final class HapiClient {
    private HapiClient() {}

    /** A connection that HAPI opens itself. */
    private static final class TlsSource extends SocketStreamSource {
        private final String host;
        private final int port;
        private Socket socket;

        TlsSource(String host, int port) {
            this.host = host;
            this.port = port;
        }

        @Override
        public Socket getSocket() {
            return socket;
        }

        @Override
        public void connect() throws TransportException {
            try {
                socket = SSLSocketFactory.getDefault().createSocket(host, port);
            } catch (IOException e) {
                throw new TransportException(e);
            }
        }
    }

    /** One way of sending: MESSAGE with what is NEEDED, to the line that is printed. */
    private interface Way {
        String send(String message, String needed) throws Exception;
    }

    private static String decode(String base64) {
        return new String(Base64.getDecoder().decode(base64), StandardCharsets.ISO_8859_1);
    }

    private static String field(String message, String path) throws HL7Exception {
        return PreParser.getFields(message, path)[0];
    }

    private static String describe(Parser parser, String answer) {
        try {
            Message parsed = parser.parse(answer);
            if (!new Terser(parsed).get("/MSA-2").equals(field(answer, "MSA-2"))) {
                return "!the parser sees another control id";
            }
            return Base64.getEncoder().encodeToString(answer.getBytes(StandardCharsets.ISO_8859_1));
        } catch (HL7Exception | RuntimeException e) {
            return "!" + String.valueOf(e.getMessage()).replaceAll("\\s+", " ");
        }
    }

    private static Way transport(String host, int port) throws Exception {
        MLLPTransport transport = new MLLPTransport(new TlsSource(host, port));
        PipeParser parser = new PipeParser(new CanonicalModelClassFactory("2.5.1"));
        parser.getParserConfiguration().setAllowUnknownVersions(true); // the hub refuses them, in their own version
        transport.connect();
        return (message, needed) -> {
            String fence = decode(needed);
            List<String> answers = new ArrayList<>();
            transport.send(new TransportableImpl(message));
            transport.send(new TransportableImpl(fence));
            while (true) {
                Transportable got = transport.receive();
                if (got == null) {
                    return "!the connection ended";
                }
                if (field(fence, "MSH-10").equals(field(got.getMessage(), "MSA-2"))) {
                    return String.join("\t", answers);
                }
                answers.add(describe(parser, got.getMessage()));
            }
        };
    }

    private static Way initiator(HapiContext context, String host, int port) throws Exception {
        Connection[] connection = {context.newClient(host, port, true)};
        return (message, needed) -> {
            if (!connection[0].isOpen()) {
                connection[0] = context.newClient(host, port, true);
            }
            Initiator initiator = connection[0].getInitiator();
            initiator.setTimeout(Long.parseLong(needed), TimeUnit.MILLISECONDS);
            try {
                return new Terser(initiator.sendAndReceive(context.getPipeParser().parse(message))).get("/MSA-1");
            } catch (TimeoutException e) {
                return "none";
            }
        };
    }

    private static Way processor(String host, int port) throws Exception {
        MLLPTransport transport = new MLLPTransport(new TlsSource(host, port));
        transport.connect();
        Processor processor = new ProcessorImpl(new ProcessorContextImpl(null, transport, new NullSafeStorage()), true);
        return (message, needed) -> {
            String[] wait = needed.split(",");
            String id = field(message, "MSH-10");
            String accepted = "ok";
            processor.reserve(id, 60_000);
            try {
                processor.send(new TransportableImpl(message), 0, Long.parseLong(wait[0]));
            } catch (HL7Exception e) {
                accepted = "error";
            }
            Transportable answer = processor.receive(id, Long.parseLong(wait[1]));
            return accepted + "\t" + (answer == null ? "none" : field(answer.getMessage(), "MSA-1"));
        };
    }

    private static Way way(HapiContext context, String[] args) throws Exception {
        int port = Integer.parseInt(args[2]);
        return switch (args[0]) {
            case "transport" -> transport(args[1], port);
            case "initiator" -> initiator(context, args[1], port);
            case "processor" -> processor(args[1], port);
            default -> throw new IllegalArgumentException(args[0]);
        };
    }

    /** Answers each line of standard input with a line. */
    public static void main(String[] args) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        Way way = way(new DefaultHapiContext(), args);
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] parts = line.split("\t");
            System.out.println(way.send(decode(parts[0]), parts[1]));
        }
        System.out.flush();
        System.exit(0); // HAPI's own threads go on
    }
}
