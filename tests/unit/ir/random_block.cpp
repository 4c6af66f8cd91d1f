// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/ir/random_block.h"

#include <string>
#include <vector>

#include "ir/cpu_header.h"
#include "ir/eval_scalar.h"
#include "ir/typing.h"

namespace lyrebird::ir::test {
namespace {

constexpr uint32_t kRegs = sizeof(CpuHeader), kVectors = kRegs + 64, kFlags = kVectors + 64,
                   kStatus = kFlags + 8;

constexpr StateField kFields[] = {
    {"r0", kRegs, Type::I64},          {"r1", kRegs + 8, Type::I64},      {"r2", kRegs + 16, Type::I64},
    {"r3", kRegs + 24, Type::I64},     {"r4", kRegs + 32, Type::I64},     {"r5", kRegs + 40, Type::I64},
    {"r6", kRegs + 48, Type::I64},     {"r7", kRegs + 56, Type::I64},     {"v0", kVectors, Type::V128},
    {"v1", kVectors + 16, Type::V128}, {"v2", kVectors + 32, Type::V128}, {"v3", kVectors + 48, Type::V128},
    {"f0", kFlags, Type::I8},          {"f1", kFlags + 1, Type::I8},      {"f2", kFlags + 2, Type::I8},
    {"f3", kFlags + 3, Type::I8},      {"status", kStatus, Type::I16},
};
constexpr StateLayout kLayout{kFields, kFlags + 64};

uint64_t add_numbers(void*, uint64_t a, uint64_t b, uint64_t, uint64_t) { return a + b; }
uint64_t do_anything(void*, uint64_t a, uint64_t, uint64_t, uint64_t) { return a; }
constexpr HelperInfo kHelpers[] = {
    {"add_numbers", add_numbers, 2, Type::I64, Pure},
    {"do_anything", do_anything, 1, Type::None, Reads | Writes | Faults | ReadsState | WritesState | Exits},
};

Type any_type(Random& random) { return static_cast<Type>(1 + random.below(kTypeCount - 1)); }

uint32_t random_fp_mode(Random& random) {
  FpMode mode = FpMode::unpack(static_cast<uint32_t>(random.next()) & 0xffff);
  mode.round = static_cast<Round>(random.below(6));
  mode.denormal_report = static_cast<DenormalReport>(random.below(3));
  if (random.one_in(2)) {
    // What x86 code runs with.
    mode = {.round = random.one_in(2) ? mode.round : Round::NearestEven,
            .nan_rule = NanRule::FirstOperand,
            .default_nan_negative = true,
            .tiny_before_rounding = false,
            .flush_is_inexact = true,
            .no_inexact = random.one_in(4),
            .denormal_report = random.one_in(2) ? DenormalReport::WhenUsed : DenormalReport::Never};
  }
  return mode.pack();
}

/// Types for an instruction by trial: the rules are type_error's alone.
bool try_types(Random& random, Inst& inst, Type* operands) {
  const std::string_view signature = info(inst.op).signature;
  inst.type = signature.back() == 'b'   ? Type::I1
              : signature.back() == 'w' ? Type::I32
              : signature.back() == 'd' ? Type::I64
              : signature.back() == 'q' ? Type::I128
                                        : any_type(random);
  inst.elem = random.one_in(3) ? inst.type : random.one_in(8) ? Type::None : any_type(random);
  if (signature[0] == 'L' && random.one_in(2)) inst.type = Type::I1;
  const bool has_imm = info(inst.op).kind >= OpKind::Vec1 && info(inst.op).kind <= OpKind::Vec3;
  inst.imm = 0;
  if (has_imm || inst.op == Op::ExtractLane || inst.op == Op::InsertLane)
    inst.imm = random.below(3) ? random.below(4) : uint64_t{8} << random.below(5);
  inst.aux = 0;
  if (info(inst.op).effects & FpFlags) {
    constexpr uint32_t kExtra[] = {0, 0, 1, 32, 64, kFpIndefinite};
    inst.aux = random_fp_mode(random) | kExtra[random.below(6)] << kFpModeBits;
  }
  if (inst.op == Op::Crc32) inst.aux = 1 + random.below(8) + 256 * random.below(2);
  if (inst.op == Op::StatusOfShift)
    inst.aux = random.below(eval::kShiftWays) + eval::kFirstStep * random.below(2);
  if (inst.op == Op::StatusOfShift && random.one_in(2) && eval::is_shift_aux(inst.aux | eval::kOldOverflow))
    inst.aux |= eval::kOldOverflow;
  const bool is_status = inst.op >= Op::StatusOfAdd && inst.op <= Op::StatusOfOrder;
  if (is_status && inst.op != Op::StatusOfShift) inst.aux = random.below(2);
  for (unsigned i = 0; signature[i] != '>'; ++i) {
    switch (signature[i]) {
      case 'T':
        operands[i] = inst.type;
        break;
      case 'S':
        operands[i] = inst.elem;
        break;
      case 'L':
        operands[i] = inst.type == Type::I1 ? inst.elem : inst.type;
        break;
      case 'b':
        operands[i] = Type::I1;
        break;
      case 'w':
        operands[i] = Type::I32;
        break;
      case 'q':
        operands[i] = Type::I128;
        break;
      case 'U':
        operands[i] = i > 0 ? operands[0] : any_type(random);
        break;
      default:
        operands[i] = Type::I64;
        break;
    }
    if (operands[i] == Type::None) return false;
  }
  return type_error(inst, operands, {}) == nullptr;
}

/// Keeps a value of each type at hand.
class Generator {
 public:
  Generator(Random& random, const RandomBlockOptions& options) : random_(random), options_(options) {}

