// SPDX-License-Identifier: Apache-2.0
/// Copies the instructions of one block, one after the other.
#pragma once

#include <vector>

#include "accel/direct/x86_encoding.h"
#include "accel/direct/x86_kinds.h"
#include "frontend/x86/decode/insn.h"
#include "jit/direct/direct.h"

namespace lyrebird::accel::direct {

/// A decoded instruction, and where it is.
struct Item {
  x86::Insn insn;
  Kind kind;
  uint64_t pc;
  uint8_t bytes[32];  ///< room to copy 16 from each
};

class BlockCopier {
 public:
  BlockCopier(jit::direct::Code& out, bool is64) : out_(out), w_(out.bytes), is64_(is64) {}

  /// False: this instruction is to end the block before it.
  static bool can_copy(const Item& item);
  /// Begins the block; `flags_dead`: nobody sees the flags that it is entered with.
  void begin(bool flags_dead);
  void copy(const Item& item);
  /// A jump to `pc` at the end, unless the last instruction was one.
  void jump(uint64_t pc);
  void finish();

 private:
  using Load = Encoding::Load;
  uint64_t next_of(const Item& item) const {
    const uint64_t next = item.pc + item.insn.length;
    return is64_ ? next : static_cast<uint32_t>(next);
  }
  unsigned add_exit(uint64_t pc);
  void exit_jump(unsigned exit);
  void to_stub(unsigned exit);
  void to_miss();
  void may_fault(const Item& item, uint32_t replaced = 0);
  void operate(const Item& item, const Encoding& encoding, std::optional<Load> load = {});
  void through_register(const Item& item, const Encoding& encoding, std::optional<Load> load);
  void use_x87();
  void absolute_move(const Item& item);
  void lea(const Item& item);
  void push(const Item& item);
  void pop(const Item& item);
  void leave(const Item& item);
  void branch(const Item& item);
  void loop(const Item& item);
  void jump_or_call(const Item& item);
  void push_return(const Item& item, uint32_t replaced);
  void ret(const Item& item);
  void syscall(const Item& item);
  void through_table();
  void stubs();
  void table_entry(bool flags_dead);

  struct Constant {
    uint32_t field;  ///< a rel32 to it, the last of its instruction
    uint64_t value;
  };
  struct ExitJump {
    uint32_t field;
    unsigned exit;
  };
  jit::direct::Code& out_;
  Writer w_;
  const bool is64_;
  bool x87_ = false, ended_ = false;
  uint32_t miss_jump_ = 0;  ///< rel32
  std::vector<Constant> constants_;
  std::vector<ExitJump> exit_jumps_;
};

}  // namespace lyrebird::accel::direct
