#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: named ports of virtio-console, streams between a program of the guest and one here.
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

image=/images/micro
run=/tmp/ports
mkdir -m 700 "$run"
"$(dirname "$(command -v crosh)")/../libexec/crosh/crosh-vm" --name ports --runtime-dir "$run" \
    --accel kvm --kernel "$image/vmlinux" --initrd "$image/initramfs" --memory 256M \
    --port first --port org.example.second --cmdline crosh.console_shell=1 &
launcher=$!

# says TEXT: whether the guest's console has it.
says() { grep -q "$1" "$run/console.log"; }

# talk: connections to the guest's console and ports, as the Python lines on stdin have it.
talk() {
    { cat <<'END'; cat; } | (cd "$run" && python3 -)
import hashlib, socket
def connect(name):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(name)
    return s
def type_in(text):
    connect("console.sock").sendall(text.encode() + b"\n")
def read(s, size):
    data = b""
    while len(data) < size:
        more = s.recv(65536)
        if not more:
            break
        data += more
    return data
END
}

# The links /dev/virtio-ports/NAME are udev's, which the small image does without.
check "a VM with ports boots" within 60 says root@ports
equal "a port's socket is its owner's" "$(stat -c %a "$run/port.sock_first")" 600
talk <<'END'
type_in(r"cat /sys/class/virtio-ports/*/name | tr '\n' ,; echo end-of-list")
END
check "the guest finds them by name" within 60 says first,org.example.second,end-of-list

sum=$(talk <<'END'
data = bytes(range(251)) * 4000
print(hashlib.sha256(data).hexdigest())
port = connect("port.sock_first")
type_in("sha256sum /dev/vport*p1")
port.sendall(data)
port.close()
END
)
check "a megabyte goes to the guest whole, and the end after it" within 60 says "$sum"

equal "a megabyte comes back" "$(talk <<'END'
port = connect("port.sock_org.example.second")
type_in("head -c 1000000 /dev/zero >/dev/vport1p2; echo all-written")
data = read(port, 1000000)
print(len(data), data.count(0))
END
)" "1000000 1000000"
check "and its writer is done" within 60 says all-written

equal "one program at a time" "$(talk <<'END'
one = connect("port.sock_first")
two = connect("port.sock_first")
print(two.recv(1))
END
)" "b''"
kill -TERM "$launcher"
wait "$launcher"
equal "the guest powers off" "$?" 0
check "the sockets are gone" [ ! -e "$run/port.sock_first" ]
finish
