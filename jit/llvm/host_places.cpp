// SPDX-License-Identifier: Apache-2.0
#include "jit/llvm/host_places.h"

#include <llvm/CodeGen/MachineBasicBlock.h>
#include <llvm/CodeGen/MachineFunction.h>
#include <llvm/CodeGen/StackMaps.h>
#include <llvm/CodeGen/TargetInstrInfo.h>
#include <llvm/CodeGen/TargetRegisterInfo.h>
#include <llvm/CodeGen/TargetSubtargetInfo.h>

namespace lyrebird::jit::lowering {

namespace {

using llvm::MachineInstr;
using llvm::MachineOperand;

/// A register, or memory at one, or a constant.
struct Place {
  enum class Kind { Register, Memory, Constant } kind = Kind::Constant;
  llvm::MCRegister reg;
  int64_t value = 0;
  int64_t size = 16;  ///< (Memory) bytes that matter, at most
};

class Finder {
 public:
  explicit Finder(const MachineInstr& access)
      : access_(access),
        info_(*access.getMF()->getSubtarget().getInstrInfo()),
        registers_(*access.getMF()->getSubtarget().getRegisterInfo()) {}

  std::optional<std::vector<HostPlace>> find(uint64_t before_id, uint64_t after_id, size_t count) const {
    const MachineInstr* const before = neighbour(before_id, false);
    const MachineInstr* const after = neighbour(after_id, true);
    if (!before) return std::nullopt;
    const std::vector<Place> early = parse(*before);
    const std::vector<Place> late = after ? parse(*after) : std::vector<Place>{};
    if (early.size() != count || (after && late.size() != count)) return std::nullopt;
    std::vector<HostPlace> places;
    for (size_t i = 0; i < count; ++i) {
      std::optional<Place> at;
      if (lasts(early[i], *before))
        at = early[i];
      else if (after)
        at = trace_back(late[i], *after);
      const auto host = at ? host_place(*at) : std::nullopt;
      if (!host) return std::nullopt;
      places.push_back(*host);
    }
    return places;
  }

 private:
  /// The stack map in the access's block, nearest in that direction.
  const MachineInstr* neighbour(uint64_t id, bool forward) const {
    for (const MachineInstr* at = &access_; at; at = forward ? at->getNextNode() : at->getPrevNode())
      if (at->getOpcode() == llvm::TargetOpcode::STACKMAP &&
          static_cast<uint64_t>(at->getOperand(0).getImm()) == id)
        return at;
    return nullptr;
  }

  static std::vector<Place> parse(const MachineInstr& map) {
    std::vector<Place> places;
    for (unsigned i = 2; i < map.getNumOperands(); ++i) {
      const MachineOperand& operand = map.getOperand(i);
      if (operand.isReg()) {
        if (operand.isImplicit()) continue;
        Place place{.kind = Place::Kind::Register, .reg = operand.getReg().asMCReg()};
        // A value that does not matter.
        if (operand.isUndef()) place = {};
        places.push_back(place);
        continue;
      }
      if (!operand.isImm()) return {};
      const int64_t kind = operand.getImm();
      if (kind == llvm::StackMaps::ConstantOp && i + 1 < map.getNumOperands()) {
        places.push_back({.kind = Place::Kind::Constant, .reg = {}, .value = map.getOperand(i + 1).getImm()});
        i += 1;
      } else if (kind == llvm::StackMaps::IndirectMemRefOp && i + 3 < map.getNumOperands() &&
                 map.getOperand(i + 2).isReg()) {
        places.push_back({.kind = Place::Kind::Memory,
                          .reg = map.getOperand(i + 2).getReg().asMCReg(),
                          .value = map.getOperand(i + 3).getImm(),
                          .size = map.getOperand(i + 1).getImm()});
        i += 3;
      } else {
        return {};
      }
    }
    return places;
  }

  /// Whether what is there in front of `from` is there at the access, and the access itself leaves it.
  bool lasts(const Place& place, const MachineInstr& from) const {
    for (const MachineInstr* at = from.getNextNode(); at; at = at->getNextNode()) {
      // What the access changes, it changes only if it does not fault.
      if (at == &access_) return true;
      if (changes(*at, place)) return false;
    }
    return false;
  }

  bool changes(const MachineInstr& inst, const Place& place) const {
    switch (place.kind) {
      case Place::Kind::Constant:
        return false;
      case Place::Kind::Register:
        return inst.modifiesRegister(place.reg, &registers_);
      case Place::Kind::Memory:
        return inst.modifiesRegister(place.reg, &registers_) || (inst.mayStore() && may_write(inst, place));
    }
    return true;
  }

  /// Whether the store may be to the place on the stack.
  bool may_write(const MachineInstr& inst, const Place& place) const {
    if (inst.getOpcode() == llvm::TargetOpcode::STACKMAP) return false;
    if (!inst.hasOneMemOperand()) return true;
    const llvm::MachineMemOperand& operand = **inst.memoperands_begin();
    // The guest or its state.
    if (operand.isVolatile()) return false;
    if (!is_address_on_stack(inst, 0) || !operand.getSize().hasValue()) return true;
    const int64_t at = inst.getOperand(3).getImm();
    const auto size = static_cast<int64_t>(operand.getSize().getValue().getKnownMinValue());
    return at < place.value + place.size && place.value < at + size;
  }

