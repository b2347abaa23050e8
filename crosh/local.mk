# SPDX-License-Identifier: MIT
# The shell.
