package chartline.peer;

import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HL7Exception;
import ca.uhn.hl7v2.HapiContext;
import ca.uhn.hl7v2.parser.CanonicalModelClassFactory;
import ca.uhn.hl7v2.parser.PipeParser;
import ca.uhn.hl7v2.validation.impl.ValidationContextFactory;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * How many messages a second HAPI HL7v2 parses (typed model of v2.5.1, no validation, one thread). Reads every *.hl7
 * file of a folder (one message each) before the clock starts, warms up, then parses them round and round.
 *
 * <p>Usage: HapiParse FOLDER [SECONDS]. Prints {"peer","messages","seconds","per_second","failed"}: messages parsed in
 * the measured time, and how many of the folder's files cannot be parsed (they are left out of the measurement).
 */
public final class HapiParse {
    private static final double WARM_UP_SECONDS = 3;

    private HapiParse() {}

    private static List<String> read(Path folder) throws IOException {
        List<String> messages = new ArrayList<>();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.filter(f -> f.toString().endsWith(".hl7")).sorted().toList()) {
                String text = Files.readString(file, StandardCharsets.ISO_8859_1);
                messages.add(text.replace("\r\n", "\r").replace('\n', '\r'));
            }
        }
        return messages;
    }

    private static List<String> parsable(PipeParser parser, List<String> messages) {
        List<String> good = new ArrayList<>();
        for (String message : messages) {
            try {
                parser.parse(message);
                good.add(message);
            } catch (HL7Exception | RuntimeException e) {
                continue; // counted by the difference
            }
        }
        return good;
    }

    private static long run(PipeParser parser, List<String> messages, double seconds) throws HL7Exception {
        long end = System.nanoTime() + (long) (seconds * 1e9);
        long count = 0;
        while (System.nanoTime() < end) {
            parser.parse(messages.get((int) (count++ % messages.size())));
        }
        return count;
    }

    /** Prints one line of JSON. */
    public static void main(String[] args) throws Exception {
        List<String> messages = read(Path.of(args[0]));
        double seconds = args.length > 1 ? Double.parseDouble(args[1]) : 5;
        try (HapiContext context = new DefaultHapiContext()) {
            context.setModelClassFactory(new CanonicalModelClassFactory("2.5.1"));
            context.setValidationContext(ValidationContextFactory.noValidation());
            PipeParser parser = context.getPipeParser();
            List<String> good = parsable(parser, messages);
            if (good.isEmpty()) {
                System.err.println("no message of " + args[0] + " can be parsed");
                System.exit(1);
            }
            run(parser, good, WARM_UP_SECONDS);
            long start = System.nanoTime();
            long count = run(parser, good, seconds);
            double took = (System.nanoTime() - start) / 1e9;
            System.out.printf(Locale.ROOT, "{\"peer\":\"hapi-parse\",\"messages\":%d,\"seconds\":%.3f,\"per_second\":%.1f,\"failed\":%d}%n",
                    count, took, count / took, messages.size() - good.size());
        }
    }
}
