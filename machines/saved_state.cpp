// SPDX-License-Identifier: Apache-2.0
#include "machines/saved_state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "system/state_stream.h"

namespace lyrebird::machines {
namespace {

constexpr char kMagic[8] = {'L', 'Y', 'R', 'E', 'M', 'A', 'C', 'H'};
constexpr uint32_t kFormat = 1, kWasRunning = 1;
constexpr uint64_t kPiece = 1 << 20, kMostState = 256 << 20, kMostText = 64 << 10;
/// The fastest that is still small: the file is read back as often as it is written.
constexpr int kLevel = 1;

enum Kind : uint32_t { kTraits = 1, kMemory, kContents, kState, kEnd };

struct Record {
  uint32_t kind = 0, reserved = 0;
  uint64_t a = 0, b = 0, bytes = 0;
};
static_assert(sizeof(Record) == 32);

struct Header {
  char magic[8];
  uint32_t format, flags;
};

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

using Compressor = std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)>;
using Decompressor = std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)>;

bool is_zero(const uint8_t* bytes, uint64_t size) {
  // Each byte equals the next, and the first is zero.
  return size == 0 || (bytes[0] == 0 && std::memcmp(bytes, bytes + 1, size - 1) == 0);
}

class Writer {
 public:
  Writer(int fd, std::string name)
      : fd_(fd), name_(std::move(name)), zstd_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
    ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_compressionLevel, kLevel);
    ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_checksumFlag, 1);
  }

  Result<void> raw(const void* data, size_t size) {
    const auto* at = static_cast<const char*>(data);
    while (size > 0) {
      const ssize_t done = ::write(fd_, at, size);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return Error{fmt::format("{}: {}", name_, std::strerror(errno))};
      at += done;
      size -= static_cast<size_t>(done);
    }
    return {};
  }

  Result<void> record(Kind kind, uint64_t a, uint64_t b, const void* data, size_t size) {
    // In one piece: a record is written by one call.
    buffer_.resize(sizeof(Record) + size);
    const Record head{kind, 0, a, b, size};
    std::memcpy(buffer_.data(), &head, sizeof head);
    if (size > 0) std::memcpy(buffer_.data() + sizeof head, data, size);
    ++records_;
    return raw(buffer_.data(), buffer_.size());
  }

  Result<void> compressed(Kind kind, uint64_t a, const uint8_t* data, size_t size) {
    packed_.resize(ZSTD_compressBound(size));
    const size_t done = ZSTD_compress2(zstd_.get(), packed_.data(), packed_.size(), data, size);
    if (ZSTD_isError(done)) return Error{fmt::format("{}: zstd: {}", name_, ZSTD_getErrorName(done))};
    return record(kind, a, size, packed_.data(), done);
  }

  Result<void> memory(const system::RamBlock& block) {
    if (auto done = record(kMemory, block.size(), 0, block.id().data(), block.id().size()); !done)
      return done;
    for (uint64_t at = 0; at < block.size(); at += kPiece) {
      const uint64_t size = std::min(kPiece, block.size() - at);
      if (is_zero(block.host() + at, size)) continue;
      if (auto done = compressed(kContents, at, block.host() + at, size); !done) return done;
    }
    return {};
  }

  uint64_t records() const { return records_; }

 private:
  const int fd_;
  const std::string name_;
  Compressor zstd_;
  std::vector<uint8_t> buffer_, packed_;
  uint64_t records_ = 0;
};

std::string text_of(const std::vector<Machine::Trait>& traits) {
  std::string text;
  for (const auto& [name, value] : traits) text += name + '\0' + value + '\0';
  return text;
}

Result<void> write_all(Machine& machine, bool running, Writer& writer) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.format = kFormat;
  header.flags = running ? kWasRunning : 0;
  if (auto done = writer.raw(&header, sizeof header); !done) return done;
  const std::string traits = text_of(machine.traits());
  if (auto done = writer.record(kTraits, 0, 0, traits.data(), traits.size()); !done) return done;
  // Devices first: what is under way in them ends, and that may still be a write to memory.
  system::StateWriter state;
  if (auto done = machine.save(state); !done) return done;
  for (const system::RamBlock* const block : machine.ram_blocks())
    if (auto done = writer.memory(*block); !done) return done;
  if (auto done = writer.compressed(kState, 0, state.data().data(), state.data().size()); !done) return done;
  return writer.record(kEnd, writer.records(), 0, nullptr, 0);
}

