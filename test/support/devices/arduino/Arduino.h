#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "chip.h"

using std::max;
using std::min;

/** The part of Arduino's String that the sample uses. */
class String {
 public:
  String(const char *text = "") : text(text ? text : "") {}
  String(const std::string &text) : text(text) {}
  explicit String(unsigned long number) : text(std::to_string(number)) {}

  const char *c_str() const { return text.c_str(); }
  unsigned int length() const { return static_cast<unsigned int>(text.size()); }
  int indexOf(char c, unsigned int from = 0) const {
    size_t at = text.find(c, from);
    return at == std::string::npos ? -1 : static_cast<int>(at);
  }
  String substring(unsigned int from) const { return from < text.size() ? text.substr(from) : ""; }
  String substring(unsigned int from, unsigned int to) const { return from < text.size() ? text.substr(from, to - from) : ""; }
  long toInt() const { return atol(text.c_str()); }
  void replace(const String &find, const String &with) {
    for (size_t at = 0; (at = text.find(find.text, at)) != std::string::npos; at += with.text.size())
      text.replace(at, find.text.size(), with.text);
  }
  String &operator+=(const String &other) {
    text += other.text;
    return *this;
  }
  bool operator==(const String &other) const { return text == other.text; }
  bool operator==(const char *other) const { return text == other; }
  friend String operator+(const String &one, const String &other) { return one.text + other.text; }

  std::string text;
};

class Stream {
 public:
  virtual ~Stream() = default;
  virtual int available() = 0;
  virtual size_t readBytes(uint8_t *buffer, size_t length) = 0;
};

struct HardwareSerial {
  void begin(unsigned long) {}
  template <typename... Values>
  size_t printf(const char *format, Values... values) {
    return static_cast<size_t>(::printf(format, values...));
  }
};

struct EspClass {
  [[noreturn]] void restart() { ::restart(); }
};

inline HardwareSerial Serial;
inline EspClass ESP;

inline unsigned long millis() { return clockMs(); }
inline void delay(uint32_t ms) { wait(ms); }
inline long random(long below) { return below > 0 ? std::rand() % below : 0; }

void setup();
void loop();
