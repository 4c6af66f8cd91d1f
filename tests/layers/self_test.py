#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The include check finds what it should and nothing else."""

import pathlib
import tempfile
import unittest

import check


class Layers(unittest.TestCase):
    def problems(self, files: dict[str, str]) -> list[str]:
        with tempfile.TemporaryDirectory() as name:
            tree = pathlib.Path(name)
            for path, text in files.items():
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_text(text)
            return check.check(tree)

    def test_downward_include_is_allowed(self):
        self.assertEqual(self.problems({"jit/a.cpp": '#include "ir/block.h"\n#include <map>\n'}), [])

    def test_jit_may_not_know_a_guest(self):
        found = self.problems({"jit/a.cpp": '\n#include "frontend/arm/state.h"\n'})
        self.assertEqual(len(found), 1)
        self.assertIn("jit/a.cpp:2", found[0])

    def test_base_includes_nothing(self):
        self.assertEqual(len(self.problems({"base/a.h": '#include "ir/type.h"\n'})), 1)

    def test_guests_do_not_know_each_other(self):
        self.assertEqual(len(self.problems({"frontend/arm/a.h": '#include "frontend/ppc/b.h"\n'})), 1)

    def test_shared_frontend_header_is_allowed(self):
        self.assertEqual(self.problems({"frontend/arm/a.h": '#include "frontend/frontend.h"\n'}), [])

    def test_single_header_is_allowed_and_its_folder_is_not(self):
        self.assertEqual(self.problems({"user/a.h": '#include "ir/inst.h"\n'}), [])
        self.assertEqual(len(self.problems({"user/a.h": '#include "ir/block.h"\n'})), 1)

    def test_climbing_relative_include_is_found(self):
        found = self.problems({"base/a.h": '#include "../ir/b.h"\n', "ir/b.h": ""})
        self.assertEqual(len(found), 1)

    def test_nothing_includes_tests(self):
        self.assertEqual(len(self.problems({"user/a.h": '#include "tests/helper.h"\n'})), 1)

    def test_this_tree_is_seen(self):
        self.assertTrue((pathlib.Path(check.__file__).parents[2] / "base").is_dir())


if __name__ == "__main__":
    unittest.main()
