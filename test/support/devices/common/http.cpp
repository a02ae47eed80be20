#include "http.h"

#include <netdb.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstring>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0  // macOS
#endif

bool HttpExchange::open(const std::string &url, uint32_t timeoutMs) {
  close();
  const std::string scheme = "http://";
  if (url.compare(0, scheme.size(), scheme) != 0) return false;
  size_t slash = url.find('/', scheme.size());
  host = url.substr(scheme.size(), slash - scheme.size());
  target = slash == std::string::npos ? "/" : url.substr(slash);
  size_t colon = host.find(':');
  std::string name = host.substr(0, colon), port = colon == std::string::npos ? "80" : host.substr(colon + 1);
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(name.c_str(), port.c_str(), &hints, &found) != 0) return false;
  socket = ::socket(found->ai_family, found->ai_socktype, 0);
  timeval timeout{static_cast<time_t>(timeoutMs / 1000), static_cast<suseconds_t>(timeoutMs % 1000 * 1000)};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  bool isConnected = connect(socket, found->ai_addr, found->ai_addrlen) == 0;
  freeaddrinfo(found);
  if (!isConnected) close();
  return isConnected;
}

bool HttpExchange::send(const std::string &headers) {
  std::string request = "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "\r\n";
  return ::send(socket, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size());
}

int HttpExchange::receiveHead(const std::function<void(const std::string &, const std::string &)> &header) {
  size_t end;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos)
    if (!fill()) return -1;
  std::string head = buffer.substr(0, end + 2);
  buffer.erase(0, end + 4);
  int status = atoi(head.c_str() + strlen("HTTP/1.1 "));
  for (size_t at = head.find("\r\n") + 2; at < head.size();) {
    size_t next = head.find("\r\n", at), colon = head.find(':', at), value = head.find_first_not_of(' ', colon + 1);
    std::string name = head.substr(at, colon - at), text = head.substr(value, next - value);
    if (strcasecmp(name.c_str(), "Content-Length") == 0) length = atoll(text.c_str());
    header(name, text);
    at = next + 2;
  }
  return status;
}

size_t HttpExchange::available() {
  int waiting = 0;
  if (socket >= 0) ioctl(socket, FIONREAD, &waiting);
  return buffer.size() + static_cast<size_t>(waiting);
}

int HttpExchange::read(char *into, size_t size) {
  if (buffer.empty() && !fill()) return ended ? 0 : -1;
  size_t length = buffer.copy(into, size);
  buffer.erase(0, length);
  return static_cast<int>(length);
}

bool HttpExchange::connected() {
  if (socket < 0 || ended) return false;
  pollfd state{socket, POLLIN, 0};
  char peeked;
  return poll(&state, 1, 0) == 0 || recv(socket, &peeked, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void HttpExchange::close() {
  if (socket >= 0) ::close(socket);
  socket = -1;
  buffer.clear();
  length = -1;
  ended = false;
}

bool HttpExchange::fill() {
  char bytes[2048];
  ssize_t received = socket < 0 ? 0 : recv(socket, bytes, sizeof bytes, 0);
  if (received > 0) buffer.append(bytes, static_cast<size_t>(received));
  ended = received == 0;
  return received > 0;
}
