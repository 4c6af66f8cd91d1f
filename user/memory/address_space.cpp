// SPDX-License-Identifier: Apache-2.0
#include "user/memory/address_space.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <mutex>

#include "base/bits.h"
#include "base/fault_guard.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LYREBIRD_SANITIZED 1
#endif
#endif

namespace lyrebird::user {
namespace {

/// Any access to it fails with EFAULT in the kernel: not a canonical address.
void* const kBadPointer = reinterpret_cast<void*>(0x8000'0000'0000'0000);

uint32_t host_prot(uint32_t prot) {
  // Guest code is data to the host; and as on real hardware without execute-only pages,
  // what can be executed or written can be read.
  if (prot & (PROT_EXEC | PROT_WRITE)) prot |= PROT_READ;
  return prot & (PROT_READ | PROT_WRITE);
}

std::shared_ptr<const std::string> file_name(int fd) {
  char link[32], target[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = ::readlink(link, target, sizeof target);
  return std::make_shared<const std::string>(target, n < 0 ? 0 : static_cast<size_t>(n));
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

uint64_t hash_text(std::string_view text, uint64_t hash = 0xcbf29ce484222325) {
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

/// The same for copies of a file that a package manager or a container brought here; what
/// relies on the contents looks at these. Debian gives two builds of one source the same time, and ld.so
/// often the same size: where an ELF file begins stands its build id.
uint64_t identity_of(std::string_view path, const struct stat& st, int fd) {
  char head[1024];
  const ssize_t size = ::pread(fd, head, sizeof head, 0);
  uint64_t hash =
      hash_text({head, static_cast<size_t>(std::max<ssize_t>(size, 0))}, hash_text(base_name(path)));
  for (const auto part : {static_cast<uint64_t>(st.st_size), static_cast<uint64_t>(st.st_mtim.tv_sec),
                          static_cast<uint64_t>(st.st_mtim.tv_nsec)})
    hash = (hash ^ part) * 0x9e3779b97f4a7c15, hash ^= hash >> 29;
  return hash | 1;
}

}  // namespace

SpaceLayout layout_64bit() {
  SpaceLayout layout;
  layout.min_address = 0x10000;
  layout.task_size = uint64_t{1} << 47;
  // The host kernel puts a position-independent emulator at 0x5555'5555'4000 plus up to a
  // TiB, its libraries and stack below 0x8000'0000'0000.
  layout.pie_base = 0x5500'0000'0000;
#if LYREBIRD_SANITIZED
  // Below are asan's and tsan's shadows and allocators.
  layout.mmap_bottom = 0x5700'0000'0000;
  layout.mmap_top = 0x59ff'0000'0000;
#else
  layout.mmap_bottom = 0x0200'0000'0000;
  layout.mmap_top = 0x54ff'0000'0000;
#endif
  layout.image_bottom = layout.mmap_bottom + (uint64_t{1} << 40);
  layout.image_top = layout.image_bottom + (uint64_t{1} << 39);
  layout.image_slot = 2u << 20;
  return layout;
}

SpaceLayout layout_32bit(uint64_t stack_size) {
  constexpr uint64_t kTop = 0xffffe000, kStackGap = 1u << 20;
  SpaceLayout layout;
  layout.min_address = 0x10000;
  layout.task_size = kTop;
  layout.pie_base = 0x56555000;
  layout.mmap_bottom = 0x10000;
  layout.mmap_top = align_down(kTop - align_up(stack_size, kPage) - kStackGap, kPage);
#if LYREBIRD_SANITIZED
  // asan's shadow begins below 2 GiB; tsan lets programs have up to 0x5a00'0000'0000 here.
  layout.base = 0x5800'0000'0000;
  layout.reserved = true;
#endif
  constexpr uint64_t kImages = 512u << 20, kBelowTop = 128u << 20;
  if (layout.mmap_top < kTop / 4 * 3) return layout;
  layout.image_top = align_down(layout.mmap_top - kBelowTop, kImages);
  layout.image_bottom = layout.image_top - kImages;
  layout.image_slot = 256u << 10;
  return layout;
}

AddressSpace::AddressSpace(const SpaceLayout& layout) : layout_(layout) {
  forget_seen();
  if (!layout.reserved) return;
  void* const want = host(0);
  if (::mmap(want, layout.task_size, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != want)
    layout_.reserved = false;  // then piece by piece
}

AddressSpace::~AddressSpace() {
  clear();
  if (layout_.reserved) ::munmap(host(0), layout_.task_size);
}

void AddressSpace::clear() {
  const std::unique_lock lock(mutex_);
  while (!regions_.empty()) {
    const Region& region = regions_.begin()->second;
    const uint64_t start = region.start;
    unmap_locked(start, region.end - start);
  }
  brk_start_ = brk_ = 0;
  lock_future_ = 0;
}

// --- the table ---------------------------------------------------------------------------------

AddressSpace::Regions::const_iterator AddressSpace::find_locked(uint64_t address) const {
  auto it = regions_.upper_bound(address);
  if (it == regions_.begin()) return regions_.end();
  --it;
  return address < it->second.end ? it : regions_.end();
}

/// Makes `address` a boundary; the first region at or after it.
AddressSpace::Regions::iterator AddressSpace::split(uint64_t address) {
  auto it = regions_.upper_bound(address);
  if (it == regions_.begin()) return it;
  --it;
  Region& low = it->second;
  if (low.start == address) return it;
  if (address >= low.end) return std::next(it);
  Region high = low;
  high.start = address;
  high.offset += address - low.start;
  low.end = address;
  return regions_.emplace_hint(std::next(it), address, std::move(high));
}

void AddressSpace::insert_locked(Region region) {
  total_ += region.end - region.start;
  if (region.guarded) any_guarded_.store(true, std::memory_order_relaxed);
  const uint64_t start = region.start;
  const bool code = region.prot & PROT_EXEC;
  new_alias_locked(region);
  regions_.insert_or_assign(start, std::move(region));
  merge_locked(start);
  if (code) code_generation_.fetch_add(1, std::memory_order_release);
}

/// Joins the region at `address` with equal neighbours, so that the table stays small.
void AddressSpace::merge_locked(uint64_t address) {
  auto same = [](const Region& a, const Region& b) {
    const bool same_name = a.name == b.name || (a.name && b.name && *a.name == *b.name);
    const bool offsets = !a.inode || a.offset + (a.end - a.start) == b.offset;
    return a.end == b.start && a.prot == b.prot && a.guarded == b.guarded && a.shared == b.shared &&
           a.grows_down == b.grows_down && a.no_fork == b.no_fork && a.device == b.device &&
           a.inode == b.inode && same_name && offsets;
  };
  auto it = regions_.find(address);
  if (it == regions_.end()) return;
  if (auto next = std::next(it); next != regions_.end() && same(it->second, next->second)) {
    it->second.end = next->second.end;
    regions_.erase(next);
  }
  if (it == regions_.begin()) return;
  if (auto previous = std::prev(it); same(previous->second, it->second)) {
    previous->second.end = it->second.end;
    regions_.erase(it);
  }
}

bool AddressSpace::mapped_locked(uint64_t address, uint64_t size) const {
  const uint64_t end = address + size;
  if (end < address) return false;
  while (address < end) {
    const auto it = find_locked(address);
    if (it == regions_.end()) return false;
    address = it->second.end;
  }
  return true;
}

bool AddressSpace::any_mapped_locked(uint64_t address, uint64_t size) const {
  const auto it = regions_.lower_bound(address);
  return (it != regions_.end() && it->first < address + size) || find_locked(address) != regions_.end();
}

/// Drops [address, address + size) from the table only.
void AddressSpace::forget_locked(uint64_t address, uint64_t size) {
  unwatch_locked(address, size, false);
  if (any_mapped_locked(address, size)) forget_seen();
  auto it = split(address);
  split(address + size);
  bool code = false;
  while (it != regions_.end() && it->second.start < address + size) {
    code |= (it->second.prot & PROT_EXEC) != 0;
    total_ -= it->second.end - it->second.start;
    it = regions_.erase(it);
  }
  if (code) code_changed(address, size);
}

void AddressSpace::code_changed(uint64_t start, uint64_t size) {
  code_generation_.fetch_add(1, std::memory_order_release);
  if (code_changed_) code_changed_(code_changed_context_, start, size);
}

// --- places ------------------------------------------------------------------------------------

bool AddressSpace::range_allowed(uint64_t address, uint64_t size) const {
  return address >= layout_.min_address && address < layout_.task_size && size <= layout_.task_size - address;
}

/// The highest gap of `size` bytes in the mmap area; 0 if there is none.
uint64_t AddressSpace::find_free_locked(uint64_t size, bool low) const {
  constexpr uint64_t kLowBottom = 0x40000000, kLowTop = 0x80000000;
  uint64_t top = low ? kLowTop : layout_.mmap_top;
  const uint64_t bottom = low ? kLowBottom : layout_.mmap_bottom;
  auto it = regions_.lower_bound(top);
  while (top >= bottom + size) {
    if (it == regions_.begin()) return top - size;
    const Region& below = std::prev(it)->second;
    if (below.end <= top - size) return top - size;
    top = std::min(top, below.start);
    --it;
  }
  return 0;
}

/// Makes sure that the parts of the range which the guest has not mapped are free in the host,
/// and takes them (PROT_NONE). 0 or -ENOMEM: a part belongs to the emulator.
int64_t AddressSpace::claim_locked(uint64_t address, uint64_t size) {
  if (layout_.reserved) return 0;
  const uint64_t end = address + size;
  std::vector<std::pair<uint64_t, uint64_t>> taken;
  auto it = regions_.upper_bound(address);
  if (it != regions_.begin()) --it;
  uint64_t at = address;
  while (at < end) {
    while (it != regions_.end() && it->second.end <= at) ++it;
    if (it != regions_.end() && it->second.start <= at) {
      at = it->second.end;
      continue;
    }
    const uint64_t gap_end = it == regions_.end() ? end : std::min(end, it->second.start);
    void* const want = host(at);
    void* const got = ::mmap(want, gap_end - at, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != want) {
      if (got != MAP_FAILED) ::munmap(got, gap_end - at);
      for (const auto& [start, length] : taken) release_locked(start, length);
      return -ENOMEM;
    }
    taken.emplace_back(at, gap_end - at);
    at = gap_end;
  }
  return 0;
}

/// Gives host pages back, or to the reservation.
void AddressSpace::release_locked(uint64_t address, uint64_t size) {
  if (layout_.reserved)
    ::mmap(host(address), size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  else
    ::munmap(host(address), size);
}

// --- mmap --------------------------------------------------------------------------------------

uint32_t AddressSpace::with_implied(uint32_t prot) const {
  return prot | (prot & PROT_READ && read_implies_exec_ ? PROT_EXEC : 0u);
}

int64_t AddressSpace::map(const MapRequest& request) {
  const std::unique_lock lock(mutex_);
  return map_locked(request);
}

int64_t AddressSpace::map_locked(const MapRequest& request) {
  const uint64_t size = align_up(request.size, kPage);
  if (request.size == 0) return -EINVAL;
  if (size == 0 || size > layout_.task_size) return -ENOMEM;
  if (request.offset & (kPage - 1)) return -EINVAL;
  const bool fixed = request.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
  if (fixed && (request.address & (kPage - 1))) return -EINVAL;
  if (total_ + size > limit_as_) return -ENOMEM;

  const int host_flags = request.flags & ~(MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_GROWSDOWN | MAP_32BIT);
  if (fixed) {
    if (request.address + size < request.address || request.address + size > layout_.task_size)
      return -ENOMEM;
    if (request.address < layout_.min_address) return -EPERM;
    if ((request.flags & MAP_FIXED_NOREPLACE) && any_mapped_locked(request.address, size)) return -EEXIST;
    return place_locked(request, size, host_flags);
  }
  MapRequest placed = request;
  placed.address = align_down(request.address, kPage);
  if (placed.address && range_allowed(placed.address, size) && !any_mapped_locked(placed.address, size)) {
    const int64_t result = place_locked(placed, size, host_flags);
    if (result != -ENOMEM) return result;
  }
  placed.address = request.low ? 0 : image_place_locked(request, size);
  if (placed.address) {
    const int64_t result = place_locked(placed, size, host_flags);
    if (result != -ENOMEM) return result;
  }
  placed.address = find_free_locked(size, request.low);
  if (!placed.address) return -ENOMEM;
  return place_locked(placed, size, host_flags);
}

/// Where a library is put so that it lies at the same address in every program, and what was translated
/// of it for one is right for all; 0: anywhere. Its name decides; or its size, where the dynamic linker
/// asks for room first and maps the file into it.
uint64_t AddressSpace::image_place_locked(const MapRequest& request, uint64_t size) const {
  const uint64_t slot = layout_.image_slot;
  if (!slot) return 0;
  const uint64_t slots = (layout_.image_top - layout_.image_bottom) / slot;
  if (request.address || request.offset || (request.flags & MAP_TYPE) != MAP_PRIVATE ||
      (request.prot & PROT_WRITE) || size > slot * slots / 16)
    return 0;
  uint64_t hash;
  if (request.flags & MAP_ANONYMOUS) {
    if (request.prot != 0 || (request.flags & (MAP_NORESERVE | MAP_STACK)) || request.name ||
        size < 32 * kPage)
      return 0;
    hash = size;
  } else {
    struct stat st;
    char magic[4];
    if (::fstat(request.fd, &st) != 0 || !S_ISREG(st.st_mode) ||
        ::pread(request.fd, magic, sizeof magic, 0) != sizeof magic || std::memcmp(magic, "\177ELF", 4) != 0)
      return 0;
    hash = hash_text(base_name(*file_name(request.fd)));
  }
  hash = (hash ^ hash >> 12) * 0x9e3779b97f4a7c15;
  const uint64_t address = layout_.image_bottom + (hash >> 32) % (slots - size / slot - 1) * slot;
  return any_mapped_locked(address, size) ? 0 : address;
}

/// Maps at request.address over whatever the guest has there.
int64_t AddressSpace::place_locked(const MapRequest& request, uint64_t size, int host_flags) {
  if (const int64_t error = may_lock_new(size)) return error;
  // Where the guest has nothing, one host call finds out whether the emulator has, and takes it.
  const bool all_new = !layout_.reserved && !any_mapped_locked(request.address, size);
  if (!all_new)
    if (const int64_t error = claim_locked(request.address, size)) return error;
  void* const want = host(request.address);
  void* const got = ::mmap(want, size, static_cast<int>(host_prot(request.prot)),
                           host_flags | (all_new ? MAP_FIXED_NOREPLACE : MAP_FIXED), request.fd,
                           static_cast<off_t>(request.offset));
  if (all_new && got != want) {
    const int error = got == MAP_FAILED && errno != EEXIST ? errno : ENOMEM;
    if (got != MAP_FAILED) ::munmap(got, size);
    return -error;
  }
  if (got == MAP_FAILED) {
    const int error = errno;
    // What claim_locked took is ours and in no table: give it back.
    uint64_t at = request.address;
    for (auto it = regions_.lower_bound(at); at < request.address + size;) {
      const auto in = find_locked(at);
      if (in != regions_.end()) {
        at = in->second.end;
        continue;
      }
      it = regions_.lower_bound(at);
      const uint64_t end =
          it == regions_.end() ? request.address + size : std::min(it->first, request.address + size);
      if (!layout_.reserved) ::munmap(host(at), end - at);
      at = end;
    }
    return -error;
  }
  lock_new(request.address, size);
  forget_locked(request.address, size);
  Region region;
  region.start = request.address;
  region.end = request.address + size;
  region.prot = with_implied(request.prot);
  region.guarded = request.guarded;
  region.shared = (request.flags & MAP_TYPE) != MAP_PRIVATE;
  region.grows_down = request.flags & MAP_GROWSDOWN;
  if (request.name) region.name = std::make_shared<const std::string>(request.name);
  if (!(request.flags & MAP_ANONYMOUS)) {
    struct stat st;
    const bool known = ::fstat(request.fd, &st) == 0;
    if (known) region.device = st.st_dev, region.inode = st.st_ino;
    region.offset = request.offset;
    region.name = file_name(request.fd);
    if (known && S_ISREG(st.st_mode)) region.identity = identity_of(*region.name, st, request.fd);
  }
  insert_locked(std::move(region));
  return static_cast<int64_t>(request.address);
}

int64_t AddressSpace::unmap(uint64_t address, uint64_t size) {
  const std::unique_lock lock(mutex_);
  size = align_up(size, kPage);
  if ((address & (kPage - 1)) || size == 0) return -EINVAL;
  if (address >= layout_.task_size || size > layout_.task_size - address) return -EINVAL;
  return unmap_locked(address, size);
}

int64_t AddressSpace::unmap_locked(uint64_t address, uint64_t size) {
  const uint64_t end = address + size;
  auto it = split(address);
  split(end);
  // Before the host's pages go.
  if (it != regions_.end() && it->second.start < end) forget_seen();
  for (; it != regions_.end() && it->second.start < end; ++it)
    release_locked(it->second.start, it->second.end - it->second.start);
  forget_locked(address, size);
  return 0;
}

int64_t AddressSpace::protect(uint64_t address, uint64_t size, uint32_t prot, bool guarded) {
  const std::unique_lock lock(mutex_);
  if (address & (kPage - 1)) return -EINVAL;
  size = align_up(size, kPage);
  if (size == 0) return 0;
  if (address >= layout_.task_size || size > layout_.task_size - address) return -ENOMEM;
  prot = with_implied(prot);
  const uint64_t end = address + size;
  auto it = split(address);
  split(end);
  uint64_t at = address;
  int64_t result = 0;
  bool code = false;
  std::vector<uint64_t> changed;
  for (; at < end; ++it) {
    if (it == regions_.end() || it->second.start != at) {
      result = -ENOMEM;
      break;
    }
    Region& region = it->second;
    if (::mprotect(host(at), region.end - at, static_cast<int>(host_prot(prot))) != 0) {
      result = -errno;
      break;
    }
    unwatch_locked(at, region.end - at, false);
    code |= ((region.prot | prot) & PROT_EXEC) != 0;
    region.prot = prot;
    region.guarded = guarded;
    new_alias_locked(region);
    if (guarded) any_guarded_.store(true, std::memory_order_relaxed);
    changed.push_back(at);
    at = region.end;
  }
  if (code) code_changed(address, at - address);
  for (auto i = changed.rbegin(); i != changed.rend(); ++i) merge_locked(*i);
  return result;
}

// --- mremap ------------------------------------------------------------------------------------

int64_t AddressSpace::remap(uint64_t old_address, uint64_t old_size, uint64_t new_size, int flags,
                            uint64_t new_address) {
  const std::unique_lock lock(mutex_);
  if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) return -EINVAL;
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && !(flags & MREMAP_MAYMOVE)) return -EINVAL;
  if ((flags & MREMAP_DONTUNMAP) && align_up(old_size, kPage) != align_up(new_size, kPage)) return -EINVAL;
  if (old_address & (kPage - 1)) return -EINVAL;
  old_size = align_up(old_size, kPage);
  new_size = align_up(new_size, kPage);
  if (new_size == 0) return -EINVAL;
  if (new_size > layout_.task_size) return -EINVAL;
  if (flags & MREMAP_FIXED) {
    if (new_address & (kPage - 1)) return -EINVAL;
    if (!range_allowed(new_address, new_size)) return -EINVAL;
    if (new_address < old_address + old_size && old_address < new_address + new_size) return -EINVAL;
  }
  if (old_address >= layout_.task_size) return -EFAULT;
  const auto found = find_locked(old_address);
  if (found == regions_.end()) return -EFAULT;
  const Region old = found->second;
  if (old_size == 0 && !old.shared) return -EINVAL;
  if (old_size > old.end - old_address) return -EFAULT;
  unwatch_locked(old_address, std::max(old_size, kPage), true);  // the host's mapping in one piece again
  if (old.prot & PROT_EXEC) code_changed(old_address, std::max(old_size, kPage));

  if (flags & MREMAP_FIXED) return remap_move(old, old_address, old_size, new_size, flags, new_address);
  if (flags & MREMAP_DONTUNMAP) {
    const uint64_t place = find_free_locked(new_size);
    return place ? remap_move(old, old_address, old_size, new_size, flags, place) : -ENOMEM;
  }
  if (new_size <= old_size && old_size != 0) {
    if (new_size < old_size) unmap_locked(old_address + new_size, old_size - new_size);
    return static_cast<int64_t>(old_address);
  }
  const uint64_t growth = new_size - old_size;
  if (total_ + growth > limit_as_) return -ENOMEM;
  const uint64_t old_end = old_address + old_size;
  if (old_size != 0 && old_end == old.end && range_allowed(old_end, growth) &&
      !any_mapped_locked(old_end, growth)) {
    const bool free = layout_.reserved || claim_locked(old_end, growth) == 0;
    if (free) {
      ::munmap(host(old_end), growth);
      const Region whole = old;
      if (::mremap(host(old_address), old_size, new_size, 0) != MAP_FAILED) {
        Region grown = whole;
        grown.start = old_end;
        grown.end = old_end + growth;
        grown.offset = whole.offset + (old_end - whole.start);
        insert_locked(std::move(grown));
        return static_cast<int64_t>(old_address);
      }
      const int error = errno;
      if (layout_.reserved) release_locked(old_end, growth);
      if (!(flags & MREMAP_MAYMOVE)) return -error;
    }
  }
  if (!(flags & MREMAP_MAYMOVE)) {
    // There is no room, or too much would be locked: the host knows which the kernel minds first.
    if (::mremap(host(old_address), old_size, new_size, 0) == MAP_FAILED) return -errno;
    release_locked(old_end, growth);
    return -ENOMEM;
  }
  const uint64_t place = find_free_locked(new_size);
  if (!place) return -ENOMEM;
  return remap_move(old, old_address, old_size, new_size, MREMAP_MAYMOVE, place);
}

int64_t AddressSpace::remap_move(const Region& old, uint64_t old_address, uint64_t old_size,
                                 uint64_t new_size, int flags, uint64_t new_address) {
  const uint64_t freed = flags & MREMAP_DONTUNMAP ? 0 : old_size;
  if (new_size > freed && total_ + (new_size - freed) > limit_as_) return -ENOMEM;
  if (const int64_t error = claim_locked(new_address, new_size)) return error;
  void* const got = ::mremap(host(old_address), old_size, new_size,
                             (flags & MREMAP_DONTUNMAP) | MREMAP_MAYMOVE | MREMAP_FIXED, host(new_address));
  if (got == MAP_FAILED) {
    const int error = errno;
    if (!any_mapped_locked(new_address, new_size)) release_locked(new_address, new_size);
    return -error;
  }
  Region moved = old;
  moved.start = new_address;
  moved.end = new_address + new_size;
  moved.offset = old.offset + (old_address - old.start);
  if (!(flags & MREMAP_DONTUNMAP) && old_size != 0) {
    forget_locked(old_address, old_size);
    if (layout_.reserved) release_locked(old_address, old_size);
  }
  forget_locked(new_address, new_size);
  insert_locked(std::move(moved));
  return static_cast<int64_t>(new_address);
}

int64_t AddressSpace::advise(uint64_t address, uint64_t size, int advice) {
  if (address & (kPage - 1)) return -EINVAL;
  const uint64_t length = align_up(size, kPage);
  if (size && !length) return -EINVAL;
  const std::unique_lock lock(mutex_);
  const bool whole = mapped_locked(address, length);
  if (!whole) {
    // As the kernel: the parts that are there are advised, and the call fails.
    uint64_t at = address;
    const uint64_t end = address + length;
    if (end < address) return -EINVAL;
    for (auto it = regions_.lower_bound(address); at < end; ++it) {
      const auto in = find_locked(at);
      if (in != regions_.end()) {
        const uint64_t stop = std::min(end, in->second.end);
        ::madvise(host(at), stop - at, advice);
        at = stop;
        it = regions_.lower_bound(at);
      }
      if (it == regions_.end()) break;
      at = std::max(at, it->first);
    }
    return -ENOMEM;
  }
  if (::madvise(host(address), length, advice) != 0) return -errno;
  if (advice == MADV_DONTNEED || advice == MADV_REMOVE) {
    auto it = find_locked(address);
    for (; it != regions_.end() && it->second.start < address + length; ++it)
      if (it->second.prot & PROT_EXEC) code_changed(it->second.start, it->second.end - it->second.start);
  }
  return 0;
}

// --- System V shared memory ----------------------------------------------------------------------

int64_t AddressSpace::attach(int id, uint64_t size, uint64_t address, int flags) {
  const std::unique_lock lock(mutex_);
  size = align_up(size, kPage);
  if (flags & SHM_RND) address = align_down(address, kPage);
  if (address & (kPage - 1)) return -EINVAL;
  if (address == 0 && (flags & SHM_REMAP)) return -EINVAL;
  if (address == 0) {
    address = find_free_locked(size);
    if (!address) return -ENOMEM;
  } else if (!range_allowed(address, size) || (!(flags & SHM_REMAP) && any_mapped_locked(address, size))) {
    return -EINVAL;
  }
  if (const int64_t error = may_lock_new(size)) return error;
  if (const int64_t error = claim_locked(address, size)) return error;
  const int host_flags = (flags & ~(SHM_EXEC | SHM_RND)) | SHM_REMAP;
  if (::shmat(id, host(address), host_flags) == reinterpret_cast<void*>(-1)) {
    const int error = errno;
    if (!any_mapped_locked(address, size)) release_locked(address, size);
    return -error;
  }
  lock_new(address, size);
  forget_locked(address, size);
  Region region;
  region.start = address;
  region.end = address + size;
  region.prot =
      with_implied(PROT_READ | (flags & SHM_RDONLY ? 0u : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0u));
  region.shared = true;
  region.inode = static_cast<uint64_t>(id) + 1;
  region.name = std::make_shared<const std::string>("/SYSV");
  insert_locked(std::move(region));
  segments_[address] = size;
  return static_cast<int64_t>(address);
}

int64_t AddressSpace::detach(uint64_t address) {
  const std::unique_lock lock(mutex_);
  const auto it = segments_.find(address);
  if (it == segments_.end()) return -EINVAL;
  if (::shmdt(host(address)) != 0) return -errno;
  if (layout_.reserved) release_locked(address, it->second);
  forget_locked(address, it->second);
  segments_.erase(it);
  return 0;
}

// --- brk ---------------------------------------------------------------------------------------

void AddressSpace::init_brk(uint64_t start) {
  const std::unique_lock lock(mutex_);
  brk_start_ = brk_ = align_up(start, kPage);
}

uint64_t AddressSpace::set_brk(uint64_t end) {
  const std::unique_lock lock(mutex_);
  if (end < brk_start_ || end >= layout_.task_size || end - brk_start_ > limit_data_) return brk_;
  const uint64_t old_top = align_up(brk_, kPage), new_top = align_up(end, kPage);
  if (new_top > old_top) {
    if (any_mapped_locked(old_top, new_top - old_top) || total_ + (new_top - old_top) > limit_as_)
      return brk_;
    MapRequest request;
    request.address = old_top;
    request.size = new_top - old_top;
    request.prot = PROT_READ | PROT_WRITE;
    request.flags = MAP_PRIVATE | MAP_ANONYMOUS;
    request.name = "[heap]";
    if (place_locked(request, request.size, request.flags) < 0) return brk_;
  } else if (new_top < old_top) {
    unmap_locked(new_top, old_top - new_top);
  }
  brk_ = end;
  return brk_;
}

// --- looking -----------------------------------------------------------------------------------

bool AddressSpace::is_mapped(uint64_t address, uint64_t size) const {
  const std::shared_lock lock(mutex_);
  return mapped_locked(address, size);
}

namespace {
/// What this thread found mapped last, and nothing of the space was unmapped since: most system calls look at
/// the same few places, and the lock would cost more than all the rest of a short one.
struct SeenMapped {
  static constexpr unsigned kMost = 4;  // a power of 2
  uint64_t generation = 0;              ///< no space's
  unsigned next = 0;                    ///< to be overwritten
  struct {
    uint64_t start = 0, size = 0;
  } ranges[kMost];

  bool has(uint64_t now, uint64_t address, uint64_t size) const {
    if (generation != now) return false;
    for (const auto& range : ranges) {
      const uint64_t offset = address - range.start;
      if (offset < range.size && size <= range.size - offset) return true;
    }
    return false;
  }
  void add(uint64_t now, uint64_t start, uint64_t size) {
    if (generation != now) *this = {.generation = now, .next = 0, .ranges = {}};
    ranges[next++ % kMost] = {start, size};
  }
};
constinit thread_local SeenMapped seen_mapped{};

/// Of all spaces, so that none takes what was seen in another.
uint64_t next_generation() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}
}  // namespace

void AddressSpace::forget_seen() { unmapped_generation_.store(next_generation(), std::memory_order_release); }

uint64_t AddressSpace::mapped_prefix(uint64_t address, uint64_t size) const {
  if (seen_mapped.has(unmapped_generation_.load(std::memory_order_acquire), address, size)) return size;
  const std::shared_lock lock(mutex_);
  uint64_t at = address, start = address;
  const uint64_t end = address + size < address ? ~uint64_t{0} : address + size;
  while (at < end) {
    const auto it = find_locked(at);
    if (it == regions_.end()) break;
    start = std::min(start, it->second.start);
    at = it->second.end;
  }
  if (at != address) seen_mapped.add(unmapped_generation_.load(std::memory_order_relaxed), start, at - start);
  return std::min(at, end) - address;
}

bool AddressSpace::find(uint64_t address, Region& out) const {
  const std::shared_lock lock(mutex_);
  const auto it = find_locked(address);
  if (it == regions_.end()) return false;
  out = it->second;
  return true;
}

std::vector<Region> AddressSpace::regions() const {
  const std::shared_lock lock(mutex_);
  std::vector<Region> out;
  for (const auto& [start, region] : regions_) out.push_back(region);
  return out;
}

bool AddressSpace::grow_down(uint64_t address) {
  constexpr uint64_t kMostGrowth = 8u << 20;
  const std::unique_lock lock(mutex_);
  const auto it = regions_.upper_bound(address);
  if (it == regions_.end() || !it->second.grows_down || find_locked(address) != regions_.end()) return false;
  const uint64_t start = align_down(address, kPage);
  // Only grown by a guest that comes near (the kernel keeps a gap of 256 pages to what is below).
  if (it->second.end - start > kMostGrowth) return false;
  const auto below = it == regions_.begin() ? regions_.end() : std::prev(it);
  if (below != regions_.end() && below->second.end + 256 * kPage > start) return false;
  MapRequest request;
  request.address = start;
  request.size = it->second.start - start;
  request.prot = it->second.prot;
  request.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN;
  const std::string name = it->second.name ? *it->second.name : "";
  if (!name.empty()) request.name = name.c_str();
  return place_locked(request, request.size, MAP_PRIVATE | MAP_ANONYMOUS) >= 0;
}

// --- access ------------------------------------------------------------------------------------

bool AddressSpace::read(uint64_t address, void* to, size_t size) const {
  if (size == 0) return true;
  if (mapped_prefix(address, size) != size) return false;
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) return false;
  guard.arm();
  std::memcpy(to, host(address), size);
  return true;
}

bool AddressSpace::write(uint64_t address, const void* from, size_t size) {
  if (size == 0) return true;
  if (mapped_prefix(address, size) != size) return false;
  before_write(address, size);
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) {
    // Another thread may have fetched code from there meanwhile.
    const uint64_t at = guard.address - layout_.base;
    return guard.signal == SIGSEGV && at - address < size && code_written(at) && write(address, from, size);
  }
  guard.arm();
  std::memcpy(host(address), from, size);
  return true;
}

int64_t AddressSpace::read_string(uint64_t address, std::string& out, size_t max) const {
  out.clear();
  while (out.size() < max) {
    // Page by page: the string may end right before a hole.
    char chunk[256];
    const uint64_t to_page_end = kPage - (address & (kPage - 1));
    const size_t part = std::min({sizeof chunk, static_cast<size_t>(to_page_end), max - out.size()});
    if (!read(address, chunk, part)) return -EFAULT;
    const void* const nul = std::memchr(chunk, 0, part);
    if (nul) {
      out.append(chunk, static_cast<size_t>(static_cast<const char*>(nul) - chunk));
      return 0;
    }
    out.append(chunk, part);
    address += part;
  }
  return -ENAMETOOLONG;
}

void* AddressSpace::for_kernel(uint64_t address, uint64_t& size) const {
  if (size == 0) return address < layout_.task_size ? host(address) : kBadPointer;
  const uint64_t prefix = mapped_prefix(address, size);
  if (prefix == 0) return kBadPointer;
  size = prefix;
  before_write(address, size);
  return host(address);
}

// --- code --------------------------------------------------------------------------------------

bool AddressSpace::fetch(uint64_t pc, void* to, unsigned size) {
  {
    const std::shared_lock lock(mutex_);
    for (uint64_t at = pc; at < pc + size;) {
      const auto it = find_locked(at);
      if (it == regions_.end() || !(it->second.prot & PROT_EXEC)) return false;
      watch_code_locked(it->second, at, std::min(it->second.end, pc + size));
      at = it->second.end;
    }
  }
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) return false;
  guard.arm();
  std::memcpy(to, host(pc), size);
  return true;
}

bool AddressSpace::origin(uint64_t pc, frontend::CodeOrigin& out) const {
  const std::shared_lock lock(mutex_);
  const auto it = find_locked(pc);
  if (it == regions_.end()) return false;
  const Region& region = it->second;
  if (!region.identity || region.shared || !(region.prot & PROT_EXEC) || (region.prot & PROT_WRITE))
    return false;
  out.start = region.start;
  out.end = region.end;
  out.file_start = region.start - region.offset;
  out.host = static_cast<const uint8_t*>(host(region.start));
  out.identity = region.identity;
  out.guarded = region.guarded;
  out.name = region.name;
  return true;
}

bool AddressSpace::guarded(uint64_t pc) const {
  if (!any_guarded()) return false;
  const std::shared_lock lock(mutex_);
  const auto it = find_locked(pc);
  return it != regions_.end() && it->second.guarded;
}

}  // namespace lyrebird::user
