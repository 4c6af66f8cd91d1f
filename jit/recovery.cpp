// SPDX-License-Identifier: Apache-2.0
#include "jit/recovery.h"

#include <algorithm>
#include <cstring>

#include "ir/block.h"
#include "ir/eval_inst.h"

namespace lyrebird::jit {

namespace {

// Seven bits in a byte, the lowest first.
void put(std::vector<uint8_t>& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<uint8_t>(value | 0x80));
  out.push_back(static_cast<uint8_t>(value));
}

uint64_t zigzag(int64_t value) {
  return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
}

void put(std::vector<uint8_t>& out, const HostPlace& place) {
  out.push_back(static_cast<uint8_t>(static_cast<unsigned>(place.kind) << 5 | place.reg));
  if (place.kind == HostPlace::Kind::Stack || place.kind == HostPlace::Kind::Constant)
    put(out, zigzag(place.value));
}

class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  bool done() const { return failed_ || at_ == end_; }
  bool failed() const { return failed_; }
  bool same_place(const Reader& other) const { return at_ == other.at_; }
  void skip(uint64_t bytes) {
    if (bytes > static_cast<uint64_t>(end_ - at_)) failed_ = true;
    if (!failed_) at_ += bytes;
  }
  uint8_t byte() {
    if (at_ == end_) failed_ = true;
    return failed_ ? uint8_t{0} : *at_++;
  }
  uint64_t number() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const uint8_t b = byte();
      value |= static_cast<uint64_t>(b & 0x7f) << shift;
      if (!(b & 0x80)) return value;
    }
    failed_ = true;
    return 0;
  }
  HostPlace place() {
    const uint8_t first = byte();
    HostPlace place{.kind = static_cast<HostPlace::Kind>(first >> 5),
                    .reg = static_cast<uint8_t>(first & 31)};
    if (place.kind == HostPlace::Kind::Stack || place.kind == HostPlace::Kind::Constant) {
      const uint64_t n = number();
      place.value = static_cast<int64_t>(n >> 1 ^ (0 - (n & 1)));
    }
    return place;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
  bool failed_ = false;
};

constexpr uint32_t kLargest = 16;

/// Up to 16 bytes of a value.
bool fetch(const HostPlace& place, const FaultGuard::Registers& host, uint32_t size, uint8_t* to) {
  switch (place.kind) {
    case HostPlace::Kind::General:
    case HostPlace::Kind::HighByte: {
      if (place.reg >= 16 || size > 8) return false;
      const uint64_t value = host.general[place.reg] >> (place.kind == HostPlace::Kind::HighByte ? 8 : 0);
      std::memcpy(to, &value, size);
      return true;
    }
    case HostPlace::Kind::Vector:
      std::memcpy(to, host.xmm[place.reg], size);
      return true;
    case HostPlace::Kind::Stack:
      std::memcpy(to, reinterpret_cast<const void*>(host.general[4] + static_cast<uint64_t>(place.value)),
                  size);
      return true;
    case HostPlace::Kind::Constant: {
      const int64_t words[2] = {place.value, 0};
      std::memcpy(to, words, size);
      return true;
    }
  }
  return false;
}

}  // namespace

