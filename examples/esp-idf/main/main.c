#include "esp_event.h"
#include "esp_netif.h"
#include "esp_random.h"
#include "esp_system.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "nvs_flash.h"
#include "otaflux.h"
#include "protocol_examples_common.h"

void app_main(void)
{
    ESP_ERROR_CHECK(nvs_flash_init());
    ESP_ERROR_CHECK(esp_netif_init());
    ESP_ERROR_CHECK(esp_event_loop_create_default());

    // Add what your firmware needs in order to be updated again.
    otaflux_confirm(example_connect() == ESP_OK);

    for (;;) {
        uint32_t seconds;
        if (otaflux_update(&seconds)) {
            esp_restart();
        }
        seconds += esp_random() % (seconds / 10 + 1); // so that a fleet does not ask all at once
        vTaskDelay(seconds * configTICK_RATE_HZ);
    }
}
