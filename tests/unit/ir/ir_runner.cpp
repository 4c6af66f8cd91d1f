// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/ir/ir_runner.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "ir/cpu_header.h"
#include "ir/eval_inst.h"
#include "ir/print.h"
#include "tests/unit/ir/random_block.h"

namespace lyrebird::ir::test {
namespace {

std::string hex(uint64_t v) {
  char text[24];
  std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(v));
  return text;
}
std::string hex(const Constant& c) {
  return hex(c.word(3)) + "'" + hex(c.word(2)) + "'" + hex(c.high()) + "'" + hex(c.low());
}

class Runner {
 public:
  Runner(const Block& block, std::vector<uint8_t> state, uint64_t seed, HelperTable helpers)
      : block_(block), helpers_(helpers), seed_(seed), values_(block.insts.size()) {
    out_.state = std::move(state);
  }

  Outcome run() {
    for (ValueId id = 0; id < block_.insts.size() && out_.exit.empty(); ++id) step(id);
    return std::move(out_);
  }

 private:
  const Constant& arg(unsigned i) const { return values_[inst_->args[i]]; }
  bool truth(unsigned i) const { return arg(i).low() != 0; }
  uint64_t mix(uint64_t v) const {
    return Random(seed_ ^ v * 0x9e3779b97f4a7c15 ^ out_.events.size()).next();
  }
  void leave(const std::string& how, uint64_t where) { out_.exit = how + " " + hex(where); }

  void step(ValueId id) {
    inst_ = &block_.insts[id];
    Constant args[4];
    const unsigned count = arg_count(*inst_);
    for (unsigned i = 0; i < count; ++i) args[i] = arg(i);
    if (has_f80_flags(*inst_)) {
      uint32_t flags = 0;
      if (!evaluate(*inst_, {args, count}, &values_[id], &flags)) std::abort();
      if (inst_->fp_mode().no_flags) {
        if (flags != 0) std::abort();
        return;
      }
      out_.f80_flags = (out_.f80_flags & kF80Exceptions) | x87_of_flags(flags) |
                       (flags & kFpRoundedUp ? uint32_t{kF80RoundedUp} : 0);
      return;
    }
    if (evaluate(*inst_, {args, count}, &values_[id], &out_.fp_flags)) {
      if ((info(inst_->op).effects & FpFlags) && inst_->fp_mode().no_flags && out_.fp_flags != flags_before_)
        std::abort();
      flags_before_ = out_.fp_flags;
      return;
    }
    values_[id] = other();
    flags_before_ = out_.fp_flags;
  }

  Constant other() {
    const Inst& inst = *inst_;
    switch (inst.op) {
      case Op::Insn:
        pc_ = inst.imm;
        return {};
      case Op::GetState:
        return Constant::of_bytes(inst.type, out_.state.data() + inst.imm);
      case Op::SetState:
        std::memcpy(out_.state.data() + inst.imm, arg(0).b, byte_size(inst.type));
        return {};
      case Op::GetFpFlags:
        return Constant::of(Type::I32, inst.aux ? out_.f80_flags : out_.fp_flags);
      case Op::SetFpFlags:
        if (inst.aux)
          out_.f80_flags = static_cast<uint32_t>(arg(0).low()) & (kF80Exceptions | kF80RoundedUp);
        else
          out_.fp_flags = static_cast<uint32_t>(arg(0).low());
        return {};
      case Op::ExitIf:
        if (truth(0)) leave("to", inst.imm);
        return {};
      case Op::RaiseIf:
        if (truth(0)) raise();
        return {};
      case Op::Raise:
        raise();
        return {};
      case Op::Jump:
        leave("to", inst.imm);
        return {};
      case Op::Branch:
        leave("to", truth(0) ? inst.imm : inst.high());
        return {};
      case Op::JumpIndirect:
        leave("to", arg(0).low());
        return {};
      case Op::CallHelper:
        return call();
      default:
        return access();
    }
  }
  void raise() {
    leave(std::string(name(static_cast<ExitKind>(inst_->aux))) + " at " + hex(pc_) + " with", inst_->imm);
  }
  Constant call() {
    const HelperInfo& helper = helpers_[inst_->aux];
    uint64_t v[4] = {};
    for (unsigned i = 0; i < arg_count(*inst_); ++i) v[i] = arg(i).low();
    if (helper.effects != Pure) {
      out_.events.push_back("call " + std::string(helper.name) + " " + hex(v[0]) + " " + state_hash());
      if (helper.effects & WritesState)
        for (unsigned i = 0; i < 8; ++i)
          out_.state[sizeof(CpuHeaderBytes) + mix(i) % (out_.state.size() - sizeof(CpuHeaderBytes))] ^=
              1;  // a truth stays one
      if ((helper.effects & Faults) && mix(99) % 4 == 0) leave("helper fault at", pc_);
    }
    return Constant::of(helper.result == Type::None ? Type::I64 : helper.result,
                        helper.fn(nullptr, v[0], v[1], v[2], v[3]));
  }
  struct CpuHeaderBytes {
    uint8_t b[128];
  };
  std::string state_hash() const {
    uint64_t h = 1;
    for (const uint8_t byte : out_.state) h = (h ^ byte) * 0x100000001b3;
    return hex(h);
  }
  Constant access() {
    std::string event(info(inst_->op).name);
    event += " " + hex(inst_->aux);
    const unsigned count = arg_count(*inst_);
    for (unsigned i = 0; i < count; ++i) event += " " + hex(arg(i));
    out_.events.push_back(event);
    if (info(inst_->op).effects & Faults) {
      if (mix(arg(0).low()) % 8 == 0) leave("fault at", pc_);
    }
    if (inst_->type == Type::None) return {};
    uint64_t words[4] = {mix(1), mix(2), mix(3), mix(4)};
    if (bit_width(inst_->type) < 64) words[0] &= (uint64_t{1} << bit_width(inst_->type)) - 1;
    return Constant::of_bytes(inst_->type, words);
  }

  const Block& block_;
  const HelperTable helpers_;
  const uint64_t seed_;
  std::vector<Constant> values_;
  Outcome out_;
  const Inst* inst_ = nullptr;
  uint64_t pc_ = 0;
  uint32_t flags_before_ = 0;
};

}  // namespace

Outcome run(const Block& block, std::vector<uint8_t> state, uint64_t seed, HelperTable helpers) {
  return Runner(block, std::move(state), seed, helpers).run();
}

}  // namespace lyrebird::ir::test
