#pragma once
#include "Arduino.h"
#include "esp_ota_ops.h"

#define UPDATE_ERROR_OK (0)
#define UPDATE_ERROR_SPACE (4)
#define UPDATE_ERROR_SIZE (5)
#define UPDATE_ERROR_MAGIC_BYTE (8)
#define UPDATE_ERROR_ACTIVATE (9)
#define UPDATE_ERROR_ABORT (12)

/** Writes sectors of 4,096 bytes, and the first byte of the image last, as the library does. */
class UpdateClass {
 public:
  bool begin(size_t size) {
    if (total > 0) return false;
    error = UPDATE_ERROR_OK;
    partition = esp_ota_get_next_update_partition(nullptr);
    if (size == 0 || size > partition->size) {
      error = UPDATE_ERROR_SIZE;
      return false;
    }
    flashErase(partition);
    total = size;
    return true;
  }

  size_t write(uint8_t *data, size_t length) {
    if (hasError() || total == 0) return 0;
    if (length > total - done - sector.size()) return fail(UPDATE_ERROR_SPACE);
    sector.append(reinterpret_cast<char *>(data), length);
    while (sector.size() >= SECTOR || (!sector.empty() && done + sector.size() == total)) {
      std::string part = sector.substr(0, SECTOR);
      if (done == 0) {
        if (part[0] != MAGIC) return fail(UPDATE_ERROR_MAGIC_BYTE);
        part[0] = '\xFF';
      }
      flashWrite(partition, static_cast<uint32_t>(done), part.data(), part.size());
      done += part.size();
      sector.erase(0, part.size());
    }
    return length;
  }

  bool end(bool evenIfRemaining = false) {
    if (hasError() || total == 0) return false;
    if (done != total && !evenIfRemaining) return fail(UPDATE_ERROR_ABORT);
    flashWrite(partition, 0, &MAGIC, 1);
    if (esp_ota_set_boot_partition(partition) != ESP_OK) return fail(UPDATE_ERROR_ACTIVATE);
    reset();
    return true;
  }

  void abort() { fail(UPDATE_ERROR_ABORT); }
  bool hasError() { return error != UPDATE_ERROR_OK; }
  const char *errorString() { return error == UPDATE_ERROR_SIZE ? "Bad Size Given" : "Error"; }

 private:
  static constexpr char MAGIC = '\xE9';
  static constexpr size_t SECTOR = 4096;

  size_t fail(int reason) {
    reset();
    error = reason;
    return 0;
  }
  void reset() {
    total = done = 0;
    sector.clear();
  }

  const esp_partition_t *partition = nullptr;
  size_t total = 0, done = 0;
  std::string sector;
  int error = UPDATE_ERROR_OK;
};

inline UpdateClass Update;
