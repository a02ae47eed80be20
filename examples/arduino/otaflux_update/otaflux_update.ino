// Keeps an ESP32 on the version that OtaFlux offers. Needs arduino-esp32 2 or 3, and a partition scheme with two app slots.
//
// Set FIRMWARE_VERSION to the version that you push the build as:
//   otaflux push esp32 1.1.0 build/otaflux_update.ino.bin
#include <HTTPClient.h>
#include <Preferences.h>
#include <Update.h>
#include <WiFi.h>
#include <esp_ota_ops.h>
#include <esp_rom_crc.h>

#ifndef FIRMWARE_VERSION
#define FIRMWARE_VERSION "1.0.0"
#endif
#ifndef OTAFLUX_SERVER
#define OTAFLUX_SERVER "http://ota.example.com:8080"
#endif
#ifndef OTAFLUX_DEVICE
#define OTAFLUX_DEVICE "esp32"
#endif
#ifndef OTAFLUX_TOKEN
#define OTAFLUX_TOKEN ""  // from `otaflux token`, if the server asks for tokens
#endif
const char *WIFI_SSID = "network", *WIFI_PASSWORD = "password";
const char *ROOT_CA = nullptr;  // for https: the PEM text of the certificate authority

const uint32_t CHECK_SECONDS = 3600, RETRY_SECONDS = 60;
const uint32_t STALL_MS = 60000;  // a download without a byte for so long has failed
const int MAX_FAILURES = 5;       // of one download, in a row

struct Offer {
  String version;
  uint32_t crc32;
  size_t size;
};

// Remembers, across restarts, which version was installed last.
Preferences preferences;
uint32_t retrySeconds = RETRY_SECONDS;

// Without this function the Arduino core confirms a new image before setup() has tested it.
extern "C" bool verifyRollbackLater() {
  return true;
}

// Add what your firmware needs in order to be updated again. If it fails, the bootloader returns to the previous image.
bool selfTest() {
  return WiFi.waitForConnectResult(30000) == WL_CONNECTED;
}

// Sends a GET request, for the bytes behind `from`. Returns the status, or a negative number without an answer.
int get(HTTPClient &http, const String &path, size_t from = 0, const String &etag = "") {
  static const char *headers[] = {"ETag", "Retry-After"};
  String url = String(OTAFLUX_SERVER) + path;
  bool isValid = ROOT_CA ? http.begin(url, ROOT_CA) : http.begin(url);
  if (!isValid) return HTTPC_ERROR_CONNECTION_REFUSED;
  http.setTimeout(20000);
  http.collectHeaders(headers, 2);
  if (strlen(OTAFLUX_TOKEN) > 0) http.addHeader("Authorization", String("Bearer ") + OTAFLUX_TOKEN);
  if (from > 0) {
    http.addHeader("Range", String("bytes=") + String((unsigned long)from) + "-");
    http.addHeader("If-Range", etag);  // if the firmware was replaced, the server sends the new one from its beginning
  }
  return http.GET();
}

// Parses the three lines of /version. Returns false if one is missing.
bool parseOffer(const String &body, Offer &offer) {
  int first = body.indexOf('\n'), second = body.indexOf('\n', first + 1);
  if (first <= 0 || second < 0) return false;
  offer.version = body.substring(0, first);
  offer.crc32 = strtoul(body.substring(first + 1, second).c_str(), nullptr, 10);
  offer.size = strtoul(body.substring(second + 1).c_str(), nullptr, 10);
  return offer.size > 0;
}

// Writes the body of an answer to flash. Returns the number of bytes, which is too small if the connection ended.
size_t receive(HTTPClient &http, size_t size, uint32_t &crc) {
  static uint8_t buffer[1460];
  Stream &stream = http.getStream();
  size_t done = 0;
  for (uint32_t lastMs = millis(); done < size && millis() - lastMs < STALL_MS;) {
    size_t ready = stream.available();
    if (ready == 0) {
      if (!http.connected()) break;
      delay(10);
      continue;
    }
    size_t length = stream.readBytes(buffer, min(ready, min(sizeof buffer, size - done)));
    if (Update.write(buffer, length) != length) break;
    crc = esp_rom_crc32_le(crc, buffer, length);
    done += length;
    lastMs = millis();
  }
  return done;
}

