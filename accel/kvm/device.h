// SPDX-License-Identifier: Apache-2.0
/// /dev/kvm and the file descriptors that come from it. Every failure is one line that says what to do.
/// Documentation/virt/kvm/api.rst of the kernel.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace lyrebird::accel::kvm {

/// A file descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();
  int get() const { return fd_; }

  /// ioctl(), again after EINTR; -errno if it fails.
  int control(unsigned long request, const void* argument) const;
  int control(unsigned long request, unsigned long argument = 0) const {
    return control(request, reinterpret_cast<const void*>(argument));
  }

 private:
  int fd_ = -1;
};

/// "KVM_CREATE_VCPU: Cannot allocate memory", for a control() that gave a negative number.
std::string failure(std::string_view what, int negative_errno);

/// /dev/kvm, of the one version of its interface that there is.
class Device {
 public:
  static Result<Device> open(const std::string& path = "/dev/kvm");
  Result<Fd> create_vm() const;
  /// KVM_CHECK_EXTENSION: 0 or less if the kernel hasn't got it.
  int check(unsigned long capability) const { return fd_.control(kCheckExtension, capability); }
  const Fd& fd() const { return fd_; }
  const std::string& path() const { return path_; }
  /// Bytes of the memory that a vCPU shares with the kernel.
  size_t run_size() const { return run_size_; }

 private:
  static const unsigned long kCheckExtension;
  Fd fd_;
  std::string path_;
  size_t run_size_ = 0;
};

}  // namespace lyrebird::accel::kvm
