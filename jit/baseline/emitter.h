// SPDX-License-Identifier: Apache-2.0
/// Emits one block, one instruction after the other.
///
/// Host registers: those of the state, the frame (frame.h) and the pinned guest registers are
/// jit/abi.h's, all others hold values and belong to nobody across
/// instructions. See registers.cpp for where values live, emit_*.cpp for the ops.
///
/// Conventions for values in host registers: an int is zero-extended to 64 bits unless
/// its plan says it is not clean; what lies above a float or V64 in a vector register is
/// undefined unless its plan says zeros_above.
#pragma once

#include <asmjit/x86.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/block.h"
#include "jit/abi.h"
#include "jit/baseline/assembler.h"
#include "jit/baseline/frame.h"
#include "jit/baseline/host.h"
#include "jit/baseline/plan.h"
#include "jit/code_observer.h"
#include "jit/code_plan.h"
#include "jit/interp/code.h"

namespace lyrebird::jit::baseline {

inline constexpr uint16_t kF80DefaultControl = 0x37f;  ///< the x87's, outside of blocks
inline constexpr unsigned kF80Stack = 8;

struct EmitOptions {
  bool zero_base = true;                          ///< CpuHeader::memory_base is 0
  bool system = false;                            ///< guest memory is reached by the TLB (jit/tlb.h)
  bool loops = true;                              ///< BaselineOptions has it
  bool marks = false;                             ///< note where the code of each guest instruction starts
  bool sse_floats = false;                        ///< StateLayout::sse_floats
  uint32_t (*mode_tag)(uint32_t mode) = nullptr;  ///< StateLayout's, if keys of the jump cache have it
  bool strip_tags = false;  ///< AddressRule::IgnoreTop is done inline, not by the fault path
  bool fp_traps = false;    ///< BaselineOptions has it
  bool careful = false;     ///< (fp_traps) its floating point masks them, as they came too often
};

class Emitter {
 public:
  Emitter(const Pins& pins, const HostFeatures& host);

  /// False if the block is beyond what the emitter can do (too many values).
  bool emit(const ir::Block& block, ir::HelperTable helpers, const EmitOptions& options);

  // The result.
  const uint8_t* code() const { return a_.block_data(); }
  uint32_t code_size() const { return static_cast<uint32_t>(a_.offset()); }
  uint32_t hot_size() const { return hot_size_; }        ///< bytes of code that are not out of line
  uint32_t hot_count() const { return hot_count_; }      ///< instructions of that
  uint32_t after_check() const { return after_check_; }  ///< offset of the entry without check
  uint32_t prefix() const { return prefix_; }            ///< BlockInfo::Source has these two
  bool drops_flags() const { return plan_.drops_flags(); }
  bool notes_flags() const { return notes_flags_; }
  uint32_t instructions_size() const { return instructions_size_; }  ///< without the data behind them
  const std::vector<HostCode::Mark>& marks() const { return marks_; }
  const std::vector<ExitPlan>& exits() const { return exits_; }
  const std::vector<FaultPlan>& faults() const { return faults_; }
  const std::vector<TrapPlan>& traps() const { return traps_; }
  /// Offsets of 8-byte pointers into this program. There are no other absolute addresses in the code.
  const std::vector<uint32_t>& pointers() const { return pointers_; }
  /// (EmitOptions::system) Offsets of 8-byte guest addresses that move with the block's pc; kMoveIndex
  /// besides. If movable(), nothing else in the code depends on the pc but for its offset in a page.
  const std::vector<uint32_t>& moves() const { return moves_; }
  bool movable() const { return movable_; }

 private:
  using Gp = asmjit::x86::Gp;
  using Xmm = asmjit::x86::Xmm;
  using Mem = asmjit::x86::Mem;
  using Label = asmjit::Label;
  using Operand = asmjit::Operand;
  using Cc = asmjit::x86::CondCode;

  enum class Home : uint8_t { None, State, Slot };
  struct Loc {
    uint8_t gpr = kNoReg, xmm = kNoReg;
    Home home = Home::None;
    uint32_t offset = 0;
  };
  /// What the host flags are those of.
  struct Flags {
    enum class Kind : uint8_t { None, Sub, Add, Logic, Float, Choice, Other } kind = Kind::None;
    ir::Type type = ir::Type::None;
    ir::ValueId a = ir::kNoValue, b = ir::kNoValue, result = ir::kNoValue;  // roots
    ir::ValueId carry = ir::kNoValue;
    // Choice: those of `chosen` (Sub, Add) if the value holds, and else these.
    ir::ValueId go = ir::kNoValue;
    Kind chosen = Kind::None;
    uint16_t otherwise = 0;  ///< a status word
    // Other: what these say, and nothing else.
    bool step = false;                 ///< (Add, Sub, too) but for the carry
    uint8_t way = 0xff;                ///< of a shift of a by b (eval::ShiftWay)
    ir::ValueId maker = ir::kNoValue;  ///< the arithmetic that made them for a StatusOfShift or StatusOfStep
    ir::ValueId word = ir::kNoValue;   ///< (root) they are this status word ..
    bool other_carry = false;          ///< .. but for the carry, which is the other one
  };

