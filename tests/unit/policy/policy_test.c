#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/policy/policy.h"

#define SCHEMAS CHARTLINE_SOURCE_DIR "/schemas"

struct file {
    char folder[64];
    char path[96];
};

static void file_write(struct file *file, const char *text)
{
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(file->folder, sizeof file->folder, "%s/policy-XXXXXX",
                   tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(file->folder));
    (void)snprintf(file->path, sizeof file->path, "%s/p.yaml", file->folder);
    FILE *f = fopen(file->path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void file_remove(const struct file *file)
{
    assert_int_equal(unlink(file->path), 0);
    assert_int_equal(rmdir(file->folder), 0);
}

static struct hub_policy *load(const char *text, struct hub_problems *problems)
{
    struct file file;
    hub_problems_init(problems);
    file_write(&file, text);
    struct hub_policy *policy = hub_policy_load(file.path, SCHEMAS, problems);
    file_remove(&file);
    return policy;
}

static struct hub_policy *load_default(void)
{
    struct hub_problems problems;
    hub_problems_init(&problems);
    struct hub_policy *policy =
        hub_policy_load(CHARTLINE_SOURCE_DIR "/policies/protect/default.yaml", SCHEMAS, &problems);
    (void)hub_problems_print(&problems, stderr);
    assert_int_equal(problems.count, 0);
    hub_problems_deinit(&problems);
    assert_non_null(policy);
    return policy;
}

/* The node of a dotted path; absent steps leave the deepest one that is there. */
static const struct hub_policy_node *at(const struct hub_policy *policy, const char *type, const char *path)
{
    const struct hub_policy_node *node = hub_policy_resource(policy, type);
    while (*path != '\0') {
        size_t len = strcspn(path, ".");
        const struct hub_policy_node *child = hub_policy_child(node, path, len);
        if (child == NULL)
            return node;
        node = child;
        path += path[len] == '.' ? len + 1 : len;
    }
    return node;
}

static void expect(const struct hub_policy *policy, const char *type, const char *path, const char *class_)
{
    assert_string_equal(hub_data_class_name(hub_policy_node_class(at(policy, type, path))), class_);
}

static void policy_default_gives_every_kind_of_content_its_class(void **state)
{
    (void)state;
    struct hub_policy *p = load_default();
    assert_memory_equal(hub_policy_name(p), "protect/2026-11@", 16);
    assert_int_equal(strlen(hub_policy_name(p)), 32);
    expect(p, "Patient", "name", "identity");
    expect(p, "Patient", "birthDate", "identity");
    expect(p, "Patient", "identifier.value", "identity");
    expect(p, "Patient", "telecom", "contact");
    expect(p, "Patient", "contact.name", "contact");
    expect(p, "Patient", "active", "clear");
    expect(p, "Observation", "code", "clinical");
    expect(p, "Observation", "valueQuantity", "clinical");
    expect(p, "Observation", "identifier", "identity");
    expect(p, "Observation", "status", "clear");
    expect(p, "Observation", "meta.profile", "clear");
    expect(p, "Observation", "meta.security", "clinical");
    expect(p, "Coverage", "subscriberId", "financial");
    expect(p, "Binary", "data", "raw");
    expect(p, "Binary", "contentType", "clear");
    expect(p, "NoSuchType", "anything", "clinical");
    expect(p, "NoSuchType", "identifier", "identity");
    hub_policy_free(p);
}

static void policy_knows_what_a_valid_resource_needs(void **state)
{
    (void)state;
    struct hub_policy *p = load_default();
    assert_true(hub_policy_node_masked(at(p, "Observation", "code")));
    assert_false(hub_policy_node_needed(at(p, "Observation", "code")));
    assert_true(hub_policy_node_needed(at(p, "Observation", "status")));
    assert_true(hub_policy_node_needed(at(p, "AllergyIntolerance", "clinicalStatus")));
    assert_true(hub_policy_node_masked(at(p, "Encounter", "class")));
    assert_false(hub_policy_node_masked(at(p, "Encounter", "type")));
    assert_true(hub_policy_node_masked(at(p, "Patient", "communication.language")));
    assert_true(hub_policy_node_mixed(at(p, "Appointment", "participant")));
    assert_true(hub_policy_node_mixed(at(p, "MessageHeader", "source")));
    assert_false(hub_policy_node_mixed(at(p, "Patient", "contact")));
    assert_true(hub_policy_node_mixed(hub_policy_resource(p, "Patient")));
    hub_policy_free(p);
}

static void policy_lifts_listed_labels_and_codes_only(void **state)
{
    (void)state;
    struct hub_policy *p = load_default();
    const struct hub_span act = HUB_SPAN("http://terminology.hl7.org/CodeSystem/v3-ActCode");
    const struct hub_span reason = HUB_SPAN("http://terminology.hl7.org/CodeSystem/v3-ActReason");
    assert_true(hub_policy_lifts(p, act, HUB_SPAN("HIV")));
    assert_true(hub_policy_lifts(p, act, HUB_SPAN("PSY")));
    assert_true(hub_policy_lifts(p, HUB_SPAN("http://loinc.org"), HUB_SPAN("7917-8")));
    assert_false(hub_policy_lifts(p, act, HUB_SPAN("IMP")));
    assert_false(hub_policy_lifts(p, HUB_SPAN("http://loinc.org"), HUB_SPAN("HIV")));
    assert_false(hub_policy_lifts(p, reason, HUB_SPAN("HTEST")));
    assert_true(hub_policy_label_clear(p, reason, HUB_SPAN("HTEST")));
    assert_false(hub_policy_label_clear(p, act, HUB_SPAN("HIV")));
    hub_policy_free(p);
}

static void policy_lifts_codes_by_their_beginning(void **state)
{
    (void)state;
    struct hub_policy *p = load_default();
    const struct hub_span icd = HUB_SPAN("http://hl7.org/fhir/sid/icd-10-cm");
    static const char *const lifted[] = {"F10.20", "F1020", "f19.10", "F20", "F99", "B20", "Z21", "O98.711", "O98.7", "A54.9"};
    static const char *const others[] = {"E11.9", "F", "F0.1", "F09", "B2", "B96.2", "Z22.1", "O98.6", "I10", "A49.9", ""};
    for (size_t i = 0; i < sizeof lifted / sizeof lifted[0]; i++)
        if (!hub_policy_lifts(p, icd, hub_span_str(lifted[i])))
            fail_msg("%s is not lifted", lifted[i]);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (hub_policy_lifts(p, icd, hub_span_str(others[i])))
            fail_msg("%s is lifted", others[i]);
    assert_false(hub_policy_lifts(p, HUB_SPAN("http://loinc.org"), HUB_SPAN("F10.20"))); /* another system's code */
    assert_true(hub_policy_lifts(p, HUB_SPAN("http://www.ama-assn.org/go/cpt"), HUB_SPAN("86703")));
    assert_false(hub_policy_lifts(p, HUB_SPAN("http://www.ama-assn.org/go/cpt"), HUB_SPAN("867031")));
    assert_true(hub_policy_lifts(p, HUB_SPAN("http://snomed.info/sct"), HUB_SPAN("86406008")));
    assert_true(hub_policy_lifts(p, HUB_SPAN("http://terminology.hl7.org/CodeSystem/v2-0177"), HUB_SPAN("HIV")));
    hub_policy_free(p);
}

static void policy_list_that_is_none_is_refused(void **state)
{
    (void)state;
    struct hub_problems problems;
    assert_null(load("policy: p/1\nlists: [nowhere.yaml]\nresources: {}\n", &problems));
    assert_string_equal(problems.items[0].error.what, "cannot be read");
    hub_problems_deinit(&problems);
    assert_null(load("policy: p/1\nlists: [p.yaml]\nresources: {}\n", &problems)); /* itself: no list */
    assert_string_equal(problems.items[0].error.what, "the list has no name");
    hub_problems_deinit(&problems);
    assert_null(load("policy: p/1\nsensitive: [\"urn:x|*\"]\nresources: {}\n", &problems)); /* all of a system */
    assert_string_equal(problems.items[0].error.what, "not a code");
    hub_problems_deinit(&problems);
}

static void policy_names_as_many_lists_as_a_hospital_has(void **state)
{
    (void)state;
    enum { LISTS = 40 };
    char text[LISTS * 256] = "policy: p/1\nlists: [", *at = text + strlen(text);
    struct hub_problems problems;
    for (int i = 0; i < LISTS; i++)
        at += snprintf(at, (size_t)(text + sizeof text - at), "%s%s/policies/sensitive/hiv.yaml", i != 0 ? ", " : "", CHARTLINE_SOURCE_DIR);
    assert_true(at + 32 < text + sizeof text);
    (void)strcpy(at, "]\nresources: {}\n");
    struct hub_policy *policy = load(text, &problems);
    (void)hub_problems_print(&problems, stderr);
    hub_problems_deinit(&problems);
    assert_non_null(policy);
    hub_policy_free(policy);
}

static void policy_deeper_rule_makes_its_ancestors_mixed(void **state)
{
    (void)state;
    struct hub_problems problems;
    struct hub_policy *p = load("policy: protect/test\nresources:\n  Patient:\n    \"*\": identity\n"
                                "    contact.telecom: contact\n    \"deceased[x]\": clinical\n",
                                &problems);
    assert_non_null(p);
    expect(p, "Patient", "contact.name", "identity");
    expect(p, "Patient", "contact.telecom", "contact");
    expect(p, "Patient", "contact.telecom.value", "contact");
    assert_true(hub_policy_node_mixed(at(p, "Patient", "contact")));
    assert_false(hub_policy_node_mixed(at(p, "Patient", "contact.telecom")));
    expect(p, "Patient", "deceasedBoolean", "clinical");
    expect(p, "Patient", "deceasedDateTime", "clinical");
    hub_policy_free(p);
    hub_problems_deinit(&problems);
}

static void policy_says_its_suite(void **state)
{
    (void)state;
    struct hub_problems problems;
    struct hub_policy *policy = load("policy: protect/test\nresources: {}\n", &problems);
    assert_int_equal(hub_policy_suite(policy), HUB_SUITE_XC20P);
    hub_policy_free(policy);
    hub_problems_deinit(&problems);
    policy = load("policy: protect/test\nsuite: aes256gcm\nresources: {}\n", &problems);
    assert_int_equal(hub_policy_suite(policy), HUB_SUITE_AES256GCM);
    hub_policy_free(policy);
    hub_problems_deinit(&problems);
}

static void policy_name_changes_with_every_byte(void **state)
{
    (void)state;
    struct hub_problems a_problems, b_problems;
    struct hub_policy *a = load("policy: protect/test\nresources: {}\n", &a_problems);
    struct hub_policy *b = load("policy: protect/test\nresources: {} \n", &b_problems);
    assert_string_not_equal(hub_policy_name(a), hub_policy_name(b));
    hub_policy_free(a);
    hub_policy_free(b);
    hub_problems_deinit(&a_problems);
    hub_problems_deinit(&b_problems);
}

static void expect_refused(const char *text, uint32_t line, const char *what)
{
    struct hub_problems problems;
    assert_null(load(text, &problems));
    assert_true(problems.errors >= 1);
    assert_string_equal(problems.items[0].error.what, what);
    assert_int_equal(problems.items[0].error.line, line);
    hub_problems_deinit(&problems);
}

static void policy_that_seals_what_is_needed_is_refused(void **state)
{
    (void)state;
    const char *what = "seals an element that a valid resource needs in the clear";
    expect_refused("policy: p/1\nresources:\n  Observation:\n    status: clinical\n", 4, what);
    expect_refused("policy: p/1\nresources:\n  AllergyIntolerance: {clinicalStatus: clinical}\n", 3, what);
    expect_refused("policy: p/1\nresources:\n  Appointment:\n    participant.status: contact\n", 4, what);
}

static void policy_mistakes_are_told_with_line_and_all_at_once(void **state)
{
    (void)state;
    expect_refused("resources: {}\n", 1, "the policy has no name");
    expect_refused("policy: p/1\nresources:\n  Patient: {name: secret}\n", 3, "not a data class");
    expect_refused("policy: p/1\nresources:\n  Patient:\n    adress: contact\n", 4,
                   "no such element in this resource type");
    expect_refused("policy: p/1\nresources:\n  Patinet: {name: identity}\n", 3,
                   "not a resource type that schemas/fhir/r4/required.yaml knows");
    expect_refused("policy: p/1\nresources:\n  Patient: {\"name..x\": identity}\n", 3, "not an element path");
    expect_refused("policy: p/1\nresources:\n  Patient: {\"name[x]\": identity}\n", 3,
                   "no such choice of elements in this resource type");
    expect_refused("policy: p/1\ndefault: clear\nresources: {}\n", 2, "not a class that seals");
    expect_refused("policy: p/1\nsensitive: [HIV]\nresources: {}\n", 2, "not a code");
    expect_refused("policy: p/1\nresources: {}\nresorces: {}\n", 3, "unknown key");
    struct hub_problems problems;
    assert_null(
        load("policy: p/1\nresources:\n  Patient:\n    adress: contact\n    name: nobody\n  Bed: {}\n",
             &problems));
    assert_int_equal(problems.errors, 3);
    hub_problems_deinit(&problems);
}

static void policy_file_that_is_not_there_is_told(void **state)
{
    (void)state;
    struct hub_problems problems;
    hub_problems_init(&problems);
    assert_null(hub_policy_load("/nonexistent/p.yaml", SCHEMAS, &problems));
    assert_int_equal(problems.errors, 1);
    assert_null(
        hub_policy_load(CHARTLINE_SOURCE_DIR "/policies/protect/default.yaml", "/nonexistent", &problems));
    assert_int_equal(problems.errors, 2);
    hub_problems_deinit(&problems);
}

static void roles_default_gives_each_its_classes(void **state)
{
    (void)state;
    struct hub_problems problems;
    hub_problems_init(&problems);
    struct hub_roles *roles =
        hub_roles_load(CHARTLINE_SOURCE_DIR "/policies/access/roles.yaml", "/hub", &problems);
    (void)hub_problems_print(&problems, stderr);
    assert_non_null(roles);
    assert_int_equal(roles->count, 4);
    const struct hub_role *clinician = hub_roles_find(roles, "clinician");
    const struct hub_role *frontdesk = hub_roles_find(roles, "frontdesk");
    const struct hub_role *auditor = hub_roles_find(roles, "auditor");
    assert_string_equal(clinician->public_key_path, "/hub/keys/roles/clinician.pub");
    for (unsigned c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES; c++) {
        assert_true(clinician->classes[c]);
        assert_false(auditor->classes[c]);
        assert_int_equal(frontdesk->classes[c], c <= HUB_DATA_FINANCIAL);
    }
    assert_null(hub_roles_find(roles, "nobody"));
    hub_roles_free(roles);
    hub_problems_deinit(&problems);
}

static void roles_mistakes_are_told_with_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t line;
        const char *what;
    } cases[] = {
        {"roles: {}\n", 1, "the policy names no roles"},
        {"roles:\n  a: {classes: [clinical, clear]}\n", 2, "not a data class"},
        {"roles:\n  a: {}\n", 2, "the role has no list of classes"},
        {"roles:\n  ../a: {classes: []}\n", 2, "not a role name"},
        {"roles:\n  a: {classes: [], key: x}\n", 2, "unknown key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct file file;
        struct hub_problems problems;
        hub_problems_init(&problems);
        file_write(&file, cases[i].text);
        assert_null(hub_roles_load(file.path, "/hub", &problems));
        file_remove(&file);
        assert_int_equal(problems.errors, 1);
        assert_string_equal(problems.items[0].error.what, cases[i].what);
        assert_int_equal(problems.items[0].error.line, cases[i].line);
        hub_problems_deinit(&problems);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_default_gives_every_kind_of_content_its_class),
        cmocka_unit_test(policy_knows_what_a_valid_resource_needs),
        cmocka_unit_test(policy_lifts_listed_labels_and_codes_only),
        cmocka_unit_test(policy_deeper_rule_makes_its_ancestors_mixed),
        cmocka_unit_test(policy_lifts_codes_by_their_beginning),
        cmocka_unit_test(policy_list_that_is_none_is_refused),
        cmocka_unit_test(policy_names_as_many_lists_as_a_hospital_has),
        cmocka_unit_test(policy_says_its_suite),
        cmocka_unit_test(policy_name_changes_with_every_byte),
        cmocka_unit_test(policy_that_seals_what_is_needed_is_refused),
        cmocka_unit_test(policy_mistakes_are_told_with_line_and_all_at_once),
        cmocka_unit_test(policy_file_that_is_not_there_is_told),
        cmocka_unit_test(roles_default_gives_each_its_classes),
        cmocka_unit_test(roles_mistakes_are_told_with_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