/// The file's records one after the other, each checked against the file's size.
class Reader {
 public:
  Reader(int fd, std::string path, uint64_t size)
      : fd_(fd), path_(std::move(path)), size_(size), zstd_(ZSTD_createDCtx(), ZSTD_freeDCtx) {}

  Error error(const std::string& what) const { return Error{fmt::format("{}: {}", path_, what)}; }
  Error cut_short() const { return error("is cut short"); }

  Result<void> raw(uint64_t at, void* to, size_t size) const {
    if (at > size_ || size > size_ - at) return cut_short();
    auto* bytes = static_cast<char*>(to);
    while (size > 0) {
      const ssize_t done = pread(fd_, bytes, size, static_cast<off_t>(at));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return error(std::strerror(errno));
      if (done == 0) return cut_short();
      bytes += done;
      at += static_cast<uint64_t>(done);
      size -= static_cast<size_t>(done);
    }
    return {};
  }

  Result<uint32_t> header() {
    Header header;
    if (size_ < sizeof header) return error("is no saved state of a machine");
    if (auto done = raw(0, &header, sizeof header); !done) return done.error();
    if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) return error("is no saved state of a machine");
    if (header.format != kFormat)
      return error(fmt::format("has format {}, and this program knows {} only", header.format, kFormat));
    at_ = sizeof header;
    return header.flags;
  }

  void rewind() { at_ = sizeof(Header); }

  /// The next record; its bytes are at data_at().
  Result<Record> next() {
    Record record;
    if (auto done = raw(at_, &record, sizeof record); !done) return done.error();
    at_ += sizeof record;
    if (record.bytes > size_ - at_) return cut_short();
    data_at_ = at_;
    at_ += record.bytes;
    return record;
  }
  bool at_end() const { return at_ == size_; }

  Result<std::string> text(const Record& record) const {
    if (record.bytes > kMostText) return error("has a name that is too long");
    std::string text(record.bytes, '\0');
    if (auto done = raw(data_at_, text.data(), text.size()); !done) return done.error();
    return text;
  }

  Result<void> unpack(const Record& record, uint8_t* to) {
    packed_.resize(record.bytes);
    if (auto done = raw(data_at_, packed_.data(), packed_.size()); !done) return done;
    const size_t done = ZSTD_decompressDCtx(zstd_.get(), to, record.b, packed_.data(), packed_.size());
    if (ZSTD_isError(done)) return error(fmt::format("is damaged ({})", ZSTD_getErrorName(done)));
    if (done != record.b) return error("is damaged (a piece is too small)");
    return {};
  }

 private:
  const int fd_;
  const std::string path_;
  const uint64_t size_;
  Decompressor zstd_;
  std::vector<uint8_t> packed_;
  uint64_t at_ = 0, data_at_ = 0;
};

/// Nothing if it is of a machine like this one, else in which way it is not.
Result<void> check_traits(const Reader& reader, const std::string& text, const Machine& machine) {
  const std::vector<Machine::Trait> mine = machine.traits();
  size_t at = 0;
  for (const auto& [name, value] : mine) {
    const size_t name_end = text.find('\0', at);
    const size_t value_end = name_end == text.npos ? text.npos : text.find('\0', name_end + 1);
    if (value_end == text.npos || text.compare(at, name_end - at, name) != 0)
      return reader.error("was saved by another kind of machine, or another version of this program");
    const std::string saved = text.substr(name_end + 1, value_end - name_end - 1);
    if (saved != value)
      return reader.error(fmt::format("is of a machine with {} {}, and this one has {}", name, saved, value));
    at = value_end + 1;
  }
  if (at != text.size()) return reader.error("was saved by another version of this program");
  return {};
}