  /// Where a guest address can be made from: registers or memory.
  struct GuestPlace {
    asmjit::Operand base, index;
    uint8_t shift = 0;
    int32_t displacement = 0;
  };

  struct Cold {
    enum class Kind : uint8_t { Float, Masked, Memory, System, Divide, Flags } kind;
    Label from, back, record;
    ir::Op op;
    ir::Type type, elem;  ///< of the result; of the lanes
    uint8_t d = kNoReg;
    uint8_t arg_count = 0;
    uint8_t args[3] = {};
    bool gpr_args = false, gpr_result = false;
    bool check = false;    ///< the result is there, and may be right
    uint8_t d_stored = 0;  ///< bytes
    // (Float, Masked) comes here from host instructions that trap, if there are any
    uint32_t trap_start = 0, trap_size = 0;
    bool keeps_flags = false;  ///< the host's
    asmjit::InstId id = 0;     ///< (Masked) to be done without traps, with args and d, if it has one
    // Flags: those of d, which becomes args[0], plus args[1] (check), or minus that
    // System
    bool xmm_value = false, xmm_result = false;
    uint32_t aux = 0;
    uint64_t pc = 0;
    uint8_t page = kNoReg;  ///< of an access in a PageGroup: becomes 0
    uint8_t temp = kNoReg;  ///< (the first of a group) may be changed; page, too
    GuestPlace place;       ///< (the others) of the address
  };

  /// Accesses near each other, of which the first one looks at the TLB for all.
  struct PageGroup {
    ir::ValueId first = 0, last = 0;
    bool write = false;         ///< any of them
    int32_t from = 0;           ///< displacement of the first
    int32_t origin = 0;         ///< the same of what reg has
    int32_t low = 0, high = 0;  ///< displacements of the first byte and of the last
    // From the first to the last: a host address, or 0 if each has to look.
    uint8_t reg = kNoReg;
    uint32_t slot = 0;  ///< where it is if it is in no register
  };

  /// A side exit that has something to store.
  struct F80Exit {
    Label from;
    unsigned exit;
    uint16_t control;
    uint8_t count = 0;
    uint8_t fields[kF80Stack] = {};  ///< of each entry of the stack, the lowest first: a bit for each field
  };
  /// A block that jumps to itself with fields on the stack, the lowest first.
  struct F80Loop {
    std::vector<uint8_t> fields;
    std::vector<ir::ValueId> ids;  ///< of what the block reads of them
    uint32_t start = 0;            ///< where a round begins; 0: it is no such block
    uint16_t control = kF80DefaultControl;
  };
  static constexpr size_t kMostCarried = 5;  ///< the others are for what a round computes

  // --- emitter.cpp
  bool attempt();
  void start_body();
  bool emit_body();
  void start_guest_instruction(const ir::Inst& inst);
  void emit_inst(const ir::Inst& inst);
  void emit_entry();
  void emit_tail();
  uint32_t emit_leave(uint32_t way);
  const ir::Inst& at(ir::ValueId id) const { return insts_[id]; }
  ir::Type type_of(ir::ValueId id) const { return insts_[id].type; }
  bool is_const(ir::ValueId id) const { return at(id).op == ir::Op::Const; }
  /// The constant zero-extended from its type.
  uint64_t constant(ir::ValueId id) const;
  std::optional<int32_t> imm32(ir::ValueId id, ir::Type type) const;
  ir::ValueId root(ir::ValueId id) const { return plan_[id].root; }

  // --- registers.cpp
  Loc& loc(ir::ValueId root) { return locs_[root]; }
  bool dies(ir::ValueId id) const { return plan_[root(id)].last_use <= now_; }
  uint8_t take_gpr();
  uint8_t take_xmm();
  void take_this_xmm(uint8_t reg);  // empties it
  void take_this_gpr(uint8_t reg);  // empties it
  void release_gpr(uint8_t reg);
  void drop(ir::ValueId root);
  void spill_gpr(uint8_t reg);
  void spill_xmm(uint8_t reg);
  uint32_t take_slot(unsigned size);
  void give_slot(uint32_t offset, unsigned size);
  void end_of_instruction() {
    if (!touched_.empty()) drop_dead();
    if (!instruction_slots_.empty()) give_instruction_slots();
    locked_gpr_ = 0;
    locked_xmm_ = 0;
  }
  void drop_dead();
  void give_instruction_slots();
  void lock_gpr(uint8_t reg) { locked_gpr_ |= static_cast<uint16_t>(1u << reg); }
  void lock_xmm(uint8_t reg) { locked_xmm_ |= 1u << reg; }
  void bind_gpr(ir::ValueId root, uint8_t reg);
  void bind_xmm(ir::ValueId root, uint8_t reg);
  void touch(ir::ValueId root) { touched_.push_back(root); }
  static unsigned slot_size(ir::Type type);

