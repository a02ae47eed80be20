#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "chip.h"
#include "esp_crt_bundle.h"
#include "esp_event.h"
#include "esp_http_client.h"
#include "esp_netif.h"
#include "esp_random.h"
#include "esp_system.h"
#include "freertos/task.h"
#include "http.h"
#include "nvs_flash.h"
#include "protocol_examples_common.h"

struct esp_http_client {
  esp_http_client_config_t config;
  std::string url;
  std::map<std::string, std::string> headers;
  HttpExchange exchange;
  int status = 0;
  int64_t received = 0;
};

extern "C" {

void app_main(void);

esp_err_t nvs_flash_init(void) { return ESP_OK; }
esp_err_t esp_netif_init(void) { return ESP_OK; }
esp_err_t esp_event_loop_create_default(void) { return ESP_OK; }
esp_err_t esp_crt_bundle_attach(void *) { return ESP_OK; }
esp_err_t example_connect(void) { return std::string(runningVersion()).find("broken") == std::string::npos ? ESP_OK : ESP_FAIL; }
uint32_t esp_random(void) { return static_cast<uint32_t>(std::rand()); }
void esp_restart(void) { restart(); }
void vTaskDelay(const TickType_t ticks) { wait(static_cast<uint32_t>(uint64_t{ticks} * 1000 / configTICK_RATE_HZ)); }

esp_http_client_handle_t esp_http_client_init(const esp_http_client_config_t *config) {
  auto *client = new esp_http_client{};
  client->config = *config;
  client->url = config->url;
  return client;
}

esp_err_t esp_http_client_set_url(esp_http_client_handle_t client, const char *url) {
  client->url = url;
  return ESP_OK;
}

esp_err_t esp_http_client_set_header(esp_http_client_handle_t client, const char *key, const char *value) {
  client->headers[key] = value;
  return ESP_OK;
}

/** Like the library, keeps a connection that is open: who has not read a response to its end must close it. */
esp_err_t esp_http_client_open(esp_http_client_handle_t client, int) {
  client->status = 0;
  client->received = 0;
  std::string lines = "User-Agent: ESP32 HTTP Client/1.0\r\n";
  for (const auto &[name, value] : client->headers) lines += name + ": " + value + "\r\n";
  if (!client->exchange.connected() && !client->exchange.open(client->url, static_cast<uint32_t>(client->config.timeout_ms)))
    return ESP_FAIL;
  return client->exchange.send(lines) ? ESP_OK : ESP_FAIL;
}

int64_t esp_http_client_fetch_headers(esp_http_client_handle_t client) {
  client->status = client->exchange.receiveHead([client](std::string name, std::string value) {
    esp_http_client_event_t event{};
    event.event_id = HTTP_EVENT_ON_HEADER;
    event.client = client;
    event.user_data = client->config.user_data;
    event.header_key = &name[0];
    event.header_value = &value[0];
    client->config.event_handler(&event);
  });
  return client->status < 0 ? ESP_FAIL : client->exchange.contentLength();
}

int esp_http_client_get_status_code(esp_http_client_handle_t client) { return client->status; }

int64_t esp_http_client_get_content_length(esp_http_client_handle_t client) { return client->exchange.contentLength(); }

int esp_http_client_read(esp_http_client_handle_t client, char *buffer, int len) {
  int64_t left = client->exchange.contentLength() - client->received;
  if (left <= 0) return 0;
  int length = client->exchange.read(buffer, static_cast<size_t>(left < len ? left : len));
  if (length > 0) client->received += length;
  return length;
}

int esp_http_client_read_response(esp_http_client_handle_t client, char *buffer, int len) {
  int done = 0;
  while (done < len) {
    int length = esp_http_client_read(client, buffer + done, len - done);
    if (length <= 0) break;
    done += length;
  }
  return done;
}

bool esp_http_client_is_complete_data_received(esp_http_client_handle_t client) {
  return client->received == client->exchange.contentLength();
}

esp_err_t esp_http_client_close(esp_http_client_handle_t client) {
  client->exchange.close();
  return ESP_OK;
}

esp_err_t esp_http_client_cleanup(esp_http_client_handle_t client) {
  delete client;
  return ESP_OK;
}

}  // extern "C"

int main() {
  powerOn();
  app_main();
}
