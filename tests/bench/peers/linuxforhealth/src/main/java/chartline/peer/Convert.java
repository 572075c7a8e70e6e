package chartline.peer;

import io.github.linuxforhealth.hl7.HL7ToFHIRConverter;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * How many messages a second the LinuxForHealth converter makes FHIR of (one thread). Reads every *.hl7 file of a folder
 * (one message each) before the clock starts, converts each once to warm up, then round and round.
 *
 * <p>Usage: Convert FOLDER [SECONDS]. Prints {"peer","messages","seconds","per_second","failed"}: messages converted in
 * the measured time, and how many of the folder's files it cannot convert (they are left out of the measurement).
 */
public final class Convert {
    private Convert() {}

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

    private static boolean converts(HL7ToFHIRConverter converter, String message) {
        try {
            return converter.convert(message) != null;
        } catch (RuntimeException e) {
            return false;
        }
    }

    public static void main(String[] args) throws IOException {
        double seconds = args.length > 1 ? Double.parseDouble(args[1]) : 5;
        PrintStream out = System.out;
        System.setOut(System.err); // the converter's own logging must not get between
        HL7ToFHIRConverter converter = new HL7ToFHIRConverter();
        List<String> all = read(Path.of(args[0]));
        List<String> good = all.stream().filter(message -> converts(converter, message)).toList();
        if (good.isEmpty()) {
            System.err.println("no message that can be converted");
            System.exit(1);
        }
        long start = System.nanoTime();
        long count = 0;
        while (System.nanoTime() - start < (long) (seconds * 1e9)) {
            converter.convert(good.get((int) (count++ % good.size())));
        }
        double took = (System.nanoTime() - start) / 1e9;
        out.printf(Locale.ROOT, "{\"peer\":\"linuxforhealth\",\"messages\":%d,\"seconds\":%.3f,\"per_second\":%.0f,\"failed\":%d}%n", count,
                took, count / took, all.size() - good.size());
    }
}