  /// The register that holds the value, loading it if need be. Locked until the end of the instruction.
  uint8_t use_gpr(ir::ValueId id);
  uint8_t use_xmm(ir::ValueId id);
  /// The same with zeros above the type.
  uint8_t use_clean(ir::ValueId id);
  /// A register of its own with the value in it, to be changed.
  uint8_t copy_gpr(ir::ValueId id);
  uint8_t copy_xmm(ir::ValueId id);
  /// The value (an int) into a register that is the caller's; does not change where it lives.
  void move_to(uint8_t reg, ir::ValueId id);
  bool in_memory(ir::ValueId id) { return loc(root(id)).gpr == kNoReg && loc(root(id)).home != Home::None; }
  /// Register or memory operand of the type's size.
  asmjit::Operand use_rm(ir::ValueId id, ir::Type type);
  /// As use_rm, or an immediate.
  asmjit::Operand use_rmi(ir::ValueId id, ir::Type type);
  /// Vector register or 16-byte memory (aligned only if AVX takes care).
  asmjit::Operand use_xm(ir::ValueId id);
  /// The value in memory, at least its type's bytes.
  Mem use_mem(ir::ValueId id);
  uint16_t use_operand(ir::ValueId id);  // for an interpreter record
  bool in_register(ir::ValueId id) { return loc(root(id)).gpr != kNoReg; }
  /// Where the current instruction's result goes. `reuse`: an operand whose register may be taken over
  /// if it dies here.
  uint8_t def_gpr(ir::ValueId reuse = ir::kNoValue);
  uint8_t def_xmm(ir::ValueId reuse = ir::kNoValue);
  uint8_t def_copy(ir::ValueId value, const asmjit::Operand& keep = asmjit::Operand());
  Mem def_slot();
  void move_aliases_away(uint8_t pinned);
  void set_home(ir::ValueId root, Home home, uint32_t offset);
  void lose_state(uint32_t offset, uint32_t size, bool wanted_now = false);
  Gp gp(uint8_t reg, ir::Type type) const;
  static Gp gp64(uint8_t reg) { return asmjit::x86::gpq(reg); }
  static Gp gp32(uint8_t reg) { return asmjit::x86::gpd(reg); }
  static Xmm xmm(uint8_t reg) { return asmjit::x86::xmm(reg); }
  Mem state_mem(uint32_t offset, unsigned size = 0) const;
  Mem frame_mem(uint32_t offset, unsigned size = 0) const;
  void load_int(uint8_t reg, const Mem& from, ir::Type type);
  void load_float(uint8_t reg, const Mem& from, ir::Type type);
  void load_from_state(uint8_t reg, uint32_t offset, ir::Type type);
  void load_const(uint8_t reg, uint64_t value);
  void load_const_value(uint8_t reg, ir::ValueId id);
  /// A guest address at a fixed distance from the block's pc.
  void load_address(uint8_t reg, uint64_t address);
  void load_const_xmm(uint8_t reg, uint64_t low, uint64_t high);
  void move_xmm(uint8_t to, uint8_t from);
  Mem pool(uint64_t low, uint64_t high);  // 16 bytes, aligned

  // --- emit_integer.cpp
  bool emit_integer(const ir::Inst& inst);
  bool emit_narrow(const ir::Inst& inst);
  bool emit_word(const ir::Inst& inst);
  bool emit_bool(const ir::Inst& inst);
  bool emit_convert(const ir::Inst& inst);
  void emit_binary(const ir::Inst& inst, asmjit::InstId id, bool commutes);
  void emit_add(const ir::Inst& inst);
  void emit_sub(const ir::Inst& inst);
  bool is_lea_of(const ir::Inst& difference) const;
  void emit_shift(const ir::Inst& inst);
  void emit_multiply_high(const ir::Inst& inst);
  void emit_divide(const ir::Inst& inst);
  void emit_divide_wide(const ir::Inst& inst);
  Label divide_record(ir::Type type);
  void emit_cold_divide(const Cold& cold);
  void emit_min_max(const ir::Inst& inst);
  void emit_with_carry(const ir::Inst& inst);
  bool carry_in_flags(ir::ValueId carry, Cc* cc) const;
  bool carry_wanted() const;
  void emit_unary(const ir::Inst& inst);
  void emit_select(const ir::Inst& inst);
  void emit_shift_for_status(const ir::Inst& inst, const ir::Inst& status);
  void emit_step(const ir::Inst& inst, asmjit::InstId id);
  std::optional<Operand> bit_tested(ir::ValueId condition, unsigned* bit, bool* opposite);

