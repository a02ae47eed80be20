#pragma once
#include "Arduino.h"

typedef enum { WL_IDLE_STATUS = 0, WL_CONNECTED = 3, WL_CONNECT_FAILED = 4, WL_DISCONNECTED = 6 } wl_status_t;

/** A network that is always there, unless the image's own name says that it has lost its driver. */
struct WiFiClass {
  wl_status_t begin(const char *, const char *) { return WL_CONNECTED; }
  uint8_t waitForConnectResult(unsigned long) { return std::string(runningVersion()).find("broken") == std::string::npos ? WL_CONNECTED : WL_DISCONNECTED; }
};

inline WiFiClass WiFi;
