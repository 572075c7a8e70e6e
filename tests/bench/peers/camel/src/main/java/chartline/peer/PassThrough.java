package chartline.peer;

import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.main.Main;

/**
 * Camel's `mllp` to `kafka`: each message goes to a topic as it came (acks=all), then its sender gets AA. No parsing, no
 * encryption, nothing kept of its own.
 *
 * <p>Usage: PassThrough PORT BROKERS TOPIC. Prints "ready" when the port listens and ends with standard input, so that it
 * cannot outlive whoever started it.
 */
public final class PassThrough {
    private static final int CONNECTIONS = 64; // the default, 5, would let most of the senders wait

    private PassThrough() {}

    /** Runs until standard input ends. */
    public static void main(String[] args) throws Exception {
        String from = "mllp:127.0.0.1:" + args[0] + "?autoAck=true&hl7Headers=false&requireEndOfData=true&maxConcurrentConsumers=" + CONNECTIONS;
        String to = "kafka:" + args[2] + "?brokers=" + args[1] + "&requestRequiredAcks=all"
            + "&valueSerializer=org.apache.kafka.common.serialization.ByteArraySerializer";
        Main main = new Main();
        main.configure().withShutdownTimeout(2);
        main.configure().addRoutesBuilder(new RouteBuilder() {
            @Override
            public void configure() {
                from(from).to(to);
            }
        });
        main.start();
        System.out.println("ready");
        System.out.flush();
        while (System.in.read() >= 0) {
            continue;
        }
        Runtime.getRuntime().halt(0); // nothing is kept here
    }
}