// Downloads the firmware into the other slot, and switches to it if its size and CRC-32 are those of the offer.
bool install(const Offer &offer) {
  if (!Update.begin(offer.size)) {
    Serial.printf("version %s cannot be installed: %s\n", offer.version.c_str(), Update.errorString());
    return false;
  }
  String version = offer.version, etag;
  version.replace("+", "%2B");
  String path = String("/firmware?device=") + OTAFLUX_DEVICE + "&version=" + version;
  size_t written = 0;
  uint32_t crc = 0;
  for (int failures = 0; written < offer.size && failures < MAX_FAILURES && !Update.hasError(); failures++) {
    if (failures > 0) delay(failures * 5000);
    HTTPClient http;
    int status = get(http, path, written, etag);
    if (status == (written > 0 ? 206 : 200) && http.getSize() == (int)(offer.size - written)) {
      etag = http.header("ETag");
      size_t received = receive(http, offer.size - written, crc);
      written += received;
      if (received > 0) failures = 0;
    } else if (status > 0 && status < 500 && status != 429) {
      failures = MAX_FAILURES;  // refused, or not the firmware that was offered
    }
    http.end();
  }
  if (written == offer.size && crc == offer.crc32) return Update.end();
  Update.abort();
  Serial.printf("version %s is not installed: %u of %u bytes, CRC-32 %u instead of %u\n", offer.version.c_str(),
                (unsigned)written, (unsigned)offer.size, (unsigned)crc, (unsigned)offer.crc32);
  return false;
}

// Waits twice as long after each failure in a row.
uint32_t backOff() {
  uint32_t seconds = retrySeconds;
  retrySeconds = min(2 * retrySeconds, CHECK_SECONDS);
  return seconds;
}

// Installs the version that the server offers if another one is running. Returns the seconds until the next check.
uint32_t checkForUpdate() {
  HTTPClient http;
  int status = get(http, String("/version?device=") + OTAFLUX_DEVICE);
  String body = status == HTTP_CODE_OK ? http.getString() : "";
  bool isWhole = (int)body.length() == http.getSize();
  uint32_t retryAfter = min((uint32_t)http.header("Retry-After").toInt(), CHECK_SECONDS);
  http.end();
  if (status != HTTP_CODE_OK) {
    Serial.printf("no version is offered: status %d\n", status);
    if (retryAfter > 0) return retryAfter;
    return status < 0 || status >= 500 ? backOff() : CHECK_SECONDS;
  }
  Offer offer;
  if (!isWhole || !parseOffer(body, offer)) return backOff();
  if (offer.version == FIRMWARE_VERSION) {
    retrySeconds = RETRY_SECONDS;
    return CHECK_SECONDS;
  }
  if (offer.version == preferences.getString("installed", "")) {
    Serial.printf("version %s was installed before and does not run: it is skipped\n", offer.version.c_str());
    return CHECK_SECONDS;
  }
  if (!install(offer)) return backOff();
  preferences.putString("installed", offer.version);
  Serial.printf("version %s is installed\n", offer.version.c_str());
  ESP.restart();
  return 0;
}

void setup() {
  Serial.begin(115200);
  preferences.begin("otaflux");
  WiFi.begin(WIFI_SSID, WIFI_PASSWORD);
  bool works = selfTest();
  esp_ota_img_states_t state;
  if (esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) != ESP_OK) return;
  if (state != ESP_OTA_IMG_PENDING_VERIFY) return;
  if (works) esp_ota_mark_app_valid_cancel_rollback();
  else esp_ota_mark_app_invalid_rollback_and_reboot();
}

void loop() {
  uint32_t seconds = checkForUpdate();
  delay(1000 * (seconds + random(seconds / 10 + 1)));  // so that a fleet does not ask all at once
}
