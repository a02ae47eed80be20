#pragma once
#include <stdlib.h>

/** menuconfig would write texts here; each test has a server of its own. */
#define CONFIG_OTAFLUX_SERVER getenv("OTAFLUX_SERVER")
#define CONFIG_OTAFLUX_TOKEN getenv("OTAFLUX_TOKEN")
#define CONFIG_OTAFLUX_DEVICE "esp32"
