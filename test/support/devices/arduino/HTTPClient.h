#pragma once
#include <strings.h>

#include <vector>

#include "Arduino.h"
#include "http.h"

#define HTTPC_ERROR_CONNECTION_REFUSED (-1)
#define HTTPC_ERROR_SEND_HEADER_FAILED (-2)
#define HTTPC_ERROR_CONNECTION_LOST (-5)

typedef enum { HTTP_CODE_OK = 200, HTTP_CODE_PARTIAL_CONTENT = 206, HTTP_CODE_TOO_MANY_REQUESTS = 429 } t_http_codes;

class NetworkClient : public Stream {
 public:
  explicit NetworkClient(HttpExchange &exchange) : exchange(exchange) {}
  int available() override { return static_cast<int>(exchange.available()); }
  size_t readBytes(uint8_t *buffer, size_t length) override {
    size_t done = 0;
    while (done < length) {
      int received = exchange.read(reinterpret_cast<char *>(buffer) + done, length - done);
      if (received <= 0) break;
      done += static_cast<size_t>(received);
    }
    return done;
  }

 private:
  HttpExchange &exchange;
};

class HTTPClient {
 public:
  bool begin(String address) {
    url = address;
    headers.clear();
    return url.text.compare(0, 7, "http://") == 0;
  }
  bool begin(String, const char *) { return false; }
  void end() {
    exchange.close();
    size = -1;
  }
  bool connected() { return exchange.available() > 0 || exchange.connected(); }
  void setTimeout(uint16_t ms) { timeoutMs = ms; }
  void addHeader(const String &name, const String &value) { headers += name.text + ": " + value.text + "\r\n"; }
  void collectHeaders(const char *keys[], const size_t count) {
    collected.clear();
    for (size_t i = 0; i < count; i++) collected.push_back({keys[i], ""});
  }
  String header(const char *name) {
    for (const auto &[key, value] : collected)
      if (key == name) return value;
    return String();
  }
  int GET() {
    if (!exchange.open(url.text, timeoutMs)) return HTTPC_ERROR_CONNECTION_REFUSED;
    if (!exchange.send("User-Agent: ESP32HTTPClient\r\nConnection: keep-alive\r\n" + headers)) return HTTPC_ERROR_SEND_HEADER_FAILED;
    int status = exchange.receiveHead([this](const std::string &name, const std::string &value) {
      for (auto &[key, kept] : collected)
        if (strcasecmp(key.c_str(), name.c_str()) == 0) kept = value;
    });
    size = static_cast<int>(exchange.contentLength());
    return status > 0 ? status : HTTPC_ERROR_CONNECTION_LOST;
  }
  int getSize() { return size; }
  NetworkClient &getStream() { return stream; }
  /** What came, also if the connection ended too early. */
  String getString() {
    std::string body(size > 0 ? static_cast<size_t>(size) : 0, '\0');
    body.resize(stream.readBytes(reinterpret_cast<uint8_t *>(&body[0]), body.size()));
    return body;
  }

 private:
  String url;
  std::string headers;
  std::vector<std::pair<std::string, std::string>> collected;
  uint16_t timeoutMs = 5000;
  int size = -1;
  HttpExchange exchange;
  NetworkClient stream{exchange};
};
