// SPDX-License-Identifier: Apache-2.0
/// Takes the properties of one option apart, and complains about those nobody asked for.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tools/machine/properties.h"

namespace lyrebird::tools {

class PropertyReader {
 public:
  /// `option`: as people wrote it ("-device virtio-blk-device"), for messages.
  PropertyReader(std::string option, std::vector<Property> properties)
      : option_(std::move(option)), properties_(std::move(properties)), taken_(properties_.size()) {}

  /// The last value given, or nullopt.
  std::optional<std::string> text(std::string_view name) {
    std::optional<std::string> found;
    for (std::string& value : all(name)) found = std::move(value);
    return found;
  }
  std::vector<std::string> all(std::string_view name) {
    asked_.push_back(name);
    std::vector<std::string> values;
    for (size_t i = 0; i < properties_.size(); ++i) {
      if (properties_[i].name != name) continue;
      taken_[i] = true;
      values.push_back(properties_[i].value);
    }
    return values;
  }
  void text(std::string_view name, std::string& to) {
    if (auto value = text(name)) to = std::move(*value);
  }
  void flag(std::string_view name, bool& to) {
    const auto value = text(name);
    if (!value) return;
    if (auto on = parse_switch(name, *value)) {
      to = *on;
    } else {
      fail(on.error());
    }
  }
  template <typename T>
  void number(std::string_view name, uint64_t low, uint64_t high, T& to) {
    const auto value = text(name);
    if (!value) return;
    if (auto number = parse_number(name, *value, low, high)) {
      to = static_cast<T>(*number);
    } else {
      fail(number.error());
    }
  }
  /// A property that only may have this value.
  void only(std::string_view name, std::string_view wanted) {
    const auto value = text(name);
    if (value && *value != wanted)
      fail(Error{std::string(name) + "=" + *value + ": only " + std::string(wanted) + " is supported yet"});
  }
  void fail(Error error) {
    if (!error_) error_ = std::move(error);
  }

  /// After everything was asked for: the first thing that is wrong.
  Result<void> finish() const {
    if (error_) return Error{option_ + ": " + error_->message};
    for (size_t i = 0; i < properties_.size(); ++i) {
      if (taken_[i]) continue;
      return Error{option_ + ": " + properties_[i].name + ": no such property" +
                   did_you_mean(properties_[i].name, asked_)};
    }
    return {};
  }

 private:
  const std::string option_;
  const std::vector<Property> properties_;
  std::vector<bool> taken_;
  std::vector<std::string_view> asked_;
  std::optional<Error> error_;
};

}  // namespace lyrebird::tools
