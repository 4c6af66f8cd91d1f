// SPDX-License-Identifier: Apache-2.0
#include "accel/soft/code_log.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "accel/soft/gdb_jit.h"
#include "accel/soft/trace.h"
#include "base/log.h"

namespace lyrebird::accel {

namespace {

std::string symbol_of(const jit::HostCode& code) {
  return fmt::format("guest_{:x}_{}", code.key.pc, code.tier);
}

std::string map_file(pid_t pid) { return fmt::format("/tmp/perf-{}.map", pid); }

void log_assembly(const jit::HostCode& code) {
  std::string text = fmt::format("OUT: {:#x} mode={:#x} {} [size={}]\n", code.key.pc, code.key.mode,
                                 code.tier, code.size - code.start);
  const auto part = [&](uint32_t from, uint32_t to) {
    if (to > from)
      trace::host_code(reinterpret_cast<uint64_t>(code.code) + from, code.code + from, to - from, text);
  };
  const uint32_t hot_end = code.start + code.hot_size;
  uint32_t at = code.start;
  for (const jit::HostCode::Mark& mark : code.marks) {
    part(at, mark.offset);
    at = std::max(at, mark.offset);
    text += fmt::format("  -- guest {:#x}\n", mark.pc);
  }
  part(at, hot_end);
  text += "  -- out of line\n";
  part(std::max(at, hot_end), code.size);
  log(LogTopic::OutAsm, "{}\n", text);
}

}  // namespace

CodeLog::~CodeLog() {
  if (map_ >= 0) ::close(map_);
  for (const auto& [code, entry] : registered_) gdb::unregister_code(entry);
}

void CodeLog::made(const jit::HostCode& code) {
  if (options_.out_asm) log_assembly(code);
  const std::lock_guard lock(mutex_);
  if (options_.perf_map) write_map(code);
  if (options_.gdb)
    registered_[code.code] =
        gdb::register_code(symbol_of(code), code.code + code.start, code.size - code.start);
}

void CodeLog::gone(const uint8_t* code) {
  if (!options_.gdb) return;
  const std::lock_guard lock(mutex_);
  const auto it = registered_.find(code);
  if (it == registered_.end()) return;
  gdb::unregister_code(it->second);
  registered_.erase(it);
}

void CodeLog::open_map() {
  const pid_t parent = std::exchange(map_of_, ::getpid());
  if (map_ >= 0) ::close(map_);
  map_ = ::open(map_file(map_of_).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (map_ < 0 || parent == 0) return;
  // The child of a fork has the parent's code.
  const int old = ::open(map_file(parent).c_str(), O_RDONLY | O_CLOEXEC);
  struct stat size;
  if (old >= 0 && ::fstat(old, &size) == 0) {
    // Not as one that appends, which sendfile() refuses.
    const int to = ::open(map_file(map_of_).c_str(), O_WRONLY | O_CLOEXEC);
    if (to >= 0) {
      while (size.st_size > 0) {
        const ssize_t n = ::sendfile(to, old, nullptr, static_cast<size_t>(size.st_size));
        if (n <= 0) break;
        size.st_size -= n;
      }
      ::close(to);
    }
  }
  if (old >= 0) ::close(old);
}

void CodeLog::write_map(const jit::HostCode& code) {
  if (map_of_ != ::getpid()) open_map();
  if (map_ < 0) return;
  const std::string line = fmt::format("{:x} {:x} {}\n", reinterpret_cast<uint64_t>(code.code) + code.start,
                                       code.size - code.start, symbol_of(code));
  if (::write(map_, line.data(), line.size()) < 0) {
    ::close(map_);
    map_ = -1;
  }
}

}  // namespace lyrebird::accel
