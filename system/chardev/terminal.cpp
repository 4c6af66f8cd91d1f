// SPDX-License-Identifier: Apache-2.0
#include "system/chardev/terminal.h"

#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <iterator>

namespace lyrebird::system {

namespace {

constexpr uint8_t kEscape = 1;  // Ctrl-A
constexpr std::string_view kHelp =
    "\r\nC-a h    print this help\r\nC-a x    end the emulator\r\nC-a c    switch between console and "
    "monitor\r\n"
    "C-a b    send a break\r\nC-a C-a  send C-a\r\n";

// What signal handlers need to put the terminal back.
termios original, raw;
volatile sig_atomic_t is_raw = 0;

void restore() {
  if (is_raw) tcsetattr(STDIN_FILENO, TCSANOW, &original);
  is_raw = 0;
}

constexpr int kFatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGQUIT};
/// Whose turn it is after ours: the default, or a sanitizer's report.
struct sigaction before[std::size(kFatal)];

void on_fatal(int number) {
  restore();
  for (size_t i = 0; i < std::size(kFatal); ++i)
    if (kFatal[i] == number) sigaction(number, &before[i], nullptr);
  raise(number);
}

void on_stop(int) {
  const bool was_raw = is_raw;
  restore();
  raise(SIGSTOP);
  if (was_raw) {  // back again
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    is_raw = 1;
  }
}

void make_raw(bool signals) {
  if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &original) != 0) return;
  raw = original;
  raw.c_iflag &= ~static_cast<tcflag_t>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | IEXTEN);
  if (!signals) raw.c_lflag &= ~static_cast<tcflag_t>(ISIG);
  raw.c_cflag &= ~static_cast<tcflag_t>(CSIZE | PARENB);
  raw.c_cflag |= CS8;
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  std::atexit(restore);
  for (size_t i = 0; i < std::size(kFatal); ++i) {
    struct sigaction now{};
    if (sigaction(kFatal[i], nullptr, &now) != 0 || now.sa_handler == SIG_IGN || now.sa_handler == on_fatal)
      continue;
    before[i] = now;
    signal(kFatal[i], on_fatal);
  }
  signal(SIGTSTP, on_stop);
  if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0) is_raw = 1;
}

}  // namespace

Terminal::Terminal(EventLoop& loop, Mode mode, std::function<void()> on_quit)
    : loop_(loop), mode_(mode), on_quit_(std::move(on_quit)), alive_(std::make_shared<bool>(true)) {
  for (End& end : ends_) end.owner = this;
  make_raw(mode == Mode::Private);
  watch(true);
}

Terminal::~Terminal() {
  *alive_ = false;
  watch(false);
  flush();
  restore();
}

void Terminal::watch(bool on) {
  if (on == watching_ || ended_) return;
  watching_ = on;
  if (on)
    loop_.watch(STDIN_FILENO, EPOLLIN, [this](uint32_t) { on_input(); });
  else
    loop_.unwatch(STDIN_FILENO);
}

void Terminal::write(std::span<const uint8_t> bytes) {
  bool first;
  {
    const std::lock_guard lock(out_mutex_);
    first = out_.empty();
    out_.append(bytes.begin(), bytes.end());
  }
  // Guests write byte by byte: the loop takes together what has come until it is awake.
  if (first)
    loop_.post([this, alive = alive_] {
      if (*alive) flush();
    });
}

void Terminal::flush() {
  std::string text;
  {
    const std::lock_guard lock(out_mutex_);
    text.swap(out_);
  }
  for (size_t done = 0; done < text.size();) {
    const ssize_t count = ::write(STDOUT_FILENO, text.data() + done, text.size() - done);
    if (count < 0 && errno == EAGAIN) {
      usleep(1000);
      continue;
    }
    if (count < 0 && errno != EINTR) return;
    if (count > 0) done += static_cast<size_t>(count);
  }
}

void Terminal::on_input() {
  uint8_t keys[256];
  const ssize_t count = read(STDIN_FILENO, keys, sizeof keys);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {  // its end: the guest goes on without
    watch(false);
    ended_ = true;
    return;
  }
  for (ssize_t i = 0; i < count; ++i) on_key(keys[i]);
  deliver();
}

void Terminal::on_key(uint8_t key) {
  const bool escaped = escape_;
  escape_ = false;
  if (mode_ == Mode::Private || (!escaped && key != kEscape)) {
    ends_[front_].waiting.push_back(static_cast<char>(key));
    return;
  }
  if (!escaped) {
    escape_ = true;
    return;
  }
  switch (key) {
    case kEscape:
      ends_[front_].waiting.push_back(static_cast<char>(kEscape));
      break;
    case 'x':
      on_quit_();
      break;
    case 'c':
      front_ = 1 - front_;
      if (CharReceiver* const receiver = ends_[front_].receiver) receiver->connected(true);
      break;
    case 'b':
      if (CharReceiver* const receiver = ends_[front_].receiver) receiver->receive_break();
      break;
    case 'h':
    case '?':
      write({reinterpret_cast<const uint8_t*>(kHelp.data()), kHelp.size()});
      break;
    default:
      break;
  }
}

void Terminal::deliver() {
  bool full = false;
  for (End& end : ends_) {
    while (!end.waiting.empty() && end.receiver) {
      const size_t room = end.receiver->room();
      if (room == 0) break;
      const size_t count = std::min(room, end.waiting.size());
      const std::string now = end.waiting.substr(0, count);
      end.waiting.erase(0, count);
      end.receiver->receive({reinterpret_cast<const uint8_t*>(now.data()), count});
    }
    // Keys for a guest that does not take them stay in the host's terminal beyond a limit; but Ctrl-A must
    // get through, so there is some space.
    full |= end.waiting.size() > 4096;
  }
  watch(!full);
}

void Terminal::accept_input() {
  loop_.post([this, alive = alive_] {
    if (*alive) deliver();
  });
}

}  // namespace lyrebird::system
