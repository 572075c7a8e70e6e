package chartline.example;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import javax.crypto.Cipher;
import javax.crypto.Mac;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** Opens the resource of an entry record as far as the keys go (docs/FORMATS.md, "The seal" to "Where the fields are"). */
final class Opener {
    private static final List<String> CLASSES = List.of("clear", "identity", "contact", "financial", "clinical", "sensitive", "raw");
    private static final String SEALED = "urn:chartline:sealed";

    /** 1;suite;salt;secret id;class@key id:commitment;... */
    static final class Seal {
        final int suite;
        final byte[] salt;
        final String secretId;
        final Map<String, String> keyIds = new LinkedHashMap<>();
        final Map<String, byte[]> commitments = new HashMap<>();

        Seal(String text) {
            String[] parts = text.split(";");
            suite = parts.length < 4 ? 0 : parts[1].equals("xc20p") ? 1 : parts[1].equals("aes256gcm") ? 2 : 0;
            if (suite == 0 || !parts[0].equals("1")) {
                throw new Refused("a seal of a version that this program does not know");
            }
            salt = Base64.getUrlDecoder().decode(parts[2]);
            secretId = parts[3];
            for (String part : Arrays.asList(parts).subList(4, parts.length)) {
                String[] words = part.split("[@:]");
                keyIds.put(words[0], words[1]);
                commitments.put(words[0], Base64.getUrlDecoder().decode(words[2]));
            }
        }
    }

    private final Keys keys;
    private final Seal seal;
    private final byte[] event;
    private final byte[] subject;
    private final Map<String, Object> stored;

    Opener(Map<String, Object> record, Keys keys) {
        this.keys = keys;
        seal = new Seal(Json.text(record, "seal"));
        event = Json.text(record, "event").getBytes(StandardCharsets.US_ASCII);
        subject = Json.text(record, "subject").getBytes(StandardCharsets.US_ASCII);
        stored = Json.object(record.get("resource"));
    }

    /** A copy of the resource, opened; the rest of it is still masked. */
    Map<String, Object> open() {
        boolean binary = "Binary".equals(stored.get("resourceType"));
        Map<String, Object> opened = Json.object(Json.copy(stored));
        List<Object> sealed = new ArrayList<>(), clear = new ArrayList<>();
        Json.list(opened.get("extension")).forEach(e -> (SEALED.equals(Json.text(e, "url")) && !binary ? sealed : clear).add(e));
        set(opened, "extension", clear);
        if (binary) {
            return openBinary(opened);
        }
        byte[] remainder = Json.canonical(opened);
        TreeMap<Integer, List<Object>> items = new TreeMap<>(); // by class byte
        List<Object> closed = new ArrayList<>();
        for (Object extension : sealed) {
            byte[] field = Base64.getDecoder().decode(Json.text(extension, "valueBase64Binary"));
            byte[] content = content(field, remainder);
            if (content == null) {
                closed.add(extension);
            } else if (items.put((int) field[1], Json.list(Json.parse(content))) != null) {
                throw new Refused("two fields of one class");
            }
        }
        putBack(opened, items.values().stream().flatMap(List::stream).map(Json::list).toList());
        List<Object> extensions = new ArrayList<>(Json.list(opened.get("extension")));
        extensions.addAll(closed);
        set(opened, "extension", extensions);
        return opened;
    }

    private static void set(Map<String, Object> object, String name, List<Object> list) {
        object.remove(name);
        if (!list.isEmpty()) {
            object.put(name, list);
        }
    }

    private Map<String, Object> openBinary(Map<String, Object> opened) {
        Object data = opened.remove("data");
        byte[] content = data == null ? null : content(Base64.getDecoder().decode((String) data), Json.canonical(opened));
        boolean known = content != null && (content[0] == 'B' || content[0] == 'T'); // P and R: original messages, in events only
        if (data != null) {
            byte[] body = known ? Arrays.copyOfRange(content, 1, content.length) : null;
            opened.put("data", !known ? data : content[0] == 'T' ? new String(body, StandardCharsets.UTF_8) : Base64.getEncoder().encodeToString(body));
        }
        return opened;
    }

    // --- a sealed field ---

    /** F of a class, checked against the commitment before anything is decrypted; null without a key. */
    private byte[] fieldKey(String name) {
        Keys.ClassKey classKey = keys.classKeys.get(seal.keyIds.get(name));
        byte[] secret = keys.secrets.get(seal.secretId);
        if (classKey == null || secret == null) {
            return null;
        }
        byte[] key = Keys.blake2b(classKey.key(), "chartline field 1".getBytes(StandardCharsets.US_ASCII), secret);
        byte[] commitment = Keys.blake2b(key, "chartline commit 1".getBytes(StandardCharsets.US_ASCII), seal.salt);
        if (!classKey.name().equals(name) || !MessageDigest.isEqual(commitment, seal.commitments.get(name))) {
            throw new Refused("a key that is not the one the seal commits to");
        }
        return key;
    }