  Block run() {
    block_.key = {.pc = pc_, .mode = static_cast<uint32_t>(random_.next())};
    block_.guest_size = 4 * options_.size;
    while (block_.insts.size() < options_.size) {
      ir_.Insn(pc_, 4);
      ++block_.guest_count;
      faults_allowed_ = true;
      for (unsigned n = 1 + random_.below(6); n > 0; --n) step();
      pc_ += 4;
    }
    terminal();
    return std::move(block_);
  }

 private:
  Value value(Type type) {
    std::vector<Value>& known = values_[static_cast<unsigned>(type)];
    if (known.empty() || random_.one_in(4)) known.push_back(make(type));
    return known[random_.below(static_cast<uint32_t>(known.size()))];
  }
  Value keep(Value v) {
    values_[static_cast<unsigned>(v.type)].push_back(v);
    return v;
  }
  Value make(Type type) {
    if (random_.one_in(2) && state_holds(type)) return ir_.GetState(place(type), type);
    if (type == Type::V256) return ir_.Concat(value(Type::V128), value(Type::V128));
    const uint64_t high = type == Type::F80 ? random_.number() & 0xffff : random_.number();
    return ir_.Const(type, random_.number(), bit_width(type) > 64 ? high : 0);
  }
  static bool state_holds(Type type) { return type != Type::V256; }
  uint32_t place(Type type) {
    const uint32_t size = byte_size(type);
    // f0 and f1 hold truths, f2 and f3 numbers.
    if (type == Type::I1) return kFlags + random_.below(2);
    if (type == Type::F80) return kVectors + 16 * random_.below(4);
    if (type == Type::I16 && random_.one_in(3)) return kStatus;
    if (size == 1 && random_.one_in(2)) return kFlags + 2 + random_.below(2);
    if (size == 16 || random_.one_in(3)) return kVectors + random_.below(64 / size) * size;
    return kRegs + random_.below(64 / size) * size;
  }

