// SPDX-License-Identifier: Apache-2.0
#include "jit/tier/grow.h"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <unordered_map>

#include "ir/cpu_header.h"

namespace lyrebird::jit {

namespace {

using ir::BlockKey;
using ir::Inst;
using ir::Op;

/// Generated code names the instruction of a fault by 32 bits from the entry.
bool in_reach(uint64_t entry, uint64_t pc) {
  constexpr uint64_t kReach = uint64_t{1} << 30;
  return pc - entry + kReach < 2 * kReach;
}

struct KeyHash {
  size_t operator()(BlockKey key) const { return (key.pc ^ uint64_t{key.mode} << 48) * 0x9e3779b97f4a7c15; }
};

/// A block of the region to be, and the jumps out of it.
struct Node {
  ir::Block block;
  std::vector<BlockKey> targets;  ///< of jumps to a known pc and mode
  std::vector<uint64_t> guesses;  ///< of the JumpIndirect
  std::optional<uint32_t> mode;   ///< at the end
  uint64_t end = 0;               ///< guest address behind the block
  ir::JumpHint hint = ir::JumpHint::None;
  bool indirect = false;
  bool keep = false;
};

/// Reads the jumps of node.block.
void find_jumps(Node& node) {
  const auto& insts = node.block.insts;
  node.mode = node.block.key.mode;
  node.end = node.block.key.pc + node.block.guest_size;
  const auto jump = [&](uint64_t pc) {
    if (node.mode) node.targets.push_back({pc, *node.mode});
  };
  for (const Inst& inst : insts) {
    switch (inst.op) {
      case Op::Insn:
        node.end = inst.imm + inst.aux;
        break;
      case Op::SetState: {
        if (inst.imm != offsetof(ir::CpuHeader, mode)) break;
        const Inst& value = insts[inst.args[0]];
        node.mode = value.op == Op::Const ? std::optional(static_cast<uint32_t>(value.imm)) : std::nullopt;
        break;
      }
      case Op::ExitIf:
        jump(inst.imm);
        break;
      case Op::Jump:
        jump(inst.imm);
        node.hint = static_cast<ir::JumpHint>(inst.aux);
        break;
      case Op::Branch:
        jump(inst.imm);
        jump(inst.high());
        node.hint = static_cast<ir::JumpHint>(inst.aux);
        break;
      case Op::JumpIndirect:
        node.indirect = true;
        node.hint = static_cast<ir::JumpHint>(inst.aux);
        break;
      default:
        break;
    }
  }
}

class Grower {
 public:
  Grower(const BlockSource& source, const GrowLimits& limits) : source_(source), limits_(limits) {}

  std::optional<ir::Region> grow(BlockKey entry);

 private:
  /// One way to a block: what calls were made on it.
  struct Visit {
    BlockKey key;
    std::vector<uint64_t> returns;
  };

  Node* node(BlockKey key);
  void follow(Node& node, const std::vector<uint64_t>& returns);
  void keep_cycle(BlockKey entry);
  void keep_path();
  ir::Region take();

