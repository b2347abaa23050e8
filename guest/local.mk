# SPDX-License-Identifier: MIT
# The agent and the image builder.
include guest/image/local.mk
