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
                          .value = map.getOperand(i + 3).getImm()});
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
        return inst.modifiesRegister(place.reg, &registers_) || (inst.mayStore() && writes_stack(inst));
    }
    return true;
  }

  /// Not a store to the guest or its state.
  bool writes_stack(const MachineInstr& inst) const {
    if (inst.getOpcode() == llvm::TargetOpcode::STACKMAP) return false;
    if (inst.memoperands_empty()) return true;
    for (const llvm::MachineMemOperand* operand : inst.memoperands())
      if (!operand->isVolatile()) return true;
    return false;
  }

  /// Where what is at `place` at `from` was at the access.
  std::optional<Place> trace_back(Place place, const MachineInstr& from) const {
    for (const MachineInstr* at = from.getPrevNode(); at; at = at->getPrevNode()) {
      if (at == &access_) return changes(*at, place) ? std::nullopt : std::optional(place);
      if (!changes(*at, place)) continue;
      if (place.kind != Place::Kind::Register) return std::nullopt;
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
    if ((name == "MOV64rm" || name == "MOV32rm" || name == "MOV8rm") && inst.getNumOperands() >= 6 &&
        inst.getOperand(1).isReg() && is_stack(inst.getOperand(1).getReg().asMCReg()) &&
        inst.getOperand(3).getReg() == llvm::Register() && inst.getOperand(4).isImm())
      return Place{.kind = Place::Kind::Memory,
                   .reg = inst.getOperand(1).getReg().asMCReg(),
                   .value = inst.getOperand(4).getImm()};
    return std::nullopt;
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
