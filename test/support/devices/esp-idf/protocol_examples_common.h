#pragma once
#include "esp_err.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Fails in an image whose version says that it has lost its network. */
esp_err_t example_connect(void);

#ifdef __cplusplus
}
#endif
