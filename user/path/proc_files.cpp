// SPDX-License-Identifier: Apache-2.0
#include "user/path/proc_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <string_view>

namespace lyrebird::user {
namespace {

std::string read_host(const std::string& path) {
  std::string text;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char chunk[4096];
  for (ssize_t n; (n = ::read(fd, chunk, sizeof chunk)) > 0;) text.append(chunk, static_cast<size_t>(n));
  ::close(fd);
  return text;
}

/// Removes a decimal number from the front.
bool take_number(std::string_view& text, long& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool own_thread(long tid) { return ::access(fmt::format("/proc/self/task/{}", tid).c_str(), F_OK) == 0; }

/// For /proc/self/NAME, /proc/PID/NAME, /proc/self/task/TID/NAME of this process: NAME.
bool own_file(std::string_view path, std::string_view& name) {
  if (!path.starts_with("/proc/")) return false;
  path.remove_prefix(6);
  long id = 0;
  if (path.starts_with("self/"))
    path.remove_prefix(5);
  else if (path.starts_with("thread-self/"))
    path.remove_prefix(12);
  else if (take_number(path, id) && path.starts_with("/") && (id == ::getpid() || own_thread(id)))
    path.remove_prefix(1);
  else
    return false;
  if (path.starts_with("task/")) {
    path.remove_prefix(5);
    if (!take_number(path, id) || !path.starts_with("/") || !own_thread(id)) return false;
    path.remove_prefix(1);
  }
  name = path;
  return true;
}

std::string maps(Process& process) {
  std::string out;
  const Program& program = process.program;
  for (const Region& r : process.memory.regions()) {
    std::string line = fmt::format("{:08x}-{:08x} {}{}{}{} {:08x} {:02x}:{:02x} {} ", r.start, r.end,
                                   r.prot & PROT_READ ? 'r' : '-', r.prot & PROT_WRITE ? 'w' : '-',
                                   r.prot & PROT_EXEC ? 'x' : '-', r.shared ? 's' : 'p',
                                   r.inode ? r.offset : 0, major(r.device), minor(r.device), r.inode);
    const bool stack = program.stack_pointer >= r.start && program.stack_pointer < r.end;
    if (r.name || stack) {
      if (line.size() < 73) line.resize(73, ' ');
      line += stack ? "[stack]" : process.root.to_guest(*r.name);
    }
    out += line + '\n';
  }
  return out.append(process.abi.maps_end);
}

std::string joined(const std::vector<std::string>& strings) {
  std::string out;
  for (const std::string& one : strings) out.append(one.c_str(), one.size() + 1);
  return out;
}

/// The strings as they are now: programs change their own title there.
std::string memory_text(Process& process, uint64_t start, uint64_t end,
                        const std::vector<std::string>& fallback) {
  std::string text(end - start, '\0');
  if (!process.memory.read(start, text.data(), text.size())) return joined(fallback);
  return text;
}

std::string auxv(Process& process) {
  const DataModel& model = process.abi.model;
  std::string out;
  for (uint64_t value : process.program.auxv) {
    if (model.big_endian) value = __builtin_bswap64(value) >> (64 - 8 * model.word);
    out.append(reinterpret_cast<const char*>(&value), model.word);
  }
  return out;
}

/// The host's line with the addresses of the guest (proc(5), /proc/pid/stat).
std::string stat(Process& process, const std::string& path) {
  std::string text = read_host(path);
  const size_t close = text.rfind(')');
  if (close == std::string::npos) return text;
  std::string out = text.substr(0, close + 1);
  const Program& program = process.program;
  unsigned field = 3;  // the next one after the name
  size_t begin = close + 2;
  while (begin < text.size()) {
    size_t end = text.find_first_of(" \n", begin);
    if (end == std::string::npos) end = text.size();
    std::string value = text.substr(begin, end - begin);
    switch (field) {
      case 26:
        value = std::to_string(program.code_start);
        break;
      case 27:
        value = std::to_string(program.code_end);
        break;
      case 28:
        value = std::to_string(program.stack_pointer);
        break;
      case 45:
        value = std::to_string(program.data_start);
        break;
      case 46:
        value = std::to_string(program.data_end);
        break;
      case 47:
        value = std::to_string(process.memory.brk_start());
        break;
      case 48:
        value = std::to_string(program.arg_start);
        break;
      case 49:
        value = std::to_string(program.arg_end);
        break;
      case 50:
        value = std::to_string(program.env_start);
        break;
      case 51:
        value = std::to_string(program.env_end);
        break;
      default:
        break;
    }
    out += ' ' + value;
    begin = end + 1;
    ++field;
  }
  return out + '\n';
}

bool content(Thread& t, const std::string& path, std::string& out) {
  Process& process = t.process;
  if (path == "/proc/cpuinfo") {
    const long cpus = ::sysconf(_SC_NPROCESSORS_ONLN);
    out = process.abi.cpuinfo(cpus > 0 ? static_cast<unsigned>(cpus) : 1, process.cpu);
    return true;
  }
  std::string_view name;
  if (!own_file(path, name)) return false;
  const Program& program = process.program;
  if (name == "maps") return out = maps(process), true;
  if (name == "auxv") return out = auxv(process), true;
  if (name == "stat") return out = stat(process, path), true;
  if (name == "cmdline")
    return out = memory_text(process, program.arg_start, program.arg_end, program.arguments), true;
  if (name == "environ")
    return out = memory_text(process, program.env_start, program.env_end, program.environment), true;
  return false;
}

}  // namespace

bool proc_link_target(Thread& t, const std::string& path, std::string& target) {
  std::string_view name;
  if (!own_file(path, name) || name != "exe") return false;
  target = t.process.program.exe;
  return true;
}

bool proc_link_text(Thread& t, const std::string& path, std::string& text) {
  std::string_view name;
  const Root& root = t.process.root;
  if (!own_file(path, name)) return false;
  if (name == "exe") return text = root.to_guest(t.process.program.exe), true;
  if (root.empty() || (name != "cwd" && !name.starts_with("fd/"))) return false;
  char target[PATH_MAX];
  const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
  if (n <= 0) return false;
  return text = root.to_guest(std::string(target, static_cast<size_t>(n))), true;
}

int64_t open_proc_file(Thread& t, int dir, const std::string& path, int flags) {
  std::string absolute = path;
  if (!path.starts_with('/')) {
    // Only descriptors of directories in /proc matter.
    if (dir == AT_FDCWD) return kNotOurs;
    struct stat st;
    if (path.size() > 64 || ::fstat(dir, &st) != 0 || major(st.st_dev) != 0) return kNotOurs;
    char target[128];
    const ssize_t n = ::readlink(fmt::format("/proc/self/fd/{}", dir).c_str(), target, sizeof target);
    if (n <= 0 || n == sizeof target ||
        std::string_view(target, static_cast<size_t>(n)).substr(0, 5) != "/proc")
      return kNotOurs;
    absolute = std::string(target, static_cast<size_t>(n)) + '/' + path;
  }
  if (!absolute.starts_with("/proc/") || (flags & O_PATH)) return kNotOurs;
  std::string text;
  if (!content(t, absolute, text)) return kNotOurs;
  if ((flags & O_ACCMODE) != O_RDONLY) return -EACCES;
  const int fd = ::memfd_create(absolute.c_str(), flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
  if (fd < 0) return -errno;
  if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::lseek(fd, 0, SEEK_SET) != 0) {
    const int error = errno;
    ::close(fd);
    return -error;
  }
  return fd;
}

}  // namespace lyrebird::user