  // --- emit_compare.cpp
  /// Sets host flags for a lazy compare and gives the condition; never touches registers that hold values.
  Cc evaluate(ir::ValueId condition);
  std::optional<Cc> cached(const ir::Inst& compare) const { return cached(compare, flags_); }
  std::optional<Cc> cached(const ir::Inst& compare, const Flags& flags) const;
  std::optional<Cc> cached_arithmetic(const ir::Inst& compare, const Flags& flags) const;
  std::optional<Cc> cached_choice(const ir::Inst& choice, const Flags& flags) const;
  Cc evaluate_choice(const ir::Inst& choice);
  Cc compare_flags(const ir::Inst& compare);
  bool same_value(ir::ValueId a, ir::ValueId b) const;
  void remake(ir::ValueId id);
  const ir::Inst* compared_order(const ir::Inst& compare, ir::ValueId* order, uint64_t* with) const;
  std::optional<Cc> evaluate_order(const ir::Inst& compare);
  void order_flags(const ir::Inst& order, bool crossed);
  bool wants_crossed(ir::ValueId order) const;
  uint8_t order_equal(const ir::Inst& order);
  void make_order(const ir::Inst& order, uint8_t d);
  // --- emit_status.cpp
  bool emit_status(const ir::Inst& inst);
  bool status_flags(const ir::Inst& inst);
  bool order_status_flags(const ir::Inst& inst);
  bool make_order_status(const ir::Inst& inst);
  void make_outcome_status(const ir::Inst& inst);
  bool shift_status_flags(const ir::Inst& inst);
  bool step_status_flags(const ir::Inst& inst);
  /// The host's flags are that status word.
  bool is_live(ir::ValueId word) const {
    return flags_.word != ir::kNoValue && flags_.word == root(word) && !flags_.other_carry;
  }
  void load_status_flags(ir::ValueId word, bool overflow);
  void load_status_carry(ir::ValueId word);
  bool wants_word() const;
  void save_word();
  bool is_known(ir::ValueId id, uint64_t value) const {
    return at(root(id)).op == ir::Op::Const && constant(id) == value;
  }
  void no_flags() {
    const ir::ValueId word = delays() ? flags_.word : ir::kNoValue;
    const bool other_carry = flags_.other_carry;
    flags_ = {};
    flags_.word = word;
    flags_.other_carry = other_carry;
  }
  bool delays_status() const;
  void delay_status(FlagsAt at, ir::ValueId write);
  void settle_status(const ir::Inst& inst);
  bool keeps_status(const ir::Inst& inst);
  bool is_vector_only(const ir::Inst& inst) const;
  bool is_answered(ir::ValueId condition);
  void store_status();
  void forget_status();
  bool keeps_incoming_status();
  void put_flags(FlagsAt at);
  void load_status();
  void bind_status();
  void choose_status(const ir::Inst& choice);
  void emit_cold_flags(const Cold& cold);
  FlagsAt flags_at() const { return status_incoming_ ? FlagsAt::HostIfNoRcx : delayed_; }
  bool delays() const { return delayed_ != FlagsAt::State; }
  void materialise(ir::ValueId lazy);
  bool test_byte_of_state(ir::ValueId value, uint16_t bits);

  // --- emit_pinned_vector.cpp
  uint8_t use_pinned_xmm(ir::ValueId value);
  uint8_t use_first_xmm(ir::ValueId value);
  void load_vector_pin(uint8_t to, uint32_t offset, unsigned size);
  void store_vector_pin(uint32_t offset, unsigned size, uint8_t from);
  void get_part_of_vector_pin(const ir::Inst& inst);
  void set_part_of_vector_pin(uint32_t offset, ir::Type type, uint8_t from);
  void vector_pins_to_memory(uint32_t offset, uint32_t size);
  void vector_pins_from_memory(uint32_t offset, uint32_t size);
  void get_from_vector_pins(const ir::Inst& inst);
  void set_vector_pins(ir::ValueId value, uint32_t offset);

  // --- emit_state.cpp
  void emit_get_state(const ir::Inst& inst);
  void emit_set_state(const ir::Inst& inst);
  void store_to_state(ir::ValueId value, uint32_t offset);
  bool is_home(ir::ValueId id, uint32_t offset, uint32_t size);
  void make_home(ir::ValueId value, uint32_t offset);
  void copy_memory(const Mem& from, const Mem& to, uint32_t size);

  // --- emit_memory.cpp
  bool emit_memory(const ir::Inst& inst);
  void emit_load(const ir::Inst& inst, const ir::MemInfo& info);
  void emit_store(const ir::Inst& inst, const ir::MemInfo& info);
  bool emit_atomic(const ir::Inst& inst, const ir::MemInfo& info);
  bool emit_compare_swap(const ir::Inst& inst, const ir::MemInfo& info);
  bool emit_load_exclusive(const ir::Inst& inst, const ir::MemInfo& info);
  bool emit_store_exclusive(const ir::Inst& inst, const ir::MemInfo& info);
  void emit_memory_record(const ir::Inst& inst);
  Mem guest_memory(ir::ValueId address, const ir::MemInfo& info);
  uint8_t guest_address(ir::ValueId address);
  /// Leaves for `cold` if the address is not a multiple of the size. Until the cold path is back no register
  /// may be taken: what that spills, the cold path would miss.
  void check_alignment(uint8_t address, const ir::MemInfo& info, Label cold);
  Label memory_record(const ir::Inst& inst, uint16_t a, uint16_t b, uint16_t c, uint16_t d);
  void stop_if_asked();
  void full_fence();
  template <typename... Args>
  void faulting(Args&&... args) {
    const size_t start = a_.offset();
    (void)a_.emit(args...);
    const ir::Op op = at(now_).op;
    faults_.push_back({.offset = static_cast<uint32_t>(start),
                       .guest = static_cast<uint32_t>(pc_ - block_->key.pc),
                       .f80 = f80_map(),
                       .flags = flags_at(),
                       .plain = op == ir::Op::Load || op == ir::Op::Store});
  }

