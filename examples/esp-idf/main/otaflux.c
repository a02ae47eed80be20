// Keeps an ESP32 on the version that OtaFlux offers. Needs ESP-IDF 5.0 or later, two OTA slots, and the options in
// sdkconfig.defaults.
#include "otaflux.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "esp_app_desc.h"
#include "esp_crt_bundle.h"
#include "esp_http_client.h"
#include "esp_log.h"
#include "esp_ota_ops.h"
#include "esp_rom_crc.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "sdkconfig.h"

#define CHECK_SECONDS 3600
#define RETRY_SECONDS 60
#define TIMEOUT_MS 30000
#define MAX_FAILURES 5 // of one download, in a row

static const char *TAG = "otaflux";
static uint32_t retry_seconds = RETRY_SECONDS;
static char mislabelled[32]; // the version of an offer whose image has another version
static char buffer[2048];

typedef struct {
    char version[32]; // as long as the one in esp_app_desc_t
    uint32_t crc32;
    uint32_t size;
} offer_t;

// Headers of the last response.
typedef struct {
    char etag[64];
    int retry_after;
} headers_t;

static esp_err_t keep_header(esp_http_client_event_t *event)
{
    headers_t *headers = event->user_data;
    if (event->event_id == HTTP_EVENT_ON_HEADER) {
        if (strcasecmp(event->header_key, "ETag") == 0) {
            snprintf(headers->etag, sizeof headers->etag, "%s", event->header_value);
        } else if (strcasecmp(event->header_key, "Retry-After") == 0) {
            int seconds = atoi(event->header_value);
            headers->retry_after = seconds < CHECK_SECONDS ? seconds : CHECK_SECONDS;
        }
    }
    return ESP_OK;
}

// Sends a GET request and receives the headers of the response. Returns its status, or -1 without a response.
static int get(esp_http_client_handle_t client, const char *url)
{
    esp_http_client_close(client);
    if (esp_http_client_set_url(client, url) != ESP_OK || esp_http_client_open(client, 0) != ESP_OK) {
        return -1;
    }
    return esp_http_client_fetch_headers(client) < 0 ? -1 : esp_http_client_get_status_code(client);
}

// Parses the three lines of /version.
static bool parse_offer(char *body, offer_t *offer)
{
    char *crc = strchr(body, '\n');
    char *size = crc ? strchr(crc + 1, '\n') : NULL;
    if (!size || crc == body || (size_t)(crc - body) >= sizeof offer->version) {
        return false;
    }
    snprintf(offer->version, sizeof offer->version, "%.*s", (int)(crc - body), body);
    offer->crc32 = strtoul(crc + 1, NULL, 10);
    offer->size = strtoul(size + 1, NULL, 10);
    return offer->size > 0;
}

// Asks for the offer. Returns the status, or -1 without a whole response.
static int ask(esp_http_client_handle_t client, offer_t *offer)
{
    snprintf(buffer, sizeof buffer, "%s/version?device=%s", CONFIG_OTAFLUX_SERVER, CONFIG_OTAFLUX_DEVICE);
    int status = get(client, buffer);
    if (status != 200) {
        return status;
    }
    int length = esp_http_client_read_response(client, buffer, sizeof buffer - 1);
    if (length < 0 || !esp_http_client_is_complete_data_received(client)) {
        return -1;
    }
    buffer[length] = '\0';
    return parse_offer(buffer, offer) ? 200 : -1;
}

// Whether the bootloader came back from an image with this version.
static bool failed_before(const char *version)
{
    const esp_partition_t *invalid = esp_ota_get_last_invalid_partition();
    esp_app_desc_t app;
    return invalid && esp_ota_get_partition_description(invalid, &app) == ESP_OK &&
           strncmp(app.version, version, sizeof app.version) == 0;
}

// Writes the body of a response to flash. Returns the number of bytes, which is too small if the connection ended.
static uint32_t receive(esp_http_client_handle_t client, esp_ota_handle_t ota, uint32_t size, uint32_t *crc)
{
    uint32_t done = 0;
    while (done < size) {
        int length = esp_http_client_read(client, buffer, sizeof buffer);
        if (length <= 0 || done + length > size || esp_ota_write(ota, buffer, length) != ESP_OK) {
            break;
        }
        *crc = esp_rom_crc32_le(*crc, (const uint8_t *)buffer, length);
        done += length;
    }
    return done;
}

