#pragma once
#include <cstdint>
#include <string>

#include "esp_partition.h"

/** Starts as the bootloader does: picks the slot, and goes back to the other one if the new image was never confirmed. */
void powerOn();
/** Ends the process as a restart of the chip. */
[[noreturn]] void restart();

/** Milliseconds since the start. */
uint32_t clockMs();
/** Waits. A second or more only moves the clock; an hour after the start the process ends. */
void wait(uint32_t ms);

/** The version that the image in the running slot says of itself. */
const char *runningVersion();

/** The path of a file in FLASH_DIR. */
std::string flashPath(const std::string &name);
std::string readFile(const std::string &path);
void writeFile(const std::string &path, const std::string &content);

/** Overwrites bytes of a slot. */
void flashWrite(const esp_partition_t *partition, uint32_t offset, const void *bytes, size_t length);
void flashErase(const esp_partition_t *partition);