  void step() {
    switch (random_.below(9)) {
      case 8:
        return set_status();
      case 0:
        return memory();
      case 1:
        return set_state();
      case 2:
        return leave();
      case 3:
        return other();
      default:
        return pure();
    }
  }
  void pure() {
    for (unsigned tries = 0; tries < 100; ++tries) {
      Inst inst;
      Type operands[4] = {};
      const Op op = static_cast<Op>(random_.below(kOpCount));
      if (!options_.floats && (info(op).effects & FpFlags)) continue;
      const auto made = random_inst(random_, op, operands);
      if (!made) continue;
      inst = *made;
      for (unsigned i = 0; i < arg_count(inst); ++i) inst.args[i] = value(operands[i]).id;
      block_.insts.push_back(inst);
      keep({static_cast<ValueId>(block_.insts.size() - 1), inst.type});
      return;
    }
  }
  void set_state() {
    faults_allowed_ = false;
    const Type type = any_type(random_);
    if (type == Type::V256) return ir_.SetState(kVectors + 32 * random_.below(2), value(type));
    ir_.SetState(place(type), value(type));
  }
  /// A status word as lifters write it, and conditions on it.
  void set_status() {
    constexpr Type kTypes[] = {Type::I8, Type::I16, Type::I32, Type::I32, Type::I64, Type::I64};
    constexpr uint16_t kWords[] = {0x200, 0x300, 0x301, 0x4600, 0x4700, 0x4701, 0x8200, 0x8301, 0x8201};
    constexpr uint64_t kMasks[] = {0x1, 0x100, 0x400, 0x4000, 0x8000, 0x4100};
    const Type type = kTypes[random_.below(std::size(kTypes))];
    const Value a = value(type), b = value(type), none = ir_.Const(Type::I1, 0);
    const Value carry = random_.one_in(3) ? value(Type::I1) : none, go = value(Type::I1);
    const uint32_t aux = random_.below(2);
    const bool add = random_.one_in(2), result = random_.one_in(2);
    if (result && random_.one_in(4))
      keep(add ? ir_.AddWithCarry(a, b, carry) : ir_.SubWithBorrow(a, b, carry));
    if (result) keep(add ? ir_.Add(a, b) : ir_.Sub(a, b));
    Value word = add ? ir_.StatusOfAdd(a, b, carry, aux) : ir_.StatusOfSub(a, b, carry);
    if (random_.one_in(4)) word = ir_.StatusOfValue(a, aux);
    if (random_.one_in(4))
      word = ir_.Select(go, word, ir_.Const(Type::I16, kWords[random_.below(std::size(kWords))]));
    faults_allowed_ = false;
    ir_.SetState(kStatus, word);
    if (random_.one_in(4)) keep(word);
    for (unsigned n = random_.below(4); n > 0; --n)
      keep(ir_.CmpTest(word, ir_.Const(Type::I16, kMasks[random_.below(std::size(kMasks))])));
    if (random_.one_in(2)) keep(ir_.CmpLtU(a, b));
    if (random_.one_in(2)) keep(ir_.Not(ir_.CmpTest(word, ir_.Const(Type::I16, 0x100))));
  }
  MemInfo mem(Type type) {
    MemInfo m{.size = static_cast<uint8_t>(byte_size(type))};
    if (is_int(type)) m.size = static_cast<uint8_t>(1u << random_.below(1 + log2_size(type)));
    m.big_endian = random_.one_in(4);
    m.align = static_cast<Align>(random_.below(3));
    m.order = static_cast<Order>(random_.below(4));
    m.address = static_cast<AddressRule>(random_.below(4));
    m.space = static_cast<uint8_t>(random_.one_in(3) ? random_.below(256) : 0);
    return m;
  }
  static unsigned log2_size(Type type) { return static_cast<unsigned>(std::countr_zero(byte_size(type))); }
  Value address() {
    const Value any = value(Type::I64);
    if (options_.arena == 0) return any;
    const Value inside = ir_.And(any, ir_.Const(Type::I64, options_.arena_size - 1, 0));
    return keep(ir_.Add(inside, ir_.Const(Type::I64, options_.arena, 0)));
  }
  void memory() {
    if (!options_.memory || !faults_allowed_) return;
    Type type = any_type(random_);
    if (type == Type::I1) type = Type::V64;
    const Value address = this->address();
    MemInfo m = mem(type);
    const unsigned kind = random_.below(6);
    const bool exclusive = kind == 1 || kind == 2, atomic = kind == 3 || kind == 4;
    if ((exclusive || atomic) && byte_size(type) == 16) m.size = 16;
    switch (kind) {
      case 0:
        return ir_.Store(address, value(type), m);
      case 1:
        if (!is_int(type) && type != Type::V128) return;
        keep(ir_.LoadExclusive(type, address, m));
        return;
      case 2:
        if (!is_int(type) && type != Type::V128) return;
        keep(ir_.StoreExclusive(address, value(type), m));
        return;
      case 3:
        if (!is_int(type)) return;
        keep(ir_.Atomic(static_cast<Op>(static_cast<unsigned>(Op::AtomicAdd) + random_.below(9)), address,
                        value(type), m));
        return;
      case 4:
        if (!is_int(type)) return;
        keep(ir_.CompareSwap(address, value(type), value(type), m));
        return;
      default:
        m.sign = is_int(type) && random_.one_in(2);
        keep(ir_.Load(type, address, m));
        return;
    }
  }
  void leave() {
    if (!options_.side_exits) return;
    if (random_.one_in(2)) return ir_.ExitIf(value(Type::I1), random_.number());
    if (faults_allowed_)
      ir_.RaiseIf(value(Type::I1), static_cast<ExitKind>(1 + random_.below(14)), random_.number());
  }
  void other() {
    switch (random_.below(6)) {
      case 0:
        return ir_.Fence(1 + random_.below(3));
      case 1:
        return ir_.ClearExclusive();
      case 2:
        keep(ir_.GetFpFlags());
        return;
      case 3:
        faults_allowed_ = false;
        return ir_.SetFpFlags(value(Type::I32));
      case 4:
        if (options_.calls) keep(ir_.CallHelper(0, Type::I64, {value(Type::I64), value(Type::I64)}));
        return;
      default:
        if (!options_.calls || !faults_allowed_) return;
        ir_.CallHelper(1, Type::None, {value(Type::I32)});
        faults_allowed_ = false;
        return;
    }
  }
  void terminal() {
    const auto hint = static_cast<JumpHint>(random_.below(3));
    switch (random_.below(4)) {
      case 0:
        return ir_.Jump(pc_, hint);
      case 1:
        return ir_.Branch(value(Type::I1), random_.number(), pc_, hint);
      case 2:
        return ir_.JumpIndirect(value(Type::I64), hint);
      default:
        return ir_.Raise(ExitKind::Syscall, random_.number());
    }
  }

