# shellcheck shell=bash
# The distribution's libvirtd, and the testbed's L2 in its words. Sourced after l2.sh.

libvirt_conf=/etc/libvirt
# For QEMUs that open our devices themselves: what they may open by default, and these.
libvirt_acl='cgroup_device_acl = [ "/dev/null", "/dev/full", "/dev/zero", "/dev/random",
	"/dev/urandom", "/dev/ptmx", "/dev/kvm", "/dev/vhost-blk", "/dev/vhost-scsi" ]'

# What an installation has: a configuration, and who has access to what. QEMU is root's
# here, for the testbed's root has no other user for it. libvirt_start [OPTION]...
libvirt_start()
{
	grep -q ^stdio_handler $libvirt_conf/qemu.conf || cat >>$libvirt_conf/qemu.conf <<-'EOF'
	user = "root"
	group = "root"
	stdio_handler = "file"
	EOF
	libvirtd --daemon "$@"
	l2_until 60 virsh -q version || fail "libvirtd does not answer"
}

# For a migration; TLS or SSH are what an installation has.
libvirt_start_listening()
{
	echo "$libvirt_acl" >>$libvirt_conf/qemu.conf
	printf '%s\n' 'listen_tls = 0' 'listen_tcp = 1' 'auth_tcp = "none"' \
		>>$libvirt_conf/libvirtd.conf
	libvirt_start --listen
}

libvirt_stop()
{
	virsh -q destroy l2 2>/dev/null || :
	virsh -q undefine l2 2>/dev/null || :
	pkill -F /run/libvirtd.pid || :
}

# libvirt_define EMULATOR DEVICES [MORE]: the domain l2, with what a guest needs to run
# what libvirt_does() was given and to tell of it.
libvirt_define()
{
	cat >"$l2_dir/l2.xml" <<-EOF
	<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
	<name>l2</name>
	<memory unit='MiB'>512</memory>
	<vcpu>1</vcpu>
	<os>
		<type arch='x86_64' machine='q35'>hvm</type>
		<kernel>$(echo /boot/vmlinuz-6.12.*)</kernel>
		<initrd>$project/build/testbed/l2/initrd</initrd>
		<cmdline>console=ttyS0 panic=-1 mitigations=off loglevel=5 testbed.level=l2</cmdline>
	</os>
	<features><acpi/><apic/></features>
	<cpu mode='host-passthrough'/>
	<devices>
		<emulator>$1</emulator>
		<controller type='pci' index='0' model='pcie-root'/>
		$(printf "<controller type='pci' model='pcie-root-port'/>%.0s" 1 2 3 4 5 6)
		<controller type='usb' model='none'/>
		<memballoon model='none'/>
		<disk type='file'>
			<source file='/run/testbed-l2/root.img'/>
			<target dev='vdz' bus='virtio'/>
			<readonly/>
			<serial>testbed.root</serial>
			<address type='pci' domain='0' bus='0' slot='0x1e' function='0'/>
		</disk>
		$(libvirt_share ctl "$l2_dir/run/ctl") $(libvirt_share project "$project")
		<serial type='file'><source path='$l2_dir/run/console.log'/></serial>
		$(libvirt_port out) $(libvirt_port status)
		$2
	</devices>
	${3-}
	</domain>
	EOF
	virsh -q define "$l2_dir/l2.xml" || fail "the domain is not accepted"
}

libvirt_share()
{
	echo "<filesystem><source dir='$2'/><target dir='$1'/><readonly/></filesystem>"
}

libvirt_port()
{
	echo "<channel type='file'><source path='$l2_dir/$1'/>
		<target type='virtio' name='testbed.$1'/></channel>"
}

# libvirt_override NAME: an ordinary disk of that alias is one of vhost_blk.
libvirt_override()
{
	echo "<qemu:override><qemu:device alias='$1'><qemu:frontend>
		<qemu:property name='driver' type='string' value='vhost-blk-pci'/>
	</qemu:frontend></qemu:device></qemu:override>"
}

# libvirt_does LINES: in the guest that is going to be started; with libvirt_movable set, in
# one that QEMU can migrate.
libvirt_does()
{
	mkdir -p "$l2_dir/run/ctl"
	[ -z "${libvirt_movable-}" ] || touch "$l2_dir/run/ctl/movable"
	ln -sf /var/log/libvirt/qemu/l2.log "$l2_dir/run/qemu.log"
	echo "$1" >"$l2_dir/run/ctl/command"
}