  // --- emit_tlb.cpp
  bool emit_system_memory(const ir::Inst& inst);
  void emit_system_load(const ir::Inst& inst, const ir::MemInfo& info);
  void emit_system_store(const ir::Inst& inst, const ir::MemInfo& info);
  bool emit_system_atomic(const ir::Inst& inst, const ir::MemInfo& info);
  void emit_system_compare_swap(const ir::Inst& inst, const ir::MemInfo& info);
  void emit_system_load_exclusive(const ir::Inst& inst, const ir::MemInfo& info);
  void emit_system_store_exclusive(const ir::Inst& inst, const ir::MemInfo& info);
  /// What a look into the TLB may change. With a third register it is one cycle shorter.
  struct Probe {
    uint8_t i, t, entries = kNoReg;
  };
  uint8_t free_gpr() const;
  /// Until the cold path is back no register may be taken.
  void probe_tlb(uint8_t address, const ir::MemInfo& info, bool write, const Probe& probe, Label cold);
  void probe_tlb(uint8_t address, const ir::MemInfo& info, bool write, const Probe& probe, Label cold,
                 int32_t low, int32_t high);
  void load_plainly(uint8_t d, ir::Type type, const ir::MemInfo& info, const Mem& m);
  void store_plainly(uint8_t v, bool vector, const ir::MemInfo& info, const Mem& m);
  static bool has_inline_form(const ir::Inst& inst, const ir::MemInfo& info, ir::Type value);
  Cold cold_system(const ir::Inst& inst);
  /// System mode: the jump may lead elsewhere another time, so that it is never linked.
  bool leaves_page(const ExitPlan& exit) const {
    return options_.system && exit.kind == ExitPlan::Kind::Jump && exit.mode_known &&
           (exit.pc ^ block_->key.pc) >> 12 != 0;
  }
  /// Looks into the thread's jump cache before the exit is taken.
  void emit_jump_probe(const ExitPlan& exit);
  void emit_cold_system(Cold cold);

  // --- emit_tlb_pages.cpp
  void find_page_groups();
  bool may_share_page(ir::ValueId id) const;
  PageGroup* page_group(ir::ValueId id) {
    return id < group_at_.size() && group_at_[id].group != 0 ? &page_groups_[group_at_[id].group - 1u]
                                                             : nullptr;
  }
  GuestPlace guest_place(ir::ValueId address);
  int32_t group_offset(ir::ValueId address) const;
  void probe_group(PageGroup& group, Cold& cold, const ir::MemInfo& info, const Probe& probe, int32_t offset);
  uint8_t use_page(PageGroup& group);
  void check_page(Cold& cold, uint8_t page);
  Mem in_page(const PageGroup& group, uint8_t page, const ir::MemInfo& info) const;
  bool is_pinned_read(ir::ValueId root) const {
    return at(root).op == ir::Op::GetState && pins_.at(static_cast<uint32_t>(at(root).imm));
  }
  Address followed_address(ir::ValueId value) const;
  void follow_pin(ir::ValueId id, ir::ValueId (&pinned)[16]);
  void end_of_access(PageGroup& group);
  void page_to_memory(PageGroup& group);
  PageGroup* held_page(uint8_t reg);
  /// A register that holds the page of a group and may be had for something else, or kNoReg.
  uint8_t take_from_page();
  void emit_cold_page(Cold& cold);

