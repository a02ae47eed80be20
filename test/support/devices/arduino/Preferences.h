#pragma once
#include "Arduino.h"

/** Text values, a file each. */
class Preferences {
 public:
  bool begin(const char *name, bool = false) {
    space = name;
    return true;
  }
  String getString(const char *key, const String &fallback = String()) {
    std::string value = readFile(path(key));
    return value.empty() ? fallback : String(value);
  }
  size_t putString(const char *key, const String &value) {
    writeFile(path(key), value.text);
    return value.length();
  }

 private:
  std::string path(const char *key) const { return flashPath("nvs-" + space + "-" + key); }
  std::string space;
};
