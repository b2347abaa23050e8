# SPDX-License-Identifier: MIT
# The launcher's confinement.
kvm_libkvm_la_SOURCES += \
	kvm/confine.c kvm/confine.h \
	kvm/kept-files.c kvm/kept-files.h \
	kvm/supervisor.c kvm/supervisor.h \
	kvm/sandbox/landlock.c kvm/sandbox/landlock.h \
	kvm/sandbox/last-words.c kvm/sandbox/last-words.h \
	kvm/sandbox/namespaces.c kvm/sandbox/namespaces.h \
	kvm/sandbox/private-root.c kvm/sandbox/private-root.h \
	kvm/sandbox/sandbox.c kvm/sandbox/sandbox.h \
	kvm/sandbox/seccomp-emulator.c kvm/sandbox/seccomp-internal.h \
	kvm/sandbox/seccomp.c kvm/sandbox/seccomp.h