  /// Whether the five operands from there on are rsp and a displacement.
  bool is_address_on_stack(const MachineInstr& inst, unsigned first) const {
    return inst.getNumOperands() >= first + 5 && inst.getOperand(first).isReg() &&
           is_stack(inst.getOperand(first).getReg().asMCReg()) && inst.getOperand(first + 2).isReg() &&
           inst.getOperand(first + 2).getReg() == llvm::Register() && inst.getOperand(first + 3).isImm();
  }

  /// Where what is at `place` at `from` was at the access.
  std::optional<Place> trace_back(Place place, const MachineInstr& from) const {
    for (const MachineInstr* at = from.getPrevNode(); at; at = at->getPrevNode()) {
      if (at == &access_) return changes(*at, place) ? std::nullopt : std::optional(place);
      if (!changes(*at, place)) continue;
      if (place.kind == Place::Kind::Memory) {
        const auto stored = stored_there(*at, place);
        if (!stored) return std::nullopt;
        place = *stored;
        continue;
      }
      const auto came = source(*at, place.reg);
      if (!came) return std::nullopt;
      place = *came;
    }
    return std::nullopt;
  }

  /// What an instruction that does nothing but fill the register fills it with.
  std::optional<Place> source(const MachineInstr& inst, llvm::MCRegister to) const {
    if (const auto copy = info_.isCopyInstr(inst)) {
      if (copy->Destination->getReg() != to) return std::nullopt;
      return Place{.kind = Place::Kind::Register, .reg = copy->Source->getReg().asMCReg()};
    }
    if (!inst.getNumOperands() || !inst.getOperand(0).isReg() || inst.getOperand(0).getReg() != to)
      return std::nullopt;
    const llvm::StringRef name = info_.getName(inst.getOpcode());
    if ((name == "MOV32ri" || name == "MOV64ri32" || name == "MOV64ri" || name == "MOV8ri") &&
        inst.getOperand(1).isImm())
      return Place{.kind = Place::Kind::Constant, .reg = {}, .value = inst.getOperand(1).getImm()};
    if ((name == "MOV64rm" || name == "MOV32rm" || name == "MOV8rm" || name == "MOVAPSrm" ||
         name == "VMOVAPSrm" || name == "VMOVAPSZ128rm" || name == "VMOVUPSrm" || name == "MOVUPSrm") &&
        is_address_on_stack(inst, 1))
      return Place{.kind = Place::Kind::Memory,
                   .reg = inst.getOperand(1).getReg().asMCReg(),
                   .value = inst.getOperand(4).getImm()};
    return std::nullopt;
  }

  /// What a plain store to the place puts there.
  std::optional<Place> stored_there(const MachineInstr& inst, const Place& place) const {
    const llvm::StringRef name = info_.getName(inst.getOpcode());
    const bool plain = name == "MOV64mr" || name == "MOV32mr" || name == "MOV8mr" || name == "MOVAPSmr" ||
                       name == "VMOVAPSmr" || name == "VMOVAPSZ128mr" || name == "MOVUPSmr" ||
                       name == "VMOVUPSmr";
    if (!plain || !is_address_on_stack(inst, 0) || !inst.hasOneMemOperand()) return std::nullopt;
    const auto size = (*inst.memoperands_begin())->getSize();
    if (inst.getOperand(3).getImm() != place.value || !size.hasValue() ||
        static_cast<int64_t>(size.getValue().getKnownMinValue()) < place.size)
      return std::nullopt;
    return Place{.kind = Place::Kind::Register, .reg = inst.getOperand(5).getReg().asMCReg()};
  }

  bool is_stack(llvm::MCRegister reg) const { return llvm::StringRef(registers_.getName(reg)) == "RSP"; }

  std::optional<HostPlace> host_place(const Place& place) const {
    if (place.kind == Place::Kind::Constant)
      return HostPlace{.kind = HostPlace::Kind::Constant, .value = place.value};
    if (place.kind == Place::Kind::Memory) {
      if (!is_stack(place.reg)) return std::nullopt;
      return HostPlace{.kind = HostPlace::Kind::Stack, .value = place.value};
    }
    llvm::StringRef name = registers_.getName(place.reg);
    const auto number = static_cast<uint8_t>(registers_.getEncodingValue(place.reg) & 31);
    if (name.starts_with("XMM") || name.starts_with("YMM"))
      return HostPlace{.kind = HostPlace::Kind::Vector, .reg = number};
    if (name == "AH" || name == "BH" || name == "CH" || name == "DH")
      return HostPlace{.kind = HostPlace::Kind::HighByte, .reg = static_cast<uint8_t>(number & 3)};
    if (number >= 16 || !(name.starts_with("R") || name.starts_with("E") || name.size() == 2 ||
                          name == "SIL" || name == "DIL" || name == "BPL" || name == "SPL"))
      return std::nullopt;
    return HostPlace{.kind = HostPlace::Kind::General, .reg = number};
  }

  const MachineInstr& access_;
  const llvm::TargetInstrInfo& info_;
  const llvm::TargetRegisterInfo& registers_;
};

}  // namespace

std::optional<std::vector<HostPlace>> find_places(const MachineInstr& access, uint64_t before, uint64_t after,
                                                  size_t count) {
  return Finder(access).find(before, after, count);
}

}  // namespace lyrebird::jit::lowering
