#pragma once
#include <cstdint>
#include <functional>
#include <string>

/** One HTTP/1.1 exchange over a POSIX socket. */
class HttpExchange {
 public:
  ~HttpExchange() { close(); }

  /** Connects to the host and port of `url`, which begins with `http://`. Returns false if that fails. */
  bool open(const std::string &url, uint32_t timeoutMs);
  /** Sends a GET request with `headers`, lines that end with CRLF. Returns false if that fails. */
  bool send(const std::string &headers);
  /** Reads status and headers, and hands over each header. Returns the status, or -1 if the connection ends before. */
  int receiveHead(const std::function<void(const std::string &, const std::string &)> &header);
  /** The `Content-Length`; -1 without one. */
  int64_t contentLength() const { return length; }

  /** Bytes that can be read without waiting. */
  size_t available();
  /** Reads up to `size` bytes. Returns 0 at the end of the connection, -1 on an error or when nothing comes in time. */
  int read(char *into, size_t size);
  /** Whether the other side has not closed the connection. */
  bool connected();
  void close();

 private:
  bool fill();

  int socket = -1;
  std::string host, target, buffer;
  int64_t length = -1;
  bool ended = false;
};
