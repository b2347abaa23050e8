#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: a vsock device that the host's kernel serves, behind the same sockets as our own.
# shellcheck disable=SC2034
lab_timeout=420
lab_built="../bench/vsock-load lab/take-snapshot"
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

crosh_vm=$(dirname "$(command -v crosh)")/../libexec/crosh/crosh-vm

# refused TEXT OPTION...: a start that must fail, and what it says.
refused() {
    text=$1
    shift
    mkdir -p /tmp/refused && chmod 700 /tmp/refused
    timeout 60 "$crosh_vm" --name refused --runtime-dir /tmp/refused --memory 128M \
        --kernel /images/micro/vmlinux "$@" >refused.log 2>&1
    equal "refused: $text" "$? $(grep -c "$text" refused.log)" "1 1"
}

refused "load the host's module: modprobe vhost_vsock" --accel kvm --vsock=kernel
modprobe vhost_vsock
[ -e /dev/vhost-vsock ] || mknod /dev/vhost-vsock c 10 241
refused "vsock=kernel needs KVM" --accel tcg --vsock=kernel

check "a VM starts" start vm --vsock kernel
[ "$failed" -eq 0 ] || finish
run=$(runtime vm)
pid=$(cat "/proc/$(cat "$run/pid")/task/$(cat "$run/pid")/children")
check "the kernel serves it" sh -c "ls -l /proc/${pid% }/fd | grep -q /dev/vhost-vsock"
for task in "/proc/${pid% }/task"/*; do
    equal "$(cat "$task/comm"): a system call filter" \
        "$(sed -n 's/^Seccomp:[[:space:]]*//p' "$task/status")" 2
done
check "vmc security finds every layer" crosh vmc security vm
equal "status of a command" "$(run_in vm sh -c 'exit 7'; echo $?)" 7
equal "input and output" "$(echo words | run_in vm tr a-z A-Z)" WORDS

# Bytes, many and both ways.
dd if=/dev/urandom of=/tmp/blob bs=1M count=12 2>/dev/null
sum=$(sha256sum </tmp/blob)
equal "12 MiB to the guest" "$(run_in vm sha256sum </tmp/blob)" "$sum"
check "a copy to the guest" crosh vsh cp /tmp/blob vm:/tmp/blob
equal "and back" "$(run_in vm cat /tmp/blob | sha256sum)" "$sum"
check "a program for the guest" crosh vsh cp /lab/vsock-load vm:/tmp/vsock-load
run_in vm sh -c '/tmp/vsock-load serve </dev/null >/dev/null 2>&1 &'
answers() { ./vsock-load echo 1 "$1/vsock.sock" >/dev/null; }
check "the guest's ports answer" within 60 answers "$run"
check "300 streams beside 8 that nobody reads" \
    sh -c "./vsock-load streams 300 8 '$run/vsock.sock' | grep -q streams-last"
check "a port where nobody listens closes the stream" python3 - "$run/vsock.sock" <<'END'
import socket, sys
for word in (b"CONNECT 9999\n", b"HELLO\n", b"CONNECT 99999999999\n", b"x" * 100):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    client.connect(sys.argv[1])
    client.sendall(word)
    try:
        assert client.recv(100) == b"", word
    except ConnectionResetError:
        pass
END

# From the guest: only to sockets that are there.
cat >echo-server.py <<'END'
import os, socket, sys, threading
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(8)
def serve(stream):
    while data := stream.recv(65536):
        stream.sendall(data)
    stream.close()
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
END
check "no port of the host that nobody offers" \
    sh -c "! crosh vsh vm -- /tmp/vsock-load echo 1 2 2>/dev/null"
python3 echo-server.py "$run/vsock.sock_7002" &
server=$!
check "one that comes to be offered" within 60 run_in vm /tmp/vsock-load echo 20 2
kill "$server"
wait "$server" 2>/dev/null
rm "$run/vsock.sock_7002"
check "until its socket goes" \
    within 60 sh -c "! crosh vsh vm -- /tmp/vsock-load echo 1 2 2>/dev/null"

# Others of this host.
refused "context id $(cat "$run/cid")" --accel kvm --vsock=kernel --cid "$(cat "$run/cid")"
check "a second VM beside it" start other --vsock kernel --transport pci
python3 echo-server.py "$run/vsock.sock_7002" &
server=$!
check "the first one's port is its own" within 60 run_in vm /tmp/vsock-load echo 20 2
crosh vsh cp /lab/vsock-load other:/tmp/vsock-load
check "and not the other's" \
    sh -c "! timeout 60 crosh vsh other -- /tmp/vsock-load echo 1 2 2>/dev/null"
kill "$server"
rm "$run/vsock.sock_7002"
check "an orderly stop" stop other
equal "is a power-off" "$(ended other)" "poweroff 0"

# The rings are given back and taken again.
crosh vmc pause vm
check "paused" within 60 sh -c "crosh vmc status vm | grep -q '^state: *paused'"
crosh vmc resume vm
equal "a command after a pause" "$(run_in vm echo yes)" yes
tr '\0' '\n' <"/proc/$(cat "$run/pid")/cmdline" | grep -v '^--control-fd' >vm.command
check "a snapshot" ./take-snapshot vm saved stop
equal "ends it" "$(ended vm)" "suspended 0"
set --
while read -r word; do set -- "$@" "$word"; done <vm.command
"$@" --restore saved >restored.out 2>&1 &
check "restored" within 60 run_in vm true
equal "with what it had" "$(run_in vm sha256sum /tmp/blob)" "${sum%-}/tmp/blob"
boot_id=$(run_in vm cat /proc/sys/kernel/random/boot_id)
run_in vm reboot
check "a reboot inside comes back" within 60 sh -c "
    new=\$(crosh vsh vm -- cat /proc/sys/kernel/random/boot_id) && [ \"\$new\" != '$boot_id' ]"
equal "12 MiB after it" "$(run_in vm sha256sum </tmp/blob)" "$sum"

check "an orderly stop" stop vm
equal "is a power-off" "$(ended vm)" "poweroff 0"
equal "no socket is left" "$(find "$run" -type s)" ""

# An ordinary user, with no right but that of the device's group.
cat >/tmp/as-user <<'END'
export XDG_RUNTIME_DIR=/run/user/1000 HOME=/home/user
exec /usr/bin/setpriv --reuid 1000 --regid 1000 --groups "$1" --inh-caps=-all crosh vmc start --no-shell \
    --accel kvm --vsock kernel --memory 256M theirs
END
as_user() {
    /usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all \
        env HOME=/home/user XDG_RUNTIME_DIR=/run/user/1000 "$@"
}
chown 0:77 /dev/vhost-vsock
chmod 660 /dev/vhost-vsock
sh /tmp/as-user 1000 >refused.log 2>&1
equal "outside of the group: refused" "$? $(grep -c "its group, kvm on most systems" refused.log)" "5 1"
check "in it: a VM starts" sh /tmp/as-user 77
equal "a command" "$(echo words | as_user crosh vsh theirs -- tr a-z A-Z)" WORDS
equal "12 MiB to a user's guest" "$(as_user crosh vsh theirs -- sha256sum </tmp/blob)" "$sum"
check "vmc security finds every layer of it" as_user crosh vmc security theirs
check "and it stops" as_user crosh vmc stop theirs
finish
