package chartline.kafka;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * One KRaft node in this process: formats its storage when it is empty, then runs until it is ended.
 * Arguments: the properties file, then options of the format such as --add-scram.
 */
public final class Broker {
    public static void main(String[] args) throws Exception {
        Path properties = Path.of(args[0]);
        Path mark = properties.resolveSibling("formatted");
        if (!Files.exists(mark)) {
            List<String> format = new ArrayList<>(List.of("format", "--cluster-id", "chartlineAAAAAAAAAAAAQ", "--config",
                properties.toString(), "--ignore-formatted"));
            format.addAll(Arrays.asList(args).subList(1, args.length));
            int code = (int) kafka.tools.StorageTool.execute(format.toArray(new String[0]), System.out);
            if (code != 0) {
                System.exit(code);
            }
            Files.createFile(mark);
        }
        kafka.Kafka.main(new String[] {properties.toString()});
    }
}
