package chartline.example;

/** Something was changed, is not what it says it is, or may not be had. Show nothing of it. */
final class Refused extends RuntimeException {
    private static final long serialVersionUID = 1;

    Refused(String reason) {
        super(reason);
    }
}
