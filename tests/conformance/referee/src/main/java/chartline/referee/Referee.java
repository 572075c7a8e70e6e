package chartline.referee;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import ca.uhn.fhir.validation.SingleValidationMessage;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.UnknownCodeSystemWarningValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;

/**
 * Judges FHIR R4 resources offline: one resource (a Bundle mostly) a line, from files or, for "-" or no argument,
 * standard input; a file that ends in .json is one resource as a whole.
 *
 * <p>Prints a line an error, "file:line: location: text", and a summary. Exit code 1: errors; 2: nothing judged.
 */
public final class Referee {
    private static final int ERRORS_PRINTED_MAX = 500;

    /*
     * Licensed, national and local code systems (SNOMED CT, CVX, a hospital's own) are not here, and there is no
     * server to ask: that the referee does not know a system or cannot list a value set says nothing about the
     * resource. FHIR's own systems and value sets are here, so for those the same words are errors.
     */
    private static final Pattern NO_TERMINOLOGY = Pattern.compile(
            "unknown code ?system|code ?system .*(is unknown|could not be found|cannot be found|not be validated)"
                    + "|unable to (expand|validate)|value ?set .*(not found|could not be found|cannot be found|unable to be found)",
            Pattern.CASE_INSENSITIVE);
    private static final Pattern FHIRS_OWN = Pattern.compile("http://(hl7\\.org/fhir/(?!sid/)|terminology\\.hl7\\.org/)");

    /*
     * What FHIR allows and this validator does not: object identifiers of few or short arcs (its own check asks for
     * more than the regex of the type oid), and extensions for elements of R5 by the url that FHIR reserves for them
     * (the definitions of R5 are not here).
     */
    private static final Pattern STRICTER_THAN_FHIR = Pattern.compile(
            "OIDs must be valid \\([0-2](\\.(0|[1-9][0-9]*))+\\)"
                    + "|Extension url 'http://hl7\\.org/fhir/5\\.0/StructureDefinition/extension-[A-Za-z.]+' is not valid \\(invalid Version");

    private final FhirValidator validator;
    private long judged;
    private long faulty;
    private long errors;

    private Referee() {
        FhirContext context = FhirContext.forR4();
        UnknownCodeSystemWarningValidationSupport unknownSystems = new UnknownCodeSystemWarningValidationSupport(context);
        unknownSystems.setNonExistentCodeSystemSeverity(IValidationSupport.IssueSeverity.WARNING);
        ValidationSupportChain chain = new ValidationSupportChain(
                new DefaultProfileValidationSupport(context),
                new CommonCodeSystemsTerminologyService(context),
                new InMemoryTerminologyServerValidationSupport(context),
                new SnapshotGeneratingValidationSupport(context),
                unknownSystems);
        FhirInstanceValidator instance = new FhirInstanceValidator(chain);
        instance.setBestPracticeWarningLevel(BestPracticeWarningLevel.Ignore);
        validator = context.newValidator().registerValidatorModule(instance);
    }

    private static boolean counts(SingleValidationMessage message) {
        ResultSeverityEnum severity = message.getSeverity();
        if (severity != ResultSeverityEnum.ERROR && severity != ResultSeverityEnum.FATAL) {
            return false;
        }
        String text = String.valueOf(message.getMessage());
        if (STRICTER_THAN_FHIR.matcher(text).find()) {
            return false;
        }
        return !NO_TERMINOLOGY.matcher(text).find() || FHIRS_OWN.matcher(text).find();
    }

    private void fault(String file, long line, String location, String text) {
        errors++;
        if (errors <= ERRORS_PRINTED_MAX) {
            System.out.println(file + ":" + line + ": " + location + ": " + text.replace('\n', ' '));
        }
    }

    private void judge(String file, long line, String resource) {
        long before = errors;
        judged++;
        try {
            for (SingleValidationMessage message : validator.validateWithResult(resource).getMessages()) {
                if (counts(message)) {
                    fault(file, line, String.valueOf(message.getLocationString()), String.valueOf(message.getMessage()));
                }
            }
        } catch (RuntimeException e) { // what cannot even be parsed
            fault(file, line, "resource", e.getClass().getSimpleName() + ": " + e.getMessage());
        }
        if (errors != before) {
            faulty++;
        }
    }

    private void lines(String file, InputStream in) throws IOException {
        BufferedReader reader = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
        long number = 0;
        for (String line = reader.readLine(); line != null; line = reader.readLine()) {
            number++;
            if (!line.isBlank()) {
                judge(file, number, line);
            }
        }
    }

    private void file(String name) throws IOException {
        if (name.equals("-")) {
            lines(name, System.in);
        } else if (name.endsWith(".json")) {
            judge(name, 1, Files.readString(Path.of(name)));
        } else {
            try (InputStream in = Files.newInputStream(Path.of(name))) {
                lines(name, in);
            }
        }
    }

    /** Judges all of ARGS. */
    public static void main(String[] args) throws IOException {
        Referee referee = new Referee();
        for (String name : args.length == 0 ? new String[] {"-"} : args) {
            referee.file(name);
        }
        if (referee.errors > ERRORS_PRINTED_MAX) {
            System.out.println((referee.errors - ERRORS_PRINTED_MAX) + " more errors are not shown");
        }
        System.out.println(referee.judged + " judged, " + referee.faulty + " with errors, " + referee.errors + " errors");
        System.exit(referee.errors != 0 ? 1 : referee.judged == 0 ? 2 : 0);
    }
}
