package chartline.example;

import com.goterl.lazysodium.SodiumJava;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What a role holds: class keys from key records, patients' secrets from the key service (docs/FORMATS.md, "Key records"). */
final class Keys {
    record ClassKey(String name, byte[] key) {}

    static final SodiumJava SODIUM = new SodiumJava();

    final Set<String> signers = new HashSet<>(); // hubs whose key records count: Ed25519 public keys, base64
    final Set<String> known = new HashSet<>(); // ids of all class keys there are, for this role or not
    final Map<String, ClassKey> classKeys = new HashMap<>();
    final Map<String, byte[]> secrets = new HashMap<>(); // by secret id
    final Set<String> shredded = new HashSet<>(); // secret ids: gone for good
    private final byte[] publicKey = new byte[32];
    private final byte[] secretKey;

    Keys(Path roleKeyFile) throws IOException {
        List<String> lines = Files.readAllLines(roleKeyFile, StandardCharsets.US_ASCII);
        if (lines.size() < 2 || !lines.get(0).startsWith("chartline-role-secret-1 ")) {
            throw new Refused(roleKeyFile + " is no role's secret key");
        }
        secretKey = Base64.getDecoder().decode(lines.get(1));
        SODIUM.crypto_scalarmult_base(publicKey, secretKey);
    }

    byte[] openBox(String base64) {
        byte[] box = Base64.getDecoder().decode(base64);
        byte[] plain = new byte[Math.max(0, box.length - 48)];
        if (SODIUM.crypto_box_seal_open(plain, box, box.length, publicKey, secretKey) != 0) {
            throw new Refused("a box that this role's key does not open");
        }
        return plain;
    }

    /** One key record; records of kinds that are not known here are passed over. */
    void add(Map<String, Object> record) {
        String kind = Json.text(record, "kind"), id = Json.text(record, "id");
        if ("shredded".equals(kind)) {
            verify(record);
            shredded.add(id);
            secrets.remove(id);
        } else if ("class-key".equals(kind)) {
            verify(record);
            known.add(id);
            for (Object grant : Json.list(record.get("sealed"))) { // a later record of the same key may add roles
                if (Arrays.equals(Base64.getDecoder().decode(Json.text(grant, "public")), publicKey) && !classKeys.containsKey(id)) {
                    classKeys.put(id, new ClassKey(Json.text(record, "class"), openBox(Json.text(grant, "box"))));
                }
            }
        }
    }

    private void verify(Map<String, Object> record) {
        Map<String, Object> signed = new HashMap<>(record);
        Object signature = signed.remove("signature");
        String signer = Json.text(record, "signer");
        if (!signers.contains(signer)) {
            throw new Refused("a key record of a hub that is not trusted here");
        }
        byte[] text = join("chartline key record 1\n".getBytes(StandardCharsets.US_ASCII), Json.canonical(signed));
        if (!(signature instanceof String sealed)
            || SODIUM.crypto_sign_verify_detached(Base64.getDecoder().decode(sealed), text, text.length, Base64.getDecoder().decode(signer)) != 0) {
            throw new Refused("a key record whose signature does not verify");
        }
    }

    /** BLAKE2b-256, keyed when KEY is not null. */
    static byte[] blake2b(byte[] key, byte[]... parts) {
        byte[] out = new byte[32], data = join(parts);
        SODIUM.crypto_generichash(out, out.length, data, data.length, key, key == null ? 0 : key.length);
        return out;
    }

    static byte[] join(byte[]... parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            out.writeBytes(part);
        }
        return out.toByteArray();
    }
}
