#!/bin/sh
# SPDX-License-Identifier: MIT
# The part of vsock.sh that runs in the lab host: one launcher's guest. Prints lines "LABEL WHAT
# MICROSECONDS" and at last "complete", or what went wrong. Arguments: repetitions, megabytes, streams,
# prefix of crosh, the launcher, and the labels whose figures are wanted.
set -eu
repetitions=$1
megabytes=$2
streams=$3
prefix=$4
launcher=$5
labels=" $6 "
image=/images/micro
crosh_vm=$prefix/libexec/crosh/crosh-vm

modprobe tun
modprobe vhost_net
modprobe vhost_vsock

# The guest: what the image has, an ssh server, and the other end of what is measured.
guest=/lab/guest
mkdir -p $guest/etc/ssh $guest/lib/x86_64-linux-gnu $guest/lib64 $guest/bin $guest/usr/sbin \
    $guest/root/.ssh $guest/run/sshd $guest/var/empty
cp /lib64/ld-linux-x86-64.so.2 $guest/lib64/
cp /lab/lib/*.so* $guest/lib/x86_64-linux-gnu/
cp vsock-load $guest/bin/
cp sshd $guest/usr/sbin/
cp host-key $guest/etc/ssh/
chmod 600 $guest/etc/ssh/host-key user-key
chmod 700 $guest/root $guest/root/.ssh $guest/var/empty
cp user-key.pub $guest/root/.ssh/authorized_keys
chmod 600 $guest/root/.ssh/authorized_keys
cat >$guest/etc/ssh/sshd_config <<END
HostKey /etc/ssh/host-key
UsePAM no
UseDNS no
PermitRootLogin yes
PasswordAuthentication no
PrintMotd no
END
(cd $guest && cpio -i -d -u --quiet etc/passwd etc/group <$image/initramfs)
echo "sshd:x:74:74::/var/empty:/bin/false" >>$guest/etc/passwd
cat >$guest/bench-init <<END
#!/bin/sh
mount -t devtmpfs dev /dev # what runs in the background has its input from there
(
    while [ ! -e /sys/class/net/eth0 ] || [ ! -e /dev/vsock ]; do usleep 20000; done
    ip link set lo up
    ip addr add 10.9.0.2/24 dev eth0
    ip link set eth0 up
    mkdir -p /run/sshd
    /usr/sbin/sshd -f /etc/ssh/sshd_config -E /dev/console
    exec vsock-load serve
) &
exec /sbin/crosh-agent
END
chmod +x $guest/bench-init
(cd $guest && find . | cpio -o -H newc 2>/dev/null) >additions
cat $image/initramfs additions >initramfs
parameters="console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests rdinit=/bench-init"

export HOME=/root XDG_RUNTIME_DIR=/run/user/0
mkdir -p $XDG_RUNTIME_DIR/crosh /root/.ssh
chmod 700 $XDG_RUNTIME_DIR $XDG_RUNTIME_DIR/crosh /root/.ssh
# Of ssh the quickest that it has: its defaults take much longer to agree on a key.
cat >/root/.ssh/config <<END
Host guest
    HostName 10.9.0.2
    User root
    IdentityFile /lab/user-key
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
    KexAlgorithms curve25519-sha256
    Ciphers aes128-gcm@openssh.com
END
run=$XDG_RUNTIME_DIR/crosh/bench
export PATH="/lab:$prefix/bin:$PATH"
crosh vmc create bench >/dev/null

# Once read, files come from memory.
cat $image/vmlinux initramfs ssh "$crosh_vm" >/dev/null

failed() { # failed WHAT: the end, and what there is to see
    echo "$1"
    for log in "$run/launcher.log" "$run/console.log"; do
        [ ! -s "$log" ] || { echo "$log:" && tail -n 40 "$log"; }
    done
    exit 1
}

load() { # load LABEL vsock-load's arguments...: its results under the label
    label=$1
    shift
    timeout 60 vsock-load "$@" >load.out 2>load.err || failed "$1: $(cat load.err)"
    sed -n "s/^RESULT /$label /p" load.out
}

answers() { # answers WHERE: whether the guest is there within a while
    tries=200
    until timeout 5 vsock-load echo 1 "$1" >/dev/null 2>&1 && nc -w 2 10.9.0.2 22 </dev/null >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] && kill -0 "$pid" 2>/dev/null || return 1
        usleep 100000
    done
}

wanted() { # wanted LABEL: whether it is among those to run
    case $labels in *" $1 "*) ;; *) return 1 ;; esac
}

measure_vsock() { # measure_vsock LABEL WHERE
    load "$1" push $((megabytes << 20)) "$2"
    load "$1" pull $((megabytes << 20)) "$2"
    load "$1" echo 200 "$2"
    [ "$streams" -eq 0 ] || load "$1" streams "$streams" 16 "$2"
    [ "$2" = 3 ] || load "$1" time true 5 crosh vsh bench -- true
}

measure_ssh() { # measure_ssh LABEL: bytes by a connection that is there
    bytes="dd if=/dev/zero bs=64k count=$((megabytes * 16)) 2>/dev/null"
    ssh -f -N -M -S master guest
    load "$1" time push 1 sh -c "$bytes | ssh -S master guest 'cat >/dev/null'"
    load "$1" time pull 1 sh -c "ssh -S master guest '$bytes' >/dev/null"
    ssh -S master -O exit guest 2>/dev/null
    load "$1" time true 3 ssh guest true
}

measure() { # measure SSH-LABEL WHERE COMMAND...: of the launcher, and of ssh beside it
    ssh_label=$1
    where=$2
    shift 2
    "$@" >"$run/launcher.log" 2>&1 &
    pid=$!
    answers "$where" || failed "the guest does not answer"
    i=0
    while [ "$i" -le "$repetitions" ]; do
        ! wanted "$launcher" || measure_vsock "$launcher" "$where"
        [ -z "$ssh_label" ] || ! wanted "$ssh_label" || measure_ssh "$ssh_label"
        i=$((i + 1))
    done
    echo complete
}

launch() { # launch SSH-LABEL OPTION...
    label=$1
    shift
    measure "$label" "$run/vsock.sock" "$crosh_vm" --name bench --runtime-dir "$run" \
        --lock /root/.local/share/crosh/vms/bench/lock --accel kvm --memory 256M \
        --kernel $image/vmlinux --initrd initramfs --cmdline rdinit=/bench-init --net tap=tap0 "$@"
}

/usr/sbin/ip tuntap add tap0 mode tap vnet_hdr
ip addr add 10.9.0.1/24 dev tap0
ip link set tap0 up
rm -rf "$run"
mkdir -m 700 "$run"
case $launcher in
crosh) launch ssh ;;
crosh-kernel) launch '' --vsock=kernel ;;
qemu-vhost)
    measure ssh-qemu 3 qemu-system-x86_64 -M microvm,rtc=on,pcie=on -accel kvm -cpu host \
        -m 256 -smp 1 -nodefaults -no-user-config -display none -no-reboot \
        -serial "file:$run/console.log" \
        -netdev tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=on \
        -device virtio-net-pci,netdev=net0,romfile= -device vhost-vsock-pci,guest-cid=3 \
        -kernel $image/vmlinux -initrd initramfs -append "$parameters"
    ;;
esac
