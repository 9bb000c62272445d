/* The export `plugin`. */

#include "boundary.h"

void exports_wasaga_plugin_plugin_describe(guest_string_t *out) { *out = lower_text(wasaga_plugin.manifest); }
