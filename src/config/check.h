/* What no single row can say: rules between the keys of a configuration. Called by the loader. */
#pragma once

#include "src/codec/yaml.h"
#include "src/config/config.h"

/* TREE is the file CONFIG was loaded from, for line numbers. Fields that failed to load are NULL or zero and
 * are passed over: their problem is listed already. */
void hub_config_check(const struct hub_config *config, struct hub_yaml *tree, struct hub_problems *problems);
