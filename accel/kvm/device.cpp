// SPDX-License-Identifier: Apache-2.0
#include "accel/kvm/device.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <grp.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "accel/kvm/linux_kvm.h"

namespace lyrebird::accel::kvm {
namespace {

constexpr std::string_view kInstead = "or use -accel jit";

/// The group that may open the file, if there is one but root's.
std::string group_of(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || info.st_gid == 0 || !(info.st_mode & S_IRGRP)) return {};
  const group* const entry = getgrgid(info.st_gid);
  return entry ? entry->gr_name : std::to_string(info.st_gid);
}

Error open_error(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return {
          fmt::format("{}: no such device; load the module kvm-intel or kvm-amd (virtualisation must be on "
                      "in the firmware; in a container the device must be passed in), {}",
                      path, kInstead)};
    case EACCES:
    case EPERM: {
      const std::string group = group_of(path);
      if (group.empty())
        return {
            fmt::format("{}: permission denied; only root may open it (chgrp kvm {} && chmod g+rw {}), {}",
                        path, path, path, kInstead)};
      return {
          fmt::format("{}: permission denied; join the group {} (sudo usermod -aG {} $USER, then log in "
                      "again), {}",
                      path, group, group, kInstead)};
    }
    default:
      return {fmt::format("{}: {}; {}", path, std::strerror(error), kInstead.substr(3))};
  }
}

}  // namespace

const unsigned long Device::kCheckExtension = KVM_CHECK_EXTENSION;

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

int Fd::control(unsigned long request, const void* argument) const {
  for (;;) {
    const int result = ioctl(fd_, request, argument);
    if (result >= 0) return result;
    if (errno != EINTR) return -errno;
  }
}

std::string failure(std::string_view what, int negative_errno) {
  return fmt::format("{}: {}", what, std::strerror(-negative_errno));
}

Result<Device> Device::open(const std::string& path) {
  Device device;
  device.path_ = path;
  device.fd_ = Fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (device.fd_.get() < 0) return open_error(path, errno);
  const int version = device.fd_.control(KVM_GET_API_VERSION);
  if (version == -ENOTTY) return Error{fmt::format("{}: not a KVM device; {}", path, kInstead.substr(3))};
  if (version != KVM_API_VERSION)
    return Error{fmt::format("{}: version {} of KVM's interface, and this program knows {}; {}", path,
                             version, KVM_API_VERSION, kInstead.substr(3))};
  const int size = device.fd_.control(KVM_GET_VCPU_MMAP_SIZE);
  if (size <= 0) return Error{failure("KVM_GET_VCPU_MMAP_SIZE", size)};
  device.run_size_ = static_cast<size_t>(size);
  return device;
}

Result<Fd> Device::create_vm() const {
  const int fd = fd_.control(KVM_CREATE_VM, 0ul);
  if (fd >= 0) return Fd(fd);
  if (fd == -EBUSY)
    return Error{
        fmt::format("{}: another hypervisor uses the processor's virtualisation (VirtualBox, "
                    "VMware?); stop it, {}",
                    path_, kInstead)};
  return Error{fmt::format("{}: no virtual machine: {}; {}", path_, std::strerror(-fd), kInstead.substr(3))};
}

}  // namespace lyrebird::accel::kvm
