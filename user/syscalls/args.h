// SPDX-License-Identifier: Apache-2.0
/// The argument types of syscall rows: each takes the guest's raw register, converts it and
/// prints itself for -strace, once for every guest. A type has
///     static T from(Thread&, uint64_t raw);
///     void print(Thread&, std::string& out) const;
/// and a syscall function takes (Thread&, T...) and returns Errno<R>.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "user/abi/data_model.h"
#include "user/thread.h"

namespace lyrebird::user {

/// Value or -errno. R only says how -strace prints the value.
template <typename R>
struct Errno {
  int64_t raw = 0;
  Errno(int64_t value) : raw(value) {}
};

void print_signed(std::string& out, int64_t value);
void print_hex(std::string& out, uint64_t value);
void print_octal(std::string& out, uint64_t value);
void print_quoted(std::string& out, const std::string& text, size_t max);

/// A number of C type `int`, `unsigned`, `long`, `unsigned long`, `uint64_t` in the guest.
struct Int {
  int value;
  operator int() const { return value; }
  static Int from(Thread&, uint64_t raw) { return {static_cast<int>(raw)}; }
  void print(Thread&, std::string& out) const { print_signed(out, value); }
};
struct Uint {
  uint32_t value;
  operator uint32_t() const { return value; }
  static Uint from(Thread&, uint64_t raw) { return {static_cast<uint32_t>(raw)}; }
  void print(Thread&, std::string& out) const { print_signed(out, value); }
};
struct Long {
  int64_t value;
  operator int64_t() const { return value; }
  static Long from(Thread& t, uint64_t raw);
  void print(Thread&, std::string& out) const { print_signed(out, value); }
};
struct Size {
  uint64_t value;
  operator uint64_t() const { return value; }
  static Size from(Thread& t, uint64_t raw);
  void print(Thread&, std::string& out) const { print_signed(out, static_cast<int64_t>(value)); }
};
struct Hex {
  uint64_t value;
  operator uint64_t() const { return value; }
  static Hex from(Thread& t, uint64_t raw);
  void print(Thread&, std::string& out) const { print_hex(out, value); }
};
/// A flags word whose bits are the same everywhere.
struct Flags {
  uint32_t value;
  operator uint32_t() const { return value; }
  static Flags from(Thread&, uint64_t raw) { return {static_cast<uint32_t>(raw)}; }
  void print(Thread&, std::string& out) const { print_hex(out, value); }
};
struct Fd {
  int value;
  operator int() const { return value; }
  static Fd from(Thread&, uint64_t raw) { return {static_cast<int>(raw)}; }
  void print(Thread&, std::string& out) const;
};
/// File mode bits.
struct Mode {
  uint32_t value;
  operator uint32_t() const { return value; }
  static Mode from(Thread&, uint64_t raw) { return {static_cast<uint32_t>(raw)}; }
  void print(Thread&, std::string& out) const { print_octal(out, value); }
};
/// O_* flags, as the host's.
struct OpenFlags {
  int value;
  operator int() const { return value; }
  static OpenFlags from(Thread& t, uint64_t raw);
  void print(Thread&, std::string& out) const;
};
struct Signal {
  int value;
  operator int() const { return value; }
  static Signal from(Thread&, uint64_t raw) { return {static_cast<int>(raw)}; }
  void print(Thread&, std::string& out) const;
};
/// A guest address, tag bits removed.
struct Addr {
  uint64_t value;
  operator uint64_t() const { return value; }
  static Addr from(Thread& t, uint64_t raw);
  void print(Thread&, std::string& out) const;
};
/// A path as the guest gives it. error: 0, -EFAULT, -ENAMETOOLONG.
struct Path {
  uint64_t addr = 0;
  std::string text;
  int64_t error = 0;
  bool null() const { return addr == 0; }
  static Path from(Thread& t, uint64_t raw);
  void print(Thread&, std::string& out) const;
};
/// Another string (mount type, attribute name).
using Name = Path;
/// A buffer that the row's next argument gives the size of; `Data` prints its content.
using Buffer = Addr;

/// A struct in guest memory, described by Desc<T>::desc, that the call reads, writes, or both.
template <typename T>
struct Desc;

bool get_struct(Thread& t, uint64_t addr, const StructDesc& desc, void* host);
bool put_struct(Thread& t, uint64_t addr, const StructDesc& desc, const void* host);
unsigned struct_size(Thread& t, const StructDesc& desc);

template <typename T>
struct Ptr : Addr {
  const StructDesc* layout = &Desc<T>::desc;

  static Ptr from(Thread& t, uint64_t raw) { return {Addr::from(t, raw)}; }
  bool null() const { return value == 0; }
  /// False: EFAULT.
  [[nodiscard]] bool get(Thread& t, T& to) const { return get_struct(t, value, *layout, &to); }
  [[nodiscard]] bool put(Thread& t, const T& from) const { return put_struct(t, value, *layout, &from); }
  /// Element i of an array.
  Ptr at(Thread& t, uint64_t i) const { return {Addr{value + i * struct_size(t, *layout)}, layout}; }
};
/// The same struct as this one call lays it out (struct stat64, times of 64 bits on 32-bit guests).
template <typename T, const StructDesc& layout_of_call>
struct As : Ptr<T> {
  static As from(Thread& t, uint64_t raw) { return {{Addr::from(t, raw), &layout_of_call}}; }
};
/// A user or group id of 16 bits: all ones are "none" there, too.
template <typename Base>
struct Id16 : Base {
  static Id16 from(Thread& t, uint64_t raw) {
    raw &= 0xffff;
    return {Base::from(t, raw == 0xffff ? ~uint64_t{0} : raw)};
  }
};
/// `long` and pointers in guest memory.
[[nodiscard]] bool get_word(Thread& t, uint64_t addr, uint64_t& value);
[[nodiscard]] bool put_word(Thread& t, uint64_t addr, uint64_t value);
unsigned word_size(Thread& t);
/// Integers of fixed size in guest memory, in the guest's byte order.
[[nodiscard]] bool get_u32(Thread& t, uint64_t addr, uint32_t& value);
[[nodiscard]] bool put_u32(Thread& t, uint64_t addr, uint32_t value);
[[nodiscard]] bool get_u16(Thread& t, uint64_t addr, uint16_t& value);
[[nodiscard]] bool put_u16(Thread& t, uint64_t addr, uint16_t value);
[[nodiscard]] bool get_u64(Thread& t, uint64_t addr, uint64_t& value);
[[nodiscard]] bool put_u64(Thread& t, uint64_t addr, uint64_t value);

uint64_t untag(Thread& t, uint64_t address);

}  // namespace lyrebird::user