  const BlockSource& source_;
  const GrowLimits limits_;
  std::unordered_map<BlockKey, std::unique_ptr<Node>, KeyHash> nodes_;  ///< null: has no block
  std::vector<BlockKey> order_;
  std::deque<Visit> queue_;
  uint32_t instructions_ = 0;
};

Node* Grower::node(BlockKey key) {
  if (const auto it = nodes_.find(key); it != nodes_.end()) return it->second.get();
  if (order_.size() >= limits_.blocks || instructions_ >= limits_.guest_instructions) return nullptr;
  if (!order_.empty() && !in_reach(order_.front().pc, key.pc)) return nullptr;
  auto block = source_(key);
  if (block && !order_.empty() && instructions_ + block->guest_count > limits_.guest_instructions) block = {};
  auto& slot = nodes_[key];
  if (!block || block->insts.empty()) return nullptr;
  slot = std::make_unique<Node>();
  slot->block = std::move(*block);
  find_jumps(*slot);
  instructions_ += slot->block.guest_count;
  order_.push_back(key);
  return slot.get();
}

void Grower::follow(Node& node, const std::vector<uint64_t>& returns) {
  std::vector<uint64_t> inside = returns;
  if (node.hint == ir::JumpHint::Call) {
    if (inside.size() >= limits_.call_depth) return;
    inside.push_back(node.end);
  }
  const BlockKey* const last = node.targets.empty() ? nullptr : &node.targets.back();
  for (const BlockKey& target : node.targets) {
    // Only the last jump of a block is the call.
    const bool call = node.hint == ir::JumpHint::Call && &target == last && !node.indirect;
    queue_.push_back({target, call ? inside : returns});
  }
  if (!node.indirect || node.hint != ir::JumpHint::Return || returns.empty() || !node.mode) return;
  const uint64_t back = returns.back();
  if (std::find(node.guesses.begin(), node.guesses.end(), back) == node.guesses.end())
    node.guesses.push_back(back);
  queue_.push_back({{back, *node.mode}, {returns.begin(), returns.end() - 1}});
}

std::optional<ir::Region> Grower::grow(BlockKey entry) {
  queue_.push_back({entry, {}});
  // A block is looked at again for every other place that it may return to.
  std::unordered_map<BlockKey, std::vector<std::vector<uint64_t>>, KeyHash> seen;
  while (!queue_.empty()) {
    const Visit visit = std::move(queue_.front());
    queue_.pop_front();
    auto& ways = seen[visit.key];
    if (ways.size() >= 4 || std::find(ways.begin(), ways.end(), visit.returns) != ways.end()) continue;
    ways.push_back(visit.returns);
    if (Node* const found = node(visit.key)) follow(*found, visit.returns);
  }
  if (order_.empty() || order_.front() != entry) return std::nullopt;
  keep_cycle(entry);
  if (!nodes_.at(entry)->keep) {
    if (!limits_.paths) return std::nullopt;
    keep_path();
  }
  return take();
}

/// Keeps what leads back to the entry, found backwards from the jumps to it.
void Grower::keep_cycle(BlockKey entry) {
  std::unordered_map<BlockKey, std::vector<Node*>, KeyHash> from;
  for (const BlockKey& key : order_) {
    Node& node = *nodes_.at(key);
    for (const BlockKey& target : node.targets) from[target].push_back(&node);
    for (const uint64_t guess : node.guesses) from[{guess, *node.mode}].push_back(&node);
  }
  std::vector<BlockKey> work{entry};
  while (!work.empty()) {
    const BlockKey key = work.back();
    work.pop_back();
    for (Node* node : from[key]) {
      if (node->keep) continue;
      node->keep = true;
      work.push_back(node->block.key);
    }
  }
}

/// No loop: the nearest blocks, for what is gained by looking at several at once.
void Grower::keep_path() {
  constexpr size_t kPath = 12;
  for (size_t i = 0; i < order_.size() && i < kPath; ++i) nodes_.at(order_[i])->keep = true;
}

ir::Region Grower::take() {
  ir::Region region;
  for (const BlockKey& key : order_) {
    Node& node = *nodes_.at(key);
    if (!node.keep) continue;
    region.parts.push_back({std::move(node.block), std::move(node.guesses)});
    std::vector<uint64_t>& guesses = region.parts.back().guesses;
    std::erase_if(guesses, [&](uint64_t pc) {
      const auto it = nodes_.find({pc, *node.mode});
      return it == nodes_.end() || !it->second || !it->second->keep;
    });
  }
  return region;
}

}  // namespace

std::optional<ir::Region> grow(ir::BlockKey entry, const BlockSource& source, const GrowLimits& limits) {
  return Grower(source, limits).grow(entry);
}

}  // namespace lyrebird::jit
