#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * Confirms the running image if it is new and works; otherwise returns to the previous image, which restarts the chip.
 * Call it once after the start. An image that is not confirmed cannot be updated, and is left at the next reset.
 */
void otaflux_confirm(bool works);

/**
 * Installs the version that the server offers if another one is running. Returns true when it is installed: restart then.
 * Sets `seconds` to the time until the next check.
 */
bool otaflux_update(uint32_t *seconds);