  // --- emit_vector.cpp
  bool emit_vector(const ir::Inst& inst);
  bool emit_vector_binary(const ir::Inst& inst);
  bool emit_vector_shift(const ir::Inst& inst);
  bool emit_vector_compare(const ir::Inst& inst);
  bool emit_vector_move(const ir::Inst& inst);
  bool emit_lowest_lane(const ir::Inst& inst);
  bool emit_vector_lanes(const ir::Inst& inst);
  bool emit_unzip(const ir::Inst& inst, unsigned lane);
  bool emit_both_unzips(const ir::Inst& inst, unsigned lane);
  bool emit_vector_unary(const ir::Inst& inst);
  bool emit_vector_reduce(const ir::Inst& inst);
  /// d = op(a, b) with the host's best form.
  struct VecOp {
    asmjit::InstId sse, avx;
  };
  static constexpr VecOp kAnd{asmjit::x86::Inst::kIdPand, asmjit::x86::Inst::kIdVpand};
  static constexpr VecOp kOr{asmjit::x86::Inst::kIdPor, asmjit::x86::Inst::kIdVpor};
  static constexpr VecOp kXor{asmjit::x86::Inst::kIdPxor, asmjit::x86::Inst::kIdVpxor};
  static constexpr VecOp kAdd32{asmjit::x86::Inst::kIdPaddd, asmjit::x86::Inst::kIdVpaddd};
  static constexpr VecOp kShuffle{asmjit::x86::Inst::kIdPshufd, asmjit::x86::Inst::kIdVpshufd};
  static constexpr VecOp kShuffle2{asmjit::x86::Inst::kIdShufps, asmjit::x86::Inst::kIdVshufps};
  void vop(VecOp op, uint8_t d, uint8_t a, const asmjit::Operand& b);
  void vop_imm(VecOp op, uint8_t d, uint8_t a, const asmjit::Operand& b, uint32_t imm);
  void vun(VecOp op, uint8_t d, const asmjit::Operand& a);
  void vun_imm(VecOp op, uint8_t d, const asmjit::Operand& a, uint32_t imm);
  void vshift(VecOp op, uint8_t d, uint8_t a, uint32_t by);
  std::optional<uint64_t> splat_constant(ir::ValueId id, ir::Type elem) const;
  std::optional<uint32_t> blend_control(ir::ValueId mask) const;

  // --- emit_lanes.cpp
  bool emit_lanes(const ir::Inst& inst);
  Mem lanes_of(uint64_t value, unsigned lane);
  void shift_lanes(ir::Op op, unsigned lane, uint8_t d, uint8_t a, uint32_t by);
  void blend_by_sign(unsigned lane, uint8_t d, uint8_t a, uint8_t b, uint8_t mask);
  bool emit_shift_by_splat(const ir::Inst& inst, unsigned lane);
  bool emit_lane_shift(const ir::Inst& inst, unsigned lane);
  bool emit_wide_saturation(const ir::Inst& inst, unsigned lane);
  void emit_halving(const ir::Inst& inst, unsigned lane);
  bool emit_lane_product(const ir::Inst& inst, unsigned lane);
  void emit_dot(const ir::Inst& inst);
  bool emit_byte_bits(const ir::Inst& inst);
  void emit_transpose(const ir::Inst& inst, unsigned lane);

  // --- emit_whole.cpp
  bool emit_whole(const ir::Inst& inst);
  bool emit_sign_select(const ir::Inst& inst);

  // --- emit_crypto.cpp
  bool emit_crypto(const ir::Inst& inst);
  bool emit_sha1_rounds(const ir::Inst& inst);
  void emit_sha1_schedule(const ir::Inst& inst);
  ir::ValueId sha256_partner(const ir::Inst& inst) const;
  bool emit_sha256_rounds(const ir::Inst& inst);
  bool emit_sha256_schedule(const ir::Inst& inst);
  bool emit_sha512_rounds(const ir::Inst& inst);
  void emit_sha512_schedule(const ir::Inst& inst);
  bool emit_crc(const ir::Inst& inst);
  bool emit_crc_ieee(const ir::Inst& inst, unsigned bytes);
  void rotate_left_32(uint8_t x, uint32_t by, uint8_t t);

  // --- emit_float.cpp
  bool emit_float(const ir::Inst& inst);
  bool emit_float_arithmetic(const ir::Inst& inst);
  bool emit_float_compare(const ir::Inst& inst);
  bool emit_float_convert(const ir::Inst& inst);
  bool emit_float_round(const ir::Inst& inst);
  bool round_quietly(uint8_t d, uint8_t a, ir::Round round, bool wide);
  bool emit_float_resize(const ir::Inst& inst);
  void scale_down(const ir::Inst& inst, uint8_t d);
  bool emit_float_min_max(const ir::Inst& inst);
  bool emit_float_vector_convert(const ir::Inst& inst);
  bool emit_float_to_int_rounding(const ir::Inst& inst);
  uint8_t both_halves(const ir::Inst& inst, uint8_t x);
  /// Leaves for the cold path if any lane's top bit is set.
  void leave_if_any_sign(uint8_t x, const Cold& cold);
  void leave_if_unordered(const Cold& cold, uint8_t t, bool wide, bool scalar);
  bool emit_float_sign(const ir::Inst& inst);
  static bool may_be_tiny(const ir::Inst& inst);
  void check_int(const ir::Inst& inst, uint8_t d, uint8_t a, uint32_t start);
  void check_result(const ir::Inst& inst, uint8_t d, const uint8_t* args, unsigned count, uint32_t start);
  Cold& add_cold_float(const ir::Inst& inst, uint8_t d, const uint8_t* args, unsigned count);
  void emit_cold_float(const Cold& cold);
  // --- emit_float_traps.cpp
  /// Exceptions are told by SIGFPE. In a careful block they are not: it masks them where it needs to.
  bool by_traps() const { return options_.fp_traps && !options_.careful; }
  uint32_t here() const { return static_cast<uint32_t>(a_.offset()); }
  bool keeps_flags_by_traps(const ir::Inst& inst) const;
  uint32_t start_traps(const ir::Inst& inst);
  void end_traps(Cold& cold, uint32_t start);
  void trap_on_result(const ir::Inst& inst, uint8_t d, const uint8_t* args, uint32_t start);
  void compare_floats(asmjit::InstId id, uint8_t a, uint8_t b);
  void equal_floats(bool wide, uint8_t d, uint8_t a, uint8_t b);
  void again_without_traps(asmjit::InstId id, uint8_t d, uint8_t a, uint8_t b, uint32_t start);
  void emit_cold_masked(const Cold& cold);
  void switch_traps(bool on);
  void mask_traps();
  void unmask_traps();
  void emit_cold_memory(const Cold& cold);

