#include "chip.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "esp_ota_ops.h"
#include "esp_rom_crc.h"

namespace {

constexpr uint32_t HOUR_MS = 3600000;
constexpr int RESTARTED = 10;
constexpr uint32_t ESP_IMAGE_MAGIC = 0xE9;
constexpr size_t DESCRIPTION_AT = 0x20;

esp_partition_t slots[2];
unsigned running = 0;
uint64_t skippedMs = 0;
const auto startedAt = std::chrono::steady_clock::now();
esp_app_desc_t description;

/** Which slot starts next, and what is known of each image. */
struct OtaData {
  unsigned boot = 0;
  unsigned states[2] = {ESP_OTA_IMG_UNDEFINED, ESP_OTA_IMG_UNDEFINED};

  static OtaData load() {
    OtaData data;
    std::istringstream text(readFile(flashPath("otadata")));
    text >> data.boot >> data.states[0] >> data.states[1];
    return data;
  }
  void save() const {
    std::ostringstream text;
    text << boot << ' ' << states[0] << ' ' << states[1] << '\n';
    writeFile(flashPath("otadata"), text.str());
  }
};

unsigned slotOf(const esp_partition_t *partition) { return partition == &slots[1] ? 1 : 0; }

bool describe(const esp_partition_t *partition, esp_app_desc_t *into) {
  std::string image = readFile(flashPath(partition->label));
  if (image.size() < DESCRIPTION_AT + sizeof *into || static_cast<uint8_t>(image[0]) != ESP_IMAGE_MAGIC) return false;
  image.copy(reinterpret_cast<char *>(into), sizeof *into, DESCRIPTION_AT);
  return into->magic_word == ESP_APP_DESC_MAGIC_WORD;
}

/** The one update under way. */
const esp_partition_t *target = nullptr;
uint32_t written = 0;

}  // namespace

std::string flashPath(const std::string &name) { return std::string(getenv("FLASH_DIR")) + "/" + name; }

