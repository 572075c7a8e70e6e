package chartline.kafka;

/** A standalone worker in this process. Arguments: its properties, then those of each connector. */
public final class Worker {
    public static void main(String[] args) {
        org.apache.kafka.connect.cli.ConnectStandalone.main(args);
    }
}
