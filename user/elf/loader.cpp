// SPDX-License-Identifier: Apache-2.0
#include "user/elf/loader.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "base/bits.h"
#include "user/elf/elf_file.h"
#include "user/elf/stack.h"

namespace lyrebird::user {
namespace {

class FileSource final : public ElfSource {
 public:
  explicit FileSource(int fd) : fd_(fd) {
    struct stat st;
    if (::fstat(fd, &st) == 0) size_ = static_cast<uint64_t>(st.st_size);
  }
  uint64_t size() const override { return size_; }
  bool read(uint64_t offset, void* to, uint64_t size) const override {
    while (size > 0) {
      const ssize_t n = ::pread(fd_, to, size, static_cast<off_t>(offset));
      if (n <= 0) return false;
      offset += static_cast<uint64_t>(n);
      size -= static_cast<uint64_t>(n);
      to = static_cast<char*>(to) + n;
    }
    return true;
  }

 private:
  int fd_;
  uint64_t size_ = 0;
};

/// Closes at the end of the scope.
struct OwnedFd {
  int fd = -1;
  explicit OwnedFd(int fd) : fd(fd) {}
  ~OwnedFd() {
    if (fd >= 0) ::close(fd);
  }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
};

/// For the message about a program that we do not run.
std::string machine_name(uint16_t machine) {
  switch (machine) {
    case EM_386:
      return "32-bit x86";
    case EM_X86_64:
      return "x86-64";
    case EM_ARM:
      return "32-bit Arm";
    case EM_AARCH64:
      return "AArch64";
    case EM_PPC:
      return "32-bit PowerPC";
    case EM_PPC64:
      return "64-bit PowerPC";
    case EM_RISCV:
      return "RISC-V";
    case EM_S390:
      return "IBM Z";
    case EM_MIPS:
      return "MIPS";
    default:
      return fmt::format("another machine (ELF number {})", machine);
  }
}

constexpr int kNotFound = 127, kNotExecutable = 126, kMalformed = 1;

struct Loader {
  Process& process;

  Error fail(int exit_status, const std::string& path, std::string_view what) {
    process.load_exit_status = exit_status;
    return Error{fmt::format("{}: {}", path, what)};
  }

  Result<int> open_program(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      const int error = errno;
      return fail(error == ENOENT || error == ENOTDIR ? kNotFound : kNotExecutable, path,
                  std::strerror(error));
    }
    struct stat st;
    if (::fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) return fd;
    ::close(fd);
    return fail(kNotExecutable, path, S_ISDIR(st.st_mode) ? "is a directory" : "is not a regular file");
  }

  Result<ElfFile> parse(const std::string& path, int fd) {
    Result<ElfFile> file = parse_elf(FileSource(fd));
    if (!file) return fail(kMalformed, path, file.error().message);
    if (file->machine == process.abi.elf_machine && file->word == process.abi.model.word &&
        file->big_endian == process.abi.model.big_endian)
      return file;
    const Abi* const other = find_abi(file->machine);
    return fail(kNotExecutable, path,
                fmt::format("is a program for {}, not for {}{}",
                            other ? other->name : machine_name(file->machine), process.abi.name,
                            other ? fmt::format("; run it with lyrebird-{}", other->name) : std::string()));
  }

  /// Maps the file's segments; the bias added to its addresses.
  Result<uint64_t> map(const std::string& path, int fd, const ElfFile& file, uint64_t wanted) {
    const uint64_t span = file.high - file.low;
    uint64_t bias = 0;
    MapRequest whole;
    whole.size = span;
    whole.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    whole.address = file.position_independent ? wanted : file.low;
    if (whole.address) whole.flags |= MAP_FIXED_NOREPLACE;
    int64_t at = process.memory.map(whole);
    if (at < 0 && file.position_independent && whole.address) {
      whole.address = 0;
      whole.flags &= ~MAP_FIXED_NOREPLACE;
      at = process.memory.map(whole);
    }
    if (at < 0)
      return fail(kMalformed, path,
                  fmt::format("can't be loaded at {:#x}-{:#x}: {}{}", whole.address, whole.address + span,
                              std::strerror(static_cast<int>(-at)),
                              at == -EPERM ? " (the host's vm.mmap_min_addr is higher)" : ""));
    bias = static_cast<uint64_t>(at) - file.low;
    for (size_t i = 0; i < file.segments.size(); ++i) {
      const int64_t error = map_segment(fd, file, file.segments[i], bias);
      if (error)
        return fail(
            kMalformed, path,
            fmt::format("segment {} can't be mapped: {}", i, std::strerror(static_cast<int>(-error))));
    }
    free_gaps(file, bias);
    return bias;
  }

  int64_t map_segment(int fd, const ElfFile& file, const Segment& segment, uint64_t bias) {
    const uint64_t start = align_down(bias + segment.address, kPage);
    const uint64_t file_end = bias + segment.address + segment.file_size;
    const uint64_t memory_end = bias + segment.address + segment.memory_size;
    MapRequest request;
    request.prot = (segment.readable ? PROT_READ : 0u) | (segment.writable ? PROT_WRITE : 0u) |
                   (segment.executable ? PROT_EXEC : 0u);
    request.guarded =
        segment.executable && file.branch_targets && process.abi.prot_guarded && (file.interpreter.empty());
    uint64_t anonymous = start;
    if (segment.file_size) {
      request.address = start;
      request.size = file_end - start;
      request.flags = MAP_PRIVATE | MAP_FIXED;
      request.fd = fd;
      request.offset = align_down(segment.offset, kPage);
      if (const int64_t at = process.memory.map(request); at < 0) return at;
      anonymous = align_up(file_end, kPage);
      // The rest of the last page is zero to its very end: ld.so allocates from there.
      if (segment.writable && memory_end > file_end)
        std::memset(process.memory.host(file_end), 0, anonymous - file_end);
    }
    const uint64_t anonymous_end = align_up(memory_end, kPage);
    if (anonymous_end <= anonymous) return 0;
    request.address = anonymous;
    request.size = anonymous_end - anonymous;
    request.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    request.fd = -1;
    request.offset = 0;
    const int64_t at = process.memory.map(request);
    return at < 0 ? at : 0;
  }