std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void writeFile(const std::string &path, const std::string &content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

void flashErase(const esp_partition_t *partition) { writeFile(flashPath(partition->label), ""); }

void flashWrite(const esp_partition_t *partition, uint32_t offset, const void *bytes, size_t length) {
  std::fstream file(flashPath(partition->label), std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(offset).write(static_cast<const char *>(bytes), static_cast<std::streamsize>(length));
  if (!file) abort();
}

void powerOn() {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  const char *size = getenv("SLOT_SIZE");
  for (unsigned i = 0; i < 2; i++) {
    slots[i] = {0x10000 + i * 0x200000, size ? static_cast<uint32_t>(atoi(size)) : 0x100000, 4096, ""};
    snprintf(slots[i].label, sizeof slots[i].label, "ota_%u", i);
  }
  OtaData data = OtaData::load();
  if (data.states[data.boot] == ESP_OTA_IMG_PENDING_VERIFY) {
    data.states[data.boot] = ESP_OTA_IMG_ABORTED;
    data.boot = 1 - data.boot;
  } else if (data.states[data.boot] == ESP_OTA_IMG_NEW) {
    data.states[data.boot] = ESP_OTA_IMG_PENDING_VERIFY;
  }
  data.save();
  running = data.boot;
  if (!describe(&slots[running], &description)) {
    printf("no bootable image in %s\n", slots[running].label);
    abort();
  }
  printf("boot %s %s\n", slots[running].label, description.version);
}

void restart() {
  printf("restart\n");
  fflush(stdout);
  _exit(RESTARTED);
}

uint32_t clockMs() {
  using namespace std::chrono;
  return static_cast<uint32_t>(skippedMs + duration_cast<milliseconds>(steady_clock::now() - startedAt).count());
}

void wait(uint32_t ms) {
  if (ms < 1000) {
    usleep(ms * 1000);
    return;
  }
  printf("wait %u\n", ms);
  skippedMs += ms;
  if (skippedMs < HOUR_MS) return;
  fflush(stdout);
  _exit(0);
}

const char *runningVersion() { return description.version; }

extern "C" {

const char *esp_err_to_name(esp_err_t code) { return code == ESP_OK ? "ESP_OK" : code == ESP_FAIL ? "ESP_FAIL" : "ESP_ERR"; }

uint32_t esp_rom_crc32_le(uint32_t crc, uint8_t const *buf, uint32_t len) {
  crc = ~crc;
  for (uint32_t i = 0; i < len; i++) {
    crc ^= buf[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? 0xEDB88320U : 0);
  }
  return ~crc;
}

const esp_app_desc_t *esp_app_get_description(void) { return &description; }

const esp_partition_t *esp_ota_get_running_partition(void) { return &slots[running]; }

const esp_partition_t *esp_ota_get_next_update_partition(const esp_partition_t *) { return &slots[1 - running]; }

const esp_partition_t *esp_ota_get_last_invalid_partition(void) {
  unsigned state = OtaData::load().states[1 - running];
  return state == ESP_OTA_IMG_INVALID || state == ESP_OTA_IMG_ABORTED ? &slots[1 - running] : nullptr;
}

esp_err_t esp_ota_get_partition_description(const esp_partition_t *partition, esp_app_desc_t *app_desc) {
  return describe(partition, app_desc) ? ESP_OK : ESP_ERR_NOT_FOUND;
}

esp_err_t esp_ota_get_state_partition(const esp_partition_t *partition, esp_ota_img_states_t *ota_state) {
  *ota_state = static_cast<esp_ota_img_states_t>(OtaData::load().states[slotOf(partition)]);
  return *ota_state == ESP_OTA_IMG_UNDEFINED ? ESP_ERR_NOT_FOUND : ESP_OK;
}

esp_err_t esp_ota_begin(const esp_partition_t *partition, size_t image_size, esp_ota_handle_t *out_handle) {
  if (slotOf(partition) == running) return ESP_ERR_OTA_PARTITION_CONFLICT;
  // As CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE has it: an app that was not confirmed cannot be replaced.
  if (OtaData::load().states[running] == ESP_OTA_IMG_PENDING_VERIFY) return ESP_ERR_OTA_ROLLBACK_INVALID_STATE;
  if (image_size < OTA_WITH_SEQUENTIAL_WRITES && image_size > partition->size) return ESP_ERR_INVALID_SIZE;
  flashErase(partition);
  target = partition;
  written = 0;
  *out_handle = 1;
  return ESP_OK;
}

esp_err_t esp_ota_write(esp_ota_handle_t, const void *data, size_t size) {
  if (!target) return ESP_ERR_INVALID_ARG;
  if (written + size > target->size) return ESP_ERR_INVALID_SIZE;
  flashWrite(target, written, data, size);
  written += static_cast<uint32_t>(size);
  return ESP_OK;
}

esp_err_t esp_ota_end(esp_ota_handle_t) {
  if (!target) return ESP_ERR_NOT_FOUND;
  esp_app_desc_t ignored;
  bool isImage = describe(target, &ignored);
  target = nullptr;
  return isImage ? ESP_OK : ESP_ERR_OTA_VALIDATE_FAILED;
}

esp_err_t esp_ota_abort(esp_ota_handle_t) {
  target = nullptr;
  return ESP_OK;
}

esp_err_t esp_ota_set_boot_partition(const esp_partition_t *partition) {
  esp_app_desc_t ignored;
  if (!describe(partition, &ignored)) return ESP_ERR_OTA_VALIDATE_FAILED;
  OtaData data = OtaData::load();
  data.boot = slotOf(partition);
  data.states[data.boot] = ESP_OTA_IMG_NEW;
  data.save();
  return ESP_OK;
}

esp_err_t esp_ota_mark_app_valid_cancel_rollback(void) {
  OtaData data = OtaData::load();
  data.states[running] = ESP_OTA_IMG_VALID;
  data.save();
  return ESP_OK;
}

esp_err_t esp_ota_mark_app_invalid_rollback_and_reboot(void) {
  OtaData data = OtaData::load();
  data.states[running] = ESP_OTA_IMG_INVALID;
  data.boot = 1 - running;
  data.save();
  restart();
}

}  // extern "C"
