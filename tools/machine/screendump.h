// SPDX-License-Identifier: Apache-2.0
/// The monitor's screendump.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "ui/screen.h"

namespace lyrebird::tools {

/// `arguments`: FILE [DEVICE [HEAD]] [-f ppm|png]. The first screen unless told otherwise; PNG if FILE ends
/// in .png.
Result<void> dump_screen(const std::vector<ui::Screen*>& screens, std::string_view arguments);

}  // namespace lyrebird::tools
