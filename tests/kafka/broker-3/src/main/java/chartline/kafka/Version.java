package chartline.kafka;

import org.apache.kafka.common.utils.AppInfoParser;

/** Prints the version of the Kafka jars on the class path. */
public final class Version {
    public static void main(String[] args) {
        System.out.println(AppInfoParser.getVersion());
    }
}
