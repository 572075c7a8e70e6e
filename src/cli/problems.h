/* Problems of configuration and mappings for programs. */
#pragma once

#include "src/base/problem.h"

/* A JSON array of {"severity","file","line","name","what","detail","mend"} to stdout. */
void hub_cli_problems_json(const struct hub_problems *problems);
