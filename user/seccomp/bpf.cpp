// SPDX-License-Identifier: Apache-2.0
#include "user/seccomp/bpf.h"

#include <vector>

namespace lyrebird::user {

namespace {

bool is_known(const sock_filter& insn) {
  switch (insn.code) {
    case BPF_LD | BPF_W | BPF_ABS:  // NOLINT(misc-redundant-expression): two of them are 0
      return insn.k % 4 == 0 && insn.k < kBpfDataSize;
    case BPF_ALU | BPF_DIV | BPF_K:
      return insn.k != 0;
    case BPF_ALU | BPF_LSH | BPF_K:
    case BPF_ALU | BPF_RSH | BPF_K:
      return insn.k < 32;
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX:
      return insn.k < BPF_MEMWORDS;
    case BPF_LD | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_W | BPF_LEN:
    case BPF_RET | BPF_K:
    case BPF_RET | BPF_A:
    case BPF_ALU | BPF_ADD | BPF_K:
    case BPF_ALU | BPF_ADD | BPF_X:
    case BPF_ALU | BPF_SUB | BPF_K:
    case BPF_ALU | BPF_SUB | BPF_X:
    case BPF_ALU | BPF_MUL | BPF_K:
    case BPF_ALU | BPF_MUL | BPF_X:
    case BPF_ALU | BPF_DIV | BPF_X:
    case BPF_ALU | BPF_AND | BPF_K:
    case BPF_ALU | BPF_AND | BPF_X:
    case BPF_ALU | BPF_OR | BPF_K:
    case BPF_ALU | BPF_OR | BPF_X:
    case BPF_ALU | BPF_XOR | BPF_K:
    case BPF_ALU | BPF_XOR | BPF_X:
    case BPF_ALU | BPF_LSH | BPF_X:
    case BPF_ALU | BPF_RSH | BPF_X:
    case BPF_ALU | BPF_NEG:
    case BPF_LD | BPF_IMM:
    case BPF_LDX | BPF_IMM:
    case BPF_MISC | BPF_TAX:
    case BPF_MISC | BPF_TXA:
    case BPF_JMP | BPF_JA:
    case BPF_JMP | BPF_JEQ | BPF_K:
    case BPF_JMP | BPF_JEQ | BPF_X:
    case BPF_JMP | BPF_JGE | BPF_K:
    case BPF_JMP | BPF_JGE | BPF_X:
    case BPF_JMP | BPF_JGT | BPF_K:
    case BPF_JMP | BPF_JGT | BPF_X:
    case BPF_JMP | BPF_JSET | BPF_K:
    case BPF_JMP | BPF_JSET | BPF_X:
      return true;
    default:
      return false;
  }
}

bool jumps_stay_inside(std::span<const sock_filter> program, size_t at) {
  const sock_filter& insn = program[at];
  if (BPF_CLASS(insn.code) != BPF_JMP) return true;
  const size_t left = program.size() - at - 1;
  if (insn.code == (BPF_JMP | BPF_JA)) return insn.k < left;
  return insn.jt < left && insn.jf < left;
}

/// No way leads to a load of a scratch word that has not been stored on it.
bool loads_follow_stores(std::span<const sock_filter> program) {
  std::vector<uint16_t> stored(program.size(), 0xffff);  // on every way that leads here
  uint16_t now = 0;
  for (size_t at = 0; at < program.size(); ++at) {
    const sock_filter& insn = program[at];
    now &= stored[at];
    switch (insn.code) {
      case BPF_ST:
      case BPF_STX:
        now |= static_cast<uint16_t>(1u << insn.k);
        break;
      case BPF_LD | BPF_MEM:
      case BPF_LDX | BPF_MEM:
        if (!(now >> insn.k & 1)) return false;
        break;
      case BPF_JMP | BPF_JA:
        stored[at + 1 + insn.k] &= now;
        now = 0xffff;
        break;
      default:
        if (BPF_CLASS(insn.code) != BPF_JMP) break;
        stored[at + 1 + insn.jt] &= now;
        stored[at + 1 + insn.jf] &= now;
        now = 0xffff;
    }
  }
  return true;
}

bool holds(uint16_t code, uint32_t a, uint32_t operand) {
  switch (BPF_OP(code)) {
    case BPF_JEQ:
      return a == operand;
    case BPF_JGE:
      return a >= operand;
    case BPF_JGT:
      return a > operand;
    default:
      return (a & operand) != 0;
  }
}

uint32_t calculate(uint16_t code, uint32_t a, uint32_t operand) {
  switch (BPF_OP(code)) {
    case BPF_ADD:
      return a + operand;
    case BPF_SUB:
      return a - operand;
    case BPF_MUL:
      return a * operand;
    case BPF_DIV:
      return a / operand;
    case BPF_AND:
      return a & operand;
    case BPF_OR:
      return a | operand;
    case BPF_XOR:
      return a ^ operand;
    case BPF_LSH:
      return a << (operand & 31);
    case BPF_RSH:
      return a >> (operand & 31);
    default:
      return 0 - a;
  }
}

}  // namespace

bool bpf_is_valid(std::span<const sock_filter> program) {
  if (program.empty() || program.size() > BPF_MAXINSNS) return false;
  for (size_t at = 0; at < program.size(); ++at)
    if (!is_known(program[at]) || !jumps_stay_inside(program, at)) return false;
  return BPF_CLASS(program.back().code) == BPF_RET && loads_follow_stores(program);
}

uint32_t bpf_run(std::span<const sock_filter> program, std::span<const uint32_t, kBpfDataSize / 4> data) {
  uint32_t a = 0, x = 0, scratch[BPF_MEMWORDS] = {};
  for (size_t at = 0;; ++at) {
    const sock_filter& insn = program[at];
    const uint32_t operand = BPF_SRC(insn.code) == BPF_X ? x : insn.k;
    switch (BPF_CLASS(insn.code)) {
      case BPF_RET:
        return BPF_RVAL(insn.code) == BPF_A ? a : insn.k;
      case BPF_LD:
      case BPF_LDX: {
        const uint16_t mode = BPF_MODE(insn.code);
        const uint32_t value = mode == BPF_ABS   ? data[insn.k / 4]
                               : mode == BPF_MEM ? scratch[insn.k]
                               : mode == BPF_LEN ? kBpfDataSize
                                                 : insn.k;
        (BPF_CLASS(insn.code) == BPF_LD ? a : x) = value;
        break;
      }
      case BPF_ST:
        scratch[insn.k] = a;
        break;
      case BPF_STX:
        scratch[insn.k] = x;
        break;
      case BPF_MISC:
        if (BPF_MISCOP(insn.code) == BPF_TAX)
          x = a;
        else
          a = x;
        break;
      case BPF_JMP:
        at += BPF_OP(insn.code) == BPF_JA ? insn.k : holds(insn.code, a, operand) ? insn.jt : insn.jf;
        break;
      case BPF_ALU:
        if (BPF_OP(insn.code) == BPF_DIV && operand == 0) return 0;
        a = calculate(insn.code, a, operand);
        break;
    }
  }
}

}  // namespace lyrebird::user
