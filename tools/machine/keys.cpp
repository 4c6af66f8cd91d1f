// SPDX-License-Identifier: Apache-2.0
#include "tools/machine/keys.h"

#include <fmt/format.h>
#include <linux/input-event-codes.h>

#include <algorithm>
#include <string>

#include "tools/machine/properties.h"

namespace lyrebird::tools {

namespace {

struct Key {
  std::string_view name;
  uint16_t code;
};

constexpr Key kKeys[] = {
    {"a", KEY_A},
    {"b", KEY_B},
    {"c", KEY_C},
    {"d", KEY_D},
    {"e", KEY_E},
    {"f", KEY_F},
    {"g", KEY_G},
    {"h", KEY_H},
    {"i", KEY_I},
    {"j", KEY_J},
    {"k", KEY_K},
    {"l", KEY_L},
    {"m", KEY_M},
    {"n", KEY_N},
    {"o", KEY_O},
    {"p", KEY_P},
    {"q", KEY_Q},
    {"r", KEY_R},
    {"s", KEY_S},
    {"t", KEY_T},
    {"u", KEY_U},
    {"v", KEY_V},
    {"w", KEY_W},
    {"x", KEY_X},
    {"y", KEY_Y},
    {"z", KEY_Z},
    {"0", KEY_0},
    {"1", KEY_1},
    {"2", KEY_2},
    {"3", KEY_3},
    {"4", KEY_4},
    {"5", KEY_5},
    {"6", KEY_6},
    {"7", KEY_7},
    {"8", KEY_8},
    {"9", KEY_9},
    {"shift", KEY_LEFTSHIFT},
    {"shift_r", KEY_RIGHTSHIFT},
    {"ctrl", KEY_LEFTCTRL},
    {"ctrl_r", KEY_RIGHTCTRL},
    {"alt", KEY_LEFTALT},
    {"alt_r", KEY_RIGHTALT},
    {"meta_l", KEY_LEFTMETA},
    {"meta_r", KEY_RIGHTMETA},
    {"esc", KEY_ESC},
    {"ret", KEY_ENTER},
    {"spc", KEY_SPACE},
    {"tab", KEY_TAB},
    {"backspace", KEY_BACKSPACE},
    {"minus", KEY_MINUS},
    {"equal", KEY_EQUAL},
    {"bracket_left", KEY_LEFTBRACE},
    {"bracket_right", KEY_RIGHTBRACE},
    {"semicolon", KEY_SEMICOLON},
    {"apostrophe", KEY_APOSTROPHE},
    {"grave_accent", KEY_GRAVE},
    {"backslash", KEY_BACKSLASH},
    {"comma", KEY_COMMA},
    {"dot", KEY_DOT},
    {"slash", KEY_SLASH},
    {"less", KEY_102ND},
    {"caps_lock", KEY_CAPSLOCK},
    {"num_lock", KEY_NUMLOCK},
    {"scroll_lock", KEY_SCROLLLOCK},
    {"f1", KEY_F1},
    {"f2", KEY_F2},
    {"f3", KEY_F3},
    {"f4", KEY_F4},
    {"f5", KEY_F5},
    {"f6", KEY_F6},
    {"f7", KEY_F7},
    {"f8", KEY_F8},
    {"f9", KEY_F9},
    {"f10", KEY_F10},
    {"f11", KEY_F11},
    {"f12", KEY_F12},
    {"insert", KEY_INSERT},
    {"delete", KEY_DELETE},
    {"home", KEY_HOME},
    {"end", KEY_END},
    {"pgup", KEY_PAGEUP},
    {"pgdn", KEY_PAGEDOWN},
    {"up", KEY_UP},
    {"down", KEY_DOWN},
    {"left", KEY_LEFT},
    {"right", KEY_RIGHT},
    {"print", KEY_SYSRQ},
    {"sysrq", KEY_SYSRQ},
    {"pause", KEY_PAUSE},
    {"menu", KEY_COMPOSE},
    {"power", KEY_POWER},
};

}  // namespace

Result<KeyStroke> parse_keys(std::string_view text) {
  KeyStroke keys;
  for (std::string_view rest = text;;) {
    const size_t dash = std::min(rest.find('-'), rest.size());
    const std::string_view name = rest.substr(0, dash);
    const auto* const key =
        std::find_if(std::begin(kKeys), std::end(kKeys), [&](const Key& k) { return k.name == name; });
    if (key == std::end(kKeys)) {
      std::vector<std::string_view> names;
      for (const Key& k : kKeys) names.push_back(k.name);
      return Error{fmt::format("{}: no such key{}", name, did_you_mean(std::string(name), names))};
    }
    keys.press.push_back({EV_KEY, key->code, 1});
    keys.release.insert(keys.release.begin(), {EV_KEY, key->code, 0});
    if (dash == rest.size()) return keys;
    rest.remove_prefix(dash + 1);
  }
}

}  // namespace lyrebird::tools
