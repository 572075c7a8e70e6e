/* The adapters of this program. A new one is a folder under adapters/ and a line here. */
#include "adapters/formats/hl7v2/format.h"
#include "adapters/transports/mllp/mllp.h"
#include "src/cli/cli.h"

static const struct hub_format *const formats[] = {&hub_format_hl7v2, NULL};
static const struct hub_transport *const transports[] = {&hub_transport_mllp, NULL};

const struct hub_registry *hub_cli_registry(void)
{
    static const struct hub_registry registry = {formats, transports};
    return &registry;
}
