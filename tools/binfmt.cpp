// SPDX-License-Identifier: Apache-2.0
/// lyrebird binfmt: entries for the kernel's binfmt_misc (Documentation/admin-guide/binfmt-misc),
/// so that foreign programs start by their name.
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <string>

#include "tools/commands.h"
#include "user/abi/abi.h"

namespace lyrebird::tools {
namespace {

constexpr const char* kDirectory = "/proc/sys/fs/binfmt_misc";

/// Magic and mask of an ELF header: class, byte order, version; any OS ABI; ET_EXEC or ET_DYN;
/// the machine.
std::string entry(const user::Abi& abi, const std::string& interpreter) {
  const bool big = abi.model.big_endian;
  std::string magic =
      fmt::format("\\x7fELF\\x{:02x}\\x{:02x}\\x01", abi.model.word == 8 ? 2 : 1, big ? 2 : 1);
  std::string mask = "\\xff\\xff\\xff\\xff\\xff\\xff\\xff";
  for (unsigned i = 7; i < 16; ++i) magic += "\\x00", mask += i == 7 ? "\\x00" : "\\xff";
  const unsigned low = abi.elf_machine & 0xff, high = abi.elf_machine >> 8;
  if (big) {
    magic += fmt::format("\\x00\\x02\\x{:02x}\\x{:02x}", high, low);
    mask += "\\xff\\xfe\\xff\\xff";
  } else {
    magic += fmt::format("\\x02\\x00\\x{:02x}\\x{:02x}", low, high);
    mask += "\\xfe\\xff\\xff\\xff";
  }
  return fmt::format(":lyrebird-{}:M::{}:{}:{}:OCF", abi.name, magic, mask, interpreter);
}

std::string own_directory() {
  char path[PATH_MAX];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  if (n <= 0) return "/usr/bin";
  std::string text(path, static_cast<size_t>(n));
  return text.substr(0, text.rfind('/'));
}

int write_file(const std::string& file, const std::string& text) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
  const bool written = fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  if (fd >= 0) ::close(fd);
  return written ? 0 : error;
}

int complain(const std::string& what, int error) {
  std::string advice;
  if (error == ENOENT) advice = "; mount it: mount -t binfmt_misc none /proc/sys/fs/binfmt_misc";
  if (error == EACCES || error == EPERM) advice = "; run this as root";
  if (error == EEXIST) advice = "; remove the old entry with lyrebird binfmt unregister";
  std::fputs(fmt::format("lyrebird binfmt: {}: {}{}\n", what, std::strerror(error), advice).c_str(), stderr);
  return 1;
}

/// The host's kernel runs such programs itself, the emulator first of all.
bool is_native(const user::Abi& abi) {
  // The sysctl is there if the kernel runs 32-bit programs.
  if (abi.elf_machine == EM_386) return ::access("/proc/sys/abi/vsyscall32", F_OK) == 0;
  return abi.elf_machine == EM_X86_64;
}

int help(FILE* to, int status) {
  std::fputs(
      "usage: lyrebird binfmt [print | register | unregister] [DIR]\n\n"
      "  print       write the entries to standard output, as binfmt_misc takes them (default)\n"
      "  register    give them to the running kernel (root)\n"
      "  unregister  take them back\n\n"
      "Programs that the host's kernel runs itself get no entry. DIR is where lyrebird-ARCH are; without it "
      "the directory of this program. The flags are\n"
      "O (the kernel opens the program), C (credentials of the program), F (the interpreter is\n"
      "opened at registration: works in containers and changed roots).\n",
      to);
  return status;
}

}  // namespace

int binfmt(int argc, char** argv) {
  const std::string action = argc > 0 ? argv[0] : "print";
  if (action == "-h" || action == "-help" || action == "--help") return help(stdout, 0);
  if (argc > 2 || (action != "print" && action != "register" && action != "unregister"))
    return help(stderr, 1);
  const std::string directory = argc > 1 ? argv[1] : own_directory();
  for (const user::Abi* abi : user::all_abis()) {
    if (action != "unregister" && is_native(*abi)) continue;
    const std::string line = entry(*abi, fmt::format("{}/lyrebird-{}", directory, abi->name));
    if (action == "print") {
      std::puts(line.c_str());
    } else if (action == "register") {
      const std::string file = std::string(kDirectory) + "/register";
      if (const int error = write_file(file, line)) return complain(file, error);
    } else {
      const std::string file = fmt::format("{}/lyrebird-{}", kDirectory, abi->name);
      if (const int error = write_file(file, "-1")) return complain(file, error);
    }
  }
  return 0;
}

}  // namespace lyrebird::tools
