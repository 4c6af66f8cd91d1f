// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/nine_p_server.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace lyrebird::devices {

namespace {

enum Type : uint8_t {
  Rlerror = 7,
  Tstatfs = 8,
  Tlopen = 12,
  Tlcreate = 14,
  Tsymlink = 16,
  Tmknod = 18,
  Trename = 20,
  Treadlink = 22,
  Tgetattr = 24,
  Tsetattr = 26,
  Txattrwalk = 30,
  Txattrcreate = 32,
  Treaddir = 40,
  Tfsync = 50,
  Tlock = 52,
  Tgetlock = 54,
  Tlink = 70,
  Tmkdir = 72,
  Trenameat = 74,
  Tunlinkat = 76,
  Tversion = 100,
  Tattach = 104,
  Tflush = 108,
  Twalk = 110,
  Tread = 116,
  Twrite = 118,
  Tclunk = 120,
  Tremove = 122,
};

constexpr uint32_t kHeader = 7;  // size, type, tag
constexpr uint32_t kReadHeader = kHeader + 4;
constexpr unsigned kMaxWalk = 16;

struct Closer {
  int fd;
  ~Closer() {
    if (fd >= 0) ::close(fd);
  }
};

int host(int64_t result) { return result < 0 ? errno : 0; }

std::string descriptor_path(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

void put_qid(NinePWriter& out, const struct stat& status) {
  out.put<uint8_t>(S_ISDIR(status.st_mode) ? 0x80 : S_ISLNK(status.st_mode) ? 0x02 : 0);
  out.put<uint32_t>(static_cast<uint32_t>(status.st_mtim.tv_sec) ^ static_cast<uint32_t>(status.st_size)
                                                                       << 8);
  // Folders of several file systems may lie below one another: their numbers must not meet.
  out.put<uint64_t>(status.st_ino ^ static_cast<uint64_t>(status.st_dev) << 48);
}

/// Linux' own generic flags, which the protocol uses; the host's may differ.
int open_flags(uint32_t guest) {
  int flags = static_cast<int>(guest & 3);
  if (guest & 01000) flags |= O_TRUNC;
  if (guest & 02000) flags |= O_APPEND;
  if (guest & 04000) flags |= O_NONBLOCK;
  if (guest & 0200000) flags |= O_DIRECTORY;
  return flags | O_CLOEXEC;
}

}  // namespace

NinePServer::Fid::~Fid() {
  if (folder) {
    ::closedir(folder);
  } else if (fd >= 0) {
    ::close(fd);
  }
}

NinePServer::~NinePServer() {
  fids_.clear();
  ::close(root_);
}

NinePServer::Handler NinePServer::handler(uint8_t type) {
  switch (type) {
    case Tversion:
      return &NinePServer::version;
    case Tattach:
      return &NinePServer::attach;
    case Twalk:
      return &NinePServer::walk;
    case Tclunk:
      return &NinePServer::clunk;
    case Tlopen:
      return &NinePServer::open;
    case Tlcreate:
      return &NinePServer::create;
    case Tread:
      return &NinePServer::read;
    case Twrite:
      return &NinePServer::write;
    case Tgetattr:
      return &NinePServer::get_attributes;
    case Tsetattr:
      return &NinePServer::set_attributes;
    case Treaddir:
      return &NinePServer::read_folder;
    case Tstatfs:
      return &NinePServer::file_system;
    case Tmkdir:
      return &NinePServer::make_folder;
    case Tlink:
      return &NinePServer::make_link;
    case Tsymlink:
      return &NinePServer::make_symlink;
    case Tmknod:
      return &NinePServer::make_node;
    case Treadlink:
      return &NinePServer::read_link;
    case Trename:
      return &NinePServer::rename;
    case Trenameat:
      return &NinePServer::rename_at;
    case Tunlinkat:
      return &NinePServer::unlink_at;
    case Tremove:
      return &NinePServer::remove;
    case Tfsync:
      return &NinePServer::sync;
    case Tlock:
      return &NinePServer::lock;
    case Tgetlock:
      return &NinePServer::get_lock;
    case Tflush:
      return &NinePServer::flush;
    case Txattrwalk:
    case Txattrcreate:
      return &NinePServer::no_attributes;
    default:
      return nullptr;
  }
}

std::vector<uint8_t> NinePServer::answer(std::span<const uint8_t> message, size_t room) {
  NinePReader in(message);
  const uint32_t size = in.get<uint32_t>();
  const uint8_t type = in.get<uint8_t>();
  const uint16_t tag = in.get<uint16_t>();
  room_ = room;
  NinePWriter body;
  int error = EOPNOTSUPP;
  if (!in.ok() || size > message.size() || size < kHeader) {
    error = EINVAL;
  } else if (const Handler handle = handler(type)) {
    error = (this->*handle)(in, body);
    if (!in.ok()) error = EINVAL;
  }
  if (!error && kHeader + body.bytes.size() > room) error = EMSGSIZE;
  if (error) {
    body.bytes.clear();
    body.put<uint32_t>(static_cast<uint32_t>(error));
  }
  NinePWriter whole;
  whole.put<uint32_t>(static_cast<uint32_t>(kHeader + body.bytes.size()));
  whole.put<uint8_t>(error ? Rlerror : static_cast<uint8_t>(type + 1));
  whole.put<uint16_t>(tag);
  whole.bytes.insert(whole.bytes.end(), body.bytes.begin(), body.bytes.end());
  return std::move(whole.bytes);
}

// --- paths ---

NinePServer::Fid* NinePServer::find(uint32_t number) {
  const auto found = fids_.find(number);
  return found == fids_.end() ? nullptr : found->second.get();
}

NinePServer::Fid* NinePServer::add(uint32_t number, int& error) {
  error = fids_.contains(number) ? EBADF : fids_.size() >= kMaxFids ? EMFILE : 0;
  if (error) return nullptr;
  return (fids_[number] = std::make_unique<Fid>()).get();
}

bool NinePServer::good_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= 255 &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

int NinePServer::open_path(const std::vector<std::string>& path) const {
  int at = ::openat(root_, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  for (const std::string& name : path) {
    // A link in the middle is no folder: the guest would have walked what it points at.
    const Closer before{at};
    if (at < 0) return -1;
    at = ::openat(before.fd, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  }
  return at;
}

int NinePServer::open_parent(const std::vector<std::string>& path) const {
  if (path.empty()) {
    errno = EINVAL;
    return -1;
  }
  return open_path({path.begin(), path.end() - 1});
}

// --- sessions ---

int NinePServer::version(NinePReader& in, NinePWriter& out) {
  const uint32_t size = in.get<uint32_t>();
  const std::string name = in.text();
  fids_.clear();
  message_size_ = std::clamp<uint32_t>(size, 4096, kMaxMessage);
  out.put(message_size_);
  out.text(name == "9P2000.L" ? name : "unknown");
  return 0;
}

int NinePServer::attach(NinePReader& in, NinePWriter& out) {
  int error;
  const uint32_t number = in.get<uint32_t>();
  if (!in.ok()) return EINVAL;
  if (!add(number, error)) return error;
  struct stat status;
  if (::fstat(root_, &status) != 0) return errno;
  put_qid(out, status);
  return 0;
}

int NinePServer::walk(NinePReader& in, NinePWriter& out) {
  const uint32_t from = in.get<uint32_t>(), to = in.get<uint32_t>();
  const uint16_t count = in.get<uint16_t>();
  const Fid* const start = find(from);
  if (!start) return EBADF;
  if (count > kMaxWalk || (start->fd >= 0 && count > 0)) return EINVAL;
  std::vector<std::string> path = start->path;
  NinePWriter qids;
  uint16_t done = 0;
  int error = 0;
  for (; done < count; ++done) {
    const std::string name = in.text();
    if (!in.ok()) return EINVAL;
    if (name == "..") {
      if (!path.empty()) path.pop_back();
    } else if (name != ".") {
      if (!good_name(name)) error = ENOENT;
      path.push_back(name);
    }
    const Closer at{error ? -1 : open_path(path)};
    struct stat status;
    if (!error && (at.fd < 0 || ::fstat(at.fd, &status) != 0)) error = errno;
    if (error) break;
    put_qid(qids, status);
  }
  if (error && done == 0) return error;
  out.put(done);
  out.bytes.insert(out.bytes.end(), qids.bytes.begin(), qids.bytes.end());
  if (done < count) return 0;  // the new fid is not made then
  if (from == to) {
    find(from)->path = std::move(path);
    return 0;
  }
  Fid* const made = add(to, error);
  if (made) made->path = std::move(path);
  return error;
}

int NinePServer::clunk(NinePReader& in, NinePWriter&) { return fids_.erase(in.get<uint32_t>()) ? 0 : EBADF; }

int NinePServer::flush(NinePReader&, NinePWriter&) { return 0; }  // everything before it is done

// --- files ---

int NinePServer::open(NinePReader& in, NinePWriter& out) {
  Fid* const fid = find(in.get<uint32_t>());
  const uint32_t guest = in.get<uint32_t>();
  if (!fid || fid->fd >= 0) return EBADF;
  if (read_only_ && ((guest & 3) != 0 || (guest & 01000))) return EROFS;
  const Closer path{open_path(fid->path)};
  struct stat status;
  if (path.fd < 0 || ::fstat(path.fd, &status) != 0) return errno;
  // Pipes, sockets and devices are the guest's own: opening one here could wait, or reach the host's.
  if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return ENXIO;
  fid->fd = ::open(descriptor_path(path.fd).c_str(), open_flags(guest) & ~O_APPEND);
  if (fid->fd < 0) return errno;
  if (S_ISDIR(status.st_mode)) {
    fid->folder = ::fdopendir(fid->fd);
    if (!fid->folder) return errno;
  }
  put_qid(out, status);
  out.put<uint32_t>(0);  // as much at a time as a message holds
  return 0;
}

int NinePServer::create(NinePReader& in, NinePWriter& out) {
  Fid* const fid = find(in.get<uint32_t>());
  const std::string name = in.text();
  const uint32_t flags = in.get<uint32_t>(), mode = in.get<uint32_t>();
  if (!fid || fid->fd >= 0) return EBADF;
  if (!in.ok() || !good_name(name)) return EINVAL;
  if (read_only_) return EROFS;
  const Closer parent{open_path(fid->path)};
  if (parent.fd < 0) return errno;
  // O_EXCL always: an existing file (or a link, or a pipe) is opened by walking to it.
  const int fd = ::openat(parent.fd, name.c_str(),
                          (open_flags(flags) & ~O_APPEND) | O_CREAT | O_EXCL | O_NOFOLLOW, mode & 0777);
  if (fd < 0) return errno;
  fid->fd = fd;
  fid->path.push_back(name);
  struct stat status;
  if (::fstat(fd, &status) != 0) return errno;
  put_qid(out, status);
  out.put<uint32_t>(0);
  return 0;
}

int NinePServer::read(NinePReader& in, NinePWriter& out) {
  Fid* const fid = find(in.get<uint32_t>());
  const uint64_t offset = in.get<uint64_t>();
  const uint32_t wanted = in.get<uint32_t>();
  if (!fid || fid->fd < 0 || fid->folder) return EBADF;
  const size_t most = std::min<size_t>(message_size_, room_);
  const size_t size = std::min<size_t>(wanted, most > kReadHeader ? most - kReadHeader : 0);
  out.bytes.resize(4 + size);
  const ssize_t n = ::pread(fid->fd, out.bytes.data() + 4, size, static_cast<off_t>(offset));
  if (n < 0) return errno;
  out.bytes.resize(4 + static_cast<size_t>(n));
  for (unsigned i = 0; i < 4; ++i) out.bytes[i] = static_cast<uint8_t>(n >> 8 * i);
  return 0;
}

int NinePServer::write(NinePReader& in, NinePWriter& out) {
  Fid* const fid = find(in.get<uint32_t>());
  const uint64_t offset = in.get<uint64_t>();
  const auto data = in.take(in.get<uint32_t>());
  if (!in.ok()) return EINVAL;
  if (!fid || fid->fd < 0 || fid->folder) return EBADF;
  if (read_only_) return EROFS;
  const ssize_t n = ::pwrite(fid->fd, data.data(), data.size(), static_cast<off_t>(offset));
  if (n < 0) return errno;
  out.put(static_cast<uint32_t>(n));
  return 0;
}

int NinePServer::sync(NinePReader& in, NinePWriter&) {
  Fid* const fid = find(in.get<uint32_t>());
  if (!fid || fid->fd < 0) return EBADF;
  return host(::fsync(fid->fd));
}

int NinePServer::read_folder(NinePReader& in, NinePWriter& out) {
  Fid* const fid = find(in.get<uint32_t>());
  const uint64_t offset = in.get<uint64_t>();
  const uint32_t wanted = in.get<uint32_t>();
  if (!fid || !fid->folder) return EBADF;
  if (offset == 0) {
    ::rewinddir(fid->folder);
  } else {
    ::seekdir(fid->folder, static_cast<long>(offset));
  }
  const size_t most =
      std::min<size_t>({wanted, message_size_ - kReadHeader, room_ > kReadHeader ? room_ - kReadHeader : 0});
  NinePWriter entries;
  while (const dirent* const entry = ::readdir(fid->folder)) {
    const std::string name = entry->d_name;
    if (entries.bytes.size() + 24 + name.size() > most) break;
    struct stat status = {};
    if (::fstatat(fid->fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
    if (fid->path.empty() && name == ".." && ::fstat(root_, &status) != 0) continue;
    put_qid(entries, status);
    entries.put<uint64_t>(static_cast<uint64_t>(::telldir(fid->folder)));
    entries.put<uint8_t>(entry->d_type);
    entries.text(name);
  }
  out.put(static_cast<uint32_t>(entries.bytes.size()));
  out.bytes.insert(out.bytes.end(), entries.bytes.begin(), entries.bytes.end());
  return 0;
}

// --- attributes ---

int NinePServer::get_attributes(NinePReader& in, NinePWriter& out) {
  Fid* const fid = find(in.get<uint32_t>());
  if (!fid) return EBADF;
  struct stat s;
  if (fid->fd >= 0) {
    if (::fstat(fid->fd, &s) != 0) return errno;
  } else {
    const Closer path{open_path(fid->path)};
    if (path.fd < 0 || ::fstat(path.fd, &s) != 0) return errno;
  }
  out.put<uint64_t>(0x7ff);  // the basic ones
  put_qid(out, s);
  out.put<uint32_t>(s.st_mode);
  out.put<uint32_t>(s.st_uid);
  out.put<uint32_t>(s.st_gid);
  out.put<uint64_t>(s.st_nlink);
  out.put<uint64_t>(s.st_rdev);
  out.put<uint64_t>(static_cast<uint64_t>(s.st_size));
  out.put<uint64_t>(static_cast<uint64_t>(s.st_blksize));
  out.put<uint64_t>(static_cast<uint64_t>(s.st_blocks));
  for (const timespec& time : {s.st_atim, s.st_mtim, s.st_ctim, timespec{}}) {
    out.put<uint64_t>(static_cast<uint64_t>(time.tv_sec));
    out.put<uint64_t>(static_cast<uint64_t>(time.tv_nsec));
  }
  out.put<uint64_t>(0);  // generation
  out.put<uint64_t>(0);  // data version
  return 0;
}

int NinePServer::set_attributes(NinePReader& in, NinePWriter&) {
  Fid* const fid = find(in.get<uint32_t>());
  const uint32_t valid = in.get<uint32_t>(), mode = in.get<uint32_t>();
  const uint32_t uid = in.get<uint32_t>(), gid = in.get<uint32_t>();
  const uint64_t size = in.get<uint64_t>();
  timespec times[2];
  for (timespec& time : times) {
    time.tv_sec = static_cast<time_t>(in.get<uint64_t>());
    time.tv_nsec = static_cast<long>(in.get<uint64_t>());
  }
  if (!fid) return EBADF;
  if (!in.ok()) return EINVAL;
  if (read_only_) return EROFS;
  const Closer path{open_path(fid->path)};
  if (path.fd < 0) return errno;
  struct stat status;
  if (::fstat(path.fd, &status) != 0) return errno;
  const std::string name = descriptor_path(path.fd);
  const bool link = S_ISLNK(status.st_mode);
  if ((valid & 1) && (link || ::chmod(name.c_str(), mode & 07777) != 0)) return link ? EOPNOTSUPP : errno;
  if (valid & 6) {
    const uid_t owner = valid & 2 ? uid : static_cast<uid_t>(-1);
    const gid_t group = valid & 4 ? gid : static_cast<gid_t>(-1);
    // Without the right to it files stay ours; a guest's cp -a goes on.
    if (::fchownat(path.fd, "", owner, group, AT_EMPTY_PATH) != 0 && errno != EPERM) return errno;
  }
  if (valid & 8) {
    if (!S_ISREG(status.st_mode)) return EINVAL;
    if (::truncate(name.c_str(), static_cast<off_t>(size)) != 0) return errno;
  }
  if (valid & 0x30) {
    if (!(valid & 0x80)) times[0].tv_nsec = UTIME_NOW;
    if (!(valid & 0x100)) times[1].tv_nsec = UTIME_NOW;
    if (!(valid & 0x10)) times[0].tv_nsec = UTIME_OMIT;
    if (!(valid & 0x20)) times[1].tv_nsec = UTIME_OMIT;
    if (link || ::utimensat(AT_FDCWD, name.c_str(), times, 0) != 0) return link ? EOPNOTSUPP : errno;
  }
  return 0;
}

int NinePServer::no_attributes(NinePReader&, NinePWriter&) { return EOPNOTSUPP; }

int NinePServer::file_system(NinePReader& in, NinePWriter& out) {
  Fid* const fid = find(in.get<uint32_t>());
  if (!fid) return EBADF;
  const Closer path{open_path(fid->path)};
  struct statfs s;
  if (path.fd < 0 || ::fstatfs(path.fd, &s) != 0) return errno;
  out.put<uint32_t>(0x01021997);  // V9FS_MAGIC
  out.put<uint32_t>(static_cast<uint32_t>(s.f_bsize));
  for (const uint64_t value : {uint64_t{s.f_blocks}, uint64_t{s.f_bfree}, uint64_t{s.f_bavail},
                               uint64_t{s.f_files}, uint64_t{s.f_ffree}, uint64_t{0}}) {
    out.put(value);
  }
  out.put<uint32_t>(static_cast<uint32_t>(s.f_namelen));
  return 0;
}

int NinePServer::lock(NinePReader& in, NinePWriter& out) {
  if (!find(in.get<uint32_t>())) return EBADF;
  out.put<uint8_t>(0);  // granted: the guest keeps its own processes apart
  return 0;
}

int NinePServer::get_lock(NinePReader& in, NinePWriter& out) {
  if (!find(in.get<uint32_t>())) return EBADF;
  in.get<uint8_t>();
  const uint64_t start = in.get<uint64_t>(), length = in.get<uint64_t>();
  const uint32_t process = in.get<uint32_t>();
  const std::string client = in.text();
  out.put<uint8_t>(2);  // unlocked
  out.put(start);
  out.put(length);
  out.put(process);
  out.text(client);
  return 0;
}

// --- names ---

/// Makes a new name in a folder by `make(folder, name)`, as system calls return. `ok`: what the guest asks
/// for.
template <typename Make>
int NinePServer::make_name(Fid* folder, const std::string& name, bool ok, NinePWriter& out, Make make) {
  if (!folder) return EBADF;
  if (!ok || !good_name(name)) return EINVAL;
  if (read_only_) return EROFS;
  const Closer parent{open_path(folder->path)};
  struct stat status;
  if (parent.fd < 0 || make(parent.fd, name.c_str()) != 0 ||
      ::fstatat(parent.fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno;
  }
  put_qid(out, status);
  return 0;
}

int NinePServer::make_folder(NinePReader& in, NinePWriter& out) {
  Fid* const fid = find(in.get<uint32_t>());
  const std::string name = in.text();
  const uint32_t mode = in.get<uint32_t>();
  return make_name(fid, name, in.ok(), out,
                   [&](int parent, const char* path) { return ::mkdirat(parent, path, mode & 0777); });
}

int NinePServer::make_symlink(NinePReader& in, NinePWriter& out) {
  Fid* const fid = find(in.get<uint32_t>());
  const std::string name = in.text(), target = in.text();
  return make_name(fid, name, in.ok() && target.find('\0') == std::string::npos, out,
                   [&](int parent, const char* path) { return ::symlinkat(target.c_str(), parent, path); });
}

int NinePServer::make_node(NinePReader& in, NinePWriter& out) {
  Fid* const fid = find(in.get<uint32_t>());
  const std::string name = in.text();
  const uint32_t mode = in.get<uint32_t>();
  return make_name(fid, name, in.ok(), out, [&](int parent, const char* path) {
    // The host's devices are not the guest's.
    if (!S_ISFIFO(mode) && !S_ISSOCK(mode) && !S_ISREG(mode)) return errno = EPERM, -1;
    return ::mknodat(parent, path, (mode & S_IFMT) | (mode & 0777), 0);
  });
}

int NinePServer::make_link(NinePReader& in, NinePWriter&) {
  Fid* const folder = find(in.get<uint32_t>());
  Fid* const fid = find(in.get<uint32_t>());
  const std::string name = in.text();
  if (!folder || !fid) return EBADF;
  if (!in.ok() || !good_name(name)) return EINVAL;
  if (read_only_) return EROFS;
  const Closer from{open_parent(fid->path)}, to{open_path(folder->path)};
  if (from.fd < 0 || to.fd < 0) return errno;
  return host(::linkat(from.fd, fid->path.back().c_str(), to.fd, name.c_str(), 0));
}

int NinePServer::read_link(NinePReader& in, NinePWriter& out) {
  Fid* const fid = find(in.get<uint32_t>());
  if (!fid) return EBADF;
  const Closer path{open_path(fid->path)};
  if (path.fd < 0) return errno;
  std::string target(4096, '\0');
  const ssize_t n = ::readlinkat(path.fd, "", target.data(), target.size());
  if (n < 0) return errno == ENOENT ? EINVAL : errno;
  target.resize(static_cast<size_t>(n));
  out.text(target);
  return 0;
}

int NinePServer::rename(NinePReader& in, NinePWriter&) {
  Fid* const fid = find(in.get<uint32_t>());
  Fid* const folder = find(in.get<uint32_t>());
  const std::string name = in.text();
  if (!folder || !fid) return EBADF;
  if (!in.ok() || !good_name(name)) return EINVAL;
  if (read_only_) return EROFS;
  const Closer from{open_parent(fid->path)}, to{open_path(folder->path)};
  if (from.fd < 0 || to.fd < 0) return errno;
  if (::renameat(from.fd, fid->path.back().c_str(), to.fd, name.c_str()) != 0) return errno;
  std::vector<std::string> path = folder->path;
  path.push_back(name);
  fid->path = std::move(path);
  return 0;
}

int NinePServer::rename_at(NinePReader& in, NinePWriter&) {
  Fid* const from_folder = find(in.get<uint32_t>());
  const std::string from_name = in.text();
  Fid* const to_folder = find(in.get<uint32_t>());
  const std::string to_name = in.text();
  if (!from_folder || !to_folder) return EBADF;
  if (!in.ok() || !good_name(from_name) || !good_name(to_name)) return EINVAL;
  if (read_only_) return EROFS;
  const Closer from{open_path(from_folder->path)}, to{open_path(to_folder->path)};
  if (from.fd < 0 || to.fd < 0) return errno;
  if (::renameat(from.fd, from_name.c_str(), to.fd, to_name.c_str()) != 0) return errno;
  // Fids name files, not paths: those of what was moved, and of what is below it, go with it.
  std::vector<std::string> before = from_folder->path, after = to_folder->path;
  before.push_back(from_name);
  after.push_back(to_name);
  for (auto& [number, fid] : fids_) {
    std::vector<std::string>& path = fid->path;
    if (path.size() < before.size() || !std::equal(before.begin(), before.end(), path.begin())) continue;
    std::vector<std::string> moved = after;
    moved.insert(moved.end(), path.begin() + static_cast<ptrdiff_t>(before.size()), path.end());
    path = std::move(moved);
  }
  return 0;
}

int NinePServer::unlink_at(NinePReader& in, NinePWriter&) {
  Fid* const fid = find(in.get<uint32_t>());
  const std::string name = in.text();
  const uint32_t flags = in.get<uint32_t>();
  if (!fid) return EBADF;
  if (!in.ok() || !good_name(name)) return EINVAL;
  if (read_only_) return EROFS;
  const Closer parent{open_path(fid->path)};
  if (parent.fd < 0) return errno;
  return host(::unlinkat(parent.fd, name.c_str(), flags & 0x200 ? AT_REMOVEDIR : 0));
}

int NinePServer::remove(NinePReader& in, NinePWriter&) {
  const uint32_t number = in.get<uint32_t>();
  Fid* const fid = find(number);
  if (!fid) return EBADF;
  int error = EROFS;
  if (!read_only_) {
    const Closer parent{open_parent(fid->path)};
    error = parent.fd < 0 ? errno : host(::unlinkat(parent.fd, fid->path.back().c_str(), 0));
    if (error == EISDIR) error = host(::unlinkat(parent.fd, fid->path.back().c_str(), AT_REMOVEDIR));
  }
  fids_.erase(number);  // in any case (remove(5))
  return error;
}

}  // namespace lyrebird::devices
