#pragma once
#include "esp_err.h"

typedef struct {
  uint32_t address;
  uint32_t size;
  uint32_t erase_size;
  char label[17];
} esp_partition_t;