  // --- emit_float_native.cpp
  bool emit_float_native(const ir::Inst& inst);
  bool is_native_arithmetic(const ir::Inst& inst) const;
  bool is_native_convert(const ir::Inst& inst) const;
  bool emit_native_arithmetic(const ir::Inst& inst);
  unsigned fused_base(const ir::Inst& inst);
  bool emit_native_fused(const ir::Inst& inst, unsigned form);
  ir::ValueId vector_above(ir::ValueId scalar, uint8_t reg) const;
  bool emit_native_to_int(const ir::Inst& inst);
  bool emit_native_from_int(const ir::Inst& inst);
  bool emit_native_round(const ir::Inst& inst);
  bool emit_native_convert(const ir::Inst& inst);
  // --- emit_f80.cpp
  bool emit_f80(const ir::Inst& inst);
  bool emit_f80_flags();

  // --- emit_f80_exits.cpp
  F80Exit f80_exit(unsigned exit);
  void leave_f80(const F80Exit& f);
  void leave_if(asmjit::x86::CondCode cc, const ExitPlan& plan);
  void emit_f80_exits();
  bool is_f80_loop(uint64_t pc) const;
  ir::ValueId carried_f80(uint32_t offset) const;
  void start_f80_loop();
  void emit_f80_round();
  void order_f80_for_round();

  bool is_native_f80(const ir::Inst& inst) const;
  void emit_f80_arithmetic(const ir::Inst& inst);
  void emit_f80_compare(const ir::Inst& inst);
  void emit_f80_function(const ir::Inst& inst);
  void emit_f80_load(const ir::Inst& inst, asmjit::InstId id);
  void emit_f80_store(const ir::Inst& inst, ir::ValueId address, const ir::MemInfo& info = {});
  bool emit_f80_guest_store(const ir::Inst& inst, const ir::MemInfo& info);
  void emit_f80_guest_load(const ir::Inst& inst, const ir::MemInfo& info);
  int depth_of(ir::ValueId root) const;
  int f80_field(uint64_t offset) const;
  uint32_t f80_replaced() const;
  bool f80_wanted(ir::ValueId root) const;
  uint32_t f80_map() const;
  void f80_exchange(unsigned depth);
  void f80_discard(unsigned depth);
  void f80_room(unsigned entries = 1);
  void f80_leave_top();
  void flush_f80();
  void set_f80_control(uint16_t control);
  void set_f80_rounding(ir::Round round);
  void set_f80_precision(const ir::Inst& inst);
  void f80_load(ir::ValueId root);
  void f80_to_top(ir::ValueId value);
  void f80_pair_to_top(ir::ValueId a, ir::ValueId b);
  void f80_define(ir::ValueId id);
  void f80_note_status();
  void f80_drop(ir::ValueId root);
  void f80_forget_field(unsigned field);
  void f80_set_field(unsigned field, ir::ValueId value);
  /// Before an access to the state that is none of a whole field.
  void flush_f80_at(uint32_t offset, uint32_t size) {
    if (!f80_stack_.empty()) flush_f80_fields(offset, size);
  }
  void flush_f80_fields(uint32_t offset, uint32_t size);
  Mem f80_to_memory(ir::ValueId root);
  Mem f80_memory_operand(ir::ValueId value, bool* guest);
  void f80_memory(asmjit::InstId id, const Mem& m, bool guest);

  // --- emit_call.cpp
  void emit_record(const ir::Inst& inst);  // any op by the interpreter's handler
  void emit_helper(const ir::Inst& inst);
  void call_record(Label record, Thunk thunk);
  /// `pc_at`: which of them has a guest pc in imm; -1: none.
  Label add_record(const interp::Code* codes, unsigned count, bool helper = false, int pc_at = -1);
  /// The current instruction's result is what lies there.
  void define_from_memory(Mem from);