namespace {

void put(std::vector<uint8_t>& out, const FlagRecipe& recipe) {
  put(out, recipe.nodes.size());
  for (const ir::Inst& node : recipe.nodes) {
    put(out, static_cast<uint64_t>(node.op));
    out.push_back(static_cast<uint8_t>(node.type));
    out.push_back(static_cast<uint8_t>(node.elem));
    put(out, node.aux);
    put(out, node.imm);
    for (unsigned k = 0; k < ir::arg_count(node); ++k) put(out, node.args[k]);
  }
  put(out, recipe.fields.size());
  for (const FlagRecipe::Result& field : recipe.fields) {
    put(out, field.offset);
    put(out, field.size);
    put(out, field.node);
  }
}

bool take(Reader& reader, FlagRecipe& recipe) {
  constexpr uint64_t kMost = 256;
  const uint64_t nodes = reader.number();
  for (uint64_t i = 0; i < nodes && i < kMost && !reader.failed(); ++i) {
    ir::Inst node;
    const uint64_t op = reader.number();
    if (op >= ir::kOpCount) return false;
    node.op = static_cast<ir::Op>(op);
    node.type = static_cast<ir::Type>(reader.byte());
    node.elem = static_cast<ir::Type>(reader.byte());
    node.aux = static_cast<uint32_t>(reader.number());
    node.imm = reader.number();
    for (unsigned k = 0; k < ir::arg_count(node); ++k)
      node.args[k] = static_cast<ir::ValueId>(reader.number());
    recipe.nodes.push_back(node);
  }
  const uint64_t fields = reader.number();
  for (uint64_t i = 0; i < fields && i < kMost && !reader.failed(); ++i) {
    FlagRecipe::Result field;
    field.offset = static_cast<uint32_t>(reader.number());
    field.size = static_cast<uint32_t>(reader.number());
    field.node = static_cast<uint32_t>(reader.number());
    recipe.fields.push_back(field);
  }
  return !reader.failed();
}

uint64_t mask_of(ir::Type type) { return ~uint64_t{0} >> (64 - std::clamp(ir::bit_width(type), 1u, 64u)); }

bool apply(const FlagRecipe& recipe, std::span<const uint64_t> leaves, std::span<uint8_t> state) {
  std::vector<ir::Constant> values(recipe.nodes.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const ir::Inst& node = recipe.nodes[i];
    if (node.op == ir::Op::Const) {
      values[i] = ir::Constant::of(node.type, node.imm & mask_of(node.type));
      continue;
    }
    if (node.op == ir::Op::GetState) {
      if (node.imm >= leaves.size()) return false;
      values[i] = ir::Constant::of(node.type, leaves[node.imm] & mask_of(node.type));
      continue;
    }
    ir::Constant args[4];
    const unsigned count = ir::arg_count(node);
    for (unsigned k = 0; k < count; ++k) {
      if (node.args[k] >= i) return false;
      args[k] = values[node.args[k]];
    }
    uint32_t flags = 0;
    if (!ir::evaluate(node, {args, count}, &values[i], &flags)) return false;
  }
  for (const FlagRecipe::Result& field : recipe.fields) {
    if (field.node >= values.size() || field.size > 8 || field.offset > state.size() ||
        field.size > state.size() - field.offset)
      return false;
    const uint64_t value = values[field.node].low();
    std::memcpy(state.data() + field.offset, &value, field.size);
  }
  return true;
}

}  // namespace

std::vector<uint8_t> pack_recovery(std::span<const FlagRecipe> recipes,
                                   std::span<const RecoveryPoint> points) {
  std::vector<uint8_t> out, body;
  for (const FlagRecipe& recipe : recipes) put(body, recipe);
  put(out, body.size());
  out.insert(out.end(), body.begin(), body.end());
  for (const RecoveryPoint& point : points) {
    body.clear();
    put(body, point.recipe);
    put(body, point.leaves.size());
    for (const HostPlace& leaf : point.leaves) put(body, leaf);
    for (const SavedField& field : point.fields) {
      put(body, field.offset);
      put(body, field.size);
      put(body, field.place);
    }
    put(out, point.code);
    put(out, body.size());
    out.insert(out.end(), body.begin(), body.end());
  }
  return out;
}

bool recover(std::span<const uint8_t> packed, uint32_t code, const FaultGuard::Registers& host,
             std::span<uint8_t> state) {
  Reader reader(packed);
  if (reader.done()) return false;
  const uint64_t recipes = reader.number();
  Reader recipe_reader = reader;
  reader.skip(recipes);
  while (!reader.done()) {
    const uint64_t at = reader.number();
    const uint64_t size = reader.number();
    if (at != code) {
      reader.skip(size);
      continue;
    }
    Reader end = reader;
    end.skip(size);
    if (end.failed()) return false;
    uint32_t recipe = 0;
    if (!fetch(reader.place(), host, sizeof recipe, reinterpret_cast<uint8_t*>(&recipe))) return false;
    uint64_t leaves[8] = {};
    const uint64_t count = reader.number();
    if (count > std::size(leaves)) return false;
    for (uint64_t i = 0; i < count; ++i)
      if (!fetch(reader.place(), host, 8, reinterpret_cast<uint8_t*>(&leaves[i]))) return false;
    while (!reader.failed() && !reader.done() && !reader.same_place(end)) {
      const uint64_t offset = reader.number(), bytes = reader.number();
      const HostPlace place = reader.place();
      if (bytes > kLargest || offset > state.size() || bytes > state.size() - offset) return false;
      if (!fetch(place, host, static_cast<uint32_t>(bytes), state.data() + offset)) return false;
    }
    if (reader.failed()) return false;
    if (recipe == 0) return true;
    for (uint32_t i = 0; i <= recipe; ++i) {
      FlagRecipe made;
      if (!take(recipe_reader, made)) return false;
      if (i == recipe) return apply(made, {leaves, count}, state);
    }
  }
  return false;
}

}  // namespace lyrebird::jit
