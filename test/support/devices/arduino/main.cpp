#include "Arduino.h"
#include "esp_ota_ops.h"

extern "C" __attribute__((weak)) bool verifyRollbackLater() { return false; }

/** As the core does: without verifyRollbackLater() a new image is confirmed before anything has tested it. */
int main() {
  powerOn();
  if (!verifyRollbackLater()) esp_ota_mark_app_valid_cancel_rollback();
  setup();
  for (;;) loop();
}