// Downloads the firmware. Resumes where the connection ended. Returns whether size and CRC-32 are those of the offer.
static bool download(esp_http_client_handle_t client, headers_t *headers, esp_ota_handle_t ota, const offer_t *offer)
{
    char url[256], range[32], version[3 * sizeof offer->version], *to = version;
    for (const char *from = offer->version; *from; from++) {
        to += sprintf(to, "%s%c", *from == '+' ? "%2" : "", *from == '+' ? 'B' : *from);
    }
    snprintf(url, sizeof url, "%s/firmware?device=%s&version=%s", CONFIG_OTAFLUX_SERVER, CONFIG_OTAFLUX_DEVICE, version);

    uint32_t written = 0, crc = 0;
    for (int failures = 0; written < offer->size && failures < MAX_FAILURES; failures++) {
        if (failures > 0) {
            vTaskDelay(pdMS_TO_TICKS(failures * 5000));
        }
        if (written > 0) {
            snprintf(range, sizeof range, "bytes=%lu-", (unsigned long)written);
            esp_http_client_set_header(client, "Range", range);
            // If the firmware was replaced, the server sends the new one from its beginning.
            esp_http_client_set_header(client, "If-Range", headers->etag);
        }
        int status = get(client, url);
        if (status == (written > 0 ? 206 : 200) && esp_http_client_get_content_length(client) == offer->size - written) {
            uint32_t received = receive(client, ota, offer->size - written, &crc);
            written += received;
            failures = received > 0 ? 0 : failures;
        } else if (status > 0 && status < 500 && status != 429) {
            break; // refused, or not the firmware that was offered
        }
    }
    ESP_LOGI(TAG, "%lu of %lu bytes, CRC-32 %lu of %lu", (unsigned long)written, (unsigned long)offer->size,
             (unsigned long)crc, (unsigned long)offer->crc32);
    return written == offer->size && crc == offer->crc32;
}

static bool install(esp_http_client_handle_t client, headers_t *headers, const offer_t *offer)
{
    const esp_partition_t *slot = esp_ota_get_next_update_partition(NULL);
    esp_ota_handle_t ota;
    if (!slot || offer->size > slot->size) {
        ESP_LOGE(TAG, "version %s does not fit: %lu bytes", offer->version, (unsigned long)offer->size);
        return false;
    }
    esp_err_t error = esp_ota_begin(slot, offer->size, &ota);
    if (error != ESP_OK) {
        ESP_LOGE(TAG, "esp_ota_begin: %s", esp_err_to_name(error));
        return false;
    }
    if (!download(client, headers, ota, offer)) {
        esp_ota_abort(ota);
        return false;
    }
    error = esp_ota_end(ota);
    // Otherwise the image would be installed again after each restart.
    esp_app_desc_t app;
    if (error == ESP_OK && esp_ota_get_partition_description(slot, &app) == ESP_OK &&
        strncmp(app.version, offer->version, sizeof app.version) != 0) {
        ESP_LOGE(TAG, "version %s was pushed as %s: set PROJECT_VER", app.version, offer->version);
        strcpy(mislabelled, offer->version);
        return false;
    }
    if (error == ESP_OK) {
        error = esp_ota_set_boot_partition(slot);
    }
    ESP_LOGI(TAG, "version %s: %s", offer->version, esp_err_to_name(error));
    return error == ESP_OK;
}

// Waits twice as long after each failure in a row.
static uint32_t back_off(void)
{
    uint32_t seconds = retry_seconds;
    retry_seconds = 2 * retry_seconds < CHECK_SECONDS ? 2 * retry_seconds : CHECK_SECONDS;
    return seconds;
}

bool otaflux_update(uint32_t *seconds)
{
    headers_t headers = {0};
    esp_http_client_config_t config = {
        .url = CONFIG_OTAFLUX_SERVER,
        .timeout_ms = TIMEOUT_MS,
        .event_handler = keep_header,
        .user_data = &headers,
        .crt_bundle_attach = esp_crt_bundle_attach,
    };
    esp_http_client_handle_t client = esp_http_client_init(&config);
    *seconds = CHECK_SECONDS;
    if (!client) {
        return false;
    }
    if (strlen(CONFIG_OTAFLUX_TOKEN) > 0) {
        char authorization[160];
        snprintf(authorization, sizeof authorization, "Bearer %s", CONFIG_OTAFLUX_TOKEN);
        esp_http_client_set_header(client, "Authorization", authorization);
    }
    offer_t offer;
    bool installed = false;
    int status = ask(client, &offer);
    if (status != 200) {
        ESP_LOGW(TAG, "no version is offered: status %d", status);
        if (headers.retry_after > 0) {
            *seconds = headers.retry_after;
        } else if (status < 0 || status >= 500) {
            *seconds = back_off();
        }
    } else if (failed_before(offer.version) || strcmp(offer.version, mislabelled) == 0) {
        ESP_LOGW(TAG, "version %s did not work before: it is skipped", offer.version);
    } else if (strncmp(offer.version, esp_app_get_description()->version, sizeof offer.version) != 0) {
        installed = install(client, &headers, &offer);
        *seconds = installed ? 0 : back_off();
    }
    if (status == 200 && *seconds == CHECK_SECONDS) {
        retry_seconds = RETRY_SECONDS;
    }
    esp_http_client_cleanup(client);
    return installed;
}

void otaflux_confirm(bool works)
{
    esp_ota_img_states_t state;
    if (esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) != ESP_OK ||
        state != ESP_OTA_IMG_PENDING_VERIFY) {
        return;
    }
    if (works) {
        esp_ota_mark_app_valid_cancel_rollback();
    } else {
        esp_ota_mark_app_invalid_rollback_and_reboot();
    }
}