  Random& random_;
  const RandomBlockOptions& options_;
  Block block_;
  Builder ir_{block_};
  std::vector<Value> values_[kTypeCount];
  uint64_t pc_ = options_.pc;
  bool faults_allowed_ = true;
};

}  // namespace

uint64_t Random::number() {
  constexpr uint64_t kEdges[] = {0,
                                 1,
                                 2,
                                 ~uint64_t{0},
                                 0x7f,
                                 0x80,
                                 0xff,
                                 0x7fff,
                                 0x8000,
                                 0x7fffffff,
                                 0x80000000,
                                 uint64_t{1} << 63,
                                 ~uint64_t{0} >> 1};
  if (one_in(2)) return kEdges[below(std::size(kEdges))];
  return next() >> below(64);
}

std::optional<Inst> random_inst(Random& random, Op op, Type* operands) {
  const uint16_t effects = info(op).effects;
  if ((effects & ~FpFlags) != 0 || op == Op::Insn || op == Op::Const || op == Op::ForgetState)
    return std::nullopt;
  Inst inst{.op = op};
  for (unsigned tries = 0; tries < 20000; ++tries)
    if (try_types(random, inst, operands)) return inst;
  return std::nullopt;
}

const StateLayout& test_layout() { return kLayout; }
HelperTable test_helpers() { return kHelpers; }

Block random_block(Random& random, const RandomBlockOptions& options) {
  return Generator(random, options).run();
}

}  // namespace lyrebird::ir::test
