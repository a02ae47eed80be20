#pragma once
#include "esp_err.h"

#define ESP_APP_DESC_MAGIC_WORD 0xABCD5432

/** What a build says of itself, at byte 0x20 of its image. */
typedef struct {
  uint32_t magic_word;
  uint32_t secure_version;
  uint32_t reserv1[2];
  char version[32];
  char project_name[32];
} esp_app_desc_t;

#ifdef __cplusplus
extern "C" {
#endif

const esp_app_desc_t *esp_app_get_description(void);

#ifdef __cplusplus
}
#endif