    /** The content of one sealed field; null when there is no key for its class. */
    private byte[] content(byte[] field, byte[] remainder) {
        if (field.length < 6 + 16 || field[0] != seal.suite || field[1] < 1 || field[1] > 6 || !seal.keyIds.containsKey(CLASSES.get(field[1]))) {
            throw new Refused("not a sealed field of this seal");
        }
        String name = CLASSES.get(field[1]);
        byte[] key = fieldKey(name);
        if (key == null) {
            return null;
        }
        byte[] aad = lp(new byte[] {field[0]}, event, subject, new byte[] {field[1]}, seal.keyIds.get(name).getBytes(StandardCharsets.US_ASCII),
            Json.text(stored, "id").getBytes(StandardCharsets.US_ASCII), Keys.blake2b(null, remainder));
        byte[] plain = decrypt(key, Arrays.copyOfRange(field, 2, 6), Arrays.copyOfRange(field, 6, field.length), aad);
        int end = plain.length;
        while (end > 0 && plain[end - 1] == 0) {
            end--;
        }
        if (end == 0 || plain[end - 1] != (byte) 0x80) {
            throw new Refused("a field without its padding");
        }
        return Arrays.copyOf(plain, end - 1);
    }

    private byte[] decrypt(byte[] key, byte[] ordinal, byte[] sealed, byte[] aad) {
        if (seal.suite == 1) {
            byte[] out = new byte[sealed.length - 16];
            byte[] nonce = Keys.join(seal.salt, new byte[4], ordinal);
            if (Keys.SODIUM.crypto_aead_xchacha20poly1305_ietf_decrypt(out, null, null, sealed, sealed.length, aad, aad.length, nonce, key) != 0) {
                throw new Refused("a ciphertext, or what stands clear beside it, was changed");
            }
            return out;
        }
        try {
            Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
            byte[] eventKey = hmac(hmac(seal.salt, key), new byte[] {1}); // HKDF-SHA256, one block
            cipher.init(Cipher.DECRYPT_MODE, new SecretKeySpec(eventKey, "AES"), new GCMParameterSpec(128, Keys.join(new byte[8], ordinal)));
            cipher.updateAAD(aad);
            return cipher.doFinal(sealed);
        } catch (GeneralSecurityException e) {
            throw new Refused("a ciphertext, or what stands clear beside it, was changed");
        }
    }

    private static byte[] hmac(byte[] key, byte[] data) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        return mac.doFinal(data);
    }

    /** Each part behind its length in 8 bytes, little endian. */
    private static byte[] lp(byte[]... parts) {
        byte[] out = new byte[0];
        for (byte[] part : parts) {
            out = Keys.join(out, ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(part.length).array(), part);
        }
        return out;
    }

    // --- putting opened items back ---

    private record Insert(List<String> way, int index, Object value) {}

    private static void putBack(Map<String, Object> resource, List<List<Object>> items) {
        List<Insert> inserts = new ArrayList<>();
        for (List<Object> item : items) {
            List<String> way = new ArrayList<>();
            for (String part : ((String) item.get(0)).substring(1).split("/")) {
                way.add(part.replace("~1", "/").replace("~0", "~"));
            }
            String last = way.remove(way.size() - 1);
            if (item.size() == 2 && last.matches("[0-9]+")) {
                inserts.add(new Insert(way, Integer.parseInt(last), item.get(1)));
                continue;
            }
            Object parent = walk(resource, way, false);
            if (parent instanceof List) {
                Json.list(parent).remove(Integer.parseInt(last));
            } else if (item.size() == 2) {
                Json.object(parent).put(last, item.get(1));
            } else {
                Json.object(parent).remove(last);
            }
        }
        inserts.sort(Comparator.comparing((Insert i) -> -i.way().size()).thenComparing(Insert::index));
        for (Insert insert : inserts) {
            List<Object> list = Json.list(walk(resource, insert.way(), true));
            list.add(Math.min(insert.index(), list.size()), insert.value());
        }
    }

    /** The node at the end of WAY; what is missing on it is made, the last one as a list if LIST. */
    private static Object walk(Map<String, Object> resource, List<String> way, boolean list) {
        Object node = resource;
        for (int i = 0; i < way.size(); i++) {
            boolean last = i == way.size() - 1;
            node = node instanceof List ? Json.list(node).get(Integer.parseInt(way.get(i)))
                : Json.object(node).computeIfAbsent(way.get(i), name -> last && list ? new ArrayList<>() : new LinkedHashMap<>());
        }
        return node;
    }
}