/// Looks at everything but the contents of memory and of the state.
Result<void> check(Reader& reader, Machine& machine) {
  const std::vector<system::RamBlock*> blocks = machine.ram_blocks();
  size_t next_block = 0;
  uint64_t records = 0, next_offset = 0;
  const system::RamBlock* block = nullptr;
  bool state = false;
  for (;; ++records) {
    const auto record = reader.next();
    if (!record) return record.error();
    const auto text = record->kind == kTraits || record->kind == kMemory ? reader.text(*record)
                                                                         : Result<std::string>(std::string());
    if (!text) return text.error();
    if ((records == 0) != (record->kind == kTraits)) return reader.error("has no traits at its beginning");
    switch (record->kind) {
      case kTraits:
        if (auto same = check_traits(reader, *text, machine); !same) return same;
        break;
      case kMemory:
        if (state || next_block == blocks.size() || blocks[next_block]->id() != *text ||
            blocks[next_block]->size() != record->a)
          return reader.error(
              fmt::format("has memory {} of {} bytes, which this machine has not", *text, record->a));
        block = blocks[next_block++];
        next_offset = 0;
        break;
      case kContents:
        if (!block || state || record->a < next_offset || record->a > block->size() || record->b > kPiece ||
            record->b > block->size() - record->a)
          return reader.error("has a piece of memory where none can be");
        next_offset = record->a + record->b;
        break;
      case kState:
        if (state || next_block != blocks.size() || record->b > kMostState)
          return reader.error("has the state of devices where it can't be");
        state = true;
        break;
      case kEnd:
        if (!state || record->a != records || !reader.at_end())
          return reader.error("does not end where it says");
        return {};
      default:
        return reader.error(
            fmt::format("has a record of kind {}, which this program does not know", record->kind));
    }
  }
}

Result<void> read_all(Reader& reader, Machine& machine) {
  const std::vector<system::RamBlock*> blocks = machine.ram_blocks();
  // Which also tells who translated what was there.
  for (system::RamBlock* const block : blocks) block->clear();
  size_t next_block = 0;
  for (;;) {
    const auto record = reader.next();
    if (!record) return record.error();
    if (record->kind == kMemory) ++next_block;
    if (record->kind == kContents) {
      uint8_t* const to = blocks[next_block - 1]->host() + record->a;
      if (auto done = reader.unpack(*record, to); !done) return done;
    }
    if (record->kind == kState) {
      std::vector<uint8_t> state(record->b);
      if (auto done = reader.unpack(*record, state.data()); !done) return done;
      system::StateReader stream(state);
      if (auto done = machine.load(stream); !done) return reader.error(done.error().message);
      return {};
    }
  }
}

}  // namespace

Result<void> save_machine(Machine& machine, bool running, const std::string& path) {
  const std::string beside = path + ".part";
  const auto fail = [&](const Error& error) {
    unlink(beside.c_str());
    return error;
  };
  {
    const File file(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (file.get() < 0) return Error{fmt::format("{}: {}", beside, std::strerror(errno))};
    Writer writer(file.get(), beside);
    if (auto done = write_all(machine, running, writer); !done) return fail(done.error());
    if (fsync(file.get()) != 0) return fail(Error{fmt::format("{}: {}", beside, std::strerror(errno))});
  }
  if (rename(beside.c_str(), path.c_str()) != 0)
    return fail(Error{fmt::format("{}: {}", path, std::strerror(errno))});
  return {};
}

Result<Loaded> load_machine(Machine& machine, const std::string& path) {
  const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return Error{fmt::format("{}: {}", path, std::strerror(errno))};
  struct stat status{};
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return Error{fmt::format("{}: is no file that a machine can be in", path)};
  Reader reader(file.get(), path, static_cast<uint64_t>(status.st_size));
  const auto flags = reader.header();
  if (!flags) return flags.error();
  if (auto good = check(reader, machine); !good) return good.error();
  reader.rewind();
  if (auto done = read_all(reader, machine); !done) {
    for (system::RamBlock* const block : machine.ram_blocks()) block->clear();
    machine.reset();
    return done.error();
  }
  return *flags & kWasRunning ? Loaded::Running : Loaded::Paused;
}

}  // namespace lyrebird::machines
