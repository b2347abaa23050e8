# SPDX-License-Identifier: MIT
# The launcher's confinement.
kvm_libkvm_la_SOURCES += \
	kvm/confine.c kvm/confine.h \
	kvm/kept-files.c kvm/kept-files.h \
	kvm/sandbox/landlock.c kvm/sandbox/landlock.h \
	kvm/sandbox/namespaces.c kvm/sandbox/namespaces.h \
	kvm/sandbox/sandbox.c kvm/sandbox/sandbox.h \
	kvm/sandbox/seccomp.c kvm/sandbox/seccomp.h
