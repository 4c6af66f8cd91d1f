// SPDX-License-Identifier: Apache-2.0
#include "user/process/exec.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/bits.h"
#include "base/log.h"
#include "user/debugger.h"
#include "user/host/raw_signal.h"
#include "user/host/safe_syscall.h"
#include "user/process/syscalls.h"
#include "user/syscalls/fs.h"
#include "user/thread.h"

namespace lyrebird::user {

namespace {

constexpr unsigned kMaxScripts = 4;  // more interpreters in a row are ELOOP
constexpr size_t kHeadSize = 256;    // BINPRM_BUF_SIZE

class OwnedFd {
 public:
  explicit OwnedFd(int fd) : fd_(fd) {}
  ~OwnedFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

// "/dev/fd/N/path", as the kernel names a file that was found below a descriptor.
std::string name_below(int dir, const std::string& path) {
  if (dir == AT_FDCWD || (!path.empty() && path[0] == '/')) return path;
  return path.empty() ? fmt::format("/dev/fd/{}", dir) : fmt::format("/dev/fd/{}/{}", dir, path);
}

// Somebody has the file open for writing: only then does the kernel refuse a read lease.
bool is_being_written(int fd) {
  if (::fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
    ::fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
  }
  return errno == EAGAIN;
}

int64_t check_executable(int dir, const char* path, int flags) {
  struct stat info;
  if (::fstatat(dir, path, &info, flags) != 0) return -errno;
  if (!S_ISREG(info.st_mode)) return S_ISLNK(info.st_mode) ? -ELOOP : -EACCES;
  if (::faccessat(dir, path, X_OK, AT_EACCESS | flags) != 0) return errno == ENOENT ? -ENOENT : -EACCES;
  return 0;
}

const Abi* guest_of(const Elf64_Ehdr& header) {
  return header.e_ident[EI_CLASS] == ELFCLASS64 || header.e_ident[EI_CLASS] == ELFCLASS32
             ? find_abi(header.e_ident[EI_DATA] == ELFDATA2MSB ? __builtin_bswap16(header.e_machine)
                                                               : header.e_machine)
             : nullptr;
}

// PT_INTERP of a little-endian file; empty: none, or the loader will complain better.
template <typename Header, typename Segment>
std::string interpreter_in(int fd, const Header& header) {
  for (unsigned i = 0; i < header.e_phnum; i++) {
    Segment segment;
    const auto at = static_cast<off_t>(header.e_phoff + uint64_t{i} * sizeof segment);
    if (::pread(fd, &segment, sizeof segment, at) != sizeof segment) return {};
    if (segment.p_type != PT_INTERP) continue;
    std::string path(std::min<uint64_t>(segment.p_filesz, PATH_MAX), '\0');
    if (::pread(fd, path.data(), path.size(), static_cast<off_t>(segment.p_offset)) < 0) return {};
    return path.substr(0, path.find('\0'));
  }
  return {};
}

std::string interpreter_of(int fd, const Elf64_Ehdr& header) {
  if (header.e_ident[EI_DATA] != ELFDATA2LSB) return {};
  if (header.e_ident[EI_CLASS] == ELFCLASS64) return interpreter_in<Elf64_Ehdr, Elf64_Phdr>(fd, header);
  Elf32_Ehdr narrow;
  std::memcpy(&narrow, &header, sizeof narrow);
  return interpreter_in<Elf32_Ehdr, Elf32_Phdr>(fd, narrow);
}

int64_t classify_elf(Thread& t, int fd, const char* head, size_t size, ExecTarget& target) {
  Elf64_Ehdr header{};
  if (size < sizeof header) return -ENOEXEC;
  std::memcpy(&header, head, sizeof header);
  // The host's own programs, unless they are what the guest's own are.
  if (header.e_ident[EI_DATA] == ELFDATA2LSB && header.e_machine == EM_X86_64 && !t.abi().is_host_like()) {
    target.native = true;
    return 0;
  }
  const Abi* const abi = guest_of(header);
  if (!abi) return -ENOEXEC;
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) return -ENOEXEC;
  target.guest = abi->name;
  const std::string interpreter = interpreter_of(fd, header);
  if (interpreter.empty()) return 0;
  const HostPath host = host_path(t, interpreter, true);
  return host.error ? host.error : check_executable(AT_FDCWD, host.c_str(), 0);
}

}  // namespace

int64_t find_exec_target(Thread& t, const ExecRequest& request, ExecTarget& target) {
  target.arguments = request.arguments;
  // The kernel never starts a program without argv[0].
  if (target.arguments.empty()) target.arguments.emplace_back();
  int dir = request.dir;
  std::string guest_path = request.path;
  for (unsigned depth = 0;; depth++) {
    if (depth > kMaxScripts) return -ELOOP;
    const bool by_fd = depth == 0 && request.empty_path;
    const bool follow = !(depth == 0 && request.no_follow);
    const HostPath host =
        by_fd ? HostPath{fmt::format("/proc/self/fd/{}", dir)} : host_path(t, guest_path, follow, dir);
    if (host.error) return host.error;
    if (const int64_t error = check_executable(dir, by_fd ? "" : host.c_str(),
                                               by_fd    ? AT_EMPTY_PATH
                                               : follow ? 0
                                                        : AT_SYMLINK_NOFOLLOW))
      return error;
    // Execute right without read right: the kernel could, we can't.
    const OwnedFd file(by_fd ? ::open(host.c_str(), O_RDONLY | O_CLOEXEC)
                             : ::openat(dir, host.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0) return -errno;
    if (is_being_written(file.get())) return -ETXTBSY;
    char head[kHeadSize];
    const ssize_t size = ::pread(file.get(), head, sizeof head, 0);
    if (size < 0) return -errno;

    const std::string_view bytes(head, static_cast<size_t>(size));
    ScriptLine line;
    if (parse_script_line(bytes, line)) {
      const std::string script = name_below(dir, by_fd ? "" : guest_path);
      // A script that is gone when its interpreter opens it can't run.
      if (by_fd && ::fcntl(dir, F_GETFD) & FD_CLOEXEC) return -ENOENT;
      std::vector<std::string> next{line.interpreter};
      if (line.has_argument) next.push_back(line.argument);
      next.push_back(script);
      next.insert(next.end(), target.arguments.begin() + 1, target.arguments.end());
      target.arguments = std::move(next);
      guest_path = line.interpreter;
      dir = AT_FDCWD;
      continue;
    }
    if (!bytes.starts_with(ELFMAG)) return -ENOEXEC;
    if (const int64_t error = classify_elf(t, file.get(), head, bytes.size(), target)) return error;
    target.guest_path = name_below(dir, by_fd ? "" : guest_path);
    const bool below = dir != AT_FDCWD && !host.text.starts_with('/');
    target.host_path = below ? fmt::format("/proc/self/fd/{}/{}", dir, host.text) : host.text;
    if (target.native || !(by_fd || below)) return 0;
    target.fd = ::fcntl(file.get(), F_DUPFD, 100);  // not closed by execve
    return target.fd < 0 ? -errno : 0;
  }
}

namespace {

constexpr size_t kMaxString = 32 * kPage;  // MAX_ARG_STRLEN

int64_t read_strings(Thread& t, uint64_t list, std::vector<std::string>& out) {
  const unsigned word = word_size(t);
  for (uint64_t at = list; list; at += word) {
    uint64_t pointer = 0;
    if (!get_word(t, at, pointer)) return -EFAULT;
    if (!pointer) break;
    std::string text;
    const int64_t error = t.memory().read_string(untag(t, pointer), text, kMaxString);
    if (error) return error == -ENAMETOOLONG ? -E2BIG : error;
    out.push_back(std::move(text));
  }
  return 0;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> list;
  for (std::string& text : strings) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

int64_t run_on_host(Thread& t, const char* file, std::vector<std::string>& arguments,
                    std::vector<std::string>& environment) {
  const std::vector<char*> argv = pointers(arguments), envp = pointers(environment);
  SignalActions& actions = *t.signals.actions;
  actions.prepare_exec();
  if (t.signals.blocked.load() & kHostFaults)
    host::set_signal_mask(SIG_BLOCK, t.signals.blocked.load() & kHostFaults);
  const int64_t error =
      host::safe_syscall(SYS_execve, reinterpret_cast<uint64_t>(file),
                         reinterpret_cast<uint64_t>(argv.data()), reinterpret_cast<uint64_t>(envp.data()));
  host::set_signal_mask(SIG_UNBLOCK, kHostFaults);
  actions.after_failed_exec();
  return error;
}

int64_t do_exec(Thread& t, const ExecRequest& request) {
  ExecTarget target;
  if (const int64_t error = find_exec_target(t, request, target)) return error;
  if (Debugger* const debugger = t.debugger()) debugger->on_exec(t);
  if (!t.extra.vm_child) t.process.accelerator.keep();
  int64_t error;
  if (target.native && t.seccomp.active()) {
    log_unimplemented("execve of a host program, which the guest's seccomp filters could not hold");
    error = -EPERM;
  } else if (target.native) {
    std::vector<std::string> environment = request.environment;
    error = run_on_host(t, target.host_path.c_str(), target.arguments, environment);
  } else {
    const OwnedFd filters(t.seccomp.active() ? t.seccomp.save() : -1);
    if (t.seccomp.active() && filters.get() < 0) return filters.get();
    target.seccomp_fd = filters.get();
    HostCommand command = emulator_command(t.process.options, target, request.environment);
    error = run_on_host(t, "/proc/self/exe", command.arguments, command.environment);
  }
  if (target.fd >= 0) ::close(target.fd);
  return error;
}

}  // namespace

namespace sys::proc {

Errno<Int> execve(Thread& t, Path path, Addr arguments, Addr environment) {
  return execveat(t, Fd{AT_FDCWD}, std::move(path), arguments, environment, Flags{0});
}

Errno<Int> execveat(Thread& t, Fd dir, Path path, Addr arguments, Addr environment, Flags flags) {
  if (path.error) return path.error;
  if (flags & ~uint32_t{AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW}) return -EINVAL;
  if (path.text.empty() && !(flags & AT_EMPTY_PATH)) return -ENOENT;
  ExecRequest request;
  request.dir = dir;
  request.path = path.text;
  request.empty_path = path.text.empty();
  request.no_follow = flags & AT_SYMLINK_NOFOLLOW;
  if (const int64_t error = read_strings(t, arguments, request.arguments)) return error;
  if (const int64_t error = read_strings(t, environment, request.environment)) return error;
  return do_exec(t, request);
}

}  // namespace sys::proc
}  // namespace lyrebird::user