  // --- emit_control.cpp
  void compare_requests();
  void emit_exit_if(const ir::Inst& inst);
  void emit_jump(const ir::Inst& inst);
  void emit_branch(const ir::Inst& inst);
  uint8_t jump_key(uint8_t pc, uint32_t mode_tag);
  void emit_jump_indirect(const ir::Inst& inst);
  void emit_raise(const ir::Inst& inst, bool conditional);
  unsigned add_exit(ExitPlan exit);
  ExitPlan jump_to(uint64_t pc) const;
  /// Jumps to the exit's stub, which follows: the offset behind the jump's rel32.
  uint32_t to_stub(unsigned exit);
  uint32_t to_stub_if(Cc cc, unsigned exit);
  void jump_exit(unsigned exit);
  void jump_exit_if(Cc cc, unsigned exit);
  Cc condition_of(ir::ValueId condition);

  // --- data
  const Pins& pins_;
  const HostFeatures& host_;
  const ir::Block* block_ = nullptr;
  const ir::Inst* insts_ = nullptr;  ///< the block's
  ir::HelperTable helpers_;
  EmitOptions options_;
  asmjit::CodeHolder code_;
  BlockAssembler a_;
  Plan plan_;

  ir::ValueId now_ = 0;
  uint64_t pc_ = 0, after_ = 0;
  bool mode_known_ = true;
  bool asks_ = false;  ///< ExitPlan::asks
  uint32_t mode_ = 0;
  uint8_t jump_target_ = kNoReg;  ///< holds the pc that JumpIndirect goes to
  bool failed_ = false;
  ir::ValueId early_ = ir::kNoValue;  ///< made by an instruction before its own
  bool kept_flags_ = false;           ///< the current instruction's code has left the host flags alone

  std::vector<Loc> locs_;
  ir::ValueId gpr_owner_[16], xmm_owner_[16];
  /// Of a register that holds a scalar: the vector whose upper lanes lie above it, kNoValue if that is
  /// not known.
  ir::ValueId above_[16];
  std::vector<ir::ValueId> aliases_[16];  // of pinned registers
  std::vector<ir::ValueId> state_homes_;
  std::vector<ir::ValueId> touched_;
  uint16_t temps_ = 0;
  uint16_t locked_gpr_ = 0;
  uint16_t held_ = 0;  ///< registers with the page of a group
  std::vector<PageGroup> page_groups_;
  struct Member {
    uint16_t group = 0;  ///< index + 1
    int32_t displacement = 0;
  };
  std::vector<Member> group_at_;      ///< by instruction; empty: there are none
  std::vector<ir::ValueId> same_as_;  ///< (reads of pinned registers) the first value that is the same
  uint32_t locked_xmm_ = 0;
  Flags flags_;
  std::vector<uint32_t> free_slots_[3];
  std::vector<std::pair<uint32_t, unsigned>> instruction_slots_;  // given back at its end
  uint32_t slot_end_ = 0;

  std::vector<ir::ValueId> f80_stack_;     ///< roots on the host's x87, the lowest first; none: a temporary
  ir::ValueId f80_dirty_[Pins::kMostF80];  ///< what a field has that is not stored yet
  uint16_t f80_control_ = kF80DefaultControl;  ///< the host's control word

  std::vector<F80Exit> f80_exits_;
  F80Loop f80_loop_;

  std::vector<ExitPlan> exits_;
  struct ExitJump {
    uint32_t end;  ///< offset behind its rel32
    unsigned exit;
  };
  std::vector<ExitJump> exit_jumps_;
  std::vector<FaultPlan> faults_;
  std::vector<TrapPlan> traps_;
  uint8_t trap_temp_ = kNoReg;
  bool masked_ = false;  ///< (careful) MXCSR is kMaskedMxcsr
  struct Record {
    Label label;
    interp::Code codes[3];
    unsigned count;
    bool helper;  ///< codes[0].imm is a pointer
    int pc_at;    ///< codes[pc_at].imm is a guest pc
  };
  std::vector<Record> records_;
  std::vector<uint32_t> pointers_;
  std::vector<uint32_t> moves_;
  mutable bool movable_ = true;
  struct PoolEntry {
    uint64_t low, high;
    Label label;
  };
  std::vector<PoolEntry> pool_;
  std::vector<Cold> cold_;
  void emit_cold(const Cold& cold);

  std::vector<HostCode::Mark> marks_;
  uint32_t instructions_size_ = 0;
  /// The guest's flags are in the host's and not in the state, until they are overwritten or the block is
  /// left, where the exit says so; any other instruction that changes them stores them first.
  FlagsAt delayed_ = FlagsAt::State;
  bool may_delay_ = true;
  /// The same of the flags that the block is entered with, if rcx is 0; until plan_.status_fault().
  bool status_incoming_ = false;
  uint32_t status_end_ = 0;   ///< nobody sees it behind that instruction
  bool notes_flags_ = false;  ///< who comes otherwise says so in rcx
  uint32_t prefix_ = 0, prefix_count_ = 0;
  uint32_t after_check_ = 0, hot_size_ = 0, hot_count_ = 0;
};

}  // namespace lyrebird::jit::baseline