  /// What lies between the segments was only reserved.
  void free_gaps(const ElfFile& file, uint64_t bias) {
    uint64_t at = file.low;
    for (const Segment& segment : file.segments) {
      const uint64_t start = align_down(segment.address, kPage);
      if (start > at) process.memory.unmap(bias + at, start - at);
      at = align_up(segment.address + segment.memory_size, kPage);
    }
  }

  void remember_ranges(const ElfFile& file, uint64_t bias) {
    Program& program = process.program;
    program.code_start = ~uint64_t{0};
    for (const Segment& segment : file.segments) {
      const uint64_t start = bias + segment.address;
      if (segment.executable) {
        program.code_start = std::min(program.code_start, start);
        program.code_end = std::max(program.code_end, start + segment.file_size);
      } else if (segment.writable) {
        program.data_start = start;
        program.data_end = start + segment.file_size;
      }
    }
  }

  Result<uint64_t> load_interpreter(const std::string& program_path, const std::string& name,
                                    uint64_t& entry) {
    const auto [path, error] = process.root.translate(name, true);
    if (error || ::access(path.c_str(), F_OK) != 0)
      return fail(kNotFound, program_path,
                  fmt::format("needs the interpreter {},\n  which is not there; {}", name,
                              process.root.empty() ? "give the guest's root with -L DIR"
                                                   : "-L " + process.root.directory() + " has none"));
    Result<int> fd = open_program(path);
    if (!fd) return fd.error();
    const OwnedFd owner(*fd);
    Result<ElfFile> file = parse(path, *fd);
    if (!file) return file.error();
    if (!file->interpreter.empty()) file->interpreter.clear();
    Result<uint64_t> bias = map(path, *fd, *file, 0);
    if (bias) entry = *bias + file->entry;
    return bias;
  }

  /// Where the vDSO is, or 0.
  uint64_t map_vdso() {
    const auto image = process.abi.vdso();
    if (image.empty()) return 0;
    MapRequest request;
    request.size = align_up(image.size(), kPage);
    request.prot = PROT_READ | PROT_WRITE;
    request.flags = MAP_PRIVATE | MAP_ANONYMOUS;
    request.name = "[vdso]";
    const int64_t at = process.memory.map(request);
    if (at < 0) return 0;
    const uint64_t address = static_cast<uint64_t>(at);
    process.memory.write(address, image.data(), image.size());
    process.memory.protect(address, request.size, PROT_READ | PROT_EXEC, false);
    process.program.sigreturn_trampoline = address + process.abi.vdso_sigreturn_offset();
    process.program.vdso = address;
    return address;
  }

  Result<void> load(int given_fd) {
    const Options& options = process.options;
    const std::string& path = options.program;
    Result<int> fd = given_fd >= 0 ? Result<int>(given_fd) : open_program(path);
    if (!fd) return fd.error();
    const OwnedFd owner(*fd);
    Result<ElfFile> file = parse(path, *fd);
    if (!file) return file.error();
    process.memory.set_read_implies_exec(process.abi.old_programs_execute_data && !file->says_of_stack);
    Result<uint64_t> bias = map(path, *fd, *file, process.memory.layout().pie_base);
    if (!bias) return bias.error();
    remember_ranges(*file, *bias);
    process.memory.init_brk(*bias + file->high);

    Program& program = process.program;
    program.entry = *bias + file->entry;
    uint64_t interpreter_base = 0;
    if (!file->interpreter.empty()) {
      Result<uint64_t> base = load_interpreter(path, file->interpreter, program.entry);
      if (!base) return base.error();
      interpreter_base = *base;
    }
    char real[PATH_MAX];
    program.exe = ::realpath(path.c_str(), real) ? real : path;
    const size_t slash = path.rfind('/');
    program.comm = path.substr(slash == std::string::npos ? 0 : slash + 1).substr(0, 15);
    program.arguments = options.arguments;
    program.environment = options.environment;

    StackInputs inputs;
    inputs.exec_name = path;
    inputs.entry = *bias + file->entry;
    inputs.interpreter_base = interpreter_base;
    inputs.program_headers = file->program_headers ? *bias + file->program_headers : 0;
    inputs.header_count = file->header_count;
    inputs.header_size = file->header_size;
    inputs.vdso = map_vdso();
    inputs.executable = file->executable_stack;
    if (Result<void> built = build_stack(process, inputs); !built) {
      process.load_exit_status = kMalformed;
      return built;
    }
    return {};
  }
};

}  // namespace

Result<void> load_program(Process& process, int fd) { return Loader{process}.load(fd); }

uint16_t elf_machine_of(const char* host_path) {
  const OwnedFd fd(::open(host_path, O_RDONLY | O_CLOEXEC));
  if (fd.fd < 0) return 0;
  const uint16_t machine = elf_machine(FileSource(fd.fd));
  if (!machine) errno = ENOEXEC;
  return machine;
}

}  // namespace lyrebird::user
