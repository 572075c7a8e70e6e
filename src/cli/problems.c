#include "src/cli/problems.h"

#include "src/cli/cli.h"

void hub_cli_problems_json(const struct hub_problems *problems)
{
    static const char *const severities[] = {
        [HUB_SEVERITY_NOTE] = "note", [HUB_SEVERITY_WARNING] = "warning", [HUB_SEVERITY_ERROR] = "error"};
    struct hub_buf out;
    hub_buf_init(&out, 1 << 26, false);
    for (size_t i = 0; i < problems->count; i++) {
        const struct hub_problem *p = &problems->items[i];
        const char *const members[][2] = {{"severity", severities[p->severity]},
                                          {"file", p->error.path},
                                          {"name", p->name},
                                          {"what", p->error.what},
                                          {"detail", p->detail},
                                          {"mend", p->error.mend}};
        hub_buf_append_str(&out, i > 0 ? ",\n{" : "\n{");
        for (size_t k = 0; k < sizeof members / sizeof members[0]; k++) {
            hub_json_write_string(&out, hub_span_str(members[k][0]));
            hub_buf_append_byte(&out, ':');
            hub_json_write_string(&out, hub_span_str(members[k][1] != NULL ? members[k][1] : ""));
            hub_buf_append_byte(&out, ',');
        }
        hub_buf_printf(&out, "\"line\":%u}", p->error.line);
    }
    (void)printf("[%s%s]\n", hub_buf_str(&out), problems->count > 0 ? "\n" : "");
    hub_buf_deinit(&out);
}
